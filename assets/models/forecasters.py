"""The list of forecasters: which there are, which exist for a task, which is the default. Adding one is one line here."""

import hashlib
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import pandas as pd

from assets.models.classifiers import HistGradientBoostingClassifierForecaster, TfidfLogistic
from assets.models.columns import SCALARS, WORDS, group_of
from assets.models.ensembles import Blend, Stack, StyleResiduals
from assets.models.learned import (
    AudioBoosting,
    ContentBoosting,
    HistGradientBoostingForecaster,
    ImageBoosting,
    LightGBMForecaster,
    RidgeForecaster,
    ScalarsBoosting,
    TextBoosting,
    TranscriptBoosting,
    VideoBoosting,
    WordsBoosting,
)
from assets.models.naive import BaseRate, ChannelMedian, ConstantGrowth, GlobalMean, GrowthCurve, Persistence
from assets.models.network.forecaster import FusionNetworkClassifierForecaster, FusionNetworkForecaster
from assets.models.network.preset import load_preset
from assets.models.task import Task
from resources.settings import Settings

FORECASTERS: dict[str, type[Any]] = {
    forecaster.name: forecaster
    for forecaster in (
        GlobalMean,
        ChannelMedian,
        Persistence,
        ConstantGrowth,
        GrowthCurve,
        RidgeForecaster,
        HistGradientBoostingForecaster,
        LightGBMForecaster,
        ScalarsBoosting,
        TextBoosting,
        ImageBoosting,
        AudioBoosting,
        VideoBoosting,
        TranscriptBoosting,
        WordsBoosting,
        ContentBoosting,
        BaseRate,
        TfidfLogistic,
        HistGradientBoostingClassifierForecaster,
        FusionNetworkForecaster,
        FusionNetworkClassifierForecaster,
        Blend,
        Stack,
        StyleResiduals,
    )
}


def default_for(task: Task) -> str:
    """The forecaster that serves until another proves better."""
    return "hist_gradient_boosting" if task.kind == "regression" else "hist_gradient_boosting_classifier"


def on_request(name: str) -> bool:
    """Whether a forecaster runs only where it is asked for by name."""
    return bool(getattr(FORECASTERS[name], "on_request", False))


def names_for(task: Task, also: Collection[str] = ()) -> list[str]:
    """Every forecaster that exists for a task and need not be asked for by name, naive ones first; and those of `also`.

    Raises:
        ValueError: There is no forecaster of a name in `also`.
    """
    refuse_unknown(also)
    return [
        name
        for name, forecaster in FORECASTERS.items()
        if forecaster.exists_for(task) and (name in also or not on_request(name))
    ]


def refuse_unknown(names: Iterable[str]) -> None:
    """Stop at a name that no forecaster has.

    Raises:
        ValueError: Says which, and which there are.
    """
    if unknown := [name for name in names if name not in FORECASTERS]:
        raise ValueError(f"no forecaster {', '.join(map(repr, unknown))}; there are {', '.join(FORECASTERS)}")


def naive_for(task: Task) -> list[str]:
    """The naive ones that exist for a task; skill is measured against the best of them."""
    return [name for name in names_for(task) if not FORECASTERS[name].learned]


def unavailable(name: str) -> str | None:
    """Why a forecaster cannot run on this machine, or None."""
    reason = getattr(FORECASTERS[name], "unavailable", None)
    return reason() if reason else None


def sees_content(names: Iterable[str]) -> bool:
    """Whether any of some forecasters reads more than scalars, titles and words."""
    return any(getattr(FORECASTERS[name], "sees", SCALARS) - SCALARS - WORDS for name in names)


def lacks(name: str, train: pd.DataFrame) -> str | None:
    """Why a forecaster that sees content has nothing to see in some training rows, or None.

    It needs a vector of one of its modalities in at least a tenth of the rows, unless its `needs` says otherwise.
    """
    groups = getattr(FORECASTERS[name], "needs", getattr(FORECASTERS[name], "sees", SCALARS) - SCALARS)
    if not groups:
        return None
    columns = [column for column in train.columns if group_of(str(column)) in groups and column != "style"]
    if columns and train[columns].notna().any(axis=1).mean() >= 0.1:
        return None
    return f"fewer than a tenth of the training rows have {', '.join(sorted(groups))}"


def make(name: str, seed: int = 0) -> Any:
    """A fresh, unfitted forecaster.

    Raises:
        ValueError: There is no forecaster of that name.
    """
    if name not in FORECASTERS:
        raise ValueError(f"unknown forecaster {name!r}; known: {', '.join(FORECASTERS)}")
    forecaster = FORECASTERS[name]()
    return forecaster.set_params(random_state=seed) if "random_state" in forecaster.get_params() else forecaster


def fixed_parameters(settings: Settings, name: str) -> dict[str, Any]:
    """What the settings say of a forecaster's parameters, which no search changes: the preset of a network."""
    return {"preset": settings.training.preset} if "preset" in make(name).get_params() else {}


def preset_fingerprint(parameters: Mapping[str, Any]) -> str:
    """sha256 of what the preset among some parameters says, whose file can change under its name; empty without one."""
    if "preset" not in parameters:
        return ""
    return hashlib.sha256(load_preset(parameters["preset"]).model_dump_json().encode()).hexdigest()[:16]
