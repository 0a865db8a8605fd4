"""A row does not depend on how the days are cut, nor on how often it is built."""

from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.features.build import TABLES, build
from tests.features.raw_rows import ANCHORS, NOW, RawRows, build_features, hours, make_settings, rows
from tests.features.worlds import dirty_world, write
from warehouse.connection import Warehouse

LAST = date(2024, 2, 20)
FIRST = date(2024, 1, 1)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("ranges"))
    write(warehouse, dirty_world(7, videos=40))
    build_features(warehouse, make_settings())
    return warehouse


def cut(warehouse: Warehouse, name: str, bounds: list[date]) -> list[dict[str, object]]:
    """The rows of a table, built range by range."""
    parts = [
        build(name, warehouse, make_settings(), ANCHORS, start, end, NOW).to_pylist() for start, end in pairwise(bounds)
    ]
    return sorted((row for part in parts for row in part), key=repr)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(days=st.sets(st.integers(1, (LAST - FIRST).days - 1), max_size=5))
@pytest.mark.parametrize("name", TABLES)
def test_any_cut_of_the_days_gives_the_same_rows(built: Warehouse, name: str, days: set[int]) -> None:
    bounds = [FIRST, *(FIRST + timedelta(days=day) for day in sorted(days)), LAST]
    assert cut(built, name, bounds) == cut(built, name, [FIRST, LAST])


@pytest.mark.parametrize("name", TABLES)
def test_single_days_give_the_same_rows_as_all_at_once(built: Warehouse, name: str) -> None:
    first, last = date(2024, 1, 20), date(2024, 1, 27)
    days = [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
    assert cut(built, name, days) == cut(built, name, [first, last])


def test_building_twice_gives_the_same_tables(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    write(warehouse, dirty_world(3, videos=15))
    build_features(warehouse, make_settings())
    for name in TABLES:
        once = rows(warehouse, name)
        build_features(warehouse, make_settings(), only=(name,))
        assert once, name
        assert rows(warehouse, name) == once, name


def test_subscribers_seen_long_ago_count_the_same_for_one_day_as_for_a_year(tmp_path: Path) -> None:
    warehouse, now = Warehouse(tmp_path), datetime(2024, 7, 1)
    early, late = datetime(2024, 1, 5), datetime(2024, 6, 1)
    raw = RawRows().seen("v1", early, {0: 10}).channel("c1", early + hours(1), 500).seen("v2", late, {0: 10})
    raw.write(warehouse)
    build_features(warehouse, make_settings(), now)
    day = build("channel", warehouse, make_settings(), ANCHORS, late.date(), late.date() + timedelta(days=1), now)
    year = build("channel", warehouse, make_settings(), ANCHORS, date(2024, 1, 1), date(2024, 7, 1), now)
    assert day.to_pylist() == [row for row in year.to_pylist() if row["video_id"] == "v2"]


def test_a_snapshot_before_the_publication_counts_the_same_for_one_day_as_for_a_month(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    published = datetime(2024, 1, 20, 1)
    premiere = RawRows().video("v1", published - hours(5), title="Soon").snapshot("v1", published - hours(5), 1)
    premiere.seen("v1", published, {1: 10, 30: 50}).write(warehouse)
    build_features(warehouse, make_settings())
    for name in ("content", "levels", "engagement", "targets"):
        assert cut(warehouse, name, [date(2024, 1, 20), date(2024, 1, 21)]) == sorted(rows(warehouse, name), key=repr)


def test_days_without_videos_have_no_rows(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    build_features(warehouse, make_settings())
    assert all(rows(warehouse, name) == [] for name in TABLES)
