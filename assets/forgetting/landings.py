"""The landings of a home without the subject: each that holds it is rewritten, takes its new name in the tables, and is read again.

So the raw tables stay a function of the landings. A rewriting can be repeated: the same landing gives the same bytes, and one
that holds nothing of the subject any more is left alone.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from assets.forgetting.needles import Needles
from assets.forgetting.state import Task
from assets.forgetting.subject import needles_of
from assets.raw import adapters, readers, store
from assets.raw.errors import IngestError
from assets.raw.ingest import Ingestion, Owners
from assets.raw.readers import Places
from assets.raw.tombstones import Burial, bury, texts_of, tombstone
from warehouse import landings
from warehouse.arrow import arrow_rows
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.landings import Landing
from warehouse.writer import append_rows

Progress = Callable[[str], None]


@dataclass
class Rewritten:
    """What became of the landings.

    Attributes:
        landings: Landings rewritten.
        records: Records that are tombstones now.
        removed: Files of the store that no landing names and that held the subject.
        unread: Landings that could not be read again, with the reason.
    """

    landings: int = 0
    records: int = 0
    removed: int = 0
    unread: dict[str, str] = field(default_factory=dict)


def rewrite_landings(ingestion: Ingestion, task: Task, progress: Progress) -> Rewritten:
    """Bury the subject in every landing."""
    warehouse, done = ingestion.warehouse, Rewritten()
    needles = needles_of(task)
    wanted: list[tuple[Landing, Burial]] = []
    known = {each.landing_id: each for each in all_landings(warehouse)}
    for landing_id, landing in sorted(known.items()):
        path = store.path_of(warehouse.home, landing_id)
        if path.exists() and (landing_id in task.records or needles.hits(plain_bytes(path))):
            wanted.append((landing, _burial(ingestion, landing, task, needles)))
    again = apply(ingestion, wanted, task, done)
    progress(f"{done.landings} landings rewritten, {done.records} records")
    read_again(ingestion, _unsettled(warehouse, again, task), done)
    for path in _strays(warehouse):
        if needles.hits(plain_bytes(path)):
            path.unlink()
            done.removed += 1
    return done


def apply(ingestion: Ingestion, wanted: Sequence[tuple[Landing, Burial]], task: Task, done: Rewritten) -> list[str]:
    """Rewrite landings and give them their new names in one transaction; gives the names of those that changed."""
    warehouse = ingestion.warehouse
    changed: list[tuple[Landing, Burial, store.Kept]] = []
    for landing, burial in wanted:
        old = store.path_of(warehouse.home, landing.landing_id)
        data = bury(old, _places(warehouse.home, landing), ingestion.settings.max_record_bytes, burial)
        kept = store.keep_bytes(warehouse.home, data)
        if kept.landing_id != landing.landing_id:
            changed.append((landing, burial, kept))
    if not changed:
        return []
    rows = [
        {
            "landing_id": kept.landing_id,
            "replaced": landing.landing_id,
            "records": len(burial.records),
            "why": task.why,
            "task_id": task.task_id,
            "rewritten_at": ingestion.now,
        }
        for landing, burial, kept in changed
    ]
    with warehouse.write() as con:
        names = {landing.landing_id: kept.landing_id for landing, _, kept in changed}
        landings.rewritten(con, names, {kept.landing_id: kept.bytes for _, _, kept in changed})
        append_rows(con, table("raw.rewritten"), arrow_rows(table("raw.rewritten"), rows))
        for landing, burial, kept in changed:
            if landing.kind == "media":
                _bury_media(con, landing, kept.landing_id, burial)
    for landing, burial, _ in changed:
        store.path_of(warehouse.home, landing.landing_id).unlink(missing_ok=True)
        done.landings += 1
        done.records += len(burial.records)
    return sorted(set(names.values()))


def read_again(ingestion: Ingestion, landing_ids: list[str], done: Rewritten) -> None:
    """Make the raw tables anew from landings that were rewritten."""
    try:
        for _ in ingestion.again(landing_ids):
            pass
    except IngestError:  # one at a time, so that the others are read
        for landing_id in landing_ids:
            try:
                for _ in ingestion.again([landing_id]):
                    pass
            except IngestError as error:
                done.unread[landing_id] = str(error)


def plain_bytes(path: Path) -> bytes:
    """What a search looks through in a landing: its bytes unpacked, of Parquet its values as text."""
    with path.open("rb") as file:
        head = file.read(4)
    if head == b"PAR1":
        return parquet_text(path)
    if head[:2] == b"\x1f\x8b":
        return readers.unpacked(path)[0]
    return readers.as_utf8(path.read_bytes())


def parquet_text(path: Path) -> bytes:
    """The values of a Parquet file as lines of text, with the names and metadata of its columns."""
    table = pyarrow.parquet.read_table(path)
    parts = [str(table.schema.metadata or "").encode()]
    for column in table.columns:
        kind = column.type
        if pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_temporal(kind):
            continue
        texts = column.cast(pa.string()) if not pa.types.is_nested(kind) else pa.array(map(str, column.to_pylist()))
        parts.append("\n".join(text for text in texts.to_pylist() if text).encode("utf-8", errors="surrogateescape"))
    return b"\n".join(parts)


def all_landings(warehouse: Warehouse) -> list[Landing]:
    """Every landing that the tables name."""
    with warehouse.read() as con:
        ids = [row[0] for row in con.execute("SELECT landing_id FROM raw.landings").fetchall()]
        return [each for each in (landings.find(con, landing_id) for landing_id in ids) if each is not None]


def _places(home: Path, landing: Landing) -> Places:
    if landing.kind == "media":
        return Places()
    adapter = adapters.stored(landing.adapter, home)
    return adapter.places


def _burial(ingestion: Ingestion, landing: Landing, task: Task, needles: Needles) -> Burial:
    """Which records of a landing are the subject's, and what is redacted in the others."""
    text = tombstone(task.subject_hash, task.begun_at, task.why)
    if landing.source not in task.sources:
        return Burial(redact=needles.redacted)
    numbers, aside = (
        _known(ingestion, landing, task) if landing.landing_id in task.records else _told(ingestion, landing, task)
    )
    if aside:
        plain = _plainly(ingestion, landing)
        others = set(range(1, plain.count + 1)) - aside
        numbers |= {number for number, said in texts_of(plain, others) if _names(said, task, needles)}
    return Burial({number: text for number in numbers}, redact=needles.redacted)


