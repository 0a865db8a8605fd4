"""The learned forecasters of a number: Ridge, histogram gradient boosting (the default, and by modality) and LightGBM.

All of them prepare rows with what is fitted on training rows, and where a last known level exists they forecast the growth over
it. Parameters only in `__init__`; intervals are added by `intervals`.
"""

# scikit-learn ships no types, so its base classes are unknown to mypy.
# mypy: disallow-subclassing-any=False

from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted

from assets.models.columns import SCALARS, WORDS, Rows, Schema
from assets.models.preparation import BoosterMatrix, LinearMatrix
from assets.models.task import Kind, Task
from assets.models.trees import PackedTrees
from resources.settings import cutoff_age

Vector = np.ndarray[Any, np.dtype[np.float64]]


class LearnedRegressor(RegressorMixin, BaseEstimator):
    """What the learned ones share: schema, preparation, growth over the last known level.

    A subclass says how its matrix is made and what is fitted on it.

    Attributes:
        schema_: Feature columns of the training frame.
        matrix_: The fitted preparation.
        base_: What stands for the level where there is none.
        model_: The fitted estimator.
    """

    learned: ClassVar[bool] = True
    kind: ClassVar[Kind] = "regression"
    sees: ClassVar[frozenset[str]] = SCALARS
    name: ClassVar[str]

    @classmethod
    def exists_for(cls, task: Task) -> bool:
        """Whether this forecaster can be asked at all for a (target, cutoff)."""
        return task.kind == cls.kind

    def fit(self, X: pd.DataFrame, y: Vector) -> "LearnedRegressor":
        """Fit preparation and estimator on training rows."""
        self.schema_ = Schema.of(X, self.sees)
        rows, y = Rows.of(X, self.schema_), np.asarray(y, dtype=np.float64)
        self.base_ = float(y.mean())
        outcome = y - self._level(rows)
        self.matrix_ = self._new_matrix()
        prepared = self.matrix_.fit_transform(rows, self.schema_, outcome)
        self.model_ = self._new_model().fit(prepared, outcome)
        return self

    def predict(self, X: pd.DataFrame) -> Vector:
        """The forecast of every row."""
        check_is_fitted(self)
        return self.predict_rows(Rows.of(X, self.schema_))

    def predict_rows(self, rows: Rows) -> Vector:
        """The forecast of rows that are arrays already."""
        return np.asarray(self._predict_matrix(self.matrix_.transform(rows)) + self._level(rows), dtype=np.float64)

    def _level(self, rows: Rows) -> Vector:
        return np.where(np.isnan(rows.level), self.base_, rows.level)

    def _new_matrix(self) -> Any:
        raise NotImplementedError

    def _new_model(self) -> Any:
        raise NotImplementedError

    def _predict_matrix(self, prepared: Any) -> Vector:
        return np.asarray(self.model_.predict(prepared), dtype=np.float64)


class RidgeForecaster(LearnedRegressor):
    """Ridge on imputed and scaled numerics, missing flags, TF-IDF of the title and the channel prior."""

    name = "ridge"

    def __init__(
        self, alpha: float = 10.0, max_terms: int = 3000, smoothing: float = 5.0, random_state: int = 0
    ) -> None:
        self.alpha = alpha
        self.max_terms = max_terms
        self.smoothing = smoothing
        self.random_state = random_state

    def _new_matrix(self) -> LinearMatrix:
        return LinearMatrix(self.max_terms, self.smoothing, self.random_state)

    def _new_model(self) -> Ridge:
        return Ridge(self.alpha, solver="sparse_cg", tol=1e-4)


