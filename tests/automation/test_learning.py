"""A home learns from what arrives: the real sensors are ticked, what they ask for is run, and what came of it is looked at."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import dagster as dg
import pandas as pd
import pytest

from assets.evaluations.assets import decisions
from orchestration.jobs import CHAIN_TAG
from resources.clock import set_replay
from resources.home import Home
from sensors.refresh import LEARNED
from tests.automation.learning_home import FIRST, SECOND, Platform, decided, do, new_home, rows, simulated
from tests.evaluations.served_home import CELL, NOW, register
from tests.evaluations.served_home import new_home as served_home
from tests.models.frames import make_frame
from tests.orchestration.small_home import contents
from warehouse.connection import Warehouse

pytestmark = pytest.mark.timeout(900)
UNREACHABLE = "tracking: {uri: 'http://127.0.0.1:9'}\n"
UNTRAINED = (
    "DELETE FROM models.versions WHERE made_by = 'training'",
    "DELETE FROM models.runs",
    "DELETE FROM evaluations.decisions",
)
LEDGER_LEFT = """DELETE FROM lineage.partitions WHERE "table" = 'evaluations.forecasts' AND partition = 'done'"""
REPORT_LEFT = """DELETE FROM lineage.partitions WHERE "table" = 'evaluations.reports'"""
AS_REGISTERED = (
    "DELETE FROM evaluations.decisions WHERE kind = 'gate'",
    "UPDATE models.versions SET alias = 'challenger' WHERE alias = 'champion'",
)


@dataclass(frozen=True)
class Learned:
    """What the first files led to, and the files that come next."""

    home: Path
    ran: list[tuple[str, bool]]
    most: int
    cursors: dict[str, str | None]
    later: list[Path]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Learned:
    """A home that the first files have brought to a champion; tests work on copies of it."""
    root = tmp_path_factory.mktemp("learning")
    files, later = simulated(root / "files")
    home = new_home(root / "home")
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        patch.setenv("UPSWELL_HOME", str(home))
        platform = Platform(home, instance)
        platform.land(files, FIRST)
        return Learned(home, platform.rest(), platform.most, platform.cursors, later)


@pytest.fixture
def platform(learned: Learned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A copy of that home at rest, with an instance that knows nothing of what was run."""
    home = Path(shutil.copytree(learned.home, tmp_path / "home"))
    monkeypatch.setenv("UPSWELL_HOME", str(home))
    with dg.DagsterInstance.ephemeral() as instance:
        platform = Platform(home, instance)
        platform.cursors = {name: cursor for name, cursor in learned.cursors.items() if name != "next_stage"}
        platform.tick("next_stage")  # from here on
        yield platform


def asked(platform: Platform, sensor: str, ticks: int = 1) -> list[str]:
    """The jobs that some ticks of a sensor ask for."""
    return [run.job_name for _ in range(ticks) for run in platform.tick(sensor)[0]]


def test_files_become_features_a_champion_its_forecasts_and_a_report(learned: Learned) -> None:
    home, jobs = learned.home, [job for job, _ in learned.ran]
    assert all(well for _, well in learned.ran)
    assert jobs[:2] == ["ingestion", "features"]
    assert jobs.index("training") < jobs.index("ledger") < jobs.index("evaluation", jobs.index("ledger"))
    assert decided(home, "training").count("fired") == 1
    assert decided(home, "gate") == ["first"]
    [champion] = rows(home, "SELECT version FROM models.versions WHERE alias = 'champion'")
    [promised] = rows(
        home,
        "SELECT count(*) AS n, any_value(version) AS version, count(DISTINCT version) AS v FROM evaluations.forecasts",
    )
    assert promised["n"] > 10 and (promised["version"], promised["v"]) == (champion["version"], 1)
    [page] = (home / "reports").glob("*.html")
    assert "nothing serves, so against the best naive forecaster" in page.read_text(), "older than the decision"


def test_nothing_is_asked_for_twice(learned: Learned) -> None:
    jobs = [job for job, _ in learned.ran]
    assert learned.most == 1
    assert [jobs.count(job) for job in ("ingestion", "features", "content", "training", "backtests")] == [1] * 5


