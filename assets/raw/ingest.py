"""Ingestion of a landing: keep it, read it, map it, and write it in one transaction.

The steps are in the modules beside this one; the rule of which record stands is in `warehouse.landings`.
No Dagster here: the assets and the command line call these functions.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from assets.raw import adapters, inference, mapping, personal, readers, slots, store
from assets.raw.adapters import Adapter
from assets.raw.errors import IngestError, blaming
from assets.raw.mapping import Mapped
from assets.raw.readers import Places, Reading
from assets.raw.store import Kept, files, unfinished
from assets.raw.tombstones import Burial, bury, texts_of, tombstone
from resources.quiet import working
from resources.secrets import hashed, salt
from resources.settings import Settings, midnight
from warehouse import landings
from warehouse.connection import Warehouse
from warehouse.landings import Counts, Forgotten, Kind, Landing, LandingsNeededError, Resolved

__all__ = [
    "IngestError",
    "Ingestion",
    "LandingResult",
    "Owners",
    "files",
    "ingest",
    "ingest_all",
    "replay",
    "reread",
    "reread_all",
    "unfinished",
]


@dataclass(frozen=True)
class LandingResult:
    """What became of a landing.

    Attributes:
        landing_id: sha256 of the bytes.
        source: Source that the records belong to.
        kind: What a record is.
        names: Every name that the bytes arrived under.
        rows_read: Records read; accepted + duplicate + quarantined.
        accepted: Records in the raw tables.
        duplicate: Records that another record of the same key stands for.
        quarantined: Records set aside.
        known_at: When it was known.
        time_source: row, reply, file_name or operator.
        reasons: Counts of duplicates, quarantine reasons and flags.
        mapping: Field -> column, where the adapter was inferred.
        confidence: Field -> 0..1, where the adapter was inferred.
        notes: What a person should know, such as ignored columns.
        already_known: The same bytes had been read under the same contract; nothing but the names changed.
    """

    landing_id: str
    source: str
    kind: Kind
    names: tuple[str, ...]
    rows_read: int
    accepted: int
    duplicate: int
    quarantined: int
    known_at: datetime
    time_source: str
    reasons: dict[str, int] = field(default_factory=dict)
    mapping: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    already_known: bool = False


@dataclass(frozen=True)
class _Chosen:
    """The adapter that a landing is read with, and how sure we are of it."""

    adapter: Adapter
    text: str
    mapping: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Arrival:
    """A landing that was read, not yet mapped; `existing` is what the warehouse has of it."""

    landing: Landing
    existing: Landing | None
    chosen: _Chosen
    reading: Reading

    @property
    def moves(self) -> bool:
        """Whether the warehouse has it as of another source or kind."""
        return self.existing is not None and _group(self.existing) != _group(self.landing)


@dataclass(frozen=True)
class Owners:
    """Whose the records of a landing are.

    Attributes:
        reading: What the landing says.
        adapter: What read it.
        rows: row_number, video_id, channel_id, known_at, and whether the record may enter the raw tables.
    """

    reading: Reading
    adapter: Adapter
    rows: pa.Table


@dataclass(frozen=True)
class _Order:
    """How files are to be read; without a kind, as what their adapter says that they are."""

    source: str
    kind: Kind | None
    observed_at: datetime | None
    mapping: Mapping[str, str]


class _OvertakenError(Exception):
    """Another process wrote the same landing since it was looked up."""


# Kinds whose columns are measures: mapped anew for every file, unless its adapter says so.
_CELLS = ("metrics", "labels")
_WORD = re.compile(r"[A-Za-z0-9_-]{6,}")
# Files that go into one transaction: enough to share its cost, few enough to share a failure.
_FILES_AT_ONCE = 200
_BYTES_AT_ONCE = 64 << 20


class Ingestion:
    """Ingestion into one home, at one moment of its clock.

    Args:
        warehouse: Where to.
        settings: Settings of the home.
        now: The home's time.
    """

    def __init__(self, warehouse: Warehouse, settings: Settings, now: datetime) -> None:
        self.warehouse = warehouse
        self.home = warehouse.home
        self.settings = settings
        self.now = now
        self._refused: dict[str, dict[str, Forgotten]] = {}

    # Files ----------------------------------------------------------------------------------------------------------

    def files(self, paths: Iterable[Path], order: _Order) -> Iterator[tuple[Path, LandingResult | IngestError]]:
        """Ingest files, several in one transaction; a file that is refused does not stop the others."""
        for together in _chunks(paths):
            with working(self.home):
                outcomes = list(self._together(together, order))
            yield from outcomes

    def _together(self, paths: Sequence[Path], order: _Order) -> Iterator[tuple[Path, LandingResult | IngestError]]:
        outcomes: dict[Path, LandingResult | IngestError] = {}
        kept: dict[Path, Kept] = {}
        for path in paths:
            try:
                kept[path] = store.keep(self.home, path)
            except IngestError as error:
                outcomes[path] = error
        with self.warehouse.read() as con:
            known = {each.landing_id for each in kept.values() if landings.find(con, each.landing_id) is not None}
            self._refused = landings.forgotten(con)
        fresh: dict[str, tuple[Path, _Arrival]] = {}
        later: list[Path] = []
        for path, each in kept.items():
            if each.landing_id in known or each.landing_id in fresh:
                later.append(path)
                continue
            try:
                fresh[each.landing_id] = (path, self._read(each, path.name, None, order))
            except IngestError as error:
                outcomes[path] = error
        for group in _grouped(fresh.values(), lambda pair: pair[1].landing).values():
            try:
                results = self._write([arrival for _, arrival in group])
                outcomes.update({path: result for (path, _), result in zip(group, results, strict=True)})
            except (IngestError, _OvertakenError):
                later += [path for path, _ in group]
        for path in later:
            try:
                outcomes[path] = self.file(path, order)
            except IngestError as error:
                outcomes[path] = error
        yield from ((path, outcomes[path]) for path in paths)

    def file(self, path: Path, order: _Order) -> LandingResult:
        """Ingest one file."""
        kept = store.keep(self.home, path)
        existing = self._find(kept.landing_id)
        if existing is not None and order.kind not in (None, existing.kind):
            raise IngestError(path, f"was ingested as {existing.kind} before; a file is read as one kind only")
        if existing is not None and not _differs(existing, order, self.home):
            return self._known(existing, path.name)
        try:
            return self._write([self._read(kept, path.name, existing, order)])[0]
        except _OvertakenError:
            overtaken = self._find(kept.landing_id)
            if overtaken is None:
                raise IngestError(path, "another process removed this landing meanwhile; ingest it again") from None
            return self._known(overtaken, path.name)

    def _find(self, landing_id: str) -> Landing | None:
        with self.warehouse.read() as con:
            self._refused = landings.forgotten(con)
            return landings.find(con, landing_id)

    def _read(self, kept: Kept, name: str, existing: Landing | None, order: _Order) -> _Arrival:
        with blaming(name):
            reading, chosen = self._understood(kept.path, name, order)
        landing = Landing(
            landing_id=kept.landing_id,
            source=chosen.adapter.source,
            kind=chosen.adapter.kind,
            names=tuple(sorted({*(existing.names if existing else ()), name})),
            bytes=kept.bytes,
            adapter=chosen.text,
            contract_version=chosen.adapter.contract_version,
            time_source="row",
            received_at=existing.received_at if existing else self.now,
            rows_read=reading.count,
        )
        arrival = _Arrival(landing, existing, chosen, self._concealed(reading, chosen.adapter))
        refused = self._refused.get(landing.source) if existing is None else None
        return self._without_forgotten(arrival, kept, refused) if refused else arrival

    def _understood(self, path: Path, name: str, order: _Order) -> tuple[Reading, _Chosen]:
        """A file's records and what reads them; where a document is no record, the only list of records in it is tried."""
        places = _places(name, order, self.home)
        reading = self._opened(path, name, places)
        try:
            chosen = _choose(reading, name, order, self.home, places.records)
        except IngestError:
            inside = readers.only_list(reading)
            if inside is None:
                raise
            places = Places((inside,))
            reading = self._opened(path, name, places)
            chosen = _choose(reading, name, order, self.home, places.records)
        own = chosen.adapter.places
        if reading.format == "json" and own != places:  # as it will be when it is read again
            reading = self._opened(path, name, own)
        return reading, chosen

    def _without_forgotten(self, arrival: _Arrival, kept: Kept, refused: Mapping[str, Forgotten]) -> _Arrival:
        """An arrival without the records of those who were forgotten; the bytes that hold them are not kept."""
        numbers = self._forgotten_records(arrival, kept, refused)
        if not numbers:
            return arrival
        texts = {number: tombstone(of.subject_hash, of.forgotten_at, of.why) for number, of in numbers.items()}
        adapter, name = arrival.chosen.adapter, arrival.landing.names[0]
        places = adapter.places
        clean = store.keep_bytes(self.home, bury(kept.path, places, self.settings.max_record_bytes, Burial(texts)))
        kept.path.unlink(missing_ok=True)
        reading = self._concealed(self._opened(clean.path, name, places), adapter)
        existing = self._find(clean.landing_id)
        landing = replace(
            arrival.landing,
            landing_id=clean.landing_id,
            bytes=clean.bytes,
            names=tuple(sorted({*(existing.names if existing else ()), name})),
            received_at=existing.received_at if existing else arrival.landing.received_at,
        )
        return _Arrival(landing, existing, arrival.chosen, reading)

    def _forgotten_records(
        self, arrival: _Arrival, kept: Kept, refused: Mapping[str, Forgotten]
    ) -> dict[int, Forgotten]:
        """The records of those who were forgotten, by number; a record whose key cannot be read is judged by its words."""
        owners, key, source = self._owners(arrival), salt(self.home), arrival.landing.source
        found: dict[int, Forgotten] = {}
        entered = set()
        for row in owners.rows.to_pylist():
            if row["entered"]:
                entered.add(row["row_number"])
            for member in (row["channel_id"], row["video_id"]):
                of = refused.get(hashed(key, f"{source}/{member}")) if member else None
                if of is not None:
                    found.setdefault(row["row_number"], of)
        if len(entered) < arrival.reading.count:
            adapter = arrival.chosen.adapter
            plain = self._opened(kept.path, arrival.landing.names[0], adapter.places)
            for number, said in texts_of(plain, entered):
                for word in set(_WORD.findall(said)):
                    of = refused.get(hashed(key, f"{source}/{word}")) or refused.get(
                        hashed(key, f"{source}/{hashed(key, word)}")
                    )
                    if of is not None:
                        found.setdefault(number, of)
        return found

    def _opened(self, path: Path, name: str, places: Places) -> Reading:
        return readers.read(path, name, max_record_bytes=self.settings.max_record_bytes, places=places)

    def _concealed(self, reading: Reading, adapter: Adapter) -> Reading:
        return personal.conceal(reading, adapter.personal, lambda: salt(self.home))

    def _known(self, existing: Landing, name: str) -> LandingResult:
        """The same bytes once more: note the name; read again only where the adapter or the decisive name changed."""
        landing = replace(existing, names=tuple(sorted({*existing.names, name})))
        renamed = existing.time_source == "file_name" and landing.names[0] != existing.names[0]
        adapter = adapters.stored(existing.adapter, self.home)
        if renamed or adapter.contract_version != existing.contract_version:
            return self._write([self._read_stored(landing, existing)])[0]
        if landing.names != existing.names:
            with self.warehouse.write() as con:
                landings.rename(con, landing.landing_id, landing.names)
        with self.warehouse.read() as con:
            counts = landings.counts_of(con, landing.landing_id)
        return _result(landing, counts, already_known=True)

    # Stored landings ------------------------------------------------------------------------------------------------

    def again(self, landing_ids: Iterable[str]) -> Iterator[LandingResult]:
        """Read stored landings again with their adapters as they are now."""
        for together in _chunks([store.path_of(self.home, landing_id) for landing_id in landing_ids]):
            stored = [self._stored(path.name) for path in together]
            for group in _grouped(stored, lambda arrival: arrival.landing).values():
                try:
                    yield from self._write(group)
                except _OvertakenError:
                    for arrival in group:
                        yield self._write([self._stored(arrival.landing.landing_id)])[0]

    def _stored(self, landing_id: str) -> _Arrival:
        existing = self._find(landing_id)
        if existing is None:
            raise IngestError(f"landing {landing_id}", "no such landing in the warehouse")
        return self._read_stored(existing, existing)

    def _read_stored(self, landing: Landing, existing: Landing) -> _Arrival:
        """A stored landing as its adapter reads it now."""
        adapter = adapters.stored(existing.adapter, self.home)
        path = store.path_of(self.home, landing.landing_id)
        if not path.exists():
            raise IngestError(landing.names[0], f"its bytes are not in the store any more ({path}); put them back")
        reading = self._concealed(self._opened(path, landing.names[0], adapter.places), adapter)
        fresh = replace(
            landing,
            source=adapter.source,
            kind=landing.kind if landing.adapter.startswith("{") else adapter.kind,
            contract_version=adapter.contract_version,
            rows_read=reading.count,
            known_at=None,
        )
        return _Arrival(fresh, existing, _Chosen(adapter, landing.adapter), reading)

    def owners(self, landing_id: str) -> Owners:
        """Whose the records of a stored landing are, as its adapter reads it now.

        Raises:
            IngestError: Its bytes are gone, or its adapter refuses it now.
        """
        return self._owners(self._stored(landing_id))

    def _owners(self, arrival: _Arrival) -> Owners:
        with mapping.workbench() as con:
            self._map(con, [arrival], [0], arrival.landing.kind)
            there = [row[0] for row in con.execute("DESCRIBE mapped").fetchall()]
            channel = "channel_id" if "channel_id" in there else "NULL::VARCHAR"
            entered = "reason IS NULL" if "reason" in there else "TRUE"
            rows = con.execute(
                f"SELECT row_number, video_id, {channel} AS channel_id, known_at, {entered} AS entered FROM mapped"
            ).to_arrow_table()
        return Owners(arrival.reading, arrival.chosen.adapter, rows)

    # Writing --------------------------------------------------------------------------------------------------------

    def _write(self, arrivals: list[_Arrival]) -> list[LandingResult]:
        """Write landings in one transaction, with others that have to be read again for it.

        One that was read before as of another source or kind leaves that in the same transaction.
        """
        asked = [arrival.landing.landing_id for arrival in arrivals]
        while True:
            moving = [arrival for arrival in arrivals if arrival.moves]
            departures = _grouped([_emptied(arrival) for arrival in moving], lambda arrival: arrival.landing)
            for arrival in arrivals:
                if not arrival.moves and _group(arrival.landing) in departures:
                    departures[_group(arrival.landing)].append(arrival)
            entries = _grouped(arrivals, lambda arrival: arrival.landing)
            leaving = [self._resolve(group)[0] for group in departures.values()]
            entering, notes = [], {}
            for group in entries.values():
                resolved, said = self._resolve(group)
                entering.append(resolved)
                notes.update({group[number].landing.landing_id: note for number, note in said.items()})
            counts: dict[str, Counts] = {}
            try:
                with self.warehouse.write() as con:
                    for arrival in arrivals:
                        if landings.find(con, arrival.landing.landing_id) != arrival.existing:
                            raise _OvertakenError
                    for resolved in leaving:
                        landings.replace_landings(con, resolved)
                    for arrival in moving:
                        landings.forget(con, arrival.landing.landing_id)
                    for resolved in entering:
                        counts |= landings.replace_landings(con, resolved)
                    stored = [landings.find(con, landing_id) for landing_id in asked]
            except LandingsNeededError as needed:
                arrivals = [*arrivals, *map(self._stored, needed.landing_ids)]
                continue
            return [
                replace(
                    _result(
                        landing,
                        counts[landing.landing_id],
                        notes=notes[landing.landing_id] + self._rule(landing.source),
                    ),
                    mapping=arrivals[number].chosen.mapping,
                    confidence=arrivals[number].chosen.confidence,
                )
                for number, landing in enumerate(stored)
                if landing is not None
            ]

    def _rule(self, source: str) -> tuple[str, ...]:
        """What a person who drops a file of a source should know of its rule; nothing where it sets no limit."""
        policy = self.settings.policy(source)
        if not policy.limited and policy.derived_metrics:
            return ()
        way_out = f"policies: {{{source}: ...}} in upswell.yaml states a permission (docs/policies.md)"
        return (f"{source} is kept by the rule {policy.describe()}; what is overdue goes by itself; {way_out}",)

    def _resolve(self, arrivals: Sequence[_Arrival]) -> tuple[Resolved, dict[int, tuple[str, ...]]]:
        """Map landings and resolve them among each other; with the notes on each, by number."""
        groups: dict[object, list[int]] = {}
        for number, arrival in enumerate(arrivals):
            adapter, name = arrival.chosen.adapter, arrival.landing.names[0]
            key = (adapter.contract_version, slots.signature(arrival.reading, adapter, name))
            groups.setdefault(key, []).append(number)
        kind = arrivals[0].landing.kind
        ids = [arrival.landing.landing_id for arrival in arrivals]
        notes: dict[int, tuple[str, ...]] = {}
        time_sources: dict[int, str] = {}
        parts: list[_Part] = []
        contest = None
        for numbers in groups.values():
            with mapping.workbench() as con:
                mapped = self._map(con, [arrivals[number] for number in numbers], numbers, kind)
                note = (f"ignored columns: {', '.join(mapped.ignored)}",) if mapped.ignored else ()
                notes.update(dict.fromkeys(numbers, note))
                time_sources.update(dict.fromkeys(numbers, mapped.time_source))
                if len(groups) == 1:
                    contest = landings.resolve(con, kind, "records", ids)
                parts.append(_Part.of(con, ids, with_records=len(groups) > 1))
        winners, losers = contest or _contest(kind, parts, ids)
        settled = tuple(
            replace(arrival.landing, time_source=time_sources[number]) for number, arrival in enumerate(arrivals)
        )
        quarantine = pa.concat_tables([part.quarantine for part in parts])
        return Resolved(settled, winners, losers, quarantine, pa.concat_tables([part.days for part in parts])), notes

    def _map(
        self, con: duckdb.DuckDBPyConnection, arrivals: Sequence[_Arrival], numbers: Sequence[int], kind: Kind
    ) -> Mapped:
        listed = [
            mapping.Arrival(number, arrival.reading, arrival.landing.names[0], arrival.landing.received_at)
            for number, arrival in zip(numbers, arrivals, strict=True)
        ]
        bounds = mapping.Bounds(midnight(self.settings.start), self.now)
        with blaming(listed[0].name):
            return mapping.map_landings(con, listed, arrivals[0].chosen.adapter, kind, bounds)


