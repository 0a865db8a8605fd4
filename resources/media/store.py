"""The media store: bytes under `media/<2 hex>/<sha256>` of the home, each content once, whole or not at all.

Pictures, films and sound as they came, and what was made of them (frames, 16 kHz sound). What the bytes are is not
known here.
"""

import contextlib
import hashlib
import os
import re
import shutil
import threading
import time
import uuid
from pathlib import Path
from typing import BinaryIO

from warehouse.durable import sync_folder

_BLOCK = 1 << 20
_STALE_S = 86_400.0
_CONTENT_ID = re.compile(r"[0-9a-f]{64}")
_INCOMING = ".incoming-"


class MediaStoreError(OSError):
    """Bytes could not be kept; says what and why."""


class MediaStore:
    """The store of a home; may be used by several threads and processes at once.

    Args:
        home: Folder that the store is in.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home / "media"
        self._to_sweep = True
        self._lock = threading.Lock()

    def path(self, content_id: str) -> Path:
        """Where a content is, or would be, kept.

        Raises:
            ValueError: It is no sha256.
        """
        if not _CONTENT_ID.fullmatch(content_id):
            raise ValueError(f"{content_id!r} is no content id; a content id is the sha256 of the bytes in hex")
        return self.folder / content_id[:2] / content_id

    def has(self, content_id: str) -> bool:
        """Whether a content is here."""
        return self.path(content_id).exists()

    def read(self, content_id: str) -> bytes:
        """The bytes of a content.

        Raises:
            FileNotFoundError: They are not here.
        """
        return self.path(content_id).read_bytes()

    def remove(self, content_id: str) -> None:
        """Takes a content out; one that is not here is no error."""
        self.path(content_id).unlink(missing_ok=True)

    def keep(self, content: Path | bytes) -> str:
        """Keeps bytes, or those of a file; the same bytes again write nothing.

        Returns:
            The content's id: the sha256 of its bytes.

        Raises:
            MediaStoreError: The file cannot be read, changed while it was, or the disk is full; nothing was kept.
        """
        try:
            content_id = hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else digest(content)
            if not self.has(content_id):
                self._write(content, content_id)
            return content_id
        except OSError as error:
            named = "bytes" if isinstance(content, bytes) else content
            raise MediaStoreError(f"{named}: cannot be kept in {self.folder}: {error.strerror or error}") from error

    def _write(self, content: Path | bytes, content_id: str) -> None:
        path = self.path(content_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        self._sweep()
        incoming = self.folder / f"{_INCOMING}{os.getpid()}-{uuid.uuid4().hex}"
        try:
            with incoming.open("wb") as file:
                self._copy(content, file)
                file.flush()
                os.fsync(file.fileno())
            if not isinstance(content, bytes) and digest(incoming) != content_id:
                raise OSError("it changed while it was read; take it in again when it is complete")
            os.replace(incoming, path)
            sync_folder(path.parent)
        finally:
            incoming.unlink(missing_ok=True)

    def _copy(self, content: Path | bytes, target: BinaryIO) -> None:
        if isinstance(content, bytes):
            target.write(content)
            return
        with content.open("rb") as source:
            shutil.copyfileobj(source, target, _BLOCK)

    def _sweep(self) -> None:
        """Removes, once, what processes left behind that were killed while they wrote."""
        with self._lock:
            if not self._to_sweep:
                return
            self._to_sweep = False
        for left in self.folder.glob(f"{_INCOMING}*"):
            writer = left.name.removeprefix(_INCOMING).split("-")[0]
            with contextlib.suppress(FileNotFoundError):
                if not _alive(writer) or time.time() - left.stat().st_mtime > _STALE_S:
                    left.unlink()


def digest(path: Path) -> str:
    """The sha256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _alive(process: str) -> bool:
    """Whether a process of this number runs; what is no number names none."""
    try:
        os.kill(int(process), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True
