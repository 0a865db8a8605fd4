"""The Dagster instance of a home: opened, and made where there is none yet.

Which jobs there are, and running them, is in `runs`.
"""

import fcntl
import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import dagster as dg

from assets.forgetting.assets import runs_under_way
from orchestration.errors import UsageError
from orchestration.event_log import EventLog
from sensors.leftovers import end_leftovers


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


def log_kept_open(instance: dg.DagsterInstance) -> AbstractContextManager[None]:
    """Keeps the databases of an instance's event log open during a run of this process, where its storage can."""
    log = instance.event_log_storage
    return log.kept_open() if isinstance(log, EventLog) else nullcontext()


def refuse_while_running(folder: Path) -> None:
    """Refuses what must not happen beside a run that may still write what it has read.

    Raises:
        UsageError: A run is under way; names it.
    """
    with open_instance(folder) as instance:
        end_leftovers(instance, folder)
        others = runs_under_way(instance)
    if others:
        raise UsageError(f"{others[0]} is under way: wait for its end, or cancel it, then say this again")
