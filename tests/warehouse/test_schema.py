"""A file is brought to the declared tables whole or not at all; raw rows survive, derived ones are remade."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from tests.warehouse.rows import DAY, NEXT_DAY, SNAPSHOTS, snapshots
from warehouse import schema
from warehouse.connection import Warehouse, scratch
from warehouse.contracts import column_lineage, load_tables
from warehouse.schema import SchemaError, bring_up_to_date, is_current
from warehouse.writer import replace_partition

ADD = "ALTER TABLE raw.snapshots ADD COLUMN {name} BIGINT;\nUPDATE raw.snapshots SET {name} = 1;\n"


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of migrations of the test's own; call `fresh` after changing it."""
    monkeypatch.setattr(schema, "MIGRATIONS", tmp_path)
    fresh()
    return tmp_path


def fresh() -> None:
    """What the next process would know."""
    schema.contract_version.cache_clear()


@pytest.fixture
def con(migrations: Path) -> duckdb.DuckDBPyConnection:
    """A database with the declared tables, a raw row, and a derived partition; no migration was ever needed."""
    con = scratch()
    bring_up_to_date(con)
    con.execute("BEGIN")
    replace_partition(con, SNAPSHOTS, snapshots(1, views=[5]), DAY, NEXT_DAY)
    for name in ("features.context", "features.levels"):
        con.execute(
            "INSERT INTO lineage.partitions VALUES ($name, '2024-03-01', 'v', 1, 'run', now()::TIMESTAMP)",
            {"name": name},
        )
    con.execute("INSERT INTO features.context (source, day, context_videos) VALUES ('demo', '2024-03-01', 1)")
    con.execute("COMMIT")
    return con


@pytest.fixture(autouse=True)
def _forget() -> object:
    yield
    fresh()


def state(con: duckdb.DuckDBPyConnection) -> list[object]:
    names = con.execute("SELECT schema_name, table_name, sql FROM duckdb_tables() ORDER BY ALL").fetchall()
    rows = [con.execute(f'FROM "{schema_name}"."{table}" ORDER BY ALL').fetchall() for schema_name, table, _ in names]
    return [names, rows]


def one(con: duckdb.DuckDBPyConnection, sql: str) -> object:
    row = con.execute(sql).fetchone()
    assert row is not None
    return row[0]


def test_new_file_has_every_declared_table_and_the_lineage(con: duckdb.DuckDBPyConnection) -> None:
    stored = con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall()
    assert {name for (name,) in stored} == set(load_tables()) | {"lineage.versions"}
    assert one(con, "SELECT count(*) FROM lineage.columns") == len(column_lineage())
    assert is_current(con)


def test_applying_again_changes_nothing(con: duckdb.DuckDBPyConnection) -> None:
    before = state(con)
    bring_up_to_date(con)
    assert state(con) == before


def test_changed_derived_table_is_remade_and_counts_as_never_made(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("ALTER TABLE features.context DROP COLUMN context_growth_median")
    con.execute("UPDATE lineage.versions SET contract = 'older'")
    assert not is_current(con)
    bring_up_to_date(con)
    assert con.execute("SELECT context_growth_median FROM features.context").fetchall() == []
    assert con.execute('SELECT "table" FROM lineage.partitions').fetchall() == [("features.levels",)]
    assert one(con, "SELECT views FROM raw.snapshots") == 5


def test_changed_raw_table_without_a_migration_is_refused(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("ALTER TABLE raw.snapshots DROP COLUMN saves")
    con.execute("ALTER TABLE features.context DROP COLUMN context_growth_median")
    con.execute("UPDATE lineage.versions SET contract = 'older'")
    before = state(con)
    with pytest.raises(SchemaError, match=r"raw\.snapshots: column saves of the file differs .* add a migration"):
        bring_up_to_date(con)
    assert state(con) == before


def test_migrations_run_once_in_order(con: duckdb.DuckDBPyConnection, migrations: Path) -> None:
    con.execute("ALTER TABLE raw.snapshots DROP COLUMN saves")
    con.execute("ALTER TABLE raw.snapshots DROP COLUMN shares")
    (migrations / "0001_shares.sql").write_text(ADD.format(name="shares"))
    (migrations / "0002_saves.sql").write_text(
        ADD.format(name="saves") + "UPDATE raw.snapshots SET saves = shares + 1;"
    )
    fresh()
    bring_up_to_date(con)
    bring_up_to_date(con)
    assert con.execute("SELECT views, shares, saves FROM raw.snapshots").fetchall() == [(5, 1, 2)]
    assert one(con, "SELECT migration FROM lineage.versions") == 2


def test_new_file_needs_no_migration(migrations: Path) -> None:
    (migrations / "0001_saves.sql").write_text(ADD.format(name="saves"))
    fresh()
    con = scratch()
    bring_up_to_date(con)
    assert one(con, "SELECT migration FROM lineage.versions") == 1


def test_failed_migration_leaves_the_file_as_it_was(con: duckdb.DuckDBPyConnection, migrations: Path) -> None:
    (migrations / "0001_bad.sql").write_text(ADD.format(name="extra") + "SELECT nothing FROM nowhere;")
    fresh()
    before = state(con)
    with pytest.raises(duckdb.CatalogException, match="nowhere"):
        bring_up_to_date(con)
    assert state(con) == before


def test_gap_in_the_numbers_is_refused(migrations: Path) -> None:
    (migrations / "0002_saves.sql").write_text("SELECT 1")
    fresh()
    with pytest.raises(SchemaError, match="without a gap"):
        bring_up_to_date(scratch())


def test_file_of_a_newer_version_is_refused(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("UPDATE lineage.versions SET contract = 'newer', migration = 99")
    with pytest.raises(SchemaError, match="migration 99, this Upswell knows 0: install a newer Upswell"):
        bring_up_to_date(con)


def test_failed_creation_leaves_a_file_that_the_next_one_mends(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(schema, "_VERSIONS", "CREATE TABLE broken (")
        with pytest.raises(duckdb.ParserException):
            Warehouse(home).query("SELECT 1")
    tables = Warehouse(home).query("SELECT count(*) AS n FROM duckdb_tables()")["n"]
    assert tables == pa.chunked_array([[len(load_tables()) + 1]])


def test_older_process_does_not_undo_a_newer_one(home: Path) -> None:
    warehouse = Warehouse(home)
    with warehouse.write() as con:
        con.execute("UPDATE lineage.versions SET contract = 'newer'")
    with pytest.raises(Exception, match="changed by another version of Upswell: restart"), warehouse.write():
        pass
