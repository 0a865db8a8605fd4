"""Each text is summed up once, goes with its video, and is measured where there is a reference."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.language.summaries import near, nearness, summarise_missing
from assets.language.texts import refresh_texts
from resources.policy import Override
from resources.summaries.base import words_of
from resources.summaries.extractive import ExtractiveSummariser
from tests.features.raw_rows import insert
from warehouse.connection import Warehouse

NOW = datetime(2024, 6, 3, 12)
DAY = timedelta(days=1)
TALK = (
    "Hello everyone and welcome back. Before we begin please like and subscribe. Today we bake sourdough bread at home. "
    "The sourdough starter needs flour and water for five days. It rained all week here. "
    "Bake the sourdough bread in a hot oven with steam. See you next time."
)
KEY = "Today we bake sourdough bread at home. Bake the sourdough bread in a hot oven with steam."


class Counting(ExtractiveSummariser):
    """Notes what it is asked to sum up."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def summarise(self, text: str, words: int) -> str:
        self.asked.append(text)
        return super().summarise(text, words)


def captions(video: str, text: str, number: int, at: datetime = NOW - DAY, **more: Any) -> dict[str, Any]:
    row = {"source": "demo", "video_id": video, "language": "en", "kind": "manual", "text": text, "row_number": number}
    return {**row, "observed_at": at, "known_at": at, "landing_id": "l", **more}


def video(name: str, description: str | None, number: int, source: str = "demo") -> dict[str, Any]:
    row = {"source": source, "video_id": name, "title": "A title", "description": description, "row_number": number}
    return {**row, "observed_at": NOW - DAY, "known_at": NOW - DAY, "landing_id": "l"}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    made = Warehouse(tmp_path)
    with made.write() as con:
        insert(
            con,
            "raw.videos",
            [video("a", TALK, 1), video("b", "short", 2), video("c", None, 3), video("d", TALK, 4, "other")],
        )
        insert(con, "raw.captions", [captions("a", TALK, 1), captions("b", TALK, 2), captions("c", "too short", 3)])
    refresh_texts(made, NOW, "r")
    return made


def summarise(warehouse: Warehouse, words: int = 20, now: datetime = NOW, **more: Any) -> tuple[int, int, int, int]:
    summariser = Counting()
    done = summarise_missing(warehouse, summariser, words, now=now, run_id="r", **more)
    return done.made, done.cached, done.removed, len(summariser.asked)


def rows(warehouse: Warehouse) -> list[tuple[str, str, str]]:
    found = warehouse.query("SELECT source, video_id, part FROM language.summaries ORDER BY ALL").to_pylist()
    return [tuple(row.values()) for row in found]


def test_each_text_is_summed_up_once_and_not_again(warehouse: Warehouse) -> None:
    assert summarise(warehouse) == (1, 0, 0, 1)
    assert rows(warehouse) == [
        ("demo", "a", "description"),
        ("demo", "a", "transcript"),
        ("demo", "b", "transcript"),
        ("other", "d", "description"),
    ]
    found = warehouse.query("SELECT DISTINCT summary, length, words, known_at FROM language.summaries").to_pylist()
    assert len(found) == 1 and found[0]["known_at"] == NOW - DAY
    assert found[0]["length"] == len(words_of(found[0]["summary"])) <= found[0]["words"] == 20
    assert summarise(warehouse) == (0, 1, 0, 0)


def test_another_video_with_the_text_is_not_read_again_and_another_length_is(warehouse: Warehouse) -> None:
    summarise(warehouse)
    with warehouse.write() as con:
        insert(
            con,
            "raw.captions",
            [captions("c", TALK, 9, kind="automatic"), captions("c", TALK + " Bye now.", 10, kind="unknown")],
        )
    refresh_texts(warehouse, NOW, "r")
    assert summarise(warehouse) == (1, 1, 0, 1)
    assert summarise(warehouse, words=10) == (2, 0, 0, 2)


def test_batches_are_kept_one_by_one(warehouse: Warehouse) -> None:
    with warehouse.write() as con:
        insert(con, "raw.captions", [captions("c", f"{TALK} Number {at}.", at, kind=f"k{at}") for at in range(20, 27)])
    refresh_texts(warehouse, NOW, "r")
    told: list[tuple[int, int]] = []
    assert summarise(warehouse, batch=3, progress=lambda at, of: told.append((at, of))) == (8, 0, 0, 8)
    assert told == [(3, 8), (6, 8), (8, 8)]

    class Dies(ExtractiveSummariser):
        revision = "dies"
        left = 3

        def summarise(self, text: str, words: int) -> str:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            return "said"

    with pytest.raises(KeyboardInterrupt):
        summarise_missing(warehouse, Dies(), 20, now=NOW, run_id="r", batch=3)
    kept = warehouse.query(
        "SELECT count(DISTINCT text_id) AS n FROM language.summaries WHERE revision = 'dies'"
    ).to_pylist()
    assert kept[0]["n"] == 3


def test_what_a_video_no_longer_says_goes(warehouse: Warehouse) -> None:
    summarise(warehouse)
    with warehouse.write() as con:
        con.execute("DELETE FROM raw.captions WHERE video_id = 'b'")
        con.execute("DELETE FROM raw.videos WHERE video_id = 'd'")
    refresh_texts(warehouse, NOW, "r")
    assert summarise(warehouse) == (0, 1, 2, 0)
    assert rows(warehouse) == [("demo", "a", "description"), ("demo", "a", "transcript")]


def test_what_is_not_known_yet_and_what_may_not_be_made_is_not_summed_up(warehouse: Warehouse) -> None:
    assert summarise(warehouse, now=NOW - 2 * DAY) == (0, 0, 0, 0)
    strict = {"demo": Override(policy="youtube_api")}
    assert summarise(warehouse, policies=strict)[0] == 1
    assert rows(warehouse) == [("other", "d", "description")]
    summarise(warehouse)
    assert summarise(warehouse, policies=strict)[2] == 3


def test_summaries_are_measured_against_references_and_else_not(warehouse: Warehouse) -> None:
    summariser = ExtractiveSummariser()
    summarise_missing(warehouse, summariser, 20, now=NOW, run_id="r")
    assert nearness(warehouse, summariser, 20, NOW) is None
    label = {"source": "demo", "comment_id": "", "label": "summary", "text": KEY, "landing_id": "l"}
    times = {"observed_at": NOW - DAY, "known_at": NOW - DAY}
    with warehouse.write() as con:
        insert(
            con, "raw.labels", [{**label, **times, "video_id": each, "row_number": at} for at, each in enumerate("ab")]
        )
    found = nearness(warehouse, summariser, 20, NOW)
    assert found is not None and found.n == 2 and found.rouge > found.lead + 0.3
    assert nearness(warehouse, summariser, 20, NOW - 2 * DAY) is None


def test_a_summary_that_is_the_lead_is_no_better() -> None:
    found = near(
        [
            ("One is here. Two is there. Three.", "One is here. Two is there.", "Two is there."),
            ("A b. C d.", "A b.", "C d."),
        ]
    )
    assert found is not None and found.rouge == found.lead and found.better == (0, 0)
