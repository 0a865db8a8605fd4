"""The Dagster instance of a home: opened, made where there is none yet, and told what was done without a run.

Which jobs there are, and running them, is in `runs`: this module is what a command needs that only leaves a note.
"""

import fcntl
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import dagster as dg

from assets.raw.assets import landing_metadata, report_days
from assets.raw.ingest import LandingResult
from resources.home import Home


def open_instance(folder: Path) -> dg.DagsterInstance:
    """The Dagster instance of a home, made where there is none yet."""
    home = folder / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    os.environ["DAGSTER_HOME"] = str(home)
    os.environ.setdefault("DAGSTER_EVENT_BATCH_SIZE", "1000")  # see orchestration/event_log.py
    with (home / "open.lock").open("w") as lock:  # two first commands at once would create the same tables
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "dagster.yaml").exists():
            shutil.copy(Path(__file__).with_name("dagster.yaml"), home / "dagster.yaml")
        return dg.DagsterInstance.get()


def note_landings(folder: Path, results: Sequence[LandingResult]) -> None:
    """Tells the home's instance what the command line has ingested, so that the UI shows it like a run's work."""
    home = Home(path=str(folder))
    metadata = landing_metadata(home.warehouse, results, [])
    with open_instance(folder) as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(["raw", "landings"], metadata=metadata))
        report_days(instance, home.warehouse, results)
