"""What words tell of a video as of a cutoff: nothing that was known later, and the same whenever it is made."""

from datetime import datetime
from typing import Any

import pytest

from assets.features.frame import load_frame
from assets.language.emotions import Model
from assets.language.measures import earlier_than_known, load_measures, refresh_measures
from assets.models.columns import SCALARS, WORDS, Schema
from tests.features.raw_rows import NOW, T0, RawRows, hours, make_settings
from tests.language.words import WordModel, read
from warehouse.connection import Warehouse

KNOWN = datetime(2024, 1, 1)
HIGH, LOW = 0.982014, 0.017986


@pytest.fixture
def warehouse(words: Warehouse) -> Warehouse:
    read(words, Model(WordModel(), KNOWN))
    return words


def at(warehouse: Warehouse, cutoff: str, video: str = "v") -> dict[str, Any]:
    return dict(
        warehouse.query(
            "SELECT * FROM language.measures WHERE cutoff = $cutoff AND video_id = $video",
            {"cutoff": cutoff, "video": video},
        ).to_pylist()[0]
    )


def near(value: float) -> Any:
    return pytest.approx(value, abs=1e-5)


def test_the_title_counts_at_every_cutoff(warehouse: Warehouse) -> None:
    for cutoff in ("pre", "0h", "24h"):
        assert at(warehouse, cutoff)["emotion_title_joy"] == near(HIGH)
        assert at(warehouse, cutoff, "w")["emotion_title_joy"] == near(LOW)


def test_a_transcript_counts_from_when_it_was_usable_and_one_by_a_person_goes_before(warehouse: Warehouse) -> None:
    assert (at(warehouse, "pre")["speech_joy"], at(warehouse, "pre")["speech_length"]) == (near(HIGH), 8)
    later = at(warehouse, "6h")
    assert (later["speech_joy"], later["speech_anger"], later["speech_rate"]) == (near(LOW), near(HIGH), 15 / 50)
    assert at(warehouse, "24h", "w")["speech_length"] is None


def test_comments_count_from_when_they_were_known_and_as_they_were_then(warehouse: Warehouse) -> None:
    assert [at(warehouse, cutoff)["emotion_comments"] for cutoff in ("pre", "0h", "6h", "24h", "72h")] == [
        None,
        None,
        1,
        1,
        2,
    ]
    assert at(warehouse, "24h")["emotion_comments_joy"] == near(HIGH)
    last = at(warehouse, "72h")  # b, and a as it was edited; d repeats what a first said
    assert last["emotion_comments_joy"] == last["emotion_comments_anger"] == near((HIGH + LOW) / 2)
    assert last["emotion_comments_spread"] == near(HIGH - LOW)


def test_a_comment_known_after_the_cutoff_changes_nothing(warehouse: Warehouse) -> None:
    before = {cutoff: at(warehouse, cutoff) for cutoff in ("pre", "0h", "6h", "24h")}
    late = RawRows(landing="late").comment("v", "e", "anger, anger", T0 + hours(1), NOW)
    late.comment("v", "f", "joy again", T0 + hours(25)).caption("v", "a new joy", T0 + hours(26)).write(warehouse)
    read(warehouse, Model(WordModel(), KNOWN))
    for cutoff, row in before.items():
        assert {**at(warehouse, cutoff), "inputs": ""} == {**row, "inputs": ""}
    assert at(warehouse, "72h")["emotion_comments"] == 3


def test_a_model_that_learned_from_later_labels_is_not_used(warehouse: Warehouse) -> None:
    before = {cutoff: at(warehouse, cutoff) for cutoff in ("0h", "24h", "72h")}
    read(warehouse, Model(WordModel("two", shift=1.0), T0 + hours(24)))
    assert [at(warehouse, cutoff)["revision"] for cutoff in ("0h", "6h", "24h", "72h")] == ["one", "one", "two", "two"]
    assert at(warehouse, "0h")["emotion_title_joy"] == before["0h"]["emotion_title_joy"]
    assert at(warehouse, "24h")["emotion_title_joy"] > before["24h"]["emotion_title_joy"]
    assert earlier_than_known(warehouse) == {"rows": 10, "models": 0, "comments": 0}


def test_before_any_model_was_known_nothing_is_told(words: Warehouse) -> None:
    read(words, Model(WordModel(), T0 + hours(24)))
    early = at(words, "6h")
    assert (early["revision"], early["emotion_title_joy"], early["emotion_comments_joy"]) == (None, None, None)
    assert at(words, "24h")["emotion_comments_joy"] == near(HIGH)


def test_rows_are_made_again_only_where_something_changed(warehouse: Warehouse) -> None:
    assert refresh_measures(warehouse).videos == 0
    RawRows(landing="more").comment("v", "g", "neutral", T0 + hours(4)).write(warehouse)
    read(warehouse, Model(WordModel(), KNOWN))
    assert refresh_measures(warehouse).videos == 0
    RawRows(landing="w").comment("w", "h", "neutral", T0 + hours(4)).write(warehouse)
    with warehouse.write() as con:
        con.execute("DELETE FROM language.measures WHERE video_id = 'w'")
    assert refresh_measures(warehouse).videos == 1


def test_the_check_finds_what_counts_too_early(warehouse: Warehouse) -> None:
    with warehouse.write() as con:
        con.execute("UPDATE language.measures SET emotion_comments = 9 WHERE cutoff = '6h'")
        con.execute("UPDATE language.emotions SET usable_at = usable_at + INTERVAL 10 YEAR")
    assert earlier_than_known(warehouse) == {"rows": 10, "models": 10, "comments": 2}


def test_the_frame_has_them_and_only_those_forecasters_see_them_that_ask(warehouse: Warehouse) -> None:
    frame = load_frame(warehouse, make_settings(), "demo", "views_7d", "24h")
    assert frame.set_index("video_id").loc["v", "emotion_comments_joy"] == near(HIGH)
    assert not [name for name in Schema.of(frame).numeric if name.startswith(("emotion_", "speech_"))]
    assert {"emotion_comments", "speech_rate"} <= set(Schema.of(frame, SCALARS | WORDS).numeric)


def test_a_home_without_words_has_no_such_columns(words: Warehouse) -> None:
    refresh_measures(words)
    assert not len(load_measures(words, "demo", "24h").columns)
