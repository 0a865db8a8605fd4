"""The raw assets: landings that are read into the raw tables, and the raw days that are read again from them.

Wiring only; reading, parsing and resolving are in the modules beside this one.
"""

import fcntl
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import dagster as dg
from dagster._core.events import DagsterEventBatchMetadata, StepMaterializationData
from dagster._core.instance.utils import RUNLESS_JOB_NAME, RUNLESS_RUN_ID

from assets.partitions import daily, days, in_one_run
from assets.policies import OWNER, columns_metadata, describe, markdown, retry
from assets.raw import unreported
from assets.raw.errors import IngestError
from assets.raw.ingest import LandingResult, ingest_all, reread_all
from assets.raw.store import files, refuse, unfinished
from resources.home import Home
from warehouse.connection import Warehouse
from warehouse.landings import RECORD_TABLES

_READING = hashlib.sha256(
    b"".join(
        path.read_bytes()
        for path in sorted(Path(__file__).parent.rglob("*"))
        if path.suffix in (".py", ".sql", ".yaml") and "collection" not in path.parts
    )
).hexdigest()[:12]
DAILY_TABLES = RECORD_TABLES


class Arrivals(dg.Config):
    """Which files to ingest; none means every complete file of the inbox."""

    paths: list[str] = []
    source: str = "auto"


@dg.multi_asset(
    name="landings",
    specs=[
        dg.AssetSpec(
            ["raw", "landings"],
            group_name="raw",
            code_version=_READING,
            deps=[["raw", "collections"]],
            **describe("raw.landings"),
        ),
        dg.AssetSpec(
            ["raw", "quarantine"],
            group_name="raw",
            code_version=_READING,
            deps=[["raw", "landings"]],
            **describe("raw.quarantine"),
        ),
    ],
    retry_policy=retry,
    pool="warehouse",
)
def landings(context: dg.AssetExecutionContext, config: Arrivals, home: Home) -> Iterator[dg.MaterializeResult]:
    """Keeps each arrived file byte for byte and reads it into the raw tables."""
    warehouse = home.warehouse
    paths = [Path(path) for path in config.paths] or waiting(home.inbox)
    results: list[LandingResult] = []
    refused: list[str] = []
    left: list[IngestError] = []
    seen = {path: _state(path) for path in paths if path.is_relative_to(home.inbox)}
    ingested = ingest_all(warehouse, home.settings, paths, source=config.source, now=home.now())
    for number, (path, result) in enumerate(ingested, start=1):
        if isinstance(result, LandingResult):
            results.append(result)
            if path in seen and _state(path) == seen[path]:  # what replaced it meanwhile stays for the next run
                path.unlink(missing_ok=True)
        elif path in seen and not path.exists():
            context.log.info(f"{path.name} has left the inbox: another run or an earlier try has taken it")
        elif path in seen and _may_work_later(path, result):
            context.log.error(str(result))
            left.append(result)
        else:
            context.log.error(str(result))
            _refuse(home, path, result)
            refused.append(path.name)
        if number % 100 == 0 or number == len(paths):
            context.log.info(f"{number} of {len(paths)} files ingested")
    run = context.instance.get_run_by_id(context.run_id)
    report_days(context.instance, warehouse, results, run=run, step="landings")
    yield dg.MaterializeResult(asset_key=["raw", "landings"], metadata=landing_metadata(warehouse, results, refused))
    yield dg.MaterializeResult(asset_key=["raw", "quarantine"], metadata=_quarantine_metadata(warehouse))
    if left:
        raise dg.Failure(f"{left[0]} ({len(left)} files stay in the inbox)")


@dg.multi_asset(
    name="reread_days",
    specs=[
        dg.AssetSpec(
            ["raw", name],
            group_name="raw",
            code_version=_READING,
            deps=[["raw", "landings"]],
            partitions_def=daily,
            **describe(f"raw.{name}"),
        )
        for name in DAILY_TABLES
    ],
    partitions_def=daily,
    backfill_policy=in_one_run,
    retry_policy=retry,
    pool="warehouse",
)
def raw_days(context: dg.AssetExecutionContext, home: Home) -> Iterator[dg.MaterializeResult]:
    """Reads every landing that touches the days once more, with the adapters as they are now."""
    start, end = days(context)
    warehouse = home.warehouse
    with warehouse.read() as con:
        touching = con.execute(
            "SELECT DISTINCT landing_id FROM raw.landing_days WHERE day >= ? AND day < ? ORDER BY landing_id",
            [start, end],
        ).fetchall()
    for _ in reread_all(warehouse, home.settings, [landing for (landing,) in touching], now=home.now()):
        pass
    with warehouse.read() as con:
        for name in DAILY_TABLES:
            counted = con.execute(
                f"SELECT count(*) FROM raw.{name} WHERE observed_at >= ? AND observed_at < ?", [start, end]
            ).fetchone()
            assert counted is not None
            metadata = {"rows": counted[0], "landings read": len(touching), "days": (end - start).days}
            yield dg.MaterializeResult(asset_key=["raw", name], metadata=metadata)


