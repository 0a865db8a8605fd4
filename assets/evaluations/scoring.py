"""Stored forecasts to stored figures: per origin, pooled and per slice, with intervals on the headline ones.

Reads nothing but `evaluations.predictions`, so that every figure can be made again from what was stored.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from assets.evaluations import metrics
from assets.evaluations.bootstrap import Blocks, Bounds, Vector, interval_of
from assets.models.forecasters import naive_for
from assets.models.task import Task

POOLED = "all"
SLICES = ("new_channel", "channel_size", "duration", "view_regime")
COLUMNS = (
    "source", "target", "cutoff", "forecaster", "split", "origin", "slice", "slice_value", "metric", "value", "lower", "upper",
    "n_train", "n_test",
)  # fmt: skip


def evaluate(predictions: pd.DataFrame, task: Task, seed: int = 0) -> pd.DataFrame:
    """Figures of all forecasters of one source, target and cutoff: rows of `evaluations.metrics`.

    Per origin and pooled over all of them (origin `all`, whose n_train is the mean); slices of the pooled time split. A random split
    has pooled figures only. A figure that has no meaning has no row. A forecaster that could not run at every origin, as one that
    reads content before any was fitted, is pooled over its own, beside the naive forecasters there.

    Raises:
        ValueError: The forecasters did not forecast the same rows.
    """
    rows: list[dict[str, Any]] = []
    for kind, part in predictions.groupby("split", sort=True):
        if kind == "time":
            for origin, group in part.groupby("origin", sort=True):
                rows += _group(group, task, str(kind), str(origin)[:10], seed)
        rows += _group(part, task, str(kind), POOLED, seed)
        if kind == "time":
            for name in (name for name in SLICES if name in part.columns):
                for value, group in part.groupby(name, sort=True):
                    shown = ("yes" if value == 1 else "no") if name == "new_channel" else str(value)
                    rows += _group(group, task, str(kind), POOLED, seed, name, shown)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def losses(rows: pd.DataFrame, task: Task) -> Vector:
    """What is averaged to compare forecasters: absolute error of a number, squared error of a probability."""
    if task.kind == "class":
        return np.asarray((_floats(rows, "probability") - _floats(rows, "label")) ** 2)
    return np.abs(_floats(rows, "point") - _floats(rows, "value"))


def by_forecaster(group: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each forecaster, in one order.

    Raises:
        ValueError: They are not the same videos at an origin.
    """
    ordered = group.sort_values(["forecaster", "origin", "video_id"], kind="stable")
    parts = {str(name): part for name, part in ordered.groupby("forecaster", sort=True)}
    most = max(parts.values(), key=len)
    for name, part in parts.items():
        if not np.array_equal(_videos(part), _videos(_at(most, part))):
            raise ValueError(f"{name} did not forecast the same videos as the others")
    return parts


def _at(rows: pd.DataFrame, origins_of: pd.DataFrame) -> pd.DataFrame:
    """Rows at the origins of others."""
    return rows[rows["origin"].isin(origins_of["origin"].unique())]


def _videos(rows: pd.DataFrame) -> np.ndarray[Any, Any]:
    return rows["video_id"].to_numpy(dtype=object)


def best_naive(parts: dict[str, pd.DataFrame], task: Task) -> Vector | None:
    """Losses of the naive forecaster with the smallest mean loss, or None where there is none.

    Args:
        parts: The rows of each naive forecaster, of the same videos in the same order.
        task: What is forecast.
    """
    naive = [losses(rows, task) for rows in parts.values()]
    return min(naive, key=lambda loss: float(loss.mean())) if naive else None


def blocks_of(rows: pd.DataFrame, seed: int) -> Blocks:
    """Draws of whole channels; a video without a channel is a block of its own."""
    return Blocks.of(
        rows["channel_id"].where(rows["channel_id"].notna(), rows["video_id"]).to_numpy(dtype=object), seed
    )


