"""Which style of an origin is which style of the origin before: kept, born or died.

One rule: two styles are the same if they hold the same videos. Centres are not compared, because a refitted encoder
or another fusion moves every vector into another space, while the videos that both origins were fitted on stay what
they are. Distance is Jaccard's, 1 - shared / together, over those videos; the pairing with the smallest total distance
(Hungarian method) counts where a pair is at most `MAX_DISTANCE` apart. A style that splits keeps its id in the larger
part; of two that merge, the larger one's id stays.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from assets.clusters.fit import Labels

MAX_DISTANCE = 0.67
"""A kept style shares at least a third of the videos that the two hold together."""


@dataclass(frozen=True)
class Matches:
    """What became of the styles of an origin.

    Attributes:
        style_ids: Id of each new cluster, in the clusters' order.
        distances: Distance to the style of that id at the origin before; None where it was born.
        died: Ids that no new cluster carries on, in order.
    """

    style_ids: Sequence[str]
    distances: Sequence[float | None]
    died: Sequence[str]


def match(
    before: Mapping[str, str],
    videos: Sequence[str],
    clusters: Labels,
    used: Iterable[str],
    threshold: float = MAX_DISTANCE,
) -> Matches:
    """Carries style ids from one origin to the next.

    Args:
        before: Style id of each video that the origin before was fitted on.
        videos: Videos that this origin was fitted on.
        clusters: Cluster (0 to k - 1) of each of these videos.
        used: Every id that an earlier origin gave; none is given again.
        threshold: Largest distance of a kept style.

    Returns:
        Ids like `s12`; new ones go on from the largest number used, the largest cluster first.
    """
    from scipy.optimize import linear_sum_assignment

    k = int(clusters.max()) + 1
    old = sorted(set(before.values()), key=number)
    distance = _distances(before, old, videos, clusters, k)
    kept: dict[int, tuple[str, float]] = {}
    for row, column in zip(*linear_sum_assignment(distance), strict=True):
        if distance[row, column] <= threshold:
            kept[int(column)] = old[row], float(distance[row, column])
    sizes = np.bincount(clusters, minlength=k)
    born = sorted((cluster for cluster in range(k) if cluster not in kept), key=lambda each: (-sizes[each], each))
    following = 1 + max(map(number, used), default=0)
    fresh = {cluster: f"s{following + position}" for position, cluster in enumerate(born)}
    carried = {style for style, _ in kept.values()}
    return Matches(
        [kept[cluster][0] if cluster in kept else fresh[cluster] for cluster in range(k)],
        [kept[cluster][1] if cluster in kept else None for cluster in range(k)],
        [style for style in old if style not in carried],
    )


def number(style_id: str) -> int:
    """The number in a style id."""
    return int(style_id.removeprefix("s"))


def _distances(
    before: Mapping[str, str], old: Sequence[str], videos: Sequence[str], clusters: Labels, k: int
) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    """Jaccard distances of shape (old styles, clusters), over the videos that both origins were fitted on."""
    position = {style: row for row, style in enumerate(old)}
    shared = np.zeros((len(old), k))
    for video, cluster in zip(videos, clusters.tolist(), strict=True):
        if video in before:
            shared[position[before[video]], cluster] += 1
    together = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    return np.asarray(1 - shared / np.maximum(together, 1))
