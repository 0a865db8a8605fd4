"""How a trainer is started from a Dagster step: one process, or several under torchrun. A cluster would be one more here.

What the trainer says streams into the run through Dagster Pipes. What it is asked and what it answers are files that
`assets/models` reads and writes.
"""

import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterPipesExecutionError  # not exported by dagster

from resources.settings import Training
from resources.trainer.stop import GRACE_S, STARTED_BY, this_process

MODULE = "assets.models.train"


@dataclass(frozen=True)
class Launcher:
    """Starts trainers and waits for them.

    Attributes:
        name: `local` or `torchrun`.
        processes: How many train together.
    """

    name: str
    processes: int

    def command(self, order: Path) -> list[str]:
        """The command line that carries out an order."""
        if self.name == "local":
            return [sys.executable, "-m", MODULE, str(order)]
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(self.processes)]
        return [sys.executable, *torchrun, "-m", MODULE, str(order)]

    def train(self, context: dg.AssetExecutionContext, order: Path) -> str | None:
        """Carry out an order in a process of its own.

        Returns:
            How the process ended where it did not end well, else None; what came of the order is in its folder.
        """
        client = dg.PipesSubprocessClient(termination_timeout_seconds=GRACE_S + 15)
        environment = {
            STARTED_BY: this_process(),
            # The installed package is meant even where the working folder has an `assets` of its own.
            "PYTHONSAFEPATH": "1",
            # As torchrun does: on two busy cores a second thread made a small network eight times slower.
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", dg.PreviewWarning)  # of Dagster's own use of Pipes
                client.run(context=context, command=self.command(order), env=environment)
        except DagsterPipesExecutionError as error:
            return str(error)
        return None


def launcher_for(training: Training, *, uses_device: bool) -> Launcher:
    """The launcher that the settings choose; a forecaster that fits on no device is fitted by one process.

    Raises:
        ValueError: Several processes are asked of a launcher of one.
    """
    if training.launcher == "local" and training.processes > 1:
        raise ValueError(
            f"training.processes {training.processes}: launcher local is one process; set training.launcher to torchrun"
        )
    return Launcher(training.launcher, training.processes) if uses_device else Launcher("local", 1)
