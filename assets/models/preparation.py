"""What is fitted on training rows before an estimator sees a number: title space, categories, channel prior, matrices.

Each part prepares a single row by the same operations as a batch, so both give the same vector to the bit. No estimator of
an outcome is here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer

from assets.models.columns import Rows, Schema

Matrix = np.ndarray[Any, np.dtype[np.float64]]
WORDS = r"(?u)\b\w+\b"
PRIOR_FOLDS = 5


@dataclass(frozen=True)
class _FittedTitles:
    vectorizer: TfidfVectorizer | None
    components: Matrix
    coordinates: Matrix


@lru_cache(maxsize=32)
def _fit_titles(titles: tuple[str, ...], analyzer: str, max_features: int, components: int, seed: int) -> _FittedTitles:
    """TF-IDF of training titles, its leading right singular vectors, of shape (vocabulary, components), and their coordinates.

    A pure function of its arguments; remembered because the forecasters and cutoffs of an origin are fitted on the same titles.
    """
    form: dict[str, Any] = {"token_pattern": WORDS} if analyzer == "word" else {"ngram_range": (3, 3)}
    vectorizer = TfidfVectorizer(
        analyzer=analyzer, min_df=min(3, len(titles)), max_features=max_features, sublinear_tf=True, **form
    )
    nothing = np.zeros((len(titles), 0))
    try:
        weights = vectorizer.fit_transform(titles)
    except ValueError:  # no term occurs often enough
        return _FittedTitles(None, np.zeros((0, 0)), nothing)
    kept = min(components, weights.shape[1] - 1, weights.shape[0] - 1)
    if kept < 1:
        return _FittedTitles(vectorizer, np.zeros((weights.shape[1], 0)), nothing)
    svd = TruncatedSVD(kept, n_iter=4, random_state=seed).fit(weights)
    right = np.ascontiguousarray(svd.components_.T)
    return _FittedTitles(vectorizer, right, np.asarray(weights @ right))


@lru_cache(maxsize=8)
def _terms_of(vectorizer: TfidfVectorizer, titles: tuple[str, ...]) -> sparse.csr_matrix:
    """TF-IDF of titles; remembered because forecasters share a vectoriser, and forecast the same rows again and again."""
    return vectorizer.transform(titles)


class TitleSpace:
    """Titles as TF-IDF over the terms of training titles, and as its truncated SVD.

    Terms are words, or runs of three characters inside words (`char_wb`), which need no language and serve the SVD better.

    Attributes:
        vectorizer_: The fitted vectoriser; None where no term occurs often enough.
        components_: Right singular vectors, of shape (vocabulary, components).
    """

    def __init__(self, max_features: int, components: int, seed: int, analyzer: str = "word") -> None:
        self.max_features, self.components, self.seed, self.analyzer = max_features, components, seed, analyzer

    def fit(self, titles: np.ndarray[Any, Any]) -> "TitleSpace":
        """Learn terms, weights and directions."""
        self.fit_transform(titles)
        return self

    def fit_transform(self, titles: np.ndarray[Any, Any]) -> Matrix:
        """Learn terms, weights and directions; return the coordinates of the titles, of shape (rows, components)."""
        fitted = _fit_titles(tuple(titles), self.analyzer, self.max_features, self.components, self.seed)
        self.vectorizer_, self.components_ = fitted.vectorizer, fitted.components
        return fitted.coordinates

    def terms(self, titles: np.ndarray[Any, Any]) -> sparse.csr_matrix:
        """TF-IDF of shape (rows, vocabulary)."""
        if self.vectorizer_ is None:
            return sparse.csr_matrix((len(titles), 0))
        return _terms_of(self.vectorizer_, tuple(titles))

    def transform(self, titles: np.ndarray[Any, Any]) -> Matrix:
        """Coordinates of shape (rows, components)."""
        if not self.components_.shape[1]:
            return np.zeros((len(titles), 0))
        return np.asarray(self.terms(titles) @ self.components_)


class Categories:
    """Strings as codes by order of frequency in training; NaN where missing or never seen.

    Attributes:
        codes_: Code of each kept category.
    """

    def __init__(self, most: int) -> None:
        self.most = most

    def fit(self, values: np.ndarray[Any, Any]) -> "Categories":
        """Learn the most frequent values (ties by name)."""
        present = np.array([value for value in values if value is not None], dtype=str)
        names, counts = np.unique(present, return_counts=True)
        order = np.lexsort((names, -counts))[: self.most]
        self.codes_ = {str(names[i]): float(code) for code, i in enumerate(order)}
        return self

    def transform(self, values: np.ndarray[Any, Any]) -> Matrix:
        """Codes of shape (rows, 1)."""
        return np.array([self.codes_.get(value, np.nan) for value in values], dtype=np.float64).reshape(-1, 1)


class ChannelPrior:
    """Smoothed mean outcome of a channel's training rows, shrunk to the mean of all: (sum + m * mean) / (count + m).

    A training row gets the prior that the other folds give it, so that it never sees its own outcome (Micci-Barreca 2001, cross-fitted).

    Attributes:
        mean_: Mean of all training outcomes.
        priors_: Prior of each channel.
    """

    def __init__(self, smoothing: float, seed: int) -> None:
        self.smoothing, self.seed = smoothing, seed

    def fit_transform(self, channels: np.ndarray[Any, Any], outcome: Matrix) -> Matrix:
        """Fit on training rows; return their cross-fitted priors, of shape (rows, 1)."""
        known = np.array([channel is not None for channel in channels], dtype=bool)
        names, code = np.unique(np.array([channel or "" for channel in channels], dtype=str), return_inverse=True)
        fold = np.random.default_rng(self.seed).permutation(len(outcome)) % PRIOR_FOLDS
        cell, shape = fold * len(names) + code, (PRIOR_FOLDS, len(names))
        counts = np.bincount(cell, minlength=PRIOR_FOLDS * len(names)).reshape(shape).astype(np.float64)
        totals = np.bincount(cell, weights=outcome, minlength=PRIOR_FOLDS * len(names)).reshape(shape)
        count, total = counts.sum(axis=0), totals.sum(axis=0)
        self.mean_ = float(outcome.mean())
        self.priors_ = {
            str(name): float(prior)
            for name, prior in zip(names, self._shrunk(total, count, self.mean_), strict=True)
            if name
        }
        fold_count, fold_total = counts.sum(axis=1), totals.sum(axis=1)
        others = np.maximum(len(outcome) - fold_count, 1)
        mean = np.where(len(outcome) > fold_count, (outcome.sum() - fold_total) / others, self.mean_)[fold]
        prior = self._shrunk(total[code] - totals[fold, code], count[code] - counts[fold, code], mean)
        return np.where(known, prior, mean).reshape(-1, 1)

    def transform(self, channels: np.ndarray[Any, Any]) -> Matrix:
        """Priors of shape (rows, 1); the mean of all for a channel never seen."""
        return np.array([self.priors_.get(channel, self.mean_) for channel in channels], dtype=np.float64).reshape(
            -1, 1
        )

    def _shrunk(self, total: Any, count: Any, mean: Any) -> Any:
        return (total + self.smoothing * mean) / (count + self.smoothing)


class BoosterMatrix:
    """Rows as one dense matrix for trees: numerics with NaN, category codes, title coordinates, channel prior.

    Attributes:
        columns_: Positions of the numeric columns that vary in training.
        titles_: The fitted titles; None where the schema does not read them. The same for `prior_`.
        names_: Name of every column of the matrix.
    """

    def __init__(self, components: int = 16, max_terms: int = 3000, smoothing: float = 5.0, seed: int = 0) -> None:
        self.components, self.max_terms, self.smoothing, self.seed = components, max_terms, smoothing, seed

    def fit_transform(self, rows: Rows, schema: Schema, outcome: Matrix) -> Matrix:
        """Fit on training rows; return their matrix, of shape (rows, len(names_))."""
        self.columns_ = np.flatnonzero([varies(rows.numeric[:, i]) for i in range(rows.numeric.shape[1])])
        self.categories_ = _fit_categories(rows, most=200)
        self.titles_, self.prior_, parts = None, None, []
        if schema.text:
            self.titles_ = TitleSpace(self.max_terms, self.components, self.seed, "char_wb")
            parts.append(self.titles_.fit_transform(rows.titles))
        if schema.channel:
            self.prior_ = ChannelPrior(self.smoothing, self.seed)
            parts.append(self.prior_.fit_transform(rows.channels, outcome))
        self.names_ = (
            *(schema.numeric[i] for i in self.columns_),
            *self.categories_,
            *(f"title_{i}" for i in range(self.titles_.components_.shape[1] if self.titles_ else 0)),
            *(("channel_prior",) if self.prior_ else ()),
        )
        return self._assemble(rows, parts)

    def transform(self, rows: Rows) -> Matrix:
        """The matrix of further rows."""
        titles = [self.titles_.transform(rows.titles)] if self.titles_ else []
        prior = [self.prior_.transform(rows.channels)] if self.prior_ else []
        return self._assemble(rows, [*titles, *prior])

    def _assemble(self, rows: Rows, fitted: list[Matrix]) -> Matrix:
        coded = [codes.transform(rows.categorical[name]) for name, codes in self.categories_.items()]
        return np.hstack([rows.numeric[:, self.columns_], *coded, *fitted])


class LinearMatrix:
    """Rows as one sparse matrix for linear models: imputed and scaled numerics, missing flags, TF-IDF words, channel prior.

    Attributes:
        columns_: Positions of the numeric columns that vary in training.
        flagged_: Which of those are ever missing in training.
        center_: Training medians, which stand for missing values.
        scale_: Training standard deviations.
    """

    def __init__(self, max_terms: int = 3000, smoothing: float = 5.0, seed: int = 0, prior: bool = True) -> None:
        self.max_terms, self.smoothing, self.seed, self.prior = max_terms, smoothing, seed, prior

    def fit_transform(self, rows: Rows, schema: Schema, outcome: Matrix) -> sparse.csr_matrix:
        """Fit on training rows; return their matrix."""
        self.columns_ = np.flatnonzero([varies(rows.numeric[:, i]) for i in range(rows.numeric.shape[1])])
        numeric = rows.numeric[:, self.columns_]
        self.flagged_ = np.isnan(numeric).any(axis=0)
        self.center_ = _columnwise(numeric, np.median, 0.0)
        self.scale_ = np.maximum(_columnwise(numeric, np.std, 1.0), 1e-9)
        self.titles_ = TitleSpace(self.max_terms, 0, self.seed).fit(rows.titles)
        self.categories_ = _fit_categories(rows, most=30)
        self.prior_ = ChannelPrior(self.smoothing, self.seed)
        prior = self.prior_.fit_transform(rows.channels, outcome)
        self.prior_scale_ = max(float(prior.std()), 1e-9)
        return self._assemble(rows, prior)

    def transform(self, rows: Rows) -> sparse.csr_matrix:
        """The matrix of further rows."""
        return self._assemble(rows, self.prior_.transform(rows.channels))

    def _assemble(self, rows: Rows, prior: Matrix) -> sparse.csr_matrix:
        numeric = rows.numeric[:, self.columns_]
        missing = np.isnan(numeric)
        scaled = np.clip((np.where(missing, self.center_, numeric) - self.center_) / self.scale_, -6, 6)
        coded = [
            codes.transform(rows.categorical[name]) == np.arange(len(codes.codes_))
            for name, codes in self.categories_.items()
        ]
        dense = [scaled, missing[:, self.flagged_], *coded]
        if self.prior:
            dense.append((prior - self.prior_.mean_) / self.prior_scale_)
        return sparse.hstack(
            [sparse.csr_matrix(np.hstack(dense, dtype=np.float64)), self.titles_.terms(rows.titles)]
        ).tocsr()


def _fit_categories(rows: Rows, most: int) -> dict[str, Categories]:
    """The fitted categories; one that is never filled in training says nothing and is left out."""
    fitted = {name: Categories(most).fit(values) for name, values in rows.categorical.items()}
    return {name: categories for name, categories in fitted.items() if categories.codes_}


def varies(values: Matrix) -> bool:
    """Whether a column says anything: two different values, or some missing and some not."""
    present = values[~np.isnan(values)]
    return bool(present.size) and (present.size < values.size or bool((present != present[0]).any()))


def _columnwise(numeric: Matrix, statistic: Callable[[Matrix], Any], empty: float) -> Matrix:
    columns = (column[~np.isnan(column)] for column in numeric.T)
    return np.array([float(statistic(column)) if column.size else empty for column in columns])
