"""Whether vectors, fusion, neighbours and styles speak of the home as it is."""

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path

from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.lineage import finished_from

CONTENT = "embeddings"
"""What lineage.partitions calls the whole stage."""


def content_is_stale(warehouse: Warehouse, settings: Settings, now: datetime) -> bool:
    """Whether videos, media, outcomes, settings or code have changed since content was last brought up to date.

    Without any landing there is no content.
    """
    if not warehouse.query("SELECT 1 FROM raw.landings LIMIT 1").num_rows:
        return False
    return finished_from(warehouse, CONTENT) != content_version(warehouse, settings, now)


def content_version(warehouse: Warehouse, settings: Settings, now: datetime) -> str:
    """Fingerprint of everything that the stage is made from; taken before it begins."""
    rows = warehouse.query(
        """SELECT (SELECT bit_xor(hash(landing_id, contract_version)) FROM raw.landings) AS landings,
                  (SELECT bit_xor(hash(source, video_id, kind, uri, state, content_id)) FROM raw.media) AS media,
                  (SELECT count(*) FROM raw.media WHERE state IN ('pending', 'retryable') AND next_try_at <= $now) AS due,
                  (SELECT bit_xor(hash("table", partition, written_at)) FROM lineage.partitions
                   WHERE "table" IN ('features.content', 'features.targets')) AS features""",
        {"now": now},
    ).to_pylist()
    refits = (now.date() - settings.first_origin).days // (7 * settings.embeddings.refit_weeks)
    chosen = (settings.embeddings.model_dump_json(), settings.media.model_dump_json(), settings.policies)
    said = [rows[0], refits, *chosen, _code_version()]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


@cache
def _code_version() -> str:
    here = Path(__file__).parent
    files = [path for folder in (here, here.parent / "clusters") for path in sorted(folder.iterdir())]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files if path.suffix in (".py", ".sql"))).hexdigest()
