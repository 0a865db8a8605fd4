"""The leakage audit: sampled feature rows and labels are made again in a second home that does not hold the future.

What differs by a bit is a leak and is named by its column; so is a column that no contract derives, and a label that a
training row could not have had. What is fitted on training rows is audited in `refit`. Nothing here writes to the home.
"""

import math
import os
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

from assets.evaluations.second_home import SecondHome, Subject, World, platform_day, platform_world, subjects
from assets.features.build import Anchors
from assets.features.frame import CATEGORIES, IDENTITY, OUTCOME, TEXT, load_frame, numeric_features
from assets.language.measures import COLUMNS as MEASURED
from assets.language.measures import MEASURES
from assets.models.columns import group_of
from resources.settings import Settings, cutoff_age
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]
Progress = Callable[[str], None]
ROW = "(row)"
"""Stands for a column where a whole row is missing, or there although it should not be."""
UNDECLARED = "(undeclared)"
_ABSENT, _PRESENT = "absent", "present"
_METRIC = "metric_"
_FEATURES = ("content", "engagement", "channel", "metrics")
_PLATFORM_ROWS = 2_000_000
"""Snapshots that all contexts of an audit may copy together, about: memory is bounded, however large a source is."""
_PLATFORM_DAYS = 20
"""Days of snapshots that one context reads, about: the week before it, of videos up to 72 h old and half as long again."""


@dataclass(frozen=True)
class Difference:
    """One value that is not what could be known.

    Attributes:
        source: Source.
        video_id: Video; empty where the row speaks of a source.
        cutoff: Cutoff; the target of an outcome, the day of a source.
        table: Table, or `training_set`.
        column: Column.
        expected: What the second home gives.
        found: What is stored.
    """

    source: str
    video_id: str
    cutoff: str
    table: str
    column: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        where = " ".join(part for part in (self.source, self.video_id, self.cutoff) if part)
        return f"{self.table}.{self.column} of {where}: {self.found!r} is stored, {self.expected!r} could be known"


@dataclass(frozen=True)
class AuditResult:
    """What an audit found.

    Attributes:
        sampled: Rows (video and cutoff) that were made again.
        compared_values: Values that were compared.
        differences: Every value that differs.
        seconds: How long it took.
    """

    sampled: int
    compared_values: int
    differences: list[Difference]
    seconds: float

    @property
    def columns(self) -> list[str]:
        """The columns that differ, as `table.column`."""
        return sorted({f"{difference.table}.{difference.column}" for difference in self.differences})


def audit(
    warehouse: Warehouse,
    settings: Settings,
    anchors: Anchors,
    *,
    samples: int = 200,
    seed: int,
    now: datetime,
    source: str | None = None,
    folder: Path,
    progress: Progress | None = None,
) -> AuditResult:
    """Makes sampled rows of the feature tables again from what was known, and compares them to the bit.

    Features that are stale (raw rows landed since they were built) differ too: build them first.

    Args:
        warehouse: The home to audit; only read.
        settings: Cutoffs and targets that its features were built with.
        anchors: Anchor per source.
        samples: How many (source, video, cutoff) to draw.
        seed: Decides which.
        now: The home's time (naive UTC); later moments are not drawn.
        source: Draw from this source only.
        folder: Existing folder for the second home, which is removed at the end.
        progress: Told what is being done.
    """
    begun = perf_counter()
    tell = progress or (lambda _: None)
    drawn = _draw(warehouse, samples, seed, now, source)
    known = subjects(warehouse, anchors, [(row["source"], row["video_id"]) for row in drawn], now)
    outcomes = _matured(warehouse, drawn)
    compared = _Comparison()
    with TemporaryDirectory(dir=folder, prefix=f"{os.getpid()}-audit-") as scratch:
        furnish = _Furnisher(Path(scratch), warehouse, settings, anchors, now)
        tell(f"building {len(drawn)} rows and {len(outcomes)} outcomes from what was known then")
        matured = sorted({(row["source"], row["video_id"], row["matured_at"]) for row in outcomes})
        videos = furnish(
            "videos", [*(_video_world(row, known) for row in drawn), *(_outcome_world(*row, known) for row in matured)]
        )
        _compare_videos(compared, warehouse, videos, drawn, known)
        _compare_outcomes(compared, videos, outcomes)
        platform = furnish("platform", _platform_worlds(warehouse, drawn, seed))
        tell(f"comparing {len(platform.worlds)} days of their sources")
        _compare_platform(compared, warehouse, platform)
    return AuditResult(len(drawn), compared.values, compared.differences, perf_counter() - begun)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """A frame that something is fitted on.

    Attributes:
        frame: Rows in the columns of `assets.features.frame.load_frame`.
        target: Target of the frame.
        cutoff: Cutoff of the frame.
        origin: Moment at which the fit is made (naive UTC); None where none is.
    """

    frame: "pd.DataFrame"
    target: str
    cutoff: str
    origin: datetime | None = None

    @property
    def table(self) -> str:
        """What differences of this set are listed under."""
        return f"training_sets.{self.target}"


