"""The network as forecasters: parameters, modalities, quantiles, what it refuses, and that bundles serve without torch."""

import json
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.base import clone

from assets.models.fit_run import FitRun, fit_run
from assets.models.forecasters import lacks, make, names_for, unavailable
from assets.models.intervals import (
    Calibration,
    IntervalForecaster,
    ProbabilityForecaster,
    calibration_split,
    without_labels,
)
from assets.models.task import Task
from resources.settings import load_settings
from tests.models.frames import make_frame, with_content


def quick(name: str = "fusion_network", **parameters):
    return make(name, seed=1).set_params(**{"epochs": 3, **parameters})


@pytest.fixture(scope="module")
def frame():
    return with_content(make_frame(500, "pre", seed=4))


def value(frame) -> np.ndarray:
    return frame["value"].to_numpy()


def test_it_is_fitted_by_name_only(frame):
    settings = load_settings(Path("nowhere"))
    for target in ("log_views_7d", "viral_7d"):
        assert not [name for name in names_for(Task.of(settings, target, "pre")) if "network" in name]
    assert lacks("fusion_network", make_frame(100, "pre")) is None, "it also works on scalars alone"


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'upswell[network]'" in (unavailable("fusion_network") or "")
    monkeypatch.undo()
    assert unavailable("fusion_network_classifier") is None


@pytest.mark.parametrize("parameters", [{}, {"fusion": "gated"}])
def test_it_learns_what_only_one_modality_knows_and_loses_it_with_the_switch(parameters):
    frame = with_content(make_frame(900, "pre", seed=4))
    frame["image_00"] = np.random.default_rng(0).normal(size=900)
    frame["value"] = 7 + frame["image_00"]
    for column in ("text_00", "audio_00", "film_00"):
        frame[column] = 0.0
    features = without_labels(frame)
    train, test = slice(0, 700), slice(700, None)

    def error(**switch) -> float:
        forecaster = quick(epochs=12, **parameters, **switch).fit(features.iloc[train], value(frame)[train])
        return float(np.abs(forecaster.predict(features.iloc[test]) - value(frame)[test]).mean())

    blind = float(np.abs(value(frame)[test] - value(frame)[train].mean()).mean())
    assert error() < 0.5 * blind
    assert error(modalities=("scalars", "text", "audio", "video")) > 0.9 * blind


def test_a_switched_off_modality_changes_nothing(frame):
    features = without_labels(frame)
    fitted = quick(modalities=("scalars", "text")).fit(features, value(frame))
    changed = features.assign(image_00=99.0, audio_01=np.nan, film_00=0.0)
    assert np.array_equal(fitted.predict(changed), fitted.predict(features))
    assert list(fitted.matrix_.towers_) == ["scalars", "text"]


def test_the_latest_rows_only_say_when_to_stop(frame):
    features = without_labels(frame)
    order = np.random.default_rng(0).permutation(len(frame))
    one = quick().fit(features, value(frame))
    other = quick().fit(features.iloc[order], value(frame)[order])
    assert np.array_equal(one.predict(features), other.predict(features)), "rows are put in the order of time"
    late = value(frame).copy()
    late[-75:] += 50  # outcomes of the block are not learned
    assert quick(epochs=1).fit(features, late).curve_[0]["validation_loss"] > 2 * one.curve_[0]["validation_loss"]


def test_quantiles_rise_and_hold_their_share(frame):
    frame = with_content(make_frame(900, "pre", seed=6))
    features = without_labels(frame)
    fitted = quick(epochs=20).fit(features.iloc[:700], value(frame)[:700])
    said = fitted.predict_quantiles(features.iloc[700:])
    assert said.shape == (200, 7)
    assert (np.diff(said, axis=1) >= 0).all()
    below = (value(frame)[700:, None] <= said).mean(axis=0)
    assert below == pytest.approx(np.array(fitted.preset_.quantiles), abs=0.15)


def test_curves_are_told_in_the_units_of_the_board(frame):
    features, told = without_labels(frame), []
    with fit_run(FitRun(report=told.append)):
        fitted = quick(epochs=10).fit(features, value(frame))
        quick("fusion_network_classifier", preset="miles", epochs=2).fit(features, value(frame) > 8)
    late = np.abs(fitted.predict(features) - value(frame))[-75:].mean()
    assert min(facts["validation_mae"] for facts in told[:10]) == pytest.approx(late, rel=0.25)
    assert 0.5 < told[-1]["validation_auroc"] <= 1
    with fit_run(FitRun(report=told.append)):
        quick("fusion_network_classifier", epochs=1).fit(features, np.arange(len(frame)) < 100)
    assert "validation_auroc" not in told[-1], "a block of one class has none"


def test_the_class_network_learns_the_measured_outcome_beside(frame):
    label = (value(frame) >= np.percentile(value(frame), 80)).astype(int)
    features = without_labels(frame)
    alone = quick("fusion_network_classifier").fit(features, label)
    both = quick("fusion_network_classifier").fit(features, label, measured=value(frame))
    assert "heads.measured.weight" in both.weights_
    assert "heads.measured.weight" not in alone.weights_
    assert not np.array_equal(alone.decision_function(features), both.decision_function(features))
    order = np.argsort(both.decision_function(features))
    assert label[order[-100:]].mean() > 3 * label[order[:250]].mean()


