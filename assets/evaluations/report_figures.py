"""The report's figures as inline SVG, each a function of plain arrays. What goes into them is decided in `report_sections`."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from assets.evaluations import report_words as words
from assets.evaluations.report_svg import Drawing, Margins, Panel, Point, Scale, coordinate, pixels, polyline, spread

Vector = np.ndarray[Any, np.dtype[np.float64]]
ACCENT, WARN = "#0b62c4", "#b3530b"
NAIVE_DASHES = {"global_mean": "1 3", "base_rate": "1 3", "channel_median": "7 3", "persistence": "3 3"}
NAIVE_DASHES |= {"constant_growth": "9 3 2 3", "growth_curve": "14 4"}
NAIVE_COLOUR = "#8792a2"
COLOURS = {"hist_gradient_boosting": ACCENT, "hist_gradient_boosting_classifier": ACCENT, "lightgbm": "#7a45c4"}
COLOURS |= {"ridge": "#0c8a6a", "tfidf_logistic": "#c2571a"}
COLOURS |= {"positive": "#0c8a6a", "negative": "#c2571a", "ambiguous": "#7a45c4", "neutral": "#5b6673"}
OTHER_COLOURS = ("#b0307a", "#5c7a00", "#00798c", "#8a5a00")
SEQUENCE = ("#dbe9f9", "#b3d1f2", "#7fb2e8", "#4a8fda", "#1d6cc4", "#0a4a94")
COVERAGE_COLOURS = {50: "#7fb2e8", 80: ACCENT, 90: "#0a3f80"}


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: Its label at the right end.
        points: x and y, in order of x.
        naive: Drawn grey and dashed.
        champion_at: The x at which it is the champion: drawn large there, with its interval.
        band: x, lower and upper of that interval.
    """

    name: str
    points: Sequence[Point]
    naive: bool = False
    champion_at: frozenset[float] = frozenset()
    band: Sequence[tuple[float, float, float]] = ()

    @property
    def always_champion(self) -> bool:
        """Whether it is the champion all along its line."""
        return len(self.points) > 0 and all(x in self.champion_at for x, _ in self.points)

    @property
    def colour(self) -> str:
        """The forecaster's own colour, the same on every chart."""
        if self.naive:
            return NAIVE_COLOUR
        return COLOURS.get(self.name) or OTHER_COLOURS[sum(map(ord, self.name)) % len(OTHER_COLOURS)]

    @property
    def dash(self) -> str | None:
        """The dash pattern of a naive forecaster."""
        return NAIVE_DASHES.get(self.name, "4 4") if self.naive else None


def lines(
    heading: str,
    series: Sequence[Series],
    x_ticks: Sequence[tuple[float, str]],
    y_label: str,
    x_label: str = "",
    plot: float = 236,
) -> Markup:
    """Lines over an ordered axis, named at their right end; a logarithmic height where the lines are far apart."""
    names = max((7.4 if one.champion_at else 6.8) * len(one.name) for one in series)
    panel = Panel(48 + plot + names + 8, 272, heading, Margins(left=48, right=names + 8, top=28, bottom=44))
    x = panel.x_scale([value for value, _ in x_ticks], room=0.05)
    heights = [value for one in series for _, value in one.points]
    heights += [end for one in series for at, *ends in one.band if at in one.champion_at for end in ends]
    far_apart = min(heights) > 0 and max(heights) > 4 * min(heights)
    y = Scale.logarithmic(heights, panel.bottom, panel.top) if far_apart else panel.y_scale(heights)
    panel.grid([(x(value), text) for value, text in x_ticks], pixels(y), x_label, y_label + " (log)" * far_apart)
    for one in sorted(series, key=lambda line: (bool(line.champion_at), not line.naive, line.name)):
        _line(panel.drawing, one, x, y)
    ends = [y(one.points[-1][1]) for one in series]
    for one, end, at in zip(series, ends, spread(ends, 13, panel.top + 2, panel.bottom), strict=True):
        last = x(one.points[-1][0])
        panel.drawing.add("path", d=polyline([(last + 5, end), (panel.right + 2, at)]), class_="leader")
        weight = "name strong" if one.champion_at else "name"
        panel.drawing.text(
            (panel.right + 5, at + 3.5), one.name, weight, style=None if one.naive else f"fill:{one.colour}"
        )
    return panel.markup()


