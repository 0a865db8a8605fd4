"""Builds the feature tables: reads what a range of anchor days needs, computes it in SQL outside the lock.

Each table's SQL is in the `.sql` file of its name. What a range of days gives does not depend on how it is cut into
ranges, nor on anything that was known only after the moment that a row speaks of. Nothing here writes.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from resources.settings import CompositeTarget, MeasuredTarget, Settings, cutoff_age, midnight
from resources.view_regimes import spans
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.point_in_time import latest_usable

HISTORY = timedelta(days=90)
"""How far back a channel's earlier videos and subscribers count."""
VELOCITY = "(0.4 * views + 0.35 * likes + 0.25 * comments) / nullif(epoch_us(observed_at - anchor_at) / 3.6e9, 0)"
"""Weighted engagements per hour since the anchor, with the weights of Miles."""
ENGAGEMENT_RATE = "(likes + comments + coalesce(shares, 0)) / nullif(views, 0)::DOUBLE"

OF_VIEWS = ["views", "velocity", "engagement_rate"]
"""Metrics that are made of views: what a view is bears on them."""
LONGEST_SHORT_S = 181
"""A longer video is no short (YouTube: three minutes), where nothing else says what it is."""

Anchors = Mapping[str, str]
"""The anchor of each source: `published_at` or `first_seen_at`."""

_SQL = Path(__file__).parent
_IN_RANGE = "anchor_day >= $start AND anchor_day < $end"
# A record cannot be observed before its video is published, so a range of anchor days starts the search in raw data;
# where the anchor is first sight, an older observation may have become known late.
_SINCE = "(observed_at >= $start OR list_contains($first_seen_sources, source))"


def sql(name: str) -> str:
    """The SQL of a feature table."""
    return (_SQL / f"{name}.sql").read_text()


def code_version(name: str) -> str:
    """Changes when the code that builds a feature table does."""
    return hashlib.sha256((sql(name) + Path(__file__).read_text()).encode()).hexdigest()[:12]


def build(
    name: str, warehouse: Warehouse, settings: Settings, anchors: Anchors, start: date, end: date, now: datetime
) -> pa.Table:
    """The rows of one feature table for the days in [start, end), as known at `now`.

    Args:
        name: Table name within the schema `features`.
        warehouse: Where raw tables and the feature tables that this one is made from are read.
        settings: Cutoffs and targets.
        anchors: Anchor per source; rows of other sources are left out.
        start: First day.
        end: Day after the last.
        now: Rows whose moment is later do not exist yet (naive UTC).

    Returns:
        Rows in the columns that the contract declares.
    """
    parameters = {
        "start": midnight(start),
        "end": midnight(end),
        "now": now,
        "first_seen_sources": [source for source, anchor in anchors.items() if anchor == "first_seen_at"],
    }
    rows = _BUILDERS[name](warehouse, settings, anchors, parameters)
    return rows.select(list(table(f"features.{name}").column_names))


Parameters = Mapping[str, Any]


def _content(warehouse: Warehouse, settings: Settings, anchors: Anchors, parameters: Parameters) -> pa.Table:
    con = warehouse.extract(
        {
            "seen": f"""
                SELECT source, video_id, CAST(observed_at AS DATE) AS observed_day,
                       min(greatest(observed_at, known_at)) AS usable_at
                FROM raw.snapshots WHERE {_SINCE} AND greatest(observed_at, known_at) <= $now GROUP BY ALL""",
            "videos": f"""
                SELECT * EXCLUDE (known_at), greatest(observed_at, known_at) AS usable_at FROM raw.videos
                WHERE {_SINCE} AND greatest(observed_at, known_at) <= $now AND (
                    list_contains($first_seen_sources, source) OR (source, video_id) IN (
                        SELECT (source, video_id) FROM raw.videos
                        WHERE {_SINCE} AND published_at >= $start AND published_at < $end))""",
        },
        parameters,
    )
    _add_anchors(con, anchors)
    _add_counted(con, settings)
    return _fetch(con, sql("content"), parameters)


def _levels(warehouse: Warehouse, settings: Settings, anchors: Anchors, parameters: Parameters) -> pa.Table:
    con = warehouse.extract(
        {"content": _range_of("content"), "snapshots": _of_range("raw.snapshots", "known_at", "views")}, parameters
    )
    return _fetch(con, sql("levels"))


