"""From the records of a landing to rows of the contract: an adapter becomes one SELECT over the reading.

Runs in a scratch connection and leaves three tables there: `records` (what may enter the raw tables), `quarantine`
and `days`. How a value is parsed is in `slots` and `parsers.sql`; which of two records stands is decided later.
"""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute

from assets.raw import slots
from assets.raw.adapters import ID, Adapter, parsers_sql
from assets.raw.readers import ENVELOPE, RECORD, ROW_NUMBER, Reading
from assets.raw.slots import Places, Slots, column_text, first, key_text, literal
from warehouse.connection import scratch
from warehouse.contracts import quoted, table
from warehouse.landings import CELLS, CHANNEL, CONTENT, COUNTS, Kind
from warehouse.writer import in_row_groups

# A stated publish time that differs from the id's second by less is the same one, written to the minute.
_SAME_PUBLISH_S = 60
# From here on, rows that cheap parsers read are mapped apart from those that they do not.
_MANY_ROWS = 50_000
_VALUES = (*CONTENT, *COUNTS, *CHANNEL, "status")
_FLAGS = {"positive_count": "bad_count", "us_time": "bad_time", "moment": "bad_time", "kaggle_day": "bad_time"}
_VALID = f"json_valid({RECORD}) AND json_valid({ENVELOPE})"
_ARRIVALS = ("input", "slow", "broken", "judged", "all_records")


@dataclass(frozen=True)
class Arrival:
    """A landing that was read.

    Attributes:
        number: Its place among the landings that are written together; stands for its id here.
        reading: What it says.
        name: The file name that it is read under; the first of its names.
        arrived: When it was stored here (naive UTC).
    """

    number: int
    reading: Reading
    name: str
    arrived: datetime


@dataclass(frozen=True)
class Bounds:
    """Times outside of which a record is set aside: the first moment that the warehouse keeps, and the clock's."""

    start: datetime
    now: datetime


@dataclass(frozen=True)
class Mapped:
    """How landings were mapped.

    Attributes:
        time_source: Where the observation time came from: row, reply, file_name or operator.
        ignored: Columns that no field uses.
    """

    time_source: str
    ignored: tuple[str, ...]


class _Threads(threading.local):
    def __init__(self) -> None:
        self.free: list[tuple[int, duckdb.DuckDBPyConnection]] = []


_threads = _Threads()


@contextmanager
def workbench() -> Iterator[duckdb.DuckDBPyConnection]:
    """A scratch connection with the parsers and an empty schema, for one landing.

    Threads keep theirs, since the parsers take longer to declare than a small landing to map.
    """
    _threads.free = [(process, con) for process, con in _threads.free if process == os.getpid()]
    if _threads.free:
        con = _threads.free.pop()[1]
    else:
        con = scratch()
        con.execute(parsers_sql())
    con.execute("CREATE SCHEMA landing; USE landing")
    try:
        yield con
        for name in _ARRIVALS:
            con.unregister(name)
        con.execute("USE main; DROP SCHEMA landing CASCADE")
    except BaseException:
        con.close()
        raise
    _threads.free.append((os.getpid(), con))


def map_landings(
    con: duckdb.DuckDBPyConnection, arrivals: Sequence[Arrival], adapter: Adapter, kind: Kind, bounds: Bounds
) -> Mapped:
    """Map landings of one signature, leaving `records`, `quarantine` and `days` in the workbench.

    Their column `landing` is the landing's number.

    Raises:
        IngestError: A key column is lacking, or nothing says when they were observed.
    """
    reading = arrivals[0].reading
    table = _together(arrivals)
    con.register("input", table)
    con.register("broken", _broken_rows(arrivals))
    if table.num_rows or (reading.columns and adapter.fields):
        rows = "input"
        if reading.format == "json":
            rows = "valid"
            con.execute(f"CREATE TABLE valid AS SELECT * FROM input WHERE {_VALID}")
        places = slots.find(con, rows, reading, adapter, [arrival.name for arrival in arrivals])
        task = _Task(rows, reading, table, adapter, places, bounds)
        if kind == "videos":
            _map_videos(con, task)
        elif kind in _FACTS:
            _map_facts(con, task, kind)
        else:
            _map_cells(con, task)
        _set_aside(con, task)
        mapped = Mapped(_time_source(adapter, places), _ignored(reading, places) if kind == "videos" else ())
    else:
        con.execute(_NOTHING.format(cells=_no_cells(kind)))
        mapped = Mapped("row" if adapter.observed_at is None else "operator", ())
    con.execute(
        "CREATE TABLE days AS SELECT landing, observed_at::DATE AS day, count(*) AS records "
        "FROM mapped WHERE observed_at IS NOT NULL GROUP BY ALL"
    )
    return mapped


