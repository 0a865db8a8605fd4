"""Pictures as vectors without a download: colour, texture and shape of a 64 x 64 version, on principal components.

`describe_picture` serves films too, frame by frame. Imported lazily only.
"""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import scipy.fft
from PIL import Image

from resources.encoders.base import Content, Modality, Vectors
from resources.encoders.embedded import DescribedEncoder

SIDE = 64
_CELL = 8
_ORIENTATIONS = 9
_GABOR_SIDE = 32
_GABOR_WAVELENGTHS = (2.5, 5.0, 10.0)
_GABOR_ORIENTATIONS = 4
_TO_XYZ = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]], np.float32)
_WHITE = np.array([0.9505, 1.0, 1.089], np.float32)
Array = np.ndarray[Any, Any]


class Descriptors(DescribedEncoder):
    """Histograms in HSV and LAB, statistics, oriented gradients, local binary patterns, Gabor energy; then PCA."""

    name = "descriptors"
    modality: Modality = "image"
    preprocessing = f"descriptors-1:{SIDE}"
    default_components: ClassVar[int] = 128

    def describe(self, batch: Sequence[Content]) -> Vectors:
        """Descriptors of RGB pictures, shape (len(batch), 1176)."""
        return np.stack([describe_picture(small(picture), picture.width / picture.height) for picture in batch])


def small(picture: Image.Image) -> Array:
    """A picture as uint8 [64, 64, 3], whatever its shape was."""
    rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
    return np.asarray(rgb.resize((SIDE, SIDE), Image.Resampling.BOX, reducing_gap=2.0))


def describe_picture(pixels: Array, aspect: float) -> Vectors:
    """The descriptor of a picture, float32 [1176].

    Args:
        pixels: uint8 [64, 64, 3].
        aspect: Width over height of the picture itself.
    """
    lab = to_lab(pixels)
    lightness = lab[..., 0] / 100
    parts = [
        _colour(pixels, lab),
        _statistics(pixels, lightness, aspect),
        _gradients(lightness),
        _binary_patterns(lightness),
        _gabor(lightness),
    ]
    return np.concatenate(parts).astype(np.float32)


def to_lab(pixels: Array) -> Vectors:
    """CIE L*a*b* (D65) of sRGB: uint8 [h, w, 3] to float32 [h, w, 3], L in 0..100."""
    ratio = _linear()[pixels] @ (_TO_XYZ / _WHITE[:, None]).T
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    x, y, z = root[..., 0], root[..., 1], root[..., 2]
    return np.asarray(np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1), np.float32)