class Folder(dg.Config):
    """A folder of pictures, sound and films to ingest first; none where only what is known already is read."""

    folder: str | None = None
    index: str | None = None
    source: str = ""


@dg.multi_asset(
    name="media",
    specs=[
        dg.AssetSpec(
            ["raw", "media"], group_name="raw", code_version=_READING, deps=[["raw", "videos"]], **describe("raw.media")
        ),
        dg.AssetSpec(
            ["raw", "contents"],
            group_name="raw",
            code_version=_READING,
            deps=[["raw", "media"]],
            **describe("raw.contents"),
        ),
    ],
    retry_policy=retry,
    pool="warehouse",
)
def media(context: dg.AssetExecutionContext, config: Folder, home: Home) -> Iterator[dg.MaterializeResult]:
    """Ingests a folder of media, fetches the thumbnails that the settings ask for, and reads what is new."""
    from assets.raw.media import fetch_thumbnails, ingest_media, prepare_contents

    warehouse, settings, now = home.warehouse, home.settings, home.now()
    facts: dict[str, Any] = {}
    if config.folder:
        index = Path(config.index) if config.index else None
        facts |= ingest_media(
            warehouse,
            settings,
            Path(config.folder),
            source=config.source,
            index=index,
            now=now,
            progress=context.log.info,
        )
    fetched = fetch_thumbnails(warehouse, settings, now, progress=context.log.info)
    prepared = prepare_contents(warehouse, settings, now, context.log.info)
    states = warehouse.query(
        """SELECT source, kind, state, coalesce(reason, '') AS reason, count(*) AS items FROM raw.media
           GROUP BY ALL ORDER BY ALL"""
    ).to_pylist()
    shown = {name: value for name, value in {**facts, **fetched}.items() if isinstance(value, int | str)}
    yield dg.MaterializeResult(asset_key=["raw", "media"], metadata={**shown, "states": markdown(states)})
    shown = {name: value if isinstance(value, int | str) else str(value) for name, value in prepared.items()}
    yield dg.MaterializeResult(asset_key=["raw", "contents"], metadata=shown)


@dg.asset(
    key=["lineage", "columns"],
    group_name="lineage",
    description="Which column is made from which, over all tables.",
    kinds={"duckdb"},
    owners=[OWNER],
    code_version="1",
    metadata=columns_metadata("lineage.columns"),
)
def lineage_columns(home: Home) -> dg.MaterializeResult:
    """The declared column lineage, as a table."""
    with home.warehouse.read() as con:
        row = con.execute('SELECT count(*), count(DISTINCT "table") FROM lineage.columns').fetchone()
    assert row is not None
    return dg.MaterializeResult(metadata={"dagster/row_count": row[0], "tables": row[1]})


def waiting(inbox: Path) -> list[Path]:
    """The complete files of the inbox, in name order."""
    return [path for path in files(inbox) if unfinished(path) is None] if inbox.exists() else []


def _refuse(home: Home, path: Path, error: IngestError) -> None:
    if not path.is_relative_to(home.inbox):
        raise dg.Failure(str(error), allow_retries=False) from error
    refuse(home.folder, path, error)


