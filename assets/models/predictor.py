"""A fitted forecaster kept as a bundle that knows what it was made for, and the forecasts that are asked of it.

A bundle is a folder under home/models with the model and a manifest. Nothing is fitted here, and features arrive as a frame.
"""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Self

import joblib
import numpy as np
import pandas as pd

from assets.models.columns import TEXT, Rows, Schema, last_level
from assets.models.forecasters import unavailable
from assets.models.intervals import LEVELS, IntervalForecaster, ProbabilityForecaster
from assets.models.provenance import provenance
from assets.models.task import Task
from resources.settings import cutoff_age

FOLDER, MODEL, MANIFEST, PROVENANCE = "models", "model.joblib", "manifest.json", "provenance.json"
Reply = dict[str, Any]


class ModelError(ValueError):
    """A bundle is absent, changed or made for other input; says which, and the remedy."""


class UnknownVideoError(KeyError):
    """There is no feature row of a video; names it."""

    def __str__(self) -> str:
        return str(self.args[0])


class UnknownFeatureError(ValueError):
    """An extra feature is not one of the model's, or has no usable value; names it."""


@dataclass(frozen=True)
class Manifest:
    """What a bundle was made for and from.

    Attributes:
        version: Name of the model and of its folder.
        source: Source of its rows.
        target: Target.
        cutoff: Cutoff.
        forecaster: Name of the forecaster.
        origin: Fitted on what had matured by then (ISO date).
        horizon_hours: Horizon of the target; None where it varies.
        n_train: Training rows.
        numeric: Numeric feature columns.
        categorical: Categorical feature columns.
        text: Whether it reads titles.
        channel: Whether it reads the channel's earlier outcomes.
        schema_fingerprint: Fingerprint of those columns.
        feature_fingerprint: Fingerprint of the code and settings that made the features.
        data_version: Version of the data.
        training_set_id: Frozen training set.
        run_id: Run that fitted it.
        sha256: Of the model file.
    """

    version: str
    source: str
    target: str
    cutoff: str
    forecaster: str
    origin: str
    horizon_hours: float | None
    n_train: int
    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    text: bool
    channel: bool
    schema_fingerprint: str
    feature_fingerprint: str
    data_version: str
    training_set_id: str
    run_id: str
    sha256: str

    @property
    def schema(self) -> Schema:
        """The feature columns."""
        return Schema(tuple(self.numeric), tuple(self.categorical), self.text, self.channel)


def save(
    home: Path,
    fitted: IntervalForecaster | ProbabilityForecaster,
    task: Task,
    train: pd.DataFrame,
    origin: date,
    *,
    feature_fingerprint: str,
    data_version: str,
    training_set_id: str,
    run_id: str,
    training_id: str | None = None,
) -> Manifest:
    """Write a bundle: complete or not at all.

    Args:
        home: The home.
        fitted: A learned forecaster, fitted on `train`.
        task: What it forecasts.
        train: Its training rows, of one source.
        origin: Everything in them had matured by then.
        feature_fingerprint: Fingerprint of what made the features.
        data_version: Version of the data.
        training_set_id: Where the rows are frozen.
        run_id: Run that fitted it.
        training_id: Training run that fitted it, which gives the bundle a name of its own; None for a backtest.

    Raises:
        ModelError: The forecaster is a naive one, or the rows are of several sources.
    """
    sources = sorted(set(train["source"]))
    if not fitted.forecaster.learned or len(sources) != 1:
        raise ModelError(f"{fitted.forecaster.name} on {sources}: only learned forecasters of one source are kept")
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft_", dir=folder))
    try:
        bundle = {"fitted": fitted, "trained_on": sorted(train["video_id"]), "level": _level_column(train)}
        joblib.dump(bundle | {"training_id": training_id}, draft / MODEL)
        sha256 = hashlib.sha256((draft / MODEL).read_bytes()).hexdigest()
        name = fitted.forecaster.name
        manifest = Manifest(
            version=f"{sources[0]}-{task.target}-{task.cutoff}-{name}-{origin}-{sha256[:12]}",
            source=sources[0],
            target=task.target,
            cutoff=task.cutoff,
            forecaster=name,
            origin=str(origin),
            horizon_hours=None if task.horizon is None else task.horizon / timedelta(hours=1),
            n_train=len(train),
            **asdict(fitted.schema),
            schema_fingerprint=fitted.schema.fingerprint,
            feature_fingerprint=feature_fingerprint,
            data_version=data_version,
            training_set_id=training_set_id,
            run_id=run_id,
            sha256=sha256,
        )
        (draft / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1, sort_keys=True))
        made_with = {"parameters": fitted.forecaster.get_params(deep=False), **provenance()}
        (draft / PROVENANCE).write_text(json.dumps(made_with, indent=1, default=str))
        final = folder / manifest.version
        shutil.rmtree(final, ignore_errors=True)
        os.replace(draft, final)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return manifest


