"""Sound as vectors without a download: statistics of its spectrum, rhythm and pitch, on principal components.

Imported lazily only.
"""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.fft

from resources.encoders.base import SAMPLE_RATE, Content, Modality, Vectors
from resources.encoders.embedded import DescribedEncoder

_WINDOW, _HOP = 512, 256
_MELS, _CEPSTRA = 40, 20
_LONGEST_S = 90
_BLOCK = 8
"""Frames (128 ms) over which one pitch is told."""
_LAGS = 64
"""Frames (about 1 s) up to which the rhythm's autocorrelation is told."""
_FLOOR = 1e-8
Array = np.ndarray[Any, Any]


class SoundStatistics(DescribedEncoder):
    """Log-mel and cepstral statistics, spectral shape, onsets, chroma and steps of pitch; then PCA."""

    name = "sound-statistics"
    modality: Modality = "audio"
    preprocessing = f"sound-statistics-1:{_LONGEST_S}s"
    default_components: ClassVar[int] = 64

    def describe(self, batch: Sequence[Content]) -> Vectors:
        """Descriptors of float32 samples at 16 kHz, at most 90 s of each, shape (len(batch), 377)."""
        return np.stack([describe_sound(np.asarray(sound, np.float32)) for sound in batch])


def describe_sound(sound: Vectors) -> Vectors:
    """The descriptor of a sound, float32 [377]; NaN where it is empty or not finite throughout."""
    sound = sound[: _LONGEST_S * SAMPLE_RATE]
    if not len(sound) or not np.isfinite(sound).all():
        return np.full(377, np.nan, np.float32)
    if len(sound) < _WINDOW:
        sound = np.pad(sound, (0, _WINDOW - len(sound)))
    frames = np.lib.stride_tricks.sliding_window_view(sound, _WINDOW)[::_HOP]
    spectrum = scipy.fft.rfft(frames * _hann(), axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    mel = np.log(power @ _mel_filters().T + _FLOOR)
    parts = [_bands(mel), _shape(frames, power, mel), _rhythm(mel), _pitch(power)]
    return np.concatenate(parts).astype(np.float32)


@functools.cache
def _hann() -> Vectors:
    return np.hanning(_WINDOW + 1)[:-1].astype(np.float32)


@functools.cache
def _mel_filters() -> Vectors:
    """Triangular filters from 40 Hz to 8 kHz on the mel scale (O'Shaughnessy, 1987), [40, 257]."""
    lowest, highest = (1127 * float(np.log1p(hertz / 700)) for hertz in (40.0, SAMPLE_RATE / 2))
    edges = 700 * np.expm1(np.linspace(lowest, highest, _MELS + 2) / 1127)
    frequency = scipy.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    rising = (frequency - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequency) / (edges[2:] - edges[1:-1])[:, None]
    return np.asarray(np.maximum(0, np.minimum(rising, falling)), np.float32)


def _bands(mel: Vectors) -> Array:
    """Mean, spread, and 10th and 90th percentile of the mel bands (160); mean, spread and unrest of the cepstrum (60)."""
    ordered = np.sort(mel, axis=0)
    low, high = ordered[len(mel) // 10], ordered[(9 * (len(mel) - 1) + 9) // 10]
    cepstrum = scipy.fft.dct(mel, axis=1, norm="ortho")[:, :_CEPSTRA]
    unrest = np.abs(np.diff(cepstrum, axis=0)).mean(axis=0) if len(mel) > 1 else np.zeros(_CEPSTRA)
    return np.concatenate([mel.mean(0), mel.std(0), low, high, cepstrum.mean(0), cepstrum.std(0), unrest])


def _shape(frames: Vectors, power: Vectors, mel: Vectors) -> Array:
    """Mean and spread over frames of loudness (dB), zero crossings, centroid, bandwidth, flatness and rolloff (12)."""
    frequency = np.linspace(0, 1, power.shape[1], dtype=np.float32)
    total = power.sum(axis=1) + _FLOOR
    centroid = power @ frequency / total
    bandwidth = np.sqrt(np.maximum(power @ frequency**2 / total - centroid**2, 0))
    flatness = mel.mean(axis=1) - np.log(np.exp(mel).mean(axis=1))
    rolloff = (np.cumsum(power, axis=1) < 0.85 * total[:, None]).mean(axis=1)
    negative = np.signbit(frames[:, :_HOP])  # what follows is in the next frame
    crossings = (negative[:, 1:] != negative[:, :-1]).mean(axis=1)
    loudness = 10 * np.log10((frames**2).mean(axis=1) + _FLOOR)
    measured = np.stack([loudness, crossings, centroid, bandwidth, flatness, rolloff])
    return np.concatenate([measured.mean(axis=1), measured.std(axis=1)])


def _rhythm(mel: Vectors) -> Array:
    """Onset strength (mean, spread, highest), onsets per second, and its autocorrelation at up to 1 s (32)."""
    onset = np.maximum(np.diff(mel, axis=0, prepend=mel[:1]), 0).mean(axis=1)
    centred = onset - onset.mean()
    size = scipy.fft.next_fast_len(len(onset) + _LAGS, real=True)
    spectrum = scipy.fft.rfft(centred, size)
    lags = scipy.fft.irfft(spectrum.real**2 + spectrum.imag**2, size)[: _LAGS + 1]
    peaks = (onset[1:-1] > onset[:-2]) & (onset[1:-1] >= onset[2:]) & (onset[1:-1] > onset.mean() + onset.std())
    rate = peaks.sum() * SAMPLE_RATE / (_HOP * len(onset))
    periodicity = (lags[1:] / (lags[0] + _FLOOR)).reshape(-1, 2).mean(axis=1)
    return np.concatenate([[onset.mean(), onset.std(), onset.max(), rate], periodicity])


def _pitch(power: Vectors) -> Array:
    """Chroma over all: mean and spread (24), in each quarter of the time (48); pitch mean and spread (2), steps between blocks (25); change of chroma and of pitch (10)."""
    blocks = power[: len(power) // _BLOCK * _BLOCK].reshape(-1, _BLOCK, power.shape[1]).sum(axis=1)
    blocks = blocks if len(blocks) else power.sum(axis=0, keepdims=True)
    chroma = np.sqrt(blocks) @ _chroma_filters().T
    chroma = chroma / (chroma.sum(axis=1, keepdims=True) + _FLOOR)
    quarters = [chroma[rows].mean(axis=0) for rows in np.array_split(np.arange(len(chroma)), 4) if len(rows)]
    quarters += [quarters[-1]] * (4 - len(quarters))
    tones = _tones(blocks)
    steps = np.clip(np.round(np.diff(tones)), -12, 12).astype(np.intp) + 12
    shares = np.bincount(steps, minlength=25) / max(1, len(steps))
    change = np.abs(np.diff(chroma, axis=0)).sum(axis=1) if len(chroma) > 1 else np.zeros(1)
    spectrum = np.quantile(np.concatenate([change, [0.0]]), np.linspace(0.1, 1.0, 10))
    return np.concatenate([chroma.mean(0), chroma.std(0), *quarters, [tones.mean(), tones.std()], shares, spectrum])


def _tones(blocks: Vectors) -> Array:
    """The strongest frequency of each block between 80 Hz and 2 kHz, in semitones, by a parabola through its bin's neighbours."""
    first, last = 80 * _WINDOW // SAMPLE_RATE, 2_000 * _WINDOW // SAMPLE_RATE
    peak = blocks[:, first:last].argmax(axis=1) + first
    rows = np.arange(len(blocks))
    before, at, after = (np.log(blocks[rows, peak + shift] + _FLOOR) for shift in (-1, 0, 1))
    bend = before - 2 * at + after
    offset = np.where(np.abs(bend) > 1e-6, 0.5 * (before - after) / np.where(np.abs(bend) > 1e-6, bend, 1.0), 0.0)
    return np.asarray(12 * np.log2(peak + np.clip(offset, -0.5, 0.5)))


@functools.cache
def _chroma_filters() -> Vectors:
    """Which of the 12 pitch classes a frequency between 80 Hz and 4 kHz belongs to, shared between the two nearest, [12, 257]."""
    frequency = scipy.fft.rfftfreq(_WINDOW, 1 / SAMPLE_RATE)
    filters = np.zeros((12, len(frequency)), np.float32)
    for column, value in enumerate(frequency):
        if 80 <= value <= 4_000:
            semitone = 12 * np.log2(value / 440.0)
            below = int(np.floor(semitone))
            filters[below % 12, column] = 1 - (semitone - below)
            filters[(below + 1) % 12, column] += semitone - below
    return filters
