"""Two small pictures of the figures for the Dagster UI, which shows no SVG. The page has its own figures."""

from io import BytesIO

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from assets.evaluations.report_checks import is_naive
from assets.evaluations.report_data import Cell, champions_by_cell, ordered, records
from assets.evaluations.report_figures import Series
from assets.evaluations.scoring import POOLED

WIDTH = 7.2


def draw(metrics: pd.DataFrame) -> dict[str, bytes]:
    """PNGs by name, from rows of `evaluations.metrics`: pooled time split only."""
    pooled = metrics[(metrics["slice"] == POOLED) & (metrics["origin"] == POOLED) & (metrics["split"] == "time")]
    if pooled.empty:
        return {}
    cells = ordered(pooled)
    return {"leaderboard_skill": _skill(pooled, metrics, cells), "accuracy_against_cutoff": _accuracy(pooled, cells)}


def _skill(pooled: pd.DataFrame, metrics: pd.DataFrame, cells: tuple[Cell, ...]) -> bytes:
    """Skill of every learned forecaster, the champion filled and with its interval."""
    champions = champions_by_cell(metrics)
    figure = Figure(figsize=(WIDTH, 0.9 + 0.32 * len(cells)), layout="constrained")
    axes: Axes = figure.subplots()
    for row, cell in enumerate(cells):
        chosen = pooled[(pooled[["source", "target", "cutoff"]] == cell).all(axis=1) & (pooled["metric"] == "skill")]
        for one in records(chosen.sort_values("forecaster")):
            if is_naive(one["forecaster"]):
                continue
            colour = Series(one["forecaster"], ()).colour
            champion = champions.get(cell) == one["forecaster"]
            if champion and pd.notna(one["lower"]) and pd.notna(one["upper"]):
                ends = [100 * one["lower"], 100 * one["upper"]]
                axes.plot(ends, [row, row], color=colour, linewidth=2, solid_capstyle="round")
            axes.plot(
                [100 * one["value"]], [row], "o", color=colour, fillstyle="full" if champion else "none", markersize=6
            )
    several = len({cell[0] for cell in cells}) > 1
    axes.set_yticks(range(len(cells)), [" · ".join(cell if several else cell[1:]) for cell in cells])
    axes.invert_yaxis()
    axes.axvline(0, color="#5d6878", linewidth=1)
    axes.set_xlabel("skill (%): loss saved against the best naive forecaster; filled = champion")
    _plain(axes)
    return _png(figure)


def _accuracy(pooled: pd.DataFrame, cells: tuple[Cell, ...]) -> bytes:
    """Loss against cutoff, one panel per source and target."""
    pairs = sorted({cell[:2] for cell in cells})
    figure = Figure(figsize=(WIDTH, 2.6 * len(pairs)), layout="constrained")
    for axes, pair in zip(figure.subplots(len(pairs), squeeze=False)[:, 0], pairs, strict=True):
        cutoffs = [cell[2] for cell in cells if cell[:2] == pair]
        rows = pooled[(pooled[["source", "target"]] == pair).all(axis=1) & pooled["metric"].isin(["mae", "brier"])]
        for name, group in rows.groupby("forecaster", sort=True):
            values = dict(zip(group["cutoff"], group["value"], strict=True))
            found = [(at, values[cutoff]) for at, cutoff in enumerate(cutoffs) if cutoff in values]
            naive = is_naive(str(name))
            style = Series(str(name), (), naive)
            axes.plot(
                *zip(*found, strict=True),
                marker="o",
                markersize=3,
                color=style.colour,
                linestyle="--" if naive else "-",
                linewidth=1 if naive else 1.8,
                label=str(name),
            )
        if rows["value"].min() > 0 and rows["value"].max() > 4 * rows["value"].min():
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(range(len(cutoffs)), cutoffs)
        axes.set_title(" · ".join(pair), loc="left", fontsize=10)
        axes.set_ylabel("MAE" if (rows["metric"] == "mae").all() else "Brier score")
        axes.legend(fontsize=7, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
        _plain(axes)
    return _png(figure)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", color="#e6e9ee", linewidth=0.7)
    axes.set_axisbelow(True)


def _png(figure: Figure) -> bytes:
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()
