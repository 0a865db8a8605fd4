"""A study of one cell: its training rows are frozen, the search goes on from the trials that are kept, and each is kept as it ends.

What is tried on which folds is in `study`; the rows of the trials are in `trials`.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from assets.evaluations.grid import Cell
from assets.evaluations.rows import as_arrow
from assets.evaluations.served import frame_as_of
from assets.features.frame import load_frame
from assets.models.fit_run import FitRun, fit_run
from assets.models.forecasters import default_for, fixed_parameters, lacks
from assets.models.order import uses_device
from assets.models.search.spaces import SearchError, TooFewRowsError, space_of
from assets.models.search.study import search, study_id
from assets.models.search.trials import Study, Trial, keep_trial, stored_trials
from assets.models.task import Task
from assets.models.training_runs import freeze_rows, origin_for, training_rows
from resources.settings import Settings
from resources.trainer.device import held, resolve
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

SEARCH = "search"
"""Who froze a training set that was searched on."""


@dataclass(frozen=True)
class Searched:
    """What a search gave.

    Attributes:
        study: What was searched.
        trials: Every trial of the study.
        new: How many of them this run added.
    """

    study: Study
    trials: tuple[Trial, ...]
    new: int

    @property
    def best(self) -> Trial | None:
        """The complete trial with the smallest error, or None."""
        complete = [trial for trial in self.trials if trial.state == "complete"]
        return min(complete, key=lambda trial: (trial.value, trial.number), default=None)


def search_cell(
    warehouse: Warehouse,
    settings: Settings,
    cell: Cell,
    forecaster: str | None,
    trials: int,
    *,
    seed: int,
    timeout_s: float | None,
    run_id: str,
    now: Callable[[], datetime],
    guard: Callable[[], None],
    log: Callable[[str], None] = lambda line: None,
) -> Searched:
    """Search a forecaster's parameters on the rows that a training run of the cell would fit on now.

    Args:
        warehouse: Where features are read and trials are kept.
        settings: What the target is, and how many videos are left for judging.
        cell: The cell.
        forecaster: Name; None is the default of the cell's task.
        trials: How many trials the study is to have; those that it has already count.
        seed: Seed of what is tried and of the fits.
        timeout_s: No trial begins after so many seconds.
        run_id: Dagster run.
        now: The home's clock.
        guard: Raises where the Dagster run has ended.
        log: Told of each trial.

    Raises:
        SearchError: The forecaster cannot be searched for the cell, or too few rows have matured.
        DeviceError: The device is absent or held by another process.
        ValueError: The settings refuse the cell.
    """
    task = Task.of(settings, cell.target, cell.cutoff)
    name = forecaster or default_for(task)
    space_of(name)
    train, row = _frozen_rows(warehouse, settings, cell, now(), run_id)
    if reason := lacks(name, train):
        raise SearchError(f"{name}: {reason}")
    fixed = fixed_parameters(settings, name)
    set_id, origin = row["training_set_id"], row["origin"]
    study = Study(study_id(set_id, name, seed, fixed), cell.source, cell.target, cell.cutoff, name, set_id, origin)
    rows = as_arrow(pd.DataFrame([row]), "models.training_sets")
    with warehouse.write() as con:
        guard()
        append_rows(con, table("models.training_sets"), rows)
    known = stored_trials(warehouse, study.study)

    def keep(trial: Trial) -> None:
        guard()
        keep_trial(warehouse, study, trial, run_id)
        log(f"trial {trial.number} of {trials}: {trial.state}, error {trial.value} on {len(trial.errors)} folds")

    with ExitStack() as during:
        if uses_device(name):
            device = resolve(settings.training.device)
            during.enter_context(held(warehouse.home, device))
            during.enter_context(fit_run(FitRun(device=device)))
        done = search(
            train, task, name, trials, seed, now=now, fixed=fixed, known=known, keep=keep, timeout_s=timeout_s
        )
    return Searched(study, tuple(done), len(done) - len(known))


def _frozen_rows(
    warehouse: Warehouse, settings: Settings, cell: Cell, now: datetime, run_id: str
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The rows that a training run would fit on now, and the row of `models.training_sets` that names them."""
    frame = load_frame(warehouse, settings, cell.source, cell.target, cell.cutoff)
    origin = origin_for(frame, settings, now)
    if origin is None:
        raise TooFewRowsError(
            f"{cell}: fewer than {settings.gate.rows} videos have matured, which a model has to be judged on; wait for more"
        )
    train = training_rows(frame_as_of(warehouse, settings, cell, origin), origin)
    if train.empty:
        raise TooFewRowsError(f"{cell}: nothing had matured by {origin}; wait for more videos")
    return train, freeze_rows(warehouse, cell, train, origin, SEARCH, run_id, now)
