"""Blend, stack and residuals per style: what they learn from their members they learn on later rows only."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.backtest import fit, split
from assets.models.ensembles import Blend, Stack, StyleResiduals, out_of_fold, time_folds
from assets.models.forecasters import FORECASTERS, lacks, make, names_for
from assets.models.intervals import without_labels
from assets.models.learned import RidgeForecaster
from assets.models.predictor import Predictor, save
from assets.models.task import Task
from resources.settings import load_settings
from tests.models.frames import make_frame, with_content

SMALL = {"max_iter": 30, "components": 4, "max_terms": 200}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return make_frame(500, "24h", seed=4)


def test_folds_forecast_later_rows_after_a_gap_whatever_the_order(frame: pd.DataFrame) -> None:
    folds = list(time_folds(frame, 7.0))
    assert len(folds) == 3
    for earlier, block in folds:
        between = frame["as_of"].iloc[block].min() - frame["as_of"].iloc[earlier].max()
        assert between >= pd.Timedelta(days=7)
    shuffled = frame.sample(frac=1, random_state=0)
    again = [set(shuffled["video_id"].iloc[block]) for _, block in time_folds(shuffled, 7.0)]
    assert again == [set(frame["video_id"].iloc[block]) for _, block in folds]
    assert len(list(time_folds(frame, 60.0))) < 3, "blocks without enough earlier rows are left out"


def test_a_later_outcome_changes_no_forecast_before_it(frame: pd.DataFrame) -> None:
    features, y = without_labels(frame), frame["value"].to_numpy()
    _, block = list(time_folds(features, 7.0))[-1]
    changed = y.copy()
    changed[block] += 100
    members = [RidgeForecaster()]
    positions, said = out_of_fold(members, features, y, 7.0)
    again = out_of_fold(members, features, changed, 7.0)
    assert np.array_equal(positions, again[0]) and np.array_equal(said, again[1])
    assert not hasattr(members[0], "model_"), "members stay unfitted"


def test_weights_go_to_the_member_that_is_right() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(7, 1, 300)
    said = np.column_stack([y + rng.normal(0, 0.01, 300), rng.normal(7, 1, 300)])
    blend, stack = Blend(), Stack(alpha=0.1)
    blend._learn(None, said, y)  # type: ignore[arg-type]
    assert blend.weights_ == pytest.approx([1, 0], abs=0.02) and blend.weights_.sum() == pytest.approx(1)
    stack._learn(None, said + np.array([2.0, 0.0]), y)  # type: ignore[arg-type]
    assert stack.weights_ == pytest.approx([1, 0], abs=0.02) and stack.intercept_ == pytest.approx(-2, abs=0.1)
    blend._learn(None, np.column_stack([14 - y, 14 - y]), y)  # type: ignore[arg-type]
    assert blend.weights_.tolist() == [0.5, 0.5], "none is right: a plain mean"


@pytest.mark.parametrize("name", ["blend", "stack", "residual_by_style"])
def test_too_few_earlier_rows_leave_the_plain_members(name: str) -> None:
    frame = with_content(make_frame(120, "24h", seed=5, days=5))
    features, y = without_labels(frame), frame["value"].to_numpy()
    fitted = make(name).set_params(**SMALL).fit(features, y)
    plain = [member.predict(features) for member in fitted.members_]
    assert fitted.predict(features) == pytest.approx(np.mean(plain, axis=0))


def test_a_style_that_the_default_gets_wrong_is_corrected() -> None:
    frame = with_content(make_frame(900, "pre", seed=6))
    frame["value"] += np.where(frame["style"] == "s1", 1.5, 0.0)
    features, y = without_labels(frame), frame["value"].to_numpy()
    train, test = slice(0, 650), slice(650, None)
    fitted = StyleResiduals(**SMALL).fit(features.iloc[train], y[train])
    assert sorted(fitted.corrections_) == ["s1", "s2"]
    later = features.iloc[test]
    plain, corrected = fitted.members_[0].predict(later), fitted.predict(later)
    assert np.abs(corrected - y[test]).mean() < 0.9 * np.abs(plain - y[test]).mean()
    assert np.array_equal(fitted.predict(later.assign(style="new")), plain)
    assert np.array_equal(fitted.predict(later.assign(style=None)), plain)


def test_they_are_asked_for_by_name_and_served_like_others(frame: pd.DataFrame, tmp_path: Path) -> None:
    settings = load_settings(tmp_path)
    task = Task.of(settings, "log_views_7d", "24h")
    assert not {"blend", "stack", "residual_by_style"} & set(names_for(task))
    assert not FORECASTERS["blend"].exists_for(Task.of(settings, "viral_7d", "24h"))
    assert lacks("residual_by_style", frame) is not None and lacks("residual_by_style", with_content(frame)) is None
    origin = date(2024, 3, 4)
    train, test = split(frame, origin)
    fitted = fit("blend", task, train, parameters=SMALL)
    kept = {"feature_fingerprint": "f", "data_version": "d", "training_set_id": "t", "run_id": "r"}
    manifest = save(tmp_path, fitted, task, train, origin, **kept)
    replies = Predictor.load(tmp_path, manifest.version, frame, "f").predict_batch(list(test["video_id"])[:20])
    assert [reply["point"] for reply in replies] == fitted.predict(test)["point"][:20].tolist()
