"""What Dagster adds: loading the definitions, and a 365-day single-run backfill of the feature tables with its events.

The reference of the backfill is the same work without Dagster.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from assets.features.build import TABLES
from assets.features.stale import rebuild
from assets.raw.anchors import source_anchors
from assets.raw.ingest import ingest
from benchmarks.figures import row
from resources.settings import load_settings
from resources.simulator import SimulatorConfig, write_landings
from sensors.refresh import range_tags
from warehouse.connection import Warehouse

LOAD = "import time; t = time.perf_counter(); import orchestration.definitions as d; d.build_definitions().get_repository_def()"


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Seconds to load the definitions; seconds of work and milliseconds of events of a backfill."""
    return [_load(), *_backfill(30 if quick else 365)]


def _load() -> dict[str, Any]:
    times = []
    for _ in range(5):
        script = f"{LOAD}; print(time.perf_counter() - t)"
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
        )
        times.append(float(done.stdout.split()[-1]))
    value = statistics.median(times)
    return row("orchestration", "definitions load, median of 5", value, "s", None, "at most 1.5 s", value <= 1.5)


def _backfill(days: int) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        home.mkdir()
        os.environ["UPSWELL_HOME"] = str(home)
        from orchestration.runs import Runs

        config = SimulatorConfig(days=days, videos_per_day=60)
        runs, settings = Runs(home), load_settings(home)
        warehouse = Warehouse(home)
        (Path(folder) / "files").mkdir()
        for path in write_landings(config, Path(folder) / "files"):
            ingest(warehouse, settings, path, now=datetime(2026, 1, 1))
        end = config.start + timedelta(days=days)
        began = time.perf_counter()
        _rebuild(warehouse, settings, config.start, end)
        work = time.perf_counter() - began
        began = time.perf_counter()
        runs.execute("features", tags=range_tags(config.start, end - timedelta(days=1)))
        whole = time.perf_counter() - began
    each = max(whole - work, 0) * 1000 / (len(TABLES) * days)
    what = f"backfill of {days} days x {len(TABLES)} feature tables in one run"
    return [
        row("orchestration", f"{what}: work", work, "s", None, "at most 30 s", work <= 30),
        row(
            "orchestration",
            f"{what}: Dagster (events, steps, checks) per asset and partition",
            each,
            "ms",
            None,
            "at most 10 ms",
            each <= 10,
        ),
        row("orchestration", f"{what}: whole run against the work alone", whole, "s", work, "reported", True),
    ]


def _rebuild(warehouse: Warehouse, settings: Any, start: date, end: date) -> None:
    anchors = source_anchors(warehouse)
    for name in TABLES:
        rebuild(name, warehouse, settings, anchors, start, end, datetime(2026, 1, 1), "benchmark")
