"""The demo: simulated scrapes as landing files in the inbox, then the same refresh as any home's."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assets.evaluations.assets import Grid, chosen_cells
from assets.evaluations.score_cells import stored_leaderboard
from orchestration.cli import latest_report
from orchestration.runs import Runs
from resources.simulator import SimulatorConfig, write_landings


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
    written = write_landings(config, runs.home.inbox)
    stage(f"ingesting {len(written)} landing files")
    runs.ingest_inbox(written)
    stage("building features and targets")
    runs.build_features()
    grid = Grid()
    cells = chosen_cells(runs.home, grid)
    words = _in_words(cells, runs.home.settings.evaluation.origins)
    stage(f"backtesting {words}")
    runs.backtest(grid)
    stage("scoring, auditing, reporting")
    runs.execute("evaluation")
    rows = stored_leaderboard(runs.home.warehouse)
    report = latest_report(runs.home.warehouse)
    return {"leaderboard": rows, "report": report, "grid": words, "seconds": time.monotonic() - began}


def _in_words(cells: list[Any], origins: int) -> str:
    targets, cutoffs = {cell.target for cell in cells}, {cell.cutoff for cell in cells}
    return f"{len(targets)} targets x {len(cutoffs)} cutoffs x {origins} weekly origins x all forecasters"
