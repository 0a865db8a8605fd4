"""The rows of `models.trials`: a study goes on from them, and training reads its parameters there.

No Optuna here, so that whoever only wants the best parameters does not load it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Literal

import pandas as pd

from assets.evaluations.rows import as_arrow
from assets.models.registry import CellKey
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

TABLE = "models.trials"
State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Study:
    """What is searched.

    Attributes:
        study: Its fingerprint: training set, forecaster, space and seed.
        source: Where the videos are published.
        target: Target.
        cutoff: Cutoff.
        forecaster: Name of the forecaster.
        training_set_id: The frozen rows that it is searched on.
        origin: Every one of them had matured by the start of this day.
    """

    study: str
    source: str
    target: str
    cutoff: str
    forecaster: str
    training_set_id: str
    origin: date


@dataclass(frozen=True)
class Trial:
    """One set of parameters and what it gave.

    Attributes:
        number: Counts the trials of a study from 0.
        state: Whether it saw every fold, was given up before, or could not be fitted.
        errors: Error on each fold that it saw, in time order.
        parameters: What was tried, with what was fixed.
        started_at: When.
        ended_at: When it ended.
    """

    number: int
    state: State
    errors: tuple[float, ...]
    parameters: dict[str, Any]
    started_at: datetime
    ended_at: datetime

    @property
    def value(self) -> float | None:
        """Mean error over the folds that it saw; None where it saw none."""
        return sum(self.errors) / len(self.errors) if self.errors else None


def stored_trials(warehouse: Warehouse, study: str) -> list[Trial]:
    """The trials of a study so far, in their order."""
    rows = warehouse.query(
        f"""SELECT number, state, errors, parameters, started_at, ended_at FROM {TABLE}
            WHERE study = $study ORDER BY number""",
        {"study": study},
    ).to_pylist()
    return [
        Trial(**row | {"errors": tuple(row["errors"]), "parameters": json.loads(row["parameters"])}) for row in rows
    ]


def keep_trial(warehouse: Warehouse, study: Study, trial: Trial, run_id: str) -> None:
    """Add a trial that has ended; one that is kept already stays as it is."""
    row = {
        **asdict(study),
        **asdict(trial),
        "value": trial.value,
        "folds": len(trial.errors),
        "errors": list(trial.errors),
        "parameters": json.dumps(trial.parameters, sort_keys=True),
        "run_id": run_id,
    }
    rows = as_arrow(pd.DataFrame([row]), TABLE)
    with warehouse.write() as con:
        append_rows(con, table(TABLE), rows)


def best_parameters(
    warehouse: Warehouse,
    cell: CellKey,
    forecaster: str,
    origin: date,
    fixed: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """The parameters that did best in the latest study of a forecaster that a training at an origin may know.

    Args:
        warehouse: Where the trials are.
        cell: Source, target and cutoff.
        forecaster: Name of the forecaster.
        origin: Origin of the training; a study whose rows reach beyond it would know what it is judged on, and does not
            count.
        fixed: Parameters that are not searched, such as a network's preset; a study of others does not count.

    Returns:
        Parameters by name, for `set_params`; empty where there is no such study.
    """
    rows = warehouse.query(
        f"""SELECT parameters FROM {TABLE}
            WHERE source = $source AND target = $target AND cutoff = $cutoff AND forecaster = $forecaster
              AND origin <= $origin AND state = 'complete'
            ORDER BY origin DESC, value, study, number""",
        {
            "source": cell.source,
            "target": cell.target,
            "cutoff": cell.cutoff,
            "forecaster": forecaster,
            "origin": origin,
        },
    ).to_pylist()
    tried: list[dict[str, Any]] = [json.loads(row["parameters"]) for row in rows]
    return next((parameters for parameters in tried if fixed.items() <= parameters.items()), {})