def _state(path: Path) -> tuple[int, int, int] | None:
    """What changes when a file is written anew; None where there is none."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _may_work_later(path: Path, error: IngestError) -> bool:
    """Whether the system (a full disk, say) or a file still being written is at fault, rather than its content."""
    cause = error.__cause__
    return (isinstance(cause, OSError) and cause.errno is not None) or unfinished(path) is not None


def _rows_by_day(warehouse: Warehouse, landing_ids: list[str]) -> list[tuple[str, date, int]]:
    """Per raw table and day that some landings touch, how many rows the table has now."""
    counted = " UNION ALL ".join(
        f"""SELECT '{name}' AS name, day, coalesce(n, 0) AS "rows" FROM touched
            LEFT JOIN (SELECT CAST(observed_at AS DATE) AS day, count(*) AS n FROM raw.{name}
                       WHERE observed_at >= (SELECT min(day) FROM touched)
                         AND observed_at < (SELECT max(day) FROM touched) + INTERVAL 1 DAY GROUP BY ALL) USING (day)"""
        for name in DAILY_TABLES
    )
    first, last = date.fromisoformat(daily.get_first_partition_key() or ""), date.max - timedelta(days=1)
    with warehouse.read() as con:
        return con.execute(
            f"""WITH touched AS (SELECT DISTINCT day FROM raw.landing_days
                    WHERE list_contains($landings, landing_id) AND day BETWEEN $first AND $last)
                {counted} ORDER BY ALL""",
            {"landings": landing_ids, "first": first, "last": last},
        ).fetchall()


def report_days(
    instance: dg.DagsterInstance,
    warehouse: Warehouse,
    results: Sequence[LandingResult],
    *,
    run: dg.DagsterRun | None = None,
    step: str | None = None,
) -> None:
    """Tells Dagster which raw tables and days new landings have written, in one batch of events, under a run or none."""
    written = [result.landing_id for result in results if not result.already_known]
    days = list(_rows_by_day(warehouse, written)) if written else []
    batch = uuid4().hex
    for number, (name, day, rows) in enumerate(days, start=1):
        materialization = dg.AssetMaterialization(
            ["raw", name], partition=day.isoformat(), metadata={"dagster/partition_row_count": rows}
        )
        event = dg.DagsterEvent(
            event_type_value=dg.DagsterEventType.ASSET_MATERIALIZATION.value,
            job_name=run.job_name if run else RUNLESS_JOB_NAME,
            step_key=step,
            event_specific_data=StepMaterializationData(materialization),
            message=f"raw.{name} of {day}: {rows} rows",
        )
        instance.report_dagster_event(
            event,
            run_id=run.run_id if run else RUNLESS_RUN_ID,
            batch_metadata=DagsterEventBatchMetadata(batch, is_end=number == len(days)),
        )


def report_waiting(instance: dg.DagsterInstance, home: Home) -> None:
    """Tells Dagster of what commands have ingested without it, so that the UI shows it like a run's work."""
    folder = home.folder / "unreported"
    if not folder.exists():
        return
    with (folder / ".lock").open("w") as lock:  # a run and the sensor may come at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        for file, results in unreported.waiting(home.folder).items():
            metadata = landing_metadata(home.warehouse, results, [])
            instance.report_runless_asset_event(dg.AssetMaterialization(["raw", "landings"], metadata=metadata))
            report_days(instance, home.warehouse, results)
            file.unlink()


def landing_metadata(warehouse: Warehouse, results: Sequence[LandingResult], refused: Sequence[str]) -> dict[str, Any]:
    """What became of the records of some landings, and of all landings so far."""
    reasons = sum((Counter(result.reasons) for result in results), Counter())
    with warehouse.read() as con:
        totals = con.execute(
            """SELECT source, count(*) AS landings, sum(rows_read)::BIGINT AS "read", sum(accepted)::BIGINT AS accepted,
                      sum(duplicate)::BIGINT AS duplicate, sum(quarantined)::BIGINT AS quarantined
               FROM raw.landings GROUP BY source ORDER BY source"""
        ).fetchall()
    names = ("source", "landings", "read", "accepted", "duplicate", "quarantined")
    return {
        "files": len(results),
        "refused": len(refused),
        "already known": sum(result.already_known for result in results),
        "records read": sum(result.rows_read for result in results),
        "accepted": sum(result.accepted for result in results),
        "duplicate": sum(result.duplicate for result in results),
        "quarantined": sum(result.quarantined for result in results),
        "reasons": markdown([{"reason": reason, "records": number} for reason, number in reasons.most_common()]),
        "all landings": markdown([dict(zip(names, row, strict=True)) for row in totals]),
    }


def _quarantine_metadata(warehouse: Warehouse) -> dict[str, Any]:
    with warehouse.read() as con:
        rows = con.execute(
            """SELECT source, reason, field, count(*) AS records, min(value) AS example FROM raw.quarantine
               GROUP BY ALL ORDER BY records DESC, source, reason, field LIMIT 20"""
        ).fetchall()
    names = ("source", "reason", "field", "records", "example")
    return {
        "dagster/row_count": sum(row[3] for row in rows),
        "by reason": markdown([dict(zip(names, row, strict=True)) for row in rows]),
    }
