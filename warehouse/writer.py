"""How rows enter the warehouse: a part is replaced or rows are added, checked against their contract, in one transaction.

The caller holds `Warehouse.write()`; an error here rolls the whole transaction back. Where rows come from, and what
a landing or a feature is, is not known here.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import date
from typing import TYPE_CHECKING, Any, TypeVar

import duckdb

from warehouse.contracts import Column, Table, quoted
from warehouse.errors import WarehouseError

if TYPE_CHECKING:
    import pyarrow as pa

Item = TypeVar("Item")

_INCOMING = "incoming_rows"
_ROW_GROUP = 122_880
_AT_ONCE = 2048
_WRITE_EVERY_S = 10.0
_INTEGERS = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}
)
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_FLOAT_LISTS = frozenset({"FLOAT[]", "DOUBLE[]"})
# Arrow columns without a value have no type of their own and fit any.
_ALL_NULL = frozenset({"null", "list<item: null>", "list<element: null>"})
# Types that arrive besides the declared one and lose nothing when cast; integers are range-checked by the cast.
_ACCEPTED: dict[str, frozenset[str]] = {
    "INTEGER": _INTEGERS,
    "BIGINT": _INTEGERS,
    "FLOAT": _INTEGERS | {"FLOAT"},
    "DOUBLE": _INTEGERS | _FLOATS,
    "TIMESTAMP": frozenset({"TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "DATE"}),
}


class ContractError(WarehouseError):
    """Rows break the contract of their table; names the table, the column and an example."""


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit at the end, roll back on an error; a child forked inside does neither."""
    process = os.getpid()
    con.execute("BEGIN")
    try:
        yield
        if os.getpid() == process:
            con.execute("COMMIT")
    except BaseException:
        if os.getpid() == process:
            with suppress(duckdb.Error):  # a COMMIT that failed has rolled back already
                con.execute("ROLLBACK")
        raise


def worth_a_transaction(results: Iterable[Item]) -> Iterator[list[Item]]:
    """Results of slow work, together as many as are worth writing: what some seconds brought, which is all that a crash loses."""
    together: list[Item] = []
    begun = time.monotonic()
    for result in results:
        together.append(result)
        if len(together) >= _AT_ONCE or time.monotonic() - begun >= _WRITE_EVERY_S:
            yield together
            together, begun = [], time.monotonic()
    if together:
        yield together


def in_row_groups(rows: "pa.Table") -> "pa.Table":
    """The same rows in batches of the size of DuckDB's row groups: read in parallel, and stored without being regrouped.

    Half the time of an INSERT from a table of one batch.
    """
    import pyarrow as pa

    return pa.Table.from_batches(rows.to_batches(max_chunksize=_ROW_GROUP), rows.schema)


def replace_partition(con: duckdb.DuckDBPyConnection, table: Table, rows: "pa.Table", start: date, end: date) -> int:
    """Replace the rows whose partition day lies in [start, end).

    Args:
        con: The connection of `Warehouse.write()`.
        table: A table that declares a partition.
        rows: Exactly the declared columns, in any order; no rows empties the range.
        start: First day.
        end: Day after the last.

    Returns:
        Rows written.

    Raises:
        ContractError: A column is unknown, missing or of another type; a required value is null; a value is below
            its minimum or not a number; a key occurs twice; a row lies outside the range.
    """
    if table.partition is None:
        raise ContractError(f"{table.full_name} declares no partition; use replace_rows")
    if start >= end:
        raise ContractError(f"{table.full_name}: the range [{start}, {end}) holds no day")
    column = quoted(table.partition)
    inside = f"({column} >= $start::DATE AND {column} < $end::DATE)"
    return _replace(con, table, rows, inside, {"start": start, "end": end}, f"the range [{start}, {end})")


