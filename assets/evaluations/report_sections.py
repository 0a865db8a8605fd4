"""From evidence to what the page shows: per section the tables, figures and sentences that the template lays out.

Each function is one section. Nothing is read and no figure of merit is computed here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from assets.evaluations import report_figures as figures
from assets.evaluations import report_words as words
from assets.evaluations.leaderboard import CELL, DEFAULTS
from assets.evaluations.metrics import precision_recall
from assets.evaluations.report_checks import is_naive
from assets.evaluations.report_data import Cell, Evidence, cutoff_order, records
from assets.evaluations.report_figures import Series
from assets.evaluations.scoring import POOLED, SLICES

REGRESSION = ("r2", "growth_r2", "coverage_80", "interval_score_80", "rmse", "spearman", "mape")
CLASS = (
    "auroc", "average_precision", "f1", "precision", "recall", "accuracy", "precision_at_recall_10", "lift_10", "ndcg_10", "ece",
)  # fmt: skip
LOWER_IS_BETTER = {"mae", "rmse", "mape", "interval_score_80", "brier", "ece"}
NEITHER_IS_BETTER = {"coverage_80"}
HEADLINE = {
    "regression": ("skill", "mae", "r2", "growth_r2", "coverage_80"),
    "class": ("skill", "brier", "auroc", "f1", "precision", "recall"),
}
BARS = 12
CONTENT = "boosting_all"
"""The forecaster that sees scalars and content."""
FOLD_FROM = 9  # cells
Row = tuple[float, float, float, int, int]


@dataclass(frozen=True)
class Text:
    """A cell of a table.

    Attributes:
        text: What it says.
        note: A smaller second line.
        class_: `num`, `best`, `good`, `bad`, `code`, ... for the style sheet.
        href: Where it links to; http and https only.
    """

    text: str | Markup
    note: str = ""
    class_: str = ""
    href: str = ""


@dataclass(frozen=True)
class Grid:
    """A table.

    Attributes:
        heads: Column headings with their class.
        rows: Cells, each row with its class.
        caption: What to look at.
        small: Whether it stands beside the drawings rather than below them.
    """

    heads: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, Sequence[Text]]]
    caption: str = ""
    small: bool = False


@dataclass(frozen=True)
class Part:
    """A headed piece of a section.

    Attributes:
        heading: Its heading, empty where the section needs none.
        fragment: A piece of the page that brings its own form.
        drawings: Figures that flow beside each other.
        grids: Tables below them.
        caption: What to look at.
        folded: Whether it starts folded.
    """

    heading: str = ""
    drawings: Sequence[Markup] = field(default_factory=tuple)
    grids: Sequence[Grid] = field(default_factory=tuple)
    caption: str = ""
    folded: bool = False
    fragment: Markup | None = None


def columns(*texts: str) -> list[tuple[str, str]]:
    """Column headings; those that start with # are of numbers."""
    return [(text.removeprefix("#"), "num" if text.startswith("#") else "") for text in texts]


def figure_heads(*names: str) -> list[str]:
    """Headings of figures of merit, for `columns`."""
    return [f"#{words.label(name)}" for name in names]


def numeral(text: str, note: str = "", class_: str = "") -> Text:
    """A cell that holds a number."""
    return Text(text, note, f"num {class_}".strip())


