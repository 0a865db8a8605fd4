"""The landing sensor: what it asks for, when it waits, and when it gives up. Ticked as the daemon ticks it."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from orchestration.cli import app
from orchestration.definitions import build_definitions
from resources.home import Home
from sensors.landings import ATTEMPTS
from sensors.leftovers import hold_up
from tests.automation.files import complete
from tests.orchestration.small_home import new_home


class Daemon:
    """Ticks the sensor of a home and gives its runs the end that a test wants."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.cursor: str | None = None
        self.home = Home(path=str(home))
        self.definitions = build_definitions(resource_overrides={"home": self.home})
        self.repository = self.definitions.get_repository_def()

    def tick(self) -> dg.RunRequest | dg.SkipReason:
        sensor = self.repository.get_sensor_def("landing_sensor")
        context = dg.build_sensor_context(
            instance=self.instance, repository_def=self.repository, resources={"home": self.home}, cursor=self.cursor
        )
        data = sensor.evaluate_tick(context)
        self.cursor = data.cursor or self.cursor
        return data.run_requests[0] if data.run_requests else dg.SkipReason(data.skip_message)

    def asked(self) -> list[str]:
        request = self.tick()
        assert isinstance(request, dg.RunRequest), request
        return [Path(path).name for path in request.run_config["ops"]["landings"]["config"]["paths"]]

    def make(self, request: dg.RunRequest, status: dg.DagsterRunStatus) -> dg.DagsterRun:
        job = self.definitions.resolve_job_def("ingestion")
        return self.instance.create_run_for_job(
            job, run_config=request.run_config, tags=dict(request.tags), status=status
        )


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Daemon(new_home(tmp_path / "home"), instance)


def test_dagster_is_told_once_of_what_the_command_line_has_ingested(daemon: Daemon) -> None:
    file = daemon.home.folder / "seen.csv"
    file.write_text("video_id,collected_at,views\nv1,2025-01-01T00:00:00Z,5\nv1,2025-01-02T00:00:00Z,7\n")
    command = ["ingest", str(file), "--source", "simulator", "--home", str(daemon.home.folder)]
    assert CliRunner().invoke(app, command).exit_code == 0
    days, landings = dg.AssetKey(["raw", "snapshots"]), dg.AssetKey(["raw", "landings"])
    assert daemon.instance.get_materialized_partitions(days) == set()

    daemon.tick()
    daemon.tick()

    assert daemon.instance.get_materialized_partitions(days) == {"2025-01-01", "2025-01-02"}
    told = daemon.instance.fetch_materializations(landings, limit=10).records
    assert [record.asset_materialization.metadata["records read"].value for record in told] == [2]


def test_nothing_is_asked_of_an_empty_inbox(daemon: Daemon) -> None:
    assert isinstance(daemon.tick(), dg.SkipReason)
    daemon.home.inbox.rmdir()
    assert isinstance(daemon.tick(), dg.SkipReason)


def test_all_complete_files_go_into_one_run(daemon: Daemon) -> None:
    for name in ("b.csv", "a.csv", "below/c.csv", "d.csv.part", ".hidden.csv"):
        complete(daemon.home.inbox / name, name)
    os.utime(complete(daemon.home.inbox / "fresh.csv", "v"))
    assert daemon.asked() == ["a.csv", "b.csv", "c.csv"]


def test_it_waits_for_the_run_that_is_ingesting(daemon: Daemon) -> None:
    complete(daemon.home.inbox / "a.csv", "v1")
    request = daemon.tick()
    assert isinstance(request, dg.RunRequest)
    run = daemon.make(request, dg.DagsterRunStatus.STARTED)
    assert hold_up(daemon.home.folder) is not None, "the daemon that launched the run lives on"
    complete(daemon.home.inbox / "b.csv", "v2")
    waiting = daemon.tick()
    assert isinstance(waiting, dg.SkipReason)
    assert run.run_id in str(waiting.skip_message)


def test_files_that_a_failed_run_left_are_tried_three_times(daemon: Daemon) -> None:
    complete(daemon.home.inbox / "a.csv", "v1")
    keys = []
    for _ in range(ATTEMPTS):
        request = daemon.tick()
        assert isinstance(request, dg.RunRequest)
        keys.append(request.run_key)
        daemon.make(request, dg.DagsterRunStatus.FAILURE)
    assert len(set(keys)) == ATTEMPTS == 3
    assert "a.csv" in str(daemon.tick().skip_message)  # type: ignore[union-attr]


def test_a_file_that_changed_is_tried_anew(daemon: Daemon) -> None:
    complete(daemon.home.inbox / "a.csv", "v1")
    for _ in range(ATTEMPTS):
        request = daemon.tick()
        assert isinstance(request, dg.RunRequest)
        daemon.make(request, dg.DagsterRunStatus.FAILURE)
    complete(daemon.home.inbox / "a.csv", "v2", views=123456)
    assert daemon.asked() == ["a.csv"]


def test_files_that_fail_do_not_hold_up_others(daemon: Daemon) -> None:
    complete(daemon.home.inbox / "a.csv", "v1")
    for _ in range(ATTEMPTS):
        request = daemon.tick()
        assert isinstance(request, dg.RunRequest)
        daemon.make(request, dg.DagsterRunStatus.FAILURE)
    complete(daemon.home.inbox / "b.csv", "v2")
    assert daemon.asked() == ["b.csv"]


def test_what_has_left_the_inbox_is_forgotten(daemon: Daemon) -> None:
    path = complete(daemon.home.inbox / "a.csv", "v1")
    daemon.asked()
    path.unlink()
    complete(daemon.home.inbox / "b.csv", "v2")
    daemon.asked()
    assert len(json.loads(daemon.cursor or "{}")) == 1
