"""What became of a video: the observation nearest to the horizon, and whether it is known yet."""

import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.features.build import build
from resources.settings import SettingsError, load_settings
from resources.view_regimes import spans
from tests.features.raw_rows import ANCHORS, NOW, T0, TARGETS, RawRows, build_features, hours, make_settings, row, rows
from warehouse.connection import Warehouse

ONLY = ("content", "targets")
WEEK = 168


def targets(folder: Path, raw: RawRows, definitions: dict[str, Any] | None = None, now: Any = NOW) -> Warehouse:
    warehouse = Warehouse(folder)
    raw.write(warehouse)
    build_features(warehouse, make_settings(definitions), now, only=ONLY)
    return warehouse


def recorded(source: str = "demo") -> RawRows:
    return RawRows(source).video("v1", T0, published_at=T0)


def one(name: str, **definition: Any) -> dict[str, Any]:
    return {name: {"metric": "views", "horizon": "7d", "tolerance": "24h", **definition}}


def test_the_nearest_observation_within_the_tolerance_wins(tmp_path: Path) -> None:
    raw = recorded()
    for age, views in ((WEEK - 20, 1), (WEEK - 3, 2), (WEEK + 2, 3), (WEEK + 30, 4)):
        raw.snapshot("v1", T0 + hours(age), views)
    found = row(targets(tmp_path, raw), "targets", target="views_7d")
    assert (found["status"], found["value"]) == ("matured", math.log(4))
    assert found["observed_at"] == found["matured_at"] == T0 + hours(WEEK + 2)


def test_of_two_equally_near_the_earlier_wins(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(WEEK + 5), 9).snapshot("v1", T0 + hours(WEEK - 5), 7)
    assert row(targets(tmp_path, raw), "targets", target="views_7d")["value"] == math.log(8)


@pytest.mark.parametrize(
    ("beyond", "status"), [(timedelta(0), "matured"), (timedelta(microseconds=1), "pending"), (hours(5), "pending")]
)
@pytest.mark.parametrize("side", [-1, 1])
def test_the_tolerance_is_to_the_microsecond(tmp_path: Path, side: int, beyond: timedelta, status: str) -> None:
    raw = recorded().snapshot("v1", T0, 1).snapshot("v1", T0 + hours(WEEK) + side * (hours(24) + beyond), 5)
    assert row(targets(tmp_path, raw), "targets", target="views_7d")["status"] == status


def test_an_outcome_matures_when_it_is_known(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(WEEK), 9, known=T0 + hours(400))
    found = row(targets(tmp_path / "after", raw), "targets", target="views_7d")
    assert (found["observed_at"], found["matured_at"]) == (T0 + hours(WEEK), T0 + hours(400))
    raw.snapshot("v1", T0, 1)
    before = row(targets(tmp_path / "before", raw, now=T0 + hours(399)), "targets", target="views_7d")
    assert (before["status"], before["value"], before["matured_at"]) == ("pending", None, None)


def test_an_outcome_does_not_depend_on_when_it_is_asked(tmp_path: Path) -> None:
    warehouse = targets(tmp_path, recorded().snapshot("v1", T0 + hours(WEEK), 9, likes=3))
    days = (T0.date(), T0.date() + timedelta(days=1))
    asked = [build("targets", warehouse, make_settings(), ANCHORS, *days, NOW + hours(later)) for later in (0, 1, 9999)]
    assert asked[0].equals(asked[1])
    assert asked[0].equals(asked[2])


def test_a_missing_count_is_no_outcome(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(WEEK), 9, likes=None).snapshot("v1", T0 + hours(WEEK + 9), 11, likes=4)
    warehouse = targets(tmp_path, raw)
    assert row(warehouse, "targets", target="views_7d")["value"] == math.log(10)
    assert row(warehouse, "targets", target="likes_7d")["value"] == math.log(5)


def test_an_observation_from_before_the_anchor_is_no_outcome(tmp_path: Path) -> None:
    raw = RawRows("panel").video("v1", T0).snapshot("v1", T0, 5).snapshot("v1", T0 - hours(9), 2, known=T0 + hours(1))
    warehouse = targets(tmp_path, raw, one("last", horizon="variable", anchor="any"))
    assert row(warehouse, "targets")["value"] == math.log(6)


@pytest.mark.parametrize(
    ("gone", "known", "status"),
    [(100, None, "censored"), (WEEK + 24, None, "censored"), (WEEK + 25, None, "pending"), (100, 9999, "pending")],
)
def test_a_video_that_was_gone_before_the_horizon_is_censored(
    tmp_path: Path, gone: float, known: float | None, status: str
) -> None:
    raw = recorded().snapshot("v1", T0, 1)
    raw.status("v1", T0 + hours(gone), "removed", None if known is None else T0 + hours(known))
    assert row(targets(tmp_path, raw), "targets", target="views_7d")["status"] == status


def test_a_video_that_came_back_is_pending(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0, 1).status("v1", T0 + hours(10), "private").status("v1", T0 + hours(20), "live")
    assert row(targets(tmp_path, raw), "targets", target="views_7d")["status"] == "pending"


