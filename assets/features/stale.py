"""Which anchor days of the feature tables are missing, or were made from other input, code or settings.

A landing is absorbed by a table once every day that its records bear on has been rebuilt from it, in one range or in several;
the marks are written in the transaction that writes the rows, so that a crash leaves the rest to the next run.
"""

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from assets.features.build import HISTORY, TABLES, Anchors, build, code_version
from resources.policy import derivable, forbidden
from resources.settings import MeasuredTarget, Settings, cutoff_age
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.lineage import record_partitions
from warehouse.writer import replace_partition

_TOUCHED = (Path(__file__).parent / "touched.sql").read_text()
_LEVELS_AGE = timedelta(hours=252)


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild of some days wrote: rows per day, and the landings that it absorbed."""

    rows: dict[date, int]
    landings: int


def stale_days(warehouse: Warehouse, settings: Settings, anchors: Anchors, now: datetime) -> list[date]:
    """The anchor days, in order, that some feature table has to be rebuilt for."""
    stale: set[date] = set()
    first, last = settings.start, now.date()
    longest = max(cutoff_age(cutoff) for cutoff in settings.cutoffs)
    with warehouse.read() as con:  # opened once: of few landings the queries take less than the opening
        touched = _touched(con, settings, derivable(settings.policies, anchors), TABLES)
        for name in TABLES:
            days = set(_outdated(con, settings, name, now)).union(*touched[name].values())
            stale |= days
            if name != "context":  # a moment may fall on a later day than its anchor, and reads the context of that day
                stale |= {day + timedelta(days=later) for day in days for later in range(1, longest.days + 2)}
    return sorted(day for day in stale if first <= day <= last)


def ranges(days: list[date], gap: int = 7) -> list[tuple[date, date]]:
    """Cuts sorted days into ranges [first, last]; a gap of fewer than `gap` days is bridged rather than cut."""
    found: list[tuple[date, date]] = []
    for day in days:
        if found and (day - found[-1][1]).days <= gap:
            found[-1] = (found[-1][0], day)
        else:
            found.append((day, day))
    return found


def rebuild(
    name: str,
    warehouse: Warehouse,
    settings: Settings,
    anchors: Anchors,
    start: date,
    end: date,
    now: datetime,
    run_id: str,
) -> Rebuilt:
    """Rebuilds a feature table for the days in [start, end) and records what it was made from, in one transaction."""
    anchors = derivable(settings.policies, anchors)
    with warehouse.read() as con:
        touched = _touched(con, settings, anchors, (name,))[name]
    inside = {landing: {day for day in days if start <= day < end} for landing, days in touched.items()}
    absorbed = sorted(landing for landing, days in touched.items() if days == inside[landing])
    rows = build(name, warehouse, settings, anchors, start, end, now)
    declared = table(f"features.{name}")
    with warehouse.write() as con:
        replace_partition(con, declared, rows, start, end)
        counts = _count_by_day(con, name, start, end)
        version = _version(settings, name)
        days = [start + timedelta(days=offset) for offset in range((end - start).days)]
        made = [(day.isoformat(), version, counts[day]) for day in days]
        marks = [(landing, landing) for landing in absorbed]
        marks += [
            (landing, f"{landing}/{day}")
            for landing in inside
            if landing not in absorbed
            for day in sorted(inside[landing])
        ]
        made += [(mark, _contract(con, landing), 0) for landing, mark in marks]
        record_partitions(con, f"features.{name}", made, run_id, now)
    return Rebuilt({day: counts[day] for day in days}, len(absorbed))


def _version(settings: Settings, name: str) -> str:
    return hashlib.sha256(f"{code_version(name)} {settings.fingerprint()}".encode()).hexdigest()[:16]


def _touched(
    con: duckdb.DuckDBPyConnection, settings: Settings, anchors: Anchors, names: Sequence[str]
) -> dict[str, dict[str, set[date]]]:
    """For each table, per landing that it has not absorbed the anchor days that the landing bears on."""
    refused = _forbidden(con, settings)
    pending = {name: _pending(con, refused, name) for name in names}
    landings = sorted({landing for versions in pending.values() for landing in versions})
    if not landings:
        return {name: {} for name in names}
    borne: dict[str, set[date]] = {landing: set() for landing in landings}
    for landing, day in _touched_by_records(con, settings, anchors, landings):
        borne[landing].add(day)
    # A landing that was read anew may have lost records, so that nothing tells any more which days they bore on.
    anew = any(version is not None for versions in pending.values() for version in versions.values())
    everything = _anchor_days(con) if anew else set()
    [(last,)] = con.execute("SELECT max(day) FROM raw.landing_days").fetchall()
    touched = {}
    for name, versions in pending.items():
        done = _done_days(con, name)
        found = {
            landing: borne[landing] | (everything if version is not None else set())
            for landing, version in versions.items()
        }
        if name in ("channel", "context"):
            found = {landing: _onward(days, last) for landing, days in found.items()}
        touched[name] = {
            landing: {day for day in days if day >= settings.start and (landing, day) not in done}
            for landing, days in found.items()
        }
    return touched


def _anchor_days(con: duckdb.DuckDBPyConnection) -> set[date]:
    return {day for (day,) in con.execute("SELECT DISTINCT anchor_day FROM features.content").fetchall()}


def _pending(con: duckdb.DuckDBPyConnection, refused: Sequence[str], name: str) -> dict[str, str | None]:
    """The landings that a table has not absorbed as they are now, with the contract under which it did earlier."""
    rows = con.execute(
        """SELECT DISTINCT d.landing_id, p.input_version FROM raw.landing_days d
           LEFT JOIN lineage.partitions p ON p."table" = $name AND p.partition = d.landing_id
           WHERE p.input_version IS DISTINCT FROM d.contract_version AND NOT list_contains($forbidden, d.source)""",
        {"name": f"features.{name}", "forbidden": refused},
    ).fetchall()
    return dict(rows)


def _forbidden(con: duckdb.DuckDBPyConnection, settings: Settings) -> list[str]:
    """Sources that no figure may be made from: their landings wait, until the operator states the permission."""
    return forbidden(
        settings.policies, [row[0] for row in con.execute("SELECT DISTINCT source FROM raw.landings").fetchall()]
    )


def _done_days(con: duckdb.DuckDBPyConnection, name: str) -> set[tuple[str, date]]:
    """Days that a table has rebuilt from landings of which other days are still to do."""
    rows = con.execute(
        """SELECT split_part(p.partition, '/', 1) AS landing_id, CAST(split_part(p.partition, '/', 2) AS DATE)
           FROM lineage.partitions p JOIN raw.landings l ON l.landing_id = split_part(p.partition, '/', 1)
           WHERE p."table" = $name AND contains(p.partition, '/') AND p.input_version = l.contract_version""",
        {"name": f"features.{name}"},
    ).fetchall()
    return set(rows)


def _touched_by_records(
    con: duckdb.DuckDBPyConnection, settings: Settings, anchors: Anchors, landings: list[str]
) -> list[tuple[str, date]]:
    con.register("landings", pa.table({"landing_id": pa.array(landings, pa.string())}))
    con.register(
        "anchors",
        pa.table(
            {"source": pa.array(list(anchors), pa.string()), "anchor": pa.array(list(anchors.values()), pa.string())}
        ),
    )
    measured = [target for target in settings.targets.values() if isinstance(target, MeasuredTarget)]
    oldest = max(cutoff_age(cutoff) for cutoff in settings.cutoffs)
    longest = max(
        [_LEVELS_AGE, oldest] + [target.horizon + target.tolerance for target in measured if target.horizon is not None]
    )
    variable = [target for target in measured if target.horizon is None]
    sources = {source for target in variable for source in (target.sources or anchors)}
    try:
        return con.execute(
            _TOUCHED, {"longest": longest, "variable": sorted(sources), "oldest": oldest, "history": HISTORY}
        ).fetchall()
    finally:
        con.unregister("landings")
        con.unregister("anchors")


def _onward(days: set[date], last: date) -> set[date]:
    """A video's outcome is history to the videos of its channel and source for as long as HISTORY."""
    if not days:
        return days
    step = timedelta(days=1)
    found = set(days)
    for first in sorted(days):
        day = first + step
        while day <= min(first + HISTORY + step, last) and day not in days:
            found.add(day)
            day += step
    return found


