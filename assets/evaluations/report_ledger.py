"""What the page shows of the ledger: what was promised before the outcome, and what happened, week by week.

Nothing is scored here; live and replayed forecasts stand apart.
"""

from collections.abc import Sequence
from datetime import date, timedelta

import pandas as pd
from markupsafe import Markup

from assets.evaluations import report_words as words
from assets.evaluations.report_data import cutoff_order
from assets.evaluations.report_figures import ACCENT, COVERAGE_COLOURS, NAIVE_COLOUR, WARN
from assets.evaluations.report_sections import Grid, Part, columns, numeral
from assets.evaluations.report_sections import Text as Cell
from assets.evaluations.report_svg import Margins, Panel, Point, Scale, pixels, polyline, spread
from assets.evaluations.scored_forecasts import weekly_scores
from warehouse.connection import Warehouse

WIDTH, HEIGHT = 420.0, 232.0
FOLD_FROM = 9  # cells
Line = tuple[str, str, str | None, Sequence[Point]]
"""Name, colour, dash pattern and points (day of the first week, value)."""


def ledger(warehouse: Warehouse, sources: Sequence[str]) -> list[Part]:
    """The parts of the section on some sources: a table over all cells, then each cell over time, per clock."""
    weeks = weekly_scores(warehouse)
    weeks = weeks[weeks["source"].isin(sources)]
    parts = []
    for clock, told in weeks.groupby("clock", sort=True):
        groups = [(str(source), str(target), str(cutoff), rows) for (source, target, cutoff), rows in told.groupby(["source", "target", "cutoff"])]  # fmt: skip
        groups.sort(key=lambda group: (*group[:2], cutoff_order(group[2])))
        caption = (
            "Forecasts written down before their outcome was known, by whichever model served then. The naive forecast is the last "
            "known level, else the mean of the model's training rows; of a class, its share there."
        )
        grid = Grid(_heads(), [("", _row(name, rows)) for *name, rows in groups])
        parts.append(Part(f"Promises ({clock})", grids=[grid], caption=caption))
        drawn = [(name, rows[rows["scored"] > 0]) for *name, rows in groups]
        parts += [
            Part(" ".join([*name, f"({clock})"]), drawings=_drawings(rows), folded=len(groups) >= FOLD_FROM)
            for name, rows in drawn
            if len(rows)
        ]
    return parts


def _heads() -> list[tuple[str, str]]:
    return columns(
        "source", "target", "cutoff", "#made", "#outcome known", "#error", "#naive error", "#better than naive",
        "#in 50 %", "#in 80 %", "#in 90 %", "weeks",
    )  # fmt: skip


def _row(name: Sequence[str], rows: pd.DataFrame) -> list[Cell]:
    """One cell over all its weeks."""
    scored = rows[rows["scored"] > 0]
    pooled = {column: _pooled(scored, column) for column in ("error", "naive_error", *_COVERED)}
    error, naive = pooled["error"], pooled["naive_error"]
    better = None if error is None or not naive else 1 - error / naive
    return [
        *(Cell(part) for part in name),
        numeral(words.count(rows["made"].sum())),
        numeral(words.count(scored["scored"].sum())),
        numeral(words.MISSING if error is None else words.number(error)),
        numeral(words.MISSING if naive is None else words.number(naive)),
        numeral(
            words.MISSING if better is None else words.share(better), class_="bad" if better and better < 0 else "good"
        ),
        *(numeral(words.written(f"coverage_{column[-2:]}", pooled[column])) for column in _COVERED),
        Cell(f"{words.day(rows['week'].min())} to {words.day(rows['week'].max())}"),
    ]


_COVERED = tuple(f"covered_{level}" for level in COVERAGE_COLOURS)


def _pooled(rows: pd.DataFrame, column: str) -> float | None:
    """The mean over the forecasts of all weeks, of those that have one."""
    known = rows[rows[column].notna()]
    return float((known[column] * known["scored"]).sum() / known["scored"].sum()) if len(known) else None


