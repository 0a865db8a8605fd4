"""A fit in a process of its own: `python -m tests.models.network.child PRESET FOLDER [STEP]`, also under torchrun.

Writes the curve and the sha256 of the weights to FOLDER/fit.json, or kills itself after STEP steps.
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

from assets.models.fit_run import FitRun, fit_run
from assets.models.intervals import without_labels
from assets.models.network.forecaster import FusionNetworkForecaster
from tests.models.frames import make_frame, with_content


def fitted(preset: Path, run: FitRun) -> FusionNetworkForecaster:
    """The forecaster that every process fits."""
    frame = with_content(make_frame(400, "24h", seed=9))
    with fit_run(run):
        return FusionNetworkForecaster(str(preset)).fit(without_labels(frame), np.asarray(frame["value"]))


def sha256(made: FusionNetworkForecaster) -> str:
    """Of all weights."""
    digest = hashlib.sha256()
    for name in sorted(made.weights_):
        digest.update(name.encode() + made.weights_[name].tobytes())
    return digest.hexdigest()


def main() -> None:
    """Fits, and writes or dies."""
    preset, folder = Path(sys.argv[1]), Path(sys.argv[2])
    last = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    steps = iter(range(1, 10**6))

    def stop() -> bool:
        if next(steps) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return False

    made = fitted(preset, FitRun(checkpoints=folder / "checkpoints", should_stop=stop))
    if os.environ.get("RANK", "0") == "0":
        (folder / "fit.json").write_text(json.dumps({"curve": made.curve_, "sha256": sha256(made)}))


if __name__ == "__main__":
    main()
