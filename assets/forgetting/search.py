"""The proof: every file of a home searched for a subject, as bytes and as what the bytes say.

DuckDB and SQLite are searched as bytes and by their cells, Parquet by its values, gz, zip and zlib unpacked. Nothing is
changed here, and what is found is told by where, never by what.
"""

import gzip
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from assets.forgetting import state
from assets.forgetting.files import DUCKDB, SQLITE, home_files, unzipped
from assets.forgetting.landings import parquet_text
from assets.forgetting.needles import Needles
from warehouse.connection import Warehouse, holding
from warehouse.snapshot import tables_holding

_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")


@dataclass
class Searched:
    """What a search looked at and found.

    Attributes:
        files: Files looked at.
        bytes: Their bytes.
        found: Places that hold the subject: path, and how it was read.
    """

    files: int = 0
    bytes: int = 0
    found: list[str] = field(default_factory=list)


def search_home(warehouse: Warehouse, needles: Needles) -> Searched:
    """Search every file of a home; the tasks that are under way, which name the subject, are left out."""
    home, done = warehouse.home, Searched()
    patterns = needles.sql_patterns()
    with warehouse.read() as con:
        done.found += [f"warehouse.duckdb ({name})" for name in holding(con, patterns)]
    with warehouse.file() as file:  # by any other descriptor of it, DuckDB would lose its lock
        whole = file.read()
    done.found += ["warehouse.duckdb (bytes)"] if needles.hits(whole) else []
    for path in home_files(home):
        relative = path.relative_to(home)
        if relative.parts[0] == state.FOLDER:
            continue
        data = b"" if path == warehouse.path else path.read_bytes()
        done.files += 1
        done.bytes += path.stat().st_size
        if data and data == whole:
            continue  # the published snapshot: the same bytes, which were searched
        if needles.hits(str(relative).encode()):
            done.found.append(f"the name of a file in {relative.parent}")
        done.found += [f"{relative} ({how})" for how, said in _said(path, data) if needles.hits(said)]
        if data[8:12] == DUCKDB and patterns:
            done.found += [f"{relative} ({name})" for name in tables_holding(path, patterns)]
    return done


def _said(path: Path, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Everything that a file says, in the ways in which it can be read."""
    yield "bytes", data
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError):
            return
        yield "gz", data
    if data[:4] == b"PAR1":
        yield "Parquet", parquet_text(path)
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield f"zip, {name}", archive.read(name)
    elif data[:2] in _ZLIB:
        yield "zlib", unzipped(data) or b""
    elif data[:16] == SQLITE:
        yield "SQLite", sqlite_text(path)


def sqlite_text(path: Path) -> bytes:
    """Every text and unpacked cell of a SQLite file."""
    import sqlite3

    con = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=60)
    con.text_factory = bytes
    parts: list[bytes] = []
    try:
        for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            quoted = '"' + name.decode().replace('"', '""') + '"'
            for row in con.execute(f"SELECT * FROM {quoted}"):
                parts += [unzipped(cell) or cell for cell in row if isinstance(cell, bytes)]
    finally:
        con.close()
    return b"\n".join(parts)
