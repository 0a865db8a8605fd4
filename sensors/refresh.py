"""Carries a refresh from stage to stage: features, language, content, the ledger and what it says, backtests, then figures and report.

Each step asks what is stale at that moment, and asks for no stage that is under way: whose run that is goes on with what follows.
What starts a chain, and what takes up what no chain has done, is in `arrivals`; the nightly schedule starts one too.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

import dagster as dg

from assets.embeddings.stale import content_is_stale
from assets.evaluations.assets import Grid, chosen_cells, latest_origins, settings_of
from assets.evaluations.stale import evaluation_is_stale, ledger_is_stale
from assets.features.stale import ranges, stale_days
from assets.language.stale import language_is_stale
from assets.raw.anchors import source_anchors
from resources.home import Home
from sensors.leftovers import UNFINISHED

STAGES = ("features", "language", "content", "ledger", "backtests", "evaluation")
"""The stages of a refresh in their order; each is a job of that name."""
LEARNING = ("training", "gate")
"""Jobs that change which model serves: its forecasts, figures and report follow them."""
AFTER_LEARNING = ("ledger", "evaluation")
"""The stages that these make stale; backtests do not ask who serves."""
LEARNED = "upswell/learned"
"""Marks the runs of a chain that such a job began."""
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
    if not found and stale_stage(home):
        found = [(home.now().date(), home.now().date())]
    return [dg.RunRequest(tags={**range_tags(*days), **tags}) for days in found]


def stale_stage(
    home: Home, stages: Sequence[str] = STAGES[1:], under_way: Callable[[str], bool] = lambda stage: False
) -> tuple[str, dict[str, str]] | None:
    """The first stale one of some stages, as its job and the tags of its run.

    None where that stage is under way. Only the ledger is not waited for: no later stage is made from it but the report.

    Args:
        home: The home.
        stages: Which, in their order.
        under_way: Whether a run of a stage has not ended.
    """
    for stage in stages:
        tags = _stale(home, stage)
        if tags is None or (stage == "ledger" and under_way(stage)):
            continue
        return None if under_way(stage) else (stage, tags)
    return None


def _stale(home: Home, stage: str) -> dict[str, str] | None:
    """The tags of the run that a stage needs; None where it needs none."""
    if stage == "backtests":
        origins = stale_origins(home, Grid())
        return range_tags(origins[0], origins[-1]) if origins else None
    stale = {
        "language": lambda: language_is_stale(home.warehouse, home.settings),
        "content": lambda: content_is_stale(home.warehouse, home.settings, home.now()),
        "ledger": lambda: ledger_is_stale(home.warehouse),
        "evaluation": lambda: evaluation_is_stale(home.warehouse, home.settings),
    }
    return {} if stale[stage]() else None


def under_way(instance: dg.DagsterInstance, *jobs: str) -> str | None:
    """Which run of some jobs has not ended, whoever asked for it; None where all have."""
    for job in jobs:
        if active := instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=1):
            return f"run {active[0].run_id} of {job} is under way"
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
        tags, done = context.dagster_run.tags, context.dagster_run.job_name
        chain = tags.get(tag)
        if not chain:
            return dg.SkipReason("not part of a refresh")
        others = dg.RunsFilter(job_name=done, tags={tag: chain}, statuses=UNFINISHED)
        if context.instance.get_runs_count(others):
            return dg.SkipReason(f"other {done} runs of this refresh are not done yet")
        learned = done in LEARNING or LEARNED in tags
        later = STAGES[STAGES.index(done) + 1 :] if done in STAGES else STAGES
        stages = [stage for stage in later if stage in AFTER_LEARNING] if learned else later
        found = stale_stage(home, stages, lambda stage: under_way(context.instance, stage) is not None)
        if found is None:
            return dg.SkipReason(f"nothing after {done} is stale, or it is being made")
        job, of_job = found
        marks = {tag: chain, **({LEARNED: "yes"} if learned else {})}
        return dg.RunRequest(f"{chain}-{job}", tags={**marks, **of_job}, job_name=job)

    return next_stage
