"""What texts show: `language.emotions`, each valid text once by the emotion model that serves.

The model is trained in `emotion_model` and computes in resources/emotions. What a video's texts show together is in `measures`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from assets.language.emotion_model.registry import serving
from assets.language.texts import TEXTS, texts_of
from resources.emotions.labels import EKMAN, SENTIMENT, grouped
from resources.emotions.model import EmotionModel, load, read_manifest
from resources.emotions.scoring import Scored, score
from resources.policy import Override, forbidden_in
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

EMOTIONS = "language.emotions"
NEUTRAL = "neutral"
NO_MODEL = (
    "no emotion model serves yet: `upswell ingest train.tsv dev.tsv --as texts` brings labelled texts, "
    "`upswell train emotions` trains on them"
)
_AT_ONCE = 4_096


@dataclass(frozen=True)
class Model:
    """An emotion model, and from when on it counts (naive UTC)."""

    loaded: EmotionModel
    usable_at: datetime


@dataclass(frozen=True)
class Done:
    """How many texts were scored, how many of these the model left unjudged, and how many rows of gone texts were removed."""

    scored: int
    abstained: int
    removed: int


def model_of(warehouse: Warehouse, now: datetime) -> Model | None:
    """The emotion model that serves a home, or None.

    One that does not say when its training texts were known counts from its first use on.

    Raises:
        EmotionError: Its folder is not whole.
    """
    folder = serving(warehouse)
    if folder is None:
        return None
    loaded = load(folder)
    known = read_manifest(folder).known_at
    return Model(loaded, known if known is not None else _first_used(warehouse, loaded.revision) or now)


def score_missing(
    warehouse: Warehouse,
    model: Model | None,
    *,
    now: datetime,
    run_id: str,
    policies: Mapping[str, Override],
    progress: Callable[[int, int], None] = lambda at, of: None,
) -> Done:
    """Scores every valid text that the model has not scored; removes what was said of texts that are gone.

    Args:
        warehouse: Where texts are read and scores kept, a batch in a transaction.
        model: Who scores; None: nobody.
        now: The home's time.
        run_id: Dagster run.
        policies: The rules of the sources: where nothing may be derived, nothing is scored.
        progress: Told how many of how many are done.
    """
    removed = _remove_gone(warehouse)
    if model is None:
        return Done(0, 0, removed)
    missing = warehouse.query(
        f"""SELECT DISTINCT text_id FROM {TEXTS} ANTI JOIN
                (FROM {EMOTIONS} WHERE revision = $revision) USING (text_id)
            WHERE state = 'valid' AND NOT list_contains($left_out, source) ORDER BY text_id""",
        {"revision": model.loaded.revision, "left_out": forbidden_in(warehouse, policies, TEXTS)},
    )["text_id"].to_pylist()
    scored = abstained = 0
    for start in range(0, len(missing), _AT_ONCE):
        texts = texts_of(warehouse, missing[start : start + _AT_ONCE])
        if not texts:
            continue
        found = score(model.loaded, list(texts.values()))
        rows = _rows(model, list(texts), found, now, run_id)
        with warehouse.write() as con:
            append_rows(con, table(EMOTIONS), rows)
        scored, abstained = scored + rows.num_rows, abstained + int(found.abstained.sum())
        progress(start + len(texts), len(missing))
    return Done(scored, abstained, removed)


def shown(warehouse: Warehouse, revision: str) -> list[dict[str, Any]]:
    """How often a model gives each label to the texts of each part, and how sure it is."""
    rows: list[dict[str, Any]] = warehouse.query(
        f"""WITH judged AS (
                SELECT DISTINCT part, e.text_id, e.decided, e.confidence, e.abstained FROM {TEXTS} JOIN {EMOTIONS} e USING (text_id)
                WHERE e.revision = $revision),
            counted AS (SELECT part, count(*) AS texts, avg(confidence) AS confidence, avg(abstained::INTEGER) AS abstained
                        FROM judged GROUP BY part),
            given AS (SELECT part, unnest(decided) AS label FROM judged),
            labels AS (SELECT part, label, count(*) AS n FROM given GROUP BY ALL),
            ranked AS (SELECT *, row_number() OVER (PARTITION BY part ORDER BY n DESC, label) AS place FROM labels),
            commonest AS (SELECT part, string_agg(label || ' ' || n, ', ' ORDER BY place) AS labels
                          FROM ranked WHERE place <= 6 GROUP BY part)
            SELECT c.part, c.texts, c.confidence, c.abstained, r.labels AS "commonest labels"
            FROM counted c LEFT JOIN commonest r USING (part) ORDER BY c.part""",
        {"revision": revision},
    ).to_pylist()
    return rows


def _first_used(warehouse: Warehouse, revision: str) -> datetime | None:
    rows = warehouse.query(
        f"SELECT min(usable_at) AS at FROM {EMOTIONS} WHERE revision = $revision", {"revision": revision}
    ).to_pylist()
    found: datetime | None = rows[0]["at"]
    return found


def _remove_gone(warehouse: Warehouse) -> int:
    gone = f"text_id NOT IN (SELECT text_id FROM {TEXTS})"
    if not warehouse.query(f"SELECT 1 FROM {EMOTIONS} WHERE {gone} LIMIT 1").num_rows:
        return 0
    with warehouse.write() as con:
        row = con.execute(f"DELETE FROM {EMOTIONS} WHERE {gone}").fetchone()
    return int(row[0]) if row else 0


def _rows(model: Model, text_ids: list[str], found: Scored, now: datetime, run_id: str) -> pa.Table:
    """One row per text that there was something to read in."""
    read = np.flatnonzero(~found.empty)
    labels, probabilities = model.loaded.labels, found.probabilities[read]
    neutral = probabilities[:, labels.index(NEUTRAL)] if NEUTRAL in labels else np.zeros(len(read), np.float32)
    same = {"model": model.loaded.name, "revision": model.loaded.revision, "run_id": run_id}
    at = {"usable_at": model.usable_at, "scored_at": now}
    columns = {
        "text_id": pa.array([text_ids[row] for row in read], pa.string()),
        "probabilities": _lists(probabilities),
        "ekman": _lists(grouped(probabilities, labels, EKMAN)),
        "sentiment": _lists(grouped(probabilities, labels, SENTIMENT)),
        "neutral": pa.array(neutral, pa.float32()),
        "decided": pa.array(
            [[label for label, given in zip(labels, found.decided[row], strict=True) if given] for row in read],
            pa.list_(pa.string()),
        ),
        "confidence": pa.array(probabilities.max(axis=1, initial=0.0), pa.float32()),
        "abstained": pa.array(found.abstained[read], pa.bool_()),
        **{name: pa.repeat(pa.scalar(value, pa.string()), len(read)) for name, value in same.items()},
        **{name: pa.repeat(pa.scalar(value, pa.timestamp("us")), len(read)) for name, value in at.items()},
    }
    return pa.table(columns)


def _lists(values: "np.ndarray[Any, Any]") -> pa.ListArray:
    """A matrix of shape (n, d) as a FLOAT[] column."""
    n, dim = values.shape
    offsets = pa.array(np.arange(0, (n + 1) * dim, max(dim, 1), dtype=np.int32)[: n + 1])
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values, np.float32).ravel()))