def _known(ingestion: Ingestion, landing: Landing, task: Task) -> tuple[set[int], set[int]]:
    """The subject's records as the tables had them, and the records that were set aside."""
    aside = ingestion.warehouse.query(
        "SELECT row_number FROM raw.quarantine WHERE landing_id = $id AND reason <> 'forgotten'",
        {"id": landing.landing_id},
    )
    return set(task.records[landing.landing_id]), set(aside["row_number"].to_pylist())


def _told(ingestion: Ingestion, landing: Landing, task: Task) -> tuple[set[int], set[int]]:
    """The same of a landing that the tables knew nothing of when the task began."""
    try:
        owners = ingestion.owners(landing.landing_id) if landing.kind != "media" else None
    except IngestError:
        owners = None
    if owners is None:
        return set(), set(range(1, landing.rows_read + 1))
    entered = set(owners.rows.filter(owners.rows["entered"])["row_number"].to_pylist())
    return _by_key(owners, task), set(range(1, owners.reading.count + 1)) - entered


def _names(said: str, task: Task, needles: Needles) -> bool:
    """Whether a record whose key cannot be read names the subject."""
    return bool(needles.hits(said.encode("utf-8", errors="surrogateescape"))) or bool(
        set(said.split("\n")) & set(task.ids)
    )


def _by_key(owners: Owners, task: Task) -> set[int]:
    videos, channels = pa.array(task.videos, pa.string()), pa.array(task.channels, pa.string())
    hit = pa.compute.or_(
        pa.compute.is_in(owners.rows["video_id"].cast(pa.string()), videos),
        pa.compute.is_in(owners.rows["channel_id"].cast(pa.string()), channels),
    )
    return set(owners.rows.filter(hit)["row_number"].to_pylist())


def _plainly(ingestion: Ingestion, landing: Landing) -> readers.Reading:
    """What a landing says, nobody concealed."""
    path, limit = store.path_of(ingestion.home, landing.landing_id), ingestion.settings.max_record_bytes
    try:
        return readers.read(path, landing.names[0], max_record_bytes=limit, places=_places(ingestion.home, landing))
    except IngestError:
        return readers.Reading("csv", pa.table({readers.ROW_NUMBER: pa.array([], pa.int64())}))


def _bury_media(con, landing: Landing, landing_id: str, burial: Burial) -> None:  # type: ignore[no-untyped-def]
    """The rows of a manifest that was rewritten; what it said of others stays as it is."""
    numbers = {"id": landing_id, "numbers": sorted(burial.records)}
    for name in ("raw.media", "raw.duplicates", "raw.quarantine"):
        con.execute(f"DELETE FROM {name} WHERE landing_id = $id AND list_contains($numbers, row_number)", numbers)
    rows = [
        {
            "landing_id": landing_id,
            "row_number": number,
            "source": landing.source,
            "kind": landing.kind,
            "reason": "forgotten",
            "field": None,
            "value": None,
            "observed_at": None,
            "record": text,
            "contract_version": landing.contract_version,
        }
        for number, text in sorted(burial.records.items())
    ]
    append_rows(con, table("raw.quarantine"), arrow_rows(table("raw.quarantine"), rows))
    con.execute(
        """UPDATE raw.landings SET quarantined = q.n, duplicate = d.n, accepted = rows_read - q.n - d.n
           FROM (SELECT count(*) AS n FROM raw.quarantine WHERE landing_id = $id) AS q,
                (SELECT count(*) AS n FROM raw.duplicates WHERE landing_id = $id) AS d
           WHERE landing_id = $id""",
        {"id": landing_id},
    )


def _unsettled(warehouse: Warehouse, fresh: list[str], task: Task) -> list[str]:
    """Landings to read again: those rewritten now, and those of an earlier try of this task that was cut short."""
    with warehouse.read() as con:
        rows = con.execute(
            """SELECT DISTINCT landing_id FROM raw.landings JOIN raw.rewritten USING (landing_id)
               WHERE kind <> 'media' AND (task_id = $task OR list_contains($fresh, landing_id)) ORDER BY ALL""",
            {"task": task.task_id, "fresh": fresh},
        ).fetchall()
    return [row[0] for row in rows]


def _strays(warehouse: Warehouse) -> Iterator[Path]:
    """Files of the store that no landing names: refused ones, and what a killed rewriting left."""
    known = {each.landing_id for each in all_landings(warehouse)}
    folder = warehouse.home / "landings"
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file() and path.name not in known and os.access(path, os.R_OK):
            yield path
