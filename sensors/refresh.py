"""Carries a nightly refresh from stage to stage: features, then backtests, then figures and report.

Each step asks what is stale at that moment; runs that nobody chained (a backfill in the UI, the CLI) start nothing.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg

from assets.evaluations.assets import Grid, chosen_cells, latest_origins
from assets.evaluations.stale import evaluation_is_stale
from assets.features.stale import ranges, stale_days
from assets.raw.anchors import source_anchors
from resources.home import Home
from sensors.leftovers import UNFINISHED

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def range_tags(first: date, last: date) -> dict[str, str]:
    """The tags of a run over the partitions from `first` to `last`."""
    return {RANGE_START: first.isoformat(), RANGE_END: last.isoformat()}


def stale_ranges(home: Home) -> list[tuple[date, date]]:
    """The ranges of anchor days that the feature tables have to be rebuilt for."""
    return ranges(stale_days(home.warehouse, home.settings, source_anchors(home.warehouse), home.now()))


def stale_origins(home: Home, grid: Grid) -> list[date]:
    """The weekly origins at which some cell of a grid has to be backtested, in order."""
    from assets.evaluations.run_cells import planned, stale

    plan = planned(home.warehouse, home.settings, chosen_cells(home, grid), latest_origins(home, grid))
    return sorted({origin for origins in stale(home.warehouse, home.settings, plan).values() for origin in origins})


def nightly_requests(home: Home, tags: Mapping[str, str]) -> list[dg.RunRequest]:
    """One features run per stale range; when all of them are done, the chain goes on.

    Where only later stages are stale, a run over the current day starts the chain.
    """
    found = stale_ranges(home)
    if not found and (stale_origins(home, Grid()) or evaluation_is_stale(home.warehouse, home.settings)):
        found = [(home.now().date(), home.now().date())]
    return [dg.RunRequest(tags={**range_tags(*days), **tags}) for days in found]


def chain_sensors(features: Any, backtests: Any, evaluation: Any, tag: str) -> list[dg.SensorDefinition]:
    """The two sensors that start the next stage of a chained refresh."""
    common: dict[str, Any] = {
        "run_status": dg.DagsterRunStatus.SUCCESS,
        "minimum_interval_seconds": 15,
        "default_status": dg.DefaultSensorStatus.RUNNING,
    }

    @dg.run_status_sensor(
        name="backtests_after_features", monitored_jobs=[features], request_jobs=[backtests, evaluation], **common
    )
    def after_features(context: dg.RunStatusSensorContext, home: Home) -> dg.RunRequest | dg.SkipReason:
        chain = context.dagster_run.tags.get(tag)
        if not chain:
            return dg.SkipReason("not part of a nightly refresh")
        others = dg.RunsFilter(job_name=features.name, tags={tag: chain}, statuses=UNFINISHED)
        if context.instance.get_runs_count(others):
            return dg.SkipReason("other days of this refresh are not built yet")
        origins = stale_origins(home, Grid())
        if origins:
            days = range_tags(origins[0], origins[-1])
            return dg.RunRequest(f"{chain}-backtests", tags={tag: chain, **days}, job_name=backtests.name)
        if evaluation_is_stale(home.warehouse, home.settings):
            return dg.RunRequest(f"{chain}-evaluation", tags={tag: chain}, job_name=evaluation.name)
        return dg.SkipReason("backtests and report are up to date")

    @dg.run_status_sensor(
        name="evaluation_after_backtests", monitored_jobs=[backtests], request_job=evaluation, **common
    )
    def after_backtests(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        chain = context.dagster_run.tags.get(tag)
        if not chain:
            return dg.SkipReason("not part of a nightly refresh")
        return dg.RunRequest(run_key=f"{chain}-evaluation", tags={tag: chain})

    return [after_features, after_backtests]