def _engagement(warehouse: Warehouse, settings: Settings, anchors: Anchors, parameters: Parameters) -> pa.Table:
    counts = ("views", "likes", "comments", "shares", "saves")
    con = warehouse.extract(
        {
            "content": _range_of("content"),
            "snapshots": _of_range("raw.snapshots", "known_at", *counts)
            + " AND r.views IS NOT NULL AND r.observed_at < $until",
        },
        {**parameters, "until": _last_moment(settings, parameters)},
    )
    _add_moments(con, [cutoff for cutoff in settings.cutoffs if cutoff != "pre"], settings, parameters)
    read = latest_usable("snapshots", "moments", keys=("source", "video_id"), values=counts, depth=3)
    return _fetch(con, f"WITH usable AS ({read}), {sql('engagement').split('WITH ', 1)[1]}")


def _channel(warehouse: Warehouse, settings: Settings, anchors: Anchors, parameters: Parameters) -> pa.Table:
    con = warehouse.extract(
        {
            "content": _range_of("content"),
            "history": """SELECT * FROM features.levels
                WHERE anchor_day >= $history AND anchor_day < $end AND channel_id IS NOT NULL""",
            "facts": """SELECT source, channel_id, observed_at, min(known_at) AS known_at,
                       arg_min(subscribers, (known_at, -subscribers)) AS subscribers
                FROM raw.channels
                WHERE observed_at >= $history AND observed_at < $until AND subscribers IS NOT NULL GROUP BY ALL""",
        },
        {
            **parameters,
            "history": parameters["start"] - HISTORY,
            "until": _last_moment(settings, parameters),
        },
    )
    _add_moments(con, settings.cutoffs, settings, parameters)
    read = latest_usable("facts", "moments", keys=("source", "channel_id"), values=("subscribers",), method="asof")
    return _fetch(con, f"WITH subscribers AS ({read}), {sql('channel').split('WITH ', 1)[1]}")


def _context(warehouse: Warehouse, settings: Settings, anchors: Anchors, parameters: Parameters) -> pa.Table:
    con = warehouse.extract(
        {
            "history": """SELECT source, first_log, first_matured_at, h24_log, h24_matured_at, h72_log, h72_matured_at
                FROM features.levels WHERE first_matured_at < $end
                AND greatest(first_matured_at, h24_matured_at, h72_matured_at) >= $start::TIMESTAMP - INTERVAL 7 DAY"""
        },
        parameters,
    )
    days = {"start": parameters["start"], "end": parameters["end"]}
    return _fetch(con, sql("context") + " HAVING d.day <= $now", {**days, "now": parameters["now"]})


def _metrics(warehouse: Warehouse, settings: Settings, anchors: Anchors, parameters: Parameters) -> pa.Table:
    con = warehouse.extract(
        {
            "content": _range_of("content"),
            "facts": _of_range("raw.metrics", "known_at", "metric", "value") + " AND r.value IS NOT NULL",
        },
        parameters,
    )
    _add_moments(con, [cutoff for cutoff in settings.cutoffs if cutoff != "pre"], settings, parameters)
    con.execute(
        "CREATE TABLE asked AS SELECT DISTINCT m.*, f.metric FROM moments m JOIN facts f USING (source, video_id)"
    )
    read = latest_usable("facts", "asked", keys=("source", "video_id", "metric"), values=("value",))
    return _fetch(con, f"WITH usable AS ({read}) {sql('metrics')}")


def _targets(warehouse: Warehouse, settings: Settings, anchors: Anchors, parameters: Parameters) -> pa.Table:
    counts = ("views", "likes", "comments", "shares", "saves")
    con = warehouse.extract(
        {
            "content": _range_of("content"),
            "snapshots": _of_range("raw.snapshots", "known_at", *counts),
            "measured": _of_range("raw.metrics", "known_at", "metric", "value")
            + " UNION ALL "
            + _of_range("raw.labels", "known_at", "label", "value")
            + " AND r.comment_id = ''",
            "states": _of_range("raw.availability", "status") + " AND r.known_at <= $now",
        },
        parameters,
    )
    _add_anchors(con, anchors)
    _add_definitions(con, settings)
    _add_counted(con, settings)
    con.execute(
        "CREATE TABLE counted_at AS SELECT source, video_id, observed_at FROM snapshots "
        "WHERE known_at <= $now AND coalesce(views, likes, comments) IS NOT NULL",
        {"now": parameters["now"]},
    )
    derived = {**{count: count for count in counts}, "velocity": VELOCITY, "engagement_rate": ENGAGEMENT_RATE}
    long = " UNION ALL ".join(
        f"SELECT s.source, s.video_id, '{metric}', s.observed_at, s.known_at, ({value})::DOUBLE "
        "FROM snapshots s JOIN content c USING (source, video_id)"
        for metric, value in derived.items()
        if any(d.metric == metric for d in settings.targets.values() if isinstance(d, MeasuredTarget))
    )
    con.execute(
        f"""CREATE TABLE measures AS SELECT * FROM (
        SELECT source, video_id, metric, observed_at, known_at, value FROM measured {"UNION ALL " + long if long else ""})
        WHERE greatest(observed_at, known_at) <= $now""",
        {"now": parameters["now"]},
    )
    return _fetch(con, sql("targets"), {"of_views": OF_VIEWS})


