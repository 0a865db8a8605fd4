"""Leaks planted in what words tell: the audit makes the rows again from what was known, and names the column that differs."""

from datetime import datetime

import pytest

from assets.evaluations.audit import TrainingSet, audit, audit_training_set
from assets.features.frame import load_frame
from assets.language import measures
from assets.language.emotions import Model
from assets.language.measures import MEASURES
from tests.features.raw_rows import ANCHORS, NOW, RawRows, make_settings
from tests.language.conftest import said, words  # noqa: F401
from tests.language.words import WordModel, read
from warehouse.connection import Warehouse

LEAKS = {
    "comments that were known later": (
        "j.as_of AND j.cutoff NOT IN ('pre', '0h')",
        "j.as_of + INTERVAL 9 DAY",
        "emotion_comments",
    ),
    "captions that were known later": (
        "t.state = 'valid' AND t.known_at <= j.as_of",
        "t.state = 'valid'",
        "speech_joy",
    ),
}


def audited(warehouse: Warehouse) -> list[str]:
    result = audit(warehouse, make_settings(), ANCHORS, samples=20, seed=1, now=NOW, folder=warehouse.home)
    assert result.sampled == 10
    return result.columns


@pytest.fixture
def warehouse(words: Warehouse) -> Warehouse:  # noqa: F811
    read(words, Model(WordModel(), datetime(2024, 1, 1)))
    return words


def test_honest_measures_are_equal_to_the_bit(warehouse: Warehouse) -> None:
    assert audited(warehouse) == []


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_named(leak: str, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, leaky, column = LEAKS[leak]
    assert measures._SQL.count(honest) == 1
    monkeypatch.setattr(measures, "_SQL", measures._SQL.replace(honest, leaky))
    RawRows(landing="more").comment("w", "x", "a word", NOW).write(warehouse)
    with warehouse.write() as con:
        con.execute(f"DELETE FROM {MEASURES}")
    read(warehouse)
    assert f"{MEASURES}.{column}" in audited(warehouse)


def test_training_rows_are_held_to_it_too(warehouse: Warehouse) -> None:
    settings = make_settings()
    frame = load_frame(warehouse, settings, "demo", "views_7d", "24h")
    how = {"target": "views_7d", "cutoff": "24h", "seed": 1, "now": NOW, "folder": warehouse.home}
    assert audit_training_set(frame, warehouse, settings, ANCHORS, **how).differences == []
    frame["emotion_comments_joy"] += 0.25
    assert audit_training_set(frame, warehouse, settings, ANCHORS, **how).columns == [
        f"{TrainingSet(frame, 'views_7d', '24h').table}.emotion_comments_joy"
    ]
