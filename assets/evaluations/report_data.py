"""Everything that a report is made of, read from the warehouse in one state of it. Nothing is drawn or worded here.

The queries are in `report.sql`; what must hold before a page may be made of them is in `report_checks`.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd

from assets.evaluations.leaderboard import CELL, champions_of
from assets.features.frame import load_frame
from resources.settings import ClassTarget, MeasuredTarget, Settings, cutoff_age
from warehouse.connection import Warehouse
from warehouse.contracts import quoted

SAMPLE = 20_000
EXAMPLES = 4
_UNIT = "\x1f"
_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
# What the page depends on besides the audit, and columns that say when rather than what.
_SOURCES = {
    "evaluations.splits": (),
    "evaluations.predictions": (),
    "evaluations.metrics": (),
    "evaluations.importance": (),
    "evaluations.decisions": ("run_id",),
    "evaluations.forecasts": ("run_id",),
    "evaluations.scores": ("run_id",),
    "raw.landings": ("received_at",),
    "raw.duplicates": (),
    "raw.quarantine": (),
    "raw.channels": (),
    "language.texts": (),
    "language.measures": (),
    "features.content": (),
    "features.engagement": (),
    "features.channel": (),
    "features.context": (),
    "features.metrics": (),
    "features.targets": (),
}
# Of training sets and models: who serves, who wants to, how they learned, and what was withdrawn.
_LEARNED = {
    "serving": """SELECT source, target, cutoff, forecaster, version, alias FROM models.versions
                  WHERE alias IS NOT NULL AND target <> 'emotions' AND ($source::VARCHAR IS NULL OR source = $source)""",
    "curves": """SELECT c.* FROM models.curves c JOIN models.versions v USING (training_id)
                 WHERE v.alias IS NOT NULL AND v.target <> 'emotions' AND ($source::VARCHAR IS NULL OR v.source = $source)""",
    "inputs": """SELECT source, target, cutoff, origin, training_set_id, columns FROM models.training_sets
                 WHERE made_by = 'backtest' AND ($source::VARCHAR IS NULL OR source = $source)""",
    "withdrawn": """SELECT w.* FROM raw.withdrawn w WHERE EXISTS (
                        FROM models.training_sets t WHERE t.training_set_id = w.training_set_id
                        AND ($source::VARCHAR IS NULL OR t.source = $source))""",
}

Cell = tuple[str, str, str]


@dataclass(frozen=True)
class Evidence:
    """What a report is made of.

    Attributes:
        tables: The result of every query of `report.sql`, by name.
        champions: The champion of each (source, target, cutoff).
        cells: Those keys in reading order: source, target, age of the cutoff.
        frames: Per (source, target) the frame at the latest cutoff, for what the data look like; a class shows what it is made of.
        frame_cutoffs: That cutoff.
        log_targets: Targets on the scale ln(1 + number), which can be shown as raw numbers.
        made_from: sha256 of the rows that the page depends on.
        data_version: sha256 of the landings and the contracts that read them.
    """

    tables: Mapping[str, pd.DataFrame]
    champions: Mapping[Cell, str]
    cells: tuple[Cell, ...]
    frames: Mapping[tuple[str, str], pd.DataFrame]
    frame_cutoffs: Mapping[tuple[str, str], str]
    log_targets: frozenset[str]
    made_from: str
    data_version: str

    def of(self, name: str, cell: tuple[str, ...]) -> pd.DataFrame:
        """The rows of a query's result that belong to a source, a (source, target) or a cell."""
        rows = self.tables[name]
        for column, value in zip(CELL, cell, strict=False):
            rows = rows[rows[column] == value]
        return rows


