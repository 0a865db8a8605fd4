"""What a content shows and sounds like, in numbers that a person can read: `embeddings.interpretation`.

Measured on small copies (long side 128), so that pictures of different sizes compare. What the figures say about
success is for the features and styles that use them. Imports Pillow at its top: import this module lazily.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from PIL import Image

from assets.raw.media_folder import Progress
from assets.raw.media_rows import Row, in_batches
from resources.encoders.base import SAMPLE_RATE
from resources.media.contents import load_frames, load_image, load_sound
from resources.media.films import Frames, Sound
from resources.media.states import MediaError
from resources.media.store import MediaStore
from warehouse.arrow import arrow_rows
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_matching

VERSION = "1"
"""Version of what is measured; contents that another version measured are measured anew."""

_LONG_SIDE = 128
_EDGE = 32.0  # levels of lightness between neighbouring pixels, of 255
_BINS = 512  # colours: 8 levels a channel
_COLOURS = 5
_CUT = 0.5
_WINDOW = SAMPLE_RATE // 20
_SILENCE_DB = -90.0

Pixels = np.ndarray[Any, np.dtype[np.uint8]]
Numbers = np.ndarray[Any, np.dtype[Any]]


def measure(
    pictures: Sequence[Image.Image],
    sound: Sound | None = None,
    *,
    aspect: float | None = None,
    duration_s: float | None = None,
) -> Row:
    """The figures of one content, in the columns of `embeddings.interpretation`.

    Lightness is Rec. 601 luma. Of a film, contrast, colourfulness and density are means over its frames; colours are
    those of all frames together.

    Args:
        pictures: None, one picture, or the uniform frames of a film in order and of one size.
        sound: float32 [samples] in -1..1, 16 kHz.
        aspect: Width over height of the content; by default that of the pictures.
        duration_s: Length of a film in seconds.
    """
    motion = len(pictures) > 1 and bool(duration_s)
    row: Row = {"has_picture": bool(pictures), "has_motion": motion, "has_sound": sound is not None and len(sound) > 0}
    row |= dict.fromkeys(("brightness", "contrast", "colourfulness", "colour_entropy", "visual_density"))
    row |= dict.fromkeys(("aspect", "dominant_colours", "motion", "cut_rate", "loudness", "loudness_spread"))
    if pictures:
        width, height = pictures[0].size
        small = [_small(picture) for picture in pictures]
        pixels = np.stack([np.asarray(picture) for picture in small])
        lightness = np.stack([np.asarray(picture.convert("L"), np.float32) for picture in small])
        histograms = np.stack([_histogram(frame) for frame in pixels])
        row |= {"aspect": aspect or width / height, **_appearance(pixels, lightness, histograms)}
        if motion and duration_s:
            row["motion"] = float(np.abs(np.diff(lightness, axis=0)).mean() / 255)
            row["cut_rate"] = _cuts(histograms) / duration_s
    if sound is not None and len(sound):
        row["loudness"], row["loudness_spread"] = _loudness(sound)
    return row


def interpret_contents(warehouse: Warehouse, now: datetime, progress: Progress | None = None) -> dict[str, int]:
    """Measures every prepared content that the present version has not measured; written in batches.

    Args:
        warehouse: Where contents are read and figures written.
        now: The home's time; what became known later waits.
        progress: Told in one line what is being done.

    Returns:
        How many contents were interpreted, and how many failed because their bytes are gone; those are tried again.
    """
    tell = progress or (lambda line: None)
    store = MediaStore(warehouse.home)
    wanted: list[Row] = warehouse.query(
        """SELECT c.* FROM raw.contents AS c LEFT JOIN embeddings.interpretation AS i USING (content_id)
           WHERE c.state = 'done' AND c.known_at <= $now AND i.version IS DISTINCT FROM $version ORDER BY content_id""",
        {"now": now, "version": VERSION},
    ).to_pylist()
    declared = table("embeddings.interpretation")
    counts: Counter[str] = Counter()
    for results in in_batches(wanted, lambda content: _interpreted(store, content)):
        rows = [row for row in results if row]
        with warehouse.write() as con:
            replace_matching(con, declared, arrow_rows(declared, rows), declared.key)
        counts.update(interpreted=len(rows), failed=len(results) - len(rows))
        tell(f"{counts.total():,} of {len(wanted):,} contents interpreted")
    return {"interpreted": counts["interpreted"], "failed": counts["failed"]}


def _interpreted(store: MediaStore, content: Mapping[str, Any]) -> Row:
    """The row of one content; empty where its bytes are gone."""
    try:
        pictures: list[Image.Image] = []
        if content["kind"] == "image":
            pictures = [load_image(store, content["content_id"])]
        elif content["frame_ids"]:
            pictures = [Image.fromarray(frame) for frame in load_frames(store, content)]
        sound = load_sound(store, content) if content["sound_id"] else None
    except MediaError:
        return {}
    aspect = content["width"] / content["height"] if content["width"] and content["height"] else None
    figures = measure(pictures, sound, aspect=aspect, duration_s=content["duration_s"])
    return {"content_id": content["content_id"], "version": VERSION, **figures}


def _small(picture: Image.Image) -> Image.Image:
    longest = max(picture.size)
    if longest <= _LONG_SIDE:
        return picture
    width, height = (max(1, round(side * _LONG_SIDE / longest)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX, reducing_gap=2.0)


def _appearance(pixels: Frames, lightness: Numbers, histograms: Numbers) -> Row:
    shares = histograms.mean(axis=0)
    present = shares[shares > 0]
    return {
        "brightness": float(lightness.mean() / 255),
        "contrast": float(lightness.std(axis=(1, 2)).mean() / 255),
        "colourfulness": float(np.mean([_colourfulness(frame) for frame in pixels])),
        "colour_entropy": float(-(present * np.log2(present)).sum()) + 0.0,
        "visual_density": float(np.mean([_density(frame) for frame in lightness])),
        "dominant_colours": _dominant(pixels, shares),
    }


def _bins(pixels: Pixels) -> Numbers:
    """The colour bin of each pixel."""
    coarse = (pixels >> 5).astype(np.int64)
    bins: Numbers = (coarse[..., 0] << 6) | (coarse[..., 1] << 3) | coarse[..., 2]
    return bins


def _histogram(pixels: Pixels) -> Numbers:
    """Share of the pixels in each colour bin: float [_BINS]."""
    counts: Numbers = np.bincount(_bins(pixels).ravel(), minlength=_BINS)
    shares: Numbers = counts / counts.sum()
    return shares


def _colourfulness(pixels: Pixels) -> float:
    """Hasler and Suesstrunk, Measuring colourfulness in natural images (2003), metric M3: 0 for grey, 109 at most vivid."""
    red, green, blue = (pixels[..., channel].astype(np.float32) for channel in range(3))
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.hypot(red_green.std(), yellow_blue.std())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))


def _density(lightness: Numbers) -> float:
    """Share of the pixels that differ from the next one to the right and below by more than an edge's worth."""
    if min(lightness.shape) < 2:
        return 0.0
    across = lightness[:-1, 1:] - lightness[:-1, :-1]
    down = lightness[1:, :-1] - lightness[:-1, :-1]
    return float((np.hypot(across, down) > _EDGE).mean())


