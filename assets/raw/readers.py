"""From the bytes of a landing to its records, every column as text and every record numbered.

CSV and TSV (gz, BOM, quoted newlines), JSON, JSON lines and Parquet. A record that cannot be read is set aside
with a reason and the others go on. What a column means is not known here: that is the adapter's part.
"""

import csv
import io
import itertools
import json
import mmap
import re
import sys
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
import pyarrow.parquet

from assets.raw.errors import IngestError

Format = Literal["csv", "json", "parquet"]
RECORD = "record"
ENVELOPE = "envelope"
ROW_NUMBER = "__row"
FORGOTTEN = "upswell:forgotten"
"""What a tombstone begins with; see `tombstones`."""
_HEAD = 1 << 16
_EXCERPT = 10_000
_TOMBSTONE = f'{{"{FORGOTTEN}"'
_PART = 1 << 24
_LINE_ENDS = (b"\n", b"\r")
_BOMS = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be", b"\xef\xbb\xbf": "utf-8"}
_HALVES = re.compile("[\ud800-\udfff]")
# What makes a line of JSON no text that DuckDB reads as JSON.
_ODD = ("NaN", "Infinity", "\\ud", "\\uD")
_DELIMITERS = (",", "\t", ";", "|")
_OTHERS = (b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x89PNG", b"%PDF-", b"SQLite format 3")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")


@dataclass(frozen=True)
class Broken:
    """A record that could not be read: its number (from 1), why, and its text (cut)."""

    row_number: int
    reason: str
    text: str


@dataclass(frozen=True)
class Reading:
    """What a landing says.

    Attributes:
        format: How it was written.
        rows: `__row` (the record's number) and one column per input column; for JSON, `record` and `envelope`.
        columns: Names of the input columns; empty for JSON.
        broken: Records that could not be read.
    """

    format: Format
    rows: pa.Table
    columns: tuple[str, ...] = ()
    broken: list[Broken] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Records read, broken ones included."""
        return int(self.rows.num_rows) + len(self.broken)


@dataclass(frozen=True)
class Places:
    """Where the records of a landing are.

    Attributes:
        records: Where a JSON document keeps its list of records, such as `items`; the first path that leads to a
            list counts or, where it says `collected_at`, to an object; what is around is the envelope of each record.
        nested: Where such a record keeps further ones, such as `replies.comments`: these are the records then, and
            what is around them is `item` of their envelope.
        header: Names of the columns of text whose first line is a record; its values are parted by tabs.
    """

    records: tuple[str, ...] = ()
    nested: tuple[str, ...] = ()
    header: tuple[str, ...] = ()


def read(path: Path, name: str, *, max_record_bytes: int, places: Places = Places()) -> Reading:
    """Read a landing.

    Args:
        path: The stored bytes; their form is told by what they begin with, not by a file name.
        name: The name that errors give.
        max_record_bytes: A longer record is set aside.
        places: Where the records are.

    Raises:
        IngestError: The file is Parquet or a JSON document and cannot be opened at all.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"PAR1"):
        return _read_parquet(path, name)
    if head.startswith(b"\x1f\x8b"):
        data, truncated = unpacked(path)
    elif head[:2] in _BOMS:
        data, truncated = path.read_bytes(), False
    else:
        data, truncated = None, False
    head = head if data is None else data[:_HEAD]
    if head[:2] in _BOMS:
        data = (data or b"").decode(_BOMS[head[:2]], errors="replace").lstrip("\ufeff").encode()
        head = data[:_HEAD]
    text_head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    _require_text(text_head, name)
    if text_head[:1] in (b"{", b"["):
        return _read_json(path.read_bytes() if data is None else data, name, max_record_bytes, places, truncated)
    if not text_head:
        return Reading("csv", _numbered(pa.table({}), []), (), _cut_tail(b"", 0) if truncated else [])
    if places.header:
        data = headed(path.read_bytes() if data is None else data, places.header)
        text_head = data[:_HEAD]
    delimiter = delimiter_of(text_head)
    if not truncated:
        quick = _read_csv_quickly(path if data is None else data, delimiter, max_record_bytes)
        if quick is not None:
            return quick
    with path.open("rb") if data is None else io.BytesIO(data) as lines:
        return _read_csv_patiently(lines, delimiter, max_record_bytes, truncated)


