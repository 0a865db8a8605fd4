"""Ends what a crash left unfinished: runs whose process is gone, and the pool slots that they hold.

Dagster's daemon notices only the runs that it launched itself, and only while it lives; a slot that stays taken holds
up every later run. Nothing here touches the warehouse: its writes are whole or not at all.
"""

import fcntl
import os
import time
from pathlib import Path

import dagster as dg

UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
_UNDERWAY = UNFINISHED[2:]
_PROCESS_TAG = "upswell/process"
_HEARTBEAT_S = 120.0


def process_tag() -> dict[str, str]:
    """The tag of a run that this process executes itself."""
    return {_PROCESS_TAG: f"{os.getpid()}/{_started(os.getpid())}"}


def end_leftovers(instance: dg.DagsterInstance, home: Path, *, restarted: bool = False) -> list[str]:
    """Marks runs whose process is gone as failed and frees the slots of finished runs; returns the former's ids.

    A run that the daemon launched is left over where neither `upswell up` nor any daemon lives on the home, or
    where the caller is about to start (`restarted`).
    """
    ended = []
    for run in instance.get_runs(dg.RunsFilter(statuses=[*_UNDERWAY, dg.DagsterRunStatus.NOT_STARTED])):
        process = run.tags.get(_PROCESS_TAG)
        launched_by_daemon = process is None and run.status in _UNDERWAY
        if (process and not _alive(process)) or (
            launched_by_daemon and (restarted or not _daemon_lives(instance, home))
        ):
            instance.report_run_failed(run, "Its process has ended without a word: killed, or the machine went down.")
            ended.append(run.run_id)
    slots = instance.event_log_storage
    for run_id in slots.get_concurrency_run_ids() if slots.supports_global_concurrency_limits else ():
        holder = instance.get_run_by_id(run_id)
        if holder is None or holder.is_finished:
            slots.free_concurrency_slots_for_run(run_id)
    return ended


def hold_up(home: Path) -> int | None:
    """Takes the lock of the one `upswell up` of a home for the life of this process; None where another has it."""
    (home / "dagster").mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / "dagster" / "up.lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.set_inheritable(descriptor, True)
    return descriptor


def _daemon_lives(instance: dg.DagsterInstance, home: Path) -> bool:
    descriptor = hold_up(home)
    if descriptor is None:
        return True
    os.close(descriptor)
    beats = [beat.timestamp for beat in instance.get_daemon_heartbeats().values()]
    return bool(beats) and time.time() - max(beats) < _HEARTBEAT_S


def _alive(process: str) -> bool:
    pid, _, started = process.partition("/")
    return _started(int(pid)) == started


def _started(pid: int) -> str | None:
    """When a process began, in the kernel's ticks: what tells it from a later one of the same number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return None
