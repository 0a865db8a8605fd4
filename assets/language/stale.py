"""Whether what is said of texts speaks of the home as it is."""

import hashlib
from functools import cache
from pathlib import Path

from assets.models.registry import EMOTIONS
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.lineage import finished_from

LANGUAGE = "language"
"""What lineage.partitions calls the whole stage."""


def language_is_stale(warehouse: Warehouse, settings: Settings) -> bool:
    """Whether anything that texts are read from or by has changed since they were last brought up to date.

    That is landings, features, the serving emotion model, settings, code and, where speech is written down, media. Without
    any landing there are no texts.
    """
    if not warehouse.query("SELECT 1 FROM raw.landings LIMIT 1").num_rows:
        return False
    return finished_from(warehouse, LANGUAGE) != language_version(warehouse, settings)


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
    said = [rows[0], settings.language.model_dump_json(), settings.policies, _code_version()]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


@cache
def _code_version() -> str:
    files = [path for path in sorted(Path(__file__).parent.iterdir()) if path.suffix in (".py", ".sql")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
