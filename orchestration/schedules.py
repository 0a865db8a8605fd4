"""When stages run by themselves: sources as the settings say, ingestion every hour, forgetting and everything that is stale every night (UTC)."""

from datetime import UTC

import dagster as dg

from orchestration.jobs import CHAIN_TAG, collection, features, forgetting, ingestion
from resources import clock
from resources.home import Home
from resources.settings import CollectedSource, default_home, load_settings
from sensors.refresh import nightly_requests

hourly_ingestion = dg.ScheduleDefinition(
    name="hourly_ingestion",
    job=ingestion,
    cron_schedule="0 * * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Takes whatever the landing sensor has not.",
)


@dg.schedule(
    name="nightly_refresh",
    job=features,
    cron_schedule="30 3 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Rebuilds stale feature days; backtests, figures and report follow.",
)
def nightly_refresh(context: dg.ScheduleEvaluationContext, home: Home) -> list[dg.RunRequest] | dg.SkipReason:
    """One features run per range of stale days."""
    requests = nightly_requests(home, {CHAIN_TAG: context.scheduled_execution_time.strftime("%Y%m%dT%H%M")})
    return requests or dg.SkipReason("everything is up to date")


SOURCE_TAG = "upswell/source"
"""On the runs of a schedule that collects: which source of the settings."""


def collections() -> list[dg.ScheduleDefinition]:
    """A schedule for each source of the settings of the home; a changed file counts when definitions are loaded again."""
    return [_collection(name, source) for name, source in load_settings(default_home()).collect.sources.items()]


def _collection(name: str, source: CollectedSource) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=f"collect_{name}",
        job=collection,
        cron_schedule=source.cron,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Collects {name} with {source.collector}: what the settings name, and what is due.",
    )
    def schedule(context: dg.ScheduleEvaluationContext, home: Home) -> dg.RunRequest | dg.SkipReason:
        if clock.mode(home.folder) == "replay":
            return dg.SkipReason("the home is on its replay clock")
        tick = context.scheduled_execution_time.astimezone(UTC).replace(tzinfo=None)
        if home.now() - tick >= source.every:
            return dg.SkipReason("missed while nothing ran; the next tick takes up what is due")
        return dg.RunRequest(
            run_config={"ops": {"raw__collections": {"config": {"source": name}}}}, tags={SOURCE_TAG: name}
        )

    return schedule


daily_forgetting = dg.ScheduleDefinition(
    name="daily_forgetting",
    job=forgetting,
    cron_schedule="15 2 * * *",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="What the rules of the sources no longer let be kept goes.",
)

ALL = [hourly_ingestion, nightly_refresh, daily_forgetting]
