"""Titles, transcripts and comments are encoded once each and found by meaning, as of the time that is asked for."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.embeddings import search
from assets.embeddings.contents import refresh_contents
from assets.embeddings.encode import SAID, encode_missing
from assets.embeddings.search import similar_texts
from assets.language.texts import refresh_texts
from resources.encoders.base import Content, EncoderError, Vectors
from tests.embeddings.fakes import NOW, Hashing
from tests.features.raw_rows import insert, make_settings
from warehouse.connection import Warehouse

DAY = timedelta(days=1)
WORDS = ("cat", "dog", "bread", "game")


class Bag(Hashing):
    """Counts a few words."""

    def encode(self, batch: Any) -> Vectors:
        self.encoded += batch
        return np.array([[float(str(text).count(word)) for word in WORDS] for text in batch], np.float32)


def comment(
    name: str, text: str, days_ago: float, known_days_ago: float | None = None, video: str = "v"
) -> dict[str, Any]:
    seen = NOW - days_ago * DAY
    known = seen if known_days_ago is None else NOW - known_days_ago * DAY
    row = {
        "source": "demo",
        "video_id": video,
        "comment_id": name,
        "text": text,
        "observed_at": seen,
        "known_at": known,
    }
    return {**row, "published_at": seen - timedelta(hours=1), "landing_id": "l", "row_number": int(name)}


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> Bag:
    made = Bag()
    monkeypatch.setattr(search, "open_encoder", lambda *_: made)
    return made


@pytest.fixture
def warehouse(tmp_path: Path, encoder: Bag) -> Warehouse:
    made = Warehouse(tmp_path)
    with made.write() as con:
        video = {"source": "demo", "video_id": "v", "title": "bread bread", "description": "x", "landing_id": "l"}
        insert(con, "raw.videos", [{**video, "row_number": 1, "observed_at": NOW - 9 * DAY, "known_at": NOW - 9 * DAY}])
        insert(
            con,
            "raw.comments",
            [
                comment("1", "a cat and a dog", 8),
                comment("2", "my cat, my cat", 6),
                comment("3", "a cat: known late", 7, known_days_ago=1),
                comment("4", "only a game", 5),
                comment("5", "my cat, my cat", 4, video="w"),
                comment("6", "", 4),
            ],
        )
    refresh(made, encoder)
    return made


def refresh(warehouse: Warehouse, encoder: Bag) -> tuple[int, int, int]:
    refresh_texts(warehouse, NOW, "r")
    refresh_contents(warehouse, NOW)
    done = encode_missing(warehouse, "text", encoder, None, now=NOW, run_id="r", place=SAID)
    return done.new, done.cached, done.removed


def settings() -> Any:
    made = make_settings()
    choice = made.embeddings.text
    assert choice is not None
    text = choice.model_copy(update={"encoder": "hashing"})
    return made.model_copy(update={"embeddings": made.embeddings.model_copy(update={"text": text})})


def found(warehouse: Warehouse, query: str = "cat", part: Any = "comment", **more: Any) -> list[str]:
    return [row.item_id for row in similar_texts(warehouse, warehouse.home, settings(), query, part, **more)]


def test_each_text_is_encoded_once_and_goes_with_its_last_use(warehouse: Warehouse, encoder: Bag) -> None:
    assert len(encoder.encoded) == len(set(encoder.encoded)) == 5  # the empty one has none, the copied one has one
    assert refresh(warehouse, encoder) == (0, 5, 0)
    with warehouse.write() as con:
        con.execute("DELETE FROM raw.comments WHERE comment_id IN ('2', '4')")
    assert refresh(warehouse, encoder) == (0, 4, 1)
    assert found(warehouse) == ["5", "3", "1"]


def test_the_nearest_come_first_and_a_copy_stands_once_where_it_was_known_first(warehouse: Warehouse) -> None:
    assert found(warehouse) == ["2", "3", "1", "4"]
    assert found(warehouse, k=1) == ["2"]
    assert found(warehouse, "bread", "title") == [""] and found(warehouse, "bread", "transcript") == []
    best = similar_texts(warehouse, warehouse.home, settings(), "cat", "comment", k=1)[0]
    assert best.text == "my cat, my cat" and best.video_id == "v" and best.cosine == pytest.approx(1)


def test_what_was_known_later_or_written_earlier_is_left_out(warehouse: Warehouse) -> None:
    assert found(warehouse, before=NOW - 2 * DAY) == ["2", "1", "4"]
    assert found(warehouse, before=NOW - 6 * DAY) == ["1"]
    assert found(warehouse, after=NOW - 7.5 * DAY) == ["2", "3", "4"]
    assert found(warehouse, after=NOW - 5.5 * DAY, before=NOW - 4.5 * DAY) == ["4"]
    assert found(warehouse, after=NOW - 5.5 * DAY) == ["5", "4"]  # the copy that was written since
    assert found(warehouse, before=datetime(2000, 1, 1)) == []


def test_what_cannot_be_searched_is_an_error(
    tmp_path: Path, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EncoderError, match="finds nothing in 'xyz'"):
        found(warehouse, "xyz")
    with pytest.raises(EncoderError, match=r"has made no vectors that may be used then"):
        found(Warehouse(tmp_path / "new"))


def test_odd_queries_are_texts(warehouse: Warehouse, encoder: Bag, tmp_path: Path) -> None:
    contents: list[Content] = ["cat " * 100_000, "cat \ud800", str(tmp_path) + " cat"]
    for query in contents:
        assert found(warehouse, query)[0] == "2"
