"""What words tell of a video as of a cutoff: `language.measures`, which join the training frame.

A text counts from when it was usable, a model's word of it from when the model could be known. Rows of a video are made again
when anything that they are made from has changed. Which text there is, and what it shows, is settled before.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from assets.language.emotions import EMOTIONS
from assets.language.texts import TEXTS
from warehouse.connection import Warehouse, scratch
from warehouse.contracts import table
from warehouse.writer import append_rows

MEASURES = "language.measures"
NOT_FEATURES = frozenset({"source", "video_id", "cutoff", "as_of", "revision", "inputs"})
COLUMNS = tuple(name for name in table(MEASURES).column_names if name not in NOT_FEATURES)
"""The columns that are features."""
_SQL = (Path(__file__).parent / "measures.sql").read_text()
# Sums of whole millionths are the same in any order.
_EXACT = """
CREATE MACRO millionths(x) AS CAST(round(x * 1e6) AS BIGINT);
CREATE MACRO exact_mean(x) AS sum(millionths(x))::DOUBLE / nullif(count(x), 0) / 1e6;
CREATE MACRO exact_spread(x) AS sqrt(greatest(
    sum(millionths(x) * millionths(x))::DOUBLE / nullif(count(x), 0) - (sum(millionths(x))::DOUBLE / nullif(count(x), 0)) ** 2, 0)) / 1e6;
"""
# What the rows of each video are made from; a video that no word is known of has rows too, so that nothing is ever half there.
_INPUTS = f"""
SELECT m.source, m.video_id, to_hex(hash(m.moments, t.texts, c.content, o.models, $code)) AS inputs
FROM (SELECT source, video_id, bit_xor(hash(cutoff, as_of)) AS moments FROM features.channel GROUP BY ALL) m
LEFT JOIN (SELECT source, video_id, bit_xor(hash(part, item_id, t.text_id, t.known_at, t.written_at, t.state, s.scored)) AS texts
           FROM {TEXTS} t LEFT JOIN (SELECT text_id, bit_xor(hash(revision)) AS scored FROM {EMOTIONS} GROUP BY ALL) s
                ON s.text_id = t.text_id
           GROUP BY ALL) t USING (source, video_id)
LEFT JOIN (SELECT source, video_id, hash(title, duration_s) AS content FROM features.content) c USING (source, video_id)
CROSS JOIN (SELECT bit_xor(hash(revision, usable_at)) AS models FROM (SELECT DISTINCT revision, usable_at FROM {EMOTIONS})) o
"""


@dataclass(frozen=True)
class Refreshed:
    """How many rows were written and removed, of how many videos."""

    written: int
    removed: int
    videos: int


def refresh_measures(warehouse: Warehouse) -> Refreshed:
    """Brings the rows of all videos whose texts, models, title or moments have changed up to date, in one transaction."""
    with warehouse.extract(
        {"wanted": _INPUTS, "stored": f"SELECT DISTINCT source, video_id, inputs FROM {MEASURES}"}, {"code": _code()}
    ) as con:
        changed = con.execute(
            "SELECT w.* FROM wanted w ANTI JOIN stored USING (source, video_id, inputs)"
        ).to_arrow_table()
        gone = con.execute(
            "SELECT DISTINCT source, video_id FROM stored ANTI JOIN wanted USING (source, video_id, inputs)"
        ).to_arrow_table()
    if not changed.num_rows and not gone.num_rows:
        return Refreshed(0, 0, 0)
    rows = _measured(warehouse, changed)
    with warehouse.write() as con:
        con.register("gone", gone)
        row = con.execute(
            f"DELETE FROM {MEASURES} m USING gone g WHERE m.source = g.source AND m.video_id = g.video_id"
        ).fetchone()
        con.unregister("gone")
        append_rows(con, table(MEASURES), rows)
    return Refreshed(rows.num_rows, int(row[0]) if row else 0, changed.num_rows)


def load_measures(warehouse: Warehouse, source: str, cutoff: str) -> pd.DataFrame:
    """What words tell of the videos of a source at a cutoff: the columns COLUMNS by `video_id`; no column where there are none."""
    found = warehouse.query(
        f"SELECT video_id, {', '.join(COLUMNS)} FROM {MEASURES} WHERE source = $source AND cutoff = $cutoff ORDER BY video_id",
        {"source": source, "cutoff": cutoff},
    ).to_pandas()
    told = bool(found[list(COLUMNS)].notna().to_numpy().any())
    return found.set_index("video_id") if told else pd.DataFrame(index=pd.Index([], name="video_id"))


def coverage(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Of how many videos there is a title, a transcript, a comment that a model has judged, per cutoff; and how glad they are."""
    rows: list[dict[str, Any]] = warehouse.query(
        f"""SELECT source, cutoff, count(*) AS videos, count(revision) AS "with a model", count(emotion_title_joy) AS titles,
                   count(speech_joy) AS transcripts, count(emotion_comments_joy) AS commented,
                   sum(emotion_comments)::BIGINT AS comments, avg(emotion_comments_positive) AS positive,
                   avg(emotion_comments_negative) AS negative
            FROM {MEASURES} GROUP BY ALL ORDER BY source, min(as_of)"""
    ).to_pylist()
    return rows


