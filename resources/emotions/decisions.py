"""How logits become probabilities, labels and abstentions: the one place that training, batches, the API and an export read.

What is here is applied, not fitted; temperature and thresholds are fitted on dev texts and are stored in a model's manifest.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


class DecisionsError(ValueError):
    """Temperature, thresholds or logits do not fit; says which."""


@dataclass(frozen=True)
class Decisions:
    """Temperature, thresholds and abstention of one model.

    Attributes:
        temperature: Logits are divided by it (Guo et al. 2017); above 0.
        thresholds: Of each label, 0 to 1: a label is given from its threshold on.
        abstain_below: A text whose most probable label has less than this is not judged.

    Raises:
        DecisionsError: A value is out of its range.
    """

    temperature: float
    thresholds: tuple[float, ...]
    abstain_below: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature > 0):
            raise DecisionsError(f"a temperature is a number above 0, not {self.temperature}")
        if wrong := [value for value in (*self.thresholds, self.abstain_below) if not 0 <= value <= 1]:
            raise DecisionsError(f"thresholds and abstain_below are from 0 to 1, not {wrong[0]}")

    def probabilities(self, logits: Array) -> "np.ndarray[Any, np.dtype[np.float32]]":
        """Calibrated probabilities, float32 [n, labels], of logits of that shape.

        Raises:
            DecisionsError: There are not as many columns as thresholds.
        """
        self._require(logits)
        scaled = np.clip(np.asarray(logits, np.float64) / self.temperature, -80, 80)
        return (1 / (1 + np.exp(-scaled))).astype(np.float32)

    def decide(self, probabilities: Array) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which labels are given, bool [n, labels]."""
        self._require(probabilities)
        given: np.ndarray[Any, np.dtype[np.bool_]] = probabilities >= np.asarray(self.thresholds, np.float32)
        return given

    def abstains(self, probabilities: Array) -> "np.ndarray[Any, np.dtype[np.bool_]]":
        """Which texts are not judged, bool [n]."""
        self._require(probabilities)
        held: np.ndarray[Any, np.dtype[np.bool_]] = probabilities.max(axis=1) < np.float32(self.abstain_below)
        return held

    def _require(self, values: Array) -> None:
        if values.ndim != 2 or values.shape[1] != len(self.thresholds):
            raise DecisionsError(f"{len(self.thresholds)} thresholds for values of shape {values.shape}")
