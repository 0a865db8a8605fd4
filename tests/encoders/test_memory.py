"""Descriptors are made once for all revisions of an encoder, and forgotten when there are too many."""

from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image

from resources.encoders.base import Content, Vectors
from resources.encoders.embedded_image import Descriptors
from resources.encoders.memory import DescriptorMemory


class Counted:
    """Describes an array by its sum, and counts how many it was asked for."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, batch: Sequence[Content]) -> Vectors:
        self.asked += len(batch)
        return np.array([[content.sum()] for content in batch], np.float32)


def arrays(*values: float) -> list[Content]:
    return [np.full(4, value, np.float32) for value in values]


def test_each_content_is_described_once_and_rows_keep_their_order() -> None:
    memory, describe = DescriptorMemory(), Counted()
    assert memory.described("k", arrays(1, 2, 1), describe).ravel().tolist() == [4, 8, 4]
    assert memory.described("k", arrays(3, 2), describe).ravel().tolist() == [12, 8]
    assert describe.asked == 3


def test_another_kind_or_shape_is_another_descriptor() -> None:
    memory, describe = DescriptorMemory(), Counted()
    memory.described("k", arrays(1), describe)
    memory.described("other", arrays(1), describe)
    memory.described("k", [np.full((2, 2), 1.0, np.float32)], describe)
    assert describe.asked == 3


def test_no_more_is_kept_than_fits() -> None:
    memory, describe = DescriptorMemory(most_bytes=8), Counted()
    memory.described("k", arrays(1, 2, 3), describe)
    memory.described("k", arrays(3, 2), describe)
    assert describe.asked == 3
    memory.described("k", arrays(1), describe)
    assert describe.asked == 4


def test_a_second_revision_describes_no_picture_again(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    pictures = [Image.fromarray(rng.integers(0, 255, (20, 30, 3), np.uint8)) for _ in range(12)]
    described: list[int] = []
    describe = Descriptors.describe
    monkeypatch.setattr(
        Descriptors, "describe", lambda self, batch: described.append(len(batch)) or describe(self, batch)
    )
    early, late = Descriptors(4).fit(pictures[:8]), Descriptors(4).fit(pictures)
    assert not np.array_equal(early.encode(pictures), late.encode(pictures))
    assert sum(described) == 12
