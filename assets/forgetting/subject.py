"""Who is to be forgotten: from an id to everything that says who it is, found in the tables from their declarations.

What another video or channel has too (an equal title, a shared sound) is not the subject's alone and stays.
"""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

import duckdb

from assets.forgetting.needles import Needles
from assets.forgetting.state import Task
from resources.secrets import hashed, salt
from warehouse.connection import Warehouse
from warehouse.contracts import Table, load_tables, quoted

TEXTS = ("title", "description", "text", "name")
"""Columns that hold a subject's own words."""
CONTENTS = ("content_id", "text_id")
"""Columns that hold the sha256 of bytes or of a text."""


class ForgetError(ValueError):
    """What was asked cannot be forgotten as asked; says the way out."""


def member_hash(home: Path, source: str, member: str) -> str:
    """What stands for a video or channel in `raw.forgotten`."""
    return hashed(salt(home), f"{source}/{member}")


def find_subject(warehouse: Warehouse, name: str, source: str | None, why: str, now: datetime) -> Task:
    """The task of forgetting a channel or video.

    Args:
        warehouse: Where it is looked for.
        name: Id of the channel or video.
        source: Its source; None is every source that has it. Needed where no table has it.
        why: The reason.
        now: The home's time.

    Raises:
        ForgetError: No table has it and no source was named.
    """
    asked, key = name, salt(warehouse.home)
    with warehouse.read() as con:
        channels, videos = _holders(con, "channel_id", name), _holders(con, "video_id", name)
        concealed = hashed(key, name)
        if not channels | videos and _holders(con, "channel_id", concealed):
            name, channels = concealed, _holders(con, "channel_id", concealed)  # a handle that is kept as its hash
        found = sorted({*channels, *videos} if source is None else {source})
        if not found:
            raise ForgetError(f"no table has {name}; if a landing may hold it, say --source")
        is_video = bool(videos & set(found)) and not channels & set(found)
        owned = {name} if is_video or not channels & set(found) else _videos_of(con, found, name)
        task = Task(
            task_id=hashlib.sha256(f"{key} {asked} {now.isoformat()}".encode()).hexdigest()[:12],
            why=why,
            begun_at=now,
            sources=found,
            subject_hash=hashed(key, asked),
            kind="video" if is_video else "channel",
            videos=sorted(owned),
            channels=[] if is_video else [name],
        )
        task.elsewhere = _elsewhere(con, task)
        task.records = _records_of(con, task)
        _add_texts(con, task)
        task.names = sorted({*task.names, *([asked] if asked != name else [])})
        _add_contents(con, task)
    return task


def tables_with(*columns: str) -> list[Table]:
    """The declared tables that have all of some columns."""
    return [each for each in load_tables().values() if set(columns) <= set(each.column_names)]


def needles_of(task: Task) -> Needles:
    """What tells the subject."""
    return Needles([each for each in task.ids if each not in task.elsewhere], [*task.texts, *task.names], task.contents)


def _holders(con: duckdb.DuckDBPyConnection, column: str, name: str) -> set[str]:
    """The sources in whose rows a column has a value."""
    parts = [f"SELECT source FROM {each.identifier} WHERE {column} = $name" for each in tables_with("source", column)]
    return {row[0] for row in con.execute(" UNION ".join(parts), {"name": name}).fetchall()}


def _videos_of(con: duckdb.DuckDBPyConnection, sources: Sequence[str], channel: str) -> set[str]:
    parts = [
        f"SELECT video_id FROM {each.identifier} WHERE list_contains($sources, source) AND channel_id = $channel"
        for each in tables_with("source", "channel_id", "video_id")
    ]
    rows = con.execute(" UNION ".join(parts), {"sources": list(sources), "channel": channel}).fetchall()
    return {video for (video,) in rows if video}


def _elsewhere(con: duckdb.DuckDBPyConnection, task: Task) -> list[str]:
    parts = [
        f"SELECT {column} FROM {each.identifier} WHERE NOT list_contains($sources, source) "
        f"AND {column} IN (SELECT unnest($ids::VARCHAR[]))"
        for column in ("channel_id", "video_id")
        for each in tables_with("source", column)
    ]
    return sorted(
        row[0] for row in con.execute(" UNION ".join(parts), {"sources": task.sources, "ids": task.ids}).fetchall()
    )


