"""Rewriting a landing so that some of its records are gone, and every other keeps its number.

In place of a record stands a tombstone, which says what went and why, and of whom only a salted hash; reading it sets it
aside with the reason `forgotten`. All formats that are read are written again: CSV and TSV, JSON lines and documents
with their envelopes, each also as gz, and Parquet. Whose a record is, is decided elsewhere.
"""

import gzip
import io
import re
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from assets.raw import readers
from assets.raw.readers import FORGOTTEN, Places

_ODD = re.compile(r"[^\w.:+ /-]+")
Redact = Callable[[bytes], bytes]


def tombstone(subject_hash: str, at: datetime, why: str) -> str:
    """The text that stands for a record; it holds no character that any format would quote."""
    said = " ".join(_ODD.sub(" ", why).split())[:200]
    return f"{FORGOTTEN} subject={subject_hash} at={at.isoformat(timespec='seconds')} why={said or 'not stated'}"


@dataclass(frozen=True)
class Burial:
    """What is to go from a landing.

    Attributes:
        records: The tombstone of each record that goes, by its number.
        blanks: Columns (of JSON: paths) that are emptied, by record.
        redact: What becomes of bytes that may mention the subject in records of others; None leaves them.
    """

    records: Mapping[int, str] = field(default_factory=dict)
    blanks: Mapping[int, Collection[str]] = field(default_factory=dict)
    redact: Redact | None = None


def bury(path: Path, places: Places, limit: int, burial: Burial) -> bytes:
    """The bytes of a landing without some records.

    Args:
        path: The stored bytes.
        places: Where its records are.
        limit: Longest record that is read.
        burial: What goes.
    """
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PAR1":
        return _bury_parquet(path, burial)
    packed, truncated = head[:2] == b"\x1f\x8b", False
    if packed:
        data, truncated = readers.unpacked(path)
    else:
        data = path.read_bytes()
    data = readers.as_utf8(data)
    text_head = data[:1024].lstrip()
    if text_head[:1] in (b"{", b"["):
        buried = _bury_json(data, limit, places, truncated, burial)
    elif text_head:
        buried = _bury_csv(data, limit, places, burial)
    else:
        buried = data
    if burial.redact is not None:
        buried = burial.redact(buried)
    return _packed(buried, truncated) if packed else buried


def _packed(data: bytes, truncated: bool) -> bytes:
    """As gz, the same bytes each time; without an end where there was none."""
    if not truncated:
        return gzip.compress(data, mtime=0)
    deflate = zlib.compressobj(wbits=31)
    return deflate.compress(data) + deflate.flush(zlib.Z_SYNC_FLUSH)


def _bury_csv(data: bytes, limit: int, places: Places, burial: Burial) -> bytes:
    data = data.removeprefix(b"\xef\xbb\xbf")
    if places.header:
        data = readers.headed(data, places.header)
    delimiter = readers.delimiter_of(data)
    records = readers.records_of(data, delimiter, limit)
    names, header, _ = next(records, (None, b"", ""))
    alone = names is not None and len(names) == 1
    parts = [] if places.header else [header]
    for number, (fields, raw, _) in enumerate(records, 1):
        if number in burial.records:
            parts.append(f"{burial.records[number]}{delimiter if alone else ''}\n".encode())
        elif number in burial.blanks and fields is not None and names is not None:
            gone = {name.casefold() for name in burial.blanks[number]}
            kept = [
                "" if name.strip().casefold() in gone else value for name, value in zip(names, fields, strict=False)
            ]
            parts.append(_csv_line(kept, delimiter))
        else:
            parts.append(raw)
    return b"".join(parts)


def _csv_line(fields: Sequence[str], delimiter: str) -> bytes:
    out = io.StringIO()
    readers.csv_writer(out, delimiter).writerow(fields)
    return out.getvalue().encode("latin-1")


# JSON ---------------------------------------------------------------------------------------------------------------


@dataclass
class _Count:
    """Number of the record at hand."""

    number: int = 0


def _bury_json(data: bytes, limit: int, places: Places, truncated: bool, burial: Burial) -> bytes:
    data = data.removeprefix(b"\xef\xbb\xbf")
    count = _Count()
    lines = readers.json_lines(data, truncated)
    if lines is not None:
        return b"\n".join(_bury_line(line, limit, places, burial, count) for line in lines)
    document = readers.parsed(data)
    if document is not None:
        return readers.dumped(_bury_document(document, places, burial, count)).encode()
    items = [readers.dumped(_bury_record(item, burial, count)) for item in readers.rescue(data)]
    return ("[" + "".join(f"{item},\n" for item in items)).encode()


def _bury_line(line: bytes, limit: int, places: Places, burial: Burial, count: _Count) -> bytes:
    if not line.strip():
        return line
    document = readers.parsed(line) if len(line) <= limit and _is_utf8(line) else None
    if not isinstance(document, dict | list):
        count.number += 1
        if count.number in burial.records:
            return readers.dumped({FORGOTTEN: burial.records[count.number]}).encode()
        return line
    before = count.number
    buried = _bury_entry(document, places, burial, count)
    touched = any(n in burial.records or n in burial.blanks for n in range(before + 1, count.number + 1))
    return readers.dumped(buried).encode() if touched else line


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _bury_document(document: Any, places: Places, burial: Burial, count: _Count) -> Any:
    """The document with its records buried; it is walked as `readers` walks it."""
    if isinstance(document, list):
        return [_bury_entry(item, places, burial, count) for item in document]
    return _bury_entry(document, places, burial, count)


