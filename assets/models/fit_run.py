"""How a fit is carried out, apart from what is fitted: device, checkpoints, who is told of progress, when to stop.

A forecaster that trains step by step asks for the run it is part of; the others need not know. What is fitted is said by the
forecaster's own parameters, so that a model can be fitted again from them.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Part = Literal["calibration", "final"]


class StoppedError(RuntimeError):
    """The fit was asked to stop and did so at a checkpoint; the same run goes on from there."""


def _tell_nobody(facts: Mapping[str, float]) -> None:
    del facts


def _never() -> bool:
    return False


@dataclass(frozen=True)
class FitRun:
    """One run of the trainer, as a forecaster sees it.

    Attributes:
        device: `cpu`, `cuda:0`, `mps`.
        checkpoints: Folder for checkpoints; None keeps none.
        report: Told of `epoch`, `step` and any losses and metrics (floats) as they come.
        should_stop: Asked between steps; once it says so the fit saves a checkpoint and raises `StoppedError`.
        fraction: Share of the rows that development mode trains on.
        part: Which of the fits that make a model this is: the one before the calibration block, or the final one.
    """

    device: str = "cpu"
    checkpoints: Path | None = None
    report: Callable[[Mapping[str, float]], None] = _tell_nobody
    should_stop: Callable[[], bool] = _never
    fraction: float = 1.0
    part: Part = "final"


_current: ContextVar[FitRun | None] = ContextVar("fit_run", default=None)


def current_run() -> FitRun:
    """The run that this code is part of; outside of one, a run on the CPU that keeps and says nothing."""
    return _current.get() or FitRun()


@contextmanager
def fit_run(run: FitRun) -> Iterator[None]:
    """Everything that is fitted inside is part of `run`."""
    token = _current.set(run)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def part_of_fit(part: Part) -> Iterator[None]:
    """Everything that is fitted inside is this part of the current run."""
    with fit_run(replace(current_run(), part=part)):
        yield
