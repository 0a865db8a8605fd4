"""A second home that holds only what was usable by given moments, and feature tables and measures of words built there by the
ordinary path.

Each moment is a world of its own in one warehouse: source, video and channel ids carry the world's number, so that nothing
joins from one world to another. A world leaves out rows that cannot bear on the row in question; to leave out too much could
raise a false alarm but never hide a leak, since a leak reads what is not there. Nothing here compares.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from assets.features.build import TABLES, Anchors
from assets.features.stale import ranges, rebuild
from assets.language.emotions import EMOTIONS
from assets.language.measures import refresh_measures
from assets.language.texts import TEXTS, refresh_texts
from assets.language.transcripts import TRANSCRIPTS
from resources.settings import MeasuredTarget, Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table

Kind = Literal["videos", "platform"]
"""What the worlds of a home are about: each a video, or each a source's last week."""

_SQL = Path(__file__).parent
_COUNTS = ("views", "likes", "comments", "shares", "saves")
_TEXTS = ("title", "description", "url", "thumbnail_url", "category", "language")
_RAW: Mapping[Kind, tuple[str, ...]] = {
    "videos": ("videos", "snapshots", "channels", "metrics", "labels", "availability", "comments", "captions"),
    "platform": ("videos", "snapshots"),
}
_LATER = timedelta(days=1)
"""The second home is built this much later than the first: nothing may depend on when it is asked."""
_LONGEST_RANGE = timedelta(days=31)


@dataclass(frozen=True)
class World:
    """What is to be known, of whom and by when.

    Attributes:
        source: Source of the rows.
        moment: Rows observed or known later are left out.
        subject: Video that the world is about; None for a source's last week.
        with_channel: Whether the world has the other videos of the subject's channel.
        record_at: Observation time of the record that the subject's content is taken from. It is what is being forecast,
            so the world has it even where it came to be known later.
        snapshot_at: Observation time of the subject's first snapshot; where that was known later, it is there without counts.
    """

    source: str
    moment: datetime
    subject: str | None = None
    with_channel: bool = False
    record_at: datetime | None = None
    snapshot_at: datetime | None = None


@dataclass(frozen=True)
class Subject:
    """A video as raw data states it: its anchor, and which records its content is taken from; without a snapshot, one."""

    anchor_at: datetime
    record_at: datetime
    snapshot_at: datetime | None


def subjects(
    warehouse: Warehouse, anchors: Anchors, videos: Iterable[tuple[str, str]], now: datetime
) -> dict[tuple[str, str], Subject]:
    """The anchor of videos (source, id) and the records of their content; videos without an anchor are left out."""
    asked = [
        {"source": source, "video_id": video, "anchor": anchors.get(source, "")}
        for source, video in sorted(set(videos))
    ]
    if not asked:
        return {}
    rows = warehouse.query((_SQL / "subjects.sql").read_text(), {"videos": asked, "now": now}).to_pylist()
    return {
        (row["source"], row["video_id"]): Subject(row["anchor_at"], row["record_at"], row["snapshot_at"])
        for row in rows
    }


