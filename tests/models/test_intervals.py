"""Intervals cover what they say and are narrower where it is easy; probabilities mean what they say."""

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.metrics import interval_scores
from assets.models.columns import Rows, Schema
from assets.models.forecasters import make
from assets.models.intervals import (
    Calibration,
    IntervalForecaster,
    ProbabilityForecaster,
    calibration_split,
    fit_interval,
    held_out_log_loss,
    signed_quantiles,
    without_labels,
)
from tests.models.frames import make_frame


def test_the_block_is_the_latest_to_mature_and_earlier_rows_had_matured_before_it():
    frame = make_frame(800, "24h").sample(frac=1, random_state=0)
    earlier, block = calibration_split(frame)
    assert len(block) == 240
    assert not set(earlier) & set(block)
    assert frame["matured_at"].iloc[earlier].max() <= frame["as_of"].iloc[block].min()
    assert frame["matured_at"].iloc[block].min() >= frame["matured_at"].iloc[earlier].max()


def test_the_split_does_not_depend_on_the_order_of_rows():
    frame = make_frame(400, "24h")
    shuffled = frame.sample(frac=1, random_state=1)
    ids = [set(part["video_id"].iloc[calibration_split(part)[1]]) for part in (frame, shuffled)]
    assert ids[0] == ids[1]


def test_short_histories_use_every_row_outside_the_block():
    frame = make_frame(200, "24h", days=12)
    earlier, block = calibration_split(frame)
    assert len(earlier) + len(block) == 200
    with pytest.raises(ValueError, match="too few to calibrate"):
        calibration_split(frame.iloc[:150])


def test_signed_quantiles_by_hand():
    # (19 + 1) * 0.9 = 18: the 18th smallest and the 18th largest of -9 .. 9
    assert signed_quantiles(np.arange(-9.0, 10.0), 80) == (-8.0, 8.0)
    assert signed_quantiles(np.array([0.0, 1.0, 5.0]), 90) == (0.0, 5.0)


def test_signed_quantiles_cover_in_finite_samples():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(2000):
        low, high = signed_quantiles(rng.exponential(size=40), 80)
        covered.append(low <= rng.exponential() <= high)
    assert 0.80 <= np.mean(covered) <= 0.88


def test_intervals_of_the_default_cover_and_beat_a_constant_width():
    frame = make_frame(4000, "24h", channels=100, seed=5)
    train, test = frame.iloc[:3000], frame.iloc[3000:]
    fitted = IntervalForecaster.fit(make("hist_gradient_boosting").set_params(max_iter=100), train)
    said, y = fitted.predict(test), test["value"].to_numpy()
    assert 0.77 <= np.mean((said["lower_80"] <= y) & (y <= said["upper_80"])) <= 0.87
    earlier, block = calibration_split(train)
    first = (
        make("hist_gradient_boosting")
        .set_params(max_iter=100)
        .fit(train.iloc[earlier], train["value"].to_numpy()[earlier])
    )
    held = train.iloc[block]
    constant = fit_interval(None, first.predict(held), held["value"].to_numpy(), 0).bounds(None, said["point"])[80]
    ours = interval_scores(y, said["lower_80"], said["upper_80"], 80).mean()
    assert ours < interval_scores(y, *constant, 80).mean()


def test_naive_intervals_have_one_width_and_levels_nest():
    frame = make_frame(500, "24h")
    said = IntervalForecaster.fit(make("constant_growth"), frame).predict(frame)
    assert np.ptp(said["upper_80"] - said["lower_80"]) == pytest.approx(0)
    learned = IntervalForecaster.fit(make("ridge"), frame).predict(frame)
    for columns in (said, learned):
        assert (columns["lower_90"] <= columns["lower_80"]).all()
        assert (columns["lower_80"] <= columns["lower_50"]).all()
        assert (columns["upper_50"] <= columns["upper_80"]).all()
        assert (columns["upper_80"] <= columns["upper_90"]).all()


def test_the_point_is_that_of_a_fit_on_all_training_rows():
    frame = make_frame(400, "24h")
    features, y = frame.drop(columns=["status", "value", "matured_at"]), frame["value"].to_numpy()
    said = IntervalForecaster.fit(make("ridge"), frame).predict(frame)
    assert np.array_equal(said["point"], make("ridge").fit(features, y).predict(features))


def test_calibration_undoes_overconfidence():
    rng = np.random.default_rng(0)
    for n in (400, 3000):
        truth = rng.uniform(-2, 2, n)
        label = (rng.random(n) < 1 / (1 + np.exp(-truth))).astype(int)
        calibration = Calibration().fit(truth * 4, label)
        fixed = calibration.probability(np.array([-4.0, 0.0, 4.0]))
        assert np.allclose(fixed, 1 / (1 + np.exp([1.0, 0.0, -1.0])), atol=0.08)
        assert (np.diff(calibration.probability(np.linspace(-8, 8, 50))) >= 0).all()


def test_calibration_with_one_class_is_its_smoothed_share():
    calibration = Calibration().fit(np.array([1.0, 2.0]), np.array([0, 0]))
    assert calibration.probability(np.array([-5.0, 5.0])).tolist() == [0.25, 0.25]


@pytest.mark.parametrize("name", ["base_rate", "tfidf_logistic", "hist_gradient_boosting_classifier"])
def test_probabilities_of_one_class_only_are_finite(name):
    frame = make_frame(300, "24h")
    fitted = ProbabilityForecaster.fit(make(name), frame, np.zeros(len(frame), dtype=int))
    said = fitted.predict(frame)["probability"]
    assert np.isfinite(said).all()
    assert (said < 0.05).all()


def test_intervals_of_one_row_are_those_of_the_batch_to_the_bit():
    frame = make_frame(400, "24h")
    fitted = IntervalForecaster.fit(make("hist_gradient_boosting").set_params(max_iter=30), frame)
    rows = Rows.of(frame, Schema.of(frame))
    whole = fitted.predict_rows(rows)
    for i in range(20):
        one = fitted.predict_rows(rows.take(slice(i, i + 1)))
        assert {name: values[0] for name, values in one.items()} == {name: values[i] for name, values in whole.items()}


def test_forecasts_without_any_level_have_intervals():
    frame = make_frame(400, "pre")
    said = pd.DataFrame(IntervalForecaster.fit(make("lightgbm"), frame).predict(frame.head(3)))
    assert np.isfinite(said.to_numpy()).all()


def test_validation_error_is_that_of_the_earlier_fit_on_the_block():
    frame = make_frame(500, "24h", seed=2)
    earlier, block = calibration_split(frame)
    fitted = IntervalForecaster.fit(make("ridge"), frame)
    features = without_labels(frame)
    first = make("ridge").fit(features.iloc[earlier], frame["value"].to_numpy()[earlier])
    missed = np.abs(frame["value"].to_numpy()[block] - first.predict(features.iloc[block]))
    assert fitted.validation_error == pytest.approx(missed.mean())


def test_held_out_log_loss_does_not_flatter_a_score_that_says_nothing():
    rng = np.random.default_rng(0)
    label = (rng.random(2400) < 0.2).astype(np.int64)
    share = -(label.mean() * np.log(label.mean()) + (1 - label.mean()) * np.log(1 - label.mean()))
    assert held_out_log_loss(rng.normal(0, 1, 2400), label) >= share
    assert held_out_log_loss(4.0 * label - 2 + rng.normal(0, 0.5, 2400), label) < share / 4