def test_balanced_classes_raise_what_is_rare(frame, tmp_path):
    (tmp_path / "balanced.yaml").write_text("class_weights: balanced\nfocal_gamma: 1\n")
    label = (value(frame) >= np.percentile(value(frame), 90)).astype(int)
    features = without_labels(frame)
    plain, balanced = (
        quick("fusion_network_classifier", preset=preset).fit(features, label).predict_proba(features)[:, 1].mean()
        for preset in ("small", str(tmp_path / "balanced.yaml"))
    )
    assert balanced > plain + 0.1


def test_one_class_only_is_its_share(frame):
    fitted = quick("fusion_network_classifier").fit(without_labels(frame), np.zeros(len(frame)))
    assert fitted.predict_proba(without_labels(frame))[:, 1].max() < 1e-3


def test_ten_rows_are_refused(frame):
    with pytest.raises(ValueError, match="10 training rows are too few for the fusion network; it needs 50"):
        quick().fit(without_labels(frame).iloc[:10], value(frame)[:10])


def test_permuted_outcomes_are_not_forecast():
    frame = with_content(make_frame(900, "pre", seed=8))
    features = without_labels(frame)
    shuffled = np.random.default_rng(1).permutation(value(frame)[:700])
    said = make("fusion_network").fit(features.iloc[:700], shuffled).predict(features.iloc[700:])
    assert np.mean((said - value(frame)[700:]) ** 2) > 0.9 * np.var(value(frame)[700:])


def test_outcomes_and_features_that_are_no_numbers_are_named(frame):
    outcome = value(frame).copy()
    outcome[33] = np.nan
    with pytest.raises(ValueError, match=r"outcome of 1 training rows is no finite number \(videos v00033\)"):
        quick().fit(without_labels(frame), outcome)
    endless = without_labels(frame).assign(image_00=np.inf, audio_00=1.0)
    endless.loc[3, "image_00"] = 1.0
    with pytest.raises(ValueError, match="infinite in image_00"):
        quick().fit(endless, value(frame))


def test_a_learning_rate_that_explodes_names_the_batch(frame, tmp_path):
    with fit_run(FitRun(checkpoints=tmp_path)), pytest.raises(ValueError, match="lower learning_rate"):
        quick(learning_rate=1e30, epochs=30).fit(without_labels(frame), value(frame))
    assert len(json.loads((tmp_path / "diverged.json").read_text())["video_ids"]) > 40


def test_development_mode_learns_from_fewer_rows(frame):
    told = []
    with fit_run(FitRun(fraction=0.2, report=told.append)):
        quick().fit(without_labels(frame), value(frame))
    few, told = told[-1]["step"], []
    with fit_run(FitRun(report=told.append)):
        quick().fit(without_labels(frame), value(frame))
    assert few < 0.4 * told[-1]["step"]


def test_each_part_and_each_fit_has_its_own_checkpoints(tmp_path):
    frame = with_content(make_frame(300, "pre", seed=4))
    with fit_run(FitRun(checkpoints=tmp_path)):
        IntervalForecaster.fit(quick(), frame)
        quick(dropout=0.2).fit(without_labels(frame), value(frame))
    assert sorted(path.name.split("-")[0] for path in tmp_path.iterdir()) == ["calibration", "final", "final"]


def test_a_fit_that_is_done_is_read_and_not_repeated(frame, tmp_path):
    told = []
    with fit_run(FitRun(checkpoints=tmp_path, report=told.append)):
        first = quick().fit(without_labels(frame), value(frame))
        count = len(told)
        again = quick().fit(without_labels(frame), value(frame))
    assert len(told) == count
    assert np.array_equal(first.predict(frame), again.predict(frame))
    assert first.curve_ == again.curve_


def test_random_numbers_of_the_caller_are_left_alone(frame):
    import torch

    torch.manual_seed(5)
    before = torch.get_rng_state()
    quick(epochs=1).fit(without_labels(frame), value(frame))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_fits_of_the_board_teach_the_class_network_what_was_measured(frame):
    label, features = (value(frame) >= np.percentile(value(frame), 80)).astype(int), without_labels(frame)
    network = quick("fusion_network_classifier", epochs=1)
    fitted = ProbabilityForecaster.fit(network, frame, label)
    final = clone(network).fit(features, label, measured=value(frame))
    assert np.array_equal(fitted.forecaster.weights_["heads.measured.weight"], final.weights_["heads.measured.weight"])
    earlier, block = calibration_split(frame)
    first = clone(network).fit(features.iloc[earlier], label[earlier], measured=value(frame)[earlier])
    expected = Calibration().fit(first.decision_function(features.iloc[block]), label[block])
    assert fitted.calibration is not None and fitted.calibration.line_ == expected.line_


def test_a_bundle_serves_without_torch(tmp_path):
    frame = with_content(make_frame(300, "24h", seed=4))
    label = (value(frame) >= np.percentile(value(frame), 80)).astype(int)
    fitted = {
        "number": IntervalForecaster.fit(quick(epochs=1), frame),
        "class": ProbabilityForecaster.fit(quick("fusion_network_classifier", epochs=1), frame, label),
    }
    said = {name: each.predict(frame) for name, each in fitted.items()}
    joblib.dump((fitted, frame, said), tmp_path / "bundle")
    code = """if True:
        import sys, joblib, numpy as np
        fitted, frame, said = joblib.load(sys.argv[1])
        for name, each in fitted.items():
            for column, values in each.predict(frame).items():
                assert np.array_equal(values, said[name][column]), (name, column)
        assert "torch" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "bundle")], check=True)
