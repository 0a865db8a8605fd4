"""A collection run: recover what a killed run left, plan, reserve, collect, ingest, settle.

At any moment it may be killed: replies that came are on the disk, what was reserved stays spent, and the next run goes on from
there. No Dagster here; which source is asked for what, and when, is said by the caller.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import duckdb
import pyarrow as pa

from assets.raw.anchors import source_anchors
from assets.raw.collection import quota, spool
from assets.raw.collection.plan import Due, fitted, plan
from assets.raw.collection.tracked import followed, hours
from assets.raw.ingest import LandingResult, ingest_all
from assets.raw.media import ingest_collected
from assets.raw.store import refuse
from resources.collectors.base import CollectError, Collector, Missed, Order, QuotaSpentError
from resources.media.states import Reason
from resources.secrets import redact
from resources.settings import CollectedSource, Settings
from warehouse.arrow import schema_of
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

TABLE = "raw.collections"
STATUSES = ("private", "removed", "age_restricted", "region_blocked", "unavailable")
_SLACK, _FEW = 1.1, 2
"""What is reserved beyond the cost of an order, a share and a few, for requests that have to be tried again."""
_FIRST_LOOK_BACK = timedelta(days=7)
_OVERLAP = timedelta(hours=1)
_NEVER = (datetime.min, 0)
_BENIGN = (Reason.QUOTA_SPENT, Reason.RATE_LIMITED)


class HeldError(Exception):
    """Nothing may be asked of a source yet: it said so, or the day's quota is spent."""


@dataclass(frozen=True)
class Collected:
    """What became of a run, as its row of `raw.collections` and what was ingested."""

    row: dict[str, Any]
    results: tuple[LandingResult, ...]
    refused: tuple[str, ...]
    spent: Mapping[str, int]
    left: Mapping[str, int]

    @property
    def failed(self) -> bool:
        """Whether a person has to do something: more than a quota or a rate that was reached."""
        return bool(self.row["state"] == "failed")


@dataclass(frozen=True)
class Intention:
    """What a scheduled run of a source would do now, and why.

    Attributes:
        order: What it would ask for, as far as the room goes.
        due: All that is due, the most telling first.
        left: Units of each bucket that are left of the day.
        room: Units of each bucket that this run may take.
        cost: Units that the order takes at most.
        held: Why nothing may be asked at all now.
    """

    order: Order
    due: Due
    left: Mapping[str, int]
    room: Mapping[str, int]
    cost: Mapping[str, int]
    held: str | None


