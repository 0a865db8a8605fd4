"""Everything in a home that is no table and no landing, without the subject: media, training sets, bundles, reports, logs.

What a file is, is told by its first bytes and its place. A file that is made of text loses the mention; a picture, sound or
film goes; a training set goes as a whole; a model keeps what it learned and loses the names that it remembers. A file whose
form is not known is reported by the search rather than broken here.
"""

import gzip
import hashlib
import io
import json
import os
import shutil
import sqlite3
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from assets.forgetting import state
from assets.forgetting.landings import parquet_text
from assets.forgetting.needles import REDACTED, Needles
from assets.forgetting.state import Task
from assets.forgetting.subject import needles_of
from assets.models.training_set import FOLDER as TRAINING_SETS
from assets.models.training_set import withdraw_rows
from assets.raw import readers
from assets.raw.readers import FORGOTTEN, Places
from assets.raw.tombstones import Burial, bury, texts_of, tombstone
from resources.media.store import MediaStore
from warehouse.connection import SPILL, Warehouse

SQLITE = b"SQLite format 3\0"
DUCKDB = b"DUCK"
# What is done elsewhere (landings, the warehouse), what is the operator's own word, and what is being worked from.
_ELSEWHERE = frozenset({"landings", "media", TRAINING_SETS, state.FOLDER})
_OWN_WORD = frozenset({"upswell.yaml", "secrets.env", "clock"})


_RECORDS = frozenset({"inbox", "refused", "collecting"})
"""Where files of records lie that are no landings: what is waiting, what could not be read, what is being collected."""


@dataclass
class Cleaned:
    """What became of files.

    Attributes:
        removed: Paths that are gone, relative to the home.
        rewritten: Paths that lost a mention.
        cells: Cells of databases that lost a mention.
    """

    removed: list[str] = field(default_factory=list)
    rewritten: list[str] = field(default_factory=list)
    cells: int = 0


def home_files(home: Path) -> Iterator[Path]:
    """Every file of a home, links left out, in name order."""
    for folder, folders, names in os.walk(home):
        folders.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path


def remove_media(home: Path, task: Task) -> Cleaned:
    """Take the subject's pictures, sounds and films out of the store."""
    done, store = Cleaned(), MediaStore(home)
    for content_id in task.contents:
        if store.has(content_id):
            done.removed.append(str(store.path(content_id).relative_to(home)))
            store.remove(content_id)
    return done


def training_sets_of(home: Path, task: Task) -> list[str]:
    """The frozen training sets that hold a row of the subject."""
    needles = needles_of(task)
    short = {each for each in task.ids if each not in needles.ids and each not in task.elsewhere}
    found = []
    for path in sorted((home / TRAINING_SETS).glob("*.parquet")):
        text = parquet_text(path)
        if needles.hits(text) or (short and short & set(text.decode("utf-8", errors="replace").split("\n"))):
            found.append(path.stem)
    return found


def take_out_of_training_sets(home: Path, training_set_ids: list[str], task: Task) -> None:
    """Leave the rows of others in some training sets; that they are withdrawn is noted first."""
    for name in training_set_ids:
        table = pyarrow.parquet.read_table(home / TRAINING_SETS / f"{name}.parquet")
        gone = pc.is_in(table["video_id"].cast(pa.string()), pa.array(task.videos, pa.string()))
        if "channel_id" in table.column_names:
            channels = pc.is_in(table["channel_id"].cast(pa.string()), pa.array(task.channels, pa.string()))
            gone = pc.or_(gone, channels)
        withdraw_rows(home, name, table.filter(pc.invert(gone)))


def clean_files(home: Path, task: Task) -> Cleaned:
    """Take the subject out of every other file."""
    needles, done = needles_of(task), Cleaned()
    shutil.rmtree(home / SPILL, ignore_errors=True)
    for path in home_files(home):
        top = path.relative_to(home).parts[0]
        if top in _ELSEWHERE or top in _OWN_WORD or path.name.startswith(("warehouse.", "up.lock")):
            continue
        if _clean(path, home, task, needles, done):
            done.rewritten.append(str(path.relative_to(home)))
    return done


