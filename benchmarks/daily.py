"""One more day costs the same: ingestion and features of a day in CPU time, around day 30 and around day 360.

A simulated source arrives day by day; the medians of eleven days are compared.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from assets.features.build import TABLES
from assets.features.stale import ranges, rebuild, stale_days
from assets.raw.anchors import source_anchors
from assets.raw.ingest import ingest
from resources.settings import load_settings, midnight
from resources.simulator import SimulatorConfig, write_landings
from warehouse.connection import Warehouse

EARLY, LATE, DAYS = 30, 360, 11


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """CPU seconds of ingestion and of features per day, late over early."""
    early, late, days = (8, 20, 5) if quick else (EARLY, LATE, DAYS)
    config = SimulatorConfig(days=late + days // 2 + 1)
    spans = {name: [day + offset for offset in range(-(days // 2), days // 2 + 1)] for name, day in
             (("early", early), ("late", late))}  # fmt: skip
    costs: dict[str, dict[int, float]] = {"ingestion": {}, "features": {}}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        files = write_landings(config, _made(Path(folder) / "files"))
        warehouse, settings = Warehouse(_made(home)), load_settings(home)
        measured = {day for span in spans.values() for day in span}
        for day, path in enumerate(files, start=1):
            now = midnight(config.start) + timedelta(days=day)
            costs["ingestion"][day] = _cpu(lambda path=path, now=now: ingest(warehouse, settings, path, now=now))
            if day in measured or day + 1 in measured:  # the day before takes up what has piled up since
                costs["features"][day] = _cpu(lambda now=now: _refresh(warehouse, settings, now))
    rows = []
    for what, by_day in costs.items():
        value, reference = (statistics.median(by_day[day] for day in spans[name]) for name in ("late", "early"))
        rows.append(
            {
                "benchmark": "daily",
                "figure": f"{what} of one more day, CPU, day {late} against day {early}, medians of {days} days",
                "value": value,
                "unit": "s",
                "reference": reference,
                "ratio": value / reference,
                "target": "at most 1.3 times",
                "ok": value <= 1.3 * reference,
            }
        )
    return rows


def _refresh(warehouse: Warehouse, settings: Any, now: datetime) -> None:
    anchors = source_anchors(warehouse)
    for first, last in ranges(stale_days(warehouse, settings, anchors, now)):
        for name in TABLES:
            rebuild(name, warehouse, settings, anchors, first, last + timedelta(days=1), now, "benchmark")


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _cpu(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
