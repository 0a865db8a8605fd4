"""The loop that trains a network: one pass after another, top to bottom, on one process or several.

torch at the top: imported lazily only. Everything random is a function of (seed, epoch, step, part of the batch), so an interrupted fit
goes on to the same bits, and several processes see what one process with accumulation sees. No data preparation here.
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from assets.models.fit_run import FitRun, StoppedError
from assets.models.network import processes
from assets.models.network.batches import DivergedError, Positions, epoch_order, steps_of_epoch
from assets.models.network.checkpoint import Checkpoints
from assets.models.network.losses import Objective
from assets.models.network.preset import Schedule

Rows = Mapping[str, Tensor]
Array = np.ndarray[Any, Any]
_SETTLE = 50
"""Steps after which losses are read back from the device, checked and reported."""
VALIDATED = 4096
"""Rows of the validation block at a time."""


class Figure(NamedTuple):
    """What the validation block says in a unit that people read.

    Attributes:
        name: As it is reported.
        value: The figure.
        cost: The smaller, the better; what decides when the preset stops on the metric.
    """

    name: str
    value: float
    cost: float


def no_figure(said: Array, outcome: Array) -> Figure | None:
    """Of a lesson that is judged by its loss alone."""
    del said, outcome
    return None


@dataclass
class Progress:
    """How far a fit is: all of it that is no tensor, and what a checkpoint keeps of it."""

    epoch: int = 0
    in_epoch: int = 0
    step: int = 0
    accumulate: int = 1
    losses: list[float] = field(default_factory=list)
    best_cost: float = math.inf
    best_epoch: int = -1
    curve: list[dict[str, float]] = field(default_factory=list)
    done: bool = False


class Loop:
    """One fit of one network.

    Args:
        network: Takes a batch (tensors by name), gives outputs by head.
        objective: Loss of every row.
        rows: Training rows, by name [rows, ...].
        later: The validation block, later in time.
        preset: How it is trained.
        seed: Seed of order and dropout.
        run: Device, whom to tell, when to stop.
        checkpoints: Where they are kept; None keeps none.
        figure: The metric of the validation block, from what the point head says ([rows], or [rows, labels]) and the outcomes.
        before_epoch: Called with the number of every epoch before it begins.
        earlier: Epochs and steps of the stage before this one, from which reports count on.
        order: Batches of an epoch, as many in each; None draws them at random.
        validated: Rows of the validation block at a time.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        rows: Rows,
        later: Rows,
        preset: Schedule,
        seed: int,
        run: FitRun,
        checkpoints: Checkpoints | None = None,
        figure: Callable[[Array, Array], Figure | None] = no_figure,
        before_epoch: Callable[[int], None] = lambda epoch: None,
        earlier: tuple[int, int] = (0, 0),
        order: Callable[[int], list[Positions]] | None = None,
        validated: int = VALIDATED,
    ) -> None:
        self.device = processes.own_device(run.device)
        self.network, self.objective = network.to(self.device), objective
        self.rows = {name: column.to(self.device) for name, column in rows.items()}
        self.later = {name: column.to(self.device) for name, column in later.items()}
        self.preset, self.seed, self.run = preset, seed, run
        self.checkpoints, self.figure, self.before_epoch, self.earlier = checkpoints, figure, before_epoch, earlier
        self.order, self.validated = order or self._random_order, validated
        self.rank, self.world = processes.rank_and_world()
        self.count = len(next(iter(rows.values())))
        self.total = preset.epochs * steps_of_epoch(self.count, preset.batch_size)
        self.parameters = list(network.parameters())
        self.optimiser = torch.optim.AdamW(
            self.parameters, lr=preset.learning_rate, weight_decay=preset.weight_decay, fused=True
        )
        self.at = Progress(accumulate=preset.accumulate)
        self.best = _copied(network.state_dict())
        self.bf16 = uses_bf16(preset.precision, self.device)
        self._pending: list[tuple[Positions, Tensor]] = []

    def train(self) -> dict[str, Tensor]:
        """Train until the epochs are over or the validation loss no longer falls; return the best weights, copied.

        Raises:
            DivergedError: A loss or gradient was not finite; says of which rows.
            StoppedError: The run was asked to stop; a checkpoint was saved.
        """
        self._restore()
        if self.earlier[1] and not self.at.step:  # what the stage before reached stands until it is beaten
            self.at.best_cost = self._cost(*self._validate())
        while not self.at.done:
            self.before_epoch(self.at.epoch)
            self._epoch()
            self._judge(*self._validate())
            self._save()
        return self.best

    def _epoch(self) -> None:
        """The rest of an epoch, from where it stands."""
        began, already = time.monotonic(), self.at.in_epoch
        network = DistributedDataParallel(self.network) if self.world > 1 else self.network
        order = self.order(self.at.epoch)
        self.network.train()
        for positions in order[already:]:
            rate = learning_rate(self.preset, self.at.step, self.total)
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            loss = self._gradient(network, positions)
            norm = nn.utils.clip_grad_norm_(self.parameters, self.preset.clip)
            self.optimiser.step()
            self._pending.append((positions, torch.stack([loss, norm.detach().float()])))
            self.at.step += 1
            self.at.in_epoch += 1
            if len(self._pending) == _SETTLE:
                self._settle()
                self._report({"train_loss": float(np.mean(self.at.losses[-_SETTLE:])), "learning_rate": rate})
            if self.at.step % self.preset.checkpoint_steps == 0:
                self._save()
            if processes.any_of(self.run.should_stop(), self.device):
                self._save()
                raise StoppedError(f"stopped as asked after {self.at.step} of at most {self.total} steps")
        self._settle()
        self._speed = sum(map(len, order[already:])) / max(time.monotonic() - began, 1e-9)

    def _random_order(self, epoch: int) -> list[Positions]:
        return epoch_order(self.count, self.preset.batch_size, self.seed, epoch)

    def _gradient(self, network: nn.Module, positions: Positions) -> Tensor:
        """Gradients of a batch, computed in parts; its mean loss. Out of memory halves the parts for good."""
        while True:
            self.optimiser.zero_grad(set_to_none=True)
            try:
                return self._parts(network, positions)
            except RuntimeError as error:
                if not _out_of_memory(error) or self.world > 1 or self.at.accumulate >= len(positions):
                    raise
            self.at.accumulate *= 2
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def _parts(self, network: nn.Module, positions: Positions) -> Tensor:
        """Adds up the gradients of this process's parts of a batch; returns the loss that they add to its mean."""
        parts = np.array_split(positions, self.world * min(self.at.accumulate, max(1, len(positions) // self.world)))
        each = len(parts) // self.world
        loss = torch.zeros((), device=self.device)
        for number in range(self.rank * each, (self.rank + 1) * each):
            _seed(((self.seed * 1_000_003 + self.at.step) * 4096 + number) % 2**63, self.device)
            batch = _take(self.rows, parts[number])
            waits = isinstance(network, DistributedDataParallel) and number + 1 < (self.rank + 1) * each
            with network.no_sync() if waits else contextlib.nullcontext():
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                    outputs = network(batch)
                own = self.objective(outputs, batch).sum() / len(positions)
                (own * self.world).backward()  # several processes are averaged, not added
            loss += own.detach()
        return loss

    def _settle(self) -> None:
        """Reads back the losses of the steps since the last time.

        Raises:
            DivergedError: One is not finite.
        """
        if not self._pending:
            return
        read = torch.stack([losses for _, losses in self._pending])
        read[:, 0] = processes.added(read[:, 0])
        first = self.at.step - len(self._pending)
        for offset, ((positions, _), (loss, norm)) in enumerate(zip(self._pending, read.tolist(), strict=True)):
            if not (math.isfinite(loss) and math.isfinite(norm)):
                raise DivergedError(self.at.epoch, first + offset, positions)
            self.at.losses.append(loss)
        self._pending.clear()

    def _validate(self) -> tuple[float, Figure | None]:
        """Mean loss of the validation block, and its metric."""
        self.network.eval()
        total, count, said = 0.0, len(self.later["outcome"]), []
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            for start in range(0, count, self.validated):
                batch = {name: column[start : start + self.validated] for name, column in self.later.items()}
                outputs = self.network(batch)
                total += float(self.objective(outputs, batch).sum())
                point = outputs["point"].float()
                said.append(point[:, 0] if batch["outcome"].ndim == 1 else point)
        return total / count, self.figure(torch.cat(said).cpu().numpy(), self.later["outcome"].cpu().numpy())

    def _judge(self, validation: float, figure: Figure | None) -> None:
        """Closes an epoch: its place on the curve, the best weights, whether it was the last."""
        at = self.at
        trained = float(np.mean(at.losses))
        facts = {"train_loss": trained, "validation_loss": validation} | ({figure.name: figure.value} if figure else {})
        at.curve.append({"epoch": self.earlier[0] + at.epoch, **facts})
        cost = self._cost(validation, figure)
        if cost < at.best_cost:
            at.best_cost, at.best_epoch, self.best = cost, at.epoch, _copied(self.network.state_dict())
        rate = learning_rate(self.preset, max(at.step - 1, 0), self.total)
        self._report(facts | {"learning_rate": rate, "samples_per_second": self._speed})
        at.epoch, at.in_epoch, at.losses = at.epoch + 1, 0, []
        at.done = at.epoch >= self.preset.epochs or at.epoch - 1 - at.best_epoch >= self.preset.patience

    def _cost(self, validation: float, figure: Figure | None) -> float:
        return figure.cost if figure and self.preset.stop_on == "metric" else validation

    def _report(self, facts: Mapping[str, float]) -> None:
        if self.rank == 0:
            epochs, steps = self.earlier
            self.run.report({"epoch": epochs + self.at.epoch, "step": steps + self.at.step, **facts})

    def _save(self) -> None:
        """A checkpoint, of losses that were found finite only."""
        self._settle()
        if self.checkpoints is None or self.rank != 0:
            return
        state = {
            "progress": asdict(self.at),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
        }
        self.checkpoints.save(self.at.step, state)

    def _restore(self) -> None:
        """Goes on from the latest checkpoint that is whole, if there is one."""
        state = self.checkpoints.latest(str(self.device)) if self.checkpoints else None
        if state is None:
            return
        self.at = Progress(**{each.name: state["progress"][each.name] for each in fields(Progress)})
        self.network.load_state_dict(state["network"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.best = state["best"]


def learning_rate(preset: Schedule, step: int, total: int) -> float:
    """Linear warm-up to the peak, then a cosine to a tenth of it (Loshchilov and Hutter 2017)."""
    warm = min(preset.warmup_steps, total // 10)
    if step < warm:
        return preset.learning_rate * (step + 1) / warm
    share = (step - warm) / max(1, total - warm)
    return preset.learning_rate * (0.1 + 0.45 * (1 + math.cos(math.pi * share)))


def _take(rows: Rows, positions: Positions) -> dict[str, Tensor]:
    index = torch.from_numpy(positions).to(next(iter(rows.values())).device)
    return {name: column.index_select(0, index) for name, column in rows.items()}


def _seed(number: int, device: torch.device) -> None:
    """Seeds what dropout draws from; `torch.manual_seed` would queue a stack trace per step for every device not in use."""
    torch.default_generator.manual_seed(number)
    if device.type == "cuda":
        torch.cuda.manual_seed(number)
    elif device.type == "mps":
        torch.mps.manual_seed(number)


def _copied(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Copies: the weights go on changing, what was best does not."""
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def uses_bf16(precision: str, device: torch.device) -> bool:
    """Whether a device trains in bf16 at a preset's precision."""
    if precision == "auto":
        return bool(device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False))
    return precision == "bf16"


def _out_of_memory(error: RuntimeError) -> bool:
    """What CUDA, MPS and the CPU's allocator raise."""
    said = str(error)
    return bool("out of memory" in said or "can't allocate memory" in said)
