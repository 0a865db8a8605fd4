"""All SQL of the repository stays in what DuckDB and DuckLake both speak, and one module opens DuckDB."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("warehouse", "resources", "assets", "sensors", "orchestration")
FORBIDDEN = {
    "primary key": r"\bPRIMARY\s+KEY\b",
    "index": r"\bCREATE\s+(UNIQUE\s+)?INDEX\b",
    "sequence": r"\bCREATE\s+(OR\s+REPLACE\s+)?(TEMP(ORARY)?\s+)?SEQUENCE\b|\bNEXTVAL\s*\(",
    "user type": r"\bCREATE\s+TYPE\b",
    # A cast computes and stores nothing, so it may name an enum or a fixed size.
    "enum": r"(?<!::)(?<!AS )\bENUM\s*\(",
    "fixed-size vector": r"(?<!::)(?<!AS )\b(FLOAT|DOUBLE|REAL|INTEGER|BIGINT)\s*\[\s*\d+\s*\]",
}


def violations(sql: str) -> list[str]:
    return [name for name, pattern in FORBIDDEN.items() if re.search(pattern, sql, re.IGNORECASE)]


def embedded_strings(path: Path) -> Iterator[str]:
    """String literals of a module, f-strings whole, docstrings left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "_" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.value


def files(*suffixes: str) -> list[Path]:
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*")) if path.suffix in suffixes]
    assert found
    return found


def test_sql_files_stay_in_the_subset() -> None:
    broken = {
        str(path.relative_to(ROOT)): violations(path.read_text(encoding="utf-8")) for path in files(".sql", ".yaml")
    }
    assert {path: found for path, found in broken.items() if found} == {}


def test_embedded_sql_stays_in_the_subset() -> None:
    broken = [
        (str(path.relative_to(ROOT)), text)
        for path in files(".py")
        for text in embedded_strings(path)
        if violations(text)
    ]
    assert broken == []


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE t (id INTEGER PRIMARY  KEY)",
        "create unique index i on t (id)",
        "CREATE SEQUENCE s",
        "SELECT nextval('s')",
        "CREATE TYPE mood AS ENUM ('a')",
        "CREATE TABLE t (mood ENUM ('a', 'b'))",
        "CREATE TABLE t (v FLOAT[384])",
    ],
)
def test_scan_finds(sql: str) -> None:
    assert violations(sql)


def test_scan_lets_casts_pass() -> None:
    assert violations("SELECT array_cosine_similarity(v::FLOAT[384], CAST(w AS FLOAT[384])), m::ENUM('a')") == []


def test_only_the_connection_opens_duckdb() -> None:
    openers = [
        path.relative_to(ROOT).as_posix()
        for path in files(".py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("duckdb.connect", "duckdb.sql", "duckdb.query")
    ]
    # The loop stands outside of the platform: it reads the published copy as any other reader would.
    assert openers == ["warehouse/connection.py", "orchestration/loop.py"]
