"""Training of the network and of the baseline on small lessons: it learns, goes on to the same bits, and is read back the same."""

import json
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from assets.language.emotion_model.decide import fit_decisions
from assets.language.emotion_model.examples import ExamplesError
from assets.language.emotion_model.fit import fit
from assets.language.emotion_model.metrics import f1_of
from assets.language.emotion_model.network_fit import FittedNetwork, fit_network, label_weights
from assets.language.emotion_model.recipe import Recipe
from assets.models.fit_run import FitRun, StoppedError
from assets.models.network.batches import length_order
from assets.models.network.losses import labels_objective
from resources.emotions.baseline import Baseline
from resources.emotions.decisions import Decisions
from resources.emotions.encoders import find_encoder
from resources.emotions.model import EmotionError, Manifest, load, seal
from resources.emotions.network import pretrained, save, tokens_read
from resources.encoders.base import EncoderError
from tests.emotions.lessons import LABELS, examples, save_roberta, tiny_encoder


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_encoder(tmp_path_factory.mktemp("encoder"))


TRAIN, DEV = examples(384, 0), examples(96, 1)


def recipe(encoder: Path, **given: object) -> Recipe:
    values = {"model": "transformers", "weights": str(encoder), "epochs": 5, "learning_rate": 1e-2, "batch_size": 16}
    return Recipe.model_validate(values | {"max_tokens": 24, "precision": "fp32", "checkpoint_steps": 5} | given)


@pytest.fixture(scope="module")
def fitted(encoder: Path) -> FittedNetwork:
    return fit_network(recipe(encoder), TRAIN, DEV, 0, FitRun())


def keep(fitted: FittedNetwork | Baseline, folder: Path, kind: str, logits: np.ndarray, **given: object) -> Path:
    folder.mkdir()
    fitted.save(folder, LABELS) if isinstance(fitted, FittedNetwork) else fitted.save(folder)
    decisions = fit_decisions(logits, DEV.truth, 0.0)
    seal(folder, Manifest.model_validate({"kind": kind, "name": "m", "labels": LABELS, "decisions": decisions} | given))
    return folder


def test_a_dev_file_of_training_texts_is_told_as_such() -> None:
    with pytest.raises(ExamplesError, match=r"384 training and 0 dev texts.*because they are also in train: 80\)"):
        fit(Recipe(model="tfidf"), TRAIN, TRAIN.take(slice(80)), 0, FitRun())


def test_it_learns_what_words_decide(fitted: FittedNetwork) -> None:
    logits = fitted.dev_logits[fitted.best_epoch]
    decisions = fit_decisions(logits, DEV.truth, 0.0)
    assert f1_of(decisions.decide(decisions.probabilities(logits)), DEV.truth).macro > 0.9
    assert fitted.dev_logits.shape == (5, 96, 4)
    assert [round(row["validation_macro_f1"], 3) for row in fitted.curve][-1] > 0.95


def test_a_bundle_gives_the_logits_of_the_best_epoch_whatever_else_is_in_the_batch(
    fitted: FittedNetwork, tmp_path: Path
) -> None:
    best = fitted.dev_logits[fitted.best_epoch]
    model = load(keep(fitted, tmp_path / "m", "network", best, max_tokens=fitted.max_tokens))
    assert model.labels == LABELS and model.name == "m"
    assert np.allclose(model.logits(DEV.texts), best, atol=1e-4)
    assert np.allclose(np.vstack([model.logits([text]) for text in DEV.texts[:7]]), best[:7], atol=1e-4)
    assert np.isfinite(model.logits(["😀😀", "Привет cat مرحبا", "dance " * 9000])).all()


def test_labels_in_another_order_than_the_weights_are_refused(fitted: FittedNetwork, tmp_path: Path) -> None:
    folder = keep(fitted, tmp_path / "m", "network", fitted.dev_logits[-1], max_tokens=24)
    stated = json.loads((folder / "emotions.json").read_text())
    stated["labels"] = list(reversed(LABELS))
    (folder / "emotions.json").write_text(json.dumps(stated))
    with pytest.raises(EmotionError, match="another order: joy, anger, sadness, neutral; wanted are neutral"):
        load(folder)


class _KilledError(Exception):
    """As a kill: nothing is saved at that moment."""


