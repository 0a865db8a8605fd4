"""The ledger is written before outcomes are known, only grows, and a promise that was not kept is found."""

import shutil
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.evaluations.grid import Cell
from assets.evaluations.ledger import write_forecasts
from assets.evaluations.ledger_proof import broken_promises
from assets.evaluations.scored_forecasts import score_forecasts
from assets.models.registry import set_alias
from resources import clock
from tests.evaluations.live_world import CELL, NOW, ORIGIN, VIRAL, allowed, at, register, world_settings
from tests.features.raw_rows import hours, insert
from warehouse.connection import Warehouse

SETTINGS = world_settings()
WEEK_LATER = NOW + timedelta(days=7)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def made(live_home: Callable[[], Warehouse]) -> Path:
    """A home with a champion of a number and one of a class, whose live videos have been forecast."""
    warehouse = live_home()
    register(warehouse, SETTINGS)
    register(warehouse, SETTINGS, VIRAL, forecaster="tfidf_logistic")
    write_forecasts(warehouse, SETTINGS, NOW, "first", allowed)
    return warehouse.home


@pytest.fixture
def warehouse(made: Path, tmp_path: Path) -> Warehouse:
    return Warehouse(shutil.copytree(made, tmp_path / "copy"), patience_s=10)


@pytest.fixture(scope="module")
def later(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same home a week later: outcomes have matured."""
    home = shutil.copytree(made, tmp_path_factory.mktemp("later") / "copy")
    at(Warehouse(home, patience_s=10), SETTINGS, WEEK_LATER)
    return home


def ledger(warehouse: Warehouse, cell: Cell = CELL) -> list[Row]:
    found: list[Row] = warehouse.query(
        "SELECT * FROM evaluations.forecasts WHERE target = $target ORDER BY video_id", {"target": cell.target}
    ).to_pylist()
    return found


def scores(warehouse: Warehouse, cell: Cell = CELL) -> list[Row]:
    found: list[Row] = warehouse.query(
        "SELECT * FROM evaluations.scores WHERE target = $target ORDER BY video_id", {"target": cell.target}
    ).to_pylist()
    return found


def change(warehouse: Warehouse, sql: str) -> None:
    with warehouse.write() as con:
        con.execute(sql)


def faults(warehouse: Warehouse) -> set[tuple[str, str]]:
    found = broken_promises(warehouse, SETTINGS)
    return set(zip(found["video_id"], found["fault"], strict=True))


def test_every_live_video_that_passed_the_cutoff_is_forecast_and_no_other(warehouse):
    rows = ledger(warehouse)
    live = warehouse.query(
        "SELECT video_id FROM features.content WHERE anchor_at > $after AND anchor_at <= $until ORDER BY video_id",
        {"after": NOW - timedelta(days=6), "until": NOW - hours(24)},
    ).to_pylist()
    assert [row["video_id"] for row in rows] == [row["video_id"] for row in live]
    assert len(rows) > 20
    assert {row["clock"] for row in rows} == {"live"}
    assert all(row["lower_80"] < row["point"] < row["upper_80"] and row["probability"] is None for row in rows)
    assert all(0 < row["probability"] < 1 and row["point"] is None for row in ledger(warehouse, VIRAL))


def test_inputs_were_known_at_the_cutoff_and_said_so(warehouse):
    for row in ledger(warehouse):
        assert row["anchor_at"] < row["inputs_known_at"] <= row["as_of"] <= row["made_at"] == NOW
    assert faults(warehouse) == set()


def test_a_second_run_adds_nothing_and_later_videos_are_added_beside_the_old(warehouse):
    before = ledger(warehouse)
    again = write_forecasts(warehouse, SETTINGS, NOW, "again", allowed)
    assert set(again.made.values()) == {0}
    assert ledger(warehouse) == before
    at(warehouse, SETTINGS, NOW + timedelta(days=2))
    more = write_forecasts(warehouse, SETTINGS, NOW + timedelta(days=2), "more", allowed)
    assert more.made[CELL] > 5
    after = ledger(warehouse)
    assert after[: len(before)] == before
    assert {row["run_id"] for row in after[len(before) :]} == {"more"}


def test_a_run_that_has_ended_writes_nothing(warehouse):
    change(warehouse, "DELETE FROM evaluations.forecasts")

    def ended() -> None:
        raise RuntimeError("the run has ended")

    with pytest.raises(RuntimeError, match="has ended"):
        write_forecasts(warehouse, SETTINGS, NOW, "late", ended)
    assert ledger(warehouse) == []


def test_what_was_known_only_after_the_clock_is_not_used(warehouse):
    change(warehouse, "DELETE FROM evaluations.forecasts")
    earlier = NOW - timedelta(days=2)  # a replay that stands before the features' latest rows
    clock.set_replay(warehouse.home, earlier)
    made = write_forecasts(warehouse, SETTINGS, earlier, "replay", allowed)
    rows = ledger(warehouse)
    assert made.made[CELL] == len(rows) > 5
    assert all(row["inputs_known_at"] <= earlier and row["clock"] == "replay" for row in rows)
    assert faults(warehouse) == set()


def test_a_champion_made_for_other_features_refuses_and_the_others_go_on(warehouse):
    change(warehouse, "DELETE FROM evaluations.forecasts")
    version = ledger_version(warehouse, CELL)
    manifest = warehouse.home / "models" / version / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"feature_fingerprint": "', '"feature_fingerprint": "other'))
    made = write_forecasts(warehouse, SETTINGS, NOW, "run", allowed)
    assert "was made for features other" in made.refused[CELL]
    assert made.made[VIRAL] == len(ledger(warehouse, VIRAL)) > 20


def ledger_version(warehouse: Warehouse, cell: Cell) -> str:
    rows = warehouse.query("SELECT version FROM models.versions WHERE target = $target", {"target": cell.target})
    return str(rows.to_pylist()[0]["version"])


def test_without_a_champion_nothing_is_promised(warehouse):
    change(warehouse, "DELETE FROM evaluations.forecasts")
    with warehouse.write() as con:
        set_alias(con, CELL, ledger_version(warehouse, CELL), "challenger")
    made = write_forecasts(warehouse, SETTINGS, NOW, "run", allowed)
    assert set(made.made) == {VIRAL}
    assert ledger(warehouse) == []


class TestProof:
    """Each planted lie is found, whatever the features say."""

    def test_a_forecast_made_after_maturity(self, later, tmp_path):
        warehouse = Warehouse(shutil.copytree(later, tmp_path / "copy"), patience_s=10)
        assert faults(warehouse) == set()
        change(
            warehouse, f"UPDATE evaluations.forecasts SET made_at = TIMESTAMP '{WEEK_LATER}' WHERE video_id = 'v370'"
        )
        assert faults(warehouse) == {
            ("v370", "an observation of the outcome was known"),
            ("v370", "the outcome had matured"),
        }

    def test_a_level_that_was_not_known_by_the_cutoff(self, warehouse):
        with warehouse.write() as con:  # observed before the cutoff, known long after it, and read all the same
            as_of = next(row["as_of"] for row in ledger_rows(con) if row["video_id"] == "v365")
            late = {"source": "demo", "video_id": "v365", "landing_id": "late", "row_number": 1, "views": 123456}
            insert(con, "raw.snapshots", [{**late, "observed_at": as_of - hours(1), "known_at": as_of + hours(1)}])
            con.execute("UPDATE evaluations.forecasts SET last_level = ln(123457) WHERE video_id = 'v365'")
        assert faults(warehouse) == {("v365", "its level was not known at the cutoff")}

    def test_an_input_that_arrived_late_although_stamped_earlier_breaks_no_promise(self, warehouse):
        with warehouse.write() as con:
            as_of = next(row["as_of"] for row in ledger_rows(con) if row["video_id"] == "v365")
            late = {"source": "demo", "video_id": "v365", "landing_id": "late", "row_number": 1, "views": 123456}
            insert(con, "raw.snapshots", [{**late, "observed_at": as_of - hours(1), "known_at": as_of - hours(1)}])
        assert faults(warehouse) == set()

    def test_an_input_said_to_be_known_later(self, warehouse):
        change(
            warehouse,
            "UPDATE evaluations.forecasts SET inputs_known_at = made_at + INTERVAL 1 SECOND WHERE video_id = 'v364'",
        )
        assert faults(warehouse) == {("v364", "an input is said to be known later")}

    def test_a_video_of_which_no_record_was_known(self, warehouse):
        change(warehouse, "UPDATE raw.videos SET known_at = TIMESTAMP '2024-03-12 00:00:01' WHERE video_id = 'v363'")
        assert faults(warehouse) == {("v363", "no record of the video was known")}

    def test_a_model_of_a_later_origin_and_one_that_nobody_registered(self, warehouse):
        change(warehouse, f"UPDATE models.versions SET origin = DATE '{WEEK_LATER:%Y-%m-%d}' WHERE target = 'viral'")
        assert {fault for _, fault in faults(warehouse)} == {"its model is of a later origin"}
        change(warehouse, "DELETE FROM models.versions WHERE target = 'viral'")
        assert {fault for _, fault in faults(warehouse)} == {"its model is not registered"}

    def test_a_forecast_made_before_its_cutoff(self, warehouse):
        change(warehouse, "UPDATE evaluations.forecasts SET as_of = made_at + INTERVAL 1 HOUR WHERE video_id = 'v362'")
        assert faults(warehouse) == {("v362", "made before its cutoff")}


def ledger_rows(con: Any) -> list[Row]:
    found: list[Row] = con.execute("SELECT * FROM evaluations.forecasts").to_arrow_table().to_pylist()
    return found


class TestScores:
    """What became of the promises."""

    @pytest.fixture
    def scored(self, later: Path, tmp_path: Path) -> Warehouse:
        return Warehouse(shutil.copytree(later, tmp_path / "copy"), patience_s=10)

    def test_scores_are_those_of_the_stored_forecasts(self, scored):
        done = score_forecasts(scored, SETTINGS, WEEK_LATER, "run", allowed)
        promised = {row["video_id"]: row for row in ledger(scored)}
        found = scores(scored)
        assert done[CELL] == len(found) == len(promised)
        for row in found:
            forecast = promised[row["video_id"]]
            assert row["error"] == pytest.approx(abs(forecast["point"] - row["value"]))
            assert row["naive_error"] == pytest.approx(abs(forecast["last_level"] - row["value"]))
            assert row["covered_80"] == (forecast["lower_80"] <= row["value"] <= forecast["upper_80"])
            assert row["made_at"] < row["matured_at"] <= row["scored_at"] == WEEK_LATER
        assert 0.5 < np.mean([row["covered_80"] for row in found]) <= 1

    def test_a_class_is_scored_by_the_threshold_of_its_models_training_rows(self, scored):
        score_forecasts(scored, SETTINGS, WEEK_LATER, "run", allowed)
        train = scored.query(
            """SELECT quantile_cont(value, 0.8) AS threshold FROM features.targets
               WHERE target = 'views_7d' AND matured_at <= $origin""",
            {"origin": datetime(ORIGIN.year, ORIGIN.month, ORIGIN.day)},
        ).to_pylist()[0]
        promised = {row["video_id"]: row["probability"] for row in ledger(scored, VIRAL)}
        found = scores(scored, VIRAL)
        assert {row["label"] for row in found} == {0, 1}
        for row in found:
            assert row["label"] == int(row["value"] >= train["threshold"])
            given = promised[row["video_id"]] if row["label"] else 1 - promised[row["video_id"]]
            assert row["error"] == pytest.approx(-np.log(given), abs=1e-6)
            assert row["naive_error"] == pytest.approx(-np.log(0.2 if row["label"] else 0.8), rel=0.05)

    def test_without_a_level_the_naive_forecast_is_the_mean_of_the_training_rows(self, scored):
        change(scored, "UPDATE evaluations.forecasts SET last_level = NULL WHERE video_id = 'v370'")
        score_forecasts(scored, SETTINGS, WEEK_LATER, "run", allowed)
        mean = scored.query(
            "SELECT avg(value) AS mean FROM features.targets WHERE target = 'views_7d' AND matured_at <= $origin",
            {"origin": datetime(ORIGIN.year, ORIGIN.month, ORIGIN.day)},
        ).to_pylist()[0]["mean"]
        row = next(row for row in scores(scored) if row["video_id"] == "v370")
        assert row["naive_error"] == pytest.approx(abs(row["value"] - mean))

    def test_an_outcome_that_may_still_be_replaced_by_a_nearer_one_waits(self, scored):
        newest = max(ledger(scored), key=lambda row: row["anchor_at"])
        key = f"video_id = '{newest['video_id']}' AND target = 'views_7d'"
        at_six_days = newest["anchor_at"] + timedelta(days=6, hours=2)  # 22 hours early: open until 22 hours after
        change(
            scored,
            f"""UPDATE features.targets SET status = 'matured', value = 5, observed_at = TIMESTAMP '{at_six_days}',
                matured_at = TIMESTAMP '{at_six_days}' WHERE {key}""",
        )
        closes = newest["anchor_at"] + timedelta(days=7, hours=22)
        score_forecasts(scored, SETTINGS, closes - timedelta(seconds=1), "run", allowed)
        assert newest["video_id"] not in {row["video_id"] for row in scores(scored)}
        score_forecasts(scored, SETTINGS, closes, "run", allowed)
        assert newest["video_id"] in {row["video_id"] for row in scores(scored)}

    def test_scores_are_only_added(self, scored):
        score_forecasts(scored, SETTINGS, WEEK_LATER - timedelta(days=2), "run", allowed)
        before = scores(scored)
        score_forecasts(scored, SETTINGS, WEEK_LATER, "later", allowed)
        after = scores(scored)
        assert 0 < len(before) < len(after)
        assert [row for row in after if row["run_id"] == "run"] == before
        assert score_forecasts(scored, SETTINGS, WEEK_LATER, "third", allowed) == {}

    def test_what_was_promised_on_one_clock_is_not_scored_on_the_other(self, scored):
        clock.set_replay(scored.home, WEEK_LATER)
        assert score_forecasts(scored, SETTINGS, WEEK_LATER, "run", allowed) == {}
        assert scores(scored) == []

    def test_a_run_that_has_ended_scores_nothing(self, scored):
        def ended() -> None:
            raise RuntimeError("the run has ended")

        with pytest.raises(RuntimeError, match="has ended"):
            score_forecasts(scored, SETTINGS, WEEK_LATER, "late", ended)
        assert scores(scored) == []
