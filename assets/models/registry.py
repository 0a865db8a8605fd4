"""Which registered model serves a cell and which one wants to: the aliases of `models.versions`.

The warehouse decides; MLflow mirrors it (`resources/tracker`). Whether a model deserves its alias is for the gate.
"""

from typing import Any, Protocol

import duckdb

from warehouse.connection import Warehouse

CHAMPION, CHALLENGER = "champion", "challenger"
EMOTIONS = "emotions"
"""The target of the emotion model, which forecasts nothing: who looks for forecasters leaves it out."""
TRAINING = "training"
"""Who made the models that may serve."""
_OF_CELL = "source = $source AND target = $target AND cutoff = $cutoff"


class CellKey(Protocol):
    """What names a cell."""

    @property
    def source(self) -> str:
        """Where the videos are published."""

    @property
    def target(self) -> str:
        """Target in `upswell.yaml`."""

    @property
    def cutoff(self) -> str:
        """`pre`, `0h`, `1h`, ..."""


def registered(warehouse: Warehouse, cell: CellKey, alias: str) -> dict[str, Any] | None:
    """The row of `models.versions` that has an alias in a cell, or None."""
    rows = warehouse.query(
        f"SELECT * FROM models.versions WHERE {_OF_CELL} AND alias = $alias", {**_key(cell), "alias": alias}
    ).to_pylist()
    return rows[0] if rows else None


def aliased(warehouse: Warehouse, *aliases: str) -> list[dict[str, Any]]:
    """The forecasters of `models.versions` that have one of some aliases, of all cells, by cell and alias."""
    rows: list[dict[str, Any]] = warehouse.query(
        """SELECT * FROM models.versions WHERE list_contains($aliases, alias) AND target <> $emotions
           ORDER BY source, target, cutoff, alias, version""",
        {"aliases": list(aliases), "emotions": EMOTIONS},
    ).to_pylist()
    return rows


def set_alias(con: duckdb.DuckDBPyConnection, cell: CellKey, version: str, alias: str | None) -> None:
    """Give a version of a cell an alias, which no other version of the cell keeps; None takes away its own.

    Call it inside the transaction that writes the decision.

    Raises:
        LookupError: The cell has no such version, or it was not made by a training run.
    """
    key = {**_key(cell), "version": version}
    found = con.execute(f"SELECT made_by FROM models.versions WHERE {_OF_CELL} AND version = $version", key).fetchone()
    if found is None or found[0] != TRAINING:
        raise LookupError(f"{version} is no model that a training run registered for {cell}")
    if alias is not None:
        con.execute(
            f"UPDATE models.versions SET alias = NULL WHERE {_OF_CELL} AND alias = $alias",
            {**_key(cell), "alias": alias},
        )
    con.execute(
        f"UPDATE models.versions SET alias = $alias WHERE {_OF_CELL} AND version = $version", {**key, "alias": alias}
    )


def _key(cell: CellKey) -> dict[str, str]:
    return {"source": cell.source, "target": cell.target, "cutoff": cell.cutoff}
