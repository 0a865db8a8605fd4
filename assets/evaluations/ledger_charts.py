"""Pictures of the ledger for the Dagster UI, which shows no SVG. The page has its own figures."""

from io import BytesIO

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from assets.models.intervals import LEVELS

MOST = 6
"""Cells that are drawn; the table says the rest."""
WEEKS_NAMED = 4


def draw(weeks: pd.DataFrame) -> dict[str, bytes]:
    """PNGs by name: per cell error against naive and coverage by week.

    Args:
        weeks: Rows of `scored_forecasts.weekly_scores`.
    """
    scored = weeks[weeks["scored"] > 0]
    found: dict[str, bytes] = {}
    for (clock, *cell), rows in scored.groupby(["clock", "source", "target", "cutoff"], sort=True):
        if len(found) < MOST:
            found[f"{'/'.join(map(str, cell))} ({clock})"] = _cell(rows)
    return found


def _cell(rows: pd.DataFrame) -> bytes:
    number = rows["covered_80"].notna().any()
    figure = Figure(figsize=(8, 2.8), layout="constrained")
    error, *others = figure.subplots(1, 2 if number else 1, squeeze=False)[0]
    error.plot(rows["week"], rows["error"], marker="o", label="champion")
    error.plot(rows["week"], rows["naive_error"], marker="o", linestyle="--", color="grey", label="naive")
    error.set_title("error by week of the forecast")
    error.legend(frameon=False, fontsize=8)
    for axes in others:
        for level in LEVELS:
            (line,) = axes.plot(rows["week"], 100 * rows[f"covered_{level}"], marker="o", label=f"{level} %")
            axes.axhline(level, color=line.get_color(), linestyle=":", linewidth=1)
        axes.set_title("% inside the interval, and as promised")
        axes.legend(frameon=False, fontsize=8)
    for axes in (error, *others):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_xticks(rows["week"].iloc[:: len(rows) // WEEKS_NAMED + 1])
        axes.tick_params(axis="x", labelsize=8)
    png = BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    return png.getvalue()
