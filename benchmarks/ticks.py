"""The sensors of training and of the gate, 1,000 ticks over random arrivals, failures, kills and restarts: is any training lost or doubled?

Sensors, instance, run storage and warehouse are real; features, runs and models are rows as the stages leave them, written here.
The ticks are divided over processes that share only home and instance on disk; every second one is killed between a decision and
its run. What is due is reckoned here from those rows, apart from the trigger.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.storage.tags import RUN_KEY_TAG, SENSOR_NAME_TAG

from assets.evaluations.decisions import Decision, decisions, fingerprint, record
from assets.evaluations.grid import MIN_TRAIN, Cell
from assets.features.frame import features_fingerprint
from assets.models.registry import CHALLENGER, CHAMPION, TRAINING, registered, set_alias
from orchestration import jobs
from orchestration.definitions import build_definitions
from orchestration.instance import open_instance
from resources import clock
from resources.home import Home
from resources.settings import cutoff_age
from sensors.leftovers import UNFINISHED, hold_up, process_tag
from sensors.training import DECISION
from warehouse.arrow import schema_of
from warehouse.contracts import table
from warehouse.lineage import record_partitions
from warehouse.writer import append_rows

TICKS, PROCESSES = 1_000, 12
START = datetime(2025, 1, 1)
CELLS = (Cell("simulator", "log_views_7d", "24h"), Cell("simulator", "log_views_7d", "72h"))
KEPT, ENOUGH, SHARE, ERROR = 100, 60, 0.05, 1.15
SETTINGS = f"""
training:
  targets: [log_views_7d]
  cutoffs: [24h, 72h]
  trigger: {{matured_share: {SHARE}, min_matured: {ENOUGH}, error: {ERROR}}}
