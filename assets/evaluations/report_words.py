"""What the figures are called, how they are written and what they mean: the page's vocabulary, one entry each.

Every number on the page is formatted here, once. Nothing is computed or read.
"""

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from assets.evaluations.bootstrap import LEVEL
from assets.evaluations.metrics import ECE_BINS, TOP_SHARE

MISSING = "–"
MINUS = "−"


@dataclass(frozen=True)
class Figure:
    """A figure of merit in words.

    Attributes:
        label: Column heading.
        meaning: One sentence for the glossary; empty where another entry says it.
        form: `number` on the target's scale, `share` written in per cent, `factor`.
        digits: Digits after the point.
    """

    label: str
    meaning: str
    form: Literal["number", "share", "factor"] = "number"
    digits: int = 3


FIGURES: dict[str, Figure] = {
    "skill": Figure(
        "skill",
        "1 − loss / loss of the best naive forecaster on the same rows; loss is the MAE of a number, the Brier score of a "
        "class. 0 is as good as naive, 100 % is perfect, below 0 is worse than naive.",
        "share",
        1,
    ),
    "mae": Figure("MAE", "Mean absolute error on the target's scale; 0.69 on a log scale is a factor of two."),
    "rmse": Figure("RMSE", "Root of the mean squared error; large misses weigh more than in the MAE."),
    "r2": Figure("R²", "Share of the outcomes' variance that the forecasts explain; below 0 is worse than their mean."),
    "growth_r2": Figure(
        "growth R²", "R² of the growth over the last known level: what is left to forecast once a count is known."
    ),
    "spearman": Figure("Spearman", "Correlation of the ranks of forecasts and outcomes."),
    "mape": Figure("MAPE", "Mean absolute error as a share of the outcome, in raw counts.", "share", 0),
    "auroc": Figure("AUROC", "Chance that a positive gets a higher probability than a negative; 0.5 is guessing."),
    "average_precision": Figure("avg. precision", "Area under precision against recall; guessing gives the base rate."),
    "accuracy": Figure("accuracy", "Share of videos called right at a probability of one half.", "share", 1),
    "precision": Figure("precision", "Share of the videos called positive (probability ≥ ½) that are.", "share", 1),
    "recall": Figure("recall", "Share of the positives that are called (probability ≥ ½).", "share", 1),
    "f1": Figure("F1", "Harmonic mean of precision and recall at a probability of one half."),
    "precision_at_recall_10": Figure(
        "precision at 10 % recall",
        "Best precision among the thresholds that find at least a tenth of the positives.",
        "share",
        1,
    ),
    "lift_10": Figure(
        "lift at 10 %",
        f"Share of positives among the {100 * TOP_SHARE:g} % with the highest probability over the share among all.",
        "factor",
        2,
    ),
    "ndcg_10": Figure(
        "NDCG at 10 %", f"Discounted gain of the ranking's top {100 * TOP_SHARE:g} % over the best possible."
    ),
    "brier": Figure("Brier", "Mean squared error of the probability; lower is better."),
    "ece": Figure(
        "ECE", f"Mean gap between stated and observed share over {ECE_BINS} bins of probability.", "share", 1
    ),
    "coverage_50": Figure("coverage 50", "", "share", 1),
    "coverage_80": Figure(
        "coverage 80",
        "Share of outcomes inside their 80 % interval; right is 80 %, and alike at 50 and 90.",
        "share",
        1,
    ),
    "coverage_90": Figure("coverage 90", "", "share", 1),
    "width_50": Figure("width 50", ""),
    "width_80": Figure("width 80", "Mean width of the 80 % intervals; narrow is good only where coverage is right."),
    "width_90": Figure("width 90", ""),
    "interval_score_50": Figure("interval score 50", ""),
    "interval_score_80": Figure(
        "interval score 80",
        "Width plus a penalty for each outcome outside (10 times its distance at 80 %); lower is better.",
    ),
    "interval_score_90": Figure("interval score 90", ""),
    "gap": Figure(
        "optimism gap",
        "How much smaller the loss looks on a random split than on the time split: what a random split would have promised "
        "and the future did not keep.",
        "share",
        1,
    ),
}
INTERVAL = f"{LEVEL:g} % interval"


def label(name: str) -> str:
    """The heading of a figure."""
    return FIGURES[name].label if name in FIGURES else name.replace("_", " ")


def written(name: str, value: float | None) -> str:
    """A figure as text, a dash where there is none."""
    if value is None or not math.isfinite(value):
        return MISSING
    known = FIGURES.get(name, Figure(name, ""))
    if known.form == "share":
        return share(value, known.digits)
    return number(value, known.digits) + ("×" if known.form == "factor" else "")


def between(name: str, lower: float | None, upper: float | None) -> str:
    """An interval as text, empty where there is none or it has no width."""
    if lower is None or upper is None or not (math.isfinite(lower) and math.isfinite(upper)) or lower == upper:
        return ""
    low, high = written(name, lower), written(name, upper)
    return f"{low.removesuffix(' %')} to {high}"


def number(value: float, digits: int = 3) -> str:
    """A decimal number with a true minus and no negative zero; large ones lose digits that say nothing."""
    return _decimal(value, digits if abs(value) < 10 else max(digits - 2, 0))


def _decimal(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.lstrip("-") if float(text.replace(",", "")) == 0 else text.replace("-", MINUS)


def share(value: float, digits: int = 1) -> str:
    """A share in per cent."""
    return number(100 * value, 0) + " %" if abs(value) >= 1 else _decimal(100 * value, digits) + " %"


def count(value: float) -> str:
    """A whole number."""
    return f"{round(value):,}"


def short(value: float) -> str:
    """A number with three significant digits and a unit, such as 12.3k."""
    size, sign = abs(value), MINUS if value < 0 else ""
    for limit, factor, unit in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if size >= limit * 0.9995:
            return f"{sign}{size / factor:.3g}{unit}"
    return sign + (f"{size:,.0f}" if size >= 100 or size == int(size) else f"{size:.3g}")


def raw_count(logged: float | None) -> str:
    """A count of which ln(1 + count) is given."""
    return MISSING if logged is None or not math.isfinite(logged) else short(max(math.expm1(min(logged, 50.0)), 0.0))


def moment(value: datetime) -> str:
    """A time (UTC) to the minute."""
    return f"{value:%Y-%m-%d %H:%M}"


def day(value: date) -> str:
    """A date."""
    return f"{value:%Y-%m-%d}"


def plural(number_of: int, one: str, many: str | None = None) -> str:
    """A number and its noun."""
    return f"{count(number_of)} {one if number_of == 1 else many or one + 's'}"
