"""How many videos of each style appear per week, and where in its life a style is.

The rule, on the slope of the weekly share (weighted least squares, weights = videos of the week, Student-t 95 %):
- emerging: over the last 8 weeks before the origin the interval lies above 0;
- else peaking: it did so over the 8 weeks that ended 4 weeks earlier (it was rising, and is not any more);
- else saturated: over the last 8 weeks the interval lies below 0;
- else steady. Without 4 weeks with videos among the last 8 nothing is said.
scipy is imported inside functions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

WEEKS = 8
EARLIER = 4
MIN_WEEKS = 4
LEVEL = 0.95


@dataclass(frozen=True)
class Slope:
    """Change of a share per week, with its interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Trend:
    """Where in its life a style is; None where too few weeks have videos."""

    lifecycle: str | None
    slope: Slope | None


def weekly_sizes(styles: Sequence[str], anchored: "pd.Series[Any]") -> pd.DataFrame:
    """Videos and share of every style in every week that has videos.

    Args:
        styles: Style per video.
        anchored: Anchor per video (naive UTC).

    Returns:
        Columns style_id, week (Monday), videos, share; sorted by style and week.
    """
    day = pd.to_datetime(anchored).dt.normalize()
    week = (day - pd.to_timedelta(day.dt.weekday, unit="D")).dt.date
    counts = pd.crosstab(np.asarray(styles, dtype=object), week.to_numpy())
    shares = counts / counts.sum(axis=0)
    videos = pd.DataFrame(
        {
            "style_id": np.repeat(counts.index.to_numpy(), counts.shape[1]),
            "week": np.tile(counts.columns.to_numpy(), len(counts)),
            "videos": counts.to_numpy().ravel(),
            "share": shares.to_numpy().ravel(),
        }
    )
    return videos.sort_values(["style_id", "week"], ignore_index=True)


def trend(sizes: pd.DataFrame, style: str, origin: date) -> Trend:
    """Where in its life a style is at an origin, by the rule above.

    Args:
        sizes: What `weekly_sizes` gives.
        style: Style id.
        origin: Weeks that end at or before this day count.
    """
    totals = sizes.groupby("week")["videos"].sum()
    shares = sizes[sizes["style_id"] == style].set_index("week")["share"]
    now = _slope(shares, totals, origin)
    if now is None:
        return Trend(None, None)
    earlier = _slope(shares, totals, origin - timedelta(weeks=EARLIER))
    if now.low > 0:
        return Trend("emerging", now)
    if earlier is not None and earlier.low > 0:
        return Trend("peaking", now)
    return Trend("saturated" if now.high < 0 else "steady", now)


def _slope(shares: "pd.Series[Any]", totals: "pd.Series[Any]", end: date) -> Slope | None:
    """Slope over the `WEEKS` weeks before `end`; None where fewer than `MIN_WEEKS` of them have videos."""
    from scipy.stats import t

    weeks = [week for week in shares.index if end - timedelta(weeks=WEEKS) <= week <= end - timedelta(weeks=1)]
    if len(weeks) < MIN_WEEKS:
        return None
    x = np.array([(week - end).days / 7 for week in weeks])
    y, weight = shares[weeks].to_numpy(dtype=float), totals[weeks].to_numpy(dtype=float)
    x = x - np.average(x, weights=weight)
    y = y - np.average(y, weights=weight)
    square = float(np.sum(weight * x**2))
    slope = float(np.sum(weight * x * y)) / square
    variance = float(np.sum(weight * (y - slope * x) ** 2)) / (len(weeks) - 2) / square
    reach = float(t.ppf((1 + LEVEL) / 2, len(weeks) - 2)) * variance**0.5
    low, value, high = (round(number, 12) + 0.0 for number in (slope - reach, slope, slope + reach))
    return Slope(value, low, high)
