"""What became of the ledger's forecasts: error, naive error and coverage of each, once its outcome is settled.

Rows are only added. Figures over many scores are made by whoever shows them (`report_ledger`, the gate's rollback).
"""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from assets.evaluations.grid import Cell
from assets.evaluations.ledger import KEY, Guard
from assets.evaluations.rows import as_arrow
from assets.features.frame import load_frame
from assets.models.intervals import LEVELS
from assets.models.labels import ViralLabel
from assets.models.task import Task
from assets.models.training_set import thaw
from resources import clock
from resources.settings import MeasuredTarget, Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

TABLE = "evaluations.scores"
CERTAIN = 1e-7
"""Probabilities are held this far from 0 and 1, so that one wrong certainty does not make a log loss infinite."""
MEANS = ("error", "naive_error", *(f"covered_{level}" for level in LEVELS))
"""What is averaged of scores."""
Vector = np.ndarray[Any, np.dtype[np.float64]]


def score_forecasts(
    warehouse: Warehouse, settings: Settings, now: datetime, run_id: str, guard: Guard
) -> dict[Cell, int]:
    """Adds the scores of the forecasts whose outcome is settled; of the home's present clock only.

    An outcome is settled once no observation nearer to the horizon can come: as long after the horizon as the one that there is
    lies before it. A target that the settings no longer have is left out.

    Returns:
        Forecasts scored per cell.
    """
    mode, parts, done = clock.mode(warehouse.home), [], {}
    for cell, forecasts in _unscored(warehouse, mode).items():
        if cell.target not in settings.targets:
            continue
        rows = _scores(warehouse, settings, cell, forecasts, now)
        if len(rows):
            done[cell] = len(rows)
            rows = rows.assign(clock=mode, run_id=run_id, scored_at=now)
            parts.append(as_arrow(rows.reindex(columns=list(table(TABLE).column_names)), TABLE))
    if parts:
        with warehouse.write() as con:
            guard()
            append_rows(con, table(TABLE), pa.concat_tables(parts))
    return done


def weekly_scores(warehouse: Warehouse) -> pd.DataFrame:
    """What was promised and what happened, by the week in which it was promised; each clock by itself.

    Returns:
        Per clock, source, target, cutoff and `week` (its Monday): `made` and `scored` (how many), and of the scored ones the means
        of `error`, `naive_error`, `covered_50`, ..., `promised` (the forecast), `lower` and `upper` (80 %), `happened` (the
        outcome, or the class). Sorted by all of these.
    """
    rows = warehouse.query(
        f"""SELECT f.clock, f.source, f.target, f.cutoff, CAST(date_trunc('week', f.made_at) AS DATE) AS week, f.video_id,
                   CAST(s.scored_at IS NOT NULL AS DOUBLE) AS scored, s.error, s.naive_error,
                   {", ".join(f"CAST(s.covered_{level} AS DOUBLE) AS covered_{level}" for level in LEVELS)},
                   CASE WHEN s.scored_at IS NOT NULL THEN coalesce(f.point, f.probability) END AS promised,
                   CASE WHEN s.scored_at IS NOT NULL THEN f.lower_80 END AS lower,
                   CASE WHEN s.scored_at IS NOT NULL THEN f.upper_80 END AS upper,
                   CASE WHEN f.probability IS NULL THEN s.value ELSE s.label END AS happened
            FROM evaluations.forecasts f LEFT JOIN {TABLE} s USING ({", ".join(KEY)})
            ORDER BY f.clock, f.source, f.target, f.cutoff, f.video_id"""
    ).to_pandas()
    grouped = rows.groupby(["clock", "source", "target", "cutoff", "week"], sort=True)
    means = [*MEANS, "promised", "lower", "upper", "happened"]
    counts = grouped.agg(made=("video_id", "size"), scored=("scored", "sum"))
    found: pd.DataFrame = counts.join(grouped[means].mean()).reset_index()
    return found