def _drawings(rows: pd.DataFrame) -> list[Markup]:
    """One cell over time: promised and happened, error against naive, coverage."""
    number = bool(rows["lower"].notna().any())
    what = "mean forecast, mean outcome" if number else "mean probability, share of positives"
    lines: list[Line] = [
        ("promised", ACCENT, None, _points(rows, "promised")),
        ("happened", WARN, None, _points(rows, "happened")),
    ]
    drawings = [_over_time("Promised and happened", rows, lines, what, band=number)]
    loss = "mean absolute error" if number else "mean log loss"
    lines = [
        ("champion", ACCENT, None, _points(rows, "error")),
        ("naive", NAIVE_COLOUR, "4 3", _points(rows, "naive_error")),
    ]
    drawings.append(_over_time("Error by week", rows, lines, loss))
    if number:
        lines = [
            (f"{level} %", colour, None, [(day, 100 * share) for day, share in _points(rows, f"covered_{level}")])
            for level, colour in COVERAGE_COLOURS.items()
        ]
        drawings.append(_over_time("Coverage by week", rows, lines, "% inside the interval", nominal=COVERAGE_COLOURS))
    return drawings


def _over_time(
    heading: str,
    rows: pd.DataFrame,
    lines: Sequence[Line],
    y_label: str,
    *,
    band: bool = False,
    nominal: dict[int, str] | None = None,
) -> Markup:
    """Lines by week, named at their right end; with the mean 80 % interval as a band, or with the promised shares as lines."""
    panel = Panel(WIDTH, HEIGHT, heading, Margins(left=48, right=72, top=28, bottom=44))
    first, last = rows["week"].min(), rows["week"].max()
    x = panel.x_scale([0.0, max(float((last - first).days), 7.0)], room=0.03)
    heights = [value for *_, points in lines for _, value in points]
    edges = [_points(rows, "upper"), _points(rows, "lower")] if band else []
    heights += [value for edge in edges for _, value in edge]
    y = panel.y_scale(heights, include=(min(nominal), max(nominal)) if nominal else ())
    panel.grid(_days(x, first), pixels(y), "week in which it was promised", y_label)
    if band and all(edges):
        outline = [(x(day), y(value)) for day, value in [*edges[0], *reversed(edges[1])]]
        panel.drawing.add("path", d=polyline(outline) + "Z", fill=ACCENT, fill_opacity="0.12")
    for level, colour in (nominal or {}).items():
        panel.drawing.line((panel.left, y(level)), (panel.right, y(level)), "nominal", colour)
    shown = [line for line in lines if line[3]]
    ends = [y(points[-1][1]) for *_, points in shown]
    for (name, colour, dash, points), end in zip(shown, spread(ends, 13, panel.top, panel.bottom), strict=True):
        at = [(x(day), y(value)) for day, value in points]
        panel.drawing.add(
            "path", d=polyline(at), class_="line", stroke=colour, stroke_width="1.8", stroke_dasharray=dash
        )
        for left, top in at:
            panel.drawing.add("circle", cx=left, cy=top, r="2.4", fill=colour)
        panel.drawing.text((panel.right + 6, end + 3.5), name, "name", style=f"fill:{colour}")
    return panel.markup()


def _points(rows: pd.DataFrame, column: str) -> list[Point]:
    """Days since the first week and the week's mean, where there is one."""
    first = rows["week"].min()
    known = rows[rows[column].notna()]
    return [
        (float((week - first).days), float(value)) for week, value in zip(known["week"], known[column], strict=True)
    ]


def _days(x: Scale, first: date) -> list[tuple[float, str]]:
    return [
        (x(days), words.day(first + timedelta(days=round(days))))
        for days, _ in x.ticks(3)
        if days >= 0 and abs(days - round(days)) < 1e-6
    ]
