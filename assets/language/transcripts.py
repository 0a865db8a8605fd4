"""What is said in videos: `language.transcripts`, captions first, else speech recognised in their sound.

Captions are copied as they were first known. Speech is recognised, once for a content and revision of the model, where a
video has no captions and `language.transcripts.model` names a model; each item is in one state (done, retryable, terminal)
with a reason of `resources.media.states`. A transcript counts as known when its captions or its sound were, not when the
model ran: which model is used is configuration, as the choice of an encoder is, and knows nothing of a video's outcome.
With no model named, what was recognised before stays. How sound becomes words is in `resources.speech`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from resources.media.states import MediaError, Reason, after_failure
from resources.media.store import MediaStore
from resources.policy import forbidden
from resources.settings import Settings
from resources.speech.transcripts import Recogniser, Transcript, revision, transcribe
from warehouse.arrow import arrow_rows
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows, worth_a_transaction

TRANSCRIPTS = "language.transcripts"
_TRIES = 2
"""What gives no words so often is terminal."""
_FOUND = Path(__file__).with_name("transcripts.sql").read_text()
_OF_SPEECH = (
    "text",
    "language",
    "words",
    "starts",
    "ends",
    "confidence",
    "words_per_minute",
    "seconds",
    "speech_seconds",
)

Row = dict[str, Any]
_EMPTY: Row = dict.fromkeys(table(TRANSCRIPTS).column_names)


@dataclass(frozen=True)
class Refreshed:
    """How many rows of captions were added or changed, and how many rows went because what they speak of did."""

    captions: int
    removed: int


@dataclass(frozen=True)
class Recognised:
    """What became of the sounds that were due: with words, without for now, without for good."""

    done: int
    retryable: int
    terminal: int


def recogniser_of(settings: Settings) -> Recogniser | None:
    """The recogniser that the settings name; None where they name none.

    Raises:
        EncoderError: It cannot be had; says the way out.
    """
    chosen = settings.language.transcripts
    if chosen.model is None or chosen.weights is None:
        return None
    from resources.speech.whisper import Whisper

    return Whisper(chosen.weights)


def refresh_captions(warehouse: Warehouse, settings: Settings, now: datetime) -> Refreshed:
    """Brings the transcripts made of captions to what the raw tables say, and removes those of what is gone.

    A source that nothing may be made from has none.

    Args:
        warehouse: Where raw tables are read.
        settings: The preferred language, and what the operator states of the sources' rules.
        now: Captions that became usable later do not exist yet (naive UTC).
    """
    with _found(warehouse, settings, now) as con:
        added = con.execute(
            """SELECT f.* FROM found f WHERE origin <> 'speech' AND NOT EXISTS (
                   SELECT 1 FROM stored s WHERE (s.source, s.video_id, s.origin) = (f.source, f.video_id, f.origin)
                       AND (s.text, s.language, s.known_at) = (f.text, f.language, f.known_at))"""
        ).to_arrow_table()
        gone = con.execute(
            """SELECT source, video_id, origin FROM stored s
               WHERE list_contains($forbidden, source)
                   OR (origin <> 'speech' AND NOT EXISTS (
                       SELECT 1 FROM found f WHERE (s.source, s.video_id, s.origin) = (f.source, f.video_id, f.origin)))
                   OR (origin = 'speech' AND NOT EXISTS (
                       SELECT 1 FROM sounds m WHERE (s.source, s.video_id, s.content_id) = (m.source, m.video_id, m.content_id)))""",
            {"forbidden": _forbidden(con, settings)},
        ).to_arrow_table()
    if added.num_rows or gone.num_rows:
        rows = [{**_EMPTY, **row, "state": "done", "attempts": 0, "made_at": now} for row in added.to_pylist()]
        with warehouse.write() as con:
            _remove(con, pa.concat_tables([gone, added.select(gone.column_names)]))
            append_rows(con, table(TRANSCRIPTS), arrow_rows(table(TRANSCRIPTS), rows))
    return Refreshed(added.num_rows, gone.num_rows)


def recognise_missing(
    warehouse: Warehouse,
    settings: Settings,
    now: datetime,
    recogniser: Recogniser,
    progress: Callable[[str], None] = lambda line: None,
) -> Recognised:
    """Writes down the speech of videos without captions: what was never heard by this model, and what is due again.

    What is heard is written every few seconds, so a run that is killed is gone on with.

    Args:
        warehouse: Where from and where to.
        settings: Which language is spoken, how large a file may be, and the rules of the sources.
        now: Sound that became usable later does not exist yet (naive UTC).
        recogniser: Knows the words.
        progress: Told in one line how far it is.
    """
    language = settings.language.transcripts.language
    made_by = revision(recogniser, language)
    with _found(warehouse, settings, now) as con:
        due = con.execute(
            """SELECT f.source, f.video_id, f.origin, f.content_id, f.known_at,
                      CASE WHEN s.content_id = f.content_id AND s.revision = $revision THEN s.attempts ELSE 0 END AS attempts
               FROM found f LEFT JOIN stored s USING (source, video_id, origin)
               WHERE f.origin = 'speech' AND NOT list_contains($forbidden, f.source)
                   AND NOT EXISTS (SELECT 1 FROM found c WHERE c.origin <> 'speech'
                                   AND (c.source, c.video_id) = (f.source, f.video_id))
                   AND (s.content_id IS NULL OR (s.content_id, s.revision) <> (f.content_id, $revision)
                        OR (s.state = 'retryable' AND s.next_try_at <= $now))
               ORDER BY f.known_at, f.source, f.video_id""",
            {"revision": made_by, "now": now, "forbidden": _forbidden(con, settings)},
        ).to_arrow_table()
    items: dict[str, list[Row]] = {}
    for row in due.to_pylist():
        items.setdefault(row["content_id"], []).append(row)
    store, counts, heard = MediaStore(warehouse.home), {"done": 0, "retryable": 0, "terminal": 0}, 0

    def listen(content_id: str, videos: Sequence[Row]) -> list[Row]:
        path, limit = store.path(content_id), settings.media.max_bytes
        said = {"model": recogniser.name, "revision": made_by, "made_at": now}
        try:
            if path.exists() and path.stat().st_size > limit:
                raise MediaError(Reason.TOO_LARGE, f"{path.stat().st_size} bytes, at most {limit} are read")
            found = _columns(transcribe(path, recogniser, language))
            return [{**_EMPTY, **row, **said, **found, "attempts": row["attempts"] + 1} for row in videos]
        except MediaError as error:
            tries = [after_failure(error, row["attempts"] + 1, _TRIES, now) for row in videos]
            return [{**_EMPTY, **row, **said, **vars(each)} for row, each in zip(videos, tries, strict=True)]

    for contents in worth_a_transaction(listen(content_id, videos) for content_id, videos in items.items()):
        rows = [row for videos in contents for row in videos]
        _write_speech(warehouse, rows)
        for row in rows:
            counts[row["state"]] += 1
        heard += len(rows)
        progress(f"{heard:,} of {due.num_rows:,} videos heard")
    return Recognised(**counts)


def states(warehouse: Warehouse) -> list[Row]:
    """What there is of every source and origin: state, reason, and what is typical of it."""
    rows: list[Row] = warehouse.query(
        f"""SELECT source, origin, state, coalesce(reason, '') AS reason, count(*) AS videos,
                   count(DISTINCT language) AS languages, round(median(words_per_minute), 1) AS "words a minute",
                   round(avg(confidence), 3) AS confidence, round(sum(speech_seconds) / sum(seconds), 3) AS "share of speech"
            FROM {TRANSCRIPTS} GROUP BY ALL ORDER BY source, origin, videos DESC, state, reason"""
    ).to_pylist()
    return rows


def _found(warehouse: Warehouse, settings: Settings, now: datetime) -> duckdb.DuckDBPyConnection:
    """Tables `found` (what can be a transcript), `sounds` (all that videos have) and `stored`, in memory."""
    queries = {
        "found": _FOUND,
        "sounds": """SELECT DISTINCT source, video_id, content_id FROM raw.media
                     WHERE kind IN ('audio', 'video') AND content_id IS NOT NULL""",
        "stored": f"SELECT * FROM {TRANSCRIPTS}",
    }
    con = warehouse.extract(queries, {"now": now, "language": settings.language.transcripts.language})
    con.execute("DELETE FROM found WHERE list_contains($1, source)", [_forbidden(con, settings)])
    return con


def _forbidden(con: duckdb.DuckDBPyConnection, settings: Settings) -> list[str]:
    sources = con.execute("SELECT source FROM found UNION SELECT source FROM stored").fetchall()
    return list(forbidden(settings.policies, sorted(source for (source,) in sources)))


def _columns(found: Transcript) -> Row:
    times = {"starts": [word.start for word in found.words], "ends": [word.end for word in found.words]}
    said = {name: getattr(found, name) for name in _OF_SPEECH if name not in ("words", *times)}
    return {**said, **times, "words": [word.text for word in found.words], "state": "done"}


def _write_speech(warehouse: Warehouse, rows: Sequence[Row]) -> None:
    """Puts rows in place of older ones; what a video has lost meanwhile is not written."""
    arriving = arrow_rows(table(TRANSCRIPTS), rows)
    with warehouse.write() as con:
        con.register("heard", arriving)
        still = con.execute(
            """SELECT h.* FROM heard h WHERE EXISTS (
                   SELECT 1 FROM raw.media m WHERE (m.source, m.video_id, m.content_id) = (h.source, h.video_id, h.content_id))"""
        ).to_arrow_table()
        con.unregister("heard")
        _remove(con, still)
        append_rows(con, table(TRANSCRIPTS), still)


def _remove(con: duckdb.DuckDBPyConnection, keys: pa.Table) -> None:
    con.register("replaced", keys.select(["source", "video_id", "origin"]))
    con.execute(
        f"""DELETE FROM {TRANSCRIPTS} t USING replaced r
            WHERE t.source = r.source AND t.video_id = r.video_id AND t.origin = r.origin"""
    )
    con.unregister("replaced")
