"""The leaderboard: stored figures as one row per forecaster, and which forecaster is champion. Computes no figure of its own."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from assets.evaluations.scoring import POOLED
from assets.models.forecasters import FORECASTERS, on_request

FIGURES = (
    "mae", "rmse", "r2", "growth_r2", "spearman", "auroc", "average_precision", "skill", "coverage_80", "width_80",
    "interval_score_80",
)  # fmt: skip
CELL = ("source", "target", "cutoff")
KEY = (*CELL, "forecaster", "split", "origin")
DEFAULTS = ("hist_gradient_boosting", "hist_gradient_boosting_classifier")


def leaderboard(figures: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of `upswell evaluate --json`, from rows of `evaluations.metrics`.

    One row per source, target, cutoff, forecaster, split and origin (a date, and `all` pooled); None where a figure does not apply. In
    order of cell, split, origin and loss; a forecaster that missed an origin comes after those pooled over all of them.
    """
    whole = figures[figures["slice"] == POOLED]
    most = whole.groupby([*CELL, "split", "origin"])["n_test"].max()
    champions = champions_of(whole)
    rows = []
    for key, group in whole.groupby(list(KEY), sort=True):
        named: dict[str, Any] = dict(zip(KEY, (str(part) for part in key), strict=True))
        values = dict(zip(group["metric"], group["value"], strict=True))
        row = named | {"n_train": int(group["n_train"].iloc[0]), "n_test": int(group["n_test"].iloc[0])}
        row |= {name: _number(values.get(name)) for name in FIGURES}
        row["champion"] = champions.get(tuple(named[name] for name in CELL)) == named["forecaster"]
        place = tuple(named[name] for name in (*CELL, "split", "origin"))
        rows.append((*place, row["n_test"] < most[place], _loss(values), named["forecaster"], row))
    return [row for *_, row in sorted(rows, key=lambda entry: entry[:-1])]


def champions_of(figures: pd.DataFrame) -> dict[tuple[str, ...], str]:
    """The learned forecaster that serves each (source, target, cutoff) before the gate has let any model serve.

    None of those that run only where they are asked for by name, which serve through the gate alone.
    It has the smallest MAE (Brier score for a class) pooled over all origins but the latest, so that the figures of the latest origin did not
    choose it. With a single origin it is the default.
    """
    learned = [name for name, forecaster in FORECASTERS.items() if forecaster.learned and not on_request(name)]
    chosen = (
        (figures["slice"] == POOLED)
        & (figures["split"] == "time")
        & (figures["origin"] != POOLED)
        & figures["metric"].isin(["mae", "brier"])
        & figures["forecaster"].isin(learned)
    )
    champions = {}
    for cell, group in figures[chosen].groupby(list(CELL), sort=True):
        earlier = group[group["origin"].astype(str) < group["origin"].astype(str).max()]
        champions[tuple(str(part) for part in cell)] = _best(earlier) if len(earlier) else _default(group)
    return champions


def _best(losses: pd.DataFrame) -> str:
    total = (losses["value"] * losses["n_test"]).groupby(losses["forecaster"]).sum()
    count = losses.groupby("forecaster")["n_test"].sum()
    complete = count[count == count.max()].index  # one that missed an origin is not comparable
    return str((total / count).loc[complete].sort_index().idxmin())


def _default(losses: pd.DataFrame) -> str:
    present = set(losses["forecaster"])
    return next((name for name in DEFAULTS if name in present), str(min(present)))


def _loss(values: Mapping[str, float]) -> float:
    return float(values.get("mae", values.get("brier", np.inf)))


def _number(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else float(value)
