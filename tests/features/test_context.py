"""How a source did in the week before a day: nothing of the day itself, nothing that was known later."""

import math
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.features.raw_rows import RawRows, build_features, hours, make_settings, rows
from warehouse.connection import Warehouse

ONLY = ("content", "levels", "context")
DAY = datetime(2024, 1, 20)


def contexts(folder: Path, raw: RawRows, now: datetime = datetime(2024, 3, 1)) -> dict[date, dict[str, Any]]:
    warehouse = Warehouse(folder)
    raw.write(warehouse)
    build_features(warehouse, make_settings(), now, only=ONLY)
    return {found["day"]: found for found in rows(warehouse, "context")}


def test_the_week_before_a_day(tmp_path: Path) -> None:
    raw = RawRows()
    for number, scale in enumerate((1, 3, 9)):
        raw.seen(f"v{number}", DAY - timedelta(days=6 - number), {1: 10 * scale, 25: 100 * scale, 73: 300 * scale})
    found = contexts(tmp_path, raw)[DAY.date()]
    assert found["context_videos"] == 3
    assert found["context_first_median"] == math.log(31)
    assert found["context_24h_median"] == math.log(301)
    assert found["context_72h_median"] == math.log(901)


def test_nothing_of_the_day_itself_is_used(tmp_path: Path) -> None:
    raw = RawRows().seen("before", DAY - hours(30), {1: 10}).seen("that day", DAY, {0: 999, 25: 9999})
    found = contexts(tmp_path, raw)
    assert (found[DAY.date()]["context_videos"], found[DAY.date()]["context_first_median"]) == (1, math.log(11))
    assert found[DAY.date() + timedelta(days=1)]["context_videos"] == 2


def test_what_was_known_late_belongs_to_the_week_in_which_it_was_known(tmp_path: Path) -> None:
    published = DAY - timedelta(days=15)
    raw = RawRows().video("v1", published, published_at=published).snapshot("v1", published, 10)
    raw.snapshot("v1", published + hours(25), 500, known=DAY - hours(3))
    found = contexts(tmp_path, raw)
    assert found[DAY.date()]["context_24h_median"] == math.log(501)
    assert all(row["context_24h_median"] is None for day, row in found.items() if day < DAY.date())


def test_a_day_says_nothing_of_levels_that_mature_later(tmp_path: Path) -> None:
    published = DAY - timedelta(days=15)
    raw = RawRows().video("v1", published, published_at=published).snapshot("v1", published, 10)
    silent = set(contexts(tmp_path / "before", raw))
    raw.snapshot("v1", published + hours(73), 500, known=published + timedelta(days=40))
    late = {day for day in contexts(tmp_path / "after", raw) if day <= published.date() + timedelta(days=40)}
    assert late == silent


def test_days_to_come_have_no_context(tmp_path: Path) -> None:
    now = DAY + hours(5)
    assert max(contexts(tmp_path, RawRows().seen("v1", DAY - hours(30), {1: 10}), now)) == DAY.date()


def test_sources_do_not_mix(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    RawRows().seen("v1", DAY - hours(30), {1: 10}).write(warehouse)
    RawRows("panel", "other").seen("v1", DAY - hours(30), {1: 999}).write(warehouse)
    build_features(warehouse, make_settings(), only=ONLY)
    medians = {found["source"]: found["context_first_median"] for found in rows(warehouse, "context", day=DAY.date())}
    assert medians == {"demo": math.log(11), "panel": math.log(1000)}
