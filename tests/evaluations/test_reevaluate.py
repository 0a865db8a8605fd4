"""Models are held against every week since their origin, again when a week gained rows, and never twice on the same rows."""

import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.evaluations.reevaluate import reevaluate
from assets.evaluations.served import frame_as_of, with_forecasts
from tests.evaluations.live_world import CELL, VIRAL, allowed, at, register, world_settings
from warehouse.connection import Warehouse

SETTINGS = world_settings()
ORIGIN = date(2024, 2, 22)  # a Thursday: the weeks begin on the 26th
NOW = datetime(2024, 3, 12)
LATER = NOW + timedelta(days=4)
Row = dict[str, Any]


@pytest.fixture(scope="module")
def made(live_home: Callable[[], Warehouse]) -> Path:
    warehouse = live_home()
    register(warehouse, SETTINGS, origin=ORIGIN)
    register(warehouse, SETTINGS, forecaster="hist_gradient_boosting", origin=ORIGIN, alias="challenger")
    register(warehouse, SETTINGS, VIRAL, forecaster="tfidf_logistic", origin=ORIGIN)
    register(warehouse, SETTINGS, origin=ORIGIN - timedelta(days=1), alias=None)
    return warehouse.home


@pytest.fixture
def warehouse(made: Path, tmp_path: Path) -> Warehouse:
    return Warehouse(shutil.copytree(made, tmp_path / "copy"), patience_s=10)


@pytest.fixture(scope="module")
def later(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same home whose features are those of `LATER`."""
    home = shutil.copytree(made, tmp_path_factory.mktemp("later") / "copy")
    at(Warehouse(home, patience_s=10), SETTINGS, LATER)
    return home


def figures(warehouse: Warehouse, **where: Any) -> list[Row]:
    found: list[Row] = warehouse.query(
        "SELECT * FROM evaluations.reevaluations ORDER BY evaluated_at, version, origin"
    ).to_pylist()
    return [row for row in found if where.items() <= row.items()]


def test_champion_and_challenger_are_held_against_each_week_and_no_other_model_is(warehouse):
    done = reevaluate(warehouse, SETTINGS, NOW, "run", allowed)
    numbers = figures(warehouse, target="views_7d")
    assert {row["forecaster"] for row in numbers} == {"ridge", "hist_gradient_boosting"}
    weeks = [row["origin"] for row in numbers if row["forecaster"] == "ridge"]
    assert weeks == [date(2024, 2, 26), date(2024, 3, 4)]
    assert sum(done.weeks.values()) == len(figures(warehouse)) == 6
    assert all(row["clock"] == "live" and row["run_id"] == "run" for row in figures(warehouse))


def test_figures_are_those_of_the_weeks_videos_and_none_was_in_the_fit(warehouse):
    reevaluate(warehouse, SETTINGS, NOW, "run", allowed)
    row = figures(warehouse, forecaster="ridge", origin=date(2024, 2, 26))[0]
    frame = frame_as_of(warehouse, SETTINGS, CELL, ORIGIN)
    week = frame[frame["value"].notna() & frame["anchor_at"].between("2024-02-26", "2024-03-03 23:59:59")]
    said = with_forecasts(warehouse, row["version"], week.reset_index(drop=True))
    error = (said["point"] - said["value"]).abs()
    assert row["n_test"] == len(said) > 20
    assert row["mae"] == pytest.approx(error.mean())
    assert row["rmse"] == pytest.approx(np.sqrt((error**2).mean()))
    inside = said["value"].between(said["lower_80"], said["upper_80"])
    assert row["coverage_80"] == pytest.approx(inside.mean())
    assert row["mae"] < row["naive_mae"] < (said["value"] - said["last_level"]).abs().mean()
    assert row["auroc"] is None


def test_a_class_has_its_own_figures(warehouse):
    reevaluate(warehouse, SETTINGS, NOW, "run", allowed)
    rows = figures(warehouse, target="viral")
    assert len(rows) == 2
    assert all(row["mae"] is None and row["log_loss"] > 0 for row in rows)
    assert all(0 <= row["auroc"] <= 1 and 0 <= row["average_precision"] <= 1 for row in rows)


def test_only_weeks_that_gained_rows_are_computed_again_and_the_earlier_figures_stay(later, tmp_path):
    warehouse = Warehouse(shutil.copytree(later, tmp_path / "copy"), patience_s=10)
    reevaluate(warehouse, SETTINGS, NOW, "run", allowed)
    first = figures(warehouse)
    same = reevaluate(warehouse, SETTINGS, NOW + timedelta(hours=1), "again", allowed)
    assert (sum(same.weeks.values()), same.unchanged) == (0, 6)
    grown = reevaluate(warehouse, SETTINGS, LATER, "later", allowed)
    assert grown.unchanged == 3  # the week of February had matured
    after = figures(warehouse)
    assert after[: len(first)] == first
    again = [row for row in after[len(first) :] if row["forecaster"] == "ridge"]
    assert [row["origin"] for row in again] == [date(2024, 3, 4)]
    assert again[0]["n_test"] > figures(warehouse, forecaster="ridge", run_id="run")[-1]["n_test"]


def test_outcomes_that_are_known_only_later_do_not_count(later, tmp_path):
    ahead = Warehouse(shutil.copytree(later, tmp_path / "ahead"), patience_s=10)  # features know more than the clock
    reevaluate(ahead, SETTINGS, NOW, "run", allowed)
    frame = frame_as_of(ahead, SETTINGS, CELL, ORIGIN)
    week = frame[frame["value"].notna() & (frame["anchor_at"] >= "2024-03-04") & (frame["anchor_at"] < "2024-03-11")]
    assert (week["matured_at"] > NOW).any()
    counted = figures(ahead, forecaster="ridge", origin=date(2024, 3, 4))[0]["n_test"]
    assert counted == (week["matured_at"] <= NOW).sum() > 0


def test_a_model_that_refuses_is_named_and_the_others_go_on(warehouse):
    version = next(row["version"] for row in models(warehouse) if row["alias"] == "champion")
    model = warehouse.home / "models" / version / "model.joblib"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    done = reevaluate(warehouse, SETTINGS, NOW, "run", allowed)
    assert "was changed after it was saved" in done.refused[version]
    assert {row["forecaster"] for row in figures(warehouse)} == {"hist_gradient_boosting", "tfidf_logistic"}


def models(warehouse: Warehouse) -> list[Row]:
    found: list[Row] = warehouse.query("SELECT * FROM models.versions").to_pylist()
    return found


def test_a_run_that_has_ended_writes_nothing(warehouse):
    def ended() -> None:
        raise RuntimeError("the run has ended")

    with pytest.raises(RuntimeError, match="has ended"):
        reevaluate(warehouse, SETTINGS, NOW, "late", ended)
    assert figures(warehouse) == []
