"""The sections on the data and the audit: what came in, what became of it, what the features look like.

Descriptions only; nothing here says how good a forecast is.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from assets.evaluations import report_figures as figures
from assets.evaluations import report_words as words
from assets.evaluations.report_checks import Check
from assets.evaluations.report_data import Evidence, cutoff_order, records
from assets.evaluations.report_sections import Board, Grid, Part, Text, columns, numeral
from assets.models.columns import CATEGORIES, Schema
from resources.settings import Settings
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
    heads = columns("source", "#landings", "#read", "#accepted", "#duplicate", "#quarantined")
    heads += columns("adds up", "known from", "to")
    rows = []
    for row in records(landings):
        sums = row["rows_read"] == row["accepted"] + row["duplicate"] + row["quarantined"] and not row["unbalanced"]
        numbers = [row[name] for name in ("landings", "rows_read", "accepted", "duplicate", "quarantined")]
        told = [Text(row["source"], class_="name"), *(numeral(words.count(number)) for number in numbers)]
        told.append(
            Text("yes", class_="tag good") if sums else Text(f"no: {row['unbalanced']} landings", class_="tag bad")
        )
        told += [Text(words.day(row["first_known"])), Text(words.day(row["last_known"]))]
        rows.append(("", told))
    aside = []
    for row in records(evidence.tables["set_aside"]):
        told = [Text(row["source"], class_="name"), Text(row["fate"]), Text(row["reason"], class_="code")]
        aside.append(("", [*told, numeral(words.count(row["records"]))]))
    grids = [Grid(heads, rows, "read = accepted + duplicate + quarantined, for every landing")] if rows else []
    if aside:
        heads = columns("source", "fate", "reason", "#records")
        grids.append(Grid(heads, aside, "Why records are not in the tables"))
    return [Part(grids=grids)] if grids else []


def rules(evidence: Evidence, settings: Settings) -> list[Part]:
    """The rule of each source, and which targets it makes impossible."""
    rows = []
    for source in sorted(row["source"] for row in records(evidence.tables["landings"])):
        policy = settings.policy(source)
        impossible = [target for target in settings.targets if settings.beyond_retention(target, source)]
        left = [told for target in settings.targets if (told := settings.history_left(target, source))]
        said = ["no figure is made from it"] if not policy.derived_metrics else []
        said += (
            [f"impossible by its retention: {', '.join(impossible)}"] if impossible and policy.derived_metrics else []
        )
        said += [f"trained on no more than {'; '.join(left)}"] if left and policy.derived_metrics else []
        rows.append(("", [Text(source, class_="name"), Text(policy.describe()), Text("; ".join(said) or "no limit")]))
    caption = "What each source lets be kept, and what that costs"
    return (
        [Part("Rules of the sources", grids=[Grid(columns("source", "rule", "effect"), rows, caption)])] if rows else []
    )


def withdrawn(evidence: Evidence) -> list[Part]:
    """The training sets from which a forgotten subject was taken, and the models that were made from them."""
    rows = []
    for row in records(evidence.tables["withdrawn"]):
        cell = f"{row['source']}/{row['target']}/{row['cutoff']}"
        told = [
            Text(cell, class_="name"),
            Text(words.day(row["origin"])),
            Text(row["training_set_id"][:12], class_="code"),
        ]
        rows.append(
            ("", [*told, Text(row["why"]), Text(row["models"] or "none"), Text(words.day(row["withdrawn_at"]))])
        )
    heads = columns("cell", "origin", "training set", "why", "models made from it", "withdrawn")
    caption = "Rows of these are gone; the models still know what they learned of them until they are trained anew"
    return [Part("Withdrawn training sets", grids=[Grid(heads, rows, caption)], folded=True)] if rows else []


def outcomes(board: Board) -> list[Part]:
    """How many outcomes there are, and how they are distributed."""
    statuses = board.evidence.tables["statuses"]
    drawings = []
    for pair, frame in sorted(board.evidence.frames.items()):
        values = frame.loc[frame["status"] == "matured", "value"].dropna().to_numpy(dtype=np.float64)
        if len(values) > 1:
            drawings.append(figures.histogram(board.title(pair), values, "outcome, on the target's scale"))
    states = ("matured", "pending", "censored")
    heads = columns("source", "target", *(f"#{state}" for state in states))
    rows = []
    for (source, target), group in statuses.groupby(["source", "target"], sort=True):
        counts = dict(zip(group["status"], group["videos"], strict=True))
        numbers = [numeral(words.count(counts.get(state, 0))) for state in states]
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
        drawings = [drawing for pair in pairs if (drawing := _strongest(board, pair)) is not None]
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
    declared = (table for table in load_tables().values() if table.schema == "features")
    types = {column.name: column.type for table in declared for column in table.columns}
    heads = columns("column", "type", "#missing", "#distinct", "#low (5 %)", "#median")
    heads += columns("#high (95 %)", "distribution")
    rows = []
    for name in Schema.of(frame).numeric:
        values = frame[name].dropna().to_numpy(dtype=np.float64)
        told = [
            Text(name, class_="code"),
            Text(types.get(name, "DOUBLE").lower(), class_="muted"),
            _missing(frame[name]),
        ]
        told.append(numeral(words.count(len(np.unique(values)))))
        if len(values):
            told += [numeral(words.short(float(end))) for end in np.quantile(values, [0.05, 0.5, 0.95])]
            told.append(Text(figures.sparkline(values, name) if np.ptp(values) > 0 else "one value"))
        rows.append(("", told + [Text("")] * (len(heads) - len(told))))
    for name in (column for column in CATEGORIES if column in frame.columns):
        counts = frame[name].value_counts()
        common = sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:3]
        told = [Text(name, class_="code"), Text("category", class_="muted"), _missing(frame[name])]
        told += [numeral(words.count(len(counts))), *[Text("")] * 3]
        told.append(Text(", ".join(f"{value} ({words.count(n)})" for value, n in common)))
        rows.append(("", told))
    return Grid(heads, rows, caption)


def _missing(column: pd.Series) -> Text:
    missing = float(column.isna().mean()) if len(column) else 0.0
    return Text(words.share(missing), class_="num muted" if missing == 0 else "num")


def _strongest(board: Board, pair: tuple[str, str]) -> Markup | None:
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
    audits = records(evidence.tables["audits"])
    heads = columns("source", "target", "cutoff", "compared", "#rows that differ")
    rows = []
    for row in sorted(audits, key=lambda row: (row["source"], row["target"], cutoff_order(row["cutoff"]))):
        told = [Text(row["source"], class_="name"), Text(row["target"]), Text(row["cutoff"])]
        compared = row["compared"] if isinstance(row["compared"], str) else words.plural(row["rows"], "row")
        differ = numeral(words.count(row["unequal"]), class_="bad" if row["unequal"] else "good")
        rows.append(("", [*told, Text(compared), differ]))
    grids = [Grid(heads, rows, "The latest audit")] if rows else []
    differences = []
    for row in records(evidence.tables["audit_differences"]):
        told = [Text(row["column"], class_="code"), Text(f"{row['source']} / {row['target']} / {row['cutoff']}")]
        told.append(numeral(words.count(row["rows"])))
        differences.append(("", [*told, *(Text(str(row[name])[:60]) for name in ("example", "expected", "found"))]))
    if differences:
        heads = columns("column", "where", "#rows", "e.g. video", "from what was known", "in the table")
        grids.append(Grid(heads, differences, "Columns that know more than they should"))
    return [Part(grids=grids)] if grids else []


def checked(checks: Sequence[Check]) -> Grid:
    """What was looked at before this page was made."""
    rows = []
    for check in checks:
        found = words.plural(len(check.findings), "finding")
        result = Text(found, class_="tag bad") if check.findings else Text("holds", class_="tag good")
        rows.append(("", [Text(check.name, class_="name"), Text(check.looked_at), result]))
    return Grid(columns("check", "looked at", "result"), rows)


def architecture() -> Markup:
    """The way of the data, with the tables that are declared."""
    declared = set(load_tables())
    return figures.architecture(
        [(name, note, [table for table in tables if table in declared]) for name, note, tables in STAGES]
    )