def audit_training_sets(
    sets: Sequence[TrainingSet],
    warehouse: Warehouse,
    settings: Settings,
    anchors: Anchors,
    *,
    samples: int = 50,
    seed: int,
    now: datetime,
    folder: Path,
    progress: Progress | None = None,
) -> AuditResult:
    """Makes sampled rows of training sets again from what was known, and compares every column to the bit.

    All rows are held to the origin: the forecast's moment and the maturity of the label lie before it. A column that the
    contract does not derive from the feature tables is a difference in itself.

    Args:
        sets: The training sets.
        warehouse: The home that they were made from; only read.
        settings: Defines the targets.
        anchors: Anchor per source.
        samples: How many rows of each set to make again.
        seed: Decides which.
        now: The time that the sets were made at, or later (naive UTC).
        folder: Existing folder for the second home, which is removed at the end.
        progress: Told what is being done.
    """
    begun = perf_counter()
    compared = _Comparison()
    for each in sets:
        compared.differences += [*_undeclared(each), *_repeated(each), *_late(each)]
    drawn = [(each, row) for each in sets for row in _draw_rows(each, samples, seed)]
    known = subjects(warehouse, anchors, [(row["source"], row["video_id"]) for _, row in drawn], now)
    with TemporaryDirectory(dir=folder, prefix=f"{os.getpid()}-audit-") as scratch:
        furnish = _Furnisher(Path(scratch), warehouse, settings, anchors, now)
        (progress or (lambda _: None))(f"building {len(drawn)} training rows from what was known then")
        worlds = [_video_world(row, known) for _, row in drawn]
        worlds += [_outcome_world(row["source"], row["video_id"], row["matured_at"] or now, known) for _, row in drawn]
        videos = furnish("videos", worlds)
        platform = furnish("platform", _platform_worlds(warehouse, [row for _, row in drawn], seed))
        again = Warehouse(Path(scratch) / "frames")
        _gather(again, videos, platform, drawn, sets)
        covered = {(world.source, platform_day(world)) for world in platform.worlds}
        load = partial(load_frame, again, settings)
        for position, each in enumerate(sets):
            rows = [row for of, row in drawn if of is each]
            _compare_frame(compared, load, position, each, rows, covered)
    return AuditResult(len(drawn), compared.values, compared.differences, perf_counter() - begun)


def audit_training_set(
    frame: "pd.DataFrame",
    warehouse: Warehouse,
    settings: Settings,
    anchors: Anchors,
    *,
    target: str,
    cutoff: str,
    origin: datetime | None = None,
    samples: int = 50,
    seed: int,
    now: datetime,
    folder: Path,
    progress: Progress | None = None,
) -> AuditResult:
    """The audit of one training set; see `audit_training_sets`, which shares its second home among several."""
    return audit_training_sets(
        [TrainingSet(frame, target, cutoff, origin)],
        warehouse,
        settings,
        anchors,
        samples=samples,
        seed=seed,
        now=now,
        folder=folder,
        progress=progress,
    )


