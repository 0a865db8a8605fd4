"""What the simulator says: drawn from the world, spoilt as counted, written as landings, and foretelling what counts do not show."""

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from assets.language.texts import refresh_texts
from assets.language.validation import state
from assets.raw.ingest import IngestError, ingest_all
from resources.emotions.labels import GOEMOTIONS
from resources.settings import load_settings
from resources.simulator import SimulatorConfig, truth
from resources.simulator.moods import COMMENTED, SENTENCES, SPOKEN
from resources.simulator.words import LABELLED, SPOILT, Words, words_truth, write_words
from warehouse.connection import Warehouse

CONFIG = SimulatorConfig(days=12, videos_per_day=50)
STATES = {"": "valid", "late": "valid", "resent": "valid", "duplicate": "valid"}


@pytest.fixture(scope="module")
def words() -> Words:
    return words_truth(CONFIG)


def test_each_fault_is_there_and_found(words: Words) -> None:
    found = Counter(words.comments["spoilt"])
    assert set(found) == {*SPOILT, ""}
    for spoilt, text in words.comments[["spoilt", "text"]].itertuples(index=False):
        assert state(text, "comment") == STATES.get(spoilt, spoilt)
    assert all(state(text, "transcript") == "valid" for text in words.transcripts["text"])


def test_without_dirt_every_comment_lands_once_on_time_and_whole() -> None:
    clean = words_truth(SimulatorConfig(days=5, videos_per_day=10, dirt=False)).comments
    assert set(clean["spoilt"]) == {""} and not clean["comment_id"].duplicated().any()
    assert (clean["known"] == clean["collected"]).all() and (clean["collected"] > clean["written"]).all()


def test_words_foretell_what_counts_do_not_show_yet(words: Words) -> None:
    videos = words.videos.merge(truth(CONFIG), on="video_id")
    for mood, innovation, least in (("reception", "innovation_2", 0.8), ("delivery", "innovation_1", 0.5)):
        assert np.corrcoef(videos[mood], videos[innovation])[0, 1] > least
    assert abs(np.corrcoef(videos["reception"], videos["innovation_1"])[0, 1]) < 0.15
    glad = words.comments.merge(words.videos, on="video_id").groupby("emotion")["reception"].mean()
    assert glad["admiration"] > glad["neutral"] + 0.3 > glad["anger"] + 0.6


def test_a_transcript_says_its_key_sentences_and_its_emotions(words: Words) -> None:
    for row in words.transcripts.head(50).itertuples(index=False):
        assert all(sentence in row.text for sentence in row.key)
        assert set(row.emotions) <= set(SPOKEN) and len(row.emotions) == 4


def test_labelled_texts_have_labels_of_the_model_and_all_splits(words: Words) -> None:
    assert Counter(words.texts["split"]) == LABELLED
    assert {label for labels in words.texts["labels"] for label in labels} == set(SENTENCES)
    assert {*COMMENTED, *SPOKEN} == set(SENTENCES) <= set(GOEMOTIONS)


def test_same_configuration_same_bytes_and_the_landings_say_what_the_truth_says(tmp_path: Path, words: Words) -> None:
    files = write_words(CONFIG, tmp_path / "one")
    again = write_words(CONFIG, tmp_path / "two")
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]
    (tmp_path / "home").mkdir()
    warehouse = Warehouse(tmp_path / "home")
    now = datetime(2025, 1, 1) + timedelta(days=CONFIG.days)
    results = [result for _, result in ingest_all(warehouse, load_settings(warehouse.home), files, now=now)]
    taken: Counter[str] = Counter()
    for result in results:
        assert not isinstance(result, IngestError), result
        taken[result.kind] += result.accepted
        assert not result.quarantined
    spoilt = Counter(words.comments["spoilt"])
    assert taken["texts"] == len(words.texts) and taken["captions"] == len(words.transcripts)
    repeated = int(words.comments.duplicated(["comment_id", "collected"]).sum())
    assert taken["comments"] == len(words.comments) - repeated
    refresh_texts(warehouse, now, "test")
    states = {
        row["state"]: row["n"]
        for row in warehouse.query(
            "SELECT state, count(*) AS n FROM language.texts WHERE part = 'comment' GROUP BY state"
        ).to_pylist()
    }
    for fault in ("empty", "mojibake", "markup", "spam"):
        among_first = states[fault] + (states.get("duplicate", 0) if fault == "empty" else 0)
        assert states[fault] <= spoilt[fault] <= among_first
    assert states["duplicate"] >= spoilt["duplicate"]
