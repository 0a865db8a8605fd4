"""Captions first, else speech: what each video's transcript is, when it was known, and what became of sounds without words."""

import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.language.texts import refresh_texts, texts_of
from assets.language.transcripts import Recognised, recognise_missing, recogniser_of, refresh_captions, states
from resources.media.films import Sound
from resources.media.store import MediaStore
from resources.settings import Settings, load_settings
from resources.speech.transcripts import Heard
from tests.features.raw_rows import insert
from tests.media import make
from tests.speech import sounds
from tests.speech.sounds import TonesAsWords
from warehouse import writer
from warehouse.connection import Warehouse

NOW = datetime(2024, 6, 3, 12)
HOUR = timedelta(hours=1)


class Place:
    """A home with videos that have captions and sounds."""

    def __init__(self, home: Path) -> None:
        self.warehouse, self.store = Warehouse(home), MediaStore(home)
        self.settings: Settings = load_settings(home)
        self.recogniser = TonesAsWords()

    def add(self, name: str, **row: Any) -> None:
        at = row.pop("at", NOW - 24 * HOUR)
        same = {"source": "demo", "observed_at": at, "known_at": at, "landing_id": "l", "row_number": 1}
        with self.warehouse.write() as con:
            insert(con, name, [{**same, **row}])

    def caption(self, video: str, text: str, **row: Any) -> None:
        self.add("raw.captions", video_id=video, text=text, **{"language": "en", "kind": "manual", **row})

    def sound(self, video: str, data: bytes, **row: Any) -> None:
        content = self.store.keep(data)
        same = {"kind": "audio", "position": 0, "uri": f"{video}.wav", "state": "done", "attempts": 1}
        self.add("raw.media", video_id=video, content_id=content, **{**same, **row})

    def captions(self, now: datetime = NOW) -> tuple[int, int]:
        done = refresh_captions(self.warehouse, self.settings, now)
        return done.captions, done.removed

    def hear(self, now: datetime = NOW, **changed: Any) -> Recognised:
        refresh_captions(self.warehouse, self.settings, now)
        return recognise_missing(self.warehouse, self.settings, now, self.recogniser, **changed)

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        names = columns or ("video_id", "origin", "text", "state")
        found = self.warehouse.query(f"SELECT {', '.join(names)} FROM language.transcripts ORDER BY ALL").to_pylist()
        return [tuple(row.values()) for row in found]


@pytest.fixture
def place(home: Path) -> Place:
    return Place(home)


SAID = sounds.wav(sounds.sentence(["one", "two"]))
SILENT = sounds.wav(sounds.silence(2.0))


def test_captions_are_those_that_were_first_known(place: Place) -> None:
    place.caption("v", "first", at=NOW - 3 * HOUR)
    place.caption("v", "edited", at=NOW - 2 * HOUR)
    place.caption("v", "observed long ago", at=NOW - 9 * HOUR, known_at=NOW - HOUR)
    place.caption("v", "by a machine", kind="automatic", at=NOW - 8 * HOUR)
    assert place.captions() == (2, 0)
    assert place.rows("origin", "text", "known_at") == [
        ("automatic", "by a machine", NOW - 8 * HOUR),
        ("manual", "first", NOW - 3 * HOUR),
    ]
    assert place.captions() == (0, 0)


def test_captions_of_the_spoken_language_come_first(place: Place) -> None:
    for language in ("ar", "de", "en-orig"):
        place.caption("v", language, language=language, kind="automatic")
    place.captions()
    assert place.rows("text", "language") == [("en-orig", "en-orig")]


def test_what_is_known_later_does_not_exist_yet(place: Place) -> None:
    place.caption("v", "soon", known_at=NOW + HOUR)
    place.sound("w", SAID, known_at=NOW + HOUR)
    assert place.hear() == Recognised(0, 0, 0)
    assert place.rows() == []
    place.hear(NOW + HOUR)
    assert [video for video, *_ in place.rows()] == ["v", "w"]


