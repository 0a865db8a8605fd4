"""Content as columns beside the training frame: of the latest origin that had come, and of no later one."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from assets.clusters.frame import add_content, content_origin, load_content
from assets.embeddings.fusion import fusion_for
from tests.features.raw_rows import insert, make_settings
from warehouse.connection import Warehouse

EARLY, LATE = date(2024, 3, 4), date(2024, 4, 29)
ANCHOR = datetime(2024, 3, 1, 12)
SETTINGS = make_settings()
TARGET = next(name for name in SETTINGS.targets if SETTINGS.parts(name) == (name,))


def put(warehouse: Warehouse, name: str, *rows: dict[str, object]) -> None:
    with warehouse.write() as con:
        insert(con, name, list(rows))


def put_encoder(warehouse: Warehouse, origin: date, revision: str) -> None:
    choice = SETTINGS.embeddings.text
    assert choice is not None
    made = {"modality": "text", "encoder": choice.encoder, "revision": revision, "precision": "fp32", "dim": 2}
    kept = {"origin": origin, "n_fit": 1, "uri": revision, "sha256": revision, "run_id": "r", "created_at": ANCHOR}
    put(warehouse, "embeddings.encoders", {**made, "preprocessing": "1", **kept})


def put_neighbours(warehouse: Warehouse, fusion: str, mean: float) -> None:
    video = {"source": "demo", "video_id": "a", "fusion": fusion, "target": TARGET, "anchor_at": ANCHOR}
    figures = {"neighbours": 3, "similarity": 0.9, "outcome_mean": mean, "outcome_spread": 1.0}
    put(warehouse, "embeddings.neighbours", {**video, **figures})


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    home = Warehouse(tmp_path)
    for origin, at in ((EARLY, 1.0), (LATE, 2.0)):
        of = {"source": "demo", "video_id": "a", "origin": origin}
        put(home, "embeddings.coordinates", {**of, "modality": "text", "coordinates": [at, 0.5]})
        style = {"style_id": f"s{at:.0f}", "distance": at, "outlier": False, "fitted": True, "x": 0.0, "y": 0.0}
        put(home, "clusters.assignments", {**of, **style})
        put_encoder(home, origin, f"r{at:.0f}")
        serving = fusion_for(home, SETTINGS, origin)
        assert serving is not None
        put_neighbours(home, serving.fusion, 10 * at)
    return home


def test_an_origin_sees_what_was_fitted_by_then(warehouse: Warehouse) -> None:
    for origin, expected in ((EARLY, 1.0), (LATE - timedelta(days=1), 1.0), (LATE, 2.0)):
        found = load_content(warehouse, SETTINGS, "demo", TARGET, origin).loc["a"]
        assert (found["text_00"], found["style"], found["style_distance"]) == (expected, f"s{expected:.0f}", expected)
        assert found["neighbour_mean"] == 10 * expected


def test_neighbours_of_vectors_that_the_settings_no_longer_ask_for_do_not_count(warehouse: Warehouse) -> None:
    fusion = {"fusion": "other", "origin": LATE, "method": "sum", "encoders": "{}", "required": ["text"], "dim": 2}
    put(warehouse, "embeddings.fusions", {**fusion, "created_at": ANCHOR + timedelta(days=99)})
    put_neighbours(warehouse, "other", -99.0)
    assert load_content(warehouse, SETTINGS, "demo", TARGET, LATE).loc["a", "neighbour_mean"] == 20.0


def test_before_the_first_origin_there_is_nothing(warehouse: Warehouse) -> None:
    assert content_origin(warehouse, EARLY - timedelta(days=1)) is None
    content = load_content(warehouse, SETTINGS, "demo", TARGET, EARLY - timedelta(days=1))
    frame = pd.DataFrame({"video_id": ["a", "b"], "views_log": [1.0, 2.0]})
    assert add_content(frame, content) is frame


def test_videos_without_content_have_it_missing_and_no_row_is_added(warehouse: Warehouse) -> None:
    frame = pd.DataFrame({"video_id": ["b", "a"], "views_log": [1.0, 2.0]})
    joined = add_content(frame, load_content(warehouse, SETTINGS, "demo", TARGET, LATE))
    assert joined["video_id"].tolist() == ["b", "a"]
    assert joined["text_01"].isna().tolist() == [True, False]


def test_another_source_has_its_own(warehouse: Warehouse) -> None:
    assert not len(load_content(warehouse, SETTINGS, "other", TARGET, LATE))


def test_looks_come_from_the_first_known_picture_only(warehouse: Warehouse) -> None:
    measured = {"version": "1", "has_picture": True, "has_motion": False, "has_sound": False}
    for content, rank, brightness in (("x", 1, 0.25), ("y", 2, 0.75)):
        of = {"source": "demo", "video_id": "a", "modality": "image", "content_id": content, "known_at": ANCHOR}
        put(warehouse, "embeddings.contents", {**of, "rank": rank})
        put(warehouse, "embeddings.interpretation", {**measured, "content_id": content, "brightness": brightness})
    found = load_content(warehouse, SETTINGS, "demo", TARGET, LATE).loc["a"]
    assert found["look_brightness"] == 0.25