def _outdated(con: duckdb.DuckDBPyConnection, settings: Settings, name: str, now: datetime) -> list[date]:
    """Days whose rows were made by other code or settings, or before one of their moments had come."""
    day = "CAST(anchor_at + age AS DATE)" if name == "context" else "anchor_day"
    rows = con.execute(
        f"""WITH moments AS (
                SELECT {day} AS day, max(anchor_at + age) AS latest
                FROM features.content, (SELECT unnest($ages::INTERVAL[]) AS age)
                WHERE anchor_at + age <= $now GROUP BY ALL)
            SELECT m.day FROM moments m
            LEFT JOIN lineage.partitions p ON p."table" = $name AND p.partition = CAST(m.day AS VARCHAR)
            WHERE p.input_version IS DISTINCT FROM $version OR m.latest > p.written_at""",
        {
            "name": f"features.{name}",
            "version": _version(settings, name),
            "ages": [cutoff_age(cutoff) for cutoff in settings.cutoffs],
            "now": now,
        },
    ).fetchall()
    return [day for (day,) in rows]


def _count_by_day(con: duckdb.DuckDBPyConnection, name: str, start: date, end: date) -> dict[date, int]:
    partition = table(f"features.{name}").partition
    counts: dict[date, int] = defaultdict(int)
    counts.update(
        con.execute(
            f"SELECT {partition}, count(*) FROM features.{name} WHERE {partition} >= ? AND {partition} < ? GROUP BY ALL",
            [start, end],
        ).fetchall()
    )
    return counts


def _contract(con: duckdb.DuckDBPyConnection, landing: str) -> str:
    row = con.execute("SELECT contract_version FROM raw.landings WHERE landing_id = ?", [landing]).fetchone()
    assert row is not None
    return str(row[0])
