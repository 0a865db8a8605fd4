"""Pictures of training runs for the asset's page: losses and metrics by step. Figures come as frames; nothing is read here."""

import io

import pandas as pd

MOST = 6
"""Pictures of one materialisation; the table says the rest."""


def loss_curves(curves: pd.DataFrame, title: str) -> bytes | None:
    """A PNG of the losses of one training by step, per fit; None where it told of none.

    Args:
        curves: Columns `fit`, `metric`, `step`, `value`.
        title: Heading.
    """
    losses = curves[curves["metric"].str.endswith("loss")]
    if losses.empty:
        return None
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), layout="constrained")
    axes = figure.subplots()
    for (fit, metric), part in losses.sort_values("step").groupby(["fit", "metric"]):
        axes.plot(part["step"], part["value"], label=f"{str(metric).replace('_', ' ')}, {fit} fit")
    axes.set(title=title, xlabel="optimiser step", ylabel="loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    png = io.BytesIO()
    FigureCanvasAgg(figure).print_png(png)
    return png.getvalue()
