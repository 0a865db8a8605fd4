"""What a trainer is asked and what it answers, as files in the folder of the training: the order, its beginning, its result.

The files are how a crash is survived, so each is whole or absent. Nothing is fitted here and no warehouse is opened.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from assets.models.forecasters import FORECASTERS
from assets.models.predictor import FOLDER as BUNDLES
from assets.models.predictor import MANIFEST
from assets.models.task import Task
from resources.emotions.encoders import BASELINE
from resources.emotions.model import MANIFEST as EMOTION_MANIFEST

FOLDER = "trainings"
ORDER, BEGUN, RESULT, CURVES, CHECKPOINTS = "order.json", "begun.json", "result.json", "curves.jsonl", "checkpoints"
State = Literal["done", "failed", "stopped"]


class OrderError(ValueError):
    """An order cannot be read; says which file and what is wrong with it."""


@dataclass(frozen=True)
class Order:
    """One model to be trained.

    Attributes:
        home: The home.
        source: Source of the training rows.
        task: What is forecast.
        forecaster: Name of the forecaster.
        parameters: Its parameters that differ from their defaults.
        preset: Fingerprint of what the preset says that the parameters name; empty where they name none.
        seed: Seed of everything random.
        fraction: Share of the rows that development mode trains on.
        origin: Everything in the training set had matured by the start of this day.
        training_set_id: Frozen training set.
        feature_fingerprint: Fingerprint of the code and settings that made the features.
        data_version: Fingerprint of the training rows and of the code that fits.
        device: As the settings say; the trainer resolves it.
        run_id: Dagster run that asks.
    """

    home: Path
    source: str
    task: Task
    forecaster: str
    parameters: dict[str, Any]
    preset: str
    seed: int
    fraction: float
    origin: date
    training_set_id: str
    feature_fingerprint: str
    data_version: str
    device: str
    run_id: str

    @property
    def training_id(self) -> str:
        """Fingerprint of what is asked, whoever asks and on whichever device: the same order is one training."""
        asked = _orders.dump_python(self, mode="json", exclude={"home": True, "device": True, "run_id": True})
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def folder(self) -> Path:
        """Where its files lie."""
        return self.home / FOLDER / self.training_id

    def write(self) -> Path:
        """Put the order into its folder in place of what an earlier attempt left as its result; returns the file."""
        (self.folder / RESULT).unlink(missing_ok=True)
        return write_whole(self.folder / ORDER, _orders.dump_json(self, indent=1))


@dataclass(frozen=True)
class Begun:
    """What is known of a training once its trainer has its device.

    Attributes:
        device: `cpu`, `cuda:0`, `mps`.
        device_name: What the device calls itself.
        processes: Processes that train.
        resumed: Times that it went on from a checkpoint.
    """

    device: str
    device_name: str
    processes: int
    resumed: int


@dataclass(frozen=True)
class Result:
    """What came of an order.

    Attributes:
        state: `done`, `failed`, or `stopped` at a checkpoint.
        why: Why it failed or stopped.
        version: Bundle that was written.
        validation_error: Error on the calibration block: mean absolute error of a number, log loss of a class.
        precision: `fp32` or `bf16`.
        rows: Training rows.
        seconds: Seconds in the trainer.
        samples_per_second: Rows seen in training per second.
        peak_memory_bytes: Most memory held.
        utilisation: Share of the time that the device was busy.
    """

    state: State
    why: str | None = None
    version: str | None = None
    validation_error: float | None = None
    precision: str = "fp32"
    rows: int = 0
    seconds: float = 0.0
    samples_per_second: float | None = None
    peak_memory_bytes: int | None = None
    utilisation: float | None = None


@dataclass(frozen=True)
class Told:
    """What a training has told of itself so far, as its folder has it.

    Attributes:
        curves: Columns `fit`, `metric`, `step`, `epoch`, `value`; the last value of a step stands.
        epochs: Epochs of the final fit; None where nothing was told.
        steps: Optimiser steps of the final fit.
    """

    curves: pd.DataFrame = field(repr=False)
    epochs: int | None
    steps: int | None


_orders, _begun, _results = TypeAdapter(Order), TypeAdapter(Begun), TypeAdapter(Result)


def uses_device(forecaster: str) -> bool:
    """Whether a forecaster fits on the run's device, and in several processes; the others fit on one thread of the CPU."""
    return bool(getattr(FORECASTERS[forecaster], "uses_device", False))


def order_uses_device(order: Order) -> bool:
    """The same of what an order asks for."""
    return order.forecaster != BASELINE if order.task.kind == "labels" else uses_device(order.forecaster)


def read_order(path: Path) -> Order:
    """An order from its file.

    Raises:
        OrderError: There is none, or a field is missing or wrong.
    """
    if not path.exists():
        raise OrderError(f"no order at {path}; a training run writes it")
    try:
        return _orders.validate_json(path.read_bytes())
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'order'}: {one['msg']}" for one in error.errors())
        raise OrderError(f"{path}: {faults}") from None


def begun_of(order: Order) -> Begun | None:
    """How the training was begun, or None."""
    path = order.folder / BEGUN
    return _begun.validate_json(path.read_bytes()) if path.exists() else None


def result_of(order: Order) -> Result | None:
    """What came of an order, or None; a result whose bundle is gone is none."""
    path = order.folder / RESULT
    if not path.exists():
        return None
    result = _results.validate_json(path.read_bytes())
    manifest = EMOTION_MANIFEST if order.task.kind == "labels" else MANIFEST
    kept = result.version is None or (order.home / BUNDLES / result.version / manifest).exists()
    return result if kept else None


def write_begun(order: Order, begun: Begun) -> None:
    """Note that a training has begun."""
    write_whole(order.folder / BEGUN, json.dumps(asdict(begun), indent=1).encode())


def write_result(order: Order, result: Result) -> None:
    """Note what came of an order."""
    write_whole(order.folder / RESULT, json.dumps(asdict(result), indent=1).encode())


def begin_telling(order: Order) -> None:
    """Begin a line of its own behind whatever a crash left."""
    with (order.folder / CURVES).open("a") as file:
        file.write("\n")


def tell(order: Order, fit: str, facts: Mapping[str, float]) -> None:
    """Keep what a fit reports of a step, so that a crash does not lose it."""
    with (order.folder / CURVES).open("a") as file:
        file.write(json.dumps({"fit": fit, **{name: float(value) for name, value in facts.items()}}) + "\n")


def told(order: Order) -> Told:
    """What a training has told; half a line that a crash left and what is no number are passed over."""
    path = order.folder / CURVES
    rows: dict[tuple[str, str, int], dict[str, Any]] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        try:
            facts = json.loads(line)
        except json.JSONDecodeError:
            continue
        fit, step, epoch = facts.pop("fit"), int(facts.pop("step", 0)), int(facts.pop("epoch", 0))
        for metric, value in facts.items():
            if not math.isfinite(value):
                continue
            rows[fit, metric, step] = {"fit": fit, "metric": metric, "step": step, "epoch": epoch, "value": value}
    curves = pd.DataFrame(list(rows.values()), columns=["fit", "metric", "step", "epoch", "value"])
    final = curves[curves["fit"] == "final"]
    most = (int(final["epoch"].max()), int(final["step"].max())) if len(final) else (None, None)
    return Told(curves, *most)


def write_whole(path: Path, content: bytes) -> Path:
    """Write a file so that nobody finds half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(content)
    os.replace(draft, path)
    return path