@dataclass(frozen=True)
class _Part:
    """What a workbench has of landings that were mapped together; `records` only where they are resolved elsewhere."""

    records: pa.Table | None
    quarantine: pa.Table
    days: pa.Table

    @classmethod
    def of(cls, con: duckdb.DuckDBPyConnection, ids: Sequence[str], *, with_records: bool) -> "_Part":
        """Fetched from the workbench."""
        return cls(
            con.execute("FROM records").to_arrow_table() if with_records else None,
            landings.with_ids(con.execute("FROM quarantine").to_arrow_table(), ids),
            landings.with_ids(con.execute("FROM days").to_arrow_table(), ids),
        )


def _contest(kind: Kind, parts: Sequence[_Part], ids: Sequence[str]) -> tuple[pa.Table, pa.Table]:
    records = pa.concat_tables([part.records for part in parts if part.records is not None], promote_options="default")
    with mapping.workbench() as con:
        con.register("all_records", records)
        return landings.resolve(con, kind, "all_records", ids)


T = TypeVar("T")
Group = tuple[str, Kind]


def _group(landing: Landing) -> Group:
    """What landings share that are resolved together."""
    return landing.source, landing.kind


def _grouped(each: Iterable[T], landing: Callable[[T], Landing]) -> dict[Group, list[T]]:
    groups: dict[Group, list[T]] = {}
    for one in each:
        groups.setdefault(_group(landing(one)), []).append(one)
    return groups


