"""Finds the clusters that styles are made of: standardise, PCA, k-means over k and seeds, HDBSCAN for the outliers.

Numbers in, numbers out: which rows may be fitted on, and what a style is called, is decided elsewhere. The same rows
in the same order give the same result to the bit: samples are drawn by fixed seeds, and one thread sums.
scikit-learn and scipy are imported inside functions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np

Matrix = np.ndarray[Any, np.dtype[np.float32]]
Labels = np.ndarray[Any, np.dtype[np.int64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Progress = Callable[[str], None]

MAX_DIM = 50
MIN_PER_STYLE = 5
"""Videos per cluster that a number of clusters needs on average."""
SEARCH_SAMPLE = 8_000
SILHOUETTE_SAMPLE = 2_000
DENSITY_SAMPLE = 10_000
DENSITY_DIM = 10  # in many dimensions all densities look alike
SHARED_FROM = 2_000
"""Rows from which a search is worth being shared out among processes."""
NEIGHBOURS = 5
STARTS = 5
"""Starts of every k-means; one alone often ends with two clusters in one and another in two."""
WEIGHTS = {"silhouette": 0.55, "stability": 0.35, "tiny_share": -0.10}
_CHUNK = 16_384


class NoStylesError(ValueError):
    """There is nothing to find styles in; its text says why."""


@dataclass(frozen=True)
class Search:
    """Which clusterings are tried: every k in [k_min, k_max] with every seed; `bootstraps` more per k for stability."""

    k_min: int = 6
    k_max: int = 16
    seeds: int = 5
    bootstraps: int = 3


@dataclass(frozen=True)
class Candidate:
    """One clustering that was tried, with the columns of `clusters.fits`."""

    k: int
    seed: int
    silhouette: float
    stability: float
    tiny_share: float
    score: float


@dataclass(frozen=True)
class Reduction:
    """Standardisation and PCA in one step.

    Attributes:
        mean: Mean per dimension, of shape (d,).
        directions: PCA directions over the standard deviations, of shape (d, p).
    """

    mean: Matrix
    directions: Matrix

    def __call__(self, vectors: Matrix) -> Matrix:
        """Coordinates of shape (n, p), first component first.

        Raises:
            ValueError: The vectors have another length than those that it was fitted on.
        """
        if vectors.ndim != 2 or vectors.shape[1] != len(self.mean):
            raise ValueError(
                f"vectors of shape {vectors.shape} were given to styles of {len(self.mean)} dimensions: "
                "fuse them as the styles' origin was fused, or fit the origin again"
            )
        reduced = np.empty((len(vectors), self.directions.shape[1]), np.float32)
        for start in range(0, len(vectors), _CHUNK):
            reduced[start : start + _CHUNK] = (vectors[start : start + _CHUNK] - self.mean) @ self.directions
        return reduced


@dataclass(frozen=True)
class Density:
    """Where videos lie densely: points that HDBSCAN clustered, of shape (m, q), and how far each one reaches (m,)."""

    points: Matrix
    reach: Matrix

    def outliers(self, reduced: Matrix) -> Flags:
        """Whether each row's nearest dense point is farther than it reaches (its distance to its 5th neighbour)."""
        from scipy.spatial import cKDTree

        if not len(self.points):
            return np.ones(len(reduced), bool)
        distance, nearest = cKDTree(self.points).query(reduced[:, : self.points.shape[1]])
        return np.asarray(distance > self.reach[nearest])


@dataclass(frozen=True)
class Model:
    """What assigns a video to a cluster: reduction, centres of shape (k, p) in the reduced space, and density."""

    reduction: Reduction
    centres: Matrix
    density: Density

    def nearest(self, reduced: Matrix) -> tuple[Labels, Matrix]:
        """Nearest centre of each row, and the Euclidean distance to it."""
        from sklearn.metrics import pairwise_distances_argmin_min

        if not len(reduced):
            return np.empty(0, np.int64), np.empty(0, np.float32)
        labels, distance = pairwise_distances_argmin_min(reduced, self.centres)
        return labels.astype(np.int64), distance.astype(np.float32)

    def to_bytes(self, **more: np.ndarray[Any, Any]) -> bytes:
        """An `.npz` of the model and of further arrays, the same bytes for the same numbers."""
        file = BytesIO()
        np.savez(
            file,
            allow_pickle=False,
            mean=self.reduction.mean,
            directions=self.reduction.directions,
            centres=self.centres,
            points=self.density.points,
            reach=self.density.reach,
            **more,
        )
        return file.getvalue()

    @classmethod
    def from_arrays(cls, arrays: Any) -> "Model":
        """The model of the arrays that `to_bytes` wrote."""
        return cls(
            Reduction(arrays["mean"], arrays["directions"]),
            arrays["centres"],
            Density(arrays["points"], arrays["reach"]),
        )


