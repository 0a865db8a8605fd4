"""What must hold before a page may be made, and what a page has to say against itself.

A leak or a forecast without a split row stops the report. A configuration that changes nothing, figures that the stored
forecasts do not give, or rows outside their week are findings: the page shows them first.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from assets.evaluations import report_words as words
from assets.evaluations.report_data import Evidence, cutoff_order, records
from assets.evaluations.scoring import POOLED
from assets.models.forecasters import FORECASTERS
from resources.settings import cutoff_age

TOLERANCE = 1e-6
_GROUP = ["source", "target", "cutoff", "split", "origin"]


class ReportError(RuntimeError):
    """No honest page can be made; names the rows at fault and the remedy."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What should hold.
        looked_at: How much was looked at, in words.
        findings: What does not hold; empty where all is well.
    """

    name: str
    looked_at: str
    findings: tuple[str, ...] = ()


def is_naive(forecaster: str) -> bool:
    """Whether a forecaster learns nothing but a mean or a level; one that is not known here counts as learned."""
    return forecaster in FORECASTERS and not FORECASTERS[forecaster].learned


def refuse(evidence: Evidence) -> None:
    """Stop where the figures cannot be trusted.

    Raises:
        ReportError: There are no figures; a test row was in the fit; a forecast has no split row.
    """
    if evidence.tables["metrics"].empty:
        raise ReportError("there are no figures to report: materialise the backtests first (upswell evaluate)")
    roles = evidence.tables["roles"]
    for column, what in (
        ("fitted", "test rows that are in their fit"),
        ("unsplit", "forecasts without a row in the split"),
    ):
        bad = roles[roles[column] > 0].drop_duplicates(_GROUP)
        if len(bad):
            places = "; ".join(
                f"{_place(row)}: {int(row[column])}, e.g. {row[f'{column}_example']}" for row in records(bad.head(3))
            )
            raise ReportError(f"{what} in {words.plural(len(bad), 'split')} ({places}); run these backtests again")


def checks(evidence: Evidence) -> list[Check]:
    """Everything that was looked at, in the order of the page."""
    roles, configurations = evidence.tables["roles"], evidence.tables["configurations"]
    time = configurations[configurations["split"] == "time"]
    pairs = words.plural(len(configurations), "configuration")
    trained = evidence.tables["split_sizes"]
    fits = trained[trained["split"] == "time"]
    return [
        Check("No test row is in its own fit", words.plural(int(roles["forecasts"].sum()), "forecast")),
        Check("Every forecast has its row in the split", words.plural(int(roles["forecasts"].sum()), "forecast")),
        Check(
            "Every test row was forecast by every forecaster",
            words.plural(len(trained), "split"),
            tuple(_incomplete(roles, trained)),
        ),
        Check(
            "No outcome in a fit became known after its origin",
            words.plural(int(fits["train"].sum()), "training row"),
            tuple(
                f"{_place(row)}: {words.plural(int(row['rows']), 'training row')} matured after the origin, e.g. {row['example']}"
                for row in records(evidence.tables["embargo"])
            ),
        ),
        Check(
            "Test rows lie in the week after their origin and mature after their forecast", pairs, tuple(_outside(time))
        ),
        Check("Figures are those that the stored forecasts give", pairs, tuple(_stale(evidence))),
        Check("Configurations that should differ do differ", pairs, tuple(_identical(evidence))),
    ]


def _incomplete(roles: pd.DataFrame, sizes: pd.DataFrame) -> Iterator[str]:
    together = roles.merge(sizes, on=_GROUP, how="left")
    for row in records(together[together["forecasts"] != together["test"]]):
        yield f"{_place(row)}: {row['forecaster']} forecast {int(row['forecasts'])} of {int(row['test'])} test rows"


def _outside(time: pd.DataFrame) -> Iterator[str]:
    for row in records(time[(time["outside"] > 0) | (time["known_before"] > 0)]):
        yield (
            f"{_place(row)}: {row['forecaster']} has {int(row['outside'])} rows outside the week after their origin and "
            f"{int(row['known_before'])} whose outcome was known before the forecast"
        )


def _stale(evidence: Evidence) -> Iterator[str]:
    """Pooled losses that differ from those of the stored forecasts."""
    metrics = evidence.tables["metrics"]
    pooled = metrics[
        (metrics["slice"] == POOLED) & (metrics["origin"] == POOLED) & metrics["metric"].isin(["mae", "brier"])
    ]
    key = ["source", "target", "cutoff", "split", "forecaster"]
    both = evidence.tables["configurations"].merge(pooled[[*key, "value", "n_test"]], on=key, how="outer")
    for row in records(both.sort_values(key)):
        if not np.isclose(row["loss"], row["value"], rtol=TOLERANCE, atol=1e-9) or row["rows"] != row["n_test"]:
            stored, given = words.number(row["value"], 6), words.number(row["loss"], 6)
            yield f"{_place(row)}: {row['forecaster']} is stored with loss {stored}; its forecasts give {given}"


def _identical(evidence: Evidence) -> Iterator[str]:
    """Pairs of learned configurations whose forecasts are equal to the bit."""
    rows = evidence.tables["configurations"]
    rows = rows[~rows["forecaster"].map(is_naive).astype(bool) & (rows["rows"] > 1)]
    observed = {(row["source"], row["cutoff"]): row["videos"] for row in records(evidence.tables["observed"])}
    for _, group in rows.groupby(["source", "split", "forecasts"], sort=True):
        members = sorted(
            records(group), key=lambda row: (row["target"], cutoff_order(row["cutoff"]), row["forecaster"])
        )
        for one, other in combinations(members, 2):
            if _should_differ(one, other, observed):
                yield f"{_name(one)} and {_name(other)} ({one['source']}, {one['split']} split) give identical forecasts"


def _should_differ(one: Mapping[str, Any], other: Mapping[str, Any], observed: Mapping[tuple[str, str], int]) -> bool:
    """Two cutoffs at the same moment (`pre` and `0h`) may agree where no video has a count of its own by then."""
    same_rest = one["target"] == other["target"] and one["forecaster"] == other["forecaster"]
    same_moment = cutoff_age(one["cutoff"]) == cutoff_age(other["cutoff"])
    return not (
        same_rest and same_moment and not any(observed.get((row["source"], row["cutoff"]), 0) for row in (one, other))
    )


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['forecaster']} on {row['target']} at {row['cutoff']}"


def _place(row: Mapping[str, Any]) -> str:
    parts = [str(row["source"]), str(row["target"]), str(row["cutoff"])]
    if "split" in row:
        parts.append(f"{row['split']} split")
    if "origin" in row:
        parts.append(str(row["origin"])[:10])
    return " / ".join(parts)