def test_an_earlier_caption_that_arrives_late_takes_the_place(place: Place) -> None:
    place.caption("v", "known second", at=NOW - HOUR)
    place.captions()
    place.caption("v", "known first", at=NOW - 2 * HOUR)
    assert place.captions() == (1, 0)
    assert place.rows() == [("v", "manual", "known first", "done")]


def test_speech_is_recognised_where_there_are_no_captions(place: Place) -> None:
    place.caption("told", "what was said")
    place.sound("told", SAID)
    place.sound("heard", SAID, at=NOW - 5 * HOUR)
    assert place.hear() == Recognised(done=1, retryable=0, terminal=0)
    assert place.rows("video_id", "origin", "text", "words", "known_at") == [
        ("heard", "speech", "one two", ["one", "two"], NOW - 5 * HOUR),
        ("told", "manual", "what was said", None, NOW - 24 * HOUR),
    ]
    heard = "starts", "ends", "language", "confidence", "seconds", "model", "revision"
    (starts, ends, language, confidence, seconds, model, revision) = place.rows(*heard)[0]
    assert starts[1] == pytest.approx(0.8, abs=0.15) and ends[1] == pytest.approx(1.4, abs=0.15)
    assert (language, confidence, model) == ("en", 0.5, "tones")
    assert seconds == pytest.approx(1.6)
    assert revision


def test_a_second_run_hears_nothing_and_another_model_everything(place: Place) -> None:
    place.sound("v", SAID)
    place.sound("w", SAID)
    assert place.hear().done == 2
    assert len(place.recogniser.asked) == 1  # the same bytes are heard once
    assert place.hear() == Recognised(0, 0, 0)
    assert len(place.recogniser.asked) == 1
    place.recogniser.revision = "2"
    assert place.hear().done == 2


def test_captions_that_come_later_stand_beside_speech(place: Place) -> None:
    place.sound("v", SAID, at=NOW - 5 * HOUR)
    place.hear()
    place.caption("v", "what was said", at=NOW - HOUR)
    place.hear()
    assert [origin for (origin,) in place.rows("origin")] == ["manual", "speech"]


def test_what_decodes_to_nothing_twice_is_terminal(place: Place) -> None:
    place.sound("v", SILENT)
    assert place.hear() == Recognised(0, retryable=1, terminal=0)
    assert place.hear() == Recognised(0, 0, 0)  # not before its time
    assert place.hear(NOW + HOUR) == Recognised(0, 0, terminal=1)
    assert place.hear(NOW + 30 * 24 * HOUR) == Recognised(0, 0, 0)
    assert place.rows("state", "reason", "attempts", "text") == [("terminal", "no-speech", 2, None)]


@pytest.mark.parametrize(
    ("data", "reason"),
    [(b"", "empty"), (b"no sound at all", "unsupported"), (make.picture(), "no-sound"), (SAID[:30], "undecodable")],
)
def test_what_cannot_be_read_is_terminal_with_a_reason(place: Place, data: bytes, reason: str) -> None:
    place.sound("v", data)
    place.sound("w", SAID)
    assert place.hear() == Recognised(done=1, retryable=0, terminal=1)
    assert place.rows("video_id", "state", "reason") == [("v", "terminal", reason), ("w", "done", None)]
    assert place.hear() == Recognised(0, 0, 0)


def test_bytes_that_are_gone_or_too_large(place: Place) -> None:
    place.sound("gone", SAID)
    place.store.remove(place.store.keep(SAID))
    place.sound("large", SILENT)
    limits = place.settings.media.model_copy(update={"max_bytes": 1000})
    place.settings = place.settings.model_copy(update={"media": limits})
    place.hear()
    assert place.rows("video_id", "reason") == [("gone", "not-found"), ("large", "too-large")]


def test_of_several_sounds_the_first_that_is_not_silent(place: Place) -> None:
    place.sound("v", SILENT, kind="video", uri="silent.mp4", at=NOW - 5 * HOUR)
    place.sound("v", SAID, at=NOW - 4 * HOUR)
    rows = [(place.store.keep(SILENT), False), (place.store.keep(SAID), True)]
    with place.warehouse.write() as con:
        insert(
            con,
            "raw.contents",
            [
                {"content_id": content, "kind": "audio", "n_bytes": 1, "has_sound": has, "state": "done"}
                | {"preparation": "1", "known_at": NOW}
                for content, has in rows
            ],
        )
    place.hear()
    assert place.rows("text", "known_at") == [("one two", NOW - 4 * HOUR)]


