"""What a video's own counts said by a cutoff, and what was not known by then."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.features.raw_rows import T0, RawRows, build_features, hours, make_settings, row, rows
from warehouse.connection import Warehouse

ONLY = ("content", "engagement")


def engagement(folder: Path, raw: RawRows, cutoff: str = "24h") -> dict[str, Any]:
    warehouse = Warehouse(folder)
    raw.write(warehouse)
    build_features(warehouse, make_settings(), only=ONLY)
    return row(warehouse, "engagement", cutoff=cutoff)


def recorded() -> RawRows:
    return RawRows().video("v1", T0, published_at=T0)


def test_levels_increments_velocity_and_acceleration(tmp_path: Path) -> None:
    raw = recorded()
    for age, views in ((2, 100), (6, 300), (16, 800), (30, 5000)):
        raw.snapshot("v1", T0 + hours(age), views, likes=views // 10, comments=views // 100, shares=4, saves=2)
    found = engagement(tmp_path, raw)
    assert found["as_of"] == T0 + hours(24)
    assert found["observations"] == 3
    assert (found["last_age_h"], found["staleness_h"], found["first_age_h"]) == (16.0, 8.0, 2.0)
    assert found["views_log"] == math.log(801)
    assert found["first_views_log"] == math.log(101)
    assert found["growth_log"] == math.log(801) - math.log(101)
    assert found["increment_log"] == math.log(801) - math.log(301)
    assert found["rate_log"] == math.log(1 + 800 / 16)
    assert found["velocity_log"] == math.log(1 + 500 / 10)
    assert found["acceleration"] == pytest.approx(math.log(1 + 500 / 10) - math.log(1 + 200 / 4))
    assert (found["like_rate"], found["comment_rate"], found["share_rate"]) == (0.1, 0.01, 4 / 800)
    assert found["falls"] == 0


def test_a_count_that_became_known_after_the_cutoff_is_not_used(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(1), 10).snapshot("v1", T0 + hours(5), 99, known=T0 + hours(25))
    found = engagement(tmp_path, raw)
    assert (found["observations"], found["views_log"]) == (1, math.log(11))


@pytest.mark.parametrize(("late", "used"), [(timedelta(0), True), (timedelta(microseconds=1), False)])
def test_the_cutoff_itself_is_usable_and_a_microsecond_later_is_not(
    tmp_path: Path, late: timedelta, used: bool
) -> None:
    raw = recorded().snapshot("v1", T0, 10).snapshot("v1", T0 + hours(3), 99, known=T0 + hours(24) + late)
    assert (engagement(tmp_path, raw)["observations"] == 2) is used


def test_the_last_observed_counts_and_not_the_last_known(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(9), 50).snapshot("v1", T0 + hours(2), 10, known=T0 + hours(20))
    found = engagement(tmp_path, raw)
    assert (found["views_log"], found["first_views_log"]) == (math.log(51), math.log(11))


def test_falling_views_are_marked_and_give_no_negative_velocity(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(1), 100).snapshot("v1", T0 + hours(2), 60)
    found = engagement(tmp_path, raw)
    assert (found["falls"], found["velocity_log"]) == (1, 0.0)
    assert found["increment_log"] < 0


def test_missing_counts_are_missing_and_not_zero(tmp_path: Path) -> None:
    found = engagement(tmp_path, recorded().snapshot("v1", T0 + hours(1), 100, likes=None, comments=0))
    assert (found["likes_log"], found["like_rate"], found["saves_log"]) == (None, None, None)
    assert (found["comments_log"], found["comment_rate"]) == (0.0, 0.0)


def test_one_observation_has_no_increment(tmp_path: Path) -> None:
    found = engagement(tmp_path, recorded().snapshot("v1", T0 + hours(1), 100))
    assert found["growth_log"] == 0.0
    for column in ("increment_log", "velocity_log", "acceleration", "falls"):
        assert found[column] is None, column


def test_no_views_have_no_rates(tmp_path: Path) -> None:
    found = engagement(tmp_path, recorded().snapshot("v1", T0 + hours(1), 0, likes=0))
    assert (found["views_log"], found["like_rate"]) == (0.0, None)


def test_a_snapshot_without_views_is_no_observation(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(1), 100, likes=7).snapshot("v1", T0 + hours(2), None, likes=9)
    found = engagement(tmp_path, raw)
    assert (found["observations"], found["likes_log"]) == (1, math.log(8))


def test_nothing_usable_is_no_row_and_before_publication_there_never_is_one(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    recorded().snapshot("v1", T0, 5, known=T0).snapshot("v1", T0 + hours(2), 6).write(warehouse)
    RawRows(landing="other").video("v2", T0, published_at=T0).snapshot("v2", T0 + hours(30), 5).write(warehouse)
    build_features(warehouse, make_settings(), only=ONLY)
    assert {found["cutoff"] for found in rows(warehouse, "engagement", video_id="v1")} == {"0h", "6h", "24h", "72h"}
    assert {found["cutoff"] for found in rows(warehouse, "engagement", video_id="v2")} == {"72h"}


def test_a_moment_that_has_not_come_has_no_row(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    recorded().snapshot("v1", T0, 5).write(warehouse)
    build_features(warehouse, make_settings(), T0 + hours(6), only=ONLY)
    assert {found["cutoff"] for found in rows(warehouse, "engagement")} == {"0h", "6h"}


def test_at_first_sight_what_was_known_then_counts(tmp_path: Path) -> None:
    raw = RawRows("panel").video("v1", T0).snapshot("v1", T0, 40).snapshot("v1", T0 + hours(1), 90)
    found = engagement(tmp_path, raw, cutoff="0h")
    assert (found["observations"], found["views_log"], found["last_age_h"]) == (1, math.log(41), 0.0)
    assert found["rate_log"] is None


def test_an_observation_from_before_first_sight_that_came_late_counts_once_known(tmp_path: Path) -> None:
    raw = RawRows("panel").video("v1", T0).snapshot("v1", T0, 40)
    raw.snapshot("v1", T0 - timedelta(days=3), 8, known=T0 + hours(10))
    found = engagement(tmp_path, raw)
    assert (found["observations"], found["first_views_log"], found["first_age_h"]) == (2, math.log(9), -72.0)