_BUILDERS: Mapping[str, Callable[[Warehouse, Settings, Anchors, Parameters], pa.Table]] = {
    "content": _content,
    "levels": _levels,
    "engagement": _engagement,
    "channel": _channel,
    "context": _context,
    "metrics": _metrics,
    "targets": _targets,
}
TABLES = tuple(_BUILDERS)
"""The feature tables in the order in which they are built."""


def _range_of(name: str) -> str:
    return f"SELECT * FROM features.{name} WHERE {_IN_RANGE}"


def _of_range(relation: str, *columns: str) -> str:
    """Raw rows of the videos of a range; where the anchor is publication, those observed from its day on."""
    chosen = ", ".join(f"r.{column}" for column in ("source", "video_id", "observed_at", *columns))
    since = _SINCE.replace("observed_at", "r.observed_at").replace(", source", ", r.source")
    return f"""SELECT {chosen} FROM {relation} r JOIN features.content c USING (source, video_id)
        WHERE c.anchor_day >= $start AND c.anchor_day < $end AND {since}
          AND (r.observed_at >= c.anchor_day OR list_contains($first_seen_sources, r.source))"""


def _last_moment(settings: Settings, parameters: Parameters) -> datetime:
    longest = max(cutoff_age(cutoff) for cutoff in settings.cutoffs)
    end: datetime = parameters["end"]
    return end + longest + timedelta(microseconds=1)


def _add_anchors(con: duckdb.DuckDBPyConnection, anchors: Anchors) -> None:
    con.execute("CREATE TABLE anchors (source VARCHAR, anchor VARCHAR)")
    for source, anchor in anchors.items():
        con.execute("INSERT INTO anchors VALUES (?, ?)", [source, anchor])


def _add_counted(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """What a view is at each source, and whether a video of which this or that is known may be a short or none."""
    con.execute(
        "CREATE TABLE counted (source VARCHAR, shorts BOOLEAN, starts TIMESTAMP, ends TIMESTAMP, counts VARCHAR)"
    )
    for source, declared in settings.view_regimes.items():
        for span in spans(declared):
            con.execute("INSERT INTO counted VALUES (?, ?, ?, ?, ?)", [source, *span])
    con.execute(
        "CREATE MACRO may_be(short, said, seconds) AS "
        f"coalesce(said = short, CASE WHEN seconds > {LONGEST_SHORT_S} THEN NOT short ELSE TRUE END)"
    )


def _add_moments(
    con: duckdb.DuckDBPyConnection, cutoffs: tuple[str, ...] | list[str], settings: Settings, parameters: Parameters
) -> None:
    con.execute("CREATE TABLE cutoffs (cutoff VARCHAR, age INTERVAL)")
    for cutoff in cutoffs:
        con.execute("INSERT INTO cutoffs VALUES (?, ?)", [cutoff, cutoff_age(cutoff)])
    con.execute(
        """CREATE TABLE moments AS
           SELECT source, video_id, channel_id, cutoff, anchor_day, anchor_at, anchor_at + age AS as_of
           FROM content, cutoffs WHERE anchor_at + age <= $now""",
        {"now": parameters["now"]},
    )


def _add_definitions(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    con.execute("""CREATE TABLE definitions (target VARCHAR, metric VARCHAR, anchor VARCHAR, horizon_h BIGINT,
                   tolerance_h BIGINT, transform VARCHAR, sources VARCHAR[])""")
    con.execute("CREATE TABLE composites (target VARCHAR, part VARCHAR, weight DOUBLE, parts BIGINT)")
    hour = timedelta(hours=1)
    for name, target in settings.targets.items():
        if isinstance(target, MeasuredTarget):
            horizon = None if target.horizon is None else target.horizon // hour
            sources = None if target.sources is None else list(target.sources)
            con.execute(
                "INSERT INTO definitions VALUES (?, ?, ?, ?, ?, ?, ?)",
                [name, target.metric, target.anchor, horizon, target.tolerance // hour, target.transform, sources],
            )
        elif isinstance(target, CompositeTarget):
            for part, weight in target.weights.items():
                con.execute("INSERT INTO composites VALUES (?, ?, ?, ?)", [name, part, weight, len(target.weights)])


def _fetch(con: duckdb.DuckDBPyConnection, query: str, parameters: Parameters | None = None) -> pa.Table:
    names = {name: value for name, value in (parameters or {}).items() if f"${name}" in query}
    with con:
        return con.execute(query, names).to_arrow_table()
