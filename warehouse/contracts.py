"""What every table holds, read from the declarations in `warehouse/tables/`.

A table is declared once; its DDL, the writer's checks, the docs and the column lineage all come from here.
Nothing here opens DuckDB.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DECLARATIONS = Path(__file__).with_name("tables")
# What DuckDB and DuckLake both store under the same name; each may also be a list, as in VARCHAR[].
SCALAR_TYPES = frozenset({"BOOLEAN", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "DATE", "TIMESTAMP"})
_NUMERIC = frozenset({"INTEGER", "BIGINT", "FLOAT", "DOUBLE"})
YAML_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The same as `yaml.safe_load`, in C where it is there: the declarations are read by every command."""


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True)
class Column:
    """One declared column; `sources` are the columns (`schema.table.column`) that it is made from."""

    name: str
    type: str
    required: bool
    minimum: float | None
    description: str
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """One declared table. `partition` is the DATE or TIMESTAMP column whose day says where a row belongs."""

    schema: str
    name: str
    description: str
    key: tuple[str, ...]
    partition: str | None
    columns: tuple[Column, ...]

    @property
    def full_name(self) -> str:
        """The name that queries use, such as `raw.snapshots`."""
        return f"{self.schema}.{self.name}"

    @property
    def identifier(self) -> str:
        """The full name, quoted for SQL."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns in declared order."""
        return tuple(column.name for column in self.columns)

    @property
    def ddl(self) -> str:
        """The statement that creates the table where it is absent; its schema must exist."""
        columns = ",\n    ".join(
            f"{quoted(column.name)} {column.type}{' NOT NULL' if column.required else ''}" for column in self.columns
        )
        return f"CREATE TABLE IF NOT EXISTS {self.identifier} (\n    {columns}\n)"

    def column(self, name: str) -> Column:
        """One column by name.

        Raises:
            KeyError: The table has no such column.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(f"{self.full_name} has no column {name}; it has {', '.join(self.column_names)}")


@cache
def load_tables() -> dict[str, Table]:
    """All declared tables by full name, in the order of the files.

    Raises:
        ValueError: A declaration is wrong; names the file, the table and the column.
    """
    return read_declarations(DECLARATIONS)


def table(full_name: str) -> Table:
    """One declared table, such as `raw.snapshots`.

    Raises:
        KeyError: No such table is declared.
    """
    tables = load_tables()
    if full_name not in tables:
        raise KeyError(f"no table {full_name} is declared; there are {', '.join(tables)}")
    return tables[full_name]


def column_lineage() -> list[dict[str, str]]:
    """The rows of `lineage.columns`: which column is made from which."""
    rows = []
    for derived in load_tables().values():
        for column in derived.columns:
            for source in dict.fromkeys(column.sources):
                from_table, from_column = source.rsplit(".", 1)
                rows.append(
                    {
                        "table": derived.full_name,
                        "column": column.name,
                        "from_table": from_table,
                        "from_column": from_column,
                    }
                )
    return rows


def read_declarations(folder: Path) -> dict[str, Table]:
    """The tables declared by the YAML files of a folder, checked.

    Raises:
        ValueError: A declaration is wrong; names the file, the table and the column.
    """
    tables: dict[str, Table] = {}
    for path in sorted(folder.glob("*.yaml")):
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=YAML_LOADER)
        _only(document, {"schema", "tables"}, path.name)
        for name, declared in document["tables"].items():
            read = _table(document["schema"], name, declared, f"{path.name}: {name}")
            if read.full_name in tables:
                raise ValueError(f"{path.name}: {read.full_name} is declared twice")
            tables[read.full_name] = read
    for declared_table in tables.values():
        _check_sources(declared_table, tables)
    return tables


def _table(schema: str, name: str, declared: dict[str, Any], where: str) -> Table:
    _only(declared, {"description", "key", "partition", "columns"}, where)
    columns = tuple(_column(key, value, f"{where}.{key}") for key, value in declared["columns"].items())
    by_name = {column.name: column for column in columns}
    for key in declared["key"]:
        if key not in by_name or not by_name[key].required:
            raise ValueError(f"{where}: key column {key} must be declared and required")
    partition = declared.get("partition")
    if partition is not None:
        column = by_name.get(partition)
        if column is None or not column.required or column.type not in ("DATE", "TIMESTAMP"):
            raise ValueError(f"{where}: partition {partition} must be a required DATE or TIMESTAMP column")
    return Table(schema, name, declared["description"], tuple(declared["key"]), partition, columns)


def _column(name: str, declared: dict[str, Any], where: str) -> Column:
    _only(declared, {"type", "required", "minimum", "description", "from"}, where)
    if declared["type"].removesuffix("[]") not in SCALAR_TYPES:
        raise ValueError(f"{where}: type {declared['type']} is not one of {', '.join(sorted(SCALAR_TYPES))} or a list")
    minimum = declared.get("minimum")
    if minimum is not None and declared["type"] not in _NUMERIC:
        raise ValueError(f"{where}: a minimum needs a numeric type, not {declared['type']}")
    return Column(
        name=name,
        type=declared["type"],
        required=declared.get("required", False),
        minimum=minimum,
        description=declared["description"],
        sources=tuple(declared.get("from", ())),
    )


def _only(declared: dict[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(set(declared) - allowed)
    if unknown:
        raise ValueError(f"{where}: unknown entry {', '.join(unknown)}; allowed are {', '.join(sorted(allowed))}")


def _check_sources(derived: Table, tables: dict[str, Table]) -> None:
    for column in derived.columns:
        for source in column.sources:
            from_table, _, from_column = source.rpartition(".")
            if from_table not in tables or from_column not in tables[from_table].column_names:
                raise ValueError(f"{derived.full_name}.{column.name}: `from` names {source}, which is not declared")
