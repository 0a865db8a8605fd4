"""How a channel's earlier videos had done by a cutoff, and what of it was not known by then."""

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.features.raw_rows import T0, RawRows, build_features, hours, make_settings, row, rows
from warehouse.connection import Warehouse

ONLY = ("content", "levels", "channel")
EARLIER = T0 - timedelta(days=20)


def channel(folder: Path, *raw: RawRows, video: str = "now", cutoff: str = "pre") -> dict[str, Any]:
    warehouse = Warehouse(folder)
    for part in raw:
        part.write(warehouse)
    build_features(warehouse, make_settings(), only=ONLY)
    return row(warehouse, "channel", video_id=video, cutoff=cutoff)


def log(views: float) -> float:
    return math.log(1 + views)


def test_medians_of_earlier_videos_at_fixed_ages(tmp_path: Path) -> None:
    raw = RawRows()
    for number, scale in enumerate((1, 2, 5)):
        published = EARLIER + timedelta(days=number)
        raw.seen(f"earlier{number}", published, {1: 10 * scale, 25: 100 * scale, 80: 300 * scale, 170: 400 * scale})
    found = channel(tmp_path, raw.seen("now", T0, {1: 7}))
    assert (found["channel_videos"], found["channel_growth_count"]) == (3, 3)
    assert found["channel_first_median"] == log(20)
    assert found["channel_24h_median"] == log(200)
    assert found["channel_72h_median"] == log(600)
    assert found["channel_168h_median"] == log(800)
    assert found["channel_growth_median"] == pytest.approx(log(600) - log(20))
    inner = (log(600) - log(300), log(1500) - log(600))
    assert found["channel_72h_spread"] == pytest.approx(0.8 * sum(inner))
    assert found["channel_trend"] == 0.0
    assert found["channel_days_since_last"] == 18.0


def test_the_first_video_of_a_channel_has_no_history(tmp_path: Path) -> None:
    found = channel(tmp_path, RawRows().seen("now", T0, {1: 7, 30: 900}), cutoff="72h")
    assert (found["channel_videos"], found["channel_growth_count"]) == (0, 0)
    for column in ("channel_first_median", "channel_24h_median", "channel_trend", "channel_days_since_last"):
        assert found[column] is None, column


def test_a_video_without_channel_has_no_history(tmp_path: Path) -> None:
    raw = RawRows().seen("earlier", EARLIER, {1: 10}, channel=None).seen("now", T0, {1: 7}, channel=None)
    assert channel(tmp_path, raw)["channel_videos"] == 0


def test_a_level_that_matures_after_the_moment_is_not_used(tmp_path: Path) -> None:
    raw = RawRows().seen("earlier", T0 - hours(20), {1: 10, 25: 500}).seen("now", T0, {1: 7})
    before, after = channel(tmp_path, raw), row(Warehouse(tmp_path), "channel", video_id="now", cutoff="6h")
    assert (before["channel_24h_median"], before["channel_first_median"]) == (None, log(10))
    assert after["channel_24h_median"] == log(500)


def test_a_level_known_late_counts_from_when_it_was_known(tmp_path: Path) -> None:
    raw = RawRows().video("earlier", EARLIER, channel="c1", published_at=EARLIER)
    raw.snapshot("earlier", EARLIER + hours(1), 10).snapshot("earlier", EARLIER + hours(25), 99, known=T0 + hours(1))
    warehouse = Warehouse(tmp_path)
    raw.seen("now", T0, {1: 7}).write(warehouse)
    build_features(warehouse, make_settings(), only=ONLY)
    medians = {found["cutoff"]: found["channel_24h_median"] for found in rows(warehouse, "channel", video_id="now")}
    assert medians == {"pre": None, "0h": None, "6h": log(99), "24h": log(99), "72h": log(99)}


def test_a_level_once_known_is_not_changed_by_a_row_that_comes_later(tmp_path: Path) -> None:
    raw = RawRows().video("earlier", EARLIER, channel="c1", published_at=EARLIER)
    raw.snapshot("earlier", EARLIER + hours(30), 50).snapshot("earlier", EARLIER + hours(25), 40, known=T0 + hours(1))
    found = channel(tmp_path, raw.seen("now", T0, {1: 7}), cutoff="72h")
    assert found["channel_24h_median"] == log(50)


