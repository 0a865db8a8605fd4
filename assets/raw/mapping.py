"""From the records of a landing to rows of the contract: an adapter becomes one SELECT over the reading.

Runs in a scratch connection and leaves three tables there: `records` (what may enter the raw tables), `quarantine`
and `days`. How a value is parsed is in `parsers.sql`; which of two records stands is decided later.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import duckdb
import pyarrow as pa

from assets.raw.adapters import CHANNEL, CONTENT, COUNTS, PARSERS, Adapter, Choice, Kind
from assets.raw.errors import IngestError
from assets.raw.readers import ENVELOPE, RECORD, Reading
from warehouse.contracts import quoted

# A stated publish time that differs from the id's second by less is the same one, written to the minute.
_SAME_PUBLISH_S = 60
_VALUES = (*CONTENT, *COUNTS, *CHANNEL, "status")
_FLAGS = {"positive_count": "bad_count", "us_time": "bad_time", "moment": "bad_time", "kaggle_day": "bad_time"}
# Stands for the SQL of the observation time, which relative times count from.
_OBSERVED = "<observed_at>"
_VALID = f"json_valid({RECORD}) AND json_valid({ENVELOPE})"


@dataclass(frozen=True)
class Circumstances:
    """What is known of a landing besides its bytes.

    Attributes:
        name: The file name that it is read under; the first of its names.
        arrived: When it was stored here (naive UTC).
        start: First moment that the warehouse keeps.
        now: The clock's time.
    """

    name: str
    arrived: datetime
    start: datetime
    now: datetime


@dataclass(frozen=True)
class Mapped:
    """How a landing was mapped.

    Attributes:
        time_source: Where the observation time came from: row, reply, file_name or operator.
        ignored: Columns that no field uses.
    """

    time_source: str
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class _Slot:
    """One choice that the landing has.

    Attributes:
        text: SQL of its text.
        value: SQL of its parsed value.
        join: How the table of expensively parsed texts joins, or nothing.
        bad: SQL that is true where there is a text that does not parse, or nothing where that does not occur.
    """

    choice: Choice
    text: str
    value: str
    join: str = ""
    bad: str = ""


Slots = dict[str, list[_Slot]]


def map_landing(
    con: duckdb.DuckDBPyConnection, reading: Reading, adapter: Adapter, kind: Kind, around: Circumstances
) -> Mapped:
    """Map a reading, leaving `records`, `quarantine` and `days` in the scratch connection.

    Raises:
        IngestError: The landing lacks a key column, or nothing in it says when it was observed.
    """
    con.execute(PARSERS.read_text(encoding="utf-8"))
    con.register("input", reading.rows)
    con.register("broken", _broken_rows(reading))
    if not reading.columns and not reading.rows.num_rows:
        con.execute(_NOTHING)
        mapped = Mapped("row", ())
    else:
        if reading.format == "json":
            con.execute(f"CREATE TABLE valid AS SELECT * FROM input WHERE {_VALID}")
        slots = _find_slots(con, reading, adapter, around)
        _require_keys(reading, adapter, slots, around)
        if kind == "videos":
            _map_videos(con, reading, adapter, slots, around)
        else:
            _map_cells(con, reading, adapter, slots, around)
        _quarantine(con, reading, slots)
        used = {slot.choice.name.casefold() for each in slots.values() for slot in each if slot.choice.origin == "column"}
        unused = tuple(column for column in reading.columns if column.casefold() not in used)
        mapped = Mapped(_time_source(adapter, slots), unused if kind == "videos" else ())
    con.execute(
        "CREATE TABLE days AS SELECT observed_at::DATE AS day, count(*) AS records "
        "FROM mapped WHERE observed_at IS NOT NULL GROUP BY day"
    )
    return mapped


_NOTHING = """
CREATE TABLE mapped (row_number BIGINT, video_id VARCHAR, observed_at TIMESTAMP, known_at TIMESTAMP);
CREATE VIEW records AS SELECT *, NULL::VARCHAR AS name, NULL::DOUBLE AS value, NULL::VARCHAR AS text FROM mapped;
CREATE TABLE quarantine AS
SELECT row_number, reason, NULL::VARCHAR AS field, NULL::VARCHAR AS value, NULL::TIMESTAMP AS observed_at, text AS record
FROM broken;
"""


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
    return f"to_json({quoted(column)})::VARCHAR" if pa.types.is_nested(kind) else f"{quoted(column)}::VARCHAR"


def path_text(container: str, path: str) -> str:
    """SQL of a dotted path, such as `thumbnails.maxres.url` or `categories[0]`, as text of a JSON column."""
    steps = [re.fullmatch(r"(.*?)((?:\[\d+\])*)", step) for step in path.split(".")]
    inside = "".join(f'."{step[1]}"{step[2]}' for step in steps if step is not None)
    return f"json_extract_string({container}, {literal('$' + inside)})"


# Where the fields are -----------------------------------------------------------------------------------------------


@cache
def _cheap_parsers() -> frozenset[str]:
    return frozenset(re.findall(r"MACRO cheap_(\w+)\(x\)", PARSERS.read_text(encoding="utf-8")))


def rows_of(reading: Reading) -> str:
    """The table that holds the records that can be looked into."""
    return "valid" if reading.format == "json" else "input"


def _find_slots(
    con: duckdb.DuckDBPyConnection, reading: Reading, adapter: Adapter, around: Circumstances
) -> Slots:
    """The choices that this landing has, per field; only the first for the observation time."""
    found: dict[str, list[tuple[Choice, str]]] = {}
    for name, choices in adapter.fields.items():
        if name == "observed_at" and adapter.observed_at is not None:
            continue
        texts = [(choice, text) for choice in choices if (text := _text(con, reading, choice, around)) is not None]
        if texts:
            found[name] = texts[:1] if name == "observed_at" else texts
    left_over = _left_over(con, rows_of(reading), [pair for pairs in found.values() for pair in pairs])
    return {
        name: [
            _slot(con, rows_of(reading), choice, text, f"{name}_{position}", left_over)
            for position, (choice, text) in enumerate(pairs)
        ]
        for name, pairs in found.items()
    }


def _left_over(con: duckdb.DuckDBPyConnection, rows: str, pairs: Sequence[tuple[Choice, str]]) -> set[tuple[Choice, str]]:
    """The choices with texts that their cheap parser does not read, in one pass."""
    cheap = [pair for pair in dict.fromkeys(pairs) if pair[0].parser in _cheap_parsers()]
    if not cheap:
        return set()
    tests = ", ".join(f"bool_or({text} <> '' AND cheap_{choice.parser}({text}) IS NULL)" for choice, text in cheap)
    row = con.execute(f"SELECT {tests} FROM {rows}").fetchone() or ()
    return {pair for pair, left in zip(cheap, row, strict=True) if left}


def _text(con: duckdb.DuckDBPyConnection, reading: Reading, choice: Choice, around: Circumstances) -> str | None:
    if choice.origin == "file_name":
        match = re.search(choice.name, around.name)
        return None if match is None else literal(match[1])
    if reading.format == "json":
        text = path_text(RECORD if choice.origin == "column" else ENVELOPE, choice.name)
        there = con.execute(f"SELECT 1 FROM valid WHERE {text} IS NOT NULL LIMIT 1").fetchone()
        return None if there is None else text
    by_name = {column.casefold(): column for column in reversed(reading.columns)}
    column = by_name.get(choice.name.casefold()) if choice.origin == "column" else None
    return None if column is None else column_text(reading, column)


def _slot(
    con: duckdb.DuckDBPyConnection,
    rows: str,
    choice: Choice,
    text: str,
    name: str,
    left_over: set[tuple[Choice, str]],
) -> _Slot:
    """A choice with its parser: the cheap one for every row, the other for each distinct text that is left."""
    shift = f" + INTERVAL ({round(choice.shift_h * 3600)}) SECOND" if choice.shift_h else ""
    if choice.parser not in _cheap_parsers():
        seen = f", {_OBSERVED}" if choice.parser == "ago" else ""
        return _Slot(choice, text, f"(parse_{choice.parser}({text}{seen}){shift})")
    cheap = f"cheap_{choice.parser}({text})"
    if (choice, text) not in left_over:
        return _Slot(choice, text, f"({cheap}{shift})")
    table = quoted(f"written_{name}")
    missing = "is_no_duration" if choice.parser == "duration" else "is_missing"
    con.execute(
        f"""
        CREATE TABLE {table} AS
        SELECT text, value, value IS NULL AS bad
        FROM (
            SELECT text, parse_{choice.parser}(text) AS value
            FROM (SELECT DISTINCT {text} AS text FROM {rows} WHERE {text} <> '' AND {cheap} IS NULL)
        )
        WHERE value IS NOT NULL OR NOT {missing}(text)
        """
    )
    bad = con.execute(f"SELECT 1 FROM {table} WHERE bad LIMIT 1").fetchone()
    return _Slot(
        choice,
        text,
        f"(coalesce({cheap}, {table}.value){shift})",
        f"LEFT JOIN {table} ON {table}.text = {text}",
        f"coalesce({table}.bad, FALSE)" if bad else "",
    )


def _require_keys(reading: Reading, adapter: Adapter, slots: Slots, around: Circumstances) -> None:
    there = f"it has {', '.join(reading.columns)}" if reading.columns else "its records lack them"
    if "video_id" not in slots:
        wanted = ", ".join(choice.name for choice in adapter.fields.get("video_id", ()))
        raise IngestError(
            around.name,
            f"source {adapter.name} needs one of the columns {wanted}, but {there}; say --map video_id=COLUMN",
            field="video_id",
        )
    if adapter.observed_at is None and "observed_at" not in slots:
        choices = adapter.fields.get("observed_at", ())
        wanted = ", ".join(f"{choice.origin.replace('_', ' ')} {choice.name}" for choice in choices) or "nothing"
        raise IngestError(
            around.name,
            f"nothing says when this was observed (looked for {wanted}); say --observed-at TIME",
            field="observed_at",
        )


def _time_source(adapter: Adapter, slots: Slots) -> str:
    if adapter.observed_at is not None:
        return "operator"
    return {"column": "row", "envelope": "reply", "file_name": "file_name"}[slots["observed_at"][0].choice.origin]


def _first(slots: Sequence[_Slot]) -> str:
    """The value of the first choice that has one."""
    return f"coalesce({', '.join(slot.value for slot in slots)})" if len(slots) > 1 else slots[0].value


def _bad(slots: Iterable[_Slot]) -> str:
    """Whether one of the choices has a text that does not parse."""
    return " OR ".join(slot.bad for slot in slots if slot.bad)


# Videos -------------------------------------------------------------------------------------------------------------


def _map_videos(
    con: duckdb.DuckDBPyConnection, reading: Reading, adapter: Adapter, slots: Slots, around: Circumstances
) -> None:
    values = [name for name in _VALUES if name in slots]
    mended = adapter.publish_second_in_id or "published_at" in values
    kept = [*values, *(["published_at"] if mended and "published_at" not in values else [])]
    flags = _flags(adapter, slots)
    condition = " OR ".join(raised for _, raised in flags) or "FALSE"
    listed = ", ".join(f"CASE WHEN {raised} THEN {literal(flag)} END" for flag, raised in flags)
    con.execute(
        f"""
        CREATE TABLE parsed AS {_keyed(reading, adapter, slots, around, _value_columns(values, slots))};
        CREATE TABLE mapped AS
        WITH mended AS (SELECT * {f", {_best_publish(adapter, slots)} AS best" if mended else ""} FROM parsed),
        flagged AS (
            SELECT *,
                CASE WHEN {condition} THEN list_filter([{listed}]::VARCHAR[], lambda flag: flag IS NOT NULL) END AS flags
            FROM mended
        )
        SELECT row_number, video_id, observed_at, known_at,
            {"".join(f"{_final(name)}, " for name in kept)} flags, {_reason(slots, values, around)} AS reason
        FROM flagged;
        DROP TABLE parsed;
        CREATE VIEW records AS SELECT * EXCLUDE (reason) FROM mapped WHERE reason IS NULL;
        """
    )


def _keyed(reading: Reading, adapter: Adapter, slots: Slots, around: Circumstances, values: Mapping[str, str]) -> str:
    """A SELECT of the keys and of further columns, with what tells why a key is missing."""
    if adapter.observed_at is not None:
        observed, bad_time = f"TIMESTAMP {literal(adapter.observed_at)}", ""
    else:
        observed, bad_time = _first(slots["observed_at"]), _bad(slots["observed_at"])
    ids = {f"id_text_{position}": slot.text for position, slot in enumerate(slots["video_id"])}
    columns = {
        "row_number": "row_number",
        "video_id": _first(slots["video_id"]),
        "observed_at": observed,
        "stated_known_at": _first(slots["known_at"]) if "known_at" in slots else "NULL::TIMESTAMP",
        "bad_observed_at": f"({bad_time or 'FALSE'})",
        "bad_known_at": f"({_bad(slots.get('known_at', ())) or 'FALSE'})",
        **ids,
        **values,
    }
    listed = ", ".join(f"{sql.replace(_OBSERVED, observed)} AS {quoted(name)}" for name, sql in columns.items())
    joins = " ".join(slot.join for each in slots.values() for slot in each if slot.join)
    missing = " AND ".join(f"is_missing({text})" for text in ids)
    destroyed = " OR ".join(f"coalesce(is_destroyed_id({text}), FALSE)" for text in ids)
    return f"""
        SELECT * EXCLUDE ({", ".join(ids)}, stated_known_at),
            coalesce(stated_known_at, {literal(around.arrived) if adapter.known_on_arrival else "observed_at"}) AS known_at,
            CASE WHEN video_id IS NULL THEN {missing} END AS no_id,
            CASE WHEN video_id IS NULL THEN {destroyed} END AS id_destroyed
        FROM (SELECT {listed} FROM {rows_of(reading)} {joins})"""


def _value_columns(values: Sequence[str], slots: Slots) -> dict[str, str]:
    columns = {}
    for name in values:
        value = _first(slots[name])
        columns[_stated(name)] = value
        if _bad(slots[name]):
            columns[f"bad_{name}"] = f"({value} IS NULL AND ({_bad(slots[name])}))"
    ids = slots["video_id"]
    if len(ids) > 1:
        first = ids[0]
        columns["id_recovered"] = f"({first.value} IS NULL AND {_first(ids)} IS NOT NULL AND NOT is_missing({first.text}))"
    return columns


def _best_publish(adapter: Adapter, slots: Slots) -> str:
    stated = "stated_published_at" if "published_at" in slots else "NULL::TIMESTAMP"
    return f"coalesce(tiktok_second(video_id, observed_at), {stated})" if adapter.publish_second_in_id else stated


def _final(name: str) -> str:
    return "CASE WHEN best <= observed_at THEN best END AS published_at" if name == "published_at" else name


def _flags(adapter: Adapter, slots: Slots) -> list[tuple[str, str]]:
    """Each flag that this landing may raise, with the condition."""
    flags = []
    for name in _VALUES:
        if name in slots and _bad(slots[name]):
            parser = slots[name][0].choice.parser
            flags.append((f"{_FLAGS.get(parser, f'bad_{parser}')}:{name}", quoted(f"bad_{name}")))
    if "views" in slots and "likes" in slots:
        flags.append(("likes_above_views", "coalesce(likes > views, FALSE)"))
    if "published_at" in slots or adapter.publish_second_in_id:
        flags.append(("published_after_observed", "coalesce(best > observed_at, FALSE)"))
    if adapter.publish_second_in_id:
        stated = "stated_published_at" if "published_at" in slots else "NULL::TIMESTAMP"
        apart = f"abs(epoch(tiktok_second(video_id, observed_at)) - epoch({stated})) >= {_SAME_PUBLISH_S}"
        flags.append(
            ("publish_time_repaired", f"(tiktok_second(video_id, observed_at) IS NOT NULL AND coalesce({apart}, TRUE))")
        )
    if len(slots["video_id"]) > 1:
        flags.append(("id_recovered", "coalesce(id_recovered, FALSE)"))
    return flags


def _reason(slots: Slots, values: Sequence[str], around: Circumstances) -> str:
    """Why a record is set aside: the first thing that is wrong with it, or null."""
    said = [f"{_stated(name)} IS NOT NULL" for name in values if name != "channel_id"]
    unless_flagged = " OR ".join(["flags IS NOT NULL", *said])
    return f"""{_key_reason(slots, around)}
        WHEN NOT ({unless_flagged}) THEN 'empty_record' END"""


def _stated(name: str) -> str:
    return "stated_published_at" if name == "published_at" else name


def _key_reason(slots: Slots, around: Circumstances) -> str:
    """The beginning of a CASE: what is wrong with the keys."""
    after_known = "OR observed_at > known_at" if "known_at" in slots else ""
    return f"""CASE
        WHEN video_id IS NULL THEN
            CASE WHEN no_id THEN 'missing_id' WHEN id_destroyed THEN 'destroyed_id' ELSE 'bad_id' END
        WHEN observed_at IS NULL THEN CASE WHEN bad_observed_at THEN 'bad_observed_at' ELSE 'missing_observed_at' END
        WHEN observed_at < {literal(around.start)} THEN 'before_start'
        WHEN bad_known_at THEN 'bad_known_at'
        WHEN observed_at > {literal(around.now + timedelta(days=1))} {after_known} THEN 'observed_in_future'"""


# Metrics and labels -------------------------------------------------------------------------------------------------


def _map_cells(
    con: duckdb.DuckDBPyConnection, reading: Reading, adapter: Adapter, slots: Slots, around: Circumstances
) -> None:
    """Every column that is no key becomes a measure: numbers where nearly all of its values are, else text."""
    keys = {slot.choice.name.casefold() for each in slots.values() for slot in each}
    texts = {measure_name(name): text for name, text in _measures(con, reading) if name.casefold() not in keys}
    con.execute(f"CREATE TABLE keyed AS {_keyed(reading, adapter, slots, around, {})}")
    con.execute(
        "CREATE TABLE cells (row_number BIGINT, name VARCHAR, value DOUBLE, text VARCHAR)",
    )
    for name, text in texts.items():
        value = _measure_value(con, reading, text)
        con.execute(
            f"""
            INSERT INTO cells
            SELECT row_number, {literal(name)}, value, CASE WHEN value IS NULL THEN text END
            FROM (SELECT row_number, {text} AS text, {value} AS value FROM {rows_of(reading)})
            WHERE NOT is_missing(text)
            """
        )
    con.execute(
        f"""
        CREATE TABLE mapped AS
        SELECT *, {_key_reason(slots, around)}
            WHEN row_number NOT IN (SELECT row_number FROM cells) THEN 'empty_record' END AS reason
        FROM keyed;
        CREATE VIEW records AS
        SELECT row_number, video_id, observed_at, known_at, name, value, text
        FROM mapped JOIN cells USING (row_number) WHERE reason IS NULL;
        """
    )


def measure_name(column: str) -> str:
    """The name that a column gets as a measure: `Average view duration` becomes `average_view_duration`."""
    return re.sub(r"\W+", "_", column.strip()).strip("_").lower() or "column"


def _measures(con: duckdb.DuckDBPyConnection, reading: Reading) -> list[tuple[str, str]]:
    """Every column, or first-level key of JSON records, with its text."""
    if reading.format != "json":
        return [(column, column_text(reading, column)) for column in reading.columns]
    keys = con.execute(f"SELECT DISTINCT unnest(json_keys({RECORD})) AS key FROM valid ORDER BY key").fetchall()
    return [(key, path_text(RECORD, key)) for (key,) in keys]


def _measure_value(con: duckdb.DuckDBPyConnection, reading: Reading, text: str) -> str:
    """SQL of the number of a measure: 1 and 0 for yes and no, null where the column is text."""
    shares = con.execute(
        f"""
        SELECT count(*), count(*) FILTER (WHERE lower(trim(text)) IN ('true', 'false', 'yes', 'no')),
            count(*) FILTER (WHERE coalesce(cheap_number(text), parse_number(text)) IS NOT NULL)
        FROM (SELECT {text} AS text FROM {rows_of(reading)}) WHERE NOT is_missing(text)
        """
    ).fetchone()
    total, truths, numbers = shares if shares is not None else (0, 0, 0)
    if total and truths == total:
        return f"parse_bool({text})::DOUBLE"
    return f"coalesce(cheap_number({text}), parse_number({text}))" if numbers >= 0.9 * max(total, 1) else "NULL::DOUBLE"


# What is set aside --------------------------------------------------------------------------------------------------


def _broken_rows(reading: Reading) -> pa.Table:
    return pa.table(
        {
            "row_number": pa.array([row.row_number for row in reading.broken], pa.int64()),
            "reason": pa.array([row.reason for row in reading.broken], pa.string()),
            "text": pa.array([row.text for row in reading.broken], pa.string()),
        }
    )


def _record(reading: Reading) -> str:
    """SQL of the record as received, as JSON text."""
    if reading.format == "json":
        return RECORD
    return "to_json({" + ", ".join(f"{literal(column)}: {quoted(column)}" for column in reading.columns) + "})::VARCHAR"


def _quarantine(con: duckdb.DuckDBPyConnection, reading: Reading, slots: Slots) -> None:
    """Table `quarantine`: the records that the mapping judged, and those that could not even be read."""

    def text(name: str) -> str:
        return f"coalesce({', '.join([*(slot.text for slot in slots.get(name, ())), 'NULL::VARCHAR'])})"

    invalid = f"UNION ALL SELECT row_number, 'bad_json', NULL, NULL, NULL, {RECORD} FROM input WHERE NOT ({_VALID})"
    con.execute(
        f"""
        CREATE TABLE quarantine AS
        SELECT row_number, reason,
            CASE field WHEN 'video_id' THEN 'video_id' WHEN 'known_at' THEN 'known_at' WHEN 'observed_at' THEN 'observed_at'
            END AS field,
            left(CASE field WHEN 'video_id' THEN {text("video_id")} WHEN 'known_at' THEN {text("known_at")}
                WHEN 'observed_at' THEN {text("observed_at")} END, 200) AS value,
            judged.observed_at, {_record(reading)} AS record
        FROM {rows_of(reading)} JOIN (
            SELECT row_number, reason, observed_at,
                CASE WHEN reason IN ('missing_id', 'bad_id', 'destroyed_id') THEN 'video_id'
                    WHEN reason = 'bad_known_at' THEN 'known_at' WHEN reason <> 'empty_record' THEN 'observed_at' END AS field
            FROM mapped WHERE reason IS NOT NULL
        ) AS judged USING (row_number)
        UNION ALL SELECT row_number, reason, NULL, NULL, NULL, text FROM broken
        {invalid if reading.format == "json" else ""}
        """
    )
