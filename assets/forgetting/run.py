"""Forgetting a channel or video: the stages in order, each noted when it is done, so that the next run completes what was cut short.

What a stage does is in the modules beside this one. No Dagster here: the asset and the command line call these functions.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from assets.forgetting import files, retention, state, tables
from assets.forgetting.landings import rewrite_landings
from assets.forgetting.search import search_home
from assets.forgetting.state import Task
from assets.forgetting.subject import ForgetError, find_subject, needles_of
from assets.raw.ingest import Ingestion
from resources.quiet import alone
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.snapshot import NAME as SNAPSHOT
from warehouse.snapshot import publish

__all__ = ["STAGES", "ForgetError", "begin", "complete", "find_subject", "forget_overdue", "stored", "unfinished"]

Facts = dict[str, Any]
Progress = Callable[[str], None]
unfinished = state.under_way


def begin(warehouse: Warehouse, task: Task) -> Task:
    """Note that a channel or video, as `find_subject` found it, is to be forgotten; from then on it is."""
    state.keep(warehouse.home, task)
    return task


def complete(
    warehouse: Warehouse,
    settings: Settings,
    task: Task,
    now: datetime,
    progress: Progress = lambda line: None,
    patience_s: float = 60.0,
) -> Facts:
    """Do what is left of a task, search the home, and note the result.

    Args:
        warehouse: Of the home.
        settings: Settings of the home.
        task: What is to be forgotten.
        now: The home's time.
        progress: Told in one line what is being done.
        patience_s: Seconds to wait for an ingestion or a training to end.

    Returns:
        What `raw.forgettings` keeps of it.

    Raises:
        BusyError: Somebody works on the home for too long; what is done stays done.
    """
    with alone(warehouse.home, patience_s):
        for stage, work in (RETENTION if task.kind == "retention" else STAGES).items():
            if stage in task.done:
                continue
            began = time.perf_counter()
            facts = work(Ingestion(warehouse, settings, now), task, progress)
            task.done[stage] = {**facts, "seconds": round(time.perf_counter() - began, 3)}
            state.keep(warehouse.home, task)
            progress(f"{stage}: {_told(facts)} ({task.done[stage]['seconds']:.1f} s)")
        return _conclude(warehouse, task, now)


def _told(facts: Mapping[str, Any]) -> str:
    shown = [f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if isinstance(value, int)]
    return ", ".join(shown) or "done"


def _refuse(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    tables.refuse_from_now_on(ingestion.warehouse, task)
    return {"ids": len(task.ids)}


def _rows(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    by_table = tables.delete_rows(ingestion.warehouse, task)
    return {"rows": sum(by_table.values()), "by_table": by_table}


def _landings(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    done = rewrite_landings(ingestion, task, progress)
    return {"removed": done.removed, "unread": done.unread}


def _media(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    return {"files": len(files.remove_media(ingestion.home, task).removed)}


def _training_sets(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    held = files.training_sets_of(ingestion.home, task)
    models = tables.withdraw(ingestion.warehouse, held, task.task_id, task.why, ingestion.now)
    files.take_out_of_training_sets(ingestion.home, held, task)
    return {"training_sets": held, "models": models, "files": len(held)}


def _files(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    done = files.clean_files(ingestion.home, task)
    files.settle_bundles(ingestion.warehouse)
    return {"files": len(done.removed) + len(done.rewritten), "removed": done.removed, "rewritten": done.rewritten}


def _databases(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    done = files.clean_databases(ingestion.home, task)
    return {"files": len(done.rewritten), "cells": done.cells}


def _warehouse_file(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    late = tables.delete_rows(
        ingestion.warehouse, task, mentions=False
    )  # what a run that was under way has written since
    warehouse = ingestion.warehouse
    before = warehouse.path.stat().st_size
    return {"rows_written_since": sum(late.values()), "bytes_before": before, "bytes": _written_anew(warehouse)}


def _written_anew(warehouse: Warehouse) -> int:
    """Size of the warehouse file without what was deleted in it; where a copy is published, it is replaced."""
    warehouse.compact()
    if (warehouse.home / SNAPSHOT).exists():
        publish(warehouse)
    return warehouse.path.stat().st_size


def _search(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    found = search_home(ingestion.warehouse, needles_of(task))
    found.found += tables.rows_left(ingestion.warehouse, task)
    return {**asdict(found), "places": len(found.found)}


STAGES: dict[str, Callable[[Ingestion, Task, Progress], Facts]] = {
    "refused from now on": _refuse,
    "rows": _rows,
    "landings": _landings,
    "media": _media,
    "training sets": _training_sets,
    "files": _files,
    "databases": _databases,
    "warehouse file": _warehouse_file,
    "search": _search,
}
"""What a forgetting does, in order; each stage can be done again."""


def _overdue_rows(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    by_table = retention.delete_derived(ingestion, task)
    return {"rows": sum(by_table.values()), "by_table": by_table}


def _overdue_landings(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    return {"unread": retention.rewrite(ingestion, task).unread}


def _overdue_media(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    return {"files": retention.remove_media(ingestion, task)}


def _overdue_training_sets(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    held, models = retention.withdraw_training_sets(ingestion, task)
    return {"training_sets": held, "models": models, "files": len(held)}


def _smaller_file(ingestion: Ingestion, task: Task, progress: Progress) -> Facts:
    return {"bytes": _written_anew(ingestion.warehouse)}


RETENTION: dict[str, Callable[[Ingestion, Task, Progress], Facts]] = {
    "landings": _overdue_landings,
    "rows": _overdue_rows,
    "media": _overdue_media,
    "training sets": _overdue_training_sets,
    "warehouse file": _smaller_file,
}
"""What forgetting on time does."""


def forget_overdue(
    warehouse: Warehouse, settings: Settings, now: datetime, progress: Progress = lambda line: None
) -> Facts | None:
    """Forget what the rules of the sources no longer let be kept; None where nothing is overdue."""
    sources = retention.due(warehouse, settings, now)
    if not sources:
        return None
    task = retention.begin(warehouse, sources, now, settings)
    return complete(warehouse, settings, task, now, progress)


def _conclude(warehouse: Warehouse, task: Task, now: datetime) -> Facts:
    written = warehouse.query(
        "SELECT count(*) AS landings, coalesce(sum(records), 0)::BIGINT AS records FROM raw.rewritten WHERE task_id = $task",
        {"task": task.task_id},
    ).to_pylist()[0]
    done = task.done
    counts: dict[str, int | None] = {
        "records": written["records"],
        "landings": written["landings"],
        "rows": done["rows"]["rows"],
        "files": sum(facts.get("files", 0) for stage, facts in done.items() if stage != "search"),
        "found": done["search"]["places"] if "search" in done else None,
    }
    tables.record(warehouse, task, now, done, counts)
    state.finish(warehouse.home, task)
    return {
        "task_id": task.task_id,
        "kind": task.kind,
        "sources": task.sources,
        "videos": len(task.videos),
        **counts,
        "withdrawn_training_sets": done["training sets"]["training_sets"],
        "models_made_from_them": done["training sets"]["models"],
        "unread_landings": done["landings"]["unread"],
        "searched_files": done["search"]["files"] if "search" in done else 0,
        "places_found": done["search"]["found"] if "search" in done else [],
        "seconds": {stage: facts["seconds"] for stage, facts in done.items()},
    }


def stored(warehouse: Warehouse) -> list[dict[str, Any]]:
    """Every forgetting that was completed, the latest first."""
    rows: list[dict[str, Any]] = warehouse.query(
        "SELECT * FROM raw.forgettings ORDER BY ended_at DESC, task_id"
    ).to_pylist()
    return [{**row, "result": json.loads(row["result"])} for row in rows]
