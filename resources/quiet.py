"""Who may write to a home while somebody is being forgotten: nobody.

Ingestion holds the lock shared for as long as it works on a file, forgetting holds it alone, together with the devices of the
trainers. The kernel frees both with their process. What is forgotten is not known here.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from resources.trainer.device import FOLDER as DEVICES

NAME = "forgetting.lock"
_PAUSE_S = 0.1
_alone: set[tuple[int, Path]] = set()


class BusyError(RuntimeError):
    """The home is being worked on; says by whom, and the remedy."""


@contextmanager
def working(home: Path) -> Iterator[None]:
    """Hold off forgetting until the end of the block; waits where one is under way."""
    home = Path(os.path.realpath(home))
    if (os.getpid(), home) in _alone:
        yield
        return
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home / NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def alone(home: Path, patience_s: float = 60.0) -> Iterator[None]:
    """Be the only one who works on a home: no ingestion, no training.

    Raises:
        BusyError: Somebody works on it for longer than `patience_s`.
    """
    home = Path(os.path.realpath(home))
    deadline = time.monotonic() + patience_s
    with ExitStack() as held:
        held.enter_context(_taken(home / NAME, "an ingestion is under way", deadline))
        for device in sorted((home / DEVICES).glob("*.lock")):
            held.enter_context(_taken(device, f"a training holds {device.stem}", deadline))
        _alone.add((os.getpid(), home))
        held.callback(_alone.discard, (os.getpid(), home))
        yield


@contextmanager
def _taken(path: Path, who: str, deadline: float) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise BusyError(f"{who} in {path.parent}: wait for its end, then forget again") from None
                time.sleep(_PAUSE_S)
        yield
    finally:
        os.close(descriptor)
