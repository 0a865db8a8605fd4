"""The fusion network as forecasters: of a number, and of a class. Parameters only in `__init__`; torch only while fitting.

How it is built and trained is in the modules beside this one; intervals and calibration are added by `assets.models.intervals`.
"""

# scikit-learn ships no types, so its base classes are unknown to mypy.
# mypy: disallow-subclassing-any=False

import importlib.util
import json
from typing import Any, ClassVar, NoReturn

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from assets.models.classifiers import LearnedClassifier
from assets.models.columns import SCALARS, Rows, Schema
from assets.models.fit_run import current_run
from assets.models.learned import LearnedRegressor
from assets.models.network.batches import DivergedError, NetworkMatrix
from assets.models.network.preset import Preset, load_preset
from assets.models.network.serving import outputs
from assets.models.network.titles import TitleEncoder
from assets.models.task import Kind

Vector = np.ndarray[Any, np.dtype[np.float64]]
DIVERGED = "diverged.json"


class NetworkParameters:
    """What both share: parameters, preparation, training, and what a head says.

    Args:
        preset: `small`, `miles`, `western`, or the path of a YAML file.
        fusion: Instead of the preset's, as all that follow.
        modalities: Towers.
        learning_rate: Peak.
        weight_decay: Of AdamW.
        dropout: Of every hidden layer.
        batch_size: Rows per step.
        epochs: At most.
        random_state: Seed of everything random.

    Attributes:
        preset_: The preset with the parameters in place of its own values.
        weights_: Fitted weights.
        curve_: Losses of every epoch.
        precision_: `fp32`, or `bf16` where it was trained so.
        center_: Mean of the training outcomes that the point head was standardised with; `spread_` their deviation.
    """

    sees: ClassVar[frozenset[str]] = SCALARS | {"text", "image", "audio", "video"}
    needs: ClassVar[frozenset[str]] = frozenset()
    on_request: ClassVar[bool] = True
    uses_device: ClassVar[bool] = True
    kind: ClassVar[Kind]
    schema_: Schema

    def __init__(
        self,
        preset: str = "small",
        fusion: str | None = None,
        modalities: tuple[str, ...] | None = None,
        learning_rate: float | None = None,
        weight_decay: float | None = None,
        dropout: float | None = None,
        batch_size: int | None = None,
        epochs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.preset = preset
        self.fusion = fusion
        self.modalities = modalities
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.batch_size = batch_size
        self.epochs = epochs
        self.random_state = random_state

    @staticmethod
    def unavailable() -> str | None:
        """Why it cannot be fitted here, or None."""
        if importlib.util.find_spec("torch") is None:
            return "the fusion network is trained by torch, which is not installed; pip install 'upswell[network]'"
        return None

    def _chosen(self) -> Preset:
        """The preset with the parameters in place of its own values."""
        return load_preset(self.preset).with_overrides(
            fusion=self.fusion,
            modalities=self.modalities,
            learning_rate=self.learning_rate,
            weight_decay=self.weight_decay,
            dropout=self.dropout,
            batch_size=self.batch_size,
            epochs=self.epochs,
        )

    def _learn(self, rows: Rows, outcome: Vector, measured: Vector | None, ids: list[str]) -> None:
        """Fit preparation and network on rows, oldest first."""
        from assets.models.network.training import Lesson, learn

        preset = self.preset_ = self._chosen()
        stage = preset.fine_tune
        self.matrix_ = NetworkMatrix(
            preset.modalities,
            preset.title_components,
            preset.max_terms,
            preset.smoothing,
            self.random_state,
            TitleEncoder(stage.encoder, stage.weights) if stage else None,
        )
        prepared = self.matrix_.fit_transform(rows, self.schema_, outcome)
        self.center_, self.spread_ = _moments(outcome) if self.kind == "regression" else (0.0, 1.0)
        lesson = Lesson(
            self.kind,
            prepared,
            (outcome - self.center_) / self.spread_,
            self.spread_,
            None if measured is None else (measured - _moments(measured)[0]) / _moments(measured)[1],
            rows.titles,
        )
        try:
            learned = learn(lesson, self.matrix_, preset, self.random_state)
        except DivergedError as error:
            _name_rows(error, ids)
        self.weights_, self.curve_, self.precision_ = learned.weights, learned.curve, learned.precision

    def _said(self, rows: Rows, head: str) -> Vector:
        said = outputs(self.weights_, self.matrix_.towers_, self.matrix_.transform(rows), head)
        return said.astype(np.float64) * self.spread_ + self.center_


class FusionNetworkForecaster(NetworkParameters, LearnedRegressor):
    """The fusion network of a number; where a last known level exists it forecasts the growth over it."""

    name = "fusion_network"
    kind: ClassVar[Kind] = "regression"

    def fit(self, X: pd.DataFrame, y: Vector) -> "FusionNetworkForecaster":
        """Fit preparation and network on training rows; the latest of them only say when to stop.

        Raises:
            ValueError: There are too few rows, an outcome is no number, or the loss was not finite; names the rows.
            StoppedError: The current run was asked to stop.
        """
        order = _by_time(X)
        X, y = X.iloc[order], np.asarray(y, dtype=np.float64)[order]
        _refuse_unknown(y, _ids(X))
        self.schema_ = Schema.of(X, self.sees)
        rows = Rows.of(X, self.schema_)
        self.base_ = float(y.mean())
        self._learn(rows, y - self._level(rows), None, _ids(X))
        return self

    def predict_rows(self, rows: Rows) -> Vector:
        """The forecast of rows that are arrays already."""
        return self._said(rows, "point")[:, 0] + self._level(rows)

    def predict_quantiles(self, X: pd.DataFrame) -> Vector:
        """The preset's quantiles of every row, rising, of shape (rows, quantiles). Not calibrated; intervals are conformal.

        Crossing ones are put in order (Chernozhukov et al. 2010).
        """
        check_is_fitted(self)
        rows = Rows.of(X, self.schema_)
        return np.sort(self._said(rows, "quantiles"), axis=1) + self._level(rows)[:, None]


class FusionNetworkClassifierForecaster(NetworkParameters, LearnedClassifier):
    """The fusion network of a class; given what the class was made of, it learns that beside it."""

    name = "fusion_network_classifier"
    kind: ClassVar[Kind] = "class"

    def fit(self, X: pd.DataFrame, y: Vector, measured: Vector | None = None) -> "FusionNetworkClassifierForecaster":
        """Fit preparation and network on training rows labelled 0 and 1; the latest of them only say when to stop.

        Args:
            X: Training rows.
            y: 0 or 1.
            measured: The number that the label is a percentile of; None leaves that head out.

        Raises:
            ValueError: There are too few rows, an outcome is no number, or the loss was not finite; names the rows.
            StoppedError: The current run was asked to stop.
        """
        order = _by_time(X)
        X, y = X.iloc[order], np.asarray(y, dtype=np.float64)[order]
        self.schema_ = Schema.of(X, self.sees)
        self.classes_ = np.array([0, 1])
        rate = float(np.clip(y.mean(), 1e-6, 1 - 1e-6))
        self.base_ = float(np.log(rate / (1 - rate)))
        self.two_classes_ = bool(0 < y.mean() < 1)
        if self.two_classes_:
            number = None if measured is None else np.asarray(measured, dtype=np.float64)[order]
            _refuse_unknown(y if number is None else number, _ids(X))
            self._learn(Rows.of(X, self.schema_), y, number, _ids(X))
        return self

    def decision_rows(self, rows: Rows) -> Vector:
        """Log odds of rows that are arrays already."""
        if not self.two_classes_:
            return np.full(len(rows), self.base_)
        return self._said(rows, "point")[:, 0]


def _by_time(X: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Positions of the rows, oldest forecast moment first; as they come where the frame has no times."""
    if "as_of" not in X.columns:
        return np.arange(len(X))
    moment = X["as_of"].to_numpy()
    return np.lexsort((X["video_id"].to_numpy().astype(str), moment) if "video_id" in X.columns else (moment,))


def _ids(X: pd.DataFrame) -> list[str]:
    return [str(each) for each in (X["video_id"] if "video_id" in X.columns else X.index)]


def _refuse_unknown(outcome: Vector, ids: list[str]) -> None:
    """Stops at outcomes that are no numbers, of which no batch would be innocent once they are standardised.

    Raises:
        ValueError: Names some of the rows.
    """
    if unknown := [ids[position] for position in np.flatnonzero(~np.isfinite(outcome))]:
        raise ValueError(
            f"the outcome of {len(unknown)} training rows is no finite number (videos {', '.join(unknown[:3])}); leave them out"
        )


def _moments(values: Vector) -> tuple[float, float]:
    return float(values.mean()), max(float(values.std()), 1e-9)


def _name_rows(error: DivergedError, ids: list[str]) -> NoReturn:
    """Raises the error with the batch's videos in it; all of them are kept beside the checkpoints.

    Raises:
        ValueError: Always.
    """
    videos = sorted(ids[position] for position in error.positions)
    folder, where = current_run().checkpoints, ""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DIVERGED).write_text(json.dumps({"step": error.step, "video_ids": videos}, indent=1))
        where = f", all of them in {folder / DIVERGED}"
    raise ValueError(
        f"{error}: videos {', '.join(videos[:3])} and {max(len(videos) - 3, 0)} more{where}; "
        "look at their features, or lower learning_rate"
    ) from error
