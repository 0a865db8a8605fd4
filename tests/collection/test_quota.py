"""The quota: days by the Pacific calendar, never over, whatever runs twice, dies, or has a clock that goes back."""

import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.raw.collection import quota
from resources.collectors.base import QuotaSpentError
from tests.collection.fakes import Clock
from warehouse.connection import Warehouse, scratch
from warehouse.contracts import table

LIMITS = {"units": 100, "search": 10}
SPRING, AUTUMN = datetime(2026, 3, 8, 8), datetime(2026, 11, 1, 7)
"""Midnights (UTC) of the two days on which Pacific clocks change."""
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    con = scratch()
    con.execute("CREATE SCHEMA raw")
    con.execute(table("raw.quota").ddl)
    yield con
    con.close()


@given(start=st.sampled_from([SPRING, AUTUMN, datetime(2026, 6, 1, 7)]), seconds=st.integers(-2 * 86400, 2 * 86400))
def test_a_day_ends_at_midnight_in_california(start: datetime, seconds: int) -> None:
    now = start + timedelta(seconds=seconds)
    ends = quota.day_ends(now)
    there = ends.replace(tzinfo=UTC).astimezone(ZoneInfo("America/Los_Angeles"))
    assert (there.hour, there.minute, there.second) == (0, 0, 0)
    assert now < ends <= now + timedelta(hours=25)
    assert quota.day_of(ends - timedelta(microseconds=1)) == quota.day_of(now)
    assert quota.day_of(ends) == quota.day_of(now) + timedelta(days=1)


def test_the_days_of_the_changes_have_23_and_25_hours() -> None:
    for midnight, hours in ((SPRING, 23), (AUTUMN, 25)):
        assert quota.day_ends(midnight) - midnight == timedelta(hours=hours)


@few
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 4 * 3600), st.integers(0, 60), st.booleans(), st.integers(0, 60)),
        min_size=5,
        max_size=25,
    ),
    start=st.sampled_from([SPRING, AUTUMN]),
)
def test_no_day_gets_more_than_its_limit_across_the_changes(
    con: duckdb.DuckDBPyConnection, steps: list[tuple[int, int, bool, int]], start: datetime
) -> None:
    con.execute("DELETE FROM raw.quota")
    now, taken = start - timedelta(hours=20), defaultdict[object, int](int)
    for number, (seconds, wanted, settles, spent) in enumerate(steps):
        now += timedelta(seconds=seconds)
        granted = quota.reserve(con, "youtube", LIMITS, {"units": wanted}, now, str(number))["units"]
        used = min(spent, granted) if settles else granted
        if settles:
            quota.settle(con, str(number), {"units": used})
        taken[quota.day_of(now)] += used
        assert quota.left(con, "youtube", LIMITS, now)["units"] == LIMITS["units"] - taken[quota.day_of(now)]
    assert max(taken.values()) <= LIMITS["units"]


@few
@given(readings=st.lists(st.tuples(st.integers(-60, 40), st.integers(0, 70)), min_size=3, max_size=25))
def test_a_clock_that_jumps_gets_one_limit_for_each_day_that_is_new(
    con: duckdb.DuckDBPyConnection, readings: list[tuple[int, int]]
) -> None:
    con.execute("DELETE FROM raw.quota")
    said, latest, since = datetime(2026, 6, 1, 7), datetime.min.date(), 0
    for number, (hours, wanted) in enumerate(readings):
        said += timedelta(hours=hours)
        if quota.day_of(said) > latest:
            latest, since = quota.day_of(said), 0
        since += quota.reserve(con, "youtube", LIMITS, {"units": wanted}, said, str(number))["units"]
        assert since <= LIMITS["units"]


def test_a_clock_that_goes_back_gives_nothing_back(con: duckdb.DuckDBPyConnection) -> None:
    now = datetime(2026, 6, 10, 12)
    assert quota.reserve(con, "youtube", LIMITS, {"units": 70}, now, "a")["units"] == 70
    assert quota.reserve(con, "youtube", LIMITS, {"units": 70}, now - timedelta(days=1), "b")["units"] == 30
    assert quota.left(con, "youtube", LIMITS, now)["units"] == 0
    assert quota.left(con, "youtube", LIMITS, now - timedelta(days=300))["units"] == 0
    assert quota.left(con, "youtube", LIMITS, now + timedelta(days=1))["units"] == 100


def test_what_was_not_settled_stays_spent(con: duckdb.DuckDBPyConnection) -> None:
    now = datetime(2026, 6, 10, 12)
    quota.reserve(con, "youtube", LIMITS, {"units": 40, "search": 2}, now, "killed")
    quota.reserve(con, "youtube", LIMITS, {"units": 40}, now, "settled")
    quota.settle(con, "settled", {"units": 5})
    assert quota.left(con, "youtube", LIMITS, now) == {"units": 55, "search": 8}
    assert quota.left(con, "other", LIMITS, now) == LIMITS


def test_a_run_spends_what_it_was_granted_and_only_on_that_day() -> None:
    clock = Clock(AUTUMN + timedelta(hours=24, minutes=59))
    allowance = quota.Allowance(LIMITS, {"units": 3}, clock)
    allowance.spend("units", 2)
    allowance.spend("downloads", 5)
    with pytest.raises(QuotaSpentError):
        allowance.spend("units", 2)
    with pytest.raises(QuotaSpentError):
        allowance.spend("search")
    clock.forward(minutes=1)
    with pytest.raises(QuotaSpentError):
        allowance.spend("units")
    assert allowance.spent == {"units": 2, "downloads": 5}


def test_an_outage_leaves_no_stampede() -> None:
    hour = timedelta(hours=1)
    ordinary = quota.share(9_000, 10_000, 0.1, hour, SPRING + timedelta(hours=10))
    late = quota.share(10_000, 10_000, 0.1, hour, quota.day_ends(SPRING) - timedelta(minutes=10))
    assert late == 2 * 9_000 / 24 and ordinary <= late
    assert quota.share(1_000, 10_000, 0.1, hour, SPRING) == 0
    assert quota.share(10_000, 10_000, 0.1, timedelta(days=1), quota.day_ends(SPRING) - hour) == 9_000


RACE = """
import sys
from datetime import datetime
from pathlib import Path
from assets.raw.collection import quota
from warehouse.connection import Warehouse
warehouse, now = Warehouse(Path(sys.argv[1])), datetime(2026, 6, 10, 12)
for number in range(6):
    with warehouse.write() as con:
        granted = quota.reserve(con, "youtube", {"units": 60}, {"units": 7}, now, f"{sys.argv[2]}-{number}")
    print(granted["units"])
"""


def test_two_processes_that_race_never_get_more_than_the_day_has(tmp_path: Path) -> None:
    Warehouse(tmp_path).query("SELECT 1")
    racing = [
        subprocess.Popen([sys.executable, "-c", RACE, str(tmp_path), name], stdout=subprocess.PIPE, text=True)
        for name in "ab"
    ]
    granted = [int(line) for process in racing for line in process.communicate(timeout=60)[0].split()]
    assert len(granted) == 12 and sum(granted) == 60
