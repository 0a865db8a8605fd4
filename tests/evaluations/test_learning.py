"""The assets around models in use, run as Dagster runs them on a replayed home, and the section that the page makes of them."""

import re
import shutil
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from assets.evaluations.learning.assets import drift, forecasts, reevaluations, scores
from assets.evaluations.learning.checks import honest_ledger, honest_scores, learning_checks
from assets.evaluations.report import render
from assets.evaluations.report_ledger import ledger
from assets.evaluations.scored_forecasts import weekly_scores
from resources import clock
from resources.home import Home
from resources.settings import load_settings
from tests.evaluations.live_world import CUTOFFS, NOW, VIRAL, at, register, world_settings
from tests.evaluations.test_report import fill, tables_of, text_of
from tests.features.raw_rows import TARGETS
from warehouse.connection import Warehouse

WEEK_LATER = NOW + timedelta(days=7)


def run(home: Path, *assets: Any) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [*assets], resources={"home": Home(path=str(home))}, instance=instance, raise_on_error=False
        )


def facts(result: dg.ExecuteInProcessResult, asset: dg.AssetsDefinition) -> dict[str, Any]:
    metadata = result.asset_materializations_for_node(asset.node_def.name)[0].metadata
    return {name: value.value for name, value in metadata.items()}


@pytest.fixture(scope="module")
def lived(live_home: Callable[[], Warehouse]) -> tuple[Path, dict[str, Any]]:
    """A replayed home in which champions have promised, a week has passed, and what became of it was asked."""
    home = live_home().home
    own = {"start": "2024-01-01", "first_origin": "2024-01-01", "cutoffs": list(CUTOFFS), "targets": TARGETS}
    (home / "upswell.yaml").write_text(
        yaml.safe_dump({**own, "evaluation": {"targets": ["views_7d"], "cutoffs": ["24h"]}})
    )
    warehouse, settings = Warehouse(home, patience_s=10), load_settings(home)
    register(warehouse, settings, validation_error=0.2)
    register(warehouse, settings, VIRAL, forecaster="tfidf_logistic")
    clock.set_replay(home, NOW)
    promised = run(home, forecasts, honest_ledger)
    clock.set_replay(home, WEEK_LATER)
    at(warehouse, world_settings(), WEEK_LATER)
    later = run(home, scores, reevaluations, drift, honest_scores)
    assert promised.success and later.success
    found = {asset.key.path[-1]: facts(later, asset) for asset in (scores, reevaluations, drift)}
    passed = [one.passed for result in (promised, later) for one in result.get_asset_check_evaluations()]
    return home, found | {"forecasts": facts(promised, forecasts), "passed": passed}


def test_the_assets_say_how_many_how_good_and_what_is_new(lived):
    _, said = lived
    assert said["passed"] == [True, True]
    assert said["forecasts"]["new forecasts"] == said["forecasts"]["dagster/row_count"] == 54
    assert said["scores"]["new scores"] == 54 and said["scores"]["waiting"] == 0
    assert said["scores"]["demo/views_7d/24h (replay)"].startswith("![chart](data:image/png;base64,")
    assert said["reevaluations"]["models"] == 2 and said["reevaluations"]["weeks computed"] >= 2
    assert said["drift"]["measured anew"] == 2
    assert "| error | all |" in said["drift"]["largest"] and "| ks |" in said["drift"]["largest"]


def test_a_broken_promise_stops_the_run(lived, tmp_path):
    home = shutil.copytree(lived[0], tmp_path / "copy")
    with Warehouse(home, patience_s=10).write() as con:
        con.execute("UPDATE evaluations.forecasts SET made_at = made_at + INTERVAL 7 DAY WHERE video_id = 'v370'")
        con.execute("DELETE FROM evaluations.scores")
    result = run(home, forecasts, scores, *learning_checks)
    check = next(one for one in result.get_asset_check_evaluations() if one.check_name == "made_before_the_outcome")
    assert not check.passed and "v370" in str(check.metadata["such as"].value)
    assert not result.success
    assert not result.asset_materializations_for_node(scores.node_def.name)


def test_a_score_of_another_clock_than_its_forecast_is_found(lived, tmp_path):
    home = shutil.copytree(lived[0], tmp_path / "copy")
    with Warehouse(home, patience_s=10).write() as con:
        con.execute("UPDATE evaluations.scores SET clock = 'live' WHERE video_id = 'v370' AND target = 'viral'")
    result = run(home, scores, honest_scores)
    check = result.get_asset_check_evaluations()[0]
    assert not check.passed and check.metadata["faults"].value == 1


def test_weeks_are_means_of_the_stored_scores(lived):
    warehouse = Warehouse(lived[0], patience_s=10)
    week = weekly_scores(warehouse).query("target == 'views_7d'")
    rows = warehouse.query("SELECT * FROM evaluations.scores WHERE target = 'views_7d'").to_pandas()
    assert week[["clock", "made", "scored"]].values.tolist() == [["replay", 27, 27]]
    assert week["error"].iloc[0] == pytest.approx(rows["error"].mean())
    assert week["covered_80"].iloc[0] == pytest.approx(rows["covered_80"].mean())
    assert week["happened"].iloc[0] == pytest.approx(rows["value"].mean())


class TestSection:
    def test_it_shows_each_cell_with_its_figures_and_apart_by_clock(self, lived, tmp_path):
        warehouse = Warehouse(shutil.copytree(lived[0], tmp_path / "copy"), patience_s=10)
        parts = ledger(warehouse, ["demo"])
        assert [part.heading for part in parts] == [
            "Promises (replay)",
            "demo views_7d 24h (replay)",
            "demo viral 24h (replay)",
        ]
        rows = parts[0].grids[0].rows
        error = warehouse.query("SELECT avg(error) AS e FROM evaluations.scores WHERE target = 'views_7d'").to_pylist()
        assert [str(cell.text) for cell in rows[0][1]][:6] == [
            "demo",
            "views_7d",
            "24h",
            "27",
            "27",
            f"{error[0]['e']:.3f}",
        ]
        assert [len(part.drawings) for part in parts] == [0, 3, 2]  # a class has no coverage
        assert ledger(warehouse, ["another"]) == []
        with warehouse.write() as con:
            con.execute("UPDATE evaluations.forecasts SET clock = 'live' WHERE target = 'viral'")
        assert next(part.heading for part in ledger(warehouse, ["demo"])) == "Promises (live)"

    def test_the_page_is_the_same_to_the_byte_and_its_fingerprint_follows_the_ledger(self, lived, tmp_path):
        warehouse = fill(tmp_path / "home", tables_of())
        settings = load_settings(tmp_path / "home")
        before = render(warehouse, settings)
        told = Warehouse(lived[0], patience_s=10)
        rows = {name: told.query(f"FROM evaluations.{name}") for name in ("forecasts", "scores")}
        with warehouse.write() as con:
            for name, table in rows.items():
                con.register("rows_of", table)
                con.execute(f"INSERT INTO evaluations.{name} BY NAME FROM rows_of")
                con.unregister("rows_of")
        page = render(warehouse, settings)
        assert page.made_from != before.made_from
        assert render(warehouse, settings).sha256 == page.sha256
        section = page.html.split('<section id="ledger">')[1].split("</section>")[0]
        assert section.count("<svg") == 5
        assert not re.search(r"\b(nan|None|NaT|inf)\b", text_of(section))