class Collection:
    """Collection with one collector into one home.

    Args:
        warehouse: Where to; its folder is the home.
        settings: Settings of the home.
        collector: Who fetches.
        clock: The home's time.
    """

    def __init__(
        self, warehouse: Warehouse, settings: Settings, collector: Collector, clock: Callable[[], datetime]
    ) -> None:
        self.warehouse = warehouse
        self.home = warehouse.home
        self.settings = settings
        self.collector = collector
        self.clock = clock

    # What to do -----------------------------------------------------------------------------------------------------

    def intention(self, name: str, source: CollectedSource, links: Sequence[str] = ()) -> Intention:
        """What a scheduled run would do now.

        Args:
            name: The source's name in the settings.
            source: What the settings say of it.
            links: Videos that the settings name; those that were never seen come first.
        """
        now = self.clock()
        limits = self._limits(source)
        with self.warehouse.read() as con:  # what is read inside is of the same state
            left = quota.left(con, self.collector.source, limits, now)
            due = self.due(now, followed_=source.follows)
            topics, channels, since = self._discovery(name, source, now)
            links = self._never_seen(links)
            held = self._held(now)
        room = {
            bucket: quota.share(units, limits[bucket], source.keep_back, source.every, now)
            for bucket, units in left.items()
        }
        wanted = Order(
            topics=topics,
            channels=channels,
            videos=(*links, *due.video_id[: source.most]),
            parts=source.parts & self.collector.parts,
            since=since,
        )
        order = fitted(wanted, self.collector.cost, room)
        return Intention(order, due, left, room, self.collector.cost(order), held)

    def due(self, now: datetime, *, followed_: bool = True) -> Due:
        """What is due now among the videos of the collector's source."""
        anchor = source_anchors(self.warehouse).get(self.collector.source, "published_at")
        tracked = followed(self.warehouse, self.settings, self.collector.source, anchor, now)
        found = plan(tracked, hours(now))
        return found if followed_ else found.first(0)

    def _limits(self, source: CollectedSource | None) -> dict[str, int]:
        own = source.units if source else {}
        return {bucket: min(own.get(bucket, limit), limit) for bucket, limit in self.collector.limits.items()}

    def _discovery(
        self, name: str, source: CollectedSource, now: datetime
    ) -> tuple[tuple[str, ...], tuple[str, ...], datetime]:
        """Topics and channels, those asked for longest ago first, and since when."""
        with self.warehouse.read() as con:
            rows = con.execute(
                f"""WITH own AS (SELECT topics, channels, started_at FROM {TABLE}
                                 WHERE name = $name AND state IN ('done', 'stopped')),
                         asked AS (SELECT 'topic' AS kind, unnest(topics) AS subject, started_at FROM own
                                   UNION ALL SELECT 'channel', unnest(channels), started_at FROM own)
                    SELECT kind, subject, max(started_at), count(*) FROM asked GROUP BY ALL""",
                {"name": name},
            ).fetchall()
        asked = {(kind, subject): (at, times) for kind, subject, at, times in rows}
        topics = sorted(source.topics, key=lambda topic: asked.get(("topic", topic), _NEVER))
        channels = sorted(source.channels, key=lambda channel: asked.get(("channel", channel), _NEVER))
        wanted = [*(("topic", topic) for topic in topics), *(("channel", channel) for channel in channels)]
        times = [asked[each][0] if each in asked else now - _FIRST_LOOK_BACK for each in wanted]
        return tuple(topics), tuple(channels), min([*times, now]) - _OVERLAP

    def _never_seen(self, videos: Sequence[str]) -> tuple[str, ...]:
        with self.warehouse.read() as con:
            rows = con.execute(
                """SELECT DISTINCT video_id FROM (
                       SELECT source, video_id FROM raw.videos UNION ALL SELECT source, video_id FROM raw.availability)
                   WHERE source = $source AND list_contains($videos, video_id)""",
                {"source": self.collector.source, "videos": list(videos)},
            ).fetchall()
        seen = {video for (video,) in rows}
        return tuple(video for video in dict.fromkeys(videos) if video not in seen)

    def _held(self, now: datetime) -> str | None:
        """Why nothing may be asked of the collector yet."""
        with self.warehouse.read() as con:
            row = con.execute(
                f"SELECT arg_max(detail, retry_at), max(retry_at) FROM {TABLE} WHERE collector = $name AND retry_at > $now",
                {"name": self.collector.name, "now": now},
            ).fetchone()
        if row is None or row[1] is None:
            return None
        return f"{self.collector.name}: {row[0]}; nothing is asked before {row[1]:%Y-%m-%d %H:%M} UTC"

    # Doing it -------------------------------------------------------------------------------------------------------

    def scheduled(self, name: str, source: CollectedSource, run_id: str, links: Sequence[str] = ()) -> Collected:
        """The run of a schedule: discovery, and what is due, inside its share of the day.

        Raises:
            HeldError: Nothing may be asked yet.
            spool.UnderWayError: Another process collects with this collector.
        """
        with spool.only_one(self.home, self.collector.name):
            recovered = self.recover()
            if (again := self._begun(run_id, recovered)) is not None:
                return again
            intention = self.intention(name, source, links)
            if intention.held:
                raise HeldError(intention.held)
            limits = self._limits(source)
            return self._run(name, intention.order, limits, len(intention.due), run_id, recovered)

    def on_demand(self, order: Order, run_id: str) -> Collected:
        """A run that somebody asked for: just the order, from all that is left of the day.

        Raises:
            HeldError: Nothing may be asked yet, or what is left of the quota does not pay for any of it.
            spool.UnderWayError: Another process collects with this collector.
        """
        with spool.only_one(self.home, self.collector.name):
            recovered = self.recover()
            if (again := self._begun(run_id, recovered)) is not None:
                return again
            now, limits = self.clock(), self._limits(None)
            if held := self._held(now):
                raise HeldError(held)
            with self.warehouse.read() as con:
                left = quota.left(con, self.collector.source, limits, now)
            fitting = fitted(order, self.collector.cost, left)
            if _asks(order) and not _asks(fitting):
                rest = ", ".join(f"{units} {bucket}" for bucket, units in left.items())
                raise HeldError(
                    f"{self.collector.name}: what is left of the day ({rest}) does not pay for it; "
                    f"the next day begins at {quota.day_ends(now):%Y-%m-%d %H:%M} UTC"
                )
            return self._run("", fitting, limits, 0, run_id, recovered)

    def recover(self) -> "Ingested":
        """Ingests what killed runs left, whichever collector's they were, and closes their rows.

        Rows of other collectors' runs wait for those: only who holds a collector's lock knows that none of its runs lives.
        """
        ingested = self._ingest(spool.leftovers(self.home))
        self._ingest_media()
        with self.warehouse.read() as con:
            open_ = con.execute(
                f"SELECT collection_id, started_at FROM {TABLE} WHERE collector = $name AND state = 'running'",
                {"name": self.collector.name},
            ).fetchall()
        for collection_id, started_at in open_:
            end = {"state": "killed", "detail": "its process ended without a word", "ended_at": self.clock()}
            with self.warehouse.write() as con:
                self._close(con, collection_id, {**end, **_counts(con, spool.prefix(started_at, collection_id))})
        return ingested

    def _begun(self, run_id: str, recovered: "Ingested") -> Collected | None:
        """The run as it stands, where an earlier try of it has begun to collect: nothing is asked for twice."""
        rows = self.warehouse.query(f"SELECT * FROM {TABLE} WHERE run_id = $run_id", {"run_id": run_id}).to_pylist()
        if not rows:
            return None
        with self.warehouse.read() as con:
            left = quota.left(con, self.collector.source, self._limits(None), self.clock())
        return Collected(rows[0], recovered.results, recovered.refused, {}, left)

    def _run(
        self,
        name: str,
        order: Order,
        limits: Mapping[str, int],
        due: int,
        run_id: str,
        recovered: "Ingested",
    ) -> Collected:
        now, collection_id = self.clock(), uuid4().hex
        cost = self.collector.cost(order)
        wanted = {bucket: math.ceil(units * _SLACK) + _FEW for bucket, units in cost.items() if units}
        with self.warehouse.write() as con:
            granted = quota.reserve(con, self.collector.source, limits, wanted, now, collection_id)
            order = fitted(order, self.collector.cost, granted)
            row = self._row(collection_id, run_id, name, order, due, now)
            append_rows(con, table(TABLE), pa.Table.from_pylist([row], schema_of(table(TABLE))))
        allowance = quota.Allowance(limits, granted, self.clock)
        lying = spool.Spool(self.home, now, collection_id)
        end: dict[str, Any] = {"state": "done"}
        missed: list[Missed] = []
        try:
            for answer in self.collector.collect(order, allowance):
                if isinstance(answer, Missed):
                    missed.append(answer)
                else:
                    lying.append(answer)
        except CollectError as error:
            end = self._ended(error)
        except QuotaSpentError as error:
            end = {"state": "stopped", "reason": Reason.QUOTA_SPENT.value, "detail": str(error)}
        except BaseException:
            lying.close()  # the next run takes the files over and closes the row
            raise
        ingested = recovered.plus(self._ingest(lying.finish()))
        self._ingest_media()
        end |= {
            "ended_at": self.clock(),
            "replies": lying.replies,
            "missed": [each.subject for each in missed if each.part == "videos"],
            "misses": _summed_up(missed),
        }
        with self.warehouse.write() as con:
            quota.settle(con, collection_id, {bucket: allowance.spent.get(bucket, 0) for bucket in granted})
            end |= _counts(con, lying.prefix)
            self._close(con, collection_id, end)
            left = quota.left(con, self.collector.source, limits, self.clock())
        return Collected({**row, **end}, ingested.results, ingested.refused, dict(allowance.spent), left)

    def _ended(self, error: CollectError) -> dict[str, Any]:
        now = self.clock()
        retry_at = now + error.retry_after if error.retry_after is not None else None
        if error.reason is Reason.QUOTA_SPENT:
            retry_at = quota.day_ends(now)
        return {
            "state": "stopped" if error.reason in _BENIGN else "failed",
            "reason": error.reason.value,
            "detail": redact(error.detail),
            "retry_at": retry_at,
        }

    def _row(self, collection_id: str, run_id: str, name: str, order: Order, due: int, now: datetime) -> dict[str, Any]:
        counts = dict.fromkeys((*_COUNTS, "replies"), 0)
        return {
            **dict.fromkeys(table(TABLE).column_names),
            "collection_id": collection_id,
            "run_id": run_id,
            "name": name,
            "collector": self.collector.name,
            "source": self.collector.source,
            "started_at": now,
            "state": "running",
            "topics": list(order.topics),
            "channels": list(order.channels),
            "asked": len(order.videos),
            "due": due,
            **counts,
        }

    def _close(self, con: duckdb.DuckDBPyConnection, collection_id: str, end: Mapping[str, Any]) -> None:
        sets = ", ".join(f'"{name}" = ${name}' for name in end)
        con.execute(f"UPDATE {TABLE} SET {sets} WHERE collection_id = $id", {**end, "id": collection_id})

    # Ingesting ------------------------------------------------------------------------------------------------------

    def _ingest(self, landings: Sequence[spool.Landing]) -> "Ingested":
        """Ingests files of replies; one that ingestion refuses is set aside with the reason, one that cannot be read yet stays."""
        results: list[LandingResult] = []
        refused: list[str] = []
        open_ = {landing.path: landing for landing in landings}
        try:
            for path, result in ingest_all(self.warehouse, self.settings, list(open_), now=self.clock()):
                if isinstance(result, LandingResult):
                    results.append(result)
                elif isinstance(result.__cause__, OSError):
                    raise result
                else:
                    refuse(self.home, path, result)
                    refused.append(path.name)
                open_.pop(path).discard()
        finally:
            for landing in open_.values():
                landing.leave()
        return Ingested(tuple(results), tuple(refused))

    def _ingest_media(self) -> None:
        """Takes up the pictures and films that runs of this collector have left, and removes them once they are kept."""
        name, source = self.collector.name, self.collector.source
        ingest_collected(self.warehouse, self.settings, name, source=source, now=self.clock())


