"""Which features a fitted forecaster leans on: how much worse it gets when they are shuffled among the test rows.

Shuffled are columns of the frame, by name, before anything is prepared: a name cannot slip against its values. Groups follow the tables that
declare the columns. Nothing is fitted here.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from assets.evaluations.backtest import Fitted
from assets.evaluations.scoring import losses
from assets.models.columns import Schema, group_of, last_level
from assets.models.intervals import IntervalForecaster, without_labels
from assets.models.task import Task
from warehouse.contracts import load_tables

Vector = np.ndarray[Any, np.dtype[np.float64]]
Labels = np.ndarray[Any, np.dtype[np.int64]]
GROUP_TABLES = ("content", "engagement", "channel", "context")
METRIC_PREFIX = "metric_"
REPEATS = 3
COLUMNS = (
    *("source", "target", "cutoff", "forecaster", "origin", "level", "feature"),
    *("value", "lower", "upper", "repeats", "n_test"),
)


def feature_groups(schema: Schema) -> dict[str, tuple[str, ...]]:
    """Feature columns by group: the table that declares them, the title, further metrics, the modality of content, `other`."""
    tables = load_tables()
    declared = {name: group for group in GROUP_TABLES for name in tables[f"features.{group}"].column_names}
    members: dict[str, list[str]] = {}
    for name in schema.columns:
        group = group_of(name)
        group = declared.get(name, "other") if group == "scalars" else group
        members.setdefault("metrics" if name.startswith(METRIC_PREFIX) else group, []).append(name)
    return {group: tuple(names) for group, names in members.items()}


def permutation_importance(
    fitted: Fitted,
    task: Task,
    test: pd.DataFrame,
    label: Labels | None,
    origin: date,
    seed: int = 0,
    repeats: int = REPEATS,
    columns: bool = True,
) -> pd.DataFrame:
    """Increase of the mean loss per group and per column: rows of `evaluations.importance`, largest first in each level.

    Args:
        fitted: A learned forecaster.
        task: What it forecasts.
        test: Test rows of the origin, with their `value`.
        label: Their classes, for a class task.
        origin: The origin it was fitted at.
        seed: Seed of the shuffles.
        repeats: Shuffles per group or column.
        columns: Whether single columns are shuffled too, not groups alone.
    """
    features = without_labels(test).reset_index(drop=True)
    truth = pd.DataFrame({"value": test["value"].to_numpy(), "label": np.nan if label is None else label})
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(features)) for _ in range(repeats)]
    rows = []
    with threadpool_limits(1):  # many forecasts of few rows: threads would wait for each other most of the time
        base = float(losses(truth.assign(**_forecast(fitted, features)), task).mean())
        for level, feature, names in _shuffled_together(fitted.schema, features):
            if level == "column" and not columns:
                continue
            worse = []
            for order in orders:
                shuffled = features.assign(**{name: features[name].to_numpy()[order] for name in names})
                worse.append(float(losses(truth.assign(**_forecast(fitted, shuffled)), task).mean()) - base)
            rows.append((level, feature, float(np.mean(worse)), min(worse), max(worse)))
    table = pd.DataFrame(rows, columns=["level", "feature", "value", "lower", "upper"])
    table = table.sort_values(["level", "value", "feature"], ascending=[False, False, True], ignore_index=True)
    key = {"source": test["source"].iloc[0], "target": task.target, "cutoff": task.cutoff, "origin": origin}
    key |= {"forecaster": fitted.forecaster.name, "repeats": repeats, "n_test": len(test)}
    return table.assign(**key)[list(COLUMNS)]


def _shuffled_together(schema: Schema, features: pd.DataFrame) -> Iterator[tuple[str, str, list[str]]]:
    """Level, name and columns of everything that is shuffled as one; what does not vary in the test rows is left out."""
    level = last_level(features)
    copies = {name for name in schema.numeric if np.array_equal(features[name].to_numpy(float), level, equal_nan=True)}
    groups = feature_groups(schema)
    for kind, members in (("group", groups), ("column", {name: (name,) for name in schema.columns})):
        for feature, columns in members.items():
            names = list(columns)
            names += ["last_level"] if copies & set(columns) and "last_level" in features.columns else []
            names += ["channel_id"] if kind == "group" and feature == "channel" else []
            if any(features[name].nunique(dropna=False) > 1 for name in names):
                yield kind, feature, names


def _forecast(fitted: Fitted, features: pd.DataFrame) -> dict[str, Vector]:
    """The point or probability alone: the interval's width says nothing of the loss."""
    if isinstance(fitted, IntervalForecaster):
        return {"point": fitted.forecaster.predict(features)}
    return fitted.predict(features)
