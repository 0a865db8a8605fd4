"""The figures of merit, each a function of arrays that gives None where it has no meaning; nothing is fitted or grouped here.

Outcomes and forecasts are on the target's scale (natural logarithm of 1 + views, for most).
"""

from typing import Any

import numpy as np

Vector = np.ndarray[Any, np.dtype[np.float64]]
Figures = dict[str, float | None]
LEVELS = (50, 80, 90)
TOP_SHARE = 0.1
ECE_BINS = 10


def mae(y: Vector, point: Vector) -> float | None:
    """Mean absolute error."""
    return float(np.mean(np.abs(y - point))) if len(y) else None


def rmse(y: Vector, point: Vector) -> float | None:
    """Root of the mean squared error."""
    return float(np.sqrt(np.mean((y - point) ** 2))) if len(y) else None


def r2(y: Vector, point: Vector) -> float | None:
    """1 - squared error / squared deviation from the mean; None where the outcomes do not differ."""
    if len(y) < 2 or np.ptp(y) == 0:
        return None
    return float(1 - np.sum((y - point) ** 2) / np.sum((y - y.mean()) ** 2))


def growth_r2(y: Vector, point: Vector, level: Vector) -> float | None:
    """R2 of the growth over the last known level, on the rows that have one."""
    known = ~np.isnan(level)
    return r2(y[known] - level[known], point[known] - level[known])


def spearman(y: Vector, point: Vector) -> float | None:
    """Correlation of the ranks (ties share their mean rank); None where either does not differ."""
    if len(y) < 2 or np.ptp(y) == 0 or np.ptp(point) == 0:
        return None
    return float(np.corrcoef(mean_ranks(y), mean_ranks(point))[0, 1])


def mape_raw(y: Vector, point: Vector) -> float | None:
    """Mean absolute error of exp(point) - 1 as a share of exp(y) - 1, on the rows whose outcome is above 0."""
    raw = np.expm1(y)
    positive = raw > 0
    if not positive.any():
        return None
    return float(np.mean(np.abs(np.expm1(point[positive]) - raw[positive]) / raw[positive]))


