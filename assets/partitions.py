"""The partitions that all stages share: days for raw and feature tables, weekly origins for backtests.

Never a partition per video. Ranges are materialised in one run.
"""

import warnings
from datetime import date

import dagster as dg

from resources.settings import default_home, load_settings

# Single-run backfills are what makes a range of days one run; Dagster still calls them beta.
warnings.filterwarnings("ignore", category=dg.BetaWarning)

_settings = load_settings(default_home())

daily = dg.DailyPartitionsDefinition(start_date=_settings.start.isoformat(), end_offset=1)
"""Days (UTC): of observation for raw tables, of the anchor for feature tables. Today is included."""

weekly = dg.WeeklyPartitionsDefinition(start_date=_settings.first_origin.isoformat(), day_offset=1, end_offset=1)
"""Backtest origins: Mondays, 00:00 UTC."""

in_one_run = dg.BackfillPolicy.single_run()


def days(context: dg.AssetExecutionContext) -> tuple[date, date]:
    """The partitions of a run as [first day, day after the last)."""
    window = context.partition_time_window
    return window.start.date(), window.end.date()
