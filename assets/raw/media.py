"""Pictures, sound and films of videos in the raw tables: from a folder, from thumbnail URLs, and what their bytes are.

Every item is in one state (pending, done, retryable, terminal) with a reason of `resources.media.states`. How a folder
is read is in `media_folder`, how bytes are read in `resources.media`. No Dagster here.
"""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from assets.raw import media_folder, store
from assets.raw.adapters import source_of
from assets.raw.media_folder import Order, Progress, Record
from assets.raw.media_rows import in_batches
from resources.collectors.ytdlp import collected_media
from resources.media.fetching import Pace, download, host_of
from resources.media.states import MediaError, Reason, Standing, after_failure
from resources.media.store import MediaStore
from resources.settings import Settings
from warehouse import landings
from warehouse.arrow import arrow_rows
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.landings import Landing
from warehouse.writer import replace_matching, replace_rows

Fetch = Callable[[str], bytes]
"""The bytes behind a URL, or a `MediaError`."""

_CONTRACT = hashlib.sha256(
    b"".join(Path(__file__).with_name(name).read_bytes() for name in ("media.py", "media_folder.py"))
).hexdigest()[:12]
_FETCHED_AT_ONCE = 250
_FETCH_THREADS = 8
_HOST_INTERVAL_S = 0.05
# What one item is: a video's reference to bytes. `position` follows from the others.
_CLAIM = "source, video_id, kind, uri, content_id"
_CONTEST = f"""
    CREATE OR REPLACE TEMP TABLE contest AS
    WITH both_sides AS (
        SELECT * EXCLUDE (position), FALSE AS arrives
        FROM raw.media SEMI JOIN arriving_media USING (source, video_id)
        -- what was waiting for its bytes gives way to the news of them
        WHERE content_id IS NOT NULL OR landing_id IS NOT NULL
            OR (source, video_id, kind, uri) NOT IN (SELECT (source, video_id, kind, uri) FROM arriving_media)
        UNION ALL BY NAME SELECT *, TRUE AS arrives FROM arriving_media
    )
    SELECT *, row_number() OVER claim AS place, first_value(landing_id) OVER claim AS kept_landing_id
    FROM both_sides
    WINDOW claim AS (PARTITION BY {_CLAIM} ORDER BY known_at, landing_id, row_number, arrives)"""
_STANDING = """
    SELECT * EXCLUDE (arrives, place, kept_landing_id), (row_number() OVER (
        PARTITION BY source, video_id, kind ORDER BY greatest(observed_at, known_at), uri, content_id) - 1)::INTEGER AS position
    FROM contest WHERE place = 1"""


# Folders ----------------------------------------------------------------------------------------------------------------


