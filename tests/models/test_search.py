"""A search forecasts later blocks from what had matured before, prunes, goes on where it stopped, and is honest in time."""

import itertools
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.grid import Cell
from assets.models.forecasters import FORECASTERS, make
from assets.models.learned import RidgeForecaster
from assets.models.search.spaces import SPACES, SearchError, defaults
from assets.models.search.study import importance, search, study_id, time_folds
from assets.models.search.trials import Study, Trial, best_parameters, keep_trial, stored_trials
from assets.models.task import Task
from resources.settings import load_settings
from tests.models.frames import make_frame
from warehouse.connection import Warehouse

CELL = Cell("simulator", "log_views_7d", "24h")
NOW = datetime(2024, 4, 1)


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_frame(450, "24h", seed=1)


@pytest.fixture(scope="module")
def task() -> Task:
    return Task.of(load_settings(Path("absent")), CELL.target, CELL.cutoff)


@pytest.fixture(scope="module")
def ridge_trials(frame, task) -> list[Trial]:
    return search(frame, task, "ridge", 8, now=lambda: NOW)


def study(name: str = "s1", origin: date = date(2024, 3, 1)) -> Study:
    return Study(name, CELL.source, CELL.target, CELL.cutoff, "ridge", "t1", origin)


def trial(number: int, errors: tuple[float, ...], state: str = "complete", **parameters: float) -> Trial:
    return Trial(number, state, errors, parameters, NOW, NOW)


def test_folds_are_fitted_on_what_had_matured_when_their_block_began(frame):
    folds = time_folds(frame)
    assert len(folds) == 4
    for earlier, later in itertools.pairwise(folds):
        assert frame["anchor_at"].iloc[earlier.block].max() < frame["anchor_at"].iloc[later.block].min()
        assert set(earlier.fit) < set(later.fit)
    for fold in folds:
        start = frame["anchor_at"].iloc[fold.block].min()
        assert (frame["matured_at"].iloc[fold.fit] <= start).all()
        assert (frame["as_of"].iloc[fold.fit] <= start).all()
        assert not set(fold.fit) & set(fold.block)


def test_rows_of_one_moment_are_never_on_both_sides_of_a_cut(frame):
    together = frame.assign(anchor_at=frame["anchor_at"].dt.floor("7D"))
    blocks = [set(together["anchor_at"].iloc[fold.block]) for fold in time_folds(together)]
    assert len(set().union(*blocks)) == sum(len(block) for block in blocks)


def test_too_few_rows_are_refused_with_the_remedy(frame, task):
    with pytest.raises(SearchError, match=r"60 training rows give 0 time-ordered folds.*2 are needed"):
        search(frame.iloc[:60], task, "ridge", 2, now=lambda: NOW)


def test_first_trial_is_the_forecaster_as_it_is_and_the_best_is_no_worse(ridge_trials):
    assert ridge_trials[0].parameters == defaults("ridge") == {"alpha": 10.0, "smoothing": 5.0}
    complete = [trial.value for trial in ridge_trials if trial.state == "complete"]
    assert min(complete) < ridge_trials[0].value


def test_a_pruned_trial_says_how_many_folds_it_saw_and_was_behind(ridge_trials):
    pruned = [trial for trial in ridge_trials if trial.state == "pruned"]
    assert pruned
    for given_up in pruned:
        seen = len(given_up.errors)
        before = [
            np.mean(trial.errors[:seen]) for trial in ridge_trials[: given_up.number] if trial.state == "complete"
        ]
        assert 2 <= seen < 4
        assert given_up.value > np.median(before)
    assert all(len(trial.errors) == 4 for trial in ridge_trials if trial.state == "complete")


def test_a_study_that_goes_on_equals_one_that_was_never_interrupted(frame, task, ridge_trials, home):
    warehouse = Warehouse(home)
    name = study_id("t1", "ridge", 0)
    for until in (3, 3, 8):
        search(
            frame,
            task,
            "ridge",
            until,
            now=lambda: NOW,
            known=stored_trials(warehouse, name),
            keep=lambda done: keep_trial(warehouse, study(name), done, "r1"),
        )
    assert stored_trials(warehouse, name) == ridge_trials
    rows = warehouse.query("SELECT number, folds, len(errors) AS kept, value, state FROM models.trials ORDER BY 1")
    assert [row["number"] for row in rows.to_pylist()] == list(range(8))
    assert all(row["folds"] == row["kept"] for row in rows.to_pylist())


def test_no_trial_begins_after_the_time_is_up(frame, task):
    assert search(frame, task, "ridge", 5, now=lambda: NOW, timeout_s=0) == []


def test_another_seed_space_or_training_set_is_another_study():
    asked = [("t1", "ridge", 0), ("t1", "ridge", 1), ("t2", "ridge", 0), ("t1", "lightgbm", 0)]
    assert len({study_id(*each) for each in asked} | {study_id("t1", "ridge", 0, {"max_terms": 10})}) == 5