def _bury_entry(value: Any, places: Places, burial: Burial, count: _Count) -> Any:
    """What is one record, or holds a list of them where the adapter says so."""
    leads = readers.leads(value, places.records)
    if leads is None:
        return _bury_record(value, burial, count)
    path, items = leads
    return _with(value, path, [_bury_item(item, places.nested, burial, count) for item in items])


def _bury_item(item: Any, nested: Sequence[str], burial: Burial, count: _Count) -> Any:
    """What is one record, or holds further ones, which are the records then."""
    inner = list(readers.nested_in(item, nested))
    if not inner:
        return _bury_record(item, burial, count)
    for path, records in inner:
        item = _with(item, path, [_bury_record(record, burial, count) for record in records])
    return item


def _with(holder: dict[str, Any], path: str, records: list[Any]) -> dict[str, Any]:
    """A document with other records at a path: a list of them, or one, as before."""
    key, _, below = path.partition(".")
    there = holder[key]
    if below:
        return {**holder, key: _with(there, below, records)}
    return {**holder, key: records if isinstance(there, list) else records[0]}


def _bury_record(record: Any, burial: Burial, count: _Count) -> Any:
    count.number += 1
    if count.number in burial.records:
        return {FORGOTTEN: burial.records[count.number]}
    kept = record
    for path in burial.blanks.get(count.number, ()):
        _blank(kept, re.split(r"[.\[]", path)[:3])
    return kept


def _blank(record: Any, keys: Sequence[str]) -> None:
    """Takes the value at a path out of a record; where there is none, nothing."""
    for key in keys[:-1]:
        record = record.get(key) if isinstance(record, dict) else None
    if isinstance(record, dict):
        record.pop(keys[-1], None)


# Parquet ------------------------------------------------------------------------------------------------------------


def _bury_parquet(path: Path, burial: Burial) -> bytes:
    table = pyarrow.parquet.ParquetFile(path).read()
    said = table.column(FORGOTTEN).to_pylist() if FORGOTTEN in table.column_names else [None] * table.num_rows
    if FORGOTTEN in table.column_names:
        table = table.drop_columns([FORGOTTEN])
    said = [burial.records.get(number, before) for number, before in enumerate(said, 1)]
    gone = pa.array([text is not None for text in said])
    columns = []
    for name in table.column_names:
        blanked = {number for number, names in burial.blanks.items() if name in names}
        empty = (
            pa.compute.or_(gone, pa.array([n in blanked for n in range(1, table.num_rows + 1)])) if blanked else gone
        )
        column = _redacted_column(table.column(name), burial)
        columns.append(pa.compute.if_else(empty, pa.scalar(None, column.type), column))
    fields = [pa.field(name, column.type) for name, column in zip(table.column_names, columns, strict=True)]
    schema = pa.schema([*fields, pa.field(FORGOTTEN, pa.string())])
    buried = pa.Table.from_arrays([*columns, pa.array(said, pa.string())], schema=schema)
    out = io.BytesIO()
    pyarrow.parquet.write_table(buried, out, compression="zstd")
    return out.getvalue()


def _redacted_column(column: pa.ChunkedArray, burial: Burial) -> pa.ChunkedArray:
    if burial.redact is None or not _holds_text(column.type):
        return column
    before = column.to_pylist()
    together = "\n".join(str(value) for value in before if value is not None).encode("utf-8", errors="surrogateescape")
    if burial.redact(together) == together:
        return column
    return pa.chunked_array([pa.array([_redacted(value, burial.redact) for value in before], column.type)])


def _redacted(value: Any, redact: Redact) -> Any:
    if isinstance(value, str):
        return redact(value.encode("utf-8", errors="surrogateescape")).decode("utf-8", errors="surrogateescape")
    if isinstance(value, dict):
        return {key: _redacted(item, redact) for key, item in value.items()}
    if isinstance(value, list):
        return [_redacted(item, redact) for item in value]
    return value


def _holds_text(kind: pa.DataType) -> bool:
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return True
    return pa.types.is_nested(kind) and any(_holds_text(kind.field(n).type) for n in range(kind.num_fields))


def texts_of(reading: readers.Reading, without: Collection[int] = ()) -> Iterator[tuple[int, str]]:
    """The number and all of the text of each record but some, for a search."""
    numbered = reading.rows.column(readers.ROW_NUMBER)
    rows = reading.rows.filter(pa.compute.invert(pa.compute.is_in(numbered, pa.array(list(without), pa.int64()))))
    numbers = rows.column(readers.ROW_NUMBER).to_pylist()
    for number, row in zip(numbers, rows.drop_columns([readers.ROW_NUMBER]).to_pylist(), strict=True):
        yield number, "\n".join(str(value) for value in row.values() if value is not None)
    for broken in reading.broken:
        yield broken.row_number, broken.text
