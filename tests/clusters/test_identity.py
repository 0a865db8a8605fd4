"""Ids of styles: carried on by the videos they share, born and died where none does, never given twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.clusters.identity import match

LETTERS = st.sampled_from("abcdef")


def videos(*groups: int) -> list[str]:
    return [f"v{position}" for position in range(sum(groups))]


def clusters(*groups: int) -> np.ndarray:
    return np.repeat(np.arange(len(groups)), groups)


def before(**styles: str) -> dict[str, str]:
    return {video: style for style, held in styles.items() for video in held.split()}


def test_the_first_origin_names_its_clusters_by_size():
    found = match({}, videos(2, 5, 3), clusters(2, 5, 3), used=[])
    assert found.style_ids == ["s3", "s1", "s2"]
    assert found.distances == [None, None, None]
    assert found.died == []


def test_ids_follow_the_videos_whatever_the_clusters_numbers_are():
    held = before(s4="v0 v1 v2", s9="v3 v4")
    found = match(held, videos(3, 2), np.array([1, 1, 1, 0, 0]), used=["s4", "s9"])
    assert found.style_ids == ["s9", "s4"]
    assert found.distances == [0, 0]


def test_births_and_deaths():
    held = before(s1="v0 v1 v2", s2="x y z")
    found = match(held, videos(3, 4), clusters(3, 4), used=["s1", "s2", "s7"])
    assert found.style_ids == ["s1", "s8"]  # s7 had died before
    assert found.died == ["s2"]


def test_a_split_keeps_the_id_in_the_larger_part():
    held = before(s1=" ".join(videos(10)))
    found = match(held, videos(6, 4), clusters(6, 4), used=["s1"])
    assert found.style_ids == ["s1", "s2"]
    assert found.distances[0] == pytest.approx(0.4)


def test_a_merger_keeps_the_id_of_the_larger():
    held = before(s1="v0 v1 v2", s2="v3 v4 v5 v6")
    found = match(held, videos(7), clusters(7), used=["s1", "s2"])
    assert (found.style_ids, found.died) == (["s2"], ["s1"])


def test_a_style_scattered_over_many_is_not_kept():
    held = before(s1=" ".join(videos(8)))
    found = match(held, videos(2, 2, 2, 2), clusters(2, 2, 2, 2), used=["s1"])
    assert found.died == ["s1"]
    assert sorted(found.style_ids) == ["s2", "s3", "s4", "s5"]


@given(st.lists(st.tuples(LETTERS, LETTERS), min_size=1, max_size=60))
def test_every_id_goes_on_dies_or_is_new(pairs):
    old = {f"v{row}": f"s{ord(style) - 96}" for row, (style, _) in enumerate(pairs)}
    names, new = np.unique([style for _, style in pairs], return_inverse=True)
    found = match(old, list(old), new, used=set(old.values()))
    assert len(set(found.style_ids)) == len(names)
    kept = {style for style, distance in zip(found.style_ids, found.distances, strict=True) if distance is not None}
    assert kept | set(found.died) == set(old.values())
    assert not kept & set(found.died)
    assert not (set(found.style_ids) - kept) & set(old.values())
