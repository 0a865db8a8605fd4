"""The demo: simulated scrapes as landing files in the inbox, then the same refresh as any home's."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from assets.evaluations.assets import Grid, chosen_cells, latest_origins
from assets.evaluations.grid import Cell
from assets.evaluations.run_cells import planned
from assets.evaluations.score_cells import stored_leaderboard
from assets.models.assets import training_cells
from orchestration.cli import latest_report
from orchestration.runs import Runs
from resources.simulator import SimulatorConfig, write_landings
from resources.simulator.media import write_media
from resources.simulator.words import write_words

THUMBNAILS, SOUNDS, CLIPS = 0.85, 0.11, 0.005
"""Shares of the videos that get a thumbnail, a sound, a clip: enough to see what they add, few enough for a demo."""

TRIALS = 4
"""Of the parameter search: enough to see one."""


def run_demo(folder: Path, *, days: int, videos_per_day: int, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Simulates, ingests, builds, backtests and reports; every step from ingestion on is a Dagster run.

    Returns:
        `leaderboard`, `report`, `grid` (what was backtested, in words) and `seconds`.
    """
    began = time.monotonic()

    def stage(name: str) -> None:
        say(f"[dim]{time.monotonic() - began:5.1f} s[/dim]  {name}")

    runs = Runs(folder)
    stage(f"simulating {days} days of scrapes into {runs.home.inbox}")
    runs.home.inbox.mkdir(exist_ok=True)
    config = SimulatorConfig(seed=seed, days=days, videos_per_day=videos_per_day)
    written = [*write_landings(config, runs.home.inbox), *write_words(config, runs.home.inbox)]
    stage(f"ingesting {len(written)} landing files")
    runs.ingest_inbox(written)
    runs.execute("collection")  # nothing is asked of any network, and nothing of the simulator's is ever overdue
    runs.execute("forgetting")
    stage("building features and targets")
    runs.build_features()
    stage("training an emotion model, reading titles, transcripts and comments")
    runs.train_emotions()
    runs.execute("language")
    stage("drawing pictures and sounds, finding styles")
    videos = days * videos_per_day
    thumbnails, sounds, clips = (round(share * videos) for share in (THUMBNAILS, SOUNDS, CLIPS))
    index = write_media(config, folder / "simulated_media", thumbnails=thumbnails, sounds=sounds, clips=clips)
    media = {"folder": str(index.parent), "index": str(index), "source": "simulator"}
    runs.execute("content", config={"ops": {"media": {"config": media}}})
    cell = str(next(cell for cell in training_cells(runs.home) if cell.cutoff == "24h"))
    stage(f"training and judging a model of {cell}, searching better parameters")
    runs.train([cell], [])
    runs.search(cell, None, TRIALS)
    runs.execute("ledger")
    grid = Grid()
    plan = planned(
        runs.home.warehouse, runs.home.settings, chosen_cells(runs.home, grid), latest_origins(runs.home, grid)
    )
    words = _in_words(plan)
    stage(f"backtesting {words}")
    runs.backtest(grid)
    stage("scoring, auditing, reporting")
    runs.execute("evaluation")
    rows = stored_leaderboard(runs.home.warehouse)
    report = latest_report(runs.home.warehouse)
    return {"leaderboard": rows, "report": report, "grid": words, "seconds": time.monotonic() - began}


def _in_words(plan: Mapping[Cell, Sequence[date]]) -> str:
    counts = {
        "target": len({cell.target for cell in plan}),
        "cutoff": len({cell.cutoff for cell in plan}),
        "weekly origin": len({origin for origins in plan.values() for origin in origins}),
    }
    return " x ".join(f"{n} {name}{'' if n == 1 else 's'}" for name, n in counts.items()) + " x all forecasters"
