"""Wakes ingestion when complete files lie in the inbox: one run takes all of them.

It lists, it does not read. The cursor counts how often each file that still waits was asked for: what failed runs leave
behind is tried three times, until it changes, and holds up nothing else.
"""

import hashlib
import json
from pathlib import Path

import dagster as dg

from assets.raw.assets import report_waiting, waiting
from resources.home import Home
from sensors.leftovers import UNFINISHED, end_leftovers

ATTEMPTS = 3
BATCH = 500


def landing_sensor(job_name: str) -> dg.SensorDefinition:
    """The sensor that asks for a run of the ingestion job."""

    @dg.sensor(
        name="landing_sensor",
        job_name=job_name,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="All complete files of the inbox go into one ingestion run.",
    )
    def sensor(context: dg.SensorEvaluationContext, home: Home) -> dg.SensorResult | dg.SkipReason:
        report_waiting(context.instance, home)
        active = context.instance.get_runs(dg.RunsFilter(job_name=job_name, statuses=UNFINISHED), limit=1)
        if active and active[0].run_id not in end_leftovers(context.instance, home.folder):
            return dg.SkipReason(f"run {active[0].run_id} is ingesting")
        try:
            found = {path: identity(path) for path in waiting(home.inbox)}
        except FileNotFoundError as error:
            return dg.SkipReason(f"{error.filename} is being moved")
        tries = {name: number for name, number in json.loads(context.cursor or "{}").items() if name in found.values()}
        paths = [path for path, name in found.items() if tries.get(name, 0) < ATTEMPTS][:BATCH]
        if not paths:
            left = (
                f"{ATTEMPTS} runs left {min(found).name} behind ({len(found)} files in all); see their logs"
                if found
                else ""
            )
            return dg.SkipReason(left or f"no complete file in {home.inbox}")
        tries |= {found[path]: tries.get(found[path], 0) + 1 for path in paths}
        config = {"ops": {"landings": {"config": {"paths": [str(path) for path in paths]}}}}
        key = hashlib.sha256(json.dumps([[found[path], tries[found[path]]] for path in paths]).encode()).hexdigest()
        return dg.SensorResult([dg.RunRequest(run_key=key[:24], run_config=config)], cursor=json.dumps(tries))

    return sensor


def identity(path: Path) -> str:
    """Place, size and time of a file as one short name; what it names is worth one more try."""
    status = path.stat()
    return hashlib.sha256(f"{path} {status.st_size} {status.st_mtime_ns}".encode()).hexdigest()[:16]
