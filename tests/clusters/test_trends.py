"""The course of a style, on planted weekly shares."""

from datetime import date, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from assets.clusters.trends import trend, weekly_sizes

ORIGIN = date(2024, 3, 18)


def sizes(shares: list[float], total: int = 1000) -> pd.DataFrame:
    """Weekly sizes of style s1 with these shares in the last weeks before the origin, beside one other style."""
    rng = np.random.default_rng(0)
    rows = []
    for position, share in enumerate(shares):
        week = ORIGIN - timedelta(weeks=len(shares) - position)
        videos = rng.binomial(total, share) if total else 0
        rows += [("s1", week, videos, videos / total), ("s2", week, total - videos, 1 - videos / total)]
    return pd.DataFrame(rows, columns=["style_id", "week", "videos", "share"])


FLAT, RISE = [0.2] * 8, list(np.linspace(0.1, 0.38, 8))


@pytest.mark.parametrize(
    ("shares", "lifecycle"),
    [
        (FLAT + FLAT, "steady"),
        (FLAT + RISE, "emerging"),
        (FLAT + RISE[::-1], "saturated"),
        (RISE + [0.38] * 6, "peaking"),
        ([*RISE, 0.36, 0.34, 0.32, 0.30], "peaking"),
        (RISE + [0.38] * 12, "steady"),
        (RISE + RISE[::-1] + RISE[::-1], "saturated"),
    ],
)
def test_planted_courses(shares, lifecycle):
    found = trend(sizes(shares, 20_000), "s1", ORIGIN)
    assert found.lifecycle == lifecycle
    assert found.slope is not None
    assert found.slope.low <= found.slope.value <= found.slope.high


def test_interval_covers_the_planted_slope():
    covered = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        rows = [
            ("s1", ORIGIN - timedelta(weeks=8 - week), 400, 0.2 + 0.01 * week + rng.normal() * 0.02)
            for week in range(8)
        ]
        slope = trend(pd.DataFrame(rows, columns=["style_id", "week", "videos", "share"]), "s1", ORIGIN).slope
        assert slope is not None
        covered += slope.low <= 0.01 <= slope.high
    assert 180 <= covered <= 199


def test_a_constant_share_has_a_slope_of_exactly_nothing():
    rows = pd.DataFrame(
        [("s1", ORIGIN - timedelta(weeks=week), 7, 0.3) for week in range(8, 0, -1)],
        columns=["style_id", "week", "videos", "share"],
    )
    found = trend(rows, "s1", ORIGIN)
    assert found.lifecycle == "steady"
    assert found.slope is not None and (found.slope.low, found.slope.value, found.slope.high) == (0, 0, 0)


def test_too_few_weeks_say_nothing():
    assert trend(sizes([0.1, 0.2, 0.3]), "s1", ORIGIN).lifecycle is None
    old = sizes(RISE)
    old["week"] = [week - timedelta(weeks=52) for week in old["week"]]
    assert trend(old, "s1", ORIGIN).slope is None


def test_weeks_after_the_origin_do_not_count():
    known = sizes(FLAT)
    later = pd.DataFrame({"style_id": ["s1"], "week": [ORIGIN], "videos": [5000], "share": [1.0]})
    assert trend(pd.concat([known, later]), "s1", ORIGIN) == trend(known, "s1", ORIGIN)


def test_weekly_sizes_by_hand():
    anchors = pd.Series(
        [datetime(2024, 3, 4, 0), datetime(2024, 3, 10, 23, 59), datetime(2024, 3, 11), datetime(2024, 3, 25)]
    )
    found = weekly_sizes(["s1", "s2", "s1", "s2"], anchors)
    assert found.values.tolist() == [
        ["s1", date(2024, 3, 4), 1, 0.5],
        ["s1", date(2024, 3, 11), 1, 1.0],
        ["s1", date(2024, 3, 25), 0, 0.0],
        ["s2", date(2024, 3, 4), 1, 0.5],
        ["s2", date(2024, 3, 11), 0, 0.0],
        ["s2", date(2024, 3, 25), 1, 1.0],
    ]
