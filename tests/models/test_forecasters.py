"""One conformance test over every forecaster, then what each of them promises."""

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import estimator_checks

from assets.models.forecasters import FORECASTERS, default_for, make, naive_for, names_for, unavailable
from assets.models.intervals import without_labels
from assets.models.task import Task
from resources.settings import load_settings
from tests.models.frames import make_frame, with_content

NAMES = list(FORECASTERS)
# The checks of scikit-learn that do not feed anonymous numbers: a forecaster reads a frame with names.
CHECKS = [
    estimator_checks.check_estimator_cloneable,
    estimator_checks.check_estimator_repr,
    estimator_checks.check_no_attributes_set_in_init,
    estimator_checks.check_get_params_invariance,
    estimator_checks.check_set_params,
    estimator_checks.check_do_not_raise_errors_in_init_or_set_params,
    estimator_checks.check_mixin_order,
    estimator_checks.check_valid_tag_types,
    estimator_checks.check_estimator_tags_renamed,
]


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return with_content(make_frame(400, "24h", seed=1))


def small(name: str):
    if reason := unavailable(name):
        pytest.skip(reason)
    forecaster = make(name, seed=7)
    fast = {"max_iter": 20, "n_estimators": 20, "components": 4, "max_terms": 200, "epochs": 3}
    return forecaster.set_params(**{key: value for key, value in fast.items() if key in forecaster.get_params()})


def outcome(name: str, frame: pd.DataFrame) -> np.ndarray:
    value = frame["value"].to_numpy()
    return (value >= np.percentile(value, 80)).astype(int) if FORECASTERS[name].kind == "class" else value


def forecast(forecaster, frame: pd.DataFrame) -> np.ndarray:
    if forecaster.kind == "class":
        return forecaster.predict_proba(frame)[:, 1]
    return forecaster.predict(frame)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_scikit_learn_contract(name, check):
    check(name, make(name))


@pytest.mark.parametrize("name", NAMES)
def test_default_parameters(name):
    estimator_checks.check_parameters_default_constructible(name, FORECASTERS[name]())


@pytest.mark.parametrize("name", NAMES)
def test_conformance(name, frame):
    features, y = without_labels(frame), outcome(name, frame)
    before = features.copy(deep=True)
    forecaster = small(name)
    with pytest.raises(NotFittedError):
        forecast(forecaster, features)
    parameters = forecaster.get_params()
    assert forecaster.fit(features, y) is forecaster
    assert forecaster.get_params() == parameters
    fitted = set(vars(forecaster)) - set(parameters)
    assert fitted
    assert all(attribute.endswith("_") for attribute in fitted)
    said = forecast(forecaster, features)
    pd.testing.assert_frame_equal(features, before)
    assert said.shape == (len(frame),)
    assert said.dtype == np.float64
    assert np.isfinite(said).all()
    assert np.array_equal(forecast(clone(forecaster).fit(features, y), features), said), "a clone learns the same"
    assert np.array_equal(forecast(pickle.loads(pickle.dumps(forecaster)), features), said)
    order = np.random.default_rng(0).permutation(len(frame))
    assert np.array_equal(forecast(forecaster, features.iloc[order]), said[order]), "rows do not see one another"
    one = np.concatenate([forecast(forecaster, features.iloc[[i]]) for i in range(25)])
    assert np.array_equal(one, said[:25]), "one row is the same as in a batch, to the bit"


@pytest.mark.parametrize("name", NAMES)
def test_ids_times_and_labels_are_never_features(name, frame):
    features, y = without_labels(frame), outcome(name, frame)
    changed = features.assign(
        video_id="other",
        anchor_at=features["anchor_at"] + pd.Timedelta(days=900),
        as_of=features["as_of"] + pd.Timedelta(days=900),
        description="other",
    )
    forecaster = small(name).fit(features, y)
    assert np.array_equal(forecast(forecaster, features), forecast(forecaster, changed))
    with_labels = frame.assign(status="pending", value=0.0)
    assert np.array_equal(forecast(forecaster, with_labels), forecast(forecaster, features))
    assert np.array_equal(forecast(small(name).fit(frame, y), features), forecast(forecaster, features))


@pytest.mark.parametrize("name", NAMES)
def test_missing_everything_still_gives_a_number(name, frame):
    features, y = without_labels(frame), outcome(name, frame)
    forecaster = small(name).fit(features, y)
    bare = features.iloc[:5].copy()
    numeric = [column for column in bare.columns if pd.api.types.is_float_dtype(bare[column].dtype)]
    bare[numeric] = np.nan
    bare[["title", "category", "language_guess", "channel_id"]] = None
    assert np.isfinite(forecast(forecaster, bare)).all()


