"""Which texts there are and what is wrong with each: `language.texts`, kept in step with the raw tables.

No text is left out: what cannot be used has a row with the reason. The words stay in the raw tables and are read from there by
their id. What texts show is not asked here.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from assets.language.validation import look_at
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.lineage import record_partitions
from warehouse.writer import append_rows

TEXTS = "language.texts"
_HERE = Path(__file__).parent
_FOUND = (_HERE / "texts.sql").read_text()
_KEY = "source, video_id, part, item_id, text_id"


@dataclass(frozen=True)
class Refreshed:
    """How many rows were added, changed and removed."""

    added: int
    changed: int
    removed: int


def refresh_texts(warehouse: Warehouse, now: datetime, run_id: str) -> Refreshed:
    """Brings `language.texts` to what the raw tables say; writes differences only, in one transaction.

    Args:
        warehouse: Where raw tables are read.
        now: A text that became usable later does not exist yet (naive UTC).
        run_id: The run, for `lineage.partitions`.
    """
    version = _rules_version()
    queries = {
        "found": f"SELECT * EXCLUDE (text) FROM ({_FOUND}) WHERE known_at <= $now",
        "stored": f"SELECT * FROM {TEXTS}",
        "fresh": f"""SELECT DISTINCT part, text_id, text FROM ({_FOUND}) f
                     WHERE known_at <= $now AND ($again OR NOT EXISTS (
                         SELECT 1 FROM {TEXTS} t WHERE t.text_id = f.text_id AND t.part = f.part))""",
    }
    again = _made_by(warehouse) != version
    with warehouse.extract(queries, {"now": now, "again": again}) as con:
        _look_at_fresh(con)
        _compare(con)
        added = con.execute(f"SELECT * FROM wanted ANTI JOIN stored USING ({_KEY})").to_arrow_table()
        changed = con.execute(
            f"""SELECT w.* FROM wanted w JOIN stored s USING ({_KEY})
                WHERE (w.written_at, w.known_at, w.language, w.state) <> (s.written_at, s.known_at, s.language, s.state)"""
        ).to_arrow_table()
        gone = con.execute(f"SELECT * FROM stored ANTI JOIN wanted USING ({_KEY})").to_arrow_table()
    if again or added.num_rows or changed.num_rows or gone.num_rows:
        _write(warehouse, added, changed, gone, version, run_id, now)
    return Refreshed(added.num_rows, changed.num_rows, gone.num_rows)


def texts_of(warehouse: Warehouse, text_ids: Sequence[str]) -> dict[str, str]:
    """The texts by their id; those that nothing refers to any more are left out."""
    with warehouse.read() as con:
        con.register("asked", pa.table({"text_id": pa.array(text_ids, pa.string())}))
        rows = con.execute(
            f"""WITH asked_of AS (SELECT DISTINCT source, video_id FROM {TEXTS} SEMI JOIN asked USING (text_id)),
                found AS ({_of_videos("asked_of")})
                SELECT text_id, any_value(text) FROM found SEMI JOIN asked USING (text_id) GROUP BY text_id"""
        ).fetchall()
        con.unregister("asked")
    return dict(rows)


def states(warehouse: Warehouse) -> list[dict[str, Any]]:
    """How many texts of each part are in each state, and in how many languages."""
    rows: list[dict[str, Any]] = warehouse.query(
        f"""SELECT source, part, state, count(*) AS texts, count(DISTINCT text_id) AS "different texts",
                   count(DISTINCT language) AS languages
            FROM {TEXTS} GROUP BY ALL ORDER BY source, part, texts DESC, state"""
    ).to_pylist()
    return rows


def _of_videos(chosen: str) -> str:
    """The texts of some videos, so that only these are hashed."""
    found = _FOUND
    for name in ("raw.videos", "raw.captions", "raw.comments", "language.transcripts"):
        found = found.replace(f"FROM {name}", f"FROM {name} SEMI JOIN {chosen} USING (source, video_id)")
    return found


def _look_at_fresh(con: duckdb.DuckDBPyConnection) -> None:
    """Makes `findings`: what is to be said of each (part, text) by itself, looked at once."""
    con.execute(
        """CREATE TABLE findings AS
           SELECT part, text_id, any_value(length) AS length, any_value(language) AS language,
                  any_value(CASE state WHEN 'duplicate' THEN 'valid' ELSE state END) AS state
           FROM stored ANTI JOIN fresh USING (part, text_id) GROUP BY ALL"""
    )
    fresh = con.execute("SELECT part, text_id, text FROM fresh").fetchall()
    looked = [look_at(text, part) for part, _, text in fresh]
    rows = {
        "part": pa.array([part for part, _, _ in fresh], pa.string()),
        "text_id": pa.array([text_id for _, text_id, _ in fresh], pa.string()),
        "length": pa.array([each.length for each in looked], pa.int64()),
        "language": pa.array([each.language for each in looked], pa.string()),
        "state": pa.array([each.state for each in looked], pa.string()),
    }
    con.register("looked", pa.table(rows))
    con.execute("INSERT INTO findings SELECT * FROM looked")
    con.unregister("looked")


def _compare(con: duckdb.DuckDBPyConnection) -> None:
    """Makes `wanted`: what was found, with its findings. Of equal texts of a video the one known first is no duplicate."""
    con.execute(
        """CREATE TABLE wanted AS
           SELECT source, video_id, part, item_id, text_id, written_at, known_at, length, language,
                  CASE WHEN state = 'valid' AND row_number() OVER (
                           PARTITION BY source, video_id, part, text_id ORDER BY known_at, written_at, item_id) > 1
                       THEN 'duplicate' ELSE state END AS state
           FROM found JOIN findings USING (part, text_id)"""
    )


def _write(
    warehouse: Warehouse, added: pa.Table, changed: pa.Table, gone: pa.Table, version: str, run_id: str, now: datetime
) -> None:
    with warehouse.write() as con:
        con.register("replaced", pa.concat_tables([changed, gone]).select([name.strip() for name in _KEY.split(",")]))
        same = " AND ".join(f"t.{name.strip()} = r.{name.strip()}" for name in _KEY.split(","))
        con.execute(f"DELETE FROM {TEXTS} t USING replaced r WHERE {same}")
        con.unregister("replaced")
        append_rows(con, table(TEXTS), pa.concat_tables([added, changed]))
        record_partitions(con, TEXTS, [("rules", version, added.num_rows + changed.num_rows)], run_id, now)


def _made_by(warehouse: Warehouse) -> str | None:
    rows = warehouse.query(
        """SELECT input_version FROM lineage.partitions WHERE "table" = $name AND partition = 'rules'""",
        {"name": TEXTS},
    ).to_pylist()
    return rows[0]["input_version"] if rows else None


def _rules_version() -> str:
    """Changes when the rules do, so that every text is looked at again."""
    return hashlib.sha256((_HERE / "validation.py").read_bytes()).hexdigest()[:16]