@dataclass(frozen=True)
class _Task:
    """What is mapped: the table of records, one reading that shows their columns, and how."""

    rows: str
    reading: Reading
    table: pa.Table
    adapter: Adapter
    places: Places
    bounds: Bounds


def _together(arrivals: Sequence[Arrival]) -> pa.Table:
    """The records of all landings, with a running position, the landing's number, its file's name and its arrival."""
    tables = []
    for arrival in arrivals:
        table, count = arrival.reading.rows, arrival.reading.rows.num_rows
        shared = {
            "__landing": pa.array(np.full(count, arrival.number, np.int32)),
            slots.FILE_NAME: pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [arrival.name]),
            "__arrived": pa.array(np.full(count, np.datetime64(arrival.arrived, "us"))),
        }
        for name, column in shared.items():
            table = table.append_column(name, column)
        tables.append(table)
    together = pa.concat_tables(tables)
    together = together.append_column("__position", pa.array(np.arange(together.num_rows, dtype=np.int64)))
    return in_row_groups(together)


_NOTHING = """
CREATE TABLE mapped (landing INTEGER, row_number BIGINT, video_id VARCHAR, observed_at TIMESTAMP, known_at TIMESTAMP);
CREATE VIEW records AS SELECT * {cells} FROM mapped;
CREATE TABLE quarantine AS
SELECT landing, row_number, reason, NULL::VARCHAR AS field, NULL::VARCHAR AS value, NULL::TIMESTAMP AS observed_at,
    text AS record
FROM broken;
"""


def _no_cells(kind: Kind) -> str:
    """SQL of the columns that records of a kind have besides those that all have."""
    if kind not in CELLS:
        return ""
    types = {column.name: column.type for column in table(f"raw.{CELLS[kind].table}").columns}
    nulls = {ours: f"NULL::{types[theirs]}" for ours, theirs in CELLS[kind].columns.items()}
    return "".join(f", {null} AS {ours}" for ours, null in {"name": "NULL::VARCHAR", **nulls}.items())


def _time_source(adapter: Adapter, places: Places) -> str:
    if adapter.observed_at is not None:
        return "operator"
    origin = places["observed_at"][0].choice.origin
    return {"column": "row", "envelope": "reply", "file_name": "file_name"}[origin]


def _ignored(reading: Reading, places: Places) -> tuple[str, ...]:
    choices = [place.choice for found in places.values() for place in found]
    used = {choice.name.casefold() for choice in choices if choice.origin == "column"}
    return tuple(column for column in reading.columns if column.casefold() not in used)


# Videos -------------------------------------------------------------------------------------------------------------


def _map_videos(con: duckdb.DuckDBPyConnection, task: _Task) -> None:
    """Table or view `mapped`: values, flags and the reason why a record is set aside."""
    rows, places = task.rows, task.places
    if task.table.num_rows < _MANY_ROWS:
        con.execute(f"CREATE TABLE mapped AS {_video_rows(rows, task, slots.patient(con, rows, places))}")
    else:
        left_over = " OR ".join(place.left_over for found in places.values() for place in found if place.has_cheap)
        con.execute(f"CREATE TABLE quick AS {_video_rows(rows, task, slots.quick(places), left_over)}")
        slow = con.execute("SELECT position FROM quick WHERE left_over ORDER BY position").to_arrow_table()["position"]
        con.register("slow", task.table.take(slow))
        con.execute(f"CREATE TABLE patient AS {_video_rows('slow', task, slots.patient(con, 'slow', places))}")
        con.execute(
            "CREATE VIEW mapped AS SELECT * EXCLUDE (left_over) FROM quick WHERE NOT left_over UNION ALL FROM patient"
        )
    con.execute("CREATE VIEW records AS SELECT * EXCLUDE (reason, position) FROM mapped WHERE reason IS NULL")


