"""How a landing enters the raw tables: whole, in one transaction, and which of two records of one key stands.

The rule does not depend on the order of arrival: the earliest known_at stands; then the most counts; then the larger
views, likes, comments, shares, saves; then the smaller digest of the rest; then landing_id and row_number. So the raw
tables are a function of the set of landings. Where a landing's bytes are, and how they are read, is not known here.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa

from warehouse.arrow import arrow_rows
from warehouse.contracts import Table, load_tables, quoted, table
from warehouse.errors import WarehouseError
from warehouse.writer import in_row_groups

Kind = Literal["videos", "metrics", "labels", "media", "channels", "comments", "captions", "texts"]
"""What a landing holds; the records of media are resolved in assets/raw/media."""
Days = tuple[date, date]
COUNTS = ("views", "likes", "comments", "shares", "saves")
CONTENT = (
    "channel_id",
    "title",
    "description",
    "published_at",
    "duration_s",
    "tags",
    "category",
    "language",
    "is_short",
    "url",
    "thumbnail_url",
)
# Columns of a record and what they are called in raw.channels.
CHANNEL = {
    "channel_name": "name",
    "subscribers": "subscribers",
    "channel_videos": "videos",
    "channel_views": "views",
    "verified": "verified",
}
_REST = (*CONTENT, *CHANNEL, "status", "flags")
_RECORD = "landing_id, row_number, video_id, observed_at, known_at"
_CELL = "video_id, name, observed_at"


@dataclass(frozen=True)
class _Cells:
    """How the records of a kind other than videos lie in its one table: a row is of a video, a name and a time.

    Attributes:
        table: Table in the schema `raw`.
        name: SQL of the name, over the columns of the table.
        columns: What a record says besides, and the columns of the table that this fills.
        number: What of it the rank takes for a count, where there is one.
        text: SQL of the rest.
        filled: What the rank counts of it; everything where nothing is named.
    """

    table: str
    name: str
    columns: Mapping[str, str]
    number: str = "NULL"
    text: str = ""
    filled: tuple[str, ...] = ()

    @property
    def weight(self) -> str:
        """SQL of how much a record says."""
        return " + ".join(f"({quoted(column)} IS NOT NULL)::INTEGER" for column in self.filled or self.columns)

    @property
    def digest(self) -> str:
        """SQL of what a record says besides its number."""
        rest = (f"coalesce({quoted(column)}::VARCHAR, '-')" for column in self.columns if column != self.number)
        return self.text or f"md5(concat_ws(chr(31), {', '.join(rest)}))"


def _measures(table: str, name: str, columns: Mapping[str, str]) -> _Cells:
    return _Cells(table, name, {**columns, "value": "value", "text": "text"}, "value", "coalesce(text, '')", ("value",))


_COMMENT = ("comment_id", "parent_id", "author_hash", "text", "likes", "published_at")
_CAPTION = ("language", "kind", "text")
_TEXT = ("text_id", "text", "labels", "split", "language")
CELLS: Mapping[Kind, _Cells] = {
    "metrics": _measures("metrics", "metric", {"name": "metric"}),
    "labels": _measures("labels", "comment_id || '/' || label", {"label": "label", "comment_id": "comment_id"}),
    "channels": _Cells("channels", "channel_id", {"channel_id": "channel_id", **CHANNEL}, "subscribers"),
    "comments": _Cells("comments", "comment_id", {column: column for column in _COMMENT}, "likes"),
    "captions": _Cells("captions", "language || '/' || kind", {column: column for column in _CAPTION}),
    "texts": _Cells("texts", "text_id", {column: column for column in _TEXT}),
}
_TABLES: dict[Kind, tuple[str, ...]] = {
    "videos": ("snapshots", "videos", "channels", "availability"),
    **{kind: (cells.table,) for kind, cells in CELLS.items()},
}
RECORD_TABLES = tuple(dict.fromkeys(name for names in _TABLES.values() for name in names))
"""The raw tables that records of landings enter, each partitioned by its day."""


class ConservationError(WarehouseError):
    """Records were lost or doubled on the way into the raw tables; nothing was written."""


class LandingsNeededError(Exception):
    """Other landings have to be read again in the same transaction; nothing was written."""

    def __init__(self, landing_ids: Iterable[str]) -> None:
        self.landing_ids = tuple(sorted(set(landing_ids)))
        super().__init__(f"landings to read again: {', '.join(self.landing_ids)}")


@dataclass(frozen=True)
class Landing:
    """A row of `raw.landings`, less its counts.

    `known_at` may be None: then it is the latest known_at of the records, else `received_at`.
    """

    landing_id: str
    source: str
    kind: Kind
    names: tuple[str, ...]
    bytes: int
    adapter: str
    contract_version: str
    time_source: str
    received_at: datetime
    rows_read: int
    known_at: datetime | None = None


_LANDING = tuple(column.name for column in fields(Landing))


@dataclass(frozen=True)
class Counts:
    """What became of the records of a landing; `reasons` of duplicates, quarantine and flags."""

    accepted: int
    duplicate: int
    quarantined: int
    reasons: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Resolved:
    """Landings of one source and kind, resolved among themselves.

    Attributes:
        landings: The landings.
        winners: Records (videos) or cells (any other kind) that stand among these landings.
        losers: The others, as contestants, with `kept_landing_id` and whether the values are the `same`.
        quarantine: landing_id, row_number, reason, field, value, observed_at, record.
        days: landing_id, day, records.
    """

    landings: tuple[Landing, ...]
    winners: pa.Table
    losers: pa.Table
    quarantine: pa.Table
    days: pa.Table

    @property
    def source(self) -> str:
        """The one source of these landings."""
        return self.landings[0].source

    @property
    def kind(self) -> Kind:
        """The one kind of these landings."""
        return self.landings[0].kind

    @property
    def parameters(self) -> dict[str, object]:
        """What the queries ask by."""
        return {"source": self.source, "kind": self.kind, "ids": [landing.landing_id for landing in self.landings]}


@cache
def _queries() -> dict[str, str]:
    text = Path(__file__).with_name("landings.sql").read_text(encoding="utf-8")
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return {name: query.strip() for name, query in zip(parts[::2], parts[1::2], strict=True)}


def _same(kind: Kind) -> str:
    """Whether `loser` (or what falls) and `winner` say the same."""
    columns = COUNTS if kind == "videos" else (*COUNTS, "digest")
    return "(" + " AND ".join(f"loser.{name} IS NOT DISTINCT FROM winner.{name}" for name in columns) + ")"


def resolve(
    con: duckdb.DuckDBPyConnection, kind: Kind, records: str, landing_ids: Sequence[str]
) -> tuple[pa.Table, pa.Table]:
    """Which records stand among those of a relation, and which lose; computed outside the warehouse.

    Args:
        con: A scratch connection.
        kind: Their kind.
        records: A table with landing (position in `landing_ids`), row_number, video_id, observed_at, known_at and the
            columns that there are; for a kind other than videos also the name, and all columns of its cells.
        landing_ids: The landings.

    Returns:
        The winners with all columns, and the losers as contestants; both with landing_id.
    """
    cell = "video_id, observed_at" if kind == "videos" else _CELL
    columns = [row[0] for row in con.execute(f"DESCRIBE {records}").fetchall()]
    # Hashes are quicker to group than keys; where two keys share one, a key that nobody contests is ranked alone.
    con.execute(
        f"CREATE OR REPLACE TABLE contested AS SELECT hash({cell}) AS cell FROM {records} GROUP BY cell HAVING count(*) > 1"
    )
    listed = ", ".join(f"'{landing_id}'" for landing_id in landing_ids)
    named = f"""(
        SELECT *, [{listed}][landing + 1] AS landing_id
        FROM {records} WHERE hash({cell}) IN (SELECT cell FROM contested)
    )"""
    placed = _queries()["place"].format(contestants=f"({_contestants(kind, named, columns)})")
    con.execute(f"CREATE OR REPLACE TABLE ranked AS {placed}")
    losers = con.execute(_queries()["lost_among_arriving"].format(same=_same(kind))).to_arrow_table()
    lost = ""
    if losers.num_rows:
        which = "landing, row_number" if kind == "videos" else "landing, row_number, name"
        out = f"SELECT *, list_position([{listed}], landing_id) - 1 AS landing FROM ranked WHERE place > 1"
        lost = f"ANTI JOIN ({out}) USING ({which})"
    winners = con.execute(f"SELECT * FROM {records} {lost}").to_arrow_table()
    return with_ids(winners, landing_ids), losers


def with_ids(rows: pa.Table, landing_ids: Sequence[str]) -> pa.Table:
    """Rows with the landing's id in place of its number; dictionary-encoded, since many rows share a long id."""
    chunks = [
        pa.DictionaryArray.from_arrays(chunk.cast(pa.int32()), pa.array(landing_ids, pa.string()))
        for chunk in rows["landing"].chunks
    ]
    ids = pa.chunked_array(chunks, pa.dictionary(pa.int32(), pa.string()))
    return rows.drop_columns(["landing"]).append_column("landing_id", ids)


