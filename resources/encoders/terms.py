"""TF-IDF of several kinds of terms side by side, fitted on texts and kept as plain lists and arrays, without pickle.

What is made of the weighted terms is for those who use them. scikit-learn is imported inside functions.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Analysers = Mapping[str, Mapping[str, Any]]
"""Per kind of terms what `sklearn.feature_extraction.text.TfidfVectorizer` is given."""


class Terms:
    """What turns texts into weighted terms.

    Args:
        analysers: The kinds of terms.
        terms: Of each kind, in the order of their columns.
        arrays: With `idf_<kind>`, float [terms], of each kind; may hold more.
    """

    def __init__(
        self, analysers: Analysers, terms: Mapping[str, list[str]], arrays: Mapping[str, np.ndarray[Any, Any]]
    ) -> None:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self._vectorizers = []
        for kind, given in analysers.items():
            columns = {term: column for column, term in enumerate(terms[kind])}
            vectorizer = TfidfVectorizer(**given, vocabulary=columns)
            vectorizer.idf_ = arrays[f"idf_{kind}"].astype(np.float64)
            self._vectorizers.append(vectorizer)

    @staticmethod
    def fit(
        analysers: Analysers, texts: Sequence[str]
    ) -> tuple[dict[str, list[str]], dict[str, np.ndarray[Any, Any]], Any]:
        """Terms and arrays, as the constructor takes them, and the weights of the texts: sparse [texts, terms of all kinds].

        Raises:
            ValueError: No term is in two of the texts.
        """
        from scipy.sparse import hstack
        from sklearn.feature_extraction.text import TfidfVectorizer

        terms, arrays, matrices = {}, {}, []
        for kind, given in analysers.items():
            vectorizer = TfidfVectorizer(**given, min_df=2)
            try:
                matrices.append(vectorizer.fit_transform(texts))
            except ValueError as error:
                raise ValueError(f"{len(texts)} texts have no term in common to fit on ({error})") from error
            terms[kind] = vectorizer.get_feature_names_out().tolist()
            arrays[f"idf_{kind}"] = vectorizer.idf_
        return terms, arrays, hstack(matrices, format="csr")

    def weigh(self, texts: Sequence[str]) -> Any:
        """The weights of texts: sparse [texts, terms of all kinds]."""
        from scipy.sparse import hstack

        return hstack([vectorizer.transform(texts) for vectorizer in self._vectorizers], format="csr")