class Board:
    """The stored figures of some metrics rows, by cell, forecaster, split and origin."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence
        self.metrics = evidence.tables["metrics"]
        self.whole = self.metrics[self.metrics["slice"] == POOLED]
        index = ["source", "target", "cutoff", "forecaster", "split", "origin", "metric"]
        figures_of = ["value", "lower", "upper", "n_train", "n_test"]
        rows = self.whole[[*index, *figures_of]].itertuples(index=False, name=None)
        self._rows = {row[:7]: row[7:] for row in rows}
        self.sources = sorted({cell[0] for cell in evidence.cells})
        self._classes = {(row[0], row[1]) for row in self._rows if row[6] == "brier"}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every (source, target)."""
        return sorted({cell[:2] for cell in self.evidence.cells})

    def kind(self, pair: tuple[str, ...]) -> str:
        """`class` or `regression`."""
        return "class" if (pair[0], pair[1]) in self._classes else "regression"

    def loss(self, pair: tuple[str, ...]) -> str:
        """The figure that forecasters are compared by."""
        return "brier" if self.kind(pair) == "class" else "mae"

    def cutoffs(self, pair: tuple[str, str]) -> list[str]:
        """The cutoffs of a (source, target) by age."""
        return [cell[2] for cell in self.evidence.cells if cell[:2] == pair]

    def row(self, cell: Cell, forecaster: str, metric: str, split: str = "time", origin: str = POOLED) -> Row | None:
        """value, lower, upper, n_train and n_test of a figure, or None."""
        return self._rows.get((*cell, forecaster, split, origin, metric))

    def value(
        self, cell: Cell, forecaster: str, metric: str, split: str = "time", origin: str = POOLED
    ) -> float | None:
        """The value of a figure, or None."""
        row = self.row(cell, forecaster, metric, split, origin)
        return None if row is None else row[0]

    def forecasters(self, cell: Cell) -> list[str]:
        """Those on the time split, the smallest loss first; those that missed an origin last, as theirs is of other rows."""
        loss = self.loss(cell)
        names = {row[3] for row in self._rows if row[:3] == cell and row[4:] == ("time", POOLED, loss)}
        return sorted(names, key=lambda name: (bool(self.missed(cell, name)), self.value(cell, name, loss), name))

    def missed(self, cell: Cell, forecaster: str) -> str:
        """At how many of the origins a forecaster ran; empty where it ran at all of them."""
        origins, loss = self.origins(cell), self.loss(cell)
        ran = sum(self.row(cell, forecaster, loss, origin=origin) is not None for origin in origins)
        return f"{ran} of {words.plural(len(origins), 'origin')}" if ran < len(origins) else ""

    def origins(self, cell: Cell) -> list[str]:
        """The origins of the time split, in order."""
        return sorted({row[5] for row in self._rows if row[:3] == cell and row[4] == "time" and row[5] != POOLED})

    def best_naive(self, cell: Cell) -> str | None:
        """The naive forecaster with the smallest pooled loss."""
        return next((name for name in self.forecasters(cell) if is_naive(name)), None)

    def gap(self, cell: Cell, forecaster: str) -> float | None:
        """1 - loss on the random split / loss on the time split."""
        loss = self.loss(cell)
        time, random = self.value(cell, forecaster, loss), self.value(cell, forecaster, loss, "random")
        return None if not time or random is None else 1 - random / time

    def title(self, pair: tuple[str, ...]) -> str:
        """`target`, with the source where there are several."""
        return " · ".join(pair[1:]) if len(self.sources) == 1 else f"{' · '.join(pair[1:])} ({pair[0]})"


def headline(board: Board) -> list[Part]:
    """Champions, their skill and the figures that belong beside it."""
    rows = []
    for cell, champion in _champions(board):
        skill = board.row(cell, champion, "skill")
        if skill:
            rows.append((f"{board.title(cell[:2])} at {cell[2]}", skill[0], _known(skill[1]), _known(skill[2])))
    parts = []
    if rows:
        drawing = figures.forest(
            "Skill of the champions", rows, f"% of the best naive loss saved, with its {words.INTERVAL}"
        )
        caption = (
            "Each dot is a champion on videos published after it was trained; the line is its bootstrap interval over channels. "
            "Right of 0 it beats the best naive forecaster that exists at that cutoff."
        )
        parts.append(Part(drawings=[drawing], caption=caption))
    for kind, heading in (("regression", "Numbers"), ("class", "Classes")):
        cells = [(cell, champion) for cell, champion in _champions(board) if board.kind(cell) == kind]
        if cells:
            parts.append(Part(heading, grids=[_headline_grid(board, cells, HEADLINE[kind])]))
    return parts


