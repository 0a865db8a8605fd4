"""Forecasters made of forecasters: a blend, a stack, and a booster corrected per style. Asked for by name only.

What they learn from their members' forecasts they learn on rows that the member had not seen and that came later. The
members themselves are in `learned`; intervals are added by `intervals`.
"""

# scikit-learn ships no types, so its base classes are unknown to mypy.
# mypy: disallow-subclassing-any=False

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import Ridge
from sklearn.utils.validation import check_is_fitted

from assets.models.columns import SCALARS, Rows, Schema
from assets.models.learned import HistGradientBoostingForecaster, LearnedRegressor, RidgeForecaster
from assets.models.preparation import varies
from assets.models.task import Kind, Task

Vector = np.ndarray[Any, np.dtype[np.float64]]
Positions = np.ndarray[Any, np.dtype[np.intp]]
FOLDS = 3
MIN_EARLIER = 50
"""Rows that a member needs before it is asked about later ones."""


class Ensemble(RegressorMixin, BaseEstimator):
    """What they share: schema, members fitted on every row, and what the members say of later rows.

    Attributes:
        schema_: Feature columns of the training frame.
        members_: The members, fitted on every training row.
    """

    learned: ClassVar[bool] = True
    on_request: ClassVar[bool] = True
    kind: ClassVar[Kind] = "regression"
    sees: ClassVar[frozenset[str]] = SCALARS
    name: ClassVar[str]
    max_iter: int
    components: int
    max_terms: int
    gap_days: float
    random_state: int

    @classmethod
    def exists_for(cls, task: Task) -> bool:
        """Whether this forecaster can be asked at all for a (target, cutoff)."""
        return task.kind == cls.kind

    def fit(self, X: pd.DataFrame, y: Vector) -> "Ensemble":
        """Learn how the members are put together from later rows, then fit them on every row."""
        self.schema_ = Schema.of(X, self.sees)
        y, members = np.asarray(y, dtype=np.float64), self._members()
        later, said = out_of_fold(members, X, y, self.gap_days)
        self._learn(Rows.of(X.iloc[later], self.schema_), said, y[later])
        self.members_ = [clone(member).fit(X, y) for member in members]
        return self

    def predict(self, X: pd.DataFrame) -> Vector:
        """The forecast of every row."""
        check_is_fitted(self)
        return self.predict_rows(Rows.of(X, self.schema_))

    def predict_rows(self, rows: Rows) -> Vector:
        """The forecast of rows that are arrays already."""
        said = [member.predict_rows(narrowed(rows, self.schema_, member.schema_)) for member in self.members_]
        return self._combine(rows, np.column_stack(said))

    def _members(self) -> list[LearnedRegressor]:
        """Unfitted members."""
        return [RidgeForecaster(max_terms=self.max_terms, random_state=self.random_state), self._default()]

    def _default(self) -> HistGradientBoostingForecaster:
        return HistGradientBoostingForecaster(
            max_iter=self.max_iter,
            components=self.components,
            max_terms=self.max_terms,
            random_state=self.random_state,
        )

    def _learn(self, rows: Rows, said: Vector, y: Vector) -> None:
        """Learn from what the members said of later rows, of shape (rows, members)."""
        raise NotImplementedError

    def _combine(self, rows: Rows, said: Vector) -> Vector:
        raise NotImplementedError


class Blend(Ensemble):
    """A weighted mean of Ridge and the default; the weights are fitted by non-negative least squares on later rows.

    Args:
        max_iter: Trees of the default.
        components: Title components of the default.
        max_terms: Title terms of both.
        gap_days: Days that lie between the last row learned from and the first row forecast: an outcome takes that long.
        random_state: Seed of the members.

    Attributes:
        weights_: One per member; they sum to 1.
    """

    name = "blend"

    def __init__(
        self,
        max_iter: int = 200,
        components: int = 16,
        max_terms: int = 3000,
        gap_days: float = 7.0,
        random_state: int = 0,
    ) -> None:
        self.max_iter = max_iter
        self.components = components
        self.max_terms = max_terms
        self.gap_days = gap_days
        self.random_state = random_state

    def _learn(self, rows: Rows, said: Vector, y: Vector) -> None:
        found = nnls(said - y.mean(), y - y.mean())[0] if len(y) else np.zeros(len(self._members()))
        self.weights_ = found / found.sum() if found.sum() > 0 else np.full(len(found), 1 / len(found))

    def _combine(self, rows: Rows, said: Vector) -> Vector:
        return weighted(said, self.weights_)


class Stack(Ensemble):
    """Ridge regression on what Ridge and the default said of later rows (Wolpert 1992, "Stacked generalization").

    Args:
        alpha: Penalty of the weights.
        max_iter: As in `Blend`, as are those that follow.
        components: Title components.
        max_terms: Title terms.
        gap_days: Days between.
        random_state: Seed of the members.

    Attributes:
        weights_: One per member.
        intercept_: Added to their sum.
    """

    name = "stack"

    def __init__(
        self,
        alpha: float = 10.0,
        max_iter: int = 200,
        components: int = 16,
        max_terms: int = 3000,
        gap_days: float = 7.0,
        random_state: int = 0,
    ) -> None:
        self.alpha = alpha
        self.max_iter = max_iter
        self.components = components
        self.max_terms = max_terms
        self.gap_days = gap_days
        self.random_state = random_state

    def _learn(self, rows: Rows, said: Vector, y: Vector) -> None:
        if not len(y):
            self.weights_, self.intercept_ = np.full(len(self._members()), 1 / len(self._members())), 0.0
            return
        # shrunk towards the mean of the members, not towards nothing
        mean = said.mean(axis=1)
        model = Ridge(self.alpha).fit(said - mean[:, None], y - mean)
        self.weights_ = np.asarray(model.coef_ - model.coef_.mean() + 1 / said.shape[1])
        self.intercept_ = float(model.intercept_)

    def _combine(self, rows: Rows, said: Vector) -> Vector:
        return weighted(said, self.weights_) + self.intercept_