def _contestants(kind: Kind, records: str, columns: Sequence[str]) -> str:
    """A SELECT of what the rank needs, the same for arriving and for standing records."""
    if kind != "videos":
        cells = CELLS[kind]
        absent = ", ".join(f"NULL::DOUBLE AS {name}" for name in COUNTS[1:])
        return f"""
            SELECT landing_id, row_number, video_id, name, observed_at, known_at,
                {cells.weight} AS filled, {cells.number}::DOUBLE AS views, {absent}, {cells.digest} AS digest
            FROM {records}"""

    def text(name: str) -> str:
        if name not in columns or (name in CHANNEL and "channel_id" not in columns):
            return "'-'"
        value = f"coalesce({quoted(name)}::VARCHAR, '-')"
        return f"CASE WHEN channel_id IS NULL THEN '-' ELSE {value} END" if name in CHANNEL else value

    counts = {name: f"{name}::DOUBLE" if name in columns else "NULL::DOUBLE" for name in COUNTS}
    return f"""
        SELECT landing_id, row_number, video_id, '' AS name, observed_at, known_at,
            {" + ".join(f"({count} IS NOT NULL)::INTEGER" for count in counts.values())} AS filled,
            {", ".join(f"{count} AS {name}" for name, count in counts.items())},
            md5(concat_ws(chr(31), {", ".join(map(text, _REST))})) AS digest
        FROM {records}"""


