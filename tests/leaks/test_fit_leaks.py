"""Statistics fitted on rows that a fit must not see: each is caught by learning it again from the stored split."""

from collections.abc import Callable
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_limits

from assets.evaluations.backtest import LeakError, Split, fit, fit_and_forecast, run_origin, split
from assets.evaluations.refit import audit_fit, audit_threshold, audit_version
from assets.evaluations.rows import as_arrow
from assets.models.labels import ViralLabel
from assets.models.predictor import save
from assets.models.task import Task
from assets.models.training_set import freeze
from resources.settings import load_settings
from tests.models.frames import make_frame
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows

SETTINGS = load_settings(Path("no home"))
ORIGIN = date(2024, 2, 26)
FRAME = make_frame(420, days=70)
TRAIN, TEST = split(FRAME, ORIGIN)
BOTH = FRAME.loc[sorted({*TRAIN.index, *TEST.index})]
REGRESSION, CLASS = Task.of(SETTINGS, "log_views_7d", "24h"), Task.of(SETTINGS, "viral_7d", "24h")
FORECASTERS = {
    "channel_median": REGRESSION,
    "growth_curve": REGRESSION,
    "ridge": REGRESSION,
    "hist_gradient_boosting": REGRESSION,
    "tfidf_logistic": CLASS,
    "hist_gradient_boosting_classifier": CLASS,
}
Fits = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def fits() -> Fits:
    """Every forecaster fitted on the training rows, and on the test rows as well."""
    with threadpool_limits(1):
        return {
            name: {"honest": fit(name, task, TRAIN), "leaky": fit(name, task, BOTH)}
            for name, task in FORECASTERS.items()
        }


def columns(fitted: Any, task: Task) -> set[str]:
    """What an audit names, without the place within an array or dictionary."""
    return {found.column.split("[")[0] for found in audit_fit(fitted, task, TRAIN)}


@pytest.mark.parametrize("name", FORECASTERS)
def test_what_was_learned_from_the_training_rows_passes_to_the_bit(name: str, fits: Fits) -> None:
    assert audit_fit(fits[name]["honest"], FORECASTERS[name], TRAIN) == []


def test_a_fit_with_other_parameters_is_learned_again_with_these() -> None:
    with threadpool_limits(1):
        fitted = fit("ridge", REGRESSION, TRAIN, parameters={"alpha": 3.0})
    assert audit_fit(fitted, REGRESSION, TRAIN) == []


@pytest.mark.parametrize("name", FORECASTERS)
def test_a_fit_that_saw_the_test_rows_is_caught(name: str, fits: Fits) -> None:
    assert len(audit_fit(fits[name]["leaky"], FORECASTERS[name], TRAIN)) > 1


GRAFTS: dict[str, tuple[str, str, str]] = {
    "the medians that stand for missing values": ("ridge", "forecaster.matrix_", "center_"),
    "the scale": ("ridge", "forecaster.matrix_", "scale_"),
    "the vocabulary and weights of titles": ("ridge", "forecaster.matrix_", "titles_"),
    "the singular vectors of titles": ("hist_gradient_boosting", "forecaster.matrix_.titles_", "components_"),
    "the mean outcome of channels": ("hist_gradient_boosting", "forecaster.matrix_", "prior_"),
    "the mean outcome of all": ("ridge", "forecaster", "base_"),
    "the trees": ("hist_gradient_boosting", "forecaster.model_", "_predictors"),
    "the bins of the trees": ("hist_gradient_boosting", "forecaster.model_", "_bin_mapper"),
    "the coefficients": ("tfidf_logistic", "forecaster.model_", "coef_"),
    "the calibration": ("tfidf_logistic", "calibration", "line_"),
    "the difficulty that scales intervals": ("ridge", "interval.difficulty", "booster_"),
    "the quantiles of the intervals": ("ridge", "interval", "quantiles"),
    "the medians of channels": ("channel_median", "forecaster", "medians_"),
    "the growth curve": ("growth_curve", "forecaster", "coef_"),
}


@pytest.mark.parametrize("what", GRAFTS)
def test_one_statistic_fitted_on_test_rows_is_caught_and_named(what: str, fits: Fits) -> None:
    name, path, attribute = GRAFTS[what]
    fitted = deepcopy(fits[name]["honest"])
    object.__setattr__(follow(fitted, path), attribute, getattr(follow(fits[name]["leaky"], path), attribute))
    named = columns(fitted, FORECASTERS[name])
    assert named
    assert all(column.startswith(f"{path}.{attribute}") for column in named), named


def follow(fitted: Any, path: str) -> Any:
    for name in path.split("."):
        fitted = getattr(fitted, name)
    return fitted


def test_the_column_of_a_statistic_is_named(fits: Fits) -> None:
    fitted = deepcopy(fits["ridge"]["honest"])
    matrix = fitted.forecaster.matrix_
    numeric = [fitted.schema.numeric[position] for position in matrix.columns_]
    matrix.center_[numeric.index("views_log")] = np.nanmedian(BOTH["views_log"])
    (found,) = audit_fit(fitted, REGRESSION, TRAIN)
    assert (found.table, found.column) == ("models.ridge", "forecaster.matrix_.center_[views_log]")


