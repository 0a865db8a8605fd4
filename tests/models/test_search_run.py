"""The asset searches what a training would fit on, goes on where it stopped, and training takes what it found."""

from datetime import timedelta

import dagster as dg
import pytest

from assets.models.search.assets import trials
from assets.models.search.run import Searched, search_cell
from assets.models.search.spaces import SearchError
from assets.models.training_runs import orders_for
from resources.clock import set_replay
from resources.home import Home
from resources.settings import load_settings
from tests.evaluations.served_home import CELL, NOW, new_home
from tests.models.frames import make_frame
from warehouse.connection import Warehouse


@pytest.fixture
def warehouse(home) -> Warehouse:
    made = new_home(home, make_frame(600, "24h", seed=3))
    set_replay(home, NOW)
    return made


def materialize(warehouse: Warehouse, **config) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [trials],
        resources={"home": Home(path=str(warehouse.home))},
        run_config={"ops": {"models__trials": {"config": {"cell": str(CELL), "forecaster": "ridge", **config}}}},
        raise_on_error=False,
    )


def searched(warehouse: Warehouse, forecaster: str | None = "ridge", trials: int = 6, guard=lambda: None) -> Searched:
    return search_cell(
        warehouse,
        load_settings(warehouse.home),
        CELL,
        forecaster,
        trials,
        seed=0,
        timeout_s=None,
        run_id="r1",
        now=lambda: NOW,
        guard=guard,
    )


def stored(warehouse: Warehouse) -> list[dict]:
    return warehouse.query("SELECT * FROM models.trials ORDER BY study, number").to_pylist()


def why(result: dg.ExecuteInProcessResult) -> str:
    return str(result.failure_data_for_node("models__trials").user_failure_data.description)


def test_trials_are_kept_shown_and_taken_by_the_next_training(warehouse):
    result = materialize(warehouse, trials=6)
    rows = stored(warehouse)
    assert [row["number"] for row in rows] == list(range(6))
    facts = result.asset_materializations_for_node("models__trials")[0].metadata
    best = min((row for row in rows if row["state"] == "complete"), key=lambda row: row["value"])
    assert f"| {best['number']} |" in facts["best"].value
    assert facts["importance"].value.count("\n") == 3
    assert facts["chart"].value.startswith("![chart](data:image/png")
    settings = load_settings(warehouse.home)
    asked = orders_for(warehouse, settings, CELL, ["ridge", "hist_gradient_boosting"], now=NOW, run_id="r2")
    ridge, boosting = asked.orders
    assert ridge.training_set_id == rows[0]["training_set_id"]
    assert set(ridge.parameters) == {"alpha", "smoothing"}
    assert f'"alpha": {ridge.parameters["alpha"]}' in best["parameters"]
    assert boosting.parameters == {}
    earlier = orders_for(warehouse, settings, CELL, ["ridge"], now=NOW - timedelta(days=7), run_id="r3")
    assert earlier.orders[0].origin < rows[0]["origin"]
    assert earlier.orders[0].parameters == {}


def test_a_second_run_goes_on_and_a_third_has_nothing_to_do(warehouse):
    assert searched(warehouse, trials=3).new == 3
    first = stored(warehouse)
    assert [searched(warehouse, trials=5).new for _ in range(2)] == [2, 0]
    assert stored(warehouse)[:3] == first
    assert len(stored(warehouse)) == 5
    frozen = warehouse.query("SELECT training_set_id, made_by FROM models.training_sets").to_pylist()
    assert frozen == [{"training_set_id": first[0]["training_set_id"], "made_by": "search"}]


def test_bad_input_is_one_clear_failure(warehouse):
    assert "names no cell; write source/target/cutoff" in why(materialize(warehouse, cell="simulator"))
    assert "no search space" in why(materialize(warehouse, forecaster="global_mean"))
    assert stored(warehouse) == []


def test_too_little_that_has_matured_is_no_failure(warehouse):
    set_replay(warehouse.home, NOW - timedelta(days=88))
    result = materialize(warehouse)
    facts = result.asset_materializations_for_node("models__trials")[0].metadata
    assert result.success and "fewer than 150 videos have matured" in facts["why nothing"].value
    assert stored(warehouse) == []


def test_a_run_that_has_ended_keeps_no_more_trials(warehouse):
    calls = []

    def guard() -> None:
        calls.append(None)
        if len(calls) > 3:
            raise RuntimeError("the run has ended")

    with pytest.raises(RuntimeError, match="has ended"):
        searched(warehouse, guard=guard)
    assert len(stored(warehouse)) == 2


def test_too_few_training_rows_are_refused(warehouse):
    (warehouse.home / "upswell.yaml").write_text("gate: {rows: 540}\n")
    with pytest.raises(SearchError, match="time-ordered folds"):
        searched(warehouse, None)
