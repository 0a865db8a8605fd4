"""Wakes training where enough has matured or drifted, and the gate where a challenger waits for a decision.

Both read what the ledger stage measured and decide; every decision is a row. What was decided and whose run was never started
is asked for again, so that a crash between a decision and its run loses nothing.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

from assets.evaluations.grid import Cell
from assets.language.emotion_model.registry import CELL as TEXTS
from assets.models.assets import training_cells
from resources.home import Home
from sensors.leftovers import UNFINISHED, end_leftovers
from sensors.refresh import under_way

if TYPE_CHECKING:
    from assets.evaluations.trigger import Fate

ATTEMPTS = 3
"""Runs of the gate on the same challengers and outcomes."""
DECISION = "upswell/decision/"
"""How the tags of a training run begin, one per decision that asked for it."""


def training_sensor(training: Any, emotions: Any, gate_name: str, chain_tag: str) -> dg.SensorDefinition:
    """The sensor that asks for a training run of the cells that need one, and of the emotion model where that does.

    Args:
        training: The job of the forecasters.
        emotions: The job of the emotion model.
        gate_name: The job that may be judging what an earlier run trained.
        chain_tag: Marks the run, so that figures and report follow it.
    """

    @dg.sensor(
        name="training",
        jobs=[training, emotions],
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Newly matured labels, a growing error or drift of features: one run trains the cells that need it.",
    )
    def sensor(context: dg.SensorEvaluationContext, home: Home) -> list[dg.RunRequest] | dg.SkipReason:
        from assets.evaluations.decisions import decisions, record
        from assets.evaluations.trigger import FIRED, should_train

        if busy := _busy(context.instance, home, training.name, emotions.name, gate_name):
            return dg.SkipReason(busy)

        def fate(decision_id: str) -> "Fate":
            return _fate(context.instance, decision_id)

        warehouse, settings, now = home.warehouse, home.settings, home.now()
        decided = {
            cell: should_train(warehouse, settings, cell, now, fate)
            for cell in [*training_cells(home), *emotion_cells(home)]
        }
        known = {decision.decision_id for decision in decisions(warehouse, kind="training")}
        if new := [decision for decision in decided.values() if decision.decision_id not in known]:
            with warehouse.write() as con:
                for decision in new:
                    record(con, decision)
        asked = {cell: one.decision_id for cell, one in decided.items() if one.outcome == FIRED}
        if not asked:
            return dg.SkipReason("; ".join(f"{cell}: {one.why}" for cell, one in decided.items()) or "no cell to train")
        cells = {str(cell): name for cell, name in asked.items() if cell != TEXTS}
        requests = []
        if cells:
            config = {"models__runs": {"config": {"cells": list(cells), "decision_ids": cells}}}
            requests.append(_request(training.name, config, sorted(cells.values()), chain_tag))
        if name := asked.get(TEXTS):
            config = {"models__emotions": {"config": {"decision_id": name}}}
            requests.append(_request(emotions.name, config, [name], chain_tag))
        return requests

    return sensor


def emotion_cells(home: Home) -> list[Cell]:
    """The cell of the emotion model, where there are labelled texts or a model of it."""
    there = home.warehouse.query(
        """SELECT 1 FROM raw.texts UNION ALL SELECT 1 FROM models.versions WHERE target = $emotions
           UNION ALL SELECT 1 FROM raw.labels WHERE label = $emotions LIMIT 1""",
        {"emotions": TEXTS.target},
    )
    return [TEXTS] if there.num_rows else []


def _request(job: str, ops: dict[str, Any], decision_ids: Sequence[str], chain_tag: str) -> dg.RunRequest:
    """A run that carries out some decisions, once."""
    key = _key(decision_ids)
    return dg.RunRequest(
        run_key=key,
        job_name=job,
        run_config={"ops": ops},
        tags={chain_tag: key, **{f"{DECISION}{name}": "asked" for name in decision_ids}},
    )


def gate_sensor(gate: Any, training_name: str, chain_tag: str) -> dg.SensorDefinition:
    """The sensor that asks for the gate where a challenger was registered and not judged.

    Args:
        gate: The job.
        training_name: The job that judges what it has trained.
        chain_tag: Marks the run, so that figures and report follow it.
    """

    @dg.sensor(
        name="gate",
        job=gate,
        minimum_interval_seconds=15,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A challenger without a decision is judged once enough videos that it has not seen have matured.",
    )
    def sensor(context: dg.SensorEvaluationContext, home: Home) -> dg.RunRequest | dg.SkipReason:
        from assets.evaluations.promotion import undecided

        if busy := _busy(context.instance, home, gate.name, training_name):
            return dg.SkipReason(busy)
        open_cells = undecided(home.warehouse, home.settings)
        if not open_cells:
            return dg.SkipReason("every challenger has been judged")
        key = _key(["gate", *_challengers(home, open_cells), _targets(home)])
        tries = context.instance.get_runs_count(dg.RunsFilter(job_name=gate.name, tags={chain_tag: key}))
        if tries >= ATTEMPTS:
            return dg.SkipReason(f"{tries} runs of {gate.name} decided nothing on these data; see their logs")
        return dg.RunRequest(run_key=f"{key}-{tries}", tags={chain_tag: key})

    return sensor


def _busy(instance: dg.DagsterInstance, home: Home, *jobs: str) -> str | None:
    """Which run has to end first, if any; those whose process is gone are ended."""
    end_leftovers(instance, home.folder)
    return under_way(instance, *jobs)


def _fate(instance: dg.DagsterInstance, decision_id: str) -> "Fate":
    """What became of the run of a decision that left no row of its training."""
    runs = instance.get_runs(dg.RunsFilter(tags={f"{DECISION}{decision_id}": "asked"}), limit=1)
    if not runs:
        return "unheard"
    if runs[0].status in UNFINISHED:
        return "running"
    return "done" if runs[0].status == dg.DagsterRunStatus.SUCCESS else "ended"


def _challengers(home: Home, open_cells: Sequence[Cell]) -> list[str]:
    from assets.models.registry import CHALLENGER, registered

    found = [registered(home.warehouse, cell, CHALLENGER) for cell in open_cells]
    return [row["version"] for row in found if row is not None]


def _targets(home: Home) -> str:
    """When outcomes were last written."""
    rows = home.warehouse.query(
        """SELECT max(written_at) AS at FROM lineage.partitions WHERE "table" = 'features.targets'"""
    ).to_pylist()
    return str(rows[0]["at"])


def _key(parts: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:16]
