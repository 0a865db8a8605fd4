"""Starts a refresh when landings have arrived, and every hour as moments pass; takes up what is left stale once all is at rest.

It asks what is stale and works on nothing. What follows each stage is in `refresh`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from assets.embeddings.stale import content_is_stale
from assets.evaluations.stale import FIGURES, LEDGER, REPORTS, evaluation_is_stale, ledger_is_stale
from assets.language.stale import language_is_stale
from resources.home import Home
from sensors.leftovers import end_leftovers
from sensors.refresh import LEARNING, STAGES, range_tags, stale_ranges, stale_stage, under_way

EVERY = timedelta(hours=1)
"""Without any landing, how often (by the home's clock) the videos that have passed a cutoff get their rows and forecasts."""
ATTEMPTS = 3
"""Runs of a stage that fail on the same state of the home; then it is left until something changes, or to the nightly schedule."""


@dataclass(frozen=True)
class Seen:
    """What the sensor remembers between ticks.

    Attributes:
        landings: Fingerprint of the landings that a refresh was last asked for.
        at: Time by the home's clock of that.
        written: Fingerprint of what had been made when it last looked for stale stages.
        chain: The chain that it started last; empty where nothing was to do.
        failures: Failed runs per stage, of its chains, on the same state of the home.
        state: That state.
    """

    landings: str = ""
    at: str = ""
    written: str = ""
    chain: str = ""
    failures: dict[str, int] = field(default_factory=dict)
    state: str = ""


def arrivals_sensor(jobs: Mapping[str, Any], ingestion_name: str, tag: str) -> dg.SensorDefinition:
    """The sensor that starts a chained refresh.

    Args:
        jobs: The job of each stage.
        ingestion_name: The job whose run is waited for.
        tag: Marks the runs of a chain, with its name as the value.
    """

    @dg.sensor(
        name="arrivals",
        jobs=[jobs[stage] for stage in STAGES],
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="New landings, or an hour: stale features are rebuilt; content, forecasts, backtests and report follow.",
    )
    def sensor(context: dg.SensorEvaluationContext, home: Home) -> dg.SensorResult | dg.SkipReason:
        now, state = home.now(), _state(home)
        if state is None:
            return dg.SkipReason("nothing has landed yet")
        end_leftovers(context.instance, home.folder)
        if busy := under_way(context.instance, ingestion_name, *STAGES):
            return dg.SkipReason(busy)
        seen = Seen(**json.loads(context.cursor or "{}"))
        failed = _failed(context.instance, tag, seen.chain)
        due = state["landings"] != seen.landings or now - _time(seen.at, now) >= EVERY
        if not due and not failed and state["written"] == seen.written:
            return dg.SkipReason("nothing has landed or changed since the last refresh")
        if not due and (busy := under_way(context.instance, *LEARNING)):
            return dg.SkipReason(busy)
        same = seen.failures if seen.state == state["inputs"] else {}
        failures = {**same, **{job: same.get(job, 0) + 1 for job in failed}}
        seen = replace(seen, written=state["written"], state=state["inputs"], failures=failures, chain="")
        if due:
            seen = replace(seen, landings=state["landings"], at=now.isoformat())
        requests = _requests(home, due or "features" in failed)
        if not requests:
            return _result(seen, "nothing is stale")
        job = str(requests[0].job_name)
        if failures.get(job, 0) >= ATTEMPTS:
            return _result(seen, f"{failures[job]} runs of {job} failed on the same data; see their logs")
        chain = hashlib.sha256(f"{context.cursor} {now} {sorted(state.items())}".encode()).hexdigest()[:16]
        chained = [
            dg.RunRequest(f"{chain}-{number}", job_name=job, tags={tag: chain, **request.tags})
            for number, request in enumerate(requests)
        ]
        return dg.SensorResult(chained, cursor=json.dumps(asdict(replace(seen, chain=chain))))

    return sensor


def _requests(home: Home, moments: bool) -> list[dg.RunRequest]:
    """What to run first: a features run per stale range, where moments have passed or something landed; else the first stale stage.

    Whether backtests are stale costs reading every cell, and where they are so is the report: it is asked only then.
    """
    if moments and (found := stale_ranges(home)):
        return [dg.RunRequest(job_name="features", tags=range_tags(*days)) for days in found]
    warehouse, settings = home.warehouse, home.settings
    stale = (
        moments
        or language_is_stale(warehouse, settings)
        or content_is_stale(warehouse, settings, home.now())
        or ledger_is_stale(warehouse)
        or evaluation_is_stale(warehouse, settings)
    )
    stage = stale_stage(home) if stale else None
    return [dg.RunRequest(job_name=stage[0], tags=stage[1])] if stage else []


def _state(home: Home) -> dict[str, str] | None:
    """Fingerprints of what has landed, of what later stages are made from, and of who wrote what when; None without any landing."""
    row = home.warehouse.query(
        """WITH made AS (
               SELECT bit_xor(hash("table", partition, run_id, written_at)) AS written,
                      bit_xor(hash("table", partition, input_version))
                          FILTER ("table" NOT IN ($figures, $reports, $ledger)) AS inputs
               FROM lineage.partitions WHERE partition <> 'begun')
           SELECT (SELECT count(*) FROM raw.landings) AS n,
                  (SELECT bit_xor(hash(landing_id, contract_version)) FROM raw.landings) AS landings,
                  (SELECT bit_xor(hash(version, alias)) FROM models.versions WHERE alias IS NOT NULL) AS serving,
                  (SELECT count(*) FROM models.runs) AS trainings, (SELECT count(*) FROM evaluations.decisions) AS decisions,
                  made.inputs, made.written FROM made""",
        {"figures": FIGURES, "reports": REPORTS, "ledger": LEDGER},
    ).to_pylist()[0]
    if not row["n"]:
        return None
    landings = f"{row['n']}-{row['landings']}"
    learned = f"{row['serving']} {row['trainings']} {row['decisions']} {home.settings.model_dump_json()}"
    inputs = hashlib.sha256(f"{landings} {learned} {row['inputs']}".encode()).hexdigest()[:16]
    return {"landings": landings, "inputs": inputs, "written": f"{inputs}-{row['written']}"}


def _failed(instance: dg.DagsterInstance, tag: str, chain: str) -> set[str]:
    """The jobs of which a run of a chain failed; none where there is no chain."""
    if not chain:
        return set()
    of_chain = dg.RunsFilter(tags={tag: chain}, statuses=[dg.DagsterRunStatus.FAILURE])
    return {run.job_name for run in instance.get_runs(of_chain)}


def _result(seen: Seen, why: str) -> dg.SensorResult:
    return dg.SensorResult(skip_reason=why, cursor=json.dumps(asdict(seen)))


def _time(at: str, now: datetime) -> datetime:
    return datetime.fromisoformat(at) if at else now