def _line(drawing: Drawing, one: Series, x: Scale, y: Scale) -> None:
    band = [(x(at), y(low), y(high)) for at, low, high in one.band if at in one.champion_at]
    if one.always_champion and len(band) > 1:
        edge = [(at, high) for at, _, high in band] + [(at, low) for at, low, _ in reversed(band)]
        drawing.add("path", d=polyline(edge) + "Z", fill=one.colour, fill_opacity="0.12")
    else:
        for at, low, high in band:
            drawing.add("path", d=polyline([(at, low), (at, high)]), class_="whisker", stroke=one.colour)
    thick = "2.4" if one.always_champion else "1.5"
    points = polyline((x(at), y(value)) for at, value in one.points)
    drawing.add("path", d=points, class_="line", stroke=one.colour, stroke_width=thick, stroke_dasharray=one.dash)
    for at, value in one.points:
        drawing.add("circle", cx=x(at), cy=y(value), r="4" if at in one.champion_at else "2", fill=one.colour)


def forest(heading: str, rows: Sequence[tuple[str, float, float | None, float | None]], x_label: str) -> Markup:
    """One figure per row, in per cent, with its interval and a line at 0."""
    height = 26 * len(rows) + 74
    left = 6.9 * max(len(name) for name, *_ in rows) + 20
    panel = Panel(left + 460, height, heading, Margins(left=left, right=74, top=26, bottom=42))
    ends = [100 * end for _, value, *interval in rows for end in (value, *interval) if end is not None]
    x = panel.x_scale(ends, include=(0.0,))
    panel.grid(pixels(x, 6), [], x_label)
    panel.drawing.line((x(0.0), panel.top), (x(0.0), panel.bottom), "zero")
    for index, (name, value, lower, upper) in enumerate(rows):
        at = panel.top + 26 * index + 16
        colour = ACCENT if value >= 0 else WARN
        panel.drawing.text((panel.left - 12, at + 3.5), name, "name", "end")
        if lower is not None and upper is not None:
            panel.drawing.add(
                "path", d=polyline([(x(100 * lower), at), (x(100 * upper), at)]), class_="whisker", stroke=colour
            )
        panel.drawing.add("circle", cx=x(100 * value), cy=at, r="4.5", fill=colour)
        panel.drawing.text((panel.right + 10, at + 3.5), words.share(value), "name strong")
    return panel.markup()


def density(heading: str, actual: Vector, forecast: Vector, x_label: str, y_label: str, across: int = 26) -> Markup:
    """Hexagons coloured by how many (forecast, outcome) pairs they hold, with the diagonal."""
    size = 270.0
    panel = Panel(size, size + 18, heading, Margins(left=46, right=8, top=26, bottom=44))
    both = np.concatenate([actual, forecast])
    low, high = float(np.quantile(both, 0.001)), float(np.quantile(both, 0.999))
    x = Scale.around((low, high), panel.left, panel.right)
    y = Scale(x.low, x.high, panel.bottom, panel.top)
    panel.grid(pixels(x), pixels(y), x_label, y_label)
    radius = (panel.right - panel.left) / across / math.sqrt(3)
    for colour, path in _hexagons(actual, forecast, x, y, radius):
        panel.drawing.add("path", d=path, fill=colour)
    panel.drawing.line((x(x.low), y(x.low)), (x(x.high), y(x.high)), "diagonal")
    return panel.markup()


def _hexagons(actual: Vector, forecast: Vector, x: Scale, y: Scale, radius: float) -> list[tuple[str, str]]:
    """Path data per colour: centres on two interleaved grids, the nearer of which takes the point."""
    inside = (np.minimum(actual, forecast) >= x.low) & (np.maximum(actual, forecast) <= x.high)
    wide, tall = radius * math.sqrt(3), radius * 3
    across = (np.array([x(value) for value in forecast[inside]]) - x.start) / wide
    up = (y.start - np.array([y(value) for value in actual[inside]])) / tall
    even = np.column_stack([np.round(across), np.round(up)])
    odd = np.column_stack([np.floor(across) + 0.5, np.floor(up) + 0.5])
    ratio = tall / wide
    nearer = (across - even[:, 0]) ** 2 + ((up - even[:, 1]) * ratio) ** 2 <= (across - odd[:, 0]) ** 2 + (
        (up - odd[:, 1]) * ratio
    ) ** 2
    centres, counts = np.unique(np.where(nearer[:, None], even, odd), axis=0, return_counts=True)
    level = np.minimum(
        (np.log1p(counts) / np.log1p(max(counts.max(initial=1), 4)) * len(SEQUENCE)).astype(int), len(SEQUENCE) - 1
    )
    corner = f"l{coordinate(wide / 2)},{coordinate(radius / 2)}v{coordinate(radius)}l{coordinate(-wide / 2)},{coordinate(radius / 2)}"
    corner += f"l{coordinate(-wide / 2)},{coordinate(-radius / 2)}v{coordinate(-radius)}z"
    paths = []
    for shade, colour in enumerate(SEQUENCE):
        chosen = centres[level == shade]
        tops = ((x.start + column * wide, y.start - row * tall - radius) for column, row in chosen)
        paths.append((colour, "".join(f"M{coordinate(left)},{coordinate(top)}{corner}" for left, top in tops)))
    return [(colour, path) for colour, path in paths if path]


