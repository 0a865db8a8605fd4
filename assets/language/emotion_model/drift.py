"""How far what people write now is from what they wrote when the emotion model began to serve, and how good it is on new labels.

Reference are the comments known by then, recent are those known since: what a collection of labelled texts is like beside comments
is no drift. The distances are those of `assets.evaluations.drift`, and so are their rows; what they mean is for `trigger`.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from assets.embeddings.encoders import encoder_for
from assets.embeddings.matrix import load_said
from assets.evaluations.drift import TABLE, WHOLE, Measure, category_psi, ks_distance, mmd
from assets.evaluations.ledger import Guard
from assets.evaluations.rows import as_arrow
from assets.language.emotion_model.examples import Examples
from assets.language.emotion_model.metrics import f1_of
from assets.language.emotion_model.registry import CELL
from assets.language.emotion_model.runs import labelled_texts
from assets.language.texts import texts_of
from assets.models.registry import CHAMPION, registered
from resources import clock
from resources.emotions.model import EmotionModel, load, read_manifest
from resources.emotions.scoring import score
from resources.emotions.seen import seen_by
from resources.policy import forbidden_in
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

SAMPLE = 1_000
"""Comments of either side that are compared: the latest."""
ENOUGH = 200
"""Comments of either side below which nothing is compared: distances of fewer are mostly noise."""
COMMENTS = "comments"
_COMMENTS = """
SELECT text_id, min(known_at) AS known_at FROM language.texts
WHERE part = 'comment' AND state = 'valid' AND known_at <= $now AND NOT list_contains($forbidden, source)
GROUP BY text_id ORDER BY known_at, text_id
"""


def measure_emotion_drift(warehouse: Warehouse, settings: Settings, now: datetime, run_id: str, guard: Guard) -> int:
    """Adds the distances of the emotion model that serves, where comments or labels have changed since the last time.

    Returns:
        Rows added; 0 where nothing serves or nothing is new.

    Raises:
        EmotionError: The model cannot be loaded.
    """
    champion = registered(warehouse, CELL, CHAMPION)
    if champion is None:
        return 0
    folder = warehouse.home / champion["uri"]
    before, since = _comments(warehouse, settings, now, champion["created_at"])
    new = _unseen(warehouse, settings, now, folder)
    version = _data_version(before, since, new)
    if warehouse.query(
        f"SELECT 1 FROM {TABLE} WHERE version = $version AND data_version = $data LIMIT 1",
        {"version": champion["version"], "data": version},
    ).num_rows:
        return 0
    model = load(folder)
    measures = [
        *_of_labels(warehouse, settings, champion, model, new),
        *_of_comments(warehouse, settings, model, before, since, now),
    ]
    rows = pd.DataFrame([vars(one) for one in measures if np.isfinite(one.value)])
    made = {"clock": clock.mode(warehouse.home), "run_id": run_id, "measured_at": now}
    for name, value in {**vars(CELL), **made, "version": champion["version"], "data_version": version}.items():
        rows[name] = value
    with warehouse.write() as con:
        guard()
        append_rows(con, table(TABLE), as_arrow(rows, TABLE))
    return len(rows)


def label_distances(
    labels: Sequence[str], before: "np.ndarray[Any, Any]", since: "np.ndarray[Any, Any]", decided: Any
) -> Iterator[Measure]:
    """Of every label the PSI of whether it is given, and the distance of its probabilities.

    Args:
        labels: Names of the columns.
        before: Probabilities of the reference, [n, labels].
        since: Of the recent ones.
        decided: Which labels both were given: two arrays, bool.
    """
    sizes = len(before), len(since)
    for column, label in enumerate(labels):
        given = [pd.Series(side[:, column].astype(str)) for side in decided]
        yield Measure("psi", label, category_psi(*given), *sizes)
        yield Measure("ks", label, ks_distance(before[:, column].astype(float), since[:, column].astype(float)), *sizes)


def _comments(warehouse: Warehouse, settings: Settings, now: datetime, start: datetime) -> tuple[list[str], list[str]]:
    """Text ids of comments known by the model's time and since, the latest `SAMPLE` of each.

    Where too few were known by then, the first ones known stand for them.
    """
    refused = forbidden_in(warehouse, settings.policies, "language.texts")
    rows = warehouse.query(_COMMENTS, {"now": now, "forbidden": refused}).to_pylist()
    ids = [row["text_id"] for row in rows]
    known = max(sum(row["known_at"] <= start for row in rows), min(ENOUGH, len(rows)))
    return ids[:known][-SAMPLE:], ids[known:][-SAMPLE:]


def _of_comments(
    warehouse: Warehouse,
    settings: Settings,
    model: EmotionModel,
    before: list[str],
    since: list[str],
    now: datetime,
) -> Iterator[Measure]:
    if min(len(before), len(since)) < ENOUGH:
        return
    texts = texts_of(warehouse, [*before, *since])
    sides = [score(model, [texts[each] for each in side if each in texts]) for side in (before, since)]
    read = [np.where(~side.empty)[0] for side in sides]
    yield from label_distances(
        model.labels,
        sides[0].probabilities[read[0]],
        sides[1].probabilities[read[1]],
        [side.decided[rows] for side, rows in zip(sides, read, strict=True)],
    )
    vectors = _vectors(warehouse, settings, (before, since), now)
    if min(map(len, vectors)) >= ENOUGH:
        yield Measure("mmd", COMMENTS, mmd(vectors[0], vectors[1]), len(vectors[0]), len(vectors[1]))


def _vectors(
    warehouse: Warehouse, settings: Settings, sides: Sequence[list[str]], now: datetime
) -> "list[np.ndarray[Any, np.dtype[np.float64]]]":
    """Of each side the vectors of its texts by the text encoder that is in use, [n, d]; texts that have none are left out."""
    choice = settings.embeddings.text
    record = None if choice is None else encoder_for(warehouse, "text", choice.encoder, now.date())
    if record is None:
        return [np.empty((0, 0)) for _ in sides]
    matrix = load_said(warehouse, record.identity)
    ids = matrix.ids.astype(str)
    return [np.asarray(matrix.vectors[np.isin(ids, side)], np.float64) for side in sides]


def _unseen(warehouse: Warehouse, settings: Settings, now: datetime, folder: Path) -> pd.DataFrame:
    """Labelled texts that came to be known after those that the model was made from, and that it has not seen, by time."""
    frame = labelled_texts(warehouse, settings, now)
    known = read_manifest(folder).known_at
    if known is not None:
        frame = frame[frame["known_at"] > pd.Timestamp(known)]
    seen = seen_by(folder, frame["text"].tolist())
    frame = frame if seen is None else frame[~seen]
    return frame.sort_values(["known_at", "source", "text_id"], ignore_index=True)


def _of_labels(
    warehouse: Warehouse, settings: Settings, champion: dict[str, Any], model: EmotionModel, new: pd.DataFrame
) -> Iterator[Measure]:
    """How many new labels there are, and what the model misses on the latest of them, by what it misses on dev."""
    yield Measure("matured", WHOLE, float(len(new)), champion["n_train"], len(new))
    latest = new.tail(settings.training.trigger.min_matured)
    rows = warehouse.query(
        "SELECT validation_error FROM models.runs WHERE training_id = $id", {"id": champion["training_id"]}
    ).to_pylist()
    usual = rows[0]["validation_error"] if rows else None
    examples = Examples.of(latest["text"].tolist(), [list(names) for names in latest["labels"]], model.labels)
    if len(examples) and usual:
        error = 1 - f1_of(score(model, examples.texts).decided, examples.truth).macro
        yield Measure("error", WHOLE, error / usual, champion["n_train"], len(examples))


def _data_version(before: list[str], since: list[str], new: pd.DataFrame) -> str:
    told = [
        before,
        since,
        *(list(row) for row in new[["source", "text_id", "known_at"]].astype(str).itertuples(index=False)),
    ]
    return hashlib.sha256(repr(told).encode()).hexdigest()[:16]