def log_loss(label: Vector, probability: Vector) -> Vector:
    """Minus the logarithm of the probability that the class was given, per row."""
    held = np.clip(probability, CERTAIN, 1 - CERTAIN)
    return np.asarray(-np.where(label == 1, np.log(held), np.log1p(-held)))


def _unscored(warehouse: Warehouse, mode: str) -> dict[Cell, pd.DataFrame]:
    rows = warehouse.query(
        f"""SELECT f.*, v.training_set_id FROM evaluations.forecasts f JOIN models.versions v USING (version)
            WHERE f.clock = $mode AND NOT EXISTS (
                SELECT 1 FROM {TABLE} s WHERE {" AND ".join(f"s.{name} = f.{name}" for name in KEY)})
            ORDER BY ALL""",
        {"mode": mode},
    ).to_pandas()
    grouped = rows.groupby(["source", "target", "cutoff"], sort=True)
    return {Cell(*(str(part) for part in key)): group for key, group in grouped}


def _settled(warehouse: Warehouse, settings: Settings, cell: Cell, now: datetime) -> frozenset[str]:
    """The videos of a source whose outcome cannot change any more."""
    found: frozenset[str] | None = None
    for part in settings.parts(cell.target):
        definition = settings.targets[part]
        assert isinstance(definition, MeasuredTarget) and definition.horizon is not None
        rows = warehouse.query(
            """SELECT video_id FROM features.targets
               WHERE source = $source AND target = $part AND status = 'matured' AND matured_at <= $now
                 AND greatest(observed_at, anchor_at + $horizon + (anchor_at + $horizon - observed_at)) <= $now""",
            {"source": cell.source, "part": part, "now": now, "horizon": definition.horizon},
        )
        videos = frozenset(rows["video_id"].to_pylist())
        found = videos if found is None else found & videos
    return found or frozenset()


def _scores(
    warehouse: Warehouse, settings: Settings, cell: Cell, forecasts: pd.DataFrame, now: datetime
) -> pd.DataFrame:
    """The scores of a cell's forecasts that are settled."""
    settled = forecasts[forecasts["video_id"].isin(_settled(warehouse, settings, cell, now))]
    if settled.empty:
        return settled
    frame = load_frame(warehouse, settings, cell.source, cell.target, cell.cutoff)
    outcomes = frame[frame["value"].notna()].set_index("video_id")
    settled = settled[settled["video_id"].isin(outcomes.index)]
    task = Task.of(settings, cell.target, cell.cutoff)
    parts = []
    for training_set_id, said in settled.groupby("training_set_id", sort=True):
        happened = outcomes.loc[said["video_id"]].reset_index()
        train = thaw(warehouse.home, str(training_set_id))
        judged = _class(task, train, said, happened) if task.kind == "class" else _number(train, said, happened)
        known = {"matured_at": happened["matured_at"].to_numpy(), "value": happened["value"].to_numpy()}
        parts.append(said[[*KEY, "version", "made_at"]].assign(**known, **judged))
    return pd.concat(parts, ignore_index=True) if parts else settled


def _number(train: pd.DataFrame, said: pd.DataFrame, happened: pd.DataFrame) -> dict[str, Any]:
    value = happened["value"].to_numpy(dtype=np.float64)
    level = said["last_level"].to_numpy(dtype=np.float64, na_value=np.nan)
    naive = np.where(np.isnan(level), float(train["value"].mean()), level)
    covered = {
        f"covered_{width}": ((said[f"lower_{width}"] <= value) & (value <= said[f"upper_{width}"])).to_numpy()
        for width in LEVELS
    }
    return {"error": np.abs(said["point"].to_numpy() - value), "naive_error": np.abs(naive - value), **covered}


def _class(task: Task, train: pd.DataFrame, said: pd.DataFrame, happened: pd.DataFrame) -> dict[str, Any]:
    fitted = ViralLabel.of(task).fit(train)
    label = fitted.label(happened).astype(np.float64)
    share = np.full(len(label), float(fitted.label(train).mean()))
    probability = said["probability"].to_numpy(dtype=np.float64)
    return {"label": label, "error": log_loss(label, probability), "naive_error": log_loss(label, share)}
