"""Styles of an origin from tables to tables: planted, repeated, refitted, later videos, and too little of everything."""

import hashlib
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.clusters.gallery import load_gallery
from assets.clusters.map import map_points
from assets.clusters.styles import TABLES, StylesError, Summary, _exemplars, assign_new, fit_styles, input_version
from tests.clusters.planted import FUSION, NOW, ORIGIN, SEARCH, WORDS, interpreted, planted_settings, rows_of, world
from warehouse.connection import Warehouse

SETTINGS = planted_settings()


@pytest.fixture
def warehouse(home: Path) -> Warehouse:
    return Warehouse(home)


def fitted(warehouse: Warehouse, origin: date = ORIGIN, run_id: str = "run") -> Summary:
    return fit_styles(warehouse, SETTINGS, FUSION, origin, NOW, run_id, search=SEARCH)


def everything(warehouse: Warehouse) -> dict[str, list[dict]]:
    return {name: rows_of(warehouse, name) for name in TABLES}


def test_planted_styles_are_found_named_and_measured(warehouse: Warehouse):
    made = world().write(warehouse)
    summary = fitted(warehouse)
    assert (summary.k, summary.fitted, summary.assigned, summary.reason) == (4, 240, 260, None)
    assert summary.events == {"born": 4}
    styles = rows_of(warehouse, "clusters.styles")
    assert {frozenset(row["name"].split(", ")) for row in styles} == {frozenset(words) for words in WORDS}
    assert {row["size"] for row in styles} == {60}
    best = max(styles, key=lambda row: row["lift"])
    assert set(best["terms"]) == set(WORDS[0])
    assert best["lift_low"] > 0.3
    assert all(row["lift_low"] <= 0.75 <= row["lift_high"] for row in [best])
    planted = dict(zip(made.videos["video_id"], made.videos["planted"], strict=True))
    assigned = rows_of(warehouse, "clusters.assignments")
    pairs = {(row["style_id"], planted[row["video_id"]]) for row in assigned}
    assert len(pairs) == 4
    assert sum(row["fitted"] for row in assigned) == 240
    for row in styles:
        assert len(row["exemplars"]) >= 3
        assert row["matured"] == sum(
            matured < pd.Timestamp(ORIGIN) and (row["style_id"], planted[video]) in pairs
            for video, matured in zip(made.outcomes["video_id"], made.outcomes["matured_at"], strict=True)
        )
    sizes = rows_of(warehouse, "clusters.sizes")
    assert sum(row["videos"] for row in sizes) == 240
    assert max(row["week"] for row in sizes) < ORIGIN
    assert sum(row["chosen"] for row in rows_of(warehouse, "clusters.fits")) == 1


def test_twice_gives_the_same_tables_and_one_model(warehouse: Warehouse):
    world().write(warehouse)
    fitted(warehouse)
    first = everything(warehouse)
    fitted(warehouse, run_id="again")
    assert everything(warehouse) == first
    files = list((warehouse.home / "styles" / ORIGIN.isoformat()).iterdir())
    chosen = [row["sha256"] for row in first["clusters.fits"] if row["chosen"]]
    assert [path.stem for path in files] == chosen == [hashlib.sha256(files[0].read_bytes()).hexdigest()]
    made = warehouse.query("FROM lineage.partitions").to_pylist()
    assert [(row["table"], row["partition"], row["run_id"]) for row in made] == [
        ("clusters.styles", ORIGIN.isoformat(), "again")
    ]
    assert made[0]["input_version"] == input_version(FUSION, SEARCH) != input_version(FUSION)


