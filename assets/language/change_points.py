"""Where a course changes its level: binary segmentation, each cut kept only if chance seldom makes one as good.

Binary segmentation with the weighted CUSUM statistic (Vostrikova 1981, "Detecting disorder in multidimensional random
processes"), its significance by permutation as in Matteson and James 2014, "A nonparametric approach for multiple change
point analysis of multivariate data". Where nothing changes and the points are exchangeable, a course of any length gets a
change with a probability of at most `level`. Points that depend on their neighbours (a mood that lasts) break that: such
courses get more changes than that. numpy only; what a point is, is not known here.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

LEVEL = 0.01
"""Probability of a change where there is none."""
SHORTEST = 3
"""Points on each side of a change."""
_PERMUTATIONS = 999

Values = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Change:
    """A change of level.

    Attributes:
        at: Position of the first point after it.
        p_value: How often a reordered course has a cut as good: at least 1 in 1,000.
        before: Weighted mean of the points since the change before it.
        after: Weighted mean of those up to the next one.
    """

    at: int
    p_value: float
    before: float
    after: float


def changes(values: Values, weights: Values | None = None, level: float = LEVEL) -> list[Change]:
    """The changes of a course, in order; the same course has the same changes.

    Args:
        values: [points], in order.
        weights: [points], how much each says (such as how many it is the mean of); by default all the same.
        level: Probability of a change where there is none.

    Raises:
        ValueError: A value is not finite, or a weight is not above 0.
    """
    weights = np.ones(len(values)) if weights is None else weights
    if not (np.isfinite(values).all() and np.isfinite(weights).all() and (weights > 0).all()):
        raise ValueError("a course needs finite values with weights above 0; leave the other points out")
    rng = np.random.default_rng(0)
    cuts: dict[int, float] = {}
    open_ = [(0, len(values))]
    while open_:
        start, stop = open_.pop()
        found = _cut(values[start:stop], weights[start:stop], rng)
        if found is not None and found[1] <= level:
            cuts[start + found[0]] = found[1]
            open_ += [(start, start + found[0]), (start + found[0], stop)]
    edges = [0, *sorted(cuts), len(values)]
    means = [
        float(np.average(values[start:stop], weights=weights[start:stop]))
        for start, stop in itertools.pairwise(edges)
        if stop > start
    ]
    return [Change(at, cuts[at], means[number], means[number + 1]) for number, at in enumerate(sorted(cuts))]


def _cut(values: Values, weights: Values, rng: np.random.Generator) -> tuple[int, float] | None:
    """The best cut of a stretch and its p-value; None where it is too short or does not vary."""
    if len(values) < 2 * SHORTEST or np.ptp(values) == 0:
        return None
    scores = _scores(values[None], weights[None])[0]
    orders = rng.permuted(np.tile(np.arange(len(values)), (_PERMUTATIONS, 1)), axis=1)
    by_chance = _scores(values[orders], weights[orders]).max(axis=1)
    as_good = int((by_chance >= scores.max() * (1 - 1e-12)).sum())
    return SHORTEST + int(scores.argmax()), (1 + as_good) / (1 + _PERMUTATIONS)


def _scores(values: Values, weights: Values) -> Values:
    """[rows, cuts]: difference of the weighted means on both sides of every cut, in standard errors but for a constant."""
    before = weights.cumsum(axis=1)[:, SHORTEST - 1 : -SHORTEST]
    sums = (weights * values).cumsum(axis=1)[:, SHORTEST - 1 : -SHORTEST]
    total, whole = weights.sum(axis=1, keepdims=True), (weights * values).sum(axis=1, keepdims=True)
    after = total - before
    return np.asarray(np.abs(sums / before - (whole - sums) / after) * np.sqrt(before * after / total))
