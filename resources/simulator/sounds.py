"""Sounds of the simulated platform, synthesised from what a video is, as float32 samples or WAV.

A sound shows its style by melody, tempo and timbre; key, loudness and noise are drawn for the video and mean nothing.
Which videos have sound is in `media`.
"""

import io
import wave
from dataclasses import dataclass

import numpy as np

from resources.simulator.vocabulary import STYLES

RATE = 16_000
"""Samples per second (Hz)."""
FULL_SCALE = 32767


@dataclass(frozen=True)
class Instrument:
    """How a note sounds.

    Attributes:
        partials: Amplitude of the fundamental and of each overtone.
        attack_s: Seconds until a note is at its loudest.
        decay_s: Seconds in which it then falls to 1/e.
    """

    partials: tuple[float, ...]
    attack_s: float
    decay_s: float


@dataclass(frozen=True)
class _Tune:
    """What a style plays: semitones above the key, seconds per note, instrument, and noise on every beat."""

    notes: tuple[int, ...]
    note_s: float
    instrument: Instrument
    drum: float


_TUNES: dict[str, _Tune] = dict(
    zip(
        STYLES,
        (
            _Tune((0, 4, 2, 5, 4, 12), 0.25, Instrument((1.0, 0.2), 0.03, 0.3), 0.0),
            _Tune((0, 0, 5, 5, 7, 7, 12, 12), 0.18, Instrument((1.0, 0.0, 0.5, 0.0, 0.3), 0.005, 0.06), 0.0),
            _Tune((0, 7, 12, 7) * 4, 0.095, Instrument((1.0, 0.7, 0.5, 0.4, 0.3), 0.004, 0.2), 0.8),
            _Tune((0, 4, 7, 12, 7, 4), 0.27, Instrument((1.0, 0.05, 0.25), 0.004, 0.12), 0.1),
            _Tune((-12, -9, -14), 0.55, Instrument((1.0, 0.5, 0.2), 0.15, 1.5), 0.0),
            _Tune((-5,), 1.5, Instrument((1.0, 0.1), 0.3, 4.0), 0.02),
        ),
        strict=True,
    )
)


def tune(style: int, rng: np.random.Generator) -> np.ndarray:
    """The sound of a video: float32 [samples] in -1..1 at RATE, 1 to 2 seconds."""
    played = _TUNES[STYLES[style]]
    note_s = played.note_s * float(rng.uniform(0.88, 1.14))
    key = 330.0 * 2 ** (rng.integers(-4, 5) / 12)
    sound = play(np.array(played.notes), note_s, key, played.instrument)
    if played.drum:
        beats = np.arange(len(sound)) % round(note_s * 2 * RATE) / RATE
        sound += played.drum * np.exp(-beats / 0.03) * rng.standard_normal(len(sound), dtype=np.float32)
    sound += 0.02 * rng.standard_normal(len(sound), dtype=np.float32)
    return np.asarray(sound * (rng.uniform(0.2, 0.9) / np.abs(sound).max()), dtype=np.float32)


def play(semitones: np.ndarray, note_s: float, key_hz: float, instrument: Instrument) -> np.ndarray:
    """Notes one after another, each `note_s` long and equally loud: float32 [samples].

    Overtones come from the fundamental by sin((k+1)x) = 2 cos(x) sin(kx) - sin((k-1)x): one sine per sample.
    """
    t = np.arange(round(note_s * RATE)) / RATE
    phase = 2 * np.pi * key_hz * 2 ** (semitones[:, None] / 12) * t
    wave_, before, twice = np.sin(phase), np.zeros_like(phase), 2 * np.cos(phase)
    total = np.zeros_like(phase)
    for amplitude in instrument.partials:
        total += amplitude * wave_
        wave_, before = twice * wave_ - before, wave_
    envelope = np.minimum(t / instrument.attack_s, 1.0) * np.exp(-t / instrument.decay_s)
    envelope *= np.minimum((t[-1] - t) / 0.005, 1.0)  # no click where it ends
    return np.asarray((total * envelope).ravel(), dtype=np.float32)


def wav(samples: np.ndarray) -> bytes:
    """16 bit mono WAV of float samples in -1..1."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes((np.clip(samples, -1, 1) * FULL_SCALE).round().astype("<i2").tobytes())
    return file.getvalue()