gate: {{rows: {KEPT}}}
"""
PER_DAY = 48
"""Videos that are published, evenly; features are rebuilt now and then, so their labels come in bursts."""
BROKEN_EVERY, BROKEN_FOR = 100, 30
"""In the last ticks of every so many nothing arrives and every training fails, until the trigger gives up."""
DRAIN = 20
"""In the last ticks nothing arrives and all goes well: what is due by then has to be answered, or was given up."""
ATTEMPTS = 3
LOG = "ticks.jsonl"


class World:
    """What arrives in the home and what is due by it."""

    def __init__(self, home: Home) -> None:
        self.home, self.warehouse = home, home.warehouse

    def arrive(self, now: datetime) -> None:
        """Features of the videos whose outcome has matured since they were last built, and of no other."""
        known = self.warehouse.query("SELECT count(*) AS n FROM features.content").to_pylist()[0]["n"]
        until = int((now - timedelta(days=7) - START) / timedelta(days=1) * PER_DAY)
        if until <= known:
            return
        parts = [(f"v{number:06d}", START + timedelta(days=1) * (number / PER_DAY)) for number in range(known, until)]
        rows = [_features(video, anchor) for video, anchor in parts]
        with self.warehouse.write() as con:
            for name in ("content", "targets", "channel"):
                _insert(con, f"features.{name}", [row for of_video in rows for row in of_video[name]])
            record_partitions(con, "features.targets", [("all", f"{until}", until)], "benchmark", now)

    def drift(self, rng: np.random.Generator, now: datetime) -> None:
        """What the ledger stage says of the champions: most often that all is well."""
        with self.warehouse.write() as con:
            for cell in CELLS:
                found = con.execute(
                    "SELECT version FROM models.versions WHERE alias = ? AND cutoff = ?", [CHAMPION, cell.cutoff]
                ).fetchone()
                if found is None:
                    continue
                row = vars(cell) | {"version": found[0], "data_version": now.isoformat(), "clock": "replay"}
                row |= {"measure": "error", "feature": "all", "value": float(rng.choice([1.0, 1.3], p=[0.7, 0.3]))}
                sizes = {"n_reference": 1000, "n_recent": ENOUGH}
                _insert(con, "evaluations.drift", [row | sizes | {"run_id": "benchmark", "measured_at": now}])

    def trainable(self, cell: Cell) -> tuple[int, date | None]:
        """Rows that a training would have now, and its origin."""
        anchors = self.warehouse.query(
            "SELECT anchor_at, matured_at FROM features.targets ORDER BY anchor_at DESC"
        ).to_pandas()
        if len(anchors) < KEPT:
            return 0, None
        origin = anchors["anchor_at"].iloc[KEPT - 1].normalize()
        known = (anchors["anchor_at"] + cutoff_age(cell.cutoff) <= origin) & (anchors["matured_at"] <= origin)
        return int(known.sum()), origin.date()

    def due(self, cell: Cell) -> str | None:
        """Why a training is due, holds apart."""
        rows, _ = self.trainable(cell)
        models = self.warehouse.query(
            """SELECT n_train, alias FROM models.versions WHERE cutoff = $cutoff
               ORDER BY created_at DESC, n_train DESC""",
            {"cutoff": cell.cutoff},
        ).to_pylist()
        if rows < MIN_TRAIN:
            return None
        if not models:
            return "first"
        gained = rows - models[0]["n_train"]
        serving = [model for model in models if model["alias"] == CHAMPION]
        if gained < ENOUGH:
            return None
        if not serving:
            return "none serves"
        if gained >= SHARE * serving[0]["n_train"]:
            return "labels"
        newest = self.warehouse.query(
            """SELECT d.value FROM evaluations.drift d JOIN models.versions v USING (version)
               WHERE v.alias = 'champion' AND d.cutoff = $cutoff ORDER BY d.measured_at DESC LIMIT 1""",
            {"cutoff": cell.cutoff},
        ).to_pylist()
        return "error" if newest and newest[0]["value"] >= ERROR else None

    def failed(self, cell: Cell) -> int:
        """Trainings of a cell that is due, asked for since anything last arrived or drifted."""
        changed = self.warehouse.query(
            """SELECT greatest(
                   (SELECT max(written_at) FROM lineage.partitions),
                   coalesce((SELECT max(measured_at) FROM evaluations.drift), $start)) AS at""",
            {"start": START},
        ).to_pylist()[0]["at"]
        made = decisions(self.warehouse, cell, "training")
        return sum(one.outcome == "fired" and one.decided_at >= changed for one in made)


class Daemon:
    """What stands between a sensor and a model: run keys are used once; runs begin, and end well or not."""

    def __init__(self, instance: dg.DagsterInstance, world: World, rng: np.random.Generator) -> None:
        self.instance, self.world, self.rng = instance, world, rng
        definitions = build_definitions()
        self.jobs = {job.name: definitions.resolve_job_def(job.name) for job in (jobs.training, jobs.gate)}
        self.sensors = {name: definitions.resolve_sensor_def(name) for name in ("training", "gate")}
        self.resources = {"home": world.home}

    def ask(self, name: str) -> list[dg.RunRequest]:
        """One tick of a sensor."""
        context = dg.build_sensor_context(self.instance, resources=self.resources, sensor_name=name)
        return list(self.sensors[name].evaluate_tick(context).run_requests or [])

    def submit(self, name: str, request: dg.RunRequest) -> None:
        """A run for a request whose key is new, in the queue."""
        assert request.run_key is not None
        if self.instance.get_runs_count(dg.RunsFilter(tags={SENSOR_NAME_TAG: name, RUN_KEY_TAG: request.run_key})):
            return
        tags = {**request.tags, SENSOR_NAME_TAG: name, RUN_KEY_TAG: request.run_key}
        if self.rng.random() < 0.3:
            tags |= process_tag()  # a run that dies with this process
        self.instance.create_run_for_job(self.jobs[name], run_config=request.run_config, tags=tags)

    def work(self, now: datetime, broken: bool, well: bool) -> None:
        """Queued runs begin; some of those under way end."""
        for run in self.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED)):
            mine = run.tags.get("upswell/process") in (None, *process_tag().values())
            if run.status == dg.DagsterRunStatus.NOT_STARTED:
                self._say(run, DagsterEventType.PIPELINE_START)
            elif mine and (well or self.rng.random() < 0.5):
                self._end(run, now, "raise" if broken else "done" if well else None)

    def _end(self, run: dg.DagsterRun, now: datetime, fate: str | None) -> None:
        fate = fate or str(self.rng.choice(["done", "open", "row", "raise"], p=[0.55, 0.15, 0.15, 0.15]))
        if run.job_name == jobs.gate.name:
            if fate in ("done", "open"):
                self._judge(run, now)
            done = fate in ("done", "open")
        else:
            done = self._train(run, now, fate)
        if done:
            self._say(run, DagsterEventType.PIPELINE_SUCCESS)
        else:
            self.instance.report_run_failed(run)

    def _train(self, run: dg.DagsterRun, now: datetime, fate: str) -> bool:
        """What a run leaves: models (`done`), the same but killed before the gate (`open`), a failed row (`row`), or nothing."""
        asked: Any = run.run_config
        config = asked["ops"]["models__runs"]["config"]
        if fate == "raise":
            return False
        for name in config["cells"]:
            cell = Cell(*name.split("/"))
            rows, origin = self.world.trainable(cell)
            assert origin is not None
            row = _training(cell, rows, origin, config["decision_ids"][name], run.run_id, now, fate != "row")
            with self.world.warehouse.write() as con:
                _insert(con, "models.runs", [row])
                if fate != "row":
                    _insert(con, "models.versions", [_version(row, cell)])
                    set_alias(con, cell, row["version"], CHALLENGER)
        if fate == "done":
            self._judge(run, now)
        return fate == "done"

    def _judge(self, run: dg.DagsterRun, now: datetime) -> None:
        """Every challenger against what serves, as the gate does: once."""
        for cell in CELLS:
            warehouse = self.world.warehouse
            challenger, champion = (registered(warehouse, cell, alias) for alias in (CHALLENGER, CHAMPION))
            if challenger is None:
                continue
            version, against = challenger["version"], None if champion is None else champion["version"]
            wins = champion is None or self.rng.random() < 0.6
            decision = Decision(
                decision_id=fingerprint("gate", cell, version, against, run.run_id),
                kind="gate",
                **vars(cell),
                outcome="promoted" if wins else "kept",
                why="chance",
                numbers={},
                clock="replay",
                decided_at=now,
                version=version,
                against=against,
                run_id=run.run_id,
            )
            judged = [(one.version, one.against) for one in decisions(warehouse, cell, "gate")]
            if (version, against) in judged:
                continue
            with warehouse.write() as con:
                record(con, decision)
                if wins:
                    set_alias(con, cell, version, CHAMPION)

    def _say(self, run: dg.DagsterRun, kind: DagsterEventType) -> None:
        self.instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)


def _features(video: str, anchor: datetime) -> dict[str, list[dict[str, Any]]]:
    of = {"source": "simulator", "video_id": video, "anchor_day": anchor.date(), "anchor_at": anchor}
    matured = anchor + timedelta(days=7)
    known = {"observed_at": matured, "matured_at": matured, "status": "matured", "value": 1.0}
    return {
        "content": [of | {"first_seen_at": anchor, "known_at": anchor}],
        "targets": [of | known | {"target": "log_views_7d"}],
        "channel": [
            of | {"cutoff": cell.cutoff, "as_of": anchor + cutoff_age(cell.cutoff), "channel_videos": 0, "channel_growth_count": 0}
            for cell in CELLS
        ],
    }  # fmt: skip


def _training(
    cell: Cell, rows: int, origin: date, decision_id: str, run_id: str, now: datetime, done: bool
) -> dict[str, Any]:
    """A row of `models.runs`."""
    training_id = fingerprint("training", cell, decision_id, run_id)
    of = vars(cell) | {"training_id": training_id, "decision_id": decision_id, "run_id": run_id, "origin": origin}
    texts = {"forecaster": "ridge", "training_set_id": str(rows), "launcher": "local", "precision": "fp32"}
    device = {"device": "cpu", "device_name": "cpu", "processes": 1, "resumed": 0, "seconds": 1.0}
    came = {"state": "done", "version": f"m-{training_id}"} if done else {"state": "failed", "why": "chance"}
    return of | texts | device | came | {"rows": rows, "started_at": now, "ended_at": now}


def _version(run: dict[str, Any], cell: Cell) -> dict[str, Any]:
    """The row of `models.versions` of a training that is done."""
    kept = {name: run[name] for name in ("version", "forecaster", "origin", "training_set_id", "run_id", "training_id")}
    texts = dict.fromkeys(("schema_fingerprint", "data_version", "uri", "sha256"), "benchmark")
    made = {"n_train": run["rows"], "feature_fingerprint": features_fingerprint(), "made_by": TRAINING}
    return vars(cell) | kept | texts | made | {"alias": None, "created_at": run["ended_at"]}


def _insert(con: Any, name: str, rows: list[dict[str, Any]]) -> None:
    append_rows(con, table(name), pa.Table.from_pylist(rows, schema_of(table(name))))


def live(folder: Path, seed: int, first: int, last: int, ticks: int, dies: int) -> None:
    """One process: the ticks from `first` up to `last`; `dies` kills it at the first run that a sensor asks for in its second half."""
    rng = np.random.default_rng([seed, first])
    home = Home(path=str(folder))
    lock = hold_up(folder)
    assert lock is not None, "another process of this benchmark lives"
    with open_instance(folder) as instance:
        daemon = Daemon(instance, World(home), rng)
        for tick in range(first, last):
            mortal = bool(dies) and tick >= (first + last) // 2
            _tick(daemon, tick, ticks, rng, mortal)


def _tick(daemon: Daemon, tick: int, ticks: int, rng: np.random.Generator, mortal: bool) -> None:
    """Time passes, something arrives, runs go on, both sensors are asked."""
    world, folder = daemon.world, daemon.world.home.folder
    drain, broken = tick >= ticks - DRAIN, tick % BROKEN_EVERY >= BROKEN_EVERY - BROKEN_FOR
    hours = 12.0 if drain else rng.uniform(0, 10)
    now = world.home.now() + timedelta(hours=float(hours))
    clock.set_replay(folder, now)
    if not drain and not broken:
        if rng.random() < 0.5:
            world.arrive(now)
        if rng.random() < 0.3:
            world.drift(rng, now)
    daemon.work(now, broken and not drain, drain)
    entry: dict[str, Any] = {"tick": tick}
    for name in ("training", "gate"):
        began, cpu = time.perf_counter(), time.process_time()
        requests = daemon.ask(name)
        entry[f"{name}_ms"] = 1000 * (time.perf_counter() - began)
        entry[f"{name}_cpu_ms"] = 1000 * (time.process_time() - cpu)
        if requests and mortal:
            _log(folder, entry | {"killed": name})
            os.kill(os.getpid(), signal.SIGKILL)
        for request in requests:
            daemon.submit(name, request)
    under_way = daemon.instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    entry["under_way"] = [run.job_name for run in under_way]
    _log(folder, entry)


def _log(folder: Path, entry: dict[str, Any]) -> None:
    with (folder / LOG).open("a") as file:
        file.write(json.dumps(entry) + "\n")


@dataclass(frozen=True)
class Found:
    """What the home and its instance say at the end.

    Attributes:
        log: One entry per tick.
        asked: Decisions that fired, by cell.
        runs: Training runs.
        rows: Rows of `models.runs`.
        waited: Reasons of the decisions that waited.
        gate: Gate decisions as (cell, challenger, champion).
        open: Cells that are due at the end, and challengers that were not judged.
    """

    log: list[dict[str, Any]]
    asked: dict[Cell, list[Decision]]
    runs: list[dg.DagsterRun]
    rows: list[dict[str, Any]]
    waited: list[str]
    gate: list[tuple[str, str | None, str | None]]
    open: list[str]


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Counts of what must not happen, and milliseconds per tick."""
    ticks = 100 if quick else TICKS
    with tempfile.TemporaryDirectory(prefix="upswell-ticks-") as name:
        folder = Path(name).resolve()
        (folder / "upswell.yaml").write_text(SETTINGS)
        clock.set_replay(folder, START + timedelta(days=14))
        processes = _restarts(folder, ticks, 25 if quick else -(-ticks // PROCESSES))
        found = _look(folder)
    return _figures(found, processes)


def _restarts(folder: Path, ticks: int, at_once: int) -> int:
    """Lets one process after the other live until all ticks are done; how many there were."""
    done = processes = 0
    while done < ticks:
        last = min(done + at_once, ticks)
        asked = [str(value) for value in (folder, 0, done, last, ticks, int(processes % 2 and last < ticks))]
        ended = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "benchmarks.ticks", *asked],
            env={**os.environ, "UPSWELL_HOME": str(folder)},
            check=False,
        )
        if ended.returncode not in (0, -signal.SIGKILL):
            raise RuntimeError(f"the process of the ticks from {done} ended with {ended.returncode}")
        done = _read_log(folder)[-1]["tick"] + 1
        processes += 1
    return processes


