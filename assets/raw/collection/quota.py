"""The daily quota of a source: reserved before any request, in the transaction that it is counted in.

Days are those of the Pacific calendar, by which YouTube counts. What is reserved and never settled stays spent, and a clock
that goes back gives nothing back: what was counted under later days counts too. What units are spent on is not known here.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from resources.collectors.base import QuotaSpentError
from warehouse.arrow import arrow_rows
from warehouse.contracts import table
from warehouse.writer import append_rows

TABLE = "raw.quota"
PACIFIC = ZoneInfo("America/Los_Angeles")
SURGE = 2.0
"""A run takes at most this many times its even share of a day, whatever an outage has left."""


def day_of(now: datetime) -> date:
    """The quota's day at a moment (naive UTC)."""
    return now.replace(tzinfo=UTC).astimezone(PACIFIC).date()


def day_ends(now: datetime) -> datetime:
    """When the quota's day ends (naive UTC): 23, 24 or 25 hours after it began."""
    midnight = datetime.combine(day_of(now) + timedelta(days=1), time(), PACIFIC)
    return midnight.astimezone(UTC).replace(tzinfo=None)


def left(con: duckdb.DuckDBPyConnection, source: str, limits: Mapping[str, int], now: datetime) -> dict[str, int]:
    """Units of each bucket that nobody has reserved or spent today, or on a day that the clock has gone back from."""
    rows = con.execute(
        f"""SELECT bucket, sum(coalesce(spent, reserved))::BIGINT FROM {TABLE}
            WHERE source = $source AND day >= $day GROUP BY bucket""",
        {"source": source, "day": day_of(now)},
    ).fetchall()
    taken = dict(rows)
    return {bucket: max(limit - taken.get(bucket, 0), 0) for bucket, limit in limits.items()}


def reserve(
    con: duckdb.DuckDBPyConnection,
    source: str,
    limits: Mapping[str, int],
    wanted: Mapping[str, int],
    now: datetime,
    collection_id: str,
) -> dict[str, int]:
    """Takes what is wanted of each bucket, or as much as is left; the caller holds `Warehouse.write()`.

    Returns:
        Units granted per limited bucket.
    """
    rest = left(con, source, limits, now)
    granted = {bucket: min(wanted.get(bucket, 0), units) for bucket, units in rest.items()}
    latest = con.execute(f"SELECT max(day) FROM {TABLE} WHERE source = $source", {"source": source}).fetchone()
    day = max(day_of(now), latest[0] if latest and latest[0] else date.min)
    rows: list[dict[str, Any]] = [
        {
            "source": source,
            "bucket": bucket,
            "day": day,
            "collection_id": collection_id,
            "reserved": units,
            "spent": None,
            "reserved_at": now,
        }
        for bucket, units in granted.items()
        if units
    ]
    if rows:
        append_rows(con, table(TABLE), arrow_rows(table(TABLE), rows))
    return granted


def settle(con: duckdb.DuckDBPyConnection, collection_id: str, spent: Mapping[str, int]) -> None:
    """Notes what a run has spent of what it reserved."""
    for bucket, units in spent.items():
        con.execute(
            f"UPDATE {TABLE} SET spent = $units WHERE collection_id = $id AND bucket = $bucket",
            {"units": units, "id": collection_id, "bucket": bucket},
        )


def share(left: int, limit: int, keep_back: float, every: timedelta, now: datetime) -> int:
    """The units that one of a day's runs may take: an even share of what is left for those to come.

    An outage leaves much for few runs; each takes at most `SURGE` times what it would have on an ordinary day.
    """
    usable = max(left - math.ceil(limit * keep_back), 0)
    to_come = max(math.ceil((day_ends(now) - now) / every), 1)
    most = math.ceil(SURGE * limit * (1 - keep_back) * min(every / timedelta(days=1), 1.0))
    return min(math.ceil(usable / to_come), most, usable)


class Allowance:
    """What a run may spend: what was granted, until the quota's day ends.

    Args:
        limits: The buckets that are limited; others are counted only.
        granted: Units per limited bucket.
        clock: The home's time.
    """

    def __init__(self, limits: Mapping[str, int], granted: Mapping[str, int], clock: Callable[[], datetime]) -> None:
        self._limits, self._granted, self._clock = limits, granted, clock
        self._day = day_of(clock())
        self.spent: dict[str, int] = dict.fromkeys(granted, 0)

    def spend(self, bucket: str, units: int = 1) -> None:
        """Takes units before a request is made.

        Raises:
            QuotaSpentError: They are not there, or the day that they were granted for has ended; nothing was taken.
        """
        taken = self.spent.get(bucket, 0) + units
        if bucket in self._limits and (taken > self._granted.get(bucket, 0) or day_of(self._clock()) != self._day):
            raise QuotaSpentError(bucket)
        self.spent[bucket] = taken
