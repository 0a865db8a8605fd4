"""Each valid text is scored once by a revision of a model; what is gone leaves nothing."""

from datetime import datetime

import pytest

from assets.language.emotions import Model, model_of, score_missing, shown
from assets.language.texts import refresh_texts
from tests.features.raw_rows import NOW
from tests.language.words import WordModel
from warehouse.connection import Warehouse

KNOWN = datetime(2024, 1, 1)


@pytest.fixture
def warehouse(words: Warehouse) -> Warehouse:
    refresh_texts(words, NOW, "test")
    return words


def scored(warehouse: Warehouse, model: WordModel) -> tuple[int, int, int]:
    done = score_missing(warehouse, Model(model, KNOWN), now=NOW, run_id="test", policies={})
    return done.scored, done.abstained, done.removed


def test_each_valid_text_is_scored_once_by_a_revision(warehouse: Warehouse) -> None:
    model = WordModel()
    assert scored(warehouse, model) == (7, 0, 0)
    assert len(set(model.asked)) == len(model.asked) == 7
    assert scored(warehouse, model) == (0, 0, 0)
    assert scored(warehouse, WordModel("two")) == (7, 0, 0)
    rows = warehouse.query(
        "SELECT * FROM language.emotions WHERE revision = 'one' AND list_contains(decided, 'joy')"
    ).to_pylist()
    assert len(rows) == 4
    assert rows[0]["ekman"][3] == rows[0]["sentiment"][0] == pytest.approx(0.982, abs=1e-3)
    assert (rows[0]["usable_at"], rows[0]["scored_at"]) == (KNOWN, NOW)


def test_what_is_shown_names_labels_and_no_words(warehouse: Warehouse) -> None:
    scored(warehouse, WordModel())
    told = {row["part"]: row for row in shown(warehouse, "one")}
    assert told["comment"]["texts"] == 3
    assert told["comment"]["commonest labels"] == "joy 2, anger 1"
    assert told["title"]["commonest labels"] == "joy 1"


def test_what_was_said_of_a_text_goes_with_it(warehouse: Warehouse) -> None:
    scored(warehouse, WordModel())
    with warehouse.write() as con:
        con.execute("DELETE FROM raw.comments")
    refresh_texts(warehouse, NOW, "test")
    assert scored(warehouse, WordModel()) == (0, 0, 3)


def test_nothing_is_scored_of_a_source_that_nothing_may_be_made_from(warehouse: Warehouse) -> None:
    from resources.settings import load_settings

    (warehouse.home / "upswell.yaml").write_text("policies: {demo: {derived_metrics: false}}\n")
    policies = load_settings(warehouse.home).policies
    done = score_missing(warehouse, Model(WordModel(), KNOWN), now=NOW, run_id="test", policies=policies)
    assert done.scored == 0


def test_without_a_model_nothing_is_scored(warehouse: Warehouse) -> None:
    assert model_of(warehouse, NOW) is None
    assert score_missing(warehouse, None, now=NOW, run_id="test", policies={}).scored == 0