def read_manifest(home: Path, version: str) -> Manifest:
    """The manifest of a bundle.

    Raises:
        ModelError: There is no such bundle.
    """
    path = home / FOLDER / version / MANIFEST
    if not path.exists():
        raise ModelError(f"no model {version!r} in {home / FOLDER}; `upswell evaluate` fits and keeps models")
    values = json.loads(path.read_text())
    return Manifest(**values | {name: tuple(values[name]) for name in ("numeric", "categorical")})


class Predictor:
    """Forecasts from one bundle for the videos of one frame, one at a time or many.

    Attributes:
        manifest: What the bundle was made for and from.
    """

    def __init__(self, manifest: Manifest, bundle: Mapping[str, Any], frame: pd.DataFrame) -> None:
        """Use `load`, which checks everything first."""
        self.manifest = manifest
        self._fitted: IntervalForecaster | ProbabilityForecaster = bundle["fitted"]
        self._trained_on = frozenset(bundle["trained_on"])
        self._level: str | None = bundle["level"]
        self._schema = manifest.schema
        self._rows = Rows.of(frame, self._schema)
        self._position = {str(video): position for position, video in enumerate(frame["video_id"])}
        self._column = {name: position for position, name in enumerate(self._schema.numeric)}
        self._as_of = [moment.isoformat() for moment in frame["as_of"]]

    @classmethod
    def load(cls, home: Path, version: str, frame: pd.DataFrame, feature_fingerprint: str) -> Self:
        """A predictor for the videos of a frame.

        Args:
            home: The home.
            version: Name of the model.
            frame: Feature rows of the model's source and cutoff.
            feature_fingerprint: Fingerprint of what made them.

        Raises:
            ModelError: The bundle is absent or changed, or was made for other input than the frame.
            SchemaError: The frame lacks a column; names it.
        """
        manifest = read_manifest(home, version)
        _refuse_other_input(manifest, frame, feature_fingerprint)
        if reason := unavailable(manifest.forecaster):
            raise ModelError(reason)
        path = home / FOLDER / version / MODEL
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != manifest.sha256:
            raise ModelError(
                f"{path} is absent or was changed after it was saved; fit it again with `upswell evaluate`"
            )
        return cls(manifest, joblib.load(path), frame)

    def forecasts(self) -> dict[str, np.ndarray[Any, Any]]:
        """The forecast of every row of the frame, in its order: `probability`, or `point`, `lower_50`, `upper_50`, ..."""
        return self._fitted.predict_rows(self._rows)

    def predict_score(self, video_id: str, extra_features: Mapping[str, Any] | None = None) -> Reply:
        """The forecast for one video.

        Args:
            video_id: A video of the frame.
            extra_features: Values that stand for those of the frame, by feature name; None is missing.

        Raises:
            UnknownVideoError: The frame has no such video.
            UnknownFeatureError: A name is not one of the model's features, or its value cannot be used.
        """
        return self._reply(video_id, self._fitted.predict_rows(self._row(video_id, extra_features)), 0)

    def predict_batch(
        self, video_ids: Sequence[str], extra_features: Sequence[Mapping[str, Any] | None] | None = None
    ) -> list[Reply]:
        """The forecasts for many videos, in their order; one bad input refuses the whole batch.

        Raises:
            UnknownVideoError: As for one.
            UnknownFeatureError: As for one.
            ValueError: There are not as many extras as videos.
        """
        if extra_features is not None and len(extra_features) != len(video_ids):
            raise ValueError(f"{len(extra_features)} extra features for {len(video_ids)} videos")
        if not video_ids:
            return []
        extras = extra_features if extra_features is not None else [None] * len(video_ids)
        rows = [self._row(video_id, extra) for video_id, extra in zip(video_ids, extras, strict=True)]
        columns = self._fitted.predict_rows(Rows.stack(rows))
        return [self._reply(video_id, columns, position) for position, video_id in enumerate(video_ids)]

    def vector(self, video_id: str, extra_features: Mapping[str, Any] | None = None) -> np.ndarray[Any, Any]:
        """The row of numbers that the estimator sees, of shape (1, columns)."""
        prepared = self._fitted.forecaster.matrix_.transform(self._row(video_id, extra_features))
        return np.asarray(prepared.toarray() if hasattr(prepared, "toarray") else prepared)

    def _row(self, video_id: str, extra_features: Mapping[str, Any] | None) -> Rows:
        position = self._position.get(video_id)
        if position is None:
            raise UnknownVideoError(
                f"no features of video {video_id!r} of {self.manifest.source} at {self.manifest.cutoff}"
            )
        row = self._rows.take(slice(position, position + 1))
        return self._with_extras(row, extra_features) if extra_features else row

    def _with_extras(self, row: Rows, extra_features: Mapping[str, Any]) -> Rows:
        numeric, level, titles, categorical = row.numeric.copy(), row.level.copy(), row.titles, dict(row.categorical)
        for name, value in extra_features.items():
            if name in self._column:
                numeric[0, self._column[name]] = _number(name, value)
                if name == self._level:
                    level[0] = numeric[0, self._column[name]]
            elif name in categorical:
                categorical[name] = np.array([_string(name, value)], dtype=object)
            elif name == TEXT and self._schema.text:
                titles = np.array([_string(name, value) or ""], dtype=object)
            else:
                raise UnknownFeatureError(
                    f"unknown feature {name!r}; the model reads {', '.join(self._schema.columns)}"
                )
        return Rows(numeric, categorical, titles, row.channels, level)

    def _reply(self, video_id: str, columns: Mapping[str, np.ndarray[Any, Any]], position: int) -> Reply:
        manifest = self.manifest
        reply: Reply = {
            "source": manifest.source,
            "video_id": video_id,
            "target": manifest.target,
            "cutoff": manifest.cutoff,
            "as_of": self._as_of[self._position[video_id]],
            "horizon_hours": manifest.horizon_hours,
            "model_version": manifest.version,
            "forecaster": manifest.forecaster,
            "origin": manifest.origin,
            "run_id": manifest.run_id,
            "data_version": manifest.data_version,
            "trained_on": video_id in self._trained_on,
        }
        if "probability" in columns:
            return reply | {"probability": float(columns["probability"][position])}
        bounds = {
            str(level): [float(columns[f"lower_{level}"][position]), float(columns[f"upper_{level}"][position])]
            for level in LEVELS
        }
        return reply | {"point": float(columns["point"][position]), "intervals": bounds}


