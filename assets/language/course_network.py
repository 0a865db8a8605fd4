"""A gated recurrent unit (Cho et al. 2014) that reads the weeks of a channel and says how far the next one departs from their mean.

torch at the top: imported lazily only. One network for all channels, trained by the loop that trains all networks.
"""

# torch is not followed by the type check.
# mypy: disallow-subclassing-any=False

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from assets.language.course_forecasts import Matrix, Pasts
from assets.models.fit_run import current_run
from assets.models.network.loop import Loop
from assets.models.network.preset import Schedule
from resources.trainer.threads import one_thread

MIN_ROWS = 60
"""Fewer weeks of channels fit no network."""
_WIDTH = 16
_VALIDATION_SHARE = 0.2
_DOUBTED = 5.0
"""Comments at which a week's mean counts half of what it would count with very many."""
_SCHEDULE = Schedule(
    learning_rate=0.005,
    weight_decay=0.01,
    batch_size=64,
    accumulate=1,
    epochs=60,
    warmup_steps=20,
    clip=1.0,
    patience=8,
    stop_on="loss",
    precision="fp32",
    checkpoint_steps=1_000_000,
)


class CourseNetwork(nn.Module):
    """Weeks [rows, WEEKS, 3] to `point` [rows, 1]; untrained it says 0, which is the channel's mean."""

    def __init__(self) -> None:
        super().__init__()
        self.unit = nn.GRU(3, _WIDTH, batch_first=True)
        self.head = nn.Linear(_WIDTH, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The departure of the week to come."""
        _, last = self.unit(batch["weeks"])
        return {"point": self.head(last[0])}


def fit(known: Pasts, seed: int) -> Callable[[Pasts], Matrix]:
    """Train on rows with an outcome, the latest of which decide when to stop; gives what forecasts [rows].

    Raises:
        ValueError: There are fewer than `MIN_ROWS` rows.
        StoppedError: The run was asked to stop.
    """
    if len(known.outcome) < MIN_ROWS:
        raise ValueError(f"{len(known.outcome)} rows are too few for the sequence model; it needs {MIN_ROWS}")
    order = np.argsort(known.keys["origin"].to_numpy(), kind="stable")
    known = known.chosen(order)
    departures = np.where(known.counts > 0, known.means - known.mean()[:, None], np.nan)
    scale = max(float(np.nanstd(departures)), 1e-6)
    outcome = (known.outcome - known.mean()) / scale
    trust = known.outcome_count / (known.outcome_count + _DOUBTED)
    columns = {"weeks": _weeks(known, scale), "outcome": outcome, "trust": trust}
    first = len(outcome) - max(1, round(len(outcome) * _VALIDATION_SHARE))
    run = current_run()
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        network = CourseNetwork()
        loop = Loop(network, _loss, _rows(columns, 0, first), _rows(columns, first, None), _SCHEDULE, seed, run)
        loop.at.best_cost = _untrained(_rows(columns, first, None))
        network.load_state_dict(loop.train())
    network = network.cpu().eval()

    def forecast(asked: Pasts) -> Matrix:
        with torch.no_grad():
            weeks = torch.from_numpy(_weeks(asked, scale).astype(np.float32))
            said = network({"weeks": weeks})["point"][:, 0].double().numpy()
        return np.asarray(asked.mean() + scale * said)

    return forecast


def _weeks(pasts: Pasts, scale: float) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """[rows, WEEKS, 3]: departure from the mean, how many comments it is the mean of (log), whether there are any."""
    there = pasts.counts > 0
    departure = np.where(there, (np.nan_to_num(pasts.means) - pasts.mean()[:, None]) / scale, 0.0)
    return np.stack([departure, np.log1p(pasts.counts) / 4, there.astype(float)], axis=2)


def _rows(columns: Mapping[str, "np.ndarray[Any, Any]"], start: int, stop: int | None) -> dict[str, Tensor]:
    return {name: torch.from_numpy(column[start:stop].astype(np.float32)) for name, column in columns.items()}


def _untrained(later: Mapping[str, Tensor]) -> float:
    """Loss of the untrained network, the channel's mean: what training does not beat on the later rows is not kept."""
    return float(_loss({"point": torch.zeros(len(later["outcome"]), 1)}, later).mean())


def _loss(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
    """Absolute error of each row, which the board judges by, weighted by how many comments its outcome is the mean of."""
    said = outputs["point"][:, 0].float()
    return batch["trust"] * functional.l1_loss(said, batch["outcome"], reduction="none")
