"""The naive forecasters that every learned one has to beat. Nothing here reads more than a level, an age or a channel."""

# scikit-learn ships no types, so its base classes are unknown to mypy.
# mypy: disallow-subclassing-any=False

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from assets.models.columns import channels_of, last_level
from assets.models.task import Kind, Task

Vector = np.ndarray[Any, np.dtype[np.float64]]


class Naive:
    """What the naive ones share: they exist for every regression, and are not learned."""

    learned: ClassVar[bool] = False
    kind: ClassVar[Kind] = "regression"
    name: ClassVar[str]

    @classmethod
    def exists_for(cls, task: Task) -> bool:
        """Whether this forecaster can be asked at all for a (target, cutoff)."""
        return task.kind == cls.kind


class NeedsLevel(Naive):
    """Naive ones that start from the last known level: only where the outcome is on its scale and the cutoff allows one."""

    @classmethod
    def exists_for(cls, task: Task) -> bool:
        """Whether there is a level to start from."""
        return task.kind == cls.kind and task.has_level


class GlobalMean(Naive, RegressorMixin, BaseEstimator):
    """The mean of the training outcomes."""

    name = "global_mean"

    def fit(self, X: pd.DataFrame, y: Vector) -> "GlobalMean":
        """Learn the mean."""
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: pd.DataFrame) -> Vector:
        """The mean, for every row."""
        check_is_fitted(self)
        return np.full(len(X), self.mean_)


class ChannelMedian(Naive, RegressorMixin, BaseEstimator):
    """The median of the channel's training outcomes; of all of them for a channel never seen."""

    name = "channel_median"

    def fit(self, X: pd.DataFrame, y: Vector) -> "ChannelMedian":
        """Learn the medians."""
        self.median_ = float(np.median(y))
        self.medians_ = {
            str(name): float(value) for name, value in pd.Series(y).groupby(channels_of(X)).median().items()
        }
        return self

    def predict(self, X: pd.DataFrame) -> Vector:
        """The channel's median, for every row."""
        check_is_fitted(self)
        return np.array([self.medians_.get(channel, self.median_) for channel in channels_of(X)], dtype=np.float64)


class Persistence(NeedsLevel, RegressorMixin, BaseEstimator):
    """The last known level; the mean of the training outcomes where there is none."""

    name = "persistence"

    def fit(self, X: pd.DataFrame, y: Vector) -> "Persistence":
        """Learn the mean."""
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: pd.DataFrame) -> Vector:
        """The level of every row."""
        check_is_fitted(self)
        level = last_level(X)
        return np.where(np.isnan(level), self.mean_, level)


class ConstantGrowth(NeedsLevel, RegressorMixin, BaseEstimator):
    """The last known level plus the median growth of the training rows; their mean outcome where there is no level."""

    name = "constant_growth"

    def fit(self, X: pd.DataFrame, y: Vector) -> "ConstantGrowth":
        """Learn the median growth."""
        growth = y - last_level(X)
        growth = growth[~np.isnan(growth)]
        self.growth_ = float(np.median(growth)) if growth.size else 0.0
        self.mean_ = float(np.mean(y))
        return self

    def predict(self, X: pd.DataFrame) -> Vector:
        """Level and growth of every row."""
        check_is_fitted(self)
        level = last_level(X)
        return np.where(np.isnan(level), self.mean_, level + self.growth_)


class GrowthCurve(NeedsLevel, RegressorMixin, BaseEstimator):
    """Log-linear in early views: ln y = a + b ln views + c ln age, by least squares on the training rows that have both.

    After Szabo and Huberman (2010), "Predicting the popularity of online content". The mean outcome where there is no level.
    """

    name = "growth_curve"

    def fit(self, X: pd.DataFrame, y: Vector) -> "GrowthCurve":
        """Learn a, b and c."""
        self.mean_ = float(np.mean(y))
        terms = self._terms(X)
        usable = ~np.isnan(terms).any(axis=1)
        self.coef_ = np.linalg.lstsq(terms[usable], y[usable], rcond=None)[0] if usable.sum() >= 10 else None
        return self

    def predict(self, X: pd.DataFrame) -> Vector:
        """The curve at the horizon, for every row."""
        check_is_fitted(self)
        terms = self._terms(X)
        curve = np.full(len(X), np.nan) if self.coef_ is None else (terms * self.coef_).sum(axis=1)
        return np.where(np.isnan(curve), self.mean_, curve)

    def _terms(self, X: pd.DataFrame) -> Vector:
        level = last_level(X)
        age = (
            X["last_age_h"].to_numpy(dtype=np.float64, na_value=np.nan)
            if "last_age_h" in X.columns
            else np.zeros(len(X))
        )
        return np.column_stack([np.ones(len(X)), level, np.log1p(np.maximum(age, 0))])


class BaseRate(Naive, ClassifierMixin, BaseEstimator):
    """The share of positives among the training rows, for every row."""

    name = "base_rate"
    kind = "class"

    def fit(self, X: pd.DataFrame, y: Vector) -> "BaseRate":
        """Learn the share."""
        self.classes_ = np.array([0, 1])
        self.rate_ = float(np.mean(y))
        return self

    def predict_proba(self, X: pd.DataFrame) -> Vector:
        """Probabilities of shape (rows, 2)."""
        check_is_fitted(self)
        return np.tile([1 - self.rate_, self.rate_], (len(X), 1))

    def predict(self, X: pd.DataFrame) -> np.ndarray[Any, Any]:
        """The more likely class."""
        return np.asarray(self.classes_[(self.predict_proba(X)[:, 1] >= 0.5).astype(int)])
