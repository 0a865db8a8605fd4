"""Content as columns beside the training frame: of the latest origin that had come, and of no later one."""

from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from assets.clusters.frame import add_content, content_origin, load_content
from tests.features.raw_rows import make_settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

EARLY, LATE = date(2024, 3, 4), date(2024, 4, 29)
ANCHOR = datetime(2024, 3, 1, 12)
SETTINGS = make_settings()
TARGET = next(name for name in SETTINGS.targets if SETTINGS.parts(name) == (name,))


def put(warehouse: Warehouse, name: str, *rows: dict[str, object]) -> None:
    declared = table(name)
    filled = [{column: row.get(column) for column in declared.column_names} for row in rows]
    arrays = {column: [row[column] for row in filled] for column in declared.column_names}
    types = {"FLOAT[]": pa.list_(pa.float32()), "VARCHAR[]": pa.list_(pa.string()), "DOUBLE": pa.float64()}
    fields = {column.name: pa.array(arrays[column.name], types.get(column.type)) for column in declared.columns}
    with warehouse.write() as con:
        append_rows(con, declared, pa.table(fields))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    home = Warehouse(tmp_path)
    video = {"source": "demo", "video_id": "a"}
    for origin, at in ((EARLY, 1.0), (LATE, 2.0)):
        of = {**video, "origin": origin}
        put(home, "embeddings.coordinates", {**of, "modality": "text", "coordinates": [at, 0.5]})
        put(
            home,
            "clusters.assignments",
            {**of, "style_id": f"s{at:.0f}", "distance": at, "outlier": False, "fitted": True, "x": 0.0, "y": 0.0},
        )
        fusion = {"fusion": f"f{at:.0f}", "origin": origin, "method": "concat", "encoders": "{}", "required": ["text"]}
        put(home, "embeddings.fusions", {**fusion, "dim": 2, "created_at": ANCHOR})
        put(
            home,
            "embeddings.neighbours",
            {
                **video,
                "fusion": f"f{at:.0f}",
                "target": TARGET,
                "anchor_at": ANCHOR,
                "neighbours": 3,
                "similarity": 0.9,
                "outcome_mean": 10 * at,
                "outcome_spread": 1.0,
            },
        )
    return home


def test_an_origin_sees_what_was_fitted_by_then(warehouse: Warehouse) -> None:
    for origin, expected in ((EARLY, 1.0), (LATE - timedelta(days=1), 1.0), (LATE, 2.0)):
        found = load_content(warehouse, SETTINGS, "demo", TARGET, origin).loc["a"]
        assert (found["text_00"], found["style"], found["style_distance"]) == (expected, f"s{expected:.0f}", expected)
        assert found["neighbour_mean"] == 10 * expected


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
