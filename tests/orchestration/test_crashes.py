"""What a crash, a second run or a clock that goes back leave behind: the next `upswell run` makes the tables right."""

import os
import re
import shutil
import signal
import subprocess
import time
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration.definitions import build_definitions
from orchestration.instance import open_instance
from orchestration.runs import Runs
from resources.clock import set_replay
from resources.simulator import SimulatorConfig, write_landings
from sensors.leftovers import end_leftovers, hold_up, process_tag
from sensors.refresh import stale_ranges
from tests.automation.files import complete
from tests.orchestration.small_home import (
    DAYS,
    NOW,
    SETTINGS,
    UPSWELL,
    contents,
    environment,
    new_home,
    upswell,
)
from warehouse.connection import Warehouse

pytestmark = pytest.mark.timeout(900)
NOTHING_ENCODED = re.sub(
    r"embeddings: .*", "embeddings: {text: null, image: null, audio: null, video: null, required: []}", SETTINGS
)
EXCEPT = {"evaluations.audits": "", "lineage.partitions": ""}


def emptied(home: Path, *schemas: str) -> None:
    """The home without what its tables of some schemas hold, and without their marks."""
    with Warehouse(home).write() as con:
        for schema in schemas:
            tables = con.execute(
                "SELECT table_name FROM duckdb_tables() WHERE schema_name = ? AND database_name = 'warehouse'", [schema]
            ).fetchall()
            for (table,) in tables:
                con.execute(f'DELETE FROM {schema}."{table}"')
            con.execute('DELETE FROM lineage.partitions WHERE starts_with("table", ?)', [f"{schema}."])


def killed_once(home: Path, query: str, seconds: float = 200) -> None:
    """Starts `upswell run` and kills it as soon as a query finds something half done."""
    process = subprocess.Popen(
        [UPSWELL, "run"], env=environment(home), cwd=home, stderr=subprocess.DEVNULL, start_new_session=True
    )
    warehouse, deadline = Warehouse(home), time.monotonic() + seconds
    try:
        while time.monotonic() < deadline and process.poll() is None:
            with warehouse.read() as con:
                row = con.execute(query).fetchone()
            if row is not None and row[0]:
                os.killpg(process.pid, signal.SIGKILL)
                break
            time.sleep(0.02)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL, "it had ended before it could be killed"


def test_killed_ingestion_is_made_good_by_the_next_run(tmp_path: Path) -> None:
    config = SimulatorConfig(days=8, videos_per_day=6, channels=5)
    homes = [new_home(tmp_path / name) for name in ("undisturbed", "killed")]
    for path in write_landings(config, homes[0] / "inbox"):
        os.utime(path, (time.time() - 60,) * 2)
        shutil.copy2(path, homes[1] / "inbox")
    killed_once(homes[1], "SELECT count(*) > 0 FROM raw.landings")
    undisturbed = Runs(homes[0])
    undisturbed.ingest_inbox()
    undisturbed.build_features()
    assert upswell(homes[1], "run").returncode == 0
    assert not list((homes[1] / "inbox").iterdir())
    assert contents(homes[1], "raw", "features") == contents(homes[0], "raw", "features")
    with Warehouse(homes[1]).read() as con:
        assert con.execute("SELECT count(*) FROM raw.landings").fetchone() == (8,)


def test_killed_feature_write_is_made_good_by_the_next_run(small_home: Path) -> None:
    expected = contents(small_home, "raw", "features")
    emptied(small_home, "features")
    killed_once(small_home, "SELECT count(*) > 0 FROM features.levels")
    with Warehouse(small_home).read() as con:
        assert con.execute("SELECT count(*) FROM features.targets").fetchone() == (0,)
    runs = Runs(small_home)
    runs.build_features()
    assert contents(small_home, "raw", "features") == expected
    assert stale_ranges(runs.home) == []


