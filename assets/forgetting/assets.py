"""The asset of forgetting: completes what was interrupted, then forgets what the rules of the sources no longer let be kept.

Wiring only; what is done is in `run`. A person forgets a channel or video with `upswell forget`, without a run: a run would
keep the name in its configuration.
"""

import dagster as dg

from assets.policies import describe, markdown, retry
from resources.home import Home


@dg.asset(
    key=["raw", "forgotten"],
    group_name="raw",
    deps=[["raw", "landings"]],
    retry_policy=retry,
    code_version="1",
    pool="warehouse",
    **describe("raw.forgotten"),
)
def forgotten(context: dg.AssetExecutionContext, home: Home) -> dg.MaterializeResult:
    """Forgets what is overdue, once nobody else works on the home."""
    from assets.forgetting.run import complete, forget_overdue, stored, unfinished

    others = runs_under_way(context.instance, without=context.run_id)
    if others:
        raise dg.Failure(f"{others[0]} is under way: what is overdue goes when it has ended")
    warehouse, settings, now = home.warehouse, home.settings, home.now()
    done = [complete(warehouse, settings, task, now, context.log.info) for task in unfinished(home.folder)]
    overdue = forget_overdue(warehouse, settings, now, context.log.info)
    done += [overdue] if overdue is not None else []
    shown = ("ended_at", "kind", "source", "why", "videos", "records", "landings", "rows", "files", "found")
    latest = [{name: row[name] for name in shown} for row in stored(warehouse)[:20]]
    return dg.MaterializeResult(
        metadata={
            "forgotten now": len(done),
            "records": sum(each["records"] for each in done),
            "models whose training set is withdrawn": sum(len(each["models_made_from_them"]) for each in done),
            "rules": markdown([{"source": name, "rule": settings.policy(name).describe()} for name in _sources(home)]),
            "latest": markdown(latest),
        }
    )


def runs_under_way(instance: dg.DagsterInstance, without: str = "") -> list[str]:
    """The runs that may still write what they have read, each in words."""
    started = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    runs = instance.get_runs(dg.RunsFilter(statuses=started))
    return [f"run {run.run_id} of job {run.job_name}" for run in runs if run.run_id != without]


def _sources(home: Home) -> list[str]:
    from assets.raw.anchors import landed_sources

    return landed_sources(home.warehouse)