def replace_landings(con: duckdb.DuckDBPyConnection, resolved: Resolved) -> dict[str, Counts]:
    """Write landings, replacing what they wrote before; records of other landings that lose now move out.

    Args:
        con: The connection of `Warehouse.write()`.
        resolved: The landings, resolved among themselves.

    Returns:
        What became of the records, per landing.

    Raises:
        LandingsNeededError: Keys are set free, or reasons change, of landings that are not among these.
        ConservationError: The counts do not add up, or a key is held twice.
    """
    with _registered(con, resolved):
        known = _known_days(con, resolved)
        _start_contest(con)
        if known is not None:
            _remember_vacated(con, resolved, known)
            _delete(con, resolved, known)
        shared = _shared_days(con, resolved)
        if shared:
            _contest(con, resolved)
        if shared or known is not None:
            _ask_for_others(con, resolved, known, shared)
        if con.execute("SELECT 1 FROM placed WHERE stood AND place > 1 LIMIT 1").fetchone():
            _displace(con, resolved)
        _tell_survivors(con, resolved)
        counts = _insert(con, resolved)
        if shared:
            _check_keys(con, resolved)
        return counts


@contextmanager
def _registered(con: duckdb.DuckDBPyConnection, resolved: Resolved) -> Iterator[None]:
    rows = [{**vars(landing), "names": list(landing.names)} for landing in resolved.landings]
    declared = table("raw.landings")
    later = [name for name in declared.column_names if name not in rows[0]]
    tables = {
        "arriving": in_row_groups(resolved.winners),
        "arriving_losers": resolved.losers,
        "arriving_quarantine": resolved.quarantine,
        "arriving_days": resolved.days,
        "arriving_landings": arrow_rows(declared, rows, without=later),
    }
    for name, arriving in tables.items():
        con.register(name, arriving)
    try:
        yield
    finally:
        for name in tables:
            con.unregister(name)