def test_a_fit_that_was_stopped_and_killed_goes_on_to_the_same_bits(
    encoder: Path, fitted: FittedNetwork, tmp_path: Path
) -> None:
    asked = count(1)
    with pytest.raises(StoppedError):  # in the first epoch
        fit_network(recipe(encoder), TRAIN, DEV, 0, FitRun(checkpoints=tmp_path, should_stop=lambda: next(asked) == 13))

    def killed() -> bool:
        if next(asked) == 50:  # in the second, between two checkpoints
            raise _KilledError
        return False

    with pytest.raises(_KilledError):
        fit_network(recipe(encoder), TRAIN, DEV, 0, FitRun(checkpoints=tmp_path, should_stop=killed))
    resumed = fit_network(recipe(encoder), TRAIN, DEV, 0, FitRun(checkpoints=tmp_path))
    assert np.array_equal(resumed.dev_logits, fitted.dev_logits)
    whole = fitted.network.state_dict()
    assert all(torch.equal(tensor, whole[name]) for name, tensor in resumed.network.state_dict().items())
    assert resumed.curve == fitted.curve


def test_a_checkpoint_of_another_label_order_is_not_gone_on_from(encoder: Path, tmp_path: Path) -> None:
    steps: list[float] = []
    run = FitRun(checkpoints=tmp_path, report=lambda facts: steps.append(facts["step"]))
    fit_network(recipe(encoder, epochs=1), TRAIN, DEV, 0, run)
    other = tuple(reversed(LABELS))
    fit_network(recipe(encoder, epochs=1), examples(384, 0, other), examples(96, 1, other), 0, run)
    assert steps == [24, 24] and len(list(tmp_path.iterdir())) == 2


def test_a_frozen_encoder_stays_as_it_was_and_its_head_learns(encoder: Path, tmp_path: Path) -> None:
    fitted = fit_network(recipe(encoder, head="frozen", epochs=40, learning_rate=0.05), TRAIN, DEV, 0, FitRun())
    assert fitted.curve[fitted.best_epoch]["validation_macro_f1"] > 0.6
    before = fit_network(recipe(encoder, head="frozen", epochs=1), TRAIN, DEV, 0, FitRun()).network.encoder.state_dict()
    assert all(torch.equal(tensor, before[name]) for name, tensor in fitted.network.encoder.state_dict().items())
    best = fitted.dev_logits[fitted.best_epoch]
    model = load(keep(fitted, tmp_path / "m", "network", best, max_tokens=24))
    assert np.allclose(model.logits(DEV.texts), best, atol=1e-4)


def test_layers_begin_to_learn_one_after_another(encoder: Path) -> None:
    first = fit_network(recipe(encoder, epochs=1, unfreeze_epochs=2), TRAIN, DEV, 0, FitRun())
    start = fit_network(recipe(encoder, head="frozen", epochs=1), TRAIN, DEV, 0, FitRun())
    assert all(
        torch.equal(tensor, start.network.encoder.state_dict()[name])
        for name, tensor in first.network.encoder.state_dict().items()
    ), "in the first epoch only the head learns"
    second = fit_network(recipe(encoder, epochs=2, unfreeze_epochs=2, patience=9), TRAIN, DEV, 0, FitRun())
    if second.best_epoch == 1:
        changed = {
            name
            for name, tensor in second.network.encoder.state_dict().items()
            if not torch.equal(tensor, start.network.encoder.state_dict()[name])
        }
        assert changed and all(name.startswith("encoder.layer.1.") for name in changed)


def test_rare_labels_weigh_more_and_probabilities_stay_those_of_the_data(encoder: Path) -> None:
    weights = label_weights(np.array([[True, False], [True, True], [True, False], [True, False]]), 0.5)
    assert weights.tolist() == [1.0, 2.0]
    fitted = fit_network(recipe(encoder, class_power=1.0, head="frozen", epochs=60), TRAIN, DEV, 0, FitRun())
    said = (1 / (1 + np.exp(-fitted.dev_logits[-1]))).mean(axis=0)
    assert said == pytest.approx(TRAIN.truth.mean(axis=0), abs=0.08)


def test_batches_are_of_like_length_and_hold_every_row_once() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 1000)
    batches = length_order(lengths, 16, 1, 2)
    assert sorted(np.concatenate(batches)) == list(range(1000))
    assert np.mean([np.ptp(lengths[batch]) for batch in batches]) < 5
    assert [batch.tolist() for batch in batches] == [batch.tolist() for batch in length_order(lengths, 16, 1, 2)]
    assert {len(batch) for batch in batches} == {15, 16}


