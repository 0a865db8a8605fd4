"""Pictures of the simulated platform: thumbnails and frames drawn from what a video is, and the shapes of the proof.

A picture shows its style (layout, palette, text-like bars, motion and cuts), its topic (an emblem), its channel (a badge)
and, by its grain, the quality of its channel: nothing that the latents of the video do not say, and nothing of what
became of it. Which videos get pictures and how files go wrong is in `media`. Imported only where pictures are drawn (PIL).
"""

import colorsys
import io
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from resources.simulator.vocabulary import STYLES, TOPICS

WIDTH, HEIGHT = 128, 72
FRAME_RATE, CLIP_FRAMES = 12, 24
BORROWED = 0.12  # share of the pictures in the palette of another style
CUTS: dict[str, int] = {"question": 1, "list": 3, "hype": 7, "tutorial": 2, "story": 0, "plain": 0}
MOTION: dict[str, float] = {"question": 0.5, "list": 0.2, "hype": 1.0, "tutorial": 0.3, "story": 0.6, "plain": 0.1}
_MARGIN = 1.25  # a clip's scene is this much larger than its window, which moves over it

Colour = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """All of a video that its picture may depend on.

    Attributes:
        style: Index into STYLES.
        topic: Index into TOPICS.
        channel: Number of the channel.
        quality: Quality of the channel, ln views.
    """

    style: int
    topic: int
    channel: int
    quality: float


@dataclass(frozen=True)
class _Palette:
    ground: Colour
    second: Colour
    ink: Colour
    accent: Colour


@dataclass(frozen=True)
class _Canvas:
    """A picture being drawn; coordinates are shares of its height, so that a circle stays one."""

    draw: ImageDraw.ImageDraw
    size: tuple[int, int]
    palette: _Palette
    rng: np.random.Generator

    @property
    def wide(self) -> float:
        """Width, in heights."""
        return self.size[0] / self.size[1]

    def box(self, x: float, y: float, width: float, height: float, fill: Colour) -> None:
        """A filled rectangle."""
        unit = self.size[1]
        self.draw.rectangle((x * unit, y * unit, (x + width) * unit, (y + height) * unit), fill=fill)

    def polygon(self, points: Sequence[Point], fill: Colour) -> None:
        """A filled polygon."""
        self.draw.polygon([(x * self.size[1], y * self.size[1]) for x, y in points], fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: Colour) -> None:
        """A filled circle."""
        unit = self.size[1]
        self.draw.ellipse(
            ((x - radius) * unit, (y - radius) * unit, (x + radius) * unit, (y + radius) * unit), fill=fill
        )

    def words(self, x: float, y: float, height: float, width: float, fill: Colour) -> None:
        """Bars of uneven length, as a line of text looks from afar."""
        end = x + width
        while x < end - 0.02:
            length = min(float(self.rng.uniform(0.5, 2.2)) * height * 1.6, end - x)
            self.box(x, y, length, height, fill)
            x += length + height * 0.5


def thumbnail(look: Look, rng: np.random.Generator) -> bytes:
    """The JPEG of a thumbnail, WIDTH x HEIGHT pixels."""
    return jpeg(_film(_scene(look, (WIDTH, HEIGHT), rng), look, rng))


