"""What `upswell status` and `upswell doctor` say of a home and its machine. Reads only."""

import importlib.metadata
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from assets.evaluations.score_cells import stored_leaderboard
from assets.features.stale import ranges, stale_days
from assets.models.forecasters import FORECASTERS, unavailable
from assets.raw.anchors import source_anchors
from assets.raw.assets import waiting
from resources import clock
from resources.durations import shown
from resources.policy import refusal
from resources.settings import Settings, SettingsError, load_settings
from warehouse.connection import Warehouse
from warehouse.errors import WarehouseError

Rows = list[dict[str, Any]]


def describe_home(warehouse: Warehouse, settings: Settings) -> dict[str, Rows]:
    """Landings, snapshots and features per source, targets by status, what is stale, and the champions."""
    anchors = source_anchors(warehouse)
    stale = ranges(stale_days(warehouse, settings, anchors, clock.now(warehouse.home)))
    inbox = waiting(warehouse.home / "inbox")
    sources = warehouse.query(
        """SELECT l.source, count(*) AS landings, sum(rows_read)::BIGINT AS "read", sum(accepted)::BIGINT AS accepted,
                  sum(duplicate)::BIGINT AS duplicate, sum(quarantined)::BIGINT AS quarantined,
                  any_value(s.newest) AS newest_observation
           FROM raw.landings l LEFT JOIN (SELECT source, max(observed_at) AS newest FROM raw.snapshots GROUP BY ALL) s USING (source)
           GROUP BY l.source ORDER BY l.source"""
    ).to_pylist()
    targets = warehouse.query(
        """SELECT source, target, count(*) FILTER (status = 'matured') AS matured,
                  count(*) FILTER (status = 'pending') AS pending, count(*) FILTER (status = 'censored') AS censored
           FROM features.targets GROUP BY ALL ORDER BY ALL"""
    ).to_pylist()
    shown = ("source", "target", "cutoff", "forecaster", "n_test", "mae", "auroc", "skill")
    champions = [
        {name: row[name] for name in shown}
        for row in stored_leaderboard(warehouse)
        if row["champion"] and row["origin"] == "all" and row["split"] == "time"
    ]
    return {
        "Sources": [{**row, "anchor": anchors.get(row["source"], "unknown")} for row in sources],
        "Inbox": [{"files waiting": len(inbox)}],
        "Stale feature days": [{"from": first, "to": last} for first, last in stale],
        "Targets": targets,
        "Champions": champions,
    }


def diagnose(folder: Path) -> Rows:
    """One finding each: what was looked at, `fine`, `note` or `wrong`, and the remedy."""
    return [
        _finding("Python", sys.version.split()[0], sys.version_info[:2] == (3, 11), "install Python 3.11"),
        *(_package(name) for name in ("dagster", "dagster-webserver", "duckdb", "pandas", "scikit-learn", "lightgbm")),
        *(
            _finding(name, reason, None, "everything else runs")
            for name in FORECASTERS
            if (reason := unavailable(name))
        ),
        _disk(folder),
        *_settings(folder),
        _warehouse(folder),
        *_rules(folder),
    ]


def _finding(what: str, found: str, good: bool | None, remedy: str) -> dict[str, Any]:
    state = "fine" if good else "note" if good is None else "wrong"
    return {"what": what, "state": state, "found": found, "remedy": "" if good else remedy}


def _package(name: str) -> dict[str, Any]:
    try:
        return _finding(name, importlib.metadata.version(name), True, "")
    except importlib.metadata.PackageNotFoundError:
        return _finding(name, "not installed", False, "make install")


def _disk(folder: Path) -> dict[str, Any]:
    free = shutil.disk_usage(folder).free / 2**30
    writable = os.access(folder, os.W_OK)
    return _finding(
        "home", f"{folder}, {free:.0f} GiB free", writable and free > 1, "choose another --home, or free some space"
    )


def _settings(folder: Path) -> Rows:
    try:
        settings = load_settings(folder)
    except SettingsError as error:
        return [_finding("upswell.yaml", str(error), False, "mend the file")]
    refused = [f"{t} at {c}" for t in settings.targets for c in settings.cutoffs if settings.refusal(t, c)]
    findings = [_finding("upswell.yaml", f"{len(settings.targets)} targets, {len(settings.cutoffs)} cutoffs", True, "")]
    if refused:
        findings.append(
            _finding("refused pairs", ", ".join(refused), None, "cutoff plus tolerance reaches the horizon")
        )
    return findings


def _warehouse(folder: Path) -> dict[str, Any]:
    try:
        rows = Warehouse(folder, patience_s=5).query("SELECT count(*) AS n FROM raw.landings").to_pylist()
    except WarehouseError as error:
        return _finding("warehouse", str(error), False, "see the message")
    return _finding("warehouse", f"{rows[0]['n']} landings", True, "")


def _rules(folder: Path) -> Rows:
    """The rule of each source that there is, what it makes impossible, and what is overdue."""
    from assets.forgetting.state import unfinished

    findings = [
        _finding(
            "forgetting", told, False, "upswell forget --finish; nothing is lost by waiting, and nothing is forgotten"
        )
        for told in unfinished(folder)
    ]
    try:
        settings = load_settings(folder)
        warehouse = Warehouse(folder, patience_s=5)
        found = warehouse.query("SELECT DISTINCT source FROM raw.landings ORDER BY source")["source"].to_pylist()
        return findings + [line for source in found for line in _rule(settings, source)]
    except (SettingsError, WarehouseError):
        return findings  # said above


def _rule(settings: Settings, source: str) -> Rows:
    policy = settings.policy(source)
    findings = [_finding(f"rule of {source}", policy.describe(), True, "")]
    if not policy.derived_metrics:
        findings.append(_finding(f"rule of {source}", refusal(settings.policies, source), None, "docs/policies.md"))
        return findings
    impossible = [why for target in settings.targets if (why := settings.beyond_retention(target, source))]
    if impossible:
        remedy = "choose a shorter horizon or tolerance, or state your permission (docs/policies.md)"
        findings.append(_finding(f"impossible targets of {source}", "; ".join(impossible), None, remedy))
    if left := [told for target in settings.targets if (told := settings.history_left(target, source))]:
        told = f"counts are kept for {shown(policy.statistics)}, so a model learns from no more than: {'; '.join(left)}"
        findings.append(_finding(f"training on {source}", told, None, "docs/policies.md"))
    return findings
