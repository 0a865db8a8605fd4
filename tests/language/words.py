"""An emotion model that reads one word, and homes with a few texts, for tests of what words tell."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np

from assets.language.emotions import Model, score_missing
from assets.language.measures import refresh_measures
from assets.language.texts import refresh_texts
from resources.emotions.decisions import Decisions
from tests.features.raw_rows import NOW, T0, RawRows, build_features, hours, make_settings
from warehouse.connection import Warehouse

LABELS = ("joy", "anger", "neutral")


class WordModel:
    """Logits of 4 for each label that a text names, else of -4; `shift` tells its revisions apart."""

    name, labels = "word", LABELS
    decisions = Decisions(1.0, (0.5, 0.5, 0.5))

    def __init__(self, revision: str = "one", shift: float = 0.0) -> None:
        self.revision, self.shift, self.asked = revision, shift, list[str]()

    def logits(self, texts: Sequence[str]) -> "np.ndarray[Any, Any]":
        self.asked += texts
        rows = [[4.0 if label in text else -4.0 for label in LABELS] for text in texts]
        return np.array(rows, np.float32) + np.float32(self.shift)


def home_of_words(warehouse: Warehouse) -> None:
    """Two videos published at T0; `v` has a title, captions and comments, `w` a title alone."""
    raw = RawRows().seen("v", T0, {0.5: 10, 30: 50, 80: 90}, title="joy of bread", duration_s=50.0)
    raw.seen("w", T0, {0.5: 10}, title="plain")
    raw.caption("v", "such joy", T0, kind="automatic").caption("v", "what anger here", T0 + hours(2))
    raw.comment("v", "a", "joy!", T0 + hours(3)).comment("v", "b", "joy again!", T0 + hours(5), T0 + hours(30))
    raw.comment("v", "c", "", T0 + hours(3)).comment("v", "a", "anger now", T0 + hours(50))
    raw.comment("v", "d", "joy!", T0 + hours(4))
    raw.write(warehouse)
    build_features(warehouse, make_settings())


def read(warehouse: Warehouse, *models: Model, now: datetime = NOW) -> None:
    """Brings texts, emotions and measures up to date, with each of some models."""
    refresh_texts(warehouse, now, "test")
    for model in models:
        score_missing(warehouse, model, now=now, run_id="test", policies={})
    refresh_measures(warehouse)
