"""Tells of failed runs, in the log and to a webhook, once per job and error until that job succeeds again.

What was told lies in the cursor, whose size is bounded; a webhook that is down is tried again on the next ticks, three times at most.
Nothing is mended here.
"""

import hashlib
import json
import re
import urllib.request
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from resources.home import Home
from resources.secrets import redact, secret
from resources.settings import Alerts

TRIES = 3
_TIMEOUT_S = 5.0
_OVERLAP = timedelta(minutes=2)
_PAGE = 200
_MOST_REMEMBERED = 200
_SAME = re.compile(r"[0-9a-f]{8}-[0-9a-f-]{27}|\b[0-9a-f]{12,}\b|\d+")
"""Parts of an error that differ between runs that fail for the same reason."""


@dataclass
class Told:
    """What the sensor remembers between ticks.

    Attributes:
        since: Failures before this time (ISO) have been looked at.
        seen: Runs at or after it that have been looked at.
        known: Per job and error (`job/fingerprint`) when it failed first (ISO); forgotten when the job succeeds.
        unsent: Alerts that the webhook has not taken yet, with the tries made.
    """

    since: str = "1971-01-01T00:00:00+00:00"
    seen: list[str] = field(default_factory=list)
    known: dict[str, str] = field(default_factory=dict)
    unsent: list[dict[str, Any]] = field(default_factory=list)


def failure_sensor() -> dg.SensorDefinition:
    """The sensor that alerts."""

    @dg.sensor(
        name="failures",
        minimum_interval_seconds=30,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A failed run is told once, in the log and to the webhook of the settings, until its job succeeds again.",
    )
    def sensor(context: dg.SensorEvaluationContext, home: Home) -> dg.SensorResult:
        told = Told(**json.loads(context.cursor)) if context.cursor else Told()
        _forget_mended(context.instance, told)
        fresh = _fresh(context.instance, told)
        for alert in fresh:
            context.log.error(alert["text"])
        pending = [*told.unsent, *({**alert, "tries": 0} for alert in fresh)]
        told.unsent = _send(pending, home.settings.alerts, home, context.log)
        told.known = dict(list(told.known.items())[-_MOST_REMEMBERED:])
        said = f"told of {len(fresh)} failed runs" if fresh else "no new failure"
        return dg.SensorResult(skip_reason=said, cursor=json.dumps(asdict(told)))

    return sensor


def _mended(instance: dg.DagsterInstance, job: str) -> str:
    """When a job last succeeded (ISO); empty where it never has."""
    succeeded = dg.RunsFilter(job_name=job, statuses=[dg.DagsterRunStatus.SUCCESS])
    last = instance.get_run_records(succeeded, limit=1, order_by="update_timestamp")
    return last[0].update_timestamp.isoformat() if last else ""


def _forget_mended(instance: dg.DagsterInstance, told: Told) -> None:
    """Forgets the errors of jobs that have succeeded since."""
    mended = {job: _mended(instance, job) for job in {key.partition("/")[0] for key in told.known}}
    told.known = {key: at for key, at in told.known.items() if at > mended[key.partition("/")[0]]}


def _fresh(instance: dg.DagsterInstance, told: Told) -> list[dict[str, Any]]:
    """Failures that were not told yet and whose job has not succeeded since; notes them."""
    since = datetime.fromisoformat(told.since)
    failed = dg.RunsFilter(statuses=[dg.DagsterRunStatus.FAILURE], updated_after=since - _OVERLAP)
    records = instance.get_run_records(failed, limit=_PAGE, order_by="update_timestamp", ascending=True)
    alerts = []
    for record in records:
        run, at = record.dagster_run, record.update_timestamp.isoformat()
        if run.run_id in told.seen or at <= _mended(instance, run.job_name):
            continue
        error = redact(_error(instance, run.run_id))
        key = f"{run.job_name}/{hashlib.sha256(_SAME.sub('#', error).encode()).hexdigest()[:16]}"
        if key not in told.known:
            text = f"{run.job_name} failed: {error} (run {run.run_id})"
            alerts.append({"job": run.job_name, "run_id": run.run_id, "text": text})
        told.known[key] = at
    told.seen = [record.dagster_run.run_id for record in records]
    told.since = max([told.since, *(record.update_timestamp.isoformat() for record in records)])
    return alerts


def _error(instance: dg.DagsterInstance, run_id: str) -> str:
    """The first error of a run, in one line."""
    events = instance.all_logs(run_id, of_type={dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE})
    for event in events:
        data = event.dagster_event.event_specific_data if event.dagster_event else None
        error = getattr(data, "error", None)
        while error is not None and error.cause is not None:
            error = error.cause
        if error is not None:
            return " ".join(error.message.split())[:500]
    return next((" ".join(event.message.split())[:500] for event in events if event.message), "no word of why")


def _send(alerts: Sequence[dict[str, Any]], to: Alerts, home: Home, log: Any) -> list[dict[str, Any]]:
    """Posts alerts to the webhook, if there is one; gives back those to be tried again."""
    if to.webhook is None or not alerts:
        return []
    left = []
    for alert in alerts:
        try:
            _post(secret("alerts_webhook", home.folder) if to.webhook == "secret" else to.webhook, alert, home)
        except (OSError, ValueError) as error:
            tries = alert["tries"] + 1
            log.warning(f"the webhook did not take an alert ({tries} of {TRIES}): {redact(_without_url(error, to))}")
            if tries < TRIES:
                left.append({**alert, "tries": tries})
    return left


def _post(url: str, alert: dict[str, Any], home: Home) -> None:
    body = {"text": alert["text"], "job": alert["job"], "run_id": alert["run_id"], "home": home.folder.name}
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
        answer.read(1024)


def _without_url(error: Exception, to: Alerts) -> str:
    """An error without the webhook's address, which may let anybody post."""
    return str(error).replace(to.webhook or "", "[webhook]")