def _refuse_other_input(manifest: Manifest, frame: pd.DataFrame, feature_fingerprint: str) -> None:
    if feature_fingerprint != manifest.feature_fingerprint:
        raise ModelError(
            f"{manifest.version} was made for features {manifest.feature_fingerprint}, these are {feature_fingerprint}; "
            "fit it again with `upswell evaluate`"
        )
    if others := sorted(set(frame["source"]) - {manifest.source}):
        raise ModelError(f"{manifest.version} is for {manifest.source}, not {', '.join(others)}")
    if ((frame["as_of"] - frame["anchor_at"]) != cutoff_age(manifest.cutoff)).any():
        raise ModelError(f"{manifest.version} is for rows as of {manifest.cutoff}; some rows are of another age")
    if repeated := frame["video_id"][frame["video_id"].duplicated()].tolist():
        raise ModelError(f"video {repeated[0]!r} has more than one row")
    manifest.schema.require(frame)


def _level_column(train: pd.DataFrame) -> str | None:
    """The feature that the last known level is a copy of, or None."""
    level = last_level(train)
    if np.isnan(level).all():
        return None
    names = Schema.of(train).numeric
    return next((name for name in names if np.array_equal(train[name].to_numpy(float), level, equal_nan=True)), None)


def _number(name: str, value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value):
        return float(value)
    raise UnknownFeatureError(f"feature {name!r} needs a number, not {value!r}; None stands for missing")


def _string(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise UnknownFeatureError(f"feature {name!r} needs a text, not {value!r}; None stands for missing")
