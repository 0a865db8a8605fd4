"""What the page shows of how champions and challengers were trained: their losses and metrics by optimiser step.

The rows are those of `models.curves`; a forecaster that is not trained step by step has none and is not shown.
"""

from collections.abc import Sequence

import pandas as pd
from markupsafe import Markup

from assets.evaluations import report_words as words
from assets.evaluations.report_figures import Series, lines
from assets.evaluations.report_sections import Part
from warehouse.connection import Warehouse

LOSS = "_loss"
TELLS_OF_SPEED = ("samples_per_second", "learning_rate")
TICKS = 4
_CURVES = """
    SELECT v.source, v.target, v.cutoff, v.alias, v.forecaster, v.origin, c.metric, c.step, c.value
    FROM models.curves c JOIN models.versions v USING (training_id)
    WHERE v.alias IS NOT NULL AND c.fit = 'final' AND list_contains($sources, v.source)
    ORDER BY ALL
"""


def curves(warehouse: Warehouse, sources: Sequence[str]) -> list[Part]:
    """A part per champion and challenger that was trained step by step: losses, and each metric, of the final fit."""
    told = warehouse.query(_CURVES, {"sources": list(sources)}).to_pandas()
    told = told[~told["metric"].isin(TELLS_OF_SPEED)]
    parts = []
    of = ["source", "target", "cutoff", "alias", "forecaster", "origin"]
    for (source, target, cutoff, alias, forecaster, origin), rows in told.groupby(of, sort=True):
        heading = f"Learning curves: {source}/{target}/{cutoff}, {forecaster} ({alias}, origin {words.day(origin)})"
        losses = rows["metric"].str.endswith(LOSS)
        drawings = [_drawing("Loss", rows[losses])] if losses.any() else []
        drawings += [_drawing(words.label(str(name)), own) for name, own in rows[~losses].groupby("metric", sort=True)]
        parts.append(Part(heading, drawings=drawings, caption=_CAPTION, folded=True))
    return parts


_CAPTION = (
    "Of the fit that serves. The validation block is the latest part of the training rows, which only says when to stop; a line that "
    "rises there while the training loss falls says that the rows are learned by heart."
)


def _drawing(heading: str, rows: pd.DataFrame) -> Markup:
    """A line per metric over the optimiser steps."""
    series = [
        Series(
            str(name).removesuffix(LOSS).replace("_", " "),
            list(zip(own["step"].astype(float), own["value"], strict=True)),
        )
        for name, own in rows.groupby("metric", sort=True)
    ]
    last = int(rows["step"].max())
    ticks = sorted({round(last * part / TICKS) for part in range(TICKS + 1)})
    return lines(
        heading, series, [(float(step), words.count(step)) for step in ticks], heading.lower(), "optimiser step"
    )
