"""The gate: better by more than the noise of channels and weeks, covering, and no part of the videos worse off."""

import json

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.gate import channel_blocks, compare, judge, log_loss, time_blocks, two_way_variance
from benchmarks.gate import pairs
from resources.settings import SHIPPED, load_settings

GATE = load_settings(SHIPPED.parent / "no-home").gate
START = pd.Timestamp("2025-01-06")


def losses(n: int = 600, gain: float = 0.1, channels: int = 60, days: int = 70, seed: int = 0) -> pd.DataFrame:
    """Losses whose difference is `gain` on average and otherwise noise of its own in every row."""
    rng = np.random.default_rng(seed)
    other = np.abs(rng.normal(0, 1, n)) + 0.5
    return pd.DataFrame(
        {
            "loss": other - gain + rng.normal(0, 0.3, n),
            "other_loss": other,
            "channel_id": [f"c{channel}" for channel in rng.integers(0, channels, n)],
            "anchor_at": START + pd.to_timedelta(rng.uniform(0, days, n), unit="D"),
            "covered": np.arange(n) % 5 != 0,
            "new_channel": np.arange(n) % 10 == 0,
        }
    )


def test_better_by_more_than_the_noise_is_promoted_and_every_number_is_told() -> None:
    verdict = judge(losses(), GATE, "regression")
    assert verdict.promoted and verdict.blocked_by == ()
    numbers = json.loads(json.dumps(verdict.numbers(), allow_nan=False))
    assert numbers["rows"] == 600 and numbers["time_blocks"] == 10 and numbers["block_days"] == 7
    assert numbers["lower"] < numbers["difference"] < numbers["upper"]
    assert numbers["statistic"] == pytest.approx(numbers["difference"] / numbers["standard_error"])
    assert numbers["coverage_80"] == pytest.approx(0.8)
    assert {(part["slice"], part["rows"]) for part in numbers["slices"]} == {("new_channel", 60), ("new_channel", 540)}


def test_the_same_forecasts_are_not_promoted() -> None:
    rows = losses()
    verdict = judge(rows.assign(loss=rows["other_loss"]), GATE, "regression")
    assert verdict.blocked_by == ("noise",) and verdict.overall.difference == 0


@pytest.mark.parametrize("block", ["channel", "week"])
def test_a_gain_on_one_block_only_is_noise(block: str) -> None:
    rows = losses(gain=0.0).reset_index(drop=True)
    week = (rows["anchor_at"] - START).dt.days // 7
    inside = rows["channel_id"].isin(["c0", "c1"]) if block == "channel" else week == 3
    rows.loc[inside, "loss"] -= 1.5
    alone = rows.assign(channel_id=[f"own{row}" for row in rows.index], anchor_at=START)
    assert compare(alone, 0.02).better, "rows on their own would promote it"
    assert judge(rows, GATE, "regression").blocked_by == ("noise",)


@pytest.mark.parametrize("share", [0.6, 0.95])
def test_intervals_that_do_not_cover_block(share: float) -> None:
    rows = losses()
    verdict = judge(rows.assign(covered=np.arange(len(rows)) < share * len(rows)), GATE, "regression")
    assert verdict.blocked_by == ("coverage",)
    assert f"{share:.1%}, outside 70% to 90%" in verdict.why


def test_a_part_that_is_worse_blocks_unless_it_is_small() -> None:
    rows = losses(gain=0.5)
    rows["loss"] = np.where(rows["new_channel"], 1.3 * rows["other_loss"], rows["loss"])
    verdict = judge(rows, GATE, "regression")
    assert verdict.blocked_by == ("slice",)
    assert "new_channel True is 30% worse" in verdict.why
    small = judge(rows, GATE.model_copy(update={"slice_rows": 61}), "regression")
    assert small.promoted and small.slices[1].worse == pytest.approx(0.3)


def test_a_class_has_no_coverage_to_show() -> None:
    verdict = judge(losses().drop(columns="covered"), GATE, "class")
    assert verdict.promoted and verdict.coverage is None and verdict.why.startswith("log loss")


def test_one_channel_on_one_day_says_nothing() -> None:
    verdict = judge(losses().assign(channel_id="c", anchor_at=START), GATE, "regression")
    assert verdict.blocked_by == ("noise",) and verdict.overall.standard_error is None
    assert "nothing says how sure that is" in verdict.why


def test_rows_without_a_loss_are_refused() -> None:
    with pytest.raises(ValueError, match="1 without a loss"):
        compare(losses(3).assign(loss=[1.0, np.nan, 2.0]), 0.02)
    with pytest.raises(ValueError, match="0 rows to compare"):
        compare(losses(3).iloc[:0], 0.02)


def test_blocks_of_time_are_days_until_three_weeks_are_seen() -> None:
    days = pd.Series([START + pd.Timedelta(days=day, hours=23) for day in (0, 1, 8, 19)])
    assert time_blocks(days)[1] == 1 and time_blocks(days)[0].tolist() == [0, 1, 2, 3]
    weeks = pd.concat([days, pd.Series([START + pd.Timedelta(days=20)])])
    assert time_blocks(weeks)[1] == 7 and time_blocks(weeks)[0].tolist() == [0, 0, 1, 2, 2]


def test_a_video_without_a_channel_is_a_block_of_its_own() -> None:
    rows = pd.DataFrame({"channel_id": ["a", None, "a", None]})
    assert channel_blocks(rows).tolist() == [0, 1, 0, 2]


def test_two_way_variance_is_that_of_independent_rows_where_no_block_has_two() -> None:
    values = np.random.default_rng(0).normal(0, 1, 50)
    own = np.arange(50)
    variance, degrees = two_way_variance(values, own, own)
    assert variance == pytest.approx(values.var(ddof=1) / 50) and degrees == pytest.approx(49, rel=0.05)
    assert two_way_variance(values, own, np.zeros(50, dtype=int))[0] == pytest.approx(variance)
    assert two_way_variance(values, own * 0, own * 0) == (0.0, None)


def test_log_loss_is_that_of_what_happened() -> None:
    assert log_loss(np.array([1, 0, 1]), np.array([0.5, 0.25, 0.0])) == pytest.approx(
        [np.log(2), -np.log(0.75), -np.log(1e-6)]
    )


def test_equal_models_are_seldom_promoted_and_better_ones_mostly() -> None:
    equal = [judge(rows, GATE, "regression").overall.better for rows in pairs(150, 1.0, seed=0)]
    apart = [judge(rows, GATE, "regression").promoted for rows in pairs(60, 0.9, seed=1)]
    assert np.mean(equal) <= 0.05
    assert np.mean(apart) >= 0.9