def test_new_outcomes_are_scored_trained_on_and_decided_on_and_then_all_is_at_rest(
    platform: Platform, learned: Learned
) -> None:
    home = platform.folder
    platform.land(learned.later, SECOND)
    ran = platform.rest()
    jobs = [job for job, _ in ran]
    assert all(well for _, well in ran)
    assert platform.most == 1
    assert jobs.index("training") < jobs.index("ledger") < len(jobs) - 1 - jobs[::-1].index("evaluation")
    [told] = rows(
        home,
        """SELECT (SELECT count(*) FROM evaluations.scores) AS scores, (SELECT count(*) FROM models.runs) AS trainings,
                  (SELECT count(DISTINCT data_version) FROM evaluations.drift) AS measured""",
    )
    assert told["scores"] > 10 and told["trainings"] == 2 and told["measured"] > 1
    assert len(decided(home, "gate")) == 2
    assert decided(home, "training").count("fired") == 2

    before = contents(home)
    assert platform.rest() == []
    assert contents(home) == before


@pytest.mark.parametrize(("stage", "left"), [("ledger", LEDGER_LEFT), ("evaluation", REPORT_LEFT)])
def test_a_stage_is_asked_for_by_one_chain_at_a_time_taken_up_at_rest_and_given_up_where_it_fails(
    platform: Platform, stage: str, left: str
) -> None:
    do(platform.folder, left)
    other = platform.begin(stage, **{CHAIN_TAG: "another"})
    platform.end(platform.begin("training", **{CHAIN_TAG: "learning"}), well=True)
    assert asked(platform, "next_stage") == []
    assert asked(platform, "arrivals") == []
    platform.end(other, well=True)  # it began too early: what it has left is stale still
    assert asked(platform, "next_stage", ticks=2) == []
    for _ in range(3):
        assert asked(platform, "arrivals", ticks=3) == [stage]
        platform.end(platform.queued()[0], well=False)
    assert asked(platform, "arrivals", ticks=5) == []
    with (platform.folder / "upswell.yaml").open("a") as settings:
        settings.write(UNREACHABLE)
    assert asked(platform, "arrivals", ticks=3) == [stage], "what has changed is worth another try"


def test_what_follows_a_training_is_the_ledger_and_the_report(platform: Platform) -> None:
    do(platform.folder, """DELETE FROM lineage.partitions WHERE "table" = 'evaluations.predictions'""", LEDGER_LEFT)
    platform.end(platform.begin("training", **{CHAIN_TAG: "learning"}), well=True)
    [ledger] = platform.tick("next_stage")[0]
    assert (ledger.job_name, ledger.tags[LEARNED]) == ("ledger", "yes")
    platform.end(ledger, well=True)
    assert asked(platform, "next_stage") == ["evaluation"]
    platform.end(platform.queued()[0], well=True)
    do(platform.folder, "UPDATE lineage.partitions SET run_id = 'later' WHERE partition = '2025-01-20'")
    assert asked(platform, "arrivals", ticks=2) == ["ledger"]
    platform.end(platform.queued()[0], well=True)
    assert asked(platform, "next_stage") == ["backtests"]


def test_an_hour_that_passes_is_a_reason_once_on_either_clock(platform: Platform) -> None:
    set_replay(platform.folder, FIRST + timedelta(minutes=59))
    assert asked(platform, "arrivals") == []
    set_replay(platform.folder, FIRST + timedelta(minutes=61))
    assert asked(platform, "arrivals") == ["features"]
    platform.end(platform.queued()[0], well=True)
    assert asked(platform, "arrivals", ticks=4) == []
    (platform.folder / "clock").unlink()
    assert set(asked(platform, "arrivals")) == {"features"}
    for run in platform.queued():
        platform.end(run, well=True)
    assert asked(platform, "arrivals", ticks=4) == []


def test_a_run_killed_between_registering_and_deciding_is_decided_later_once_also_without_mlflow(
    platform: Platform,
) -> None:
    home = platform.folder
    do(home, *AS_REGISTERED)
    killed = platform.begin("training")
    assert asked(platform, "gate") == []
    platform.end(killed, well=False)
    assert asked(platform, "gate", ticks=3) == ["gate"]
    settings = (home / "upswell.yaml").read_text()
    (home / "upswell.yaml").write_text(settings + UNREACHABLE)
    assert platform.execute(platform.queued()[0]).is_success
    assert "127.0.0.1:9" in str(_mlflow(platform)["not reached"].value)
    assert decided(home, "gate") == ["first"]
    assert rows(home, "SELECT count(*) AS n FROM models.versions WHERE alias = 'champion'") == [{"n": 1}]
    assert asked(platform, "gate", ticks=3) == []

    (home / "upswell.yaml").write_text(settings)
    assert platform.execute(platform.begin("gate")).is_success
    assert "not reached" not in _mlflow(platform)
    assert decided(home, "gate") == ["first"]


