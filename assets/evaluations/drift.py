"""How far what is seen now is from what a champion was trained on: its error on new labels, its features, its content.

Distances of samples first, as functions of arrays, then the rows of `evaluations.drift`. What a distance is taken to mean is
for `trigger`. P-values are not given: at these sizes any difference is significant, the distance says how large it is.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from assets.evaluations.grid import Cell
from assets.evaluations.ledger import Guard
from assets.evaluations.rows import as_arrow
from assets.evaluations.scored_forecasts import log_loss
from assets.evaluations.served import frame_as_of, with_forecasts
from assets.models.columns import group_of
from assets.models.labels import ViralLabel
from assets.models.predictor import ModelError, read_manifest
from assets.models.registry import CHAMPION, aliased
from assets.models.task import Task
from assets.models.training_set import thaw
from resources import clock
from resources.settings import Settings, midnight
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

TABLE = "evaluations.drift"
WHOLE = "all"
BINS = 10
RARE = 0.01
"""Categories with a smaller share of the training rows are one bin with those never seen."""
FREQUENCIES = 256
BANDWIDTH_ROWS = 500
VECTORS = frozenset({"text", "image", "audio", "video", "fused"})
"""Groups of content whose columns are compared together, as vectors."""
OF_THE_DAY = frozenset(
    {column.name for column in table("features.context").columns} | {"anchor_weekday", "anchor_weekend"}
)
"""Columns that all videos of a day share: over a few days they differ from any longer time, whatever happens."""
Vector = np.ndarray[Any, np.dtype[np.float64]]


def psi(reference: Vector, recent: Vector, bins: int = BINS) -> float:
    """Population stability index over the quantile bins of the reference; missing values are a bin of their own.

    Sum of (p - q) ln(p / q) over the bins' shares (Siddiqi 2006, "Credit Risk Scorecards", ch. 8; the symmetric Kullback-Leibler
    divergence), with half a row added to each bin, so that one that is empty by chance does not decide. 0 for identical samples;
    the same after any increasing transform of both, since the edges are values of the reference. NaN without rows.
    """
    if not len(reference) or not len(recent):
        return float("nan")
    known = reference[~np.isnan(reference)]
    ranks = (np.arange(1, bins) * len(known)) // bins
    edges = np.unique(np.partition(known, ranks)[ranks]) if len(known) else known
    return _divergence(_counts(reference, edges), _counts(recent, edges))


def category_psi(reference: "pd.Series[Any]", recent: "pd.Series[Any]") -> float:
    """The same over categories; missing ones are a bin of their own, rare and new ones share one."""
    if not len(reference) or not len(recent):
        return float("nan")
    known = reference.value_counts(dropna=True)
    common = sorted(str(name) for name in known.index[known >= RARE * len(reference)])
    return _divergence(_category_counts(reference, common), _category_counts(recent, common))


def ks_distance(reference: Vector, recent: Vector) -> float:
    """Largest distance of the two empirical distribution functions (Kolmogorov 1933, Smirnov 1948), missing values left out.

    Between 0 (identical) and 1 (apart); the same after any strictly monotone transform of both. NaN where either has no value.
    """
    left, right = np.sort(reference[~np.isnan(reference)]), np.sort(recent[~np.isnan(recent)])
    if not len(left) or not len(right):
        return float("nan")
    at = np.concatenate([left, right])
    below = np.searchsorted(left, at, side="right") / len(left) - np.searchsorted(right, at, side="right") / len(right)
    return float(np.abs(below).max())


def mmd(reference: Vector, recent: Vector, seed: int = 0) -> float:
    """Maximum mean discrepancy of two samples of vectors under a Gaussian kernel, through random Fourier features.

    The root of the unbiased estimate of the squared discrepancy (Gretton et al. 2012, "A kernel two-sample test", lemma 6), at least
    0, with paired cosines and sines in place of the kernel (Rahimi and Recht 2007) and the median distance in the reference as its
    width. Rows with a missing value are left out. Between 0 and about the root of 2; NaN with fewer than two rows of either.

    Args:
        reference: Of shape (rows, columns).
        recent: Of shape (other rows, columns).
        seed: Of the frequencies.
    """
    left = reference[~np.isnan(reference).any(axis=1)]
    right = recent[~np.isnan(recent).any(axis=1)]
    if len(left) < 2 or len(right) < 2:
        return float("nan")
    rng = np.random.default_rng(seed)
    width = _median_distance(left[rng.permutation(len(left))[:BANDWIDTH_ROWS]])
    frequencies = rng.normal(0, 1 / width, (left.shape[1], FREQUENCIES))
    ours, theirs = _mean_feature(left, frequencies), _mean_feature(right, frequencies)
    within = _mean_of_others(ours, len(left)) + _mean_of_others(theirs, len(right))
    return float(np.sqrt(max(within - 2 * float(ours @ theirs), 0.0)))


def _counts(values: Vector, edges: Vector) -> Vector:
    """How many values lie in each bin (a bin ends before its upper edge), the missing ones last."""
    known = values[~np.isnan(values)]
    from_edge = [np.count_nonzero(known >= edge) for edge in edges]  # for few edges faster than a search per value
    inside = -np.diff([len(known), *from_edge, 0])
    return np.append(inside, len(values) - len(known)).astype(np.float64)


def _category_counts(values: "pd.Series[Any]", common: list[str]) -> Vector:
    named = values.astype(object).map(str, na_action="ignore")
    counts = named.value_counts(dropna=True)
    known = [float(counts.get(name, 0)) for name in common]
    missing = float(values.isna().sum())
    return np.array([*known, len(values) - missing - sum(known), missing])


def _divergence(reference: Vector, recent: Vector) -> float:
    p = (reference + 0.5) / (reference.sum() + 0.5 * len(reference))
    q = (recent + 0.5) / (recent.sum() + 0.5 * len(recent))
    return float(np.sum((p - q) * np.log(p / q)))


def _median_distance(rows: Vector) -> float:
    square = np.sum(rows**2, axis=1)
    distances = np.sqrt(np.maximum(square[:, None] + square[None, :] - 2 * rows @ rows.T, 0))
    median = float(np.median(distances[np.triu_indices(len(rows), 1)]))
    return median if median > 0 else 1.0


def _mean_feature(rows: Vector, frequencies: Vector) -> Vector:
    """Mean of the features of each row, whose inner products are the kernel and whose length is 1."""
    total = np.zeros(2 * FREQUENCIES)
    for start in range(0, len(rows), 4096):
        phase = rows[start : start + 4096] @ frequencies
        total += np.concatenate([np.cos(phase).sum(axis=0), np.sin(phase).sum(axis=0)])
    return np.asarray(total / (len(rows) * np.sqrt(FREQUENCIES)))


def _mean_of_others(mean: Vector, n: int) -> float:
    """Mean kernel over pairs of different rows; a row's kernel with itself is 1."""
    return float((n * (mean @ mean) - 1) / (n - 1))