@pytest.mark.parametrize("name", [name for name in NAMES if FORECASTERS[name].learned])
def test_a_missing_column_is_named(name, frame):
    features, y = without_labels(frame), outcome(name, frame)
    forecaster = small(name).fit(features, y)
    column = forecaster.schema_.numeric[0]
    with pytest.raises(ValueError, match=f"columns missing: {column}"):
        forecast(forecaster, features.drop(columns=column))


@pytest.mark.parametrize("name", [name for name in NAMES if FORECASTERS[name].learned])
def test_learned_ones_beat_the_naive_before_publication(name):
    frame = with_content(make_frame(900, "pre", seed=2))
    features, y = without_labels(frame), outcome(name, frame)
    train, test = slice(0, 700), slice(700, None)
    said = forecast(make(name).fit(features.iloc[train], y[train]), features.iloc[test])
    assert np.mean((said - y[test]) ** 2) < 0.7 * np.mean((y[train].mean() - y[test]) ** 2)


@pytest.mark.parametrize("name", [name for name in NAMES if FORECASTERS[name].learned])
def test_shuffled_outcomes_destroy_the_score(name):
    frame = with_content(make_frame(900, "24h", seed=3))
    features, y = without_labels(frame), outcome(name, frame)
    shuffled = np.random.default_rng(0).permutation(y[:700])
    forecaster = make(name)
    if "max_iter" in forecaster.get_params():
        forecaster.set_params(max_iter=60)
    # growth over the last level is a true statement whatever was learned; without a level nothing is left
    blind = features.assign(last_level=np.nan)
    said = forecast(forecaster.fit(blind.iloc[:700], shuffled), blind.iloc[700:])
    assert np.mean((said - y[700:]) ** 2) > 0.85 * np.var(y[700:])


def test_which_forecasters_exist_for_what(tmp_path: Path):
    settings = load_settings(tmp_path)
    late, early = Task.of(settings, "log_views_7d", "24h"), Task.of(settings, "log_views_7d", "pre")
    assert naive_for(late) == ["global_mean", "channel_median", "persistence", "constant_growth", "growth_curve"]
    assert naive_for(early) == ["global_mean", "channel_median"]
    assert "persistence" not in names_for(Task.of(settings, "engagement_rate_7d", "24h"))
    assert "persistence" in names_for(Task.of(settings, "likes_7d", "24h"))
    viral = Task.of(settings, "viral_7d", "24h")
    assert names_for(viral) == ["base_rate", "tfidf_logistic", "hist_gradient_boosting_classifier"]
    assert default_for(viral) in names_for(viral)
    assert default_for(late) in names_for(late)


def test_a_refused_pair_and_an_unknown_target(tmp_path: Path):
    settings = load_settings(tmp_path)
    with pytest.raises(ValueError, match="reaches the horizon"):
        Task.of(settings, "log_views_3d_after_first_seen", "72h")
    with pytest.raises(ValueError, match="unknown target 'fame'"):
        Task.of(settings, "fame", "pre")


def test_an_unknown_forecaster_is_named():
    with pytest.raises(ValueError, match="unknown forecaster 'oracle'"):
        make("oracle")


def test_lightgbm_says_why_it_cannot_run(monkeypatch):
    import builtins

    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "lightgbm":
            raise OSError("libgomp.so.1: cannot open shared object file")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    assert "install libgomp" in (unavailable("lightgbm") or "")


def test_naive_ones_by_hand():
    train = pd.DataFrame(
        {
            "channel_id": ["a", "a", "b", "b"],
            "last_level": [1.0, 2.0, 3.0, np.nan],
            "last_age_h": [1.0, 1.0, 1.0, np.nan],
        }
    )
    y = np.array([2.0, 4.0, 6.0, 12.0])
    test = pd.DataFrame(
        {
            "channel_id": ["a", "b", "new", None],
            "last_level": [5.0, np.nan, 1.0, 2.0],
            "last_age_h": [1.0, 1.0, 1.0, 1.0],
        }
    )
    said = {name: make(name).fit(train, y).predict(test).tolist() for name in ("global_mean", "channel_median")}
    assert said["global_mean"] == [6.0] * 4
    assert said["channel_median"] == [3.0, 9.0, 5.0, 5.0]
    assert make("persistence").fit(train, y).predict(test).tolist() == [5.0, 6.0, 1.0, 2.0]
    # growths are 1, 2 and 3
    assert make("constant_growth").fit(train, y).predict(test).tolist() == [7.0, 6.0, 3.0, 4.0]


def test_growth_curve_finds_the_line_it_was_given():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"last_level": rng.normal(5, 1, 50), "last_age_h": rng.uniform(1, 20, 50)})
    y = 1.5 + 0.9 * frame["last_level"].to_numpy() - 0.4 * np.log1p(frame["last_age_h"].to_numpy())
    forecaster = make("growth_curve").fit(frame, y)
    assert np.allclose(forecaster.coef_, [1.5, 0.9, -0.4])
    assert np.allclose(forecaster.predict(frame), y)
