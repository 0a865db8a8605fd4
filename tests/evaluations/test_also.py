"""Forecasters that run only where they are named: on the board once settings or a call name them, and anew when that changes."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest

from assets.evaluations.grid import Cell
from assets.evaluations.run_cells import planned, run_cells, stale
from assets.models.forecasters import names_for
from assets.models.task import Task
from resources.settings import Settings
from tests.evaluations.live_world import NOW, VIRAL, world_settings
from warehouse.connection import Warehouse

NETWORK = "fusion_network_classifier"
Plan = dict[Cell, list[date]]


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    path = tmp_path / "quick.yaml"
    path.write_text("base: small\nepochs: 1\n")
    return path


@pytest.fixture
def settings(preset: Path) -> Settings:
    found = world_settings()
    return found.model_copy(update={"training": found.training.model_copy(update={"preset": str(preset)})})


def backtest(warehouse: Warehouse, settings: Settings, plan: Plan) -> int:
    """Backtests the earlier origin of the plan; returns how many were fitted."""
    first = plan[VIRAL][0]
    return run_cells(warehouse, settings, plan, first, first + timedelta(days=7), run_id="run", now=NOW).fitted


def forecasters(warehouse: Warehouse) -> set[str]:
    return set(warehouse.query("SELECT DISTINCT forecaster FROM evaluations.predictions")["forecaster"].to_pylist())


def test_a_name_more_is_fitted_and_one_less_changes_nothing(
    live_home: Callable[[], Warehouse], settings: Settings, preset: Path
) -> None:
    warehouse = live_home()
    plan = planned(warehouse, settings, [VIRAL], 2)
    first, latest = plan[VIRAL]
    assert backtest(warehouse, settings, plan) == 1
    assert stale(warehouse, settings, plan) == {VIRAL: [latest]}
    assert NETWORK not in forecasters(warehouse)

    also = settings.with_also([NETWORK, "blend"])  # a blend is of numbers, so this cell has none
    assert stale(warehouse, also, plan) == {VIRAL: [first, latest]}
    assert backtest(warehouse, also, plan) == 1
    assert {NETWORK, "base_rate", "tfidf_logistic"} <= forecasters(warehouse) and "blend" not in forecasters(warehouse)
    for asked in (also, settings):
        assert stale(warehouse, asked, plan) == {VIRAL: [latest]}
        assert backtest(warehouse, asked, plan) == 0

    preset.write_text("base: small\nepochs: 2\n")
    assert stale(warehouse, settings, plan) == {VIRAL: [latest]}
    assert stale(warehouse, also, plan) == {VIRAL: [first, latest]}, "another preset is another network"


def test_a_name_that_no_forecaster_has_is_an_error_that_says_which_there_are(
    live_home: Callable[[], Warehouse], settings: Settings
) -> None:
    warehouse = live_home()
    wrong = settings.with_also(["fusion_netwrok"])
    with pytest.raises(ValueError, match=r"no forecaster 'fusion_netwrok'; there are .*fusion_network"):
        stale(warehouse, wrong, {VIRAL: [date(2024, 2, 26)]})


def test_also_adds_only_what_exists_for_the_task(settings: Settings) -> None:
    number, viral = (Task.of(settings, target, "24h") for target in ("views_7d", "viral"))
    asked = ("stack", NETWORK, "ridge")
    assert names_for(number, asked) == [*names_for(number), "stack"]
    assert names_for(viral, asked) == [*names_for(viral), NETWORK]
    assert settings.with_also(asked).with_also(["stack", "blend"]).evaluation.also == (*asked, "blend")
