"""A forecaster that trains step by step with checkpoints, as a network does.

With this folder on `PYTHONPATH` trainers know it too (`sitecustomize.py`).
"""

import json
import os
import time
from pathlib import Path

from assets.models.fit_run import StoppedError, current_run
from assets.models.learned import RidgeForecaster
from assets.models.order import write_whole

FOLDER = Path(__file__).parent


class Stepwise(RidgeForecaster):
    """Counts its steps, each a checkpoint, and is then a Ridge regression."""

    name = "stepwise"
    uses_device = True

    def __init__(self, alpha: float = 10.0, steps: int = 12, nan_at: int = -1, random_state: int = 0) -> None:
        super().__init__(alpha=alpha, random_state=random_state)
        self.steps = steps
        self.nan_at = nan_at

    def fit(self, X, y):  # noqa: N803 - scikit-learn's name
        run = current_run()
        path = run.checkpoints / f"{run.part}.json"
        begin = json.loads(path.read_text()) if path.exists() and "RANK" not in os.environ else 0
        for step in range(begin + 1, self.steps + 1):
            time.sleep(float(os.environ.get("STEPWISE_PAUSE_S", "0")))
            if step == self.nan_at:
                raise FloatingPointError(f"loss is NaN at step {step}, batch of v00001, v00002")
            if os.environ.get("RANK", "0") == "0":  # of several processes one keeps the checkpoints
                write_whole(path, json.dumps(step).encode())
            run.report({"epoch": step // 4, "step": step, "train_loss": 1 / step, "began_at": begin})
            if run.should_stop():
                raise StoppedError(f"stopped at step {step}")
        return super().fit(X, y)