def test_later_rows_change_nothing_of_an_origin(warehouse: Warehouse, tmp_path: Path):
    """Videos anchored later, known later, and outcomes matured later leave fits, styles and sizes as they were."""
    made = world(240, after=60)
    known_late = made.videos["anchor_at"] < pd.Timestamp(ORIGIN)
    known_late &= np.arange(len(known_late)) % 40 == 7
    made.videos.loc[known_late, "known_at"] += timedelta(days=200)
    early = (made.videos["anchor_at"] < pd.Timestamp(ORIGIN)) & ~known_late
    made.select(early).write(warehouse)
    fitted(warehouse)
    other = Warehouse(tmp_path / "other")
    late = made.outcomes["matured_at"] >= pd.Timestamp(ORIGIN)
    made.outcomes.loc[late, "value"] += 1000
    made.write(other)
    fitted(other)
    for name in ("clusters.fits", "clusters.styles", "clusters.sizes"):
        assert rows_of(other, name) == rows_of(warehouse, name), name
    kept = {row["video_id"]: row for row in rows_of(warehouse, "clusters.assignments")}
    both = [row for row in rows_of(other, "clusters.assignments") if row["video_id"] in kept]
    assert all(row == kept[row["video_id"]] for row in both)
    assert len(rows_of(other, "clusters.assignments")) == 300


def test_a_refit_keeps_ids_and_records_births_and_deaths(warehouse: Warehouse):
    made = world(320, weeks=20)
    origin = ORIGIN - timedelta(weeks=4)
    before = made.videos["anchor_at"] < pd.Timestamp(origin)
    gone, new = made.videos["planted"] == 3, made.videos["planted"] == 2
    made.select(before & ~new).write(warehouse)
    assert fitted(warehouse, origin).k == 3
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 12)))[0].astype(np.float32)
    moved = made.select(~gone)
    moved.vectors = moved.vectors @ turn
    moved.write(warehouse)  # another encoder: the same videos in another space
    summary = fitted(warehouse)
    assert summary.events == {"kept": 2, "born": 1, "died": 1}
    styles = {(row["origin"], row["style_id"]): row for row in rows_of(warehouse, "clusters.styles")}
    now = {style: row for (at, style), row in styles.items() if at == ORIGIN}
    assert {style for (at, style) in styles if at == origin} == {"s1", "s2", "s3"}
    events = {row["event"]: row for row in now.values()}
    assert events["born"]["style_id"] == "s4"
    assert set(events["born"]["terms"]) == set(WORDS[2])
    assert set(events["died"]["terms"]) == set(WORDS[3])
    assert events["died"]["size"] == 0
    for style, row in now.items():
        if row["event"] == "kept":
            assert set(row["terms"]) == set(styles[origin, style]["terms"])
            assert row["match_distance"] == 0
    assert fitted(warehouse, ORIGIN + timedelta(weeks=1)).events == {"kept": 3}  # what died is told once


def test_new_videos_are_assigned_without_a_refit(warehouse: Warehouse):
    made = world(240, after=40)
    made.select(made.videos["anchor_at"] < pd.Timestamp(ORIGIN)).write(warehouse)
    fitted(warehouse)
    before = everything(warehouse)
    made.write(warehouse)
    assert assign_new(warehouse, ORIGIN) == 40
    assert assign_new(warehouse, ORIGIN) == 0
    after = everything(warehouse)
    for name in ("clusters.fits", "clusters.styles", "clusters.sizes"):
        assert after[name] == before[name]
    fitted(warehouse)
    assert everything(warehouse) == after


def test_videos_without_a_vector_lose_their_style(warehouse: Warehouse):
    made = world().write(warehouse)
    fitted(warehouse)
    before = rows_of(warehouse, "clusters.assignments")
    made.select(np.arange(260) >= 3).write(warehouse)
    assert assign_new(warehouse, ORIGIN) == 0
    gone = {"v00000", "v00001", "v00002"}
    assert rows_of(warehouse, "clusters.assignments") == [row for row in before if row["video_id"] not in gone]


def test_a_model_that_is_gone_or_changed_is_said(warehouse: Warehouse):
    with pytest.raises(StylesError, match="there are no styles of 2024-03-18: fit that origin first"):
        assign_new(warehouse, ORIGIN)
    world().write(warehouse)
    fitted(warehouse)
    (path,) = (warehouse.home / "styles" / ORIGIN.isoformat()).iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(StylesError, match="is not what was written: fit the origin again"):
        assign_new(warehouse, ORIGIN)
    path.unlink()
    with pytest.raises(StylesError, match="is missing: fit the origin again"):
        assign_new(warehouse, ORIGIN)


