"""The matrix of the network: fitted on training rows, by tower, with masks; and the order of an epoch."""

import numpy as np
import pytest

from assets.models.columns import Rows, Schema, group_of
from assets.models.intervals import without_labels
from assets.models.network.batches import NetworkMatrix, development_rows, epoch_order
from assets.models.network.forecaster import NetworkParameters
from tests.models.frames import make_frame, with_content

ALL = ("scalars", "text", "image", "audio", "video")


def prepared(frame, modalities=ALL):
    schema = Schema.of(frame, NetworkParameters.sees)
    rows = Rows.of(frame, schema)
    matrix = NetworkMatrix(modalities, 4, 200, 5.0, 0)
    return matrix, rows, matrix.fit_transform(rows, schema, frame["value"].to_numpy()), schema


def test_every_column_stands_in_its_tower_and_the_masks_at_the_end():
    matrix, rows, made, _ = prepared(with_content(make_frame(300, "24h")))
    assert made.dtype == np.float32
    assert made.shape == (300, len(matrix.names_))
    assert list(matrix.towers_) == list(ALL)
    start = 0
    for tower, width in matrix.towers_.items():
        own = matrix.names_[start : start + width]
        if tower not in ("scalars", "text"):
            assert {group_of(name) for name in own} == {tower}
        start += width
    assert matrix.names_[start:] == ("text_there", "image_there", "audio_there", "video_there")
    assert "channel_prior" in matrix.names_[: matrix.towers_["scalars"]]
    assert "duration_s_missing" in matrix.names_
    assert (made[:, start:] == 1).all()
    numeric = [matrix.names_.index(name) for name in ("image_00", "image_01", "views_log")]
    assert np.abs(made[:, numeric].mean(axis=0)).max() < 1e-3
    later = matrix.transform(rows)
    prior = matrix.names_.index("channel_prior")
    assert np.array_equal(np.delete(later, prior, 1), np.delete(made, prior, 1))
    assert not np.array_equal(later[:, prior], made[:, prior]), "a training row's prior is without its own outcome"


def test_a_row_without_content_is_masked_and_far_values_are_cut():
    frame = with_content(make_frame(300, "pre"))
    matrix, _, _, schema = prepared(frame)
    changed = frame.copy()
    changed.loc[0, ["image_00", "image_01"]] = np.nan
    changed.loc[1, ["text_00", "text_01"]] = np.nan
    changed.loc[2, ["text_00", "text_01"]] = np.nan
    changed.loc[2, "title"] = None
    changed.loc[3, "audio_00"] = 1e9
    made = matrix.transform(Rows.of(without_labels(changed), schema))
    column = {name: number for number, name in enumerate(matrix.names_)}
    assert made[:2, column["image_there"]].tolist() == [0, 1]
    assert made[1:3, column["text_there"]].tolist() == [1, 0], "a title alone is text"
    assert made[0, column["image_00"]] == 0
    assert made[3, column["audio_00"]] == 6


def test_a_modality_can_be_switched_off_and_some_must_be_left():
    frame = make_frame(300, "pre")
    matrix, _, _, _ = prepared(with_content(frame), ("image",))
    assert matrix.names_ == ("image_00", "image_01", "image_there")
    with pytest.raises(ValueError, match="no column of video says anything"):
        prepared(frame, ("video",))


def test_what_is_fitted_does_not_depend_on_other_rows():
    frame = with_content(make_frame(400, "24h"))
    schema = Schema.of(frame, NetworkParameters.sees)
    rows = Rows.of(frame, schema)
    matrix = NetworkMatrix(ALL, 4, 200, 5.0, 0)
    matrix.fit_transform(rows.take(slice(0, 300)), schema, frame["value"].to_numpy()[:300])
    position = schema.numeric.index("image_00")
    fitted = dict(zip(matrix.columns_, matrix.center_, strict=True))[position]
    assert fitted == pytest.approx(rows.numeric[:300, position].mean())
    alone = matrix.transform(rows.take(slice(350, 351)))
    assert np.array_equal(alone[0], matrix.transform(rows)[350])


def test_an_epoch_sees_every_row_once_in_an_order_of_its_own():
    first, again, second = (epoch_order(103, 25, 7, epoch) for epoch in (0, 0, 1))
    assert [len(batch) for batch in first] == [21, 21, 21, 20, 20]
    assert sorted(np.concatenate(first)) == list(range(103))
    assert np.array_equal(np.concatenate(first), np.concatenate(again))
    assert not np.array_equal(np.concatenate(first), np.concatenate(second))


def test_development_mode_draws_a_share_in_time_order():
    kept = development_rows(1000, 0.05, 10, 3)
    assert len(kept) == 50
    assert (np.diff(kept) > 0).all()
    assert len(development_rows(1000, 0.001, 10, 3)) == 10
    assert len(development_rows(5, 1.0, 10, 3)) == 5
