"""From labelled texts to a bundle: fits whatever model a recipe names, its decisions on dev, and takes its figures there.

Plain Python, and torch only where the recipe asks for a network. No warehouse and no registry here.
"""

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from assets.language.emotion_model.augment import rewrites_of, with_twins
from assets.language.emotion_model.decide import best_macro_f1, fit_decisions
from assets.language.emotion_model.evaluation import Evaluation, evaluate_dev
from assets.language.emotion_model.examples import Examples, ExamplesError
from assets.language.emotion_model.recipe import Recipe
from assets.models.fit_run import FitRun
from assets.models.network.batches import development_rows
from resources.emotions.baseline import Baseline
from resources.emotions.encoders import BASELINE
from resources.emotions.model import Manifest, seal
from resources.emotions.seen import write_seen

Array = np.ndarray[Any, Any]
EVALUATION = "evaluation.json"
MIN_TRAIN, MIN_DEV = 100, 50
"""Fewer texts fit and judge no model."""


@dataclass(frozen=True)
class Fitted:
    """A model that was fitted, not yet kept.

    Attributes:
        recipe: How.
        train: Texts that it was fitted on, twins included.
        dev: Dev texts that do not occur among them.
        also_in_train: Dev texts that do, and were left out.
        dev_logits: float32 [epochs, dev texts, labels].
        best_epoch: The one that the model has the weights of.
        max_tokens: Tokens of a text that it reads; None where it has no such limit.
        precision: fp32 or bf16.
        save: Writes the model's files into a folder.
    """

    recipe: Recipe
    train: Examples
    dev: Examples
    also_in_train: int
    dev_logits: Array
    best_epoch: int
    max_tokens: int | None
    precision: str
    save: Callable[[Path], None]

    @cached_property
    def evaluation(self) -> Evaluation:
        """On dev by folds."""
        return evaluate_dev(self.dev_logits, self.dev, self.also_in_train, self.recipe.abstain_below)


def fit(recipe: Recipe, train: Examples, dev: Examples, seed: int, run: FitRun) -> Fitted:
    """Fit the model of a recipe.

    Args:
        recipe: Which model, and how.
        train: Texts to learn from; of development mode a share of them.
        dev: Texts that say when to stop, and fit the decisions; those that occur in train are left out.
        seed: Seed of everything random.
        run: Device, checkpoints, share, whom to tell.

    Raises:
        ExamplesError: There are too few texts, or the labels of both sides differ.
        EmotionError: The model cannot be had.
        StoppedError: The run was asked to stop.
    """
    if train.labels != dev.labels:
        raise ExamplesError(f"train has the labels {', '.join(train.labels)}, dev {', '.join(dev.labels)}")
    seen = dev.seen_in(train)
    dev = dev.take(~seen)
    if run.fraction < 1:
        train = train.take(development_rows(len(train), run.fraction, MIN_TRAIN, seed))
        dev = dev.take(development_rows(len(dev), run.fraction, MIN_DEV, seed))
    if len(train) < MIN_TRAIN or len(dev) < MIN_DEV:
        raise ExamplesError(
            f"{len(train)} training and {len(dev)} dev texts; an emotion model needs {MIN_TRAIN} and {MIN_DEV}"
            f" (dev texts left out because they are also in train: {int(seen.sum())})"
        )
    train = with_twins(train, [dev], rewrites_of(recipe), seed)
    if recipe.model == BASELINE:
        fitted = Baseline.fit(train.texts, train.truth, train.labels)
        logits = fitted.logits(dev.texts)[None]
        run.report({"epoch": 0, "step": 0, "validation_macro_f1": best_macro_f1(logits[0], dev.truth)})
        return Fitted(recipe, train, dev, int(seen.sum()), logits, 0, None, "fp32", fitted.save)
    from assets.language.emotion_model.network_fit import fit_network

    network = fit_network(recipe, train, dev, seed, run)
    return Fitted(
        recipe,
        train,
        dev,
        int(seen.sum()),
        network.dev_logits,
        network.best_epoch,
        network.max_tokens,
        network.precision,
        lambda folder: network.save(folder, train.labels),
    )


def keep(folder: Path, fitted: Fitted, known_at: datetime | None, trained_on: str) -> Manifest:
    """Write the bundle of a model, whole or not at all: files, decisions fitted on all of dev, figures of dev by folds.

    Args:
        folder: The bundle; one that is there gives way.
        fitted: The model.
        known_at: When the last of its training texts was known (UTC).
        trained_on: Identifier of the frozen training set.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft_", dir=folder.parent))
    try:
        fitted.save(draft)
        write_seen(draft, fitted.train.texts, fitted.dev.texts)
        (draft / EVALUATION).write_text(json.dumps(fitted.evaluation.told(), indent=1))
        recipe = fitted.recipe
        manifest = Manifest(
            kind="baseline" if recipe.model == BASELINE else "network",
            name=name_of(recipe),
            labels=fitted.train.labels,
            decisions=fit_decisions(fitted.dev_logits[fitted.best_epoch], fitted.dev.truth, recipe.abstain_below),
            max_tokens=fitted.max_tokens,
            known_at=known_at,
            trained_on=trained_on,
        )
        sealed = seal(draft, manifest)
        draft.chmod(0o755)
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return sealed


def name_of(recipe: Recipe) -> str:
    """What the board calls a model."""
    return f"{recipe.model}-frozen" if recipe.model != BASELINE and recipe.head == "frozen" else recipe.model
