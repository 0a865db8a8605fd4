"""When content has to be brought up to date: where anything that it is made from has changed, and not otherwise."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from assets.embeddings.stale import CONTENT, content_is_stale, content_version
from resources.settings import load_settings
from tests.features.raw_rows import insert
from warehouse.connection import Warehouse
from warehouse.lineage import begin_stage, finish_stage

NOW = datetime(2024, 6, 3, 12)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    home = Warehouse(tmp_path)
    arrive(home, "a")
    return home


def arrive(warehouse: Warehouse, landing: str) -> None:
    row = {"landing_id": landing, "source": "demo", "kind": "videos", "names": [landing], "bytes": 1, "adapter": "x"}
    row |= {"contract_version": "1", "known_at": NOW, "time_source": "row", "received_at": NOW}
    with warehouse.write() as con:
        insert(con, "raw.landings", [{**row, "rows_read": 0, "accepted": 0, "duplicate": 0, "quarantined": 0}])


def begin(warehouse: Warehouse, run_id: str) -> None:
    version = content_version(warehouse, load_settings(warehouse.home), NOW)
    begin_stage(warehouse, CONTENT, version, run_id=run_id, now=NOW)


def brought_up_to_date(warehouse: Warehouse, run_id: str = "r") -> None:
    begin(warehouse, run_id)
    finish_stage(warehouse, CONTENT, run_id=run_id, now=NOW)


def stale(warehouse: Warehouse, now: datetime = NOW) -> bool:
    return content_is_stale(warehouse, load_settings(warehouse.home), now)


def test_a_home_without_landings_has_nothing_to_do(tmp_path: Path) -> None:
    assert not stale(Warehouse(tmp_path))


def test_done_stays_done_until_something_arrives(warehouse: Warehouse) -> None:
    assert stale(warehouse)
    brought_up_to_date(warehouse)
    assert not stale(warehouse)
    arrive(warehouse, "b")
    assert stale(warehouse)


def test_an_origin_that_comes_and_another_encoder_make_it_stale(warehouse: Warehouse) -> None:
    brought_up_to_date(warehouse)
    assert stale(warehouse, NOW + timedelta(weeks=8))
    (warehouse.home / "upswell.yaml").write_text("embeddings: {text: minilm}\n")
    assert stale(warehouse)


def test_what_arrives_during_a_run_is_left_to_the_next(warehouse: Warehouse) -> None:
    begin(warehouse, "r")
    arrive(warehouse, "late")
    finish_stage(warehouse, CONTENT, run_id="r", now=NOW)
    assert stale(warehouse)


def test_a_run_that_another_overtook_notes_nothing(warehouse: Warehouse) -> None:
    begin(warehouse, "slow")
    begin(warehouse, "fast")
    finish_stage(warehouse, CONTENT, run_id="slow", now=NOW)
    assert stale(warehouse)