class SecondHome:
    """A warehouse of worlds with their feature tables.

    Args:
        folder: Empty or absent folder that the warehouse is made in.
        kind: What the worlds are about.
        worlds: The worlds; each is known by its position.
    """

    def __init__(self, folder: Path, kind: Kind, worlds: Sequence[World]) -> None:
        self.warehouse = Warehouse(folder)
        self.kind = kind
        self.worlds = worlds

    def furnish(self, first: Warehouse, settings: Settings, anchors: Anchors, now: datetime) -> "SecondHome":
        """Copies what was usable from the first home and builds the feature tables of this kind of world."""
        if not self.worlds:
            return self
        self._copy(first, anchors)
        own_settings, own_anchors = self._renamed(settings, anchors)
        everything = (settings.start, (now + _LATER).date() + timedelta(days=1))
        for name in _features(self.kind):
            for start, end in self._platform_days() if name == "context" else [everything]:
                rebuild(name, self.warehouse, own_settings, own_anchors, start, end, now + _LATER, "audit")
        if self.kind == "videos":
            refresh_texts(self.warehouse, now + _LATER, "audit")
            refresh_measures(self.warehouse)
        return self

    def rows(self, full_name: str) -> list[tuple[int, dict[str, Any]]]:
        """The rows of a table that speak of the subjects (or of the day of a source), each with its world."""
        if not self.worlds:
            return []
        wanted = [
            {"world": position, "key": _tagged(position, world.subject if world.subject is not None else world.source)}
            for position, world in enumerate(self.worlds)
        ]
        key = "source" if self.kind == "platform" else "video_id"
        found = self.warehouse.query(
            f"""SELECT w.world, f.* FROM {full_name} f
                JOIN (SELECT unnest($wanted, recursive := true)) w ON w.key = f.{key} ORDER BY ALL""",
            {"wanted": wanted},
        ).to_pylist()
        return [(row.pop("world"), _untagged(row)) for row in found]

    def _copy(self, first: Warehouse, anchors: Anchors) -> None:
        worlds = [
            {
                "world": position,
                "source": world.source,
                "moment": world.moment,
                "subject": world.subject or "",
                "with_channel": world.with_channel,
                "record_at": world.record_at or datetime.min,
                "snapshot_at": world.snapshot_at or datetime.min,
            }
            for position, world in enumerate(self.worlds)
        ]
        members = (_SQL / "members.sql").read_text()
        facts = first.extract(
            {
                "worlds": "SELECT * FROM (SELECT unnest($worlds, recursive := true))",
                "members": members,
                **_copies(self.kind, f"(SELECT DISTINCT source, video_id FROM ({members}))"),
            },
            {
                "worlds": worlds,
                "first_seen_sources": [name for name, kind in anchors.items() if kind == "first_seen_at"],
            },
        )
        with facts, self.warehouse.write() as con:
            rows = {f"raw.{name}": _usable(f"raw.{name}", name) for name in _RAW[self.kind]}
            if self.kind == "videos":
                rows |= {TRANSCRIPTS: _usable(TRANSCRIPTS, "transcripts"), EMOTIONS: "SELECT * FROM emotions"}
            for full_name, query in rows.items():
                con.register("usable", facts.execute(query).to_arrow_table())
                con.execute(f"INSERT INTO {full_name} BY NAME SELECT * FROM usable")
                con.unregister("usable")

    def _renamed(self, settings: Settings, anchors: Anchors) -> tuple[Settings, dict[str, str]]:
        """Settings and anchors in which the worlds are sources."""
        names: dict[str, list[str]] = {}
        for position, world in enumerate(self.worlds):
            names.setdefault(world.source, []).append(_tagged(position, world.source))
        targets = {
            name: target.model_copy(
                update={"sources": tuple(n for source in target.sources for n in names.get(source, []))}
            )
            if isinstance(target, MeasuredTarget) and target.sources is not None
            else target
            for name, target in settings.targets.items()
        }
        own_anchors = {name: anchors[source] for source, own in names.items() if source in anchors for name in own}
        regimes = {
            name: settings.view_regimes[source]
            for source, own in names.items()
            if source in settings.view_regimes
            for name in own
        }
        return settings.model_copy(update={"targets": targets, "view_regimes": regimes}), own_anchors

    def _platform_days(self) -> Iterable[tuple[date, date]]:
        """The days after the moments, in ranges [start, end)."""
        step = timedelta(days=1)
        for first, last in ranges(sorted({platform_day(world) for world in self.worlds})):
            while first <= last:
                yield first, min(first + _LONGEST_RANGE, last + step)
                first += _LONGEST_RANGE


def platform_world(source: str, day: date) -> World:
    """All that was usable before a day began."""
    return World(source, datetime(day.year, day.month, day.day) - timedelta(microseconds=1))