HIDDEN = ("age_restricted", "region_blocked")


def test_why_a_video_is_censored_and_since_when(tmp_path: Path) -> None:
    """What is found again later was gone when it was found first; the state found last is the reason."""
    raw = RawRows()
    for state in ("removed", "private", "unavailable", *HIDDEN):
        raw.video(state, T0, published_at=T0).snapshot(state, T0, 1).status(state, T0, "live")
        raw.status(state, T0 + hours(30), "unavailable").status(state, T0 + hours(900), state)
    for state in HIDDEN:  # the Data API counts on what not everybody may see
        seen = f"counted {state}"
        raw.video(seen, T0, published_at=T0).status(seen, T0 + hours(30), state).snapshot(seen, T0 + hours(30), 1)
    warehouse = targets(tmp_path, raw)
    for target in ("views_7d", "success"):
        for found in rows(warehouse, "targets", target=target):
            counted = found["video_id"].startswith("counted")
            expected = ("pending", None, None) if counted else ("censored", found["video_id"], None)
            assert (found["status"], found["reason"], found["value"]) == expected


CHANGE = datetime(2024, 2, 10)
REGIMES = {"demo": [{"counts": "watched"}, {"counts": "started", "since": CHANGE.date(), "shorts": True}]}


MICROSECOND = timedelta(microseconds=1)
CROSSES = ("censored", "view_count_changed")
STANDS = ("matured", None)
VIDEOS: dict[str, tuple[datetime, dict[str, Any], tuple[Any, ...]]] = {
    "seen before": (CHANGE - hours(WEEK) - MICROSECOND, {"is_short": True}, ("watched", *STANDS)),
    "seen as it changes": (CHANGE - hours(WEEK), {"is_short": True}, ("watched", *CROSSES)),
    "published just before": (CHANGE - MICROSECOND, {"is_short": True}, ("watched", *CROSSES)),
    "published as it changes": (CHANGE, {"is_short": True}, ("started", *STANDS)),
    "no short": (CHANGE - hours(1), {"is_short": False}, ("watched", *STANDS)),
    "too long for a short": (CHANGE - hours(1), {"duration_s": 600.0}, ("watched", *STANDS)),
    "perhaps a short": (CHANGE - hours(1), {"duration_s": 60.0}, ("watched", *CROSSES)),
    "perhaps a short, later": (CHANGE, {"duration_s": 60.0}, ("unclear", *STANDS)),
}


def test_no_outcome_spans_a_change_of_what_a_view_is(tmp_path: Path) -> None:
    """To the microsecond; what is not made of views stands. A source that changed nothing has no regime."""
    warehouse, raw, other = Warehouse(tmp_path), RawRows(), RawRows("panel", "other")
    for video, (published, columns, _) in VIDEOS.items():
        raw.video(video, published, published_at=published, **columns)
        raw.snapshot(video, published + hours(WEEK), 9, likes=3)
    raw.write(warehouse)
    other.seen("v1", CHANGE - hours(1), {0: 1, 72: 5}).write(warehouse)
    build_features(warehouse, make_settings(regimes=REGIMES), only=ONLY)
    for video, (_, _, expected) in VIDEOS.items():
        views, likes = (row(warehouse, "targets", video_id=video, target=name) for name in ("views_7d", "likes_7d"))
        regime = row(warehouse, "content", video_id=video)["view_regime"]
        assert (regime, views["status"], views["reason"]) == expected, video
        assert (views["value"] is None) == (expected[1:] == CROSSES)
        assert likes["status"] == "matured"
    assert row(warehouse, "content", source="panel")["view_regime"] is None
    assert row(warehouse, "targets", source="panel")["status"] == "matured"


def test_a_window_that_will_span_a_change_is_censored_before_it_ends(tmp_path: Path) -> None:
    published = CHANGE - hours(24)
    warehouse = Warehouse(tmp_path)
    RawRows().video("v1", published, published_at=published, is_short=True).snapshot("v1", published, 1).write(
        warehouse
    )
    build_features(warehouse, make_settings(regimes=REGIMES), CHANGE, only=ONLY)
    assert row(warehouse, "targets", target="views_7d")["reason"] == "view_count_changed"
    assert row(warehouse, "targets", target="likes_7d")["status"] == "pending"
    success = row(warehouse, "targets", target="success")
    assert (success["status"], success["reason"]) == ("censored", "view_count_changed")


def test_what_youtube_counts_is_shipped_and_a_home_may_state_its_own(tmp_path: Path) -> None:
    shipped = load_settings(tmp_path).view_regimes
    assert shipped["youtube"] == shipped["youtube_trending"]
    starts = [(short, start, counts) for short, start, _, counts in spans(shipped["youtube"])]
    assert (True, datetime(2025, 3, 31), "started_or_replayed") in starts
    assert [start for short, start, _ in starts if not short][1:] == [datetime(2026, 8, 24)]
    (tmp_path / "upswell.yaml").write_text("view_regimes: {mine: [{counts: opened, since: 2024-01-01}]}\n")
    with pytest.raises(SettingsError, match="before any change"):
        load_settings(tmp_path)