def test_the_probability_of_a_class_is_searched_by_log_loss(frame):
    viral = Task.of(load_settings(Path("absent")), "viral_7d", "24h")
    done = search(frame, viral, "tfidf_logistic", 3, now=lambda: NOW)
    assert [trial.state for trial in done] == ["complete"] * 3
    shuffled = frame.assign(value=np.random.default_rng(0).permutation(frame["value"]))
    worse = search(shuffled, viral, "tfidf_logistic", 1, now=lambda: NOW)
    assert worse[0].value > done[0].value + 0.1


class Picky(RidgeForecaster):
    """Cannot be fitted with little regularisation."""

    name = "ridge"

    def fit(self, X, y):  # noqa: N803
        if self.alpha < 10:
            raise FloatingPointError("diverged")
        return super().fit(X, y)


def test_parameters_that_cannot_be_fitted_fail_one_trial_not_the_search(frame, task, monkeypatch):
    monkeypatch.setitem(FORECASTERS, "ridge", Picky)
    done = search(frame, task, "ridge", 6, now=lambda: NOW)
    assert {trial.state for trial in done} >= {"complete", "failed"}
    for one in done:
        assert (one.state == "failed") == (one.parameters["alpha"] < 10)
        assert one.state != "failed" or (one.value is None and one.errors == ())


def test_a_forecaster_that_fails_as_it_is_ends_the_search_with_its_reason(frame, task):
    with pytest.raises(SearchError, match="own parameters"):
        search(frame.assign(value=np.nan), task, "ridge", 6, now=lambda: NOW)


@pytest.mark.parametrize(("name", "why"), [("global_mean", "no search space"), ("tfidf_logistic", "does not forecast")])
def test_a_forecaster_that_cannot_be_searched_is_refused(frame, task, name, why):
    with pytest.raises(SearchError, match=why):
        search(frame, task, name, 2, now=lambda: NOW)


@pytest.mark.parametrize("name", sorted(SPACES))
def test_a_space_names_parameters_and_holds_the_defaults(name):
    assert set(SPACES[name]) <= set(make(name).get_params())
    own = defaults(name)
    assert own or name.startswith("fusion_network")
    for parameter, value in own.items():
        kind = SPACES[name][parameter]
        assert kind._contains(kind.to_internal_repr(value)), parameter


def test_a_network_is_searched_from_its_preset_on(frame, task, home):
    fixed = {"preset": "small", "epochs": 1}
    done = search(frame, task, "fusion_network", 2, now=lambda: NOW, fixed=fixed)
    assert done[0].parameters == fixed
    assert set(done[1].parameters) == {*fixed, *SPACES["fusion_network"]}
    again = search(frame, task, "fusion_network", 2, now=lambda: NOW, fixed=fixed, known=done[:1])
    assert again == done
    warehouse = Warehouse(home)
    network = Study("n1", CELL.source, CELL.target, CELL.cutoff, "fusion_network", "t1", date(2024, 3, 1))
    for one in done:
        keep_trial(warehouse, network, one, "r1")
    best = min(done, key=lambda one: one.value).parameters
    assert best_parameters(warehouse, CELL, "fusion_network", date(2024, 3, 1), {"preset": "small"}) == best
    assert best_parameters(warehouse, CELL, "fusion_network", date(2024, 3, 1), {"preset": "miles"}) == {}


def test_importance_names_the_parameter_that_matters():
    done = [trial(n, (float(n),) * 4, alpha=2.0**n, smoothing=1.0 + n % 2) for n in range(8)]
    shares = importance("ridge", done)
    assert next(iter(shares)) == "alpha"
    assert shares["alpha"] > 0.8
    assert importance("ridge", done[:3]) == {}


def test_training_takes_the_best_parameters_of_the_latest_study_that_it_may_know(home):
    warehouse = Warehouse(home)
    assert best_parameters(warehouse, CELL, "ridge", date(2024, 6, 1)) == {}
    for name, origin, trials in (
        ("older", date(2024, 3, 1), [trial(0, (0.1,) * 4, alpha=1.0)]),
        (
            "newer",
            date(2024, 4, 1),
            [
                trial(0, (0.5,) * 4, alpha=2.0),
                trial(1, (0.4,) * 4, alpha=3.0),
                trial(2, (0.3,) * 2, "pruned", alpha=4.0),
            ],
        ),
        ("later", date(2024, 5, 1), [trial(0, (0.01,) * 4, alpha=5.0)]),
    ):
        for one in trials:
            keep_trial(warehouse, study(name, origin), one, "r1")
    assert best_parameters(warehouse, CELL, "ridge", date(2024, 4, 30)) == {"alpha": 3.0}
    assert best_parameters(warehouse, CELL, "ridge", date(2024, 3, 1)) == {"alpha": 1.0}
    assert best_parameters(warehouse, CELL, "ridge", date(2024, 2, 1)) == {}
    assert best_parameters(warehouse, CELL, "lightgbm", date(2024, 6, 1)) == {}
    assert best_parameters(warehouse, Cell("other", *("log_views_7d", "24h")), "ridge", date(2024, 6, 1)) == {}
