"""Who serves: a challenger judged on later videos, by hand, and a champion that fell behind, each with its row."""

import hashlib
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.evaluations.backtest import LeakError
from assets.evaluations.decisions import Decision, decisions, fingerprint, record
from assets.evaluations.grid import Cell
from assets.evaluations.promotion import PromotionError, decide, promote, roll_back_if_worse, rollback, undecided
from assets.evaluations.served import frame_as_of, with_forecasts
from assets.features.frame import features_fingerprint
from assets.models.registry import CHALLENGER, CHAMPION, set_alias
from resources.clock import set_replay
from resources.settings import load_settings
from tests.evaluations.served_home import CELL, NOW, aliases, new_home, register
from tests.features.raw_rows import insert
from tests.models.frames import make_frame
from warehouse.connection import Warehouse

OLD, NEW = date(2024, 2, 12), date(2024, 2, 26)
EARLY = datetime(2024, 3, 10)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A home with three registered models of a cell, none of which has an alias: worse, good, and trained on permuted outcomes."""
    home = tmp_path_factory.mktemp("promotion") / "home"
    warehouse = new_home(home, make_frame(800, "24h", seed=3, channels=60))
    set_replay(home, NOW)
    models = {"worse": register(warehouse, OLD, spoil=0.5), "good": register(warehouse, NEW)}
    return home, models | {"permuted": register(warehouse, NEW, spoil=1.0)}


@pytest.fixture
def models(prepared: tuple[Path, dict[str, str]]) -> dict[str, str]:
    return prepared[1]


@pytest.fixture
def warehouse(prepared: tuple[Path, dict[str, str]], tmp_path: Path) -> Warehouse:
    return Warehouse(Path(shutil.copytree(prepared[0], tmp_path / "home")))


def give(warehouse: Warehouse, **alias: str) -> None:
    with warehouse.write() as con:
        for name, version in alias.items():
            set_alias(con, CELL, version, name)


def decided(warehouse: Warehouse, now: datetime = NOW, **more: Any) -> Decision | None:
    return decide(warehouse, load_settings(warehouse.home), CELL, now, "run", **more)


def test_a_better_challenger_serves_as_it_was_judged(warehouse: Warehouse, models: dict[str, str]) -> None:
    give(warehouse, champion=models["worse"], challenger=models["good"])
    bundle = warehouse.home / "models" / models["good"] / "model.joblib"
    before = hashlib.sha256(bundle.read_bytes()).hexdigest()
    settings = load_settings(warehouse.home)
    assert undecided(warehouse, settings) == [CELL]
    decision = decided(warehouse)
    assert decision is not None and decision.outcome == "promoted" and decision.against == models["worse"]
    assert aliases(warehouse) == {CHAMPION: models["good"]}
    assert hashlib.sha256(bundle.read_bytes()).hexdigest() == before
    assert decisions(warehouse, CELL) == [decision]
    numbers = decision.numbers
    assert numbers["rows"] >= 150 and numbers["first_video"] >= "2024-02-26" and numbers["last_video"] < "2024-03-25"
    assert numbers["loss"] < numbers["other_loss"] and numbers["naive"]["global_mean"] > numbers["loss"]
    assert decision.clock == "replay" and decision.run_id == "run" and decision.decided_at == NOW
    assert decided(warehouse) is None and undecided(warehouse, settings) == []


def test_a_model_of_permuted_outcomes_collapses_and_is_judged_once(
    warehouse: Warehouse, models: dict[str, str]
) -> None:
    give(warehouse, champion=models["worse"], challenger=models["permuted"])
    decision, said = decided(warehouse), []
    assert decision is not None and decision.outcome == "kept" and "noise" in decision.numbers["blocked_by"]
    assert decision.numbers["loss"] > decision.numbers["other_loss"]
    assert aliases(warehouse) == {CHAMPION: models["worse"], CHALLENGER: models["permuted"]}
    assert decided(warehouse, NOW + timedelta(days=1), log=said.append) is None
    assert f"judged against {models['worse']} already" in said[0]
    assert undecided(warehouse, load_settings(warehouse.home)) == []


def test_where_nothing_serves_the_best_naive_forecaster_has_to_be_beaten(
    warehouse: Warehouse, models: dict[str, str]
) -> None:
    give(warehouse, challenger=models["permuted"])
    decision = decided(warehouse)
    assert decision is not None
    naive = decision.numbers["naive"]
    assert decision.numbers["judged_against"] == min(naive, key=naive.get)
    assert decision.numbers["other_loss"] == pytest.approx(min(naive.values()))
    assert "nothing serves, so against the best naive forecaster" in decision.why
    assert decision.outcome == "kept" and decision.against is None
    assert aliases(warehouse) == {CHALLENGER: models["permuted"]}


def test_too_few_matured_videos_decide_nothing_yet(warehouse: Warehouse, models: dict[str, str]) -> None:
    give(warehouse, champion=models["worse"], challenger=models["good"])
    said: list[str] = []
    set_replay(warehouse.home, EARLY)
    assert undecided(warehouse, load_settings(warehouse.home)) == []
    assert decided(warehouse, EARLY, log=said.append) is None
    assert "have matured; 150 are needed" in said[0] and decisions(warehouse) == []


def test_a_model_trained_on_what_would_judge_it_is_refused(warehouse: Warehouse, models: dict[str, str]) -> None:
    leaked = register(warehouse, NEW, leak=20)
    give(warehouse, champion=models["worse"], challenger=leaked)
    with pytest.raises(LeakError, match=r"was fitted on 20 of the \d+ videos that would judge it"):
        decided(warehouse)
    (refused,) = decisions(warehouse)
    assert refused.outcome == "kept" and refused.version == leaked and "train it anew" in refused.why
    assert aliases(warehouse)[CHAMPION] == models["worse"]
    assert undecided(warehouse, load_settings(warehouse.home)) == [] and decided(warehouse) is None


def test_a_challenger_of_other_features_is_kept_back(warehouse: Warehouse, models: dict[str, str]) -> None:
    give(warehouse, champion=models["worse"], challenger=models["good"])
    change(warehouse, models["good"], feature_fingerprint="others")
    decision = decided(warehouse)
    assert decision is not None and decision.outcome == "kept" and "train it anew" in decision.why
    assert aliases(warehouse)[CHAMPION] == models["worse"] and decided(warehouse) is None


def test_a_run_that_has_ended_decides_nothing_and_the_next_one_does(
    warehouse: Warehouse, models: dict[str, str]
) -> None:
    give(warehouse, champion=models["worse"], challenger=models["good"])

    def ended() -> None:
        raise RuntimeError("the run has ended")

    with pytest.raises(RuntimeError, match="has ended"):
        decided(warehouse, guard=ended)
    assert decisions(warehouse) == [] and aliases(warehouse)[CHAMPION] == models["worse"]
    assert undecided(warehouse, load_settings(warehouse.home)) == [CELL]
    decision = decided(warehouse)
    assert decision is not None and decision.outcome == "promoted"


def test_what_was_judged_against_another_champion_is_not_written(warehouse: Warehouse, models: dict[str, str]) -> None:
    give(warehouse, champion=models["worse"], challenger=models["good"])
    said: list[str] = []

    def rolled_back_meanwhile() -> None:
        with warehouse.read() as con:  # the transaction that is about to write
            con.execute("UPDATE models.versions SET alias = NULL WHERE alias = 'champion'")

    assert decided(warehouse, guard=rolled_back_meanwhile, log=said.append) is None
    assert "another model took an alias meanwhile" in said[0] and decisions(warehouse) == []
    assert aliases(warehouse) == {CHALLENGER: models["good"]}


def test_a_champion_of_other_features_is_not_asked(warehouse: Warehouse, models: dict[str, str]) -> None:
    foreign = models["worse"]
    change(warehouse, foreign, feature_fingerprint="others")
    give(warehouse, champion=foreign, challenger=models["permuted"])
    decision = decided(warehouse)
    assert decision is not None and decision.outcome == "kept" and decision.against == foreign
    assert f"{foreign} was made for other features" in decision.why
    assert decision.numbers["judged_against"] in decision.numbers["naive"]


def test_classes_are_judged_by_log_loss(tmp_path: Path) -> None:
    warehouse = new_home(tmp_path / "home", make_frame(800, "24h", seed=5, channels=60))
    set_replay(warehouse.home, NOW)
    cell, name = Cell("simulator", "viral_7d", "24h"), "hist_gradient_boosting_classifier"
    settings = load_settings(warehouse.home)
    good = register(warehouse, NEW, CHALLENGER, cell=cell, forecaster=name)
    assert undecided(warehouse, settings) == [cell]
    first = decide(warehouse, settings, cell, NOW, None)
    assert first is not None and first.outcome == "first" and aliases(warehouse) == {CHAMPION: good}
    assert first.numbers["judged_against"] == "base_rate" and first.numbers["coverage_80"] is None
    worse = register(warehouse, OLD, CHALLENGER, cell=cell, forecaster=name, spoil=0.9)
    second = decide(warehouse, settings, cell, NOW, None)
    assert second is not None and second.outcome == "kept" and second.why.startswith("log loss")
    assert second.numbers["other_loss"] == pytest.approx(first.numbers["loss"]), "the same label for both"
    assert aliases(warehouse) == {CHAMPION: good, CHALLENGER: worse}


def test_by_hand_there_and_back(warehouse: Warehouse, models: dict[str, str]) -> None:
    promote(warehouse, models["worse"], "to begin with")
    promote(warehouse, models["good"], "looks better")
    assert aliases(warehouse) == {CHAMPION: models["good"]}
    back = rollback(warehouse, CELL, "it does not")
    assert (back.version, back.against) == (models["good"], models["worse"]) and back.why == "by hand: it does not"
    assert aliases(warehouse) == {CHAMPION: models["worse"]}
    with pytest.raises(PromotionError, match=r"before .* can serve; choose a model with `upswell promote VERSION`"):
        rollback(warehouse, CELL, "further")
    promote(warehouse, models["good"], "looks better")
    assert aliases(warehouse) == {CHAMPION: models["good"]}
    assert sorted(decision.outcome for decision in decisions(warehouse, CELL, "hand")) == ["promoted"] * 3 + [
        "rolled_back"
    ]


def test_what_cannot_serve_is_refused_by_name(warehouse: Warehouse, models: dict[str, str]) -> None:
    version = models["worse"]
    give(warehouse, champion=models["good"])

    def refused(name: str, why: str) -> None:
        with pytest.raises(PromotionError, match=why):
            promote(warehouse, name, "no reason")

    refused("nothing", f"is no model of this home; the latest that can serve: .*{version}")
    refused(models["good"], "serves simulator/log_views_7d/24h already")
    change(warehouse, version, made_by="backtest")
    refused(version, "was made by a backtest, to explain an evaluation; the latest that can serve: ")
    change(warehouse, version, made_by="training", feature_fingerprint="others")
    refused(version, "made for other features than today's; train it anew")
    change(warehouse, version, feature_fingerprint=features_fingerprint())
    shutil.rmtree(warehouse.home / "models" / version)
    refused(version, "has no bundle in")
    with pytest.raises(PromotionError, match="nothing serves simulator/log_views_7d/pre"):
        rollback(warehouse, Cell("simulator", "log_views_7d", "pre"), "no reason")
    assert decisions(warehouse) == [] and aliases(warehouse) == {CHAMPION: models["good"]}


def change(warehouse: Warehouse, version: str, **columns: str) -> None:
    with warehouse.write() as con:
        for name, value in columns.items():
            con.execute(f"UPDATE models.versions SET {name} = ? WHERE version = ?", [value, version])


def ledger(
    warehouse: Warehouse, version: str, naive: float, *, clock: str = "replay", scored_at: datetime = NOW
) -> int:
    """Forecasts and scores of a model on what was published since its origin; the naive error is `naive` in every row."""
    frame = frame_as_of(warehouse, load_settings(warehouse.home), CELL, NEW)
    frame = frame[frame["anchor_at"] >= str(NEW)]
    said = with_forecasts(warehouse, version, frame)
    key = {"source": CELL.source, "target": CELL.target, "cutoff": CELL.cutoff, "version": version}
    common = key | {"clock": clock, "run_id": "run"}
    forecasts, scores = [], []
    for row in said.to_dict("records"):
        one = common | {"video_id": row["video_id"], "made_at": row["as_of"]}
        forecasts.append(one | {name: row[name] for name in ("channel_id", "anchor_at", "as_of", "point")})
        error = abs(row["value"] - row["point"])
        told = {"value": row["value"], "matured_at": row["matured_at"], "scored_at": scored_at}
        scores.append(one | told | {"error": error, "naive_error": naive})
    with warehouse.write() as con:
        insert(con, "evaluations.forecasts", forecasts)
        insert(con, "evaluations.scores", scores)
    return len(scores)


def looked(warehouse: Warehouse, **more: Any) -> Decision | None:
    return roll_back_if_worse(warehouse, load_settings(warehouse.home), CELL, NOW, "run", **more)


def test_a_champion_behind_naive_gives_way_to_the_one_before(warehouse: Warehouse, models: dict[str, str]) -> None:
    promote(warehouse, models["good"], "first")
    promote(warehouse, models["permuted"], "by mistake")
    rows = ledger(warehouse, models["permuted"], naive=0.5)
    decision = looked(warehouse)
    assert decision is not None and decision.outcome == "rolled_back"
    assert (decision.version, decision.against) == (models["permuted"], models["good"])
    assert decision.numbers["rows"] == rows and decision.numbers["naive_loss"] == pytest.approx(0.5)
    assert decision.numbers["earlier_champions"][models["good"]] < 0.5 < decision.numbers["champion_loss"]
    assert aliases(warehouse) == {CHAMPION: models["good"]}


def test_nothing_serves_where_no_earlier_champion_does_better_than_naive(
    warehouse: Warehouse, models: dict[str, str]
) -> None:
    promote(warehouse, models["worse"], "first")
    promote(warehouse, models["permuted"], "by mistake")
    ledger(warehouse, models["permuted"], naive=0.01)
    decision = looked(warehouse)
    assert decision is not None and decision.outcome == "rolled_back" and decision.against is None
    assert decision.numbers["earlier_champions"][models["worse"]] > 0.01 and "so nothing serves" in decision.why
    assert aliases(warehouse) == {}


def test_a_champion_is_looked_at_once_per_score(warehouse: Warehouse, models: dict[str, str]) -> None:
    promote(warehouse, models["good"], "first")
    said: list[str] = []
    assert looked(warehouse, log=said.append) is None
    ledger(warehouse, models["good"], naive=0.5)
    decision = looked(warehouse)
    assert decision is not None and decision.outcome == "kept" and aliases(warehouse) == {CHAMPION: models["good"]}
    assert looked(warehouse, log=said.append) is None
    assert all("0 forecasts" in line and "150 are needed" in line for line in said) and len(said) == 2


def test_replayed_scores_say_nothing_of_a_live_home(warehouse: Warehouse, models: dict[str, str]) -> None:
    promote(warehouse, models["permuted"], "first")
    ledger(warehouse, models["permuted"], naive=0.01, clock="live")
    assert looked(warehouse) is None and aliases(warehouse) == {CHAMPION: models["permuted"]}


def test_a_question_is_answered_once_and_numbers_are_numbers(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    decision = Decision(
        fingerprint("training", CELL, None, "d1"), "training", "simulator", "log_views_7d", "24h",
        "waited", "too little has matured", {"matured": 3}, "live", NOW,
    )  # fmt: skip
    with warehouse.write() as con:
        assert record(con, decision) and not record(con, decision)
        with pytest.raises(ValueError, match="not JSON compliant"):
            record(con, Decision(**vars(decision) | {"decision_id": "other", "numbers": {"psi": float("nan")}}))
    assert decisions(warehouse) == [decision] and decisions(warehouse, kind="gate") == []
    assert fingerprint("training", CELL, None, "d1") != fingerprint("training", CELL, "None", "d1")