def sentences(board: Board) -> list[str]:
    """One sentence per (source, target): how the skill grows with the cutoff."""
    told = []
    for pair in board.pairs:
        skills = [
            (cutoff, value)
            for cutoff in board.cutoffs(pair)
            if (cell := (*pair, cutoff)) in board.evidence.champions
            and (value := board.value(cell, board.evidence.champions[cell], "skill")) is not None
        ]
        if not skills:
            continue
        what = "squared error of the probability" if board.kind(pair) == "class" else "error"
        steps = ", ".join(f"{_less(value)} at {cutoff}" for cutoff, value in skills)
        told.append(f"{board.title(pair)}: the champion's {what} is {steps} than that of the best naive forecaster.")
    return told


def _less(skill: float) -> str:
    return f"{words.share(abs(skill))} {'smaller' if skill >= 0 else 'larger'}"


def _headline_grid(board: Board, cells: Sequence[tuple[Cell, str]], names: Sequence[str]) -> Grid:
    heads = columns("target", "cutoff", "champion", *figure_heads(*names, "gap"), "#n train", "#n test")
    rows = []
    for cell, champion in cells:
        first = board.row(cell, champion, board.loss(cell))
        told = [Text(board.title(cell[:2]), class_="name"), Text(cell[2]), Text(champion, class_="code")]
        told += [_figure(board, cell, champion, name) for name in names]
        told += [_headline_gap(board, cell, champion), *_counts(first)]
        rows.append(("", told))
    return Grid(heads, rows)


def _headline_gap(board: Board, cell: Cell, champion: str) -> Text:
    """The champion's gap, else that of the learned forecaster that the random split was run with."""
    run = [name for name in board.forecasters(cell) if not is_naive(name) and board.gap(cell, name) is not None]
    name = champion if champion in run else next(iter(run), champion)
    return replace(
        _gap(board, cell, name), note="" if name == champion else "of the default" if name in DEFAULTS else f"of {name}"
    )


def leaderboards(board: Board) -> list[Part]:
    """A table per cell with every forecaster, the random split beside the time split."""
    parts = []
    for pair in board.pairs:
        grids = [
            _leaderboard(board, (*pair, cutoff)) for cutoff in board.cutoffs(pair) if board.forecasters((*pair, cutoff))
        ]
        parts.append(Part(board.title(pair), grids=grids, folded=len(board.evidence.cells) >= FOLD_FROM))
    return parts


def _leaderboard(board: Board, cell: Cell) -> Grid:
    wanted = CLASS if board.kind(cell) == "class" else REGRESSION
    loss, champion = board.loss(cell), board.evidence.champions.get(cell)
    present = board.forecasters(cell)
    names = [name for name in wanted if any(board.row(cell, one, name) for one in present)]
    everywhere = [one for one in present if not board.missed(cell, one)]
    best = {name: _best(board, cell, everywhere, name) for name in (loss, "skill", *names)}
    heads = columns(
        "forecaster", *figure_heads(loss, "skill"), f"#{words.label(loss)}, random split", *figure_heads("gap", *names)
    )
    rows = []
    for one in present:
        tag = "champion" if one == champion else "naive" if is_naive(one) else ""
        told = [Text(one, tag or board.missed(cell, one), "code")]
        own = {
            name: _figure(board, cell, one, name, "best" if best[name] == one else "")
            for name in (loss, "skill", *names)
        }
        random = [_figure(board, cell, one, loss, split="random"), _gap(board, cell, one)]
        told += [own[loss], own["skill"], *random, *(own[name] for name in names)]
        rows.append((tag, told))
    return Grid(heads, rows, _sizes(board, cell, present))


