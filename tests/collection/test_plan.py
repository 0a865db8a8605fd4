"""The planner: what is due when, in which order, and how much of it a quota pays for. No warehouse."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.raw.collection.plan import AGES_H, JITTER, TRACKED_H, Tracked, fitted, plan
from resources.collectors.base import Order
from tests.collection.fakes import video_ids

NAN = float("nan")


def tracked(*videos: dict[str, float], ids: list[str] | None = None) -> Tracked:
    """Videos published at hour 0 unless they say otherwise; `seen` is an age."""
    columns = {"anchor": 0.0, "seen": NAN, "views": NAN, "rate": NAN, "sd": NAN, "misses": 0.0, "missed": NAN}
    values = {
        name: np.array([video.get(name, default) for video in videos], dtype=float) for name, default in columns.items()
    }
    return Tracked(video_id=np.array(ids or video_ids(len(videos)), dtype=object), **values)


def due(video: dict[str, float], now: float) -> float | None:
    found = plan(tracked(video), now)
    return float(found.due[0]) if len(found) else None


def test_a_video_that_was_never_seen_is_due_at_once() -> None:
    assert due({}, 0.1) == 0 and due({}, 3) == 2 and due({"anchor": 5}, 3) is None


@given(position=st.integers(0, len(AGES_H) - 1), name=st.text("abcdefgh123_-", min_size=11, max_size=11))
def test_each_age_is_due_once_a_little_later_by_the_id(position: int, name: str) -> None:
    age = float(AGES_H[position])
    seen = {"seen": float(AGES_H[position - 1]) * (1 + JITTER) if position else 0.0}
    video = tracked(seen, ids=[name])
    assert not len(plan(video, age * 0.999))
    found = plan(video, age * (1 + JITTER))
    assert list(found.due) == [age] and list(plan(video, age * (1 + JITTER)).video_id) == [name]
    assert not len(plan(tracked({"seen": age * (1 + JITTER)}, ids=[name]), age * (1 + JITTER)))


def test_ids_spread_the_looks() -> None:
    video = tracked(*[{"seen": 24.0}] * 400)
    due_ = [len(plan(video, now)) for now in np.linspace(48, 48 * (1 + JITTER), 5)]
    assert due_[0] < 20 and due_[-1] == 400 and 60 < due_[1] < 140 and sorted(due_) == due_


@given(outage=st.floats(0, 600), seen=st.floats(0, 700))
def test_however_long_the_outage_a_video_is_due_once_or_not_at_all(outage: float, seen: float) -> None:
    assert len(plan(tracked({"seen": seen}), seen + outage)) <= 1


def test_old_videos_are_left() -> None:
    assert due({"seen": 340}, TRACKED_H - 1) == 672 and due({"seen": 340}, TRACKED_H + 1) is None


def test_more_uncertain_videos_come_first() -> None:
    video = {"seen": 8.0}
    found = plan(tracked({**video, "sd": 0.2}, {**video, "sd": 1.5}, {**video, "sd": 0.7}), 40.0)
    assert list(found.row) == [1, 2, 0] and np.all(np.diff(found.information) < 0)


def test_who_has_been_away_longest_of_equals_comes_first() -> None:
    found = plan(tracked({"seen": 36.0}, {"seen": 5.0}), 60.0)
    assert list(found.row) == [1, 0] and found.velocity[0] > found.velocity[1] and found.uncertainty[0] > 0


def test_the_order_does_not_depend_on_how_videos_are_listed() -> None:
    videos = tracked(*[{"seen": 8.0}] * 50)
    back = Tracked(**{name: getattr(videos, name)[::-1] for name in vars(videos)})
    assert list(plan(videos, 40.0).video_id) == list(plan(back, 40.0).video_id)


def test_outcomes_get_every_fourth_look_by_the_hash_of_the_id() -> None:
    outcomes, others = [{"seen": 100.0, "sd": 1e-6 * n} for n in range(60)], [{"anchor": 130.0, "seen": 131.0}] * 60
    found = plan(tracked(*outcomes, *others), 177.0)
    first = found.row[:40]
    assert (first < 60).sum() == 10
    again = plan(tracked(*[{**video, "sd": 1.0} for video in outcomes], *others), 177.0)
    assert set(first[first < 60]) == set(again.row[:40][again.row[:40] < 60])  # not by what is expected of them


@pytest.mark.parametrize(
    ("misses", "waited", "again"), [(1, 0.2, False), (1, 0.3, True), (2, 0.9, False), (2, 1.1, True), (3, 2.0, False)]
)
def test_what_could_not_be_had_is_tried_three_times(misses: float, waited: float, again: bool) -> None:
    now = 4 * (1 + JITTER) + 2.5
    assert (due({"seen": 2.5, "misses": misses, "missed": now - waited}, now) is not None) == again


def test_after_three_tries_it_waits_for_its_next_age() -> None:
    video = {"seen": 2.5, "misses": 3.0, "missed": 6.0}
    assert due(video, 7.9) is None and due(video, 8 * (1 + JITTER)) == 8


def cost(order: Order) -> dict[str, int]:
    found = 50 * len(order.topics) + len(order.videos)
    return {"search": len(order.topics), "units": 2 * len(order.channels) - (-found // 50)}


orders = st.builds(
    Order,
    topics=st.lists(st.text("ab", min_size=1), max_size=8, unique=True).map(tuple),
    channels=st.lists(st.text("cd", min_size=1), max_size=8, unique=True).map(tuple),
    videos=st.integers(0, 400).map(lambda count: tuple(video_ids(count))),
)


@settings(max_examples=150)
@given(order=orders, units=st.integers(0, 30), searches=st.integers(0, 8))
def test_an_order_is_cut_to_what_can_be_paid(order: Order, units: int, searches: int) -> None:
    room = {"units": units, "search": searches}
    found = fitted(order, cost, room)
    assert all(cost(found)[bucket] <= room[bucket] for bucket in room)
    assert order.videos[: len(found.videos)] == found.videos
    if len(found.videos) < len(order.videos):  # one batch more would not fit
        more = replace(found, videos=order.videos[: len(found.videos) + 50])
        assert cost(more)["units"] > units
    if found.videos != order.videos and units > 1:
        assert found.videos  # discovery leaves half


def test_without_limits_everything_fits() -> None:
    order = Order(topics=("a",), channels=("b",), videos=tuple(video_ids(70)))
    assert fitted(order, cost, {}) == order
