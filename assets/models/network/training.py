"""From a prepared matrix to fitted weights: the validation block, the tensors, the objective, the stages.

torch at the top: imported lazily only. Which rows there are and what is made of the weights is the forecaster's business.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from assets.models.fit_run import FitRun, current_run
from assets.models.network import processes
from assets.models.network.batches import DivergedError, Matrix, NetworkMatrix, Positions, Wide, development_rows
from assets.models.network.checkpoint import Checkpoints
from assets.models.network.loop import Figure, Loop, uses_bf16
from assets.models.network.losses import Objective, class_objective, number_objective
from assets.models.network.preset import Preset
from assets.models.network.towers import Network
from assets.models.network.tuning import TunedNetwork, tokens
from assets.models.task import Kind

MIN_ROWS = 50
"""Fewer training rows fit no network."""


@dataclass(frozen=True)
class Lesson:
    """What a network is to learn.

    Attributes:
        kind: Of a number or of a class.
        matrix: Prepared rows, oldest first.
        outcome: Standardised number, or 0 and 1.
        spread: What the number was divided by.
        measured: Standardised outcome that a class was made of; None where it is not known.
        titles: Titles of the rows.
    """

    kind: Kind
    matrix: Matrix
    outcome: Wide
    spread: float
    measured: Wide | None
    titles: np.ndarray[Any, Any]

    def tensors(self, positions: Positions) -> dict[str, Tensor]:
        """Some rows, by name."""
        columns: dict[str, np.ndarray[Any, Any]] = {"matrix": self.matrix, "outcome": self.outcome}
        if self.measured is not None:
            columns["measured"] = self.measured
        return {name: torch.from_numpy(column[positions].astype(np.float32)) for name, column in columns.items()}

    def heads(self, preset: Preset) -> dict[str, int]:
        """Outputs of every head."""
        if self.kind == "regression":
            return {"point": 1, "quantiles": len(preset.quantiles)}
        return {"point": 1} if self.measured is None else {"point": 1, "measured": 1}

    def figure(self, said: Wide, outcome: Wide) -> Figure | None:
        """Mean absolute error in the number's own unit, or AUROC of a class; None where the rows have one class."""
        if self.kind == "regression":
            error = float(np.abs(said - outcome).mean()) * self.spread
            return Figure("validation_mae", error, error)
        if outcome.min() == outcome.max() or not np.isfinite(said).all():
            return None
        area = float(roc_auc_score(outcome, said))
        return Figure("validation_auroc", area, -area)

    def objective(self, preset: Preset) -> Objective:
        """What is made small."""
        if self.kind == "regression":
            return number_objective(preset.quantiles, preset.loss_weights)
        rate = float(self.outcome.mean())
        weights = (0.5 / (1 - rate), 0.5 / rate) if preset.class_weights == "balanced" else (1.0, 1.0)
        return class_objective(preset.focal_gamma, weights, preset.loss_weights)


@dataclass(frozen=True)
class Learned:
    """What was learned.

    Attributes:
        weights: By torch's names, those of layers as (inputs, outputs).
        curve: Losses of every epoch of every stage.
        precision: `fp32`, or `bf16` where the device has it and the preset wants it.
    """

    weights: dict[str, Matrix]
    curve: tuple[dict[str, float], ...]
    precision: str


