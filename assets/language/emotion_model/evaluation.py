"""The evaluation of an emotion model on labelled texts: figures, and as which texts and with whose thresholds they were taken.

The figures themselves are in `metrics`. Texts that the model was trained on are no part of any.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from assets.language.emotion_model.decide import cross_fitted
from assets.language.emotion_model.examples import Examples, ExamplesError
from assets.language.emotion_model.metrics import (
    F1,
    LabelScore,
    by_label,
    calibration_curve,
    calibration_error,
    f1_of,
    oracle_f1,
)
from resources.emotions.decisions import Decisions

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Evaluation:
    """How good a model is on some texts.

    Attributes:
        n: Texts that were judged.
        also_in_train: Texts that were left out because the model was trained on them; None where that is not known.
        half: With every threshold at .5.
        fitted: With thresholds that were fitted on dev texts, never on the texts judged.
        oracle_macro: Macro-F1 with thresholds fitted on the very texts judged: a bound, not a result.
        calibration_error: Expected calibration error of the probabilities.
        abstained: Share of the texts that the model abstains from.
        judged: F1 on the others.
        labels: Every label, with the fitted thresholds.
        curve: What was said against what was so, by bins of probability.
        epochs: The epoch that each fold of dev chose, where the figures are of dev by folds; else empty.
    """

    n: int
    also_in_train: int | None
    half: F1
    fitted: F1
    oracle_macro: float
    calibration_error: float
    abstained: float
    judged: F1
    labels: tuple[LabelScore, ...]
    curve: tuple[dict[str, float], ...]
    epochs: tuple[int, ...] = ()

    def told(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def evaluate(
    probabilities: Array,
    decided: Array,
    abstained: Array,
    examples: Examples,
    also_in_train: int | None,
    epochs: tuple[int, ...] = (),
) -> Evaluation:
    """The evaluation of what a model said of labelled texts.

    Args:
        probabilities: Calibrated, [n, labels].
        decided: bool [n, labels], without regard to abstention.
        abstained: bool [n].
        examples: The texts, with their truth.
        also_in_train: Texts that were left out before.
        epochs: Chosen by the folds.

    Raises:
        ExamplesError: There are no texts.
    """
    truth = examples.truth
    if not len(truth):
        raise ExamplesError("no text is left to evaluate on: all are empty, or the model was trained on them")
    return Evaluation(
        n=len(truth),
        also_in_train=also_in_train,
        half=f1_of(probabilities >= 0.5, truth),
        fitted=f1_of(decided, truth),
        oracle_macro=oracle_f1(probabilities, truth),
        calibration_error=calibration_error(probabilities, truth),
        abstained=float(abstained.mean()),
        judged=f1_of(decided[~abstained], truth[~abstained]) if not abstained.all() else F1(0.0, 0.0),
        labels=by_label(probabilities, decided, truth, examples.labels),
        curve=tuple(calibration_curve(probabilities, truth)),
        epochs=epochs,
    )


def evaluate_dev(dev_logits: Array, dev: Examples, also_in_train: int, abstain_below: float) -> Evaluation:
    """The evaluation on dev by folds: epoch, temperature and thresholds of a fold's texts are chosen on the other folds.

    Args:
        dev_logits: [epochs, n, labels].
        dev: Texts that do not occur in training.
        also_in_train: Dev texts that were left out because they do.
        abstain_below: Confidence below which the model abstains.
    """
    found = cross_fitted(dev_logits, dev.truth)
    held = found.probabilities.max(axis=1) < abstain_below
    return evaluate(found.probabilities, found.decided, held, dev, also_in_train, found.epochs)


def evaluate_model(logits: Array, decisions: Decisions, examples: Examples, seen: Array | None) -> Evaluation:
    """The evaluation of a finished model on texts of its own: its decisions are applied, nothing is fitted.

    Args:
        logits: [n, labels].
        decisions: The model's.
        examples: Labelled texts.
        seen: Which of them the model was trained on, bool [n]; None where that was not kept.
    """
    kept = np.ones(len(examples), bool) if seen is None else ~seen
    probabilities = decisions.probabilities(logits[kept])
    return evaluate(
        probabilities,
        decisions.decide(probabilities),
        decisions.abstains(probabilities),
        examples.take(kept),
        None if seen is None else int(seen.sum()),
    )
