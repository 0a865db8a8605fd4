"""What the page shows of words: which texts there are and what is wrong with some, how comments feel at each cutoff, what words add to
forecasts, and texts that a person can read beside what the model says of them.

The words of people are on this page and nowhere else outside the raw tables. How the model does on labelled texts is told where it was
trained.
"""

from collections.abc import Sequence
from typing import Any

from assets.evaluations import report_figures as figures
from assets.evaluations import report_words as words
from assets.evaluations.report_figures import Series
from assets.evaluations.report_sections import Board, Grid, Part, Text, columns, figure_heads, groups_of, numeral
from assets.language.emotions import EMOTIONS
from assets.language.measures import MEASURES
from assets.language.texts import TEXTS, texts_of
from assets.language.validation import STATES
from resources.settings import cutoff_age
from warehouse.connection import Warehouse

WORDS = "boosting_words"
VARIANTS = ("boosting_transcript", WORDS)
FEELINGS = ("positive", "negative", "ambiguous", "neutral")
SHOWN, OF_EACH = 8, 2
"""Labels that comments are shown of, and comments of each."""
_LONGEST = 160
"""Characters of a comment that is shown."""


def language(warehouse: Warehouse, board: Board) -> list[Part]:
    """Validation, feelings over cutoffs, what words add, and examples; nothing where there are no texts."""
    checked = _checked(warehouse, board.sources)
    if not checked:
        return []
    return [*checked, *_over_cutoffs(warehouse, board.sources), *_added(board), *_examples(warehouse, board.sources)]


def _checked(warehouse: Warehouse, sources: Sequence[str]) -> list[Part]:
    rows = _rows(
        warehouse,
        f"""SELECT source, part, state, count(*) AS texts FROM {TEXTS}
            WHERE list_contains($sources, source) GROUP BY ALL ORDER BY ALL""",
        sources,
    )
    found: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        found.setdefault((row["source"], row["part"]), {})[row["state"]] = row["texts"]
    if not found:
        return []
    present = [state for state in STATES if any(state in counts for counts in found.values())]
    heads = columns("source", "part", "#texts", *(f"#{state.replace('_', ' ')}" for state in present))
    grid = Grid(
        heads,
        [
            (
                "",
                [
                    Text(source),
                    Text(part),
                    numeral(words.count(sum(counts.values()))),
                    *(numeral(words.count(counts.get(state, 0))) for state in present),
                ],
            )
            for (source, part), counts in found.items()
        ],
    )
    caption = "Every text is in one state, the first fault found. Only valid ones are judged and counted in features; none is dropped."
    return [Part("What was looked at", grids=[grid], caption=caption)]


def _over_cutoffs(warehouse: Warehouse, sources: Sequence[str]) -> list[Part]:
    """How glad the comments known at each cutoff are, per source."""
    means = ", ".join(f"avg(emotion_comments_{name}) AS {name}" for name in FEELINGS)
    rows = _rows(
        warehouse,
        f"""SELECT source, cutoff, count(emotion_comments_joy) AS videos, {means} FROM {MEASURES}
            WHERE list_contains($sources, source) AND emotion_comments_joy IS NOT NULL
            GROUP BY ALL ORDER BY source, min(epoch(as_of)), cutoff""",
        sources,
    )
    parts = []
    for source in dict.fromkeys(row["source"] for row in rows):
        own = sorted((row for row in rows if row["source"] == source), key=lambda row: _hours(row["cutoff"]))
        if len(own) < 2:
            continue
        series = [Series(name, [(float(at), float(row[name])) for at, row in enumerate(own)]) for name in FEELINGS]
        ticks = [(float(at), row["cutoff"]) for at, row in enumerate(own)]
        drawing = figures.lines("Mean over videos with comments", series, ticks, "probability", "cutoff")
        told = ", ".join(f"{words.count(row['videos'])} at {row['cutoff']}" for row in own)
        parts.append(Part(f"How comments feel · {source}", [drawing], caption=f"Videos with a judged comment: {told}."))
    return parts


def _added(board: Board) -> list[Part]:
    """The default with and without words, on the same test rows but where one missed an origin."""
    rows, drawings = [], []
    for cell in board.evidence.cells:
        present = [name for name in VARIANTS if name in board.forecasters(cell)]
        for name in ("hist_gradient_boosting", *present) if present else ():
            told = [Text(f"{board.title(cell[:2])} at {cell[2]}", class_="name")]
            told.append(Text(name, board.missed(cell, name), "code"))
            for figure in (board.loss(cell), "skill", "r2", "spearman"):
                row = board.row(cell, name, figure)
                between = "" if row is None else words.between(figure, row[1], row[2])
                told.append(numeral(words.written(figure, row[0] if row else None), between))
            rows.append(("", told))
        if bars := groups_of(board, cell, WORDS):
            heading = f"{board.title(cell[:2])} at {cell[2]}, groups of features"
            drawings.append(
                figures.bars(heading, bars, f"increase of the {words.label(board.loss(cell))} when shuffled")
            )
    if not rows:
        return []
    heads = columns("target", "forecaster", "#loss", *figure_heads("skill"), "#R²", "#Spearman")
    caption = "boosting_words is the default that also sees emotions and transcripts; boosting_transcript sees the transcript alone."
    return [Part("What words add", drawings, grids=[Grid(heads, rows)], caption=caption)]


def _examples(warehouse: Warehouse, sources: Sequence[str]) -> list[Part]:
    """The comments that the model is surest of, for each of the commonest labels; whole, so that one that is forgotten is found here."""
    rows = _rows(
        warehouse,
        f"""WITH model AS (SELECT arg_max(revision, (usable_at, scored_at, revision)) AS revision FROM {EMOTIONS}),
            judged AS (
                SELECT e.text_id, unnest(e.decided) AS label, e.confidence FROM {EMOTIONS} e JOIN model USING (revision)
                JOIN (SELECT DISTINCT text_id FROM {TEXTS}
                      WHERE list_contains($sources, source) AND part = 'comment' AND state = 'valid' AND length <= {_LONGEST}
                     ) t USING (text_id)),
            ranked AS (SELECT *, row_number() OVER (PARTITION BY label ORDER BY confidence DESC, text_id) AS place,
                              count(*) OVER (PARTITION BY label) AS n FROM judged)
            SELECT label, n, text_id, confidence FROM ranked WHERE place <= {OF_EACH} ORDER BY n DESC, label, place
            LIMIT {SHOWN * OF_EACH}""",
        sources,
    )
    said = texts_of(warehouse, [row["text_id"] for row in rows])
    told = [
        ("", [
            Text(row["label"], f"{words.count(row['n'])} comments", "tag"),
            Text(said[row["text_id"]], class_="title"),
            numeral(words.number(row["confidence"], 2)),
        ])
        for row in rows
        if row["text_id"] in said
    ]  # fmt: skip
    if not told:
        return []
    heads = columns("emotion", "comment", "#probability")
    caption = "The comments that the model is surest of. Whether it is right, the reader can see; how often, labelled texts say."
    return [Part("What people say", grids=[Grid(heads, told)], caption=caption, folded=True)]


def _rows(warehouse: Warehouse, sql: str, sources: Sequence[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = warehouse.query(sql, {"sources": list(sources)}).to_pylist()
    return rows


def _hours(cutoff: str) -> float:
    return cutoff_age(cutoff).total_seconds()
