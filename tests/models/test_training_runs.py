"""At which origin a training stands, on which rows, and what of it is registered, whatever happens in between."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

import pandas as pd
import pytest

from assets.models.forecasters import FORECASTERS
from assets.models.order import Order, Result, tell, write_result
from assets.models.registry import CHAMPION, registered, set_alias
from assets.models.train import carry_out
from assets.models.training_runs import Asked, Outcome, orders_for, origin_for, outcome_of, register
from assets.models.training_set import thaw
from resources.settings import load_settings, midnight
from resources.trainer.stop import Stop
from tests.evaluations.served_home import CELL, NOW
from tests.models.frames import make_frame
from tests.models.training_home import stepwise, trained_home
from warehouse.connection import Warehouse

__all__ = ["stepwise", "trained_home"]
TABLES = ("models.training_sets", "models.versions", "models.runs", "models.curves")


def nothing() -> None:
    """The guard of a run that goes on."""


def asked_of(warehouse: Warehouse, names: Sequence[str] = ("ridge", "stepwise"), **more) -> Asked:
    settings = load_settings(warehouse.home)
    return orders_for(warehouse, settings, CELL, names, **{"now": NOW, "run_id": "r1", **more})


def outcomes_of(orders: Sequence[Order]) -> list[Outcome]:
    for order in orders:
        order.write()
        carry_out(order, lambda line: None, Stop())
    return [outcome_of(order, None, "local", 1, NOW, NOW) for order in orders]


def keep(warehouse: Warehouse, asked: Asked, outcomes: Sequence[Outcome], guard=nothing, run_id="r1") -> str | None:
    return register(warehouse, asked, outcomes, decision_id="d1", run_id=run_id, now=NOW, guard=guard)


def contents(warehouse: Warehouse) -> dict[str, list[dict]]:
    return {name: warehouse.query(f"SELECT * FROM {name} ORDER BY ALL").to_pylist() for name in TABLES}


def test_the_origin_leaves_just_enough_videos_to_judge_on(trained_home: Warehouse) -> None:
    frame, settings = make_frame(500, "24h", seed=1), load_settings(trained_home.home)
    for now in (NOW, NOW - timedelta(days=40)):
        origin = origin_for(frame, settings, now)
        matured = frame[frame["matured_at"] <= now]
        assert (matured["anchor_at"] >= midnight(origin)).sum() >= 150
        assert (matured["anchor_at"] >= midnight(origin + timedelta(days=1))).sum() < 150
    pending = frame.assign(value=float("nan"), status="pending")
    assert origin_for(pending, settings, NOW) is None
    assert origin_for(frame, settings, frame["matured_at"].nsmallest(149).max()) is None


def test_nothing_published_or_known_after_the_origin_is_trained_on(trained_home: Warehouse) -> None:
    asked = asked_of(trained_home)
    assert [order.forecaster for order in asked.orders] == ["ridge", "stepwise"]
    start = pd.Timestamp(midnight(asked.orders[0].origin))
    rows = thaw(trained_home.home, asked.orders[0].training_set_id)
    assert len(rows) == asked.frozen["rows"] > 300
    assert (rows[["as_of", "matured_at"]].max(axis=1) <= start).all()
    assert {order.training_id for order in asked_of(trained_home, run_id="r2").orders} == {
        order.training_id for order in asked.orders
    }


def test_cells_with_too_few_rows_are_skipped_with_the_reason(trained_home: Warehouse) -> None:
    early = asked_of(trained_home, now=NOW - timedelta(days=85))
    assert (early.orders, early.frozen) == ((), None)
    (trained_home.home / "upswell.yaml").write_text("gate: {rows: 700}\n")
    few = asked_of(trained_home)
    assert few.orders == ()
    assert "matured training rows before 2024-01-01; 200 are needed" in few.skipped["all"]
    (trained_home.home / "upswell.yaml").write_text("gate: {rows: 701}\n")
    assert asked_of(trained_home).skipped == {"all": "700 matured videos; 701 are needed to judge a model"}
    assert keep(trained_home, few, []) is None


def test_forecasters_that_cannot_be_trained_are_left_out_and_unknown_ones_are_named(
    trained_home: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FORECASTERS["lightgbm"], "unavailable", lambda: "no libgomp here")
    asked = asked_of(trained_home, ["ridge", "hist_gradient_boosting_classifier", "global_mean", "lightgbm"])
    assert [order.forecaster for order in asked.orders] == ["ridge"]
    assert asked.skipped == {"lightgbm": "no libgomp here"}
    nobody = asked_of(trained_home, ["hist_gradient_boosting_classifier"])
    assert nobody.skipped == {"all": "none of hist_gradient_boosting_classifier learns a number"}
    with pytest.raises(ValueError, match="no forecaster 'rigde'; there are global_mean"):
        asked_of(trained_home, ["rigde"])


def test_the_best_of_a_cell_wants_to_serve_and_a_second_registration_changes_nothing(trained_home: Warehouse) -> None:
    asked = asked_of(trained_home)
    outcomes = outcomes_of(asked.orders)
    best = min(outcomes, key=lambda one: one.result.validation_error)
    assert keep(trained_home, asked, outcomes) == best.result.version
    before = contents(trained_home)
    assert len(before["models.training_sets"]) == 1
    assert {row["alias"] for row in before["models.versions"]} == {None, "challenger"}
    assert {row["training_id"] for row in before["models.versions"]} == {order.training_id for order in asked.orders}
    [ridge, steps] = sorted(before["models.runs"], key=lambda row: row["forecaster"])
    assert (ridge["steps"], steps["steps"], steps["state"], steps["device"]) == (None, 12, "done", "cpu")
    assert (steps["decision_id"], steps["run_id"], steps["resumed"]) == ("d1", "r1", 0)
    assert keep(trained_home, asked, outcomes_of(asked.orders), run_id="r2") is None
    assert contents(trained_home) == before


def test_what_the_gate_decided_survives_a_second_registration(trained_home: Warehouse) -> None:
    asked = asked_of(trained_home, ["ridge"])
    outcomes = outcomes_of(asked.orders)
    version = keep(trained_home, asked, outcomes)
    with trained_home.write() as con:
        set_alias(con, CELL, str(version), CHAMPION)
    keep(trained_home, asked, outcomes)
    assert registered(trained_home, CELL, "champion")["version"] == version
    assert registered(trained_home, CELL, "challenger") is None


def test_a_run_that_was_given_up_writes_nothing(trained_home: Warehouse) -> None:
    asked = asked_of(trained_home, ["ridge"])

    def ended() -> None:
        raise RuntimeError("run r1 has ended")

    with pytest.raises(RuntimeError, match="has ended"):
        keep(trained_home, asked, outcomes_of(asked.orders), guard=ended)
    assert not any(contents(trained_home).values())


def test_a_failed_training_is_a_row_until_a_later_attempt_is_done(trained_home: Warehouse) -> None:
    asked = asked_of(trained_home, ["stepwise"])
    [order] = asked.orders
    order.write()
    tell(order, "final", {"step": 1, "epoch": 0, "train_loss": 3.0})
    killed = outcome_of(order, "External execution process failed with code -9", "local", 1, NOW, NOW)
    assert keep(trained_home, asked, [killed]) is None
    [row] = contents(trained_home)["models.runs"]
    assert (row["state"], row["version"], row["validation_error"], row["steps"]) == ("failed", None, None, 1)
    assert row["why"] == "the trainer left no result: External execution process failed with code -9"
    assert keep(trained_home, asked, outcomes_of([order]), run_id="r2") is not None
    [row] = contents(trained_home)["models.runs"]
    assert (row["state"], row["why"], row["run_id"], row["steps"]) == ("done", None, "r2", 12)
    keep(trained_home, asked, [replace(killed, result=Result("failed", why="late"))], run_id="r3")
    assert contents(trained_home)["models.runs"] == [row], "what is done stays done"


def test_development_mode_never_wants_to_serve(trained_home: Warehouse) -> None:
    asked = asked_of(trained_home, ["ridge"], fraction=0.1)
    assert keep(trained_home, asked, outcomes_of(asked.orders)) is None
    [row] = contents(trained_home)["models.versions"]
    assert (row["made_by"], row["alias"]) == ("training", None)


def test_a_result_from_before_a_new_attempt_is_not_taken_for_its_own(trained_home: Warehouse) -> None:
    [order] = asked_of(trained_home, ["stepwise"]).orders
    write_result(order, Result("failed", why="the first attempt"))
    order.write()
    assert "left no result" in str(outcome_of(order, None, "local", 1, NOW, NOW).result.why)


def test_a_later_training_of_the_same_cell_leaves_the_earlier_rows(trained_home: Warehouse) -> None:
    first = asked_of(trained_home, ["ridge"], now=NOW - timedelta(days=7))
    keep(trained_home, first, outcomes_of(first.orders))
    second = asked_of(trained_home, ["ridge"])
    challenger = keep(trained_home, second, outcomes_of(second.orders))
    found = contents(trained_home)
    assert [len(found[name]) for name in TABLES[:3]] == [2, 2, 2]
    assert [row["version"] for row in found["models.versions"] if row["alias"]] == [challenger]
    assert second.orders[0].origin > first.orders[0].origin > date(2024, 1, 31)