def earlier_than_known(warehouse: Warehouse) -> dict[str, int]:
    """How many rows there are; how many are of a model that was not known by then; how many count more comments than there were."""
    [found] = warehouse.query(
        f"""WITH models AS (SELECT revision, max(usable_at) AS usable_at FROM {EMOTIONS} GROUP BY ALL),
            counted AS (SELECT m.source, m.video_id, m.cutoff, any_value(m.emotion_comments) AS said, count(t.text_id) AS known
                        FROM {MEASURES} m LEFT JOIN {TEXTS} t ON t.source = m.source AND t.video_id = m.video_id
                         AND t.part = 'comment' AND t.known_at <= m.as_of AND m.cutoff NOT IN ('pre', '0h')
                        WHERE m.emotion_comments IS NOT NULL GROUP BY ALL)
            SELECT (SELECT count(*) FROM {MEASURES}) AS "rows",
                   (SELECT count(*) FROM {MEASURES} m JOIN models o USING (revision) WHERE o.usable_at > m.as_of) AS models,
                   (SELECT count(*) FROM counted WHERE said > known) AS comments"""
    ).to_pylist()
    return dict(found)


def _measured(warehouse: Warehouse, videos: pa.Table) -> pa.Table:
    """The rows of some videos."""
    with warehouse.read() as con:
        con.register("asked", videos)
        parts = {
            "moments": "SELECT source, video_id, cutoff, as_of FROM features.channel SEMI JOIN asked USING (source, video_id)",
            "content": """SELECT source, video_id, duration_s, sha256(coalesce(title, '')) AS title_id
                          FROM features.content SEMI JOIN asked USING (source, video_id)""",
            "texts": f"SELECT * FROM {TEXTS} SEMI JOIN asked USING (source, video_id) WHERE part <> 'title'",
            "emotions": f"""SELECT text_id, revision, ekman, sentiment, neutral FROM {EMOTIONS}
                            SEMI JOIN (FROM {TEXTS} SEMI JOIN asked USING (source, video_id)) USING (text_id)""",
            "models": f"SELECT DISTINCT revision, usable_at FROM {EMOTIONS}",
        }
        found = {name: con.execute(sql).to_arrow_table() for name, sql in parts.items()}
        con.unregister("asked")
    with scratch() as con:
        con.execute(_EXACT)
        for name, rows in {**found, "inputs": videos}.items():
            con.register(name, rows)
        return con.execute(_SQL).to_arrow_table()


def _code() -> str:
    return hashlib.sha256((_SQL + _EXACT).encode()).hexdigest()[:16]
