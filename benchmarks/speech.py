"""Speech on a folder of clips: the word error rate of a Whisper, its speed, and what the voice gate keeps.

`--data` names the folder: sounds, and JSON files that say the `words` of each by the name of its file without ending (as
speechbrain's do). Without it, sounds are made here. `--model` names the Whisper; without it a tiny one with random weights
stands in, and its word error rate says nothing but that everything runs.
"""

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import row
from resources.encoders.base import SAMPLE_RATE
from resources.media.films import Sound
from resources.media.states import MediaError
from resources.speech import sounds, voice
from resources.speech.transcripts import transcribe
from resources.speech.whisper import Whisper
from resources.speech.word_errors import word_errors
from tests.speech import sounds as made
from tests.speech.tiny_whisper import save_whisper

_PAUSE_S = 5.0
_ENDINGS = (".wav", ".flac", ".mp3", ".m4a", ".ogg", ".aac")


def run(*, quick: bool = False, data: Path | None = None, model: str | None = None) -> list[dict[str, Any]]:
    """Word errors with their interval, seconds of sound per second, and the gate on clips, pauses, silence and noise."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = data or _made_clips(Path(temporary) / "clips")
        files = sorted(path for path in folder.iterdir() if path.suffix in _ENDINGS)[: 3 if quick else None]
        weights = model or str(save_whisper(Path(temporary) / "tiny"))
        return [
            *_transcribed(files, _said(folder), weights, real=model is not None),
            *_gate(files, 20 if quick else 120),
        ]


def _transcribed(files: list[Path], said: dict[str, str], weights: str, *, real: bool) -> Iterator[dict[str, Any]]:
    whisper = Whisper(weights)
    pairs, heard_s, began = [], 0.0, time.perf_counter()
    for path in files:
        try:
            found = transcribe(path, whisper)
        except MediaError as error:
            text = ""
            print(f"{path.name}: {error}", file=sys.stderr)
        else:
            text = found.text
            heard_s += found.seconds
        if path.stem in said:
            pairs.append((said[path.stem], text))
    took = time.perf_counter() - began
    means = "reported" if real else "says nothing: random weights"
    if pairs:
        wrong = word_errors(pairs)
        figure = (
            f"word error rate of {whisper.name}, {wrong.transcripts} clips, {wrong.words} words, "
            f"95 % interval {wrong.low:.3f} to {wrong.high:.3f}"
        )
        yield row("speech", figure, wrong.rate, "errors per word", None, means, True)
    figure = f"sound transcribed by {whisper.name} ({whisper.device}, {whisper.precision}), {len(files)} clips"
    yield row("speech", figure, heard_s / took, "s per s", None, means, True)


def _gate(files: list[Path], seconds: float) -> Iterator[dict[str, Any]]:
    """What the gate keeps of clips with pauses between them, alone and in noise, and of sound without speech."""
    clips = [np.concatenate(list(sounds.blocks(sounds.open_sound(path)))) for path in files]
    pause = made.silence(_PAUSE_S)
    joined = np.concatenate([pause, *(part for clip in clips for part in (clip, pause))])
    spoken = np.concatenate([pause > 1, *(part for clip in clips for part in (np.abs(clip) < 9, pause > 1))])
    loudness = 10 * np.log10(float(np.square(joined[spoken]).mean()))
    for snr, least in ((None, 0.95), (20, 0.9), (10, 0.8)):
        sound = joined
        if snr is not None:
            sound = sound + made.noise(len(sound) / SAMPLE_RATE, loudness - snr, colour=1)
        found = _kept(sound)
        energy = float(np.square(joined[found]).sum() / np.square(joined).sum())
        what = "alone" if snr is None else f"{snr} dB above pink noise"
        target = f"at least {least}"
        yield row(
            "speech", f"energy of speech kept by the gate, {what}", energy, "share", None, target, energy >= least
        )
        false = float(found[~spoken].mean())
        yield row("speech", f"pauses taken for speech, {what}", false, "share", None, "at most 0.1", false <= 0.1)
    quiet = {"silence": made.silence(seconds)}
    quiet |= {f"{name} noise at -30 dB": made.noise(seconds, -30, colour) for name, colour in _COLOURS.items()}
    for name, sound in quiet.items():
        false = float(_kept(sound).mean())
        yield row("speech", f"{name} taken for speech, {seconds:g} s", false, "share", None, "none", false == 0)


_COLOURS = {"white": 0.0, "pink": 1.0, "brown": 2.0}


def _kept(sound: Sound) -> np.ndarray[Any, np.dtype[np.bool_]]:
    found = np.zeros(len(sound), bool)
    for each in voice.speech(voice.measure([sound])):
        found[each.start : each.stop] = True
    return found


def _said(folder: Path) -> dict[str, str]:
    """The words of clips by the name of their file, from the JSON files of a folder."""
    return {
        name: clip["words"]
        for path in sorted(folder.glob("*.json"))
        for name, clip in json.loads(path.read_text(encoding="utf-8")).items()
        if "words" in clip
    }


def _made_clips(folder: Path) -> Path:
    """Syllables that no Whisper knows, to see that everything runs."""
    folder.mkdir()
    words = {f"clip_{number}": ["one", "two", "three", "four"][: number + 2] for number in range(3)}
    for name, spoken in words.items():
        (folder / f"{name}.wav").write_bytes(made.wav(made.sentence(spoken)))
    (folder / "clips.json").write_text(json.dumps({name: {"words": " ".join(said)} for name, said in words.items()}))
    return folder
