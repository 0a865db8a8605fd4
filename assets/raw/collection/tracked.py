"""Which videos of a source are followed, and what is known of them: read from the raw tables alone, so that a restart changes nothing.

A video is followed from its first record until it is 33 days old, unless it was found private, removed, restricted or blocked,
or could not be had three times in a row; what was found live since is followed again. What is due is decided in `plan`.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from assets.raw.collection.plan import HORIZONS_H, TRACKED_H, TRIES, Floats, Tracked, typical_sd
from resources.settings import MeasuredTarget, Settings
from warehouse.connection import Warehouse

EPOCH = datetime(1970, 1, 1)
_INTERVAL_80 = 2.563
"""Width of an 80 % interval in standard deviations."""

_FOLLOWED = """
WITH said AS (
    SELECT video_id, arg_min(published_at, (known_at, observed_at)) FILTER (published_at IS NOT NULL) AS published_at,
           min(observed_at) AS first_seen_at
    FROM raw.videos WHERE source = $source AND observed_at >= $since AND known_at <= $now GROUP BY video_id),
counted AS (
    SELECT video_id, max(observed_at, 2) AS times, arg_max(views, observed_at, 2) AS views
    FROM raw.snapshots
    WHERE source = $source AND observed_at >= $since AND known_at <= $now AND views IS NOT NULL GROUP BY video_id),
states AS (
    SELECT video_id, max(observed_at, $tries) AS times, arg_max(status, observed_at, $tries) AS found
    FROM raw.availability WHERE source = $source AND observed_at >= $since AND known_at <= $now GROUP BY video_id),
forecast AS (
    SELECT video_id, max(as_of) AS as_of, arg_max(upper_80 - lower_80, as_of) AS width
    FROM evaluations.forecasts
    WHERE source = $source AND list_contains($targets, target) AND made_at <= $now AND upper_80 IS NOT NULL
    GROUP BY video_id),
followed AS (
    SELECT said.video_id, CASE WHEN $by_publication THEN coalesce(published_at, first_seen_at) ELSE first_seen_at END AS anchor,
           greatest(counted.times[1], states.times[1]) AS seen, counted.times AS times, counted.views AS views,
           forecast.as_of, forecast.width, states.found, states.times[1] AS found_at
    FROM said LEFT JOIN counted USING (video_id) LEFT JOIN states USING (video_id) LEFT JOIN forecast USING (video_id)),
missed AS (
    SELECT video_id, list(started_at) AS times
    FROM (SELECT unnest(missed) AS video_id, started_at FROM raw.collections
          WHERE source = $source AND started_at BETWEEN $since AND $now)
    GROUP BY video_id)
SELECT f.video_id, epoch(f.anchor) / 3600 AS anchor, epoch(f.seen) / 3600 AS seen, f.views[1]::DOUBLE AS views,
       CASE WHEN f.times[1] > f.times[2] AND len(f.views) = 2
            THEN (ln(1 + f.views[1]) - ln(1 + f.views[2])) / (epoch(f.times[1] - f.times[2]) / 3600) END AS rate,
       epoch(f.as_of) / 3600 AS as_of, f.width / $interval AS width,
       len(list_filter(m.times, t -> f.seen IS NULL OR t > f.seen))::DOUBLE AS misses,
       epoch(list_max(list_filter(m.times, t -> f.seen IS NULL OR t > f.seen))) / 3600 AS missed
FROM followed f LEFT JOIN missed m USING (video_id)
WHERE f.anchor >= $since AND f.anchor <= $now
  AND (f.found IS NULL OR f.found[1] IN ('live', 'unavailable') OR f.found_at < f.times[1])
  AND NOT (len(f.found) >= $tries AND len(list_filter(f.found, s -> s = 'unavailable')) = len(f.found)
           AND (f.times IS NULL OR f.found_at > f.times[1]))
ORDER BY f.video_id
"""


def followed(warehouse: Warehouse, settings: Settings, source: str, anchor: str, now: datetime) -> Tracked:
    """The videos of a source that are followed at a moment.

    Args:
        warehouse: Holds what was collected.
        settings: Names the targets whose forecasts tell how uncertain a video is.
        source: The source.
        anchor: What age counts from: `published_at` or `first_seen_at`.
        now: The home's time (naive UTC); what was known only later is not used.
    """
    parameters = {
        "source": source,
        "since": now - timedelta(hours=TRACKED_H),
        "now": now,
        "tries": TRIES,
        "targets": _forecast_targets(settings),
        "by_publication": anchor == "published_at",
        "interval": _INTERVAL_80,
    }
    with warehouse.read() as con:
        columns = con.execute(_FOLLOWED, parameters).fetchnumpy()
    numbers = {name: _floats(columns[name]) for name in columns if name != "video_id"}
    misses = np.nan_to_num(numbers["misses"])
    return Tracked(
        video_id=np.asarray(columns["video_id"], dtype=object),
        anchor=numbers["anchor"],
        seen=numbers["seen"],
        views=numbers["views"],
        rate=numbers["rate"],
        sd=_sd(numbers),
        misses=misses,
        missed=numbers["missed"],
    )


def hours(time: datetime) -> float:
    """A time (naive UTC) in hours since the epoch."""
    return (time - EPOCH) / timedelta(hours=1)


def _forecast_targets(settings: Settings) -> list[str]:
    """Targets that are ln views at the first horizon."""
    return [
        name
        for name, target in settings.targets.items()
        if isinstance(target, MeasuredTarget)
        and (target.metric, target.transform) == ("views", "log")
        and target.horizon == timedelta(hours=HORIZONS_H[0])
    ]


def _sd(numbers: Mapping[str, Floats]) -> Floats:
    """The champion's standard deviation, made smaller by what was seen since as is typical; missing where there is none."""
    horizon = np.array(HORIZONS_H[0])
    then, seen = (
        typical_sd(np.maximum(np.nan_to_num(numbers[name] - numbers["anchor"]), 0.0), horizon, np.array(2))
        for name in ("as_of", "seen")
    )
    young = numbers["seen"] - numbers["anchor"] < HORIZONS_H[0]
    return np.where(young, numbers["width"] * np.minimum(seen / then, 1.0), np.nan)


def _floats(column: Any) -> Floats:
    filled = column.filled(np.nan) if isinstance(column, np.ma.MaskedArray) else column
    return np.asarray(filled, dtype=np.float64)