def replace_rows(con: duckdb.DuckDBPyConnection, table: Table, rows: "pa.Table", where: Mapping[str, object]) -> int:
    """Replace the rows whose columns equal `where`; an empty mapping replaces the whole table.

    Keys are unique among the rows of that part, so `where` should name key columns.

    Raises:
        ContractError: As in `replace_partition`, or `where` names an unknown column or None.
    """
    for name, value in where.items():
        if name not in table.column_names:
            raise ContractError(f"{table.full_name} has no column {name}; it has {', '.join(table.column_names)}")
        if value is None:
            raise ContractError(f"{table.full_name}: {name} = None matches no row; name the part by its key columns")
    parameters = {f"where_{position}": value for position, value in enumerate(where.values())}
    terms = [f"{quoted(name)} = ${parameter}" for name, parameter in zip(where, parameters, strict=True)]
    stated = ", ".join(f"{name} = {value!r}" for name, value in where.items())
    return _replace(con, table, rows, f"({' AND '.join(terms) or 'TRUE'})", parameters, stated or "the table")


def append_rows(con: duckdb.DuckDBPyConnection, table: Table, rows: "pa.Table") -> int:
    """Add the rows whose key the table does not hold yet; rows that it holds stay as they are.

    Costs one pass over the key columns of the table.

    Returns:
        Rows added.

    Raises:
        ContractError: As in `replace_rows`.
    """
    same = " AND ".join(f"stored.{quoted(name)} = incoming.{quoted(name)}" for name in table.key)
    with _registered(con, rows):
        typed = _typed(con, table, rows)
        _check_values(con, table, typed, "TRUE", {}, "the table")
        _check_key(con, table, typed)
        added: int = _one(
            con,
            f"INSERT INTO {table.identifier} BY NAME SELECT * FROM ({typed}) incoming "
            f"WHERE NOT EXISTS (SELECT 1 FROM {table.identifier} stored WHERE {same})",
            {},
        )[0]
    return added


def replace_matching(con: duckdb.DuckDBPyConnection, table: Table, rows: "pa.Table", by: Sequence[str]) -> int:
    """Put rows in place of those that agree with one of them in some columns of the key; the others stay as they are.

    Args:
        con: The connection of `Warehouse.write()`.
        table: The table.
        rows: Exactly the declared columns, in any order; no rows change nothing.
        by: Columns of the key.

    Returns:
        Rows written.

    Raises:
        ContractError: As in `replace_rows`, or `by` names no column or one outside the key, which could leave a key twice.
    """
    outside = [name for name in by if name not in table.key]
    if outside or not by:
        raise ContractError(
            f"{table.full_name}: rows are replaced by columns of the key ({', '.join(table.key)}), not by {', '.join(outside) or 'none'}"
        )
    agree = " AND ".join(f"old.{quoted(name)} = new.{quoted(name)}" for name in by)
    columns = ", ".join(map(quoted, by))
    with _registered(con, rows):
        typed = _typed(con, table, rows)
        _check_values(con, table, typed, "TRUE", {}, "the table")
        _check_key(con, table, typed)
        con.execute(
            f"DELETE FROM {table.identifier} AS old USING (SELECT DISTINCT {columns} FROM ({typed})) AS new WHERE {agree}"
        )
        con.execute(f"INSERT INTO {table.identifier} BY NAME {typed}")
    return int(rows.num_rows)


def _replace(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    rows: "pa.Table",
    inside: str,
    parameters: Mapping[str, object],
    part: str,
) -> int:
    with _registered(con, rows):
        typed = _typed(con, table, rows)
        _check_values(con, table, typed, inside, parameters, part)
        _check_key(con, table, typed)
        con.execute(f"DELETE FROM {table.identifier} WHERE {inside}", parameters)
        con.execute(f"INSERT INTO {table.identifier} BY NAME {typed}")
    count = f"SELECT count(*) FROM {table.identifier} WHERE {inside}"
    written: int = _one(con, count, parameters)[0]
    if written != rows.num_rows:
        raise ContractError(f"{table.full_name}: {written} rows stand in {part} after writing {rows.num_rows}")
    return written


@contextmanager
def _registered(con: duckdb.DuckDBPyConnection, rows: "pa.Table") -> Iterator[None]:
    con.register(_INCOMING, in_row_groups(rows))
    try:
        yield
    finally:
        con.unregister(_INCOMING)


