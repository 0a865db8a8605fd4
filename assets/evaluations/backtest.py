"""Forecasts as they would have been made at an origin: who is in the fit, who is in the test, what was forecast.

Pure logic on one frame of one source; figures are made of the stored forecasts in `scoring`, nothing is written here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from assets.models.columns import channels_of, last_level
from assets.models.forecasters import default_for, fixed_parameters, lacks, make, naive_for, names_for, unavailable
from assets.models.intervals import LEVELS, IntervalForecaster, ProbabilityForecaster
from assets.models.labels import ViralLabel
from assets.models.task import Task
from resources.settings import Settings, midnight

Split = Literal["time", "random"]
Fitted = IntervalForecaster | ProbabilityForecaster
MIN_TRAIN = 200
TEST_DAYS = 7
DURATION_EDGES = (15, 60, 180)
SIZE_COLUMNS = ("channel_subscribers_log", "channel_72h_median", "channel_first_median")
KEY = ("source", "target", "cutoff", "forecaster", "split", "origin", "video_id")
FROM_FRAME = ("video_id", "channel_id", "anchor_at", "as_of", "matured_at")
BOUNDS = tuple(f"{side}_{level}" for level in LEVELS for side in ("lower", "upper"))
PREDICTION_COLUMNS = (
    *KEY[:-1], *FROM_FRAME, "value", "label", "last_level", "point", "probability", "threshold", *BOUNDS,
    "n_train", "new_channel", "channel_size", "duration", "view_regime",
)  # fmt: skip
SPLIT_COLUMNS = ("source", "target", "cutoff", "split", "origin", "video_id", "role")


class LeakError(RuntimeError):
    """A test row is among the training rows; names some."""


@dataclass(frozen=True)
class OriginResult:
    """What one origin gave.

    Attributes:
        task: The (target, cutoff) pair.
        origin: First day of the test week.
        predictions: Rows of `evaluations.predictions`.
        splits: Rows of `evaluations.splits`.
        fitted: The fitted forecasters by name.
        reason: Why there are no forecasts at all, or None.
        unavailable: Forecasters that could not run here, with the reason.
    """

    task: Task
    origin: date
    predictions: pd.DataFrame
    splits: pd.DataFrame
    fitted: dict[str, Fitted] = field(default_factory=dict)
    reason: str | None = None
    unavailable: dict[str, str] = field(default_factory=dict)


def weekly_origins(first: date, until: datetime, horizon: timedelta, latest: int | None = None) -> list[date]:
    """Mondays from `first` whose test week can have matured by `until`; the latest few of them, if asked.

    Raises:
        ValueError: `first` is not a Monday.
    """
    if first.weekday() != 0:
        raise ValueError(f"origins are Mondays; {first} is none")
    weeks = (until - midnight(first) - horizon - timedelta(days=TEST_DAYS)) // timedelta(days=7) + 1
    origins = [first + timedelta(days=7 * week) for week in range(max(weeks, 0))]
    return origins if latest is None else origins[-latest:]


def split(frame: pd.DataFrame, origin: date, horizon_days: int = TEST_DAYS) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and test rows at an origin.

    Training: forecast moment and maturity at or before the origin. Test: anchored in the week that starts at the origin, and
    matured by now.
    """
    start = pd.Timestamp(midnight(origin))
    matured = frame[(frame["status"] == "matured") & frame["value"].notna()]
    train = matured[(matured["as_of"] <= start) & (matured["matured_at"] <= start)]
    test = matured[(matured["anchor_at"] >= start) & (matured["anchor_at"] < start + pd.Timedelta(days=horizon_days))]
    return train, test


