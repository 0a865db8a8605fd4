"""Whether each source of the settings brings something as often as it should. The contracts of the tables are in `assets.checks`."""

from datetime import UTC, datetime

import dagster as dg
from dagster._utils.schedules import reverse_cron_string_iterator

from assets.policies import markdown
from resources.home import Home

MISSED_TICKS = 2
"""Ticks that a source may miss before it is stale."""


@dg.asset_check(
    asset=["raw", "collections"],
    description=f"What each collected source brought last was known after its last but {MISSED_TICKS} tick; a warning otherwise.",
)
def fresh_sources(home: Home) -> dg.AssetCheckResult:
    """Freshness of collected sources by what was learned, not by runs."""
    now, sources = home.now(), home.settings.collect.sources
    with home.warehouse.read() as con:
        rows = con.execute(
            """SELECT name, max(coalesce(newest_known_at, ended_at)), min(started_at) FROM raw.collections
               WHERE state IN ('done', 'stopped') GROUP BY name"""
        ).fetchall()
    known = {name: at for name, at, _ in rows}
    shown = []
    for name, source in sources.items():
        since = tick_before(source.cron, now, MISSED_TICKS)
        last = known.get(name)
        shown.append(
            {"source": name, "last known": last, "expected since": since, "fresh": bool(last and last >= since)}
        )
    return dg.AssetCheckResult(
        passed=all(row["fresh"] for row in shown),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"sources": markdown(shown)},
    )


def tick_before(cron: str, now: datetime, missed: int) -> datetime:
    """The tick of a cron line so many before the latest one (naive UTC)."""
    ticks = reverse_cron_string_iterator(now.replace(tzinfo=UTC).timestamp(), cron, "UTC")
    for _ in range(missed):
        next(ticks)
    return next(ticks).replace(tzinfo=None)