def test_an_outcome_that_was_observed_stays_matured_though_the_video_is_gone(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(WEEK), 9).status("v1", T0 + hours(WEEK + 1), "removed")
    assert row(targets(tmp_path, raw), "targets", target="views_7d")["status"] == "matured"


def test_targets_exist_for_the_anchor_that_they_name(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    RawRows().seen("v1", T0, {1: 5}).write(warehouse)
    RawRows("panel", "other").seen("v1", T0, {1: 5}).write(warehouse)
    build_features(warehouse, make_settings(), only=ONLY)
    found = {source: {r["target"] for r in rows(warehouse, "targets", source=source)} for source in ANCHORS}
    assert found == {"demo": {"views_7d", "likes_7d", "success"}, "panel": {"views_3d"}}


def test_a_target_may_name_its_sources(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    RawRows().seen("v1", T0, {1: 5}).write(warehouse)
    RawRows("panel", "other").seen("v1", T0, {1: 5}).write(warehouse)
    build_features(warehouse, make_settings(one("t", anchor="any", sources=["panel"])), only=ONLY)
    assert [found["source"] for found in rows(warehouse, "targets")] == ["panel"]


def test_age_counts_from_first_sight_where_that_is_the_anchor(tmp_path: Path) -> None:
    raw = RawRows("panel").seen("v1", T0, {30: 5, 30 + 70: 40, 170: 90})
    found = row(targets(tmp_path, raw), "targets", target="views_3d")
    assert (found["value"], found["observed_at"]) == (math.log(41), T0 + hours(100))


def test_a_variable_horizon_takes_the_last_observation_there_is(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(9), 5).snapshot("v1", T0 + hours(900), 70, known=T0 + hours(1000))
    last = one("last", horizon="variable", anchor="any")
    found = row(targets(tmp_path / "all", raw, last), "targets")
    assert (found["value"], found["matured_at"]) == (math.log(71), T0 + hours(1000))
    assert row(targets(tmp_path / "then", raw, last, T0 + hours(999)), "targets")["value"] == math.log(6)


def test_a_composite_is_the_weighted_sum_of_its_parts_and_matures_with_the_last(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(WEEK), 9, likes=None)
    raw.snapshot("v1", T0 + hours(WEEK + 9), 11, known=T0 + hours(300), likes=4)
    found = row(targets(tmp_path, raw), "targets", target="success")
    assert found["value"] == 0.4 * math.log(5) + 0.6 * math.log(10)
    assert (found["status"], found["matured_at"]) == ("matured", T0 + hours(300))


def test_a_composite_is_pending_while_a_part_is_and_censored_when_a_part_is(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(WEEK), 9, likes=None)
    pending = row(targets(tmp_path / "pending", raw), "targets", target="success")
    assert (pending["status"], pending["value"], pending["matured_at"]) == ("pending", None, None)
    raw.status("v1", T0 + hours(150), "removed")
    assert row(targets(tmp_path / "censored", raw), "targets", target="success")["status"] == "censored"


def test_velocity_weighs_engagements_per_hour_since_the_anchor(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(160), 1000, likes=100, comments=20)
    found = row(targets(tmp_path, raw, one("velocity", metric="velocity", transform="none")), "targets")
    assert found["value"] == pytest.approx((0.4 * 1000 + 0.35 * 100 + 0.25 * 20) / 160)


def test_engagement_rate_needs_views_likes_and_comments(tmp_path: Path) -> None:
    rate = one("rate", metric="engagement_rate", transform="none")
    full = recorded().snapshot("v1", T0 + hours(WEEK), 1000, likes=100, comments=20, shares=None)
    assert row(targets(tmp_path / "full", full, rate), "targets")["value"] == pytest.approx(0.12)
    for name, counts in {"likes": {"likes": None, "comments": 1}, "views": {"likes": 1, "comments": 1}}.items():
        raw = recorded().snapshot("v1", T0 + hours(WEEK), 0 if name == "views" else 9, **counts)
        assert row(targets(tmp_path / name, raw, rate), "targets")["status"] == "pending", name


def test_any_measure_and_any_label_can_be_a_target(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0, 1).metric("v1", "watch_time", T0 + hours(WEEK + 1), 55.5)
    raw.label("v1", "would_watch", T0 + hours(WEEK - 1), 1.0, known=T0 + hours(999))
    definitions = one("watched", metric="watch_time", transform="none") | one(
        "would", metric="would_watch", transform="none"
    )
    warehouse = targets(tmp_path, raw, definitions)
    assert row(warehouse, "targets", target="watched")["value"] == 55.5
    would = row(warehouse, "targets", target="would")
    assert (would["value"], would["matured_at"]) == (1.0, T0 + hours(999))


def test_a_class_has_no_row_since_its_threshold_is_fitted(tmp_path: Path) -> None:
    raw = recorded().snapshot("v1", T0 + hours(WEEK), 9)
    assert "viral" in TARGETS
    assert "viral" not in {found["target"] for found in rows(targets(tmp_path, raw), "targets")}