def _require_text(head: bytes, name: str) -> None:
    """Refuses what is no text, such as an archive or a picture; a stray NUL in a record is that record's affair."""
    if head.startswith(_OTHERS) or _CONTROL.search(_first_line(head)):
        raise IngestError(
            name,
            "no CSV, JSON or Parquet, and no text in UTF-8 or marked UTF-16; unpack an archive, export a workbook as "
            "CSV, save other text as UTF-8",
        )


def _first_line(head: bytes) -> bytes:
    return next(iter(head.splitlines()), b"")


def gz_is_whole(path: Path) -> bool:
    """Whether a gz file has its end: a writer that is still at work, or was cut off, leaves none."""
    return not unpacked(path, keep=False)[1]


def as_utf8(data: bytes) -> bytes:
    """Bytes with a mark of their encoding in front as UTF-8 without one; others as they are."""
    if data[:2] not in _BOMS and data[:3] not in _BOMS:
        return data
    encoding = _BOMS.get(data[:3]) or _BOMS[data[:2]]
    return data.decode(encoding, errors="replace").lstrip("\ufeff").encode() if encoding != "utf-8" else data


def unpacked(path: Path, keep: bool = True) -> tuple[bytes, bool]:
    """The bytes of a gz file, as far as they can be had, and whether its end is missing."""
    parts: list[bytes] = []
    inflate = zlib.decompressobj(wbits=31)
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            while block:
                try:
                    part = inflate.decompress(block)
                except zlib.error:
                    return b"".join(parts), not inflate.eof
                if keep:
                    parts.append(part)
                block = inflate.unused_data
                if inflate.eof and block:
                    inflate = zlib.decompressobj(wbits=31)
    return b"".join(parts), not inflate.eof


def _cut_tail(tail: bytes, row_number: int) -> list[Broken]:
    text = _excerpt(tail)
    if text.startswith(_TOMBSTONE):
        text = json.loads(text)[FORGOTTEN]
    return [Broken(row_number + 1, "forgotten" if text.startswith(FORGOTTEN) else "truncated", text)]


def _excerpt(record: bytes) -> str:
    return record[:_EXCERPT].decode("utf-8", errors="replace").rstrip("\r\n")


def _numbered(table: pa.Table, skipped: Sequence[int]) -> pa.Table:
    """The table with the numbers of its records: 1, 2, 3, ... without the skipped ones."""
    import numpy as np

    numbers = np.arange(1, table.num_rows + len(skipped) + 1, dtype=np.int64)
    if skipped:
        numbers = np.delete(numbers, np.asarray(skipped, dtype=np.int64) - 1)
    return table.append_column(ROW_NUMBER, pa.array(numbers))


# CSV ----------------------------------------------------------------------------------------------------------------


def headed(data: bytes, header: Sequence[str]) -> bytes:
    """Lines of a file that has no names of its columns, with a line of them in front."""
    return "\t".join(header).encode() + b"\n" + data.removeprefix(b"\xef\xbb\xbf")


def delimiter_of(head: bytes) -> str:
    """What separates the values of CSV, by its first line."""
    line = _first_line(head[:_HEAD]).decode("utf-8", errors="replace")
    return max(_DELIMITERS, key=line.count) if any(mark in line for mark in _DELIMITERS) else ","


def _dialect(delimiter: str) -> type[csv.Dialect]:
    """Values in quotation marks, but for TSV, which has none."""
    separator = delimiter

    class Written(csv.excel):
        delimiter = separator
        quoting = csv.QUOTE_NONE if separator == "\t" else csv.QUOTE_MINIMAL

    return Written


def _header(names: Sequence[str]) -> tuple[str, ...]:
    """Column names, trimmed; an empty or repeated one (in whatever case) gets its position, so that none is lost."""
    seen: set[str] = set()
    header = []
    for position, raw in enumerate(names, 1):
        name = raw.strip().removeprefix("\ufeff") or f"column_{position}"
        name = f"{name}_{position}" if name.casefold() in seen or name.startswith("__") else name
        seen.add(name.casefold())
        header.append(name)
    return tuple(header)