def ingest_media(
    warehouse: Warehouse,
    settings: Settings,
    folder: Path,
    *,
    source: str,
    index: Path | None = None,
    mapping: Mapping[str, str] | None = None,
    now: datetime,
    observed_at: datetime | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ingests a folder of pictures, sound and films, and prepares what is new in it.

    The folder's manifest is the landing; the same folder again changes nothing. Items whose bytes cannot be read are
    accepted in state terminal with the reason; records without a file or an id are quarantined.

    Args:
        warehouse: Where to.
        settings: Settings of the home.
        folder: The folder, with the folders below it.
        source: Source whose videos these are, or an adapter of it.
        index: CSV or JSON lines with the columns path (inside the folder), video_id and, where there are any, kind and
            observed_at; without one, a file's stem is the video's id.
        mapping: Field -> column, where the columns of the index have other names.
        now: The home's time.
        observed_at: When everything in it was observed (naive UTC), where the index does not say; else on arrival.
        progress: Told in one line what is being done.

    Returns:
        landing_id, source, names, rows_read, accepted, duplicate, quarantined, reasons, known_at, already_known, and
        what `prepare_contents` returns as `prepared`.

    Raises:
        IngestError: The folder or the index cannot be read, or the disk is full; nothing was written.
    """
    tell = progress or (lambda line: None)
    source = source_of(source, warehouse.home)
    order = Order(source, index, mapping or {}, observed_at, now)
    records = media_folder.read_folder(folder, order, MediaStore(warehouse.home), settings, tell)
    said = media_folder.manifest(records, source)
    kept = _keep_manifest(warehouse.home, said)
    name = folder.resolve().name
    landing = Landing(
        landing_id=kept.landing_id,
        source=source,
        kind="media",
        names=(name,),
        bytes=kept.bytes,
        adapter="media",
        contract_version=_CONTRACT,
        time_source=_time_source(records, observed_at),
        received_at=now,
        rows_read=len(records),
    )
    already_known = _write_landing(warehouse, landing, records, now)
    result = _landing_result(warehouse, landing.landing_id)
    prepared = prepare_contents(warehouse, settings, now, tell)
    reasons = {**result.pop("doubled"), **media_folder.reasons(records)}
    return {**result, "reasons": reasons, "already_known": already_known, "prepared": prepared}


def ingest_collected(
    warehouse: Warehouse, settings: Settings, collector: str, *, source: str, now: datetime
) -> dict[str, Any] | None:
    """Ingests the files that a collector fetched, and takes their folder away; a call that is killed is made good by the next.

    The collector may not run meanwhile.

    Returns:
        What `ingest_media` returns; None where there is nothing.

    Raises:
        IngestError: The folder cannot be read or the disk is full.
    """
    there = collected_media(warehouse.home, collector)
    if there is None:
        return None
    folder, index = there
    result = ingest_media(warehouse, settings, folder, source=source, index=index, now=now)
    kept = folder.with_name(f".{folder.name}")
    shutil.rmtree(kept, ignore_errors=True)
    folder.rename(kept)  # whole, so that a kill leaves no half of it to be ingested
    shutil.rmtree(kept)
    return result


def _keep_manifest(home: Path, said: bytes) -> store.Kept:
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "manifest.jsonl"
        path.write_bytes(said)
        return store.keep(home, path)


def _time_source(records: Sequence[Record], observed_at: datetime | None) -> str:
    stated = {record.observed_at for record in records if record.fault is None}
    if not stated - {None}:
        return "arrival"
    return "operator" if stated == {observed_at} else "row"


def _write_landing(warehouse: Warehouse, landing: Landing, records: Sequence[Record], now: datetime) -> bool:
    """Writes a landing with its records in one transaction; whether it was there before."""
    arriving = _arriving(landing, records, now)
    with warehouse.write() as con:
        existing = landings.find(con, landing.landing_id)
        if existing is not None:
            names = {*existing.names, *landing.names}
            if names != set(existing.names):
                landings.rename(con, landing.landing_id, sorted(names))
            _admit(con, arriving)
            return True
        _place(con, arriving)
        con.execute(
            """CREATE OR REPLACE TEMP TABLE lost AS
               SELECT landing_id, row_number, source, 'media' AS kind, video_id, observed_at, known_at,
                   'duplicate' AS reason, kept_landing_id, arrives
               FROM contest WHERE place > 1 AND landing_id IS NOT NULL"""
        )
        _recount_displaced(con)
        lost = con.execute("SELECT * EXCLUDE (arrives) FROM lost").to_arrow_table()
        replace_matching(con, table("raw.duplicates"), lost, table("raw.duplicates").key)
        replace_rows(con, table("raw.quarantine"), _quarantined(landing, records), {"landing_id": landing.landing_id})
        counted = con.execute("SELECT count(*) FROM lost WHERE arrives").fetchone()
        assert counted is not None
        _write_landing_row(con, landing, arriving, counted[0])
        _settle(con, arriving["content_id"].unique().drop_null().to_pylist())
    return False


def _admit(con: duckdb.DuckDBPyConnection, arriving: pa.Table) -> None:
    """Takes in items of a known landing that were too large before and are no longer."""
    con.register("arriving_media", arriving)
    try:
        con.execute(
            """UPDATE raw.media SET content_id = a.content_id, state = 'pending', reason = NULL, detail = NULL
               FROM arriving_media AS a
               WHERE raw.media.landing_id = a.landing_id AND raw.media.row_number = a.row_number
                   AND raw.media.content_id IS NULL AND a.content_id IS NOT NULL"""
        )
    finally:
        con.unregister("arriving_media")


def _arriving(landing: Landing, records: Sequence[Record], now: datetime) -> pa.Table:
    """The rows of `raw.media` that the accepted records of a landing say, without their position."""
    rows = []
    for number, record in enumerate(records, start=1):
        if record.fault is not None:
            continue
        at = record.observed_at or now
        too_large = f"{record.bytes} bytes; a larger media.max_bytes takes it in"
        rows.append(
            {
                "source": landing.source,
                "video_id": record.video_id,
                "kind": record.kind,
                "uri": record.path,
                "observed_at": at,
                "known_at": at,
                "state": "pending" if record.kept else "terminal",
                "reason": None if record.kept else Reason.TOO_LARGE.value,
                "detail": None if record.kept else too_large,
                "attempts": 1,
                "next_try_at": None,
                "content_id": record.sha256 if record.kept else None,
                "landing_id": landing.landing_id,
                "row_number": number,
            }
        )
    return arrow_rows(table("raw.media"), rows, without=("position",))


def _quarantined(landing: Landing, records: Sequence[Record]) -> pa.Table:
    rows = [
        {
            "landing_id": landing.landing_id,
            "row_number": number,
            "source": landing.source,
            "kind": landing.kind,
            "reason": record.fault.reason,
            "field": record.fault.field,
            "value": record.fault.value,
            "observed_at": record.observed_at,
            "record": json.dumps(record.said or {"path": record.path}, ensure_ascii=False, default=str),
            "contract_version": landing.contract_version,
        }
        for number, record in enumerate(records, start=1)
        if record.fault is not None
    ]
    return arrow_rows(table("raw.quarantine"), rows)


def _recount_displaced(con: duckdb.DuckDBPyConnection) -> None:
    """Tells earlier landings of items that turned out to have been known before."""
    con.execute(
        """UPDATE raw.landings SET accepted = accepted - fell.items, duplicate = duplicate + fell.items
           FROM (SELECT landing_id, count(*) AS items FROM lost WHERE NOT arrives GROUP BY landing_id) AS fell
           WHERE raw.landings.landing_id = fell.landing_id"""
    )


def _write_landing_row(con: duckdb.DuckDBPyConnection, landing: Landing, arriving: pa.Table, duplicate: int) -> None:
    known = [at for at in arriving["known_at"].to_pylist() if at is not None]
    row = {
        **vars(landing),
        "names": list(landing.names),
        "known_at": max(known, default=landing.received_at),
        "accepted": arriving.num_rows - duplicate,
        "duplicate": duplicate,
        "quarantined": landing.rows_read - arriving.num_rows,
    }
    declared = table("raw.landings")
    replace_rows(con, declared, arrow_rows(declared, [row]), {"landing_id": landing.landing_id})


def _landing_result(warehouse: Warehouse, landing_id: str) -> dict[str, Any]:
    rows = warehouse.query(
        """SELECT landing_id, source, names, rows_read, accepted, duplicate, quarantined, known_at
           FROM raw.landings WHERE landing_id = $id""",
        {"id": landing_id},
    ).to_pylist()
    return {**rows[0], "doubled": {"duplicate": rows[0]["duplicate"]} if rows[0]["duplicate"] else {}}


# Thumbnails -------------------------------------------------------------------------------------------------------------


def fetch_thumbnails(
    warehouse: Warehouse,
    settings: Settings,
    now: datetime,
    *,
    fetch: Fetch | None = None,
    limit: int | None = None,
    progress: Progress | None = None,
) -> dict[str, int]:
    """Fetches the thumbnails that videos name, where `media.fetch` asks for it: what is pending, and what is due again.

    A fetched thumbnail counts as observed and known at `now`, since a URL may show another picture than it did when
    it was collected. A host that asks to wait is left alone for the rest of the call, without counting a try.

    Args:
        warehouse: Where to.
        settings: What to fetch, how large it may be and how often it is tried.
        now: The home's time.
        fetch: Another way to get the bytes of a URL.
        limit: At most so many URLs.
        progress: Told in one line what is being done.

    Returns:
        Items by what became of them: new (named since the last time), fetched, retryable, terminal, and waiting (not
        tried, because their host asks to wait).

    Raises:
        MediaStoreError: The disk is full; batches before are kept.
    """
    counts = {"new": 0, "fetched": 0, "retryable": 0, "terminal": 0, "waiting": 0}
    if "thumbnail" not in settings.media.fetch:
        return counts
    tell = progress or (lambda line: None)
    get = fetch or _paced(settings.media.max_bytes)
    counts["new"] = _open_thumbnails(warehouse, now)
    due = _due(warehouse, now, limit)
    urls = list(due)
    hosts: dict[str, Standing] = {}
    media_store = MediaStore(warehouse.home)
    for start in range(0, len(urls), _FETCHED_AT_ONCE):
        together = urls[start : start + _FETCHED_AT_ONCE]
        rows = list(_fetched(together, due, get, media_store, hosts, settings, now))
        _write_fetched(warehouse, [row for _, row in rows])
        for outcome, _ in rows:
            counts[outcome] += 1
        tell(f"{min(start + _FETCHED_AT_ONCE, len(urls)):,} of {len(urls):,} thumbnails tried")
    return counts


def _paced(max_bytes: int) -> Fetch:
    """Downloads that keep apart what they ask of one host."""
    pace = Pace(_HOST_INTERVAL_S)

    def get(url: str) -> bytes:
        pace.take_turn(host_of(url))
        return download(url, max_bytes)

    return get


def _open_thumbnails(warehouse: Warehouse, now: datetime) -> int:
    """Makes a pending item of every thumbnail that is new; returns how many."""
    fresh = warehouse.query(
        """SELECT source, video_id, 'thumbnail' AS kind, thumbnail_url AS uri, min(observed_at) AS observed_at,
               min(greatest(observed_at, known_at)) AS known_at, 'pending' AS state, NULL::VARCHAR AS reason,
               NULL::VARCHAR AS detail, 0 AS attempts, NULL::TIMESTAMP AS next_try_at, NULL::VARCHAR AS content_id,
               NULL::VARCHAR AS landing_id, NULL::BIGINT AS row_number
           FROM raw.videos AS v
           WHERE thumbnail_url IS NOT NULL AND greatest(observed_at, known_at) <= $now AND NOT EXISTS (
               FROM raw.media AS m WHERE m.source = v.source AND m.video_id = v.video_id
                   AND m.kind = 'thumbnail' AND m.uri = v.thumbnail_url)
           GROUP BY ALL""",
        {"now": now},
    )
    if fresh.num_rows:
        with warehouse.write() as con:
            _place(con, fresh)
    return int(fresh.num_rows)


def _due(warehouse: Warehouse, now: datetime, limit: int | None) -> dict[str, list[dict[str, Any]]]:
    """The items to try, by URL: those that were never tried first, then those that have waited longest."""
    rows = warehouse.query(
        """SELECT * EXCLUDE (position) FROM raw.media
           WHERE kind = 'thumbnail' AND landing_id IS NULL AND content_id IS NULL
               AND (state = 'pending' OR (state = 'retryable' AND next_try_at <= $now))
           ORDER BY next_try_at NULLS FIRST, known_at, uri, source, video_id""",
        {"now": now},
    ).to_pylist()
    due: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["uri"] in due or limit is None or len(due) < limit:
            due.setdefault(row["uri"], []).append(row)
    return due


def _fetched(
    urls: Sequence[str],
    due: Mapping[str, list[dict[str, Any]]],
    get: Fetch,
    media_store: MediaStore,
    hosts: dict[str, Standing],
    settings: Settings,
    now: datetime,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """What became of some URLs: (outcome, row of `raw.media`) per item. Hosts that ask to wait are added to `hosts`."""

    def attempt(url: str) -> str | MediaError | None:
        if host_of(url) in hosts:
            return None
        try:
            return media_store.keep(get(url))
        except MediaError as error:
            if error.reason is Reason.RATE_LIMITED:
                hosts[host_of(url)] = after_failure(error, 1, 2, now)
            return error

    with ThreadPoolExecutor(_FETCH_THREADS) as pool:
        for url, outcome in zip(urls, pool.map(attempt, urls), strict=True):
            for row in due[url]:
                if outcome is None:
                    asked = hosts[host_of(url)]
                    yield "waiting", {**row, **vars(asked), "attempts": row["attempts"]}
                elif isinstance(outcome, str):
                    here = Standing("pending", None, None, row["attempts"] + 1, None)
                    seen = {"content_id": outcome, "observed_at": now, "known_at": now}
                    yield "fetched", {**row, **vars(here), **seen}
                else:
                    standing = after_failure(outcome, row["attempts"] + 1, settings.media.max_attempts, now)
                    yield standing.state, {**row, **vars(standing)}


def _write_fetched(warehouse: Warehouse, rows: Sequence[Mapping[str, Any]]) -> None:
    arriving = arrow_rows(table("raw.media"), rows, without=("position",))
    with warehouse.write() as con:
        _place(con, arriving)
        _settle(con, arriving["content_id"].unique().drop_null().to_pylist())


# Contents ---------------------------------------------------------------------------------------------------------------


def prepare_contents(
    warehouse: Warehouse, settings: Settings, now: datetime, progress: Progress | None = None
) -> dict[str, Any]:
    """Reads the bytes of every content that was not read by the present code yet, and settles the items that wait for it.

    Written in batches of one transaction each: a run that is killed is taken up where it was.

    Args:
        warehouse: Where to.
        settings: The largest picture and file.
        now: The home's time; what became known later waits.
        progress: Told in one line what is being done.

    Returns:
        How many contents were prepared, done and terminal, and `reasons` of the terminal ones.

    Raises:
        MediaStoreError: The disk is full; batches before are kept.
    """
    from resources.media.contents import prepare_stored

    tell = progress or (lambda line: None)
    media_store = MediaStore(warehouse.home)
    wanted = [
        row
        for row in _unprepared(warehouse, now)
        if row["reason"] != Reason.NOT_FOUND or media_store.has(row["content_id"])  # unless its bytes came back
    ]

    def prepare(row: Mapping[str, Any]) -> dict[str, Any]:
        expected = row["kind"] if row["kind"] in ("audio", "video") else "image"
        return prepare_stored(media_store, row["content_id"], settings.media, row["known_at"], expected=expected)

    states: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    for rows in in_batches(wanted, prepare):
        with warehouse.write() as con:
            declared = table("raw.contents")
            replace_matching(con, declared, arrow_rows(declared, rows), declared.key)
            _settle(con, [row["content_id"] for row in rows])
        states.update(row["state"] for row in rows)
        reasons.update(row["reason"] for row in rows if row["reason"])
        tell(f"{states.total():,} of {len(wanted):,} contents prepared")
    counts = {"prepared": states.total(), "done": states["done"], "terminal": states["terminal"]}
    return {**counts, "reasons": dict(sorted(reasons.items()))}


def _unprepared(warehouse: Warehouse, now: datetime) -> list[dict[str, Any]]:
    """Contents to prepare: content_id, kind as it was said, when they came here, reason of the last time."""
    from resources.media.contents import PREPARATION

    rows: list[dict[str, Any]] = warehouse.query(
        """SELECT content_id, min(m.kind) AS kind, min(m.known_at) AS known_at, any_value(c.reason) AS reason
           FROM raw.media AS m LEFT JOIN raw.contents AS c USING (content_id)
           WHERE content_id IS NOT NULL AND m.known_at <= $now
           GROUP BY content_id
           HAVING any_value(c.preparation) IS DISTINCT FROM $preparation
               OR any_value(c.known_at) > min(m.known_at) OR any_value(c.reason) = 'not-found'
           ORDER BY content_id""",
        {"now": now, "preparation": PREPARATION},
    ).to_pylist()
    return rows


# Writing ----------------------------------------------------------------------------------------------------------------


def _place(con: duckdb.DuckDBPyConnection, arriving: pa.Table) -> None:
    """Adds items to `raw.media`: of equal ones the first known stands; positions are numbered anew.

    Leaves the temporary table `contest` with all items of the videos concerned and their `place`.
    """
    con.register("arriving_media", arriving)
    try:
        con.execute(_CONTEST)
    finally:
        con.unregister("arriving_media")
    standing = con.execute(_STANDING).to_arrow_table()
    replace_matching(con, table("raw.media"), standing, ("source", "video_id"))


def _settle(con: duckdb.DuckDBPyConnection, content_ids: Sequence[str]) -> None:
    """Gives the items of some contents the state that reading their bytes led to."""
    con.execute(
        """UPDATE raw.media SET state = c.state, reason = c.reason, detail = c.detail
           FROM raw.contents AS c
           WHERE raw.media.content_id = c.content_id AND c.content_id IN (SELECT unnest($ids))
               AND (raw.media.state <> c.state OR raw.media.reason IS DISTINCT FROM c.reason)""",
        {"ids": content_ids},
    )