def test_a_word_of_the_test_titles_is_named(fits: Fits) -> None:
    fitted = deepcopy(fits["ridge"]["honest"])
    fitted.forecaster.matrix_.titles_.vectorizer_.vocabulary_["tomorrow"] = 999
    (found,) = audit_fit(fitted, REGRESSION, TRAIN)
    assert found.column == "forecaster.matrix_.titles_.vectorizer_.vocabulary_['tomorrow']"


def test_a_threshold_fitted_on_all_rows_is_caught() -> None:
    honest, leaky = (ViralLabel.of(CLASS).fit(rows).threshold_ for rows in (TRAIN, BOTH))
    assert audit_threshold(honest, CLASS, TRAIN) == []
    (found,) = audit_threshold(leaky, CLASS, TRAIN)
    assert (found.column, found.expected, found.found) == ("threshold", honest, leaky)


@pytest.mark.parametrize("kind", ["time", "random"])
def test_a_test_row_in_the_fit_stops_the_backtest(kind: Split) -> None:
    leaky = pd.concat([TRAIN, TEST.iloc[:1]])
    with pytest.raises(LeakError, match=TEST["video_id"].iloc[0]):
        fit_and_forecast(REGRESSION, leaky, TEST, ORIGIN, kind, ["global_mean"], 0)


def test_the_split_of_an_origin_keeps_later_labels_and_later_moments_out() -> None:
    start = pd.Timestamp(ORIGIN)
    assert (TRAIN["matured_at"] <= start).all()
    assert (TRAIN["as_of"] <= start).all()
    assert (TEST["anchor_at"] >= start).all()


@pytest.fixture
def kept(home: Path) -> Callable[..., tuple[Warehouse, str]]:
    """Stores a backtest and keeps its ridge, fitted on the given rows, as a run would."""

    def keep(fitted: Any, rows: pd.DataFrame) -> tuple[Warehouse, str]:
        warehouse = Warehouse(home)
        result = run_origin(FRAME, SETTINGS, REGRESSION.target, REGRESSION.cutoff, ORIGIN, ["global_mean"])
        where = {"source": "simulator", "target": REGRESSION.target, "cutoff": REGRESSION.cutoff, "origin": ORIGIN}
        with warehouse.write() as con:
            splits = as_arrow(result.splits, "evaluations.splits")
            replace_rows(con, table("evaluations.splits"), splits, {**where, "split": "time"})
        training_set_id, _ = freeze(rows, home)
        versions = {"feature_fingerprint": "f", "data_version": "d", "run_id": "r"}
        manifest = save(home, fitted, REGRESSION, rows, ORIGIN, training_set_id=training_set_id, **versions)
        return warehouse, manifest.version

    return keep


def test_a_kept_model_that_was_fitted_on_its_split_passes(
    fits: Fits, kept: Callable[..., tuple[Warehouse, str]]
) -> None:
    warehouse, version = kept(fits["ridge"]["honest"], TRAIN)
    assert audit_version(warehouse, SETTINGS, version) == []


def test_a_kept_model_with_a_test_row_in_its_fit_is_caught_by_the_rows_id(
    fits: Fits, kept: Callable[..., tuple[Warehouse, str]]
) -> None:
    rows = FRAME.loc[sorted({*TRAIN.index, TEST.index[0]})]
    with threadpool_limits(1):
        warehouse, version = kept(fit("ridge", REGRESSION, rows), rows)
    found = audit_version(warehouse, SETTINGS, version)
    assert (found[0].video_id, found[0].column, found[0].found) == (TEST["video_id"].iloc[0], "trained_on", True)
    assert len(found) > 1


def test_a_kept_class_with_a_threshold_of_other_rows_is_caught(home: Path) -> None:
    warehouse = Warehouse(home)
    name = "hist_gradient_boosting_classifier"
    result = run_origin(FRAME, SETTINGS, CLASS.target, CLASS.cutoff, ORIGIN, [name])
    where = {"source": "simulator", "target": CLASS.target, "cutoff": CLASS.cutoff, "origin": ORIGIN}
    stored = result.predictions.assign(threshold=result.predictions["threshold"] + 0.5)
    training_set_id, _ = freeze(TRAIN, home)
    versions = {"feature_fingerprint": "f", "data_version": "d", "run_id": "r"}
    manifest = save(home, result.fitted[name], CLASS, TRAIN, ORIGIN, training_set_id=training_set_id, **versions)
    for predictions, expected in ((result.predictions, []), (stored, ["threshold"])):
        with warehouse.write() as con:
            for table_name, rows in (("evaluations.splits", result.splits), ("evaluations.predictions", predictions)):
                replace_rows(con, table(table_name), as_arrow(rows, table_name), {**where, "split": "time"})
        assert [found.column for found in audit_version(warehouse, SETTINGS, manifest.version)] == expected
