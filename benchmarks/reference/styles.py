"""The search for styles without its shortcuts: scikit-learn's own pipeline, and every k-means on all rows."""

from itertools import combinations
from typing import Any

import numpy as np
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def best_labels(vectors: Any, ks: range, seeds: int, bootstraps: int) -> Any:
    """Labels of the clustering with the best score."""
    reduced = make_pipeline(StandardScaler(), PCA(50, svd_solver="full")).fit_transform(vectors)
    scored = []
    for k in ks:
        labels = [KMeans(k, n_init=5, random_state=seed).fit_predict(reduced) for seed in range(seeds)]
        again = []
        for seed in range(bootstraps):
            drawn = np.random.default_rng(seed).integers(0, len(reduced), len(reduced))
            again.append(KMeans(k, n_init=5, random_state=seed).fit(reduced[drawn]).predict(reduced))
        pairs = {pair: adjusted_rand_score(*(labels[each] for each in pair)) for pair in combinations(range(seeds), 2)}
        for seed, own in enumerate(labels):
            agreement = [index for pair, index in pairs.items() if seed in pair]
            agreement += [adjusted_rand_score(own, other) for other in again]
            tiny = np.mean(np.bincount(own, minlength=k) < len(own) / k / 4)
            silhouette = silhouette_score(reduced, own, sample_size=2_000, random_state=0)
            scored.append((0.55 * silhouette + 0.35 * np.mean(agreement) - 0.10 * tiny, -k, -seed, own))
    return max(scored, key=lambda each: each[:3])[3]
