"""A partition is replaced whole or not at all, and only by rows that keep the contract."""

from datetime import date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from tests.warehouse.rows import DAY, NEXT_DAY, SNAPSHOTS, snapshots
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import ContractError, replace_partition, replace_rows


@pytest.fixture
def warehouse(home: Any) -> Warehouse:
    return Warehouse(home, patience_s=10)


def write(warehouse: Warehouse, rows: pa.Table, start: date = DAY, end: date = NEXT_DAY) -> int:
    with warehouse.write() as con:
        return replace_partition(con, SNAPSHOTS, rows, start, end)


def stored(warehouse: Warehouse, columns: str = "video_id, views") -> list[tuple[Any, ...]]:
    with warehouse.read() as con:
        return con.execute(f"SELECT {columns} FROM raw.snapshots ORDER BY ALL").fetchall()


def test_replaces_only_its_range(warehouse: Warehouse) -> None:
    for day in (DAY - timedelta(days=1), DAY, NEXT_DAY):
        write(warehouse, snapshots(2, day, views=[1, 1]), day, day + timedelta(days=1))
    assert write(warehouse, snapshots(1, views=[9])) == 1
    assert stored(warehouse, "observed_at::DATE, views") == [
        (DAY - timedelta(days=1), 1),
        (DAY - timedelta(days=1), 1),
        (DAY, 9),
        (NEXT_DAY, 1),
        (NEXT_DAY, 1),
    ]


def test_writing_again_changes_nothing(warehouse: Warehouse) -> None:
    rows = snapshots(3, views=[1, 2, 3])
    write(warehouse, rows)
    before = stored(warehouse, "*")
    write(warehouse, rows)
    assert stored(warehouse, "*") == before


def test_empty_rows_empty_the_range(warehouse: Warehouse) -> None:
    write(warehouse, snapshots(3))
    assert write(warehouse, snapshots(0)) == 0
    assert stored(warehouse) == []


def test_columns_go_by_name_not_by_position(warehouse: Warehouse) -> None:
    rows = snapshots(1, views=[5], likes=[7])
    write(warehouse, rows.select(sorted(rows.column_names)))
    assert stored(warehouse, "views, likes, source") == [(5, 7, "demo")]


MIDNIGHT = pa.array([datetime(2024, 3, 2)], pa.timestamp("us"))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (snapshots(1).drop(["likes"]), r"raw\.snapshots: missing column likes"),
        (snapshots(1).append_column("rank", [[1]]), r"raw\.snapshots: unknown column rank"),
        (snapshots(2, video_id=["v0", None]), r"1 rows: video_id is null, such as .*video_id=None"),
        (snapshots(2, views=[1, -4]), r"1 rows: views is below 0, such as .*views=-4"),
        (snapshots(2, video_id=["v0", "v0"]), r"key \(source, video_id, observed_at\) .* video_id='v0'.*occurrences=2"),
        (snapshots(1, NEXT_DAY), r"1 rows: outside the range \[2024-03-01, 2024-03-02\), such as"),
        (snapshots(1, observed_at=MIDNIGHT), "outside the range"),
        (snapshots(1, views=[1.5]), r"raw\.snapshots\.views is BIGINT, the rows have DOUBLE"),
        (snapshots(1, views=["7"]), r"raw\.snapshots\.views is BIGINT, the rows have VARCHAR"),
        (snapshots(1, known_at=pa.array([0], pa.timestamp("us", "UTC"))), "known_at is TIMESTAMP, the rows have TIMESTAMP WITH"),
        (snapshots(1, views=pa.array([2**63], pa.uint64())), "a value does not fit its column"),
        (snapshots(1, flags=[[1]]), r"flags is VARCHAR\[\], the rows have BIGINT\[\]"),
    ],
)  # fmt: skip
def test_broken_rows_are_refused_and_the_partition_stays(warehouse: Warehouse, rows: pa.Table, message: str) -> None:
    write(warehouse, snapshots(1, views=[42]))
    with pytest.raises(ContractError, match=message):
        write(warehouse, rows)
    assert stored(warehouse) == [("v0", 42)]


def test_nan_is_refused(warehouse: Warehouse) -> None:
    metrics = table("raw.metrics")
    rows = snapshots(1).select(["source", "video_id", "observed_at", "known_at", "landing_id", "row_number"])
    rows = (
        rows.append_column("metric", [["ctr"]])
        .append_column("text", pa.nulls(1))
        .append_column("value", [[float("nan")]])
    )
    with (
        pytest.raises(ContractError, match=r"raw\.metrics: 1 rows: value is NaN \(missing is null\)"),
        warehouse.write() as con,
    ):
        replace_partition(con, metrics, rows, DAY, NEXT_DAY)


def test_types_that_lose_nothing_are_taken(warehouse: Warehouse) -> None:
    rows = snapshots(
        2,
        source=pa.array(["demo", "demo"]).dictionary_encode(),
        views=pa.array([1, 2], pa.int8()),
        likes=pa.array([1, 2], pa.decimal128(38, 0)),
        known_at=pa.array([0, 0], pa.timestamp("ns")),
        flags=pa.array([[], None], pa.list_(pa.null())),
    )
    write(warehouse, rows)
    assert stored(warehouse, "views, likes, known_at, flags") == [
        (1, 1, datetime(1970, 1, 1), []),
        (2, 2, datetime(1970, 1, 1), None),
    ]


def test_empty_range_and_table_without_partition_are_refused(warehouse: Warehouse) -> None:
    with warehouse.write() as con:
        with pytest.raises(ContractError, match="holds no day"):
            replace_partition(con, SNAPSHOTS, snapshots(0), DAY, DAY)
        with pytest.raises(ContractError, match="declares no partition"):
            replace_partition(con, table("raw.quarantine"), snapshots(0), DAY, NEXT_DAY)


def test_error_after_a_write_rolls_everything_back(warehouse: Warehouse) -> None:
    def write_twice() -> None:
        with warehouse.write() as con:
            replace_partition(con, SNAPSHOTS, snapshots(5), DAY, NEXT_DAY)
            replace_partition(con, SNAPSHOTS, snapshots(5, NEXT_DAY), DAY, NEXT_DAY)

    with pytest.raises(ContractError, match="outside"):
        write_twice()
    assert stored(warehouse) == []


def test_replace_rows_touches_only_its_part(warehouse: Warehouse) -> None:
    for source in ("a", "b"):
        with warehouse.write() as con:
            replace_rows(con, SNAPSHOTS, snapshots(2, source=[source] * 2), {"source": source})
    with warehouse.write() as con:
        assert replace_rows(con, SNAPSHOTS, snapshots(1, source=["a"]), {"source": "a", "landing_id": "landing"}) == 1
    assert stored(warehouse, "source, video_id") == [("a", "v0"), ("b", "v0"), ("b", "v1")]
    with warehouse.write() as con:
        replace_rows(con, SNAPSHOTS, snapshots(1), {})
    assert stored(warehouse, "source, video_id") == [("demo", "v0")]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"source": "other"}, r"1 rows: outside source = 'other'"),
        ({"sauce": "demo"}, r"raw\.snapshots has no column sauce"),
        ({"source": None}, "source = None matches no row"),
    ],
)
def test_replace_rows_refuses(warehouse: Warehouse, where: dict[str, object], message: str) -> None:
    with pytest.raises(ContractError, match=message), warehouse.write() as con:
        replace_rows(con, SNAPSHOTS, snapshots(1), where)
    assert stored(warehouse) == []
