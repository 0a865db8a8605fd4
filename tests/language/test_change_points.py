"""Changes that are there are found, and where there are none they are seldom found."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.language.change_points import LEVEL, SHORTEST, changes


def test_a_level_that_changes_twice() -> None:
    rng = np.random.default_rng(3)
    course = np.concatenate([np.full(15, 0.1), np.full(12, 0.5), np.full(20, 0.2)]) + rng.normal(0, 0.06, 47)
    found = changes(course)
    assert [abs(change.at - at) <= 1 for change, at in zip(found, (15, 27), strict=True)] == [True, True]
    assert (found[0].before, found[0].after, found[1].after) == pytest.approx((0.1, 0.5, 0.2), abs=0.05)
    assert all(change.p_value <= LEVEL for change in found)
    assert changes(course) == found


def test_where_nothing_changes_a_change_is_as_rare_as_stated() -> None:
    rng = np.random.default_rng(11)
    level, courses = 0.05, 300
    noise = [rng.standard_t(4, size=rng.integers(8, 40)) for _ in range(courses)]
    false = sum(bool(changes(course, level=level)) for course in noise)
    # Binomial: at most level * courses + 3 standard deviations.
    assert false / courses <= level + 3 * np.sqrt(level * (1 - level) / courses)
    weighted = sum(bool(changes(course, rng.integers(1, 50, len(course)).astype(float), level)) for course in noise)
    assert weighted / courses <= level + 3 * np.sqrt(level * (1 - level) / courses)


def test_a_point_that_says_little_makes_no_change() -> None:
    course = np.array([0.1, 0.12, 0.09, 0.11, 0.1, 0.12, 0.9, 0.95, 0.92])
    weights = np.where(course > 0.5, 1.0, 1.0)
    assert len(changes(course, weights, level=0.05)) == 1
    outlier = np.where(np.arange(20) == 10, 5.0, 0.1) + np.random.default_rng(0).normal(0, 0.01, 20)
    assert changes(outlier, np.where(np.arange(20) == 10, 0.01, 1.0)) == []


def test_too_short_or_constant_courses_have_none() -> None:
    assert changes(np.zeros(0)) == []
    assert changes(np.array([0.0, 0.0, 9.0, 9.0, 9.0])) == []
    assert changes(np.full(50, 0.3)) == []


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1), max_size=30))
def test_changes_part_the_course(values: list[float]) -> None:
    found = changes(np.array(values), level=0.2)
    edges = [0, *(change.at for change in found), len(values)]
    assert not found or min(np.diff(edges)) >= SHORTEST


@pytest.mark.parametrize(("value", "weight"), [(np.nan, 1.0), (0.0, 0.0), (np.inf, 1.0)])
def test_what_is_no_course_is_refused(value: float, weight: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        changes(np.array([value]), np.array([weight]))
