"""Declarations become tables, DDL and lineage; a wrong one is refused with its place."""

from pathlib import Path

import pytest

from warehouse.contracts import column_lineage, load_tables, read_declarations, table

GOOD = """
schema: demo
tables:
  first:
    description: A table.
    key: [id]
    partition: day
    columns:
      id: {type: VARCHAR, required: true, description: Identifier.}
      day: {type: DATE, required: true, description: Day.}
      vector: {type: "FLOAT[]", description: Vector.}
  second:
    description: Made from the first.
    key: [id]
    columns:
      id: {type: VARCHAR, required: true, description: Identifier., from: [demo.first.id, demo.first.day]}
"""


def declare(folder: Path, text: str) -> Path:
    (folder / "demo.yaml").write_text(text)
    return folder


def test_declaration_becomes_ddl(tmp_path: Path) -> None:
    first = read_declarations(declare(tmp_path, GOOD))["demo.first"]
    assert first.column_names == ("id", "day", "vector")
    assert first.ddl == (
        'CREATE TABLE IF NOT EXISTS "demo"."first" (\n'
        '    "id" VARCHAR NOT NULL,\n    "day" DATE NOT NULL,\n    "vector" FLOAT[]\n)'
    )
    assert first.column("day").required
    with pytest.raises(KeyError, match=r"demo\.first has no column size; it has id, day, vector"):
        first.column("size")


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ('"FLOAT[]"', '"FLOAT[384]"', r"demo\.yaml: first\.vector: type FLOAT\[384\] is not one of"),
        ("type: DATE", "type: ENUM", r"first\.day: type ENUM"),
        ("key: [id]", "key: [name]", "key column name must be declared and required"),
        ("key: [id]", "key: [vector]", "key column vector must be declared and required"),
        ("partition: day", "partition: id", "partition id must be a required DATE or TIMESTAMP"),
        ("demo.first.day]", "demo.first.week]", r"demo\.second\.id: `from` names demo\.first\.week"),
        ("description: Vector.", "descripton: Vector.", "unknown entry descripton"),
        ("description: Vector.", "minimum: 0, description: Vector.", "a minimum needs a numeric type"),
    ],
)
def test_wrong_declaration_is_refused(tmp_path: Path, good: str, bad: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_declarations(declare(tmp_path, GOOD.replace(good, bad, 1)))


def test_same_table_in_two_files_is_refused(tmp_path: Path) -> None:
    declare(tmp_path, GOOD)
    (tmp_path / "more.yaml").write_text(GOOD)
    with pytest.raises(ValueError, match=r"more\.yaml: demo\.first is declared twice"):
        read_declarations(tmp_path)


def test_unknown_table_names_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"raw\.snapshot is declared; there are .*raw\.snapshots"):
        table("raw.snapshot")


def test_lineage_names_only_declared_columns() -> None:
    rows = column_lineage()
    assert {
        "table": "features.engagement",
        "column": "views_log",
        "from_table": "raw.snapshots",
        "from_column": "views",
    } in rows
    for row in rows:
        assert row["column"] in load_tables()[row["table"]].column_names
        assert row["from_column"] in load_tables()[row["from_table"]].column_names
