"""What the page shows of decisions: who served when, what the gate saw of each challenger, and every decision with its numbers.

The rows are those of `evaluations.decisions`; nothing is judged here. Live and replayed decisions stand apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from markupsafe import Markup

from assets.evaluations import report_figures as figures
from assets.evaluations import report_words as words
from assets.evaluations.decisions import Decision
from assets.evaluations.decisions import decisions as stored
from assets.evaluations.grid import Cell
from assets.evaluations.report_sections import Grid, Part, Text, columns, numeral
from assets.evaluations.report_svg import Margins, Panel
from warehouse.connection import Warehouse

LATEST = 40
"""Decisions that are drawn and listed one by one; earlier ones are counted."""
COLOURS = ("#0b62c4", "#0c8a6a", "#7a45c4", "#c2571a", "#00798c", "#b0307a")
LANE, DAY = 30.0, timedelta(days=1)
CHANGES = ("first", "promoted", "rolled_back")


@dataclass(frozen=True)
class Spell:
    """How long a model served.

    Attributes:
        version: The model.
        start: From when.
        end: Until when; the latest decision of the page where it serves still.
    """

    version: str
    start: datetime
    end: datetime


def decisions(warehouse: Warehouse, sources: Sequence[str]) -> list[Part]:
    """The parts of the section on some sources, for each clock that decisions were made by."""
    rows = [decision for decision in stored(warehouse) if decision.source in sources]
    parts: list[Part] = []
    for clock in sorted({decision.clock for decision in rows}):
        told = [decision for decision in rows if decision.clock == clock]
        parts += [part for part in (_served(told, clock), _gate(told, clock), _listed(told, clock)) if part]
        parts += _slices(told)
    return parts


def spells(rows: Sequence[Decision]) -> list[Spell]:
    """Who served a cell when, by the decisions that changed it; of decisions at one moment each follows on the other."""
    changes = [decision for decision in rows if decision.outcome in CHANGES]
    serving: tuple[str, datetime] | None = None
    found = []
    while changes:
        alike = [decision for decision in changes if decision.decided_at == changes[0].decided_at]
        version = None if serving is None else serving[0]
        decision = next((one for one in alike if _replaced(one) == version), alike[0])
        changes.remove(decision)
        if serving is not None:
            found.append(Spell(*serving, decision.decided_at))
        after = decision.against if decision.outcome == "rolled_back" else decision.version
        serving = None if after is None else (after, decision.decided_at)
    return found if serving is None else [*found, Spell(*serving, rows[-1].decided_at)]


def _replaced(decision: Decision) -> str | None:
    """Who served before a decision that changed it."""
    return decision.version if decision.outcome == "rolled_back" else decision.against


def _served(rows: list[Decision], clock: str) -> Part | None:
    lanes = [(cell, spells([row for row in rows if row.cell == cell])) for cell in _cells(rows)]
    lanes = [(cell, found) for cell, found in lanes if found]
    if not lanes:
        return None
    caption = (
        "Each bar is a model from the decision that let it serve to the one that replaced it; a gap is time in which nothing "
        "served. The date on a bar is the model's origin: it was fitted on what had matured by then."
    )
    return Part(
        f"Champions ({clock})", drawings=[_lanes(lanes, rows[0].decided_at, rows[-1].decided_at)], caption=caption
    )


def _lanes(lanes: Sequence[tuple[Cell, Sequence[Spell]]], first: datetime, last: datetime) -> Markup:
    """One lane per cell, one bar per spell, over time."""
    names = [str(cell) for cell, _ in lanes]
    left = 6.9 * max(len(name) for name in names) + 20
    panel = Panel(
        left + 620, LANE * len(lanes) + 74, "Who served when", Margins(left=left, right=24, top=26, bottom=42)
    )
    x = panel.x_scale([0.0, max((last - first) / DAY, 1.0)], room=0.02)
    marks = [
        first + timedelta(days=round(days)) for days, _ in x.ticks(6) if days >= 0 and abs(days - round(days)) < 1e-6
    ]
    panel.grid([(x((mark - first) / DAY), words.day(mark)) for mark in marks], [], "home's clock")
    for row, (cell, found) in enumerate(lanes):
        top = panel.top + LANE * row + 6
        panel.drawing.text((panel.left - 12, top + 13), names[row], "name", "end")
        for number, spell in enumerate(found):
            start, end = x((spell.start - first) / DAY), x((spell.end - first) / DAY)
            wide, colour = max(end - start, 3.0), COLOURS[number % len(COLOURS)]
            panel.drawing.add("rect", x=start, y=top, width=wide, height=18.0, fill=colour, fill_opacity="0.85", rx="3")
            name = _short(cell, spell.version)
            if 6.2 * len(name) + 12 < wide:
                panel.drawing.text((start + 6, top + 13), name, "tick", style="fill:#fff")
    return panel.markup()


def _gate(rows: list[Decision], clock: str) -> Part | None:
    """By how much each challenger's loss was smaller, with its interval."""
    judged = [row for row in rows if row.kind == "gate" and row.numbers.get("other_loss")][-LATEST:]
    if not judged:
        return None
    forest = []
    for row in judged:
        ends = (row.numbers["difference"], row.numbers["lower"], row.numbers["upper"])
        value, lower, upper = (None if end is None else end / row.numbers["other_loss"] for end in ends)
        forest.append((f"{words.day(row.decided_at)} {row.cell} {row.outcome}", value or 0.0, lower, upper))
    drawing = figures.forest("What the gate saw", forest, "% of the loss saved on later videos, with its 95 % interval")
    caption = (
        "Challenger against what served, or against the best naive forecaster where nothing did, on the same videos published "
        "after both were trained. The interval allows for errors that are alike within a channel and a week."
    )
    return Part(f"Challengers ({clock})", drawings=[drawing], caption=caption)