def _dominant(pixels: Frames, shares: Numbers) -> list[str]:
    """The mean colours of the fullest bins, fullest first."""
    flat, bins = pixels.reshape(-1, 3), _bins(pixels).ravel()
    fullest = [code for code in np.argsort(-shares, kind="stable")[:_COLOURS] if shares[code] > 0]
    counts = np.bincount(bins, minlength=_BINS)
    sums = np.stack([np.bincount(bins, flat[:, channel], minlength=_BINS) for channel in range(3)], axis=1)
    means = [sums[code] / counts[code] for code in fullest]
    return ["#" + "".join(f"{round(float(level)):02x}" for level in mean) for mean in means]


def _cuts(histograms: Numbers) -> int:
    """Pairs of neighbouring frames of whose colours (4 levels a channel) more than half are others."""
    coarse = histograms.reshape(-1, 4, 2, 4, 2, 4, 2).sum(axis=(2, 4, 6)).reshape(len(histograms), 64)
    return int((np.abs(np.diff(coarse, axis=0)).sum(axis=1) / 2 > _CUT).sum())


def _loudness(sound: Sound) -> tuple[float, float]:
    """Mean and standard deviation of the level over windows of 50 ms, in dB below full scale; -90 at least."""
    windows = sound[: max(len(sound) // _WINDOW, 1) * _WINDOW]
    power = np.square(windows, dtype=np.float64)
    rms = np.sqrt(power.reshape(-1, _WINDOW).mean(axis=1) if len(power) >= _WINDOW else power.mean(keepdims=True))
    levels = np.maximum(20 * np.log10(np.maximum(rms, 1e-12)), _SILENCE_DB)
    return float(levels.mean()), float(levels.std())