def run_origin(
    frame: pd.DataFrame,
    settings: Settings,
    target: str,
    cutoff: str,
    origin: date,
    forecasters: Sequence[str] | None = None,
    seed: int = 0,
) -> OriginResult:
    """Fit on what had matured by the origin; forecast the videos of the week after it.

    Args:
        frame: One source's rows for the target and cutoff.
        settings: What the targets are.
        target: Name of the target.
        cutoff: Moment of the forecast.
        origin: First day of the test week.
        forecasters: Names; by default all that exist for the task, of those asked for by name the ones in `evaluation.also`.
        seed: Seed of everything random.

    Raises:
        LeakError: A test row is among the training rows.
        ValueError: The target or a forecaster is unknown, or the pair is refused.
    """
    task = Task.of(settings, target, cutoff)
    train, test = split(frame, origin)
    names = list(forecasters) if forecasters is not None else names_for(task, settings.evaluation.also)
    parameters = {name: fixed_parameters(settings, name) for name in names}
    return fit_and_forecast(task, train, test, origin, "time", names, seed, parameters)


def run_random(
    frame: pd.DataFrame,
    settings: Settings,
    target: str,
    cutoff: str,
    origins: Sequence[date],
    forecasters: Sequence[str] | None = None,
    seed: int = 0,
) -> OriginResult:
    """The same at random: as many test rows as all origins have, as many training rows as they have on average.

    Rows are drawn from those of all origins. Runs the default and the naive forecasters unless told otherwise; the optimism gap
    is its MAE against that of the time split. Stored under the latest origin.
    """
    task, latest = Task.of(settings, target, cutoff), max(origins)
    parts = [split(frame, origin) for origin in origins]
    pool = frame.loc[sorted(set().union(*(part.index for pair in parts for part in pair)))]
    order = np.random.default_rng(seed).permutation(len(pool))
    n_test = min(sum(len(test) for _, test in parts), len(pool) // 2)
    n_train = round(float(np.mean([len(train) for train, _ in parts])))
    names = forecasters if forecasters is not None else [*naive_for(task), default_for(task)]
    train = pool.iloc[np.sort(order[n_test : n_test + n_train])]
    return fit_and_forecast(task, train, pool.iloc[np.sort(order[:n_test])], latest, "random", names, seed)


def fit_and_forecast(
    task: Task,
    train: pd.DataFrame,
    test: pd.DataFrame,
    origin: date,
    kind: Split,
    forecasters: Sequence[str] | None,
    seed: int,
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
) -> OriginResult:
    """Fit every forecaster on `train` and forecast `test`; a reason instead, where there is too little of either.

    Parameters are by forecaster; those that are not given are its own.
    """
    refuse_overlap(train, test)
    names = list(forecasters) if forecasters is not None else names_for(task)
    missing = {name: reason for name in names if (reason := unavailable(name) or lacks(name, train))}
    if reason := _too_little(train, test):
        return OriginResult(
            task, origin, _empty(PREDICTION_COLUMNS), _empty(SPLIT_COLUMNS), reason=reason, unavailable=missing
        )
    frames, fitted = [], {}
    facts = _facts(task, train, test, origin, kind)
    with threadpool_limits(1):  # more threads than free cores make small fits many times slower
        for name in (name for name in names if name not in missing):
            fitted[name] = fit(name, task, train, seed, (parameters or {}).get(name))
            frames.append(facts.assign(forecaster=name, **fitted[name].predict(test)))
    predictions = pd.concat(frames, ignore_index=True) if frames else facts.iloc[:0]
    return OriginResult(
        task,
        origin,
        predictions.reindex(columns=list(PREDICTION_COLUMNS)),
        _splits(facts, train),
        fitted,
        None,
        missing,
    )


def fit(
    name: str, task: Task, train: pd.DataFrame, seed: int = 0, parameters: Mapping[str, Any] | None = None
) -> Fitted:
    """A forecaster fitted on training rows, with its intervals or calibration; parameters that are not given are its own."""
    forecaster = make(name, seed).set_params(**(parameters or {}))
    if task.kind == "regression":
        return IntervalForecaster.fit(forecaster, train, seed)
    return ProbabilityForecaster.fit(forecaster, train, ViralLabel.of(task).fit(train).label(train), seed)


def refuse_overlap(train: pd.DataFrame, test: pd.DataFrame) -> None:
    """Stop where a test row is among the training rows.

    Raises:
        LeakError: Names up to three of them.
    """
    shared = sorted(set(train["video_id"]) & set(test["video_id"]))
    if shared:
        raise LeakError(f"{len(shared)} test rows are in the fit, e.g. {', '.join(shared[:3])}")


def _too_little(train: pd.DataFrame, test: pd.DataFrame) -> str | None:
    if len(train) < MIN_TRAIN:
        return f"{len(train)} matured training rows; {MIN_TRAIN} are needed"
    return None if len(test) else "no matured video in the test week"


def _facts(task: Task, train: pd.DataFrame, test: pd.DataFrame, origin: date, kind: Split) -> pd.DataFrame:
    """What is stored of each test row whatever the forecaster says."""
    facts = test.loc[:, ["source", *FROM_FRAME, "value"]].reset_index(drop=True)
    facts["target"], facts["cutoff"], facts["split"], facts["origin"] = task.target, task.cutoff, kind, origin
    facts["last_level"] = last_level(test)
    if task.kind == "class":
        label = ViralLabel.of(task).fit(train)
        facts["label"], facts["threshold"] = label.label(test), label.threshold_
    facts["n_train"] = len(train)
    seen = set(channels_of(train))
    facts["new_channel"] = [int(channel not in seen) for channel in channels_of(test)]
    facts["channel_size"] = channel_size(train, test)
    facts["duration"] = duration_bucket(test)
    facts["view_regime"] = view_regime(test)
    return facts


def channel_size(train: pd.DataFrame, test: pd.DataFrame) -> np.ndarray[Any, Any]:
    """`small`, `medium` or `large` by the terciles of the training rows; `unknown` where the channel's size is missing.

    Size is the channel's subscribers where at least half of the training rows have them, else its earlier level.
    """
    for name in SIZE_COLUMNS:
        if name not in train.columns:
            continue
        known = train[name].to_numpy(dtype=np.float64, na_value=np.nan)
        known = known[~np.isnan(known)]
        if len(known) * 2 >= len(train):
            size = test[name].to_numpy(dtype=np.float64, na_value=np.nan)
            tercile = np.searchsorted(np.quantile(known, [1 / 3, 2 / 3]), size)
            return np.where(np.isnan(size), "unknown", np.array(["small", "medium", "large"])[np.minimum(tercile, 2)])
    return np.full(len(test), "unknown")


def view_regime(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """What a view was at the anchor; missing where the source never changed it."""
    if "view_regime" not in frame.columns:
        return np.full(len(frame), None)
    values = frame["view_regime"].astype(object)
    return np.asarray(values.where(values.notna(), None).to_numpy(), dtype=object)


def duration_bucket(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Length in seconds as a bucket, `unknown` where it is missing."""
    if "duration_s" not in frame.columns:
        return np.full(len(frame), "unknown")
    seconds = frame["duration_s"].to_numpy(dtype=np.float64, na_value=np.nan)
    low, middle, high = DURATION_EDGES
    names = np.array([f"up to {low} s", f"{low} to {middle} s", f"{middle} to {high} s", f"over {high} s"])
    return np.where(np.isnan(seconds), "unknown", names[np.searchsorted(DURATION_EDGES, np.nan_to_num(seconds))])


def _splits(facts: pd.DataFrame, train: pd.DataFrame) -> pd.DataFrame:
    """Who was in the fit and who in the test."""
    tested = facts.assign(role="test")
    fitted = train.loc[:, ["source", "video_id"]].assign(role="train")
    for name in ("target", "cutoff", "split", "origin"):
        fitted[name] = facts[name].iloc[0]
    return pd.concat([fitted, tested], ignore_index=True).loc[:, list(SPLIT_COLUMNS)]


def _empty(columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))
