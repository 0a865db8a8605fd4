"""Brings the file of a home to the declared tables: creates, migrates and rebuilds, each step whole or not at all.

Tables that hold records (what arrived, what was trained, what was judged) are changed only by the numbered files in
`warehouse/migrations/` (`0001_<what>.sql`); any other table whose declared columns changed is dropped and created empty,
and its partitions count as never made.
`lineage.versions` says what was applied last. Rows are not written here, lineage.columns apart.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import duckdb

from warehouse.contracts import Table, column_lineage, load_tables, quoted, table
from warehouse.errors import WarehouseError
from warehouse.writer import replace_rows, transaction

MIGRATIONS = Path(__file__).with_name("migrations")
RECORDS = frozenset({"raw", "models", "evaluations"})
"""Schemas whose rows cannot be made again."""
_VERSIONS = (
    'CREATE TABLE IF NOT EXISTS "lineage"."versions" ("contract" VARCHAR NOT NULL, "migration" INTEGER NOT NULL)'
)

_VECTORS = ("FLOAT[]", "FLOAT[] USING COMPRESSION uncompressed")
"""How a file stores vectors: compressed they are half as large again, and take twice as long to read."""


class SchemaError(WarehouseError):
    """The file of a home cannot be brought to the declared tables; names the table and the remedy."""


@cache
def contract_version() -> str:
    """sha256 of everything declared that the file reflects: tables, columns, lineage, migrations."""
    parts = [declared.ddl for declared in load_tables().values()]
    parts += [str(row) for row in column_lineage()]
    parts += [path.name for _, path in _migrations()]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def is_current(con: duckdb.DuckDBPyConnection) -> bool:
    """Whether the file has the declared tables; costs one small read."""
    applied = _applied(con)
    return applied is not None and applied[0] == contract_version()


def bring_up_to_date(con: duckdb.DuckDBPyConnection) -> None:
    """Apply what is declared: one transaction per missing migration, then one for all tables.

    Raises:
        SchemaError: The file is of a newer version, or a table of records differs and no migration mends it.
    """
    applied = _applied(con)
    if applied is not None:
        _migrate(con, applied[1])
    with transaction(con):
        _apply(con)


def write_lineage(con: duckdb.DuckDBPyConnection) -> int:
    """Replace `lineage.columns` by what the declarations say; returns the number of rows."""
    import pyarrow as pa

    columns = table("lineage.columns")
    rows = column_lineage()
    arrays = {name: pa.array([row[name] for row in rows], pa.string()) for name in columns.column_names}
    return replace_rows(con, columns, pa.table(arrays), {})


def _apply(con: duckdb.DuckDBPyConnection) -> None:
    for schema in dict.fromkeys(declared.schema for declared in load_tables().values()):
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
    stored = _stored_columns(con)
    rebuilt = [
        declared
        for declared in load_tables().values()
        if _bring_table(con, declared, stored.get(declared.full_name, {}))
    ]
    for declared in rebuilt:
        con.execute('DELETE FROM "lineage"."partitions" WHERE "table" = $name', {"name": declared.full_name})
    write_lineage(con)
    con.execute(_VERSIONS)
    con.execute('DELETE FROM "lineage"."versions"')
    con.execute(
        'INSERT INTO "lineage"."versions" VALUES ($contract, $migration)',
        {"contract": contract_version(), "migration": len(_migrations())},
    )


def _bring_table(con: duckdb.DuckDBPyConnection, declared: Table, stored: Mapping[str, tuple[str, bool]]) -> bool:
    """Create or rebuild one table; whether rows of it were dropped."""
    wanted = {column.name: (column.type, column.required) for column in declared.columns}
    if stored == wanted:
        return False
    if stored and declared.schema in RECORDS:
        differing = sorted(name for name in stored.keys() | wanted.keys() if stored.get(name) != wanted.get(name))
        raise SchemaError(
            f"{declared.full_name}: column {', '.join(differing)} of the file differs from the declaration; "
            f"add a migration {MIGRATIONS.name}/NNNN_<what>.sql that mends it"
        )
    con.execute(f"DROP TABLE IF EXISTS {declared.identifier}")
    con.execute(declared.ddl.replace(*_VECTORS))
    return bool(stored)


def _stored_columns(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, tuple[str, bool]]]:
    """The columns of the file: per table (`schema.name`) and column its type and whether it is required."""
    rows = con.execute(
        """
        SELECT schema_name || '.' || table_name, column_name, data_type, NOT is_nullable
        FROM duckdb_columns()
        WHERE database_name = current_database()
        """
    ).fetchall()
    stored: dict[str, dict[str, tuple[str, bool]]] = {}
    for full_name, column, type_, required in rows:
        stored.setdefault(full_name, {})[column] = (type_, required)
    return stored


def _applied(con: duckdb.DuckDBPyConnection) -> tuple[str, int] | None:
    try:
        row = con.execute('SELECT "contract", "migration" FROM "lineage"."versions"').fetchone()
    except duckdb.CatalogException:
        return None
    return None if row is None else (row[0], row[1])


def _migrate(con: duckdb.DuckDBPyConnection, done: int) -> None:
    migrations = _migrations()
    if done > len(migrations):
        raise SchemaError(
            f"the warehouse has migration {done}, this Upswell knows {len(migrations)}: install a newer Upswell"
        )
    for number, path in migrations[done:]:
        with transaction(con):
            con.execute(path.read_text(encoding="utf-8"))
            con.execute('UPDATE "lineage"."versions" SET "migration" = $number', {"number": number})


def _migrations() -> list[tuple[int, Path]]:
    """The migrations in order of their numbers, which are 1, 2, 3, ..."""
    found = sorted((int(path.name.split("_")[0]), path) for path in MIGRATIONS.glob("*.sql"))
    if [number for number, _ in found] != list(range(1, len(found) + 1)):
        raise SchemaError(f"{MIGRATIONS}: migrations are numbered 1, 2, 3, ... without a gap")
    return found
