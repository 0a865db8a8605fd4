"""Checks that must fail do: rows deleted or planted by hand are found, in the run that would have passed them on."""

from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from assets.checks import conservation, contract_check, fresh_by_event_time
from assets.evaluations.checks import forecasters_differ, honest_splits, leakage_audit
from assets.models.training_set import freeze, thaw
from orchestration.errors import RunFailedError
from orchestration.runs import Runs
from resources.clock import set_replay
from resources.home import Home
from sensors.refresh import range_tags
from tests.orchestration.small_home import NOW
from warehouse.connection import Warehouse

pytestmark = pytest.mark.timeout(900)
RECORD = ("raw.snapshots", "raw.videos", "raw.channels", "raw.availability")


@pytest.fixture
def home(small_home: Path) -> Home:
    return Home(path=str(small_home))


def result(check: dg.AssetChecksDefinition, home: Home) -> dg.AssetCheckResult:
    found = check(home)
    assert isinstance(found, dg.AssetCheckResult)
    return found


def test_all_pass_on_a_home_that_is_right(home: Home) -> None:
    for check in (conservation, contract_check("raw.snapshots"), honest_splits, forecasters_differ, leakage_audit):
        assert result(check, home).passed, check.check_key


@pytest.mark.parametrize(
    "tables",
    [RECORD, ("raw.duplicates",), ("raw.quarantine",)],
    ids=lambda tables: tables[0],
)
def test_conservation_fails_where_a_record_was_deleted(home: Home, tables: tuple[str, ...]) -> None:
    with home.warehouse.write() as con:
        record = con.execute(f"SELECT landing_id, row_number FROM {tables[0]} ORDER BY ALL LIMIT 1").fetchone()
        for table in tables:
            con.execute(f"DELETE FROM {table} WHERE (landing_id, row_number) = (?, ?)", record)
    found = result(conservation, home)
    assert not found.passed
    assert "simulator" in str(found.metadata["landings that do not add up"].value)


def test_conservation_fails_where_counts_were_changed(home: Home) -> None:
    with home.warehouse.write() as con:
        con.execute("UPDATE raw.landings SET rows_read = rows_read + 1 WHERE names[1] LIKE '%20250110%'")
    assert not result(conservation, home).passed


def test_a_lost_row_stops_the_ingestion_run(home: Home) -> None:
    with home.warehouse.write() as con:
        for table in RECORD:
            con.execute(f"DELETE FROM {table} WHERE observed_at < '2025-01-04'")
    runs = Runs(home.folder)
    with pytest.raises(RunFailedError, match="conservation"):
        runs.execute("ingestion")


@pytest.mark.parametrize(
    ("table", "spoil", "clause"),
    [
        ("raw.snapshots", "INSERT INTO raw.snapshots FROM raw.snapshots LIMIT 1", "repeated keys"),
        ("features.content", "INSERT INTO features.content FROM features.content LIMIT 1", "repeated keys"),
        ("raw.snapshots", "UPDATE raw.snapshots SET views = -1 WHERE row_number = 1", "views below 0"),
        ("raw.landings", "INSERT INTO raw.landings FROM raw.landings LIMIT 1", "repeated keys"),
        ("evaluations.predictions", "UPDATE evaluations.predictions SET probability = -0.1", "probability below 0"),
    ],
)
def test_contract_check_finds_the_planted_row(home: Home, table: str, spoil: str, clause: str) -> None:
    with home.warehouse.write() as con:
        con.execute(spoil)
    found = result(contract_check(table), home)
    assert not found.passed
    assert found.metadata[clause].value > 0


def test_a_repeated_key_stops_what_depends_on_it(home: Home) -> None:
    with home.warehouse.write() as con:
        con.execute("INSERT INTO features.content FROM features.content WHERE anchor_day = '2025-01-05' LIMIT 1")
    runs = Runs(home.folder)
    far = range_tags(NOW.date(), NOW.date())
    with pytest.raises(RunFailedError, match="contract"):
        runs.execute("features", tags=far)


def test_a_training_set_that_knows_the_future_is_found(home: Home) -> None:
    with home.warehouse.read() as con:
        row = con.execute("SELECT training_set_id FROM models.training_sets WHERE cutoff <> 'text'").fetchone()
    assert row is not None
    rows = thaw(home.folder, row[0])
    leaked = rows.assign(views_log=rows["value"])
    planted, path = freeze(pd.DataFrame(leaked), home.folder)
    with home.warehouse.write() as con:
        con.execute(
            "UPDATE models.training_sets SET training_set_id = ?, uri = ? WHERE cutoff <> 'text'",
            [planted, str(path.relative_to(home.folder))],
        )
    found = result(leakage_audit, home)
    assert not found.passed
    assert "views_log" in str(found.metadata["differences"].value)


def test_a_test_row_in_the_fit_is_found(home: Home) -> None:
    with home.warehouse.write() as con:
        con.execute(
            """INSERT INTO evaluations.splits BY NAME
               SELECT * REPLACE ('train' AS role) FROM evaluations.splits WHERE role = 'test' AND split = 'time' LIMIT 1"""
        )
    found = result(honest_splits, home)
    assert not found.passed
    assert found.metadata["videos on both sides"].value == 1


def test_a_forecast_without_its_test_row_is_found(home: Home) -> None:
    with home.warehouse.write() as con:
        con.execute(
            """UPDATE evaluations.splits SET role = 'train' WHERE split = 'time' AND video_id = (
                   SELECT min(video_id) FROM evaluations.predictions WHERE split = 'time')"""
        )
    assert not result(honest_splits, home).passed


def test_forecasters_that_say_the_same_are_found(home: Home) -> None:
    with home.warehouse.write() as con:
        con.execute(
            """UPDATE evaluations.predictions p SET point = q.point FROM evaluations.predictions q
               WHERE p.forecaster = 'ridge' AND q.forecaster = 'hist_gradient_boosting' AND p.video_id = q.video_id
                 AND p.origin = q.origin AND p.split = q.split AND p.cutoff = q.cutoff AND p.target = q.target"""
        )
    found = result(forecasters_differ, home)
    assert not found.passed
    assert "ridge" in str(found.metadata["identical"].value)


def test_old_observations_are_a_warning(home: Home) -> None:
    found = result(fresh_by_event_time, home)
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    with Warehouse(home.folder).read() as con:
        newest = con.execute("SELECT max(observed_at) FROM raw.snapshots").fetchone()
    assert newest is not None
    set_replay(home.folder, newest[0])
    assert result(fresh_by_event_time, home).passed
