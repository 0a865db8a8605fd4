"""The courses and forecasts of a home: `language.courses`, `language.course_forecasts`, `language.course_scores`.

Reads what the serving emotion model said of comments, and asks it about the parts of transcripts that it has not read; what a
course is, is in `courses`, where it is heading in `course_forecasts`. All three tables speak of the one model that serves: of
another model's words nothing is kept here.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from assets.evaluations.rows import as_arrow
from assets.language.course_forecasts import Forecasts, forecast
from assets.language.courses import MOODS, Window, by_age, by_week, moods, windows, with_changes
from assets.language.emotions import EMOTIONS, Model
from assets.language.texts import TEXTS
from assets.language.transcripts import TRANSCRIPTS
from resources.emotions.scoring import score
from resources.policy import forbidden_in
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows, replace_rows, worth_a_transaction

COURSES, FORECASTS, SCORES = "language.courses", "language.course_forecasts", "language.course_scores"
_SCORED = f"""
    SELECT t.source, coalesce(c.channel_id, '') AS channel_id, t.video_id, c.anchor_at, t.written_at, t.known_at,
           e.sentiment[1] - e.sentiment[2] AS sentiment,
           {", ".join(f"e.ekman[{number}] AS {mood}" for number, mood in enumerate(MOODS[1:], start=1))}
    FROM (SELECT *, row_number() OVER (PARTITION BY source, video_id, item_id ORDER BY known_at, text_id) AS wording FROM {TEXTS}
          WHERE part = 'comment' AND state = 'valid' AND known_at <= $now) t
    JOIN (FROM {EMOTIONS} WHERE revision = $revision) e USING (text_id)
    JOIN features.content c USING (source, video_id)
    WHERE wording = 1 ORDER BY t.source, t.video_id, t.item_id"""
# The best transcript of each video: manual captions, unknown, automatic, speech.
_BEST = f"""
    SELECT t.source, t.video_id, coalesce(c.channel_id, '') AS channel_id, t.text, t.words, t.starts, t.known_at,
           coalesce(t.seconds, c.duration_s) AS seconds,
           sha256(concat_ws(chr(10), t.text, coalesce(t.seconds, c.duration_s), $revision)) AS made_of
    FROM {TRANSCRIPTS} t LEFT JOIN features.content c USING (source, video_id)
    WHERE t.state = 'done' AND t.text IS NOT NULL AND t.known_at <= $now AND NOT list_contains($forbidden, t.source)
    QUALIFY row_number() OVER (
        PARTITION BY t.source, t.video_id
        ORDER BY list_position(['manual', 'unknown', 'automatic', 'speech'], t.origin)) = 1"""
_TOGETHER = 200
"""Videos whose transcripts are read in one go."""


@dataclass(frozen=True)
class Refreshed:
    """What there is: points of courses of comments and of transcripts, changes among them, videos whose transcript was read now."""

    comment_points: int
    transcript_points: int
    changes: int
    read: int


def comment_scores(warehouse: Warehouse, revision: str, now: datetime) -> pd.DataFrame:
    """What a model said of every valid comment, in its first wording: source, channel, video, anchor, times, moods."""
    found: pd.DataFrame = warehouse.query(_SCORED, {"revision": revision, "now": now}).to_pandas()
    return found


def refresh_courses(
    warehouse: Warehouse,
    settings: Settings,
    model: Model | None,
    now: datetime,
    progress: Callable[[int, int], None] = lambda at, of: None,
) -> Refreshed:
    """Makes the courses of comments anew, and reads the transcripts that the model has not read.

    Args:
        warehouse: Where from and where to.
        settings: The rules of the sources.
        model: The emotion model that serves; with None there are no courses.
        now: What became known later does not exist yet (naive UTC).
        progress: Told how many transcripts of how many are read.
    """
    declared = table(COURSES)
    if model is None:
        with warehouse.write() as con:
            replace_rows(con, declared, _arrow(declared.full_name, pd.DataFrame()), {})
        return Refreshed(0, 0, 0, 0)
    scores = comment_scores(warehouse, model.loaded.revision, now)
    parts = [by_week(scores), by_age(scores)] if len(scores) else [pd.DataFrame()]
    points = pd.concat(parts, ignore_index=True).assign(part="comment", made_of=None, revision=model.loaded.revision)
    with warehouse.write() as con:
        replace_rows(con, declared, _arrow(COURSES, points), {"part": "comment"})
    read = _read_transcripts(warehouse, settings, model, now, progress)
    (row,) = warehouse.query(
        f"SELECT count(*) FILTER (WHERE part = 'transcript') AS said, count(p_value) AS changes FROM {COURSES}"
    ).to_pylist()
    return Refreshed(len(points), row["said"], row["changes"], read)


def refresh_forecasts(warehouse: Warehouse, model: Model | None, now: datetime) -> Forecasts | None:
    """Forecasts where the audiences of channels are heading and judges forecasts of the weeks that have matured.

    Both tables are made anew: they are a backtest of the model that serves, not a ledger. Where comments have ended, as in an
    archive, the present is a week after the last of them.

    Args:
        warehouse: Where from and where to.
        model: The emotion model that serves; with None nothing is forecast.
        now: The home's time.
    """
    found, rows, scores = None, pd.DataFrame(), pd.DataFrame()
    if model is not None:
        revision = model.loaded.revision
        comments = comment_scores(warehouse, revision, now)
        present = min(now, comments["known_at"].max() + timedelta(weeks=1)) if len(comments) else now
        found = forecast(comments, present, since=model.usable_at)
        rows = found.rows.assign(revision=revision, made_at=now)
        scores = found.scores.assign(learned_from=found.learned_from, revision=revision, made_at=now)
    with warehouse.write() as con:
        replace_rows(con, table(FORECASTS), _arrow(FORECASTS, rows), {})
        replace_rows(con, table(SCORES), _arrow(SCORES, scores), {})
    return found


def turns(warehouse: Warehouse, most: int = 12) -> list[dict[str, Any]]:
    """The latest changes in the courses of channels: when, how strong, by how many comments before and after."""
    rows: list[dict[str, Any]] = warehouse.query(
        f"""SELECT source, channel_id AS channel, strftime(starts_at, '%Y-%m-%d') AS week, level_before AS "sentiment before",
                   level_after AS "after", p_value AS p
            FROM {COURSES} WHERE video_id = '' AND p_value IS NOT NULL
            ORDER BY starts_at DESC, source, channel_id LIMIT {int(most)}"""
    ).to_pylist()
    return rows


def channels_to_draw(warehouse: Warehouse, most: int = 6) -> pd.DataFrame:
    """The weekly points of the channels with the most comments: source, channel_id, starts_at, sentiment, n, level_after."""
    found: pd.DataFrame = warehouse.query(
        f"""SELECT source, channel_id, starts_at, sentiment, n, level_after FROM {COURSES}
            SEMI JOIN (SELECT source, channel_id FROM {COURSES} WHERE video_id = '' AND part = 'comment'
                       GROUP BY ALL HAVING count(*) > 1 ORDER BY sum(n) DESC, source, channel_id LIMIT {int(most)})
                USING (source, channel_id)
            WHERE video_id = '' AND part = 'comment' ORDER BY source, channel_id, starts_at"""
    ).to_pandas()
    return found


def _read_transcripts(
    warehouse: Warehouse, settings: Settings, model: Model, now: datetime, progress: Callable[[int, int], None]
) -> int:
    """Reads what was not read of the best transcripts, a batch in a transaction; removes the courses of others."""
    queries = {
        "best": _BEST,
        "stored": f"SELECT DISTINCT source, video_id, made_of FROM {COURSES} WHERE part = 'transcript'",
    }
    refused = forbidden_in(warehouse, settings.policies, TRANSCRIPTS)
    given = {"revision": model.loaded.revision, "now": now, "forbidden": refused}
    with warehouse.extract(queries, given) as con:
        due = con.execute(
            "SELECT * FROM best ANTI JOIN stored USING (source, video_id, made_of) ORDER BY ALL"
        ).to_arrow_table()
        gone = con.execute(
            "SELECT source, video_id FROM stored ANTI JOIN best USING (source, video_id, made_of)"
        ).to_arrow_table()
    if gone.num_rows:
        with warehouse.write() as con:
            con.register("gone", gone)
            con.execute(
                f"""DELETE FROM {COURSES} t USING gone g
                    WHERE t.part = 'transcript' AND t.source = g.source AND t.video_id = g.video_id"""
            )
            con.unregister("gone")
    read = 0
    parts = (due.slice(start, _TOGETHER).to_pylist() for start in range(0, due.num_rows, _TOGETHER))
    for done in worth_a_transaction((len(part), _transcript_points(part, model)) for part in parts):
        with warehouse.write() as con:
            append_rows(con, table(COURSES), pa.concat_tables(_arrow(COURSES, points) for _, points in done))
        read += sum(videos for videos, _ in done)
        progress(read, due.num_rows)
    return read


def _transcript_points(videos: Sequence[dict[str, Any]], model: Model) -> pd.DataFrame:
    """The points of some transcripts; a part in which there is nothing to read has none."""
    parts: list[tuple[dict[str, Any], int, Window]] = []
    for video in videos:
        # The words of speech have times; a window's words are one entry, whose time is that of its first.
        timed = (video["words"] or (), video["starts"] or ())
        found = windows(video["text"], video["seconds"], *timed)
        parts += [(video, number, part) for number, part in enumerate(found)]
    scored = score(model.loaded, [part.text for _, _, part in parts])
    feelings = moods(np.nan_to_num(scored.probabilities), model.loaded.labels)
    rows = [
        {
            **{name: video[name] for name in ("source", "channel_id", "video_id", "made_of")},
            **{"part": "transcript", "position": number, "begins": part.begins, "ends": part.ends, "n": 1},
            **dict(zip(MOODS, feeling, strict=True)),
            "revision": model.loaded.revision,
        }
        for (video, number, part), feeling, empty in zip(parts, feelings, scored.empty, strict=True)
        if not empty
    ]
    return with_changes(pd.DataFrame(rows)) if rows else pd.DataFrame()


def _arrow(name: str, rows: pd.DataFrame) -> pa.Table:
    """Rows in the columns and types of a table; missing columns are null."""
    return as_arrow(rows.reindex(columns=list(table(name).column_names)), name)
