"""Where an audience is heading: forecasts, the board, and that nobody looks ahead."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from assets.language import course_network
from assets.language.course_forecasts import (
    LAST,
    MEAN,
    NETWORK,
    TEST_WEEKS,
    WEEKS,
    Forecasts,
    board,
    forecast,
    matures_at,
    origins,
    pasts,
)
from tests.language.moods import START, WEEK, comments, drifting

NOW = START + 26 * WEEK
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def scores() -> pd.DataFrame:
    return drifting(channels=16, weeks=26)


@pytest.fixture(scope="module")
def found(scores: pd.DataFrame) -> Forecasts:
    return forecast(scores, NOW)


def test_the_sequence_model_is_better_where_moods_swing(found: Forecasts) -> None:
    figures = found.scores.set_index("forecaster")
    assert next(iter(figures.index)) == NETWORK
    assert figures.loc[NETWORK, "skill"] > 0.2
    assert figures.loc[NETWORK, "upper"] < 0
    assert (figures["n"] == 16 * TEST_WEEKS).all() and (figures["channels"] == 16).all()
    assert figures.loc[[LAST, MEAN], "skill"].max() == 0
    assert found.why_not is None


def test_it_is_judged_on_the_latest_matured_weeks_and_learns_from_what_matured_before(found: Forecasts) -> None:
    tested = found.rows[found.rows["role"] == "test"]["origin"].drop_duplicates().sort_values()
    assert tested.tolist() == [pd.Timestamp(START + number * WEEK) for number in range(21, 25)]
    # 3 weeks of past are needed, and week 19 matures at the first that is judged.
    assert found.learned_from == 16 * len(range(3, 20))
    ahead = found.rows[found.rows["role"] == "next"]
    assert ahead["origin"].unique().tolist() == [pd.Timestamp(NOW)]
    assert ahead["outcome"].isna().all() and ahead["forecast"].notna().all()


def test_comments_that_were_known_later_change_no_forecast(scores: pd.DataFrame, found: Forecasts) -> None:
    first = START + 21 * WEEK
    later = comments(
        [
            {"channel_id": f"c{channel}", "written_at": at, "known_at": known, "sentiment": 9.0}
            for channel in range(16)
            for at, known in (
                (first - HOUR, first + HOUR),  # written before, known after the first week that is judged
                (first - 3 * WEEK, NOW - HOUR),
                (NOW - HOUR, NOW + HOUR),
            )
        ]
    )
    again = forecast(pd.concat([scores, later], ignore_index=True), NOW)
    same = ["source", "channel_id", "origin", "forecaster"]
    for frame in (found, again):
        frame.rows.sort_values(same, ignore_index=True, inplace=True)
    at_first = found.rows["origin"] == first
    pd.testing.assert_series_equal(found.rows["forecast"][at_first], again.rows["forecast"][at_first])
    assert again.learned_from == found.learned_from
    assert not found.rows["forecast"].equals(again.rows["forecast"])  # what is known by later weeks does count there


def test_the_week_to_come_is_not_read(scores: pd.DataFrame) -> None:
    at = START + 20 * WEEK
    whole, cut = pasts(scores, [at], NOW), pasts(scores[scores["known_at"] < at], [at], NOW)
    np.testing.assert_array_equal(whole.means, cut.means)
    np.testing.assert_array_equal(whole.counts, cut.counts)
    assert np.isfinite(whole.outcome).all() and np.isnan(cut.outcome).all()


def test_an_outcome_is_what_is_known_a_week_after_and_then_stays() -> None:
    past = [{"written_at": START + week * WEEK, "sentiment": 0.0} for week in range(6)]
    at = START + 6 * WEEK
    ahead = [{"written_at": at + number * HOUR, "sentiment": 0.3} for number in range(3)]
    late = [{"written_at": at, "known_at": matures_at(at) + HOUR, "sentiment": 9.0}]
    scores = comments([*past, *ahead, *late])
    assert pasts(scores, [at], matures_at(at)).outcome == pytest.approx([0.3])
    assert pasts(scores, [at], matures_at(at) + WEEK).outcome == pytest.approx([0.3])
    assert np.isnan(pasts(scores, [at], matures_at(at) - HOUR).outcome).all()
    assert np.isnan(pasts(comments([*past, *ahead[:2]]), [at], NOW).outcome).all()  # too few say nothing


def test_naive_forecasts_read_the_weeks_that_there_are() -> None:
    rows = [
        {"written_at": START + week * WEEK, "sentiment": mood}
        for week, moods in ((3, [0.1, 0.3]), (5, [0.6]), (8, [0.2, 0.2, 0.2]))
        for mood in moods
    ]
    known = pasts(comments(rows), [START + 10 * WEEK], NOW)
    assert known.means.shape == (1, WEEKS)
    assert known.last_value() == pytest.approx([0.2])
    assert known.mean() == pytest.approx([(0.4 + 0.6 + 0.6) / 6])
    two_weeks = comments(rows[:3])
    assert len(pasts(two_weeks, [START + 10 * WEEK], NOW).outcome) == 0


def test_no_origin_before_the_emotion_model_was_known(scores: pd.DataFrame) -> None:
    since = START + 23 * WEEK
    limited = forecast(scores, NOW, since)
    assert limited.rows["origin"].min() == pd.Timestamp(since)
    assert limited.learned_from == 0
    assert limited.why_not is not None and "needed" in limited.why_not
    assert set(limited.rows["forecaster"]) == {LAST, MEAN}


def test_without_torch_the_naive_ones_stand_and_it_says_why(
    scores: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "assets.language.course_network", None)
    limited = forecast(scores[scores["channel_id"] == "c0"], NOW)
    assert limited.why_not is not None and "upswell[network]" in limited.why_not


def test_without_comments_there_is_nothing() -> None:
    empty = comments([{"written_at": START}]).iloc[:0]
    nothing = forecast(empty, NOW)
    assert nothing.rows.empty and nothing.scores.empty
    assert board(nothing.rows).empty


def test_too_few_rows_fit_no_network(scores: pd.DataFrame) -> None:
    few = pasts(scores[scores["channel_id"] == "c0"], [START + 10 * WEEK], NOW)
    with pytest.raises(ValueError, match="too few"):
        course_network.fit(few, 0)


@pytest.mark.parametrize(
    ("first", "now", "expected"),
    [
        (datetime(2024, 1, 1), datetime(2024, 1, 22), [datetime(2024, 1, 15), datetime(2024, 1, 22)]),
        (datetime(2024, 1, 7, 23), datetime(2024, 1, 16), [datetime(2024, 1, 15)]),
        (datetime(2024, 1, 8), datetime(2024, 1, 16), []),
    ],
)
def test_origins_are_mondays(first: datetime, now: datetime, expected: list[datetime]) -> None:
    assert origins(first, now) == expected
