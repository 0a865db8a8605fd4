"""`upswell transcribe` on files and standard input, and what it says without a model."""

import io
import json
import sys
from pathlib import Path

import pytest

from resources.speech import whisper
from tests.cli.conftest import Upswell
from tests.speech import sounds
from tests.speech.sounds import TonesAsWords


@pytest.fixture
def with_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whisper, "Whisper", lambda weights: TonesAsWords(word_times=weights != "untimed"))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.wav"
    path.write_bytes(sounds.wav(sounds.sentence(["one", "two", "three"])))
    return path


@pytest.mark.usefixtures("home", "with_model")
def test_words_and_no_other_are_on_standard_output(upswell: Upswell, clip: Path) -> None:
    said = upswell("transcribe", str(clip), "--model", "tones")
    assert (said.code, said.out) == (0, "one two three\n")
    assert "words a minute" in said.err
    assert "no word times" in upswell("transcribe", str(clip), "--model", "untimed").err


@pytest.mark.usefixtures("home", "with_model")
def test_times_of_words(upswell: Upswell, clip: Path) -> None:
    said = upswell("transcribe", str(clip), "--model", "tones", "--words")
    assert [word for word in ("one", "two", "three") if word in said.out] == ["one", "two", "three"]
    (row,) = json.loads(upswell("transcribe", str(clip), "--model", "tones", "--words", "--json").out)
    assert [word["text"] for word in row["words"]] == ["one", "two", "three"]
    assert row["words"][1]["start"] == pytest.approx(0.8, abs=0.15)


@pytest.mark.usefixtures("home", "with_model")
def test_a_file_that_cannot_be_read_does_not_stop_the_others(upswell: Upswell, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.wav").touch()
    said = upswell("transcribe", str(tmp_path / "empty.wav"), str(clip), "--model", "tones", "--json")
    assert said.code == 2
    assert [(row["reason"], row["text"]) for row in json.loads(said.out)] == [("empty", ""), (None, "one two three")]
    assert "empty" in said.err and "Traceback" not in said.err


@pytest.mark.usefixtures("home", "with_model")
def test_silence_has_no_words_and_is_no_error(upswell: Upswell, tmp_path: Path) -> None:
    (tmp_path / "silent.wav").write_bytes(sounds.wav(sounds.silence(2.0)))
    said = upswell("transcribe", str(tmp_path / "silent.wav"), "--model", "tones")
    assert (said.code, said.out) == (0, "")
    assert "no-speech" in said.err


@pytest.mark.usefixtures("home", "with_model")
def test_standard_input(upswell: Upswell, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(clip.read_bytes())))
    assert upswell("transcribe", "-", "--model", "tones").out == "one two three\n"


def test_the_model_of_the_settings_is_used(
    upswell: Upswell, clip: Path, home: Path, with_model: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(whisper, "Whisper", lambda weights: asked.append(weights) or TonesAsWords())
    (home / "upswell.yaml").write_text("language: {transcripts: {model: whisper, weights: /models/whisper}}\n")
    assert upswell("transcribe", str(clip)).code == 0
    assert asked == ["/models/whisper"]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("arguments", "named"),
    [((), "--model"), (("--model", "./nowhere"), "there is no folder ./nowhere")],
    ids=["no model", "no such folder"],
)
def test_without_a_model_it_says_the_way_out(
    upswell: Upswell, clip: Path, arguments: tuple[str, ...], named: str
) -> None:
    said = upswell("transcribe", str(clip), *arguments)
    assert said.code == 2
    assert named in said.err
    assert "Traceback" not in said.err
    assert said.err.count("\n") == 1