def _start_contest(con: duckdb.DuckDBPyConnection) -> None:
    contestant = (
        "landing_id VARCHAR, row_number BIGINT, video_id VARCHAR, name VARCHAR, observed_at TIMESTAMP, "
        f"known_at TIMESTAMP, filled INTEGER, {', '.join(f'{name} DOUBLE' for name in COUNTS)}, digest VARCHAR"
    )
    con.execute(f"CREATE OR REPLACE TEMP TABLE vacated ({contestant})")
    con.execute(f"CREATE OR REPLACE TEMP TABLE placed ({contestant}, stood BOOLEAN, place BIGINT)")


def _known_days(con: duckdb.DuckDBPyConnection, resolved: Resolved) -> Days | None:
    """The days that these landings touched when they were read before; None where they are new."""
    stored = con.execute(
        "SELECT count(*), min(day), max(day) FROM raw.landings LEFT JOIN raw.landing_days USING (landing_id) "
        "WHERE list_contains($ids, landing_id)",
        {"ids": resolved.parameters["ids"]},
    ).fetchone()
    if not stored or not stored[0]:
        return None
    return (stored[1] or date.min, stored[2] or date.min)


def _inside(source: str, days: Days) -> str:
    text = source.replace("'", "''")
    return (
        f"source = '{text}' AND observed_at >= DATE '{days[0].isoformat()}' "
        f"AND observed_at < DATE '{days[1].isoformat()}' + INTERVAL 1 DAY"
    )


def _standing(resolved: Resolved, keys: str, days: Days) -> str:
    """A SELECT of the records that stand for the keys of a table, as contestants."""
    inside = _inside(resolved.source, days)
    if resolved.kind != "videos":
        cells = CELLS[resolved.kind]
        columns = "".join(
            f", {quoted(theirs)} AS {quoted(ours)}" for ours, theirs in cells.columns.items() if ours != "name"
        )
        standing = _queries()["standing_cells"].format(
            shared=_RECORD, name=cells.name, columns=columns, table=cells.table, inside=inside, keys=keys
        )
        return _contestants(resolved.kind, f"({standing})", ())
    records = _queries()["standing_videos"].format(
        shared=_RECORD,
        inside=inside,
        keys=keys,
        content=", ".join(CONTENT),
        channel=", ".join(f"{theirs} AS {ours}" for ours, theirs in CHANNEL.items()),
    )
    return _contestants("videos", f"({records})", (*COUNTS, *_REST))


def _remember_vacated(con: duckdb.DuckDBPyConnection, resolved: Resolved, days: Days) -> None:
    """Keep what these landings held of keys that records of other landings have lost to them."""
    if resolved.kind == "videos":
        con.execute(f"CREATE OR REPLACE TEMP TABLE rivals AS {_queries()['rivals']}", resolved.parameters)
        con.execute(f"INSERT INTO vacated BY NAME {_standing(resolved, 'rivals', days)}")


def _delete(con: duckdb.DuckDBPyConnection, resolved: Resolved, days: Days) -> None:
    ids = {"ids": resolved.parameters["ids"]}
    for name in _TABLES[resolved.kind]:
        inside = _inside(resolved.source, days)
        con.execute(f"DELETE FROM raw.{name} WHERE {inside} AND list_contains($ids, landing_id)", ids)
    for name in ("duplicates", "quarantine", "landing_days", "landings"):
        con.execute(f"DELETE FROM raw.{name} WHERE list_contains($ids, landing_id)", ids)


