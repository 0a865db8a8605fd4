"""What is known of the truth is forecast: the champion's R2 on simulated videos against the reachable R2, per cutoff.

The whole way is the platform's own: landing files, ingestion, features, frames, rolling origins. The reference is the
default booster on the same rows with the true latents as further columns (`resources.simulator`).
"""

import json
import sys
import tempfile
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import r2_score

from assets.evaluations.backtest import run_origin
from assets.evaluations.grid import origins_of
from assets.evaluations.leaderboard import champions_of
from assets.evaluations.scoring import POOLED
from assets.features.build import TABLES
from assets.features.frame import load_frame
from assets.features.stale import rebuild
from assets.models.forecasters import FORECASTERS, default_for, names_for, unavailable
from assets.models.task import Task
from assets.raw.anchors import source_anchors
from assets.raw.ingest import ingest
from resources.settings import Settings, load_settings, midnight
from resources.simulator import SimulatorConfig, truth, write_landings
from warehouse.connection import Warehouse

SOURCE, TARGET = "simulator", "log_views_7d"
SEEDS, DAYS = (1, 2, 3), 335  # 335 days of the preset's 60 videos are 20,100
FIRST_WEEK, ORIGINS = 8, 6
TARGET_RATIO = 0.9
RANGE = timedelta(days=60)


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Per cutoff the champion and the booster itself, pooled over seeds and origins.

    `quick`: one seed, the preset's 120 days, three cutoffs.
    """
    configs = [SimulatorConfig(seed=seed, days=DAYS) for seed in SEEDS]
    configs = [SimulatorConfig(seed=SEEDS[0])] if quick else configs
    cutoffs = ("pre", "1h", "72h") if quick else None
    rows = [row for config in configs for row in _one_world(config, cutoffs)]
    by_cutoff: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_cutoff.setdefault(row["cutoff"], []).append(row)
    return [_figure(cutoff, who, found) for cutoff, found in by_cutoff.items() for who in ("champion", "booster")]


def _one_world(config: SimulatorConfig, cutoffs: Sequence[str] | None) -> list[dict[str, Any]]:
    """Per cutoff: outcomes, the champion's forecasts and the reachable ones of every tested video."""
    latents = truth(config).set_index("video_id").filter(like="latent_")
    with tempfile.TemporaryDirectory(prefix="upswell-simulator-") as folder:
        warehouse, settings = Warehouse(Path(folder)), load_settings(Path(folder))
        _fill(warehouse, settings, config)
        rows = []
        for cutoff in cutoffs or settings.cutoffs:
            frame = load_frame(warehouse, settings, SOURCE, TARGET, cutoff)
            late = origins_of(frame, settings.first_origin)[FIRST_WEEK:]
            origins = [late[i] for i in np.unique(np.linspace(0, len(late) - 1, ORIGINS).round().astype(int))]
            task = Task.of(settings, TARGET, cutoff)
            learned = [name for name in names_for(task) if FORECASTERS[name].learned and not unavailable(name)]
            honest = _forecast(frame, settings, cutoff, origins, learned)
            booster = default_for(task)
            told = _forecast(frame.join(latents, on="video_id"), settings, cutoff, origins, [booster])
            of = dict(tuple(honest.groupby("forecaster")))
            rows.append(
                {"cutoff": cutoff, "champion": of[_champion(honest)], "booster": of[booster], "reachable": told}
            )
        return rows


def _fill(warehouse: Warehouse, settings: Settings, config: SimulatorConfig) -> None:
    """Simulate, ingest every landing and build every feature table."""
    end = config.start + timedelta(days=config.days)
    for path in write_landings(config, warehouse.home / "inbox"):
        ingest(warehouse, settings, path, now=midnight(end))
    anchors = source_anchors(warehouse)
    for name in TABLES:
        first = config.start
        while first < end:
            last = min(first + RANGE, end)
            rebuild(name, warehouse, settings, anchors, first, last, midnight(end), "benchmark")
            first = last


def _forecast(
    frame: pd.DataFrame, settings: Settings, cutoff: str, origins: Sequence[date], names: Sequence[str]
) -> pd.DataFrame:
    made = [run_origin(frame, settings, TARGET, cutoff, origin, names).predictions for origin in origins]
    return pd.concat(made, ignore_index=True)


def _champion(predictions: pd.DataFrame) -> str:
    """Who serves, by the leaderboard's own rule: it sees no figure of the latest origin."""
    error = (predictions["point"] - predictions["value"]).abs()
    by = ["source", "target", "cutoff", "forecaster", "split", "origin"]
    figures = predictions.assign(value=error).groupby(by, as_index=False)["value"].agg(value="mean", n_test="size")
    return next(iter(champions_of(figures.assign(metric="mae", slice=POOLED)).values()))


def _figure(cutoff: str, who: str, worlds: list[dict[str, Any]]) -> dict[str, Any]:
    reached, reachable = _pooled_r2(worlds, who), _pooled_r2(worlds, "reachable")
    names = ", ".join(sorted({name for world in worlds for name in world[who]["forecaster"].unique()}))
    tested = sum(len(world[who]) for world in worlds)
    return {
        "benchmark": "simulator",
        "figure": f"{who} at {cutoff} ({names}; {TARGET}, {len(worlds)} seeds, {tested} tested videos)",
        "value": round(reached, 4),
        "unit": "R2",
        "reference": round(reachable, 4),
        "ratio": round(reached / reachable, 4),
        "target": TARGET_RATIO,
        "ok": reached / reachable >= TARGET_RATIO,
    }


def _pooled_r2(worlds: list[dict[str, Any]], who: str) -> float:
    rows = pd.concat([world[who] for world in worlds])
    return float(r2_score(rows["value"], rows["point"]))


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv[1:]), indent=1))
