"""When texts have to be looked at again: where anything that is said of them is made from has changed, and not otherwise."""

from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.language.assets import assets
from assets.language.stale import LANGUAGE, language_is_stale, language_version
from resources.home import Home
from resources.settings import load_settings
from tests.features.raw_rows import NOW, insert
from warehouse.connection import Warehouse
from warehouse.lineage import begin_stage, finish_stage


def arrive(warehouse: Warehouse, landing: str, kind: str = "comments") -> None:
    row: dict[str, Any] = {"landing_id": landing, "source": "demo", "kind": kind, "names": [landing], "adapter": "x"}
    row |= {"contract_version": "1", "known_at": NOW, "time_source": "row", "received_at": NOW}
    row |= dict.fromkeys(("bytes", "rows_read", "accepted", "duplicate", "quarantined"), 0)
    with warehouse.write() as con:
        insert(con, "raw.landings", [row])


def stale(warehouse: Warehouse) -> bool:
    return language_is_stale(warehouse, load_settings(warehouse.home))


def read(warehouse: Warehouse, during: str | None = None) -> None:
    version = language_version(warehouse, load_settings(warehouse.home))
    begin_stage(warehouse, LANGUAGE, version, run_id="r", now=NOW)
    if during:
        arrive(warehouse, during)
    finish_stage(warehouse, LANGUAGE, run_id="r", now=NOW)


def test_it_is_stale_when_something_arrives_and_not_before(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    assert not stale(warehouse)
    arrive(warehouse, "a")
    assert stale(warehouse)
    read(warehouse)
    assert not stale(warehouse)
    arrive(warehouse, "b")
    assert stale(warehouse)
    read(warehouse, during="c")
    assert stale(warehouse)


def test_media_and_another_model_count_where_they_are_read(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    arrive(warehouse, "a")
    read(warehouse)
    arrive(warehouse, "pictures", kind="media")
    assert not stale(warehouse)
    (tmp_path / "upswell.yaml").write_text("language: {emotions: {head: frozen}}\n")
    assert stale(warehouse)
    read(warehouse)
    assert not stale(warehouse)


def test_a_run_that_fails_at_its_last_table_has_to_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(path=str(tmp_path))
    arrive(home.warehouse, "a")

    def run() -> bool:
        with dg.DagsterInstance.ephemeral() as instance:
            return dg.materialize(assets, resources={"home": home}, instance=instance, raise_on_error=False).success

    def broken(*given: Any) -> None:
        raise dg.Failure("broken", allow_retries=False)

    with monkeypatch.context() as patch:
        patch.setattr("assets.language.course_rows.refresh_forecasts", broken)
        assert not run()
    assert stale(home.warehouse)
    assert run()
    assert not stale(home.warehouse)
