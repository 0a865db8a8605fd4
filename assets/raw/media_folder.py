"""A folder of pictures, sound and films as records: which file belongs to which video, and what is wrong with a record.

The bytes go into the media store; the manifest that comes out is the landing. What the bytes hold beyond their first
few is found out later, by preparation. No warehouse here.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from assets.raw import readers
from assets.raw.errors import IngestError
from assets.raw.store import files
from resources.media.formats import SNIFFED, sniff
from resources.media.store import MediaStore, MediaStoreError, digest
from resources.settings import Settings, midnight

KINDS = ("thumbnail", "image", "frame", "audio", "video")
_FIELDS = ("path", "video_id", "kind", "observed_at")
_REQUIRED = ("path", "video_id")
_OF_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".bmp", ".tif", ".tiff", ".heic"), "image"),
    **dict.fromkeys((".mp3", ".wav", ".m4a", ".aac", ".ogg", ".oga", ".opus", ".flac", ".aiff", ".wma"), "audio"),
    **dict.fromkeys((".mp4", ".mov", ".mkv", ".webm", ".avi", ".flv", ".mpg", ".mpeg", ".ts", ".wmv"), "video"),
}
# Keeping a file is mostly waiting for the disk.
_THREADS = 8

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Fault:
    """Why a record is set aside: reason, field and its value, as in `raw.quarantine`."""

    reason: str
    field: str
    value: str | None


@dataclass(frozen=True)
class Record:
    """One line of a manifest: a file, and the video that it belongs to.

    Attributes:
        path: Path inside the folder.
        video_id: Video that it belongs to.
        kind: thumbnail, image, frame, audio or video.
        sha256: Of its bytes.
        bytes: Its size.
        observed_at: When it was what the video showed (naive UTC), where that is stated.
        kept: Whether its bytes are in the store; those of a file that is too large are not.
        fault: Why it is set aside.
        said: The record of the index, where there is one.
    """

    path: str | None
    video_id: str | None = None
    kind: str | None = None
    sha256: str | None = None
    bytes: int | None = None
    observed_at: datetime | None = None
    kept: bool = False
    fault: Fault | None = None
    said: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Order:
    """What is asked for.

    Attributes:
        source: Source whose videos these are.
        index: File that says which file belongs to which video; None: the file's stem is the video's id.
        mapping: Field -> column, where the columns of the index have other names.
        observed_at: When everything was observed, where the index does not say.
        now: The home's time.
    """

    source: str
    index: Path | None
    mapping: Mapping[str, str]
    observed_at: datetime | None
    now: datetime


def read_folder(folder: Path, order: Order, store: MediaStore, settings: Settings, progress: Progress) -> list[Record]:
    """The records of a folder, in the order of the index or of the file names; bytes of accepted ones are kept.

    Raises:
        IngestError: The folder or the index cannot be read, or a file cannot be kept.
    """
    if not folder.is_dir():
        raise IngestError(folder, "no such folder; --as media takes a folder of pictures, sound and films")
    index = order.index.resolve() if order.index is not None else None
    present = {
        path.relative_to(folder).as_posix(): path for path in files(folder) if index is None or path.resolve() != index
    }
    if order.index is None:
        records = [Record(path, Path(path).stem, observed_at=order.observed_at) for path in present]
    else:
        records = list(_indexed(order.index, order, settings))
        named = {record.path for record in records}
        unnamed = Fault("not_in_index", "path", None)
        records += [Record(path, fault=replace(unnamed, value=path)) for path in present if path not in named]
    if not records:
        raise IngestError(folder, "there is no file in it")
    records = [_checked(record, present, order, settings) for record in records]
    wanted = [record.path for record in records if record.fault is None and record.path is not None]
    seen = _inspect({path: present[path] for path in wanted}, store, settings, progress)
    return [_described(record, seen) for record in records]


def manifest(records: Sequence[Record], source: str) -> bytes:
    """The records as JSON lines: what a landing of a folder is."""
    lines = []
    for record in records:
        said = {name: getattr(record, name) for name in ("path", "video_id", "kind", "sha256", "bytes")}
        stated = record.observed_at.isoformat() if record.observed_at is not None else None
        lines.append(json.dumps({"source": source, **said, "observed_at": stated}, ensure_ascii=False))
    return "".join(f"{line}\n" for line in lines).encode("utf-8", errors="surrogateescape")


def _indexed(index: Path, order: Order, settings: Settings) -> Iterator[Record]:
    """The records of an index, broken ones included."""
    if not index.is_file():
        raise IngestError(index, "no such index")
    reading = readers.read(index, index.name, max_record_bytes=settings.max_record_bytes)
    broken = {each.row_number: each for each in reading.broken}
    said = iter(_columns(reading))
    columns = {name: order.mapping.get(name, name) for name in _FIELDS}
    if reading.rows.num_rows:
        _require_columns(index, reading, columns)
    for number in range(1, reading.count + 1):
        if number in broken:
            fault = Fault(broken[number].reason, "record", broken[number].text[:200])
            yield Record(None, fault=fault, said={"record": broken[number].text})
        else:
            row = next(said)
            yield _claimed(row, {name: row.get(column) for name, column in columns.items()}, order)


def _columns(reading: readers.Reading) -> Iterator[dict[str, Any]]:
    rows = reading.rows.drop_columns([readers.ROW_NUMBER]).to_pylist()
    if reading.format != "json":
        yield from rows
        return
    for row in rows:
        value = json.loads(row[readers.RECORD])
        yield value if isinstance(value, dict) else {readers.RECORD: value}


def _require_columns(index: Path, reading: readers.Reading, columns: Mapping[str, str]) -> None:
    there = reading.columns or tuple(dict.fromkeys(name for row in _columns(reading) for name in row))
    for name in _REQUIRED:
        if columns[name] not in there:
            remedy = f"name it with --map {name}=COLUMN; there are {', '.join(map(str, there))}"
            raise IngestError(index, f"the index has no column {columns[name]}: {remedy}", field=name)


def _claimed(row: dict[str, Any], values: Mapping[str, Any], order: Order) -> Record:
    """A record of the index, its fields read."""
    text = {name: str(value).strip() or None for name, value in values.items() if value is not None}
    path = text.get("path")
    record = Record(
        os.path.normpath(path).replace(os.sep, "/") if path else None, text.get("video_id"), text.get("kind"), said=row
    )
    stated = text.get("observed_at")
    if stated is None:
        return replace(record, observed_at=order.observed_at)
    try:
        at = datetime.fromisoformat(stated)
    except ValueError:
        return replace(record, fault=Fault("bad_observed_at", "observed_at", stated[:200]))
    return replace(record, observed_at=at.astimezone(UTC).replace(tzinfo=None) if at.tzinfo else at)


def _checked(record: Record, present: Mapping[str, Path], order: Order, settings: Settings) -> Record:
    """The record with what is wrong with it."""
    if record.fault is not None:
        return record
    fault = None
    if not record.video_id:
        fault = Fault("missing_id", "video_id", None)
    elif record.path is None:
        fault = Fault("missing_path", "path", None)
    elif record.path.startswith(("/", "../")) or record.path == "..":
        fault = Fault("outside_folder", "path", record.path[:200])
    elif record.path not in present:
        fault = Fault("missing_file", "path", record.path[:200])
    elif record.kind is not None and record.kind not in KINDS:
        fault = Fault("bad_kind", "kind", record.kind[:200])
    elif record.observed_at is not None and record.observed_at > order.now:
        fault = Fault("observed_in_future", "observed_at", record.observed_at.isoformat())
    elif record.observed_at is not None and record.observed_at < midnight(settings.start):
        fault = Fault("before_start", "observed_at", record.observed_at.isoformat())
    return replace(record, fault=fault)


@dataclass(frozen=True)
class _File:
    """What a file is by its first bytes and its name."""

    kind: str | None
    sha256: str
    bytes: int
    kept: bool


def _inspect(paths: Mapping[str, Path], store: MediaStore, settings: Settings, progress: Progress) -> dict[str, _File]:
    """Keeps the files that are media by their first bytes or by their names."""

    def inspect(path: Path) -> _File:
        try:
            with path.open("rb") as file:
                kind = sniff(file.read(SNIFFED))[0] or _OF_SUFFIX.get(path.suffix.lower())
            size = path.stat().st_size
            if kind is None or size > settings.media.max_bytes:
                return _File(kind, digest(path), size, kept=False)
            return _File(kind, store.keep(path), size, kept=True)
        except MediaStoreError as error:
            raise IngestError(path, f"{error}; nothing was ingested") from error
        except OSError as error:
            raise IngestError(path, f"cannot be read: {error.strerror or error}; nothing was ingested") from error

    found: dict[str, _File] = {}
    with ThreadPoolExecutor(_THREADS) as pool:
        for path, file in zip(paths, pool.map(inspect, paths.values()), strict=True):
            found[path] = file
            if len(found) % 1000 == 0:
                progress(f"{len(found):,} of {len(paths):,} files kept")
    return found


def _described(record: Record, seen: Mapping[str, _File]) -> Record:
    """The record with what its file is."""
    if record.fault is not None or record.path is None:
        return record
    file = seen[record.path]
    if file.kind is None:
        return replace(record, fault=Fault("not_media", "path", record.path), sha256=file.sha256, bytes=file.bytes)
    return replace(record, kind=record.kind or file.kind, sha256=file.sha256, bytes=file.bytes, kept=file.kept)


def reasons(records: Sequence[Record]) -> dict[str, int]:
    """How many records are set aside, by reason."""
    return dict(sorted(Counter(record.fault.reason for record in records if record.fault is not None).items()))
