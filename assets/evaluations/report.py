"""The report: one self-contained page per evaluation, the same to the byte when made again from the same warehouse.

Lays out what `report_sections` and `report_profile` make of the stored rows, after `report_checks` has looked at them.
Imported when a report is asked for, not with the definitions.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from assets.evaluations import (
    backtest,
    bootstrap,
    report_decisions,
    report_language,
    report_ledger,
    report_plain_answer,
    report_profile,
    report_sections,
    report_styles,
    report_training,
)
from assets.evaluations import report_words as words
from assets.evaluations.report_checks import Check, ReportError, checks, refuse
from assets.evaluations.report_data import SAMPLE, Evidence, collect, read_metrics
from assets.evaluations.report_sections import Board
from assets.models import intervals
from resources.settings import ClassTarget, CompositeTarget, MeasuredTarget, Settings
from warehouse.connection import Warehouse

__all__ = ["Report", "ReportError", "charts", "render"]


@dataclass(frozen=True)
class Report:
    """A page.

    Attributes:
        html: The page.
        made_from: Fingerprint of the rows that it was made from.
        data_version: Fingerprint of the landings and the contracts that read them.
        sha256: Of the page in UTF-8.
        findings: What the page has to say against its own figures; empty where all checks hold.
    """

    html: str
    made_from: str
    data_version: str
    sha256: str
    findings: tuple[str, ...]


def render(warehouse: Warehouse, settings: Settings, *, source: str | None = None) -> Report:
    """The page on everything that is evaluated, or on one source.

    Raises:
        ReportError: There is nothing to report, a test row is in its own fit, or a forecast has no row in the split.
    """
    evidence = collect(warehouse, settings, source)
    refuse(evidence)
    done = checks(evidence)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("report.html").render(_view(warehouse, evidence, settings, done))
    digest = hashlib.sha256(html.encode()).hexdigest()
    findings = tuple(finding for check in done for finding in check.findings)
    return Report(html, evidence.made_from, evidence.data_version, digest, findings)


def charts(warehouse: Warehouse) -> dict[str, bytes]:
    """Small PNGs for the Dagster UI: `leaderboard_skill` and `accuracy_against_cutoff`; none without figures."""
    from assets.evaluations.report_charts import draw

    return draw(read_metrics(warehouse))


def _view(warehouse: Warehouse, evidence: Evidence, settings: Settings, done: list[Check]) -> dict[str, Any]:
    """Everything that the template names."""
    board = Board(evidence)
    return {
        "sections": _sections(warehouse, settings, board, evidence),
        "sentences": report_sections.sentences(board),
        "tiles": _tiles(board, evidence, done),
        "checks": done,
        "checked": report_profile.checked(done),
        "architecture": report_profile.architecture(),
        "targets": [(target, _definition(settings, target)) for target in sorted({cell[1] for cell in evidence.cells})],
        "glossary": [(figure.label, figure.meaning) for figure in words.FIGURES.values() if figure.meaning],
        "facts": _facts(board, evidence),
        "sources": board.sources,
        "made_from": evidence.made_from,
        "data_version": evidence.data_version,
    }


_LEADS = {
    "plain-answer": (
        "The plain answer",
        "Does the deep model beat boosting, does boosting beat the naive forecasters, by how much, and which of them serves. On "
        "videos published after each was trained, the same videos for both of a pair.",
    ),
    "headline": (
        "Headline",
        "The champion of each target and cutoff, its figures side by side: a rank measure never without precision and recall, an "
        "R² never without the error. All of it on videos published after the forecaster was trained.",
    ),
    "decisions": (
        "Who serves",
        "Models that training runs registered, and what let them serve: each was judged on videos published after it was trained, "
        "against what served, and serves as it was judged.",
    ),
    "ledger": (
        "Promised and kept",
        "Forecasts that were written down, with their model and interval, before anybody could know the outcome, and what became of "
        "them. Nothing here is a backtest.",
    ),
    "against-cutoff": (
        "Accuracy against cutoff",
        "What waiting buys: every forecaster at every cutoff. The large dot is the champion there, with its interval; naive "
        "forecasters are grey and dashed. Where a learned line meets a dashed one, it has learned nothing. An R² below 0 is not drawn.",
    ),
    "leaderboard": (
        "Leaderboard",
        "Every forecaster, naive ones included, smallest loss first; the best value of a column is bold, the small line below a figure is its "
        "interval. Beside the skill stands what a random split would have claimed, and the gap.",
    ),
    "over-time": (
        "Over time",
        "The loss of each weekly test. A champion that is good only in some weeks shows here; the band is its interval in "
        "that week. Of the naive forecasters only the best one is drawn.",
    ),
    "predicted-actual": (
        "Predicted against actual",
        "Champions on the time split. Darker hexagons hold more videos (logarithmic); on the dashed line a forecast is exact. A cloud flatter than the "
        "line means that extremes are pulled to the middle.",
    ),
    "intervals": (
        "Intervals",
        "An 80 % interval is right when 80 % of outcomes fall inside it: dots should sit on their line. Of two that cover alike, the "
        "one with the smaller interval score says more.",
    ),
    "classes": (
        "Classes and probabilities",
        "Left: of the videos given a probability, how many were positive (the bars are 95 %, the area is the number of videos; thin "
        "lines are other forecasters). Right: what precision costs in recall. Below: who was called what.",
    ),
    "examples": (
        "Best hits, worst misses",
        "Hits are the most accurate forecasts of what became large (the top tenth of outcomes, or the positives); misses are the largest errors, "
        "too low and too high. Beside each stands all that was known at the cutoff.",
    ),
    "importance": (
        "Importance",
        "How much the loss of the latest origin grows when a feature is shuffled among the test rows. It says what this forecaster "
        "uses, not what makes a video succeed; columns that say the same share their importance.",
    ),
    "training-size": (
        "Training size",
        "The latest origin, fitted on fewer of its rows and tested on the same videos (point forecasts; probabilities uncalibrated). "
        "A line that still falls says that more data would help.",
    ),
    "content": (
        "What content adds",
        "The same booster on one kind of input at a time, and on everything: titles and text vectors, pictures, sound, films. Where the "
        "intervals of two rows overlap widely, nothing is shown to be gained.",
    ),
    "language": (
        "What people say and feel",
        "Titles, transcripts and comments: what was wrong with some, what an emotion model reads in the others, as of each cutoff, and "
        "what that adds to forecasts.",
    ),
    "styles": (
        "Styles",
        "Videos that look, sound and read alike, found without looking at outcomes. The line is a style's weekly share; the lift is how its "
        "videos did against what their channel and week lead to expect.",
    ),
    "comparison": (
        "Comparison of targets",
        "Champions by the figures that do not depend on a target's scale.",
    ),
    "slices": (
        "Slices",
        "Champions on parts of the test videos. Look for a slice that is far from the whole; small ones are noisy.",
    ),
    "data": (
        "Data",
        "What came in, what became of it, and what the features look like.",
    ),
    "audit": (
        "Leakage audit",
        "Feature rows made again in a second home that holds only what was known by their cutoff, and compared to the bit.",
    ),
}  # fmt: skip


def _sections(warehouse: Warehouse, settings: Settings, board: Board, evidence: Evidence) -> list[dict[str, Any]]:
    """The sections in reading order; one without content says so."""
    profile = [
        *report_profile.conservation(evidence),
        *report_profile.rules(evidence, settings),
        *report_profile.withdrawn(evidence),
        *report_profile.outcomes(board),
        *report_profile.features(board),
    ]
    parts = {
        "headline": report_sections.headline(board),
        "plain-answer": report_plain_answer.plain_answer(warehouse, settings, board),
        "decisions": [
            *report_decisions.decisions(warehouse, board.sources),
            *report_training.curves(warehouse, board.sources),
        ],
        "ledger": report_ledger.ledger(warehouse, board.sources),
        "against-cutoff": report_sections.against_cutoff(board),
        "leaderboard": report_sections.leaderboards(board),
        "over-time": report_sections.over_time(board),
        "predicted-actual": report_sections.predicted_actual(board),
        "intervals": report_sections.intervals(board),
        "classes": report_sections.classes(board),
        "examples": report_sections.examples(board),
        "importance": report_sections.importance(board),
        "training-size": report_sections.training_size(board),
        "content": report_styles.modalities(board),
        "language": report_language.language(warehouse, board),
        "styles": report_styles.styles(warehouse, settings),
        "comparison": report_sections.comparison(board),
        "slices": report_sections.slices(board),
        "data": profile,
        "audit": report_profile.audit(evidence),
    }
    return [{"id": name, "title": title, "lead": lead, "parts": parts[name]} for name, (title, lead) in _LEADS.items()]


def _tiles(board: Board, evidence: Evidence, done: list[Check]) -> list[tuple[str, str, str]]:
    """Large numbers at the top: value, what it counts, and how it is meant (good, bad or nothing)."""
    roles = evidence.tables["roles"]
    time = roles[roles["split"] == "time"]
    audits = evidence.tables["audits"]
    unequal = int(audits["unequal"].sum())
    findings = sum(len(check.findings) for check in done)
    origins = sorted({origin for cell in evidence.cells for origin in board.origins(cell)})
    audited = (words.MISSING, "no audit is stored", "")
    if len(audits):
        audited = (words.count(unequal), "rows that the latest audit found to differ", "bad" if unequal else "good")
    return [
        (words.count(time["forecasts"].sum()), "forecasts graded on later videos", ""),
        (
            words.count(len(evidence.cells)),
            f"targets × cutoffs, {words.plural(time['forecaster'].nunique(), 'forecaster')}",
            "",
        ),
        (
            words.count(len(origins)),
            f"weekly origins, {_unbroken(origins[0])} to {_unbroken(origins[-1])}" if origins else "weekly origins",
            "",
        ),
        audited,
        (words.count(findings), f"findings in {words.plural(len(done), 'check')}", "bad" if findings else "good"),
    ]


def _unbroken(text: str) -> str:
    return text.replace("-", "\u2011")


def _definition(settings: Settings, target: str) -> str:
    """What a target is, in words."""
    definition = settings.targets.get(target)
    if isinstance(definition, MeasuredTarget):
        scale = "ln(1 + x) of " if definition.transform == "log" else ""
        if definition.horizon is None:
            return f"{scale}{definition.metric} at the last observation there is: a variable horizon, archives only"
        return f"{scale}{definition.metric}, {_hours(definition.horizon)} after the anchor, within {_hours(definition.tolerance)}"
    if isinstance(definition, ClassTarget):
        relative = " above the channel's earlier level" if definition.relative_to else ""
        return f"1 where {definition.of} is{relative} at or above percentile {definition.percentile:g} of the training rows"
    if isinstance(definition, CompositeTarget):
        return " + ".join(f"{weight:g} × {part}" for part, weight in definition.weights.items())
    return "no longer in upswell.yaml"


def _hours(length: Any) -> str:
    hours = length.total_seconds() / 3600
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} h"


def _facts(board: Board, evidence: Evidence) -> dict[str, Any]:
    """What the sections on methods and limits state, read from the code and the rows that they speak of."""
    personal = evidence.tables["personal"]
    times = evidence.tables["time_sources"].groupby("time_source", sort=True)["landings"].sum()
    return {
        "test_days": backtest.TEST_DAYS,
        "min_train": backtest.MIN_TRAIN,
        "draws": bootstrap.DRAWS,
        "level": f"{bootstrap.LEVEL:g} %",
        "block": words.share(intervals.BLOCK_SHARE, 0),
        "isotonic": words.count(intervals.ISOTONIC_FROM),
        "channels": words.count(personal["channels"].sum()),
        "names": words.count(personal["names"].sum()),
        "times": [(str(name), words.plural(int(number), "landing")) for name, number in times.items()],
        "simulated": "simulator" in board.sources,
        "only_simulated": board.sources == ["simulator"],
        "sample": words.count(SAMPLE),
    }
