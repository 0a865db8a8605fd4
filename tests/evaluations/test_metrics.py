"""Every figure against a reference, and None where it has no meaning."""

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as reference

from assets.evaluations import metrics

RNG = np.random.default_rng(0)
Y = RNG.normal(7, 2, 300)
POINT = Y + RNG.normal(0.2, 1, 300)
LEVEL = np.where(RNG.random(300) < 0.1, np.nan, Y - RNG.exponential(1, 300))
LABEL = (RNG.random(300) < 0.2).astype(float)
SCORE = np.round(np.clip(0.3 * LABEL + RNG.random(300) * 0.7, 0, 1), 2)  # with ties


def test_point_figures_against_scikit_learn_and_scipy():
    figures = metrics.regression_figures(Y, POINT, LEVEL, log_scale=True)
    known = ~np.isnan(LEVEL)
    assert figures["mae"] == pytest.approx(reference.mean_absolute_error(Y, POINT))
    assert figures["rmse"] == pytest.approx(reference.root_mean_squared_error(Y, POINT))
    assert figures["r2"] == pytest.approx(reference.r2_score(Y, POINT))
    growth = reference.r2_score((Y - LEVEL)[known], (POINT - LEVEL)[known])
    assert figures["growth_r2"] == pytest.approx(growth)
    assert figures["spearman"] == pytest.approx(stats.spearmanr(Y, POINT).statistic)
    assert figures["mape"] == pytest.approx(reference.mean_absolute_percentage_error(np.expm1(Y), np.expm1(POINT)))
    assert metrics.regression_figures(Y, POINT, LEVEL, log_scale=False)["mape"] is None


def test_spearman_with_ties():
    a, b = np.array([1.0, 2, 2, 3, 3, 3]), np.array([2.0, 1, 2, 2, 5, 5])
    assert metrics.spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic)


def test_class_figures_against_scikit_learn():
    figures = metrics.class_figures(LABEL, SCORE)
    called = SCORE >= 0.5
    assert figures["auroc"] == pytest.approx(reference.roc_auc_score(LABEL, SCORE))
    assert figures["average_precision"] == pytest.approx(reference.average_precision_score(LABEL, SCORE))
    assert figures["accuracy"] == pytest.approx(reference.accuracy_score(LABEL, called))
    assert figures["precision"] == pytest.approx(reference.precision_score(LABEL, called))
    assert figures["recall"] == pytest.approx(reference.recall_score(LABEL, called))
    assert figures["f1"] == pytest.approx(reference.f1_score(LABEL, called))
    assert figures["brier"] == pytest.approx(reference.brier_score_loss(LABEL, SCORE))
    precision, recall, _ = reference.precision_recall_curve(LABEL, SCORE)
    assert figures["precision_at_recall_10"] == pytest.approx(precision[recall >= 0.1].max())


@pytest.mark.parametrize("score", [SCORE, np.full(300, 0.2)], ids=["some ties", "one score for all"])
def test_equal_scores_share_their_positives_whatever_the_order_of_the_rows(score):
    found = metrics.lift_at(LABEL, score), metrics.ndcg_at(LABEL, score)
    assert found[1] == pytest.approx(reference.ndcg_score([LABEL], [score], k=30))
    for order in (np.argsort(LABEL), np.argsort(-LABEL)):
        assert (
            metrics.lift_at(LABEL[order], score[order]),
            metrics.ndcg_at(LABEL[order], score[order]),
        ) == pytest.approx(found)
    assert metrics.lift_at(LABEL, np.full(300, 0.2)) == pytest.approx(1)


def test_lift_ndcg_and_calibration_error_by_hand():
    label = np.array([1.0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    score = np.linspace(0.95, 0.0, 20)
    assert metrics.lift_at(label, score) == pytest.approx(0.5 / 0.1)  # one of the top two against two of twenty
    assert metrics.ndcg_at(label, score) == pytest.approx(1 / (1 + 1 / np.log2(3)))
    assert metrics.ndcg_at(label, score, 1.0) == pytest.approx(reference.ndcg_score([label], [score]))
    probability = np.array([0.05, 0.05, 0.95, 0.95])
    assert metrics.ece(np.array([0.0, 1, 1, 1]), probability) == pytest.approx((2 * 0.45 + 2 * 0.05) / 4)
    assert metrics.ece(np.array([0.0, 1]), np.array([0.0, 1.0])) == 0


def test_interval_figures_by_hand():
    y, lower, upper = np.array([0.0, 5, 11]), np.zeros(3), np.full(3, 10.0)
    figures = metrics.interval_figures(y, {80: (lower, upper)})
    assert figures == {
        "coverage_80": pytest.approx(2 / 3),
        "width_80": 10.0,
        "interval_score_80": pytest.approx((10 + 10 + 20) / 3),
    }
    assert metrics.interval_scores(np.array([-2.0]), np.array([0.0]), np.array([1.0]), 50) == pytest.approx(1 + 4 * 2)


def test_intervals_that_are_missing_are_left_out():
    missing = np.full(2, np.nan)
    assert set(metrics.interval_figures(np.zeros(2), {80: (missing, missing)}).values()) == {None}
    half = np.array([np.nan, 0.0])
    assert metrics.coverage(np.array([9.0, 0.5]), half, half + 1) == 1.0


def test_skill():
    assert metrics.skill(0.5, 1.0) == 0.5
    assert metrics.skill(0.5, 0.0) is None
    assert metrics.skill(None, 1.0) is None


@pytest.mark.parametrize(("n", "constant"), [(0, False), (1, False), (5, True)])
def test_degenerate_numbers_give_none_and_never_fail(n, constant):
    y = np.full(n, 3.0) if constant else np.arange(float(n))
    figures = metrics.regression_figures(y, y + 1, np.full(n, np.nan), True)
    assert figures["r2"] is None
    assert figures["growth_r2"] is None
    assert figures["spearman"] is None
    assert all(value is None or np.isfinite(value) for value in figures.values())
    assert (figures["mae"] is None) == (n == 0)


@pytest.mark.parametrize("label", [[], [1.0], [0.0], [0.0, 0.0, 0.0], [1.0, 1.0]])
def test_degenerate_classes_give_none_and_never_fail(label):
    figures = metrics.class_figures(np.array(label), np.full(len(label), 0.3))
    assert figures.get("auroc") is None
    assert figures.get("average_precision") is None
    assert figures.get("precision_at_recall_10") is None
    assert all(value is None or np.isfinite(value) for value in figures.values())


def test_a_constant_score_has_the_auroc_of_chance():
    assert metrics.auroc(LABEL, np.full(300, 0.2)) == 0.5
