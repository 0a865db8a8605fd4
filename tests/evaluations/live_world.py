"""A home with a past to learn from and videos that are still live, a model that serves, and time that moves."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.evaluations.backtest import fit
from assets.evaluations.grid import Cell
from assets.evaluations.served import frame_as_of
from assets.features.frame import features_fingerprint
from assets.models.predictor import Manifest, save
from assets.models.task import Task
from assets.models.training_set import freeze
from resources.settings import Settings, midnight
from tests.features.raw_rows import RawRows, build_features, hours, insert, make_settings
from warehouse.connection import Warehouse

FIRST, LAST = datetime(2024, 1, 2), datetime(2024, 3, 20)
ORIGIN = date(2024, 3, 4)
NOW = datetime(2024, 3, 12)
CELL = Cell("demo", "views_7d", "24h")
VIRAL = Cell("demo", "viral", "24h")
VIDEOS = 420
CUTOFFS = ("pre", "24h")


def world_settings(**trigger: Any) -> Settings:
    """Settings of two cutoffs; `trigger` overrides what asks for a training."""
    found = make_settings(cutoffs=CUTOFFS)
    training = found.training.model_copy(update={"trigger": found.training.trigger.model_copy(update=trigger)})
    return found.model_copy(update={"training": training})


def raw_world(shift_after: datetime | None = None, seed: int = 0) -> RawRows:
    """Videos spread over ten weeks, each observed daily for eight days; later ones all do tenfold better after a shift."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(0, 1, 20)
    raw = RawRows()
    for number in range(VIDEOS):
        published = FIRST + number * (LAST - FIRST) / VIDEOS
        channel = int(rng.integers(0, 20))
        level = 7 + quality[channel] + rng.normal(0, 0.7)
        if shift_after is not None and published >= shift_after:
            level += 2.3
        video, title = f"v{number:03d}", f"{'A' * int(rng.integers(1, 20))} title"
        for age in (2, 26, 50, 98, 146, 168, 190):
            observed = published + hours(age)
            views = int(np.exp(level - 2 * np.exp(-age / 40) + rng.normal(0, 0.2)))
            raw.snapshot(video, observed, views, likes=views // 10, comments=views // 100)
        raw.video(
            video, published + hours(2), channel=f"c{channel}", published_at=published, title=title, duration_s=30.0
        )
        raw.snapshot(video, published + hours(0.5), 1 + int(np.exp(level - 3)), likes=1, comments=0)
        raw.video(
            video, published + hours(0.5), channel=f"c{channel}", published_at=published, title=title, duration_s=30.0
        )
    return raw


def at(warehouse: Warehouse, settings: Settings, now: datetime) -> None:
    """Brings the features up to a moment; those of videos whose outcome was settled before the world's last weeks stay."""
    known = warehouse.query("SELECT count(*) AS videos FROM features.content").to_pylist()[0]["videos"]
    build_features(warehouse, settings, now, start=date(2024, 2, 26) if known else None)


def register(
    warehouse: Warehouse,
    settings: Settings,
    cell: Cell = CELL,
    *,
    alias: str | None = "champion",
    forecaster: str = "ridge",
    origin: date = ORIGIN,
    validation_error: float | None = None,
    decision_id: str | None = None,
    made_at: datetime | None = None,
) -> Manifest:
    """A model fitted on what had matured by an origin, registered as a training run would."""
    frame = frame_as_of(warehouse, settings, cell, origin)
    start = pd.Timestamp(midnight(origin))
    train = frame[frame["value"].notna() & (frame["as_of"] <= start) & (frame["matured_at"] <= start)]
    task = Task.of(settings, cell.target, cell.cutoff)
    training_set_id, _ = freeze(train, warehouse.home)
    manifest = save(
        warehouse.home,
        fit(forecaster, task, train),
        task,
        train,
        origin,
        feature_fingerprint=features_fingerprint(),
        data_version="data",
        training_set_id=training_set_id,
        run_id="run",
    )
    when = made_at or midnight(origin) + timedelta(days=8)
    known = {
        name: getattr(manifest, name) for name in ("source", "target", "cutoff", "forecaster", "version", "run_id")
    }
    known |= {"origin": origin, "training_set_id": training_set_id}
    prints = {name: getattr(manifest, name) for name in ("schema_fingerprint", "feature_fingerprint", "data_version")}
    training_id = f"training-{manifest.version}"
    with warehouse.write() as con:
        row = {**known, **prints, "n_train": len(train), "uri": f"models/{manifest.version}", "sha256": manifest.sha256}
        row |= {"made_by": "training", "alias": alias, "training_id": training_id, "created_at": when}
        insert(con, "models.versions", [row])
        done = {"state": "done", "launcher": "local", "device": "cpu", "device_name": "cpu", "precision": "fp32"}
        times = {"seconds": 1.0, "started_at": when, "ended_at": when}
        run = {**known, **done, **times, "training_id": training_id, "decision_id": decision_id, "rows": len(train)}
        insert(con, "models.runs", [run | {"processes": 1, "resumed": 0, "validation_error": validation_error}])
    return manifest


def allowed() -> None:
    """A guard of a run that goes on."""


def make_home(home: Path, *, shift_after: datetime | None = None) -> Warehouse:
    """A home whose raw rows are complete; features are those of `NOW`."""
    warehouse = Warehouse(home, patience_s=10)
    raw_world(shift_after).write(warehouse)
    at(warehouse, world_settings(), NOW)
    return warehouse
