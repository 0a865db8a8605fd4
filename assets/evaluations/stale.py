"""Whether ledger, figures, audit and report speak of the home as it is: its derived rows, and the code that scores and draws.

What of the backtests is stale is in `run_cells`, of the features in `assets/features/stale.py`.
"""

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path

from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.lineage import finished_from, record_partitions

FIGURES, REPORTS, LEDGER = "evaluations.metrics", "evaluations.reports", "evaluations.forecasts"


def ledger_is_stale(warehouse: Warehouse) -> bool:
    """Whether features, language, content or champions have changed since the ledger stage was last finished; no champion, no ledger."""
    if not warehouse.query("SELECT 1 FROM models.versions WHERE alias IS NOT NULL LIMIT 1").num_rows:
        return False
    return finished_from(warehouse, LEDGER) != ledger_version(warehouse)


def ledger_version(warehouse: Warehouse) -> str:
    """Fingerprint of everything that the ledger stage is made from; taken before it begins."""
    rows = warehouse.query(
        """SELECT (SELECT bit_xor(hash("table", partition, written_at)) FROM lineage.partitions
                   WHERE starts_with("table", 'features.') OR starts_with("table", 'embeddings')
                      OR starts_with("table", 'clusters.') OR starts_with("table", 'language')) AS features,
                  (SELECT bit_xor(hash(version, alias)) FROM models.versions WHERE alias IS NOT NULL) AS serving"""
    ).to_pylist()
    return f"{rows[0]['features']}-{rows[0]['serving']}"


def evaluation_is_stale(warehouse: Warehouse, settings: Settings) -> bool:
    """Whether the report is not of the present rows and code; without any forecast there is nothing to report."""
    rows = warehouse.query(
        """SELECT (SELECT count(*) FROM evaluations.predictions) AS forecasts,
                  (SELECT any_value(input_version) FROM lineage.partitions WHERE "table" = $reports) AS version""",
        {"reports": REPORTS},
    ).to_pylist()
    return bool(rows[0]["forecasts"]) and rows[0]["version"] != evaluated_from(warehouse, settings)


def evaluated_from(warehouse: Warehouse, settings: Settings) -> str:
    """Fingerprint of everything that an evaluation is made from; taken before it begins."""
    rows = warehouse.query(
        """SELECT "table", partition, input_version, written_at FROM lineage.partitions
           WHERE "table" NOT IN ($figures, $reports, $ledger) ORDER BY ALL""",
        {"figures": FIGURES, "reports": REPORTS, "ledger": LEDGER},
    ).to_pylist()
    learned = warehouse.query(
        """SELECT (SELECT count(*) FROM evaluations.decisions), (SELECT count(*) FROM evaluations.forecasts),
                  (SELECT count(*) FROM evaluations.scores), (SELECT count(*) FROM evaluations.reevaluations),
                  (SELECT count(*) FROM models.runs)"""
    ).to_pylist()
    said = repr([tuple(row.values()) for row in [*rows, *learned]]) + settings.model_dump_json() + _code_version()
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def record_evaluation(
    warehouse: Warehouse, name: str, version: str | None, rows: int, *, run_id: str, now: datetime
) -> None:
    """Notes what the figures were made from, or (version None) that the report is of the figures there are."""
    if version is None:
        found = warehouse.query(
            'SELECT input_version FROM lineage.partitions WHERE "table" = $figures', {"figures": FIGURES}
        ).to_pylist()
        version = found[0]["input_version"] if found else ""
    _record(warehouse, name, "all", version, rows, run_id, now)


def _record(
    warehouse: Warehouse, name: str, partition: str, version: str, rows: int, run_id: str, now: datetime
) -> None:
    with warehouse.write() as con:
        record_partitions(con, name, [(partition, version, rows)], run_id, now)


@cache
def _code_version() -> str:
    folder = Path(__file__).parent
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".py", ".sql", ".html")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
