"""A model's card: what it is, what it was made of and how, how good it is, and what it is not for. Markdown, beside its bundle.

Every figure is read from a row; what no row says is "not measured". What the rows mean is decided where they are made.
"""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from assets.models.facts import Facts, Row, model_facts
from assets.models.predictor import FOLDER
from resources.settings import ClassTarget, CompositeTarget, MeasuredTarget, Settings
from warehouse.connection import Warehouse

CARD = "card.md"
NOT_MEASURED = "not measured"
_USE = """\
- Ranks and plans: which published videos are likely to do well, with an interval or a probability to weigh.
- For videos of the source named above, forecast at the cutoff named above, with features of the fingerprint named above.

It must not be used

- to decide about people: hiring, paying, promoting or removing a creator, or judging a person or a group;
- as a cause: it says what goes with many views, not what a change to a video would bring;
- for another source, another cutoff or another target, or without the interval that comes with each forecast;
- to flood a platform with what scores well, or to select content that harms."""
_LIMITS = """\
- It has learned from the videos that were collected; what was never collected, or was taken down before it matured, it does
  not know.
- Platforms change what they show. The older the origin, the less it holds: the re-evaluations above say how far.
- Forecasts of new and of small channels rest on little; see the slices.
- An interval covers on average, not for each kind of video."""
_ETHICS = """\
Titles, channels and counts come from people who publish; a frozen training set names their videos and channels and stays in
the home. Past reach reflects past advantages (language, region, the size of a channel), and so do forecasts: where they decide who
is seen, those advantages grow. No attribute of a person is a feature."""


def model_card(warehouse: Warehouse, settings: Settings, version: str) -> str:
    """The card of a model, as Markdown.

    Raises:
        ModelError: There is no such model.
    """
    return card_of(model_facts(warehouse, [version])[0], settings)


def write_card(home: Path, version: str, text: str) -> Path | None:
    """Put a card beside the bundle, whole or not at all; None where there is no bundle."""
    folder = home / FOLDER / version
    if not folder.is_dir():
        return None
    path = folder / CARD
    if not path.exists() or path.read_text() != text:
        descriptor, name = tempfile.mkstemp(suffix=".md", dir=folder)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        os.replace(name, path)
    return path


def card_of(facts: Facts, settings: Settings) -> str:
    """The card of the model that some facts are about."""
    sections = [
        ("", _what(facts, settings)),
        ("Data", _data(facts)),
        ("How it was made", _how(facts)),
        ("How good it is", _how_good(facts)),
        ("Decisions", _decisions(facts)),
        ("Slices", _slices(facts)),
        ("Intended use", _USE),
        ("Limits", _LIMITS),
        ("Ethics", _ETHICS),
        ("Licence", "The code is under Apache-2.0. The data stay under the terms of the source that they came from."),
    ]
    return "\n\n".join(f"## {title}\n\n{text}" if title else text for title, text in sections) + "\n"


def _what(facts: Facts, settings: Settings) -> str:
    version = facts.version
    alias = f"It is the {version['alias']} of its cell." if version["alias"] else "It has no alias in its cell."
    return (
        f"# {version['version']}\n\nForecasts `{version['target']}` of videos of `{version['source']}` at `{version['cutoff']}`: "
        f"{_meaning(settings, version['target'])}, {_moment(version['cutoff'])}. {alias}"
    )


def _meaning(settings: Settings, target: str) -> str:
    """A target in words, from its definition."""
    definition = settings.targets.get(target)
    if isinstance(definition, ClassTarget):
        beside = " relative to the channel's earlier videos" if definition.relative_to else ""
        return (
            f"the probability that `{definition.of}` reaches the {definition.percentile:g}th percentile of the training rows"
            f"{beside}"
        )
    if isinstance(definition, CompositeTarget):
        return " + ".join(f"{weight:g} × `{name}`" for name, weight in definition.weights.items())
    if isinstance(definition, MeasuredTarget):
        scale = "ln(1 + {})" if definition.transform == "log" else "{}"
        hours = None if definition.horizon is None else definition.horizon.total_seconds() / 3600
        when = "at the last observation" if hours is None else f"{hours:g} hours after its anchor"
        return f"{scale.format(definition.metric)} {when}"
    return "a target that the settings no longer define"


def _moment(cutoff: str) -> str:
    return "before publication" if cutoff == "pre" else f"as of {cutoff} after the anchor"