def _emptied(arrival: _Arrival) -> _Arrival:
    """A stored landing as it leaves its source and kind: without records."""
    assert arrival.existing is not None
    nothing = readers.Reading("csv", pa.table({readers.ROW_NUMBER: pa.array([], pa.int64())}))
    adapter = Adapter(name=arrival.existing.source, anchor="first_seen_at", fields={})
    landing = replace(arrival.existing, rows_read=0, known_at=None)
    return _Arrival(landing, arrival.existing, _Chosen(adapter, landing.adapter), nothing)


def _chunks(paths: Iterable[Path]) -> Iterator[list[Path]]:
    together: list[Path] = []
    size = 0
    for path in paths:
        more = path.stat().st_size if path.exists() else 0
        if together and (len(together) >= _FILES_AT_ONCE or size + more > _BYTES_AT_ONCE):
            yield together
            together, size = [], 0
        together.append(path)
        size += more
    if together:
        yield together


def ingest(
    warehouse: Warehouse,
    settings: Settings,
    path: Path,
    *,
    source: str = "auto",
    kind: Kind | None = None,
    observed_at: datetime | None = None,
    mapping: Mapping[str, str] | None = None,
    now: datetime,
) -> LandingResult:
    """Ingest one file.

    Args:
        warehouse: Where to.
        settings: Settings of the home.
        path: The file.
        source: An adapter's name; the name of a source, for the adapter of it that recognises the file; or auto: any
            that does, else one inferred from its columns. For metrics and labels, the source that they are about.
        kind: What a record is; without it, what the adapter says.
        observed_at: When everything in it was observed (naive UTC), where the file does not say.
        mapping: Field -> column, where the columns have other names.
        now: The home's time.

    Raises:
        IngestError: The file cannot be read as asked; names file, field and remedy. Nothing was written.
    """
    with working(warehouse.home):
        return Ingestion(warehouse, settings, now).file(path, _Order(source, kind, observed_at, mapping or {}))


