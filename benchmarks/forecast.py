"""One forecast in process: features looked up, the champion's point and intervals, p99 over 2,000 calls.

The reference is the forecaster's ordinary `predict` on a frame of one row, which gives the same numbers.
"""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from assets.evaluations.champion import champion_predictor
from assets.features.frame import load_frame
from resources.settings import load_settings
from warehouse.connection import Warehouse

TARGET, CUTOFF = "log_views_7d", "24h"


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Milliseconds of single forecasts by a model fitted on a simulated home."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        os.environ["UPSWELL_HOME"] = str(home)
        from assets.evaluations.assets import Grid
        from orchestration.runs import Runs
        from resources.simulator import SimulatorConfig, write_landings

        runs = Runs(home)
        runs.home.inbox.mkdir()
        runs.ingest_inbox(write_landings(SimulatorConfig(days=60), runs.home.inbox))
        runs.refresh(Grid(targets=[TARGET], cutoffs=[CUTOFF], origins=2))
        warehouse, settings = Warehouse(home), load_settings(home)
        predictor = champion_predictor(warehouse, settings, None, TARGET, CUTOFF)
        frame = load_frame(warehouse, settings, "simulator", TARGET, CUTOFF)
        videos = frame["video_id"].sample(200 if quick else 2000, replace=True, random_state=0).tolist()
        ours, ordinary = [], []
        for video in videos:
            began = time.perf_counter()
            reply = predictor.predict_score(video)
            ours.append(time.perf_counter() - began)
            if len(ordinary) < 100:
                row = frame[frame["video_id"] == video]
                began = time.perf_counter()
                point = predictor._fitted.predict(row)["point"]
                ordinary.append(time.perf_counter() - began)
                assert float(point[0]) == reply["point"], "single and batch differ"
    value, reference = (float(np.quantile(times, 0.99)) * 1000 for times in (ours, ordinary))
    return [
        {
            "benchmark": "forecast",
            "figure": f"one forecast of {TARGET} at {CUTOFF} with intervals, p99 (p50 {np.median(ours) * 1000:.2f} ms)",
            "value": value,
            "unit": "ms",
            "reference": reference,
            "ratio": value / reference,
            "target": "under 5 ms",
            "ok": value < 5,
        }
    ]
