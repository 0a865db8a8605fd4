"""What people write and how it is labelled moves away from what the emotion model knew, and the training sensor's rule sees it."""

import shutil
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assets.embeddings.encode import SAID, encode_missing
from assets.evaluations.decisions import record
from assets.evaluations.stale import LEDGER, ledger_is_stale, ledger_version
from assets.evaluations.trigger import should_train
from assets.language.emotion_model.drift import ENOUGH, label_distances, measure_emotion_drift
from assets.language.emotion_model.gate import decide
from assets.language.emotion_model.registry import CELL
from assets.language.emotion_model.runs import labelled_texts
from assets.language.texts import refresh_texts
from resources.settings import Settings, load_settings
from tests.embeddings.fakes import Hashing
from tests.emotions.lessons import DECIDE, OTHERS
from tests.emotions.test_training import NOW, add_texts, new_home, train
from tests.models.trained_home import insert
from warehouse.connection import Warehouse
from warehouse.lineage import begin_stage, finish_stage

LATER = NOW + timedelta(days=5)
DAY = timedelta(days=1)


def comments(
    warehouse: Warehouse, count: int, at: datetime, seed: int, shares: tuple[float, float, float] = (0.4, 0.3, 0.3)
) -> list[tuple[str, str]]:
    """Adds comments that show one emotion each, joy, anger or sadness in these shares; gives id and emotion."""
    rng = np.random.default_rng(seed)
    rows, shown = [], []
    for number in range(count):
        emotion = str(rng.choice(list(DECIDE), p=shares))
        text = " ".join([DECIDE[emotion], *rng.choice(OTHERS, 4), f"n{seed}x{number}"])
        name = f"c{seed}-{number}"
        row = {"source": "demo", "video_id": "v", "comment_id": name, "observed_at": at, "known_at": at, "text": text}
        rows.append({**row, "published_at": at, "landing_id": "l", "row_number": number})
        shown.append((name, emotion))
    insert(warehouse, "raw.comments", *rows)
    refresh_texts(warehouse, at, "r")
    return shown


