"""Training runs: at which origin, on which rows, what is asked of the trainer, and what of its answer is registered.

Pure Python beside the trainer's process (`train`) and Dagster (`assets`). Whether a model serves is for the gate.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from assets.evaluations.backtest import MIN_TRAIN, split
from assets.evaluations.grid import Cell, data_version
from assets.evaluations.rows import as_arrow
from assets.evaluations.served import frame_as_of
from assets.features.frame import features_fingerprint, load_frame
from assets.models.columns import Schema
from assets.models.forecasters import FORECASTERS, fixed_parameters, lacks, preset_fingerprint, unavailable
from assets.models.order import Begun, Order, Result, begun_of, result_of, told
from assets.models.predictor import FOLDER, read_manifest
from assets.models.registry import CHALLENGER, TRAINING, set_alias
from assets.models.search.trials import best_parameters
from assets.models.task import Task
from assets.models.training_set import freeze
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows, replace_rows

SEED = 0


@dataclass(frozen=True)
class Asked:
    """What a training run asks of the trainer for one cell.

    Attributes:
        cell: The cell.
        orders: One per forecaster.
        frozen: The row of `models.training_sets`; None where nothing is asked.
        skipped: Why a forecaster is left out, by name; `all` where the cell is.
    """

    cell: Cell
    orders: tuple[Order, ...] = ()
    frozen: Mapping[str, Any] | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of an order.

    Attributes:
        order: What was asked.
        result: What came of it.
        launcher: `local` or `torchrun`.
        processes: Processes that trained.
        started_at: When by the home's clock.
        ended_at: When it ended.
    """

    order: Order
    result: Result
    launcher: str
    processes: int
    started_at: datetime
    ended_at: datetime


def origin_for(frame: pd.DataFrame, settings: Settings, now: datetime) -> date | None:
    """The latest day such that `gate.rows` videos published on or after it have matured; None where there are fewer.

    What is trained on had matured by that day, so the videos published since can judge it at once.

    Args:
        frame: All videos of a cell.
        settings: Says how many videos a decision needs.
        now: The home's time.
    """
    matured = frame[
        (frame["status"] == "matured") & frame["value"].notna() & (frame["matured_at"] <= pd.Timestamp(now))
    ]
    if len(matured) < settings.gate.rows:
        return None
    latest = matured["anchor_at"].nlargest(settings.gate.rows).min()
    day: date = latest.date()
    return day


def orders_for(
    warehouse: Warehouse,
    settings: Settings,
    cell: Cell,
    forecasters: Sequence[str],
    *,
    now: datetime,
    run_id: str,
    fraction: float = 1.0,
) -> Asked:
    """What to ask of the trainer for a cell; its training rows are frozen.

    Args:
        warehouse: Where features are read.
        settings: What is trained, with what.
        cell: The cell.
        forecasters: Names; those that do not exist for the cell's task are left out.
        now: The home's time.
        run_id: Dagster run that asks.
        fraction: Share of the rows that development mode trains on.

    Raises:
        ValueError: A forecaster is unknown, or the settings refuse the cell.
    """
    task = Task.of(settings, cell.target, cell.cutoff)
    names = [
        name for name in map(_known, forecasters) if FORECASTERS[name].learned and FORECASTERS[name].exists_for(task)
    ]
    if not names:
        return Asked(
            cell,
            skipped={
                "all": f"none of {', '.join(forecasters)} learns a {'class' if task.kind == 'class' else 'number'}"
            },
        )
    frame = load_frame(warehouse, settings, cell.source, cell.target, cell.cutoff)
    origin = origin_for(frame, settings, now)
    if origin is None:
        matured = int(frame["value"].notna().sum())
        return Asked(
            cell, skipped={"all": f"{matured} matured videos; {settings.gate.rows} are needed to judge a model"}
        )
    train = training_rows(frame_as_of(warehouse, settings, cell, origin), origin)
    if len(train) < MIN_TRAIN:
        return Asked(
            cell, skipped={"all": f"{len(train)} matured training rows before {origin}; {MIN_TRAIN} are needed"}
        )
    missing = {name: reason for name in names if (reason := unavailable(name) or lacks(name, train))}
    frozen = freeze_rows(warehouse, cell, train, origin, TRAINING, run_id, now)
    orders = []
    for name in (name for name in names if name not in missing):
        parameters = _parameters(warehouse, settings, cell, name, origin)
        preset = preset_fingerprint(parameters)
        orders.append(order_on(frozen, task, name, parameters, preset, fraction, warehouse.home, settings))
    return Asked(cell, tuple(orders), frozen, missing)


