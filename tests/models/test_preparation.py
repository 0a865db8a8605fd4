"""What is fitted before an estimator: on training rows only, and the same for one row as for many."""

import numpy as np
import pandas as pd
import pytest

from assets.models.columns import NOT_FEATURES, Rows, Schema, SchemaError
from assets.models.preparation import BoosterMatrix, Categories, ChannelPrior, LinearMatrix, TitleSpace
from tests.models.frames import make_frame


def objects(*values: str | None) -> np.ndarray:
    return np.array(values, dtype=object)


def test_schema_takes_numbers_categories_and_the_title_only():
    schema = Schema.of(make_frame(20, "24h").assign(metric_watch_time=1.0))
    assert not NOT_FEATURES & set(schema.numeric)
    assert "metric_watch_time" in schema.numeric
    assert "views_log" in schema.numeric
    assert schema.categorical == ("category", "language_guess")
    assert schema.text
    assert list(schema.numeric) == sorted(schema.numeric)


def test_schema_fingerprint_changes_with_a_column():
    frame = make_frame(20, "24h")
    assert Schema.of(frame).fingerprint == Schema.of(frame[frame.columns[::-1]]).fingerprint
    assert Schema.of(frame).fingerprint != Schema.of(frame.assign(metric_new=1.0)).fingerprint


def test_schema_refuses_text_where_a_number_was():
    frame = make_frame(20, "24h")
    with pytest.raises(SchemaError, match="not numeric: duration_s"):
        Schema.of(frame).require(frame.assign(duration_s="long"))
    with pytest.raises(SchemaError, match="no numeric feature"):
        Schema.of(frame[["source", "video_id", "title"]])


def test_channel_prior_is_shrunk_and_falls_back():
    prior = ChannelPrior(smoothing=2.0, seed=0)
    prior.fit_transform(objects("a", "a", "b", None), np.array([4.0, 4.0, 0.0, 0.0]))
    # mean 2; a: (8 + 2 * 2) / 4; b: (0 + 2 * 2) / 3
    assert prior.transform(objects("a", "b", "new", None)).ravel().tolist() == [3.0, pytest.approx(4 / 3), 2.0, 2.0]


def test_channel_prior_of_a_training_row_does_not_see_its_outcome():
    channels, outcome = objects(*["a", "b"] * 20), np.random.default_rng(0).normal(size=40)
    first = ChannelPrior(5.0, seed=0).fit_transform(channels, outcome)
    changed = outcome.copy()
    changed[0] += 100
    second = ChannelPrior(5.0, seed=0).fit_transform(channels, changed)
    assert first[0, 0] == pytest.approx(second[0, 0])
    assert not np.array_equal(first, second)


def test_categories_keep_the_frequent_and_know_no_others():
    codes = Categories(most=2).fit(objects("b", "a", "b", "c", "a", "b", None))
    assert np.array_equal(
        codes.transform(objects("b", "a", "c", None)).ravel(), [0.0, 1.0, np.nan, np.nan], equal_nan=True
    )


def test_titles_of_one_word_or_none_give_no_coordinates():
    for titles in (objects("", "", ""), objects("x", "x", "x")):
        space = TitleSpace(100, 4, 0).fit(titles)
        assert space.transform(objects("x", "unknown")).shape == (2, space.components_.shape[1])


def test_title_space_ignores_words_it_was_not_fitted_on():
    space = TitleSpace(100, 2, 0).fit(objects(*["cat dance", "dog dance", "cat dog"] * 3))
    assert np.array_equal(space.transform(objects("cat zebra")), space.transform(objects("cat")))


@pytest.mark.parametrize("make_matrix", [BoosterMatrix, LinearMatrix])
@pytest.mark.parametrize("cutoff", ["pre", "24h"])
def test_one_row_is_prepared_as_in_a_batch_to_the_bit(make_matrix, cutoff):
    frame = make_frame(300, cutoff)
    schema = Schema.of(frame)
    rows, matrix = Rows.of(frame, schema), make_matrix()
    matrix.fit_transform(rows, schema, frame["value"].to_numpy())
    batch = matrix.transform(rows)
    for i in range(40):
        one = matrix.transform(rows.take(slice(i, i + 1)))
        same = one.toarray()[0] if hasattr(one, "toarray") else one[0]
        whole = batch[[i]].toarray()[0] if hasattr(batch, "toarray") else batch[i]
        assert np.array_equal(same, whole, equal_nan=True)


@pytest.mark.parametrize("make_matrix", [BoosterMatrix, LinearMatrix])
def test_nothing_of_later_rows_is_in_the_preparation(make_matrix):
    frame = make_frame(300, "24h")
    schema, y = Schema.of(frame), frame["value"].to_numpy()
    train = Rows.of(frame.iloc[:200], schema)
    one, other = make_matrix(), make_matrix()
    one.fit_transform(train, schema, y[:200])
    other.fit_transform(train, schema, y[:200])
    strange = frame.iloc[200:].assign(title="zebra quux", duration_s=1e9, channel_id="new", category="new")
    other.transform(Rows.of(strange, schema))
    probe = Rows.of(frame.iloc[200:], schema)
    same, again = one.transform(probe), other.transform(probe)
    assert (same != again).nnz == 0 if hasattr(same, "nnz") else np.array_equal(same, again, equal_nan=True)


def test_columns_that_say_nothing_are_left_out():
    frame = make_frame(100, "pre").assign(title_emoji=0.0)
    schema = Schema.of(frame)
    matrix = BoosterMatrix(components=0)
    matrix.fit_transform(Rows.of(frame, schema), schema, frame["value"].to_numpy())
    assert "title_emoji" not in matrix.names_
    assert "views_log" not in matrix.names_
    assert "duration_s" in matrix.names_
    assert matrix.names_[-1] == "channel_prior"


def test_rows_stack_what_was_taken_apart():
    rows = Rows.of(make_frame(10, "24h"), Schema.of(make_frame(10, "24h")))
    again = Rows.stack([rows.take(slice(i, i + 1)) for i in range(10)])
    assert np.array_equal(again.numeric, rows.numeric, equal_nan=True)
    assert again.titles.tolist() == rows.titles.tolist()
    assert again.channels.tolist() == rows.channels.tolist()


def test_missing_strings_are_none_whatever_pandas_calls_them():
    frame = make_frame(4, "24h")
    for missing in (None, np.nan, pd.NA):
        rows = Rows.of(frame.assign(title=missing, channel_id=missing, category=missing), Schema.of(frame))
        assert rows.titles.tolist() == [""] * 4
        assert rows.channels.tolist() == [None] * 4
        assert rows.categorical["category"].tolist() == [None] * 4
