"""Leaks planted in a training set: a column that knew the future, a column from nowhere, a label that came too late."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.audit import ROW, AuditResult, TrainingSet, audit_training_set, audit_training_sets
from assets.features.frame import load_frame
from assets.models.training_set import freeze, thaw
from tests.features.raw_rows import ANCHORS, NOW, TARGETS, build_features, hours, make_settings
from tests.features.worlds import dirty_world, write
from warehouse.connection import Warehouse

SETTINGS = make_settings({**TARGETS, "last": {"metric": "views", "horizon": "variable", "anchor": "any"}})
TARGET, CUTOFF = "views_7d", "24h"
TABLE = f"training_sets.{TARGET}"
Tamper = Callable[[pd.DataFrame], object]


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    warehouse = Warehouse(tmp_path_factory.mktemp("training") / "home")
    write(warehouse, dirty_world(5, videos=60, days=20))
    build_features(warehouse, SETTINGS)
    return warehouse


@pytest.fixture(scope="module")
def matured(warehouse: Warehouse) -> pd.DataFrame:
    frame = load_frame(warehouse, SETTINGS, "demo", TARGET, CUTOFF)
    return frame[frame["value"].notna()].reset_index(drop=True)


def audited(
    warehouse: Warehouse,
    frame: pd.DataFrame,
    folder: Path,
    origin: datetime | None = None,
    target: str = TARGET,
    samples: int = 15,
) -> AuditResult:
    return audit_training_set(
        frame,
        warehouse,
        SETTINGS,
        ANCHORS,
        target=target,
        cutoff=CUTOFF,
        origin=origin,
        samples=samples,
        seed=3,
        now=NOW,
        folder=folder,
    )


def channel_means(frame: pd.DataFrame) -> object:
    return frame.groupby("channel_id")["value"].transform("mean")


def first_component(frame: pd.DataFrame) -> object:
    columns = frame[["views_log", "likes_log", "comments_log", "title_length"]].fillna(0.0).to_numpy()
    return np.linalg.svd(columns - columns.mean(0), full_matrices=False)[0][:, 0]


DECLARED: dict[str, tuple[str, Tamper]] = {
    "missing values filled with the mean of all rows": (
        "duration_s",
        lambda f: f["duration_s"].fillna(f["duration_s"].mean()),
    ),
    "scaled by all rows": ("title_length", lambda f: (f["title_length"] - f["title_length"].mean()) / 7),
    "ranked among all rows": ("views_log", lambda f: f["views_log"].rank(pct=True)),
    "the mean label of the channel": ("channel_72h_median", channel_means),
    "a principal component of all rows": ("rate_log", first_component),
    "the label": ("growth_log", lambda f: f["value"]),
    "the label as the last known level": ("last_level", lambda f: f["value"]),
    "the order of the rows": ("tags_count", lambda f: np.arange(len(f), dtype=float)),
    "the order of ids": ("title_digits", lambda f: f["video_id"].rank()),
    "the next day's context": ("context_videos", lambda f: f["context_videos"].shift(-3)),
    "the next video's counts": ("likes_log", lambda f: f["likes_log"].shift(-1)),
    "a missing count taken for zero": ("shares_log", lambda f: f["shares_log"].fillna(0.0)),
    "a category that the label chose": (
        "category",
        lambda f: np.where(f["value"] > f["value"].median(), "hit", "miss"),
    ),
    "a measure of another time": ("metric_watch_time", lambda f: f["metric_watch_time"].fillna(1.0)),
    "a measure that nobody took": ("metric_secret", lambda f: f["value"]),
    "a bit": ("comments_log", lambda f: np.nextafter(f["comments_log"], np.inf)),
}
UNDECLARED: dict[str, Tamper] = {
    "search_rank": lambda f: np.arange(len(f)),
    "position": lambda f: f["video_id"].rank(),
    "snapshots_total": lambda f: f["observations"] + 3,
    "last_seen_at": lambda f: f["as_of"],
    "removed_later": lambda f: f["value"] > 3,
    "title_svd_0": first_component,
    "label": lambda f: f["value"] > 5,
}


@pytest.fixture(scope="module")
def found(warehouse: Warehouse, matured: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> AuditResult:
    """An audit of one training set into which every column is planted at once."""
    frame = matured.copy()
    for column, tamper in DECLARED.values():
        frame[column] = tamper(matured)
    for column, tamper in UNDECLARED.items():
        frame[column] = tamper(matured)
    return audited(warehouse, frame, tmp_path_factory.mktemp("audit"), samples=30)


@pytest.mark.parametrize("what", DECLARED)
def test_a_value_that_was_not_known_is_caught_and_named(what: str, found: AuditResult) -> None:
    assert f"{TABLE}.{DECLARED[what][0]}" in found.columns


@pytest.mark.parametrize("column", UNDECLARED)
def test_a_column_that_no_contract_derives_is_refused_by_name(column: str, found: AuditResult) -> None:
    assert f"{TABLE}.{column}" in found.columns


def test_columns_without_a_leak_are_not_named(found: AuditResult) -> None:
    planted = {column for column, _ in DECLARED.values()} | set(UNDECLARED)
    assert set(found.columns) == {f"{TABLE}.{column}" for column in planted}


def test_honest_training_sets_pass_as_they_are_and_as_they_are_frozen(
    warehouse: Warehouse, matured: pd.DataFrame, tmp_path: Path
) -> None:
    training_set, _ = freeze(matured, tmp_path)
    pairs = [("views_7d", "pre"), ("viral", "24h"), ("success", "6h"), ("last", "72h"), ("views_3d", "0h")]
    sets = [
        TrainingSet(load_frame(warehouse, SETTINGS, source, target, cutoff), target, cutoff)
        for target, cutoff in pairs
        for source in ANCHORS
    ]
    sets.append(TrainingSet(thaw(tmp_path, training_set), TARGET, CUTOFF, matured["matured_at"].max()))
    sets.append(TrainingSet(matured.iloc[:0], TARGET, CUTOFF, NOW))
    result = audit_training_sets(sets, warehouse, SETTINGS, ANCHORS, samples=20, seed=1, now=NOW, folder=tmp_path)
    assert result.differences == []
    assert result.sampled > 200


def test_a_label_that_matured_after_the_origin_is_caught_in_every_row(
    warehouse: Warehouse, matured: pd.DataFrame, tmp_path: Path
) -> None:
    origin = matured["matured_at"].median().to_pydatetime()
    forecastable = matured[matured["as_of"] <= origin]
    result = audited(warehouse, forecastable, tmp_path, origin, samples=5)
    assert result.columns == [f"{TABLE}.matured_at"]
    assert len(result.differences) == (forecastable["matured_at"] > origin).sum() > 3


def test_a_forecast_moment_after_the_origin_is_caught(
    warehouse: Warehouse, matured: pd.DataFrame, tmp_path: Path
) -> None:
    origin = matured["as_of"].median().to_pydatetime()
    assert f"{TABLE}.as_of" in audited(warehouse, matured, tmp_path, origin, samples=1).columns


def test_a_row_without_a_label_is_no_training_row(warehouse: Warehouse, tmp_path: Path) -> None:
    frame = load_frame(warehouse, SETTINGS, "demo", TARGET, CUTOFF)
    pending = frame[frame["value"].isna()]
    assert len(pending)
    result = audited(warehouse, pending, tmp_path, NOW, samples=5)
    assert {(found.column, found.found) for found in result.differences} == {("matured_at", None)}


def test_a_label_said_to_have_matured_before_it_did_is_caught(
    warehouse: Warehouse, matured: pd.DataFrame, tmp_path: Path
) -> None:
    early = matured.assign(matured_at=matured["as_of"] + hours(1))
    columns = audited(warehouse, early, tmp_path, NOW).columns
    assert {f"{TABLE}.{column}" for column in ("value", "matured_at", "status")} <= set(columns)


def test_a_label_observed_by_the_cutoff_is_caught(warehouse: Warehouse, tmp_path: Path) -> None:
    frame = load_frame(warehouse, SETTINGS, "demo", "last", CUTOFF)
    outcomes = pd.DataFrame(
        warehouse.query("SELECT * FROM features.targets WHERE target = 'last' AND source = 'demo'").to_pylist()
    )
    outcome = frame[["video_id"]].merge(outcomes, on="video_id", how="left")
    observed = (frame["value"].isna() & outcome["value"].notna()).to_numpy()
    assert observed.any()
    leaky = frame.assign(value=outcome["value"].to_numpy())[observed]
    assert audited(warehouse, leaky, tmp_path, target="last").columns == ["training_sets.last.value"]


def test_an_outcome_relative_to_now_is_caught(warehouse: Warehouse, matured: pd.DataFrame, tmp_path: Path) -> None:
    aged = matured.assign(value=matured["value"] / (NOW - matured["anchor_at"]).dt.days)
    assert audited(warehouse, aged, tmp_path).columns == [f"{TABLE}.value"]


def test_an_anchor_that_was_moved_is_caught(warehouse: Warehouse, matured: pd.DataFrame, tmp_path: Path) -> None:
    moved = matured.assign(anchor_at=matured["anchor_at"] + hours(9), as_of=matured["as_of"] + hours(9))
    assert {f"{TABLE}.anchor_at", f"{TABLE}.as_of"} <= set(audited(warehouse, moved, tmp_path).columns)


def test_rows_that_are_repeated_or_of_no_video_are_caught(
    warehouse: Warehouse, matured: pd.DataFrame, tmp_path: Path
) -> None:
    unknown = matured.iloc[:1].assign(video_id="invented")
    frame = pd.concat([matured.iloc[:4], matured.iloc[:1], unknown], ignore_index=True)
    result = audited(warehouse, frame, tmp_path)
    assert {(found.video_id, found.column, found.expected) for found in result.differences} == {
        (matured["video_id"].iloc[0], ROW, "once"),
        ("invented", ROW, "absent"),
    }
