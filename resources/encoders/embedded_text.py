"""Texts as vectors without a download: TF-IDF of words and of character n-grams, on its leading singular vectors.

Imported lazily only; scikit-learn is imported inside functions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from resources.encoders.base import Content, EncoderError, Modality, Precision, Vectors
from resources.encoders.embedded import fingerprint, read_arrays, write_arrays
from resources.encoders.terms import Terms

_CHARACTERS = 8_192
_ALIKE: dict[str, Any] = {"strip_accents": "unicode", "sublinear_tf": True, "max_features": 40_000}
_ANALYSERS = {
    "words": {"analyzer": "word", "ngram_range": (1, 2), **_ALIKE},
    "characters": {"analyzer": "char_wb", "ngram_range": (3, 4), **_ALIKE},
}


class TfidfSvd:
    """TF-IDF + truncated SVD, scaled to length 1 (`resources.encoders.base.FittedEncoder`).

    A text without any known word or n-gram has the zero vector.

    Args:
        components: Singular vectors kept, fewer where the texts do not have as many.
    """

    name = "tfidf-svd"
    modality: Modality = "text"
    precision: Precision = "fp32"
    preprocessing = f"terms-1:characters={_CHARACTERS}"

    def __init__(self, components: int = 128) -> None:
        self.components = components
        self.revision = ""
        self.dim = 0
        self._terms: dict[str, list[str]] = {}
        self._arrays: dict[str, np.ndarray[Any, Any]] = {}
        self._fitted: Terms | None = None

    def fit(self, contents: Sequence[Content]) -> Self:
        """Fits vocabulary, weights and singular vectors on texts; sets `revision` and `dim`.

        Raises:
            EncoderError: There are too few texts, or no term is in two of them.
        """
        from sklearn.decomposition import TruncatedSVD

        texts = _cut(contents)
        try:
            terms, arrays, matrix = Terms.fit(_ANALYSERS, texts)
        except ValueError as error:
            raise EncoderError(f"{self.name}: {error}") from error
        components = min(self.components, min(matrix.shape) - 1)
        if components < 1:
            raise EncoderError(f"{self.name}: {len(texts)} texts with {matrix.shape[1]} terms are too few to fit on")
        svd = TruncatedSVD(components, random_state=0).fit(matrix)
        arrays["rotation"] = svd.components_.astype(np.float32)
        return self._hold(terms, arrays)

    def _hold(self, terms: dict[str, list[str]], arrays: dict[str, np.ndarray[Any, Any]]) -> Self:
        self._terms, self._arrays = terms, arrays
        self._fitted = Terms(_ANALYSERS, terms, arrays)
        self.dim = len(arrays["rotation"])
        self.revision = fingerprint(arrays, {"encoder": self.name, "preprocessing": self.preprocessing, "terms": terms})
        return self

    def encode(self, batch: Sequence[Content]) -> Vectors:
        """Vectors of shape (len(batch), dim).

        Raises:
            EncoderError: It is not fitted.
        """
        if self._fitted is None:
            raise EncoderError(f"{self.name}: is fitted on texts; call fit or load first")
        if not len(batch):
            return np.empty((0, self.dim), np.float32)
        found = self._fitted.weigh(_cut(batch)) @ self._arrays["rotation"].T.astype(np.float64)
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(length > 0, length, 1.0), np.float32)

    def save(self, path: Path) -> None:
        """Writes what was fitted, the vocabulary as JSON."""
        if self._fitted is None:
            raise EncoderError(f"{self.name}: is fitted on texts; there is nothing to save before fit")
        said = {"preprocessing": self.preprocessing, "components": self.components, "terms": self._terms}
        write_arrays(path, self.name, self._arrays, said)

    @classmethod
    def load(cls, path: Path) -> Self:
        """The encoder that `save` wrote.

        Raises:
            EncoderError: The file is no such encoder, or of another version of its terms.
        """
        arrays, said = read_arrays(path, cls.name)
        if said["preprocessing"] != cls.preprocessing:
            raise EncoderError(
                f"{path}: fitted on {said['preprocessing']}, this version makes {cls.preprocessing}; fit anew"
            )
        return cls(said["components"])._hold(said["terms"], arrays)


def _cut(contents: Sequence[Content]) -> list[str]:
    return [str(text)[:_CHARACTERS] for text in contents]
