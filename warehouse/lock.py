"""The fair lock in front of the warehouse file: readers shared, writers exclusive, first come, first served.

Everyone queues on a turnstile file, takes the lock file, and lets the turnstile go, so neither side starves. The
kernel frees both on `kill -9`. The files are never unlinked. It holds among the processes and threads of one host;
what a holder does with the database is not known here.
"""

import fcntl
import os
import threading
import time
from pathlib import Path
from typing import Literal

# Descriptors that hold or await a lock; a forked child closes its copies, or the parent's lock outlives the parent.
_descriptors: set[int] = set()


class LockTimeoutError(Exception):
    """The lock did not come free in time; `holders` are the processes that hold it, as far as the kernel says."""

    def __init__(self, holders: list[int]) -> None:
        super().__init__(f"held by {holders}")
        self.holders = holders


def acquire(directory: Path, *, exclusive: bool, deadline: float) -> int:
    """Take the lock of a home.

    Each call opens the files anew, so that threads exclude each other as processes do.

    Args:
        directory: The home; holds `warehouse.turnstile` and `warehouse.lock`.
        exclusive: Whether to write.
        deadline: `time.monotonic()` at which to give up.

    Returns:
        A descriptor for `release`.

    Raises:
        LockTimeoutError: The deadline passed.
    """
    lock_path = directory / "warehouse.lock"
    turnstile = _Waiting(directory / "warehouse.turnstile", exclusive=True)
    if not turnstile.wait(deadline):
        raise LockTimeoutError(holders(lock_path))
    try:
        lock = _Waiting(lock_path, exclusive=exclusive)
        if not lock.wait(deadline):
            raise LockTimeoutError(holders(lock_path))
        return lock.descriptor
    finally:
        release(turnstile.descriptor)


def release(descriptor: int) -> None:
    """Free a lock; closing is enough, as nobody else has this description open."""
    _descriptors.discard(descriptor)
    os.close(descriptor)


def holders(path: Path, kind: Literal["FLOCK", "POSIX"] = "FLOCK") -> list[int]:
    """Processes that hold a lock on a file, by its inode in /proc/locks; empty where the kernel does not say."""
    try:
        inode = str(path.stat().st_ino)
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return []
    found = set()
    for line in lines:
        fields = line.split()
        if len(fields) >= 6 and fields[1] == kind and fields[5].rpartition(":")[2] == inode:
            found.add(int(fields[4]))
    return sorted(found)


class _Waiting:
    """One attempt at one lock file. `flock` has no timeout, so a thread waits in it and cleans up if given up on."""

    def __init__(self, path: Path, *, exclusive: bool) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._operation = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        self._settled = threading.Lock()
        self._acquired = False
        self._abandoned = False
        _descriptors.add(self.descriptor)

    def wait(self, deadline: float) -> bool:
        """Whether the lock was taken before the deadline; if not, or on an error, the descriptor is given up."""
        try:
            fcntl.flock(self.descriptor, self._operation | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            pass
        except BaseException:
            release(self.descriptor)
            raise
        thread = threading.Thread(target=self._block, name="warehouse-lock", daemon=True)
        thread.start()
        try:
            thread.join(max(0.0, deadline - time.monotonic()))
        except BaseException:
            self._abandon()
            raise
        return not self._abandon()

    def _block(self) -> None:
        fcntl.flock(self.descriptor, self._operation)
        with self._settled:
            self._acquired = True
            if self._abandoned:
                release(self.descriptor)

    def _abandon(self) -> bool:
        """Give the attempt up unless it has succeeded; the waiting thread then closes the descriptor."""
        with self._settled:
            self._abandoned = not self._acquired
            return self._abandoned


def _close_in_child() -> None:
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_in_child)
