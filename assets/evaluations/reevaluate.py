"""Champions and challengers on each week since their origin, again whenever the week has gained matured rows.

Rows are only added: an earlier figure stands beside the one that replaced it. Formulas are in `metrics`; who wins is for the gate.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from assets.evaluations import metrics
from assets.evaluations.backtest import TEST_DAYS
from assets.evaluations.grid import Cell
from assets.evaluations.ledger import Guard
from assets.evaluations.rows import as_arrow
from assets.evaluations.scored_forecasts import log_loss
from assets.evaluations.served import frame_as_of, with_forecasts
from assets.models.forecasters import make, naive_for
from assets.models.intervals import without_labels
from assets.models.labels import ViralLabel
from assets.models.predictor import ModelError
from assets.models.registry import CHALLENGER, CHAMPION, aliased
from assets.models.task import Task
from assets.models.training_set import thaw
from resources import clock
from resources.settings import Settings, midnight
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

TABLE = "evaluations.reevaluations"
Row = dict[str, Any]
Vector = np.ndarray[Any, np.dtype[np.float64]]


@dataclass
class Reevaluated:
    """What a run did.

    Attributes:
        weeks: Weeks that were computed, per model.
        unchanged: Weeks that have gained nothing since the last time.
        refused: Why a model could not be asked, per model.
    """

    weeks: dict[str, int] = field(default_factory=dict)
    unchanged: int = 0
    refused: dict[str, str] = field(default_factory=dict)


def reevaluate(warehouse: Warehouse, settings: Settings, now: datetime, run_id: str, guard: Guard) -> Reevaluated:
    """Adds the figures of every champion and challenger on the weeks that have changed.

    A week begins on a Monday on or after the model's origin, so that none of its videos was in the fit.

    Args:
        warehouse: Holds models, features and figures.
        settings: Says what the targets are.
        now: The home's time (naive UTC); outcomes known later do not count.
        run_id: Run that computes them.
        guard: Called before the write, inside its transaction.
    """
    found, rows = Reevaluated(), []
    made = {"clock": clock.mode(warehouse.home), "run_id": run_id, "evaluated_at": now}
    for model in aliased(warehouse, CHAMPION, CHALLENGER):
        cell = Cell(model["source"], model["target"], model["cutoff"])
        frame = frame_as_of(warehouse, settings, cell, model["origin"])
        weeks = weeks_of(frame, model["origin"], now)
        done = _done(warehouse, model["version"])
        changed = {origin: week for origin, week in weeks.items() if (origin, _version(week)) not in done}
        found.unchanged += len(weeks) - len(changed)
        found.weeks[model["version"]] = 0
        if not changed:
            continue
        try:
            said = with_forecasts(warehouse, model["version"], pd.concat(changed.values(), ignore_index=True))
        except ModelError as error:
            found.refused[model["version"]] = str(error)
            continue
        train = thaw(warehouse.home, model["training_set_id"])
        figures = _Figures(Task.of(settings, cell.target, cell.cutoff), train, said)
        for origin, week in changed.items():
            key = {"version": model["version"], "origin": origin, "data_version": _version(week)}
            rows.append(
                {**key, **vars(cell), "forecaster": model["forecaster"], **figures.of(week["video_id"]), **made}
            )
        found.weeks[model["version"]] = len(changed)
    if rows:
        frame = pd.DataFrame(rows).reindex(columns=list(table(TABLE).column_names))
        with warehouse.write() as con:
            guard()
            append_rows(con, table(TABLE), as_arrow(frame, TABLE))
    return found


def weeks_of(frame: pd.DataFrame, origin: date, now: datetime) -> dict[date, pd.DataFrame]:
    """The matured videos of each week that begins on a Monday on or after an origin, by that Monday."""
    first = pd.Timestamp(midnight(origin + timedelta(days=-origin.weekday() % 7)))
    rows = frame[frame["value"].notna() & (frame["matured_at"] <= now) & (frame["anchor_at"] >= first)]
    week = (rows["anchor_at"] - first) // pd.Timedelta(days=TEST_DAYS)
    return {
        first.date() + timedelta(days=TEST_DAYS * number): rows[week == number].reset_index(drop=True)
        for number in sorted(set(week.tolist()))
    }


class _Figures:
    """The figures of one model on parts of what it said."""

    def __init__(self, task: Task, train: pd.DataFrame, said: pd.DataFrame) -> None:
        self.task, self.said = task, said.set_index("video_id", drop=False)
        self.label = ViralLabel.of(task).fit(train) if task.kind == "class" else None
        self.naive = {} if self.label else _naive_points(task, train, said)

    def of(self, videos: "pd.Series[str]") -> Row:
        """The figures on some videos."""
        rows = self.said.loc[list(videos)]
        if self.label is not None:
            label, probability = self.label.label(rows).astype(np.float64), _floats(rows, "probability")
            return {
                "n_test": len(rows),
                "auroc": metrics.auroc(label, probability),
                "average_precision": metrics.average_precision(label, probability),
                "log_loss": float(log_loss(label, probability).mean()),
            }
        y, point = _floats(rows, "value"), _floats(rows, "point")
        lower, upper = _floats(rows, "lower_80"), _floats(rows, "upper_80")
        return {
            "n_test": len(rows),
            "mae": metrics.mae(y, point),
            "rmse": metrics.rmse(y, point),
            "r2": metrics.r2(y, point),
            "spearman": metrics.spearman(y, point),
            "naive_mae": min(float(np.abs(naive.loc[list(videos)] - y).mean()) for naive in self.naive.values()),
            "coverage_80": metrics.coverage(y, lower, upper),
            "interval_score_80": float(metrics.interval_scores(y, lower, upper, 80).mean()),
        }


def _naive_points(task: Task, train: pd.DataFrame, said: pd.DataFrame) -> "dict[str, pd.Series[float]]":
    """What the naive forecasters, fitted on the model's own training rows, say of the same videos."""
    features, value = without_labels(train), train["value"].to_numpy(dtype=np.float64)
    asked = without_labels(said)
    return {
        name: pd.Series(make(name).fit(features, value).predict(asked), index=said["video_id"])
        for name in naive_for(task)
    }


def _version(week: pd.DataFrame) -> str:
    """Fingerprint of the matured rows of a week."""
    rows = week[["video_id", "value", "matured_at"]].sort_values("video_id")
    return hashlib.sha256(pd.util.hash_pandas_object(rows, index=False).to_numpy().tobytes()).hexdigest()[:16]


def _done(warehouse: Warehouse, version: str) -> set[tuple[date, str]]:
    rows = warehouse.query(f"SELECT origin, data_version FROM {TABLE} WHERE version = $version", {"version": version})
    return {(row["origin"], row["data_version"]) for row in rows.to_pylist()}


def _floats(rows: pd.DataFrame, name: str) -> Vector:
    return rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