def _clean(path: Path, home: Path, task: Task, needles: Needles, done: Cleaned) -> bool:
    if needles.hits(path.name.encode()):
        path.unlink()
        done.removed.append("a file that was named for the subject")
        return False
    with path.open("rb") as file:
        head = file.read(16)
    if head == SQLITE or head[8:12] == DUCKDB:
        return False  # databases come after, with their writers held off
    if path.relative_to(home).parts[0] in _RECORDS:
        return _clean_records(path, task, needles)
    if path.suffix == ".joblib":
        return _clean_bundle(path, home, set(task.ids), needles)
    if head[:2] == b"\x1f\x8b":
        data = gzip.decompress(path.read_bytes())
        clean = needles.redacted(data)
        return clean != data and _replace(path, gzip.compress(clean, mtime=0))
    if head[:4] == b"PAR1":
        if not needles.hits(parquet_text(path)):
            return False
        path.unlink()
        done.removed.append(str(path.relative_to(home)))
        return False
    data = path.read_bytes()
    if b"\0" in data[:4096] and head[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        return False  # pictures, arrays, archives: the search says where one is left
    clean = needles.redacted(data)
    return clean != data and _replace(path, clean)


def _clean_records(path: Path, task: Task, needles: Needles) -> bool:
    """A file that is still to be read, or could not be: a line that holds the subject becomes a tombstone."""
    with path.open("rb") as file:
        head = file.read(4)
    text = tombstone(task.subject_hash, task.begun_at, task.why)
    if head == b"PAR1":
        if not needles.hits(parquet_text(path)):
            return False
        reading = readers.read(path, path.name, max_record_bytes=1 << 30)
        gone = {
            number: text for number, said in texts_of(reading) if needles.hits(said.encode("utf-8", "surrogateescape"))
        }
        return _replace(path, bury(path, Places((), ()), 1 << 30, Burial(gone, redact=needles.redacted)))
    packed = head[:2] == b"\x1f\x8b"
    data = readers.as_utf8(readers.unpacked(path)[0] if packed else path.read_bytes())
    if not needles.hits(data):
        return False
    lines = data.splitlines(keepends=True)
    json_lines = data.lstrip()[:1] == b"{" and len(lines) > 1
    stands = (json.dumps({FORGOTTEN: text}) if json_lines else text).encode() + b"\n"
    first = 0 if json_lines else 1  # the names of columns, or all of a document
    kept = [stands if at >= first and needles.hits(line) else line for at, line in enumerate(lines)]
    clean = needles.redacted(b"".join(kept))
    return _replace(path, gzip.compress(clean, mtime=0) if packed else clean)


def _replace(path: Path, data: bytes) -> bool:
    """Put other bytes in a file's place, whole or not at all; with the same rights."""
    part = path.with_name(f".{path.name}.forgetting")
    part.write_bytes(data)
    shutil.copymode(path, part)
    with part.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(part, path)
    return True


# Bundles ------------------------------------------------------------------------------------------------------------


def _clean_bundle(path: Path, home: Path, ids: set[str], needles: Needles) -> bool:
    """A model without the names that it remembers: videos that it was trained on, channels that it has a prior of."""
    import joblib

    if not _remembers(path, ids, needles):
        return False
    bundle = joblib.load(path)
    clean = _without(bundle, ids, needles, {})
    out = io.BytesIO()
    joblib.dump(clean, out)
    data = out.getvalue()
    _replace(path, data)
    manifest = path.with_name("manifest.json")
    if manifest.exists():
        said = json.loads(manifest.read_text())
        said["sha256"] = hashlib.sha256(data).hexdigest()
        _replace(manifest, json.dumps(said, indent=1, sort_keys=True).encode())
    return True


def _remembers(path: Path, ids: set[str], needles: Needles) -> bool:
    data = path.read_bytes()
    return bool(needles.hits(data)) or any(each.encode() in data for each in ids)


def _without(value: Any, ids: set[str], needles: Needles, seen: dict[int, Any]) -> Any:
    """An object graph without the subject's ids: keys and members go, texts that mention it are redacted; in place."""
    import numpy as np

    if isinstance(value, str):
        return (
            REDACTED
            if value in ids
            else needles.redacted(value.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        )
    if (
        value is None
        or isinstance(value, int | float | bytes | complex | type)
        or (callable(value) and not hasattr(value, "__dict__"))
    ):
        return value
    if id(value) in seen:
        return seen[id(value)]
    seen[id(value)] = value
    if isinstance(value, dict):
        kept = {key: _without(item, ids, needles, seen) for key, item in value.items() if key not in ids}
        value.clear()
        value.update(kept)
    elif isinstance(value, list):
        value[:] = [_without(item, ids, needles, seen) for item in value if not (isinstance(item, str) and item in ids)]
    elif isinstance(value, tuple | set | frozenset):
        kept_items = [
            _without(item, ids, needles, seen) for item in value if not (isinstance(item, str) and item in ids)
        ]
        if len(kept_items) != len(value) or any(a is not b for a, b in zip(kept_items, value, strict=False)):
            fields = getattr(value, "_fields", None)
            seen[id(value)] = type(value)(*kept_items) if fields else type(value)(kept_items)
            return seen[id(value)]
    elif isinstance(value, np.ndarray):
        if value.dtype.kind in "OU":
            flat = value.reshape(-1)
            for at, item in enumerate(flat.tolist()):
                if isinstance(item, str) and (item in ids or needles.hits(item.encode("utf-8", "surrogatepass"))):
                    flat[at] = ""
    elif hasattr(value, "__dict__"):
        for name, item in list(vars(value).items()):
            new = _without(item, ids, needles, seen)
            if new is not item:
                object.__setattr__(value, name, new)
    return value


def settle_bundles(warehouse: Warehouse) -> None:
    """Tell the tables the fingerprint of bundles that were rewritten."""
    rows = warehouse.query("SELECT version, sha256 FROM models.versions").to_pylist()
    changed = []
    for row in rows:
        manifest = warehouse.home / "models" / row["version"] / "manifest.json"
        if manifest.exists() and (sha256 := json.loads(manifest.read_text()).get("sha256")) != row["sha256"]:
            changed.append((sha256, row["version"]))
    if changed:
        with warehouse.write() as con:
            for sha256, version in changed:
                con.execute(
                    "UPDATE models.versions SET sha256 = $sha WHERE version = $version",
                    {"sha": sha256, "version": version},
                )


# SQLite -------------------------------------------------------------------------------------------------------------


def clean_databases(home: Path, task: Task) -> Cleaned:
    """Take the subject out of every SQLite file (Dagster's, MLflow's), and its bytes out of their free pages.

    Raises:
        sqlite3.OperationalError: Another program has a file open for writing and does not let go.
    """
    needles, done = needles_of(task), Cleaned()
    for path in home_files(home):
        with path.open("rb") as file:
            if file.read(16) != SQLITE:
                continue
        cells = _clean_sqlite(path, needles)
        if cells:
            done.cells += cells
            done.rewritten.append(str(path.relative_to(home)))
    return done


def _clean_sqlite(path: Path, needles: Needles) -> int:
    wal = path.with_name(f"{path.name}-wal")
    if not needles.hits(path.read_bytes()) and not (wal.exists() and needles.hits(wal.read_bytes())):
        con = sqlite3.connect(path, timeout=60)
        try:
            if not _has_packed(con, needles):
                return 0
        finally:
            con.close()
    con = sqlite3.connect(path, timeout=60, isolation_level=None)
    con.text_factory = bytes
    cells = 0
    try:
        con.execute("PRAGMA secure_delete = ON")
        con.execute("BEGIN IMMEDIATE")
        for table, columns in _columns(con):
            for rowid, *values in con.execute(f"SELECT rowid, {', '.join(columns)} FROM {table}").fetchall():
                changed = {
                    c: new for c, old in zip(columns, values, strict=True) if (new := _cell(old, needles)) is not None
                }
                if changed:
                    sets = ", ".join(f"{column} = ?" for column in changed)
                    con.execute(f"UPDATE {table} SET {sets} WHERE rowid = ?", [*changed.values(), rowid])
                    cells += len(changed)
        con.execute("COMMIT")
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        con.execute("VACUUM")
        con.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except BaseException:
        if con.in_transaction:
            con.execute("ROLLBACK")
        raise
    finally:
        con.close()
    return max(cells, 1)


def _columns(con: sqlite3.Connection) -> Iterator[tuple[str, list[str]]]:
    """Tables with a rowid, and their columns that may hold words."""
    names = con.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall()
    for name, sql in names:
        text, made = (each.decode() if isinstance(each, bytes) else str(each or "") for each in (name, sql))
        if text.startswith("sqlite_") or "WITHOUT ROWID" in made.upper():
            continue
        quoted = '"' + text.replace('"', '""') + '"'
        listed = con.execute(f"PRAGMA table_info({quoted})").fetchall()
        numbers = (b"INT", b"FLOAT", b"REAL", b"BOOL", b"DATE", b"TIME")
        columns = []
        for _, column, kind, *_ in listed:
            shown = column if isinstance(column, bytes) else column.encode()
            declared = (kind if isinstance(kind, bytes) else str(kind).encode()).upper()
            if not any(each in declared for each in numbers):
                columns.append('"' + shown.decode().replace('"', '""') + '"')
        if columns:
            yield quoted, columns


def _cell(value: Any, needles: Needles) -> str | bytes | None:
    """A cell without the subject, or None where it does not hold it."""
    if not isinstance(value, bytes) or not value:
        return None
    packed = unzipped(value)
    if packed is not None:
        clean = needles.redacted(packed)
        return zlib.compress(clean) if clean != packed else None
    clean = needles.redacted(value)
    if clean == value:
        return None
    try:
        return clean.decode()
    except UnicodeDecodeError:
        return clean


def unzipped(value: bytes) -> bytes | None:
    """What is packed in bytes by zlib; None where they are not."""
    if value[:1] != b"\x78":
        return None
    try:
        return zlib.decompress(value)
    except zlib.error:
        return None


def _has_packed(con: sqlite3.Connection, needles: Needles) -> bool:
    con.text_factory = bytes
    for table, columns in _columns(con):
        for column in columns:
            for (value,) in con.execute(f"SELECT {column} FROM {table} WHERE typeof({column}) = 'blob'"):
                packed = unzipped(value)
                if packed is not None and needles.hits(packed):
                    return True
    return False
