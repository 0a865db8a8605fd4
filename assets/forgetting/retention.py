"""Forgetting on time: what the rule of a source no longer lets be kept, row by row.

Counts, texts and media have a length each; a record of which nothing may be kept any more becomes a tombstone, one of which
something may loses the rest. A video that has not been seen again in time goes as a whole. What is asked is asked of the rows
as they are, so a run that was cut short is simply done again.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet

from assets.forgetting import state, tables
from assets.forgetting.landings import Rewritten, all_landings, apply, read_again
from assets.forgetting.state import Task
from assets.forgetting.subject import tables_with
from assets.models.training_set import FOLDER, withdraw_rows
from assets.raw.adapters import Adapter
from assets.raw.anchors import landed_sources
from assets.raw.errors import IngestError
from assets.raw.ingest import Ingestion, Owners
from assets.raw.tombstones import Burial, tombstone
from resources.durations import shown
from resources.media.store import MediaStore
from resources.policy import LENGTHS, Policy
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import load_tables
from warehouse.landings import CHANNEL, COUNTS, RECORD_TABLES, Landing, find

_WORDS = ("title", "description", "tags", "url", "thumbnail_url")
_TEXTS = (*_WORDS, "channel_name")
_STATISTICS = (*COUNTS, *(name for name in CHANNEL if name != "channel_name"))
_NOT_SEEN = """
    SELECT video_id FROM (SELECT source, video_id, known_at FROM raw.videos
                          UNION ALL SELECT source, video_id, known_at FROM raw.snapshots)
    WHERE source = $source GROUP BY video_id HAVING max(known_at) < $limit"""
"""Videos of a source of which nothing came to be known since a moment."""
_DERIVED = ("features", "embeddings", "clusters", "evaluations", "language")
# When what a derived row says of a video's counts was true.
_AS_OF = {
    "features.engagement": "as_of",
    "features.channel": "as_of",
    "features.metrics": "as_of",
    "features.levels": "anchor_at",
    "features.targets": "anchor_at",
    "embeddings.neighbours": "anchor_at",
    "evaluations.predictions": "as_of",
    "evaluations.forecasts": "as_of",
    "evaluations.scores": "matured_at",
}

# Derived rows that hold or stand for words of the source.
_WORDED = ("language.texts", "language.transcripts", "language.summaries")


@dataclass(frozen=True)
class Limits:
    """The moments before which what came to be known of a source has to go; None is never."""

    statistics: datetime | None
    text: datetime | None
    media: datetime | None
    seen: datetime | None

    @classmethod
    def of(cls, policy: Policy, now: datetime) -> "Limits":
        """The limits of a rule at a moment."""

        def before(length: timedelta | None) -> datetime | None:
            return None if length is None else now - length

        return cls(*(before(getattr(policy, name)) for name in LENGTHS))

    @property
    def first(self) -> datetime | None:
        """The latest of the moments: nothing known since then has to go."""
        return max((limit for limit in vars(self).values() if limit is not None), default=None)


def due(warehouse: Warehouse, settings: Settings, now: datetime) -> list[str]:
    """The sources of which something is overdue."""
    sources = landed_sources(warehouse)
    with warehouse.read() as con:
        return [source for source in sources if _is_due(con, settings, source, now)]


def _is_due(con: duckdb.DuckDBPyConnection, settings: Settings, source: str, now: datetime) -> bool:
    policy = settings.policy(source)
    limits = Limits.of(policy, now)
    if limits.first is not None and (_candidates(con, source, limits) or _old_media(con, source, limits)):
        return True
    return not policy.derived_metrics and bool(_derived_rows(con, source))


def begin(warehouse: Warehouse, sources: list[str], now: datetime, settings: Settings) -> Task:
    """Note that what is overdue of some sources is about to go."""
    rules = "; ".join(f"{source}: {settings.policy(source).name}" for source in sources)
    task = Task(f"retention-{now:%Y%m%dT%H%M%S}", f"rule of the source ({rules})", now, sources, "", "retention")
    state.keep(warehouse.home, task)
    return task


def _candidates(con: duckdb.DuckDBPyConnection, source: str, limits: Limits) -> list[str]:
    """Landings that hold something overdue: records that are older, or of videos that were not seen again."""
    found: set[str] = set()
    for table, said, limit in _dated(limits):
        if limit is not None:
            rows = con.execute(
                f"SELECT DISTINCT landing_id FROM {table} WHERE source = $source AND known_at < $limit AND ({said})",
                {"source": source, "limit": limit},
            ).fetchall()
            found |= {row[0] for row in rows}
    aside = _everything(limits)
    if aside is not None:
        rows = con.execute(
            """SELECT DISTINCT q.landing_id FROM raw.quarantine q JOIN raw.landings l USING (landing_id)
               WHERE q.source = $source AND q.kind <> 'media' AND q.reason <> 'forgotten' AND l.known_at < $limit""",
            {"source": source, "limit": aside},
        ).fetchall()
        found |= {row[0] for row in rows}
    if limits.seen is not None:
        for table in RECORD_TABLES:
            rows = con.execute(
                f"SELECT DISTINCT landing_id FROM raw.{table} WHERE source = $source AND video_id IN ({_NOT_SEEN})",
                {"source": source, "limit": limits.seen},
            ).fetchall()
            found |= {row[0] for row in rows}
    return sorted(found)


def _dated(limits: Limits) -> list[tuple[str, str, datetime | None]]:
    """Tables, which of their rows hold what has a length, and the moment before which it has to go."""
    numbers = " OR ".join(f"{name} IS NOT NULL" for name in COUNTS)
    both = _everything(limits) if limits.statistics is not None and limits.text is not None else None
    return [
        ("raw.snapshots", numbers, limits.statistics),
        ("raw.metrics", "TRUE", limits.statistics),
        ("raw.labels", "TRUE", limits.statistics),
        ("raw.channels", "subscribers IS NOT NULL OR videos IS NOT NULL OR views IS NOT NULL", limits.statistics),
        ("raw.channels", "name IS NOT NULL", limits.text),
        ("raw.videos", " OR ".join(f"{name} IS NOT NULL" for name in _WORDS), limits.text),
        ("raw.comments", "TRUE", limits.text),
        ("raw.captions", "TRUE", limits.text),
        ("raw.availability", "TRUE", both),
        ("raw.duplicates", "TRUE", both),
    ]


def _everything(limits: Limits) -> datetime | None:
    """The moment before which nothing of a record may be kept."""
    return min((limit for limit in (limits.statistics, limits.text) if limit is not None), default=None)


def rewrite(ingestion: Ingestion, task: Task) -> Rewritten:
    """Bury what is overdue in the landings, and make the raw tables anew from them."""
    done = Rewritten()
    landings = {each.landing_id: each for each in all_landings(ingestion.warehouse)}
    for source in task.sources:
        policy = ingestion.settings.policy(source)
        limits = Limits.of(policy, task.begun_at)
        with ingestion.warehouse.read() as con:
            wanted = _candidates(con, source, limits)
            lost = _not_seen(con, source, limits)
        burials: list[tuple[Landing, Burial]] = []
        for landing_id in wanted:
            landing = landings.get(landing_id)
            if landing is None or landing.kind == "media":
                continue
            try:
                burial = _overdue(landing, ingestion.owners(landing_id), limits, lost, policy, task)
            except IngestError as error:
                done.unread[landing_id] = str(error)
                continue
            burials.append((landing, burial))
        names = apply(ingestion, burials, task, done)
        with ingestion.warehouse.read() as con:
            unchanged = [landing.landing_id for landing, _ in burials if find(con, landing.landing_id) is not None]
        read_again(ingestion, sorted({*names, *unchanged}), done)
    return done


def _not_seen(con: duckdb.DuckDBPyConnection, source: str, limits: Limits) -> set[str]:
    if limits.seen is None:
        return set()
    rows = con.execute(
        _NOT_SEEN,
        {"source": source, "limit": limits.seen},
    ).fetchall()
    return {row[0] for row in rows}


def _overdue(landing: Landing, owners: Owners, limits: Limits, lost: set[str], policy: Policy, task: Task) -> Burial:
    """What of a landing is overdue: whole records, or fields of them."""
    kept = {name: shown(getattr(policy, name)) for name in ("statistics", "text", "refresh_or_delete")}
    text = tombstone(
        "none", task.begun_at, f"{policy.name}: " + " ".join(f"{name} {length}" for name, length in kept.items())
    )
    records: dict[int, str] = {}
    blanks: dict[int, tuple[str, ...]] = {}
    known = landing.known_at or landing.received_at
    judged = set()
    for row in owners.rows.select(["row_number", "video_id", "known_at", "entered"]).to_pylist():
        at = row["known_at"] or known
        judged.add(row["row_number"])
        statistics = limits.statistics is not None and at < limits.statistics
        words = limits.text is not None and at < limits.text
        whole = (statistics and landing.kind in ("metrics", "labels")) or (
            words and landing.kind in ("comments", "captions")
        )
        aside = (statistics or words) and not row["entered"]
        if (statistics and words) or row["video_id"] in lost or whole or aside:
            records[row["row_number"]] = text
        elif statistics or words:
            blanks[row["row_number"]] = _places(owners.adapter, _STATISTICS if statistics else _TEXTS)
    everything = _everything(limits)
    if everything is not None and known < everything:
        broken = (each.row_number for each in owners.reading.broken if each.reason != "forgotten")
        records.update({number: text for number in broken if number not in judged})
    return Burial(records, blanks)


def _places(adapter: Adapter, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(choice.name for name in names for choice in adapter.fields.get(name, ()) if choice.origin == "column")


def remove_media(ingestion: Ingestion, task: Task) -> int:
    """Take pictures, sounds and films that are overdue out of the store, with what was made of them."""
    warehouse, removed = ingestion.warehouse, 0
    store = MediaStore(warehouse.home)
    for source in task.sources:
        limits = Limits.of(ingestion.settings.policy(source), task.begun_at)
        with warehouse.read() as con:
            contents = _old_media(con, source, limits)
        if not contents:
            continue
        for content_id in contents:
            removed += store.has(content_id)
            store.remove(content_id)
        with warehouse.write() as con:
            _forget_contents(con, source, contents)
    return removed


def _old_media(con: duckdb.DuckDBPyConnection, source: str, limits: Limits) -> list[str]:
    """Contents of a source that are overdue and that no item younger than that refers to; with their frames and sound."""
    if limits.media is None:
        return []
    rows = con.execute(
        """WITH parts AS (
               SELECT m.source, m.known_at, unnest(list_distinct(list_concat([m.content_id],
                   coalesce(c.frame_ids, []), CASE WHEN c.sound_id IS NULL THEN [] ELSE [c.sound_id] END))) AS content_id
               FROM raw.media m LEFT JOIN raw.contents c USING (content_id) WHERE m.content_id IS NOT NULL)
           SELECT content_id FROM parts GROUP BY content_id
           HAVING bool_and(source = $source AND known_at < $limit) ORDER BY content_id""",
        {"source": source, "limit": limits.media},
    ).fetchall()
    return [row[0] for row in rows]


def _forget_contents(con: duckdb.DuckDBPyConnection, source: str, contents: list[str]) -> None:
    ids = {"ids": contents}
    con.execute(
        """UPDATE raw.media SET content_id = NULL, state = 'terminal', reason = 'forgotten', detail = 'its time has passed'
           WHERE source = $source AND list_contains($ids, content_id)""",
        {**ids, "source": source},
    )
    for declared in tables_with("content_id"):
        if declared.full_name != "raw.media":
            con.execute(f"DELETE FROM {declared.identifier} WHERE list_contains($ids, content_id)", ids)


def delete_derived(ingestion: Ingestion, task: Task) -> dict[str, int]:
    """Rows that were made from what is overdue, or from a source that no figure may be made from."""
    changed: dict[str, int] = {}
    with ingestion.warehouse.write() as con:
        for source in task.sources:
            policy = ingestion.settings.policy(source)
            limits = Limits.of(policy, task.begun_at)
            for declared in load_tables().values():
                named = {"source": source}
                if declared.schema not in _DERIVED or not {"source", "video_id"} <= set(declared.column_names):
                    continue
                if not policy.derived_metrics:
                    condition = "TRUE"
                elif limits.statistics is not None and declared.full_name in _AS_OF:
                    condition = f"{_AS_OF[declared.full_name]} < TIMESTAMP '{limits.statistics.isoformat(sep=' ')}'"
                elif limits.text is not None and declared.full_name in _WORDED:
                    condition = f"known_at < TIMESTAMP '{limits.text.isoformat(sep=' ')}'"
                else:
                    continue
                row = con.execute(
                    f"DELETE FROM {declared.identifier} WHERE source = $source AND {condition}", named
                ).fetchone()
                changed[declared.full_name] = changed.get(declared.full_name, 0) + (int(row[0]) if row else 0)
            if limits.text is not None:
                con.execute(
                    "UPDATE features.content SET title = NULL, description = NULL WHERE source = $source AND known_at < $limit",
                    {"source": source, "limit": limits.text},
                )
    return {name: rows for name, rows in changed.items() if rows}


def _derived_rows(con: duckdb.DuckDBPyConnection, source: str) -> bool:
    return any(
        con.execute(f"SELECT 1 FROM {each.identifier} WHERE source = $source LIMIT 1", {"source": source}).fetchone()
        for each in tables_with("source", "video_id")
        if each.schema in ("features", "evaluations")
    )


def withdraw_training_sets(ingestion: Ingestion, task: Task) -> tuple[list[str], list[str]]:
    """Training sets with rows that are overdue, and the models made from them; the files go."""
    warehouse = ingestion.warehouse
    rows = warehouse.query(
        "SELECT DISTINCT training_set_id, source, origin FROM models.training_sets WHERE list_contains($sources, source)",
        {"sources": task.sources},
    ).to_pylist()
    held: dict[str, pa.Table] = {}
    for row in rows:
        path = warehouse.home / FOLDER / f"{row['training_set_id']}.parquet"
        policy = ingestion.settings.policy(row["source"])
        limit = Limits.of(policy, task.begun_at).statistics
        if not path.exists() or (policy.derived_metrics and limit is None):
            continue
        table = pyarrow.parquet.read_table(path)
        kept = table.slice(0, 0) if not policy.derived_metrics else table.filter(_young(table["as_of"], limit))
        if kept.num_rows < table.num_rows:
            held[row["training_set_id"]] = kept
    models = tables.withdraw(warehouse, sorted(held), task.task_id, task.why, ingestion.now)
    for name, kept in held.items():
        withdraw_rows(warehouse.home, name, kept)
    return sorted(held), models


def _young(as_of: pa.ChunkedArray, limit: datetime | None) -> pa.ChunkedArray:
    return pc.greater_equal(as_of.cast(pa.timestamp("us")), pa.scalar(limit, pa.timestamp("us")))
