"""The labels that need a fitted threshold: `viral_*`. Thresholds come from training rows and nowhere else."""

from typing import Any

import numpy as np
import pandas as pd

from assets.models.task import Task

CHANNEL_LEVELS = ("channel_168h_median", "channel_72h_median")


class ViralLabel:
    """1 where the outcome is at or above a percentile of the training outcomes.

    Relative to the channel, the outcome is first reduced by the channel's earlier median at 7 days, else at 72 h, else by the
    median of the training outcomes.

    Attributes:
        threshold_: The fitted percentile.
        median_: Median of the training outcomes.
    """

    def __init__(self, percentile: float, relative_to_channel: bool = False) -> None:
        self.percentile = percentile
        self.relative_to_channel = relative_to_channel

    @classmethod
    def of(cls, task: Task) -> "ViralLabel":
        """The label of a class task.

        Raises:
            ValueError: The task has no classes.
        """
        if task.percentile is None:
            raise ValueError(f"{task.target} is not a class target")
        return cls(task.percentile, task.relative_to_channel)

    def fit(self, train: pd.DataFrame) -> "ViralLabel":
        """Fit the threshold on the `value` of training rows."""
        self.median_ = float(np.median(train["value"]))
        self.threshold_ = float(np.percentile(self._reduced(train), self.percentile))
        return self

    def label(self, frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
        """0 or 1 per row."""
        return (self._reduced(frame) >= self.threshold_).astype(np.int64)

    def _reduced(self, frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
        value = frame["value"].to_numpy(dtype=np.float64)
        if not self.relative_to_channel:
            return value
        base = np.full(len(frame), np.nan)
        for name in CHANNEL_LEVELS:
            if name in frame.columns:
                base = np.where(np.isnan(base), frame[name].to_numpy(dtype=np.float64, na_value=np.nan), base)
        return np.asarray(value - np.where(np.isnan(base), self.median_, base))
