"""From files of every kind, whole and damaged, to words with times, or to a reason why there are none."""

import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resources.encoders.base import SAMPLE_RATE
from resources.media.films import Sound
from resources.media.states import MediaError, Reason, after_failure
from resources.speech import sounds as decoded
from resources.speech.transcripts import Transcript, transcribe
from tests.media import make
from tests.media.conftest import NOW
from tests.speech import sounds
from tests.speech.sounds import TonesAsWords

SAID = ["one", "two", "three"]


@pytest.fixture
def put(tmp_path: Path) -> Any:
    def write(data: bytes, name: str = "sound") -> Path:
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


def heard(path: Path, **how: Any) -> Transcript:
    return transcribe(path, TonesAsWords(), **how)


def refused(path: Path) -> MediaError:
    with pytest.raises(MediaError) as caught:
        heard(path)
    return caught.value


def test_words_with_times_language_confidence_and_rate(put: Any) -> None:
    sound = np.concatenate([sounds.silence(2.0), sounds.sentence(SAID), sounds.silence(1.0)])
    found = heard(put(sounds.wav(sound)))
    assert found.text == "one two three"
    assert [word.text for word in found.words] == SAID
    for number, word in enumerate(found.words):
        assert word.start == pytest.approx(2.0 + 0.8 * number, abs=0.15)
        assert word.end == pytest.approx(2.6 + 0.8 * number, abs=0.15)
    assert (found.language, found.language_confidence, found.confidence) == ("en", 0.75, 0.5)
    assert found.seconds == pytest.approx(5.4, abs=0.01)
    assert 1.8 < found.speech_seconds < 3.0
    assert found.words_per_minute == pytest.approx(3 / found.speech_seconds * 60)
    assert (found.model, found.timed, found.note) == ("tones", "words", None)


def test_a_language_that_is_given_is_not_detected(put: Any) -> None:
    found = heard(put(sounds.wav(sounds.sentence(SAID))), language="de")
    assert (found.language, found.language_confidence) == ("de", 1.0)


def test_without_word_times_those_of_the_windows_stand_and_it_says_so(put: Any) -> None:
    found = transcribe(put(sounds.wav(sounds.sentence(SAID))), TonesAsWords(word_times=False))
    assert (found.timed, len(found.words), found.text) == ("windows", 1, "one two three")
    assert found.note is not None and "no word times" in found.note
    assert found.words_per_minute == pytest.approx(3 / found.speech_seconds * 60)


def test_long_sound_is_heard_in_windows_with_times_of_the_whole(put: Any) -> None:
    said = [SAID[number % 3] for number in range(100)]
    recogniser = TonesAsWords()
    found = transcribe(put(sounds.wav(np.concatenate([sounds.silence(40.0), sounds.sentence(said)]))), recogniser)
    assert [word.text for word in found.words] == said
    times = np.array([word.start for word in found.words])
    assert np.abs(times - (40 + 0.8 * np.arange(100))).max() < 0.15
    assert len(recogniser.asked) >= 3
    assert all(seconds <= 30 for seconds, _ in recogniser.asked)


def test_speech_without_a_pause_is_cut_where_it_is_most_quiet(put: Any) -> None:
    said = [SAID[number % 3] for number in range(80)]
    found = heard(put(sounds.wav(sounds.sentence(said, pause=0.1))))
    assert [word.text for word in found.words] == said


@pytest.mark.parametrize("ending", ["mp3", "m4a", "aac", "ogg", "flac", "wav", "mp4", "webm"])
def test_every_format_is_read(ending: str, put: Any, tmp_path: Path) -> None:
    source = put(sounds.wav(np.concatenate([sounds.silence(0.5), sounds.sentence(SAID)])), "source.wav")
    film = ending in ("mp4", "webm")
    path = make.film(
        tmp_path / f"made.{ending}",
        seconds=3.0,
        rate=5,
        picture="color" if film else None,
        sound=f"amovie={source}",
        options=("-deadline", "realtime") if ending == "webm" else (),
    )
    assert heard(path).text == "one two three"


@pytest.mark.parametrize(
    "sound",
    [
        sounds.silence(3.0),
        sounds.noise(3.0, -30),
        sounds.noise(3.0, -45, colour=1),
        sounds.noise(3.0, -45, colour=2),
        np.full(3 * SAMPLE_RATE, 0.3, np.float32),
        (0.3 * np.sin(np.arange(3 * SAMPLE_RATE) * 2 * np.pi * 100 / SAMPLE_RATE)).astype(np.float32),
    ],
    ids=["silence", "white noise", "pink noise", "brown noise", "an offset", "hum"],
)
def test_where_nobody_speaks_there_are_no_words_and_no_model_is_asked(sound: Sound, put: Any) -> None:
    recogniser = TonesAsWords()
    with pytest.raises(MediaError) as caught:
        transcribe(put(sounds.wav(sound)), recogniser)
    assert (caught.value.reason, recogniser.asked) == (Reason.NO_SPEECH, [])


def test_what_decodes_to_nothing_twice_is_terminal() -> None:
    nothing = MediaError(Reason.NO_SPEECH, "nobody speaks")
    assert after_failure(nothing, 1, 2, NOW).state == "retryable"
    assert after_failure(nothing, 2, 2, NOW).state == "terminal"


