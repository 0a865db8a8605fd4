"""Audits what was fitted: everything that a forecaster learned is learned again from its training rows and compared to the bit.

A mean, scale, vocabulary, prior, threshold or tree that saw another row differs, and is named by attribute and column. Whether
the training rows themselves are honest is for `audit`.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import joblib
import numpy as np
import pandas as pd
from scipy import sparse
from threadpoolctl import threadpool_limits

from assets.evaluations.audit import Difference
from assets.evaluations.backtest import Fitted, fit
from assets.models.columns import Schema
from assets.models.labels import ViralLabel
from assets.models.predictor import FOLDER, MODEL, read_manifest
from assets.models.task import Task
from assets.models.training_set import thaw
from resources.settings import Settings
from warehouse.connection import Warehouse

_OF_ORIGIN = "source = $source AND target = $target AND cutoff = $cutoff AND origin = $origin::DATE AND split = 'time'"
MOST = 5
"""Differences that are told of one attribute."""
# What estimators of scikit-learn keep under private names and learn all the same.
_LEARNED_PRIVATELY = frozenset({"_tfidf", "_predictors", "_baseline_prediction", "_bin_mapper"})
_DERIVED = frozenset({"trees_"})  # the trees once more, packed
Finding = tuple[str, Any, Any]


def audit_fit(fitted: Fitted, task: Task, train: pd.DataFrame, seed: int = 0) -> list[Difference]:
    """What a fitted forecaster would not have learned from its training rows alone.

    Args:
        fitted: The forecaster with its intervals or calibration; it is fitted again with its own parameters.
        task: What it forecasts.
        train: Its training rows as the stored split has them, in the order of the frame.
        seed: Seed that it was fitted with.
    """
    name = fitted.forecaster.name
    with threadpool_limits(1):
        again = fit(name, task, train, seed, fitted.forecaster.get_params())
    source = ", ".join(sorted(set(train["source"])))
    return [
        Difference(source, "", task.cutoff, f"models.{name}", path, expected, found)
        for path, expected, found in _differences("", again, fitted, fitted.schema)
    ]


def audit_threshold(stored: float, task: Task, train: pd.DataFrame) -> list[Difference]:
    """Whether the threshold of a class is the percentile of its training rows."""
    expected = ViralLabel.of(task).fit(train).threshold_
    if expected == stored:
        return []
    source = ", ".join(sorted(set(train["source"])))
    return [Difference(source, "", task.cutoff, "evaluations.predictions", "threshold", expected, stored)]


def audit_version(warehouse: Warehouse, settings: Settings, version: str, seed: int = 0) -> list[Difference]:
    """A kept model against the stored split: who was in its fit, and what it learned from them.

    Raises:
        ModelError: There is no such model.
        TrainingSetError: Its training set is absent or was changed.
    """
    manifest = read_manifest(warehouse.home, version)
    bundle = joblib.load(warehouse.home / FOLDER / version / MODEL)
    frozen = thaw(warehouse.home, manifest.training_set_id)
    task = Task.of(settings, manifest.target, manifest.cutoff)
    of = {name: getattr(manifest, name) for name in ("source", "target", "cutoff", "origin")}
    stored = warehouse.query(f"SELECT video_id FROM evaluations.splits WHERE {_OF_ORIGIN} AND role = 'train'", of)
    trained_on = {*bundle["trained_on"], *frozen["video_id"]}
    split = set(stored["video_id"].to_pylist())
    found = [
        Difference(
            manifest.source, video, task.cutoff, "models.versions", "trained_on", video in split, video in trained_on
        )
        for video in sorted(trained_on ^ split)
    ]
    train = frozen[frozen["video_id"].isin(split)].sort_values(["anchor_at", "video_id"], ignore_index=True)
    if task.kind == "class":
        found += [
            fault for threshold in _thresholds(warehouse, of) for fault in audit_threshold(threshold, task, train)
        ]
    return found + audit_fit(bundle["fitted"], task, train, seed)


def _thresholds(warehouse: Warehouse, of: Mapping[str, Any]) -> list[float]:
    """Every threshold that the stored forecasts of an origin were labelled with."""
    stored = warehouse.query(
        f"SELECT DISTINCT threshold FROM evaluations.predictions WHERE {_OF_ORIGIN} AND threshold IS NOT NULL", of
    )
    return [float(value) for value in stored["threshold"].to_pylist()]


def _differences(path: str, expected: Any, found: Any, schema: Schema) -> Iterator[Finding]:
    """Walks two fitted objects side by side."""
    if type(expected) is not type(found):
        yield path, _short(expected), _short(found)
    elif isinstance(expected, np.ndarray):
        yield from islice(_array_differences(path, expected, found, None), MOST)
    elif sparse.issparse(expected):
        yield from _differences(path, expected.toarray(), found.toarray(), schema)
    elif isinstance(expected, Mapping):
        yield from islice(_mapping_differences(path, expected, found, schema), MOST)
    elif isinstance(expected, (list, tuple)):
        yield from islice(_sequence_differences(path, expected, found, schema), MOST)
    elif hasattr(type(expected), "booster_"):  # LightGBM says all it knows in one text
        if expected.booster_.model_to_string() != found.booster_.model_to_string():
            yield f"{path}.booster_", "trees", "other trees"
    elif hasattr(expected, "__dict__") and not callable(expected):
        yield from _object_differences(path, expected, found, schema)
    elif isinstance(expected, (bool, int, float, str, np.generic)) and repr(expected) != repr(found):
        yield path, expected, found


def _object_differences(path: str, expected: Any, found: Any, schema: Schema) -> Iterator[Finding]:
    one, other = _learned(expected), _learned(found)
    for name in sorted(one.keys() | other.keys()):
        at = f"{path}.{name}" if path else name
        if name not in one or name not in other:
            yield at, _short(one.get(name)), _short(other.get(name))
        elif name == "_predictors":
            if _nodes(one[name]) != _nodes(other[name]):
                yield at, "trees", "other trees"
        elif isinstance(one[name], np.ndarray) and name in ("center_", "scale_", "flagged_"):
            columns = [schema.numeric[i] for i in expected.columns_]
            yield from islice(_array_differences(at, one[name], other[name], columns), MOST)
        else:
            yield from _differences(at, one[name], other[name], schema)


def _learned(fitted: Any) -> dict[str, Any]:
    """What an object learned: of scikit-learn's only what its convention marks, of ours all that is public."""
    theirs = type(fitted).__module__.startswith("sklearn.")
    return {
        name: value
        for name, value in vars(fitted).items()
        if name in _LEARNED_PRIVATELY
        or (not name.startswith("_") and name not in _DERIVED and (name.endswith("_") or not theirs))
    }


