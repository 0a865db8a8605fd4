"""Sounds to transcribe, made anew each time, and a recogniser that hears tones as words; other tests may import it."""

import io
import struct
import wave
from collections.abc import Sequence
from typing import Any

import numpy as np

from resources.encoders.base import SAMPLE_RATE
from resources.media.films import Sound
from resources.speech.transcripts import Heard, Word

HERTZ = {"one": 220.0, "two": 330.0, "three": 440.0, "four": 550.0}
"""The pitch of every word that the recogniser knows."""


def silence(seconds: float) -> Sound:
    return np.zeros(round(seconds * SAMPLE_RATE), np.float32)


def noise(seconds: float, loudness_db: float, colour: float = 0.0, seed: int = 0) -> Sound:
    """Noise of a loudness (dB of full scale, RMS) whose power falls with frequency to the power of `colour`."""
    spectrum = np.fft.rfft(np.random.default_rng(seed).normal(size=round(seconds * SAMPLE_RATE)))
    spectrum /= np.maximum(np.arange(len(spectrum)), 1) ** (colour / 2)
    sound = np.fft.irfft(spectrum, round(seconds * SAMPLE_RATE))
    return (sound / np.sqrt((sound**2).mean()) * 10 ** (loudness_db / 20)).astype(np.float32)


def spoken(word: str, seconds: float = 0.6) -> Sound:
    """A word as the recogniser knows it: harmonics of a pitch that swell and fade as syllables do."""
    times = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    tone = np.sum([np.sin(2 * np.pi * HERTZ[word] * k * times) / k for k in range(1, 6)], axis=0)
    return (0.2 * tone * np.sin(np.pi * times / seconds) ** 2).astype(np.float32)


def sentence(words: Sequence[str], pause: float = 0.2) -> Sound:
    """Words with pauses between them."""
    return np.concatenate([part for word in words for part in (spoken(word), silence(pause))])


def wav(sound: Sound, *, bits: int = 16, channels: int = 1, rate: int = SAMPLE_RATE) -> bytes:
    """A WAV of whole numbers; every channel is the same."""
    samples = np.repeat(sound, channels)
    whole = (samples * 127 + 128).astype("u1") if bits == 8 else np.rint(samples * 32767).astype("<i2")
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(bits // 8)
        file.setframerate(rate)
        file.writeframes(whole.tobytes())
    return target.getvalue()


def float_wav(sound: Sound) -> bytes:
    """A WAV of float32 samples, which may be no numbers."""
    data = sound.astype("<f4").tobytes()
    form = struct.pack("<HHIIHH", 3, 1, SAMPLE_RATE, SAMPLE_RATE * 4, 4, 32)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


class TonesAsWords:
    """A recogniser of `spoken` words, with word times; notes the windows that it is given.

    Args:
        word_times: Whether it says when each word was said.
    """

    def __init__(self, word_times: bool = True) -> None:
        self.name, self.revision, self.word_times = "tones", "1", word_times
        self.asked: list[tuple[float, str]] = []

    def language(self, windows: Sequence[Sound]) -> tuple[str, float]:
        return "en", 0.75

    def recognise(self, windows: Sequence[Sound], language: str) -> list[Heard]:
        self.asked += [(len(window) / SAMPLE_RATE, language) for window in windows]
        return [self._heard(window) for window in windows]

    def _heard(self, window: Sound) -> Heard:
        quiet = np.convolve(np.abs(window), np.ones(800) / 800, "same") < 0.01
        edges = np.flatnonzero(np.diff(np.concatenate([[True], quiet, [True]]).astype(int)))
        words: list[Word] = []
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if stop - start > 1600:
                words.append(Word(" " + _nearest(window[start:stop]), start / SAMPLE_RATE, stop / SAMPLE_RATE))
        if words and not self.word_times:
            words = [Word("".join(word.text for word in words), 0.0, len(window) / SAMPLE_RATE)]
        return Heard(tuple(words), 0.5 if words else 0.0, len(words))


def _nearest(sound: Sound) -> str:
    spectrum: Any = np.abs(np.fft.rfft(sound))
    pitch = spectrum.argmax() * SAMPLE_RATE / len(sound)
    return min(HERTZ, key=lambda word: abs(HERTZ[word] - pitch))
