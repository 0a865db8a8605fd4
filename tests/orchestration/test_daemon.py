"""The real daemon and web server: a run and a backfill through GraphQL, and files that the landing sensor takes."""

import shutil
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from sensors.refresh import range_tags
from tests.automation.files import HEADER
from tests.orchestration.instance import running
from tests.orchestration.small_home import built_days, contents, new_home
from warehouse.connection import Warehouse

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(900)]


def test_run_and_backfill_through_graphql_give_the_rows_of_the_cli(small_home: Path) -> None:
    expected = contents(small_home, "features")
    first, last = built_days(small_home)
    with Warehouse(small_home).write() as con:
        for table in expected:
            con.execute(f"DELETE FROM {table}")
    day = timedelta(days=1)
    month = [(first + number * day).isoformat() for number in range(30)]
    with running(small_home) as dagster:
        answer = dagster.ask(
            """mutation ($params: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $params) {
                 __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }""",
            params={
                "assetSelection": [{"path": name.split(".")} for name in expected],
                "partitionNames": month,
                "title": "a month of features",
            },
        )["launchPartitionBackfill"]
        assert answer["__typename"] == "LaunchBackfillSuccess", answer
        backfill = {"dagster/backfill": answer["backfillId"]}
        [run] = dagster.until(lambda: dagster.runs(**backfill), 120)
        assert dagster.finished(run["runId"]) == "SUCCESS"
        assert len(dagster.runs(**backfill)) == 1

        rest = range_tags(first + 30 * day, last)
        assert dagster.finished(dagster.launch("features", rest)) == "SUCCESS"
    assert contents(small_home, "features") == expected


def test_dropped_files_are_in_one_run_within_fifteen_seconds(tmp_path: Path) -> None:
    home = new_home(tmp_path / "home")
    drop = tmp_path / "drop"
    drop.mkdir()
    for name in ("a.csv", "b.csv", "c.csv.part"):
        row = f"{name},c1,2025-01-20T10:00:00Z,2025-01-21T10:00:00Z,2025-01-21T10:00:00Z,10"
        (drop / name).write_text(f"{HEADER}\n{row}\n")
    bad = drop / "d.csv"
    bad.write_text("colour,weight\nred,1\n")
    time.sleep(3)  # written elsewhere, complete before they are moved in
    with running(home) as dagster:
        dagster.until(
            lambda: any(
                daemon["healthy"]
                for daemon in dagster.ask(
                    "{ instance { daemonHealth { allDaemonStatuses { daemonType healthy required } } } }"
                )["instance"]["daemonHealth"]["allDaemonStatuses"]
                if daemon["daemonType"] == "SENSOR"
            ),
            120,
        )
        dropped = time.time()
        for path in sorted(drop.iterdir()):
            shutil.move(path, home / "inbox" / path.name)
        [run] = dagster.until(lambda: [run for run in dagster.runs() if run["jobName"] == "ingestion"], 60)
        asked_after = run["creationTime"] - dropped
        assert dagster.finished(run["runId"]) == "SUCCESS"
        with Warehouse(home).read() as con:
            names = con.execute("SELECT names[1] FROM raw.landings ORDER BY ALL").fetchall()
        assert len([run for run in dagster.runs() if run["jobName"] == "ingestion"]) == 1
    assert names == [("a.csv",), ("b.csv",)]
    assert [path.name for path in (home / "inbox").iterdir()] == ["c.csv.part"]
    assert sorted(path.name for path in (home / "refused").iterdir()) == ["d.csv", "d.csv.why"]
    assert asked_after < 15, f"{asked_after:.1f} s, started at {datetime.fromtimestamp(dropped)}"