class StyleResiduals(Ensemble):
    """The default, corrected by a small booster per style that learned its errors on later rows.

    A style with fewer than `min_rows` such rows, and a video without a style, keep the default's forecast.

    Args:
        min_rows: Later rows that a style needs.
        trees: Of a small booster.
        max_iter: As in `Blend`, as are those that follow.
        components: Title components.
        max_terms: Title terms.
        gap_days: Days between.
        random_state: Seed of everything random.

    Attributes:
        corrections_: The small booster of each style, and the positions of its inputs.
    """

    name = "residual_by_style"
    sees = SCALARS | {"style"}
    needs: ClassVar[frozenset[str]] = frozenset({"style"})

    def __init__(
        self,
        min_rows: int = 60,
        trees: int = 40,
        max_iter: int = 200,
        components: int = 16,
        max_terms: int = 3000,
        gap_days: float = 7.0,
        random_state: int = 0,
    ) -> None:
        self.min_rows = min_rows
        self.trees = trees
        self.max_iter = max_iter
        self.components = components
        self.max_terms = max_terms
        self.gap_days = gap_days
        self.random_state = random_state

    def _members(self) -> list[LearnedRegressor]:
        return [self._default()]

    def _learn(self, rows: Rows, said: Vector, y: Vector) -> None:
        styles, inputs = self._styles(rows), self._inputs(rows, said)
        self.corrections_ = {}
        for style in sorted({style for style in styles if style is not None}):
            own = styles == style
            if own.sum() >= self.min_rows:
                columns = np.flatnonzero([varies(column) for column in inputs[own].T])
                booster = self._booster().fit(inputs[own][:, columns], (y - said[:, 0])[own])
                self.corrections_[str(style)] = (booster, columns)

    def _combine(self, rows: Rows, said: Vector) -> Vector:
        point, styles, inputs = said[:, 0].copy(), self._styles(rows), self._inputs(rows, said)
        for style, (booster, columns) in self.corrections_.items():
            own = styles == style
            if own.any():
                point[own] += booster.predict(inputs[own][:, columns])
        return point

    def _styles(self, rows: Rows) -> np.ndarray[Any, Any]:
        return rows.categorical.get("style", np.full(len(rows), None, dtype=object))

    def _inputs(self, rows: Rows, said: Vector) -> Vector:
        return np.column_stack([rows.numeric, said])

    def _booster(self) -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(
            learning_rate=0.05,
            max_iter=self.trees,
            max_leaf_nodes=4,
            min_samples_leaf=20,
            l2_regularization=5.0,
            early_stopping=False,
            random_state=self.random_state,
        )


def out_of_fold(
    members: list[LearnedRegressor], X: pd.DataFrame, y: Vector, gap_days: float
) -> tuple[Positions, Vector]:
    """What members say of rows that are later than all that they were fitted on.

    Args:
        members: Unfitted forecasters; they stay unfitted.
        X: Training rows with `as_of`.
        y: Their outcomes.
        gap_days: Days between the last row learned from and the first row forecast.

    Returns:
        Positions of the rows that were forecast, oldest first, and the forecasts, of shape (rows, members). None were where no
        block of rows has enough earlier ones.
    """
    positions: list[Positions] = []
    said: list[Vector] = []
    for earlier, block in time_folds(X, gap_days):
        fitted = [clone(member).fit(X.iloc[earlier], y[earlier]) for member in members]
        positions.append(block)
        said.append(np.column_stack([member.predict(X.iloc[block]) for member in fitted]))
    if not positions:
        return np.empty(0, dtype=np.intp), np.empty((0, len(members)))
    return np.concatenate(positions), np.concatenate(said)


def time_folds(X: pd.DataFrame, gap_days: float) -> Iterator[tuple[Positions, Positions]]:
    """Positions of earlier rows and of a block after them, for `FOLDS` blocks of equal size, oldest first."""
    moment = X["as_of"].to_numpy()
    order = np.lexsort((X["video_id"].to_numpy().astype(str), moment))
    for block in np.array_split(order, FOLDS + 1)[1:]:
        if not len(block):
            continue
        until = moment[block].min() - np.timedelta64(round(gap_days * 24 * 3600), "s")
        earlier = order[moment[order] <= until]
        if len(earlier) >= MIN_EARLIER:
            yield np.sort(earlier), block


def narrowed(rows: Rows, wide: Schema, narrow: Schema) -> Rows:
    """The rows of a schema as those of one that sees fewer columns."""
    if wide == narrow:
        return rows
    place = {name: position for position, name in enumerate(wide.numeric)}
    return Rows(
        np.ascontiguousarray(rows.numeric[:, [place[name] for name in narrow.numeric]]),
        {name: rows.categorical[name] for name in narrow.categorical},
        rows.titles,
        rows.channels,
        rows.level,
    )


def weighted(said: Vector, weights: Vector) -> Vector:
    """The weighted sum of columns; one row gives the same bits as in a batch, which a matrix product does not promise."""
    total = np.zeros(len(said))
    for column, weight in zip(said.T, weights, strict=True):
        total = total + weight * column
    return total
