"""Where replies lie while a run collects: a line each in `collecting/` of the home, on the disk before the next request.

A file `<stamp>-<run>.<adapter>.jsonl.part` belongs to the process that holds a lock on it; the kernel frees the lock when that
process dies, whatever way. Then the next run takes the file over, cut after its last whole line. What the lines say, and
how they are ingested, is not known here.
"""

import errno
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from resources.collectors.base import Reply
from warehouse.durable import sync_folder

FOLDER = "collecting"
_PART = ".part"
_NAME = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}(-\d+)?\.[\w:-]+\.\w+(\.part)?")
_BLOCK = 1 << 16
_STALE_S = 86_400.0
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class SpoolFullError(OSError):
    """The disk has no room for a reply; what came before it is kept."""


class UnderWayError(Exception):
    """Another process collects with the same collector."""


@dataclass
class Landing:
    """A complete file of replies that this process has locked."""

    path: Path
    descriptor: int

    def discard(self) -> None:
        """Removes the file, once its bytes are kept as a landing, and gives up the lock."""
        self.path.unlink(missing_ok=True)
        os.close(self.descriptor)

    def leave(self) -> None:
        """Gives up the lock; the file stays for the next run."""
        os.close(self.descriptor)


@contextmanager
def only_one(home: Path, collector: str) -> Iterator[None]:
    """Holds the lock of a collector, so that two processes never ask the same source at once.

    Raises:
        UnderWayError: Another process holds it.
    """
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / f".{collector.replace(':', '-')}.lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if not _lock(descriptor):
            raise UnderWayError(f"another process is collecting with {collector}; wait until it is done")
        yield
    finally:
        os.close(descriptor)


class Spool:
    """The files of one run.

    Args:
        home: The home.
        started_at: When the run began.
        collection_id: Its identifier; the names carry the beginning of it.
    """

    def __init__(self, home: Path, started_at: datetime, collection_id: str) -> None:
        self.folder = home / FOLDER
        self.prefix = prefix(started_at, collection_id)
        self.replies = 0
        self._open: dict[str, Landing] = {}
        self._whole: list[Landing] = []

    def append(self, reply: Reply) -> None:
        """Puts a reply on the disk; when this returns it survives anything.

        Raises:
            SpoolFullError: There is no room for it.
        """
        try:
            if reply.body is not None:
                self._keep_file(reply.adapter, reply.suffix, reply.body)
            else:
                text = json.dumps(reply.line, ensure_ascii=False, separators=(",", ":"))
                self._append_line(reply.adapter, text.encode() + b"\n")
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise SpoolFullError(
                error.errno,
                f"no space in {self.folder}: the {self.replies} replies before this one are kept; "
                "free some space, then the next run goes on from there",
            ) from error
        self.replies += 1

    def finish(self) -> list[Landing]:
        """The files under their final names, complete; still locked until each is discarded or left."""
        landings = [*self._whole, *(_completed(landing) for landing in self._open.values())]
        self._open, self._whole = {}, []
        return landings

    def close(self) -> None:
        """Gives the files up as they are; the next run takes them over."""
        for landing in (*self._whole, *self._open.values()):
            landing.leave()
        self._open, self._whole = {}, []

    def _append_line(self, adapter: str, line: bytes) -> None:
        landing = self._open.get(adapter)
        if landing is None:
            landing = self._open[adapter] = self._begin(f"{self.prefix}.{adapter}.jsonl{_PART}", b"")
        end = os.lseek(landing.descriptor, 0, os.SEEK_END)
        try:
            _write(landing.descriptor, line)
        except OSError:
            os.ftruncate(landing.descriptor, end)
            raise

    def _keep_file(self, adapter: str, suffix: str, body: bytes) -> None:
        number = f"-{len(self._whole)}" if self._whole else ""
        self._whole.append(self._begin(f"{self.prefix}{number}.{adapter}.{suffix}", body))

    def _begin(self, name: str, content: bytes) -> Landing:
        """A new file, locked before anybody can see it under its name."""
        hidden = self.folder / f".{name}.{os.getpid()}"
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            _lock(descriptor)
            _write(descriptor, content)
            os.rename(hidden, self.folder / name)
            sync_folder(self.folder)
        except OSError:
            hidden.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        return Landing(self.folder / name, descriptor)


def prefix(started_at: datetime, collection_id: str) -> str:
    """How the names of a run's files begin."""
    return f"{started_at:%Y%m%dT%H%M%SZ}-{collection_id[:8]}"


def leftovers(home: Path) -> list[Landing]:
    """What killed runs left in the home, complete and locked; files that a living run holds are not among them."""
    folder = home / FOLDER
    found = []
    for path in sorted(folder.glob("*")) if folder.is_dir() else ():
        if path.name.startswith("."):
            _sweep(path)
        if not _NAME.fullmatch(path.name):  # what collectors keep there for themselves
            continue
        descriptor = _taken_over(path)
        if descriptor is None:
            continue
        landing = Landing(path, descriptor)
        if path.name.endswith(_PART):
            _cut(descriptor)
            landing = _completed(landing)
        if os.fstat(descriptor).st_size:
            found.append(landing)
        else:
            landing.discard()
    return found


def _sweep(path: Path) -> None:
    """Removes a file that a killed run had not yet given its name."""
    if not path.name.endswith(".lock") and time.time() - path.stat().st_mtime > _STALE_S:
        path.unlink(missing_ok=True)


def _taken_over(path: Path) -> int | None:
    """A descriptor that holds the lock of a file nobody else holds; None where it has an owner or is gone."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        if _lock(descriptor) and path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
            return descriptor
    except FileNotFoundError:  # its owner has discarded it between the two looks
        pass
    os.close(descriptor)
    return None


def _completed(landing: Landing) -> Landing:
    if not landing.path.name.endswith(_PART):
        return landing
    final = landing.path.with_name(landing.path.name.removesuffix(_PART))
    os.rename(landing.path, final)
    sync_folder(final.parent)
    return Landing(final, landing.descriptor)


def _cut(descriptor: int) -> None:
    """Shortens a file to its last whole line."""
    end = os.lseek(descriptor, 0, os.SEEK_END)
    while end:
        start = max(end - _BLOCK, 0)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            end = start + found + 1
            break
        end = start
    os.ftruncate(descriptor, end)
    os.fsync(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