def ingest_all(
    warehouse: Warehouse,
    settings: Settings,
    paths: Iterable[Path],
    *,
    source: str = "auto",
    kind: Kind | None = None,
    observed_at: datetime | None = None,
    mapping: Mapping[str, str] | None = None,
    now: datetime,
) -> Iterator[tuple[Path, LandingResult | IngestError]]:
    """Ingest files, several in one transaction; the results are those of `ingest`, one by one.

    A file that is refused comes back with its error and does not stop the others. Arguments as for `ingest`.
    """
    return Ingestion(warehouse, settings, now).files(paths, _Order(source, kind, observed_at, mapping or {}))


def reread(warehouse: Warehouse, settings: Settings, landing_id: str, now: datetime) -> LandingResult:
    """Read a stored landing again with its adapter as it is now.

    Raises:
        IngestError: There is no such landing, its bytes are gone, or its adapter refuses it now.
    """
    return next(Ingestion(warehouse, settings, now).again([landing_id]))


def reread_all(
    warehouse: Warehouse, settings: Settings, landing_ids: Iterable[str], now: datetime
) -> Iterator[LandingResult]:
    """Read stored landings again, several in one transaction."""
    return Ingestion(warehouse, settings, now).again(landing_ids)


def replay(
    warehouse: Warehouse,
    settings: Settings,
    *,
    now: datetime,
    source: str | None = None,
    reason: str | None = None,
    landing_id: str | None = None,
) -> list[LandingResult]:
    """Read again every landing that has quarantined records of a source, a reason or a landing (its beginning will do).

    The name of an adapter stands for its source, and for what was read before adapters of one platform shared it.
    Folders of media are not among them: what a manifest lacks is mended in the folder, which is then ingested again.
    """
    known = dict.fromkeys([source, source and adapters.source_of(source, warehouse.home)])
    with warehouse.read() as con:
        found = [landings.quarantined(con, source=each, reason=reason, landing_id=landing_id) for each in known]
    listed = pa.concat_tables(found).select(["landing_id", "kind"]).to_pylist()
    kept = [row["landing_id"] for row in listed if row["kind"] != "media"]
    return list(reread_all(warehouse, settings, dict.fromkeys(kept), now))