def _sizes(board: Board, cell: Cell, present: Sequence[str]) -> str:
    """Split, origins and row counts of a cell; its forecasters share them, but those that missed an origin."""
    origins, loss = board.origins(cell), board.loss(cell)
    time = board.row(cell, present[0], loss)
    random = next((row for one in present if (row := board.row(cell, one, loss, "random"))), None)
    told = f"{cell[2]} · time split: {words.plural(len(origins), 'origin')}"
    told += f", {origins[0]} to {origins[-1]}" if origins else ""
    if time:
        mean = " (mean)" if len(origins) > 1 else ""
        told += f", n train {words.count(time[3])}{mean}, n test {words.count(time[4])}"
    if random:
        told += f" · random split: n train {words.count(random[3])}, n test {words.count(random[4])}"
    return told


def _best(board: Board, cell: Cell, present: Sequence[str], name: str) -> str | None:
    values = {one: value for one in present if (value := board.value(cell, one, name)) is not None}
    if name in NEITHER_IS_BETTER or not values:
        return None
    return min(values, key=lambda one: (values[one] if name in LOWER_IS_BETTER else -values[one], one))


def against_cutoff(board: Board) -> list[Part]:
    """How the loss and a second figure fall and rise with the cutoff."""
    parts = []
    for pair in board.pairs:
        cutoffs = board.cutoffs(pair)
        names = ("brier", "auroc") if board.kind(pair) == "class" else ("mae", "r2")
        ticks = [(float(index), cutoff) for index, cutoff in enumerate(cutoffs)]
        drawings = []
        for name in names:
            series = _over_cutoffs(board, pair, name)
            if series:
                drawings.append(figures.lines(words.label(name), series, ticks, words.label(name), "cutoff"))
        parts.append(Part(board.title(pair), drawings))
    return parts


def _over_cutoffs(board: Board, pair: tuple[str, str], metric: str) -> list[Series]:
    """A line per forecaster; an R2 below 0 is left out, it would flatten all others."""
    cutoffs = board.cutoffs(pair)
    champions = {float(at): board.evidence.champions.get((*pair, cutoff)) for at, cutoff in enumerate(cutoffs)}
    names = sorted({name for cutoff in cutoffs for name in board.forecasters((*pair, cutoff))})
    series = []
    for name in names:
        found = [(float(at), board.row((*pair, cutoff), name, metric)) for at, cutoff in enumerate(cutoffs)]
        rows = [(at, row) for at, row in found if row and (metric != "r2" or row[0] >= 0)]
        if rows:
            series.append(_series(name, rows, [at for at, champion in champions.items() if champion == name]))
    return series


def _series(name: str, rows: Sequence[tuple[float, Row]], champion_at: Iterable[float]) -> Series:
    band = [(at, row[1], row[2]) for at, row in rows if _known(row[1]) is not None and _known(row[2]) is not None]
    return Series(name, [(at, row[0]) for at, row in rows], is_naive(name), frozenset(champion_at), band)


def over_time(board: Board) -> list[Part]:
    """The loss per origin: the learned forecasters and the best naive one."""
    parts = []
    for pair in board.pairs:
        drawings = []
        for cutoff in board.cutoffs(pair):
            cell, loss = (*pair, cutoff), board.loss(pair)
            origins = board.origins(cell)
            ticks = _dates(origins)
            naive = board.best_naive(cell)
            series = []
            for name in board.forecasters(cell):
                if name == naive or not is_naive(name):
                    found = (
                        (float(at), board.row(cell, name, loss, origin=origin)) for at, origin in enumerate(origins)
                    )
                    rows = [(at, row) for at, row in found if row]
                    if rows:
                        champion = name == board.evidence.champions.get(cell)
                        series.append(_series(name, rows, [at for at, _ in rows] if champion else []))
            if series and len(origins) > 1:
                drawings.append(
                    figures.lines(f"at {cutoff}", series, ticks, words.label(loss), "origin (week of the test)")
                )
        parts.append(Part(board.title(pair), drawings))
    return [part for part in parts if part.drawings]


