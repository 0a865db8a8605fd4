"""What the page says of words: counts of every state, feelings over cutoffs, and whole comments that a person can read."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pandas as pd

from assets.evaluations.report_language import language
from assets.language.emotions import Model
from tests.language.conftest import said, words  # noqa: F401
from tests.language.words import WordModel, read
from warehouse.connection import Warehouse

BOARD: Any = SimpleNamespace(sources=["demo"], evidence=SimpleNamespace(cells=[], of=lambda *_: pd.DataFrame()))


def cells(part: Any) -> list[list[str]]:
    return [[cell.text for cell in row] for _, row in part.grids[0].rows]


def test_every_state_is_counted_and_comments_can_be_read(words: Warehouse) -> None:  # noqa: F811
    read(words, Model(WordModel(), datetime(2024, 1, 1)))
    parts = {part.heading: part for part in language(words, BOARD)}
    assert cells(parts["What was looked at"])[0] == ["demo", "comment", "5", "3", "1", "1"]
    shown = cells(parts["What people say"])
    assert [row[:2] for row in shown] == [["joy", "joy again!"], ["joy", "joy!"], ["anger", "anger now"]]
    assert "2 at 24h" not in parts["How comments feel · demo"].caption
    assert "1 at 6h, 1 at 24h, 1 at 72h" in parts["How comments feel · demo"].caption


def test_without_texts_there_is_nothing_and_without_a_model_no_feeling(words: Warehouse) -> None:  # noqa: F811
    assert language(words, BOARD) == []
    read(words)
    assert [part.heading for part in language(words, BOARD)] == ["What was looked at"]
