"""How good an emotion model is on labelled texts: F1 at three kinds of thresholds, by label, with intervals; calibration.

numpy only, and nothing is fitted here but the oracle's thresholds, which are labelled as such wherever they are shown.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from assets.evaluations.bootstrap import DRAWS, Bounds, bounds
from assets.language.emotion_model.decide import f1, f1_by_threshold

Array = np.ndarray[Any, Any]
BINS = 15
_CHUNK = 100


@dataclass(frozen=True)
class F1:
    """F1 over labelled texts.

    Attributes:
        macro: Mean over the labels that there are among the texts.
        micro: Of all labels together.
        macro_bounds: 95 % interval of macro, over texts drawn again; None where they are too few.
        micro_bounds: The same of micro.
    """

    macro: float
    micro: float
    macro_bounds: Bounds | None = None
    micro_bounds: Bounds | None = None


@dataclass(frozen=True)
class LabelScore:
    """One label.

    Attributes:
        label: Its name.
        support: Texts that have it.
        predicted: Texts that are given it.
        precision: Share of the given that are right; 0 where none is given.
        recall: Share of the texts that have it and are given it; 0 where none has it.
        f1: Of both.
        bounds: 95 % interval of F1.
        oracle_f1: With the threshold that is best for these very texts: what no fitted threshold can reach.
    """

    label: str
    support: int
    predicted: int
    precision: float
    recall: float
    f1: float
    bounds: Bounds | None
    oracle_f1: float


@dataclass(frozen=True)
class Counts:
    """Right, given and true labels of drawn texts, each [draws, labels]; row 0 is all texts once."""

    hits: Array
    said: Array
    true: Array

    @classmethod
    def of(cls, decided: Array, truth: Array, draws: int = DRAWS, seed: int = 0) -> "Counts":
        """Counts over texts drawn with replacement, the same texts for the same seed and number of texts.

        Args:
            decided: bool [n, labels].
            truth: bool [n, labels].
            draws: How often.
            seed: Seed.
        """
        each = np.hstack([decided & truth, decided, truth]).astype(np.float32)
        rng = np.random.default_rng(seed)
        sums = [each.sum(axis=0, keepdims=True)]
        for start in range(0, draws, _CHUNK):
            drawn = rng.multinomial(len(each), np.full(len(each), 1 / len(each)), size=min(_CHUNK, draws - start))
            sums.append(drawn.astype(np.float32) @ each)
        hits, said, true = np.split(np.concatenate(sums).astype(np.float64), 3, axis=1)
        return cls(hits, said, true)

    @property
    def by_label(self) -> Array:
        """F1, [1 + draws, labels]."""
        return f1(self.hits, self.said, self.true)

    @property
    def macro(self) -> Array:
        """Mean F1 over the labels that the drawn texts have, [1 + draws]."""
        there = self.true > 0
        return np.asarray(np.where(there, self.by_label, 0.0).sum(axis=1) / np.maximum(there.sum(axis=1), 1))

    @property
    def micro(self) -> Array:
        """F1 of all labels together, [1 + draws]."""
        return f1(self.hits.sum(axis=1), self.said.sum(axis=1), self.true.sum(axis=1))


def f1_of(decided: Array, truth: Array) -> F1:
    """Macro- and micro-F1 of decisions, with intervals.

    Args:
        decided: bool [n, labels].
        truth: bool [n, labels].
    """
    counts = Counts.of(decided, truth)
    macro, micro = counts.macro, counts.micro
    return F1(float(macro[0]), float(micro[0]), bounds(macro[1:]), bounds(micro[1:]))


def by_label(probabilities: Array, decided: Array, truth: Array, labels: tuple[str, ...]) -> tuple[LabelScore, ...]:
    """Every label by itself, in their order."""
    counts = Counts.of(decided, truth)
    scores, oracle = counts.by_label, f1_by_threshold(probabilities, truth).max(axis=0)
    found = []
    for column, label in enumerate(labels):
        hits, said, true = (int(part[0, column]) for part in (counts.hits, counts.said, counts.true))
        found.append(
            LabelScore(
                label=label,
                support=true,
                predicted=said,
                precision=hits / said if said else 0.0,
                recall=hits / true if true else 0.0,
                f1=float(scores[0, column]),
                bounds=bounds(scores[1:, column]) if true else None,
                oracle_f1=float(oracle[column]),
            )
        )
    return tuple(found)


def oracle_f1(probabilities: Array, truth: Array) -> float:
    """Macro-F1 with the thresholds that are best for these very texts, over the labels that they have."""
    best = f1_by_threshold(probabilities, truth).max(axis=0)
    there = truth.any(axis=0)
    return float(best[there].mean()) if there.any() else 0.0


def calibration_error(probabilities: Array, truth: Array, bins: int = BINS) -> float:
    """Expected calibration error (Naeini et al. 2015) over all pairs of text and label: of equal bins of probability,
    the mean distance between what was said and how often it was so, weighted by the pairs in the bin.
    """
    said, was = probabilities.ravel().astype(np.float64), truth.ravel().astype(np.float64)
    at = np.minimum((said * bins).astype(int), bins - 1)
    gap = np.bincount(at, weights=said - was, minlength=bins)
    return float(np.abs(gap).sum() / max(len(said), 1))


def calibration_curve(probabilities: Array, truth: Array, bins: int = BINS) -> list[dict[str, float]]:
    """Of every bin that has any pair: what was said on average, how often it was so, and the number of pairs."""
    said, was = probabilities.ravel().astype(np.float64), truth.ravel().astype(np.float64)
    at = np.minimum((said * bins).astype(int), bins - 1)
    return [
        {
            "said": float(said[at == index].mean()),
            "was": float(was[at == index].mean()),
            "pairs": int((at == index).sum()),
        }
        for index in range(bins)
        if (at == index).any()
    ]


def macro_difference(decided: Array, other: Array, truth: Array, seed: int = 0) -> tuple[float, Bounds | None]:
    """Macro-F1 of some decisions less that of others on the same texts, with its interval over the same draws."""
    gap = Counts.of(decided, truth, seed=seed).macro - Counts.of(other, truth, seed=seed).macro
    return float(gap[0]), bounds(gap[1:])
