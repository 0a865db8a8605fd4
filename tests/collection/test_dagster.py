"""Collection as Dagster runs it: retries that agree, schedules from the settings, backfills from landings, freshness."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.events import RunFailureReason
from dagster._core.execution.retries import auto_reexecution_should_retry_run

from assets.raw.collection.checks import fresh_sources, tick_before
from orchestration import schedules
from orchestration.definitions import build_definitions
from resources import clock as home_clock
from resources.clock import set_replay
from resources.collectors import base
from resources.collectors.base import CollectError
from resources.home import Home
from resources.media.states import Reason
from sensors.refresh import range_tags
from tests.collection.fakes import NOW, Clock, FakeCollector, new_home, platform, rows
from warehouse.connection import Warehouse, WarehouseBusyError

SETTINGS = (
    'collect: {sources: {shorts: {collector: youtube_api, channels: [UCcccccccccccccccccccccc], cron: "5 * * * *"}}}\n'
)
CONFIG = {"ops": {"raw__collections": {"config": {"source": "shorts"}}}}


class World:
    """A home, its instance and its pretended platform."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance, clock: Clock) -> None:
        self.folder, self.instance, self.clock = folder, instance, clock
        self.home = Home(path=str(folder))
        self.fake = FakeCollector(clock, platform(60, NOW - timedelta(hours=3)))
        self.definitions = build_definitions(resource_overrides={"home": self.home})

    def run(
        self, job: str = "collection", config: object = CONFIG, *, checks: bool = False, **tags: str
    ) -> dg.ExecuteInProcessResult:
        only = [dg.AssetKey(["raw", "collections"])] if job == "collection" and not checks else None
        return self.definitions.resolve_job_def(job).execute_in_process(
            run_config=config, instance=self.instance, raise_on_error=False, tags=tags, asset_selection=only
        )

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.folder)


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty") / "home"
    new_home(folder, SETTINGS)[0].query("SELECT 1")
    return folder


@pytest.fixture
def world(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    clock = Clock()
    monkeypatch.setattr(home_clock, "now", lambda home: clock())
    with dg.DagsterInstance.ephemeral() as instance:
        world = World(Path(shutil.copytree(empty, tmp_path / "home")), instance, clock)
        monkeypatch.setattr(base, "collector", lambda name, home, settings, clock: world.fake)
        yield world


def failure(result: dg.ExecuteInProcessResult) -> str:
    [event] = [event for event in result.all_events if event.is_step_failure]
    return str(event.step_failure_data.error.message)


def test_a_run_lands_notes_days_and_is_checked(world: World) -> None:
    result = world.run(checks=True)
    assert result.success
    [made] = result.asset_materializations_for_node("raw__collections")[-1:]
    assert made.metadata["fetched"].value == 60 and made.metadata["found live"].value == 60
    days = world.instance.fetch_materializations(dg.AssetKey(["raw", "snapshots"]), limit=5).records
    assert [day.partition_key for day in days] == ["2026-06-01"]
    names = {check.check_name for check in result.get_asset_check_evaluations() if check.passed}
    assert {"contract", "quota_contract", "fresh_sources"} <= names


def test_an_expired_key_fails_once_for_all_three_kinds_of_retries(world: World) -> None:
    def expire(number: int) -> None:
        raise CollectError(Reason.KEY_REFUSED, "the key has expired; renew it and set UPSWELL_YOUTUBE_API_KEY")

    world.fake.before = expire
    result = world.run()
    assert not result.success and "renew it" in failure(result) and world.fake.requests == 1
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    run = world.instance.get_run_by_id(result.run_id)
    assert run is not None
    for reason in (RunFailureReason.STEP_FAILURE, RunFailureReason.RUN_EXCEPTION):
        assert not auto_reexecution_should_retry_run(world.instance, run, reason)
    assert rows(world.warehouse, "SELECT state, reason FROM raw.collections") == [
        {"state": "failed", "reason": "key-refused"}
    ]


def test_only_a_held_warehouse_is_tried_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from assets.raw.collection import assets, collect

    calls = []

    def held(self: object, landings: object) -> object:
        calls.append(1)
        if len(calls) == 2:  # after everything was fetched
            for landing in landings:  # type: ignore[attr-defined]
                landing.leave()
            raise WarehouseBusyError("held by another")
        return ingest(self, landings)  # type: ignore[arg-type]

    ingest = collect.Collection._ingest
    monkeypatch.setattr(collect.Collection, "_ingest", held)
    monkeypatch.setattr(assets, "_BUSY_WAIT_S", 0)
    result = world.run()
    assert result.success and world.fake.requests == 3
    assert len([event for event in result.all_events if event.is_step_up_for_retry]) == 1
    assert rows(world.warehouse, "SELECT count(*) AS n FROM raw.snapshots") == [{"n": 60}]


def test_nothing_is_collected_in_replayed_time(world: World) -> None:
    set_replay(world.folder, NOW)
    result = world.run()
    assert not result.success and "replay clock" in failure(result) and world.fake.requests == 0


def test_a_source_that_the_settings_lack_is_named(world: World) -> None:
    result = world.run(config={"ops": {"raw__collections": {"config": {"source": "other"}}}})
    assert not result.success and "no other; there are shorts" in failure(result)


def test_a_day_is_backfilled_from_the_kept_landings(world: World) -> None:
    world.run()
    query = "SELECT * FROM raw.snapshots ORDER BY video_id"
    before = rows(world.warehouse, query)
    with world.warehouse.write() as con:
        con.execute("UPDATE raw.snapshots SET views = 0")
    from datetime import date

    assert world.run("raw_days", None, **range_tags(date(2026, 6, 1), date(2026, 6, 1))).success
    assert rows(world.warehouse, query) == before and world.fake.requests == 3


def test_freshness_counts_what_was_learned(world: World) -> None:
    def passed() -> bool:
        return bool(fresh_sources(home=world.home).passed)  # type: ignore[call-arg]

    assert not passed()
    world.run()
    assert passed()
    world.clock.forward(hours=2, minutes=4)
    assert passed()
    world.clock.forward(minutes=2)
    assert not passed()


def test_ticks_before() -> None:
    assert tick_before("5 * * * *", NOW, 0) == NOW - timedelta(minutes=55)
    assert tick_before("5 * * * *", NOW, 2) == NOW - timedelta(hours=2, minutes=55)


def test_schedules_are_those_of_the_settings(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSWELL_HOME", str(world.folder))
    [schedule] = schedules.collections()
    assert (schedule.name, schedule.cron_schedule) == ("collect_shorts", "5 * * * *")

    def tick(ago: timedelta) -> dg.SkipReason | dg.RunRequest:
        from datetime import UTC

        context = dg.build_schedule_context(scheduled_execution_time=(NOW - ago).replace(tzinfo=UTC))
        return schedule(context, home=world.home)  # type: ignore[return-value]

    request = tick(timedelta(minutes=1))
    assert isinstance(request, dg.RunRequest) and request.run_config == CONFIG
    assert isinstance(tick(timedelta(hours=2)), dg.SkipReason)
    set_replay(world.folder, NOW)
    assert isinstance(tick(timedelta(0)), dg.SkipReason)


def test_without_settings_there_is_no_schedule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSWELL_HOME", str(tmp_path))
    assert schedules.collections() == []