def reliability(heading: str, bins: Mapping[str, Sequence[tuple[float, float, int]]], champion: str) -> Markup:
    """Observed share against stated probability; each point is a bin, its area the videos in it."""
    size = 270.0
    panel = Panel(size + 28, size + 18, heading, Margins(left=60, right=24, top=26, bottom=44))
    x, y = Scale(0, 1, panel.left, panel.right), Scale(0, 1, panel.bottom, panel.top)
    panel.grid(_shares(x), _shares(y), "stated probability", "observed share")
    panel.drawing.line((x(0), y(0)), (x(1), y(1)), "diagonal")
    for name in sorted(bins, key=lambda other: (other == champion, other)):
        own = Series(name, [(stated, observed) for stated, observed, _ in bins[name]])
        points = [(x(stated), y(observed)) for stated, observed in own.points]
        strong = name == champion
        thick = "2" if strong else "1.2"
        panel.drawing.add(
            "path", d=polyline(points), class_="line", stroke=own.colour, stroke_width=thick, opacity="0.85"
        )
        if strong:
            for (left, top), (_, observed, n) in zip(points, bins[name], strict=True):
                error = 1.96 * math.sqrt(max(observed * (1 - observed), 0.25 / max(n, 1)) / max(n, 1))
                ends = [(left, y(max(observed - error, 0.0))), (left, y(min(observed + error, 1.0)))]
                panel.drawing.add("path", d=polyline(ends), class_="whisker thin", stroke=own.colour)
                panel.drawing.add(
                    "circle", cx=left, cy=top, r=min(2.5 + math.sqrt(n) / 4, 9.0), fill=own.colour, opacity="0.9"
                )
    return panel.markup()


def precision_recall(heading: str, recall: Vector, precision: Vector, base: float, called: Point | None) -> Markup:
    """Precision against recall of the champion, the base rate, and where a probability of one half lies."""
    size = 270.0
    panel = Panel(size + 28, size + 18, heading, Margins(left=60, right=24, top=26, bottom=44))
    x, y = Scale(0, 1, panel.left, panel.right), Scale(0, 1, panel.bottom, panel.top)
    panel.grid(_shares(x), _shares(y), "recall", "precision")
    panel.drawing.line((x(0), y(base)), (x(1), y(base)), "diagonal")
    panel.drawing.text((x(0.02), y(base) - 5), f"base rate {words.share(base, 0)}", "note")
    keep = np.unique(np.searchsorted(recall, np.linspace(0, 1, 120)).clip(max=len(recall) - 1))
    points = [(x(float(found)), y(float(right))) for found, right in zip(recall[keep], precision[keep], strict=True)]
    panel.drawing.add("path", d=polyline(points), class_="line", stroke=ACCENT, stroke_width="2")
    if called:
        panel.drawing.add("circle", cx=x(called[0]), cy=y(called[1]), r="4.5", fill=WARN)
        panel.drawing.text(
            (x(called[0]) - 8, y(called[1]) + 15), "called from ½", "note", "end" if called[0] > 0.35 else "start"
        )
    return panel.markup()


def _shares(scale: Scale) -> list[tuple[float, str]]:
    return [(scale(value / 5), f"{20 * value} %") for value in range(6)]


def coverage(heading: str, rows: Sequence[tuple[str, Mapping[int, float]]]) -> Markup:
    """Observed coverage per row against the three nominal levels, drawn as lines."""
    panel = Panel(560, 30 * len(rows) + 78, heading, Margins(left=120, right=20, top=40, bottom=40))
    values = [100 * value for _, levels in rows for value in levels.values()]
    x = panel.x_scale(values, include=(50.0, 90.0))
    x = Scale(min(x.low, 44.0), max(x.high, 96.0), panel.left, panel.right)
    panel.grid([(x(value), text + " %") for value, text in x.ticks(6)], [], "outcomes inside their interval")
    for level, colour in COVERAGE_COLOURS.items():
        panel.drawing.line((x(level), panel.top - 4), (x(level), panel.bottom), "nominal", colour)
        panel.drawing.text((x(level), panel.top - 8), f"{level} %", "note", "middle")
    for index, (name, levels) in enumerate(rows):
        at = panel.top + 30 * index + 16
        panel.drawing.text((panel.left - 12, at + 3.5), name, "name", "end")
        for level, value in sorted(levels.items()):
            colour = COVERAGE_COLOURS[level]
            panel.drawing.add(
                "path", d=polyline([(x(level), at), (x(100 * value), at)]), class_="whisker thin", stroke=colour
            )
            panel.drawing.add("circle", cx=x(100 * value), cy=at, r="4.5", fill=colour)
    return panel.markup()