def learn(lesson: Lesson, matrix: NetworkMatrix, preset: Preset, seed: int) -> Learned:
    """Train a network as the current run says; the encoder of `matrix` is tuned too, where the preset has that stage.

    Raises:
        ValueError: There are fewer than `MIN_ROWS` rows.
        DivergedError: A loss or gradient was not finite; its positions are rows of `lesson`.
        StoppedError: The run was asked to stop.
    """
    if len(lesson.matrix) < MIN_ROWS:
        raise ValueError(
            f"{len(lesson.matrix)} training rows are too few for the fusion network; it needs {MIN_ROWS}, "
            "fewer are for boosting or the naive forecasters"
        )
    run = current_run()
    processes.join(run.device)
    device = processes.own_device(run.device)
    fit = _Fit(lesson, *_blocks(len(lesson.matrix), preset.validation_share, run.fraction, seed), seed, run)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        network = Network(preset, matrix.towers_, lesson.heads(preset))
        try:
            first = fit.loop("first", network, preset)
            network.load_state_dict(first.train())
            second = None if matrix.encoder_ is None else _tune(fit, network, matrix, preset, first)
        except DivergedError as error:
            raise DivergedError(error.epoch, error.step, fit.rows[error.positions]) from error
    curve = (*first.at.curve, *(second.at.curve if second else ()))
    return Learned(_arrays(network), curve, "bf16" if uses_bf16(preset.precision, device) else "fp32")


def _blocks(count: int, share: float, fraction: float, seed: int) -> tuple[Positions, Positions]:
    """Positions of the rows that are learned from, and of the validation block: the latest."""
    block = max(1, round(count * share))
    rows = development_rows(count - block, fraction, MIN_ROWS - block, seed)
    return rows, count - block + development_rows(block, fraction, 1, seed)


@dataclass(frozen=True)
class _Fit:
    """What the stages of one fit share: the lesson, which of its rows are learned from, which judge, seed and run."""

    lesson: Lesson
    rows: Positions
    later: Positions
    seed: int
    run: FitRun

    def loop(
        self,
        stage: str,
        network: nn.Module,
        preset: Preset,
        texts: Mapping[str, Tensor] | None = None,
        earlier: tuple[int, int] = (0, 0),
    ) -> Loop:
        """The loop of a stage; with texts, their columns are part of every batch."""
        rows, later = (
            self.lesson.tensors(positions)
            | {name: column[torch.from_numpy(positions)] for name, column in (texts or {}).items()}
            for positions in (self.rows, self.later)
        )
        return Loop(
            network,
            self.lesson.objective(preset),
            rows,
            later,
            preset,
            self.seed,
            self.run,
            self._checkpoints(stage, preset),
            self.lesson.figure,
            earlier=earlier,
        )

    def _checkpoints(self, stage: str, preset: Preset) -> Checkpoints | None:
        """The folder of this very fit: another part, other rows or other parameters have another."""
        run, lesson = self.run, self.lesson
        if run.checkpoints is None:
            return None
        facts = [run.part, stage, lesson.kind, preset.model_dump(mode="json"), self.seed, run.fraction, run.device]
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        for column in (lesson.matrix, lesson.outcome, lesson.measured):
            digest.update(b"-" if column is None else np.ascontiguousarray(column).tobytes())
        return Checkpoints(run.checkpoints / f"{run.part}-{stage}-{digest.hexdigest()[:16]}")


def _tune(fit: _Fit, network: Network, matrix: NetworkMatrix, preset: Preset, first: Loop) -> Loop:
    """The second stage; leaves the best weights in the network and in the matrix's encoder."""
    assert matrix.encoder_ is not None and preset.fine_tune is not None
    stage = preset.fine_tune
    own = preset.model_copy(update=stage.model_dump(include={"epochs", "learning_rate", "batch_size"}))
    whole = TunedNetwork(network, matrix.encoder_, matrix.vectors, stage.layers)
    texts = tokens(matrix.encoder_, fit.lesson.titles)
    loop = fit.loop("second", whole, own, texts, (first.at.epoch, first.at.step))
    loop.before_epoch = whole.unfreeze
    whole.load_state_dict(loop.train())
    model: nn.Module = whole.cpu().encoder.model
    matrix.encoder_.replace({name: tensor.numpy().copy() for name, tensor in model.state_dict().items()})
    return loop


def _arrays(network: Network) -> dict[str, Matrix]:
    state: Mapping[str, Tensor] = network.cpu().state_dict()
    return {
        name: np.ascontiguousarray(tensor.numpy().T if name.endswith("weight") else tensor.numpy(), np.float32).copy()
        for name, tensor in state.items()
    }
