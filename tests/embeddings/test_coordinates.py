"""Coordinates come from a PCA that saw nothing anchored at or after its origin."""

from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.embeddings.coordinates import fit_coordinates, pca
from assets.embeddings.fusion import fuse_videos
from tests.embeddings.fakes import NOW, Hashing
from tests.embeddings.worlds import encode, settings
from tests.features.raw_rows import T0, RawRows, insert
from warehouse.connection import Warehouse

ORIGIN = date(2024, 2, 26)
LATER = T0.replace(month=3)
SETTINGS = settings()


def add(warehouse: Warehouse, videos: dict[str, Any], landing: str) -> None:
    raw = RawRows(landing=landing)
    with warehouse.write() as con:
        for video, anchor in videos.items():
            raw.video(video, anchor, title=f"title of {video}")
            times = {"anchor_day": anchor.date(), "anchor_at": anchor, "first_seen_at": anchor, "known_at": anchor}
            insert(con, "features.content", [{"source": "demo", "video_id": video, **times}])
    raw.write(warehouse)
    encode(warehouse, Hashing(6))
    fuse_videos(warehouse, SETTINGS, ORIGIN, NOW)


def coordinates(warehouse: Warehouse) -> dict[tuple[str, str], list[float]]:
    rows = warehouse.query("SELECT modality, video_id, coordinates FROM embeddings.coordinates").to_pylist()
    return {(row["modality"], row["video_id"]): row["coordinates"] for row in rows}


def test_later_videos_get_coordinates_and_change_no_others(home: Path) -> None:
    warehouse = Warehouse(home, patience_s=10)
    add(warehouse, {f"v{number}": T0 for number in range(8)}, "early")
    assert fit_coordinates(warehouse, SETTINGS, ORIGIN, NOW, dims=3) == {"text": 8, "fused": 8}
    before = coordinates(warehouse)
    assert {len(each) for each in before.values()} == {3}
    add(warehouse, {f"w{number}": LATER for number in range(5)}, "later")
    assert fit_coordinates(warehouse, SETTINGS, ORIGIN, NOW, dims=3) == {"text": 13, "fused": 13}
    after = coordinates(warehouse)
    assert {key: after[key] for key in before} == before
    assert fit_coordinates(warehouse, SETTINGS, ORIGIN, LATER.replace(day=1), dims=3) == {"text": 8, "fused": 8}


def test_too_few_videos_before_the_origin_give_none(home: Path) -> None:
    warehouse = Warehouse(home, patience_s=10)
    add(warehouse, {"v1": T0, "v2": LATER}, "few")
    assert fit_coordinates(warehouse, SETTINGS, ORIGIN, NOW) == {}
    assert fit_coordinates(warehouse, SETTINGS, date(2024, 1, 1), NOW) == {}


def test_components_are_those_of_the_standardised_rows_that_were_fitted() -> None:
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((50, 4)) * [1, 5, 0, 1] + [3, 0, 7, 0]).astype(np.float32)
    found = pca(vectors, np.arange(30), 9)
    assert found is not None and found.shape == (50, 3)
    fitted = found[:30].astype(np.float64)
    np.testing.assert_allclose(fitted.mean(axis=0), 0, atol=1e-6)
    assert fitted.var(axis=0).sum() == pytest.approx(3, rel=1e-5)
    np.testing.assert_allclose(np.corrcoef(fitted.T), np.eye(3), atol=1e-5)
    assert pca(np.ones((5, 3), np.float32), np.arange(5), 2) is None
    assert pca(vectors, np.arange(1), 2) is None