@dataclass(frozen=True)
class Fit:
    """The clusters of some rows.

    Attributes:
        model: Assigns these and other rows.
        candidates: Everything that was tried.
        chosen: The best of them.
        reduced: Coordinates of the rows, of shape (n, p).
        outlier: Whether each row lies in no dense region.
    """

    model: Model
    candidates: Sequence[Candidate]
    chosen: Candidate
    reduced: Matrix
    outlier: Flags


def fit(vectors: Matrix, search: Search | None = None, progress: Progress = lambda line: None) -> Fit:
    """Clusters vectors.

    Numbers of clusters and seeds are compared on a sample; the best one starts the k-means over all rows. The score is
    .55 silhouette + .35 stability - .10 share of tiny clusters; of equal scores the fewer clusters win.

    Args:
        vectors: Finite vectors of shape (n, d), in an order that is the same each time.
        search: What is tried.
        progress: Told in one line what is being done.

    Raises:
        NoStylesError: There are too few rows, or too few different ones.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    search = search or Search()
    with threadpool_limits(1):  # sums of several threads differ in the last bit from run to run
        _refuse_few(len(vectors), search)
        progress(f"reducing {len(vectors):,} vectors of {vectors.shape[1]} dimensions")
        reduction = fit_reduction(vectors)
        reduced = reduction(vectors)
        sample = reduced[drawn(len(reduced), SEARCH_SAMPLE, seed=1)]
        tried = _search(sample, _cluster_counts(sample, search), search, progress)
        chosen, start = max(tried, key=lambda each: (each[0].score, -each[0].k, -each[0].seed))
        progress(f"clustering into {chosen.k}")
        centres = KMeans(chosen.k, init=start, n_init=1).fit(reduced).cluster_centers_.astype(np.float32)
        progress("looking for outliers")
        density, outlier = _density(reduced)
    return Fit(Model(reduction, centres, density), [candidate for candidate, _ in tried], chosen, reduced, outlier)


def drawn(n: int, size: int, seed: int) -> Labels:
    """Positions of a sample without replacement, in order; all of them where there are no more than `size`."""
    if n <= size:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, size, replace=False))


def fit_reduction(vectors: Matrix, dim: int = MAX_DIM) -> Reduction:
    """Fits standardisation and PCA.

    Raises:
        NoStylesError: Nothing in the vectors varies.
    """
    from sklearn.decomposition import PCA

    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    spread = vectors.std(axis=0, dtype=np.float64)
    varies = spread > 1e-6 * np.maximum(np.abs(mean), 1e-6)
    if not varies.any():
        raise NoStylesError(f"all {len(vectors)} vectors are the same: there are no styles in them")
    weight = np.where(varies, 1 / np.where(varies, spread, 1), 0).astype(np.float32)
    pca = PCA(min(dim, int(varies.sum()), len(vectors) - 1), svd_solver="covariance_eigh")
    pca.fit((vectors - mean) * weight)
    telling = pca.explained_variance_ > 1e-6 * pca.explained_variance_[0]
    return Reduction(mean, (pca.components_[telling] * weight).T.astype(np.float32))


def _refuse_few(n: int, search: Search) -> None:
    needed = search.k_min * MIN_PER_STYLE
    if n < needed:
        raise NoStylesError(f"{n} videos with a vector before the origin: {search.k_min} styles need {needed}")


def _cluster_counts(sample: Matrix, search: Search) -> range:
    """The numbers of clusters that the rows can bear: with MIN_PER_STYLE rows each, and more different rows than k."""
    different = len(np.unique(sample.round(4), axis=0))
    most = min(search.k_max, len(sample) // MIN_PER_STYLE, different - 1)
    if most < search.k_min:
        raise NoStylesError(f"only {different} different vectors: {search.k_min} styles need {search.k_min + 1}")
    return range(search.k_min, most + 1)


def _search(sample: Matrix, counts: range, search: Search, progress: Progress) -> list[tuple[Candidate, Matrix]]:
    """Every candidate with its centres; where there are many rows, all cores search."""
    from joblib import Parallel, cpu_count, delayed
    from sklearn.metrics import pairwise_distances

    shown = drawn(len(sample), SILHOUETTE_SAMPLE, seed=2)
    apart = pairwise_distances(sample[shown]).astype(np.float64)
    np.fill_diagonal(apart, 0)
    found = []
    jobs = min(len(counts), cpu_count()) if len(sample) >= SHARED_FROM else 1
    tasks = (delayed(_tried)(sample, shown, apart, k, search) for k in counts)
    for candidates in Parallel(n_jobs=jobs, return_as="generator")(tasks):
        found += candidates
        best = max(candidate.score for candidate, _ in candidates)
        progress(f"{candidates[0][0].k} clusters: best score {best:.3f}")
    return found


def _tried(
    sample: Matrix, shown: Labels, apart: np.ndarray[Any, Any], k: int, search: Search
) -> list[tuple[Candidate, Matrix]]:
    """The candidates of one k with their centres; `apart` are the distances between the `shown` rows."""
    from sklearn.metrics import silhouette_score
    from threadpoolctl import threadpool_limits

    found = []
    with threadpool_limits(1):
        fits = [_kmeans(sample, sample, k, seed) for seed in range(search.seeds)]
        again = [_kmeans(_bootstrap(sample, seed), sample, k, seed)[0] for seed in range(search.bootstraps)]
        agreement = _agreement([labels for labels, _ in fits], again)
        for seed, (labels, centres) in enumerate(fits):
            silhouette = float(silhouette_score(apart, labels[shown], metric="precomputed"))
            tiny = float(np.mean(np.bincount(labels, minlength=k) < len(labels) / k / 4))
            figures = {"silhouette": silhouette, "stability": agreement[seed], "tiny_share": tiny}
            score = sum(WEIGHTS[name] * figure for name, figure in figures.items())
            found.append((Candidate(k, seed, score=score, **figures), centres))
    return found


def _kmeans(rows: Matrix, labelled: Matrix, k: int, seed: int) -> tuple[Labels, Matrix]:
    """Labels of some rows by the k-means of others, and its centres."""
    from sklearn.cluster import KMeans

    model = KMeans(k, n_init=STARTS, max_iter=100, random_state=seed).fit(rows)
    labels = model.labels_ if rows is labelled else model.predict(labelled)
    return labels.astype(np.int64), model.cluster_centers_.astype(np.float32)


def _bootstrap(rows: Matrix, seed: int) -> Matrix:
    return rows[np.random.default_rng([3, seed]).integers(0, len(rows), len(rows))]


def _agreement(seeds: Sequence[Labels], bootstraps: Sequence[Labels]) -> list[float]:
    """Per seed the mean adjusted Rand index against the other seeds and the bootstraps of the same k."""
    from sklearn.metrics import adjusted_rand_score

    count = len(seeds)
    index = np.full((count, count + len(bootstraps)), np.nan)
    for row in range(count):
        for column, other in enumerate([*seeds, *bootstraps]):
            if column > row:
                index[row, column] = adjusted_rand_score(seeds[row], other)
                if column < count:
                    index[column, row] = index[row, column]
    return [1.0 if np.isnan(row).all() else float(np.nanmean(row)) for row in index]


def _density(reduced: Matrix) -> tuple[Density, Flags]:
    """HDBSCAN on a sample; the rows outside it are judged by the dense point that is nearest."""
    from scipy.spatial import cKDTree
    from sklearn.cluster import HDBSCAN

    sample = drawn(len(reduced), DENSITY_SAMPLE, seed=4)
    points = reduced[sample, :DENSITY_DIM]
    # The leaves of its tree: where two groups lie far apart, its default takes these two and calls nothing an outlier.
    smallest = max(NEIGHBOURS, len(points) // 100)
    model = HDBSCAN(smallest, min_samples=NEIGHBOURS, cluster_selection_method="leaf", copy=True)
    dense = model.fit(points).labels_ >= 0
    reach = cKDTree(points).query(points[dense], k=[NEIGHBOURS + 1])[0][:, 0] if dense.any() else np.empty(0)
    density = Density(points[dense], reach.astype(np.float32))
    outlier = ~dense if len(sample) == len(reduced) else density.outliers(reduced)
    outlier[sample] = ~dense
    return density, outlier
