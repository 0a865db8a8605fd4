"""The trainer: `python -m assets.models.train ORDER.json`, one model, in a process of its own or in several under torchrun.

It reads a frozen training set and never the warehouse, fits any forecaster, and leaves a bundle and a result beside the order.
The same order again goes on from where it was, or does nothing. What becomes of the model is for `training_runs`.
"""

import os
import shutil
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
from threadpoolctl import threadpool_limits

from assets.evaluations.backtest import Fitted, fit
from assets.models import order as files
from assets.models.fit_run import FitRun, StoppedError, current_run, fit_run
from assets.models.order import (
    Begun,
    Order,
    OrderError,
    Result,
    begun_of,
    order_uses_device,
    read_order,
    result_of,
    write_begun,
    write_result,
)
from assets.models.predictor import save
from assets.models.training_set import thaw
from resources.trainer.device import DeviceError, device_name, held, resolve
from resources.trainer.messages import Tell, opened
from resources.trainer.stop import EXIT_STOPPED, GRACE_S, Stop, watched
from resources.trainer.telemetry import Meter

PATIENCE_S = GRACE_S + 30
"""How long to wait for a trainer that is stopping on the same device."""
_TELL_EVERY_S = 2.0


@dataclass(frozen=True)
class Place:
    """Which of the processes that train together this is."""

    rank: int = 0
    local_rank: int = 0
    processes: int = 1

    @classmethod
    def here(cls) -> "Place":
        """As torchrun says; alone without it."""
        return cls(*(int(os.environ.get(*said)) for said in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "1"))))


class Progress:
    """Keeps every step that a fit reports, and says the latest now and then."""

    def __init__(self, order: Order, say: Tell) -> None:
        self._order, self._say = order, say
        self._said = 0.0
        self._rates: list[float] = []

    def __call__(self, facts: Mapping[str, float]) -> None:
        """Take what a fit reports."""
        part = current_run().part
        files.tell(self._order, part, facts)
        if "samples_per_second" in facts:
            self._rates.append(float(facts["samples_per_second"]))
        if time.monotonic() - self._said >= _TELL_EVERY_S:
            self._said = time.monotonic()
            self._say(f"{part} fit: " + ", ".join(f"{name} {value:.6g}" for name, value in facts.items()))

    @property
    def samples_per_second(self) -> float | None:
        """Mean of the reported rates."""
        return sum(self._rates) / len(self._rates) if self._rates else None


def carry_out(
    order: Order, say: Tell, stop: Stop, place: Place | None = None, patience_s: float = PATIENCE_S
) -> Result:
    """Train what an order asks for, unless that is done; whatever goes wrong is a result too."""
    place = place or Place()
    if done := _done(order):
        say(f"{done.version} is trained already")
        return done
    try:
        device = _device(order, place)
        # The first of several processes on a CPU holds it for all of them.
        shares = device == "cpu" and place.local_rank > 0
        with nullcontext() if shares else held(order.home, device, patience_s):
            result = _done(order) or _on_device(order, device, say, stop, place)
    except DeviceError as error:
        result = Result("failed", why=str(error))
        if place.rank == 0:
            write_result(order, result)
    say(f"{result.state}: {result.version or result.why}")
    return result


def _device(order: Order, place: Place) -> str:
    """The device of this process; what fits on none is fitted by the CPU."""
    return resolve(order.device, place.local_rank, place.processes) if order_uses_device(order) else "cpu"


def _done(order: Order) -> Result | None:
    result = result_of(order)
    return result if result is not None and result.state == "done" else None


def _on_device(order: Order, device: str, say: Tell, stop: Stop, place: Place) -> Result:
    """Train on a device that is held, and leave the result beside the order."""
    with Meter(device) as meter, _threads(order):
        if place.rank == 0:
            _begin(order, device, place, say)
        progress = Progress(order, say)
        result = _attempt(order, device, progress, stop, place)
        cost = meter.read()
    rate = progress.samples_per_second or (result.rows / cost.seconds if result.state == "done" else None)
    result = replace(
        result,
        seconds=cost.seconds,
        samples_per_second=rate,
        peak_memory_bytes=cost.peak_memory_bytes,
        utilisation=cost.utilisation,
    )
    if place.rank == 0:
        write_result(order, result)
        if result.state == "done":
            shutil.rmtree(order.folder / files.CHECKPOINTS, ignore_errors=True)
    return result


