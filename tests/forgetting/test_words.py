"""What is said of a forgotten video goes with it: its texts, what they show, and what they tell; what others said too stays."""

from datetime import datetime

from assets.forgetting.subject import find_subject
from assets.forgetting.tables import delete_rows, rows_left
from assets.language.emotions import Model
from tests.features.raw_rows import NOW, T0, RawRows, hours
from tests.language.conftest import said, words  # noqa: F401
from tests.language.words import WordModel, read
from warehouse.connection import Warehouse


def test_words_of_a_video_go_and_those_of_others_stay(words: Warehouse) -> None:  # noqa: F811
    RawRows(landing="w").comment("w", "z", "joy!", T0 + hours(3)).write(words)
    read(words, Model(WordModel(), datetime(2024, 1, 1)))
    task = find_subject(words, "v", "demo", "asked for it", NOW)
    delete_rows(words, task)
    assert rows_left(words, task) == []
    for name in ("texts", "measures"):
        assert words.query(f"SELECT DISTINCT video_id FROM language.{name}").to_pylist() == [{"video_id": "w"}]
    kept = words.query("SELECT text_id FROM language.emotions ORDER BY 1").to_pylist()
    assert (
        kept == words.query("SELECT DISTINCT text_id FROM language.texts WHERE state = 'valid' ORDER BY 1").to_pylist()
    )
    assert len(kept) == 2
