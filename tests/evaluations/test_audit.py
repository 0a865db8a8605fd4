"""The audit itself: an honest home passes, whatever was stored otherwise is named, and the home is left alone."""

import hashlib
import math
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from assets.evaluations.audit import ROW, AuditResult, Difference, audit
from tests.features.raw_rows import ANCHORS, NOW, T0, RawRows, build_features, hours, make_settings, rows
from tests.features.worlds import dirty_world, write
from warehouse.connection import Warehouse


def audited(warehouse: Warehouse, folder: Path, samples: int = 30, seed: int = 1, **options: object) -> AuditResult:
    arguments = {"now": NOW, "folder": folder, **options}
    return audit(warehouse, make_settings(), ANCHORS, samples=samples, seed=seed, **arguments)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three videos of one channel, built."""
    warehouse = Warehouse(tmp_path_factory.mktemp("template") / "home")
    raw = RawRows()
    for number, days in enumerate((20, 9, 0)):
        raw.seen(f"v{number}", T0 - timedelta(days=days), {1: 10, 5: 20, 26: 70, 74: 90, 169: 200})
    raw.metric("v1", "watch_time", T0 - timedelta(days=9) + hours(3), 2.5).write(warehouse)
    build_features(warehouse, make_settings())
    return warehouse.home


@pytest.fixture
def small(template: Path, tmp_path: Path) -> Warehouse:
    """A copy of that home."""
    shutil.copytree(template, tmp_path / "home")
    return Warehouse(tmp_path / "home")


def change(warehouse: Warehouse, statement: str) -> None:
    with warehouse.write() as con:
        con.execute(statement)


@pytest.mark.parametrize("seed", range(2))
def test_every_row_of_an_honest_dirty_home_passes(tmp_path: Path, seed: int) -> None:
    warehouse = Warehouse(tmp_path / "home")
    write(warehouse, dirty_world(100 + seed, videos=30, days=25))
    build_features(warehouse, make_settings())
    result = audited(warehouse, tmp_path, samples=10_000)
    assert result.differences == []
    assert result.sampled == len(rows(warehouse, "channel")) == 61 * 5


def test_a_stored_value_that_differs_by_a_bit_is_named(small: Warehouse, tmp_path: Path) -> None:
    (stored,) = rows(small, "engagement", video_id="v2", cutoff="6h")
    value = stored["views_log"]
    other = math.nextafter(value, 99)
    change(small, f"UPDATE features.engagement SET views_log = {other!r} WHERE video_id = 'v2' AND cutoff = '6h'")
    (found,) = audited(small, tmp_path).differences
    assert found == Difference("demo", "v2", "6h", "features.engagement", "views_log", value, other)
    assert str(found) == (f"features.engagement.views_log of demo v2 6h: {other!r} is stored, {value!r} could be known")


@pytest.mark.parametrize(
    ("name", "where", "cutoff"),
    [
        ("content", "video_id = 'v1'", None),
        ("engagement", "video_id = 'v1' AND cutoff = '24h'", "24h"),
        ("metrics", "video_id = 'v1' AND cutoff = '24h'", "24h"),
        ("context", f"day = DATE '{T0.date()}'", f"{T0.date()}"),
    ],
)
def test_a_row_that_is_missing_is_named(
    small: Warehouse, tmp_path: Path, name: str, where: str, cutoff: str | None
) -> None:
    change(small, f"DELETE FROM features.{name} WHERE {where}")
    result = audited(small, tmp_path)
    assert result.columns == [f"features.{name}.{ROW}"]
    assert {(found.expected, found.found) for found in result.differences} == {("present", "absent")}
    if cutoff is not None:
        assert {found.cutoff for found in result.differences} == {cutoff}


def test_a_row_that_should_not_be_there_is_named(small: Warehouse, tmp_path: Path) -> None:
    change(
        small,
        """INSERT INTO features.engagement BY NAME
           SELECT * REPLACE ('pre' AS cutoff) FROM features.engagement WHERE video_id = 'v0' AND cutoff = '24h'""",
    )
    (found,) = audited(small, tmp_path).differences
    assert (found.column, found.cutoff, found.expected, found.found) == (ROW, "pre", "absent", "present")


def test_rows_of_a_video_that_raw_data_does_not_know_are_named(small: Warehouse, tmp_path: Path) -> None:
    for name in ("videos", "snapshots"):
        change(small, f"DELETE FROM raw.{name} WHERE video_id = 'v2'")
    result = audited(small, tmp_path)
    assert {found.video_id for found in result.differences} >= {"v2"}
    assert f"features.content.{ROW}" in result.columns


def test_features_that_are_stale_differ(small: Warehouse, tmp_path: Path) -> None:
    RawRows(landing="new").snapshot("v2", T0 + hours(4), 999).write(small)
    assert "features.engagement.observations" in audited(small, tmp_path).columns


def test_the_first_known_record_is_there_before_it_was_known_but_not_its_counts(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "home")
    raw = RawRows().video("v1", T0 + hours(30), T0 + hours(90), published_at=T0, title="known late")
    raw.snapshot("v1", T0 + hours(30), 777, known=T0 + hours(90)).write(warehouse)
    build_features(warehouse, make_settings())
    result = audited(warehouse, tmp_path)
    assert (result.differences, result.sampled) == ([], 5)
    leaky = f"UPDATE features.channel SET channel_first_median = {math.log(778)!r}"
    change(warehouse, leaky)
    assert audited(warehouse, tmp_path).columns == ["features.channel.channel_first_median"]


def test_the_same_seed_draws_the_same_rows_and_another_others(small: Warehouse, tmp_path: Path) -> None:
    change(small, "UPDATE features.channel SET channel_videos = channel_videos + 1")
    first, again, other = (
        {(found.video_id, found.cutoff) for found in audited(small, tmp_path, 5, seed).differences}
        for seed in (1, 1, 2)
    )
    assert len(first) == 5
    assert first == again
    assert first != other


def test_one_source_can_be_audited_alone(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path / "home")
    write(warehouse, dirty_world(2, videos=10))
    build_features(warehouse, make_settings())
    change(warehouse, "UPDATE features.channel SET channel_videos = channel_videos + 1")
    found = audited(warehouse, tmp_path, 10, source="panel").differences
    assert {difference.source for difference in found} == {"panel"}


def test_moments_that_have_not_come_are_not_drawn(small: Warehouse, tmp_path: Path) -> None:
    assert audited(small, tmp_path, now=T0).sampled == 12


def test_an_empty_home_has_nothing_to_audit(tmp_path: Path) -> None:
    result = audited(Warehouse(tmp_path / "home"), tmp_path)
    assert (result.sampled, result.compared_values, result.differences) == (0, 0, [])


def test_the_home_is_only_read_and_the_second_one_is_removed(small: Warehouse, tmp_path: Path) -> None:
    before, scratch = hashlib.sha256(small.path.read_bytes()).hexdigest(), tmp_path / "scratch"
    scratch.mkdir()
    told: list[str] = []
    audited(small, scratch, progress=told.append)
    assert list(scratch.iterdir()) == []
    assert hashlib.sha256(small.path.read_bytes()).hexdigest() == before
    assert len(told) == 2
