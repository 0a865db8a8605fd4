"""What is known of a video itself: its first-known record, its anchor, the shape of its text."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.features.raw_rows import NOW, T0, RawRows, build_features, hours, make_settings, row, rows
from warehouse.connection import Warehouse

ONLY = ("content",)


def content(folder: Path, *raw: RawRows, now: Any = NOW) -> Warehouse:
    warehouse = Warehouse(folder)
    for part in raw:
        part.write(warehouse)
    build_features(warehouse, make_settings(), now, only=ONLY)
    return warehouse


def described(folder: Path, **columns: Any) -> dict[str, Any]:
    """The content row of one video whose record has these columns."""
    return row(content(folder, RawRows().seen("v1", T0, {1: 10}, **columns)), "content")


def test_the_record_known_first_wins_though_another_was_observed_earlier(tmp_path: Path) -> None:
    raw = RawRows()
    raw.video("v1", T0 + hours(1), T0 + hours(40), published_at=T0, title="observed first, known last")
    raw.video("v1", T0 + hours(5), published_at=T0, title="known first", duration_s=30.0)
    raw.video("v1", T0 + hours(9), published_at=T0, title="edited later", duration_s=31.0)
    raw.snapshot("v1", T0 + hours(5), 10)
    found = row(content(tmp_path, raw), "content")
    assert (found["title"], found["duration_s"]) == ("known first", 30.0)
    assert found["known_at"] == T0 + hours(5)


def test_the_anchor_is_the_publish_time_where_the_source_has_one(tmp_path: Path) -> None:
    found = row(content(tmp_path, RawRows().seen("v1", T0, {3: 10})), "content")
    assert (found["anchor_at"], found["anchor_day"]) == (T0, T0.date())
    assert found["first_seen_at"] == T0 + hours(3)
    assert found["claimed_age_h"] is None
    assert (found["anchor_hour"], found["anchor_weekday"], found["anchor_weekend"]) == (12, 3, 0)


def test_the_anchor_is_first_sight_where_the_publish_time_is_not_trusted(tmp_path: Path) -> None:
    raw = RawRows("panel").seen("v1", T0, {30: 10, 50: 20})
    found = row(content(tmp_path, raw), "content")
    assert found["anchor_at"] == found["first_seen_at"] == T0 + hours(30)
    assert found["claimed_age_h"] == 30.0


def test_first_sight_is_when_the_first_snapshot_was_known(tmp_path: Path) -> None:
    raw = RawRows("panel").video("v1", T0).snapshot("v1", T0, 5, known=T0 + hours(100)).snapshot("v1", T0 + hours(9), 7)
    assert row(content(tmp_path, raw), "content")["anchor_at"] == T0 + hours(9)


def test_a_publish_time_after_first_sight_is_no_claimed_age(tmp_path: Path) -> None:
    raw = RawRows("panel").video("v1", T0, published_at=T0 + hours(2)).snapshot("v1", T0, 5)
    assert row(content(tmp_path, raw), "content")["claimed_age_h"] is None


def test_a_record_without_publish_time_is_passed_over_for_one_with_it(tmp_path: Path) -> None:
    raw = RawRows().video("v1", T0 + hours(1), title="no time").snapshot("v1", T0 + hours(1), 5)
    raw.video("v1", T0 + hours(2), published_at=T0, title="with time")
    assert row(content(tmp_path, raw), "content")["title"] == "with time"


def test_a_video_without_a_snapshot_is_there_from_its_record_on(tmp_path: Path) -> None:
    raw = RawRows().video("v1", T0 + hours(2), T0 + hours(8), published_at=T0, title="edited")
    raw.video("v1", T0 + hours(5), published_at=T0, title="known first")
    found = row(content(tmp_path, raw), "content")
    assert (found["anchor_at"], found["title"]) == (T0, "known first")
    assert found["known_at"] == found["first_seen_at"] == T0 + hours(5)


def test_a_video_without_a_snapshot_is_not_there_before_its_record_is_known(tmp_path: Path) -> None:
    raw = RawRows().video("v1", T0 + hours(2), T0 + hours(8), published_at=T0)
    assert rows(content(tmp_path, raw, now=T0 + hours(7)), "content") == []
    build_features(Warehouse(tmp_path), make_settings(), T0 + hours(8), only=ONLY)
    assert len(rows(Warehouse(tmp_path), "content")) == 1


def test_counts_from_before_the_publication_say_no_more_than_none(tmp_path: Path) -> None:
    raw = RawRows().snapshot("v1", T0 - timedelta(days=2), 3).video("v1", T0 + hours(5), published_at=T0)
    found = row(content(tmp_path, raw), "content")
    assert found["known_at"] == found["first_seen_at"] == T0 + hours(5)


def test_without_a_snapshot_there_is_no_first_sight_to_count_age_from(tmp_path: Path) -> None:
    assert rows(content(tmp_path, RawRows("panel").video("v1", T0, published_at=T0)), "content") == []


def test_a_video_of_a_source_without_an_anchor_has_no_row(tmp_path: Path) -> None:
    assert rows(content(tmp_path, RawRows("unheard of").seen("v1", T0, {1: 10})), "content") == []


def test_what_is_not_known_yet_is_not_there(tmp_path: Path) -> None:
    raw = RawRows().video("v1", T0, T0 + hours(10), published_at=T0).snapshot("v1", T0, 5, known=T0 + hours(10))
    assert rows(content(tmp_path, raw, now=T0 + hours(9)), "content") == []
    build_features(Warehouse(tmp_path), make_settings(), T0 + hours(10), only=ONLY)
    assert len(rows(Warehouse(tmp_path), "content")) == 1


def test_the_day_is_that_of_the_anchor(tmp_path: Path) -> None:
    raw = RawRows().seen("late", T0.replace(hour=23, minute=59), {1: 10}).seen("early", T0.replace(hour=0), {1: 10})
    warehouse = content(tmp_path, raw)
    assert {found["anchor_day"] for found in rows(warehouse, "content")} == {T0.date()}
    next_day = T0.date() + timedelta(days=1)
    build_features(warehouse, make_settings(), start=next_day, end=next_day + timedelta(days=1), only=ONLY)
    assert len(rows(warehouse, "content")) == 2


def test_a_missing_text_has_missing_features_and_an_empty_one_has_zeros(tmp_path: Path) -> None:
    missing = described(tmp_path / "missing", title=None, description=None, tags=None, is_short=None)
    for column, value in missing.items():
        if column.startswith(("title", "description", "tags", "language", "is_short")):
            assert value is None, column
    empty = described(tmp_path / "empty", title="", description="", tags=[])
    counted = [
        column for column in empty if column.startswith(("title_", "description_", "tags")) and "share" not in column
    ]
    assert {column: empty[column] for column in counted} == dict.fromkeys(counted, 0)
    assert empty["title_upper_share"] is None


def test_the_shape_of_a_title(tmp_path: Path) -> None:
    title = "You WON'T believe this!! 😀🔥 #shorts #äöü @me 42?"
    found = described(
        tmp_path,
        title=title,
        description="See https://a.example and http://b.example #one",
        tags=["a", "b", "c"],
        is_short=True,
    )
    assert {column: found[column] for column in found if column.startswith("title_")} == {
        "title_length": len(title),
        "title_words": 9,
        "title_upper_share": pytest.approx(5 / 29),
        "title_exclamations": 2,
        "title_questions": 1,
        "title_digits": 2,
        "title_emoji": 2,
        "title_hashtags": 2,
        "title_mentions": 1,
        "title_clickbait": 2,
    }
    assert (found["description_links"], found["description_hashtags"], found["tags_count"]) == (2, 1, 3)
    assert found["is_short"] == 1


@pytest.mark.parametrize(
    ("title", "language"),
    [
        ("Học tiếng Việt", "vi"),
        ("¿Qué?", "es"),
        ("Größe", "de"),
        ("a plain title", "latin"),
        ("これは動画", "ja"),
        ("한국어", "ko"),
        ("电影", "zh"),
        ("Привет", "cyrillic"),
        ("مرحبا", "ar"),
        ("12345 !!", None),
    ],
)
def test_the_language_is_guessed_from_the_characters(tmp_path: Path, title: str, language: str | None) -> None:
    assert described(tmp_path, title=title)["language_guess"] == language


def test_a_long_description_is_kept_short_and_counted_whole(tmp_path: Path) -> None:
    found = described(tmp_path, description="x" * 800)
    assert (len(found["description"]), found["description_length"]) == (500, 800)


def test_the_same_id_at_two_sources_is_two_videos(tmp_path: Path) -> None:
    warehouse = content(tmp_path, RawRows().seen("v1", T0, {1: 10}), RawRows("panel", "other").seen("v1", T0, {2: 10}))
    assert [(found["source"], found["anchor_at"] - T0) for found in rows(warehouse, "content")] == [
        ("demo", timedelta(0)),
        ("panel", hours(2)),
    ]
