"""What the best videos of a style have in common against its others, as data for a creator or for a later generator.

Best is the quarter that did most against expectation. What is said comes with how many videos say it and how strong the
difference is; where there are too few, nothing is said. Differences are observed, not caused.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from assets.clusters.naming import MEASURES, TERM

MIN_SIDE = 10
"""Videos among the best, and among the rest, below which nothing is said."""
MIN_SHARE_EFFECT = 0.1
LISTED = 5
_NUMBERS = (*MEASURES, "title_length", "title_words", "colour_entropy")
_DAYPARTS = ("00-06", "06-12", "12-18", "18-24")
_TERM = re.compile(TERM)


def brief(videos: pd.DataFrame, target: str | None) -> str:
    """The brief of one style as JSON.

    Args:
        videos: The style's videos whose outcome had matured: `surprise` (outcome against expectation), `anchor_at`,
            `title`, `dominant_colours` (list or None) and the numeric columns, missing values NaN.
        target: Target that the surprise is of; None where none has matured.

    Returns:
        `{"target", "videos", "best", "rest", "measures", "hours", "terms", "colours"}`, or `{"videos", "reason"}`.
        measures: medians, numbers of videos and Cliff's delta (-1 to 1; above 0 the best have more), strongest first.
        hours, terms, colours: shares of the best and of the rest that have it, and their difference; terms and colours
        are those that the best have more often.
    """
    needed = 4 * MIN_SIDE
    if target is None or len(videos) < needed:
        reason = f"{len(videos)} videos with a known outcome; {needed} are needed"
        return json.dumps({"videos": len(videos), "reason": reason})
    ranked = videos.sort_values(["surprise", "anchor_at", "title"], ascending=False, ignore_index=True)
    cut = len(ranked) // 4
    best, rest = ranked.iloc[:cut], ranked.iloc[cut:]
    told = {
        "target": target,
        "videos": len(ranked),
        "best": len(best),
        "rest": len(rest),
        "measures": _measures(best, rest),
        "hours": _shares(_hours(best), _hours(rest)),
        "terms": _over_represented(_terms(best), _terms(rest)),
        "colours": _over_represented(_colours(best), _colours(rest)),
    }
    return json.dumps(told, ensure_ascii=False)


def _measures(best: pd.DataFrame, rest: pd.DataFrame) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name in _NUMBERS:
        ours, others = (part[name].dropna().to_numpy(dtype=float) for part in (best, rest))
        if min(len(ours), len(others)) < MIN_SIDE or np.ptp(np.concatenate([ours, others])) == 0:
            continue
        found.append(
            {
                "measure": name,
                "best": _rounded(np.median(ours)),
                "rest": _rounded(np.median(others)),
                "n_best": len(ours),
                "n_rest": len(others),
                "effect": _rounded(_cliffs_delta(ours, others)),
            }
        )
    return sorted(found, key=lambda row: (-abs(row["effect"]), row["measure"]))


def _cliffs_delta(ours: "np.ndarray[Any, Any]", others: "np.ndarray[Any, Any]") -> float:
    """How much likelier a value of ours is above one of the others than below it (Cliff, 1993)."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, ours, side="left").sum()
    above = (len(others) - np.searchsorted(ordered, ours, side="right")).sum()
    return float(below - above) / (len(ours) * len(others))


Holds = Sequence[frozenset[str]]


def _hours(videos: pd.DataFrame) -> Holds:
    return [frozenset([_DAYPARTS[hour // 6]]) for hour in pd.to_datetime(videos["anchor_at"]).dt.hour]


def _terms(videos: pd.DataFrame) -> Holds:
    titles = videos["title"].where(videos["title"].notna(), "")
    return [frozenset(_TERM.findall(title.lower())) for title in titles]


def _colours(videos: pd.DataFrame) -> Holds:
    """The three commonest colours of each video, rounded to a grid of 4 x 4 x 4."""
    known = videos.loc[videos["dominant_colours"].map(lambda colours: colours is not None and len(colours) > 0)]
    return [frozenset(_coarse(colour) for colour in colours[:3]) for colours in known["dominant_colours"]]


def _coarse(colour: str) -> str:
    channels = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{channel // 64 * 64 + 32:02x}" for channel in channels)


def _shares(best: Holds, rest: Holds) -> list[dict[str, Any]]:
    """Everything that some video holds, with the shares of the best and of the rest that do."""
    if min(len(best), len(rest)) < MIN_SIDE:
        return []
    ours, others = _counts(best), _counts(rest)
    return [
        {
            "value": value,
            "best": _rounded(ours.get(value, 0) / len(best)),
            "rest": _rounded(others.get(value, 0) / len(rest)),
            "n_best": len(best),
            "n_rest": len(rest),
            "effect": _rounded(ours.get(value, 0) / len(best) - others.get(value, 0) / len(rest)),
        }
        for value in sorted({*ours, *others})
    ]


def _over_represented(best: Holds, rest: Holds) -> list[dict[str, Any]]:
    """What the best hold clearly more often: by `MIN_SHARE_EFFECT` and by twice the difference's standard error."""
    found = []
    for row in _shares(best, rest):
        error = sum(row[side] * (1 - row[side]) / row[f"n_{side}"] for side in ("best", "rest")) ** 0.5
        if row["effect"] >= MIN_SHARE_EFFECT and row["effect"] > 2 * error:
            found.append(row)
    return sorted(found, key=lambda row: (-row["effect"], row["value"]))[:LISTED]


def _counts(holds: Holds) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for held in holds:
        for value in held:
            counts[value] = counts.get(value, 0) + 1
    return counts


def _rounded(number: Any) -> float:
    return float(f"{float(number):.4g}")