def _data(facts: Facts) -> str:
    version, span = facts.version, facts.span or {}
    published = f"{span['first_anchor_at']:%Y-%m-%d} to {span['last_anchor_at']:%Y-%m-%d}" if span else NOT_MEASURED
    matured = f"{span['last_matured_at']:%Y-%m-%d %H:%M} UTC" if span else NOT_MEASURED
    return _table(
        {
            "source": version["source"],
            "training rows": version["n_train"],
            "published": published,
            "last outcome known": matured,
            "origin (every row had matured by its start)": version["origin"],
            "training set": version["training_set_id"],
            "columns": len(facts.training_set["columns"]) if facts.training_set else NOT_MEASURED,
            "data version": version["data_version"],
            "feature fingerprint": version["feature_fingerprint"],
            "schema fingerprint": version["schema_fingerprint"],
        }
    )


def _how(facts: Facts) -> str:
    version, made, run = facts.version, facts.provenance or {}, facts.run or {}
    parameters = made.get("parameters") or {}
    rows: dict[str, Any] = {
        "forecaster": version["forecaster"],
        "made by": version["made_by"],
        "parameters": ", ".join(f"{name} = {value}" for name, value in parameters.items()) or "not recorded",
        "code": made.get("code", "not recorded"),
        "Python": made.get("python", "not recorded"),
        "training run": version["training_id"] or "none",
        "Dagster run": version["run_id"],
        "sha256": version["sha256"],
        "made at": f"{version['created_at']:%Y-%m-%d %H:%M} UTC",
    }
    for label, name in (
        ("device", "device_name"),
        ("precision", "precision"),
        ("seconds", "seconds"),
        ("epochs", "epochs"),
    ):
        rows[label] = NOT_MEASURED if run.get(name) is None else run[name]
    return _table(rows)


def _how_good(facts: Facts) -> str:
    error = facts.run["validation_error"] if facts.run else None
    lines = [
        f"Error on the latest matured block before its origin (not seen by the fit that forecast it): {_number(error)}.",
        "Against later weeks, which it had not seen (naive: the best naive forecaster on the same videos):",
        _rows(_weeks(facts)),
        "In the ledger, forecast before the outcome was known:",
        _rows([{name: value for name, value in row.items() if name != "version"} for row in facts.scores]),
    ]
    return "\n\n".join(lines)


def _weeks(facts: Facts) -> list[Row]:
    """Of each test week the re-evaluation on the most rows, which is the latest."""
    latest = {row["origin"]: row for row in facts.reevaluations}
    shown = ("n_test", "mae", "naive_mae", "spearman", "auroc", "log_loss", "coverage_80", "interval_score_80", "clock")
    rows = [{"week of": origin, **{name: row[name] for name in shown}} for origin, row in sorted(latest.items())]
    empty = {name for name in shown if all(row[name] is None for row in rows)}
    return [{name: value for name, value in row.items() if name not in empty} for row in rows]


def _decisions(facts: Facts) -> str:
    shown = [
        {"when": row["decided_at"], "kind": row["kind"], "outcome": row["outcome"], "why": row["why"]}
        | {"against": row["against"], "clock": row["clock"]}
        for row in facts.decisions
    ]
    text = _rows(shown) if shown else "none yet"
    judged = [row for row in facts.decisions if row["kind"] == "gate"]
    if judged:
        numbers = {
            name: value for name, value in _flat(json.loads(judged[-1]["numbers"])) if not name.startswith("slices")
        }
        text += f"\n\nThe numbers of the latest judgement by the gate:\n\n{_table(numbers)}"
    return text


def _slices(facts: Facts) -> str:
    judged = [row for row in facts.decisions if row["kind"] == "gate"]
    slices = json.loads(judged[-1]["numbers"]).get("slices") if judged else None
    if not slices:
        return NOT_MEASURED
    if isinstance(slices, list) and all(isinstance(row, dict) for row in slices):
        return _rows(slices)
    return _table(dict(_flat(slices)))


def _flat(value: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Nested numbers as one list of dotted names."""
    if isinstance(value, dict):
        return [
            pair for name, part in value.items() for pair in _flat(part, f"{prefix}.{name}" if prefix else str(name))
        ]
    return [(prefix, value)]


def _table(facts: Mapping[str, Any]) -> str:
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {_cell(value)} |" for name, value in facts.items())])


def _rows(rows: Sequence[Row]) -> str:
    if not rows:
        return NOT_MEASURED
    names = list(rows[0])
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names)]
    return "\n".join([*lines, *(f"| {' | '.join(_cell(row.get(name)) for name in names)} |" for row in rows)])


def _cell(value: Any) -> str:
    if value is None:
        return NOT_MEASURED
    return (f"{value:.4g}" if isinstance(value, float) else str(value)).replace("|", "\\|").replace("\n", " ")


def _number(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.4g}"
