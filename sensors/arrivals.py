"""Starts a refresh when landings have arrived, and every hour as moments pass: from features to forecasts and report.

It asks what is stale and works on nothing. What follows each stage is in `refresh`.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from resources.home import Home
from sensors.leftovers import UNFINISHED, end_leftovers
from sensors.refresh import STAGES, nightly_requests

EVERY = timedelta(hours=1)
"""Without any landing, how often (by the home's clock) the videos that have passed a cutoff get their rows and forecasts."""
ATTEMPTS = 3


def arrivals_sensor(features: Any, ingestion_name: str, tag: str) -> dg.SensorDefinition:
    """The sensor that starts a chained refresh.

    Args:
        features: The job of the first stage.
        ingestion_name: The job whose run is waited for.
        tag: Marks the runs of a chain, with its name as the value.
    """

    @dg.sensor(
        name="arrivals",
        job=features,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="New landings, or an hour: stale features are rebuilt; content, forecasts, backtests and report follow.",
    )
    def sensor(context: dg.SensorEvaluationContext, home: Home) -> dg.SensorResult | dg.SkipReason:
        last = json.loads(context.cursor or "{}")
        now, landings = home.now(), _landings(home)
        if landings is None:
            return dg.SkipReason("nothing has landed yet")
        end_leftovers(context.instance, home.folder)
        for job in (ingestion_name, *STAGES):
            if active := context.instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=1):
                return dg.SkipReason(f"run {active[0].run_id} of {job} is under way")
        failed = _failed(context.instance, tag, last)
        due = landings != last.get("landings") or failed or now - _time(last, now) >= EVERY
        if not due:
            return dg.SkipReason("nothing has landed since the last refresh")
        tries = int(last.get("tries", 0)) + 1 if failed else 0
        chain = hashlib.sha256(f"{landings} {now} {tries}".encode()).hexdigest()[:16]
        cursor = json.dumps({"landings": landings, "at": now.isoformat(), "chain": chain, "tries": tries})
        requests = nightly_requests(home, {tag: chain})
        if not requests:
            return dg.SensorResult([], cursor=cursor, skip_reason=None)
        return dg.SensorResult(requests, cursor=cursor)

    return sensor


def _landings(home: Home) -> str | None:
    """Fingerprint of the landings that there are; None without any."""
    rows = home.warehouse.query(
        "SELECT count(*) AS n, bit_xor(hash(landing_id, contract_version)) AS landings FROM raw.landings"
    ).to_pylist()
    return f"{rows[0]['n']}-{rows[0]['landings']}" if rows[0]["n"] else None


def _failed(instance: dg.DagsterInstance, tag: str, last: Mapping[str, Any]) -> bool:
    """Whether a run of the last chain failed and may be tried again."""
    if "chain" not in last or int(last["tries"]) >= ATTEMPTS - 1:
        return False
    of_chain = dg.RunsFilter(tags={tag: last["chain"]}, statuses=[dg.DagsterRunStatus.FAILURE])
    return instance.get_runs_count(of_chain) > 0


def _time(last: Mapping[str, Any], now: datetime) -> datetime:
    return datetime.fromisoformat(last["at"]) if "at" in last else now
