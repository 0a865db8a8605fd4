"""`refresh`: what is missing or stale is made, nothing else, and the same rows come out whichever way they are asked for."""

import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest

from assets.evaluations.assets import Grid
from orchestration.instance import open_instance
from orchestration.runs import Runs
from resources.simulator import SimulatorConfig, write_landings
from sensors.refresh import range_tags, stale_ranges
from tests.orchestration.small_home import SETTINGS, built_days, contents, new_home
from warehouse.connection import Warehouse

pytestmark = pytest.mark.timeout(900)
FIRST, LAST = date(2025, 1, 1), date(2025, 1, 30)


def add_landing(home: Path, name: str, video: str, at: str, views: int = 1000) -> None:
    """A file of one observation, as the simulator writes them."""
    with Warehouse(home).read() as con:
        row = con.execute(
            "SELECT channel_id, published_at FROM raw.videos WHERE video_id = ? ORDER BY observed_at LIMIT 1", [video]
        ).fetchone()
    assert row is not None
    header = "video_id,channel_id,published_at,collected_at,observed_at,view_count"
    (home / "inbox" / name).write_text(f"{header}\n{video},{row[0]},{row[1].isoformat()}Z,{at},{at},{views}\n")


def jobs(runs: Runs) -> list[str]:
    return [run["job"] for run in runs.refresh(Grid()).runs]


def test_second_refresh_does_nothing(small_home: Path) -> None:
    before = contents(small_home)
    with open_instance(small_home) as instance:
        earlier = instance.get_runs_count()
    assert jobs(Runs(small_home)) == []
    assert contents(small_home) == before
    with open_instance(small_home) as instance:
        assert instance.get_runs_count() == earlier


def test_changed_evaluation_backtests_and_leaves_features(small_home: Path) -> None:
    features = contents(small_home, "raw", "features")
    (small_home / "upswell.yaml").write_text(SETTINGS.replace("cutoffs: [24h]", "cutoffs: [pre, 24h]"))
    runs = Runs(small_home)
    assert jobs(runs) == ["backtests", "evaluation"]
    assert contents(small_home, "raw", "features") == features
    with runs.home.warehouse.read() as con:
        made = con.execute(
            """SELECT p.partition FROM lineage.partitions p JOIN (
                   SELECT run_id FROM lineage.partitions WHERE "table" = 'evaluations.predictions'
                   ORDER BY partition LIKE '%/pre/%' DESC LIMIT 1) USING (run_id) ORDER BY ALL"""
        ).fetchall()
    assert {partition.split("/")[2] for (partition,) in made} == {"pre"}
    assert jobs(runs) == []


def test_changed_cutoffs_rebuild_every_day_that_has_videos(small_home: Path) -> None:
    (small_home / "upswell.yaml").write_text(SETTINGS.replace("cutoffs: [pre, 24h, 72h]", "cutoffs: [pre, 24h]"))
    runs = Runs(small_home)
    [(first, last)] = stale_ranges(runs.home)
    assert first <= FIRST
    assert last >= LAST
    runs.build_features()
    with runs.home.warehouse.read() as con:
        cutoffs = con.execute("SELECT DISTINCT cutoff FROM features.engagement").fetchall()
    assert cutoffs == [("24h",)]
    assert stale_ranges(runs.home) == []


def test_a_landing_makes_only_the_days_stale_that_it_bears_on(small_home: Path) -> None:
    with Warehouse(small_home).read() as con:
        row = con.execute(
            "SELECT video_id FROM features.content WHERE anchor_day = '2025-01-28' ORDER BY video_id LIMIT 1"
        ).fetchone()
    assert row is not None
    add_landing(small_home, "late.csv", row[0], "2025-01-30T20:00:00Z")
    runs = Runs(small_home)
    runs.ingest_inbox(list((small_home / "inbox").iterdir()))
    [(first, _)] = stale_ranges(runs.home)
    assert date(2025, 1, 28) <= first
    with runs.home.warehouse.read() as con:
        before = con.execute(
            "SELECT partition, written_at, run_id FROM lineage.partitions WHERE partition < '2025-01-28' ORDER BY ALL"
        ).fetchall()
    runs.build_features()
    with runs.home.warehouse.read() as con:
        after = con.execute(
            "SELECT partition, written_at, run_id FROM lineage.partitions WHERE partition < '2025-01-28' ORDER BY ALL"
        ).fetchall()
    assert after == before
    assert stale_ranges(runs.home) == []


def test_days_come_out_the_same_however_they_are_cut(small_home: Path) -> None:
    expected = contents(small_home, "features")
    runs = Runs(small_home)
    first, last = built_days(small_home)
    with runs.home.warehouse.write() as con:
        for table in expected:
            con.execute(f"DELETE FROM {table}")
        con.execute("""DELETE FROM lineage.partitions WHERE starts_with("table", 'features.')""")
    day = timedelta(days=1)
    for start, end in (
        (first, first),
        (first + day, first + day),
        (first + 2 * day, first + 6 * day),
        (first + 7 * day, first + 7 * day),
        (first + 8 * day, last),
    ):
        runs.execute("features", tags=range_tags(start, end))
    assert contents(small_home, "features") == expected


def test_raw_days_read_again_are_the_same(small_home: Path) -> None:
    expected = contents(small_home, "raw")
    runs = Runs(small_home)
    runs.execute("raw_days", tags=range_tags(date(2025, 1, 10), date(2025, 1, 12)))
    assert contents(small_home, "raw") == expected
    assert jobs(runs) == []


def test_origin_run_again_is_the_same(small_home: Path) -> None:
    expected = contents(small_home, "models", "evaluations")
    runs = Runs(small_home)
    with runs.home.warehouse.write() as con:
        kept = con.execute("SELECT version FROM models.versions WHERE made_by = 'backtest'").fetchall()
        con.execute("DELETE FROM models.versions WHERE made_by = 'backtest'")
        for table in ("predictions", "splits"):
            con.execute(f"DELETE FROM evaluations.{table}")
        for table in ("predictions", "metrics", "reports"):
            con.execute('DELETE FROM lineage.partitions WHERE "table" = ?', [f"evaluations.{table}"])
    for (version,) in kept:
        shutil.rmtree(small_home / "models" / version)
    assert jobs(runs) == ["backtests", "evaluation"]
    after = contents(small_home, "models", "evaluations")
    assert after | {"evaluations.audits": ""} == expected | {"evaluations.audits": ""}


def test_empty_home_has_nothing_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = new_home(tmp_path / "empty")
    monkeypatch.setenv("UPSWELL_HOME", str(home))
    assert jobs(Runs(home)) == []


def test_too_little_to_train_on_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = new_home(tmp_path / "young")
    monkeypatch.setenv("UPSWELL_HOME", str(home))
    files = write_landings(SimulatorConfig(days=2, videos_per_day=5, channels=3), home / "inbox")
    runs = Runs(home)
    runs.ingest_inbox(files)
    assert jobs(runs) == ["features", "language", "content"]
    assert jobs(runs) == []


def test_evaluation_that_was_cut_off_is_done_the_next_time(small_home: Path) -> None:
    with Warehouse(small_home).write() as con:
        con.execute("""DELETE FROM lineage.partitions WHERE "table" = 'evaluations.reports'""")
    assert jobs(Runs(small_home)) == ["evaluation"]
