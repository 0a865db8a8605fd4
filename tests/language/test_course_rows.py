"""Courses and forecasts of a home: from comments and transcripts to rows, once per change."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from assets.language import assets, emotions
from assets.language.course_charts import channel_courses
from assets.language.course_rows import channels_to_draw, comment_scores, refresh_courses, refresh_forecasts, turns
from assets.language.emotions import Model, score_missing
from assets.language.texts import refresh_texts
from assets.language.transcripts import refresh_captions
from resources.clock import set_replay
from resources.emotions.decisions import Decisions
from resources.home import Home
from resources.settings import Settings, load_settings
from tests.features.raw_rows import insert
from tests.language.moods import START, WEEK
from warehouse.connection import Warehouse

NOW = START + 20 * WEEK
HOUR = timedelta(hours=1)


class Words:
    """An emotion model to which `glad` is joy and `mad` is anger; notes how many texts it is asked about."""

    name, labels = "words", ("joy", "anger", "neutral")
    decisions = Decisions(temperature=1.0, thresholds=(0.5, 0.5, 0.5), abstain_below=0.0)

    def __init__(self, revision: str = "1") -> None:
        self.revision, self.asked = revision, 0

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += len(texts)
        return np.array(
            [[4.0 if word in text else -4.0 for word in ("glad", "mad", "so")] for text in texts], np.float32
        )


class Place:
    """A home of one channel whose audience turns from glad to mad."""

    def __init__(self, warehouse: Warehouse, settings: Settings) -> None:
        self.warehouse, self.settings, self.model = warehouse, settings, Words()

    def comments(self, *said: tuple[int, str, datetime], **row: Any) -> None:
        rows = []
        for number, text, at in said:
            times = {"observed_at": at, "known_at": at, "published_at": at, "landing_id": "l", "row_number": number}
            rows.append({"source": "demo", "video_id": "v", "comment_id": f"{number}", "text": text, **times, **row})
        with self.warehouse.write() as con:
            insert(con, "raw.comments", rows)

    def caption(self, text: str, video: str = "v") -> None:
        row = {"source": "demo", "video_id": video, "language": "en", "kind": "manual", "text": text}
        with self.warehouse.write() as con:
            insert(
                con,
                "raw.captions",
                [{**row, "observed_at": START, "known_at": START, "landing_id": "l", "row_number": 1}],
            )

    def refresh(self, now: datetime = NOW, captions: bool = False) -> Any:
        if captions:
            refresh_captions(self.warehouse, self.settings, now)
        refresh_texts(self.warehouse, now, "run")
        model = Model(self.model, START)
        score_missing(self.warehouse, model, now=now, run_id="run", policies={})
        self.model.asked = 0
        return refresh_courses(self.warehouse, self.settings, model, now)

    def rows(self, columns: str, where: str) -> list[tuple[Any, ...]]:
        sql = f"SELECT {columns} FROM language.courses WHERE {where} ORDER BY ALL"
        return [tuple(row.values()) for row in self.warehouse.query(sql).to_pylist()]


@pytest.fixture
def place(home: Any) -> Place:
    made = Place(Warehouse(home), load_settings(home))
    with made.warehouse.write() as con:
        content = {
            "source": "demo",
            "channel_id": "c",
            "anchor_at": START,
            "anchor_day": START.date(),
            "known_at": START,
        }
        known = {"first_seen_at": START, "title": "A title", "duration_s": 40.0}
        insert(con, "features.content", [{**content, **known, "video_id": video} for video in ("v", "w")])
    made.comments(
        *(
            (number, f"so {'glad' if number < 30 else 'mad'} {number}", START + number * timedelta(days=2) + HOUR)
            for number in range(60)
        )
    )
    return made


def test_the_course_of_a_channel_turns_where_its_audience_does(place: Place) -> None:
    place.comments((0, "so mad now", START + 5 * HOUR))  # edited: it counts once, as it was first known
    done = place.refresh()
    weeks = place.rows("position, n, sentiment", "video_id = '' AND part = 'comment'")
    assert sum(n for _, n, _ in weeks) == 60
    assert [sentiment > 0 for _, _, sentiment in weeks] == [position <= 7 for position, _, _ in weeks]
    ((turn,),) = place.rows("starts_at", "video_id = '' AND p_value IS NOT NULL")
    assert abs(turn - (START + 60 * timedelta(days=1))) < WEEK
    assert done.changes >= 1
    (row,) = turns(place.warehouse)
    assert row["sentiment before"] > 0 > row["after"]
    assert place.rows("sum(n)", "video_id = 'v' AND part = 'comment'") == [(60,)]
    drawn = channels_to_draw(place.warehouse)
    assert (channel_courses(drawn) or b"").startswith(b"\x89PNG")
    assert channel_courses(drawn.iloc[:0]) is None


def test_the_order_of_arrival_does_not_show_in_a_mean(place: Place) -> None:
    place.refresh()
    before = place.rows("*", "part = 'comment'")
    with place.warehouse.write() as con:
        for name in ("language.texts", "language.emotions"):
            con.execute(f"CREATE TEMP TABLE turned AS FROM {name} ORDER BY hash(text_id)")
            con.execute(f"DELETE FROM {name}")
            con.execute(f"INSERT INTO {name} FROM turned")
            con.execute("DROP TABLE turned")
    scores = comment_scores(place.warehouse, "1", NOW)
    assert scores["written_at"].tolist() == sorted(scores["written_at"], key=lambda at: str((at - START).days // 2))
    refresh_courses(place.warehouse, place.settings, Model(place.model, START), NOW)
    assert place.rows("*", "part = 'comment'") == before


def test_transcripts_are_read_by_parts_and_once(place: Place) -> None:
    place.caption("glad " * 10 + "mad " * 10)
    assert place.refresh(captions=True).read == 1
    assert place.rows("position, begins, ends, sentiment > 0", "part = 'transcript'") == [
        (0, 0.0, 15.0, True),
        (1, 15.0, 30.0, False),
        (2, 30.0, 45.0, False),
    ]
    assert place.model.asked == 3
    assert place.refresh(captions=True).read == 0
    assert place.model.asked == 0
    place.model = Words(revision="2")
    assert place.refresh(captions=True).read == 1
    assert place.rows("DISTINCT revision", "TRUE") == [("2",)]


def test_a_transcript_that_is_gone_takes_its_course_along(place: Place) -> None:
    place.caption("so glad")
    place.caption("so mad", video="w")
    place.refresh(captions=True)
    with place.warehouse.write() as con:
        con.execute("DELETE FROM raw.captions WHERE video_id = 'v'")
    place.refresh(captions=True)
    assert place.rows("DISTINCT video_id", "part = 'transcript'") == [("w",)]


def test_what_is_known_later_is_not_read(place: Place) -> None:
    place.refresh()
    before = place.rows("*", "part = 'comment'")
    place.comments((99, "so glad later", START + HOUR), known_at=NOW + HOUR)
    place.refresh(NOW + HOUR / 2)
    assert place.rows("*", "part = 'comment'") == before
    place.refresh(NOW + 2 * HOUR)
    assert place.rows("*", "part = 'comment'") != before


def test_forecasts_and_their_scores_are_rows_and_go_with_the_model(place: Place) -> None:
    place.refresh()
    found = refresh_forecasts(place.warehouse, Model(place.model, START), NOW)
    assert found is not None and found.why_not is not None  # one channel is too little for a network
    stored = place.warehouse.query("SELECT * FROM language.course_forecasts").to_pylist()
    assert len(stored) == len(found.rows) > 0
    assert {row["role"] for row in stored} == {"test", "next"}
    assert all(row["outcome"] is None for row in stored if row["role"] == "next")
    scores = place.warehouse.query("SELECT * FROM language.course_scores ORDER BY mae").to_pylist()
    assert [row["forecaster"] for row in scores] == found.scores["forecaster"].tolist()
    refresh_forecasts(place.warehouse, Model(place.model, START), NOW)
    assert place.warehouse.query("SELECT * FROM language.course_forecasts").to_pylist() == stored
    assert refresh_courses(place.warehouse, place.settings, None, NOW).comment_points == 0
    assert place.rows("*", "TRUE") == []
    assert refresh_forecasts(place.warehouse, None, NOW) is None
    assert place.warehouse.query("SELECT * FROM language.course_scores").num_rows == 0


def test_an_archive_is_judged_on_its_last_weeks_however_old_they_are(place: Place) -> None:
    place.refresh()
    model = Model(place.model, START)
    refresh_forecasts(place.warehouse, model, NOW + timedelta(days=400))
    origins = place.warehouse.query("SELECT DISTINCT origin FROM language.course_forecasts").to_pylist()
    assert origins
    assert max(row["origin"] for row in origins) < NOW + timedelta(days=14)


def test_comments_too_few_for_any_forecast_give_none(home: Path) -> None:
    warehouse = Warehouse(home)
    made = Place(warehouse, load_settings(home))
    made.comments((1, "so glad", START))
    made.refresh()
    found = refresh_forecasts(warehouse, Model(made.model, START), NOW)
    assert found is not None and found.rows.empty
    assert warehouse.query("SELECT * FROM language.course_forecasts").num_rows == 0


def test_the_assets_tell_of_turns_and_the_board_and_quote_nobody(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.refresh()
    monkeypatch.setattr(emotions, "model_of", lambda warehouse, now: Model(place.model, START))
    set_replay(place.warehouse.home, NOW)
    with dg.DagsterInstance.ephemeral() as instance:
        home = Home(path=str(place.warehouse.home))
        run = dg.materialize([assets.courses, assets.course_forecasts], resources={"home": home}, instance=instance)
    assert run.success
    told = {
        name: str(run.asset_materializations_for_node(f"language__{name}")[0].metadata)
        for name in ("courses", "course_forecasts")
    }
    assert "2024-0" in told["courses"] and "image/png" in told["courses"]
    assert "last_value" in told["course_forecasts"] and "are needed" in told["course_forecasts"]
    assert not any(word in text for text in told.values() for word in ("glad", "mad "))


def test_without_a_model_the_assets_say_what_to_do(place: Place) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        home = Home(path=str(place.warehouse.home))
        run = dg.materialize([assets.courses, assets.course_forecasts], resources={"home": home}, instance=instance)
    for name in ("courses", "course_forecasts"):
        said = run.asset_materializations_for_node(f"language__{name}")[0].metadata["why nothing"].value
        assert "upswell train emotions" in str(said)