def _dates(origins: Sequence[str]) -> list[tuple[float, str]]:
    step = max(1, -(-len(origins) // 4))
    return [(float(index), origin[2:] if index % step == 0 else "") for index, origin in enumerate(origins)]


def predicted_actual(board: Board) -> list[Part]:
    """Forecast against outcome of the champions."""
    across = 26 if len(board.evidence.cells) <= 20 else 18
    parts = []
    for pair in board.pairs:
        if board.kind(pair) == "class":
            continue
        drawings = []
        for cutoff in board.cutoffs(pair):
            rows = board.evidence.of("forecasts", (*pair, cutoff)).dropna(subset=["point"])
            if len(rows):
                actual, forecast = _floats(rows, "value"), _floats(rows, "point")
                drawings.append(figures.density(f"at {cutoff}", actual, forecast, "forecast", "outcome", across))
        parts.append(Part(board.title(pair), drawings))
    return [part for part in parts if part.drawings]


def intervals(board: Board) -> list[Part]:
    """Coverage, width and interval score of the champions, and of all forecasters below."""
    parts = []
    levels = tuple(figures.COVERAGE_COLOURS)
    names = [f"{name}_{level}" for level in levels for name in ("coverage", "width", "interval_score")]
    for pair in board.pairs:
        rows, table = [], []
        for cutoff in board.cutoffs(pair):
            cell = (*pair, cutoff)
            champion = board.evidence.champions.get(cell)
            covered = {level: board.value(cell, champion or "", f"coverage_{level}") for level in levels}
            known = {level: value for level, value in covered.items() if value is not None}
            if known:
                rows.append((cutoff, known))
            for one in board.forecasters(cell):
                if board.row(cell, one, "coverage_80"):
                    tag = "champion" if one == champion else "naive" if is_naive(one) else ""
                    told = [Text(cutoff), Text(one, tag, "code"), *(_figure(board, cell, one, name) for name in names)]
                    table.append((tag, told))
        if rows:
            heads = columns("cutoff", "forecaster", *figure_heads(*names))
            drawing = figures.coverage("Champions: coverage of the 50, 80 and 90 % intervals", rows)
            parts.append(Part(board.title(pair), [drawing], [Grid(heads, table)]))
    return parts


def classes(board: Board) -> list[Part]:
    """Reliability, precision against recall and the confusion matrix of every class."""
    parts = []
    for pair in board.pairs:
        if board.kind(pair) != "class":
            continue
        for cutoff in board.cutoffs(pair):
            cell = (*pair, cutoff)
            champion = board.evidence.champions.get(cell)
            rows = board.evidence.of("forecasts", cell).dropna(subset=["label"])
            if champion is None or not len(rows):
                continue
            drawings = [figures.reliability("Reliability", _bins(board, cell), champion)]
            label, probability = _floats(rows, "label"), _floats(rows, "probability")
            if 0 < label.sum() < len(label):
                precision, recall = precision_recall(label, probability)
                called = (board.value(cell, champion, "recall"), board.value(cell, champion, "precision"))
                point = None if None in called else (float(called[0] or 0), float(called[1] or 0))
                drawings.append(
                    figures.precision_recall("Precision against recall", recall, precision, float(label.mean()), point)
                )
            parts.append(Part(f"{board.title(pair)} at {cutoff}: {champion}", drawings, [_confusion(board, cell)]))
    return parts


def _bins(board: Board, cell: Cell) -> dict[str, list[tuple[float, float, int]]]:
    bins: dict[str, list[tuple[float, float, int]]] = {}
    for row in records(board.evidence.of("reliability", cell)):
        if not is_naive(row["forecaster"]):
            bins.setdefault(row["forecaster"], []).append((float(row["stated"]), float(row["observed"]), int(row["n"])))
    return bins


def _confusion(board: Board, cell: Cell) -> Grid:
    rows = records(board.evidence.of("confusion", cell))
    counts = {(int(row["label"]), bool(row["called"])): int(row["n"]) for row in rows}
    told = []
    for actual, name in ((1, "positive"), (0, "negative")):
        total = sum(counts.get((actual, called), 0) for called in (True, False))
        cells = [Text(name, class_="name")]
        for called in (True, False):
            n = counts.get((actual, called), 0)
            right = called == (actual == 1)
            cells.append(numeral(words.count(n), words.share(n / total) if total else "", "good" if right else "bad"))
        told.append(("", [*cells, numeral(words.count(total))]))
    calls = sum(counts.get((actual, True), 0) for actual in (0, 1))
    caption = f"Confusion at a probability of ½: {words.plural(calls, 'positive call')}"
    heads = columns("actual", "#called positive", "#called negative", "#all")
    return Grid(heads, told, caption, small=True)


def examples(board: Board) -> list[Part]:
    """Best hits and worst misses, with what was known."""
    parts = []
    for cell, _ in _champions(board):
        rows = board.evidence.of("examples", cell)
        if len(rows):
            heads = columns("", "video", "known at the cutoff", "#forecast", "#outcome", "#off by")
            order = {"hit": 0, "too low": 1, "too high": 2}
            listed = sorted(records(rows), key=lambda row: order[row["kind"]])
            grid = Grid(heads, [("", _example(board, cell, row)) for row in listed])
            parts.append(Part(f"{board.title(cell[:2])} at {cell[2]}", grids=[grid], folded=True))
    return parts


def _example(board: Board, cell: Cell, row: Mapping[str, Any]) -> list[Text]:
    title = row["title"] if isinstance(row["title"], str) and row["title"].strip() else row["video_id"]
    published = f"{words.moment(row['anchor_at'])} UTC"
    link = row["url"] if isinstance(row["url"], str) and row["url"].startswith(("https://", "http://")) else ""
    class_ = {"hit": "good", "too low": "bad", "too high": "bad"}[row["kind"]]
    told = [Text(row["kind"], class_=f"tag {class_}"), Text(title[:140], published, "title", link)]
    told.append(Text(_known_then(row), class_="known"))
    if board.kind(cell) == "class":
        outcome = "positive" if row["label"] == 1 else "negative"
        off = words.number(abs(row["error"]), 2)
        return [*told, numeral(words.number(row["probability"], 2)), numeral(outcome), numeral(off)]
    spread = words.between("point", row["lower_80"], row["upper_80"])
    if cell[1] in board.evidence.log_targets:
        low, high = words.raw_count(row["lower_80"]), words.raw_count(row["upper_80"])
        spread = f"{low} to {high}" if spread else ""
        factor = f"× {words.number(float(np.exp(abs(row['error']))), 2)}"
        shown = [words.raw_count(row["point"]), words.raw_count(row["value"]), factor]
    else:
        shown = [words.number(row["point"]), words.number(row["value"]), words.number(abs(row["error"]))]
    return [*told, numeral(shown[0], spread), numeral(shown[1]), numeral(shown[2])]


def _known_then(row: Mapping[str, Any]) -> str:
    own = "no count of its own"
    if pd.notna(row["observations"]) and row["observations"] > 0:
        own = f"{words.raw_count(row['views_log'])} views at {words.number(row['last_age_h'], 1)} h"
        own += f" ({words.plural(int(row['observations']), 'observation')})"
    channel = "a channel without history"
    if pd.notna(row["channel_videos"]) and row["channel_videos"] > 0:
        channel = f"a channel with {words.plural(int(row['channel_videos']), 'earlier video')}"
        if pd.notna(row["channel_72h_median"]):
            channel += f", median {words.raw_count(row['channel_72h_median'])} views at 72 h"
    fitted = "; the channel is not in the fit" if row["new_channel"] == 1 else ""
    return f"{own}; {channel}{fitted}"


def importance(board: Board) -> list[Part]:
    """How much worse the champion gets without a group or a column; the first stored forecaster where it has none."""
    parts = []
    for cell in board.evidence.cells:
        rows = board.evidence.of("importance", cell)
        if not len(rows):
            continue
        champion = board.evidence.champions.get(cell)
        name = champion if champion in set(rows["forecaster"]) else min(rows["forecaster"])
        rows = rows[rows["forecaster"] == name]
        rows = rows[rows["origin"] == rows["origin"].max()]
        drawings = []
        for level, heading in (("group", "Groups of features"), ("column", f"The {BARS} columns that matter most")):
            chosen = rows[rows["level"] == level].sort_values(["value", "feature"], ascending=[False, True]).head(BARS)
            bars = [(row["feature"], row["value"], row["lower"], row["upper"]) for row in records(chosen)]
            if bars:
                drawings.append(
                    figures.bars(heading, bars, f"increase of the {words.label(board.loss(cell))} when shuffled")
                )
        first = records(rows)[0]
        if name != CONTENT and len(content := groups_of(board, cell, CONTENT)):
            drawings.append(
                figures.bars(
                    f"Groups of features, {CONTENT}",
                    content,
                    f"increase of the {words.label(board.loss(cell))} when shuffled",
                )
            )
        caption = (
            f"{name}, origin {words.day(first['origin'])}, {words.plural(int(first['n_test']), 'test row')}, "
            f"shuffled {words.plural(int(first['repeats']), 'time')}; the line is the range over them."
        )
        folded = len(board.evidence.cells) >= FOLD_FROM
        parts.append(Part(f"{board.title(cell[:2])} at {cell[2]}", drawings, caption=caption, folded=folded))
    return parts


def groups_of(board: Board, cell: Cell, forecaster: str) -> list[tuple[str, float, float, float]]:
    """The groups of features of a forecaster, at its latest origin: name, what shuffling costs, and the range of that."""
    rows = board.evidence.of("importance", cell)
    rows = rows[(rows["forecaster"] == forecaster) & (rows["level"] == "group")]
    rows = rows[rows["origin"] == rows["origin"].max()]
    chosen = rows.sort_values(["value", "feature"], ascending=[False, True]).head(BARS)
    return [(row["feature"], row["value"], row["lower"], row["upper"]) for row in records(chosen)]


def training_size(board: Board) -> list[Part]:
    """The loss against the number of training rows."""
    sized = board.metrics[board.metrics["slice"] == "n_train"]
    parts = []
    for pair in board.pairs:
        drawings = []
        loss = board.loss(pair)
        for cutoff in board.cutoffs(pair):
            rows = sized[(sized[list(CELL)] == (*pair, cutoff)).all(axis=1) & (sized["metric"] == loss)]
            rows = rows[rows["origin"] == rows["origin"].max()]
            champion = board.evidence.champions.get((*pair, cutoff))
            series = []
            for name, group in rows.sort_values("n_train").groupby("forecaster", sort=True):
                points = [(float(row["n_train"]), float(row["value"])) for row in records(group)]
                at = frozenset(size for size, _ in points) if name == champion else frozenset()
                series.append(Series(str(name), points, is_naive(str(name)), at))
            sizes = sorted({point for one in series for point, _ in one.points})
            if len(sizes) > 1:
                ticks = [(size, words.short(size)) for size in sizes]
                drawings.append(figures.lines(f"at {cutoff}", series, ticks, words.label(loss), "training rows"))
        parts.append(Part(board.title(pair), drawings))
    return [part for part in parts if part.drawings]


def comparison(board: Board) -> list[Part]:
    """Targets side by side by the figures that do not depend on their scale."""
    cutoffs = sorted({cell[2] for cell in board.evidence.cells}, key=cutoff_order)
    heads = columns("target", "figure", *(f"#{cutoff}" for cutoff in cutoffs))
    rows = []
    for pair in board.pairs:
        names = ("skill", "auroc", "average_precision") if board.kind(pair) == "class" else ("skill", "r2", "spearman")
        for index, name in enumerate(names):
            told = [Text(board.title(pair) if index == 0 else "", class_="name"), Text(words.label(name))]
            for cutoff in cutoffs:
                cell = (*pair, cutoff)
                champion = board.evidence.champions.get(cell)
                told.append(_figure(board, cell, champion, name) if champion else numeral(words.MISSING))
            rows.append(("first" if index == 0 else "", told))
    return [Part(grids=[Grid(heads, rows)])] if rows else []


def slices(board: Board) -> list[Part]:
    """The champions on parts of the videos."""
    sliced = board.metrics[board.metrics["slice"].isin(SLICES) & (board.metrics["origin"] == POOLED)]
    key = ["source", "target", "cutoff", "forecaster", "slice", "slice_value", "metric"]
    values = {row[:7]: row[7:] for row in sliced[[*key, "value", "n_test"]].itertuples(index=False, name=None)}
    labels = {
        "new_channel": "channel new to the fit",
        "channel_size": "size of the channel",
        "duration": "length",
        "view_regime": "what a view was",
    }
    parts = []
    for pair in board.pairs:
        names = (board.loss(pair), "skill", "auroc" if board.kind(pair) == "class" else "coverage_80")
        cutoffs = [cutoff for cutoff in board.cutoffs(pair) if (*pair, cutoff) in board.evidence.champions]
        present = sorted(
            {row[4:6] for row in values if row[:2] == pair}, key=lambda row: (SLICES.index(row[0]), _size(row[1]))
        )
        heads = columns("slice", "")
        for cutoff in cutoffs:
            heads += columns(f"#n test, {cutoff}", *figure_heads(*names))
        rows, before = [], ""
        for slice_name, slice_value in present:
            told = [
                Text(labels[slice_name] if slice_name != before else "", class_="name"),
                Text(slice_value, class_="name"),
            ]
            for cutoff in cutoffs:
                cell = (*pair, cutoff, board.evidence.champions[(*pair, cutoff)], slice_name, slice_value)
                found = [values.get((*cell, name)) for name in names]
                n = next((str(words.count(row[1])) for row in found if row), words.MISSING)
                told.append(numeral(n, class_="muted"))
                told += [
                    numeral(words.written(name, row[0] if row else None))
                    for name, row in zip(names, found, strict=True)
                ]
            rows.append(("first" if slice_name != before else "", told))
            before = slice_name
        if rows:
            parts.append(Part(board.title(pair), grids=[Grid(heads, rows)]))
    return parts


def _size(value: str) -> tuple[int, str]:
    known = ("small", "medium", "large", "up to", "15 to", "60 to", "over", "yes", "no")
    return next((index for index, start in enumerate(known) if value.startswith(start)), len(known)), value


def _champions(board: Board) -> list[tuple[Cell, str]]:
    champions = board.evidence.champions
    return [(cell, champions[cell]) for cell in board.evidence.cells if cell in champions]


def _figure(board: Board, cell: Cell, forecaster: str, name: str, class_: str = "", split: str = "time") -> Text:
    row = board.row(cell, forecaster, name, split)
    if row is None:
        return numeral(words.MISSING, class_="muted")
    return numeral(words.written(name, row[0]), words.between(name, _known(row[1]), _known(row[2])), class_)


def _gap(board: Board, cell: Cell, forecaster: str) -> Text:
    gap = board.gap(cell, forecaster)
    return numeral(words.written("gap", gap), class_="" if gap is not None else "muted")


def _counts(row: Row | None) -> list[Text]:
    return [numeral(words.count(n) if row else words.MISSING) for n in (row[3:] if row else (0, 0))]


def _known(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _floats(rows: pd.DataFrame, name: str) -> figures.Vector:
    return rows[name].to_numpy(dtype=np.float64, na_value=np.nan)
