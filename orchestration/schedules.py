"""When stages run by themselves: ingestion every hour, everything that is stale every night (UTC)."""

import dagster as dg

from orchestration.jobs import CHAIN_TAG, features, ingestion
from resources.home import Home
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


ALL = [hourly_ingestion, nightly_refresh]