def _attempt(order: Order, device: str, progress: Progress, stop: Stop, place: Place) -> Result:
    """One attempt; whatever goes wrong in it is a result too."""
    rows = 0
    try:
        train = thaw(order.home, order.training_set_id)
        rows = len(train)
        run = FitRun(
            device=device,
            checkpoints=order.folder / files.CHECKPOINTS,
            report=progress if place.rank == 0 else _hear_nothing,
            should_stop=stop,
            fraction=order.fraction,
        )
        with fit_run(run):
            made = (_emotions if order.task.kind == "labels" else _forecaster)(order, train, place)
    except StoppedError as error:
        return Result("stopped", why=stop.why or str(error), rows=rows)
    except Exception as error:
        traceback.print_exc()
        return Result("failed", why=f"{type(error).__name__}: {error}", rows=rows)
    return Result("done", rows=rows, **asdict(made))


@dataclass(frozen=True)
class _Made:
    """What a fit gave: its bundle (of the first process only), its error and its precision."""

    version: str | None
    validation_error: float | None
    precision: str


def _forecaster(order: Order, rows: pd.DataFrame, place: Place) -> _Made:
    train = rows.sort_values(["anchor_at", "video_id"], ignore_index=True)
    fitted = fit(order.forecaster, order.task, train, order.seed, order.parameters)
    version = _keep(order, fitted, train) if place.rank == 0 else None
    return _Made(version, fitted.validation_error, str(getattr(fitted.forecaster, "precision_", "fp32")))


def _emotions(order: Order, rows: pd.DataFrame, place: Place) -> _Made:
    from assets.language.emotion_model.runs import train

    version, error, precision = train(order, rows, current_run(), keeps=place.rank == 0)
    return _Made(version, error, precision)


def _keep(order: Order, fitted: Fitted, train: pd.DataFrame) -> str:
    """Write the bundle; its name."""
    manifest = save(
        order.home,
        fitted,
        order.task,
        train,
        order.origin,
        feature_fingerprint=order.feature_fingerprint,
        data_version=order.data_version,
        training_set_id=order.training_set_id,
        run_id=order.run_id,
        training_id=order.training_id,
    )
    return manifest.version


def _begin(order: Order, device: str, place: Place, say: Tell) -> None:
    """Note that the training begins, or goes on from a checkpoint."""
    before = begun_of(order)
    checkpoints = order.folder / files.CHECKPOINTS
    goes_on = before is not None and checkpoints.exists() and any(checkpoints.rglob("*"))
    (order.folder / files.RESULT).unlink(missing_ok=True)
    checkpoints.mkdir(parents=True, exist_ok=True)
    files.begin_telling(order)
    resumed = (before.resumed if before else 0) + goes_on
    write_begun(order, Begun(device, device_name(device), place.processes, resumed))
    say(
        f"{order.forecaster} on {device}: {'going on from a checkpoint' if goes_on else 'training'} {order.training_id}"
    )


@contextmanager
def _threads(order: Order) -> Iterator[None]:
    """One thread for what does not fit on a device: more threads than free cores make small fits many times slower."""
    with nullcontext() if order_uses_device(order) else threadpool_limits(1):
        yield


def _hear_nothing(facts: Mapping[str, float]) -> None:
    del facts


def main(arguments: list[str]) -> int:
    """Carry out the order whose file is named; the exit code says what came of it."""
    if len(arguments) != 1:
        print("usage: python -m assets.models.train ORDER.json", file=sys.stderr)
        return 2
    try:
        order = read_order(Path(arguments[0]))
    except OrderError as error:
        print(error, file=sys.stderr)
        return 2
    os.environ["UPSWELL_HOME"] = str(order.home)  # a preset may be a file of the home
    stop, place = Stop(), Place.here()
    with watched(stop), opened(place.rank) as say:
        state = carry_out(order, say, stop, place).state
    return {"done": 0, "failed": 1, "stopped": EXIT_STOPPED}[state]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