def _read_csv_quickly(source: Path | bytes, delimiter: str, max_record_bytes: int) -> Reading | None:
    """The whole file at once, or None where something in it needs the patient reader."""
    quoted = delimiter != "\t"
    if quoted and not _quoted_well(source, delimiter):
        return None
    broken: list[Broken] = []

    def set_aside(row: Any) -> str:
        broken.append(Broken(row.number - 1, _why_columns(row.text), row.text[:_EXCERPT].rstrip("\r\n")))
        return "skip"

    with _csv_input(source) as first:
        names = next(csv.reader(first, _dialect(delimiter)), [])
    header = _header(names)
    try:
        with _undecodable_unsaid():
            table = pyarrow.csv.read_csv(
                str(source) if isinstance(source, Path) else pa.BufferReader(source),
                read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=max_record_bytes),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=delimiter,
                    quote_char='"' if quoted else False,
                    newlines_in_values=quoted,
                    invalid_row_handler=set_aside,
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False
                ),
            )
    except (pa.ArrowInvalid, OSError):
        return None
    if table.num_columns != len(header) or any(not pa.types.is_string(kind) for kind in table.schema.types):
        return None
    if not _short(table, max_record_bytes):
        return None
    return Reading(
        "csv", _numbered(table.rename_columns(list(header)), [row.row_number for row in broken]), header, broken
    )


def _short(table: pa.Table, most: int) -> bool:
    """Whether no record can be longer than `most` bytes: the longest values of its columns are not, together."""
    longest = [pyarrow.compute.max(pyarrow.compute.binary_length(column)).as_py() or 0 for column in table.columns]
    return sum(longest) + len(longest) <= most


def _why_columns(text: str) -> str:
    """A tombstone has another number of columns than the records, so that every reader sets it aside."""
    return "forgotten" if text.startswith(FORGOTTEN) else "bad_columns"


def _csv_input(source: Path | bytes) -> IO[str]:
    binary: IO[bytes] = source.open("rb") if isinstance(source, Path) else io.BytesIO(source)
    return io.TextIOWrapper(binary, encoding="utf-8-sig", errors="replace", newline="")


@contextmanager
def _undecodable_unsaid() -> Iterator[None]:
    """Arrow prints a traceback where a row for its handler is no UTF-8; the patient reader says so of that row."""
    before = sys.unraisablehook

    def said(error: "sys.UnraisableHookArgs") -> None:
        if not isinstance(error.exc_value, UnicodeDecodeError):
            before(error)

    sys.unraisablehook = said
    try:
        yield
    finally:
        sys.unraisablehook = before


def _quoted_well(source: Path | bytes, delimiter: str) -> bool:
    """Whether every quotation mark opens a value, closes one, or stands doubled in one.

    Else one is never closed, and what a lenient reader takes for one value may reach into other records.
    """
    import numpy as np

    separators = np.zeros(256, dtype=bool)
    separators[[ord(delimiter), ord("\r"), ord("\n")]] = True
    seen, plain = 0, True
    with _view(source) as view:
        at = 3 if view[:3] == b"\xef\xbb\xbf" else 0
        while plain and at < len(view):
            end = view.rfind(b"\n", at, at + _PART) + 1 or min(at + _PART, len(view))
            part = np.frombuffer(b"\n" + view[at:end] + b"\n", dtype=np.uint8)
            marks = np.flatnonzero(part == ord('"'))
            if len(marks):
                last = np.append(np.diff(marks) > 1, True)
                first = np.roll(last, 1)
                odd = (marks[last] - marks[first]) % 2 == 0  # doubled ones come in pairs
                opens = separators[part[marks[first][odd] - 1]]
                closes = separators[part[marks[last][odd] + 1]]
                turn = (np.arange(len(opens)) + seen) % 2 == 0
                plain = bool(((opens == turn) & (closes != turn)).all())
                seen += len(opens)
            at = end
        return (plain and seen % 2 == 0) or _pairs(view, delimiter)


def _pairs(text: "bytes | mmap.mmap", delimiter: str) -> bool:
    """The same of texts whose values begin or end with what separates values."""
    mark = re.escape(delimiter.encode())
    value = re.compile(rb'(?<![^%b\r\n])"[^"]*(?:""[^"]*)*"(?=[%b\r\n]|\Z)' % (mark, mark))
    return sum(found.group().count(b'"') for found in value.finditer(text)) == sum(1 for _ in re.finditer(b'"', text))


@contextmanager
def _view(source: Path | bytes) -> "Iterator[bytes | mmap.mmap]":
    if isinstance(source, bytes):
        yield source
        return
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        yield view


class _RecordTooLargeError(Exception):
    pass