@dataclass
class _Comparison:
    """Counts the values compared and keeps those that differ."""

    values: int = 0
    differences: list[Difference] = field(default_factory=list)

    def add(self, of: Row, name: str, expected: Row | None, found: Row | None) -> None:
        """Compares two rows column by column; `of` says whose they are."""
        if expected is None or found is None:
            if expected is not found:
                state = [_ABSENT if row is None else _PRESENT for row in (expected, found)]
                self.differences.append(_difference(of, of["cutoff"], name, ROW, *state))
            return
        for column in dict.fromkeys([*expected, *found]):
            self.values += 1
            one, other = expected.get(column), found.get(column)
            if _bits(one) != _bits(other):
                self.differences.append(_difference(of, of["cutoff"], name, column, one, other))


@dataclass(frozen=True)
class _Furnisher:
    """Makes the second home of each kind of world."""

    scratch: Path
    first: Warehouse
    settings: Settings
    anchors: Anchors
    now: datetime

    def __call__(self, kind: Any, worlds: Sequence[World]) -> SecondHome:
        return SecondHome(self.scratch / kind, kind, worlds).furnish(self.first, self.settings, self.anchors, self.now)


Known = Mapping[tuple[str, str], Subject]


def _draw(warehouse: Warehouse, samples: int, seed: int, now: datetime, source: str | None) -> list[dict[str, Any]]:
    """Stored rows of features.channel, which has every video at every cutoff whose moment has come."""
    return _query(
        warehouse,
        """SELECT source, video_id, cutoff, as_of FROM features.channel
           WHERE as_of <= $now AND source = coalesce($source, source)
           ORDER BY md5(concat_ws('/', $seed::BIGINT, source, video_id, cutoff)) LIMIT $samples""",
        {"now": now, "source": source, "seed": seed, "samples": samples},
    )


def _draw_rows(of: TrainingSet, samples: int, seed: int) -> list[dict[str, Any]]:
    import numpy as np

    ordered = of.frame.drop_duplicates(["source", "video_id"]).sort_values(["source", "video_id"], kind="stable")
    chosen = np.random.default_rng(seed).permutation(len(ordered))[:samples]
    return [{**row, "cutoff": of.cutoff} for row in _records(ordered.iloc[np.sort(chosen)])]


def _matured(warehouse: Warehouse, drawn: Iterable[Row]) -> list[dict[str, Any]]:
    """The stored outcomes of the drawn videos."""
    videos = [
        {"source": source, "video_id": video} for source, video in sorted({(r["source"], r["video_id"]) for r in drawn})
    ]
    if not videos:
        return []
    return _query(
        warehouse,
        """SELECT t.*, t.target AS cutoff FROM features.targets t
           SEMI JOIN (SELECT unnest($videos, recursive := true)) USING (source, video_id)
           WHERE status = 'matured' ORDER BY source, video_id, target""",
        {"videos": videos},
    )


def _video_world(row: Row, known: Known) -> World:
    """Moment by the raw data's own anchor, so that a stored `as_of` cannot excuse itself."""
    subject = known.get((row["source"], row["video_id"]))
    if subject is None:
        return World(row["source"], row["as_of"], row["video_id"], True)
    moment = subject.anchor_at + cutoff_age(row["cutoff"])
    return World(row["source"], moment, row["video_id"], True, subject.record_at, subject.snapshot_at)


def _outcome_world(source: str, video: str, moment: datetime, known: Known) -> World:
    subject = known.get((source, video))
    if subject is None:
        return World(source, moment, video)
    return World(source, moment, video, False, subject.record_at, subject.snapshot_at)


def _platform_worlds(warehouse: Warehouse, drawn: Iterable[Row], seed: int) -> list[World]:
    """The days of the drawn moments; of large sources some of them, drawn by the seed."""
    import numpy as np

    days = sorted({(row["source"], row["as_of"].date()) for row in drawn})
    rows = _query(
        warehouse,
        "SELECT source, count(*) / count(DISTINCT CAST(observed_at AS DATE)) AS a_day FROM raw.snapshots GROUP BY source",
        {},
    )
    cost = {row["source"]: row["a_day"] * _PLATFORM_DAYS for row in rows}
    order = np.random.default_rng(seed).permutation(len(days))
    spent = np.cumsum([cost.get(days[position][0], 0.0) for position in order])
    kept = sorted(
        int(position) for position, total in zip(order, spent, strict=True) if total <= max(_PLATFORM_ROWS, spent[0])
    )
    return [platform_world(*days[position]) for position in kept]


