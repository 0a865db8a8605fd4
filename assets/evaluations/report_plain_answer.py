"""The plain answer on the page: a sentence per target, its numbers per cutoff, and the four criteria of system M.

Reads stored rows and words them; what beats what is decided in `plain_answer`, and no figure of merit is computed here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from markupsafe import Markup

from assets.evaluations import report_figures as figures
from assets.evaluations import report_words as words
from assets.evaluations.gate import Difference
from assets.evaluations.plain_answer import Answer, Compared, Says, answers
from assets.evaluations.report_data import Cell
from assets.evaluations.report_sections import Board, Grid, Part, Text, columns, numeral
from assets.models.columns import group_of
from assets.models.registry import CHAMPION, aliased
from resources.settings import MeasuredTarget, Settings
from warehouse.connection import Warehouse

BASELINE, MULTIMODAL, VELOCITY = "tfidf_logistic", "fusion_network_classifier", "velocity"
NETWORKS = {"regression": "fusion_network", "class": MULTIMODAL}
CONTENT = ("text", "image", "audio", "video")
TOLD = {"mae": "mean absolute error", "brier": "Brier score"}
_LOSSES = """
    SELECT cutoff, forecaster, origin, video_id, channel_id, anchor_at,
           CASE WHEN label IS NULL THEN abs(point - value) ELSE pow(probability - label, 2) END AS loss
    FROM evaluations.predictions
    WHERE split = 'time' AND source = $source AND target = $target
    ORDER BY ALL
"""
_COLUMNS = """
    SELECT target, cutoff, arg_max(columns, (origin, training_set_id)) AS columns
    FROM models.training_sets WHERE made_by = 'backtest' AND source = $source GROUP BY ALL
"""


@dataclass(frozen=True)
class Told:
    """The answers for one target of one source, and who serves at each cutoff."""

    pair: tuple[str, str]
    answers: Sequence[Answer]
    serving: Mapping[str, str]


def plain_answer(warehouse: Warehouse, settings: Settings, board: Board) -> list[Part]:
    """The parts of the section: sentences, a table per target, what system M set out to reach."""
    serving = _who_serves(warehouse, board)
    found = [_told(warehouse, board, pair, serving) for pair in board.pairs]
    said = Markup("").join(Markup("<li>{}</li>").format(sentence(board, one)) for one in found)
    parts = [Part(fragment=Markup('<ul class="told">{}</ul>').format(said), drawings=_drawing(board, found))]
    parts.append(Part("By cutoff", grids=[_grid(board, found)], caption=_CAPTION))
    parts.append(Part("The criteria of system M", grids=[_criteria(warehouse, settings, board)], caption=_OF_M))
    return parts


_CAPTION = (
    "Losses of the same videos, subtracted; above 0 the first is better. The interval is of 95 % and allows for errors that are alike "
    "within a channel and a week. Each is held against its best opponent on these very videos, chosen with hindsight. "
    "What serves is the model that the gate promoted; before any, the board's champion, which a forecaster that runs only where it is named cannot be."
)
_OF_M = (
    "System M is the multimodal model whose settings the preset miles has; its own figures came from a random split, with the counts that the "
    "label is made of among the inputs. Here the criteria stand on the time split, with what was known at the cutoff, pooled over all "
    "origins; intervals draw whole channels."
)


def sentence(board: Board, told: Told) -> str:
    """One sentence on a target: deep against boosting, boosting against naive, and which serves."""
    answer, kind = told.answers[-1], board.kind(told.pair)
    loss = TOLD[board.loss(told.pair)]
    where = f"{board.title(told.pair)} at {_listed(answer.cutoffs)}"
    if answer.deep is None:
        command = f"upswell evaluate --target {told.pair[1]} --also {NETWORKS[kind]}"
        deep = f"no deep model was evaluated ({command} does)"
    else:
        deep = f"the deep model{_where(answer, answer.deep)} {_verdict(answer.deep, 'boosting')}: {_numbers(answer.deep, loss)}"
    if answer.boosting is None:
        boosting = "no booster was evaluated beside a naive forecaster"
    else:
        boosting = (
            f"boosting {_verdict(answer.boosting, 'the best naive forecaster')}: {_numbers(answer.boosting, loss)}"
        )
    return f"{where}: {deep}; {boosting}; {_serving(told.serving)}."


_VERDICTS: dict[Says, str] = {
    "better": "beats {}",
    "worse": "is worse than {}",
    "alike": "cannot be told from {}",
    "unsure": "cannot be held against {} on videos of one channel and one day",
}


def _where(answer: Answer, compared: Compared) -> str:
    """The cutoffs that a comparison is about, where they are not all."""
    return "" if compared.cutoffs == answer.cutoffs else f" at {_listed(compared.cutoffs)}"


def _verdict(compared: Compared, other: str) -> str:
    return _VERDICTS[compared.says].format(other)


def _numbers(compared: Compared, loss: str) -> str:
    """By how much, with the interval, on how many forecasts."""
    difference = compared.difference
    size = f"{words.number(difference.loss)} against {words.number(difference.other_loss)}"
    told = f"{compared.first}'s {loss} is {_less(compared)} than that of {compared.other} ({size}"
    if ends := _ends(difference):
        told += f"; difference {_fine(difference.difference)}, 95 % interval {ends}"
    return f"{told}; {words.plural(difference.rows, 'forecast')})"


def _fine(value: float) -> str:
    """A difference of losses, which is small beside them."""
    return words.number(value, 4)


def _ends(difference: Difference) -> str:
    """The interval of a difference, empty where there is none."""
    if difference.lower is None or difference.upper is None:
        return ""
    return f"{_fine(difference.lower)} to {_fine(difference.upper)}"


def _less(compared: Compared) -> str:
    difference = compared.difference
    if not difference.other_loss:
        return f"{_fine(abs(difference.difference))} larger"
    share = difference.difference / difference.other_loss
    return f"{words.share(abs(share))} {'smaller' if share >= 0 else 'larger'}"


def _serving(serving: Mapping[str, str]) -> str:
    """Which forecaster serves, where it is not the same at every cutoff with the cutoffs."""
    names = list(dict.fromkeys(serving.values()))
    if not names:
        return "nothing serves"
    if len(names) == 1:
        return f"{names[0]} serves"
    at = {name: [cutoff for cutoff, own in serving.items() if own == name] for name in names}
    return ", ".join(f"{name} serves at {_listed(cutoffs)}" for name, cutoffs in at.items())


def _who_serves(warehouse: Warehouse, board: Board) -> dict[Cell, str]:
    """The forecaster of each cell's champion: the gate's, else the board's."""
    aliases = {(row["source"], row["target"], row["cutoff"]): row["forecaster"] for row in aliased(warehouse, CHAMPION)}
    return {**board.evidence.champions, **aliases}


