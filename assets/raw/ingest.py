"""Ingestion of a landing: keep it, read it, map it, and write it in one transaction.

The steps are in the modules beside this one; the rule of which record stands is in `warehouse.landings`.
No Dagster here: the assets and the command line call these functions.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute

from assets.raw import adapters, inference, mapping, readers, store
from assets.raw.adapters import Adapter, Kind
from assets.raw.errors import IngestError
from assets.raw.mapping import Circumstances
from assets.raw.readers import Reading
from assets.raw.store import files, unfinished
from resources.settings import Settings, midnight
from warehouse import landings
from warehouse.connection import Warehouse
from warehouse.landings import Counts, Landing, LandingsNeededError, Resolved

__all__ = ["IngestError", "LandingResult", "files", "ingest", "replay", "reread", "unfinished"]


@dataclass(frozen=True)
class LandingResult:
    """What became of a landing.

    Attributes:
        landing_id: sha256 of the bytes.
        source: Source that the records belong to.
        kind: videos, metrics or labels.
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
class _Mapped:
    """A landing whose records are in a scratch connection; tables as `warehouse.landings.Resolved` has them."""

    landing: Landing
    quarantine: pa.Table
    days: pa.Table
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Chosen:
    """The adapter that a landing is read with, and how sure we are of it."""

    adapter: Adapter
    text: str
    mapping: dict[str, str] = field(default_factory=dict)
    confidence: dict[str, float] = field(default_factory=dict)


def ingest(
    warehouse: Warehouse,
    settings: Settings,
    path: Path,
    *,
    source: str = "auto",
    kind: Kind = "videos",
    observed_at: datetime | None = None,
    mapping: Mapping[str, str] | None = None,
    now: datetime,
) -> LandingResult:
    """Ingest one file.

    Args:
        warehouse: Where to.
        settings: Settings of the home.
        path: The file.
        source: An adapter's name, or auto: the adapter that recognises the file, else one inferred from its columns.
            For metrics and labels, the source whose videos they are about.
        kind: videos (with snapshots and channels), metrics or labels.
        observed_at: When everything in it was observed (naive UTC), where the file does not say.
        mapping: Field -> column, where the columns have other names.
        now: The home's time.

    Raises:
        IngestError: The file cannot be read as asked; names file, field and remedy. Nothing was written.
    """
    kept = store.keep(warehouse.home, path)
    with warehouse.read() as con:
        existing = landings.find(con, kept.landing_id)
    if existing is not None and existing.kind != kind:
        raise IngestError(path, f"was ingested as {existing.kind} before; a file is read as one kind only")
    names = tuple(sorted({*(existing.names if existing else ()), path.name}))
    asked = source != "auto" or observed_at is not None or bool(mapping)
    if existing is not None and not (asked and _differs(existing, source, observed_at, mapping, warehouse.home)):
        return _again(warehouse, settings, replace(existing, names=names), existing, now)
    reading = readers.read(
        kept.path,
        path.name,
        max_record_bytes=settings.max_record_bytes,
        records=_record_paths(source, kind, warehouse.home),
    )
    chosen = _choose(reading, path.name, source, kind, observed_at, mapping, warehouse.home)
    landing = Landing(
        landing_id=kept.landing_id,
        source=chosen.adapter.name,
        kind=kind,
        names=names,
        bytes=kept.bytes,
        adapter=chosen.text,
        contract_version=chosen.adapter.contract_version,
        time_source="row",
        received_at=existing.received_at if existing else now,
        rows_read=reading.count,
    )
    result = _write(warehouse, settings, landing, existing, chosen.adapter, reading, now)
    return replace(result, mapping=chosen.mapping, confidence=chosen.confidence)


def reread(warehouse: Warehouse, settings: Settings, landing_id: str, now: datetime) -> LandingResult:
    """Read a stored landing again with the adapter as it is now.

    Raises:
        IngestError: There is no such landing, its bytes are gone, or its adapter refuses it now.
    """
    with warehouse.read() as con:
        existing = landings.find(con, landing_id)
    if existing is None:
        raise IngestError(f"landing {landing_id}", "no such landing in the warehouse")
    return _read_again(warehouse, settings, existing, existing, now)


