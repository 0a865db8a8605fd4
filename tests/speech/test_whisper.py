"""Whisper from a folder: what it gives, what it is compared to, and what is wrong with a folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from resources.encoders.base import EncoderError
from resources.speech.transcripts import transcribe
from resources.speech.whisper import Whisper
from tests.speech import sounds
from tests.speech.tiny_whisper import save_whisper

SOUND = np.concatenate([sounds.silence(1.0), sounds.sentence(["one", "two", "three"])])


def loaded(folder: Path) -> Whisper:
    return Whisper(str(folder), device="cpu", precision="fp32")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_whisper(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def whisper(folder: Path) -> Whisper:
    return loaded(folder)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sounds") / "sound.wav"
    path.write_bytes(sounds.wav(SOUND))
    return path


def test_a_transcript_end_to_end_is_the_same_each_time(whisper: Whisper, file: Path, folder: Path) -> None:
    found = transcribe(file, whisper)
    assert found == transcribe(file, loaded(folder))
    assert found.text
    assert found.model == "tiny"
    assert found.language in ("en", "de", "ja")
    assert 1 / 3 <= found.language_confidence < 1
    assert 0 < found.confidence < 1
    edges = [edge for word in found.words for edge in (word.start, word.end)]
    assert edges == sorted(edges)
    assert 0.5 < edges[0] <= edges[-1] <= found.seconds


def test_tokens_are_those_of_the_library(whisper: Whisper) -> None:
    with torch.inference_mode():
        ((tokens, _),) = whisper._greedy(whisper._encoded([SOUND]), whisper._prompt("de"))
        features = whisper._extractor([SOUND], sampling_rate=16_000, return_tensors="pt").input_features
        said = whisper._model.generate(
            features, language="de", task="transcribe", return_timestamps=False, max_new_tokens=len(tokens)
        )
    assert said[0].tolist() == tokens


def test_a_window_does_not_depend_on_the_others(whisper: Whisper) -> None:
    others = [sounds.sentence(["four"] * 5), SOUND, sounds.noise(2.0, -20)]
    alone, together = whisper.recognise([SOUND], "en")[0], whisper.recognise(others, "en")[1]
    assert [word.text for word in alone.words] == [word.text for word in together.words]
    assert alone.confidence == pytest.approx(together.confidence, rel=1e-4)


def test_without_alignment_heads_there_are_no_word_times(tmp_path: Path, file: Path) -> None:
    found = transcribe(file, loaded(save_whisper(tmp_path / "tiny", alignment=False)))
    assert (found.timed, len(found.words)) == ("windows", 1)
    assert found.note is not None


def test_an_english_model(tmp_path: Path, file: Path) -> None:
    english = loaded(save_whisper(tmp_path / "tiny.en", languages=()))
    found = transcribe(file, english)
    assert (found.language, found.language_confidence) == ("en", 1.0)
    with pytest.raises(EncoderError, match="English only"):
        transcribe(file, english, "de")


def test_a_language_that_it_does_not_know(whisper: Whisper) -> None:
    with pytest.raises(EncoderError, match="'xx'; it knows de, en, ja"):
        whisper.recognise([SOUND], "xx")


def test_the_revision_follows_everything_that_decides_the_words(whisper: Whisper, tmp_path: Path) -> None:
    folder = save_whisper(tmp_path / "tiny")
    assert loaded(folder).revision == whisper.revision
    said = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps(said | {"suppress_tokens": [3]}))
    assert loaded(folder).revision != whisper.revision


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="there is no folder"):
        loaded(tmp_path / "nowhere")
    folder = save_whisper(tmp_path / "tiny")
    said = (folder / "generation_config.json").read_text()
    (folder / "generation_config.json").write_text("{}")
    with pytest.raises(EncoderError, match="no_timestamps_token_id"):
        loaded(folder)
    (folder / "generation_config.json").write_text(said)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))
    with pytest.raises(EncoderError, match="'bert'"):
        loaded(folder)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"tokenizer\.json"):
        loaded(folder)


def test_weights_that_are_cut_are_refused(tmp_path: Path) -> None:
    folder = save_whisper(tmp_path / "tiny")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(EncoderError, match="cannot be loaded"):
        loaded(folder).recognise([SOUND], "en")
