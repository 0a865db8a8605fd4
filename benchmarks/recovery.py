"""What the loop wins back after the simulated world changes, beside champions of before if they had never been retrained.

The platform's own functions in their order, week by week on the replay clock of one home per seed: files arrive, features are
rebuilt, champions forecast, forecasts are scored, drift is measured, the trigger decides, the trainer trains and the gate judges.
Skill is 1 - MAE by that of the best naive forecaster on the same videos, per week of publication.
"""

import json
import multiprocessing
import os
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from assets.evaluations.backtest import fit, split
from assets.evaluations.decisions import Decision, decisions, record
from assets.evaluations.drift import measure_drift
from assets.evaluations.grid import Cell
from assets.evaluations.ledger import write_forecasts
from assets.evaluations.promotion import decide, roll_back_if_worse, unguarded
from assets.evaluations.scored_forecasts import score_forecasts
from assets.evaluations.served import frame_as_of, with_forecasts
from assets.evaluations.trigger import FIRED, Fate, should_train
from assets.features.build import TABLES
from assets.features.stale import ranges, rebuild, stale_days
from assets.models.forecasters import naive_for
from assets.models.order import Order
from assets.models.task import Task
from assets.models.train import carry_out
from assets.models.training_runs import Outcome, orders_for, outcome_of, register
from assets.raw.anchors import source_anchors
from assets.raw.ingest import ingest
from resources import clock
from resources.settings import Settings, load_settings, midnight
from resources.simulator import SimulatorConfig, write_landings
from resources.trainer.stop import Stop
from warehouse.connection import Warehouse

SEEDS, DAYS, DRIFT_DAY = (1, 2, 3, 4, 5), 200, 90
SOURCE, TARGET, CUTOFFS = "simulator", "log_views_7d", ("24h", "72h")
FIRST_DAY, EVERY = 35, 7
LATE_WEEKS = 4
SERVED = timedelta(weeks=3)
TARGET_SHARE = 0.8
FEWEST = 50
"""A week with fewer scored videos is left out: the videos of a week that is only half over."""


@dataclass(frozen=True)
class Life:
    """What happened to a cell of one world.

    Attributes:
        skill: Per week of publication (from the first day) the skill of the `loop`, and of two champions kept for ever: the `first`,
            and the `latest` that had served for three weeks when the drift came. Missing before they were chosen.
        trainings: Trainings that the trigger asked for, before and after the drift.
        promotions: Challengers that came to serve, before and after the drift.
        rollbacks: Champions taken from service.
        because: Reasons of the trainings after the drift.
    """

    skill: pd.DataFrame
    trainings: tuple[int, int]
    promotions: tuple[int, int]
    rollbacks: int
    because: tuple[str, ...]


def run(*, quick: bool = False, settings: str = "") -> list[dict[str, Any]]:
    """Per cutoff the share of the lost skill that came back, per seed and pooled.

    Args:
        quick: One world of 140 days, one cutoff.
        settings: Further text of the homes' `upswell.yaml`.
    """
    seeds, days, cutoffs = (SEEDS[:1], 140, CUTOFFS[:1]) if quick else (SEEDS, DAYS, CUTOFFS)
    configs = [SimulatorConfig(seed=seed, days=days, drift_day=DRIFT_DAY) for seed in seeds]
    spawned = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(len(seeds), os.cpu_count() or 1), mp_context=spawned) as processes:
        worlds = list(processes.map(partial(_one_world, cutoffs=cutoffs, text=settings), configs))
    lives = {cutoff: {seed: world[cutoff] for seed, world in zip(seeds, worlds, strict=True)} for cutoff in cutoffs}
    return [row for cutoff, of_seed in lives.items() for row in _figures(cutoff, of_seed)]


def _one_world(config: SimulatorConfig, cutoffs: tuple[str, ...], text: str) -> dict[str, Life]:
    with tempfile.TemporaryDirectory(prefix="upswell-recovery-") as folder, threadpool_limits(1):
        home = Path(folder)
        cells = [Cell(SOURCE, TARGET, cutoff) for cutoff in cutoffs]
        (home / "upswell.yaml").write_text(text)
        world = _Loop(Warehouse(home), load_settings(home), cells)
        files = write_landings(config, home / "inbox")
        for day in range(FIRST_DAY, config.days + 1, EVERY):
            arrived, files = files[: day - world.day], files[day - world.day :]
            world.step(config.start, day, arrived)
        return {cell.cutoff: _life(world, cell, config.start) for cell in cells}


