"""Score against the number of training rows, at one origin. Stored with the other figures, as the slice `n_train`."""

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from assets.evaluations import metrics
from assets.evaluations.backtest import MIN_TRAIN, refuse_overlap, split
from assets.evaluations.scoring import COLUMNS
from assets.models.forecasters import default_for, make
from assets.models.intervals import without_labels
from assets.models.labels import ViralLabel
from assets.models.task import Task
from resources.settings import Settings

SHARES = (0.125, 0.25, 0.5, 1.0)


def learning_curve(
    frame: pd.DataFrame,
    settings: Settings,
    target: str,
    cutoff: str,
    origin: date,
    forecaster: str | None = None,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
    whole: Any | None = None,
) -> pd.DataFrame:
    """MAE and R2 (AUROC and Brier score for a class) of a forecaster fitted on random shares of the training rows.

    Every share is part of the next. Shares of fewer than `MIN_TRAIN` rows are left out; the result is empty where the origin has no test
    rows. Rows of `evaluations.metrics`.

    Args:
        frame: One source's rows for the target and cutoff.
        settings: What the targets are.
        target: Name of the target.
        cutoff: Moment of the forecast.
        origin: Origin whose rows are trained and tested on.
        forecaster: Name; by default the default of the task.
        shares: Of the training rows.
        seed: Seed of the shares and of the forecaster.
        whole: The forecaster as it was fitted on all of them with this seed; by default it is fitted here.
    """
    task = Task.of(settings, target, cutoff)
    name = forecaster or default_for(task)
    train, test = split(frame, origin)
    refuse_overlap(train, test)
    order = np.random.default_rng(seed).permutation(len(train))
    rows: list[dict[str, Any]] = []
    for share in shares:
        n_train = round(len(train) * share)
        if n_train < MIN_TRAIN or not len(test):
            continue
        with threadpool_limits(1):
            fitted = whole if n_train == len(train) else None
            figures = _figures(name, task, train.iloc[np.sort(order[:n_train])], test, seed, fitted)
        key = {
            "source": test["source"].iloc[0],
            "target": target,
            "cutoff": cutoff,
            "forecaster": name,
            "split": "time",
        }
        key |= {"origin": str(origin), "slice": "n_train", "slice_value": str(n_train)}
        counts = {"lower": None, "upper": None, "n_train": n_train, "n_test": len(test)}
        rows += [
            key | {"metric": metric, "value": value} | counts for metric, value in figures.items() if value is not None
        ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _figures(
    name: str, task: Task, train: pd.DataFrame, test: pd.DataFrame, seed: int, fitted: Any | None
) -> metrics.Figures:
    """Figures of the point forecast alone, of a forecaster that is fitted or will be; that of a class is uncalibrated."""
    features, held = without_labels(train), without_labels(test)
    if task.kind == "class":
        viral = ViralLabel.of(task).fit(train)
        label = viral.label(test).astype(np.float64)
        fitted = fitted or make(name, seed).fit(features, viral.label(train))
        probability = fitted.predict_proba(held)[:, 1]
        return {"auroc": metrics.auroc(label, probability), "brier": metrics.brier(label, probability)}
    y = test["value"].to_numpy(dtype=np.float64)
    fitted = fitted or make(name, seed).fit(features, train["value"].to_numpy(dtype=np.float64))
    point = fitted.predict(held)
    return {"mae": metrics.mae(y, point), "r2": metrics.r2(y, point)}
