"""A frozen training set is named by its rows, whatever their order, and is what its name says."""

import hashlib

import pandas as pd
import pytest

from assets.models.training_set import TrainingSetError, freeze, thaw
from tests.models.frames import make_frame


def test_same_rows_same_name(tmp_path):
    frame = make_frame(100, "24h")
    first, path = freeze(frame, tmp_path)
    second, _ = freeze(frame.sample(frac=1, random_state=0), tmp_path)
    third, _ = freeze(frame.assign(value=frame["value"] + 1e-12), tmp_path)
    assert first == second != third
    assert hashlib.sha256(path.read_bytes()).hexdigest() == first
    assert sorted(file.name for file in path.parent.iterdir()) == sorted([f"{first}.parquet", f"{third}.parquet"])


def test_thawed_is_what_was_frozen(tmp_path):
    frame = make_frame(50, "pre")
    training_set_id, _ = freeze(frame, tmp_path)
    again = thaw(tmp_path, training_set_id)
    pd.testing.assert_frame_equal(again, frame, check_dtype=False)


def test_changed_and_absent_ones_are_refused(tmp_path):
    training_set_id, path = freeze(make_frame(50, "pre"), tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(TrainingSetError, match="was changed"):
        thaw(tmp_path, training_set_id)
    with pytest.raises(TrainingSetError, match="no training set abc"):
        thaw(tmp_path, "abc")
