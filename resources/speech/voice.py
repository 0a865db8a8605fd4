"""Where somebody speaks: a gate of level and spectral flatness over a noise floor that follows the sound.

After Moattar and Homayounpour 2009, "A simple but efficient real-time voice activity detection algorithm" (energy and
spectral flatness, runs that are too short ignored), with the floor of Martin 2001, "Noise power spectral density
estimation based on optimal smoothing and minimum statistics": the lowest level of the last and next seconds. It tells
speech from silence, steady noise, hum and clicks; it does not tell speech from song. No model is run here.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from resources.encoders.base import SAMPLE_RATE
from resources.media.films import Sound

GATE = "1"
"""Version of the gate: transcripts of another one are made anew."""
FRAME = 320
"""Samples of a frame (20 ms)."""
LONGEST_S = 28.0
"""Seconds of the longest window: below the 30 s that Whisper reads at once."""

_BAND_HZ = (200.0, 4000.0)
_QUIETEST_DB = -90.0
_AUDIBLE_DB = -60.0
_OVER_FLOOR_DB = 8.0
_FLATTEST = 0.4  # of one frame of white noise it is about .56 (e to the -0.577), of a vowel below .2
_PIECE = 25  # frames (0.5 s) of which the floor takes a level
_REACH = 16  # pieces (8 s) to each side in which the floor looks for the lowest
_BRIDGED = 15  # frames (0.3 s) of a pause inside speech
_SHORTEST = 5  # voiced frames (0.1 s) below which it is a click
_PADDED = 12  # frames (0.24 s) kept around: what begins and ends a word is often voiceless
_TOGETHER_S = 1.5

Array = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Frames:
    """What the gate knows of every frame.

    Attributes:
        level: float32 [frames], dB of full scale between 200 and 4,000 Hz.
        flatness: float32 [frames], geometric over arithmetic mean of the power in that band, 0..1.
        samples: Samples of the whole sound.
    """

    level: Array
    flatness: Array
    samples: int


@dataclass(frozen=True)
class Speech:
    """A stretch of speech: its first sample, and the one after its last."""

    start: int
    stop: int


def measure(sound: Iterable[Sound]) -> Frames:
    """Level and flatness of the frames of a sound: 8 bytes for 20 ms of it.

    Args:
        sound: Its blocks, all but the last of a whole number of frames. What is left over at the end is not looked at.
    """
    levels, flatnesses, samples = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)], 0
    for block in sound:
        samples += len(block)
        level, flatness = _described(block[: len(block) // FRAME * FRAME].reshape(-1, FRAME))
        levels.append(level)
        flatnesses.append(flatness)
    return Frames(np.concatenate(levels), np.concatenate(flatnesses), samples)


def speech(frames: Frames) -> list[Speech]:
    """The stretches in which somebody speaks, in order and apart."""
    loud = frames.level > np.maximum(floor(frames.level) + _OVER_FLOOR_DB, _AUDIBLE_DB)
    voiced = loud & (frames.flatness < _FLATTEST)
    found: list[tuple[int, int]] = []
    for start, stop in _runs(_bridged(voiced)):
        if int(voiced[start:stop].sum()) >= _SHORTEST:
            start, stop = max(0, start - _PADDED), stop + _PADDED
            if found and start <= found[-1][1]:
                start = found.pop()[0]
            found.append((start, stop))
    return [Speech(start * FRAME, min(stop * FRAME, frames.samples)) for start, stop in found]


def windows(frames: Frames, spoken: list[Speech]) -> list[Speech]:
    """Stretches of speech put together, or cut where it is most quiet, to windows of at most 28 s.

    After Bain et al. 2023, "WhisperX: Time-accurate speech transcription of long-form audio" (cut and merge): a window
    begins and ends in a pause, so that no word is cut and none is heard twice.
    """
    longest, together = round(LONGEST_S * SAMPLE_RATE), round(_TOGETHER_S * SAMPLE_RATE)
    found: list[Speech] = []
    for each in spoken:
        for part in _cut(frames, each, longest):
            before = found[-1] if found else None
            if before and part.start - before.stop <= together and part.stop - before.start <= longest:
                found[-1] = Speech(before.start, part.stop)
            else:
                found.append(part)
    return found


def floor(level: Array) -> Array:
    """Level of the background at every frame, dB: the lowest of the half seconds within 8 s.

    A half second's level is that which a fifth of its frames lie below, so that one dropped-out frame is no floor.
    """
    if not len(level):
        return level
    count = -(-len(level) // _PIECE)
    padded = np.pad(level, (0, count * _PIECE - len(level)), mode="edge")
    pieces = np.quantile(padded.reshape(count, _PIECE), 0.2, axis=1)
    around = np.lib.stride_tricks.sliding_window_view(np.pad(pieces, _REACH, mode="edge"), 2 * _REACH + 1)
    return np.repeat(around.min(axis=1), _PIECE)[: len(level)].astype(np.float32)


def _described(frames: Sound) -> tuple[Array, Array]:
    from scipy.fft import rfft  # ten times as fast as numpy's on many short rows of float32

    window = np.hanning(FRAME).astype(np.float32)
    first, last = (round(hertz * FRAME / SAMPLE_RATE) for hertz in _BAND_HZ)
    spectrum = rfft(frames * window, axis=1)[:, first : last + 1]
    power = (spectrum.real**2 + spectrum.imag**2) / float(np.square(window).sum() * FRAME / 2)
    band = power + np.float32(1e-12)
    level = np.maximum(10 * np.log10(band.sum(axis=1)), _QUIETEST_DB)
    flatness = np.exp(np.log(band).mean(axis=1)) / band.mean(axis=1)
    return level.astype(np.float32), flatness.astype(np.float32)


def _bridged(voiced: "np.ndarray[Any, np.dtype[np.bool_]]") -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """The same with short pauses between voiced frames filled."""
    filled = voiced.copy()
    at = np.flatnonzero(voiced)
    for before, after in itertools.pairwise(at):
        if 1 < after - before <= _BRIDGED + 1:
            filled[before:after] = True
    return filled


def _runs(voiced: "np.ndarray[Any, np.dtype[np.bool_]]") -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], voiced, [False]]).astype(np.int8)))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _cut(frames: Frames, spoken: Speech, longest: int) -> Iterator[Speech]:
    """A stretch in parts of at most `longest` samples, each cut at the most quiet frame of its last third."""
    start = spoken.start
    while spoken.stop - start > longest:
        last = (start + longest) // FRAME
        first = last - longest // FRAME // 3
        stop = (first + int(np.argmin(frames.level[first:last]))) * FRAME
        yield Speech(start, stop)
        start = stop
    yield Speech(start, spoken.stop)
