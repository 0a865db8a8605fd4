"""Vectors of modalities become one per video; what is missing, failed, pending or stands for nothing is said."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.embeddings.contents import refresh_contents
from assets.embeddings.fusion import fuse, fuse_videos, fusion_for, status
from resources.encoders.base import EncoderError
from tests.embeddings.fakes import NOW, Hashing, Picky
from tests.embeddings.worlds import add_images, encode, settings, text_home
from tests.features.raw_rows import T0, RawRows
from warehouse.connection import Warehouse

ORIGIN = date(2024, 5, 6)
TEXT = (["a", "b"], np.array([[3.0, 4.0], [0.0, 2.0]], np.float32))
IMAGE = (["c", "b"], np.array([[0.0, 0.0, 5.0], [1.0, 0.0, 0.0]], np.float32))


def rows(warehouse: Warehouse, columns: str) -> list[tuple[Any, ...]]:
    with warehouse.read() as con:
        return con.execute(f"SELECT video_id, {columns} FROM embeddings.fused ORDER BY video_id").fetchall()


def test_concat_puts_unit_vectors_side_by_side() -> None:
    found = fuse({"image": IMAGE, "text": TEXT}, "concat")
    assert found.ids == ["a", "b", "c"]
    np.testing.assert_allclose(
        found.vectors * np.sqrt(2), [[0.6, 0.8, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 1]], atol=1e-6
    )
    assert {name: mask.tolist() for name, mask in found.present.items()} == {
        "text": [True, True, False],
        "image": [False, True, True],
    }


def test_sum_and_max_project_to_the_smallest_and_leave_out_what_is_missing() -> None:
    total, highest = fuse({"text": TEXT, "image": IMAGE}, "sum"), fuse({"text": TEXT, "image": IMAGE}, "max")
    np.testing.assert_allclose(total.vectors[0], [0.6, 0.8], atol=1e-6)
    np.testing.assert_allclose(highest.vectors[0], [0.6, 0.8], atol=1e-6)
    projected = fuse({"text": ([], np.empty((0, 2), np.float32)), "image": IMAGE}, "sum")
    np.testing.assert_allclose(total.vectors[1], projected.vectors[0] + [0, 1], atol=1e-6)
    np.testing.assert_allclose(highest.vectors[1], np.maximum(projected.vectors[0], [0, 1]), atol=1e-6)


def test_projections_keep_angles_as_well_as_they_can_and_are_the_same_every_time() -> None:
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((2, 300)).astype(np.float32)
    parts: Any = {"text": ([], np.empty((0, 200), np.float32)), "image": (["a", "b"], wide)}
    found = fuse(parts, "sum").vectors
    np.testing.assert_array_equal(found, fuse(parts, "sum").vectors)
    assert not np.allclose(found, fuse(parts, "sum", seed=1).vectors)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.sqrt(200 / 300), abs=0.1)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ((["a", "a"], np.ones((2, 2))), "text: an id occurs twice"),
        ((["a"], np.ones((2, 2))), r"text: 1 ids, but vectors of shape \(2, 2\)"),
        ((["a"], np.array([[1.0, np.nan]])), "text: a vector holds NaN"),
        ((["a"], np.ones((1, 2))), "has 2 numbers, but 3 are on record"),
    ],
)
def test_what_cannot_be_fused_is_refused(part: Any, message: str) -> None:
    with pytest.raises(EncoderError, match=message):
        fuse({"text": part}, "concat", dim=3)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ({"text": "encoded", "image": "encoded", "audio": "encoded"}, "full"),
        ({"text": "encoded", "image": "encoded"}, "partial"),
        ({"text": "encoded"}, "text-only"),
        ({"text": "encoded", "image": "failed"}, "text-only"),
        ({"text": "encoded", "image": "placeholder"}, "placeholder"),
        ({"text": "placeholder", "image": "encoded"}, "placeholder"),
        ({"image": "encoded"}, "missing-required"),
        ({"text": "failed", "image": "placeholder"}, "missing-required"),
        ({"text": "failed", "image": "pending"}, "pending"),
    ],
)
def test_every_video_has_a_status(states: dict[Any, str], expected: str) -> None:
    assert status(states, ["text", "image", "audio"], ["text"]) == expected


def test_videos_are_fused_with_their_status(home: Path) -> None:
    warehouse = text_home(home, {"v1": "one", "v2": "two", "v3": None, "v4": "four"})
    add_images(warehouse, {"v1": "picture", "v2": "bad picture"})
    encode(warehouse, Picky(3, modality="image", name="seeing"))
    add_images(warehouse, {"v4": "new picture"})
    refresh_contents(warehouse, NOW)
    done = fuse_videos(warehouse, settings(image="seeing"), ORIGIN, NOW)
    assert (done.written, done.removed) == (4, 0)
    assert rows(warehouse, "status, has_text, has_image, len(vector)") == [
        ("v1", "full", True, True, 7),
        ("v2", "text-only", True, False, 7),
        ("v3", "placeholder", False, False, None),
        ("v4", "pending", True, False, 7),
    ]
    assert done.statuses == {"full": 1, "text-only": 1, "placeholder": 1, "pending": 1}


def test_only_videos_whose_contents_changed_are_fused_again(home: Path) -> None:
    warehouse = text_home(home, {"v1": "one", "v2": "two"})
    add_images(warehouse, {"v2": "picture"})
    encode(warehouse, Hashing(3, modality="image", name="seeing"))
    chosen = settings(image="seeing")
    assert fuse_videos(warehouse, chosen, ORIGIN, NOW).written == 2
    assert fuse_videos(warehouse, chosen, ORIGIN, NOW).written == 0
    RawRows(landing="edit").video("v1", T0, title="one, edited").video("v3", T0, title="three").write(warehouse)
    add_images(warehouse, {"v1": "its picture"})
    encode(warehouse, Hashing())
    encode(warehouse, Hashing(3, modality="image", name="seeing"))
    assert fuse_videos(warehouse, chosen, ORIGIN, NOW).written == 2, (
        "a picture more and a video more, an edit is not first"
    )
    with warehouse.write() as con:
        con.execute("DELETE FROM embeddings.contents WHERE video_id = 'v3'")
    assert fuse_videos(warehouse, chosen, ORIGIN, NOW).removed == 1
    assert [video for video, _ in rows(warehouse, "status")] == ["v1", "v2"]


def test_a_picture_that_too_many_share_by_then_stands_for_none(home: Path) -> None:
    videos = {f"v{number:02}": f"title {number}" for number in range(30)}
    warehouse = text_home(home, videos)
    add_images(warehouse, {video: "no picture" if video < "v25" else video for video in videos})
    encode(warehouse, Hashing(3, modality="image", name="seeing"))
    fuse_videos(warehouse, settings(image="seeing"), ORIGIN, NOW)
    found = dict(rows(warehouse, "status"))
    assert {video for video, each in found.items() if each == "placeholder"} == {v for v in videos if v < "v25"}


def test_another_precision_or_revision_is_another_fusion(home: Path) -> None:
    warehouse = text_home(home, {"v1": "one"})
    first = fuse_videos(warehouse, settings(), ORIGIN, NOW)
    encode(warehouse, Hashing(4, precision="bf16"), NOW.replace(hour=1))
    second = fuse_videos(warehouse, settings(), ORIGIN, NOW)
    third = fuse_videos(warehouse, settings(fusion="max"), ORIGIN, NOW)
    assert len({first.fusion, second.fusion, third.fusion}) == 3
    made = warehouse.query("SELECT encoders FROM embeddings.fusions WHERE method = 'concat' ORDER BY ALL").to_pylist()
    assert [json.loads(row["encoders"])["text"]["precision"] for row in made] == ["bf16", "fp32"]


def test_vectors_of_another_length_than_on_record_are_refused(home: Path) -> None:
    warehouse = text_home(home, {"v1": "one"})
    with warehouse.write() as con:
        con.execute("UPDATE embeddings.text SET vector = [1.0, 2.0]::FLOAT[]")
    with pytest.raises(EncoderError, match=r"vectors of hashing 1 fp32 plain have 2 numbers, on record are 4"):
        fuse_videos(warehouse, settings(), ORIGIN, NOW)


def test_without_an_encoder_of_a_required_modality_nothing_is_fused(home: Path) -> None:
    warehouse = text_home(home, {"v1": "one"})
    done = fuse_videos(warehouse, settings(image="seeing", required=["image"]), ORIGIN, NOW)
    assert (done.fusion, done.written) == (None, 0)
    with pytest.raises(EncoderError, match=r"embeddings.required names image, but embeddings.image is null"):
        fusion_for(warehouse, settings(required=["image"]), ORIGIN)