@dataclass(frozen=True)
class Measure:
    """One distance.

    Attributes:
        measure: matured, error, psi, ks or mmd.
        feature: Feature, group of content, or `all`.
        value: The distance.
        n_reference: Rows of the training set.
        n_recent: Rows since.
    """

    measure: str
    feature: str
    value: float
    n_reference: int
    n_recent: int


@dataclass
class Measured:
    """What a run measured.

    Attributes:
        rows: Rows added per cell that has a champion; 0 where nothing changed since the last time.
        refused: Why the error of a champion could not be measured, per cell.
    """

    rows: dict[Cell, int] = field(default_factory=dict)
    refused: dict[Cell, str] = field(default_factory=dict)


def measure_drift(warehouse: Warehouse, settings: Settings, now: datetime, run_id: str, guard: Guard) -> Measured:
    """Adds the distances of every champion whose recent rows have changed.

    Reference is its frozen training set; recent are the videos that passed the cutoff after its origin. Its error is taken over the
    `training.trigger.min_matured` labels that matured last and that it was not fitted on.
    """
    found, parts = Measured(), []
    made = {"clock": clock.mode(warehouse.home), "run_id": run_id, "measured_at": now}
    for champion in aliased(warehouse, CHAMPION):
        cell = Cell(champion["source"], champion["target"], champion["cutoff"])
        frame = frame_as_of(warehouse, settings, cell, champion["origin"])
        frame = _as_known(frame[frame["as_of"] <= now], now)
        version = _data_version(frame, champion["origin"])
        found.rows[cell] = 0
        if _is_measured(warehouse, champion["version"], version):
            continue
        measures = list(_measures(warehouse, settings, cell, champion, frame, found))
        rows = pd.DataFrame([vars(one) for one in measures if np.isfinite(one.value)])
        found.rows[cell] = len(rows)
        key = {"version": champion["version"], "data_version": version}
        for name, value in {**vars(cell), **made, **key}.items():
            rows[name] = value
        parts.append(as_arrow(rows, TABLE))
    if parts:
        with warehouse.write() as con:
            guard()
            for part in parts:
                append_rows(con, table(TABLE), part)
    return found


def _as_known(frame: pd.DataFrame, now: datetime) -> pd.DataFrame:
    """Rows without the outcomes that are known only later, which a replayed home may hold."""
    later = frame["matured_at"] > pd.Timestamp(now)
    return frame.assign(value=frame["value"].mask(later), matured_at=frame["matured_at"].mask(later))


