"""The second stage, on a tiny BERT: which layers learn, that forecasts are those of what was tuned, and going on."""

import pickle
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from assets.models.fit_run import FitRun, StoppedError, fit_run
from assets.models.intervals import without_labels
from assets.models.network.forecaster import FusionNetworkForecaster
from assets.models.network.preset import load_preset
from assets.models.network.titles import TitleEncoder
from assets.models.network.towers import Network
from assets.models.network.tuning import TunedNetwork
from resources.encoders.base import EncoderError
from tests.encoders import tiny_models
from tests.models.frames import make_frame

STAGE = "fine_tune: {{encoder: transformers-mean, weights: {}, layers: {}, epochs: 3, learning_rate: 0.003, batch_size: 32}}"


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Path:
    return tiny_models.save_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def frame():
    return make_frame(240, "pre", seed=5)


def preset(folder: Path, bert: Path, layers: int = 1, extra: str = "") -> str:
    path = folder / "tuned.yaml"
    path.write_text(f"modalities: [text]\nepochs: 2\ntitle_components: 0\n{extra}{STAGE.format(bert, layers)}\n")
    return str(path)


def fit(frame, name: str, run: FitRun | None = None) -> FusionNetworkForecaster:
    frame = frame.assign(text_00=0.0)
    with fit_run(run or FitRun()):
        return FusionNetworkForecaster(name).fit(without_labels(frame), frame["value"].to_numpy())


def test_only_the_last_layer_learns_and_forecasts_are_those_of_the_tuned_encoder(frame, bert, tmp_path):
    fitted = fit(frame, preset(tmp_path, bert))
    untouched = TitleEncoder("transformers-mean", str(bert))
    untouched.fit_transform(frame["title"].to_numpy(dtype=object))
    tuned = fitted.matrix_.encoder_.state_
    changed = {name for name, array in tuned.items() if not np.array_equal(array, untouched.state_[name])}
    assert changed
    assert all(name.startswith("encoder.layer.1.") for name in changed)
    assert [epoch["epoch"] for epoch in fitted.curve_] == [0, 1, 2, 3, 4], "two stages"
    features = frame.assign(text_00=0.0)
    said = fitted.predict(features)
    assert np.unique(said).size > 100
    assert np.array_equal(fitted.predict(features.iloc[[7]]), said[[7]]), "a title alone is the same to the bit"
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).predict(features), said)
    fitted.matrix_.encoder_.replace(untouched.state_)
    assert not np.array_equal(fitted.predict(features), said)


def test_a_second_stage_that_gains_nothing_leaves_the_first(frame, bert, tmp_path):
    name, told = preset(tmp_path, bert), []
    path = Path(name)
    path.write_text(path.read_text().replace("learning_rate: 0.003", "learning_rate: 30.0"))
    fitted = fit(frame, name, FitRun(report=told.append))
    losses = [epoch["validation_loss"] for epoch in fitted.curve_]
    assert min(losses[2:]) > min(losses[:2])
    path.write_text(path.read_text().split("fine_tune")[0] + STAGE.format(bert, 1).replace("0.003", "1e-9"))
    still = fit(frame, name)
    assert all(np.allclose(fitted.weights_[each], still.weights_[each], atol=1e-5) for each in still.weights_)
    assert all(b["step"] > a["step"] for a, b in pairwise(told)), "steps and epochs count on"


def test_layers_are_unfrozen_one_by_one_from_the_last(bert):
    titles = TitleEncoder("transformers-mean", str(bert))
    titles.fit_transform(np.array(["cat", "dog dance"], dtype=object))
    network = Network(load_preset("small"), {"text": 16}, {"point": 1})
    whole = TunedNetwork(network, titles, slice(0, 16), 2)

    def learning() -> set[str]:
        return {name.split(".")[2] for name, each in whole.encoder.model.named_parameters() if each.requires_grad}

    whole.unfreeze(0)
    assert learning() == {"1"}
    whole.unfreeze(1)
    assert learning() == {"0", "1"}
    whole.unfreeze(7)
    assert learning() == {"0", "1"}
    assert all(each.requires_grad for each in network.parameters())
    with pytest.raises(EncoderError, match="has 2 layers, not 3"):
        TunedNetwork(network, titles, slice(0, 16), 3)


def test_live_vectors_are_those_that_the_matrix_holds(bert):
    titles = TitleEncoder("transformers-mean", str(bert))
    texts = np.array(["cat dance", "dog", "the recipe of a song in news", ""], dtype=object)
    held = titles.fit_transform(texts)
    assert np.allclose(titles.transform(texts), held, atol=1e-4)
    assert np.abs(held.mean(axis=0)).max() < 1e-5


def test_an_interrupted_second_stage_goes_on_to_the_same_weights(frame, bert, tmp_path):
    name = preset(tmp_path, bert, 2)
    whole = fit(frame, name)
    steps = iter(range(1000))
    run = FitRun(checkpoints=tmp_path / "kept", should_stop=lambda: next(steps) == 14)
    with pytest.raises(StoppedError):
        fit(frame, name, run)
    resumed = fit(frame, name, FitRun(checkpoints=tmp_path / "kept"))
    assert all(np.array_equal(resumed.weights_[each], whole.weights_[each]) for each in whole.weights_)
    state = whole.matrix_.encoder_.state_
    assert all(np.array_equal(resumed.matrix_.encoder_.state_[each], state[each]) for each in state)
    assert resumed.curve_ == whole.curve_


def test_an_encoder_without_a_network_is_refused(frame, tmp_path):
    (tmp_path / "own.yaml").write_text(
        "fine_tune: {encoder: tfidf-svd, layers: 1, epochs: 1, learning_rate: 0.1, batch_size: 8}"
    )
    with pytest.raises(EncoderError, match="tfidf-svd has no network to tune"):
        fit(frame, str(tmp_path / "own.yaml"))


def test_without_titles_there_is_nothing_to_tune(frame, bert, tmp_path):
    with pytest.raises(ValueError, match="the frame has no column title"):
        fit(frame.drop(columns="title"), preset(tmp_path, bert))


def test_bf16_is_used_where_it_is_asked_for(frame, tmp_path):
    (tmp_path / "half.yaml").write_text("precision: bf16\nepochs: 1\n")
    (tmp_path / "full.yaml").write_text("precision: fp32\nepochs: 1\n")
    half, full = (fit(frame, str(tmp_path / name)) for name in ("half.yaml", "full.yaml"))
    assert half.weights_["hidden.0.weight"].dtype == np.float32
    difference = np.abs(half.weights_["hidden.0.weight"] - full.weights_["hidden.0.weight"]).max()
    assert 0 < difference < 0.1
    assert not torch.is_autocast_enabled("cpu")