@functools.cache
def _linear() -> Vectors:
    """Linear light of the 256 levels of sRGB (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4).astype(np.float32)


def _share(bins: Array, count: int) -> Array:
    return np.bincount(bins.ravel(), minlength=count) / bins.size


def _colour(pixels: Array, lab: Vectors) -> Array:
    """Histograms of hue with saturation (48), value (8), lightness (8) and a with b (36); LAB mean and spread on a 4 x 4 grid (96)."""
    hue, saturation, value = np.moveaxis(np.asarray(Image.fromarray(pixels).convert("HSV")), -1, 0).astype(np.intp)
    tones = np.minimum(lab[..., 0] / 12.5, 7).astype(np.intp)
    a, b = (np.clip((lab[..., channel] + 60) / 20, 0, 5).astype(np.intp) for channel in (1, 2))
    step = SIDE // 4
    grid = lab.reshape(4, step, 4, step, 3).transpose(0, 2, 4, 1, 3).reshape(48, step * step)
    return np.concatenate(
        [
            _share((hue * 12 // 256) * 4 + saturation // 64, 48),
            _share(value // 32, 8),
            _share(tones, 8),
            _share(a * 6 + b, 36),
            grid.mean(axis=1) / 100,
            grid.std(axis=1) / 100,
        ]
    )


def _statistics(pixels: Array, lightness: Array, aspect: float) -> Array:
    """Moments of lightness (4), moments of the channels (6), colourfulness (Hasler and Suesstrunk, 2003), colour entropy, aspect."""
    mean, spread = float(lightness.mean()), float(lightness.std())
    standard = (lightness - mean) / max(spread, 1e-3)
    rgb = np.ascontiguousarray(pixels.reshape(-1, 3).T, np.float32) / 255
    red_green, yellow_blue = rgb[0] - rgb[1], (rgb[0] + rgb[1]) / 2 - rgb[2]
    colourfulness = np.hypot(red_green.std(), yellow_blue.std()) + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean())
    coarse = (pixels // 64).astype(np.intp)
    share = _share((coarse[..., 0] * 4 + coarse[..., 1]) * 4 + coarse[..., 2], 64)
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
    square = standard * standard
    moments = [mean, spread, float((square * standard).mean()), float((square * square).mean())]
    return np.array([*moments, *rgb.mean(axis=1), *rgb.std(axis=1), colourfulness, entropy, np.log(aspect)])


def _gradients(lightness: Array) -> Array:
    """Oriented gradients (Dalal and Triggs, 2005): 9 unsigned in 8 x 8 cells (576), 16 signed and 8 magnitudes over all."""
    down, across = np.gradient(lightness)
    magnitude = np.hypot(down, across)
    angle = np.arctan2(down, across)
    unsigned = np.minimum((angle % np.pi) / np.pi * _ORIENTATIONS, _ORIENTATIONS - 1).astype(np.intp)
    signed = np.minimum((angle + np.pi) / (2 * np.pi) * 16, 15).astype(np.intp)
    cells = SIDE // _CELL
    weights = magnitude.ravel()
    histogram = np.bincount((_cells() * _ORIENTATIONS + unsigned).ravel(), weights, cells * cells * _ORIENTATIONS)
    grid = histogram.reshape(cells, cells, _ORIENTATIONS)
    energy = np.pad((grid**2).sum(axis=2), 1)
    around = sum(energy[row : row + cells, column : column + cells] for row in range(3) for column in range(3))
    blocks = np.minimum(grid / np.sqrt(np.asarray(around) + 1e-2)[..., None], 0.5)
    overall = np.bincount(signed.ravel(), weights, 16)
    strengths = np.minimum(np.log2(magnitude * 256 + 1), 7.999).astype(np.intp)
    return np.concatenate([blocks.ravel(), overall / (overall.sum() + 1e-3), _share(strengths, 8)])


@functools.cache
def _cells() -> Array:
    index = np.arange(SIDE) // _CELL
    return index[:, None] * (SIDE // _CELL) + index[None, :]


def _binary_patterns(lightness: Array) -> Array:
    """Uniform local binary patterns of radius 1 (Ojala et al., 2002): shares of 59 patterns, over all and in each quarter (295)."""
    level = np.round(lightness * 100).astype(np.int16)
    centre = level[1:-1, 1:-1]
    code = np.zeros(centre.shape, np.intp)
    for bit, (row, column) in enumerate(((0, 0), (0, 1), (0, 2), (1, 2), (2, 2), (2, 1), (2, 0), (1, 0))):
        code |= (level[row : row + SIDE - 2, column : column + SIDE - 2] >= centre).astype(np.intp) << bit
    pattern = _uniform()[code]
    half = (SIDE - 2) // 2
    quarters = [pattern[rows, columns] for rows in (slice(half), slice(half, None)) for columns in (slice(half), slice(half, None))]  # fmt: skip
    return np.concatenate([_share(part, 59) for part in (pattern, *quarters)])


@functools.cache
def _uniform() -> Array:
    """The number of each of the 256 patterns: 58 have at most two changes around the circle, all others share one."""
    changes = [bin(code ^ ((code >> 1) | ((code & 1) << 7))).count("1") for code in range(256)]
    numbers, following = np.full(256, 58, np.intp), 0
    for code, count in enumerate(changes):
        if count <= 2:
            numbers[code] = following
            following += 1
    return numbers


def _gabor(lightness: Array) -> Array:
    """Energy of 12 Gabor filters on a 32 x 32 version: mean, spread, and mean in each quarter (72)."""
    step = SIDE // _GABOR_SIDE
    coarse = lightness.reshape(_GABOR_SIDE, step, _GABOR_SIDE, step).mean(axis=(1, 3))
    spectrum = scipy.fft.fft2(coarse - coarse.mean())
    answer = scipy.fft.ifft2(spectrum * _gabor_filters(), overwrite_x=True)
    energy = np.sqrt(answer.real**2 + answer.imag**2)
    half = _GABOR_SIDE // 2
    quarters = energy.reshape(len(energy), 2, half, 2, half).mean(axis=(2, 4))
    flat = energy.reshape(len(energy), -1)
    return np.concatenate([flat.mean(axis=1), flat.std(axis=1), quarters.ravel()])


@functools.cache
def _gabor_filters() -> Vectors:
    """Filters in the frequency domain, one-sided so that their output's magnitude is the energy, [12, 32, 32]."""
    down, across = np.meshgrid(np.fft.fftfreq(_GABOR_SIDE), np.fft.fftfreq(_GABOR_SIDE), indexing="ij")
    filters = []
    for wavelength in _GABOR_WAVELENGTHS:
        for turn in range(_GABOR_ORIENTATIONS):
            angle = np.pi * turn / _GABOR_ORIENTATIONS
            distance = (across - np.cos(angle) / wavelength) ** 2 + (down - np.sin(angle) / wavelength) ** 2
            filters.append(np.exp(-distance / (2 * (0.35 / wavelength) ** 2)))
    return np.asarray(filters, np.float32)