def _group(
    group: pd.DataFrame,
    task: Task,
    kind: str,
    origin: str,
    seed: int,
    slice_name: str = POOLED,
    slice_value: str = POOLED,
) -> list[dict[str, Any]]:
    """Rows of one group of forecasts; intervals where it is no slice."""
    parts = by_forecaster(group)
    beside: dict[tuple[Any, ...], tuple[Vector | None, Blocks | None]] = {}
    rows = []
    for forecaster, part in parts.items():
        origins = tuple(part["origin"].unique())
        if origins not in beside:
            same = {name: _at(parts[name], part) for name in naive_for(task) if name in parts}
            blocks = blocks_of(part, seed) if slice_name == POOLED else None
            beside[origins] = best_naive(same, task), blocks
        naive, blocks = beside[origins]
        figures = _figures(part, task, naive)
        intervals = dict(_intervals(part, task, naive, blocks)) if blocks is not None and blocks.usable else {}
        first = part.iloc[0]
        key = {name: first[name] for name in ("source", "target", "cutoff")}
        key |= {
            "forecaster": forecaster,
            "split": kind,
            "origin": origin,
            "slice": slice_name,
            "slice_value": slice_value,
        }
        per_origin = part.groupby("origin")["n_train"].first()
        counts = {"n_train": round(float(per_origin.mean())), "n_test": len(part)}
        for name, value in figures.items():
            if value is not None and np.isfinite(value):
                lower, upper = intervals.get(name) or (None, None)
                rows.append(key | {"metric": name, "value": value, "lower": lower, "upper": upper} | counts)
    return rows


def _figures(rows: pd.DataFrame, task: Task, naive: Vector | None) -> metrics.Figures:
    """Every figure of one forecaster on some rows."""
    if task.kind == "class":
        figures = metrics.class_figures(_floats(rows, "label"), _floats(rows, "probability"))
        loss = figures["brier"]
    else:
        y, point = _floats(rows, "value"), _floats(rows, "point")
        figures = metrics.regression_figures(y, point, _floats(rows, "last_level"), task.log_scale)
        figures |= metrics.interval_figures(y, bounds_of(rows))
        loss = figures["mae"]
    return figures | {"skill": None if naive is None else metrics.skill(loss, float(naive.mean()))}


def _intervals(
    rows: pd.DataFrame, task: Task, naive: Vector | None, blocks: Blocks
) -> Iterator[tuple[str, Bounds | None]]:
    """Bootstrap intervals of the headline figures."""
    loss = losses(rows, task)
    if naive is not None:
        yield "skill", interval_of(blocks, lambda: 1 - _ratio(blocks.sums(loss), blocks.sums(naive)))
    if task.kind == "class":
        label, probability = _floats(rows, "label"), _floats(rows, "probability")
        yield "brier", interval_of(blocks, lambda: blocks.means(loss))
        yield "auroc", interval_of(blocks, lambda: blocks.auroc(label, probability))
        return
    y, point, level = _floats(rows, "value"), _floats(rows, "point"), _floats(rows, "last_level")
    lower, upper = bounds_of(rows)[80]
    inside = np.where(np.isnan(lower), np.nan, (lower <= y) & (y <= upper))
    yield "mae", interval_of(blocks, lambda: blocks.means(loss))
    yield "r2", interval_of(blocks, lambda: blocks.r2(y, point))
    yield "growth_r2", interval_of(blocks, lambda: blocks.r2(y - level, point - level))
    yield "coverage_80", interval_of(blocks, lambda: blocks.means(inside))
    yield "interval_score_80", interval_of(blocks, lambda: blocks.means(metrics.interval_scores(y, lower, upper, 80)))


def bounds_of(rows: pd.DataFrame) -> dict[int, tuple[Vector, Vector]]:
    """Lower and upper bounds per level."""
    return {level: (_floats(rows, f"lower_{level}"), _floats(rows, f"upper_{level}")) for level in metrics.LEVELS}


def _ratio(above: Vector, below: Vector) -> Vector:
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), np.nan)


def _floats(rows: pd.DataFrame, name: str) -> Vector:
    return rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
