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
from torch import Tensor, nn

from assets.models.fit_run import FitRun, current_run
from assets.models.network import processes
from assets.models.network.batches import DivergedError, Matrix, NetworkMatrix, Positions, Wide, development_rows
from assets.models.network.checkpoint import Checkpoints
from assets.models.network.loop import Loop, uses_bf16
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
        measured: Standardised outcome that a class was made of; None where it is not known.
        titles: Titles of the rows.
    """

    kind: Kind
    matrix: Matrix
    outcome: Wide
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
    rows, later = _blocks(len(lesson.matrix), preset.validation_share, run.fraction, seed)
    with torch.random.fork_rng(devices=[run.device] if run.device.startswith("cuda") else []):
        torch.manual_seed(seed)
        network = Network(preset, matrix.towers_, lesson.heads(preset))
        try:
            curve = _train(network, lesson, rows, later, preset, seed, run)
            if matrix.encoder_ is not None and preset.fine_tune is not None:
                curve += _tune(network, lesson, rows, later, matrix, preset, seed, run)
        except DivergedError as error:
            raise DivergedError(error.epoch, error.step, rows[error.positions]) from error
    bf16 = uses_bf16(preset.precision, processes.own_device(run.device))
    return Learned(_arrays(network), tuple(curve), "bf16" if bf16 else "fp32")


def _blocks(count: int, share: float, fraction: float, seed: int) -> tuple[Positions, Positions]:
    """Positions of the rows that are learned from, and of the validation block: the latest."""
    block = max(1, round(count * share))
    rows = development_rows(count - block, fraction, MIN_ROWS - block, seed)
    return rows, count - block + development_rows(block, fraction, 1, seed)


def _train(
    network: Network, lesson: Lesson, rows: Positions, later: Positions, preset: Preset, seed: int, run: FitRun
) -> list[dict[str, float]]:
    """The first stage; leaves the best weights in the network."""
    kept = _checkpoints(run, lesson, preset, seed, "first")
    first, second = lesson.tensors(rows), lesson.tensors(later)
    loop = Loop(network, lesson.objective(preset), first, second, preset, seed, run, kept)
    network.load_state_dict(loop.train())
    return loop.at.curve


def _tune(
    network: Network,
    lesson: Lesson,
    rows: Positions,
    later: Positions,
    matrix: NetworkMatrix,
    preset: Preset,
    seed: int,
    run: FitRun,
) -> list[dict[str, float]]:
    """The second stage; leaves the best weights in the network and in the matrix's encoder."""
    assert matrix.encoder_ is not None and preset.fine_tune is not None
    stage = preset.fine_tune
    own = preset.model_copy(update=stage.model_dump(include={"epochs", "learning_rate", "batch_size"}))
    whole = TunedNetwork(network, matrix.encoder_, matrix.vectors, stage.layers)
    texts = tokens(matrix.encoder_, lesson.titles)
    first, second = (
        lesson.tensors(positions) | {name: column[torch.from_numpy(positions)] for name, column in texts.items()}
        for positions in (rows, later)
    )
    kept = _checkpoints(run, lesson, own, seed, "second")
    loop = Loop(whole, lesson.objective(preset), first, second, own, seed, run, kept, before_epoch=whole.unfreeze)
    whole.load_state_dict(loop.train())
    model: nn.Module = whole.cpu().encoder.model
    matrix.encoder_.replace({name: tensor.numpy().copy() for name, tensor in model.state_dict().items()})
    return loop.at.curve


def _checkpoints(run: FitRun, lesson: Lesson, preset: Preset, seed: int, stage: str) -> Checkpoints | None:
    """The folder of this very fit: another part, other rows or other parameters have another."""
    if run.checkpoints is None:
        return None
    facts = [run.part, stage, lesson.kind, preset.model_dump(mode="json"), seed, run.fraction, run.device]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for column in (lesson.matrix, lesson.outcome, lesson.measured):
        digest.update(b"-" if column is None else np.ascontiguousarray(column).tobytes())
    return Checkpoints(run.checkpoints / f"{run.part}-{stage}-{digest.hexdigest()[:16]}")


def _arrays(network: Network) -> dict[str, Matrix]:
    state: Mapping[str, Tensor] = network.cpu().state_dict()
    return {
        name: np.ascontiguousarray(tensor.numpy().T if name.endswith("weight") else tensor.numpy(), np.float32).copy()
        for name, tensor in state.items()
    }
