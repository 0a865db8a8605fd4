"""The fair lock in front of the warehouse file: readers shared, writers exclusive, first come, first served.

Each process draws a number at the turnstile file and waits for the one before it; then it takes the lock file and
lets the next one through. The kernel frees everything on `kill -9`: a number whose owner died delays nobody. The
files are never unlinked. It holds on one host (Linux); what a holder does with the database is not known here.

Exclusion rests on the lock file alone, the numbers only keep the order: `flock` wakes all that wait and lets
newcomers pass, which made the slowest of 4 + 4 processes wait three times as long.
"""

import fcntl
import os
import struct
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

# Descriptors that hold or await a lock; a forked child closes its copies, or the parent's lock outlives the parent.
_descriptors: set[int] = set()
# The turnstile file holds the next number; the lock on byte _FIRST + n is held by the owner of number n.
_NUMBER = struct.Struct("<q")
_FIRST = _NUMBER.size
_RANGE = struct.Struct("hhqqi4x")  # struct flock: type, whence, start, length, pid


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
    path = directory / "warehouse.lock"
    turnstile = _open(directory / "warehouse.turnstile")
    passed = _take(turnstile, partial(_flock, turnstile, fcntl.LOCK_EX), deadline)
    if not passed or not _take(turnstile, partial(_lock_byte, turnstile, _draw_number(turnstile) - 1), deadline):
        raise LockTimeoutError(holders(path))
    try:
        descriptor = _open(path)
        if not _take(descriptor, partial(_flock, descriptor, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH), deadline):
            raise LockTimeoutError(holders(path))
        return descriptor
    finally:
        release(turnstile)


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


def _open(path: Path) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    _descriptors.add(descriptor)
    return descriptor


def _draw_number(turnstile: int) -> int:
    """The next number, with its byte locked; the caller holds the turnstile's `flock`, which this frees."""
    stored = os.pread(turnstile, _NUMBER.size, 0)
    number: int = _NUMBER.unpack(stored)[0] if len(stored) == _NUMBER.size else 1
    _lock_byte(turnstile, number, False)
    os.pwrite(turnstile, _NUMBER.pack(number + 1), 0)
    fcntl.flock(turnstile, fcntl.LOCK_UN)
    return number


def _lock_byte(descriptor: int, number: int, wait: bool) -> None:
    """Take the byte of a number; the lock belongs to the open description, as that of `flock` does."""
    request = _RANGE.pack(fcntl.F_WRLCK, os.SEEK_SET, _FIRST + number, 1, 0)
    fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, request)


def _flock(descriptor: int, operation: int, wait: bool) -> None:
    fcntl.flock(descriptor, operation if wait else operation | fcntl.LOCK_NB)


def _take(descriptor: int, take: Callable[[bool], None], deadline: float) -> bool:
    """Whether a lock was taken before the deadline; if not, or on an error, the descriptor is given up."""
    try:
        take(False)
        return True
    except BlockingIOError:
        pass
    except BaseException:
        release(descriptor)
        raise
    return _Waiting(descriptor, take).wait(deadline)


class _Waiting:
    """A wait for one lock. The kernel's has no timeout, so a thread waits, and cleans up if it is given up on."""

    def __init__(self, descriptor: int, take: Callable[[bool], None]) -> None:
        self._descriptor = descriptor
        self._take = take
        self._settled = threading.Lock()
        self._acquired = False
        self._abandoned = False

    def wait(self, deadline: float) -> bool:
        """Whether the lock was taken before the deadline."""
        thread = threading.Thread(target=self._block, name="warehouse-lock", daemon=True)
        thread.start()
        try:
            thread.join(max(0.0, deadline - time.monotonic()))
        except BaseException:
            self._abandon()
            raise
        return not self._abandon()

    def _block(self) -> None:
        self._take(True)
        with self._settled:
            self._acquired = True
            if self._abandoned:
                release(self._descriptor)

    def _abandon(self) -> bool:
        """Give the wait up unless it has succeeded; the waiting thread then closes the descriptor."""
        with self._settled:
            self._abandoned = not self._acquired
            return self._abandoned


def _close_in_child() -> None:
    for descriptor in _descriptors:
        os.close(descriptor)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_in_child)
