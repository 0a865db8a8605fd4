"""Carries a refresh from stage to stage: features, content, the ledger and what it says, backtests, then figures and report.

Each step asks what is stale at that moment; runs that nobody chained (a backfill in the UI, the CLI) start nothing. What
starts a chain is in `arrivals` and in the nightly schedule.
"""

from collections.abc import Mapping
from datetime import date
from typing import Any

import dagster as dg

from assets.embeddings.stale import content_is_stale
from assets.evaluations.assets import Grid, chosen_cells, latest_origins, settings_of
from assets.evaluations.stale import evaluation_is_stale, ledger_is_stale
from assets.features.stale import ranges, stale_days
from assets.raw.anchors import source_anchors
from resources.home import Home
from sensors.leftovers import UNFINISHED

STAGES = ("features", "content", "ledger", "backtests", "evaluation")
"""The stages of a refresh in their order; each is a job of that name."""
LEARNING = ("training", "gate")
"""Jobs that change which model serves: its forecasts, figures and report follow them."""
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
    found = stale(home.warehouse, settings_of(home, grid), plan)
    return sorted({origin for origins in found.values() for origin in origins})


def nightly_requests(home: Home, tags: Mapping[str, str]) -> list[dg.RunRequest]:
    """One features run per stale range; when all of them are done, the chain goes on.

    Where only later stages are stale, a run over the current day starts the chain.
    """
    found = stale_ranges(home)
    if not found and _next_stage(home, after="features"):
        found = [(home.now().date(), home.now().date())]
    return [dg.RunRequest(tags={**range_tags(*days), **tags}) for days in found]


def _next_stage(home: Home, after: str) -> tuple[str, dict[str, str]] | None:
    """The first stale stage after one, as its job and the tags of its run."""
    later = STAGES[STAGES.index(after) + 1 :] if after in STAGES else ("ledger", "evaluation")
    if "content" in later and content_is_stale(home.warehouse, home.settings, home.now()):
        return "content", {}
    if "ledger" in later and ledger_is_stale(home.warehouse):
        return "ledger", {}
    if "backtests" in later and (origins := stale_origins(home, Grid())):
        return "backtests", range_tags(origins[0], origins[-1])
    if "evaluation" in later and evaluation_is_stale(home.warehouse, home.settings):
        return "evaluation", {}
    return None


def chain_sensor(jobs: Mapping[str, Any], tag: str) -> dg.SensorDefinition:
    """The sensor that starts the next stage of a chained refresh when one has succeeded.

    Args:
        jobs: The job of each stage.
        tag: Marks the runs of a chain, with its name as the value.
    """

    @dg.run_status_sensor(
        name="next_stage",
        run_status=dg.DagsterRunStatus.SUCCESS,
        monitored_jobs=[jobs[name] for name in (*STAGES[:-1], *LEARNING)],
        request_jobs=[jobs[stage] for stage in STAGES[1:]],
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
    )
    def next_stage(context: dg.RunStatusSensorContext, home: Home) -> dg.RunRequest | dg.SkipReason:
        chain, done = context.dagster_run.tags.get(tag), context.dagster_run.job_name
        if not chain:
            return dg.SkipReason("not part of a refresh")
        others = dg.RunsFilter(job_name=done, tags={tag: chain}, statuses=UNFINISHED)
        if context.instance.get_runs_count(others):
            return dg.SkipReason(f"other {done} runs of this refresh are not done yet")
        stage = _next_stage(home, after=done)
        if stage is None:
            return dg.SkipReason(f"nothing after {done} is stale")
        job, tags = stage
        return dg.RunRequest(f"{chain}-{job}", tags={tag: chain, **tags}, job_name=job)

    return next_stage
