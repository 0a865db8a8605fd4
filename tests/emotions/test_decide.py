"""Temperature, thresholds and folds; F1, intervals and calibration against their definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from assets.language.emotion_model.decide import (
    GRID,
    best_macro_f1,
    cross_fitted,
    fit_decisions,
    fit_temperature,
    fit_thresholds,
    folds_of,
)
from assets.language.emotion_model.metrics import (
    by_label,
    calibration_curve,
    calibration_error,
    f1_of,
    macro_difference,
    oracle_f1,
)


def planted(count: int = 2000, labels: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are calibrated, and the truth drawn from them."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-1.5, 2.0, size=(count, labels)).astype(np.float32)
    return logits, rng.random(logits.shape) < 1 / (1 + np.exp(-logits))


def test_the_temperature_that_logits_were_multiplied_by_is_found() -> None:
    logits, truth = planted(8_000)
    assert fit_temperature(logits, truth) == pytest.approx(1.0, abs=0.05)
    assert fit_temperature(3 * logits, truth) == pytest.approx(3.0, abs=0.15)
    decisions = fit_decisions(3 * logits, truth, 0.1)
    assert calibration_error(decisions.probabilities(3 * logits), truth) < 0.01
    assert calibration_error(1 / (1 + np.exp(-3 * logits)), truth) > 0.05
    assert decisions.abstain_below == 0.1


def test_no_threshold_of_the_grid_beats_the_fitted_one() -> None:
    logits, truth = planted(500)
    probabilities = 1 / (1 + np.exp(-logits))
    for label, threshold in enumerate(fit_thresholds(probabilities, truth)[:1]):
        scores = [f1_score(truth[:, label], probabilities[:, label] >= one, zero_division=0) for one in GRID[::6]]
        assert f1_score(truth[:, label], probabilities[:, label] >= threshold) >= max(scores) - 0.02


def test_a_label_that_is_told_apart_wholly_has_its_threshold_in_the_middle_of_the_gap() -> None:
    truth = np.arange(100)[:, None] < 30
    [threshold] = fit_thresholds(np.where(truth, 0.9, 0.02), truth)
    assert 0.1 < threshold < 0.5


def test_a_label_without_any_text_has_a_threshold_too() -> None:
    logits, truth = planted(50)
    truth[:, 1] = False
    assert all(0 < threshold < 1 for threshold in fit_decisions(logits, truth, 0.0).thresholds)
    assert best_macro_f1(logits[:0], truth[:0]) == 0


def test_figures_are_those_of_scikit_learn() -> None:
    logits, truth = planted(400)
    decided = logits > 0
    found = f1_of(decided, truth)
    assert found.macro == pytest.approx(f1_score(truth, decided, average="macro"))
    assert found.micro == pytest.approx(f1_score(truth, decided, average="micro"))
    assert found.macro_bounds is not None and found.macro_bounds[0] < found.macro < found.macro_bounds[1]
    table = by_label(1 / (1 + np.exp(-logits)), decided, truth, ("a", "b", "c", "d"))
    assert [row.f1 for row in table] == pytest.approx(f1_score(truth, decided, average=None))
    assert [row.support for row in table] == truth.sum(axis=0).tolist()
    assert all(row.bounds and row.bounds[0] <= row.f1 <= row.bounds[1] for row in table)
    assert all(row.oracle_f1 >= row.f1 - 0.02 for row in table)


def test_a_label_that_no_text_has_is_no_part_of_the_macro_figure() -> None:
    logits, truth = planted(300)
    truth[:, 2] = False
    kept = [0, 1, 3]
    assert f1_of(logits > 0, truth).macro == pytest.approx(
        f1_score(truth[:, kept], logits[:, kept] > 0, average="macro")
    )
    row = by_label(1 / (1 + np.exp(-logits)), logits > 0, truth, ("a", "b", "c", "d"))[2]
    assert (row.support, row.recall, row.f1, row.bounds) == (0, 0, 0, None)


def test_calibration_by_its_definition() -> None:
    probabilities = np.array([[0.05, 0.05], [0.95, 0.95]])
    truth = np.array([[False, False], [True, False]])
    assert calibration_error(probabilities, truth) == pytest.approx((2 * 0.05 + abs(1.9 - 1)) / 4)
    assert calibration_curve(probabilities, truth)[1] == {"said": 0.95, "was": 0.5, "pairs": 2}


def test_cross_fitting_chooses_the_better_epoch_and_flatters_less_than_the_oracle() -> None:
    logits, truth = planted(1500, labels=6)
    noise = np.random.default_rng(1).normal(size=logits.shape).astype(np.float32)
    found = cross_fitted(np.stack([noise, logits, noise]), truth)
    assert found.epochs == (1,) * 5
    fair, oracle = f1_of(found.decided, truth).macro, oracle_f1(1 / (1 + np.exp(-logits)), truth)
    assert oracle - 0.05 < fair < oracle
    blind = cross_fitted(noise[None], truth)
    assert f1_of(blind.decided, truth).macro < oracle_f1(1 / (1 + np.exp(-noise)), truth)


def test_a_text_is_judged_by_decisions_that_did_not_see_it() -> None:
    logits, truth = planted(300)
    of = folds_of(truth, 5, 0)
    found = cross_fitted(logits[None], truth)
    for fold in range(5):
        decisions = fit_decisions(logits[of != fold], truth[of != fold], 0.0)
        own = decisions.decide(decisions.probabilities(logits[of == fold]))
        assert np.array_equal(found.decided[of == fold], own)


@given(st.integers(5, 200), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_folds_are_alike(count: int, seed: int) -> None:
    truth = np.random.default_rng(seed).random((count, 5)) < 0.2
    dealt = np.bincount(folds_of(truth, 5, seed), minlength=5)
    assert dealt.sum() == count and dealt.max() - dealt.min() <= 1


def test_the_difference_of_equal_decisions_is_nothing() -> None:
    logits, truth = planted(400)
    assert macro_difference(logits > 0, logits > 0, truth) == (0.0, (0.0, 0.0))
    gap, interval = macro_difference(logits > 0, np.zeros_like(truth), truth)
    assert gap > 0.4 and interval is not None and interval[0] > 0.3