def _nodes(predictors: Any) -> list[bytes]:
    return [tree.nodes.tobytes() for stage in predictors for tree in stage]


def _array_differences(path: str, expected: Any, found: Any, names: Sequence[str] | None) -> Iterator[Finding]:
    if expected.shape != found.shape or expected.dtype != found.dtype:
        yield path, f"{expected.dtype}{list(expected.shape)}", f"{found.dtype}{list(found.shape)}"
    elif expected.dtype == object or expected.tobytes() != found.tobytes():
        for position in np.ndindex(expected.shape):
            if repr(expected[position]) != repr(found[position]):
                where = names[position[0]] if names else ", ".join(map(str, position))
                yield f"{path}[{where}]", expected[position], found[position]


def _mapping_differences(path: str, expected: Any, found: Any, schema: Schema) -> Iterator[Finding]:
    for key in sorted(expected.keys() | found.keys(), key=repr):
        if key not in expected or key not in found:
            yield f"{path}[{key!r}]", _short(expected.get(key)), _short(found.get(key))
        else:
            yield from _differences(f"{path}[{key!r}]", expected[key], found[key], schema)


def _sequence_differences(path: str, expected: Any, found: Any, schema: Schema) -> Iterator[Finding]:
    if len(expected) != len(found):
        yield path, f"{len(expected)} parts", f"{len(found)} parts"
        return
    for position, (one, other) in enumerate(zip(expected, found, strict=True)):
        yield from _differences(f"{path}[{position}]", one, other, schema)


def _short(value: Any) -> Any:
    return value if value is None or isinstance(value, (bool, int, float, str)) else type(value).__name__