class _Lines:
    """Lines of the file for the CSV reader, remembering those of the record at hand."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file = file
        self._limit = limit
        self._again: list[bytes] = []
        self.taken: list[bytes] = []
        self.ended = False

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._next_line()
        if not line:
            self.ended = True
            raise StopIteration
        self.taken.append(line)
        if sum(map(len, self.taken)) > self._limit:
            raise _RecordTooLargeError
        return line.decode("latin-1")

    def _next_line(self) -> bytes:
        """The next line; it may end with a carriage return alone, which files know as a part of a line."""
        if not self._again:
            lines = self._file.readline(self._limit + 1).splitlines(keepends=True)
            if len(lines) > 1 and not lines[-1].endswith(_LINE_ENDS):
                self._file.seek(-len(lines.pop()), io.SEEK_CUR)
            self._again = lines[::-1]
        return self._again.pop() if self._again else b""

    def give_back(self) -> bytes:
        """Take the record at hand for its first line only: the others will be read again."""
        first, *rest = self.taken
        self._again.extend(reversed(rest))
        self.ended = False
        return first

    def skip_line(self) -> None:
        """Go on after the end of an overlong line."""
        while (part := self._next_line()) and not part.endswith(_LINE_ENDS):
            pass


def csv_writer(out: IO[str], delimiter: str) -> Any:
    """What writes records as they are read."""
    if delimiter != "\t":
        return csv.writer(out, delimiter=delimiter, lineterminator="\n")
    return csv.writer(out, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_NONE, quotechar=None)


def records_of(data: bytes, delimiter: str, limit: int) -> Iterator[tuple[list[str] | None, bytes, str]]:
    """The header and each record of CSV as `_split_records` gives them."""
    return _split_records(_Lines(io.BytesIO(data), limit), delimiter)


def _split_records(lines: _Lines, delimiter: str) -> Iterator[tuple[list[str] | None, bytes, str]]:
    """Each record: its fields in Latin-1 (None where it is broken), its bytes, and the reason.

    Latin-1 decodes any byte to one character, so the records can be told apart before their encoding is judged.
    """
    csv.field_size_limit(max(csv.field_size_limit(), 1 << 30))
    dialect = _dialect(delimiter)
    reader = csv.reader(lines, dialect)
    while True:
        lines.taken = []
        try:
            fields = next(reader)
        except StopIteration:
            return
        except _RecordTooLargeError:
            if len(lines.taken) == 1:
                if not lines.taken[0].endswith(_LINE_ENDS):
                    lines.skip_line()
                yield None, lines.taken[0], "record_too_large"
            else:
                yield None, lines.give_back(), "unclosed_quote"
            reader = csv.reader(lines, dialect)
            continue
        several = len(lines.taken) > 1
        if several and (lines.ended or not _pairs(b"".join(lines.taken), delimiter)):
            yield None, lines.give_back(), "unclosed_quote"
            reader = csv.reader(lines, dialect)
        elif fields:
            yield fields, b"".join(lines.taken), ""


def _read_csv_patiently(file: IO[bytes], delimiter: str, limit: int, truncated: bool) -> Reading:
    """Record by record; whatever is wrong with one stays with that one."""
    if file.read(3) != b"\xef\xbb\xbf":
        file.seek(0)
    records = _split_records(_Lines(file, limit), delimiter)
    names, raw, _ = next(records, (None, b"", ""))
    if names is None:
        return Reading("csv", _numbered(pa.table({}), []), (), [Broken(1, "record_too_large", _excerpt(raw))])
    header = _header([name.encode("latin-1").decode("utf-8", errors="replace") for name in names])
    columns: list[list[str]] = [[] for _ in header]
    broken: list[Broken] = []
    number, last = 0, b""
    for number, (fields, last, reason) in enumerate(records, 1):
        if fields is not None and len(fields) != len(header):
            reason, fields = _why_columns(fields[0]), None
        if fields is not None:
            try:
                fields = [value.encode("latin-1").decode("utf-8") for value in fields]
            except UnicodeDecodeError:
                fields, reason = None, "bad_encoding"
        if fields is None:
            broken.append(Broken(number, reason, _excerpt(last)))
            continue
        for column, value in zip(columns, fields, strict=True):
            column.append(value)
    if truncated:
        _set_aside_tail(columns, broken, number, last)
    table = pa.table(dict(zip(header, (pa.array(column, pa.string()) for column in columns), strict=True)))
    return Reading("csv", _numbered(table, [row.row_number for row in broken]), header, broken)


def _set_aside_tail(columns: list[list[str]], broken: list[Broken], number: int, last: bytes) -> None:
    """The last record before the cut is whole only where its line has an end."""
    if not number or last.endswith(_LINE_ENDS):
        broken.extend(_cut_tail(b"", number))
        return
    if broken and broken[-1].row_number == number:
        broken.pop()
    else:
        for column in columns:
            column.pop()
    broken.extend(_cut_tail(last, number - 1))


# JSON ---------------------------------------------------------------------------------------------------------------


def _read_json(data: bytes, name: str, limit: int, places: Places, truncated: bool) -> Reading:
    data = data.removeprefix(b"\xef\xbb\xbf")
    lines = json_lines(data, truncated)
    if lines is not None:
        return _read_json_lines(lines, limit, places, truncated)
    document = parsed(data)
    broken: list[Broken] = []
    if document is None:
        documents = rescue(data)
        if not documents:
            raise IngestError(name, "neither a JSON document nor JSON lines; mend it, or write one record per line")
        broken = [Broken(len(documents) + 1, "truncated" if truncated else "bad_json", _excerpt(data[-1000:]))]
        return _json_reading([(dumped(item), "{}") for item in documents], broken)
    return _json_reading(list(_records(document, places)), broken)


def json_lines(data: bytes, truncated: bool) -> list[bytes] | None:
    """The lines of JSON lines, the last one cut where the file is; None where it is one document."""
    lines = data.split(b"\n")
    sample = [line for line in lines[:1000] if line.strip()]
    if len(sample) < 2 and not truncated:
        return None
    if parsed(sample[0]) is not None:
        return lines
    whole = sum(isinstance(parsed(line), dict) for line in sample)
    return lines if 2 * whole > len(sample) and parsed(data) is None else None


def _read_json_lines(lines: list[bytes], limit: int, places: Places, truncated: bool) -> Reading:
    pairs: list[tuple[str, str]] = []
    broken: list[Broken] = []
    last = lines.pop() if truncated else b""
    for line in lines:
        if not line.strip():
            continue
        number = len(pairs) + len(broken) + 1
        if len(line) > limit:
            broken.append(Broken(number, "record_too_large", _excerpt(line)))
            continue
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            broken.append(Broken(number, "bad_encoding", _excerpt(line)))
            continue
        document = parsed(line)
        if not isinstance(document, (dict, list)):
            broken.append(Broken(number, "bad_json", _excerpt(line)))
        elif leads(document, places.records) is not None:
            pairs.extend(_records(document, places))
        else:
            odd = any(mark in text for mark in _ODD)
            pairs.append((dumped(document) if odd else text.strip(), "{}"))
    if truncated:
        broken.extend(_cut_tail(last, len(pairs) + len(broken)))
    return _json_reading(pairs, broken)


def _json_reading(pairs: list[tuple[str, str]], broken: list[Broken]) -> Reading:
    if any(record.startswith(_TOMBSTONE) for record, _ in pairs):
        pairs, broken = _without_tombstones(pairs, broken)
    table = pa.table(
        {
            RECORD: pa.array([record for record, _ in pairs], pa.string()),
            ENVELOPE: _repeated([envelope for _, envelope in pairs]),
        }
    )
    return Reading("json", _numbered(table, [row.row_number for row in broken]), (), broken)


def _repeated(texts: Sequence[str]) -> pa.DictionaryArray:
    """Texts, each kept once: what surrounds the records of a page is said of every one of them."""
    places = {text: place for place, text in enumerate(dict.fromkeys(texts))}
    indices = pa.array([places[text] for text in texts], pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(list(places), pa.string()))


def _without_tombstones(
    pairs: list[tuple[str, str]], broken: list[Broken]
) -> tuple[list[tuple[str, str]], list[Broken]]:
    taken = {row.row_number for row in broken}
    numbers = (number for number in itertools.count(1) if number not in taken)
    kept, gone = [], []
    for number, pair in zip(numbers, pairs, strict=False):
        if pair[0].startswith(_TOMBSTONE):
            gone.append(Broken(number, "forgotten", json.loads(pair[0])[FORGOTTEN]))
        else:
            kept.append(pair)
    return kept, sorted([*broken, *gone], key=lambda row: row.row_number)


def dumped(document: Any) -> str:
    """A document as JSON text; half of a character, which a cut title may end with, becomes U+FFFD."""
    return _HALVES.sub("\ufffd", json.dumps(document, ensure_ascii=False))


def parsed(text: bytes) -> Any:
    """The parsed JSON, or None; NaN and Infinity, which JSON does not know, become null."""
    try:
        return json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        return None


def leads(document: Any, paths: Sequence[str]) -> tuple[str, list[Any]] | None:
    """The first path that leads to a list of records or, in an envelope, to one record; with what is there."""
    found = [(path, _at(document, path)) for path in paths] if isinstance(document, dict) else []
    listed = next(((path, there) for path, there in found if isinstance(there, list)), None)
    single = ((path, [there]) for path, there in found if isinstance(there, dict) and "collected_at" in document)
    return listed or next(single, None)


def _at(document: Any, path: str) -> Any:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _without(document: dict[str, Any], path: str) -> dict[str, Any]:
    """A document less what is at a path."""
    key, _, below = path.partition(".")
    around = {name: value for name, value in document.items() if name != key}
    return {**around, key: _without(document[key], below)} if below else around


def _records(document: Any, places: Places) -> Iterator[tuple[str, str]]:
    """Each record of a document with what surrounds it, both as JSON text."""
    if isinstance(document, list):
        for item in document:
            if leads(item, places.records) is not None:
                yield from _records(item, places)
            else:
                yield dumped(item), "{}"
        return
    found = leads(document, places.records)
    if found is None:
        yield dumped(document), "{}"
        return
    path, items = found
    around = _without(document, path)
    envelope = dumped(around)
    for item in items:
        inner = list(nested_in(item, places.nested))
        if inner:
            rest = item
            for place, _ in inner:
                rest = _without(rest, place)
            own = dumped({**around, "item": rest})
            yield from ((dumped(record), own) for _, each in inner for record in each)
        else:
            yield dumped(item), envelope


def nested_in(item: Any, paths: Sequence[str]) -> Iterator[tuple[str, list[Any]]]:
    """The places where a record keeps further ones, with what is there."""
    for path in paths:
        there = _at(item, path)
        if there and isinstance(there, dict | list):
            yield path, there if isinstance(there, list) else [there]


def only_list(reading: Reading) -> str | None:
    """Where a JSON document that stands for one record keeps its list of objects, if there is one such list."""
    if reading.format != "json" or reading.count != 1 or reading.broken:
        return None
    document = json.loads(reading.rows[RECORD][0].as_py())
    above = document if isinstance(document, dict) else {}
    below = {key: value for key, value in above.items() if isinstance(value, dict)}
    inner = {f"{key}.{name}": there for key, value in below.items() for name, there in value.items()}
    found = [path for path, there in {**above, **inner}.items() if _objects(there)]
    return found[0] if len(found) == 1 else None


def _objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def rescue(data: bytes) -> list[Any]:
    """The whole records of a document that is cut off: the objects of its first list of objects."""
    text = data.decode("utf-8", errors="replace")
    decoder = json.JSONDecoder()
    start = text.find("[")
    items: list[Any] = []
    while start >= 0:
        at = start + 1
        while True:
            while at < len(text) and text[at] in " \r\n\t,":
                at += 1
            try:
                item, at = decoder.raw_decode(text, at)
            except (ValueError, RecursionError):
                break
            items.append(item)
        if items and isinstance(items[0], dict):
            return items
        items = []
        start = text.find("[", start + 1)
    return []


# Parquet ------------------------------------------------------------------------------------------------------------


def _read_parquet(path: Path, name: str) -> Reading:
    try:
        table = pyarrow.parquet.ParquetFile(path).read()
    except (pa.ArrowInvalid, OSError) as error:
        raise IngestError(name, f"no whole Parquet file ({error}); write it again") from error
    broken: list[Broken] = []
    if FORGOTTEN in table.column_names:
        said = table.column(FORGOTTEN).to_pylist()
        broken = [Broken(number, "forgotten", text) for number, text in enumerate(said, 1) if text is not None]
        table = table.filter(table.column(FORGOTTEN).is_null()).drop_columns([FORGOTTEN])
    header = _header(table.column_names)
    numbered = _numbered(table.rename_columns(list(header)), [row.row_number for row in broken])
    return Reading("parquet", numbered, header, broken)
