"""A picture of the trials of a study, for the asset's page. Trials come as they are; nothing is read here."""

import io
from collections.abc import Sequence

from matplotlib.figure import Figure

from assets.models.search.trials import Trial


def trials_chart(trials: Sequence[Trial], title: str) -> bytes:
    """A PNG of the error of every trial, pruned ones apart, with the best so far."""
    figure = Figure(figsize=(7.2, 3.2), layout="constrained")
    axes = figure.subplots()
    for state, marker, colour in (("complete", "o", "#2f6db5"), ("pruned", "x", "#9aa4b2")):
        found = [(trial.number, trial.value) for trial in trials if trial.state == state and trial.value is not None]
        numbers, values = [number for number, _ in found], [value for _, value in found]
        axes.plot(numbers, values, marker, color=colour, label=f"{state}: {len(found)}")
    best: list[tuple[int, float]] = []
    for trial in trials:
        if trial.state == "complete" and trial.value is not None:
            best.append((trial.number, min(trial.value, best[-1][1] if best else trial.value)))
    axes.step([number for number, _ in best], [value for _, value in best], where="post", color="#2f6db5", label="best")
    axes.set(title=title, xlabel="trial (0: the forecaster as it is)", ylabel="mean error over the folds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=110, metadata={"Software": None})
    return png.getvalue()
