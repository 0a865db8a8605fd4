"""Small encoders without weights, and rows of media, for the tests of content as vectors."""

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np

from resources.encoders.base import Content, EncoderError, Modality, Precision, Vectors
from tests.features.raw_rows import insert
from warehouse.connection import Warehouse

NOW = datetime(2024, 6, 1)


class Hashing:
    """A pretrained encoder: numbers from the sha256 of the content; counts what it encodes."""

    def __init__(
        self,
        dim: int = 4,
        *,
        modality: Modality = "text",
        name: str = "hashing",
        revision: str = "1",
        precision: Precision = "fp32",
    ) -> None:
        self.name, self.modality, self.dim = name, modality, dim
        self.revision, self.precision, self.preprocessing = revision, precision, "plain"
        self.encoded: list[Content] = []

    def encode(self, batch: Sequence[Content]) -> Vectors:
        self.encoded += batch
        return np.stack([vector_of(str(content), self.dim) for content in batch])


class Picky(Hashing):
    """Cannot encode some contents: raises on `bad`, and gives NaN for `nan`."""

    def encode(self, batch: Sequence[Content]) -> Vectors:
        if any("bad" in str(content) for content in batch):
            raise EncoderError("this one is bad")
        vectors = super().encode(batch)
        vectors[["nan" in str(content) for content in batch], 0] = np.nan
        return vectors


class Counting:
    """A fitted encoder: how often each of the words it was fitted on is in a text."""

    name = "counting"
    modality: Modality = "text"
    precision: Precision = "fp32"
    preprocessing = "words"

    def __init__(self) -> None:
        self.words: list[str] = []

    @property
    def dim(self) -> int:
        return len(self.words)

    @property
    def revision(self) -> str:
        return hashlib.sha256(" ".join(self.words).encode()).hexdigest()[:8]

    def fit(self, contents: Sequence[Content]) -> Self:
        self.words = sorted({word for content in contents for word in content.split()})
        return self

    def encode(self, batch: Sequence[Content]) -> Vectors:
        return np.array([[text.split().count(word) for word in self.words] for text in batch], np.float32)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.words))

    @classmethod
    def load(cls, path: Path) -> Self:
        found = cls()
        found.words = json.loads(path.read_text())
        return found


def vector_of(text: str, dim: int) -> Vectors:
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")
    return np.random.default_rng(seed).standard_normal(dim, np.float32)


def text_id(title: str, description: str = "") -> str:
    return hashlib.sha256(f"{title}\n{description}".encode()).hexdigest()


def media(warehouse: Warehouse, video: str, kind: str, content_id: str, known: datetime, **columns: Any) -> None:
    """One medium of a video of the source `demo`, done unless `columns` says otherwise."""
    row = {
        "source": "demo",
        "video_id": video,
        "kind": kind,
        "position": 0,
        "uri": f"{kind}/{content_id}",
        "observed_at": known,
        "known_at": known,
        "state": "done",
        "attempts": 1,
        "content_id": content_id,
    }
    with warehouse.write() as con:
        insert(con, "raw.media", [row | columns])


def content(warehouse: Warehouse, content_id: str, kind: str, **columns: Any) -> None:
    """What the bytes of a medium are."""
    row = {
        "content_id": content_id,
        "kind": kind,
        "n_bytes": 1,
        "state": "done",
        "preparation": "1",
        "known_at": NOW,
    }
    with warehouse.write() as con:
        insert(con, "raw.contents", [row | columns])
