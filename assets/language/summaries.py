"""Short versions of long texts: `language.summaries`, each text summarised once by a method, and how near they come to references.

How a summary is made is in `resources/summaries`. A summary is in a person's words: it is kept by video, so that it goes with it.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from assets.evaluations.bootstrap import Bounds, paired_difference
from assets.language.texts import texts_of
from resources.policy import Override, forbidden_in
from resources.summaries.base import Summariser, sentences, words_of
from resources.summaries.rouge import lead, rouge_l
from warehouse.arrow import arrow_rows
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows, worth_a_transaction

SUMMARIES = "language.summaries"
REFERENCE = "summary"
"""Label of a video whose text is how a person, or the simulator, sums it up."""
_WANTED = (Path(__file__).parent / "summaries.sql").read_text()
_KEY = ("source", "video_id", "part", "text_id", "method", "revision", "words")
_CHARACTERS_PER_WORD = 6
_MADE = "method = $method AND revision = $revision AND words = $words"


@dataclass(frozen=True)
class Summarised:
    """What became of the texts.

    Attributes:
        made: Texts that were summarised now.
        cached: Texts that had a summary of this method, revision and length before.
        removed: Rows, of whatever method, whose text the video has no more.
        seconds: How long it took.
    """

    made: int
    cached: int
    removed: int
    seconds: float


@dataclass(frozen=True)
class Nearness:
    """How near summaries come to references, beside the first sentences of the text.

    Attributes:
        n: Videos with a transcript, its summary and a reference.
        rouge: Mean ROUGE-L F1 of the summaries.
        lead: The same of the first sentences of the texts, as many as the summary has.
        better: 95 % interval of the difference, drawn by video; None where they are too few.
    """

    n: int
    rouge: float
    lead: float
    better: Bounds | None


def summarise_missing(
    warehouse: Warehouse,
    summariser: Summariser,
    words: int,
    *,
    now: datetime,
    run_id: str,
    policies: Mapping[str, Override] | None = None,
    batch: int = 2048,
    progress: Callable[[int, int], None] | None = None,
) -> Summarised:
    """Summarises every transcript and long description that has no summary by this method, revision and length.

    What is made in ten seconds is one transaction, so that a killed run has lost no more than that.

    Args:
        warehouse: Where texts are read and summaries written.
        summariser: What makes them.
        words: The most words of a summary; texts that are hardly longer have none.
        now: A text that became usable later does not exist yet (naive UTC).
        run_id: Run that summarises.
        policies: What the operator states of the sources' rules.
        batch: Texts that are read together.
        progress: Told how many texts are done, of how many.
    """
    began = time.perf_counter()
    made_by = {"method": summariser.name, "revision": summariser.revision, "words": words}
    removed, pending, known = _compared(warehouse, made_by, now, policies or {})
    rows: dict[str, list[dict[str, Any]]] = {}
    for row in pending:
        rows.setdefault(row["text_id"], []).append(row)
    ids, made, at = sorted(rows), 0, 0
    for start in range(0, len(ids), batch):
        chosen = ids[start : start + batch]
        fresh = [each for each in chosen if each not in known]
        texts = {**texts_of(warehouse, fresh), **_descriptions(warehouse, fresh)}
        short = (
            (each, known[each] if each in known else summariser.summarise(texts[each], words))
            for each in chosen
            if each in known or each in texts  # a text that went meanwhile has none
        )
        for done in worth_a_transaction(short):
            _write(warehouse, [row for text_id, _ in done for row in rows[text_id]], dict(done), made_by, now, run_id)
            made += sum(text_id in texts for text_id, _ in done)
            at += len(done)
            if progress:
                progress(at, len(ids))
    cached = warehouse.query(
        f"SELECT count(DISTINCT text_id) AS n FROM {SUMMARIES} WHERE {_MADE}", made_by
    ).to_pylist()[0]["n"]
    return Summarised(made, cached - made, removed, time.perf_counter() - began)


def nearness(warehouse: Warehouse, summariser: Summariser, words: int, now: datetime) -> Nearness | None:
    """ROUGE-L of the summaries of transcripts against the references that there are by now; None where there are none."""
    rows = warehouse.query(
        f"""SELECT source || '/' || video_id AS video, s.text_id, arg_max(s.summary, s.known_at) AS summary,
                   arg_max(l.text, (l.observed_at, l.known_at)) AS reference
            FROM {SUMMARIES} s JOIN raw.labels l USING (source, video_id)
            WHERE {_MADE} AND s.part = 'transcript' AND l.label = $label AND l.comment_id = '' AND l.text IS NOT NULL
              AND greatest(l.observed_at, l.known_at) <= $now
            GROUP BY ALL ORDER BY ALL""",
        {"method": summariser.name, "revision": summariser.revision, "words": words, "label": REFERENCE, "now": now},
    ).to_pylist()
    texts = texts_of(warehouse, [row["text_id"] for row in rows])
    return near([(texts[row["text_id"]], row["summary"], row["reference"]) for row in rows if row["text_id"] in texts])


def near(triples: Sequence[tuple[str, str, str]]) -> Nearness | None:
    """How near summaries come to references; None without any.

    Args:
        triples: Text, summary, reference, one of each video.
    """
    if not triples:
        return None
    ours = np.array([rouge_l(summary, reference).f1 for _, summary, reference in triples])
    first = np.array([rouge_l(lead(text, len(sentences(short))), reference).f1 for text, short, reference in triples])
    _, better = paired_difference(ours, first, np.arange(len(triples)))
    return Nearness(len(triples), float(ours.mean()), float(first.mean()), better)


def _compared(
    warehouse: Warehouse, made_by: dict[str, Any], now: datetime, policies: Mapping[str, Override]
) -> tuple[int, list[dict[str, Any]], dict[str, str]]:
    """Removes rows of texts that are gone; gives how many, the rows that are missing, and the summaries there are by text."""
    values = {
        "now": now,
        "refused": forbidden_in(warehouse, policies, "raw.videos"),
        "longer": int(made_by["words"]) * _CHARACTERS_PER_WORD,
    }
    every = {**values, "longer": 1}
    with warehouse.read() as con:
        pending = con.execute(
            f"""SELECT * FROM ({_WANTED}) w ANTI JOIN (
                    SELECT source, video_id, part, text_id FROM {SUMMARIES} WHERE {_MADE}) s
                USING (source, video_id, part, text_id)""",
            {**values, **made_by},
        ).to_arrow_table()
        ids = pending.select(["text_id"])
        con.register("asked", ids)
        known = con.execute(
            f"SELECT DISTINCT text_id, summary FROM {SUMMARIES} SEMI JOIN asked USING (text_id) WHERE {_MADE}", made_by
        ).fetchall()
        con.unregister("asked")
        gone = con.execute(
            f"SELECT * FROM {SUMMARIES} ANTI JOIN ({_WANTED}) w USING (source, video_id, part, text_id)", every
        ).to_arrow_table()
    if gone.num_rows:
        with warehouse.write() as con:
            _delete(con, gone)
    return gone.num_rows, pending.to_pylist(), dict(known)


def _delete(con: duckdb.DuckDBPyConnection, gone: pa.Table) -> None:
    con.register("gone", gone)
    same = " AND ".join(f"s.{name} = g.{name}" for name in _KEY)
    con.execute(f"DELETE FROM {SUMMARIES} s USING gone g WHERE {same}")
    con.unregister("gone")


def _descriptions(warehouse: Warehouse, text_ids: Sequence[str]) -> dict[str, str]:
    with warehouse.read() as con:
        con.register("asked", pa.table({"text_id": pa.array(text_ids, pa.string())}))
        rows = con.execute(
            """SELECT DISTINCT sha256(description) AS text_id, description
               FROM raw.videos SEMI JOIN asked ON asked.text_id = sha256(description)"""
        ).fetchall()
        con.unregister("asked")
    return dict(rows)


def _write(
    warehouse: Warehouse,
    rows: list[dict[str, Any]],
    short: Mapping[str, str],
    made_by: dict[str, Any],
    now: datetime,
    run_id: str,
) -> None:
    """Adds the summaries of a batch."""
    full = [
        {
            **row,
            **made_by,
            "summary": short[row["text_id"]],
            "length": len(words_of(short[row["text_id"]])),
            "summarised_at": now,
            "run_id": run_id,
        }
        for row in rows
    ]
    with warehouse.write() as con:
        append_rows(con, table(SUMMARIES), arrow_rows(table(SUMMARIES), full))
