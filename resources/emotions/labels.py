"""The labels of GoEmotions (Demszky et al. 2020) and the coarser ones that its authors map them to. No model is here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

GOEMOTIONS: tuple[str, ...] = (
    "admiration",
    "amusement",
    "anger",
    "annoyance",
    "approval",
    "caring",
    "confusion",
    "curiosity",
    "desire",
    "disappointment",
    "disapproval",
    "disgust",
    "embarrassment",
    "excitement",
    "fear",
    "gratitude",
    "grief",
    "joy",
    "love",
    "nervousness",
    "optimism",
    "pride",
    "realization",
    "relief",
    "remorse",
    "sadness",
    "surprise",
    "neutral",
)
"""In the order of the data set, which is that of its label numbers."""

_POSITIVE = (
    *("admiration", "amusement", "approval", "caring", "desire", "excitement"),
    *("gratitude", "joy", "love", "optimism", "pride", "relief"),
)
EKMAN: Mapping[str, tuple[str, ...]] = {
    "anger": ("anger", "annoyance", "disapproval"),
    "disgust": ("disgust",),
    "fear": ("fear", "nervousness"),
    "joy": _POSITIVE,
    "sadness": ("sadness", "disappointment", "embarrassment", "grief", "remorse"),
    "surprise": ("surprise", "realization", "confusion", "curiosity"),
}
"""Ekman's six, by the mapping that the data set comes with."""
SENTIMENT: Mapping[str, tuple[str, ...]] = {
    "positive": _POSITIVE,
    "negative": (
        *("anger", "annoyance", "disappointment", "disapproval", "disgust", "embarrassment"),
        *("fear", "grief", "nervousness", "remorse", "sadness"),
    ),
    "ambiguous": ("confusion", "curiosity", "realization", "surprise"),
}
"""By the mapping that the data set comes with; `neutral` belongs to none."""


def grouped(
    probabilities: "np.ndarray[Any, Any]", labels: Sequence[str], mapping: Mapping[str, Sequence[str]]
) -> "np.ndarray[Any, np.dtype[np.float32]]":
    """Probabilities of groups of labels: of each the largest among its labels, a lower bound of the chance of any of them.

    Args:
        probabilities: [n, labels].
        labels: Names of the columns.
        mapping: Labels of each group; one that the columns lack is left out.

    Returns:
        float32 [n, groups], in the order of the mapping; 0 for a group none of whose labels is there.
    """
    found = np.zeros((len(probabilities), len(mapping)), np.float32)
    for column, members in enumerate(mapping.values()):
        own = [index for index, label in enumerate(labels) if label in members]
        if own:
            found[:, column] = probabilities[:, own].max(axis=1, initial=0.0)
    return found
