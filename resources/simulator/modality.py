"""Small worlds in which success depends on one thing only: which of eight shapes, melodies or phrases a video holds.

The eight of a modality are rearrangements of the same parts: five cells (pentominoes of equal area and perimeter), eight
notes, five words. Place, size, tilt, colour, key, tempo, loudness and surroundings are drawn apart from the class, so no
simple descriptor (mean colour, brightness, edges, loudness, pitch, word counts) differs between classes on average.
Imported only where such worlds are drawn (PIL).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from resources.simulator.sounds import RATE, Instrument, play

Told = Literal["text", "image", "audio"]
CLASSES = 8
SIDE = 64
"""Pixels of a picture, across and down."""
SOUND_S = 2.0
"""Seconds of a sound."""
REACHABLE = 0.6
"""Share of the outcome's variance that the class explains: the R2 of who knows it."""

# Cells (row, column) of pentominoes; each has area 5 and perimeter 12 and none is another one turned by a right angle.
SHAPES: dict[str, tuple[tuple[int, int], ...]] = {
    "I": ((0, 0), (1, 0), (2, 0), (3, 0), (4, 0)),
    "L": ((0, 0), (1, 0), (2, 0), (3, 0), (3, 1)),
    "T": ((0, 0), (0, 1), (0, 2), (1, 1), (2, 1)),
    "U": ((0, 0), (0, 2), (1, 0), (1, 1), (1, 2)),
    "V": ((0, 0), (1, 0), (2, 0), (2, 1), (2, 2)),
    "W": ((0, 0), (1, 0), (1, 1), (2, 1), (2, 2)),
    "X": ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1)),
    "Z": ((0, 0), (0, 1), (1, 1), (2, 1), (2, 2)),
}
# Orders of the same eight notes (semitones above the key).
MELODIES: tuple[tuple[int, ...], ...] = (
    (0, 2, 4, 7, 9, 12, 14, 16),
    (16, 14, 12, 9, 7, 4, 2, 0),
    (0, 4, 9, 14, 16, 12, 7, 2),
    (16, 12, 7, 2, 0, 4, 9, 14),
    (0, 16, 2, 14, 4, 12, 7, 9),
    (7, 9, 4, 12, 2, 14, 0, 16),
    (0, 9, 2, 12, 4, 14, 7, 16),
    (16, 7, 14, 4, 12, 2, 9, 0),
)
# Orders of the same five words.
PHRASES: tuple[str, ...] = (
    "the dog follows every cat",
    "every dog follows the cat",
    "the cat follows every dog",
    "every cat follows the dog",
    "the cat every dog follows",
    "every cat the dog follows",
    "the dog every cat follows",
    "every dog the cat follows",
)
_FILLERS = (
    "today", "again", "look", "wait", "watch", "part", "two", "three", "morning", "night", "kitchen", "garden", "street",
    "slow", "quick", "small", "huge", "quiet", "loud", "funny", "honest", "daily", "weekly", "new", "old", "first", "last",
    "real", "simple", "crazy", "best", "worst", "tips", "story", "vlog", "short", "clip", "fun", "summer", "winter",
)  # fmt: skip
_FILLED = 7  # filler words around the phrase
_NOTE_S = (0.15, 0.22)
_KEYS_HZ = (330.0, 560.0)


@dataclass(frozen=True)
class ProofWorld:
    """Videos in order of publication, each with a title, a picture and a sound.

    Attributes:
        classes: Which of the eight each holds, shape (n,), per modality; independent of each other.
        texts: Titles.
        images: RGB pictures of SIDE x SIDE pixels.
        sounds: float32 [SOUND_S * RATE] each.
        scalars: What is known of each besides its content: duration (s), hour, weekday, ln subscribers; shape (n, 4).
    """

    classes: dict[Told, np.ndarray]
    texts: list[str]
    images: list[Image.Image]
    sounds: list[np.ndarray]
    scalars: np.ndarray

    def effect(self, told: Told, seed: int) -> np.ndarray:
        """What the class of a modality is worth, shape (n,): eight evenly spaced values of variance 1 in random order."""
        values = np.arange(CLASSES) - (CLASSES - 1) / 2
        worth = np.random.default_rng([seed, *f"worth {told}".encode()]).permutation(values / values.std())
        return np.asarray(worth[self.classes[told]])

    def outcomes(self, told: Told, seed: int) -> np.ndarray:
        """The effect and normal noise such that the effect is REACHABLE of the variance, shape (n,)."""
        rng = np.random.default_rng([seed, *f"noise {told}".encode()])
        effect = self.effect(told, seed)
        return np.asarray(effect + rng.normal(0.0, np.sqrt(1 / REACHABLE - 1), len(effect)))