def records(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a frame, by column."""
    return [{str(name): value for name, value in row.items()} for row in rows.to_dict("records")]


def queries() -> dict[str, str]:
    """The SELECTs of `report.sql` by name."""
    _, *parts = _NAME.split(Path(__file__).with_name("report.sql").read_text())
    return dict(zip(parts[::2], (text.strip() for text in parts[1::2]), strict=True))


def read_metrics(warehouse: Warehouse, source: str | None = None) -> pd.DataFrame:
    """Rows of `evaluations.metrics`."""
    with warehouse.read() as con:
        return con.execute(queries()["metrics"], {"source": source}).df()


def collect(warehouse: Warehouse, settings: Settings, source: str | None) -> Evidence:
    """Read what the report on a source (all of them by default) is made of, in one state of the warehouse."""
    with warehouse.read() as con:
        champions = champions_by_cell(con.execute(queries()["metrics"], {"source": source}).df())
        parameters = {
            "source": source,
            "champions": [_UNIT.join((*cell, name)) for cell, name in champions.items()],
            "measured": [{"target": target, "measured": _measured(settings, target)} for target in settings.targets],
            "sample": SAMPLE,
            "examples": EXAMPLES,
        }
        with warehouse.extract(queries(), parameters) as extracted:
            tables = {name: extracted.execute(f"FROM {quoted(name)}").df() for name in queries()}
        cells = ordered(tables["metrics"])
        latest = {
            (source, _measured(settings, target)): cutoff
            for source, target, cutoff in cells
            if target in settings.targets
        }
        frames = {
            pair: load_frame(warehouse, settings, *pair, cutoff)
            for pair, cutoff in latest.items()
            if not settings.refusal(pair[1], cutoff)
        }
        made_from = _fingerprint(con, source)
    logged = frozenset(target for target in settings.targets if _is_log(settings, target))
    return Evidence(tables, champions, cells, frames, latest, logged, made_from, _data_version(tables["versions"]))


def champions_by_cell(metrics: pd.DataFrame) -> dict[Cell, str]:
    """The champion of each (source, target, cutoff) that has one."""
    return {(cell[0], cell[1], cell[2]): name for cell, name in champions_of(metrics).items()}


def ordered(metrics: pd.DataFrame) -> tuple[Cell, ...]:
    """The cells of some metrics by source, target and age of the cutoff."""
    cells = {
        (str(source), str(target), str(cutoff))
        for source, target, cutoff in metrics[list(CELL)].drop_duplicates().values
    }
    return tuple(sorted(cells, key=lambda cell: (cell[0], cell[1], cutoff_order(cell[2]))))


def cutoff_order(cutoff: str) -> tuple[int, float, str]:
    """Sorts cutoffs by age, `pre` first, and `all` of them before that."""
    if cutoff in ("all", "pre"):
        return 0, 0.0, cutoff
    return 1, cutoff_age(cutoff).total_seconds(), cutoff


def _measured(settings: Settings, target: str) -> str:
    definition = settings.targets[target]
    return definition.of if isinstance(definition, ClassTarget) else target


def _is_log(settings: Settings, target: str) -> bool:
    definition = settings.targets[target]
    return isinstance(definition, MeasuredTarget) and definition.transform == "log"


def _fingerprint(con: duckdb.DuckDBPyConnection, source: str | None) -> str:
    """sha256 over the count and the order-free hash of the rows of each table."""
    prints: dict[str, object] = {}
    for name, left_out in _SOURCES.items():
        chosen = f"* EXCLUDE ({', '.join(left_out)})" if left_out else "*"
        rows = f"SELECT {chosen} FROM {name} WHERE $source::VARCHAR IS NULL OR source = $source"
        prints[name] = _print_of(con, rows, source)
    for name in ("styles", "sizes", "assignments"):
        prints[name] = _print_of(
            con, f"SELECT * FROM clusters.{name} WHERE $source::VARCHAR IS NOT DISTINCT FROM $source", source
        )
    for name, rows in _LEARNED.items():
        prints[name] = _print_of(con, rows, source)
    for name in ("audits", "audit_differences"):
        prints[name] = _print_of(con, queries()[name], source)
    return hashlib.sha256(json.dumps(prints).encode()).hexdigest()


def _print_of(con: duckdb.DuckDBPyConnection, rows: str, source: str | None) -> tuple[object, ...] | None:
    return con.execute(
        f"SELECT count(*), sum(hash(r)::HUGEINT)::VARCHAR FROM ({rows}) r", {"source": source}
    ).fetchone()


def _data_version(versions: pd.DataFrame) -> str:
    return hashlib.sha256(json.dumps(versions.to_numpy().tolist()).encode()).hexdigest()
