"""The rows of `evaluations.decisions`: what was decided about a model, why, and on which numbers. Append-only.

How a decision is reached is for `gate`, `promotion` and `trigger`; nothing is judged here.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import duckdb

from assets.evaluations.grid import Cell
from warehouse.arrow import arrow_rows
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

TABLE = "evaluations.decisions"
Kind = Literal["training", "gate", "rollback", "hand"]


@dataclass(frozen=True)
class Decision:
    """One row.

    Attributes:
        decision_id: Fingerprint of what was decided on (`fingerprint`), so that the same question is answered once.
        kind: What was asked: train anew, does the challenger serve, is the champion still worth it, or a person's word.
        source: Where the videos are published.
        target: Target.
        cutoff: Cutoff.
        outcome: fired or waited; first, promoted or kept; rolled_back or kept; promoted or rolled_back.
        why: The reason in one sentence.
        numbers: Every number that it rests on; strict JSON.
        clock: live or replay.
        decided_at: When by the home's clock.
        version: The model decided about.
        against: The champion that it was judged against, or that serves instead.
        run_id: Dagster run; None where a sensor or a person decided.
    """

    decision_id: str
    kind: Kind
    source: str
    target: str
    cutoff: str
    outcome: str
    why: str
    numbers: Mapping[str, Any]
    clock: str
    decided_at: datetime
    version: str | None = None
    against: str | None = None
    run_id: str | None = None

    @property
    def cell(self) -> Cell:
        """What was decided on."""
        return Cell(self.source, self.target, self.cutoff)


def fingerprint(kind: Kind, cell: Cell, *parts: object) -> str:
    """The id of a decision: of its kind, its cell, and whatever else makes it another question."""
    asked = [kind, str(cell), *(None if part is None else str(part) for part in parts)]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]


def record(con: duckdb.DuckDBPyConnection, decision: Decision) -> bool:
    """Add a decision inside the transaction of `Warehouse.write()`; False where its question has been answered already.

    Raises:
        ValueError: A number is NaN or infinite, or is no JSON.
        ContractError: The row breaks the table's contract.
    """
    row = vars(decision) | {"numbers": json.dumps(decision.numbers, allow_nan=False, sort_keys=True)}
    return append_rows(con, table(TABLE), arrow_rows(table(TABLE), [row])) == 1


def decisions(warehouse: Warehouse, cell: Cell | None = None, kind: Kind | None = None) -> list[Decision]:
    """The decisions on a cell (on all by default) of a kind (of all by default), oldest first."""
    where = {name: None if cell is None else getattr(cell, name) for name in ("source", "target", "cutoff")}
    rows = warehouse.query(
        f"""SELECT * FROM {TABLE} WHERE ($source IS NULL OR source = $source) AND ($target IS NULL OR target = $target)
            AND ($cutoff IS NULL OR cutoff = $cutoff) AND ($kind IS NULL OR kind = $kind)
            ORDER BY decided_at, source, target, cutoff, decision_id""",
        {**where, "kind": kind},
    ).to_pylist()
    return [Decision(**row | {"numbers": json.loads(row["numbers"])}) for row in rows]


def told(decision: Decision) -> dict[str, str | None]:
    """A decision as a row of a table for people."""
    return {
        "decided": f"{decision.decided_at:%Y-%m-%d %H:%M}",
        "cell": str(decision.cell),
        "kind": decision.kind,
        "outcome": decision.outcome,
        "version": decision.version,
        "against": decision.against,
        "why": decision.why,
    }
