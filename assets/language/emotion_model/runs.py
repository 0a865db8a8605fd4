"""Training runs of the emotion model: on which labelled texts, what is asked of the trainer, and what is registered of its answer.

Pure Python beside the trainer's process (`assets.models.train`) and Dagster (`assets`). Whether a model serves is for `gate`.
"""

import hashlib
import json
import os
import shutil
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from assets.evaluations.rows import as_arrow
from assets.language.emotion_model.examples import Examples
from assets.language.emotion_model.fit import EVALUATION, MIN_DEV, MIN_TRAIN, fit, keep, name_of
from assets.language.emotion_model.recipe import Recipe
from assets.language.emotion_model.registry import CELL, TASK
from assets.models.fit_run import FitRun
from assets.models.order import Order
from assets.models.predictor import FOLDER, PROVENANCE
from assets.models.provenance import provenance
from assets.models.registry import TRAINING
from assets.models.training_runs import Asked, Outcome, frozen_rows, order_on
from resources.emotions.encoders import BASELINE, find_encoder
from resources.emotions.labels import GOEMOTIONS
from resources.emotions.model import MANIFEST, read_manifest
from resources.policy import forbidden_in
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

_CODE = (
    *(f"assets/language/emotion_model/{name}.py" for name in ("augment", "decide", "fit", "network_fit")),
    *(f"resources/emotions/{name}.py" for name in ("baseline", "network", "texts")),
    "assets/models/network/loop.py",
)
_TEXTS = """
WITH commented AS (
    SELECT source, video_id, comment_id, arg_min(text, (greatest(observed_at, known_at), text)) AS text,
           min(greatest(observed_at, known_at)) AS known_at
    FROM raw.comments WHERE text IS NOT NULL GROUP BY ALL),
judged AS (
    SELECT l.source, l.video_id, l.comment_id, l.observed_at, greatest(l.observed_at, l.known_at, c.known_at) AS known_at, c.text,
           list_filter(list_transform(string_split(l.text, ','), lambda x: lower(trim(x))),
                       lambda x: list_contains($labels, x)) AS labels
    FROM raw.labels l JOIN commented c USING (source, video_id, comment_id)
    WHERE l.label = 'emotions' AND l.text IS NOT NULL),
labelled AS (
    SELECT source, video_id, text_id, observed_at, known_at, text, labels, split FROM raw.texts
    WHERE labels IS NOT NULL AND list_contains(['train', 'dev'], split)
    UNION ALL
    SELECT source, video_id, video_id || ' ' || comment_id, observed_at, known_at, text, labels,
           CASE WHEN substr(sha256(lower(text)), 1, 1) < '3' THEN 'dev' ELSE 'train' END
    FROM judged WHERE len(labels) > 0)
SELECT source, arg_max(video_id, observed_at) AS video_id, text_id, max(observed_at) AS observed_at,
       arg_max(known_at, observed_at) AS known_at, arg_max(text, observed_at) AS text,
       arg_max(labels, observed_at) AS labels, arg_max(split, observed_at) AS split
FROM labelled
WHERE known_at <= $now AND NOT list_contains($forbidden, source)
GROUP BY source, text_id ORDER BY source, text_id
"""


def recipes_of(settings: Settings) -> tuple[Recipe, ...]:
    """What is trained: the model of the settings, and the baseline beside it."""
    chosen = Recipe.model_validate(settings.language.emotions.model_dump())
    return (chosen,) if chosen.model == BASELINE else (chosen, Recipe(model=BASELINE))