def _video_rows(rows: str, task: _Task, found: Slots, left_over: str = "") -> str:
    """A SELECT of `mapped`, with the column `left_over` where its SQL is given."""
    values = [name for name in _VALUES if name in found]
    publishes = task.adapter.publish_second_in_id or "published_at" in values
    kept = [*values, *(["published_at"] if publishes and "published_at" not in values else [])]
    flags = _flags(task.adapter, found)
    raised = ", ".join(f"CASE WHEN {condition} THEN {literal(flag)} END" for flag, condition in flags)
    columns = _value_columns(values, found)
    if left_over:
        columns["left_over"] = f"coalesce({left_over}, FALSE)"
    return f"""
        WITH keyed AS ({_keyed(rows, task, found, columns)}),
        mended AS (SELECT * {f", {_best_publish(task.adapter, found, values)} AS best" if publishes else ""} FROM keyed),
        flagged AS (
            SELECT *, CASE WHEN {" OR ".join(condition for _, condition in flags) or "FALSE"}
                THEN list_filter([{raised}]::VARCHAR[], lambda flag: flag IS NOT NULL) END AS flags
            FROM mended
        )
        SELECT landing, row_number, position, video_id, observed_at, known_at,
            {"".join(f"{_final(name)}, " for name in kept)} flags,
            {_reason(found, values, task.bounds)} AS reason {", left_over" if left_over else ""}
        FROM flagged"""


def _keyed(rows: str, task: _Task, found: Slots, values: Mapping[str, str]) -> str:
    """A SELECT of the keys and of further columns, with what tells why a key is missing.

    What a record is told by is called `video_id` here, also where it is a channel or a comment.
    """
    if task.adapter.observed_at is not None:
        observed, bad_time = f"TIMESTAMP {literal(task.adapter.observed_at)}", ""
    else:
        observed, bad_time = first(found["observed_at"]), slots.bad(found["observed_at"])
    told_by = found[ID.get(task.adapter.kind, "video_id")]
    ids = {f"id_text_{position}": slot.place.text for position, slot in enumerate(told_by)}
    columns = {
        "landing": "__landing",
        "row_number": ROW_NUMBER,
        "position": "__position",
        "video_id": first(told_by),
        "observed_at": observed,
        "stated_known_at": first(found["known_at"]) if "known_at" in found else "NULL::TIMESTAMP",
        "arrived_at": "__arrived",
        "bad_observed_at": f"({bad_time or 'FALSE'})",
        "bad_known_at": f"({slots.bad(found.get('known_at', ())) or 'FALSE'})",
        **ids,
        **values,
    }
    listed = ", ".join(f"{sql.replace(slots.OBSERVED, observed)} AS {quoted(name)}" for name, sql in columns.items())
    joins = " ".join(slot.join for each in found.values() for slot in each if slot.join)
    missing = " AND ".join(f"is_missing({text})" for text in ids)
    destroyed = " OR ".join(f"coalesce(is_destroyed_id({text}), FALSE)" for text in ids)
    return f"""
        SELECT * EXCLUDE ({", ".join(ids)}, stated_known_at, arrived_at),
            coalesce(stated_known_at, {"arrived_at" if task.adapter.known_on_arrival else "observed_at"}) AS known_at,
            CASE WHEN video_id IS NULL THEN {missing} END AS no_id,
            CASE WHEN video_id IS NULL THEN {destroyed} END AS id_destroyed
        FROM (SELECT {listed} FROM {rows} {joins})"""


def _value_columns(values: Sequence[str], found: Slots) -> dict[str, str]:
    columns = {}
    for name in values:
        value = first(found[name])
        columns[_stated(name)] = value
        if slots.bad(found[name]):
            columns[f"bad_{name}"] = f"({value} IS NULL AND ({slots.bad(found[name])}))"
    ids = found["video_id"]
    if len(ids) > 1:
        unread = f"{ids[0].value} IS NULL AND NOT is_missing({ids[0].place.text})"
        columns["id_recovered"] = f"({unread} AND {first(ids)} IS NOT NULL)"
    return columns