def _records_of(con: duckdb.DuckDBPyConnection, task: Task) -> dict[str, list[int]]:
    parts = [
        f"SELECT landing_id, row_number FROM {each.identifier} WHERE {condition}"
        for each in tables_with("source", "landing_id", "row_number")
        if (condition := of_subject(each, task))
    ]
    sql = f"SELECT landing_id, list_sort(list_distinct(list(row_number))) FROM ({' UNION ALL '.join(parts)}) GROUP BY landing_id"
    return {row[0]: row[1] for row in con.execute(sql, parameters(task, sql)).fetchall() if row[0]}


def of_subject(table: Table, task: Task) -> str | None:
    """SQL that is true of the rows of a table that are the subject's, or None where the table names nobody."""
    names = set(table.column_names)
    if "source" not in names or not names & {"video_id", "channel_id"}:
        return None
    parts = []
    if "video_id" in names and task.videos:
        parts.append("video_id IN (SELECT unnest($videos::VARCHAR[]))")
    if "channel_id" in names and task.channels:
        parts.append("channel_id IN (SELECT unnest($channels::VARCHAR[]))")
    return f"list_contains($sources, source) AND ({' OR '.join(parts)})" if parts else None


def parameters(task: Task, sql: str) -> dict[str, object]:
    """What the conditions name."""
    values: dict[str, object] = {
        "sources": task.sources,
        "videos": task.videos,
        "channels": task.channels,
        "contents": task.contents,
    }
    return {name: value for name, value in values.items() if f"${name}" in sql}


def _add_texts(con: duckdb.DuckDBPyConnection, task: Task) -> None:
    own: set[str] = set()
    names: set[str] = set()
    for table in load_tables().values():
        condition = of_subject(table, task)
        for column in TEXTS:
            if condition is None or column not in table.column_names or table.column(column).type != "VARCHAR":
                continue
            cell = quoted(column)
            sql = f"SELECT DISTINCT {cell} FROM {table.identifier} WHERE {condition} AND {cell} IS NOT NULL"
            found = {row[0] for row in con.execute(sql, parameters(task, sql)).fetchall()}
            found -= _others_too(con, table, column, condition, task, sorted(found))
            (names if column == "name" else own).update(found)
    task.texts = sorted(own)
    # A channel goes with its name; a single video does not take its channel's name with it.
    task.names = sorted(names) if task.channels else []


def _others_too(
    con: duckdb.DuckDBPyConnection, table: Table, column: str, condition: str, task: Task, texts: Sequence[str]
) -> set[str]:
    sql = (
        f"SELECT DISTINCT {quoted(column)} FROM {table.identifier} "
        f"WHERE {quoted(column)} IN (SELECT unnest($texts::VARCHAR[])) AND NOT coalesce({condition}, FALSE)"
    )
    return {row[0] for row in con.execute(sql, {**parameters(task, sql), "texts": texts}).fetchall()}


def _add_contents(con: duckdb.DuckDBPyConnection, task: Task) -> None:
    """Contents that only the subject's videos have, with the frames and sounds that were made of them."""
    mine, others = set[str](), set[str]()
    for column in CONTENTS:
        for table in tables_with("source", "video_id", column):
            condition = of_subject(table, task) or "FALSE"
            for belongs, target in ((condition, mine), (f"NOT ({condition})", others)):
                sql = f"SELECT DISTINCT {column} FROM {table.identifier} WHERE {belongs} AND {column} IS NOT NULL"
                target.update(row[0] for row in con.execute(sql, parameters(task, sql)).fetchall())
    texts = {hashlib.sha256(each.encode()).hexdigest() for each in _content_texts(con, task)}
    task.contents = sorted((_with_parts(con, mine) | texts) - _with_parts(con, others))


def _content_texts(con: duckdb.DuckDBPyConnection, task: Task) -> list[str]:
    sql = (
        "SELECT DISTINCT coalesce(title, '') || chr(10) || coalesce(description, '') FROM raw.videos "
        "WHERE list_contains($sources, source) AND video_id IN (SELECT unnest($videos::VARCHAR[])) AND title IS NOT NULL"
    )
    return [row[0] for row in con.execute(sql, parameters(task, sql)).fetchall()]


def _with_parts(con: duckdb.DuckDBPyConnection, contents: Iterable[str]) -> set[str]:
    listed = list(contents)
    rows = con.execute(
        "SELECT frame_ids, sound_id FROM raw.contents WHERE content_id IN (SELECT unnest($ids::VARCHAR[]))",
        {"ids": listed},
    ).fetchall()
    return {*listed, *(frame for frames, _ in rows for frame in frames or ()), *(sound for _, sound in rows if sound)}