class _Loop:
    """A home whose clock moves; what the daemon would do at each step is done in order."""

    def __init__(self, warehouse: Warehouse, settings: Settings, cells: list[Cell]) -> None:
        self.warehouse, self.settings, self.cells = warehouse, settings, cells
        self.day = 0
        self._ended: set[str] = set()

    def step(self, start: date, day: int, arrived: list[Path]) -> None:
        """The files of some days arrive, and everything that follows from it."""
        self.day = day
        now = midnight(start + timedelta(days=day))
        clock.set_replay(self.warehouse.home, now)
        for path in arrived:
            ingest(self.warehouse, self.settings, path, now=now)
        anchors = source_anchors(self.warehouse)
        for first, last in ranges(stale_days(self.warehouse, self.settings, anchors, now)):
            for name in TABLES:
                rebuild(name, self.warehouse, self.settings, anchors, first, last + timedelta(days=1), now, "benchmark")
        write_forecasts(self.warehouse, self.settings, now, "benchmark", unguarded)
        score_forecasts(self.warehouse, self.settings, now, "benchmark", unguarded)
        measure_drift(self.warehouse, self.settings, now, "benchmark", unguarded)
        for cell in self.cells:
            self._learn(cell, now)

    def _learn(self, cell: Cell, now: datetime) -> None:
        decision = should_train(self.warehouse, self.settings, cell, now, self._fate)
        with self.warehouse.write() as con:
            record(con, decision)
        if decision.outcome == FIRED:
            self._train(cell, now, decision.decision_id)
        decide(self.warehouse, self.settings, cell, now, "benchmark")
        roll_back_if_worse(self.warehouse, self.settings, cell, now, "benchmark")

    def _train(self, cell: Cell, now: datetime, decision_id: str) -> None:
        training = self.settings.training
        asked = orders_for(self.warehouse, self.settings, cell, training.forecasters, now=now, run_id="benchmark")
        outcomes = [_trained(order, now) for order in asked.orders]
        register(self.warehouse, asked, outcomes, decision_id=decision_id, run_id="benchmark", now=now, guard=unguarded)
        self._ended.add(decision_id)

    def _fate(self, decision_id: str) -> Fate:
        return "done" if decision_id in self._ended else "unheard"


def _trained(order: Order, now: datetime) -> Outcome:
    order.write()
    carry_out(order, lambda line: None, Stop())
    return outcome_of(order, None, "local", 1, now, now)


def _life(world: _Loop, cell: Cell, start: date) -> Life:
    drifted = midnight(start + timedelta(days=DRIFT_DAY))
    made = decisions(world.warehouse, cell)
    fired = [one for one in made if one.kind == "training" and one.outcome == FIRED]
    served = [one for one in made if one.outcome in ("first", "promoted")]
    latest = [one for one in served if one.decided_at < drifted - SERVED][-1]
    return Life(
        _skill(world, cell, start, {"first": served[0], "latest": latest}),
        _before_and_after([one.decided_at for one in fired], drifted),
        _before_and_after([one.decided_at for one in served], drifted),
        sum(one.outcome == "rolled_back" for one in made),
        tuple(str(one.numbers["because"]) for one in fired if one.decided_at >= drifted),
    )


def _before_and_after(times: list[datetime], moment: datetime) -> tuple[int, int]:
    before = sum(time < moment for time in times)
    return before, len(times) - before


