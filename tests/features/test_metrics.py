"""Further measures as last known by a cutoff: whatever raw.metrics holds, without code."""

from pathlib import Path

from tests.features.raw_rows import T0, RawRows, build_features, hours, make_settings, row, rows
from warehouse.connection import Warehouse

ONLY = ("content", "metrics")


def test_the_last_value_known_by_the_cutoff(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    raw = RawRows().seen("v1", T0, {1: 7})
    raw.metric("v1", "retention_30s", T0 + hours(2), 0.5).metric("v1", "retention_30s", T0 + hours(8), 0.6)
    raw.metric("v1", "retention_30s", T0 + hours(9), 0.9, known=T0 + hours(48))
    raw.metric("v1", "watch_time", T0 + hours(30), 12.0).write(warehouse)
    build_features(warehouse, make_settings(), only=ONLY)
    found = {(row["metric"], row["cutoff"]): row["value"] for row in rows(warehouse, "metrics")}
    assert found == {
        ("retention_30s", "6h"): 0.5,
        ("retention_30s", "24h"): 0.6,
        ("retention_30s", "72h"): 0.9,
        ("watch_time", "72h"): 12.0,
    }


def test_a_missing_value_does_not_replace_a_known_one(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    raw = RawRows().seen("v1", T0, {1: 7}).metric("v1", "watch_time", T0 + hours(1), 3.0)
    raw.metric("v1", "watch_time", T0 + hours(2), None).write(warehouse)
    build_features(warehouse, make_settings(), only=ONLY)
    assert row(warehouse, "metrics", cutoff="24h")["value"] == 3.0


def test_measures_of_a_video_that_nobody_recorded_have_no_rows(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    RawRows().metric("v1", "watch_time", T0, 3.0).write(warehouse)
    build_features(warehouse, make_settings(), only=ONLY)
    assert rows(warehouse, "metrics") == []
