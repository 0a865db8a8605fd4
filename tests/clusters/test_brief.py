"""The brief: what the best have in common, with numbers of videos and effects; nothing where there are too few."""

import json

import numpy as np
import pandas as pd
import pytest

from assets.clusters.brief import brief
from assets.clusters.naming import MEASURES

COUNT = 80


def members(count: int = COUNT, **columns) -> pd.DataFrame:
    """Videos of which the first quarter did best."""
    frame = pd.DataFrame(
        {
            "surprise": np.linspace(1, -1, count),
            "anchor_at": pd.Timestamp("2024-01-01 20:00"),
            "title": None,
            "dominant_colours": None,
            "title_length": 5.0,
            "title_words": 2.0,
            "colour_entropy": np.nan,
            **dict.fromkeys(MEASURES, np.nan),
        }
    )
    return frame.assign(**columns)


def told(frame: pd.DataFrame) -> dict:
    return json.loads(brief(frame, "views_7d"))


def test_too_few_say_so():
    assert told(members(39)) == {"videos": 39, "reason": "39 videos with a known outcome; 40 are needed"}
    assert "reason" in json.loads(brief(members(), None))


def test_measures_with_their_medians_numbers_and_effect():
    duration = np.r_[np.full(20, 10.0), np.full(60, 30.0)]
    duration[:5] = np.nan
    found = told(members(duration_s=duration, brightness=np.tile([0.2, 0.8], 40)))
    assert (found["best"], found["rest"]) == (20, 60)
    first, second = found["measures"]
    assert first == {"measure": "duration_s", "best": 10, "rest": 30, "n_best": 15, "n_rest": 60, "effect": -1}
    assert (second["measure"], second["effect"]) == ("brightness", 0)


def test_a_measure_of_too_few_is_not_told():
    sparse = np.full(COUNT, np.nan)
    sparse[:9], sparse[20:] = 1.0, 2.0
    assert told(members(duration_s=sparse))["measures"] == []


def test_terms_that_the_best_have_more_often():
    titles = ["quick #recipe"] * 16 + ["slow"] * 4 + ["slow meal"] * 50 + ["quick meal"] * 10
    found = told(members(title=titles))["terms"]
    assert [row["value"] for row in found] == ["#recipe", "quick"]
    assert found[0] == {"value": "#recipe", "best": 0.8, "rest": 0, "n_best": 20, "n_rest": 60, "effect": 0.8}


def test_hours_and_colours():
    anchors = pd.to_datetime(["2024-01-01 07:00"] * 20 + ["2024-01-01 19:30"] * 60)
    colours = [["#ff0000", "#fe0101"]] * 20 + [["#0000ff"]] * 60
    found = told(members(anchor_at=anchors, dominant_colours=colours))
    assert {row["value"]: (row["best"], row["rest"]) for row in found["hours"]} == {"06-12": (1, 0), "18-24": (0, 1)}
    assert [row["value"] for row in found["colours"]] == ["#e02020"]


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_does_not_matter(seed):
    frame = members(title=[f"word{row % 7} and more" for row in range(COUNT)], duration_s=np.arange(COUNT) % 13.0)
    assert brief(frame.sample(frac=1, random_state=seed), "views_7d") == brief(frame, "views_7d")
