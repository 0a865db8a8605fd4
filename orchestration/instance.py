"""The Dagster instance of a home: opened, and made where there is none yet.

Which jobs there are, and running them, is in `runs`.
"""

import fcntl
import os
import shutil
from pathlib import Path

import dagster as dg


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
