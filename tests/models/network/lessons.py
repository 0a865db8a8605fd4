"""Small lessons for the loop, with outcomes that can be learned, and a loop over them."""

from typing import Any

import numpy as np
import torch

from assets.models.fit_run import FitRun
from assets.models.network.checkpoint import Checkpoints
from assets.models.network.loop import Loop
from assets.models.network.losses import number_objective
from assets.models.network.preset import load_preset
from assets.models.network.towers import Network

TOWERS = {"scalars": 4, "text": 3}


def tensors(count: int = 128, seed: int = 0) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(count, 8)).astype(np.float32)
    matrix[:, 7] = rng.random(count) < 0.8
    outcome = matrix[:, 0] + 0.5 * matrix[:, 4] * matrix[:, 7]
    return {"matrix": torch.from_numpy(matrix), "outcome": torch.from_numpy(outcome)}


def make_loop(
    rows: dict[str, torch.Tensor] | None = None,
    run: FitRun | None = None,
    checkpoints: Checkpoints | None = None,
    **overrides: Any,
) -> Loop:
    preset = load_preset("small").with_overrides(**{"batch_size": 32, "epochs": 4, **overrides})
    torch.manual_seed(0)
    network = Network(preset, TOWERS, {"point": 1, "quantiles": len(preset.quantiles)})
    objective = number_objective(preset.quantiles, preset.loss_weights)
    return Loop(network, objective, rows or tensors(), tensors(64, 1), preset, 3, run or FitRun(), checkpoints)


def losses(loop: Loop, name: str = "train_loss") -> list[float]:
    return [epoch[name] for epoch in loop.at.curve]