def _skill(world: _Loop, cell: Cell, start: date, kept: dict[str, Decision]) -> pd.DataFrame:
    """Skill per week over the videos that the ledger scored: the loop's, and of models kept since the decisions that chose them."""
    scored = world.warehouse.query(
        """SELECT video_id, error AS loop FROM evaluations.scores
           WHERE source = $source AND target = $target AND cutoff = $cutoff""",
        vars(cell),
    ).to_pandas()
    frame = frame_as_of(world.warehouse, world.settings, cell, start)
    rows = frame.merge(scored, on="video_id")
    for name, decision in kept.items():
        said = with_forecasts(world.warehouse, str(decision.version), rows[frame.columns])
        rows[name] = (said["point"] - rows["value"]).abs()
    week = (rows["anchor_at"] - pd.Timestamp(start)).dt.days // 7
    task = Task.of(world.settings, cell.target, cell.cutoff)
    weeks = {
        number: _of_week(rows[week == number], split(frame, start + timedelta(weeks=number))[0], task, ["loop", *kept])
        for number in range(int(week.max()) + 1)
        if (week == number).sum() >= FEWEST
    }
    skill = pd.DataFrame.from_dict(weeks, orient="index")
    for name, decision in kept.items():
        skill.loc[skill.index < (decision.decided_at - midnight(start)) / timedelta(weeks=1), name] = np.nan
    return skill


def _of_week(rows: pd.DataFrame, train: pd.DataFrame, task: Task, names: list[str]) -> dict[str, float]:
    """Skill on a week's videos; the naive forecasters know what had matured when the week began."""
    naive = min(
        float(np.abs(fit(name, task, train).predict(rows)["point"] - rows["value"]).mean()) for name in naive_for(task)
    )
    return {name: 1 - float(rows[name].mean()) / naive for name in names}


def _figures(cutoff: str, lives: dict[int, Life]) -> list[dict[str, Any]]:
    """Shares of each seed, then of all together, of the skill that each of the two kept champions lost."""
    rows = []
    for who in ("first", "latest"):
        parts = {seed: _parts(life.skill, who) for seed, life in lives.items()}
        mean = pd.DataFrame(parts.values()).mean()
        named = f"{TARGET} at {cutoff}, {who} champion before the drift"
        for seed, one in parts.items():
            rows.append(
                _row(f"{named}, seed {seed}: {_told(one)}; {_counted(lives[seed])}", _won(one), "reported", True)
            )
        rows += [
            _row(
                f"{named}, {len(lives)} seeds: lost skill that the loop wins back ({_told(mean)})",
                _won(mean),
                f"at least {TARGET_SHARE}",
                _won(mean) >= TARGET_SHARE,
            ),
            _row(
                f"{named}, {len(lives)} seeds: the same, never retrained, since the {LATE_WEEKS} weeks after the drift",
                (mean["kept"] - mean["after"]) / (mean["before"] - mean["kept"]),
                f"below {TARGET_SHARE}",
                (mean["kept"] - mean["after"]) / (mean["before"] - mean["kept"]) < TARGET_SHARE,
            ),
        ]
    return rows


def _parts(skill: pd.DataFrame, who: str) -> dict[str, float]:
    """Mean skill of a kept champion before the drift and just after it, and of it and the loop in the last weeks."""
    week = DRIFT_DAY // 7  # the week that the drift falls in counts for neither side
    since = skill[skill.index > week]
    late = since.tail(LATE_WEEKS)
    return {
        "before": skill.loc[skill.index < week, who].mean(),
        "after": since.head(LATE_WEEKS)[who].mean(),
        "kept": late[who].mean(),
        "loop": late["loop"].mean(),
    }


def _won(parts: Any) -> float:
    return float((parts["loop"] - parts["kept"]) / (parts["before"] - parts["kept"]))


def _told(parts: Any) -> str:
    return (
        f"skill {parts['before']:.3f} before the drift; in the last {LATE_WEEKS} weeks {parts['kept']:.3f} "
        f"if never retrained, {parts['loop']:.3f} with the loop"
    )


def _counted(life: Life) -> str:
    reasons = ", ".join(f"{life.because.count(name)} {name}" for name in dict.fromkeys(life.because))
    return (
        f"{life.trainings[0]} + {life.trainings[1]} trainings ({reasons}) and {life.promotions[0]} + {life.promotions[1]} "
        f"promotions before and after it, {life.rollbacks} rollbacks"
    )


def _row(figure: str, value: float, target: str, ok: bool) -> dict[str, Any]:
    return {
        "benchmark": "recovery",
        "figure": figure,
        "value": round(value, 4),
        "unit": "of the lost skill",
        "reference": None,
        "ratio": None,
        "target": target,
        "ok": bool(ok),
    }


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv[1:]), indent=1))