# Faults -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("said_size", [0, 10**9, 2**32 - 1])
def test_a_wav_header_that_lies_of_its_length(said_size: int, put: Any) -> None:
    data = bytearray(sounds.wav(sounds.sentence(SAID)))
    data[40:44] = struct.pack("<I", said_size)
    assert heard(put(bytes(data))).text == "one two three"


@pytest.mark.parametrize(
    ("at", "value"),
    [(22, b"\0\0"), (22, b"\x60\xea"), (24, b"\0\0\0\0"), (24, b"\xff\xff\xff\x7f"), (34, b"\0\0"), (20, b"\0\0")],
    ids=["no channel", "60,000 channels", "rate 0", "a rate of 2 GHz", "no bits", "no format"],
)
def test_a_wav_header_of_an_impossible_form(at: int, value: bytes, put: Any) -> None:
    data = bytearray(sounds.wav(sounds.sentence(SAID)))
    data[at : at + len(value)] = value
    error = refused(put(bytes(data)))
    assert error.reason is Reason.UNDECODABLE
    assert error.detail and "0x" not in error.detail


def test_eight_bits(put: Any) -> None:
    assert heard(put(sounds.wav(sounds.sentence(SAID), bits=8))).text == "one two three"


def test_five_channels_and_a_deep_one(put: Any) -> None:
    assert heard(put(sounds.wav(sounds.sentence(SAID), channels=6))).text == "one two three"


def test_a_tenth_of_a_second(put: Any) -> None:
    assert refused(put(sounds.wav(sounds.spoken("one")[:1600]))).reason is Reason.NO_SPEECH


def test_a_film_without_sound(tmp_path: Path) -> None:
    assert refused(make.film(tmp_path / "silent.mp4", seconds=0.5, sound=None)).reason is Reason.NO_SOUND


def test_a_picture(put: Any) -> None:
    assert refused(put(make.picture())).reason is Reason.NO_SOUND


def test_an_mp3_cut_in_the_middle_gives_the_words_before_the_cut(put: Any, tmp_path: Path) -> None:
    source = put(sounds.wav(sounds.sentence(SAID * 4)), "source.wav")
    whole = make.film(tmp_path / "whole.mp3", seconds=9.6, picture=None, sound=f"amovie={source}").read_bytes()
    words = heard(put(whole[: len(whole) // 2])).text.split()
    assert 4 <= len(words) < 12
    assert words == (SAID * 4)[: len(words)]


def test_the_first_bytes_of_an_mp3_only(put: Any, tmp_path: Path) -> None:
    whole = make.film(tmp_path / "whole.mp3", seconds=1.0, picture=None).read_bytes()
    assert refused(put(whole[:60])).reason is Reason.UNDECODABLE


def test_samples_that_are_no_numbers_are_silence(put: Any) -> None:
    sound = sounds.sentence(SAID)
    sound[12_800 + 9600 + 100 : 12_800 + 9600 + 1600] = np.nan  # in the pause after the second word
    sound[:10] = np.inf
    assert heard(put(sounds.float_wav(sound))).text == "one two three"


def test_no_sample_is_a_number(put: Any) -> None:
    error = refused(put(sounds.float_wav(np.full(SAMPLE_RATE, np.nan, np.float32))))
    assert error.reason is Reason.UNDECODABLE


def test_an_empty_file(put: Any) -> None:
    assert refused(put(b"")).reason is Reason.EMPTY


def test_a_file_that_is_gone(tmp_path: Path) -> None:
    assert refused(tmp_path / "gone.wav").reason is Reason.NOT_FOUND


@pytest.mark.parametrize("data", [b"just a text", b"#EXTM3U\nhttp://example.org/a.ts\n", bytes(range(256)) * 8])
def test_what_is_no_sound(data: bytes, put: Any) -> None:
    assert refused(put(data)).reason in (Reason.UNSUPPORTED, Reason.UNDECODABLE)


def test_four_hours_in_bounded_memory(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hours, spoken = 4, sounds.sentence(SAID)

    def four_hours(source: decoded.Source, seconds: float = 30) -> Iterator[Sound]:
        for number in range(hours * 120):
            block = sounds.silence(30)
            if number % 120 == 60:
                block[: len(spoken)] = spoken
            yield block

    monkeypatch.setattr(decoded, "blocks", four_hours)
    path = put(sounds.wav(sounds.silence(0.1)))
    tracemalloc.start()
    found = heard(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.text.split() == SAID * hours
    assert [round(word.start) for word in found.words[::3]] == [1800, 5400, 9000, 12600]
    assert found.seconds == hours * 3600
    assert peak < 60_000_000  # the samples alone would be 920 MB


def test_a_decoder_that_hangs_is_stopped(put: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "_PATIENCE_S", 0.2)
    monkeypatch.setattr(decoded.films, "command", lambda arguments: ["sleep", "60"])
    source = decoded.Source(put(b"x"), 0)
    with pytest.raises(MediaError) as caught:
        list(decoded.blocks(source))
    assert caught.value.reason is Reason.TOO_SLOW