def order_on(
    frozen: Mapping[str, Any],
    task: Task,
    forecaster: str,
    parameters: dict[str, Any],
    preset: str,
    fraction: float,
    home: Path,
    settings: Settings,
) -> Order:
    """The order of one model on a training set.

    Args:
        frozen: The set's row of `models.training_sets`.
        task: What is learned.
        forecaster: Name of the model.
        parameters: What the model is told.
        preset: Fingerprint of what the parameters name.
        fraction: Share of the rows that development mode trains on.
        home: Where the set is kept.
        settings: Which device is used.
    """
    names = ("source", "origin", "training_set_id", "feature_fingerprint", "data_version", "run_id")
    return Order(
        home=home,
        task=task,
        forecaster=forecaster,
        parameters=parameters,
        preset=preset,
        seed=SEED,
        fraction=fraction,
        device=settings.training.device,
        **{name: frozen[name] for name in names},
    )


def training_rows(frame: pd.DataFrame, origin: date) -> pd.DataFrame:
    """The rows that were forecastable, and whose outcome was known, by the start of the origin's day."""
    return split(frame, origin)[0]


def freeze_rows(
    warehouse: Warehouse, cell: Cell, train: pd.DataFrame, origin: date, made_by: str, run_id: str, now: datetime
) -> dict[str, Any]:
    """The row of `models.training_sets` for some rows that had matured by an origin, whose file is written."""
    return frozen_rows(warehouse, cell, train, origin, made_by, run_id, now) | {
        "schema_fingerprint": Schema.of(train).fingerprint,
        "feature_fingerprint": features_fingerprint(),
        "data_version": data_version(train),
    }


def frozen_rows(
    warehouse: Warehouse, cell: Cell, rows: pd.DataFrame, origin: date, made_by: str, run_id: str, now: datetime
) -> dict[str, Any]:
    """The row of `models.training_sets` for any rows, whose file is written; all of it but the three fingerprints."""
    training_set_id, path = freeze(rows, warehouse.home)
    return {
        **asdict(cell),
        "origin": origin,
        "training_set_id": training_set_id,
        "uri": str(path.relative_to(warehouse.home)),
        "bytes": path.stat().st_size,
        "rows": len(rows),
        "columns": list(rows.columns),
        "made_by": made_by,
        "run_id": run_id,
        "created_at": now,
    }


def outcome_of(
    order: Order, ended: str | None, launcher: str, processes: int, started_at: datetime, ended_at: datetime
) -> Outcome:
    """What became of an order, by what its trainer left; a trainer that left nothing has failed.

    Args:
        order: What was asked.
        ended: How its process ended where it did not end well.
        launcher: How it was started.
        processes: Processes that trained.
        started_at: When by the home's clock.
        ended_at: When it ended.
    """
    result = result_of(order) or Result("failed", why=f"the trainer left no result: {ended or 'it was told to stop'}")
    return Outcome(order, result, launcher, processes, started_at, ended_at)


def register(
    warehouse: Warehouse,
    asked: Asked,
    outcomes: Sequence[Outcome],
    *,
    decision_id: str | None,
    run_id: str,
    now: datetime,
    guard: Callable[[], None],
) -> str | None:
    """Write what came of a cell's orders in one transaction, and name its challenger: the lowest validation error.

    What was registered before stays as it is, aliases too, so that the same orders twice leave the same rows. A model of
    development mode never wants to serve.

    Args:
        warehouse: Where the rows are written.
        asked: What was asked.
        outcomes: What became of it.
        decision_id: Decision that asked for it; None where a person did.
        run_id: Dagster run.
        now: The home's time.
        guard: Raises where the Dagster run has ended: a run that was given up must not write.

    Returns:
        The version that became challenger, or None.
    """
    if asked.frozen is None or not outcomes:
        return None
    runs = [_run(outcome, decision_id, run_id) | {"rows": asked.frozen["rows"]} for outcome in outcomes]
    versions = [_version(outcome, now) for outcome in outcomes if outcome.result.version]
    curves = {
        outcome.order.training_id: told(outcome.order).curves.assign(training_id=outcome.order.training_id)
        for outcome in outcomes
    }
    best = _best(outcomes)
    with warehouse.write() as con:
        guard()
        known = _known_versions(con, asked.cell)
        append_rows(con, table("models.training_sets"), as_arrow(pd.DataFrame([asked.frozen]), "models.training_sets"))
        if versions:
            append_rows(con, table("models.versions"), as_arrow(pd.DataFrame(versions), "models.versions"))
        for run in runs:
            _write_run(con, run, curves[run["training_id"]])
        if best is None or best in known:
            return None
        set_alias(con, asked.cell, best, CHALLENGER)
    return best