def _stated(name: str) -> str:
    return "stated_published_at" if name == "published_at" else name


def _final(name: str) -> str:
    return "CASE WHEN best <= observed_at THEN best END AS published_at" if name == "published_at" else name


def _best_publish(adapter: Adapter, found: Slots, values: Sequence[str]) -> str:
    """SQL of the publish time; the id's second says nothing of a video that is told by its state alone."""
    stated = "stated_published_at" if "published_at" in found else "NULL::TIMESTAMP"
    if not adapter.publish_second_in_id:
        return stated
    said = " OR ".join(f"{_stated(name)} IS NOT NULL" for name in values if name != "status") or "FALSE"
    return f"coalesce(CASE WHEN {said} THEN tiktok_second(video_id, observed_at) END, {stated})"


def _flags(adapter: Adapter, found: Slots) -> list[tuple[str, str]]:
    """Each flag that this landing may raise, with the condition."""
    flags = []
    for name in _VALUES:
        if name in found and slots.bad(found[name]):
            parser = found[name][0].place.choice.parser
            flags.append((f"{_FLAGS.get(parser, f'bad_{parser}')}:{name}", quoted(f"bad_{name}")))
    if "views" in found and "likes" in found:
        flags.append(("likes_above_views", "coalesce(likes > views, FALSE)"))
    if "published_at" in found or adapter.publish_second_in_id:
        flags.append(("published_after_observed", "coalesce(best > observed_at, FALSE)"))
    if adapter.publish_second_in_id:
        stated = "stated_published_at" if "published_at" in found else "NULL::TIMESTAMP"
        apart = f"abs(epoch(tiktok_second(video_id, observed_at)) - epoch({stated})) >= {_SAME_PUBLISH_S}"
        known = "best IS NOT NULL AND tiktok_second(video_id, observed_at) IS NOT NULL"
        flags.append(("publish_time_repaired", f"({known} AND coalesce({apart}, TRUE))"))
    if len(found["video_id"]) > 1:
        flags.append(("id_recovered", "coalesce(id_recovered, FALSE)"))
    return flags


def _reason(found: Slots, values: Sequence[str], bounds: Bounds) -> str:
    """Why a record is set aside: the first thing that is wrong with it, or null."""
    said = [f"{_stated(name)} IS NOT NULL" for name in values if name != "channel_id"]
    return f"""{_key_reason(found, bounds)}
        WHEN NOT ({" OR ".join(["flags IS NOT NULL", *said])}) THEN 'empty_record' END"""


def _key_reason(found: Slots, bounds: Bounds) -> str:
    """The beginning of a CASE: what is wrong with the keys."""
    after_known = "OR observed_at > known_at" if "known_at" in found else ""
    return f"""CASE
        WHEN video_id IS NULL THEN
            CASE WHEN no_id THEN 'missing_id' WHEN id_destroyed THEN 'destroyed_id' ELSE 'bad_id' END
        WHEN observed_at IS NULL THEN CASE WHEN bad_observed_at THEN 'bad_observed_at' ELSE 'missing_observed_at' END
        WHEN observed_at < {literal(bounds.start)} THEN 'before_start'
        WHEN bad_known_at THEN 'bad_known_at'
        WHEN observed_at > {literal(bounds.now + timedelta(days=1))} {after_known} THEN 'observed_in_future'"""


# Metrics and labels -------------------------------------------------------------------------------------------------


