"""Forecasts with what is needed to trust them: conformal intervals for numbers, calibrated probabilities for classes.

Both learn from the latest matured block before the origin: the forecaster is fitted on what had matured before that block began,
its errors on the block are out of sample and later than its training rows, and calibrate the interval. Then it is fitted again
on all training rows: the interval is that of the earlier, slightly worse fit, so it errs towards caution. No backtest here.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import has_fit_parameter

from assets.models.columns import SCALARS, Rows, Schema
from assets.models.fit_run import part_of_fit
from assets.models.preparation import varies
from assets.models.trees import PackedTrees

Vector = np.ndarray[Any, np.dtype[np.float64]]
Positions = np.ndarray[Any, np.dtype[np.intp]]
LEVELS = (50, 80, 90)
BLOCK_SHARE = 0.3
MIN_BLOCK = 60
MIN_EARLIER = 100
ISOTONIC_FROM = 1000
TRUSTED_FROM = 300  # residuals from which a difficulty model is trusted by half or more


def calibration_split(train: pd.DataFrame) -> tuple[Positions, Positions]:
    """Positions of the earlier rows and of the latest matured block.

    The block is the 30 % that matured last (at least `MIN_BLOCK` rows). Earlier rows had matured when the block's first
    forecast was made; where that leaves fewer than `MIN_EARLIER`, they are all rows outside the block.

    Raises:
        ValueError: There are too few rows for both.
    """
    size = max(MIN_BLOCK, int(len(train) * BLOCK_SHARE))
    if len(train) < size + MIN_EARLIER:
        raise ValueError(
            f"{len(train)} training rows are too few to calibrate on; {MIN_BLOCK + MIN_EARLIER} are needed"
        )
    order = np.lexsort((train["video_id"].to_numpy(), train["as_of"].to_numpy(), train["matured_at"].to_numpy()))
    block, rest = order[-size:], order[:-size]
    matured = train["matured_at"].to_numpy()[rest] <= train["as_of"].to_numpy()[block].min()
    return np.asarray(rest[matured] if matured.sum() >= MIN_EARLIER else rest), np.asarray(block)


def signed_quantiles(residuals: Vector, level: int) -> tuple[float, float]:
    """Lower and upper residual that enclose `level` per cent, with the finite-sample correction of split conformal prediction.

    With n residuals and miss rate a, the ceil((n + 1)(1 - a / 2))-th smallest and its mirror image (Romano et al. 2019, "Conformalized
    quantile regression", asymmetric); the extreme residual where n is too small for the rank.
    """
    ordered = np.sort(residuals)
    rank = int(np.ceil((len(ordered) + 1) * (1 - (1 - level / 100) / 2)))
    rank = min(rank, len(ordered))
    return float(ordered[len(ordered) - rank]), float(ordered[rank - 1])


class Difficulty:
    """How far off a forecast is likely to be: the expected absolute residual, boosted with a gamma loss, to the power of `trust`.

    With few residuals the model is mostly noise, and a power below 1 draws it towards one width everywhere. Sees the numeric features, the forecast and the growth that it implies; nothing that changes its meaning when the forecaster
    is fitted again.
    """

    def __init__(self, seed: int, trust: float) -> None:
        self.seed, self.trust = seed, trust

    def fit(self, rows: Rows, point: Vector, residuals: Vector) -> "Difficulty":
        """Fit on out-of-sample residuals."""
        size = np.abs(residuals)
        self.floor_ = max(float(np.quantile(size, 0.05)), 1e-6)
        everything = self._everything(rows, point)
        self.columns_ = np.flatnonzero([varies(column) for column in everything.T])
        booster = HistGradientBoostingRegressor(
            loss="gamma",
            learning_rate=0.08,
            max_iter=60,
            max_leaf_nodes=6,
            min_samples_leaf=max(20, len(size) // 40),
            l2_regularization=5.0,
            max_features=0.4,
            max_bins=63,
            early_stopping=False,
            random_state=self.seed,
        )
        self.booster_ = booster.fit(everything[:, self.columns_], np.maximum(size, self.floor_))
        self.trees_ = PackedTrees(booster)
        return self

    def predict(self, rows: Rows, point: Vector) -> Vector:
        """The scale of every row, above 0."""
        prepared = np.ascontiguousarray(self._everything(rows, point)[:, self.columns_])
        if len(prepared) == 1:
            raw = np.array([self.trees_.raw(prepared[0])])
        else:
            raw = np.asarray(self.booster_._raw_predict(prepared)).ravel()
        return np.asarray(np.exp(self.trust * raw))

    def _everything(self, rows: Rows, point: Vector) -> Vector:
        return np.column_stack([rows.numeric, point, point - rows.level])


@dataclass(frozen=True)
class Interval:
    """The fitted width of the intervals of one forecaster.

    Attributes:
        quantiles: Lower and upper residual per level, in units of the difficulty.
        difficulty: Model of the local scale; None for one width everywhere.
    """

    quantiles: dict[int, tuple[float, float]]
    difficulty: Difficulty | None

    def bounds(self, rows: Rows | None, point: Vector) -> dict[int, tuple[Vector, Vector]]:
        """Lower and upper bound of every row, per level."""
        scale = np.ones(len(point)) if self.difficulty is None or rows is None else self.difficulty.predict(rows, point)
        return {level: (point + scale * low, point + scale * high) for level, (low, high) in self.quantiles.items()}


def fit_interval(rows: Rows | None, point: Vector, value: Vector, seed: int) -> Interval:
    """Intervals from out-of-sample forecasts.

    Without rows the width is constant. With rows it is scaled by a difficulty model; the residuals that give the quantiles are scaled by
    a model that was fitted on the other half of them (alternating in time).
    """
    residuals = value - point
    if rows is None:
        return Interval({level: signed_quantiles(residuals, level) for level in LEVELS}, None)
    trust = len(residuals) / (len(residuals) + TRUSTED_FROM)
    half = np.arange(len(residuals)) % 2
    scaled = np.empty(len(residuals))
    for own in (0, 1):
        other, mine = half != own, half == own
        difficulty = Difficulty(seed, trust).fit(rows.take(other), point[other], residuals[other])
        scaled[mine] = residuals[mine] / difficulty.predict(rows.take(mine), point[mine])
    difficulty = Difficulty(seed, trust).fit(rows, point, residuals)
    return Interval({level: signed_quantiles(scaled, level) for level in LEVELS}, difficulty)


@dataclass(frozen=True)
class IntervalForecaster:
    """A forecaster of a number fitted on all training rows, with intervals calibrated on their latest block.

    Attributes:
        forecaster: The fitted forecaster.
        interval: The fitted widths.
        schema: Feature columns.
        validation_error: Mean absolute error of the earlier fit on the block.
    """

    forecaster: Any
    interval: Interval
    schema: Schema
    validation_error: float

    @classmethod
    def fit(cls, forecaster: Any, train: pd.DataFrame, seed: int = 0) -> "IntervalForecaster":
        """Calibrate on the latest block, then fit on every row of `train`.

        Raises:
            ValueError: Too few rows to calibrate on.
        """
        earlier, block = calibration_split(train)
        schema, features = _schema(forecaster, train), without_labels(train)
        value = train["value"].to_numpy(dtype=np.float64)
        with part_of_fit("calibration"):
            first = clone(forecaster).fit(features.iloc[earlier], value[earlier])
        held = features.iloc[block]
        point = first.predict(held)
        rows = Rows.of(held, schema) if forecaster.learned else None
        interval = fit_interval(rows, point, value[block], seed)
        error = float(np.abs(value[block] - point).mean())
        return cls(clone(forecaster).fit(features, value), interval, schema, error)

    def predict(self, frame: pd.DataFrame) -> dict[str, Vector]:
        """Columns `point`, `lower_50`, `upper_50`, ... for every row."""
        if hasattr(self.forecaster, "predict_rows"):
            return self.predict_rows(Rows.of(frame, self.schema))
        return self._with_bounds(None, self.forecaster.predict(frame))

    def predict_rows(self, rows: Rows) -> dict[str, Vector]:
        """The same for rows that are arrays already (learned forecasters only)."""
        return self._with_bounds(rows, self.forecaster.predict_rows(rows))

    def _with_bounds(self, rows: Rows | None, point: Vector) -> dict[str, Vector]:
        columns = {"point": point}
        for level, (lower, upper) in self.interval.bounds(rows, point).items():
            columns[f"lower_{level}"], columns[f"upper_{level}"] = lower, upper
        return columns


class Calibration:
    """Log odds to probability: isotonic with `ISOTONIC_FROM` rows or more, else Platt's logistic curve."""

    def fit(self, log_odds: Vector, label: np.ndarray[Any, Any]) -> "Calibration":
        """Fit on out-of-sample log odds; with one class only, its smoothed share."""
        self.rate_ = float((label.sum() + 1) / (len(label) + 2))
        self.points_: tuple[Vector, Vector] | None = None
        self.line_: tuple[float, float] | None = None
        if label.min() == label.max():
            return self
        if len(label) >= ISOTONIC_FROM:
            isotonic = IsotonicRegression(y_min=1e-3, y_max=1 - 1e-3, out_of_bounds="clip").fit(log_odds, label)
            self.points_ = (np.asarray(isotonic.X_thresholds_), np.asarray(isotonic.y_thresholds_))
            return self
        platt = LogisticRegression(C=1e3).fit(log_odds.reshape(-1, 1), label)
        self.line_ = (float(platt.coef_[0, 0]), float(platt.intercept_[0]))
        return self

    def probability(self, log_odds: Vector) -> Vector:
        """The calibrated probability of every row."""
        if self.points_ is not None:
            return np.interp(log_odds, *self.points_)
        if self.line_ is not None:
            return np.asarray(1 / (1 + np.exp(-(self.line_[0] * log_odds + self.line_[1]))))
        return np.full(len(log_odds), self.rate_)


def held_out_log_loss(log_odds: Vector, label: np.ndarray[Any, Any]) -> float:
    """Mean log loss of out-of-sample log odds, each half calibrated on the other (alternating in time)."""
    half, probability = np.arange(len(label)) % 2, np.empty(len(label))
    for own in (0, 1):
        mine = half == own
        probability[mine] = Calibration().fit(log_odds[~mine], label[~mine]).probability(log_odds[mine])
    bounded = np.clip(probability, 1e-6, 1 - 1e-6)
    return float(-np.where(label == 1, np.log(bounded), np.log1p(-bounded)).mean())


@dataclass(frozen=True)
class ProbabilityForecaster:
    """A forecaster of a class fitted on all training rows, calibrated on their latest block.

    Attributes:
        forecaster: The fitted forecaster.
        calibration: None for a forecaster that is no score but a share.
        schema: Feature columns.
        validation_error: Log loss of the earlier fit on the block; None without calibration.
    """

    forecaster: Any
    calibration: Calibration | None
    schema: Schema
    validation_error: float | None

    @classmethod
    def fit(
        cls, forecaster: Any, train: pd.DataFrame, label: np.ndarray[Any, Any], seed: int = 0
    ) -> "ProbabilityForecaster":
        """Calibrate on the latest block, then fit on every row of `train`.

        One whose `fit` takes what was `measured` learns it beside the class.

        Raises:
            ValueError: Too few rows to calibrate on.
        """
        features, calibration, error = without_labels(train), None, None
        beside = {"measured": train["value"]} if has_fit_parameter(forecaster, "measured") else {}
        if forecaster.learned:
            earlier, block = calibration_split(train)
            with part_of_fit("calibration"):
                first = clone(forecaster).fit(
                    features.iloc[earlier],
                    label[earlier],
                    **{name: column.iloc[earlier] for name, column in beside.items()},
                )
            log_odds = first.decision_function(features.iloc[block])
            calibration, error = Calibration().fit(log_odds, label[block]), held_out_log_loss(log_odds, label[block])
        final = clone(forecaster).fit(features, label, **beside)
        return cls(final, calibration, _schema(forecaster, train), error)

    def predict(self, frame: pd.DataFrame) -> dict[str, Vector]:
        """Column `probability` for every row."""
        if self.calibration is None:
            return {"probability": self.forecaster.predict_proba(frame)[:, 1]}
        return self.predict_rows(Rows.of(frame, self.schema))

    def predict_rows(self, rows: Rows) -> dict[str, Vector]:
        """The same for rows that are arrays already (learned forecasters only)."""
        if self.calibration is None:
            raise ValueError(f"{self.forecaster.name} reads frames only")
        return {"probability": self.calibration.probability(self.forecaster.decision_rows(rows))}


def _schema(forecaster: Any, train: pd.DataFrame) -> Schema:
    """What of a frame a forecaster reads; a naive one reads none of it as features."""
    return Schema.of(train, forecaster.sees if forecaster.learned else SCALARS)


def without_labels(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame without what is known of the outcome, so that no forecaster can read it by accident."""
    return frame.drop(columns=[name for name in ("status", "value", "label", "matured_at") if name in frame.columns])
