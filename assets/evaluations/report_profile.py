"""The sections on the data and the audit: what came in, what became of it, what the features look like.

Descriptions only; nothing here says how good a forecast is.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from assets.evaluations import report_figures as figures
from assets.evaluations import report_words as words
from assets.evaluations.report_checks import Check
from assets.evaluations.report_data import Evidence
from assets.evaluations.report_sections import Board, Grid, Part, Text
from assets.models.columns import CATEGORIES, Schema
from warehouse.contracts import load_tables

STRONGEST = 10
MIN_PAIRS = 30
STAGES = (
    ("Landings", "byte for byte, by sha256", ("raw.landings",)),
    ("Raw", "one partition per day", ("raw.videos", "raw.snapshots", "raw.channels", "raw.metrics", "raw.labels", "raw.quarantine")),
    ("Features", "as of a cutoff", ("features.content", "features.engagement", "features.channel", "features.context", "features.targets")),
    ("Models", "fitted per weekly origin", ("models.training_sets", "models.versions")),
    (
        "Evaluations",
        "graded on later videos",
        ("evaluations.splits", "evaluations.predictions", "evaluations.metrics", "evaluations.importance", "evaluations.audits", "evaluations.reports"),
    ),
)  # fmt: skip


def conservation(evidence: Evidence) -> list[Part]:
    """Every record that was read, and what became of it."""
    landings = evidence.tables["landings"]
    heads = [("source", ""), ("landings", "num"), ("read", "num"), ("accepted", "num"), ("duplicate", "num"), ("quarantined", "num")]
    heads += [("adds up", ""), ("known from", ""), ("to", "")]
    rows = []
    for row in landings.to_dict("records"):
        sums = row["rows_read"] == row["accepted"] + row["duplicate"] + row["quarantined"] and not row["unbalanced"]
        numbers = [row[name] for name in ("landings", "rows_read", "accepted", "duplicate", "quarantined")]
        told = [Text(row["source"], class_="name"), *(Text(words.count(number), class_="num") for number in numbers)]
        told.append(Text("yes", class_="tag good") if sums else Text(f"no: {row['unbalanced']} landings", class_="tag bad"))
        told += [Text(words.day(row["first_known"])), Text(words.day(row["last_known"]))]
        rows.append(("", told))
    aside = [
        ("", [Text(row["source"], class_="name"), Text(row["fate"]), Text(row["reason"], class_="code"), Text(words.count(row["records"]), class_="num")])
        for row in evidence.tables["set_aside"].to_dict("records")
    ]  # fmt: skip
    grids = [Grid(heads, rows, "read = accepted + duplicate + quarantined, for every landing")] if rows else []
    if aside:
        heads = [("source", ""), ("fate", ""), ("reason", ""), ("records", "num")]
        grids.append(Grid(heads, aside, "Why records are not in the tables"))
    return [Part(grids=grids)] if grids else []


def outcomes(board: Board) -> list[Part]:
    """How many outcomes there are, and how they are distributed."""
    statuses = board.evidence.tables["statuses"]
    drawings = []
    for pair, frame in sorted(board.evidence.frames.items()):
        values = frame.loc[frame["status"] == "matured", "value"].dropna().to_numpy(dtype=np.float64)
        if len(values) > 1:
            drawings.append(figures.histogram(board.title(pair), values, "outcome, on the target's scale"))
    states = ("matured", "pending", "censored")
    heads = [("source", ""), ("target", ""), *((state, "num") for state in states)]
    rows = []
    for (source, target), group in statuses.groupby(["source", "target"], sort=True):
        counts = dict(zip(group["status"], group["videos"], strict=True))
        numbers = [Text(words.count(counts.get(state, 0)), class_="num") for state in states]
        rows.append(("", [Text(str(source), class_="name"), Text(str(target)), *numbers]))
    return [Part("Outcomes", drawings, [Grid(heads, rows)] if rows else [])] if drawings or rows else []


def features(board: Board) -> list[Part]:
    """Per source the columns that a model sees: type, missing, distinct, range, shape; then what goes with the outcome."""
    parts = []
    for source in board.sources:
        pairs = sorted(pair for pair in board.evidence.frames if pair[0] == source)
        if not pairs:
            continue
        frame, cutoff = board.evidence.frames[pairs[0]], board.evidence.frame_cutoffs[pairs[0]]
        where = f" of {source}" if len(board.sources) > 1 else ""
        caption = f"{words.plural(len(frame), 'video')} as known at {cutoff}; missing is missing, not zero"
        parts.append(Part(f"Features{where}", grids=[_columns(frame, caption)], folded=True))
        drawings = [
            drawing
            for pair in pairs
            if (drawing := _strongest(board, pair)) is not None
        ]
        if drawings:
            parts.append(
                Part(
                    f"What goes with the outcome{where}",
                    drawings,
                    caption="Spearman correlation over all matured videos, one column at a time: a description, neither an "
                    "importance nor a cause.",
                )
            )
    return parts


def _columns(frame: pd.DataFrame, caption: str) -> Grid:
    types = {column.name: column.type for table in load_tables().values() if table.schema == "features" for column in table.columns}
    heads = [("column", ""), ("type", ""), ("missing", "num"), ("distinct", "num"), ("low (5 %)", "num"), ("median", "num")]
    heads += [("high (95 %)", "num"), ("distribution", "")]
    rows = []
    for name in Schema.of(frame).numeric:
        values = frame[name].dropna().to_numpy(dtype=np.float64)
        told = [Text(name, class_="code"), Text(types.get(name, "DOUBLE").lower(), class_="muted"), _missing(frame[name])]
        told.append(Text(words.count(len(np.unique(values))), class_="num"))
        if len(values):
            told += [Text(words.short(float(end)), class_="num") for end in np.quantile(values, [0.05, 0.5, 0.95])]
            told.append(Text(figures.sparkline(values, name) if np.ptp(values) > 0 else "one value"))
        rows.append(("", told + [Text("")] * (len(heads) - len(told))))
    for name in (column for column in CATEGORIES if column in frame.columns):
        counts = frame[name].value_counts()
        common = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:3]
        told = [Text(name, class_="code"), Text("category", class_="muted"), _missing(frame[name])]
        told += [Text(words.count(len(counts)), class_="num"), *[Text("")] * 3, Text(", ".join(f"{value} ({words.count(n)})" for value, n in common))]
        rows.append(("", told))
    return Grid(heads, rows, caption)


def _missing(column: pd.Series) -> Text:
    missing = float(column.isna().mean()) if len(column) else 0.0
    return Text(words.share(missing), class_="num muted" if missing == 0 else "num")


def _strongest(board: Board, pair: tuple[str, str]) -> object | None:
    correlations = rank_correlations(board.evidence.frames[pair])[:STRONGEST]
    if not correlations:
        return None
    heading = f"{board.title(pair)} at {board.evidence.frame_cutoffs[pair]}"
    return figures.bars(heading, [(name, value, value, value) for name, value in correlations], "Spearman correlation")


def rank_correlations(frame: pd.DataFrame) -> list[tuple[str, float]]:
    """Spearman correlation of every numeric feature with the matured outcome, the strongest first."""
    matured = frame[(frame["status"] == "matured") & frame["value"].notna()]
    found = []
    for name in Schema.of(frame).numeric:
        both = matured[[name, "value"]].dropna()
        if len(both) >= MIN_PAIRS and both[name].nunique() > 1 and both["value"].nunique() > 1:
            ranks = both.rank().to_numpy(dtype=np.float64)
            found.append((name, float(np.corrcoef(ranks[:, 0], ranks[:, 1])[0, 1])))
    return sorted(found, key=lambda entry: (-abs(entry[1]), entry[0]))


def audit(evidence: Evidence) -> list[Part]:
    """What the leakage audit compared, and what differed."""
    audits = evidence.tables["audits"]
    heads = [("source", ""), ("target", ""), ("cutoff", ""), ("audit", ""), ("rows compared", "num"), ("rows that differ", "num")]
    rows = []
    for row in audits.to_dict("records"):
        told = [Text(row["source"], class_="name"), Text(row["target"]), Text(row["cutoff"]), Text(row["audit_id"], class_="code")]
        differ = Text(words.count(row["unequal"]), class_="num bad" if row["unequal"] else "num good")
        rows.append(("", [*told, Text(words.count(row["rows"]), class_="num"), differ]))
    grids = [Grid(heads, rows)] if rows else []
    differences = [
        (
            "",
            [Text(row["column"], class_="code"), Text(f"{row['source']} / {row['target']} / {row['cutoff']}"), Text(words.count(row["rows"]), class_="num")]
            + [Text(str(row[name])[:60]) for name in ("example", "expected", "found")],
        )
        for row in evidence.tables["audit_differences"].to_dict("records")
    ]  # fmt: skip
    if differences:
        heads = [("column", ""), ("where", ""), ("rows", "num"), ("e.g. video", ""), ("from what was known", ""), ("in the table", "")]
        grids.append(Grid(heads, differences, "Columns that know more than they should"))
    return [Part(grids=grids)] if grids else []


def checked(checks: Sequence[Check]) -> Grid:
    """What was looked at before this page was made."""
    rows = []
    for check in checks:
        result = Text("holds", class_="tag good") if not check.findings else Text(words.plural(len(check.findings), "finding"), class_="tag bad")
        rows.append(("", [Text(check.name, class_="name"), Text(check.looked_at), result]))
    return Grid([("check", ""), ("looked at", ""), ("result", "")], rows)


def architecture() -> object:
    """The way of the data, with the tables that are declared."""
    declared = set(load_tables())
    return figures.architecture(
        [(name, note, [table for table in tables if table in declared]) for name, note, tables in STAGES]
    )
