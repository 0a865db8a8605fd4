"""Which texts there are, as of when each was known, and what became of it when raw rows change."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.language import texts
from assets.language.texts import refresh_texts, states, texts_of
from assets.language.validation import Finding
from tests.features.raw_rows import insert
from warehouse.connection import Warehouse

NOW = datetime(2024, 6, 3, 12)
HOUR = timedelta(hours=1)


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


def comment(id: str, text: str | None, hours: float = 0.0, **more: Any) -> dict[str, Any]:
    at = NOW - timedelta(days=1) + hours * HOUR
    row = {"source": "demo", "video_id": "v", "comment_id": id, "observed_at": at, "known_at": at, "text": text}
    return {**row, "published_at": at - HOUR, "landing_id": "l", "row_number": 1, **more}


def add(warehouse: Warehouse, table: str, *rows: dict[str, Any]) -> None:
    with warehouse.write() as con:
        insert(con, table, list(rows))


def found(warehouse: Warehouse, *columns: str) -> list[tuple[Any, ...]]:
    names = columns or ("part", "item_id", "state")
    rows = warehouse.query(f"SELECT {', '.join(names)} FROM language.texts ORDER BY ALL").to_pylist()
    return [tuple(row.values()) for row in rows]


def refresh(warehouse: Warehouse, now: datetime = NOW) -> tuple[int, int, int]:
    done = refresh_texts(warehouse, now, "r")
    return done.added, done.changed, done.removed


def test_titles_transcripts_and_comments_are_all_there_whatever_their_state(warehouse: Warehouse) -> None:
    video = {"source": "demo", "video_id": "v", "observed_at": NOW - HOUR, "known_at": NOW, "landing_id": "l"}
    add(warehouse, "raw.videos", {**video, "row_number": 1, "title": "A fine title"})
    add(warehouse, "raw.captions", {**video, "row_number": 2, "text": "we say", "language": "en", "kind": "manual"})
    add(warehouse, "raw.comments", comment("a", "so nice"), comment("b", ""), comment("c", None))
    assert refresh(warehouse) == (5, 0, 0)
    assert found(warehouse) == [
        ("comment", "a", "valid"),
        ("comment", "b", "empty"),
        ("comment", "c", "empty"),
        ("title", "", "valid"),
        ("transcript", "en manual", "valid"),
    ]
    assert sum(row["texts"] for row in states(warehouse)) == 5
    assert refresh(warehouse) == (0, 0, 0)


def test_a_text_is_known_from_when_it_was_first_usable(warehouse: Warehouse) -> None:
    add(
        warehouse,
        "raw.comments",
        comment("a", "first", 1, known_at=NOW),
        comment("a", "first", 2),
        comment("a", "edited", 3),
    )
    refresh(warehouse)
    day = NOW - timedelta(days=1)
    assert sorted(at for (at,) in found(warehouse, "known_at")) == [day + 2 * HOUR, day + 3 * HOUR]
    assert min(at for (at,) in found(warehouse, "written_at")) == day


def test_what_is_not_known_yet_does_not_exist(warehouse: Warehouse) -> None:
    add(warehouse, "raw.comments", comment("a", "now"), comment("b", "later on", known_at=NOW + HOUR))
    assert refresh(warehouse) == (1, 0, 0)
    assert refresh(warehouse, NOW + HOUR) == (1, 0, 0)


def test_of_equal_texts_under_a_video_the_first_known_is_no_duplicate(warehouse: Warehouse) -> None:
    other = comment("c", "so nice", 1, video_id="w")
    add(warehouse, "raw.comments", comment("b", "so nice", 2), comment("a", "so nice", 3), other)
    refresh(warehouse)
    assert [item for _, item, state in found(warehouse) if state == "duplicate"] == ["a"]
    add(warehouse, "raw.comments", comment("z", "so nice", 0))
    assert refresh(warehouse) == (1, 1, 0)
    assert [item for _, item, state in found(warehouse) if state == "duplicate"] == ["a", "b"]


def test_what_raw_rows_no_longer_say_goes(warehouse: Warehouse) -> None:
    add(warehouse, "raw.comments", comment("a", "so nice"), comment("b", "so bad"))
    refresh(warehouse)
    with warehouse.write() as con:
        con.execute("DELETE FROM raw.comments WHERE comment_id = 'a'")
    assert refresh(warehouse) == (0, 0, 1)
    assert found(warehouse) == [("comment", "b", "valid")]


def test_other_rules_look_at_every_text_again(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    add(warehouse, "raw.comments", comment("a", "so nice"))
    refresh(warehouse)
    monkeypatch.setattr(texts, "_rules_version", lambda: "other")
    monkeypatch.setattr(texts, "look_at", lambda text, part: Finding(len(text), "en", "spam"))
    assert refresh(warehouse) == (0, 1, 0)
    assert refresh(warehouse) == (0, 0, 0)
    assert found(warehouse) == [("comment", "a", "spam")]


def test_words_are_read_by_their_id(warehouse: Warehouse) -> None:
    add(warehouse, "raw.comments", comment("a", "so nice"), comment("b", "so bad", video_id="w"))
    refresh(warehouse)
    ids = [text_id for (text_id,) in found(warehouse, "text_id")]
    assert sorted(texts_of(warehouse, [*ids, "nobody"]).values()) == ["so bad", "so nice"]