def replay(
    warehouse: Warehouse,
    settings: Settings,
    *,
    now: datetime,
    source: str | None = None,
    reason: str | None = None,
    landing_id: str | None = None,
) -> list[LandingResult]:
    """Read again every landing that has quarantined records of a source, a reason or a landing (its beginning will do)."""
    with warehouse.read() as con:
        rows = landings.quarantined(con, source=source, reason=reason, landing_id=landing_id)
    ids = dict.fromkeys(rows["landing_id"].to_pylist())
    return [reread(warehouse, settings, each, now) for each in ids]


def _differs(
    existing: Landing, source: str, observed_at: datetime | None, columns: Mapping[str, str] | None, home: Path
) -> bool:
    """Whether what is asked for is another reading than the stored one."""
    if columns or observed_at is not None:
        return True
    return source != existing.source or (
        existing.kind == "videos" and source in adapters.adapters(home) and existing.adapter.startswith("{")
    )


def _again(
    warehouse: Warehouse, settings: Settings, landing: Landing, existing: Landing, now: datetime
) -> LandingResult:
    """The same bytes once more: note the name; read again only where the adapter or the decisive name changed."""
    adapter = adapters.stored(existing.adapter, warehouse.home)
    renamed = existing.time_source == "file_name" and landing.names[0] != existing.names[0]
    if renamed or adapter.contract_version != existing.contract_version:
        return _read_again(warehouse, settings, landing, existing, now)
    if landing.names != existing.names:
        with warehouse.write() as con:
            landings.rename(con, landing.landing_id, landing.names)
    with warehouse.read() as con:
        counts = landings.counts_of(con, landing.landing_id)
    return _result(landing, counts, existing.known_at or existing.received_at, already_known=True)


def _read_again(
    warehouse: Warehouse, settings: Settings, landing: Landing, existing: Landing, now: datetime
) -> LandingResult:
    adapter = adapters.stored(existing.adapter, warehouse.home)
    reading = _read_stored(warehouse, settings, landing, adapter)
    fresh = replace(landing, contract_version=adapter.contract_version, rows_read=reading.count, known_at=None)
    return _write(warehouse, settings, fresh, existing, adapter, reading, now)


def _read_stored(warehouse: Warehouse, settings: Settings, landing: Landing, adapter: Adapter) -> Reading:
    path = store.path_of(warehouse.home, landing.landing_id)
    if not path.exists():
        raise IngestError(landing.names[0], f"its bytes are not in the store any more ({path}); put them back")
    return readers.read(
        path, landing.names[0], max_record_bytes=settings.max_record_bytes, records=adapter.records
    )


def _record_paths(source: str, kind: Kind, home: Path) -> tuple[str, ...]:
    known = adapters.adapters(home)
    if kind == "videos" and source in known:
        return known[source].records
    return tuple(dict.fromkeys(path for adapter in known.values() for path in adapter.records))


def _choose(
    reading: Reading,
    name: str,
    source: str,
    kind: Kind,
    observed_at: datetime | None,
    columns: Mapping[str, str] | None,
    home: Path,
) -> _Chosen:
    """The adapter asked for, the one that recognises the file, or one inferred."""
    stated = observed_at.isoformat(sep=" ") if observed_at is not None else None
    if not reading.columns and not reading.rows.num_rows:
        return _inferred(Adapter(name=source, anchor="first_seen_at", fields={}), stated, {}, {})
    if kind != "videos":
        inferred = inference.infer_cells(reading, name, source, columns or {}, observed_at=stated)
    else:
        known = adapters.adapters(home)
        found = known.get(source) if source != "auto" else inference.recognise(reading, known.values())
        if found is None and source != "auto" and not columns:
            found = adapters.adapter(source, home)
        if found is not None:
            if not columns and stated is None:
                return _Chosen(found, found.name)
            return _inferred(inference.with_columns(found, columns or {}, name), stated, {}, {})
        inferred = inference.infer(reading, name, source, columns or {}, observed_at=stated)
    return _inferred(inferred.adapter, stated, inferred.mapping, inferred.confidence)


def _inferred(
    adapter: Adapter, observed_at: str | None, columns: dict[str, str], confidence: dict[str, float]
) -> _Chosen:
    adapter = replace(adapter, observed_at=observed_at)
    return _Chosen(adapter, json.dumps(adapter.declared(), sort_keys=True), columns, confidence)


