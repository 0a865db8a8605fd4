"""When a trainer stops before its end: told by a signal, or because the process that started it is gone.

A dead step frees its pool slot while its trainer lives on, so the trainer watches for itself. How a fit stops at a
checkpoint is its own matter (`assets/models/fit_run.py`).
"""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

STARTED_BY = "UPSWELL_STARTED_BY"
"""Environment variable that names the process without which a trainer does not go on; unset where a person started it."""
GRACE_S = 60.0
"""Seconds that a trainer has to stop at a checkpoint; a fit that keeps none is ended after them."""
EXIT_STOPPED = 75
_POLL_S = 0.25


class Stop:
    """Whether a trainer has been asked to stop, and why."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self.why = ""

    def __call__(self) -> bool:
        """Whether it has been asked to."""
        return self._asked.is_set()

    def ask(self, why: str) -> None:
        """Ask it to stop; the first reason stands."""
        if not self._asked.is_set():
            self.why = why
            self._asked.set()


def this_process() -> str:
    """What tells this process from any later one of the same number."""
    return f"{os.getpid()}/{_state_and_start(os.getpid())[1]}"


def lives(process: str) -> bool:
    """Whether a process, as `this_process` named it, is there and not just unburied."""
    pid, _, started = process.partition("/")
    if not Path("/proc/self/stat").exists():
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return False
        return True
    state, found = _state_and_start(int(pid))
    return found == started and state not in ("Z", "X")


@contextmanager
def watched(stop: Stop, grace_s: float = GRACE_S) -> Iterator[None]:
    """Ask to stop on SIGINT, SIGTERM or the end of the process that `STARTED_BY` names; end this one if it does not."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        del frame
        stop.ask(f"told to by {signal.Signals(number).name}")

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(stop, over, os.environ.get(STARTED_BY), grace_s), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()
        watch.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def _watch(stop: Stop, over: threading.Event, started_by: str | None, grace_s: float) -> None:
    while not over.wait(_POLL_S):
        if started_by and not lives(started_by):
            stop.ask(f"the process that started it ({started_by.partition('/')[0]}) is gone")
        if stop():
            if not over.wait(grace_s):
                os._exit(EXIT_STOPPED)
            return


def _state_and_start(pid: int) -> tuple[str, str]:
    """State and start (kernel ticks) of a process; empty where it is gone or the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "", ""
    return fields[0], fields[19]
