"""The nightly refresh, ticked as the daemon ticks it: each stage follows the one before, and stops where nothing is stale."""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest

from orchestration.definitions import build_definitions
from orchestration.jobs import CHAIN_TAG
from resources.clock import set_replay
from resources.home import Home
from sensors.refresh import range_tags
from tests.orchestration.small_home import NOW, contents
from warehouse.connection import Warehouse

pytestmark = pytest.mark.timeout(900)
NIGHT = datetime(2025, 2, 15, 3, 30, tzinfo=UTC)


class Night:
    """Ticks the schedule and the sensors of a home, and runs what they ask for, until nothing more is asked."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.home = Home(path=str(home))
        self.definitions = build_definitions(resource_overrides={"home": self.home})
        self.repository = self.definitions.get_repository_def()

    def tick_schedule(self) -> list[dg.RunRequest]:
        context = dg.build_schedule_context(
            instance=self.instance,
            scheduled_execution_time=NIGHT,
            repository_def=self.repository,
            resources={"home": self.home},
        )
        data = self.repository.get_schedule_def("nightly_refresh").evaluate_tick(context)
        return list(data.run_requests or [])

    def run(self, job: str, request: dg.RunRequest) -> dg.DagsterRun:
        result = self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, tags=dict(request.tags), run_config=request.run_config
        )
        assert result.success
        return result.dagster_run

    def after(self, run: dg.DagsterRun) -> list[dg.RunRequest]:
        event = next(
            record.event_log_entry.dagster_event
            for record in self.instance.get_records_for_run(run.run_id).records
            if record.event_log_entry.dagster_event
            and record.event_log_entry.dagster_event.event_type_value == "PIPELINE_SUCCESS"
        )
        context = dg.build_run_status_sensor_context(
            sensor_name="next_stage",
            dagster_instance=self.instance,
            dagster_run=run,
            dagster_event=event,
            resources={"home": self.home},
        )
        result = self.repository.get_sensor_def("next_stage")(context)
        return [result] if isinstance(result, dg.RunRequest) else []


@pytest.fixture
def night(small_home: Path) -> Iterator[Night]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Night(small_home, instance)


def test_everything_follows_from_features_to_report(night: Night, small_home: Path) -> None:
    expected = contents(small_home, "features", "models", "evaluations")
    with Warehouse(small_home).write() as con:
        con.execute("DELETE FROM features.targets")
        con.execute("""DELETE FROM lineage.partitions WHERE "table" = 'features.targets'""")
        for table in ("evaluations.predictions", "evaluations.metrics", "evaluations.reports"):
            con.execute(f"DELETE FROM {table}")
            con.execute('DELETE FROM lineage.partitions WHERE "table" = ?', [table])
    shutil.rmtree(small_home / "reports")

    [days] = night.tick_schedule()
    [backtests] = night.after(night.run("features", days))
    assert backtests.job_name == "backtests"
    [evaluation] = night.after(night.run("backtests", backtests))
    night.run("evaluation", evaluation)

    after = contents(small_home, "features", "models", "evaluations")
    assert after["features.targets"] == expected["features.targets"]
    for table in ("evaluations.predictions", "evaluations.metrics", "evaluations.splits"):
        assert after[table] == expected[table]
    assert len(list((small_home / "reports").iterdir())) == 1
    assert night.tick_schedule() == []


def test_figures_are_made_anew_where_no_backtest_is_stale(night: Night, small_home: Path) -> None:
    with Warehouse(small_home).write() as con:
        con.execute(
            """DELETE FROM lineage.partitions WHERE "table" = 'features.metrics' AND partition = '2025-01-20'"""
        )
    set_replay(small_home, NOW + timedelta(minutes=10))
    [days] = night.tick_schedule()
    [ledger] = night.after(night.run("features", days))
    [request] = night.after(night.run("ledger", ledger))
    assert (ledger.job_name, request.job_name) == ("ledger", "evaluation")


def test_stale_report_alone_starts_the_chain(night: Night, small_home: Path) -> None:
    with Warehouse(small_home).write() as con:
        con.execute("""DELETE FROM lineage.partitions WHERE "table" = 'evaluations.reports'""")
    assert len(night.tick_schedule()) == 1


def test_chain_waits_for_all_days_of_its_refresh(night: Night) -> None:
    features = night.definitions.resolve_job_def("features")
    tags = {CHAIN_TAG: "20250215T0330", **range_tags(datetime(2025, 1, 1).date(), datetime(2025, 1, 1).date())}
    night.instance.create_run_for_job(features, tags=tags, status=dg.DagsterRunStatus.NOT_STARTED)
    done = night.run("features", dg.RunRequest(tags=tags))
    assert night.after(done) == []


def test_a_run_that_nobody_chained_starts_nothing(night: Night) -> None:
    day = datetime(2025, 1, 1).date()
    done = night.run("features", dg.RunRequest(tags=range_tags(day, day)))
    assert night.after(done) == []