def _compare_videos(
    compared: _Comparison, warehouse: Warehouse, home: SecondHome, drawn: Sequence[Row], known: Known
) -> None:
    words = [MEASURES] if warehouse.query(f"SELECT 1 FROM {MEASURES} LIMIT 1").num_rows else []
    for name in (*(f"features.{name}" for name in _FEATURES), *words):
        expected = _by_key(home.rows(name))
        stored = _by_key((0, row) for row in _stored(warehouse, name, drawn))
        for world, row in enumerate(drawn):
            cutoff = None if name == "features.content" else row["cutoff"]
            key = (row["source"], row["video_id"], cutoff)
            one, other = expected.get((world, *key)), stored.get((0, *key))
            compared.add(row, name, one and _without(one, {"inputs"}), other and _without(other, {"inputs"}))
    for row in drawn:
        subject = known.get((row["source"], row["video_id"]))
        moment = None if subject is None else subject.anchor_at + cutoff_age(row["cutoff"])
        compared.add(row, "features.channel", {"as_of": moment}, {"as_of": row["as_of"]})


def _compare_platform(compared: _Comparison, warehouse: Warehouse, home: SecondHome) -> None:
    expected = {(world, row["day"]): row for world, row in home.rows("features.context")}
    stored = {(row["source"], row["day"]): row for row in warehouse.query("SELECT * FROM features.context").to_pylist()}
    for position, world in enumerate(home.worlds):
        day = platform_day(world)
        of = {"source": world.source, "video_id": "", "cutoff": day.isoformat()}
        compared.add(of, "features.context", expected.get((position, day)), stored.get((world.source, day)))


def _compare_outcomes(compared: _Comparison, home: SecondHome, outcomes: Sequence[dict[str, Any]]) -> None:
    expected = {
        (row["source"], row["video_id"], home.worlds[world].moment, row["target"]): row
        for world, row in home.rows("features.targets")
    }
    for row in outcomes:
        found = {column: value for column, value in row.items() if column != "cutoff"}
        key = (row["source"], row["video_id"], row["matured_at"], row["target"])
        compared.add(row, "features.targets", expected.get(key), found)


def _stored(warehouse: Warehouse, name: str, drawn: Iterable[Row]) -> list[dict[str, Any]]:
    videos = [
        {"source": source, "video_id": video} for source, video in sorted({(r["source"], r["video_id"]) for r in drawn})
    ]
    if not videos:
        return []
    return _query(
        warehouse,
        f"SELECT f.* FROM {name} f SEMI JOIN (SELECT unnest($videos, recursive := true)) USING (source, video_id)",
        {"videos": videos},
    )


