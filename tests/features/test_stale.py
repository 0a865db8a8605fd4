"""Which days have to be rebuilt: after a landing, a change of code or settings, a crash; and none when nothing changed."""

import random
import shutil
from collections import defaultdict
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.features import stale
from assets.features.build import TABLES
from assets.features.stale import ranges, rebuild, stale_days
from tests.features.raw_rows import ANCHORS, NOW, T0, RawRows, build_features, hours, make_settings, rows
from tests.features.worlds import dirty_world
from warehouse.connection import Warehouse

DAY = T0.date()


def days_after(*offsets: int) -> list[date]:
    return [DAY + timedelta(days=offset) for offset in offsets]


def refresh(warehouse: Warehouse, now: datetime = NOW, settings: Any = None) -> list[date]:
    """Rebuilds what is stale, range by range, and gives the days."""
    chosen = settings or make_settings()
    days = stale_days(warehouse, chosen, ANCHORS, now)
    for first, last in ranges(days):
        for name in TABLES:
            rebuild(name, warehouse, chosen, ANCHORS, first, last + timedelta(days=1), now, "test")
    return days


def remaining(warehouse: Warehouse, now: datetime = NOW, settings: Any = None) -> list[date]:
    return stale_days(warehouse, settings or make_settings(), ANCHORS, now)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with two videos of one channel, a month apart, built."""
    warehouse = Warehouse(tmp_path_factory.mktemp("template") / "home")
    RawRows().seen("v1", T0, {1: 10, 30: 50}).seen("v2", T0 + timedelta(days=30), {1: 10}).write(warehouse)
    refresh(warehouse)
    return warehouse.home


@pytest.fixture
def built(template: Path, tmp_path: Path) -> Warehouse:
    """A copy of that home."""
    shutil.copytree(template, tmp_path / "home")
    return Warehouse(tmp_path / "home")


def test_nothing_landed_and_nothing_is_stale(tmp_path: Path) -> None:
    assert remaining(Warehouse(tmp_path)) == []


def test_the_second_time_there_is_nothing_to_do(built: Warehouse) -> None:
    assert rows(built, "channel")
    assert remaining(built) == []


def test_a_landing_makes_the_anchor_days_of_its_videos_stale_and_what_they_are_history_to(built: Warehouse) -> None:
    RawRows(landing="new").snapshot("v1", T0 + hours(5), 20).write(built)
    days = remaining(built)
    assert days[0] == DAY
    assert DAY + timedelta(days=30) in days
    assert refresh(built) == days
    assert remaining(built) == []


def test_a_video_never_seen_makes_its_day_stale(built: Warehouse) -> None:
    published = T0 + timedelta(days=12)
    RawRows(landing="new").seen("v3", published, {2: 5}, channel="c9").write(built)
    assert published.date() in refresh(built)
    assert [found["anchor_day"] for found in rows(built, "content", video_id="v3")] == [published.date()]


def test_a_video_without_a_snapshot_makes_its_day_stale(built: Warehouse) -> None:
    published = T0 + timedelta(days=12)
    RawRows(landing="new").video("v3", published + hours(2), published_at=published).write(built)
    assert published.date() in refresh(built)
    assert [found["anchor_day"] for found in rows(built, "content", video_id="v3")] == [published.date()]
    assert remaining(built) == []


def test_a_record_that_was_known_sooner_replaces_the_content_and_moves_the_day(built: Warehouse) -> None:
    earlier = T0 - timedelta(days=1)
    RawRows(landing="new").video("v1", T0 + hours(0.5), published_at=earlier, title="sooner").write(built)
    assert {earlier.date(), DAY} <= set(refresh(built))
    assert [(found["title"], found["anchor_at"]) for found in rows(built, "content", video_id="v1")] == [
        ("sooner", earlier)
    ]
    assert remaining(built) == []


def test_a_record_known_later_makes_nothing_stale(built: Warehouse) -> None:
    RawRows(landing="new").video("v1", T0 + timedelta(days=40), published_at=T0, title="edited").write(built)
    assert remaining(built) == []


def test_what_a_channel_said_on_its_own_bears_on_the_moments_after_it(built: Warehouse) -> None:
    """Of videos that are young enough for a cutoff to come after it, and those of the 90 days that follow."""
    RawRows(landing="new").channel("c1", T0 + timedelta(days=6), 1000, video="").write(built)
    assert set(days_after(30)) <= set(refresh(built))
    assert rows(built, "channel", video_id="v2")[-1]["channel_subscribers_log"] > 6
    assert rows(built, "channel", video_id="v1")[-1]["channel_subscribers_log"] is None
    assert remaining(built) == []
    RawRows(landing="newer").channel("c1", T0 + timedelta(days=40), 1000, video="").write(built)
    assert remaining(built) == []


def test_an_observation_too_old_for_any_age_makes_nothing_stale(built: Warehouse) -> None:
    raw = RawRows(landing="new").snapshot("v1", T0 + timedelta(days=40), 99)
    raw.write(built)
    assert remaining(built) == []


def test_with_a_variable_horizon_every_observation_counts(built: Warehouse) -> None:
    definitions = {"last": {"metric": "views", "horizon": "variable", "anchor": "any"}}
    settings = make_settings(definitions)
    refresh(built, settings=settings)
    RawRows(landing="new").snapshot("v1", T0 + timedelta(days=40), 99).write(built)
    assert DAY in refresh(built, settings=settings)
    (found,) = rows(built, "targets", video_id="v1")
    assert found["observed_at"] == T0 + timedelta(days=40)


@pytest.mark.parametrize("kind", ["status", "metric", "label"])
def test_other_records_make_their_videos_stale(built: Warehouse, kind: str) -> None:
    raw = RawRows(landing="new")
    if kind == "status":
        raw.status("v1", T0 + hours(9), "removed")
    else:
        getattr(raw, kind)("v1", "watch_time", T0 + hours(9), 1.0)
    raw.write(built)
    assert DAY in remaining(built)


def test_an_earlier_sight_moves_the_anchor_and_both_days_are_rebuilt(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    RawRows("panel", "a").video("v1", T0).snapshot("v1", T0, 5).write(warehouse)
    refresh(warehouse)
    earlier = T0 - timedelta(days=3)
    RawRows("panel", "b").video("v1", earlier).snapshot("v1", earlier, 2).write(warehouse)
    assert {earlier.date(), DAY} <= set(refresh(warehouse))
    assert [found["anchor_at"] for found in rows(warehouse, "content")] == [earlier]
    assert remaining(warehouse) == []


def test_settings_that_differ_make_every_day_stale(built: Warehouse) -> None:
    settings = make_settings(cutoffs=("pre", "12h"))
    assert {DAY, DAY + timedelta(days=30)} <= set(refresh(built, settings=settings))
    assert remaining(built, settings=settings) == []
    assert {found["cutoff"] for found in rows(built, "channel")} == {"pre", "12h"}


@pytest.mark.parametrize("name", ["content", "metrics"])
def test_code_that_differs_makes_every_day_stale(built: Warehouse, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    version = stale.code_version
    monkeypatch.setattr(stale, "code_version", lambda of: "other" if of == name else version(of))
    if name == "metrics":  # no row and still a day that was made by other code
        assert rows(built, "metrics") == []
    assert {DAY, DAY + timedelta(days=30)} <= set(refresh(built))
    assert remaining(built) == []


def test_a_moment_that_comes_makes_its_day_stale(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    RawRows().seen("v1", T0, {1: 10}).write(warehouse)
    refresh(warehouse, T0 + hours(2))
    assert remaining(warehouse, T0 + hours(5)) == []
    assert DAY in refresh(warehouse, T0 + hours(6))
    assert {found["cutoff"] for found in rows(warehouse, "channel")} == {"pre", "0h", "6h"}
    assert remaining(warehouse, T0 + hours(6)) == []


@pytest.mark.parametrize("name", ["levels", "channel", "targets"])
def test_a_crash_before_the_write_leaves_the_landing_to_be_done(
    built: Warehouse, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = rows(built, name)
    RawRows(landing="new").snapshot("v1", T0 + hours(5), 20).metric("v1", "watch_time", T0 + hours(5), 2.0).write(built)
    days = remaining(built)

    def crash(con: Any, table: Any, rows: Any, start: date, end: date) -> int:
        con.execute(f"DELETE FROM features.{name}")
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(stale, "replace_partition", crash)
        with pytest.raises(RuntimeError, match="killed"):
            rebuild(name, built, make_settings(), ANCHORS, DAY, DAY + timedelta(days=60), NOW, "test")
    assert rows(built, name) == before
    assert remaining(built) == days
    refresh(built)
    assert remaining(built) == []


def test_a_range_that_covers_only_some_days_of_a_landing_does_not_absorb_it(built: Warehouse) -> None:
    raw = RawRows(landing="new").snapshot("v1", T0 + hours(5), 20)
    raw.snapshot("v2", T0 + timedelta(days=30, hours=5), 20).write(built)
    made = rebuild("content", built, make_settings(), ANCHORS, DAY, DAY + timedelta(days=1), NOW, "test")
    assert made.landings == 0
    assert {DAY, DAY + timedelta(days=30)} <= set(remaining(built))
    made = rebuild("content", built, make_settings(), ANCHORS, DAY, DAY + timedelta(days=31), NOW, "test")
    assert (made.landings, made.rows[DAY], made.rows[DAY + timedelta(days=1)]) == (1, 1, 0)


def test_a_landing_whose_days_lie_far_apart_is_done_after_one_refresh(tmp_path: Path) -> None:
    warehouse, early, now = Warehouse(tmp_path), datetime(2024, 1, 5), datetime(2024, 6, 1)
    RawRows().seen("v1", early, {1: 10}).seen("v2", early + timedelta(days=110), {1: 10}).write(warehouse)
    assert len(ranges(refresh(warehouse, now))) == 2
    assert remaining(warehouse, now) == []


def test_a_landing_read_anew_makes_every_day_stale_since_it_may_have_lost_records(built: Warehouse) -> None:
    with built.write() as con:
        con.execute("DELETE FROM raw.snapshots WHERE video_id = 'v1' AND observed_at > ?", [T0 + hours(2)])
        for name in ("landings", "landing_days"):
            con.execute(f"UPDATE raw.{name} SET contract_version = 'mended'")
    assert {DAY, DAY + timedelta(days=30)} <= set(refresh(built))
    assert {found["observations"] for found in rows(built, "engagement", video_id="v1")} == {1}
    assert remaining(built) == []


def test_ranges_bridge_short_gaps() -> None:
    assert ranges([]) == []
    assert ranges(days_after(0, 1, 8, 20)) == [(DAY, DAY + timedelta(days=8)), (days_after(20)[0], days_after(20)[0])]


@pytest.mark.parametrize("seed", range(2))
def test_landings_one_by_one_give_the_tables_that_all_at_once_give(tmp_path: Path, seed: int) -> None:
    step, whole = Warehouse(tmp_path / "step"), Warehouse(tmp_path / "whole")
    for now, landed in arrivals(dirty_world(seed, videos=15), seed):
        for raw in landed:
            raw.write(step)
            raw.write(whole)
        refresh(step, now)
        assert remaining(step, now) == []
    refresh(step)
    build_features(whole, make_settings())
    for name in TABLES:
        assert rows(step, name) == rows(whole, name), name


def arrivals(world: list[RawRows], seed: int) -> list[tuple[datetime, list[RawRows]]]:
    """The rows of a world as landings, in the order in which they became known; some of them late."""
    rng = random.Random(seed)
    bounds = [datetime(2024, 1, 1) + timedelta(days=day) for day in (10, 16, 25, 80)]
    parts: dict[tuple[int, str], RawRows] = {}
    delays: dict[tuple[str, str], int] = defaultdict(lambda: rng.choice([0, 0, 0, 1]))
    for raw in world:
        for name, found in raw.rows.items():
            for row in found:
                usable = max(row["observed_at"], row["known_at"])
                number = next(position for position, bound in enumerate(bounds) if usable < bound)
                number = min(number + delays[name, row.get("video_id", "")], len(bounds) - 1)
                part = parts.setdefault((number, raw.source), RawRows(raw.source, f"{raw.source}-{number}"))
                part.rows[name].append({**row, "landing_id": part.landing})
    return [
        (bound, [part for (number, _), part in sorted(parts.items()) if number == position])
        for position, bound in enumerate(bounds)
    ]
