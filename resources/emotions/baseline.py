"""The baseline on the board: TF-IDF of words and of character n-grams, and one logistic regression per label.

Needs no weights and no torch. scikit-learn is imported inside functions; a bundle is plain arrays and JSON.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resources.emotions.model import EmotionError, Manifest, require_labels
from resources.encoders.terms import Terms

ARRAYS, TERMS = "weights.npz", "terms.json"
Array = np.ndarray[Any, Any]
_ALIKE: dict[str, Any] = {"sublinear_tf": True, "dtype": np.float32}
_ANALYSERS = {
    "words": {
        "analyzer": "word",
        "ngram_range": (1, 2),
        "max_features": 60_000,
        "token_pattern": r"(?u)\b\w+\b|[^\w\s]",
        **_ALIKE,
    },
    "characters": {"analyzer": "char_wb", "ngram_range": (2, 5), "max_features": 120_000, **_ALIKE},
}
_TEXTS = 4_096
"""Texts at a time."""


class Baseline:
    """What turns texts into logits, fitted.

    Args:
        terms: Terms of each analyser, in the order of their columns.
        arrays: `idf_words`, `idf_characters` [terms], `coefficients` [labels, terms of both], `intercepts` [labels].
        labels: In the order of the logits.
    """

    def __init__(self, terms: Mapping[str, list[str]], arrays: Mapping[str, Array], labels: Sequence[str]) -> None:
        self.terms, self.arrays, self.labels = terms, arrays, tuple(labels)
        self._fitted = Terms(_ANALYSERS, terms, arrays)
        self._columns = np.ascontiguousarray(arrays["coefficients"].T, np.float32)

    @classmethod
    def fit(cls, texts: Sequence[str], truth: Array, labels: Sequence[str], strength: float = 3.0) -> "Baseline":
        """Fit on prepared texts.

        Args:
            texts: Texts.
            truth: bool [n, labels].
            labels: Names of the columns.
            strength: Inverse of the ridge penalty.

        Raises:
            EmotionError: No term is in two of the texts.
        """
        from sklearn.linear_model import LogisticRegression

        try:
            terms, arrays, matrix = Terms.fit(_ANALYSERS, texts)
        except ValueError as error:
            raise EmotionError(f"the baseline: {error}") from error
        rows, intercepts = [], []
        for column in truth.T:
            if column.all() or not column.any():  # a label that no text lacks, or none has, says nothing of texts
                rate = (column.sum() + 0.5) / (len(column) + 1)
                rows.append(np.zeros(matrix.shape[1], np.float32))
                intercepts.append(np.log(rate / (1 - rate)))
                continue
            fitted = LogisticRegression(C=strength, solver="liblinear", random_state=0).fit(matrix, column)
            rows.append(fitted.coef_[0].astype(np.float32))
            intercepts.append(fitted.intercept_[0])
        arrays |= {"coefficients": np.stack(rows), "intercepts": np.asarray(intercepts, np.float32)}
        return cls(terms, arrays, labels)

    def logits(self, texts: Sequence[str]) -> Array:
        """float32 [n, labels], before the temperature."""
        found = np.empty((len(texts), len(self.labels)), np.float32)
        for start in range(0, len(texts), _TEXTS):
            some = texts[start : start + _TEXTS]
            found[start : start + len(some)] = self._fitted.weigh(some) @ self._columns + self.arrays["intercepts"]
        return found

    def save(self, folder: Path) -> None:
        """Write a bundle's files, all but its manifest."""
        named: dict[str, Any] = dict(self.arrays)
        np.savez_compressed(folder / ARRAYS, **named)
        said = {"labels": list(self.labels), "terms": dict(self.terms)}
        (folder / TERMS).write_text(json.dumps(said))


class BaselineModel:
    """A bundle of kind `baseline` (`resources.emotions.model.EmotionModel`)."""

    def __init__(self, manifest: Manifest, baseline: Baseline) -> None:
        self.name, self.revision = manifest.name, manifest.revision
        self.labels, self.decisions = manifest.labels, manifest.decisions
        self._baseline = baseline

    def logits(self, texts: Sequence[str]) -> Array:
        """float32 [n, labels], before the temperature."""
        return self._baseline.logits(texts)


def load(folder: Path, manifest: Manifest) -> BaselineModel:
    """The model of a bundle whose manifest was read.

    Raises:
        EmotionError: Its labels are others, or there are not as many rows of weights.
    """
    said = json.loads((folder / TERMS).read_text())
    require_labels(said["labels"], manifest.labels, str(folder / TERMS))
    with np.load(folder / ARRAYS, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    if len(arrays["coefficients"]) != len(manifest.labels):
        raise EmotionError(f"{folder / ARRAYS} has {len(arrays['coefficients'])} labels, not {len(manifest.labels)}")
    return BaselineModel(manifest, Baseline(said["terms"], arrays, manifest.labels))
