"""Fits temperature, thresholds and abstention on dev texts, and the figure of dev that no text has seen its own part in.

numpy only. What is fitted is applied by `resources.emotions.decisions`.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from resources.emotions.decisions import Decisions

Array = np.ndarray[Any, Any]
_STEP, _SPREAD = 0.05, 0.4
GRID = 1 / (1 + np.exp(-np.arange(-5, 3 + _STEP / 2, _STEP)))
"""Thresholds that are tried: even in log odds, from .7 % to 95 %."""
FOLDS = 5


def f1(hits: Array, said: Array, true: Array) -> Array:
    """2 hits / (said + true); 0 where both are none."""
    total = said + true
    return np.asarray(np.divide(2.0 * hits, total, out=np.zeros(np.broadcast(hits, total).shape), where=total > 0))


def f1_by_threshold(probabilities: Array, truth: Array) -> Array:
    """F1 of every label at every threshold of `GRID`, [thresholds, labels]."""
    found = np.empty((len(GRID), truth.shape[1]))
    for label in range(truth.shape[1]):
        all_of = np.sort(probabilities[:, label])
        own = np.sort(probabilities[truth[:, label], label])
        said = len(all_of) - np.searchsorted(all_of, GRID)
        found[:, label] = f1(len(own) - np.searchsorted(own, GRID), said, np.array(len(own)))
    return found


def fit_thresholds(probabilities: Array, truth: Array) -> tuple[float, ...]:
    """Of every label the threshold with the best F1, after F1 was smoothed over the log odds (a Gaussian of .4).

    Where several are as good it is the middle of them. The peak of a label with few texts is mostly chance: on GoEmotions' dev, smoothing is worth .004 macro-F1 on texts outside the fold.
    """
    scores = f1_by_threshold(probabilities, truth)
    reach = round(4 * _SPREAD / _STEP)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) * _STEP / _SPREAD) ** 2)
    padded = np.pad(scores, ((reach, reach), (0, 0)), mode="edge")
    smooth = np.stack([np.convolve(column, weights / weights.sum(), "valid") for column in padded.T], axis=1)
    best = smooth >= smooth.max(axis=0) - 1e-9
    return tuple(round(float(np.median(GRID[column])), 4) for column in best.T)


def fit_temperature(logits: Array, truth: Array) -> float:
    """The temperature with the least cross entropy, by golden-section search over its logarithm (Guo et al. 2017)."""
    low, high = np.log(0.2), np.log(5.0)
    ratio = (np.sqrt(5) - 1) / 2

    def cost(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        return float(np.mean(np.logaddexp(0, scaled) - truth * scaled))

    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        low, high = (low, right) if cost(left) <= cost(right) else (left, high)
    return round(float(np.exp((low + high) / 2)), 4)


def best_macro_f1(logits: Array, truth: Array) -> float:
    """Macro-F1 with the thresholds that are best for these very texts: for choosing among epochs, not for reporting."""
    probabilities = 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -80, 80)))
    there = truth.any(axis=0)
    return float(f1_by_threshold(probabilities, truth).max(axis=0)[there].mean()) if there.any() else 0.0


def fit_decisions(logits: Array, truth: Array, abstain_below: float) -> Decisions:
    """Temperature and thresholds on some texts.

    Args:
        logits: [n, labels].
        truth: bool [n, labels].
        abstain_below: Given, not fitted.
    """
    temperature = fit_temperature(logits, truth)
    unfitted = Decisions(temperature, (0.5,) * truth.shape[1])
    return Decisions(temperature, fit_thresholds(unfitted.probabilities(logits), truth), abstain_below)


@dataclass(frozen=True)
class CrossFitted:
    """Dev as judged by decisions that were fitted without the text judged: epoch, temperature and thresholds.

    Attributes:
        probabilities: float32 [n, labels].
        decided: bool [n, labels].
        epochs: The epoch that each fold chose.
    """

    probabilities: Array
    decided: Array
    epochs: tuple[int, ...]


def cross_fitted(dev_logits: Array, truth: Array, folds: int = FOLDS, seed: int = 0) -> CrossFitted:
    """Each fold of dev is judged with the epoch, temperature and thresholds that are best for the other folds.

    Args:
        dev_logits: [epochs, n, labels].
        truth: bool [n, labels].
        folds: How many, as alike in labels as they can be.
        seed: Of the folds.
    """
    of = folds_of(truth, folds, seed)
    probabilities, decided = np.zeros(truth.shape, np.float32), np.zeros(truth.shape, bool)
    chosen = []
    for fold in range(folds):
        inside, outside = of != fold, of == fold
        scores = [best_macro_f1(logits[inside], truth[inside]) for logits in dev_logits]
        epoch = int(np.argmax(scores))
        decisions = fit_decisions(dev_logits[epoch][inside], truth[inside], 0.0)
        probabilities[outside] = decisions.probabilities(dev_logits[epoch][outside])
        decided[outside] = decisions.decide(probabilities[outside])
        chosen.append(epoch)
    return CrossFitted(probabilities, decided, tuple(chosen))


def folds_of(truth: Array, folds: int, seed: int) -> Array:
    """The fold of every text, int [n]: texts with the same rarest label are dealt out in turn, in random order."""
    rarity = truth.sum(axis=0)
    rarest = np.where(truth, rarity, len(truth) + 1).argmin(axis=1)
    order = np.lexsort((np.random.default_rng(seed).random(len(truth)), rarest))
    dealt = np.empty(len(truth), int)
    dealt[order] = np.arange(len(truth)) % folds
    return dealt