def _shared_days(con: duckdb.DuckDBPyConnection, resolved: Resolved) -> list[str]:
    """Other landings of the same source and kind with records of the same days."""
    rows = con.execute(_queries()["shared_days"].format(days="arriving_days"), resolved.parameters).fetchall()
    return [row[0] for row in rows]


def _contest(con: duckdb.DuckDBPyConnection, resolved: Resolved) -> None:
    """Place arriving and standing records of the same keys, as `placed`."""
    days = con.execute("SELECT min(observed_at)::DATE, max(observed_at)::DATE FROM arriving").fetchone()
    if days is None or days[0] is None:
        return
    con.execute(f"CREATE OR REPLACE TEMP TABLE standing AS {_standing(resolved, 'arriving', days)}")
    cell = "video_id, observed_at" if resolved.kind == "videos" else _CELL
    rivals = f"(SELECT * FROM arriving SEMI JOIN standing USING ({cell}))"
    arriving = _contestants(resolved.kind, rivals, resolved.winners.column_names)
    both = f"(SELECT *, TRUE AS stood FROM standing UNION ALL BY NAME SELECT *, FALSE AS stood FROM ({arriving}))"
    con.execute(f"INSERT INTO placed BY NAME {_queries()['place'].format(contestants=both)}")


def _ask_for_others(
    con: duckdb.DuckDBPyConnection, resolved: Resolved, known: Days | None, shared: Sequence[str]
) -> None:
    """Ask for the landings without which the result would depend on the order of arrival."""
    needed: list[str] = []
    if resolved.kind == "videos":
        same = _same("videos").replace("loser.", "fallen.")
        needed += [
            row[0]
            for row in con.execute(_queries()["needed_for_fallen"].format(same=same), resolved.parameters).fetchall()
        ]
        if known is not None:
            held = "(SELECT * FROM arriving SEMI JOIN vacated USING (video_id, observed_at))"
            held_again = _contestants("videos", held, resolved.winners.column_names)
            con.execute(f"CREATE OR REPLACE TEMP TABLE held_again AS {held_again}")
            needed += [row[0] for row in con.execute(_queries()["needed_for_vacated"], resolved.parameters).fetchall()]
    else:
        # Cells of a record stand and fall one by one, and only a record that lost them all is on file; so where
        # standing cells fall, or these landings held some before, whatever shares a day is read anew.
        fallen = con.execute("SELECT 1 FROM placed WHERE stood AND place > 1 LIMIT 1").fetchone()
        if fallen is not None or known is not None:
            needed += shared
        if known is not None:
            days = (
                f"(SELECT unnest(generate_series(DATE '{known[0]}', DATE '{known[1]}', INTERVAL 1 DAY))::DATE AS day)"
            )
            rows = con.execute(_queries()["shared_days"].format(days=days), resolved.parameters).fetchall()
            needed += [row[0] for row in rows]
    if needed:
        raise LandingsNeededError(needed)


def _displace(con: duckdb.DuckDBPyConnection, resolved: Resolved) -> None:
    """Move standing records that lose now out of the raw tables, and tell those that had lost to them."""
    con.execute(f"CREATE OR REPLACE TEMP TABLE fallen AS {_queries()['fallen'].format(same=_same(resolved.kind))}")
    days = con.execute("SELECT min(observed_at)::DATE, max(observed_at)::DATE FROM fallen").fetchone()
    assert days is not None
    parameters = {"source": resolved.source, "kind": resolved.kind}
    con.execute(_queries()["retell_losers"], parameters)
    lost = "(SELECT *, CASE WHEN same THEN 'duplicate' ELSE 'conflict' END AS reason FROM fallen)"
    con.execute(_queries()["insert_duplicates"].format(lost=lost), parameters)
    for name in _TABLES[resolved.kind]:
        con.execute(
            f"DELETE FROM raw.{name} WHERE {_inside(resolved.source, days)} "
            "AND (landing_id, row_number) IN (SELECT (landing_id, row_number) FROM fallen)"
        )
    con.execute(_queries()["recount_fallen"])


