"""Texts in, emotions out: the one path from a text to what a model says of it, for batches, the command line and the API.

No model is loaded here and nothing is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

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
