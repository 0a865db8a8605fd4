"""A home from before training runs: its records are brought to the tables of today, also where that was cut short."""

import signal
from pathlib import Path

import duckdb
import pytest

from tests.warehouse.rows import run_script, start_script
from warehouse.connection import Warehouse
from warehouse.contracts import table

# What migration 0001 found: the two tables that it changes, as they were, with a row each.
BEFORE = """
DROP TABLE models.training_sets;
DROP TABLE models.versions;
CREATE TABLE models.training_sets (
    training_set_id VARCHAR NOT NULL, source VARCHAR NOT NULL, target VARCHAR NOT NULL, cutoff VARCHAR NOT NULL,
    origin DATE NOT NULL, uri VARCHAR NOT NULL, bytes BIGINT NOT NULL, "rows" BIGINT NOT NULL,
    "columns" VARCHAR[] NOT NULL, schema_fingerprint VARCHAR NOT NULL, feature_fingerprint VARCHAR NOT NULL,
    data_version VARCHAR NOT NULL, run_id VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL);
CREATE TABLE models.versions (
    version VARCHAR NOT NULL, source VARCHAR NOT NULL, target VARCHAR NOT NULL, cutoff VARCHAR NOT NULL,
    forecaster VARCHAR NOT NULL, origin DATE NOT NULL, training_set_id VARCHAR NOT NULL, n_train BIGINT NOT NULL,
    schema_fingerprint VARCHAR NOT NULL, feature_fingerprint VARCHAR NOT NULL, data_version VARCHAR NOT NULL,
    run_id VARCHAR NOT NULL, uri VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL);
INSERT INTO models.training_sets VALUES
    ('set', 'demo', 'log_views_7d', '24h', '2024-03-04', 'sets/set', 10, 2, ['a', 'b'], 's', 'f', 'd', 'run', '2024-03-05');
INSERT INTO models.versions VALUES
    ('v1', 'demo', 'log_views_7d', '24h', 'boosting', '2024-03-04', 'set', 2, 's', 'f', 'd', 'run', 'bundles/v1', 'sha',
     '2024-03-05');
DROP TABLE models.runs;
DROP TABLE evaluations.decisions;
UPDATE lineage.versions SET contract = 'older', migration = 0;
"""
# Opens the home in a process that dies at a moment of bringing it up to date.
DYING = """
import os, signal, sys
from pathlib import Path
from warehouse import schema
from warehouse.connection import Warehouse

class Dying:
    def __init__(self, con):
        self.con = con

    def execute(self, sql, *parameters):
        if "made_by" in sql:
            for statement in sql.split(";")[:5]:
                self.con.execute(statement)
            os.kill(os.getpid(), signal.SIGKILL)
        return self.con.execute(sql, *parameters)

def die(con):
    os.kill(os.getpid(), signal.SIGKILL)

migrate = schema._migrate
if sys.argv[2] == "in the migration":
    schema._migrate = lambda con, done: migrate(Dying(con), done)
else:
    schema._apply = die
with Warehouse(Path(sys.argv[1])).read():
    pass
"""
OPEN = """
import sys
from pathlib import Path
from warehouse.connection import Warehouse
with Warehouse(Path(sys.argv[1])).read():
    pass
"""


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A home as it was left before the migration."""
    run_script(OPEN, tmp_path)
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as con:
        con.execute(BEFORE)
    return tmp_path


def columns(warehouse: Warehouse, name: str) -> list[str]:
    return [row["column_name"] for row in warehouse.query(f"DESCRIBE {name}").to_pylist()]


def assert_is_of_today(home: Path) -> None:
    warehouse = Warehouse(home)
    for name in ("models.training_sets", "models.versions", "models.runs", "evaluations.decisions"):
        assert set(columns(warehouse, name)) == set(table(name).column_names), name
    assert warehouse.query("SELECT training_set_id, columns, made_by FROM models.training_sets").to_pylist() == [
        {"training_set_id": "set", "columns": ["a", "b"], "made_by": "backtest"}
    ]
    assert warehouse.query("SELECT version, made_by, alias, training_id FROM models.versions").to_pylist() == [
        {"version": "v1", "made_by": "backtest", "alias": None, "training_id": None}
    ]
    with warehouse.write() as con, pytest.raises(duckdb.ConstraintException, match="made_by"):
        con.execute("UPDATE models.versions SET made_by = NULL")


def test_the_records_of_an_older_home_are_kept(older: Path) -> None:
    assert_is_of_today(older)


@pytest.mark.parametrize("moment", ["in the migration", "before the tables"])
def test_a_migration_that_was_killed_is_completed(older: Path, moment: str) -> None:
    process = start_script(DYING, older, moment)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL, output
    assert_is_of_today(older)