def test_no_vectors_too_few_or_all_alike_leave_a_reason(warehouse: Warehouse):
    assert fitted(warehouse).reason == "0 videos with a vector before the origin: 3 styles need 15"
    made = world()
    made.write(warehouse)
    fitted(warehouse)
    replace(made, vectors=np.ones_like(made.vectors)).write(warehouse)
    assert fitted(warehouse).reason == "all 240 vectors are the same: there are no styles in them"
    assert all(not rows for rows in everything(warehouse).values())
    assert rows_of(warehouse, "lineage.partitions") == []  # it is tried again
    assert not list((warehouse.home / "styles" / ORIGIN.isoformat()).iterdir())


def test_vectors_that_are_not_finite_are_left_out_and_counted(warehouse: Warehouse):
    made = world()
    made.vectors[3, 2], made.vectors[9, 0] = np.nan, np.inf
    made.write(warehouse)
    summary = fitted(warehouse)
    assert (summary.left_out, summary.fitted, summary.k) == (2, 238, 4)
    ids = {row["video_id"] for row in rows_of(warehouse, "clusters.assignments")}
    assert not {"v00003", "v00009"} & ids


def test_titles_that_say_nothing_are_named_by_their_looks(warehouse: Warehouse):
    made = world()
    made.videos["title"] = None
    bright = np.where(made.videos["planted"] == 1, 0.9, 0.3) + np.random.default_rng(0).normal(size=260) * 0.02
    cuts = np.where(made.videos["planted"] == 2, 3.0, 0.5) + np.random.default_rng(1).normal(size=260) * 0.02
    interpreted(made, brightness=bright, cut_rate=cuts, dominant_colours=[["#ff0000"]] * 260).write(warehouse)
    fitted(warehouse)
    names = {row["name"] for row in rows_of(warehouse, "clusters.styles")}
    assert len(names) == 4
    assert any("bright" in name for name in names)
    assert any("fast cuts" in name for name in names)


def test_vectors_of_different_lengths_are_refused(warehouse: Warehouse):
    made = world()
    ragged = [list(vector) for vector in made.vectors]
    ragged[0] = ragged[0][:5]
    replace(made, vectors=ragged).write(warehouse)
    with pytest.raises(ValueError, match="vectors of 5, 12 dimensions for fusion fusion"):
        fitted(warehouse)


def test_gallery_and_map_read_what_was_written(warehouse: Warehouse):
    interpreted(world(), brightness=0.5, dominant_colours=[["#ff0000"]] * 260).write(warehouse)
    fitted(warehouse)
    styles, exemplars = load_gallery(warehouse, ORIGIN)
    assert [style.row["style_id"] for style in styles] == ["s1", "s2", "s3", "s4"]
    assert all(len(style.shares) >= 16 for style in styles)
    for style in styles:
        assert [exemplar.key for exemplar in exemplars[style.row["style_id"]]] == style.row["exemplars"]
        assert all(
            exemplar.content_id == "c" + exemplar.key.split("/")[1] for exemplar in exemplars[style.row["style_id"]]
        )
    points = map_points(warehouse, ORIGIN, "views_7d")
    assert len(points) == 260
    assert points["outcome"].notna().all()


def test_exemplars_have_pictures_where_there_are_any() -> None:
    members = pd.DataFrame(
        {
            "key": ["demo/a", "demo/b", "demo/c"],
            "title": ["a", "b", "c"],
            "channel_id": ["x", "y", "z"],
            "distance": [0.1, 0.2, 0.3],
            "pictured": [False, True, True],
            "video_id": ["a", "b", "c"],
            "source": "demo",
        }
    )
    assert _exemplars(members) == ["demo/b", "demo/c", "demo/a"]
