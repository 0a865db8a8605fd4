"""Bootstrap draws whole channels, and agrees with drawing them one by one."""

import numpy as np
import pytest
from sklearn.metrics import r2_score, roc_auc_score

from assets.evaluations.bootstrap import Blocks, bounds, interval_of, paired_difference

RNG = np.random.default_rng(1)
CHANNELS = RNG.choice(["a", "b", "c", "d", "e"], 60)
Y = RNG.normal(size=60)
POINT = Y + RNG.normal(size=60) * 0.5
LABEL = (RNG.random(60) < 0.4).astype(float)


def drawn_rows(blocks: Blocks, draw: int) -> np.ndarray:
    """The rows of a draw, each as often as its channel."""
    return np.repeat(np.arange(60), blocks.weights[draw][blocks.code].astype(int))


def test_vectorised_draws_are_those_of_a_loop():
    blocks = Blocks.of(CHANNELS, seed=3, draws=25)
    means, r2s, aurocs = blocks.means(Y), blocks.r2(Y, POINT), blocks.auroc(LABEL, np.round(POINT, 1))
    for draw in range(25):
        rows = drawn_rows(blocks, draw)
        assert means[draw] == pytest.approx(Y[rows].mean())
        assert r2s[draw] == pytest.approx(r2_score(Y[rows], POINT[rows]))
        assert aurocs[draw] == pytest.approx(roc_auc_score(LABEL[rows], np.round(POINT, 1)[rows]))


def test_missing_rows_are_left_out():
    blocks = Blocks.of(CHANNELS, draws=10)
    holed = np.where(np.arange(60) % 7 == 0, np.nan, Y)
    rows = drawn_rows(blocks, 0)
    assert blocks.means(holed)[0] == pytest.approx(np.nanmean(holed[rows]))


def test_whole_channels_are_drawn():
    blocks = Blocks.of(CHANNELS, draws=50)
    assert (blocks.weights.sum(axis=1) == 5).all()
    assert blocks.weights.shape == (50, 5)


def test_intervals_are_wider_when_channels_stick_together():
    channels = np.repeat(np.arange(30), 20)
    alike = np.repeat(np.random.default_rng(0).normal(size=30), 20)
    low, high = bounds(Blocks.of(channels).means(alike)) or (0, 0)
    other_low, other_high = bounds(Blocks.of(np.arange(600)).means(alike)) or (0, 0)
    assert high - low > 3 * (other_high - other_low)


def test_interval_covers_the_mean_in_nine_of_ten():
    hits = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        values = (rng.normal(size=60)[:, None] + rng.normal(size=(60, 5))).ravel()
        low, high = bounds(Blocks.of(np.repeat(np.arange(60), 5), seed, 200).means(values)) or (0, 0)
        hits += low <= 0 <= high
    assert hits >= 54


def test_paired_difference_sees_what_unpaired_noise_hides():
    rng = np.random.default_rng(0)
    hard = rng.exponential(5, 400)
    channels = np.arange(400) % 50
    difference, interval = paired_difference(hard, hard + 0.1 + rng.normal(0, 0.1, 400), channels)
    assert difference == pytest.approx(-0.1, abs=0.03)
    assert interval is not None
    assert interval[1] < 0


def test_one_channel_has_no_interval():
    blocks = Blocks.of(np.full(5, "a"))
    assert interval_of(blocks, lambda: blocks.means(np.arange(5.0))) is None
    assert paired_difference(np.ones(5), np.zeros(5), np.full(5, "a")) == (1.0, None)


def test_unequal_rows_cannot_be_paired():
    with pytest.raises(ValueError, match="same rows"):
        paired_difference(np.ones(3), np.ones(2), np.ones(3))
    with pytest.raises(ValueError, match="same rows"):
        paired_difference(np.ones(0), np.ones(0), np.ones(0))


def test_draws_without_a_value_give_no_interval():
    assert bounds(np.full(10, np.nan)) is None
    assert bounds(np.array([])) is None