def _tell_survivors(con: duckdb.DuckDBPyConnection, resolved: Resolved) -> None:
    """Tables `surviving`, `lost` and `lost_records` of what arrives."""
    which = "landing_id, row_number" + ("" if resolved.kind == "videos" else ", name")
    beaten = con.execute("SELECT 1 FROM placed WHERE NOT stood AND place > 1 LIMIT 1").fetchone()
    out = f"ANTI JOIN (SELECT * FROM placed WHERE NOT stood AND place > 1) USING ({which})" if beaten else ""
    con.execute(f"CREATE OR REPLACE TEMP VIEW surviving AS SELECT * FROM arriving {out}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE lost AS {_queries()['lost'].format(same=_same(resolved.kind))}")
    # A video's record is one cell: what lost it does not stand.
    partly = "" if resolved.kind == "videos" else "ANTI JOIN surviving USING (landing_id, row_number)"
    query = _queries()["lost_records"].format(unless_surviving=partly)
    con.execute(f"CREATE OR REPLACE TEMP TABLE lost_records AS {query}")


def _insert(con: duckdb.DuckDBPyConnection, resolved: Resolved) -> dict[str, Counts]:
    """Write what stands, what lost, what was set aside, and the landings themselves."""
    parameters = {"source": resolved.source, "kind": resolved.kind}
    record = "*" if resolved.kind == "videos" else "DISTINCT row_number"
    con.execute(f"CREATE OR REPLACE TEMP TABLE outcome AS {_queries()['outcome'].format(record=record)}")
    for query in _standing_inserts(resolved):
        con.execute(query, {"source": resolved.source})
    con.execute(_queries()["insert_duplicates"].format(lost="lost_records"), parameters)
    for name in ("insert_quarantine", "insert_days", "insert_landings"):
        con.execute(_queries()[name])
    reasons: dict[str, dict[str, int]] = {landing.landing_id: {} for landing in resolved.landings}
    queries = [_queries()["reasons"]]
    if "flags" in resolved.winners.column_names:
        queries.append(_queries()["flag_counts"])
    for query in queries:
        for landing_id, reason, count in con.execute(query).fetchall():
            reasons[landing_id][reason] = count
    rows = con.execute("SELECT landing_id, accepted, duplicate, quarantined FROM outcome").fetchall()
    counts = {row[0]: Counts(row[1], row[2], row[3], dict(sorted(reasons[row[0]].items()))) for row in rows}
    for landing in resolved.landings:
        _check_conservation(landing, counts[landing.landing_id])
    return counts


def _standing_inserts(resolved: Resolved) -> Iterator[str]:
    """One INSERT per raw table that these landings have something for."""
    there = resolved.winners.column_names
    if resolved.kind != "videos":
        cells = CELLS[resolved.kind]
        filled = ", ".join(f"{quoted(ours)} AS {quoted(theirs)}" for ours, theirs in cells.columns.items())
        yield f"INSERT INTO raw.{cells.table} BY NAME SELECT {_RECORD}, $source AS source, {filled} FROM surviving"
        return
    parts: dict[str, tuple[Mapping[str, str], str]] = {
        "snapshots": ({name: name for name in (*COUNTS, "flags")}, ""),
        "videos": ({name: name for name in CONTENT}, ""),
        "channels": (CHANNEL, "channel_id"),
        "availability": ({"status": "status"}, ""),
    }
    for name, (columns, beside) in parts.items():
        present = {ours: theirs for ours, theirs in columns.items() if ours in there}
        if present and (not beside or beside in there):
            said = " OR ".join(f"{quoted(ours)} IS NOT NULL" for ours in present)
            listed = ", ".join(f"{quoted(ours)} AS {quoted(theirs)}" for ours, theirs in present.items())
            condition = f"({said}) AND {beside} IS NOT NULL" if beside else said
            beside = f", {beside}" if beside else ""
            yield (
                f"INSERT INTO raw.{name} BY NAME SELECT {_RECORD}, $source AS source, {listed}{beside} "
                f"FROM surviving WHERE {condition}"
            )


