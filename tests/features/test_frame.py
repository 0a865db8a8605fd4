"""The training frame: one row per video with what was known at a cutoff, and its outcome where that has matured."""

import math
from pathlib import Path

import pandas as pd
import pytest

from assets.features.frame import CATEGORIES, IDENTITY, OUTCOME, TEXT, load_frame, numeric_features, sources
from tests.features.raw_rows import T0, RawRows, build_features, hours, make_settings
from tests.features.worlds import dirty_world, write
from warehouse.connection import Warehouse

EXPECTED = {
    *("title_length", "title_upper_share", "duration_s", "anchor_hour", "claimed_age_h", "tags_count"),
    *("channel_videos", "channel_growth_median", "channel_subscribers_log", "context_videos"),
}


def frame_of(warehouse: Warehouse, cutoff: str = "24h", target: str = "views_7d", source: str = "demo") -> pd.DataFrame:
    return load_frame(warehouse, make_settings(), source, target, cutoff)


def test_it_has_the_declared_columns_and_one_row_per_video(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    write(warehouse, dirty_world(1, videos=20))
    build_features(warehouse, make_settings())
    frame = frame_of(warehouse)
    known = {*IDENTITY, *TEXT, *CATEGORIES, *OUTCOME, *numeric_features("24h"), "metric_watch_time"}
    assert set(frame.columns) == known
    assert len(frame) == frame["video_id"].nunique() > 0
    assert list(frame["anchor_at"]) == sorted(frame["anchor_at"])
    assert sources(warehouse) == ["demo", "panel"]


def test_before_publication_a_video_has_no_counts_of_its_own(tmp_path: Path) -> None:
    assert set(numeric_features("pre")) >= EXPECTED
    assert not {"views_log", "observations", "like_rate"} & set(numeric_features("pre"))
    assert {"views_log", "observations", "like_rate"} <= set(numeric_features("0h"))
    assert not {"first_seen_at", "known_at", "as_of", "anchor_at", "value", "matured_at"} & set(numeric_features("24h"))


def test_a_video_that_nobody_counted_has_what_is_known_without_counts(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    raw = RawRows().seen("v0", T0 - hours(96), {1: 50, 25: 90})
    raw.video("v1", T0 + hours(3), published_at=T0, title="A title", duration_s=30.0).write(warehouse)
    build_features(warehouse, make_settings())
    for cutoff in ("pre", "0h", "24h"):
        found = frame_of(warehouse, cutoff).set_index("video_id").loc["v1"]
        assert (found["duration_s"], found["channel_videos"], found["status"]) == (30.0, 1.0, "pending")
        assert found["channel_24h_median"] == math.log(91)
        assert cutoff == "pre" or math.isnan(found["views_log"])


def test_missing_features_are_missing(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    RawRows().seen("v1", T0, {30: 10}).write(warehouse)
    build_features(warehouse, make_settings())
    found = frame_of(warehouse).iloc[0]
    for column in ("views_log", "observations", "duration_s", "channel_24h_median", "last_level"):
        assert math.isnan(found[column]), column
    assert (found["channel_videos"], found["status"]) == (0.0, "pending")


def test_the_last_level_is_on_the_scale_of_the_target(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    RawRows().seen("v1", T0, {10: 50, 168: 900}).write(warehouse)
    build_features(warehouse, make_settings())
    assert frame_of(warehouse)["last_level"].tolist() == [math.log(51)]
    assert frame_of(warehouse, target="likes_7d")["last_level"].tolist() == [math.log(6)]
    assert math.isnan(frame_of(warehouse, cutoff="pre")["last_level"].iloc[0])
    assert math.isnan(frame_of(warehouse, target="success")["last_level"].iloc[0])


def test_a_class_carries_the_value_that_it_is_made_of(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    RawRows().seen("v1", T0, {10: 50, 168: 900}).write(warehouse)
    build_features(warehouse, make_settings())
    assert frame_of(warehouse, target="viral")["value"].tolist() == [math.log(901)]


def test_an_outcome_observed_by_the_cutoff_is_not_used(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    definitions = {"last": {"metric": "views", "horizon": "variable", "anchor": "any"}}
    raw = RawRows().seen("gone early", T0, {1: 50, 23: 70}).seen("lasting", T0, {1: 50, 25: 80})
    raw.video("known late", T0, published_at=T0).snapshot("known late", T0 + hours(20), 60, known=T0 + hours(90))
    raw.write(warehouse)
    settings = make_settings(definitions)
    build_features(warehouse, settings)
    frame = load_frame(warehouse, settings, "demo", "last", "24h").set_index("video_id")
    assert frame.loc["lasting", "value"] == math.log(81)
    for video in ("gone early", "known late"):
        assert math.isnan(frame.loc[video, "value"]), video
        assert frame.loc[video, ["matured_at"]].isna().all(), video
    before = load_frame(warehouse, settings, "demo", "last", "pre")
    assert before["value"].notna().all()


@pytest.mark.parametrize("cutoff", ["7d", "6d", "144h"])
def test_a_pair_whose_cutoff_reaches_the_horizon_is_refused(tmp_path: Path, cutoff: str) -> None:
    with pytest.raises(ValueError, match="choose an earlier cutoff"):
        frame_of(Warehouse(tmp_path), cutoff)


def test_further_measures_become_columns(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    raw = RawRows().seen("v1", T0, {1: 5}).seen("v2", T0, {1: 5})
    raw.metric("v1", "watch_time", T0 + hours(2), 3.5).metric("v1", "watch_time", T0 + hours(30), 9.0)
    raw.write(warehouse)
    build_features(warehouse, make_settings())
    measured = frame_of(warehouse).set_index("video_id")["metric_watch_time"]
    assert measured["v1"] == 3.5
    assert math.isnan(measured["v2"])
    assert "metric_watch_time" not in frame_of(warehouse, "pre").columns


def test_the_context_is_that_of_the_day_of_the_moment(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    raw = (
        RawRows()
        .seen("earlier", T0 - hours(48), {0: 3})
        .seen("same day", T0 - hours(3), {0: 500})
        .seen("v1", T0, {1: 5})
    )
    raw.write(warehouse)
    build_features(warehouse, make_settings())
    by_cutoff = {cutoff: frame_of(warehouse, cutoff).set_index("video_id").loc["v1"] for cutoff in ("pre", "24h")}
    assert by_cutoff["pre"]["context_first_median"] == math.log(4)
    assert by_cutoff["24h"]["context_videos"] == 3.0