def labels(
    warehouse: Warehouse, shown: list[tuple[str, str]], at: datetime, means: dict[str, str] | None = None
) -> None:
    """What people say that comments show; `means` says otherwise of some emotions."""
    row = {"source": "demo", "video_id": "v", "label": "emotions", "observed_at": at, "known_at": at, "landing_id": "l"}
    insert(
        warehouse,
        "raw.labels",
        *(
            {
                **row,
                "comment_id": name,
                "text": f"{(means or {}).get(emotion, emotion).title()} , unheard",
                "row_number": number,
            }
            for number, (name, emotion) in enumerate(shown)
        ),
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose emotion model serves, with comments that it knew."""
    warehouse = new_home(tmp_path_factory.mktemp("made"))
    comments(warehouse, 2 * ENOUGH, NOW - 3 * DAY, 0)
    train(warehouse)
    decide(warehouse, load_settings(warehouse.home), NOW, "r1")
    return warehouse.home


@pytest.fixture
def warehouse(made: Path, tmp_path: Path) -> Warehouse:
    return Warehouse(shutil.copytree(made, tmp_path / "home"))


def rules(warehouse: Warehouse) -> Settings:
    """Settings that decide on few labels."""
    settings = load_settings(warehouse.home)
    trigger = settings.training.trigger.model_copy(update={"min_matured": 60, "matured_share": 0.9})
    return settings.model_copy(update={"training": settings.training.model_copy(update={"trigger": trigger})})


def measured(warehouse: Warehouse, now: datetime = LATER) -> dict[tuple[str, str], dict[str, Any]]:
    measure_emotion_drift(warehouse, rules(warehouse), now, "run", lambda: None)
    rows = warehouse.query("SELECT * FROM evaluations.drift WHERE target = 'emotions'").to_pylist()
    newest = max((row["measured_at"] for row in rows), default=None)
    return {(row["measure"], row["feature"]): row for row in rows if row["measured_at"] == newest}


def asked(warehouse: Warehouse, now: datetime = LATER) -> tuple[str, str]:
    decision = should_train(warehouse, rules(warehouse), CELL, now)
    return decision.outcome, str(decision.numbers["because"])


def test_comments_and_labels_as_before_ask_for_nothing(warehouse: Warehouse) -> None:
    labels(warehouse, comments(warehouse, ENOUGH, LATER - DAY, 1)[:80], LATER - DAY)
    rows = measured(warehouse)
    assert rows["matured", "all"]["value"] == 80 and rows["error", "all"]["n_recent"] == 60
    assert rows["error", "all"]["value"] < 1.15
    assert max(row["value"] for (measure, _), row in rows.items() if measure in ("psi", "ks")) < 0.2
    assert asked(warehouse) == ("waited", "nothing")


def test_other_emotions_in_comments_ask_for_a_training(warehouse: Warehouse) -> None:
    labels(warehouse, comments(warehouse, ENOUGH, LATER - DAY, 1, (0.05, 0.9, 0.05))[:80], LATER - DAY)
    rows = measured(warehouse)
    assert rows["psi", "anger"]["value"] > 0.25 and rows["ks", "anger"]["value"] > 0.3
    assert rows["psi", "anger"]["n_reference"] == 2 * ENOUGH and rows["psi", "anger"]["n_recent"] == ENOUGH
    outcome, because = asked(warehouse)
    assert outcome == "fired" and because in ("psi", "ks")


class Words(Hashing):
    """Counts the words that decide."""

    def encode(self, batch: Any) -> Any:
        return np.array([[float(word in text) for word in (*DECIDE.values(), "n")] for text in batch], np.float32)


@pytest.mark.parametrize(("shares", "fires"), [((0.4, 0.3, 0.3), False), ((0.0, 0.0, 1.0), True)])
def test_comments_that_mean_something_else_are_seen_by_their_vectors(
    warehouse: Warehouse, shares: tuple[float, float, float], fires: bool
) -> None:
    comments(warehouse, ENOUGH, LATER - DAY, 1, shares)
    choice = rules(warehouse).embeddings.text
    assert choice is not None
    assert ("mmd", "comments") not in measured(warehouse, LATER - timedelta(hours=1))
    comments(warehouse, 1, LATER - timedelta(minutes=9), 3)
    encode_missing(warehouse, "text", Words(name=choice.encoder), None, now=LATER, run_id="r", place=SAID)
    row = measured(warehouse)["mmd", "comments"]
    assert (row["value"] > 0.1) == fires and row["n_recent"] == ENOUGH + 1


def test_labels_that_mean_something_else_ask_for_a_training(warehouse: Warehouse) -> None:
    shown = comments(warehouse, ENOUGH, LATER - DAY, 1)
    labels(warehouse, shown[:80], LATER - DAY, {"joy": "anger", "anger": "sadness", "sadness": "joy"})
    rows = measured(warehouse)
    assert rows["error", "all"]["value"] > 1.15 and rows["error", "all"]["n_recent"] == 60
    assert asked(warehouse) == ("fired", "error")


def test_labelled_texts_that_come_later_are_judged_too(warehouse: Warehouse) -> None:
    add_texts(warehouse, "train", 100, 7, LATER - DAY, wrong=1.0)
    rows = measured(warehouse)
    assert rows["matured", "all"]["value"] > 80 and rows["error", "all"]["value"] > 1.15
    assert asked(warehouse) == ("fired", "error")


def test_the_stage_that_measures_is_stale_after_a_training_and_after_new_words(warehouse: Warehouse) -> None:
    assert ledger_is_stale(warehouse)
    begin_stage(warehouse, LEDGER, ledger_version(warehouse), run_id="r", now=LATER)
    finish_stage(warehouse, LEDGER, run_id="r", now=LATER)
    assert not ledger_is_stale(warehouse)
    comments(warehouse, 3, LATER, 1)
    assert ledger_is_stale(warehouse)


def test_what_is_not_known_yet_is_not_measured_and_the_same_is_measured_once(warehouse: Warehouse) -> None:
    assert measure_emotion_drift(warehouse, rules(warehouse), NOW, "run", lambda: None) == 1  # no new labels
    labels(warehouse, comments(warehouse, ENOUGH, LATER - DAY, 1, (0.0, 1.0, 0.0))[:80], LATER - DAY)
    assert measure_emotion_drift(warehouse, rules(warehouse), LATER - 2 * DAY, "run", lambda: None) == 0
    assert measure_emotion_drift(warehouse, rules(warehouse), LATER, "run", lambda: None) > 10
    assert measure_emotion_drift(warehouse, rules(warehouse), LATER + DAY, "run", lambda: None) == 0

    def ended() -> None:
        raise RuntimeError("the run has ended")

    comments(warehouse, 5, LATER, 2)
    with pytest.raises(RuntimeError, match="has ended"):
        measure_emotion_drift(warehouse, rules(warehouse), LATER + DAY, "late", ended)


def test_few_comments_are_not_compared_and_nothing_serves_measures_nothing(
    warehouse: Warehouse, tmp_path: Path
) -> None:
    comments(warehouse, ENOUGH - 1, LATER - DAY, 1, (0.0, 1.0, 0.0))
    assert {measure for measure, _ in measured(warehouse)} == {"matured"}
    empty = Warehouse(tmp_path / "empty")
    assert measure_emotion_drift(empty, load_settings(empty.home), NOW, "run", lambda: None) == 0


def test_labelled_comments_are_trained_on_and_copies_are_on_one_side(warehouse: Warehouse) -> None:
    before = len(labelled_texts(warehouse, rules(warehouse), LATER))
    shown = comments(warehouse, 100, LATER - DAY, 1)
    labels(warehouse, shown, LATER - DAY)
    frame = labelled_texts(warehouse, rules(warehouse), LATER)
    new = frame[frame["source"] == "demo"]
    assert len(frame) == before + 100 and 5 < (new["split"] == "dev").sum() < 40
    assert {tuple(names) for names in new["labels"]} <= {("joy",), ("anger",), ("sadness",)}
    assert len(labelled_texts(warehouse, rules(warehouse), LATER - 2 * DAY)) == before


def test_a_training_that_was_asked_for_is_not_asked_again(warehouse: Warehouse) -> None:
    labels(warehouse, comments(warehouse, ENOUGH, LATER - DAY, 1, (0.05, 0.9, 0.05))[:80], LATER - DAY)
    measured(warehouse)
    first = should_train(warehouse, rules(warehouse), CELL, LATER)
    with warehouse.write() as con:
        record(con, first)
    again = should_train(warehouse, rules(warehouse), CELL, LATER, lambda _: "running")
    assert again.decision_id == first.decision_id
    done = should_train(warehouse, rules(warehouse), CELL, LATER, lambda _: "done")
    assert done.outcome == "waited" and done.numbers["because"] == "done"


def test_distances_of_the_same_are_none() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.random((300, 3))
    decided = probabilities > 0.5
    found = list(label_distances(("a", "b", "c"), probabilities, probabilities, [decided, decided]))
    assert len(found) == 6 and max(one.value for one in found) == pytest.approx(0)
