"""Where a landing has the fields of its adapter, and the SQL that parses them.

Every row is tried with the cheap form of a parser; the other form sees each distinct text that is left only once.
What the values mean together (keys, flags, reasons) is not known here.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from assets.raw.adapters import ID, Adapter, Choice, parsers_sql
from assets.raw.errors import IngestError
from assets.raw.readers import ENVELOPE, RECORD, Reading
from warehouse.contracts import quoted

# Column of the records that holds the name of their file.
FILE_NAME = "__name"
# Stands for the SQL of the observation time, which relative times count from.
OBSERVED = "<observed_at>"


@dataclass(frozen=True)
class Place:
    """A choice that the landing has, with the SQL of its text."""

    choice: Choice
    text: str

    @property
    def left_over(self) -> str:
        """SQL that is true where there is a text that the cheap form does not read; nothing where there is none."""
        return f"({self.text} <> '' AND {self.cheap} IS NULL)" if self.has_cheap else ""

    @property
    def has_cheap(self) -> bool:
        """Whether the parser has a cheap form."""
        return self.choice.parser in _cheap_parsers()

    @property
    def cheap(self) -> str:
        """SQL of the value as the cheap form reads it."""
        return f"cheap_{self.choice.parser}({self.text})"

    @property
    def missing(self) -> str:
        """Macro that says whether a text stands for no value."""
        return "is_no_duration" if self.choice.parser == "duration" else "is_missing"


@dataclass(frozen=True)
class Slot:
    """A place with the SQL of its parsed value.

    Attributes:
        place: Where the text is.
        value: SQL of the value.
        join: How the table of patiently parsed texts joins, or nothing.
        bad: SQL that is true where there is a text that does not parse, or nothing where that does not occur.
    """

    place: Place
    value: str
    join: str = ""
    bad: str = ""


Places = Mapping[str, Sequence[Place]]
Slots = Mapping[str, Sequence[Slot]]


@cache
def _cheap_parsers() -> frozenset[str]:
    return frozenset(re.findall(r"MACRO cheap_(\w+)\(x\)", parsers_sql()))


def literal(value: object) -> str:
    """A Python string or time as an SQL literal."""
    if isinstance(value, datetime):
        return f"TIMESTAMP '{value.isoformat(sep=' ')}'"
    return "'" + str(value).replace("'", "''") + "'"


def column_text(reading: Reading, column: str) -> str:
    """SQL of a column of the input as text; nested values of Parquet become JSON."""
    kind = reading.rows.schema.field(column).type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return quoted(column)
    if pa.types.is_decimal(kind) and kind.scale > 0:  # a number, whose zeros part no thousands
        return f"rtrim(rtrim({quoted(column)}::VARCHAR, '0'), '.')"
    return f"to_json({quoted(column)})::VARCHAR" if pa.types.is_nested(kind) else f"{quoted(column)}::VARCHAR"


def key_text(container: str, key: str) -> str:
    """SQL of what a JSON column has under a key, whatever letters that is made of, as text."""
    return f"json_extract_string({container}, {literal('/' + key.replace('~', '~0').replace('/', '~1'))})"


def path_text(container: str, path: str) -> str:
    """SQL of a dotted path, such as `thumbnails.maxres.url` or `categories[0]`, as text of a JSON column."""
    steps = [re.fullmatch(r"(.*?)((?:\[\d+\])*)", step) for step in path.split(".")]
    inside = "".join(f'."{step[1]}"{step[2]}' for step in steps if step is not None)
    return f"json_extract_string({container}, {literal('$' + inside)})"


def signature(reading: Reading, adapter: Adapter, name: str) -> tuple[object, ...]:
    """What two landings of one adapter share where they can be mapped together.

    JSON is, where what surrounds its records, or its name, says when they were observed; else it is mapped by itself.
    """
    if reading.format == "json":
        timed = _timed_around(reading, adapter, name) if adapter.kind not in ("metrics", "labels") else None
        return ("json", id(reading)) if timed is None else ("json", "timed", timed)
    there = {column.casefold() for column in reading.columns}
    timed = next(
        (
            position
            for position, choice in enumerate(adapter.fields.get("observed_at", ()))
            if (choice.name.casefold() in there if choice.origin == "column" else _named(choice, name))
        ),
        None,
    )
    return (reading.columns, tuple(map(str, reading.rows.schema.types)), timed)


def _timed_around(reading: Reading, adapter: Adapter, name: str) -> int | None:
    """Which choice of the observation time the landing has, where no record has to be looked at for that."""
    if adapter.observed_at is not None:
        return -1
    around = [json.loads(text) for text in reading.rows[ENVELOPE].unique().to_pylist()]
    for position, choice in enumerate(adapter.fields.get("observed_at", ())):
        if choice.origin == "column" or ("[" in choice.name and choice.origin == "envelope"):
            return None
        if choice.origin == "file_name" and _named(choice, name):
            return position
        if choice.origin == "envelope" and any(_inside(each, choice.name) for each in around):
            return position
    return None


def _inside(document: Any, path: str) -> bool:
    for key in path.split("."):
        document = document.get(key) if isinstance(document, dict) else None
    return document is not None


def _named(choice: Choice, name: str) -> bool:
    return choice.origin == "file_name" and re.search(choice.name, name) is not None


def find(con: duckdb.DuckDBPyConnection, rows: str, reading: Reading, adapter: Adapter, names: Sequence[str]) -> Places:
    """The places of each field that landings of one signature have; of the observation time only the first.

    Args:
        con: The scratch connection.
        rows: Its table of records.
        reading: One of the landings.
        adapter: Their adapter.
        names: The file names that they are read under.

    Raises:
        IngestError: A key column is lacking, or nothing says when they were observed.
    """
    places: dict[str, list[Place]] = {}
    for key, choices in adapter.fields.items():
        if key == "observed_at" and adapter.observed_at is not None:
            continue
        texts = ((choice, _text(con, rows, reading, choice, names)) for choice in choices)
        found = [Place(choice, text) for choice, text in texts if text is not None]
        if found:
            places[key] = found[:1] if key == "observed_at" else found
    _require_keys(reading, adapter, places, names[0])
    return places


def _text(
    con: duckdb.DuckDBPyConnection, rows: str, reading: Reading, choice: Choice, names: Sequence[str]
) -> str | None:
    if choice.origin == "file_name":
        text = f"nullif(regexp_extract({FILE_NAME}, {literal(choice.name)}, 1), '')"
        return text if any(_named(choice, name) for name in names) else None
    if reading.format == "json":
        text = path_text(RECORD if choice.origin == "column" else ENVELOPE, choice.name)
        there = con.execute(f"SELECT 1 FROM {rows} WHERE {text} IS NOT NULL LIMIT 1").fetchone()
        return None if there is None else text
    by_name = {column.casefold(): column for column in reversed(reading.columns)}
    column = by_name.get(choice.name.casefold()) if choice.origin == "column" else None
    return None if column is None else column_text(reading, column)


def _require_keys(reading: Reading, adapter: Adapter, places: Places, name: str) -> None:
    there = f"it has {', '.join(reading.columns)}" if reading.columns else "its records lack them"
    key = ID.get(adapter.kind, "video_id")
    if key not in places:
        wanted = ", ".join(choice.name for choice in adapter.fields.get(key, ()))
        raise IngestError(
            name,
            f"source {adapter.name} needs one of the columns {wanted}, but {there}; say --map {key}=COLUMN",
            field=key,
        )
    if adapter.observed_at is None and "observed_at" not in places:
        choices = adapter.fields.get("observed_at", ())
        wanted = ", ".join(f"{choice.origin.replace('_', ' ')} {choice.name}" for choice in choices) or "nothing"
        raise IngestError(
            name,
            f"nothing says when this was observed (looked for {wanted}); say --observed-at TIME",
            field="observed_at",
        )


def quick(places: Places) -> Slots:
    """Slots that use the cheap forms alone: right for the rows where nothing is left over."""
    return {
        key: [Slot(place, _shifted(place.cheap, place)) if place.has_cheap else _plain(place) for place in found]
        for key, found in places.items()
    }


def patient(con: duckdb.DuckDBPyConnection, rows: str, places: Places) -> Slots:
    """Slots that read everything; texts that are left over are parsed into tables of the scratch connection."""
    tried = list(dict.fromkeys(place for found in places.values() for place in found if place.has_cheap))
    tests = ", ".join(f"bool_or({place.left_over})" for place in tried)
    row = con.execute(f"SELECT {tests} FROM {rows}").fetchone() if tried else ()
    left_over = {place for place, left in zip(tried, row or (), strict=True) if left}
    slots: dict[str, list[Slot]] = {}
    for key, found in places.items():
        slots[key] = []
        for place in found:
            if place in left_over:
                slots[key].append(_written(con, rows, place, quoted(f"written_{key}_{len(slots[key])}")))
            else:
                slots[key].append(Slot(place, _shifted(place.cheap, place)) if place.has_cheap else _plain(place))
    return slots


def _shifted(value: str, place: Place) -> str:
    seconds = round(place.choice.shift_h * 3600)
    return f"({value} + INTERVAL ({seconds}) SECOND)" if seconds else f"({value})"


def _plain(place: Place) -> Slot:
    seen = f", {OBSERVED}" if place.choice.parser == "ago" else ""
    return Slot(place, _shifted(f"parse_{place.choice.parser}({place.text}{seen})", place))


def _written(con: duckdb.DuckDBPyConnection, rows: str, place: Place, table: str) -> Slot:
    con.execute(
        f"""
        CREATE TABLE {table} AS SELECT __text, parse_{place.choice.parser}(__text) AS __value
        FROM (SELECT DISTINCT {place.text} AS __text FROM {rows} WHERE {place.left_over})
        """
    )
    bad = f"({table}.__text IS NOT NULL AND {table}.__value IS NULL AND NOT {place.missing}({table}.__text))"
    occurs = con.execute(f"SELECT 1 FROM {table} WHERE {bad} LIMIT 1").fetchone()
    return Slot(
        place,
        _shifted(f"coalesce({place.cheap}, {table}.__value)", place),
        f"LEFT JOIN {table} ON {table}.__text = CASE WHEN {place.cheap} IS NULL THEN {place.text} END",
        bad if occurs else "",
    )


def first(slots: Sequence[Slot]) -> str:
    """SQL of the first value that there is."""
    return f"coalesce({', '.join(slot.value for slot in slots)})" if len(slots) > 1 else slots[0].value


def bad(slots: Iterable[Slot]) -> str:
    """SQL that is true where one of the texts does not parse; nothing where that does not occur."""
    return " OR ".join(slot.bad for slot in slots if slot.bad)
