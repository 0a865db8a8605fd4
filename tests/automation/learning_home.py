"""A small home that learns by its own sensors, and what ticks them: like the daemon, but in this process and on a replay clock."""

import os
import shutil
from collections import Counter
from datetime import date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.execution.api import execute_run

from orchestration.definitions import build_definitions
from resources.clock import set_replay
from resources.home import Home
from resources.simulator import SimulatorConfig, write_landings
from sensors.leftovers import UNFINISHED
from tests.orchestration.small_home import NO_SHIPPED_TARGETS
from warehouse.connection import Warehouse

SENSORS = ("landing_sensor", "arrivals", "next_stage", "training", "gate")
START, FIRST, SECOND = date(2025, 1, 1), datetime(2025, 1, 25), datetime(2025, 1, 29)
SETTINGS = (
    """\
start: 2025-01-01
first_origin: 2025-01-06
cutoffs: [pre, 24h]
evaluation: {targets: [log_views_3d], cutoffs: [24h], origins: 1}
embeddings: {text: null, image: null, audio: null, video: null, required: []}
training:
  forecasters: [ridge]
  device: cpu
  trigger: {min_matured: 30, matured_share: 0.1, cool_down: 1h, attempts: 2}
gate: {rows: 60, false_promotion: 0.3, coverage: [0.4, 1.0], slice_rows: 500}
targets:
  log_views_3d: {metric: views, anchor: published_at, horizon: 3d, tolerance: 24h, transform: log}
"""
    + NO_SHIPPED_TARGETS
)


def new_home(folder: Path) -> Path:
    """An empty home with the small settings, on the replay clock."""
    (folder / "inbox").mkdir(parents=True)
    (folder / "upswell.yaml").write_text(SETTINGS)
    set_replay(folder, FIRST)
    return folder


def simulated(folder: Path) -> tuple[list[Path], list[Path]]:
    """Landing files, one per day: those until the first moment, and those until the second."""
    config = SimulatorConfig(days=28, videos_per_day=30, channels=25, drift_day=None, start=START)
    files = write_landings(config, folder)
    return files[:24], files[24:]


class Platform:
    """Ticks the sensors of a home and runs what they ask for, oldest first, until nothing more is asked."""

    def __init__(self, home: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = home, instance
        self.home = Home(path=str(home))
        self.definitions = build_definitions(resource_overrides={"home": self.home})
        self.repository = self.definitions.get_repository_def()
        self.cursors: dict[str, str | None] = {}
        self.most = 0
        """Most runs of one job that were unfinished at once."""

    def land(self, files: list[Path], now: datetime) -> None:
        """Files arrive in the inbox by a moment."""
        set_replay(self.folder, now)
        for path in files:
            arrived = Path(shutil.copy(path, self.folder / "inbox"))
            os.utime(arrived, (0, 0))  # complete: not written to since

    def tick(self, name: str) -> tuple[list[dg.DagsterRun], str | None]:
        """One tick of a sensor: the runs that are queued for it now, and why none is."""
        sensor = self.repository.get_sensor_def(name)
        data = self.look(name)
        self.cursors[name] = data.cursor
        queued = [run for request in data.run_requests or [] if (run := self._queue(sensor, request)) is not None]
        return queued, data.skip_message

    def look(self, name: str) -> SensorExecutionData:
        """What a sensor asks for; a daemon that is killed now has kept and queued nothing of it."""
        context = dg.build_sensor_context(
            instance=self.instance,
            cursor=self.cursors.get(name),
            repository_def=self.repository,
            resources={"home": self.home},
            sensor_name=name,
        )
        return self.repository.get_sensor_def(name).evaluate_tick(context)

    def execute(self, run: dg.DagsterRun) -> dg.DagsterRun:
        """Runs what is queued; how it ended."""
        job = self.definitions.resolve_job_def(run.job_name)
        execute_run(InMemoryJob(job), run, self.instance)
        ended = self.instance.get_run_by_id(run.run_id)
        assert ended is not None
        return ended

    def queued(self) -> list[dg.DagsterRun]:
        """What waits to be run, oldest first."""
        return list(reversed(self.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))))

    def rest(self, rounds: int = 40) -> list[tuple[str, bool]]:
        """Ticks and runs until two rounds of ticks in a row ask for nothing; the runs: their job, and whether they went well."""
        ran: list[tuple[str, bool]] = []
        calm = 0
        for _ in range(rounds):
            for name in SENSORS:
                self.tick(name)
            waiting = self.queued()
            self.most = max([self.most, *Counter(run.job_name for run in waiting).values()])
            calm = 0 if waiting else calm + 1
            if calm == 2:
                return ran
            ran += [(run.job_name, self.execute(run).is_success) for run in waiting[:1]]
        raise AssertionError(f"not at rest after {rounds} rounds: {ran}")

    def begin(self, job: str, **tags: str) -> dg.DagsterRun:
        """A run of a job that somebody else asked for, not ended yet."""
        return self.instance.create_run_for_job(
            self.definitions.resolve_job_def(job), tags=tags, status=dg.DagsterRunStatus.NOT_STARTED
        )

    def end(self, run: dg.DagsterRun, *, well: bool) -> None:
        """Ends a run that has done nothing."""
        if not well:
            self.instance.report_run_failed(run, "ended by the test")
            return
        success = dg.DagsterEvent(event_type_value=dg.DagsterEventType.RUN_SUCCESS.value, job_name=run.job_name)
        self.instance.report_dagster_event(success, run.run_id)

    def _queue(self, sensor: dg.SensorDefinition, request: dg.RunRequest) -> dg.DagsterRun | None:
        """A run for a request, unless one was made for its key, as the daemon does it."""
        of_sensor = {"dagster/sensor_name": sensor.name}
        keyed = {**of_sensor, **({"dagster/run_key": request.run_key} if request.run_key else {})}
        if request.run_key and self.instance.get_runs_count(dg.RunsFilter(tags=keyed)):
            return None
        job = self.definitions.resolve_job_def(request.job_name or sensor.job_name)
        return self.instance.create_run_for_job(
            job,
            run_config={"loggers": {"console": {"config": {}}}, **request.run_config},
            tags={**request.tags, **keyed},
            status=dg.DagsterRunStatus.NOT_STARTED,
        )


def rows(home: Path, sql: str) -> list[dict[str, Any]]:
    """Rows of a home's warehouse."""
    return Warehouse(home).query(sql).to_pylist()


def decided(home: Path, kind: str) -> list[str]:
    """The outcomes of the decisions of a kind, oldest first."""
    sql = "SELECT kind, outcome FROM evaluations.decisions ORDER BY decided_at, decision_id"
    return [row["outcome"] for row in rows(home, sql) if row["kind"] == kind]


def do(home: Path, *statements: str) -> None:
    """Changes a home's warehouse by hand."""
    with Warehouse(home).write() as con:
        for statement in statements:
            con.execute(statement)