def _map(
    con: duckdb.DuckDBPyConnection, landing: Landing, adapter: Adapter, reading: Reading, settings: Settings, now: datetime
) -> _Mapped:
    """Map a reading in a scratch connection, which then has its `records`, with the landing's id."""
    around = Circumstances(landing.names[0], landing.received_at, midnight(settings.start), now)
    mapped = mapping.map_landing(con, reading, adapter, landing.kind, around)
    tag = mapping.literal(landing.landing_id)
    con.execute(f"CREATE VIEW tagged AS SELECT {tag} AS landing_id, * FROM records")
    notes = (f"ignored columns: {', '.join(mapped.ignored)}",) if mapped.ignored else ()
    return _Mapped(
        replace(landing, time_source=mapped.time_source),
        con.execute(f"SELECT {tag} AS landing_id, * FROM quarantine").to_arrow_table(),
        con.execute(f"SELECT {tag} AS landing_id, * FROM days").to_arrow_table(),
        notes,
    )


def _write(
    warehouse: Warehouse,
    settings: Settings,
    landing: Landing,
    existing: Landing | None,
    adapter: Adapter,
    reading: Reading,
    now: datetime,
) -> LandingResult:
    """Resolve and write a landing, with the others that have to be read again for it."""
    with mapping.workbench() as con:
        mapped = _map(con, landing, adapter, reading, settings, now)
        resolved = Resolved((mapped.landing,), *landings.resolve(con, landing.kind, "tagged"), mapped.quarantine, mapped.days)
        while True:
            try:
                with warehouse.write() as writing:
                    if landings.find(writing, landing.landing_id) != existing:
                        raise _OvertakenError
                    counts = landings.replace_landings(writing, resolved)[landing.landing_id]
                    stored = landings.find(writing, landing.landing_id)
            except LandingsNeededError as needed:
                resolved = _with_others(con, warehouse, settings, resolved, needed.landing_ids, now)
                continue
            except _OvertakenError:
                return _overtaken(warehouse, settings, landing, now)
            assert stored is not None and stored.known_at is not None
            return _result(stored, counts, stored.known_at, notes=mapped.notes)


def _with_others(
    con: duckdb.DuckDBPyConnection,
    warehouse: Warehouse,
    settings: Settings,
    resolved: Resolved,
    landing_ids: tuple[str, ...],
    now: datetime,
) -> Resolved:
    """The same landings and others, read again, resolved among each other; `con` has the records of the first."""
    others, records = [], []
    for landing_id in dict.fromkeys((*(landing.landing_id for landing in resolved.landings[1:]), *landing_ids)):
        with warehouse.read() as reading_con:
            landing = landings.find(reading_con, landing_id)
        if landing is None:
            raise IngestError(f"landing {landing_id}", "another process removed this landing meanwhile; ingest again")
        adapter = adapters.stored(landing.adapter, warehouse.home)
        reading = _read_stored(warehouse, settings, landing, adapter)
        fresh = replace(landing, contract_version=adapter.contract_version, rows_read=reading.count, known_at=None)
        with mapping.workbench() as other:
            others.append(_map(other, fresh, adapter, reading, settings, now))
            records.append(other.execute("SELECT * FROM tagged").to_arrow_table())
    first = con.execute("SELECT * FROM tagged").to_arrow_table()
    con.register("all_records", pa.concat_tables([first, *records], promote_options="default"))
    own = resolved.landings[0].landing_id
    return Resolved(
        (resolved.landings[0], *(mapped.landing for mapped in others)),
        *landings.resolve(con, resolved.kind, "all_records"),
        pa.concat_tables([_of(resolved.quarantine, own), *(mapped.quarantine for mapped in others)]),
        pa.concat_tables([_of(resolved.days, own), *(mapped.days for mapped in others)]),
    )


def _of(rows: pa.Table, landing_id: str) -> pa.Table:
    return rows.filter(pa.compute.equal(rows["landing_id"], landing_id))


class _OvertakenError(Exception):
    """Another process wrote the same landing since it was looked up."""


def _overtaken(warehouse: Warehouse, settings: Settings, landing: Landing, now: datetime) -> LandingResult:
    with warehouse.read() as con:
        existing = landings.find(con, landing.landing_id)
    if existing is None:
        raise IngestError(landing.names[0], "another process removed this landing meanwhile; ingest it again")
    return _again(warehouse, settings, replace(existing, names=tuple(sorted({*existing.names, *landing.names}))), existing, now)


def _result(
    landing: Landing, counts: Counts, known_at: datetime, *, notes: tuple[str, ...] = (), already_known: bool = False
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
        known_at=known_at,
        time_source=landing.time_source,
        reasons=counts.reasons,
        notes=notes,
        already_known=already_known,
    )
