"""A warehouse with the features of one cell, and models of it as a training run would have registered them."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.evaluations.backtest import fit, split
from assets.evaluations.grid import Cell
from assets.evaluations.served import frame_as_of
from assets.features.frame import features_fingerprint
from assets.models.predictor import save
from assets.models.task import Task
from assets.models.training_set import freeze
from resources.settings import load_settings
from tests.features.raw_rows import insert
from warehouse.connection import Warehouse
from warehouse.contracts import table

CELL = Cell("simulator", "log_views_7d", "24h")
NOW = datetime(2024, 4, 1)


def new_home(home: Path, frame: pd.DataFrame, gate_rows: int = 150, target: str = "log_views_7d") -> Warehouse:
    """Feature tables that give a frame of `tests.models.frames` back, and settings with a smaller gate."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "upswell.yaml").write_text(f"gate: {{rows: {gate_rows}}}\n")
    warehouse = Warehouse(home)
    known = frame.assign(
        cutoff=CELL.cutoff,
        target=target,
        anchor_day=frame["anchor_at"].dt.date,
        first_seen_at=frame["anchor_at"],
        known_at=frame["anchor_at"],
        observed_at=frame["matured_at"],
        channel_growth_count=0,
        observations=frame["observations"].fillna(0),
    )
    with warehouse.write() as con:
        for name in ("content", "engagement", "channel", "targets"):
            columns = [column.name for column in table(f"features.{name}").columns if column.name in known.columns]
            insert(con, f"features.{name}", _records(known[columns]))
    return warehouse


def register(
    warehouse: Warehouse,
    origin: date,
    alias: str | None = None,
    *,
    cell: Cell = CELL,
    forecaster: str = "ridge",
    spoil: float = 0.0,
    leak: int = 0,
) -> str:
    """A model fitted on what had matured by an origin.

    Args:
        warehouse: Where it is registered.
        origin: The origin.
        alias: What it serves as.
        cell: Its cell.
        forecaster: What is fitted.
        spoil: Share of the training outcomes that are swapped among each other.
        leak: Videos published since the origin that are fitted on all the same.
    """
    settings = load_settings(warehouse.home)
    frame = frame_as_of(warehouse, settings, cell, origin)
    train, test = split(frame, origin, horizon_days=365)
    train = pd.concat([train, test.head(leak)]).reset_index(drop=True)
    rng = np.random.default_rng(0)
    chosen = np.flatnonzero(rng.random(len(train)) < spoil)
    fitted_on = train.copy()
    fitted_on.loc[chosen, "value"] = train["value"].to_numpy()[rng.permutation(chosen)]
    task = Task.of(settings, cell.target, cell.cutoff)
    training_set_id, _ = freeze(train, warehouse.home)
    manifest = save(
        warehouse.home,
        fit(forecaster, task, fitted_on),
        task,
        train,
        origin,
        feature_fingerprint=features_fingerprint(),
        data_version=f"spoiled {spoil}",
        training_set_id=training_set_id,
        run_id="run",
    )
    own = {name: getattr(manifest, name) for name in vars(manifest) if name in table("models.versions").column_names}
    row = {**own, "origin": origin, "uri": f"models/{manifest.version}", "made_by": "training", "alias": alias}
    with warehouse.write() as con:
        insert(con, "models.versions", [{**row, "created_at": NOW}])
    return manifest.version


def aliases(warehouse: Warehouse) -> dict[str, str]:
    """Which version has each alias."""
    rows = warehouse.query("SELECT alias, version FROM models.versions WHERE alias IS NOT NULL").to_pylist()
    return {row["alias"]: row["version"] for row in rows}


def _records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    plain = rows.astype(object).where(rows.notna(), None)
    return [
        {
            str(name): int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in row.items()
        }
        for row in plain.to_dict("records")
    ]
