"""Everything that the tables and the home know of kept models, for the card and for the tracker. Nothing is computed or written."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from assets.models.predictor import FOLDER, PROVENANCE, ModelError
from assets.models.training_set import FOLDER as TRAINING_SETS
from warehouse.connection import Warehouse

Row = Mapping[str, Any]
_QUERIES = {
    "versions": "SELECT * FROM models.versions WHERE list_contains($versions, version) ORDER BY created_at, version",
    "training_sets": """SELECT * FROM models.training_sets WHERE training_set_id IN
        (SELECT training_set_id FROM models.versions WHERE list_contains($versions, version)) ORDER BY created_at""",
    "runs": """SELECT * FROM models.runs WHERE training_id IN
        (SELECT training_id FROM models.versions WHERE list_contains($versions, version))""",
    "curves": """SELECT * FROM models.curves WHERE training_id IN
        (SELECT training_id FROM models.versions WHERE list_contains($versions, version))
        ORDER BY training_id, fit, metric, step""",
    "reevaluations": """SELECT * FROM evaluations.reevaluations WHERE list_contains($versions, version)
        ORDER BY origin, evaluated_at, data_version""",
    "decisions": """SELECT * FROM evaluations.decisions WHERE list_contains($versions, version)
        ORDER BY decided_at, decision_id""",
    "scores": """SELECT version, clock, count(*) AS n, avg(error) AS error, avg(naive_error) AS naive_error,
        avg(CAST(covered_50 AS INTEGER)) AS covered_50, avg(CAST(covered_80 AS INTEGER)) AS covered_80,
        avg(CAST(covered_90 AS INTEGER)) AS covered_90
        FROM evaluations.scores WHERE list_contains($versions, version) GROUP BY ALL ORDER BY ALL""",
}


@dataclass(frozen=True)
class Facts:
    """What is known of one model.

    Attributes:
        version: Its row of `models.versions`.
        training_set: Row of its training set, or None.
        run: Row of its training run, or None.
        curves: Rows of `models.curves`.
        reevaluations: Rows of `evaluations.reevaluations`, by test week.
        decisions: Rows of `evaluations.decisions` about it, oldest first.
        scores: What became of its forecasts in the ledger, by clock.
        provenance: What its bundle says of parameters, code and packages; None where it says nothing.
        span: First and last publication and last maturity of its training rows; None where their file is gone.
    """

    version: Row
    training_set: Row | None
    run: Row | None
    curves: Sequence[Row]
    reevaluations: Sequence[Row]
    decisions: Sequence[Row]
    scores: Sequence[Row]
    provenance: Row | None
    span: Row | None


def model_facts(warehouse: Warehouse, versions: Sequence[str]) -> list[Facts]:
    """The facts of some models, oldest first.

    Raises:
        ModelError: `models.versions` has no such model.
    """
    with warehouse.read() as con:
        rows = {
            name: con.execute(query, {"versions": list(versions)}).to_arrow_table().to_pylist()
            for name, query in _QUERIES.items()
        }
    if missing := sorted(set(versions) - {row["version"] for row in rows["versions"]}):
        raise ModelError(f"no model {missing[0]!r} in models.versions")
    return [_of_one(warehouse.home, row, rows) for row in rows["versions"]]


def _of_one(home: Path, version: Row, rows: Mapping[str, Sequence[Row]]) -> Facts:
    def of(name: str, column: str) -> list[Row]:
        return [row for row in rows[name] if row[column] == version[column]] if version[column] is not None else []

    return Facts(
        version=version,
        training_set=next(iter(of("training_sets", "training_set_id")), None),
        run=next(iter(of("runs", "training_id")), None),
        curves=of("curves", "training_id"),
        reevaluations=of("reevaluations", "version"),
        decisions=of("decisions", "version"),
        scores=of("scores", "version"),
        provenance=_provenance(home, version["version"]),
        span=_span(home / TRAINING_SETS / f"{version['training_set_id']}.parquet"),
    )


def _provenance(home: Path, version: str) -> Row | None:
    path = home / FOLDER / version / PROVENANCE
    if not path.exists():
        return None
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _span(path: Path) -> Row | None:
    if not path.exists():
        return None
    if "anchor_at" not in pq.read_schema(path).names:  # of texts
        return None
    times = pq.read_table(path, columns=["anchor_at", "matured_at"])
    first, last = pc.min_max(times["anchor_at"]).values()
    return {
        "first_anchor_at": first.as_py(),
        "last_anchor_at": last.as_py(),
        "last_matured_at": pc.max(times["matured_at"]).as_py(),
    }