class HistGradientBoostingForecaster(LearnedRegressor):
    """scikit-learn's histogram gradient boosting on numerics with NaN, categories, title SVD and channel prior."""

    name = "hist_gradient_boosting"

    def __init__(
        self,
        learning_rate: float = 0.06,
        max_iter: int = 200,
        max_leaf_nodes: int = 12,
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

    def fit(self, X: pd.DataFrame, y: Vector) -> "HistGradientBoostingForecaster":
        """Fit, and pack the trees for single rows."""
        super().fit(X, y)
        self.trees_ = PackedTrees(self.model_)
        return self

    def _new_matrix(self) -> BoosterMatrix:
        return BoosterMatrix(self.components, self.max_terms, self.smoothing, self.random_state)

    def _new_model(self) -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(
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

    def _predict_matrix(self, prepared: Vector) -> Vector:
        if len(prepared) == 1:
            return np.array([self.trees_.raw(prepared[0])])
        return super()._predict_matrix(prepared)


class ScalarsBoosting(HistGradientBoostingForecaster):
    """The default without titles: what numbers, categories and the channel say alone."""

    name = "boosting_scalars"
    sees = frozenset({"scalars", "channel"})

    @classmethod
    def exists_for(cls, task: Task) -> bool:
        """Before the video's own counts are known, which would drown what its content says."""
        return task.kind == cls.kind and not task.has_level


class TextBoosting(ScalarsBoosting):
    """The default on nothing but text: title terms and text vectors."""

    name = "boosting_text"
    sees = frozenset({"title", "text"})


class ImageBoosting(ScalarsBoosting):
    """The default on nothing but pictures: image vectors and how the picture looks."""

    name = "boosting_image"
    sees = frozenset({"image"})


class AudioBoosting(ScalarsBoosting):
    """The default on nothing but sound: audio vectors and loudness."""

    name = "boosting_audio"
    sees = frozenset({"audio"})


class VideoBoosting(ScalarsBoosting):
    """The default on nothing but moving pictures: video vectors, motion and cuts."""

    name = "boosting_video"
    sees = frozenset({"video"})


TELLING = timedelta(hours=24)
"""Age until which words are asked: later, counts tell what comments would."""


class WordsBoosting(HistGradientBoostingForecaster):
    """The default that also sees what words tell: the emotions of title and comments, the transcript."""

    name = "boosting_words"
    sees = SCALARS | WORDS
    needs = WORDS

    @classmethod
    def exists_for(cls, task: Task) -> bool:
        """Where words say what counts do not show yet: before publication (at 0h they say no more), and in the first day."""
        return task.kind == cls.kind and task.cutoff != "0h" and cutoff_age(task.cutoff) <= TELLING


class TranscriptBoosting(ScalarsBoosting):
    """The default on nothing but the transcript: its length, rate and emotions."""

    name = "boosting_transcript"
    sees = frozenset({"transcript"})

    @classmethod
    def exists_for(cls, task: Task) -> bool:
        """Before publication alone: at 0h there is no other transcript."""
        return task.kind == cls.kind and task.cutoff == "pre"


class ContentBoosting(ScalarsBoosting):
    """The default on everything: scalars, fused vectors, how a video looks and sounds, its style, its neighbours' outcomes."""

    name = "boosting_all"
    sees = SCALARS | {"fused", "image", "audio", "video", "style", "neighbours"}


class LightGBMForecaster(LearnedRegressor):
    """LightGBM on the same matrix as the default."""

    name = "lightgbm"

    def __init__(
        self,
        learning_rate: float = 0.06,
        n_estimators: int = 200,
        num_leaves: int = 12,
        min_child_samples: int = 20,
        reg_lambda: float = 1.0,
        colsample_bytree: float = 0.4,
        components: int = 16,
        max_terms: int = 3000,
        smoothing: float = 5.0,
        random_state: int = 0,
    ) -> None:
        self.learning_rate = learning_rate
        self.n_estimators = n_estimators
        self.num_leaves = num_leaves
        self.min_child_samples = min_child_samples
        self.reg_lambda = reg_lambda
        self.colsample_bytree = colsample_bytree
        self.components = components
        self.max_terms = max_terms
        self.smoothing = smoothing
        self.random_state = random_state

    @staticmethod
    def unavailable() -> str | None:
        """Why LightGBM cannot run here, or None."""
        try:
            import lightgbm  # noqa: F401
        except (ImportError, OSError) as error:
            return f"LightGBM cannot be loaded ({error}); install libgomp (apt-get install libgomp1)"
        return None

    def _new_matrix(self) -> BoosterMatrix:
        return BoosterMatrix(self.components, self.max_terms, self.smoothing, self.random_state)

    def _new_model(self) -> Any:
        from lightgbm import LGBMRegressor

        return LGBMRegressor(
            learning_rate=self.learning_rate,
            n_estimators=self.n_estimators,
            num_leaves=self.num_leaves,
            min_child_samples=self.min_child_samples,
            reg_lambda=self.reg_lambda,
            colsample_bytree=self.colsample_bytree,
            max_bin=127,
            random_state=self.random_state,
            n_jobs=1,
            deterministic=True,
            force_row_wise=True,
            verbose=-1,
        )

    def _predict_matrix(self, prepared: Vector) -> Vector:
        threads = 1 if len(prepared) == 1 else 0
        return np.asarray(self.model_.booster_.predict(prepared, num_threads=threads), dtype=np.float64)