def compared_features(champion_columns: tuple[str, ...], frame: pd.DataFrame) -> list[str]:
    """The numeric features that are compared one by one: those a champion reads, less vectors and what a day shares."""
    return [
        name
        for name in champion_columns
        if name in frame.columns and name not in OF_THE_DAY and not _is_coordinate(name)
    ]


def feature_distances(
    reference: pd.DataFrame, recent: pd.DataFrame, numeric: list[str], categorical: list[str]
) -> Iterator[Measure]:
    """PSI and KS distance of each numeric feature, PSI of each categorical one, MMD of each group of vectors."""
    sizes = len(reference), len(recent)
    for name in numeric:
        before, after = _floats(reference, [name])[:, 0], _floats(recent, [name])[:, 0]
        yield Measure("psi", name, psi(before, after), *sizes)
        yield Measure("ks", name, ks_distance(before, after), *sizes)
    for name in categorical:
        yield Measure("psi", name, category_psi(reference[name], recent[name]), *sizes)
    shared = [str(name) for name in reference.columns if name in recent.columns]
    for group in sorted(VECTORS):
        names = [name for name in shared if _is_coordinate(name) and group_of(name) == group]
        if names:
            yield Measure("mmd", group, mmd(_floats(reference, names), _floats(recent, names)), *sizes)


def _measures(
    warehouse: Warehouse,
    settings: Settings,
    cell: Cell,
    champion: dict[str, Any],
    frame: pd.DataFrame,
    found: Measured,
) -> Iterator[Measure]:
    train = thaw(warehouse.home, champion["training_set_id"])
    schema = read_manifest(warehouse.home, champion["version"]).schema
    start = pd.Timestamp(midnight(champion["origin"]))
    unseen = frame[frame["value"].notna() & ~frame["video_id"].isin(train["video_id"])]
    unseen = unseen[unseen["matured_at"] > start]
    yield Measure("matured", WHOLE, float(len(unseen)), len(train), len(unseen))
    latest = unseen.sort_values(["matured_at", "video_id"]).tail(settings.training.trigger.min_matured)
    usual = _validation_error(warehouse, champion["training_id"])
    if len(latest) and usual:
        try:
            error = _error(warehouse, settings, cell, champion["version"], train, latest.reset_index(drop=True))
            yield Measure("error", WHOLE, error / usual, len(train), len(latest))
        except ModelError as refusal:
            found.refused[cell] = str(refusal)
    recent = frame[frame["as_of"] > start]
    categorical = [name for name in schema.categorical if name in train.columns and name in recent.columns]
    numeric = [name for name in compared_features(schema.numeric, train) if name in recent.columns]
    yield from feature_distances(train, recent, numeric, categorical)


def _error(
    warehouse: Warehouse, settings: Settings, cell: Cell, version: str, train: pd.DataFrame, rows: pd.DataFrame
) -> float:
    """Mean absolute error of a number, log loss of a class."""
    task = Task.of(settings, cell.target, cell.cutoff)
    said = with_forecasts(warehouse, version, rows)
    if task.kind == "class":
        label = ViralLabel.of(task).fit(train).label(rows).astype(np.float64)
        return float(log_loss(label, said["probability"].to_numpy(dtype=np.float64)).mean())
    return float((said["point"] - said["value"]).abs().mean())


def _validation_error(warehouse: Warehouse, training_id: str | None) -> float | None:
    rows = warehouse.query(
        "SELECT validation_error FROM models.runs WHERE training_id = $training_id", {"training_id": training_id}
    ).to_pylist()
    return rows[0]["validation_error"] if rows else None


def _is_measured(warehouse: Warehouse, version: str, data_version: str) -> bool:
    rows = warehouse.query(
        f"SELECT 1 FROM {TABLE} WHERE version = $version AND data_version = $data_version LIMIT 1",
        {"version": version, "data_version": data_version},
    )
    return bool(rows.num_rows)


def _data_version(frame: pd.DataFrame, origin: Any) -> str:
    """Fingerprint of the rows since an origin and of every outcome."""
    recent = frame["as_of"] > pd.Timestamp(midnight(origin))
    told = frame.loc[recent | frame["value"].notna(), ["video_id", "as_of", "value", "matured_at"]]
    rows = pd.util.hash_pandas_object(told, index=False).to_numpy()
    return hashlib.sha256(rows.tobytes()).hexdigest()[:16]


def _floats(frame: pd.DataFrame, names: list[str]) -> Vector:
    return frame[names].to_numpy(dtype=np.float64, na_value=np.nan)


def _is_coordinate(name: str) -> bool:
    """Whether a column is a coordinate of a vector (`text_00`), rather than what was measured of content (`look_contrast`)."""
    return group_of(name) in VECTORS and name.rsplit("_", 1)[-1].isdigit()