def _check_conservation(landing: Landing, counts: Counts) -> None:
    if landing.rows_read != counts.accepted + counts.duplicate + counts.quarantined:
        raise ConservationError(
            f"landing {landing.names[0]} ({landing.landing_id[:12]}): read {landing.rows_read} records, but "
            f"{counts.accepted} accepted + {counts.duplicate} duplicate + {counts.quarantined} quarantined; "
            "nothing was written, report this with the file"
        )


def _check_keys(con: duckdb.DuckDBPyConnection, resolved: Resolved) -> None:
    days = con.execute("SELECT min(observed_at)::DATE, max(observed_at)::DATE FROM surviving").fetchone()
    if days is None or days[0] is None:
        return
    for name in _TABLES[resolved.kind]:
        key = ", ".join(table(f"raw.{name}").key)
        query = _queries()["repeated_keys"].format(key=key, table=name, inside=_inside(resolved.source, days))
        repeated = con.execute(query).fetchone()
        if repeated is not None:
            raise ConservationError(
                f"raw.{name}: the key ({key}) occurs more than once: {repeated}; nothing was written"
            )


def find(con: duckdb.DuckDBPyConnection, landing_id: str) -> Landing | None:
    """A stored landing."""
    row = con.execute(
        f"SELECT {', '.join(_LANDING)} FROM raw.landings WHERE landing_id = $id", {"id": landing_id}
    ).fetchone()
    if row is None:
        return None
    stored = dict(zip(_LANDING, row, strict=True))
    return Landing(**{**stored, "names": tuple(stored["names"])})


def counts_of(con: duckdb.DuckDBPyConnection, landing_id: str) -> Counts:
    """What became of the records of a stored landing; flags are counted over its standing snapshots."""
    row = con.execute(
        "SELECT accepted, duplicate, quarantined FROM raw.landings WHERE landing_id = $id", {"id": landing_id}
    ).fetchone()
    if row is None:
        raise KeyError(f"no landing {landing_id}")
    reasons = con.execute(
        "SELECT reason, count(*) FROM (SELECT reason FROM raw.duplicates WHERE landing_id = $id "
        "UNION ALL SELECT reason FROM raw.quarantine WHERE landing_id = $id "
        "UNION ALL SELECT unnest(flags) FROM raw.snapshots WHERE landing_id = $id AND flags IS NOT NULL) GROUP BY reason",
        {"id": landing_id},
    ).fetchall()
    accepted, duplicate, quarantined = row
    return Counts(accepted, duplicate, quarantined, dict(sorted(reasons)))


def rename(con: duckdb.DuckDBPyConnection, landing_id: str, names: Sequence[str]) -> None:
    """Note further names of a landing."""
    con.execute(
        "UPDATE raw.landings SET names = $names WHERE landing_id = $id", {"id": landing_id, "names": sorted(set(names))}
    )


def forget(con: duckdb.DuckDBPyConnection, landing_id: str) -> None:
    """Remove a landing that holds no records."""
    con.execute("DELETE FROM raw.landings WHERE landing_id = $id AND rows_read = 0", {"id": landing_id})


@dataclass(frozen=True)
class Forgotten:
    """What stands for the records of a subject that is not to come again."""

    subject_hash: str
    why: str
    forgotten_at: datetime


def forgotten(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, Forgotten]]:
    """What is not to come again, by source and by the salted hash of a video or channel."""
    found: dict[str, dict[str, Forgotten]] = {}
    rows = con.execute("SELECT source, member_hash, subject_hash, why, forgotten_at FROM raw.forgotten").fetchall()
    for source, member, subject, why, at in rows:
        found.setdefault(source, {})[member] = Forgotten(subject, why, at)
    return found


