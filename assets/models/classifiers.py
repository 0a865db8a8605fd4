"""The learned forecasters of a class (`viral_*`): TF-IDF with logistic regression, and boosting. Calibration is in `intervals`."""

# scikit-learn ships no types, so its base classes are unknown to mypy.
# mypy: disallow-subclassing-any=False

from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from assets.models.columns import SCALARS, Rows, Schema
from assets.models.preparation import BoosterMatrix, LinearMatrix
from assets.models.task import Kind, Task
from assets.models.trees import PackedTrees

Vector = np.ndarray[Any, np.dtype[np.float64]]


class LearnedClassifier(ClassifierMixin, BaseEstimator):
    """What the learned ones share: schema, preparation, a scoring function in log odds.

    Attributes:
        schema_: Feature columns of the training frame.
        matrix_: The fitted preparation.
        model_: The fitted estimator; None where the training rows have one class only.
    """

    learned: ClassVar[bool] = True
    kind: ClassVar[Kind] = "class"
    sees: ClassVar[frozenset[str]] = SCALARS
    name: ClassVar[str]

    @classmethod
    def exists_for(cls, task: Task) -> bool:
        """Whether this forecaster can be asked at all for a (target, cutoff)."""
        return task.kind == cls.kind

    def fit(self, X: pd.DataFrame, y: Vector) -> "LearnedClassifier":
        """Fit preparation and estimator on training rows labelled 0 and 1."""
        self.schema_ = Schema.of(X, self.sees)
        self.classes_ = np.array([0, 1])
        rows, y = Rows.of(X, self.schema_), np.asarray(y, dtype=np.float64)
        rate = float(np.clip(y.mean(), 1e-6, 1 - 1e-6))
        self.base_ = float(np.log(rate / (1 - rate)))
        self.matrix_ = self._new_matrix()
        prepared = self.matrix_.fit_transform(rows, self.schema_, y)
        self.model_: Any = self._new_model().fit(prepared, y.astype(int)) if 0 < y.mean() < 1 else None
        return self

    def decision_function(self, X: pd.DataFrame) -> Vector:
        """Log odds of the positive class."""
        check_is_fitted(self)
        return self.decision_rows(Rows.of(X, self.schema_))

    def decision_rows(self, rows: Rows) -> Vector:
        """Log odds of rows that are arrays already."""
        if self.model_ is None:
            return np.full(len(rows), self.base_)
        return self._decide(self.matrix_.transform(rows))

    def predict_proba(self, X: pd.DataFrame) -> Vector:
        """Probabilities of shape (rows, 2), uncalibrated."""
        positive = 1 / (1 + np.exp(-self.decision_function(X)))
        return np.column_stack([1 - positive, positive])

    def predict(self, X: pd.DataFrame) -> np.ndarray[Any, Any]:
        """The more likely class."""
        return np.asarray(self.classes_[(self.decision_function(X) >= 0).astype(int)])

    def _new_matrix(self) -> Any:
        raise NotImplementedError

    def _new_model(self) -> Any:
        raise NotImplementedError

    def _decide(self, prepared: Any) -> Vector:
        return np.asarray(self.model_.decision_function(prepared), dtype=np.float64)


class TfidfLogistic(LearnedClassifier):
    """Logistic regression on TF-IDF of the title, categories, and imputed and scaled numerics."""

    name = "tfidf_logistic"

    def __init__(self, C: float = 0.3, max_terms: int = 3000, smoothing: float = 5.0, random_state: int = 0) -> None:
        self.C = C
        self.max_terms = max_terms
        self.smoothing = smoothing
        self.random_state = random_state

    def _new_matrix(self) -> LinearMatrix:
        return LinearMatrix(self.max_terms, self.smoothing, self.random_state)

    def _new_model(self) -> LogisticRegression:
        return LogisticRegression(C=self.C, max_iter=300)


class HistGradientBoostingClassifierForecaster(LearnedClassifier):
    """scikit-learn's histogram gradient boosting on numerics with NaN, categories, title SVD and channel prior."""

    name = "hist_gradient_boosting_classifier"

    def __init__(
        self,
        learning_rate: float = 0.05,
        max_iter: int = 120,
        max_leaf_nodes: int = 8,
        min_samples_leaf: int = 20,
        l2_regularization: float = 1.0,
        max_features: float = 0.4,
        components: int = 16,
        max_terms: int = 3000,
        smoothing: float = 5.0,
        random_state: int = 0,
    ) -> None:
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_features = max_features
        self.components = components
        self.max_terms = max_terms
        self.smoothing = smoothing
        self.random_state = random_state

    def fit(self, X: pd.DataFrame, y: Vector) -> "HistGradientBoostingClassifierForecaster":
        """Fit, and pack the trees for single rows."""
        super().fit(X, y)
        self.trees_ = None if self.model_ is None else PackedTrees(self.model_)
        return self

    def _new_matrix(self) -> BoosterMatrix:
        return BoosterMatrix(self.components, self.max_terms, self.smoothing, self.random_state)

    def _new_model(self) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            max_features=self.max_features,
            max_bins=127,
            early_stopping=False,
            random_state=self.random_state,
        )

    def _decide(self, prepared: Vector) -> Vector:
        if len(prepared) == 1 and self.trees_ is not None:
            return np.array([self.trees_.raw(prepared[0])])
        return super()._decide(prepared)