@dataclass(frozen=True)
class Ingested:
    """What became of files of replies."""

    results: tuple[LandingResult, ...] = ()
    refused: tuple[str, ...] = ()

    def plus(self, other: "Ingested") -> "Ingested":
        """Both together."""
        return Ingested((*self.results, *other.results), (*self.refused, *other.refused))


def _summed_up(missed: Sequence[Missed]) -> list[str]:
    """What did not come, a line per part and reason with the first of its kind."""
    kinds: dict[tuple[str, str], list[Missed]] = {}
    for each in missed:
        kinds.setdefault((each.part, each.reason.value), []).append(each)
    return [
        f"{len(same)} {part}: {reason}: {same[0].subject}: {redact(same[0].detail)}"
        for (part, reason), same in kinds.items()
    ]


def _asks(order: Order) -> bool:
    return bool(order.topics or order.channels or order.videos)


_COUNTS = ("fetched", "live", *STATUSES)


def _counts(con: duckdb.DuckDBPyConnection, prefix: str) -> dict[str, Any]:
    """The landings of a run, how many videos they speak of, and in which state each was found."""
    landed = con.execute(
        """SELECT list(DISTINCT name ORDER BY name), list(DISTINCT landing_id), max(known_at)
           FROM (SELECT unnest(names) AS name, landing_id, known_at FROM raw.landings
                 WHERE len(list_filter(names, n -> starts_with(n, $prefix))) > 0)
           WHERE starts_with(name, $prefix)""",
        {"prefix": prefix},
    ).fetchone()
    names, landings, newest = landed or (None, None, None)
    found = con.execute(
        """WITH own AS (SELECT unnest($landings) AS landing_id),
                there AS (
                    SELECT video_id, NULL AS status FROM raw.videos JOIN own USING (landing_id)
                    UNION ALL SELECT video_id, NULL FROM raw.snapshots JOIN own USING (landing_id)
                    UNION ALL SELECT video_id, NULL FROM raw.duplicates JOIN own USING (landing_id)
                    UNION ALL SELECT video_id, status FROM raw.availability JOIN own USING (landing_id)),
                videos AS (SELECT video_id, max(status) FILTER (status <> 'live') AS status FROM there
                           WHERE video_id <> '' GROUP BY video_id)
           SELECT coalesce(status, 'live'), count(*) FROM videos GROUP BY status""",
        {"landings": landings or []},
    ).fetchall()
    per_status = dict(found)
    return {
        "landings": names or [],
        "newest_known_at": newest,
        "fetched": sum(per_status.values()),
        **{status: per_status.get(status, 0) for status in ("live", *STATUSES)},
    }