def _map_cells(con: duckdb.DuckDBPyConnection, task: _Task) -> None:
    """Every column that is no key becomes a measure: numbers where nearly all of its values are, else text."""
    found = slots.patient(con, task.rows, task.places)
    keys = {slot.place.choice.name.casefold() for each in found.values() for slot in each}
    told = {"comment_id": f"coalesce({first(found['comment_id'])}, '')" if "comment_id" in found else "''"}
    labels = task.adapter.kind == "labels"
    con.execute(f"CREATE TABLE keyed AS {_keyed(task.rows, task, found, told if labels else {})}")
    con.execute("CREATE TABLE cells (position BIGINT, name VARCHAR, value DOUBLE, text VARCHAR)")
    names: set[str] = set()
    for position, (column, text) in enumerate(_measures(con, task), 1):
        if column.casefold() not in keys:
            name = _measure_name(column)
            name = f"{name}_{position}" if name in names else name
            names.add(name)
            value = _measure_value(con, task.rows, text)
            con.execute(
                f"""
                INSERT INTO cells
                SELECT position, {literal(name)}, value, CASE WHEN value IS NULL THEN text END
                FROM (SELECT __position AS position, {text} AS text, {value} AS value FROM {task.rows})
                WHERE NOT is_missing(text)
                """
            )
    con.execute(
        f"""
        CREATE TABLE mapped AS
        SELECT *, {_key_reason(found, task.bounds)}
            WHEN position NOT IN (SELECT position FROM cells) THEN 'empty_record' END AS reason
        FROM keyed;
        CREATE VIEW records AS
        SELECT landing, row_number, video_id, observed_at, known_at, value, text,
            {"comment_id, name AS label, comment_id || '/' || name AS name" if labels else "name"}
        FROM mapped JOIN cells USING (position) WHERE reason IS NULL;
        """
    )


def _measure_name(column: str) -> str:
    """The name that a column gets as a measure: `Average view duration` becomes `average_view_duration`."""
    words = "".join(letter if letter.isalnum() else " " for letter in column)
    return "_".join(words.lower().split()) or "column"


def _measures(con: duckdb.DuckDBPyConnection, task: _Task) -> list[tuple[str, str]]:
    """Every column, or first-level key of JSON records, with the SQL of its text."""
    reading = task.reading
    if reading.format != "json":
        return [(column, column_text(reading, column)) for column in reading.columns]
    keys = con.execute(f"SELECT DISTINCT unnest(json_keys({RECORD})) AS key FROM {task.rows} ORDER BY key").fetchall()
    return [(key, key_text(RECORD, key)) for (key,) in keys]


# Numbers in any writing; a time on the clock (0:24) is its seconds.
_NUMBER = "coalesce(cheap_number({0}), parse_number({0}), CASE WHEN contains({0}, ':') THEN parse_duration({0}) END)"


def _measure_value(con: duckdb.DuckDBPyConnection, rows: str, text: str) -> str:
    """SQL of the number of a measure: 1 and 0 for yes and no, null where the column is text."""
    shares = con.execute(
        f"""
        SELECT count(*), count(*) FILTER (WHERE lower(trim(text)) IN ('true', 'false', 'yes', 'no')),
            count({_NUMBER.format("text")})
        FROM (SELECT {text} AS text FROM {rows}) WHERE NOT is_missing(text)
        """
    ).fetchone()
    total, truths, numbers = shares if shares is not None else (0, 0, 0)
    if total and truths == total:
        return f"parse_bool({text})::DOUBLE"
    return _NUMBER.format(text) if numbers >= 0.9 * max(total, 1) else "NULL::DOUBLE"


# Channels, comments, captions and texts ------------------------------------------------------------------------------------

# Per kind: SQL of the video and of the name over what is read, and the fields that fill the columns of a record.
_FACTS: Mapping[Kind, tuple[str, str, Mapping[str, str]]] = {
    "channels": ("''", "video_id", {"channel_id": "channel_id", **{name: name for name in CHANNEL}}),
    "comments": (
        "of_video",
        "video_id",
        {"comment_id": "comment_id", "author_hash": "author"}
        | {name: name for name in ("parent_id", "text", "likes", "published_at")},
    ),
    "captions": (
        "video_id",
        "language || '/' || kind",
        {"language": "language", "kind": "caption_kind", "text": "text"},
    ),
    "texts": ("''", "video_id", {name: name for name in ("text_id", "text", "labels", "split", "language")}),
}


