"""Which text, picture, sound and film each video has had: `embeddings.contents`, kept in step with the raw tables.

What raw rows no longer refer to loses everything that was made of it here. Bytes are the media store's; nothing is
encoded here.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from resources.encoders.base import MODALITIES
from resources.policy import Override, forbidden
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

EMPTY_TEXT = hashlib.sha256(b"\n").hexdigest()
"""Content of a video without title and description."""
_FOUND = (Path(__file__).parent / "contents.sql").read_text()
# Everything that is made of one content, and everything that is made of the contents of one video.
_OF_CONTENT = (
    *(f"embeddings.{modality}" for modality in MODALITIES),
    "embeddings.failures",
    "embeddings.interpretation",
)
_OF_VIDEO = ("embeddings.fused", "embeddings.coordinates", "embeddings.neighbours", "clusters.assignments")


@dataclass(frozen=True)
class Refreshed:
    """How many contents of videos were added, changed their rank or time, and were removed; per modality."""

    added: dict[str, int]
    changed: dict[str, int]
    removed: dict[str, int]


def refresh_contents(warehouse: Warehouse, now: datetime, policies: Mapping[str, Override] | None = None) -> Refreshed:
    """Brings `embeddings.contents` to what the raw tables say; writes differences only, in one transaction.

    A source that nothing may be made from has no contents here (`resources.policy`).

    Args:
        warehouse: Where raw tables are read.
        now: Content that became usable later does not exist yet (naive UTC).
        policies: What the operator states of the sources' rules.
    """
    with warehouse.extract({"found": _FOUND, "stored": "SELECT * FROM embeddings.contents"}, {}) as con:
        sources = [row[0] for row in con.execute("SELECT DISTINCT source FROM found").fetchall()]
        con.execute("DELETE FROM found WHERE list_contains($1, source)", [forbidden(policies or {}, sources)])
        _compare(con, now)
        new = con.execute("SELECT * FROM wanted ANTI JOIN stored USING (source, video_id, modality, content_id)")
        added = new.to_arrow_table()
        changed = con.execute(
            """SELECT w.* FROM wanted w JOIN stored s USING (source, video_id, modality, content_id)
               WHERE w.known_at <> s.known_at OR w.rank <> s.rank"""
        ).to_arrow_table()
        gone = con.execute(
            "SELECT * FROM stored ANTI JOIN wanted USING (source, video_id, modality, content_id)"
        ).to_arrow_table()
        orphans = con.execute(
            "SELECT DISTINCT content_id FROM stored ANTI JOIN found USING (content_id)"
        ).to_arrow_table()
    if added.num_rows or changed.num_rows or gone.num_rows:
        _write(warehouse, added, changed, gone, orphans)
    return Refreshed(_per_modality(added), _per_modality(changed), _per_modality(gone))


def texts(warehouse: Warehouse, content_ids: Sequence[str]) -> dict[str, str]:
    """The texts of contents (title, a line break, description) by their id; those that nothing refers to are left out."""
    with warehouse.read() as con:
        con.register("asked", pa.table({"content_id": pa.array(content_ids, pa.string())}))
        rows = con.execute(
            """WITH videos AS (
                   SELECT DISTINCT c.source, c.video_id FROM embeddings.contents c
                   SEMI JOIN asked USING (content_id) WHERE c.modality = 'text'),
               said AS (
                   SELECT DISTINCT coalesce(title, '') || chr(10) || coalesce(description, '') AS text
                   FROM raw.videos SEMI JOIN videos USING (source, video_id))
               SELECT sha256(text) AS content_id, text FROM said SEMI JOIN asked ON asked.content_id = sha256(text)"""
        ).fetchall()
        con.unregister("asked")
    return dict(rows)


def _compare(con: duckdb.DuckDBPyConnection, now: datetime) -> None:
    """Makes `wanted`: what `found` gives by now, with its rank."""
    con.execute(
        """CREATE TABLE wanted AS
           SELECT source, video_id, modality, content_id, known_at,
                  row_number() OVER (PARTITION BY source, video_id, modality ORDER BY known_at, content_id)::INTEGER AS rank
           FROM found WHERE known_at <= $now""",
        {"now": now},
    )


def _write(warehouse: Warehouse, added: pa.Table, changed: pa.Table, gone: pa.Table, orphans: pa.Table) -> None:
    with warehouse.write() as con:
        replaced = pa.concat_tables([changed, gone])
        con.register("replaced", replaced.select(["source", "video_id", "modality", "content_id"]))
        con.execute(
            """DELETE FROM embeddings.contents c USING replaced r
               WHERE c.source = r.source AND c.video_id = r.video_id
                 AND c.modality = r.modality AND c.content_id = r.content_id"""
        )
        con.unregister("replaced")
        append_rows(con, table("embeddings.contents"), pa.concat_tables([added, changed]))
        con.register("orphans", orphans)
        con.register("bereft", gone.select(["source", "video_id"]))
        for name in _OF_CONTENT:
            con.execute(f"DELETE FROM {name} t USING orphans o WHERE t.content_id = o.content_id")
        for name in _OF_VIDEO:
            con.execute(
                f"DELETE FROM {name} t USING (SELECT DISTINCT * FROM bereft) b "
                "WHERE t.source = b.source AND t.video_id = b.video_id"
            )
        con.unregister("orphans")
        con.unregister("bereft")


def _per_modality(rows: pa.Table) -> dict[str, int]:
    counts: dict[str, int] = dict.fromkeys(MODALITIES, 0)
    for entry in rows.column("modality").value_counts():
        counts[entry["values"].as_py()] = entry["counts"].as_py()
    return counts
