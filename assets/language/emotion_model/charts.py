"""Pictures of an emotion model's evaluation for the asset's page: every label with its interval, and calibration."""

import io
from typing import Any


def draw(told: dict[str, Any]) -> dict[str, bytes]:
    """PNGs by name.

    Args:
        told: What `evaluation.json` of a bundle holds.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = {}
    rows = sorted((row for row in told["labels"] if row["support"]), key=lambda row: row["f1"])
    figure = Figure(figsize=(6, 0.6 + 0.22 * len(rows)), layout="constrained")
    axes = figure.subplots()
    for at, row in enumerate(rows):
        axes.plot(row["bounds"] or (row["f1"], row["f1"]), (at, at), color="tab:blue", linewidth=1)
    axes.plot(
        [row["f1"] for row in rows], range(len(rows)), "o", markersize=4, color="tab:blue", label="F1, 95 % interval"
    )
    axes.plot([row["oracle_f1"] for row in rows], range(len(rows)), "|", color="tab:grey", label="oracle threshold")
    axes.set_yticks(range(len(rows)), [f"{row['label']} ({row['support']})" for row in rows], fontsize=7)
    axes.set(xlabel="F1 on dev by folds", xlim=(0, 1))
    found["F1 by label (texts)"] = figure
    figure = Figure(figsize=(3.6, 3.2), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="tab:grey", linewidth=1)
    axes.plot([row["said"] for row in told["curve"]], [row["was"] for row in told["curve"]], "o-", markersize=4)
    axes.set(xlabel="probability that was said", ylabel="share of the texts", xlim=(0, 1), ylim=(0, 1))
    found["calibration"] = figure
    pictures = {}
    for name, one in found.items():
        for each in one.axes:
            each.spines[["top", "right"]].set_visible(False)
        if one.axes[0].get_legend_handles_labels()[0]:
            one.axes[0].legend(frameon=False, fontsize=7, loc="lower right")
        png = io.BytesIO()
        FigureCanvasAgg(one).print_png(png)
        pictures[name] = png.getvalue()
    return pictures
