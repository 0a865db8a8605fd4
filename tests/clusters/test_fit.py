"""Clusters: planted ones are found, too little is said so, and the same input gives the same numbers."""

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from assets.clusters.fit import WEIGHTS, Model, NoStylesError, Reduction, Search, drawn, fit, fit_reduction

SEARCH = Search(k_min=3, k_max=7, seeds=3, bootstraps=2)
RNG = np.random.default_rng(0)
PLANTED = np.repeat(np.arange(5), 60)
CENTRES = RNG.normal(size=(5, 20)) * 3
VECTORS = (CENTRES[PLANTED] + RNG.normal(size=(300, 20))).astype(np.float32)


def test_planted_clusters_are_found_and_their_number_too():
    found = fit(VECTORS, SEARCH)
    labels, distance = found.model.nearest(found.reduced)
    assert found.chosen.k == 5
    assert adjusted_rand_score(PLANTED, labels) == 1
    assert (distance >= 0).all()
    assert [(each.k, each.seed) for each in found.candidates] == [(k, seed) for k in range(3, 8) for seed in range(3)]
    for each in found.candidates:
        figures = (each.silhouette, each.stability, each.tiny_share)
        assert each.score == pytest.approx(np.dot(list(WEIGHTS.values()), figures))
    assert found.chosen.score == max(each.score for each in found.candidates)


def test_twice_gives_the_same_to_the_bit():
    first, second = fit(VECTORS, SEARCH), fit(VECTORS, SEARCH)
    assert first.model.to_bytes() == second.model.to_bytes()
    assert first.candidates == second.candidates


def test_far_points_are_outliers_also_when_they_come_later():
    far = (RNG.normal(size=(4, 20)) * 100).astype(np.float32)
    found = fit(np.concatenate([VECTORS, far]), SEARCH)
    assert found.outlier[-4:].all()
    assert found.outlier[:300].mean() < 0.5
    later = found.model.reduction(np.concatenate([VECTORS[:50] + 0.01, -far]))
    assert found.model.density.outliers(later)[-4:].all()
    assert found.model.density.outliers(later)[:50].mean() < 0.5


def test_a_model_read_back_assigns_the_same():
    found = fit(VECTORS, SEARCH)
    from io import BytesIO

    again = Model.from_arrays(np.load(BytesIO(found.model.to_bytes(more=np.arange(3))), allow_pickle=False))
    assert (again.nearest(again.reduction(VECTORS))[0] == found.model.nearest(found.reduced)[0]).all()


def test_scale_of_a_dimension_does_not_matter():
    scaled = VECTORS * np.logspace(-3, 3, 20).astype(np.float32)
    labels = [found.model.nearest(found.reduced)[0] for found in (fit(VECTORS, SEARCH), fit(scaled, SEARCH))]
    assert adjusted_rand_score(*labels) == 1


def test_constant_dimensions_and_duplicates_do_no_harm():
    doubled = np.concatenate([VECTORS, VECTORS])
    doubled[:, 3] = 7
    found = fit(doubled, SEARCH)
    labels = found.model.nearest(found.reduced)[0]
    assert (labels[:300] == labels[300:]).all()
    assert adjusted_rand_score(PLANTED, labels[:300]) == 1


@pytest.mark.parametrize(
    ("vectors", "reason"),
    [
        (VECTORS[:0], "0 videos with a vector before the origin: 3 styles need 15"),
        (VECTORS[:14], "14 videos with a vector before the origin: 3 styles need 15"),
        (np.ones((40, 20), np.float32), "all 40 vectors are the same"),
        (np.repeat(VECTORS[::150], 20, axis=0), "only 2 different vectors: 3 styles need 4"),
    ],
)
def test_too_little_is_a_reason_and_no_crash(vectors, reason):
    with pytest.raises(NoStylesError, match=reason):
        fit(vectors, SEARCH)


def test_no_more_clusters_are_tried_than_videos_bear():
    found = fit(VECTORS[::15], SEARCH)  # twenty
    assert {each.k for each in found.candidates} == {3, 4}


def test_vectors_of_another_length_are_refused():
    with pytest.raises(ValueError, match="20 dimensions: fuse them as"):
        fit_reduction(VECTORS)(VECTORS[:, :19])


def test_reduction_is_the_standardised_pca():
    reduction: Reduction = fit_reduction(VECTORS)
    reduced = reduction(VECTORS)
    assert np.allclose(reduced.mean(axis=0), 0, atol=1e-4)
    spread = reduced.var(axis=0)
    assert (np.diff(spread) <= 1e-4).all()
    assert spread.sum() == pytest.approx(20, rel=1e-3)


def test_samples_are_fixed_and_in_order():
    chosen = drawn(1000, 10, seed=3)
    assert (chosen == drawn(1000, 10, seed=3)).all()
    assert (np.diff(chosen) > 0).all()
    assert (drawn(5, 10, seed=3) == np.arange(5)).all()