def _read_log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def _look(folder: Path) -> Found:
    home = Home(path=str(folder))
    world, warehouse = World(home), home.warehouse
    made = decisions(warehouse)
    training = [one for one in made if one.kind == "training"]
    with open_instance(folder) as instance:
        runs = list(instance.get_runs(dg.RunsFilter(job_name=jobs.training.name)))
    gate = [(str(one.cell), one.version, one.against) for one in made if one.kind == "gate"]
    judged = {version for _, version, _ in gate}
    unjudged = warehouse.query("SELECT version FROM models.versions WHERE alias = 'challenger'").to_pylist()
    return Found(
        _read_log(folder),
        {cell: [one for one in training if one.outcome == "fired" and one.cell == cell] for cell in CELLS},
        runs,
        warehouse.query("SELECT * FROM models.runs ORDER BY started_at").to_pylist(),
        [str(one.numbers["because"]) for one in training if one.outcome == "waited"],
        gate,
        [str(cell) for cell in CELLS if world.due(cell) and world.failed(cell) < ATTEMPTS]
        + [row["version"] for row in unjudged if row["version"] not in judged],
    )


def _figures(found: Found, processes: int) -> list[dict[str, Any]]:
    fired = [one for of_cell in found.asked.values() for one in of_cell]
    runs_of = [sum(f"{DECISION}{one.decision_id}" in run.tags for run in found.runs) for one in fired]
    done = [row for row in found.rows if row["state"] == "done"]
    sets = [(row["cutoff"], row["rows"]) for row in done]
    killed = sum("killed" in entry for entry in found.log)
    ticks = len(found.log)
    what = (
        f"{ticks:,} ticks of both sensors in {processes} processes, {killed} killed before a run was asked for; "
        f"{len(fired)} trainings of {len(CELLS)} cells asked for, {len(done)} done, "
        f"{found.waited.count('given_up')} given up after their attempts"
    )
    lost = len(found.open) + sum(count == 0 for count in runs_of)
    return [
        _row(f"{what}: lost (due at the end and not answered, or decided without a run)", lost, "none", lost == 0),
        _row("decisions with two runs, or one state of the data trained twice", *_none(sum(count > 1 for count in runs_of) + len(sets) - len(set(sets)))),
        _row("ticks with two training runs under way", *_none(sum(entry.get("under_way", []).count("training") > 1 for entry in found.log))),
        _row("ticks with a gate run beside a training run", *_none(sum(len(set(entry.get("under_way", []))) > 1 for entry in found.log))),
        _row("decisions inside the cool-down, or beyond the cap of the window", *_none(sum(_early(of_cell) for of_cell in found.asked.values()))),
        _row("training decisions with a row other than one", *_none(len(fired) - len({one.decision_id for one in fired}))),
        _row("challengers judged twice against one champion", *_none(len(found.gate) - len(set(found.gate)))),
        *(_speed(found.log, name) for name in ("training", "gate")),
    ]  # fmt: skip


