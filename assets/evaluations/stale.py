"""Whether figures, audit and report speak of the home as it is: its derived rows, and the code that scores and draws.

What of the backtests is stale is in `run_cells`, of the features in `assets/features/stale.py`.
"""

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path

import pyarrow as pa

from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows

FIGURES, REPORTS = "evaluations.metrics", "evaluations.reports"


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
           WHERE "table" NOT IN ($figures, $reports) ORDER BY ALL""",
        {"figures": FIGURES, "reports": REPORTS},
    ).to_pylist()
    said = repr([tuple(row.values()) for row in rows]) + settings.model_dump_json() + _code_version()
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def record_evaluation(
    warehouse: Warehouse, name: str, version: str | None, rows: int, *, run_id: str, now: datetime
) -> None:
    """Notes what the figures were made from, or (version None) that the report is of the figures there are."""
    with warehouse.write() as con:
        if version is None:
            found = con.execute('SELECT input_version FROM lineage.partitions WHERE "table" = ?', [FIGURES]).fetchone()
            version = found[0] if found else ""
        written = pa.table(
            {
                "table": [name],
                "partition": ["all"],
                "input_version": [version],
                "rows": [rows],
                "run_id": [run_id],
                "written_at": pa.array([now], pa.timestamp("us")),
            }
        )
        replace_rows(con, table("lineage.partitions"), written, {"table": name, "partition": "all"})


@cache
def _code_version() -> str:
    folder = Path(__file__).parent
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".py", ".sql", ".html")]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
