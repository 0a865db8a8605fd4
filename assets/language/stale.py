"""Whether what is said of texts speaks of the home as it is."""

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path

from assets.models.registry import EMOTIONS
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.lineage import record_partitions

LANGUAGE = "language"
"""What lineage.partitions calls the whole stage."""


def language_is_stale(warehouse: Warehouse, settings: Settings) -> bool:
    """Whether anything that texts are read from or by has changed since they were last brought up to date.

    That is landings, features, the serving emotion model, settings, code and, where speech is written down, media. Without
    any landing there are no texts.
    """
    if not warehouse.query("SELECT 1 FROM raw.landings LIMIT 1").num_rows:
        return False
    rows = warehouse.query(
        """SELECT input_version FROM lineage.partitions WHERE "table" = $name AND partition = 'done' """,
        {"name": LANGUAGE},
    ).to_pylist()
    done = rows[0]["input_version"] if rows else None
    return done != language_version(warehouse, settings)


def language_version(warehouse: Warehouse, settings: Settings) -> str:
    """Fingerprint of everything that the stage is made from; taken before it begins."""
    rows = warehouse.query(
        """SELECT (SELECT bit_xor(hash(landing_id, contract_version)) FROM raw.landings WHERE kind <> 'media') AS landings,
                  (SELECT bit_xor(hash(source, video_id, kind, uri, state, content_id)) FROM raw.media WHERE $heard) AS media,
                  (SELECT bit_xor(hash("table", partition, written_at)) FROM lineage.partitions
                   WHERE "table" IN ('features.channel', 'features.content')) AS features,
                  (SELECT bit_xor(hash(version, alias)) FROM models.versions WHERE target = $emotions AND alias IS NOT NULL) AS model""",
        {"emotions": EMOTIONS, "heard": settings.language.transcripts.model is not None},
    ).to_pylist()
    said = [rows[0], settings.language.model_dump_json(), _code_version()]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


def begin_language(warehouse: Warehouse, settings: Settings, *, run_id: str, now: datetime) -> None:
    """Notes what the stage is about to be made from."""
    _record(warehouse, "begun", language_version(warehouse, settings), run_id, now)


def finish_language(warehouse: Warehouse, *, run_id: str, now: datetime) -> None:
    """Notes that the stage is made from what this run began with; a run that another has overtaken notes nothing."""
    begun = warehouse.query(
        """SELECT input_version FROM lineage.partitions
           WHERE "table" = $name AND partition = 'begun' AND run_id = $run_id""",
        {"name": LANGUAGE, "run_id": run_id},
    ).to_pylist()
    if begun:
        _record(warehouse, "done", begun[0]["input_version"], run_id, now)


def _record(warehouse: Warehouse, partition: str, version: str, run_id: str, now: datetime) -> None:
    with warehouse.write() as con:
        record_partitions(con, LANGUAGE, [(partition, version, 0)], run_id, now)


@cache
def _code_version() -> str:
    files = [path for path in sorted(Path(__file__).parent.iterdir()) if path.suffix in (".py", ".sql")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