def bars(heading: str, rows: Sequence[tuple[str, float, float, float]], x_label: str) -> Markup:
    """Named horizontal bars with the range over repeats."""
    left = 6.9 * max(len(name) for name, *_ in rows) + 20
    panel = Panel(left + 296, 21 * len(rows) + 74, heading, Margins(left=left, right=58, top=26, bottom=42))
    x = panel.x_scale([end for _, *ends in rows for end in ends], include=(0.0,))
    panel.grid(pixels(x, 4), [], x_label)
    zero = x(0.0)
    for index, (name, value, lower, upper) in enumerate(rows):
        at = panel.top + 21 * index + 12
        panel.drawing.text((panel.left - 10, at + 3.5), name, "name", "end")
        colour = "#5b97dd" if value >= 0 else "#d8a06f"
        end = x(value)
        panel.drawing.add("rect", x=min(zero, end), y=at - 6, width=abs(end - zero), height=12, fill=colour, rx="2")
        panel.drawing.add("path", d=polyline([(x(lower), at), (x(upper), at)]), class_="whisker thin", stroke="#24406b")
        panel.drawing.text((panel.right + 8, at + 3.5), words.number(value), "tick")
    panel.drawing.line((zero, panel.top), (zero, panel.bottom), "zero")
    return panel.markup()


def histogram(heading: str, values: Vector, x_label: str) -> Markup:
    """How some values are distributed."""
    panel = Panel(330, 190, heading, Margins(left=46, right=10, top=26, bottom=42))
    counts, edges = np.histogram(values, bins=32)
    x = Scale(float(edges[0]), float(edges[-1]), panel.left, panel.right)
    y = panel.y_scale([float(counts.max())], include=(0.0,))
    panel.grid(pixels(x), pixels(y, 3), x_label)
    steps = "".join(
        f"V{coordinate(y(float(n)))}H{coordinate(x(float(end)))}" for n, end in zip(counts, edges[1:], strict=True)
    )
    start = f"M{coordinate(panel.left)},{coordinate(panel.bottom)}"
    panel.drawing.add("path", d=f"{start}{steps}V{coordinate(panel.bottom)}Z", fill="#7fb2e8")
    return panel.markup()


def sparkline(values: Vector, name: str) -> Markup:
    """A distribution small enough for a table cell."""
    drawing = Drawing(84, 18, f"distribution of {name}")
    low, high = np.quantile(values, [0.005, 0.995])
    counts, _ = np.histogram(np.clip(values, low, high), bins=14)
    tall = counts / counts.max() * 17
    steps = "".join(f"V{coordinate(18 - float(top))}h6" for top in tall)
    drawing.add("path", d=f"M0,18{steps}V18Z", fill="#7fb2e8")
    return drawing.markup()


def architecture(stages: Sequence[tuple[str, str, Sequence[str]]]) -> Markup:
    """The way of the data: one box per stage with its tables, arrows between them, and the rule of time below."""
    wide, gap, row = 176.0, 34.0, 17.0
    tall = max(len(tables) for *_, tables in stages) * row + 58
    width = len(stages) * wide + (len(stages) - 1) * gap
    drawing = Drawing(width + 2, tall + 72, "The way of the data, from a landing file to a report")
    for index, (name, note, tables) in enumerate(stages):
        left = index * (wide + gap) + 1
        drawing.add("rect", x=left, y=1.0, width=wide, height=tall, rx="9", class_="box")
        drawing.text((left + 14, 25), name, "stage")
        drawing.text((left + 14, 41), note, "note")
        for position, table in enumerate(tables):
            drawing.text((left + 14, 62 + position * row), table, "table")
        if index:
            start, middle = left - gap + 5, tall / 2
            drawing.add("path", d=polyline([(start, middle), (left - 7, middle)]), class_="arrow")
            head = [(left - 13, middle - 5), (left - 6, middle), (left - 13, middle + 5)]
            drawing.add("path", d=polyline(head), class_="arrow")
    drawing.add("rect", x=1.0, y=tall + 18, width=width, height=46.0, rx="9", class_="rule")
    drawing.text((16, tall + 38), "One rule of time runs through all of it", "stage")
    rule = "a value counts at a cutoff only if it was observed by then and known by then; outcomes count once they have matured"
    drawing.text((16, tall + 55), rule, "note")
    return drawing.markup()