def rewritten(con: duckdb.DuckDBPyConnection, names: Mapping[str, str], sizes: Mapping[str, int]) -> None:
    """Give landings that were rewritten their new names everywhere; what was derived from them counts as made from others.

    Where two landings come to the same name they hold the same now: the rows of one stand, and the other's go.

    Args:
        con: The connection of `Warehouse.write()`.
        names: The new name of each landing.
        sizes: Bytes of each new one.
    """
    alone: dict[str, str] = {}
    merged: dict[str, str] = {}
    for old, new in names.items():
        (merged if new in alone.values() or find(con, new) is not None else alone)[old] = new
    columns = {"old": list(alone), "new": list(alone.values()), "size": [sizes[new] for new in alone.values()]}
    con.register("renamed", pa.table({**columns, "size": pa.array(columns["size"], pa.int64())}))
    for declared in _with_landings():
        con.execute(f"UPDATE {declared.identifier} SET landing_id = r.new FROM renamed AS r WHERE landing_id = r.old")
    con.execute("UPDATE raw.duplicates SET kept_landing_id = r.new FROM renamed AS r WHERE kept_landing_id = r.old")
    con.execute("UPDATE raw.landings SET bytes = r.size FROM renamed AS r WHERE landing_id = r.new")
    con.execute("DELETE FROM lineage.partitions USING renamed AS r WHERE starts_with(partition, r.old || '/')")
    con.execute(
        "UPDATE lineage.partitions SET partition = r.new, input_version = 'rewritten' FROM renamed AS r WHERE partition = r.old"
    )
    con.unregister("renamed")
    for old, new in merged.items():
        _merge(con, old, new)


def _with_landings() -> list[Table]:
    return [
        declared
        for declared in load_tables().values()
        if declared.schema == "raw" and declared.full_name != "raw.rewritten" and "landing_id" in declared.column_names
    ]


def _merge(con: duckdb.DuckDBPyConnection, old: str, new: str) -> None:
    """Let a landing go whose records another one holds; the other is read again after this."""
    ids = {"old": old, "new": new}
    con.execute(
        "UPDATE raw.landings SET names = list_sort(list_distinct(list_concat(names, "
        "(SELECT names FROM raw.landings WHERE landing_id = $old)))) WHERE landing_id = $new",
        ids,
    )
    for declared in _with_landings():
        con.execute(f"DELETE FROM {declared.identifier} WHERE landing_id = $old", {"old": old})
    con.execute("UPDATE raw.duplicates SET kept_landing_id = $new WHERE kept_landing_id = $old", ids)
    con.execute(
        "DELETE FROM lineage.partitions WHERE partition = $old OR starts_with(partition, $old || '/')", {"old": old}
    )
    con.execute("UPDATE lineage.partitions SET input_version = 'rewritten' WHERE partition = $new", {"new": new})


def quarantined(
    con: duckdb.DuckDBPyConnection,
    *,
    source: str | None = None,
    reason: str | None = None,
    landing_id: str | None = None,
    limit: int | None = None,
) -> pa.Table:
    """Rows of `raw.quarantine`, oldest landing first; `landing_id` may be the beginning of one."""
    terms = {
        "source = $source": source,
        "reason = $reason": reason,
        "starts_with(landing_id, $landing_id)": landing_id,
    }
    wanted = {term: value for term, value in terms.items() if value is not None}
    parameters = {re.findall(r"\$(\w+)", term)[0]: value for term, value in wanted.items()}
    where = f"WHERE {' AND '.join(wanted)}" if wanted else ""
    bound = f"LIMIT {int(limit)}" if limit is not None else ""
    return con.execute(
        f"SELECT * FROM raw.quarantine {where} ORDER BY landing_id, row_number {bound}", parameters
    ).to_arrow_table()