def _typed(con: duckdb.DuckDBPyConnection, table: Table, rows: "pa.Table") -> str:
    """The query that gives the incoming rows their declared types, once their columns are the declared ones."""
    arrived = {row[0]: row[1] for row in con.execute(f"DESCRIBE {_INCOMING}").fetchall()}
    unknown = [name for name in arrived if name not in table.column_names]
    missing = [name for name in table.column_names if name not in arrived]
    if unknown or missing:
        faults = [f"unknown column {', '.join(unknown)}"] if unknown else []
        faults += [f"missing column {', '.join(missing)}"] if missing else []
        raise ContractError(f"{table.full_name}: {'; '.join(faults)} (rows carry exactly the declared columns)")
    for column in table.columns:
        if str(rows.schema.field(column.name).type) in _ALL_NULL:
            continue
        if not _accepts(column.type, arrived[column.name]):
            raise ContractError(
                f"{table.full_name}.{column.name} is {column.type}, the rows have {arrived[column.name]}: cast it first"
            )
    casts = ", ".join(f"{quoted(column.name)}::{column.type} AS {quoted(column.name)}" for column in table.columns)
    return f"SELECT {casts} FROM {_INCOMING}"


def _accepts(declared: str, arrived: str) -> bool:
    if declared.endswith("[]"):
        return arrived.endswith("[]") and _accepts(declared[:-2], arrived[:-2])
    if arrived == declared:
        return True
    if declared == "VARCHAR":
        return arrived.startswith("ENUM")  # how a dictionary-encoded column arrives
    if arrived.startswith("DECIMAL"):
        return declared in _FLOATS or (declared in ("INTEGER", "BIGINT") and arrived.endswith(",0)"))
    return arrived in _ACCEPTED.get(declared, ())


def _check_values(
    con: duckdb.DuckDBPyConnection,
    table: Table,
    typed: str,
    inside: str,
    parameters: Mapping[str, object],
    part: str,
) -> None:
    faults = [(f"outside {part}", f"NOT coalesce({inside}, FALSE)")]
    for column in table.columns:
        faults += [(f"{column.name} {problem}", broken) for problem, broken in _column_faults(column)]
    counts = ", ".join(f"count(*) FILTER (WHERE {broken})" for _, broken in faults)
    try:
        found = _one(con, f"SELECT {counts} FROM ({typed})", parameters)
    except duckdb.ConversionException as error:
        raise ContractError(f"{table.full_name}: a value does not fit its column: {error}") from error
    for (problem, broken), count in zip(faults, found, strict=True):
        if count:
            used = parameters if broken.startswith("NOT coalesce(") else {}
            example = _example(con, f"SELECT * FROM ({typed}) WHERE {broken} LIMIT 1", used)
            raise ContractError(f"{table.full_name}: {count} rows: {problem}, such as {example}")


def _column_faults(column: Column) -> Iterator[tuple[str, str]]:
    name = quoted(column.name)
    if column.required:
        yield "is null", f"{name} IS NULL"
    if column.minimum is not None:
        yield f"is below {column.minimum}", f"{name} < {column.minimum}"
    if column.type in _FLOATS:
        yield "is NaN (missing is null)", f"isnan({name})"
    elif column.type in _FLOAT_LISTS:
        yield "holds NaN", f"list_contains({name}, 'nan'::{column.type.removesuffix('[]')})"


def _check_key(con: duckdb.DuckDBPyConnection, table: Table, typed: str) -> None:
    key = ", ".join(quoted(name) for name in table.key)
    repeated = f"SELECT {key}, count(*) AS occurrences FROM ({typed}) GROUP BY {key} HAVING count(*) > 1 LIMIT 1"
    if con.execute(repeated).fetchone():
        example = _example(con, repeated, {})
        raise ContractError(f"{table.full_name}: the key ({', '.join(table.key)}) occurs more than once: {example}")


def _example(con: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, object]) -> str:
    cursor = con.execute(query, parameters)
    names = [column[0] for column in cursor.description or ()]
    row = cursor.fetchone() or ()
    text = ", ".join(f"{name}={value!r}" for name, value in zip(names, row, strict=False))
    return text if len(text) <= 500 else text[:500] + "..."


def _one(con: duckdb.DuckDBPyConnection, query: str, parameters: Mapping[str, object]) -> tuple[Any, ...]:
    row = con.execute(query, parameters).fetchone()
    assert row is not None, "an aggregate without groups gives one row"
    return row