def orders_for(warehouse: Warehouse, settings: Settings, *, now: datetime, run_id: str, fraction: float = 1.0) -> Asked:
    """What to ask of the trainer; the labelled texts are frozen.

    Args:
        warehouse: Where `raw.texts` is read.
        settings: Which model is trained.
        now: The home's time: texts known later do not exist.
        run_id: Dagster run that asks.
        fraction: Share of the texts that development mode trains on.

    Raises:
        EncoderError: The encoder's files cannot be had.
    """
    frame = labelled_texts(warehouse, settings, now)
    train, dev = (int((frame["split"] == side).sum()) for side in ("train", "dev"))
    if train < MIN_TRAIN or dev < MIN_DEV:
        why = (
            f"{train} labelled texts to train on and {dev} of dev; {MIN_TRAIN} and {MIN_DEV} are needed: "
            "bring them in with `upswell ingest train.tsv dev.tsv --as texts`"
        )
        return Asked(CELL, skipped={"all": why})
    origin = frame["known_at"].max().date() + timedelta(days=1)
    frozen, code = frozen_rows(warehouse, CELL, frame, origin, TRAINING, run_id, now), code_fingerprint()
    frozen |= {
        "schema_fingerprint": _labels_fingerprint(GOEMOTIONS),
        "feature_fingerprint": code,
        "data_version": hashlib.sha256(f"{frozen['training_set_id']} {code}".encode()).hexdigest()[:16],
    }
    orders = [
        order_on(
            frozen,
            TASK,
            name_of(recipe),
            recipe.model_dump(mode="json"),
            "" if recipe.model == BASELINE else find_encoder(recipe.model, recipe.weights)[1].revision,
            fraction,
            warehouse.home,
            settings,
        )
        for recipe in recipes_of(settings)
    ]
    return Asked(CELL, tuple(orders), frozen)


def labelled_texts(warehouse: Warehouse, settings: Settings, now: datetime) -> pd.DataFrame:
    """The latest state of the labelled texts of train and dev that are known, by source and id; labelled comments among them.

    A comment is labelled by a row of `raw.labels` (label `emotions`, text `joy,anger`); equal comments are on the same side.
    """
    left_out = forbidden_in(warehouse, settings.policies, "raw.texts", "raw.labels")
    frame: pd.DataFrame = warehouse.query(
        _TEXTS, {"now": now, "forbidden": left_out, "labels": list(GOEMOTIONS)}
    ).to_pandas()
    return frame


def examples_of(frame: pd.DataFrame, split: str) -> Examples:
    """One side of some frozen texts.

    Raises:
        ExamplesError: A label is none of GoEmotions'.
    """
    side = frame[frame["split"] == split]
    return Examples.of(side["text"].tolist(), [list(names) for names in side["labels"]], GOEMOTIONS)


def train(order: Order, frame: pd.DataFrame, run: FitRun, keeps: bool) -> tuple[str | None, float, str]:
    """Carry out an order on its frozen texts: called by the trainer, in every process of several.

    Args:
        order: What is asked.
        frame: The frozen texts.
        run: Device, checkpoints, whom to tell.
        keeps: Whether this is the process that writes the bundle.

    Returns:
        The bundle's name where it was written, 1 - macro-F1 on dev by folds, and the precision.

    Raises:
        ExamplesError: There are too few texts, or a label is unknown.
        StoppedError: The run was asked to stop.
    """
    fitted = fit(
        Recipe.model_validate(order.parameters), examples_of(frame, "train"), examples_of(frame, "dev"), order.seed, run
    )
    error = 1 - fitted.evaluation.fitted.macro
    if not keeps:
        return None, error, fitted.precision
    draft = order.home / FOLDER / f".draft_{order.training_id}"
    manifest = keep(draft, fitted, frame["known_at"].max().to_pydatetime(), order.training_set_id)
    made = {"parameters": order.parameters, "training_id": order.training_id, **provenance()}
    (draft / PROVENANCE).write_text(json.dumps(made, indent=1, default=str))
    version = f"{CELL.source}-{CELL.target}-{CELL.cutoff}-{manifest.name}-{order.origin}-{manifest.revision[:12]}"
    final = order.home / FOLDER / version
    shutil.rmtree(final, ignore_errors=True)
    os.replace(draft, final)
    return version, error, fitted.precision