def _listed(rows: list[Decision], clock: str) -> Part | None:
    """Every decision that could change who serves; how often training was asked for, and why not."""
    own = [row for row in rows if row.kind != "training"][-LATEST:]
    heads = columns("decision", "cell", "model", "#loss", "#80 % covers", "why")
    listed = [("champion" if row.outcome in CHANGES else "", _cells_of(row)) for row in reversed(own)]
    trained = [row for row in rows if row.kind == "training"]
    counted = [
        ("", [Text(str(cell)), *(numeral(words.count(sum(row.cell == cell and row.outcome == asked for row in trained))) for asked in ("fired", "waited"))])
        for cell in _cells(trained)
    ]  # fmt: skip
    grids = [Grid(heads, listed)] if listed else []
    grids += [Grid(columns("training", "#asked for", "#not needed yet"), counted)] if counted else []
    earlier = len([row for row in rows if row.kind != "training"]) - len(own)
    caption = f"{words.plural(earlier, 'earlier decision')} not listed." if earlier else ""
    return Part(f"Decisions ({clock})", grids=grids, caption=caption) if grids else None


def _cells_of(row: Decision) -> list[Text]:
    numbers = row.numbers
    loss, other = (
        numbers.get("loss", numbers.get("champion_loss")),
        numbers.get("other_loss", numbers.get("naive_loss")),
    )
    against = numbers.get("judged_against") or row.against
    return [
        Text(row.outcome.replace("_", " "), f"{row.kind}, {words.moment(row.decided_at)}", "tag"),
        Text(row.cell.target, f"{row.cell.cutoff}, {row.cell.source}"),
        Text(_short(row.cell, row.version), f"against {_short(row.cell, against)}" if against else ""),
        numeral(
            words.MISSING if loss is None else words.number(loss), "" if other is None else f"not {words.number(other)}"
        ),
        numeral(words.written("coverage_80", numbers.get("coverage_80"))),
        Text(row.why, class_="title"),
    ]


def _slices(rows: list[Decision]) -> list[Part]:
    """The parts of the videos in the latest judgement of each cell."""
    found = []
    heads = columns("part of the videos", "#videos", "#challenger's loss", "#other's loss", "#worse by", "forbids it")
    for cell in _cells(rows):
        judged = [row for row in rows if row.kind == "gate" and row.cell == cell and "slices" in row.numbers]
        if not judged:
            continue
        lines = [
            (
                "",
                [
                    Text(f"{part['slice'].replace('_', ' ')}: {part['value']}"),
                    numeral(words.count(part["rows"])),
                    numeral(words.number(part["loss"])),
                    numeral(words.number(part["other_loss"])),
                    numeral(words.MISSING if part["worse"] is None else words.share(part["worse"])),
                    Text("yes" if part["blocks"] else "", class_="bad"),
                ],
            )
            for part in judged[-1].numbers["slices"]
        ]
        heading = f"Parts of the videos: {cell}, {words.moment(judged[-1].decided_at)}"
        found.append(Part(heading, grids=[Grid(heads, lines)], folded=True))
    return found


def _cells(rows: Iterable[Decision]) -> list[Cell]:
    return sorted({row.cell for row in rows})


def _short(cell: Cell, version: str | None) -> str:
    """A version without the cell that it begins with, and without its checksum."""
    if version is None:
        return words.MISSING
    name = version.removeprefix(f"{cell.source}-{cell.target}-{cell.cutoff}-")
    return name.rsplit("-", 1)[0] if name != version else name