def _told(warehouse: Warehouse, board: Board, pair: tuple[str, str], serving: Mapping[Cell, str]) -> Told:
    losses = warehouse.query(_LOSSES, {"source": pair[0], "target": pair[1]}).to_pandas()
    cutoffs = board.cutoffs(pair)
    own = {cutoff: serving[*pair, cutoff] for cutoff in cutoffs if (*pair, cutoff) in serving}
    return Told(pair, answers(losses, cutoffs), own)


def _drawing(board: Board, found: Iterable[Told]) -> list[Markup]:
    """Share of boosting's loss that the deep model saves, per cell."""
    rows = [
        (f"{board.title(told.pair)} at {answer.cutoffs[0]}", *_shares(answer.deep))
        for told in found
        for answer in told.answers
        if answer.deep and len(answer.cutoffs) == 1 and answer.deep.difference.other_loss
    ]
    label = "% of the best booster's loss saved by the deep model, with its 95 % interval"
    return [figures.forest("Deep against boosting", rows, label)] if rows else []


def _shares(compared: Compared) -> tuple[float, float | None, float | None]:
    difference = compared.difference
    whole = difference.other_loss
    lower, upper = (None if end is None else end / whole for end in (difference.lower, difference.upper))
    return difference.difference / whole, lower, upper


def _grid(board: Board, found: Iterable[Told]) -> Grid:
    heads = columns("target", "cutoff", "first, and against what", "#loss", "#opponent's loss", "#difference", "#forecasts", "says", "serves")  # fmt: skip
    rows = []
    for told in found:
        for answer in told.answers:
            for compared in (answer.deep, answer.boosting):
                if compared:
                    rows.append(("", _row(board, told, answer, compared)))
    return Grid(heads, rows)


def _row(board: Board, told: Told, answer: Answer, compared: Compared) -> list[Text]:
    difference = compared.difference
    pooled = len(answer.cutoffs) > 1
    class_ = {"better": "good", "worse": "bad"}.get(compared.says, "")
    return [
        Text(board.title(told.pair), class_="name"),
        Text("pooled" if pooled else answer.cutoffs[0]),
        Text(compared.first, f"against {compared.other}", "code"),
        numeral(words.number(difference.loss), words.label(board.loss(told.pair))),
        numeral(words.number(difference.other_loss)),
        numeral(_fine(difference.difference), _ends(difference), class_),
        numeral(words.count(difference.rows), _blocks(difference)),
        Text(compared.says, class_=class_),
        Text("" if pooled else told.serving.get(answer.cutoffs[0], words.MISSING), class_="code"),
    ]


def _blocks(difference: Difference) -> str:
    """What the interval draws: channels, and days or weeks."""
    channels = words.plural(difference.channels, "channel")
    return f"{channels}, {words.plural(difference.time_blocks, 'day' if difference.block_days == 1 else 'week')}"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


