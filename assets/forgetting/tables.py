"""The tables of a home without the subject, found from their declarations, and the file of the warehouse without their bytes.

A row that names a video or channel of the subject goes; so does one of a content that only the subject had. A text that
mentions the subject keeps its row, and loses the mention. Nothing here knows a table by its name but where it has to tell
what a row means.
"""

import json
from datetime import datetime

import duckdb

from assets.forgetting.needles import REDACTED
from assets.forgetting.state import Task
from assets.forgetting.subject import CONTENTS, member_hash, needles_of, of_subject, parameters
from warehouse.arrow import arrow_rows
from warehouse.connection import Warehouse, holds
from warehouse.contracts import Table, load_tables, quoted, table
from warehouse.writer import append_rows

_NO_WORDS = frozenset(
    {"source", "landing_id", "kept_landing_id", "contract_version", "run_id", "task_id", "subject_hash", "member_hash"}
)
"""Text columns that hold no words of anybody."""


def refuse_from_now_on(warehouse: Warehouse, task: Task) -> None:
    """Note the subject's hashes: what arrives of it from now on is set aside."""
    rows = [
        {
            "source": source,
            "member_hash": member_hash(warehouse.home, source, member),
            "subject_hash": task.subject_hash,
            "why": task.why,
            "task_id": task.task_id,
            "forgotten_at": task.begun_at,
        }
        for source in task.sources
        for member in dict.fromkeys(task.ids)
    ]
    with warehouse.write() as con:
        append_rows(con, table("raw.forgotten"), arrow_rows(table("raw.forgotten"), rows))


def delete_rows(warehouse: Warehouse, task: Task, *, mentions: bool = True) -> dict[str, int]:
    """Take the subject out of every table, in one transaction; also out of the words of others, where asked.

    Returns:
        Rows deleted or changed, by table.
    """
    changed: dict[str, int] = {}
    with warehouse.write() as con:
        for declared in load_tables().values():
            if declared.full_name.startswith("raw.forg") or declared.full_name == "raw.rewritten":
                continue
            rows = _delete(con, declared, task) + _take_out_of_lists(con, declared, task)
            rows += _redact(con, declared, task) if mentions else 0
            if rows:
                changed[declared.full_name] = rows
    return changed


def _delete(con: duckdb.DuckDBPyConnection, declared: Table, task: Task) -> int:
    condition = of_subject(declared, task)
    own = [name for name in CONTENTS if name in declared.column_names and "video_id" not in declared.column_names]
    if condition is None and own:
        condition = f"{own[0]} IN (SELECT unnest($contents::VARCHAR[]))"
    return _count(con, f"DELETE FROM {declared.identifier} WHERE {condition}", task) if condition else 0


def _take_out_of_lists(con: duckdb.DuckDBPyConnection, declared: Table, task: Task) -> int:
    """Lists of videos as `source/video_id`."""
    changed = 0
    for column in declared.columns:
        if column.type == "VARCHAR[]" and "source/video_id" in column.description:
            cell = quoted(column.name)
            keys = "(SELECT list(s || '/' || v) FROM (SELECT unnest($sources) AS s), (SELECT unnest($videos::VARCHAR[]) AS v))"
            changed += _count(
                con,
                f"UPDATE {declared.identifier} SET {cell} = list_filter({cell}, lambda x: NOT list_contains(k.keys, x)) "
                f"FROM (SELECT {keys} AS keys) AS k WHERE list_has_any({cell}, k.keys)",
                task,
            )
    return changed


def _redact(con: duckdb.DuckDBPyConnection, declared: Table, task: Task) -> int:
    """Words that mention the subject, in rows that are not its own."""
    patterns, changed = needles_of(task).sql_patterns(), 0
    for column in declared.columns:
        named = column.name in declared.key or column.name in _NO_WORDS or not column.type.startswith("VARCHAR")
        if named or not patterns or not holds(con, declared.identifier, column.name, patterns):
            continue
        cell = quoted(column.name)
        text = cell if column.type == "VARCHAR" else f"array_to_string({cell}, chr(10))"
        for pattern in patterns:
            values = {"pattern": pattern, "stands": f"\\1{REDACTED}\\3"}
            once = "regexp_replace({0}, $pattern, $stands, 'g')"
            twice = once.format(once.format("{0}"))  # of two neighbours the first takes what parts them
            new = (
                twice.format(cell)
                if column.type == "VARCHAR"
                else f"list_transform({cell}, lambda x: {twice.format('x')})"
            )
            row = con.execute(
                f"UPDATE {declared.identifier} SET {cell} = {new} WHERE regexp_matches({text}, $pattern)", values
            ).fetchone()
            changed += int(row[0]) if row else 0
    return changed


def _count(con: duckdb.DuckDBPyConnection, sql: str, task: Task) -> int:
    row = con.execute(sql, parameters(task, sql)).fetchone()
    return int(row[0]) if row else 0


def withdraw(warehouse: Warehouse, training_set_ids: list[str], task_id: str, why: str, now: datetime) -> list[str]:
    """Note that training sets are withdrawn, with the models made from them; gives the models."""
    if not training_set_ids:
        return []
    with warehouse.write() as con:
        made = con.execute(
            "SELECT DISTINCT training_set_id, version FROM models.versions WHERE list_contains($ids, training_set_id) ORDER BY ALL",
            {"ids": training_set_ids},
        ).fetchall()
        rows = [
            {"training_set_id": name, "version": version, "why": why, "task_id": task_id, "withdrawn_at": now}
            for name, version in [*((name, "") for name in training_set_ids), *made]
        ]
        append_rows(con, table("raw.withdrawn"), arrow_rows(table("raw.withdrawn"), rows))
    return sorted(version for _, version in made)


def record(
    warehouse: Warehouse, task: Task, now: datetime, result: dict[str, object], counts: dict[str, int | None]
) -> None:
    """Note that a forgetting is complete."""
    row = {
        "task_id": task.task_id,
        "source": ", ".join(task.sources),
        "kind": task.kind,
        "subject_hash": task.subject_hash,
        "why": task.why,
        "begun_at": task.begun_at,
        "ended_at": now,
        "videos": len(task.videos),
        "result": json.dumps(result, ensure_ascii=False, default=str),
        **counts,
    }
    with warehouse.write() as con:
        append_rows(con, table("raw.forgettings"), arrow_rows(table("raw.forgettings"), [row]))


def rows_left(warehouse: Warehouse, task: Task) -> list[str]:
    """Tables that still have a row of the subject; none, where all went well."""
    left = []
    with warehouse.read() as con:
        for declared in load_tables().values():
            condition = of_subject(declared, task)
            if condition is None:
                continue
            sql = f"SELECT count(*) FROM {declared.identifier} WHERE {condition}"
            row = con.execute(sql, parameters(task, sql)).fetchone()
            if row and row[0]:
                left.append(f"{declared.full_name}: {row[0]} rows")
    return left