def _differs(existing: Landing, order: _Order, home: Path) -> bool:
    """Whether what is asked for is another reading than the stored one."""
    if order.mapping or order.observed_at is not None:
        return True
    if order.source == "auto":
        return False
    if existing.kind not in _CELLS and order.source in adapters.adapters(home):
        return order.source != existing.adapter
    return adapters.source_of(order.source, home) != existing.source


def _places(name: str, order: _Order, home: Path) -> Places:
    """Where the records may be."""
    known = adapters.adapters(home)
    named = _named(name, order, known)
    if named is not None:
        return named.places
    return Places(tuple(dict.fromkeys(path for adapter in known.values() for path in adapter.records)))


def _named(name: str, order: _Order, known: Mapping[str, Adapter]) -> Adapter | None:
    """The adapter that the order names or, where it leaves that open, the file's name."""
    if order.kind in _CELLS:
        return None
    if order.source in known:
        return known[order.source]
    found = adapters.by_file_name(name, known)
    if found is None and order.kind is not None and name.removesuffix(".gz").endswith(".tsv"):
        found = next((each for each in known.values() if each.kind == order.kind and each.header), None)
    return found if found is not None and order.source in ("auto", found.source) else None


def _choose(reading: Reading, name: str, order: _Order, home: Path, records: tuple[str, ...]) -> _Chosen:
    """The adapter asked for, the one that recognises the file, or one inferred."""
    stated = order.observed_at.isoformat(sep=" ") if order.observed_at is not None else None
    known = adapters.adapters(home)
    found = _named(name, order, known)
    if not reading.columns and not reading.rows.num_rows:
        return _Chosen(found, found.name) if found is not None else _nothing(order, stated, home, records)
    header_only = not reading.count and inference.names_a_key(reading)
    if order.kind in _CELLS and header_only:
        return _nothing(order, stated, home, records)
    if order.kind in _CELLS:
        source = adapters.source_of(order.source, home)
        inferred = inference.infer_cells(reading, name, source, order.mapping, observed_at=stated, kind=order.kind)
        adapter = replace(inferred.adapter, kind=order.kind, records=records)
        return _inferred(adapter, stated, inferred.mapping, inferred.confidence)
    if found is None:
        of_source = [each for each in known.values() if order.source in ("auto", each.source)]
        found = inference.recognise(reading, [each for each in of_source if order.kind in (None, each.kind)])
    if found is None and order.kind not in (None, "videos"):
        readers_of = [each.name for each in known.values() if each.kind == order.kind]
        raise IngestError(
            name,
            f"no adapter of {order.kind} recognises it; say --source NAME of {', '.join(readers_of)}, or write an adapter "
            "for its columns (docs/add-a-source.md)",
        )
    if found is None and order.source != "auto" and not order.mapping:
        found = adapters.adapter(order.source, home)
    if found is None and header_only:
        return _nothing(order, stated, home, records)
    if found is None:
        inferred = inference.infer(reading, name, order.source, order.mapping, observed_at=stated)
        adapter = replace(inferred.adapter, records=records)
        return _inferred(adapter, stated, inferred.mapping, inferred.confidence)
    if order.kind not in (None, found.kind):
        raise IngestError(name, f"source {found.name} reads {found.kind}, not {order.kind}")
    if not order.mapping and stated is None:
        return _Chosen(found, found.name)
    return _inferred(inference.with_columns(found, order.mapping, name), stated, {}, {})