def proof_world(count: int, seed: int) -> ProofWorld:
    """`count` videos; the same seed gives the same ones."""
    rng = np.random.default_rng([seed, *b"proof"])
    classes: dict[Told, np.ndarray] = {
        "text": rng.integers(0, CLASSES, count),
        "image": rng.integers(0, CLASSES, count),
        "audio": rng.integers(0, CLASSES, count),
    }
    return ProofWorld(
        classes,
        [draw_phrase(k, rng) for k in classes["text"].tolist()],
        [draw_shape(k, rng) for k in classes["image"].tolist()],
        [draw_melody(k, rng) for k in classes["audio"].tolist()],
        np.column_stack(
            [
                rng.lognormal(3.3, 0.6, count),
                rng.integers(0, 24, count),
                np.arange(count) % 7,
                rng.normal(8.5, 1.2, count),
            ]
        ),
    )


def draw_phrase(which: int, rng: np.random.Generator) -> str:
    """A phrase at a random place between filler words."""
    around = [str(word) for word in rng.choice(_FILLERS, _FILLED)]
    place = int(rng.integers(0, _FILLED + 1))
    return " ".join([*around[:place], PHRASES[which], *around[place:]])


def draw_shape(which: int, rng: np.random.Generator) -> Image.Image:
    """A pentomino of random place, size, tilt (at most 15 degrees) and colour, on a ground with clutter and grain.

    Its middle is placed so that every shape of the size would fit: where it is says nothing of which it is.
    """
    ground, ink = _two_colours(rng)
    picture = Image.new("RGB", (SIDE, SIDE), ground)
    draw = ImageDraw.Draw(picture)
    for _ in range(3):
        x, y = rng.uniform(0, SIDE, 2)
        size = rng.uniform(2, 5)
        draw.ellipse((x - size, y - size, x + size, y + size), fill=tuple(rng.integers(0, 256, 3).tolist()))
    cell, tilt = rng.uniform(5.0, 9.0), np.deg2rad(rng.uniform(-15, 15))
    cells = np.array(list(SHAPES.values())[which], dtype=float)
    cells -= cells.mean(axis=0)
    reach = 2.6 * cell
    middle = rng.uniform(reach, SIDE - reach, 2)
    turn = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    corners = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, 0.5), (0.5, -0.5)])
    for at in cells:
        draw.polygon([tuple(p) for p in ((at + corners) * cell @ turn.T + middle)[:, ::-1].tolist()], fill=ink)
    pixels = np.asarray(picture, dtype=np.float32) + rng.normal(0.0, 8.0, (SIDE, SIDE, 1)).astype(np.float32)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _two_colours(rng: np.random.Generator) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Ground and ink that a person can tell apart."""
    while True:
        ground, ink = rng.integers(20, 236, 3), rng.integers(20, 236, 3)
        if np.abs(ground - ink).sum() >= 150:
            return tuple(ground.tolist()), tuple(ink.tolist())


def draw_melody(which: int, rng: np.random.Generator) -> np.ndarray:
    """A melody of random key, tempo, timbre, loudness and start in noise: float32 [SOUND_S * RATE]."""
    partials = (1.0, *(rng.uniform(0.0, 0.5, 2).tolist()))
    instrument = Instrument(partials, 0.01, float(rng.uniform(0.1, 0.4)))
    tune = play(np.array(MELODIES[which]), float(rng.uniform(*_NOTE_S)), float(rng.uniform(*_KEYS_HZ)), instrument)
    sound = np.zeros(round(SOUND_S * RATE), dtype=np.float32)
    start = int(rng.integers(0, len(sound) - len(tune) + 1))
    sound[start : start + len(tune)] = tune * (rng.uniform(0.1, 0.8) / np.abs(tune).max())
    return np.asarray(sound + rng.normal(0.0, 0.01, len(sound)).astype(np.float32), dtype=np.float32)