@dataclass(frozen=True)
class Criterion:
    """One of system M's: a figure of some forecasters that has to reach a limit.

    Attributes:
        name: In words.
        metric: Stored figure.
        limit: What it has to reach.
        side: Whether it has to be at least or at most that.
    """

    name: str
    metric: str
    limit: float
    side: Literal["at least", "at most"]

    def met(self, value: float, lower: float | None, upper: float | None) -> str:
        """`yes` or `no`, and `within the noise` where the interval holds the limit."""
        reached = value >= self.limit if self.side == "at least" else value <= self.limit
        noisy = lower is not None and upper is not None and lower < self.limit < upper
        return ("yes" if reached else "no") + (", within the noise" if noisy else "")


_BASELINE = Criterion("text baseline tells viral from not", "auroc", 0.65, "at least")
_MULTIMODAL = Criterion("multimodal network tells viral from not", "auroc", 0.75, "at least")
_VELOCITY = Criterion("velocity", "mae", 0.30, "at most")


def _criteria(warehouse: Warehouse, settings: Settings, board: Board) -> Grid:
    heads = columns("criterion", "#asked", "#found", "met", "of", "split", "#n train", "#n test")
    classes = [cell for cell in board.evidence.cells if board.kind(cell[:2]) == "class"]
    speeds = [cell for cell in board.evidence.cells if _is_velocity(settings, cell[1])]
    viral, speed = _example(settings, classes, "viral_7d"), _example(settings, speeds, "velocity_7d")
    seen = {(source, *of): told for source in board.sources for of, told in _content(warehouse, source).items()}
    networks = [cell for cell in classes if board.row(cell, MULTIMODAL, "auroc")]
    missing = f"not evaluated; upswell evaluate --target {viral} --also {MULTIMODAL} does"
    if networks:
        missing = "not measured: the network's training rows hold no vectors of content"
    rows = [
        *_figures(
            board,
            _BASELINE,
            [(cell, BASELINE, "") for cell in classes],
            f"not evaluated; upswell evaluate --target {viral} does",
        ),
        *_figures(
            board,
            _MULTIMODAL,
            [(cell, MULTIMODAL, seen[cell]) for cell in networks if cell in seen],
            missing,
        ),
        *_figures(
            board,
            _VELOCITY,
            [
                (cell, board.evidence.champions[cell], _scale(settings, cell[1]))
                for cell in speeds
                if cell in board.evidence.champions
            ],
            f"not evaluated; upswell evaluate --target {speed} --cutoff 24h does",
        ),
        (
            "",
            _unmeasured("inference of one video", "at most 100 ms", "not measured; python -m benchmarks forecast does"),
        ),
    ]
    return Grid(heads, rows)


def _example(settings: Settings, cells: Sequence[Cell], name: str) -> str:
    """The target that a command is shown for."""
    return cells[0][1] if cells else name if name in settings.targets else "TARGET"


def _figures(
    board: Board, criterion: Criterion, candidates: Sequence[tuple[Cell, str, str]], missing: str
) -> list[tuple[str, list[Text]]]:
    """A row per cell that has the figure; one that says why where none has."""
    asked = f"{words.label(criterion.metric)} {criterion.side} {criterion.limit:.2f}"
    rows = []
    for cell, forecaster, note in candidates:
        stored = board.row(cell, forecaster, criterion.metric)
        if stored is None:
            continue
        value, *ends, n_train, n_test = stored
        lower, upper = (None if pd.isna(end) else end for end in ends)
        met = criterion.met(value, lower, upper)
        told = [
            Text(criterion.name, note),
            numeral(asked),
            numeral(words.written(criterion.metric, value), words.between(criterion.metric, lower, upper)),
            Text(met, class_="good" if met == "yes" else "bad" if met == "no" else ""),
            Text(forecaster, f"{board.title(cell[:2])} at {cell[2]}", "code"),
            Text("time", words.plural(len(board.origins(cell)), "origin")),
            numeral(words.count(n_train)),
            numeral(words.count(n_test)),
        ]
        rows.append(("", told))
    return rows or [("", _unmeasured(criterion.name, asked, missing))]


def _unmeasured(name: str, asked: str, why: str) -> list[Text]:
    dash = numeral(words.MISSING)
    return [Text(name), numeral(asked), dash, Text(words.MISSING), Text(why), Text(words.MISSING), dash, dash]


def _is_velocity(settings: Settings, target: str) -> bool:
    definition = settings.targets.get(target)
    return isinstance(definition, MeasuredTarget) and definition.metric == VELOCITY


def _scale(settings: Settings, target: str) -> str:
    """On which scale a velocity's error is."""
    definition = settings.targets[target]
    return "ln(1 + x)" if isinstance(definition, MeasuredTarget) and definition.transform == "log" else ""


def _content(warehouse: Warehouse, source: str) -> dict[tuple[str, str], str]:
    """Per target and cutoff, of what content the latest training rows of the backtests hold vectors."""
    rows = warehouse.query(_COLUMNS, {"source": source}).to_pylist()
    found = {}
    for row in rows:
        groups = {group_of(name) for name in row["columns"]} & set(CONTENT)
        found[row["target"], row["cutoff"]] = ", ".join(name for name in CONTENT if name in groups)
    return {key: f"vectors of {told}" for key, told in found.items() if told}
