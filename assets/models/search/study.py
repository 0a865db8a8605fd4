"""The search itself: time-ordered folds of training rows, Optuna's TPE sampler, and a pruner that gives up on bad trials.

Rows come as a frame and trials are handed to whoever keeps them, so that a search can go on from what was kept; no warehouse.
"""

import hashlib
import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any

import numpy as np
import optuna
import pandas as pd
from optuna.distributions import distribution_to_json
from optuna.pruners import MedianPruner
from optuna.samplers import TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial
from sklearn.metrics import log_loss, mean_absolute_error
from threadpoolctl import threadpool_limits

from assets.models.fit_run import StoppedError
from assets.models.forecasters import make, unavailable
from assets.models.intervals import without_labels
from assets.models.labels import ViralLabel
from assets.models.order import uses_device
from assets.models.search.spaces import SearchError, Space, TooFewRowsError, defaults, space_of
from assets.models.search.trials import State, Trial
from assets.models.task import Task

Positions = np.ndarray[Any, np.dtype[np.intp]]
FOLDS = 4
BLOCKS_SHARE = 0.6
"""Share of the rows, the latest published, that the folds are scored on; the rest is only ever fitted on."""
MIN_FIT, MIN_BLOCK = 100, 30
STARTUP = 4
"""Complete trials before the pruner has anything to compare with."""
_UNFIT = (ValueError, ArithmeticError, RuntimeError)
"""What a fit raises whose parameters are no good: diverged, out of memory, not a number."""
_STATES: dict[State, TrialState] = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


@dataclass(frozen=True)
class Fold:
    """Positions of the rows that one fold fits on, and of the later ones that it is scored on."""

    fit: Positions
    block: Positions


Error = Callable[[Fold, Mapping[str, Any]], float]


def time_folds(frame: pd.DataFrame) -> list[Fold]:
    """Cuts training rows into consecutive blocks by publication, each forecast from what had matured when it began.

    Args:
        frame: Training rows with `anchor_at`, `as_of`, `matured_at`.

    Returns:
        Folds in time order; a block that begins before enough had matured is left out.

    Raises:
        TooFewRowsError: Fewer than two folds remain.
    """
    anchors = frame["anchor_at"].to_numpy()
    known = frame[["as_of", "matured_at"]].max(axis=1).to_numpy()
    order = np.sort(anchors)
    cuts = np.linspace(len(order) * (1 - BLOCKS_SHARE), len(order), FOLDS + 1).astype(int)
    folds = []
    for first, end in itertools.pairwise(cuts):
        if first == end:
            continue
        start = order[first]
        inside = (anchors >= start) & ((anchors < order[end]) if end < len(order) else True)
        fold = Fold(np.flatnonzero(known <= start), np.flatnonzero(inside))
        if len(fold.fit) >= MIN_FIT and len(fold.block) >= MIN_BLOCK:
            folds.append(fold)
    if len(folds) < 2:
        raise TooFewRowsError(
            f"{len(frame)} training rows give {len(folds)} time-ordered folds with {MIN_FIT} rows to fit on and "
            f"{MIN_BLOCK} later ones; 2 are needed: search once more videos have matured"
        )
    return folds


def study_id(training_set_id: str, forecaster: str, seed: int, fixed: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Fingerprint of a study: training set, forecaster, what of it is fixed, space, folds and seed."""
    space = {name: distribution_to_json(kind) for name, kind in space_of(forecaster).items()}
    asked = [training_set_id, forecaster, dict(fixed), space, FOLDS, BLOCKS_SHARE, seed]
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]


def search(
    frame: pd.DataFrame,
    task: Task,
    forecaster: str,
    trials: int,
    seed: int = 0,
    *,
    now: Callable[[], datetime],
    fixed: Mapping[str, Any] = MappingProxyType({}),
    known: Sequence[Trial] = (),
    keep: Callable[[Trial], None] = lambda trial: None,
    timeout_s: float | None = None,
) -> list[Trial]:
    """Tries parameters until a study has as many trials as asked; the first are the forecaster's own.

    A trial is scored fold by fold and given up from the second on where its mean error over the folds so far, at its best, is
    above the median of the complete trials at the same fold. Number and history decide what is tried, so a study that goes on is equal to one that was never interrupted.

    Args:
        frame: Training rows of one source.
        task: What they are to forecast.
        forecaster: Name of the forecaster.
        trials: How many trials the study is to have.
        seed: Seed of what is tried and of the fits.
        now: The home's clock.
        fixed: Parameters that are not searched, such as a network's preset.
        known: The trials that the study has already, from number 0 on.
        keep: Told of each trial as it ends.
        timeout_s: No trial begins after so many seconds.

    Returns:
        Every trial, the known ones first.

    Raises:
        SearchError: The forecaster has no space, cannot run here, does not exist for the task or cannot be fitted with its
            own parameters; or rows are too few.
        StoppedError: A fit was asked to stop; its trial is not kept.
    """
    space, started = space_of(forecaster), time.monotonic()
    if not type(make(forecaster)).exists_for(task):
        raise SearchError(f"{forecaster} does not forecast {task.target} at {task.cutoff}")
    if reason := unavailable(forecaster):
        raise SearchError(reason)
    folds, study, done = time_folds(frame), _study(space, known), list(known)

    def error(fold: Fold, parameters: Mapping[str, Any]) -> float:
        return _error(frame, task, make(forecaster, seed).set_params(**parameters), fold)

    with nullcontext() if uses_device(forecaster) else threadpool_limits(1):
        while len(done) < trials and (timeout_s is None or time.monotonic() - started < timeout_s):
            if done:
                study.sampler = _sampler(seed, len(done))
                trial = _one_trial(study, space, fixed, error, folds, now)
            else:
                trial = _own_trial({**defaults(forecaster), **fixed}, error, folds, now)
                study.add_trial(_frozen(trial, space))
            keep(trial)
            done.append(trial)
    return done


def importance(forecaster: str, trials: Sequence[Trial]) -> dict[str, float]:
    """Share of the spread of the error that each parameter explains (fANOVA, Hutter et al. 2014), largest first.

    Empty where fewer than `STARTUP` trials are complete or their errors are all equal.
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    if len(complete) < STARTUP or len({trial.value for trial in complete}) == 1:
        return {}
    shares = optuna.importance.get_param_importances(
        _study(space_of(forecaster), complete), evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0)
    )
    return {name: float(share) for name, share in shares.items()}