def test_the_baseline_learns_and_is_read_back_the_same(tmp_path: Path) -> None:
    fitted = Baseline.fit(TRAIN.texts, TRAIN.truth, LABELS)
    logits = fitted.logits(DEV.texts)
    decisions = fit_decisions(logits, DEV.truth, 0.0)
    assert f1_of(decisions.decide(decisions.probabilities(logits)), DEV.truth).macro > 0.9
    model = load(keep(fitted, tmp_path / "m", "baseline", logits))
    assert np.array_equal(model.logits(DEV.texts), logits)
    assert np.isfinite(model.logits(["😀", "ж"])).all()
    assert not [path for path in (tmp_path / "m").iterdir() if path.suffix in (".pkl", ".joblib")]


def test_the_baseline_says_what_it_cannot_be_fitted_on() -> None:
    with pytest.raises(EmotionError, match="no term in common"):
        Baseline.fit(["a", "b"], np.eye(2, dtype=bool), ("joy", "anger"))
    one = Baseline.fit(TRAIN.texts, np.zeros((len(TRAIN), 1), bool), ("joy",))
    assert (one.logits(DEV.texts) < -4).all()


def test_an_unknown_encoder_and_missing_weights_name_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(
        EmotionError, match="no model 'gpt'; known are tfidf, minilm, bert-base, roberta-base, transformers"
    ):
        find_encoder("gpt")
    with pytest.raises(EmotionError, match="transformers needs `weights:`"):
        find_encoder("transformers")
    with pytest.raises(EncoderError, match=r"no config\.json"):
        find_encoder("bert-base", str(tmp_path))


def test_the_loss_weighs_labels_and_focal_loss_looks_away_from_what_is_easy() -> None:
    said = torch.tensor([[4.0, 0.0], [-4.0, 0.0]])
    batch = {"outcome": torch.tensor([[1.0, 1.0], [0.0, 0.0]])}
    entropy = torch.nn.functional.binary_cross_entropy_with_logits(said, batch["outcome"], reduction="none")
    plain = labels_objective(0.0, [3.0, 1.0])({"point": said}, batch)
    assert torch.allclose(plain, (entropy * torch.tensor([[3.0, 1.0], [1.0, 1.0]])).mean(1))
    focal = labels_objective(2.0, [3.0, 1.0])({"point": said}, batch)
    assert torch.allclose(focal[1], (entropy[1] * (-torch.expm1(-entropy[1])) ** 2).mean())
    assert focal[1] < 0.3 * plain[1]


def test_focal_loss_fits_too(encoder: Path) -> None:
    fitted = fit_network(recipe(encoder, focal_gamma=2.0, head="frozen", epochs=20), TRAIN, DEV, 0, FitRun())
    assert fitted.curve[-1]["train_loss"] < fitted.curve[0]["train_loss"]


def test_before_it_learns_a_network_says_how_often_labels_are(encoder: Path) -> None:
    fitted = fit_network(recipe(encoder, head="frozen", epochs=1, learning_rate=1e-9), TRAIN, DEV, 0, FitRun())
    said = (1 / (1 + np.exp(-fitted.dev_logits[0]))).mean(axis=0)
    assert said == pytest.approx(TRAIN.truth.mean(axis=0), abs=0.08)


def test_a_roberta_counts_positions_behind_its_padding_and_reads_the_first_token(tmp_path: Path) -> None:
    folder = save_roberta(tmp_path / "roberta")
    assert tokens_read(folder, 128) == 18, "two of the 20 positions are the padding's"
    network, _ = pretrained("roberta-base", str(folder), len(LABELS))
    assert network.pooling == "cls"
    (tmp_path / "m").mkdir()
    save(tmp_path / "m", network, folder, LABELS)
    decisions = Decisions(1.0, (0.5,) * 4)
    seal(tmp_path / "m", Manifest(kind="network", name="m", labels=LABELS, decisions=decisions, max_tokens=18))
    model = load(tmp_path / "m")
    together = model.logits(["cat", "dance " * 30, "cat dog goal"])
    assert np.allclose(
        together, np.vstack([model.logits([text]) for text in ("cat", "dance " * 30, "cat dog goal")]), atol=1e-5
    )
