"""Films as vectors without a download: mean and spread of what their frames look like, and how they move, on principal components.

What a frame looks like is in `embedded_image`. Imported lazily only.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from resources.encoders.base import Content, Modality, Vectors
from resources.encoders.embedded import DescribedEncoder
from resources.encoders.embedded_image import SIDE, describe_picture, small, to_lab

Array = np.ndarray[Any, Any]
_RAW = 1_176
_MOTION = 42


class FrameStatistics(DescribedEncoder):
    """Mean and spread of the descriptors of the frames, statistics of motion; then PCA."""

    name = "frame-statistics"
    modality: Modality = "video"
    preprocessing = f"frame-statistics-1:{SIDE}"
    default_components: ClassVar[int] = 128

    def describe(self, batch: Sequence[Content]) -> Vectors:
        """Descriptors of films, each uint8 [frames, h, w, 3], shape (len(batch), 2394)."""
        return np.stack([describe_film(film) for film in batch])


def describe_film(film: Array) -> Vectors:
    """The descriptor of a film, float32 [2394]; NaN where it has no frames."""
    if not len(film):
        return np.full(2 * _RAW + _MOTION, np.nan, np.float32)
    frames = [small(Image.fromarray(frame)) for frame in film]
    described = np.stack([describe_picture(frame, film.shape[2] / film.shape[1]) for frame in frames])
    lightness = np.stack([to_lab(frame)[..., 0] for frame in frames]) / 100
    return np.concatenate([described.mean(axis=0), described.std(axis=0), _motion(lightness)]).astype(np.float32)


def _motion(lightness: Array) -> Array:
    """Change between neighbouring frames: mean, spread, quantiles (7), where (16), its course in time (15), drift of lightness (4)."""
    change = np.abs(np.diff(lightness, axis=0)) if len(lightness) > 1 else np.zeros_like(lightness)
    amount = change.mean(axis=(1, 2))
    quantiles = np.quantile(amount, [0.0, 0.25, 0.5, 0.75, 1.0])
    step = SIDE // 4
    where = change.mean(axis=0).reshape(4, step, 4, step).mean(axis=(1, 3)).ravel()
    course = np.interp(np.linspace(0, 1, 15), np.linspace(0, 1, len(amount)), amount)
    level = lightness.mean(axis=(1, 2))
    drift = [
        level[-1] - level[0],
        level.std(),
        level.max() - level.min(),
        np.abs(np.diff(level, append=level[-1])).mean(),
    ]
    return np.concatenate([[amount.mean(), amount.std()], quantiles, where, course, drift])
