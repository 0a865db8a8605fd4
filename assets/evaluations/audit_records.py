"""Runs the leakage audit on a home: keeps its findings as rows, and holds the latest training sets and models to it.

The audit itself is in `audit`.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pandas as pd

from assets.evaluations.audit import AuditResult, Difference, TrainingSet, audit, audit_training_sets
from assets.evaluations.refit import audit_version
from assets.evaluations.rows import as_arrow
from assets.features.build import Anchors
from assets.models.forecasters import default_for
from assets.models.task import Task
from assets.models.training_set import thaw
from resources.settings import Settings, midnight
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows


def record_audit(
    warehouse: Warehouse,
    settings: Settings,
    anchors: Anchors,
    *,
    samples: int,
    run_id: str,
    now: datetime,
    seed: int = 0,
) -> AuditResult:
    """Audits sampled rows of the feature tables and keeps what was found in evaluations.audits, one audit a row at least."""
    result = audit(warehouse, settings, anchors, samples=samples, seed=seed, now=now, folder=_scratch(warehouse))
    audit_id = hashlib.sha256(f"{run_id} {now.isoformat()} {samples} {seed}".encode()).hexdigest()[:16]
    found = result.differences or [Difference("all", "", "all", "features", "none", None, None)]
    facts = pd.DataFrame(
        [
            {
                "audit_id": audit_id,
                "source": difference.source,
                **_of_what(difference),
                "video_id": difference.video_id,
                "column": f"{difference.table}.{difference.column}" if result.differences else "none",
                "equal": not result.differences,
                "as_of": now,
                "expected": None if difference.expected is None else str(difference.expected),
                "found": f"{result.compared_values} values of {result.sampled} rows"
                if not result.differences
                else str(difference.found),
                "run_id": run_id,
                "audited_at": now,
            }
            for difference in found
        ]
    )
    facts = facts.drop_duplicates(["source", "target", "cutoff", "video_id", "column"])
    with warehouse.write() as con:
        replace_rows(con, table("evaluations.audits"), as_arrow(facts, "evaluations.audits"), {"audit_id": audit_id})
    return result


def _of_what(difference: Difference) -> dict[str, str]:
    """Target and cutoff of a difference, which says the target in place of the cutoff where the row is an outcome."""
    if difference.table == "features.targets":
        return {"target": difference.cutoff, "cutoff": "all"}
    return {"target": "all", "cutoff": difference.cutoff}


def audit_latest_training_sets(
    warehouse: Warehouse, settings: Settings, anchors: Anchors, *, samples: int, now: datetime
) -> AuditResult:
    """Audits a sample of the rows of each cell's latest training set; they share one second home.

    A set from before a forgetting cannot be made again: what was forgotten may have been in the medians of others.
    """
    latest = warehouse.query(
        """SELECT target, cutoff, origin, training_set_id FROM models.training_sets AS s
           WHERE target <> 'emotions' AND training_set_id NOT IN (SELECT training_set_id FROM raw.withdrawn) AND NOT EXISTS (
               SELECT 1 FROM raw.forgettings AS f
               WHERE list_contains(string_split(f.source, ', '), s.source) AND f.ended_at > s.created_at)
           QUALIFY row_number() OVER (PARTITION BY source, target, cutoff ORDER BY origin DESC) = 1 ORDER BY ALL"""
    ).to_pylist()
    sets = [
        TrainingSet(thaw(warehouse.home, row["training_set_id"]), row["target"], row["cutoff"], midnight(row["origin"]))
        for row in latest
    ]
    return audit_training_sets(
        sets, warehouse, settings, anchors, samples=samples, seed=0, now=now, folder=_scratch(warehouse)
    )


def audit_latest_versions(
    warehouse: Warehouse, settings: Settings, progress: Callable[[str], None] = lambda version: None
) -> dict[str, list[Difference]]:
    """Fits the newest default model of every source and target again, at its shortest training set, and compares.

    Returns:
        Per model what it would not have learned from its training rows alone.
    """
    newest = warehouse.query(
        """SELECT version, target, cutoff, forecaster FROM models.versions
           WHERE made_by = 'backtest' AND version NOT IN (SELECT version FROM raw.withdrawn)
           QUALIFY row_number() OVER (PARTITION BY source, target, forecaster ORDER BY origin DESC, n_train, cutoff) = 1
           ORDER BY ALL"""
    ).to_pylist()
    found = {}
    for row in newest:
        if row["forecaster"] == default_for(Task.of(settings, row["target"], row["cutoff"])):
            progress(row["version"])
            found[row["version"]] = audit_version(warehouse, settings, row["version"])
    return found


def _scratch(warehouse: Warehouse) -> Path:
    folder = warehouse.home / "spill"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
