"""Distances of samples keep their promises; what a champion sees drift is written once per state of the data."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assets.evaluations.drift import (
    category_psi,
    compared_features,
    feature_distances,
    ks_distance,
    measure_drift,
    mmd,
    psi,
)
from assets.evaluations.served import frame_as_of, with_forecasts
from tests.evaluations.live_world import CELL, NOW, VIRAL, allowed, at, make_home, register, world_settings
from warehouse.connection import Warehouse

SETTINGS = world_settings(min_matured=40)
values = arrays(np.float64, st.integers(1, 60), elements=st.integers(-50, 50).map(float) | st.just(np.nan))
vectors = arrays(np.float64, st.tuples(st.integers(2, 30), st.just(3)), elements=st.integers(-9, 9).map(float))
few = settings(max_examples=60, deadline=None)


def grow(sample: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A transform that is increasing and far from linear."""
    return np.sign(sample) * sample**2 + 0.01 * sample


class TestDistances:
    @few
    @given(values)
    def test_identical_samples_are_at_no_distance(self, sample):
        assert psi(sample, sample) == pytest.approx(0, abs=1e-12)
        distance = ks_distance(sample, sample)
        assert distance == 0 or np.isnan(sample).all()

    @few
    @given(values, values)
    def test_an_increasing_transform_of_both_changes_nothing(self, one, other):
        assert psi(grow(one), grow(other)) == pytest.approx(psi(one, other), abs=1e-12)
        assert ks_distance(grow(one), grow(other)) == pytest.approx(ks_distance(one, other), abs=1e-12, nan_ok=True)

    @few
    @given(values, values)
    def test_distances_have_their_bounds_and_symmetry(self, one, other):
        assert psi(one, other) >= 0
        distance = ks_distance(one, other)
        assert np.isnan(distance) or 0 <= distance <= 1
        assert ks_distance(other, one) == pytest.approx(distance, nan_ok=True)

    @few
    @given(vectors, vectors)
    def test_the_discrepancy_of_vectors_is_bounded_and_zero_for_itself(self, one, other):
        assert mmd(one, one) == 0
        assert 0 <= mmd(one, other) <= 2

    def test_samples_apart_are_at_the_largest_distance(self):
        rng = np.random.default_rng(0)
        one = rng.normal(size=500)
        assert ks_distance(one, one + 100) == 1
        assert psi(one, one + 100) > 3
        assert mmd(one[:, None], one[:, None] + 100) > 0.8

    def test_a_shift_grows_every_distance_past_its_default_threshold_and_no_shift_does_not(self):
        rng = np.random.default_rng(1)
        one, trigger = rng.normal(size=(4000, 16)), SETTINGS.training.trigger
        same, moved = rng.normal(size=(300, 16)), rng.normal(size=(300, 16)) + 0.8
        assert psi(one[:, 0], same[:, 0]) < trigger.psi / 2 < trigger.psi < psi(one[:, 0], moved[:, 0])
        assert ks_distance(one[:, 0], same[:, 0]) < trigger.ks / 2 < trigger.ks < ks_distance(one[:, 0], moved[:, 0])
        assert mmd(one, same) < trigger.mmd / 1.5 < trigger.mmd < mmd(one, moved)

    def test_values_that_go_missing_are_seen(self):
        one = np.random.default_rng(2).normal(size=1000)
        assert psi(one, np.where(np.arange(1000) % 2, one, np.nan)) > 1

    def test_new_categories_are_seen_and_rare_ones_do_not_decide(self):
        known = pd.Series(["music"] * 600 + ["sport"] * 390 + [f"rare{number}" for number in range(10)])
        same = pd.Series(["music"] * 60 + ["sport"] * 39 + ["another"])
        assert category_psi(known, known) == 0
        assert category_psi(known, same) < 0.05
        assert category_psi(known, pd.Series(["news"] * 50 + ["music"] * 50)) > 1
        assert category_psi(known, pd.Series(["music"] * 50 + [None] * 50)) > 1

    def test_the_discrepancy_is_that_of_the_kernel(self):
        rng = np.random.default_rng(3)
        one, other = rng.normal(size=(60, 4)), rng.normal(size=(50, 4)) + 1
        distances = np.linalg.norm(one[:, None] - one[None, :], axis=2)
        width = np.median(distances[np.triu_indices(60, 1)])

        def kernel(left: np.ndarray[Any, Any], right: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            return np.exp(-(np.linalg.norm(left[:, None] - right[None, :], axis=2) ** 2) / (2 * width**2))

        own = (kernel(one, one).sum() - 60) / (60 * 59) + (kernel(other, other).sum() - 50) / (50 * 49)
        assert mmd(one, other) == pytest.approx(np.sqrt(own - 2 * kernel(one, other).mean()), rel=0.15)

    def test_too_little_to_compare_is_no_number(self):
        nothing = np.array([])
        assert np.isnan(psi(nothing, np.ones(3)))
        assert np.isnan(ks_distance(np.array([np.nan]), np.ones(3)))
        assert np.isnan(mmd(np.ones((1, 2)), np.ones((5, 2))))


def test_vectors_are_compared_as_a_group_and_what_a_day_shares_is_not():
    rng = np.random.default_rng(4)
    columns = ("title_length", "context_72h_median", "anchor_weekday", "text_00", "text_01", "look_contrast")
    frame = pd.DataFrame({name: rng.normal(size=300) for name in columns})
    numeric = compared_features(columns, frame)
    assert numeric == ["title_length", "look_contrast"]
    moved = frame.assign(text_00=frame["text_00"] + 3, look_contrast=frame["look_contrast"] + 3)
    found = {(one.measure, one.feature): one.value for one in feature_distances(frame, moved, numeric, [])}
    assert set(found) == {
        *(("psi", name) for name in numeric),
        *(("ks", name) for name in numeric),
        ("mmd", "text"),
    }
    assert found["psi", "title_length"] == found["ks", "title_length"] == 0
    assert found["mmd", "text"] > 0.3 and found["ks", "look_contrast"] > 0.5


class TestRows:
    SHIFT = datetime(2024, 3, 4)

    @pytest.fixture(scope="class")
    def made(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        """A home whose videos do tenfold better from the champions' origin on."""
        warehouse = make_home(tmp_path_factory.mktemp("made"), shift_after=self.SHIFT)
        register(warehouse, SETTINGS, validation_error=0.2)
        register(warehouse, SETTINGS, VIRAL, forecaster="tfidf_logistic")
        return warehouse.home

    @pytest.fixture
    def warehouse(self, made: Path, tmp_path: Path) -> Warehouse:
        return Warehouse(shutil.copytree(made, tmp_path / "copy"), patience_s=10)

    def measured(self, warehouse: Warehouse, version: str | None = None) -> dict[tuple[str, str], dict[str, Any]]:
        rows = warehouse.query(
            "SELECT * FROM evaluations.drift WHERE target = 'views_7d' AND ($v IS NULL OR data_version = $v)",
            {"v": version},
        ).to_pylist()
        return {(row["measure"], row["feature"]): row for row in rows}

    def test_a_shift_of_the_world_is_measured_before_and_after_its_labels_mature(self, warehouse):
        early = measure_drift(warehouse, SETTINGS, NOW, "run", allowed)
        rows = self.measured(warehouse)
        assert early.rows[CELL] == len(rows) > 20
        assert rows["ks", "views_log"]["value"] > 0.5 and rows["psi", "views_log"]["value"] > 1
        assert rows["ks", "duration_s"]["value"] == 0
        assert rows["matured", "all"]["value"] > rows["error", "all"]["n_recent"] == 40
        assert all(row["clock"] == "live" and row["measured_at"] == NOW for row in rows.values())
        late = NOW + timedelta(days=8)
        at(warehouse, SETTINGS, late)
        measure_drift(warehouse, SETTINGS, late, "run", allowed)
        newest = {row["data_version"] for row in self.measured(warehouse).values() if row["measured_at"] == late}
        after = self.measured(warehouse, newest.pop())
        assert after["matured", "all"]["value"] > rows["matured", "all"]["value"] + 40
        assert after["error", "all"]["n_recent"] == 40

    def test_the_error_is_that_of_the_latest_labels_by_the_usual_one(self, warehouse):
        measure_drift(warehouse, SETTINGS, NOW, "run", allowed)
        row = self.measured(warehouse)["error", "all"]
        frame = frame_as_of(warehouse, SETTINGS, CELL, self.SHIFT.date())
        frame = frame[frame["value"].notna() & (frame["matured_at"] > self.SHIFT)].reset_index(drop=True)
        frame = frame.sort_values("matured_at").tail(40).reset_index(drop=True)
        said = with_forecasts(warehouse, row["version"], frame)
        assert row["value"] == pytest.approx((said["point"] - said["value"]).abs().mean() / 0.2)

    def test_a_champion_without_a_known_error_is_not_judged_by_it(self, warehouse):
        measure_drift(warehouse, SETTINGS, NOW, "run", allowed)
        rows = warehouse.query("SELECT measure FROM evaluations.drift WHERE target = 'viral'").to_pylist()
        assert {row["measure"] for row in rows} == {"matured", "psi", "ks"}

    def test_the_same_data_is_measured_once(self, warehouse):
        first = measure_drift(warehouse, SETTINGS, NOW, "run", allowed)
        again = measure_drift(warehouse, SETTINGS, NOW + timedelta(hours=1), "run", allowed)
        assert min(first.rows.values()) > 0
        assert set(again.rows.values()) == {0}

    def test_outcomes_that_a_replayed_home_holds_do_not_count_before_their_time(self, warehouse):
        measure_drift(warehouse, SETTINGS, NOW, "run", allowed)
        known = self.measured(warehouse)["matured", "all"]["value"]
        at(warehouse, SETTINGS, NOW + timedelta(days=8))
        measure_drift(warehouse, SETTINGS, NOW, "replayed", allowed)
        rows = warehouse.query(
            "SELECT value FROM evaluations.drift WHERE target = 'views_7d' AND measure = 'matured' AND run_id = 'replayed'"
        ).to_pylist()
        assert 0 < rows[0]["value"] <= known

    def test_a_run_that_has_ended_writes_nothing(self, warehouse):
        def ended() -> None:
            raise RuntimeError("the run has ended")

        with pytest.raises(RuntimeError, match="has ended"):
            measure_drift(warehouse, SETTINGS, NOW, "late", ended)
        assert self.measured(warehouse) == {}
