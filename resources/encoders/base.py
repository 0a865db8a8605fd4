"""The protocol that every encoder follows, and the contents that it is given. No encoder is here."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np

Modality = Literal["text", "image", "audio", "video"]
MODALITIES: tuple[Modality, ...] = ("text", "image", "audio", "video")
Precision = Literal["fp32", "bf16", "int8"]
SAMPLE_RATE = 16_000
"""Sound is mono at this rate (Hz)."""
FRAMES = 16
"""Frames of a film, uniform over its length."""

Content = Any
"""Text: `str`. Image: an RGB `PIL.Image.Image`. Audio: float32 `[samples]` in -1..1, mono, 16 kHz. Video: uint8 `[16, h, w, 3]`."""
Vectors = np.ndarray[Any, np.dtype[np.float32]]


class EncoderError(ValueError):
    """An encoder cannot be had or cannot encode; says what is missing and the way out."""


@dataclass(frozen=True)
class Identity:
    """What vectors are keyed by besides their content: two vectors can be compared only if all of it is equal."""

    encoder: str
    revision: str
    precision: str
    preprocessing: str


@dataclass(frozen=True)
class Failure:
    """Why a content has no vector: one word, and the reason in the words of what failed."""

    reason: str
    detail: str


@dataclass(frozen=True)
class Encoded:
    """Vectors of contents, and those that could not be encoded.

    Attributes:
        vectors: Shape (n, dim); a row of NaN where there is no vector.
        failures: Why, by the index of the content.
    """

    vectors: Vectors
    failures: dict[int, Failure]


@runtime_checkable
class Encoder(Protocol):
    """Turns contents of one modality into vectors.

    Attributes:
        name: Name, as `upswell.yaml` writes it.
        modality: What it encodes.
        revision: Revision of the weights; of a fitted encoder, a fingerprint of what was fitted.
        precision: Precision of the numbers inside.
        preprocessing: Version of what is done to content before the model sees it.
        dim: Length of its vectors.
    """

    name: str
    modality: Modality
    revision: str
    precision: Precision
    preprocessing: str
    dim: int

    def encode(self, batch: Sequence[Content]) -> Vectors:
        """Vectors of shape (len(batch), dim), in the order of the batch.

        The vector of a content does not depend on what else is in the batch (bf16 apart, where it may differ in the last bits).
        """
        ...


class FittedEncoder(Encoder, Protocol):
    """An encoder whose parts are fitted on contents rather than downloaded."""

    def fit(self, contents: Sequence[Content]) -> "FittedEncoder":
        """Fits on contents; sets `revision` and `dim`.

        Raises:
            EncoderError: There are too few contents, or nothing in them varies.
        """
        ...

    def save(self, path: Path) -> None:
        """Writes what was fitted to a file that `load` reads without running code that it holds."""
        ...

    @classmethod
    def load(cls, path: Path) -> "FittedEncoder":
        """The encoder that `save` wrote."""
        ...


def identity(encoder: Encoder) -> Identity:
    """What the vectors of an encoder are keyed by."""
    return Identity(encoder.name, encoder.revision, encoder.precision, encoder.preprocessing)