def jpeg(pixels: np.ndarray) -> bytes:
    """JPEG of pixels, uint8 [height, width, 3]."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=82)
    return file.getvalue()


def frames(look: Look, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """The CLIP_FRAMES frames of a clip, uint8 [HEIGHT, WIDTH, 3] each: CUTS + 1 shots, the camera moves by MOTION."""
    style = STYLES[look.style]
    size = (round(WIDTH * _MARGIN), round(HEIGHT * _MARGIN))
    edges = np.linspace(0, CLIP_FRAMES, CUTS[style] + 2).round().astype(int)
    for first, last in itertools.pairwise(edges.tolist()):
        scene = _film(_scene(look, size, rng), look, rng)
        room = np.array([size[1] - HEIGHT, size[0] - WIDTH])
        start, turn = rng.uniform(0.0, 1.0, 2), rng.uniform(0.0, 2 * math.pi)
        way = MOTION[style] / CLIP_FRAMES * 3 * np.array([math.sin(turn), math.cos(turn)])
        for step in range(last - first):
            place = (start + way * step) % 2.0
            top, left = (np.minimum(place, 2.0 - place) * room).astype(int)  # to and fro, never over the edge
            yield scene[top : top + HEIGHT, left : left + WIDTH]


def _scene(look: Look, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """The drawing without brightness and grain."""
    borrowed = int(rng.integers(len(STYLES))) if rng.random() < BORROWED else look.style
    palette = _PALETTES[STYLES[borrowed]](rng, look.topic / len(TOPICS))
    picture = Image.new("RGB", size, palette.ground)
    canvas = _Canvas(ImageDraw.Draw(picture), size, palette, rng)
    for _ in range(rng.poisson(1.5)):  # clutter
        x, y = rng.uniform(0, canvas.wide), rng.uniform(0, 1)
        canvas.box(x, y, rng.uniform(0.03, 0.2), rng.uniform(0.03, 0.2), palette.second)
    _LAYOUTS[STYLES[look.style]](canvas, list(TOPICS)[look.topic])
    badge = _colour((look.channel * 0.618034) % 1.0, 0.8, 0.9)
    canvas.disc(canvas.wide - 0.09, 0.91, 0.06, badge)
    return picture


def _film(picture: Image.Image, look: Look, rng: np.random.Generator) -> np.ndarray:
    """Brightness of the day and grain, which is finer the better the channel: uint8 [height, width, 3]."""
    grain = 10.0 * math.exp(-0.3 * look.quality + rng.normal(0.0, 0.4))
    light = float(rng.lognormal(0.0, 0.15))
    pixels = np.asarray(picture, dtype=np.float32) * light
    pixels += rng.standard_normal((*pixels.shape[:2], 1), dtype=np.float32) * min(grain, 40.0)
    return np.asarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _colour(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, min(max(saturation, 0.0), 1.0), min(max(value, 0.0), 1.0))
    return round(red * 255), round(green * 255), round(blue * 255)


def _blue(rng: np.random.Generator, topic: float) -> _Palette:
    hue = rng.uniform(0.55, 0.68)
    return _Palette(_colour(hue, 0.6, 0.75), _colour(hue, 0.5, 0.55), _colour(0.0, 0.0, 1.0), _colour(topic, 0.6, 0.95))


def _paper(rng: np.random.Generator, topic: float) -> _Palette:
    hue = rng.uniform(0.08, 0.16)
    return _Palette(
        _colour(hue, 0.15, 0.96), _colour(hue, 0.3, 0.85), _colour(0.63, 0.6, 0.3), _colour(topic, 0.8, 0.8)
    )


def _loud(rng: np.random.Generator, topic: float) -> _Palette:
    hue = rng.uniform(-0.03, 0.05)
    return _Palette(
        _colour(hue, 0.95, 0.9), _colour(hue + 0.13, 0.95, 1.0), _colour(0.0, 0.0, 0.05), _colour(topic, 1.0, 1.0)
    )


def _mint(rng: np.random.Generator, topic: float) -> _Palette:
    hue = rng.uniform(0.38, 0.48)
    return _Palette(
        _colour(hue, 0.35, 0.82), _colour(0.0, 0.0, 0.98), _colour(hue, 0.9, 0.35), _colour(topic, 0.7, 0.85)
    )


def _dark(rng: np.random.Generator, topic: float) -> _Palette:
    hue = rng.uniform(0.68, 0.8)
    return _Palette(_colour(hue, 0.5, 0.25), _colour(0.09, 0.6, 0.7), _colour(0.0, 0.0, 0.04), _colour(topic, 0.4, 0.6))


def _dull(rng: np.random.Generator, topic: float) -> _Palette:
    hue = rng.uniform(0.0, 1.0)
    return _Palette(_colour(hue, 0.12, 0.6), _colour(hue, 0.1, 0.5), _colour(hue, 0.15, 0.4), _colour(topic, 0.3, 0.65))


def _question(canvas: _Canvas, topic: str) -> None:
    """A large question mark beside the emblem."""
    x, y = canvas.wide * canvas.rng.uniform(0.6, 0.75), canvas.rng.uniform(0.3, 0.38)
    ink, ground, radius = canvas.palette.ink, canvas.palette.ground, canvas.rng.uniform(0.2, 0.26)
    canvas.disc(x, y, radius, ink)
    canvas.disc(x, y, radius * 0.55, ground)
    canvas.box(x - radius * 1.1, y + 0.02, radius * 1.1, radius * 1.1, ground)
    canvas.box(x - radius * 0.2, y + radius * 0.6, radius * 0.42, radius * 0.9, ink)
    canvas.disc(x, y + radius * 2.0, radius * 0.26, ink)
    _emblem(canvas, topic, canvas.wide * canvas.rng.uniform(0.22, 0.35), canvas.rng.uniform(0.4, 0.55), 0.24)


def _list(canvas: _Canvas, topic: str) -> None:
    """Three to five lines, each behind a bullet."""
    lines = int(canvas.rng.integers(3, 6))
    pitch = 0.9 / lines
    for line in range(lines):
        y = 0.05 + pitch * (line + 0.3)
        canvas.disc(0.14, y + pitch * 0.2, pitch * 0.24, canvas.palette.accent)
        canvas.words(0.3, y, pitch * 0.42, canvas.rng.uniform(0.55, 0.95), canvas.palette.ink)
    _emblem(canvas, topic, canvas.wide - 0.22, canvas.rng.uniform(0.25, 0.6), 0.16)


def _hype(canvas: _Canvas, topic: str) -> None:
    """Rays around the emblem and heavy words on a bar."""
    x, y = canvas.wide * canvas.rng.uniform(0.35, 0.65), canvas.rng.uniform(0.35, 0.55)
    rays, turn = int(canvas.rng.integers(9, 15)), canvas.rng.uniform(0, math.pi)
    for ray in range(rays):
        angle = turn + ray * 2 * math.pi / rays
        ends = [(x + 2 * math.cos(angle + side), y + 2 * math.sin(angle + side)) for side in (0.0, math.pi / rays)]
        canvas.polygon([(x, y), *ends], canvas.palette.second)
    _emblem(canvas, topic, x, y, 0.27)
    canvas.box(0, 0.74, canvas.wide, 0.2, canvas.palette.ink)
    canvas.words(0.1, 0.78, 0.12, canvas.wide - 0.3, canvas.palette.second)


def _tutorial(canvas: _Canvas, topic: str) -> None:
    """Panels in a row with arrows between them, one step each."""
    panels = int(canvas.rng.integers(2, 4))
    width = (canvas.wide - 0.1) / panels
    for panel in range(panels):
        x = 0.1 + panel * width
        canvas.box(x, 0.14, width - 0.1, 0.56, canvas.palette.second)
        _emblem(canvas, topic, x + (width - 0.1) / 2, 0.42, 0.08 + 0.04 * panel)
        if panel:
            canvas.polygon([(x - 0.1, 0.36), (x - 0.01, 0.42), (x - 0.1, 0.48)], canvas.palette.ink)
    canvas.words(0.1, 0.8, 0.07, canvas.wide * canvas.rng.uniform(0.4, 0.8), canvas.palette.ink)


def _story(canvas: _Canvas, topic: str) -> None:
    """A figure before a low light, between black bars."""
    x, horizon = canvas.wide * canvas.rng.uniform(0.25, 0.75), canvas.rng.uniform(0.6, 0.72)
    canvas.disc(canvas.wide - x, horizon, canvas.rng.uniform(0.18, 0.3), canvas.palette.second)
    _emblem(canvas, topic, canvas.wide - x, horizon - 0.2, 0.1)
    canvas.box(0, horizon, canvas.wide, 1, _shade(canvas.palette.ground, 0.6))
    canvas.disc(x, horizon - 0.26, 0.06, canvas.palette.ink)
    canvas.polygon([(x - 0.1, horizon + 0.1), (x, horizon - 0.24), (x + 0.1, horizon + 0.1)], canvas.palette.ink)
    canvas.box(0, 0, canvas.wide, 0.13, canvas.palette.ink)
    canvas.box(0, 0.87, canvas.wide, 0.13, canvas.palette.ink)


def _plain(canvas: _Canvas, topic: str) -> None:
    """The emblem somewhere on a wall; a table below."""
    canvas.box(0, canvas.rng.uniform(0.65, 0.8), canvas.wide, 1, canvas.palette.second)
    x = canvas.wide * canvas.rng.uniform(0.25, 0.75)
    _emblem(canvas, topic, x, canvas.rng.uniform(0.4, 0.6), canvas.rng.uniform(0.15, 0.3))


def _shade(colour: Colour, factor: float) -> Colour:
    return round(colour[0] * factor), round(colour[1] * factor), round(colour[2] * factor)


def _emblem(canvas: _Canvas, topic: str, x: float, y: float, radius: float) -> None:
    """The sign of a topic: a shape in the accent colour."""
    accent = canvas.palette.accent
    corners = _EMBLEMS[topic]
    if not corners:
        canvas.disc(x, y, radius, accent)
        return
    turn = canvas.rng.uniform(-0.2, 0.2)
    spikes = [
        (
            x + radius * reach * math.cos(turn + 2 * math.pi * k / len(corners) - math.pi / 2),
            y + radius * reach * math.sin(turn + 2 * math.pi * k / len(corners) - math.pi / 2),
        )
        for k, reach in enumerate(corners)
    ]
    canvas.polygon(spikes, accent)


_EMBLEMS: dict[str, tuple[float, ...]] = dict(
    zip(
        TOPICS,
        (
            (),  # a disc
            (1.0,) * 3,
            (1.0,) * 4,
            (1.0, 0.45) * 5,
            (1.0, 0.35) * 4,
            (1.0,) * 6,
            (1.1, 0.5) * 3,
            (1.0, 0.75) * 8,
        ),
        strict=True,
    )
)  # distance of the corners from the middle, in turn
_PALETTES: dict[str, Callable[[np.random.Generator, float], _Palette]] = dict(
    zip(STYLES, (_blue, _paper, _loud, _mint, _dark, _dull), strict=True)
)
_LAYOUTS: dict[str, Callable[[_Canvas, str], None]] = dict(
    zip(STYLES, (_question, _list, _hype, _tutorial, _story, _plain), strict=True)
)