def _map_facts(con: duckdb.DuckDBPyConnection, task: _Task, kind: Kind) -> None:
    """Every record becomes one row of the table of its kind."""
    found = slots.patient(con, task.rows, task.places)
    video, name, fields = _FACTS[kind]
    types = {column.name: column.type for column in table(f"raw.{kind}").columns}
    columns = {
        ours: first(found[field]) if field in found else f"NULL::{types[CELLS[kind].columns[ours]]}"
        for ours, field in fields.items()
    }
    reason = _key_reason(found, task.bounds)
    said = [column for column in columns if column != ID.get(kind)]
    if kind == "comments":
        columns["of_video"] = first(found["video_id"]) if "video_id" in found else "NULL::VARCHAR"
        reason += " WHEN of_video IS NULL THEN 'missing_video'"
    if kind == "captions":
        columns["kind"] = f"coalesce({columns['kind']}, 'unknown')"
        reason += " WHEN language IS NULL THEN 'missing_language'"
        said = ["text"]
    if kind == "texts":
        said = ["text"]
        if unread := slots.bad(found.get("labels", ())):
            columns["bad_labels"] = unread
            reason += " WHEN bad_labels THEN 'bad_labels'"
    listed = ", ".join(quoted(column) for column in columns if column not in ("of_video", "bad_labels"))
    con.execute(
        f"""
        CREATE TABLE mapped AS
        SELECT landing, row_number, position, {video} AS video_id, observed_at, known_at, {name} AS name, {listed},
            {reason} WHEN NOT ({" OR ".join(f"{column} IS NOT NULL" for column in said)}) THEN 'empty_record' END AS reason
        FROM ({_keyed(task.rows, task, found, columns)});
        CREATE VIEW records AS SELECT * EXCLUDE (reason, position) FROM mapped WHERE reason IS NULL;
        """
    )


# What is set aside --------------------------------------------------------------------------------------------------


def _broken_rows(arrivals: Sequence[Arrival]) -> pa.Table:
    broken = [(arrival.number, row) for arrival in arrivals for row in arrival.reading.broken]
    return pa.table(
        {
            "landing": pa.array([number for number, _ in broken], pa.int32()),
            "row_number": pa.array([row.row_number for _, row in broken], pa.int64()),
            "reason": pa.array([row.reason for _, row in broken], pa.string()),
            "text": pa.array([row.text for _, row in broken], pa.string()),
        }
    )


def _record(reading: Reading) -> str:
    """SQL of the record as received, as JSON text."""
    if reading.format == "json":
        return RECORD
    return "to_json({" + ", ".join(f"{literal(column)}: {quoted(column)}" for column in reading.columns) + "})::VARCHAR"


def _set_aside(con: duckdb.DuckDBPyConnection, task: _Task) -> None:
    """Table `quarantine`: the records that the mapping judged, and those that could not even be read."""

    def text(name: str) -> str:
        return f"coalesce({', '.join([*(place.text for place in task.places.get(name, ())), 'NULL::VARCHAR'])})"

    key = ID.get(task.adapter.kind, "video_id")
    judged = con.execute("SELECT position FROM mapped WHERE reason IS NOT NULL").to_arrow_table()["position"]
    chosen = pa.compute.is_in(task.table["__position"], judged.combine_chunks())
    con.register("judged", task.table.filter(chosen))
    invalid = f"""
        UNION ALL SELECT __landing, {ROW_NUMBER}, 'bad_json', NULL, NULL, NULL, {RECORD}
        FROM input WHERE NOT ({_VALID})"""
    con.execute(
        f"""
        CREATE TABLE quarantine AS
        SELECT landing, row_number, reason, field,
            left(CASE field WHEN {literal(key)} THEN {text(key)} WHEN 'known_at' THEN {text("known_at")} WHEN 'labels' THEN {text("labels")}
                WHEN 'observed_at' THEN {text("observed_at")} END, 200) AS value,
            read_observed_at AS observed_at, {_record(task.reading)} AS record
        FROM judged JOIN (
            SELECT landing, row_number, position, reason, observed_at AS read_observed_at,
                CASE WHEN reason IN ('missing_id', 'bad_id', 'destroyed_id') THEN {literal(key)}
                    WHEN reason = 'missing_video' THEN 'video_id' WHEN reason = 'missing_language' THEN 'language'
                    WHEN reason = 'bad_labels' THEN 'labels'
                    WHEN reason = 'bad_known_at' THEN 'known_at' WHEN reason <> 'empty_record' THEN 'observed_at' END AS field
            FROM mapped WHERE reason IS NOT NULL
        ) ON position = __position
        UNION ALL SELECT landing, row_number, reason, NULL, NULL, NULL, text FROM broken
        {invalid if task.reading.format == "json" else ""}
        """
    )