def _mlflow(platform: Platform) -> dict[str, dg.MetadataValue]:
    event = platform.instance.get_latest_materialization_event(dg.AssetKey(["serving", "mlflow"]))
    assert event is not None and event.asset_materialization is not None
    return dict(event.asset_materialization.metadata)


def test_a_gate_that_fails_is_tried_three_times_on_the_same_outcomes(platform: Platform) -> None:
    do(platform.folder, *AS_REGISTERED)
    for _ in range(3):
        assert asked(platform, "gate", ticks=2) == ["gate"]
        platform.end(platform.queued()[0], well=False)
    runs, why = platform.tick("gate")
    assert (runs, why) == ([], "3 runs of gate decided nothing on these data; see their logs")
    do(platform.folder, """UPDATE lineage.partitions SET written_at = now() WHERE "table" = 'features.targets'""")
    assert asked(platform, "gate", ticks=2) == ["gate"]


def test_a_decision_whose_run_was_never_started_is_asked_for_again_under_the_same_key(platform: Platform) -> None:
    do(platform.folder, *UNTRAINED)
    [lost] = platform.look("training").run_requests
    [run] = platform.tick("training")[0]
    assert run.tags["dagster/run_key"] == lost.run_key
    assert decided(platform.folder, "training") == ["fired"]
    assert asked(platform, "training", ticks=2) == []


def test_a_training_that_fails_is_given_up_until_the_data_change(platform: Platform) -> None:
    home, hours = platform.folder, iter(range(2, 20, 2))
    do(home, *UNTRAINED)
    for _ in range(2):
        assert asked(platform, "training", ticks=2) == ["training"]
        platform.end(platform.queued()[0], well=False)
        assert asked(platform, "training", ticks=2) == [], "within the cool-down"
        set_replay(home, FIRST + timedelta(hours=next(hours)))
    assert asked(platform, "training", ticks=3) == []
    given_up = "no champion yet, but 2 trainings on this state of the data have failed"
    assert rows(home, f"SELECT outcome FROM evaluations.decisions WHERE why = '{given_up}'") == [{"outcome": "waited"}]
    latest = "(SELECT max(matured_at) FROM features.targets)"
    do(home, f"UPDATE features.targets SET matured_at = '{FIRST}' WHERE matured_at = {latest}")
    assert asked(platform, "training", ticks=3) == ["training"]


def test_a_training_that_a_person_started_is_waited_for(platform: Platform) -> None:
    do(platform.folder, *UNTRAINED)
    by_hand = platform.begin("training")
    assert asked(platform, "training", ticks=2) == asked(platform, "gate") == []
    platform.end(by_hand, well=False)
    assert asked(platform, "training", ticks=2) == ["training"]


def test_a_target_that_never_matures_is_one_decision_and_no_run(platform: Platform) -> None:
    home = platform.folder
    do(home, *UNTRAINED, "UPDATE features.targets SET status = 'pending', value = NULL, matured_at = NULL")
    for day in range(4):
        set_replay(home, FIRST + timedelta(days=day))
        assert asked(platform, "training", ticks=2) == asked(platform, "gate") == []
    [decision] = rows(home, "SELECT outcome, why FROM evaluations.decisions")
    assert decision["outcome"] == "waited"
    assert decision["why"].endswith("a model would have 0 training rows; 200 are needed")


def test_a_leak_in_one_cell_stops_the_decision_on_no_other(tmp_path: Path) -> None:
    frame = make_frame(500, "24h", seed=3)
    warehouse = served_home(tmp_path / "home", pd.concat([frame, frame.assign(source="other")], ignore_index=True))
    other = replace(CELL, source="other")
    leaking = register(warehouse, date(2024, 2, 20), "challenger", leak=20, cell=other)
    honest = register(warehouse, date(2024, 2, 20), "challenger")
    set_replay(warehouse.home, NOW)
    failed = _decide(warehouse)
    assert not failed.success
    [event] = failed.get_step_failure_events()
    assert leaking in str(event.step_failure_data.user_failure_data.description)
    sql = "SELECT version, starts_with(why, 'nothing serves') AS judged FROM evaluations.decisions ORDER BY source"
    stored = [tuple(row.values()) for row in rows(warehouse.home, sql)]
    assert stored == [(leaking, False), (honest, True)]
    assert _decide(warehouse).success, "what was refused is not judged again"
    assert [tuple(row.values()) for row in rows(warehouse.home, sql)] == stored


def _decide(warehouse: Warehouse) -> dg.ExecuteInProcessResult:
    home = Home(path=str(warehouse.home))
    selection = dg.AssetSelection.assets(["evaluations", "decisions"])
    return dg.materialize([decisions], selection=selection, resources={"home": home}, raise_on_error=False)