def version_row(outcome: Outcome, now: datetime) -> dict[str, Any]:
    """The row of `models.versions` of a bundle."""
    order, version = outcome.order, str(outcome.result.version)
    folder = order.home / FOLDER / version
    manifest = read_manifest(folder)
    return {
        "version": version,
        **asdict(CELL),
        "forecaster": manifest.name,
        "origin": order.origin,
        "training_set_id": order.training_set_id,
        "n_train": outcome.result.rows,
        "schema_fingerprint": _labels_fingerprint(manifest.labels),
        "feature_fingerprint": order.feature_fingerprint,
        "data_version": order.data_version,
        "run_id": order.run_id,
        "uri": f"{FOLDER}/{version}",
        "sha256": hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest(),
        "made_by": TRAINING,
        "alias": None,
        "training_id": order.training_id,
        "created_at": now,
    }


def describe_models(warehouse: Warehouse, versions: list[str], now: datetime) -> None:
    """Write the rows of `models.emotions` and `evaluations.emotions` of some registered models; those there are stay."""
    models, figures = [], []
    for version in versions:
        folder = warehouse.home / FOLDER / version
        manifest = read_manifest(folder)
        models.append(
            {
                "version": version,
                "name": manifest.name,
                "revision": manifest.revision,
                "labels": list(manifest.labels),
                "temperature": manifest.decisions.temperature,
                "thresholds": list(manifest.decisions.thresholds),
                "abstain_below": manifest.decisions.abstain_below,
                "max_tokens": manifest.max_tokens,
                "known_at": manifest.known_at,
                "created_at": now,
            }
        )
        figures += _figures(version, json.loads((folder / EVALUATION).read_text()), now)
    if not models:
        return
    rows = {"models.emotions": pd.DataFrame(models), "evaluations.emotions": pd.DataFrame(figures)}
    with warehouse.write() as con:
        for name, frame in rows.items():
            append_rows(con, table(name), as_arrow(frame.astype(object).where(frame.notna(), None), name))


def _figures(version: str, told: dict[str, Any], now: datetime) -> list[dict[str, Any]]:
    """The rows of `evaluations.emotions` of what a bundle's evaluation says."""
    n = told["n"]
    overall = [
        ("macro_f1", told["fitted"]["macro"], told["fitted"]["macro_bounds"]),
        ("micro_f1", told["fitted"]["micro"], told["fitted"]["micro_bounds"]),
        ("macro_f1_at_half", told["half"]["macro"], told["half"]["macro_bounds"]),
        ("micro_f1_at_half", told["half"]["micro"], told["half"]["micro_bounds"]),
        ("macro_f1_oracle", told["oracle_macro"], None),
        ("calibration_error", told["calibration_error"], None),
        ("abstained", told["abstained"], None),
        ("macro_f1_judged", told["judged"]["macro"], told["judged"]["macro_bounds"]),
        ("also_in_train", told["also_in_train"], None),
    ]
    rows = [
        _figure(version, "all", name, value, bounds, n, now) for name, value, bounds in overall if value is not None
    ]
    for label in told["labels"]:
        own = [("f1", label["f1"], label["bounds"])]
        own += [(name, label[name], None) for name in ("precision", "recall", "oracle_f1")]
        rows += [
            _figure(version, label["label"], name, value, bounds, label["support"], now) for name, value, bounds in own
        ]
    return rows


def _figure(version: str, label: str, measure: str, value: float, bounds: Any, n: int, now: datetime) -> dict[str, Any]:
    lower, upper = bounds or (None, None)
    return {
        "version": version,
        "label": label,
        "measure": measure,
        "value": float(value),
        "lower": lower,
        "upper": upper,
        "n": n,
        "evaluated_at": now,
    }


def _labels_fingerprint(labels: tuple[str, ...]) -> str:
    return hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:16]


def code_fingerprint() -> str:
    """Fingerprint of the code that prepares texts, fits and decides: other code is another training."""
    root = Path(__file__).parents[3]
    digest = hashlib.sha256()
    for name in _CODE:
        digest.update((root / name).read_bytes())
    return digest.hexdigest()[:16]
