"""What the demo leaves behind and says: a leaderboard, where things are, and an instance without gaps."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from orchestration.definitions import build_definitions
from orchestration.instance import open_instance
from tests.cli.conftest import Upswell
from tests.orchestration.small_home import DAYS, PLANTED, VIDEOS_PER_DAY, Finished

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def instance(small_home: Path) -> Iterator[dg.DagsterInstance]:
    with open_instance(small_home) as instance:
        yield instance


def test_demo_says_what_it_did_and_where_it_is(finished: Finished) -> None:
    assert "simulator · log_views_3d · 24h" in finished.stdout
    assert "champion" in finished.stdout
    said = " ".join(finished.stderr.split())
    assert "1 target x 1 cutoff x 1 weekly origin x all forecasters; upswell evaluate --all runs the rest" in said
    assert f"{finished.folder}/warehouse.duckdb" in said
    assert "http://localhost:3000" in said
    report = re.search(r"Report +(\S+\.html)", finished.stderr)
    assert report is not None
    assert Path(report[1]).stat().st_size > 10_000
    ingested = re.search(r"(\d+) of (\d+) files ingested", said)
    assert ingested is not None and ingested[1] == ingested[2] and int(ingested[1]) > DAYS


def test_every_asset_has_a_materialization_and_every_check_a_result(instance: dg.DagsterInstance) -> None:
    graph = build_definitions().resolve_asset_graph()
    for key in graph.get_all_asset_keys():
        assert instance.get_latest_materialization_event(key) is not None, key
    found = instance.event_log_storage.get_latest_asset_check_execution_by_key(list(graph.asset_check_keys))
    for check in graph.asset_check_keys:
        assert check in found, check
        event = found[check].event
        assert event is not None, check
        evaluation = event.asset_check_evaluation
        assert evaluation is not None
        assert evaluation.passed or check.name == "fresh_by_event_time", check


def test_no_file_of_the_home_holds_a_secret_of_its_environment(finished: Finished) -> None:
    files = [path for path in finished.folder.rglob("*") if path.is_file()]
    assert {"mlflow", "dagster", "reports"} <= {path.relative_to(finished.folder).parts[0] for path in files}
    assert [path for path in files if PLANTED.encode() in path.read_bytes()] == []
    assert PLANTED not in finished.stdout + finished.stderr


def test_every_day_and_origin_is_a_partition_that_the_ui_shows(instance: dg.DagsterInstance) -> None:
    days = instance.get_materialized_partitions(dg.AssetKey(["raw", "snapshots"]))
    assert len(days) >= DAYS
    assert days <= instance.get_materialized_partitions(dg.AssetKey(["features", "content"])) | {max(days)}
    assert instance.get_materialized_partitions(dg.AssetKey(["evaluations", "predictions"])) == {"2025-01-20"}


def test_every_run_succeeded(instance: dg.DagsterInstance) -> None:
    assert {(run.job_name, run.status) for run in instance.get_runs()} == {
        (job, dg.DagsterRunStatus.SUCCESS)
        for job in (
            *("ingestion", "collection", "forgetting", "features", "emotions", "language", "content"),
            *("training", "search", "ledger", "backtests", "evaluation"),
        )
    }


def test_demo_again_on_the_same_home_gives_the_same_rows(upswell: Upswell, small_home: Path) -> None:
    before = json.loads(upswell("evaluate", "--json").out)
    said = upswell("demo", "--days", str(DAYS), "--videos-per-day", str(VIDEOS_PER_DAY), "--json")
    assert said.code == 0, said.err
    result = json.loads(said.out)
    assert [row for row in result["leaderboard"]] == before
    assert Path(result["report"]).exists()
    assert result["grid"] == "1 target x 1 cutoff x 1 weekly origin x all forecasters"
