"""The landing store: received files, byte for byte, under `landings/<2 hex>/<sha256>` of the home.

A file is there whole or not at all. What is in it is not known here.
"""

import contextlib
import hashlib
import os
import shutil
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from assets.raw.errors import IngestError
from assets.raw.readers import gz_is_whole
from warehouse.durable import sync_folder

# Names that programs give to a file while they write it.
UNFINISHED_ENDINGS = (".part", ".tmp", ".crdownload", ".partial", ".swp", ".filepart")
_QUIET_S = 2.0
# A gz without its end is taken for still being written only as long as it may be.
_GZ_PATIENCE_S = 60.0
_BLOCK = 1 << 20
_STALE_S = 86_400.0


@dataclass(frozen=True)
class Kept:
    """A file in the store."""

    landing_id: str
    path: Path
    bytes: int


def files(path: Path) -> list[Path]:
    """Every file below a directory in name order, hidden ones apart; a file is itself.

    Raises:
        IngestError: There is nothing of that name.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise IngestError(path, "no such file or folder")
    found = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts))


def unfinished(path: Path) -> str | None:
    """Why a file should be left for later, or None where it looks complete.

    Judged by its name, by whether it changed in the last two seconds and, for a fresh gz, by its end.
    """
    if path.name.startswith(".") or path.name.endswith(UNFINISHED_ENDINGS):
        return "its name says that it is being written"
    age = time.time() - path.stat().st_mtime
    if 0 <= age < _QUIET_S:
        return "it changed within the last two seconds"
    if path.name.endswith(".gz") and 0 <= age < _GZ_PATIENCE_S and not gz_is_whole(path):
        return "its gz has no end yet"
    return None


def path_of(home: Path, landing_id: str) -> Path:
    """Where a landing is kept."""
    return home / "landings" / landing_id[:2] / landing_id


def keep(home: Path, path: Path) -> Kept:
    """Copy a file into the store under its sha256; the same bytes again change nothing.

    Raises:
        IngestError: It cannot be read, changed while it was copied, or the disk is full.
    """
    folder = home / "landings"
    incoming = folder / f".incoming-{os.getpid()}-{uuid.uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
        before = path.stat()
        landing_id = _copy(path, incoming)
        after = path.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise IngestError(path, "changed while it was read; ingest it again when it is complete")
        kept = path_of(home, landing_id)
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            os.replace(incoming, kept)
            sync_folder(kept.parent)
        return Kept(landing_id, kept, before.st_size)
    except OSError as error:
        raise IngestError(
            path, f"cannot be kept in {folder}: {error.strerror or error}; nothing was changed"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            incoming.unlink(missing_ok=True)


def refuse(home: Path, path: Path, error: IngestError) -> None:
    """Put a file that cannot be read at all aside, beside a text that says why."""
    refused = home / "refused"
    refused.mkdir(parents=True, exist_ok=True)
    name = path.name if not (refused / path.name).exists() else f"{path.stat().st_mtime_ns}-{path.name}"
    (refused / f"{name}.why").write_text(f"{error}\n")
    shutil.move(path, refused / name)


def keep_bytes(home: Path, data: bytes) -> Kept:
    """Put bytes into the store under their sha256, whole or not at all."""
    landing_id = hashlib.sha256(data).hexdigest()
    kept = path_of(home, landing_id)
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        incoming = home / "landings" / f".incoming-{os.getpid()}-{uuid.uuid4().hex}"
        try:
            with incoming.open("wb") as target:
                target.write(data)
                target.flush()
                os.fsync(target.fileno())
            os.replace(incoming, kept)
        finally:
            incoming.unlink(missing_ok=True)
        sync_folder(kept.parent)
    return Kept(landing_id, kept, len(data))


def _copy(path: Path, incoming: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as source, incoming.open("wb") as target:
        while block := source.read(_BLOCK):
            digest.update(block)
            target.write(block)
        target.flush()
        os.fsync(target.fileno())
    return digest.hexdigest()


def _sweep(folder: Path) -> None:
    """Remove what a killed copy left behind."""
    for left in folder.glob(".incoming-*"):
        if time.time() - left.stat().st_mtime > _STALE_S:
            left.unlink(missing_ok=True)
