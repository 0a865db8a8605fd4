"""Courses of mood: points by week, age and minute, and where their level changes."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.language.courses import AGES, MOODS, by_age, by_week, moods, windows
from tests.language.moods import START, WEEK, comments

HOUR = timedelta(hours=1)


def test_moods_are_the_largest_of_their_labels_and_sentiment_a_difference() -> None:
    found = moods(np.array([[0.9, 0.2, 0.5, 0.1]], np.float32), ("joy", "love", "anger", "neutral"))
    assert dict(zip(MOODS, found[0], strict=True)) == pytest.approx(
        {"sentiment": 0.4, "anger": 0.5, "disgust": 0, "fear": 0, "joy": 0.9, "sadness": 0, "surprise": 0}
    )


def test_weeks_of_a_channel_are_means_over_its_videos() -> None:
    rows = [
        {"written_at": START + HOUR, "sentiment": 0.2, "joy": 0.4},
        {"written_at": START + WEEK - HOUR, "sentiment": 0.6, "video_id": "w"},
        {"written_at": START + 2 * WEEK, "sentiment": -1.0},
        {"written_at": START + HOUR, "sentiment": 0.9, "channel_id": "other"},
    ]
    found = by_week(comments(rows))
    own = found[found["channel_id"] == "c"]
    assert own[["position", "n"]].to_numpy().tolist() == [[0, 2], [2, 1]]
    assert own["starts_at"].tolist() == [pd.Timestamp(START), pd.Timestamp(START + 2 * WEEK)]
    assert own["sentiment"].tolist() == pytest.approx([0.4, -1.0])
    assert own["joy"].tolist() == pytest.approx([0.2, 0.0])
    assert set(found["video_id"]) == {""}
    assert found["p_value"].isna().all()


def test_ages_of_a_video_begin_at_its_anchor() -> None:
    ages = [-5, 0, 0.5, 1, 23.9, 24, 10_000]
    found = by_age(comments([{"written_at": START + age * HOUR, "sentiment": age} for age in ages]))
    assert [AGES[position] for position in found["position"]] == [0, 1, 16, 24, 720]
    assert found["n"].tolist() == [3, 1, 1, 1, 1]
    assert found["begins"].tolist() == [0, 1, 16, 24, 720]
    assert found["ends"].tolist()[:4] == [1, 2, 24, 48] and np.isnan(found["ends"].iloc[4])
    assert found["starts_at"].iloc[3] == pd.Timestamp(START + 24 * HOUR)


def test_a_turn_of_mood_is_marked_where_it_begins() -> None:
    rng = np.random.default_rng(5)
    rows = [
        {"written_at": START + week * WEEK + HOUR, "sentiment": (0.5 if week < 10 else -0.2) + rng.normal(0, 0.1)}
        for week in range(20)
        for _ in range(8)
    ]
    found = by_week(comments(rows))
    (turn,) = found[found["p_value"].notna()].to_dict("records")
    assert turn["position"] == 10
    assert turn["p_value"] <= 0.01
    assert (turn["level_before"], turn["level_after"]) == pytest.approx((0.5, -0.2), abs=0.1)


def test_courses_do_not_mix() -> None:
    rng = np.random.default_rng(1)
    rows = [
        {"written_at": START + week * WEEK, "channel_id": channel, "sentiment": level + rng.normal(0, 0.05)}
        for channel, level in (("a", -0.5), ("b", 0.5))
        for week in range(10)
    ]
    assert by_week(comments(rows))["p_value"].isna().all()


def test_what_is_said_in_minutes_or_quarters_of_one() -> None:
    words = [f"w{number}" for number in range(8)]
    timed = windows("", 300.0, words, [0, 10, 59.9, 60, 61, 130, 290, 299])
    assert [(part.begins, part.ends, part.text) for part in timed] == [
        (0, 60, "w0 w1 w2"),
        (60, 120, "w3 w4"),
        (120, 180, "w5"),
        (240, 300, "w6 w7"),
    ]
    assert [part.begins for part in windows("", 20.0, words, list(range(8)))] == [0]
    even = windows(" ".join(words), 60.0)
    assert [(part.begins, part.text) for part in even][:2] == [(0, "w0 w1"), (15, "w2 w3")]
    assert len(windows("word " * 300, None)) == 8  # two minutes at 150 words a minute
    assert windows("", 60.0) == []


@given(st.lists(st.text("ab", min_size=1, max_size=3), max_size=300), st.none() | st.floats(1, 10_000))
def test_no_word_is_lost_in_windows(words: list[str], duration: float | None) -> None:
    found = windows(" ".join(words), duration)
    assert " ".join(part.text for part in found).split() == words
    assert [part.begins for part in found] == sorted({part.begins for part in found})