def test_what_raw_rows_no_longer_say_goes(place: Place) -> None:
    place.caption("v", "what was said")
    place.sound("w", SAID)
    place.hear()
    with place.warehouse.write() as con:
        con.execute("DELETE FROM raw.captions")
        con.execute("DELETE FROM raw.media")
    assert place.captions() == (0, 2)
    assert place.rows() == []


def test_what_a_video_loses_while_it_is_heard_is_not_written(place: Place) -> None:
    class Forgetting(TonesAsWords):
        def recognise(self, windows: Sequence[Sound], language: str) -> list[Heard]:
            with place.warehouse.write() as con:
                con.execute("DELETE FROM raw.media WHERE video_id = 'v'")
            return super().recognise(windows, language)

    place.recogniser = Forgetting()
    place.sound("v", SAID)
    place.sound("w", SAID)
    place.hear()
    assert [video for (video,) in place.rows("video_id")] == ["w"]


def test_a_source_that_nothing_may_be_made_from_has_none(home: Path) -> None:
    (home / "upswell.yaml").write_text("policies: {demo: {derived_metrics: false}}\n")
    place = Place(home)
    place.caption("v", "what was said")
    place.sound("w", SAID)
    assert place.hear() == Recognised(0, 0, 0)
    assert place.rows() == []


def test_speech_is_a_text_like_captions(place: Place) -> None:
    place.sound("v", SAID)
    place.hear()
    refresh_texts(place.warehouse, NOW, "run")
    (row,) = place.warehouse.query("SELECT * FROM language.texts").to_pylist()
    assert (row["part"], row["item_id"], row["known_at"]) == ("transcript", "speech", NOW - 24 * HOUR)
    assert texts_of(place.warehouse, [row["text_id"]]) == {row["text_id"]: "one two"}


def test_states_tell_how_many_and_how_good_and_no_word(place: Place) -> None:
    place.sound("v", SAID)
    place.sound("w", SILENT)
    place.hear()
    rows = states(place.warehouse)
    assert [(row["state"], row["reason"], row["videos"]) for row in rows] == [
        ("done", "", 1),
        ("retryable", "no-speech", 1),
    ]
    assert "two" not in str(rows)


def test_without_a_model_in_the_settings_there_is_no_recogniser(place: Place) -> None:
    assert recogniser_of(place.settings) is None


def test_a_run_that_is_killed_is_gone_on_with(place: Place, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        place.sound(f"v{number}", sounds.wav(sounds.sentence(["one"] * (number + 1))), at=NOW - (9 - number) * HOUR)
    script = f"""
import os
from pathlib import Path
from tests.language.test_transcripts import NOW, Place
from tests.speech.sounds import TonesAsWords
from warehouse import writer

class Killed(TonesAsWords):
    def recognise(self, windows, language):
        if len(self.asked) == 2:
            os.kill(os.getpid(), 9)
        return super().recognise(windows, language)

writer._WRITE_EVERY_S = 0
place = Place(Path({str(home)!r}))
place.recogniser = Killed()
place.hear()
"""
    assert subprocess.run([sys.executable, "-c", script], timeout=120).returncode == -9
    assert place.rows("video_id", "text") == [("v0", "one"), ("v1", "one one")]
    assert place.hear().done == 2
    assert [len(words) for (words,) in place.rows("words")] == [1, 2, 3, 4]
    assert len(place.recogniser.asked) == 2


def test_rows_are_written_every_few_seconds(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(writer, "_WRITE_EVERY_S", 0)
    for number in range(3):
        place.sound(f"v{number}", sounds.wav(sounds.sentence(["one"] * (number + 1))))
    place.hear(progress=lambda line: seen.append(len(place.rows())))
    assert seen == [1, 2, 3]
