"""How sure a figure is: bootstrap intervals that draw whole channels, because videos of one channel succeed together.

Figures are functions of weighted sums per channel, so that all draws are one matrix product. Nothing here knows a forecaster.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Vector = np.ndarray[Any, np.dtype[np.float64]]
Bounds = tuple[float, float]
DRAWS = 400
LEVEL = 95.0
CHUNK = 2_000_000  # weights held at once


@dataclass(frozen=True)
class Blocks:
    """Draws of channels with replacement.

    Attributes:
        code: Block of each row.
        weights: How often each draw holds each block, of shape (draws, blocks).
    """

    code: np.ndarray[Any, np.dtype[np.int64]]
    weights: Vector

    @classmethod
    def of(cls, channels: np.ndarray[Any, Any], seed: int = 0, draws: int = DRAWS) -> "Blocks":
        """Draws over the channels of some rows."""
        names, code = np.unique(np.asarray(channels, dtype=str), return_inverse=True)
        count = max(len(names), 1)
        weights = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=draws)
        return cls(code.astype(np.int64), weights.astype(np.float64))

    @property
    def usable(self) -> bool:
        """Whether there are at least two channels to draw from."""
        return bool(self.weights.shape[1] >= 2)

    def sums(self, values: Vector) -> Vector:
        """Sum of the rows' values in each draw, of shape (draws,)."""
        return np.asarray(self.weights @ np.bincount(self.code, weights=values, minlength=self.weights.shape[1]))

    def means(self, values: Vector) -> Vector:
        """Mean of the rows' values in each draw; NaN rows are left out."""
        known = ~np.isnan(values)
        return _divide(self.sums(np.where(known, values, 0.0)), self.sums(known.astype(np.float64)))

    def r2(self, y: Vector, point: Vector) -> Vector:
        """R2 in each draw; NaN rows are left out."""
        known = ~(np.isnan(y) | np.isnan(point))
        shifted = np.where(known, y - np.nanmean(y) if known.any() else 0.0, 0.0)
        error = self.sums(np.where(known, (y - point) ** 2, 0.0))
        count, total, square = self.sums(known.astype(np.float64)), self.sums(shifted), self.sums(shifted**2)
        return 1 - _divide(error, square - _divide(total**2, count))

    def auroc(self, label: Vector, score: Vector) -> Vector:
        """AUROC in each draw: a row counts as often as its channel was drawn."""
        order = np.argsort(score, kind="stable")
        starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)
        code, positive = self.code[order], label[order].astype(np.float64)
        figures = []
        for draws in np.array_split(self.weights, max(1, len(self.weights) * len(score) // CHUNK)):
            weight = draws[:, code]
            hits = np.add.reduceat(weight * positive, starts, axis=1)
            misses = np.add.reduceat(weight * (1 - positive), starts, axis=1)
            below = np.cumsum(misses, axis=1) - misses / 2
            figures.append(_divide((hits * below).sum(axis=1), hits.sum(axis=1) * misses.sum(axis=1)))
        return np.concatenate(figures)


def bounds(draws: Vector) -> Bounds | None:
    """The central `LEVEL` per cent of some draws; None where too few of them have a value."""
    known = draws[np.isfinite(draws)]
    if len(known) < len(draws) / 2 or not len(known):
        return None
    low, high = np.percentile(known, [(100 - LEVEL) / 2, (100 + LEVEL) / 2])
    return float(low), float(high)


def paired_difference(
    loss: Vector, other: Vector, channels: np.ndarray[Any, Any], seed: int = 0, draws: int = DRAWS
) -> tuple[float, Bounds | None]:
    """Mean of loss - other on the same rows, with its interval; below 0 the first is better.

    Raises:
        ValueError: The rows are not the same ones, or there are none.
    """
    if len(loss) != len(other) or len(loss) != len(channels) or not len(loss):
        raise ValueError("a paired difference needs two losses and a channel for each of the same rows")
    blocks = Blocks.of(channels, seed, draws)
    return float(np.mean(loss - other)), bounds(blocks.means(loss - other)) if blocks.usable else None


def interval_of(blocks: Blocks, draw: Callable[[], Vector]) -> Bounds | None:
    """Bounds of a figure's draws, where there are enough channels to draw from."""
    return bounds(draw()) if blocks.usable else None


def _divide(above: Vector, below: Vector) -> Vector:
    safe = np.where(below > 0, below, 1.0)
    return np.where(below > 0, above / safe, np.nan)