def _study(space: Space, known: Sequence[Trial]) -> optuna.Study:
    """An Optuna study in memory that has the known trials."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize", pruner=MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=1))
    study.add_trials([_frozen(trial, space) for trial in known])
    return study


def _frozen(trial: Trial, space: Space) -> FrozenTrial:
    searched = [name for name in trial.parameters if name in space]
    return create_trial(
        state=_STATES[trial.state],
        value=trial.value if trial.state == "complete" else None,
        params={name: trial.parameters[name] for name in searched},
        distributions={name: space[name] for name in searched},
        intermediate_values=dict(enumerate(_running_means(trial.errors))),
    )


def _running_means(errors: Sequence[float]) -> list[float]:
    return [sum(errors[: seen + 1]) / (seen + 1) for seen in range(len(errors))]


def _sampler(seed: int, number: int) -> TPESampler:
    """The sampler of one trial, so that its draws do not depend on how often the study was interrupted before it."""
    return TPESampler(seed=int(np.random.SeedSequence([seed, number]).generate_state(1)[0]))


def _own_trial(parameters: dict[str, Any], error: Error, folds: Sequence[Fold], now: Callable[[], datetime]) -> Trial:
    """The forecaster as it is, on every fold.

    Raises:
        SearchError: It cannot be fitted so.
    """
    started_at = now()
    try:
        errors = tuple(error(fold, parameters) for fold in folds)
    except _UNFIT as problem:
        if isinstance(problem, StoppedError):
            raise
        raise SearchError(f"the forecaster cannot be fitted with its own parameters: {problem}") from problem
    return Trial(0, "complete", errors, parameters, started_at, now())


def _one_trial(
    study: optuna.Study,
    space: Space,
    fixed: Mapping[str, Any],
    error: Error,
    folds: Sequence[Fold],
    now: Callable[[], datetime],
) -> Trial:
    """Scores the parameters that the study asks for next, fold by fold, and tells it what came of them."""
    asked, started_at = study.ask(space), now()
    parameters = {**asked.params, **fixed}
    errors: list[float] = []
    state: State = "complete"
    try:
        for number, fold in enumerate(folds):
            errors.append(error(fold, parameters))
            asked.report(_running_means(errors)[-1], number)
            if number + 1 < len(folds) and asked.should_prune():
                state = "pruned"
                break
    except StoppedError:
        raise
    except _UNFIT:  # others may be fitted
        state = "failed"
    trial = Trial(asked.number, state, tuple(errors), parameters, started_at, now())
    study.tell(asked, trial.value if state == "complete" else None, state=_STATES[state])
    return trial


def _error(frame: pd.DataFrame, task: Task, estimator: Any, fold: Fold) -> float:
    """Mean absolute error of a number, or log loss of a class, on a fold's later block.

    Raises:
        ValueError: The estimator cannot be fitted, or forecasts no number.
    """
    train, block = frame.iloc[fold.fit], frame.iloc[fold.block]
    features = without_labels(train)
    if task.kind == "regression":
        estimator.fit(features, train["value"].to_numpy(dtype=np.float64))
        return float(mean_absolute_error(block["value"], estimator.predict(without_labels(block))))
    label = ViralLabel.of(task).fit(train)
    estimator.fit(features, label.label(train))
    return float(log_loss(label.label(block), estimator.predict_proba(without_labels(block)), labels=[0, 1]))