def mean_ranks(values: Vector) -> Vector:
    """Ranks from 1; ties share their mean rank."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], dtype=np.float64)


def auroc(label: Vector, score: Vector) -> float | None:
    """Chance that a positive scores above a negative (ties count half); None with one class."""
    positives, n = int(label.sum()), len(label)
    if positives in (0, n):
        return None
    return float(
        (mean_ranks(score)[label == 1].sum() - positives * (positives + 1) / 2) / (positives * (n - positives))
    )


def average_precision(label: Vector, score: Vector) -> float | None:
    """Area under precision against recall, as a step sum over distinct scores; None with one class."""
    if label.sum() in (0, len(label)):
        return None
    precision, recall = precision_recall(label, score)
    return float(np.sum(np.diff(recall, prepend=0.0) * precision))


def precision_at_recall(label: Vector, score: Vector, recall: float = 0.1) -> float | None:
    """The best precision among the thresholds that find at least a share of the positives; None with one class."""
    if label.sum() in (0, len(label)):
        return None
    precision, found = precision_recall(label, score)
    return float(precision[found >= recall].max())


def precision_recall(label: Vector, score: Vector) -> tuple[Vector, Vector]:
    """Precision and recall at each distinct score, from the highest down."""
    order = np.argsort(-score, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    hits = np.cumsum(label[order])[last_of_tie]
    return hits / (last_of_tie + 1), hits / label.sum()


def lift_at(label: Vector, score: Vector, share: float = TOP_SHARE) -> float | None:
    """Share of positives among the top scores over the share among all; None without positives. Equal scores share their positives."""
    if not len(label) or label.sum() == 0:
        return None
    return float(_from_the_top(label, score)[: _top(len(label), share)].mean() / label.mean())


def ndcg_at(label: Vector, score: Vector, share: float = TOP_SHARE) -> float | None:
    """Discounted cumulative gain of the top scores over the best possible; None without positives. Equal scores share their gain
    (McSherry and Najork 2008), so that the order of the rows says nothing.
    """
    if not len(label) or label.sum() == 0:
        return None
    k = _top(len(label), share)
    discount = 1 / np.log2(np.arange(2, k + 2))
    gain = _from_the_top(label, score)[:k] @ discount
    return float(gain / (np.sort(label)[::-1][:k] @ discount))


def brier(label: Vector, probability: Vector) -> float | None:
    """Mean squared error of a probability."""
    return float(np.mean((probability - label) ** 2)) if len(label) else None


def ece(label: Vector, probability: Vector, bins: int = ECE_BINS) -> float | None:
    """Expected calibration error: mean gap between stated and observed share, over bins of equal width."""
    if not len(label):
        return None
    bin_of = np.clip((probability * bins).astype(int), 0, bins - 1)
    gap = np.bincount(bin_of, weights=probability - label, minlength=bins)
    return float(np.abs(gap).sum() / len(label))


def coverage(y: Vector, lower: Vector, upper: Vector) -> float | None:
    """Share of outcomes inside their interval."""
    known = ~np.isnan(lower)
    return float(np.mean((lower[known] <= y[known]) & (y[known] <= upper[known]))) if known.any() else None


def width(lower: Vector, upper: Vector) -> float | None:
    """Mean width of the intervals."""
    known = ~np.isnan(lower)
    return float(np.mean(upper[known] - lower[known])) if known.any() else None


def interval_scores(y: Vector, lower: Vector, upper: Vector, level: int) -> Vector:
    """Width plus 2 / a times the miss, per row (Gneiting and Raftery 2007, eq. 43); a is the miss rate of the level."""
    penalty = 2 / (1 - level / 100)
    return upper - lower + penalty * (np.maximum(lower - y, 0) + np.maximum(y - upper, 0))


def skill(loss: float | None, naive_loss: float | None) -> float | None:
    """1 - loss / loss of the best naive forecaster."""
    if loss is None or not naive_loss:
        return None
    return float(1 - loss / naive_loss)


def regression_figures(y: Vector, point: Vector, level: Vector, log_scale: bool) -> Figures:
    """Every point figure of a number."""
    return {
        "mae": mae(y, point),
        "rmse": rmse(y, point),
        "r2": r2(y, point),
        "growth_r2": growth_r2(y, point, level),
        "spearman": spearman(y, point),
        "mape": mape_raw(y, point) if log_scale else None,
    }


def interval_figures(y: Vector, bounds: dict[int, tuple[Vector, Vector]]) -> Figures:
    """Coverage, width and interval score at each level."""
    figures: Figures = {}
    for level, (lower, upper) in bounds.items():
        known = ~np.isnan(lower)
        scores = interval_scores(y[known], lower[known], upper[known], level)
        figures[f"coverage_{level}"] = coverage(y, lower, upper)
        figures[f"width_{level}"] = width(lower, upper)
        figures[f"interval_score_{level}"] = float(scores.mean()) if known.any() else None
    return figures


def class_figures(label: Vector, probability: Vector) -> Figures:
    """Every figure of a class; a video is called positive from a probability of one half."""
    if not len(label):
        return {}
    called = probability >= 0.5
    hits, calls, positives = float(label[called].sum()), float(called.sum()), float(label.sum())
    precision = hits / calls if calls else None
    recall = hits / positives if positives else None
    return {
        "auroc": auroc(label, probability),
        "average_precision": average_precision(label, probability),
        "accuracy": float(np.mean(called == (label == 1))),
        "precision": precision,
        "recall": recall,
        "f1": 2 * hits / (calls + positives) if calls + positives else None,
        "precision_at_recall_10": precision_at_recall(label, probability),
        "lift_10": lift_at(label, probability),
        "ndcg_10": ndcg_at(label, probability),
        "brier": brier(label, probability),
        "ece": ece(label, probability),
    }


def _from_the_top(label: Vector, score: Vector) -> Vector:
    """The labels from the highest score down; each of equal scores has the mean of theirs."""
    _, group = np.unique(-score, return_inverse=True)
    shared = np.bincount(group, weights=label) / np.bincount(group)
    return np.asarray(shared[np.sort(group)])


def _top(n: int, share: float) -> int:
    return max(1, int(np.ceil(n * share)))
