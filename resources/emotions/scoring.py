"""Texts in, emotions out: the one path from a text to what a model says of it, for batches, the command line and the API.

No model is loaded here and nothing is stored.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from resources.emotions.labels import EKMAN, SENTIMENT, grouped
from resources.emotions.model import EmotionModel
from resources.emotions.texts import prepared

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Scored:
    """What a model says of texts.

    Attributes:
        probabilities: float32 [n, labels]; a row of NaN for an empty text.
        decided: bool [n, labels]; none where the model abstains and for an empty text.
        abstained: bool [n]; an empty text is not abstained from, it is not judged at all.
        empty: bool [n], nothing to read.
    """

    probabilities: Array
    decided: Array
    abstained: Array
    empty: Array


def score(model: EmotionModel, texts: Sequence[str]) -> Scored:
    """Prepares texts, asks the model for those that are not empty, and decides."""
    ready = [prepared(text) for text in texts]
    asked = [index for index, text in enumerate(ready) if text]
    shape = (len(ready), len(model.labels))
    probabilities, decided = np.full(shape, np.nan, np.float32), np.zeros(shape, bool)
    abstained, empty = np.zeros(len(ready), bool), np.ones(len(ready), bool)
    if asked:
        found = model.decisions.probabilities(model.logits([ready[index] for index in asked]))
        held = model.decisions.abstains(found)
        probabilities[asked], abstained[asked], empty[asked] = found, held, False
        decided[asked] = model.decisions.decide(found) & ~held[:, None]
    return Scored(probabilities, decided, abstained, empty)


def told(model: EmotionModel, scored: Scored) -> list[dict[str, Any]]:
    """What a model says of every text, as plain values: state, labels, confidence, and all probabilities, also by group."""
    ekman, sentiment = (grouped(scored.probabilities, model.labels, mapping) for mapping in (EKMAN, SENTIMENT))
    rows: list[dict[str, Any]] = []
    for index, probabilities in enumerate(scored.probabilities):
        if scored.empty[index]:
            rows.append({"state": "empty", "emotions": [], "confidence": None})
            continue
        given = [label for label, yes in zip(model.labels, scored.decided[index], strict=True) if yes]
        rows.append(
            {
                "state": "abstained" if scored.abstained[index] else "judged",
                "emotions": sorted(given, key=lambda label: -probabilities[model.labels.index(label)]),
                "confidence": float(probabilities.max()),
                "ekman": _named(EKMAN, ekman[index]),
                "sentiment": _named(SENTIMENT, sentiment[index]),
                "probabilities": _named(model.labels, probabilities),
            }
        )
    return rows


def _named(names: Iterable[str], values: Array) -> dict[str, float]:
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}
