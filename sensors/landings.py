"""Wakes ingestion when complete files lie in the inbox: one run takes all of them.

It lists, it does not read. A file that a failed run left behind is asked for again, at most three times, until it changes.
"""

import hashlib
from pathlib import Path

import dagster as dg

from assets.raw.assets import waiting
from resources.home import Home

ATTEMPTS = 3
BATCH = 500
FILES_TAG = "upswell/files"
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]


def landing_sensor(job_name: str) -> dg.SensorDefinition:
    """The sensor that asks for a run of the ingestion job."""

    @dg.sensor(
        name="landing_sensor",
        job_name=job_name,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="All complete files of the inbox go into one ingestion run.",
    )
    def sensor(context: dg.SensorEvaluationContext, home: Home) -> dg.RunRequest | dg.SkipReason:
        paths = waiting(home.inbox)[:BATCH]
        if not paths:
            return dg.SkipReason(f"no complete file in {home.inbox}")
        files = identity(paths)
        active = context.instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=UNFINISHED), limit=1)
        if active:
            return dg.SkipReason(f"run {active[0].run_id} is ingesting")
        earlier = context.instance.get_runs_count(dg.RunsFilter(job_name=job_name, tags={FILES_TAG: files}))
        if earlier >= ATTEMPTS:
            return dg.SkipReason(
                f"{earlier} runs left {paths[0].name} (and {len(paths) - 1} more) behind; see their logs"
            )
        config = {"ops": {"landings": {"config": {"paths": [str(path) for path in paths]}}}}
        return dg.RunRequest(run_key=f"{files}-{earlier}", run_config=config, tags={FILES_TAG: files})

    return sensor


def identity(paths: list[Path]) -> str:
    """Names, sizes and times of files as one short name; what it names is worth one more try."""
    parts = [f"{path.name} {(status := path.stat()).st_size} {status.st_mtime_ns}" for path in paths]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:24]