def _speed(log: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """CPU time of a tick, which does not hang on who else is on the machine."""
    wall, cpu = ([entry[key] for entry in log if key in entry] for key in (f"{name}_ms", f"{name}_cpu_ms"))
    figure = (
        f"CPU time of a tick of {name}, median (p99 {np.percentile(cpu, 99):.0f}; wall {statistics.median(wall):.0f})"
    )
    return _row(figure, statistics.median(cpu), "at most 1,000", statistics.median(cpu) <= 1000, "ms")


def _none(count: int) -> tuple[int, str, bool]:
    return count, "none", count == 0


def _early(fired: list[Decision]) -> int:
    """Trainings of a cell too soon after another by the home's clock, as the shipped settings hold them."""
    times = [one.decided_at for one in fired]
    close = sum(later - earlier < timedelta(days=1) for earlier, later in pairwise(times))
    full = sum(sum(start <= time < start + timedelta(days=7) for time in times) > 4 for start in times)
    return close + full


def _row(figure: str, value: float, target: str, ok: bool, unit: str = "") -> dict[str, Any]:
    return {
        "benchmark": "ticks",
        "figure": figure,
        "value": value,
        "unit": unit,
        "reference": None,
        "ratio": None,
        "target": target,
        "ok": bool(ok),
    }


if __name__ == "__main__":
    live(Path(sys.argv[1]), *(int(value) for value in sys.argv[2:7]))
