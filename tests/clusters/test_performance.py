"""Lift against expectation covers what is planted; performance as of an anchor uses nothing that matured later."""

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.clusters.performance import Lift, lift, style_performance, surprises
from tests.clusters.planted import ORIGIN, World, declared_rows, planted_settings, world
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows

SETTINGS = planted_settings()


def outcomes(seed: int, effect: float, count: int = 1500) -> pd.DataFrame:
    """Outcomes with channel and week effects far larger than that of style s1, which a fifth of the videos are of."""
    rng = np.random.default_rng(seed)
    channel, week = rng.integers(0, 60, count), rng.integers(0, 20, count)
    style = rng.integers(0, 5, count) == 0
    value = rng.normal(size=60)[channel] * 2 + rng.normal(size=20)[week] + effect * style + rng.normal(size=count) * 0.5
    return pd.DataFrame(
        {
            "source": "demo",
            "video_id": [f"v{row}" for row in range(count)],
            "channel_id": [f"c{each}" for each in channel],
            "anchor_at": pd.Timestamp("2024-01-01") + pd.to_timedelta(week * 7, unit="D"),
            "value": value,
            "style": style,
        }
    )


def measured(frame: pd.DataFrame) -> Lift:
    own = frame["style"].to_numpy()
    found = lift("views", surprises(frame)[own], frame.loc[own, "channel_id"].tolist())
    assert found is not None
    return found


def test_interval_covers_the_planted_lift():
    found = [measured(outcomes(seed, effect=0.5)) for seed in range(40)]
    planted = 0.5 * (1 - 1 / 5)  # against all videos, of which a fifth are its own
    assert sum(each.low <= planted <= each.high for each in found) >= 34
    assert np.mean([each.value for each in found]) == pytest.approx(planted, abs=0.06)
    assert all(each.high - each.low < 0.4 for each in found)


def test_no_effect_is_seldom_seen():
    found = [measured(outcomes(seed, effect=0)) for seed in range(40)]
    assert sum(each.low <= 0 <= each.high for each in found) >= 34


def test_a_style_of_good_channels_has_no_lift_of_its_own():
    frame = outcomes(1, effect=0)
    good = frame.groupby("channel_id")["value"].transform("mean") > 2
    frame["style"] = good & (np.arange(len(frame)) % 2 == 0)
    raw = frame.loc[frame["style"], "value"].mean() - frame["value"].mean()
    assert raw > 2
    assert abs(measured(frame).value) < raw / 4


def test_a_video_is_not_expected_from_itself():
    frame = outcomes(2, effect=0, count=50)
    frame["channel_id"] = None
    alone = surprises(frame)
    frame.loc[0, "value"] += 1
    assert surprises(frame)[0] - alone[0] > 0.5


def test_few_videos_or_channels_have_no_lift():
    assert lift("views", np.ones(19), [f"c{row}" for row in range(19)]) is None
    assert lift("views", np.ones(40), ["c1", "c2"] * 20) is None


def assigned(made: World, folder: Path) -> Warehouse:
    warehouse = Warehouse(folder)
    made.write(warehouse)
    ids = made.videos["video_id"]
    rows = pd.DataFrame({"video_id": ids, "style_id": [f"s{each}" for each in made.videos["planted"]]})
    rows = rows.assign(origin=ORIGIN, source="demo", distance=1.0, outlier=False, fitted=True, x=0.0, y=0.0)
    with warehouse.write() as con:
        replace_rows(con, table("clusters.assignments"), declared_rows("clusters.assignments", rows), {})
    return warehouse


def by_hand(made: World) -> dict[str, tuple[float | None, int]]:
    frame = made.videos.merge(made.outcomes[["video_id", "value", "matured_at"]], on="video_id", how="left")
    found = {}
    for row in frame.itertuples():
        known = frame[(frame["planted"] == row.planted) & (frame["matured_at"] <= row.anchor_at)]
        known = known[known["video_id"] != row.video_id]
        found[row.video_id] = (known["value"].mean() if len(known) else None, len(known))
    return found


def test_performance_by_hand(tmp_path: Path):
    made = world(60, after=10)
    made.outcomes.loc[5, "matured_at"] = made.outcomes.loc[5, "anchor_at"]  # its own outcome matures at its anchor
    found = style_performance(assigned(made, tmp_path), SETTINGS, ORIGIN, "demo", "views_7d")
    assert found["video_id"].tolist() == made.videos.sort_values(["anchor_at", "video_id"])["video_id"].tolist()
    expected = by_hand(made)
    for row in found.itertuples():
        mean, count = expected[row.video_id]
        assert row.style_n == count
        assert np.isnan(row.style_mean) if mean is None else row.style_mean == pytest.approx(mean)
    assert found["style_n"].max() > 5


def test_a_class_uses_the_outcome_that_it_is_made_of(tmp_path: Path):
    warehouse = assigned(world(60), tmp_path)
    pd.testing.assert_frame_equal(
        style_performance(warehouse, SETTINGS, ORIGIN, "demo", "viral"),
        style_performance(warehouse, SETTINGS, ORIGIN, "demo", "views_7d"),
    )


@pytest.fixture(scope="module")
def true_features(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return features(LEAK_WORLD, tmp_path_factory.mktemp("true"))


LEAK_WORLD = world(40, after=0, seed=3)


def features(made: World, folder: Path) -> pd.DataFrame:
    found = style_performance(assigned(made, folder), SETTINGS, ORIGIN, "demo", "views_7d")
    return found.set_index("video_id")


@settings(max_examples=6, deadline=None)
@given(position=st.integers(0, 39), seed=st.integers(0, 1000))
def test_nothing_that_matured_later_moves_a_value(true_features: pd.DataFrame, position: int, seed: int):
    """Whatever the outcomes were that matured after a video's anchor, its own among them, its features stay."""
    made = World(LEAK_WORLD.videos, LEAK_WORLD.vectors, LEAK_WORLD.outcomes.copy())
    later = made.outcomes["matured_at"] > made.videos.loc[position, "anchor_at"]
    made.outcomes.loc[later, "value"] += np.random.default_rng(seed).normal(size=int(later.sum())) * 100
    made.outcomes.loc[later, "matured_at"] += timedelta(days=seed % 50)
    with TemporaryDirectory() as folder:
        changed = features(made, Path(folder))
    video = made.videos.loc[position, "video_id"]
    pd.testing.assert_series_equal(true_features.loc[video], changed.loc[video])
