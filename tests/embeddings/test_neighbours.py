"""No neighbour's outcome was known later than the anchor, and nothing that comes later changes a thing."""

import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.embeddings.neighbours import find_neighbours
from tests.embeddings.worlds import TARGET, add_videos
from tests.features.raw_rows import make_settings
from warehouse.connection import Warehouse

SETTINGS = make_settings()
NOW = datetime(2024, 6, 1)


@pytest.fixture
def warehouse(home: Path) -> Warehouse:
    return Warehouse(home, patience_s=10)


def find(warehouse: Warehouse, now: datetime = NOW, k: int = 2) -> int:
    return find_neighbours(warehouse, SETTINGS, "f", TARGET, now, k)


def rows(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    found = warehouse.query("SELECT * EXCLUDE (fusion, target) FROM embeddings.neighbours ORDER BY ALL").to_pylist()
    return {f"{row['source']}/{row['video_id']}": row for row in found}


def test_the_most_similar_matured_videos_of_the_source_count(warehouse: Warehouse) -> None:
    add_videos(
        warehouse,
        [
            {"id": "same", "anchor": 0, "matured": 48, "value": 5.0, "vector": [1.0, 0.0]},
            {"id": "near", "anchor": 1, "matured": 48, "value": 1.0, "vector": [3.0, 4.0]},
            {"id": "far", "anchor": 2, "matured": 48, "value": 9.0, "vector": [-1.0, 0.0]},
            {"id": "late", "anchor": 3, "matured": 101, "value": 99.0, "vector": [1.0, 0.0]},
            {"id": "unread", "anchor": 3, "matured": 48, "known": 101, "value": 99.0, "vector": [1.0, 0.0]},
            {"id": "other", "source": "panel", "anchor": 0, "matured": 48, "value": 99.0, "vector": [1.0, 0.0]},
            {"id": "asked", "anchor": 100, "matured": 100, "value": 99.0, "vector": [2.0, 0.0]},
        ],
    )
    assert find(warehouse) == 7
    row = rows(warehouse)["demo/asked"]
    assert row["neighbours"] == 2
    assert row["similarity"] == pytest.approx((1 + 0.6) / 2)
    assert row["outcome_mean"] == pytest.approx((5 + 0.6 * 1) / 1.6)
    assert row["outcome_spread"] == pytest.approx(2.0)
    assert rows(warehouse)["demo/same"] == {
        "source": "demo",
        "video_id": "same",
        "anchor_at": datetime(2024, 1, 2),
        "neighbours": 0,
        "similarity": None,
        "outcome_mean": None,
        "outcome_spread": None,
    }


def test_only_days_that_could_have_changed_are_done_again(warehouse: Warehouse) -> None:
    early = [
        {"id": f"v{n}", "anchor": 24 * n, "matured": 24 * n + 30, "value": n, "vector": [1.0, n]} for n in range(9)
    ]
    add_videos(warehouse, early)
    assert find(warehouse) == 9
    assert find(warehouse) == 0
    add_videos(warehouse, [{"id": "new", "anchor": 24 * 9, "vector": [1.0, 1.0]}])
    assert find(warehouse) == 1
    with warehouse.write() as con:  # an outcome that was known on the fifth day turns out to be another
        con.execute("UPDATE features.targets SET value = 40 WHERE video_id = 'v4'")
    assert find(warehouse) == len(["v5", "v6", "v7", "v8", "new"])
    with warehouse.write() as con:
        con.execute("DELETE FROM embeddings.neighbours WHERE video_id = 'v3'")
    assert find(warehouse) == 1


def test_a_video_that_goes_loses_its_row_and_is_nobodys_neighbour(warehouse: Warehouse) -> None:
    add_videos(
        warehouse,
        [
            {"id": "gone", "anchor": 0, "matured": 48, "value": 5.0, "vector": [1.0, 0.0]},
            {"id": "asked", "anchor": 100, "vector": [2.0, 0.0]},
        ],
    )
    find(warehouse)
    assert rows(warehouse)["demo/asked"]["neighbours"] == 1
    with warehouse.write() as con:
        con.execute("DELETE FROM embeddings.fused WHERE video_id = 'gone'")
    find(warehouse)
    assert {key: row["neighbours"] for key, row in rows(warehouse).items()} == {"demo/asked": 0}


numbers = st.integers(0, 8)
videos = st.lists(
    st.fixed_dictionaries(
        {
            "anchor": st.integers(0, 300),
            "after": st.integers(0, 200),
            "known": st.integers(-20, 100),
            "value": numbers,
            "vector": st.tuples(numbers, numbers, st.just(1)),
        }
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=8, deadline=None)
@given(videos, st.integers(0, 400))
def test_neighbours_are_what_was_known_at_the_anchor_whatever_comes_later(drawn: list[Any], moment: int) -> None:
    world = [
        {
            "id": f"v{number}",
            "anchor": each["anchor"],
            "known": each["anchor"] + each["known"],
            "matured": each["anchor"] + each["after"],
            "value": float(each["value"]),
            "vector": [float(part) for part in each["vector"]],
        }
        for number, each in enumerate(drawn)
    ]
    now = datetime(2024, 1, 2) + timedelta(hours=moment)
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Warehouse(Path(folder) / "whole"), Warehouse(Path(folder) / "cut")
        add_videos(whole, world)
        find(whole)
        add_videos(cut, [_as_of(each, moment) for each in world if each["anchor"] <= moment])
        find(cut, now)
        later = rows(whole)
        assert rows(cut) == {key: row for key, row in later.items() if row["anchor_at"] <= now}
        for each in world:
            _check(later[f"demo/{each['id']}"], each, world)


def _as_of(video: dict[str, Any], moment: int) -> dict[str, Any]:
    """A video without an outcome that was not known yet."""
    hidden = () if video["matured"] <= moment else ("matured", "value")
    return {name: value for name, value in video.items() if name not in hidden}


def _check(row: dict[str, Any], video: dict[str, Any], world: list[dict[str, Any]]) -> None:
    """Against the plain definition."""
    usable = [
        each
        for each in world
        if each is not video and each["matured"] <= video["anchor"] and each["known"] <= video["anchor"]
    ]

    def cosine(each: dict[str, Any]) -> float:
        a, b = (np.array(one["vector"]) / np.linalg.norm(one["vector"]) for one in (each, video))
        return float(a @ b)

    best = sorted((cosine(each) for each in usable), reverse=True)[:2]
    assert row["neighbours"] == len(best)
    if best:
        assert row["similarity"] == pytest.approx(np.mean(best), abs=1e-5)