def test_killed_backtest_is_made_good_by_the_next_run(small_home: Path) -> None:
    expected = contents(small_home)
    with Warehouse(small_home).write() as con:
        for table in ("predictions", "splits", "importance", "metrics", "reports", "audits"):
            con.execute(f"DELETE FROM evaluations.{table}")
            con.execute('DELETE FROM lineage.partitions WHERE "table" = ?', [f"evaluations.{table}"])
    killed_once(small_home, "SELECT count(*) > 0 FROM evaluations.predictions WHERE split = 'time'")
    again = upswell(small_home, "run", "--json")
    assert again.returncode == 0, again.stderr
    assert contents(small_home) | EXCEPT == expected | EXCEPT
    assert upswell(small_home, "run", "--json").stdout.strip() == "[]"


def test_two_runs_at_once_on_the_same_days(small_home: Path) -> None:
    expected = contents(small_home)
    emptied(small_home, "features")
    both = [
        subprocess.Popen([UPSWELL, "run"], env=environment(small_home), cwd=small_home, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    for process in both:
        _, said = process.communicate(timeout=280)
        assert process.returncode == 0, said.decode()
    assert contents(small_home) | EXCEPT == expected | EXCEPT


def test_two_ingestions_at_once_of_the_same_files(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home", NOTHING_ENCODED)
    for path in write_landings(SimulatorConfig(days=6, videos_per_day=5, channels=3), home / "inbox"):
        os.utime(path, (time.time() - 60,) * 2)
    both = [
        subprocess.Popen([UPSWELL, "run"], env=environment(home), cwd=home, stderr=subprocess.PIPE) for _ in range(2)
    ]
    for process in both:
        _, said = process.communicate(timeout=280)
        assert process.returncode == 0, said.decode()
    with Warehouse(home).read() as con:
        assert con.execute("SELECT count(*) FROM raw.landings").fetchone() == (6,)
        assert con.execute(
            "SELECT count(*) FROM raw.landings WHERE rows_read <> accepted + duplicate + quarantined"
        ).fetchone() == (0,)
    assert not (home / "refused").exists()


def test_clock_that_goes_back_loses_nothing(small_home: Path) -> None:
    expected = contents(small_home, "raw", "features")
    runs = Runs(small_home)
    set_replay(small_home, NOW - timedelta(days=3))
    assert stale_ranges(runs.home) == []
    complete(small_home / "inbox" / "new.csv", "from-before")
    runs.ingest_inbox()
    runs.build_features()
    after = contents(small_home, "raw", "features")
    with Warehouse(small_home).read() as con:
        assert con.execute("SELECT count(*) FROM features.content WHERE video_id = 'from-before'").fetchone() == (1,)
        assert con.execute("SELECT count(*) FROM raw.landings WHERE kind = 'videos'").fetchone() == (DAYS + 1,)
    for name, rows in after.items():
        assert int(rows.split()[0]) >= int(expected[name].split()[0]), name
    set_replay(small_home, NOW)
    runs.build_features()
    assert stale_ranges(runs.home) == []


def test_a_dead_run_gives_its_pool_back_and_a_living_one_is_left_alone(small_home: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    started = dg.DagsterRunStatus.STARTED
    with open_instance(small_home) as instance:
        job = build_definitions().resolve_job_def("ingestion")
        gone = instance.create_run_for_job(job, tags={"upswell/process": f"{dead.pid}/1"}, status=started)
        mine = instance.create_run_for_job(job, tags=process_tag(), status=started)
        instance.event_log_storage.claim_concurrency_slot("warehouse", gone.run_id, "landings")
        assert end_leftovers(instance, small_home) == [gone.run_id]
        statuses = {run.run_id: run.status for run in instance.get_runs()}
        assert statuses[gone.run_id] == dg.DagsterRunStatus.FAILURE
        assert statuses[mine.run_id] == started
        assert instance.event_log_storage.get_concurrency_run_ids() == set()


def test_runs_of_a_daemon_that_is_gone_are_ended(small_home: Path) -> None:
    with open_instance(small_home) as instance:
        job = build_definitions().resolve_job_def("ingestion")
        launched = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
        up = hold_up(small_home)
        assert up is not None
        assert hold_up(small_home) is None
        assert end_leftovers(instance, small_home) == []
        os.close(up)
        assert end_leftovers(instance, small_home) == [launched.run_id]
