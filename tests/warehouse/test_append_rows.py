"""Rows are added once, or put in place of those that they agree with, whole or not at all, if they keep the contract."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import ContractError, append_rows, replace_matching

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


def replaced(warehouse: Warehouse, rows: pa.Table, *by: str) -> int:
    with warehouse.write() as con:
        return replace_matching(con, TEXT, rows, by)


def test_rows_that_agree_in_some_columns_of_the_key_are_replaced_and_others_stay(warehouse: Warehouse) -> None:
    append(warehouse, vectors(["a", "b", "c"]))
    append(warehouse, vectors(["a"], [[9.0, 9.0]]).set_column(1, "encoder", [["y"]]))
    assert replaced(warehouse, vectors(["a", "d"], [[2.0, 2.0], [3.0, 3.0]]), "content_id") == 2
    assert stored(warehouse) == [("a", [2.0, 2.0]), ("b", [0.5, 1.0]), ("c", [0.5, 1.0]), ("d", [3.0, 3.0])]
    assert replaced(warehouse, vectors([]), "content_id") == 0
    assert len(stored(warehouse)) == 4


@pytest.mark.parametrize(
    ("rows", "by", "message"),
    [
        (vectors(["a", "a"]), ("content_id",), "the key .* occurs more than once"),
        (vectors([None]), ("content_id",), "content_id is null"),
        (vectors(["a"]).drop_columns(["run_id"]), ("content_id",), "missing column run_id"),
        (vectors(["a"]), ("run_id",), "by columns of the key .* not by run_id"),
        (vectors(["a"]), (), "not by none"),
    ],
)
def test_rows_that_break_the_contract_replace_nothing(
    warehouse: Warehouse, rows: pa.Table, by: tuple[str, ...], message: str
) -> None:
    append(warehouse, vectors(["a", "b"]))
    with pytest.raises(ContractError, match=message):
        replaced(warehouse, rows, *by)
    assert stored(warehouse) == [("a", [0.5, 1.0]), ("b", [0.5, 1.0])]