@pytest.mark.parametrize(("age", "counts"), [(23.9, False), (24, True), (36, True), (36.1, False)])
def test_a_level_is_read_within_half_its_age_after_it(tmp_path: Path, age: float, counts: bool) -> None:
    found = channel(tmp_path, RawRows().seen("earlier", EARLIER, {1: 10, age: 500}).seen("now", T0, {1: 7}))
    assert (found["channel_24h_median"] is not None) is counts


def test_only_the_channels_own_videos_of_the_same_source_count(tmp_path: Path) -> None:
    raw = RawRows().seen("other", EARLIER, {1: 10}, channel="c2").seen("now", T0, {1: 7}, channel="c1")
    elsewhere = RawRows("panel", "elsewhere").seen("earlier", EARLIER, {1: 10}, channel="c1")
    assert channel(tmp_path, raw, elsewhere)["channel_videos"] == 0


def test_a_videos_own_counts_and_later_videos_are_no_history(tmp_path: Path) -> None:
    raw = RawRows().seen("now", T0, {1: 7, 25: 80}).seen("later", T0 + hours(2), {1: 99, 25: 999})
    raw.seen("same moment", T0, {1: 55})
    assert channel(tmp_path, raw, cutoff="72h")["channel_videos"] == 0


@pytest.mark.parametrize(("days", "videos"), [(90, 1), (90.01, 0)])
def test_history_reaches_back_ninety_days(tmp_path: Path, days: float, videos: int) -> None:
    now = datetime(2024, 4, 10)
    raw = RawRows().seen("earlier", now - timedelta(days=days), {1: 10}).seen("now", now, {1: 7})
    warehouse = Warehouse(tmp_path)
    raw.write(warehouse)
    build_features(warehouse, make_settings(), datetime(2024, 5, 1), only=ONLY)
    assert row(warehouse, "channel", video_id="now", cutoff="pre")["channel_videos"] == videos


def test_the_trend_is_that_of_the_latest_three(tmp_path: Path) -> None:
    raw = RawRows()
    for number, views in enumerate((100, 100, 100, 100, 400, 400, 400)):
        raw.seen(f"earlier{number}", EARLIER + timedelta(days=number), {25: views})
    found = channel(tmp_path, raw.seen("now", T0, {1: 7}))
    assert found["channel_trend"] == log(400) - log(100)


def test_subscribers_are_those_last_seen_by_the_moment(tmp_path: Path) -> None:
    raw = RawRows().seen("now", T0, {1: 7})
    raw.channel("c1", T0 - hours(5), 100).channel("c1", T0 - hours(2), 200, known=T0 + hours(3))
    raw.channel("c1", T0 + hours(9), 300).channel("c2", T0 - hours(1), 9000)
    warehouse = Warehouse(tmp_path)
    raw.write(warehouse)
    build_features(warehouse, make_settings(), only=ONLY)
    subscribers = {found["cutoff"]: found["channel_subscribers_log"] for found in rows(warehouse, "channel")}
    assert subscribers == {"pre": log(100), "0h": log(100), "6h": log(200), "24h": log(300), "72h": log(300)}


def test_subscribers_that_were_hidden_are_not_the_last_seen(tmp_path: Path) -> None:
    raw = RawRows().seen("now", T0, {1: 7}).channel("c1", T0 - hours(5), 100).channel("c1", T0 - hours(1), None)
    assert channel(tmp_path, raw)["channel_subscribers_log"] == log(100)


def test_of_subscribers_seen_at_one_moment_only_those_known_by_then_count(tmp_path: Path) -> None:
    raw = RawRows().seen("now", T0, {1: 7}).channel("c1", T0 - hours(5), 100, video="v1")
    raw.channel("c1", T0 - hours(5), 140, known=T0 + hours(200), video="v2")
    assert channel(tmp_path, raw)["channel_subscribers_log"] == log(100)