def latest_runs(warehouse: Warehouse, training_ids: Sequence[str]) -> list[dict[str, Any]]:
    """The rows of `models.runs` of some trainings, with the alias that their model has now."""
    rows: list[dict[str, Any]] = warehouse.query(
        """SELECT r.*, v.alias FROM models.runs r LEFT JOIN models.versions v ON v.version = r.version
           WHERE list_contains($ids, r.training_id)
           ORDER BY r.source, r.target, r.cutoff, r.forecaster""",
        {"ids": list(training_ids)},
    ).to_pylist()
    return rows


def _known(name: str) -> str:
    if name not in FORECASTERS:
        raise ValueError(f"training.forecasters: no forecaster {name!r}; there are {', '.join(FORECASTERS)}")
    return name


def _parameters(warehouse: Warehouse, settings: Settings, cell: Cell, name: str, origin: date) -> dict[str, Any]:
    """What a forecaster is told beyond its defaults: the preset of a network, and what a search found by the origin."""
    fixed = fixed_parameters(settings, name)
    return fixed | best_parameters(warehouse, cell, name, origin, fixed)


def _version(outcome: Outcome, now: datetime) -> dict[str, Any]:
    """The row of `models.versions` of a bundle."""
    order = outcome.order
    if order.task.kind == "labels":
        from assets.language.emotion_model.runs import version_row

        return version_row(outcome, now)
    manifest = read_manifest(order.home, str(outcome.result.version))
    columns = [column for column in table("models.versions").column_names if hasattr(manifest, column)]
    row = {column: getattr(manifest, column) for column in columns}
    kept = {"origin": order.origin, "uri": f"{FOLDER}/{manifest.version}", "created_at": now}
    return {**row, **kept, "made_by": TRAINING, "alias": None, "training_id": order.training_id}


def _run(outcome: Outcome, decision_id: str | None, run_id: str) -> dict[str, Any]:
    """The row of `models.runs`."""
    order, result = outcome.order, outcome.result
    begun = begun_of(order) or Begun(order.device, "", outcome.processes, 0)
    progress = told(order)
    return {
        "training_id": order.training_id,
        "source": order.source,
        "target": order.task.target,
        "cutoff": order.task.cutoff,
        "forecaster": order.forecaster,
        "origin": order.origin,
        "training_set_id": order.training_set_id,
        "decision_id": decision_id,
        **asdict(result),
        "launcher": outcome.launcher,
        "processes": outcome.processes,
        "device": begun.device,
        "device_name": begun.device_name,
        "epochs": progress.epochs,
        "steps": progress.steps,
        "resumed": begun.resumed,
        "run_id": run_id,
        "started_at": outcome.started_at,
        "ended_at": outcome.ended_at,
    }


def _best(outcomes: Sequence[Outcome]) -> str | None:
    """The version with the lowest validation error among those that may serve."""
    able = [
        (outcome.result.validation_error, outcome.result.version)
        for outcome in outcomes
        if outcome.result.state == "done"
        and outcome.order.fraction == 1
        and outcome.result.validation_error is not None
    ]
    able = [(error, version) for error, version in able if np.isfinite(error)]
    return min(able)[1] if able else None


def _known_versions(con: duckdb.DuckDBPyConnection, cell: Cell) -> set[str]:
    found = con.execute(
        "SELECT version FROM models.versions WHERE source = $source AND target = $target AND cutoff = $cutoff",
        asdict(cell),
    ).fetchall()
    return {version for (version,) in found}


def _write_run(con: duckdb.DuckDBPyConnection, run: dict[str, Any], curves: pd.DataFrame) -> None:
    """A run that is done stays as it was written; one that failed or stopped gives way to the attempt that went on."""
    of = {"training_id": run["training_id"]}
    stored = con.execute("SELECT state FROM models.runs WHERE training_id = $training_id", of).fetchone()
    if stored is not None and stored[0] == "done":
        return
    replace_rows(con, table("models.runs"), as_arrow(pd.DataFrame([run]), "models.runs"), of)
    if len(curves):
        replace_rows(con, table("models.curves"), as_arrow(curves, "models.curves"), of)