def _nothing(order: _Order, observed_at: str | None, home: Path, records: tuple[str, ...]) -> _Chosen:
    """What reads a file without records, whose columns no adapter knows."""
    source, kind = adapters.source_of(order.source, home), order.kind or "videos"
    adapter = Adapter(order.source, "first_seen_at", {}, source, kind, records=records)
    return _inferred(adapter, observed_at, {}, {})


def _inferred(
    adapter: Adapter, observed_at: str | None, columns: dict[str, str], confidence: dict[str, float]
) -> _Chosen:
    adapter = replace(adapter, observed_at=observed_at)
    return _Chosen(adapter, json.dumps(adapter.declared(), sort_keys=True), columns, confidence)


def _result(
    landing: Landing, counts: Counts, *, notes: tuple[str, ...] = (), already_known: bool = False
) -> LandingResult:
    return LandingResult(
        landing_id=landing.landing_id,
        source=landing.source,
        kind=landing.kind,
        names=landing.names,
        rows_read=landing.rows_read,
        accepted=counts.accepted,
        duplicate=counts.duplicate,
        quarantined=counts.quarantined,
        known_at=landing.known_at or landing.received_at,
        time_source=landing.time_source,
        reasons=counts.reasons,
        notes=notes,
        already_known=already_known,
    )
