"""Drawing in SVG: a canvas, scales with round ticks, and a panel with axes. What is drawn, and why, is in `report_figures`.

Hand-written so that a page is small, the same to the byte, and styled by the page's own style sheet.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

Point = tuple[float, float]


def coordinate(value: float) -> str:
    """A coordinate to a tenth of a pixel."""
    text = f"{value:.1f}"
    return text.removesuffix(".0") if text != "-0.0" else "0"


def polyline(points: Iterable[Point]) -> str:
    """Path data through some points."""
    return "M" + "L".join(f"{coordinate(x)},{coordinate(y)}" for x, y in points)


class Drawing:
    """An SVG element that is built up; all text is escaped."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []

    def add(self, tag: str, text: str | None = None, **attributes: object) -> None:
        """One element; `class_` and `stroke_width` are written as `class` and `stroke-width`, None is left out."""
        written = "".join(
            f' {name.rstrip("_").replace("_", "-")}="{escape(_value(value))}"'
            for name, value in attributes.items()
            if value is not None
        )
        self._parts.append(f"<{tag}{written}/>" if text is None else f"<{tag}{written}>{escape(text)}</{tag}>")

    def line(self, start: Point, end: Point, class_: str = "axis", stroke: str | None = None) -> None:
        """A straight line."""
        self.add("line", x1=start[0], y1=start[1], x2=end[0], y2=end[1], class_=class_, stroke=stroke)

    def text(self, at: Point, text: str, class_: str | None = None, anchor: str | None = None, **more: object) -> None:
        """A line of text; `anchor` is start, middle or end."""
        self.add("text", text, x=at[0], y=at[1], class_=class_, text_anchor=anchor, **more)

    def markup(self) -> Markup:
        """The element, ready for the page."""
        size = f'width="{coordinate(self.width)}" height="{coordinate(self.height)}"'
        box = f"0 0 {coordinate(self.width)} {coordinate(self.height)}"
        body = f"<title>{escape(self.title)}</title>" + "".join(self._parts)
        return Markup(f'<svg {size} viewBox="{box}" role="img">{body}</svg>')  # every part is escaped above


@dataclass(frozen=True)
class Scale:
    """A map from values to pixels, linear or logarithmic."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    @classmethod
    def around(
        cls, values: Iterable[float], start: float, end: float, include: Sequence[float] = (), room: float = 0.06
    ) -> "Scale":
        """A scale that holds all finite values and those to include, with some room."""
        known = [value for value in (*values, *include) if math.isfinite(value)]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        space = (high - low) * room or abs(high) * room or 1.0
        low = low if low in include else low - space
        return cls(low, high if high in include and high != low else high + space, start, end)

    @classmethod
    def logarithmic(cls, values: Sequence[float], start: float, end: float) -> "Scale":
        """A logarithmic scale that holds some values above 0, with some room."""
        low, high = min(values), max(values)
        room = (high / low) ** 0.06
        return cls(low / room, high * room, start, end, log=True)

    def __call__(self, value: float) -> float:
        """The pixel of a value."""
        if self.log:
            return self.start + math.log(value / self.low) / math.log(self.high / self.low) * (self.end - self.start)
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[tuple[float, str]]:
        """Round values inside the scale, with their text."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
            return [(value, f"{value:,.10g}") for value in values if self.low <= value <= self.high]
        step = round_step((self.high - self.low) / about)
        digits = max(0, -math.floor(math.log10(step) + 1e-9))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [(index * step, f"{index * step:,.{digits}f}".replace("-", "−")) for index in range(first, last + 1)]


def round_step(rough: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `rough`."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next((factor * power for factor in (1.0, 2.0, 5.0) if factor * power >= rough * (1 - 1e-9)), 10.0 * power)


@dataclass(frozen=True)
class Margins:
    """Space around the plotted area, in pixels."""

    left: float = 46
    right: float = 12
    top: float = 26
    bottom: float = 38


class Panel:
    """A drawing with a heading, two axes and a grid."""

    def __init__(self, width: float, height: float, heading: str, margins: Margins | None = None) -> None:
        self.margins = margins or Margins()
        self.drawing = Drawing(width, height, heading)
        self.left, self.right = self.margins.left, width - self.margins.right
        self.top, self.bottom = self.margins.top, height - self.margins.bottom
        self.drawing.text((0, 13), heading, "heading")

    def grid(
        self,
        x_ticks: Sequence[tuple[float, str]],
        y_ticks: Sequence[tuple[float, str]],
        x_label: str = "",
        y_label: str = "",
    ) -> None:
        """Horizontal grid lines, tick texts and axis labels; tick positions are pixels."""
        for y, text in y_ticks:
            self.drawing.line((self.left, y), (self.right, y), "grid")
            self.drawing.text((self.left - 6, y + 3.5), text, "tick", "end")
        self.drawing.line((self.left, self.bottom), (self.right, self.bottom))
        for x, text in x_ticks:
            self.drawing.line((x, self.bottom), (x, self.bottom + 4))
            self.drawing.text((x, self.bottom + 15), text, "tick", "middle")
        if x_label:
            self.drawing.text(((self.left + self.right) / 2, self.bottom + 31), x_label, "label", "middle")
        if y_label:
            middle = (self.top + self.bottom) / 2
            turn = f"rotate(-90 11 {coordinate(middle)})"
            self.drawing.text((11, middle), y_label, "label", "middle", transform=turn)

    def x_scale(self, values: Iterable[float], include: Sequence[float] = (), room: float = 0.06) -> Scale:
        """A scale over the panel's width."""
        return Scale.around(values, self.left, self.right, include, room)

    def y_scale(self, values: Iterable[float], include: Sequence[float] = (), room: float = 0.06) -> Scale:
        """A scale over the panel's height."""
        return Scale.around(values, self.bottom, self.top, include, room)

    def markup(self) -> Markup:
        """The finished drawing."""
        return self.drawing.markup()


def pixels(scale: Scale, about: int = 5) -> list[tuple[float, str]]:
    """The ticks of a scale as pixel positions and texts."""
    return [(scale(value), text) for value, text in scale.ticks(about)]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions moved apart, as little as needed, so that labels at them do not overlap; in the given order."""
    order = sorted(range(len(positions)), key=lambda index: (positions[index], index))
    placed = [0.0] * len(positions)
    above = low - gap
    for index in order:
        above = placed[index] = max(positions[index], above + gap)
    below = high + gap
    for index in reversed(order):
        below = placed[index] = min(placed[index], below - gap)
    return placed


def _value(value: object) -> str:
    return coordinate(value) if isinstance(value, float) else str(value)