def _query(warehouse: Warehouse, sql: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = warehouse.query(sql, parameters).to_pylist()
    return rows


def _by_key(rows: Iterable[tuple[int, dict[str, Any]]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by world, source, video and cutoff; further measures become columns of one row."""
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for world, row in rows:
        kept = {f"{_METRIC}{row['metric']}": row["value"]} if "metric" in row else row
        found.setdefault((world, row["source"], row["video_id"], row.get("cutoff")), {}).update(kept)
    return found


def _gather(
    again: Warehouse,
    videos: SecondHome,
    platform: SecondHome,
    drawn: Sequence[tuple[TrainingSet, Row]],
    sets: Sequence[TrainingSet],
) -> None:
    """Puts the rows of all worlds under their own ids into one home, where each training set is a source of its own."""
    import pyarrow as pa

    found: dict[str, list[dict[str, Any]]] = {}
    for name in (*(f"features.{name}" for name in (*_FEATURES, "targets")), MEASURES):
        for world, row in videos.rows(name):
            of, _ = drawn[world % len(drawn)]
            about_outcome = world >= len(drawn)
            if about_outcome is (name == "features.targets") and row.get("cutoff", of.cutoff) == of.cutoff:
                found.setdefault(name, []).append({**row, "source": _own_source(sets.index(of), row["source"])})
    for world, row in platform.rows("features.context"):
        if row["day"] == platform_day(platform.worlds[world]):
            found.setdefault("features.context", []).extend(
                {**row, "source": _own_source(position, row["source"])} for position in range(len(sets))
            )
    with again.write() as con:
        for name, rows in found.items():
            declared = table(name)
            columns = {column: [row[column] for row in rows] for column in declared.column_names}
            replace_rows(con, declared, pa.table(columns), {})


def _compare_frame(
    compared: _Comparison,
    load: "Callable[[str, str, str], pd.DataFrame]",
    position: int,
    of: TrainingSet,
    drawn: Sequence[Row],
    covered: Container[tuple[str, date]],
) -> None:
    """Compares the drawn rows of a set with the frame made again; contexts only of the days that were made again."""
    contexts = {column.name for column in table("features.context").columns} - {"source"}
    for source in sorted({row["source"] for row in drawn}):
        frame = load(_own_source(position, source), of.target, of.cutoff)
        expected = {row["video_id"]: {**row, "source": source} for row in _records(frame)}
        for row in drawn:
            if row["source"] == source:
                left_out = set() if (source, row["as_of"].date()) in covered else contexts
                one, other = expected.get(row["video_id"]), _declared(row, of.cutoff)
                compared.add(row, of.table, one and _without(one, left_out), _without(other, left_out))


def _without(row: Row, columns: set[str]) -> dict[str, Any]:
    return {column: value for column, value in row.items() if column not in columns}


def _own_source(position: int, source: str) -> str:
    return f"{position}/{source}"


def _undeclared(of: TrainingSet) -> list[Difference]:
    """Columns that the contract does not derive from the feature tables."""
    return [
        Difference("", "", of.cutoff, of.table, str(column), UNDECLARED, _PRESENT)
        for column in of.frame.columns
        if not _is_declared(str(column), of.cutoff)
    ]


def _repeated(of: TrainingSet) -> list[Difference]:
    repeated = of.frame[of.frame.duplicated(["source", "video_id"])]
    return [_difference(row, of.cutoff, of.table, ROW, "once", "repeated") for row in _records(repeated)]


def _late(of: TrainingSet) -> list[Difference]:
    """Rows that could not have been trained on at the origin: a later moment, a later label or none."""
    if of.origin is None:
        return []
    by_origin = f"at or before {of.origin}"
    return [
        _difference(row, of.cutoff, of.table, column, by_origin, row[column])
        for column in ("as_of", "matured_at")
        for row in _records(of.frame[~(of.frame[column] <= of.origin)])
    ]


def _is_declared(column: str, cutoff: str) -> bool:
    known = {*IDENTITY, *TEXT, *CATEGORIES, *OUTCOME, *MEASURED, *numeric_features(cutoff)}
    return column in known or column.startswith(_METRIC) or _is_content(column)


def _is_content(column: str) -> bool:
    """Whether a column speaks of content: what that is fitted on is held to its origin where it is made."""
    return group_of(column) not in ("scalars", "title") and column not in MEASURED


def _declared(row: Row, cutoff: str) -> dict[str, Any]:
    return {
        column: value
        for column, value in row.items()
        if column != "cutoff" and _is_declared(column, cutoff) and not _is_content(column)
    }


def _records(frame: "pd.DataFrame") -> Iterator[dict[str, Any]]:
    """The rows of a frame as plain values: None where missing, datetimes instead of pandas' own."""
    import pandas as pd

    for row in frame.to_dict("records"):
        yield {
            str(column): None if pd.isna(value) else value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
            for column, value in row.items()
        }


def _difference(of: Row, cutoff: str, name: str, column: str, expected: Any, found: Any) -> Difference:
    return Difference(of["source"], of["video_id"], cutoff, name, column, expected, found)


def _bits(value: Any) -> Any:
    """A form that is equal only where the values are equal to the bit; NaN is missing."""
    if isinstance(value, float):
        return None if math.isnan(value) else value.hex()
    if isinstance(value, (bool, str, datetime, date)) or value is None:
        return value
    return float(value).hex()