def platform_day(world: World) -> date:
    """The day that begins when the moment is over."""
    return (world.moment + timedelta(microseconds=1)).date()


def _features(kind: Kind) -> tuple[str, ...]:
    return (
        ("content", "levels", "context") if kind == "platform" else tuple(name for name in TABLES if name != "context")
    )


def _copies(kind: Kind, videos: str) -> dict[str, str]:
    """What is read of the first home: the raw rows of some videos, and of the channels that these were recorded with."""
    of_videos = f"SEMI JOIN {videos} USING (source, video_id)"
    if kind == "platform":
        # A source's week is many videos, and its days share most of them: only what levels read is copied.
        no_text = ", ".join(f"NULL::VARCHAR AS {column}" for column in _TEXTS)
        no_counts = ", ".join(f"NULL::BIGINT AS {count}" for count in _COUNTS if count != "views")
        first_record = """QUALIFY row_number() OVER (PARTITION BY source, video_id
                          ORDER BY greatest(observed_at, known_at), observed_at) = 1"""
        return {
            "videos": f"""SELECT * REPLACE ({no_text}, '' AS landing_id) FROM raw.videos {of_videos}
                WHERE list_contains($first_seen_sources, source) OR observed_at >= CAST(published_at AS DATE) {first_record}""",
            "snapshots": f"SELECT * REPLACE ({no_counts}, '' AS landing_id) FROM raw.snapshots {of_videos}",
        }
    copies = {name: f"SELECT * FROM raw.{name} {of_videos}" for name in _RAW[kind]}
    copies["channels"] = f"""SELECT * FROM raw.channels SEMI JOIN (
        SELECT DISTINCT source, channel_id FROM raw.videos {of_videos}) USING (source, channel_id)"""
    copies["transcripts"] = f"SELECT * FROM {TRANSCRIPTS} {of_videos} WHERE origin = 'speech'"
    # What a model says of a text does not change; from when on it counts is asked of every row of the measures.
    copies["emotions"] = f"SELECT * FROM {EMOTIONS} SEMI JOIN (FROM {TEXTS} {of_videos}) USING (text_id)"
    return copies


def _usable(full_name: str, name: str) -> str:
    """The rows of a table that each world holds, under the world's own ids; `name` is that of its copy."""
    columns = table(full_name).column_names
    times = [column for column in ("observed_at", "known_at") if column in columns]
    usable = f"({' AND '.join(f'r.{column} <= w.moment' for column in times)})"
    replaced: dict[str, str] = {
        column: f"w.world || '@' || r.{column}" for column in ("source", "video_id", "channel_id") if column in columns
    }
    condition = usable
    if name == "videos":
        condition += " OR (r.video_id = w.subject AND r.observed_at = w.record_at)"
    if name == "snapshots":
        condition += " OR (r.video_id = w.subject AND r.observed_at = w.snapshot_at)"
        replaced |= {count: f"CASE WHEN {usable} THEN r.{count} END" for count in _COUNTS}
    members, key = "members", "video_id"
    if name == "channels":
        members = (
            "(SELECT DISTINCT m.world, v.source, v.channel_id FROM members m JOIN videos v USING (source, video_id))"
        )
        key = "channel_id"
    replace = ", ".join(f"{expression} AS {column}" for column, expression in replaced.items())
    return f"""SELECT r.* REPLACE ({replace}) FROM {name} r
               JOIN {members} m ON m.source = r.source AND m.{key} = r.{key}
               JOIN worlds w ON w.world = m.world WHERE {condition}"""


def _tagged(world: int, name: str) -> str:
    return f"{world}@{name}"


def _untagged(row: dict[str, Any]) -> dict[str, Any]:
    return {
        column: value.split("@", 1)[1]
        if column in ("source", "video_id", "channel_id") and value is not None
        else value
        for column, value in row.items()
    }
