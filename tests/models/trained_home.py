"""A home with models that a training run registered, made without one: bundles, frozen rows and the rows about them."""

from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from assets.evaluations.backtest import run_origin, split
from assets.evaluations.grid import Cell
from assets.evaluations.rows import as_arrow
from assets.models.predictor import FOLDER, save
from assets.models.registry import set_alias
from assets.models.training_set import freeze
from resources.settings import load_settings
from tests.models.frames import make_frame
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

CELL = Cell("simulator", "log_views_7d", "24h")
FIRST, SECOND = date(2024, 2, 26), date(2024, 3, 4)
DONE = datetime(2024, 3, 20, 12)
FINGERPRINT = "f1"


def insert(warehouse: Warehouse, full_name: str, *rows: dict[str, Any]) -> None:
    """Add rows; columns that a row does not name are null."""
    frame = pd.DataFrame(rows).reindex(columns=list(table(full_name).column_names)).astype(object)
    arrow = as_arrow(frame.where(frame.notna(), None), full_name)
    with warehouse.write() as con:
        append_rows(con, table(full_name), arrow)


@dataclass(frozen=True)
class Trained:
    """The home, the frame that its models were fitted on, and their names."""

    warehouse: Warehouse
    frame: pd.DataFrame
    first: str
    second: str


def trained_home(home: Path) -> Trained:
    """Two models of one cell: the first is champion, the second, a week later, challenger."""
    warehouse, frame = Warehouse(home), make_frame(400, "24h", seed=4)
    names = [add_model(warehouse, frame, origin) for origin in (FIRST, SECOND)]
    with warehouse.write() as con:
        set_alias(con, CELL, names[0], "champion")
        set_alias(con, CELL, names[1], "challenger")
    return Trained(warehouse, frame, *names)


def add_model(warehouse: Warehouse, frame: pd.DataFrame, origin: date) -> str:
    """Register a Ridge fitted at an origin, with its run and a loss curve; its name."""
    home = warehouse.home
    result = run_origin(frame, load_settings(home), CELL.target, CELL.cutoff, origin, ["ridge"])
    train, _ = split(frame, origin)
    set_id, path = freeze(train, home)
    kept = {"feature_fingerprint": FINGERPRINT, "data_version": "d1", "training_set_id": set_id, "run_id": "r1"}
    manifest = save(home, result.fitted["ridge"], result.task, train, origin, **kept)
    cell = {"source": CELL.source, "target": CELL.target, "cutoff": CELL.cutoff, "origin": origin}
    same = {
        **cell,
        **kept,
        "schema_fingerprint": manifest.schema_fingerprint,
        "made_by": "training",
        "created_at": DONE,
    }
    training_id = f"run of {origin}"
    insert(
        warehouse,
        "models.training_sets",
        {**same, "uri": str(path.relative_to(home)), "bytes": 1, "rows": len(train), "columns": list(train.columns)},
    )
    version = {"version": manifest.version, "forecaster": "ridge", "n_train": len(train), "sha256": manifest.sha256}
    insert(
        warehouse,
        "models.versions",
        {**same, **version, "uri": f"{FOLDER}/{manifest.version}", "training_id": training_id},
    )
    run = {"forecaster": "ridge", "state": "done", "version": manifest.version, "validation_error": 0.25}
    device = {"launcher": "local", "processes": 1, "device": "cpu", "device_name": "a CPU", "precision": "fp32"}
    times = {"resumed": 0, "seconds": 1.5, "started_at": DONE, "ended_at": DONE, "rows": len(train)}
    row = {**cell, **run, **device, **times, "training_id": training_id, "training_set_id": set_id, "run_id": "r1"}
    insert(warehouse, "models.runs", row)
    curve = [
        {
            "training_id": training_id,
            "fit": "final",
            "metric": "train_loss",
            "step": step,
            "epoch": 0,
            "value": 1 / step,
        }
        for step in range(1, 4)
    ]
    insert(warehouse, "models.curves", *curve)
    return manifest.version


def reevaluated(warehouse: Warehouse, version: str, origin: date, mae: float, *, n_test: int = 50) -> None:
    """Add a week on which a model was evaluated again."""
    insert(
        warehouse,
        "evaluations.reevaluations",
        {
            "version": version,
            "origin": origin,
            "data_version": f"d{n_test}",
            "source": CELL.source,
            "target": CELL.target,
            "cutoff": CELL.cutoff,
            "forecaster": "ridge",
            "n_test": n_test,
            "mae": mae,
            "naive_mae": 0.5,
            "coverage_80": 0.81,
            "clock": "replay",
            "run_id": "r2",
            "evaluated_at": datetime(2024, 4, 1, 0, n_test % 60),
        },
    )
