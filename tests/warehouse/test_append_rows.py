"""Rows are added once, whole or not at all, and only if they keep the contract."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import ContractError, append_rows

TEXT = table("embeddings.text")


@pytest.fixture
def warehouse(home: Path) -> Warehouse:
    return Warehouse(home, patience_s=10)


def vectors(ids: list[Any], values: list[Any] | None = None) -> pa.Table:
    n = len(ids)
    return pa.table(
        {
            "content_id": pa.array(ids, pa.string()),
            **{name: ["x"] * n for name in ("encoder", "revision", "precision", "preprocessing", "run_id")},
            "vector": pa.array(values or [[0.5, 1.0]] * n, pa.list_(pa.float32())),
            "encoded_at": pa.array([datetime(2024, 1, 1)] * n, pa.timestamp("us")),
        }
    )


def append(warehouse: Warehouse, rows: pa.Table) -> int:
    with warehouse.write() as con:
        return append_rows(con, TEXT, rows)


def stored(warehouse: Warehouse) -> list[tuple[str, list[float]]]:
    with warehouse.read() as con:
        return con.execute("SELECT content_id, vector FROM embeddings.text ORDER BY ALL").fetchall()


def test_only_rows_with_a_new_key_are_added(warehouse: Warehouse) -> None:
    assert append(warehouse, vectors(["a", "b"])) == 2
    assert append(warehouse, vectors(["b", "c"], [[9.0], [8.0]])) == 1
    assert stored(warehouse) == [("a", [0.5, 1.0]), ("b", [0.5, 1.0]), ("c", [8.0])]
    assert append(warehouse, vectors([])) == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (vectors(["b", "b"]), r"embeddings\.text: the key \(content_id, encoder, .*'b'.*occurrences=2"),
        (vectors(["b", "c"], [[1.0, float("nan")], [1.0, 2.0]]), r"embeddings\.text: 1 rows: vector holds NaN"),
        (vectors(["b", None]), "content_id is null"),
        (vectors(["b"]).drop(["run_id"]), "missing column run_id"),
    ],
)
def test_broken_rows_are_refused_and_none_is_added(warehouse: Warehouse, rows: pa.Table, message: str) -> None:
    append(warehouse, vectors(["a"]))
    with pytest.raises(ContractError, match=message):
        append(warehouse, rows)
    assert [content_id for content_id, _ in stored(warehouse)] == ["a"]
