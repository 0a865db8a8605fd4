"""What is due to be looked at again, in the order of how much a look is expected to tell, as far as the quota goes.

Pure: columns of numbers in, an order out. A video is due at the ages below, each a little later by a hash of its id; several
ages missed in an outage are one look. What a look tells is made of two things:

- **velocity**: how far the video's views are expected to have moved since they were last seen, as the share of the growth (in ln
  views) that was still to come then;
- **uncertainty**: the standard deviation of the forecast of its ln views at the horizon: `typical_sd`, and where there is a serving
  champion the geometric mean of that and of its interval, since what a model says of one video's error is noisy.

A look takes away that share of the uncertainty, for the hours until the next one: `_worth_table` weighs it against waiting.
Reading the warehouse is in `tracked`, reserving in `quota`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np

from resources.collectors.base import Order

Floats = np.ndarray[Any, np.dtype[np.float64]]
Whole = np.ndarray[Any, np.dtype[np.int64]]

AGES_H = np.array([1, 2, 4, 8, 16, 24, 48, 96, 168, 336, 672], dtype=np.float64)
"""Ages (h) at which a video is looked at: 1, 2, 4, 8, 16, 24 h, 2, 4, 7, 14, 28 d."""
JITTER = 0.05
"""Each look is later than its age by up to this share of it."""
TRACKED_H = 33 * 24.0
"""A video older than this is not looked at any more: its last outcome is at 30 days, with 3 of tolerance."""
TRIES = 3
"""Looks of which nothing was learned, since the last one that told something, after which a video waits for its next age."""
_FIRST_WAIT_H, _WAIT_FACTOR = 0.25, 4.0
HORIZONS_H = (168.0, 720.0)
OUTCOMES_H = (168.0, 672.0)
"""Ages at which the outcome itself is read. A look there tells no forecast anything, but without outcomes none is ever learned from:
one in `OUTCOME_EVERY` looks is kept for them, and hash draws who, since outcomes of chosen videos would teach a chosen world."""
OUTCOME_EVERY, OUTCOME_UNTIL = 4, 1.14
NEVER_SD = 1.45
FIRST_SD, LAST_SD, BEND_H = (1.06, 1.0), (0.125, 0.04), (2.0, 3.0)
"""Of `typical_sd`, after one look and after more: at publication beyond what stays at the horizon, what stays there, and the age (h)
from which it falls with ln age. Measured in the simulator on worlds that no figure is reported of."""


@dataclass(frozen=True)
class Tracked:
    """Videos that are followed, a column each; times in hours since the epoch (UTC).

    Attributes:
        video_id: Identifiers.
        anchor: What their age counts from.
        seen: When they were last seen; missing where never.
        views: Views then; missing where unknown.
        rate: Growth of ln views per hour between the last two looks; missing where there were none.
        sd: Standard deviation of the champion's forecast of ln views as of `seen`; missing where there is no champion.
        misses: Looks since then of which nothing was learned.
        missed: When the last of these was; missing where there was none.
    """

    video_id: np.ndarray[Any, Any]
    anchor: Floats
    seen: Floats
    views: Floats
    rate: Floats
    sd: Floats
    misses: Floats
    missed: Floats

    def __len__(self) -> int:
        return len(self.video_id)


@dataclass(frozen=True)
class Due:
    """The videos that are due, the most telling first.

    Attributes:
        row: Position among the tracked ones.
        video_id: Identifiers.
        age: Age now (h).
        due: The latest age (h) that is due.
        velocity: Share of the growth still to come at the last look that has come since.
        uncertainty: Standard deviation of the forecast of ln views at the horizon as of the last look.
        information: What a look tells, by which they are ordered.
    """

    row: np.ndarray[Any, Any]
    video_id: np.ndarray[Any, Any]
    age: Floats
    due: Floats
    velocity: Floats
    uncertainty: Floats
    information: Floats

    def __len__(self) -> int:
        return len(self.row)

    def first(self, count: int) -> "Due":
        """The first of them."""
        return Due(*(getattr(self, field.name)[:count] for field in fields(self)))


def plan(tracked: Tracked, now: float) -> Due:
    """What is due at a moment, the most telling first; equal ones in the order of a hash of their ids.

    Args:
        tracked: The videos that are followed.
        now: Hours since the epoch (UTC).
    """
    age = now - tracked.anchor
    seen_age = np.nan_to_num(tracked.seen - tracked.anchor, nan=-1.0)
    first = np.searchsorted(AGES_H, np.maximum(seen_age, 0.0), side="right")
    moments, tie = _moments(tracked.video_id)
    passed = (moments <= age[:, None]).sum(axis=1)
    never = np.isnan(tracked.seen) & (age >= 0)
    chosen = (((passed > first) & (age <= TRACKED_H)) | never) & _may_try(tracked, passed, moments, now)
    row = np.flatnonzero(chosen)
    looks = np.where(np.isnan(tracked.seen), 0, np.where(np.isnan(tracked.rate), 1, 2))
    velocity, uncertainty, told = expectation(age[row], np.maximum(seen_age[row], 0.0), looks[row], tracked.sd[row])
    latest = np.where(passed[row] > 0, AGES_H[passed[row] - 1], 0.0)
    order = _in_turn(
        np.lexsort((tie[row], -told)), np.isin(latest, OUTCOMES_H) & (age[row] <= OUTCOME_UNTIL * latest), tie[row]
    )
    row = row[order]
    return Due(
        row=row,
        video_id=tracked.video_id[row],
        age=age[row],
        due=latest[order],
        velocity=velocity[order],
        uncertainty=uncertainty[order],
        information=told[order],
    )


def _in_turn(
    order: np.ndarray[Any, Any], outcome: np.ndarray[Any, Any], tie: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """An order in which every fourth place goes to an outcome, drawn by hash, as long as there are such and others."""
    outcomes = np.flatnonzero(outcome)
    outcomes = outcomes[np.argsort(tie[outcomes], kind="stable")]
    others = order[~outcome[order]]
    places = np.concatenate([
        np.arange(len(outcomes)) * OUTCOME_EVERY + OUTCOME_EVERY - 1.5,
        np.arange(len(others)) * OUTCOME_EVERY / (OUTCOME_EVERY - 1.0),
    ])  # fmt: skip
    return np.concatenate([outcomes, others])[np.argsort(places, kind="stable")]


def _moments(video_id: np.ndarray[Any, Any]) -> tuple[Floats, np.ndarray[Any, Any]]:
    """Per video the age (h) of each look, and a number that settles ties; both from a hash of its id."""
    digests = b"".join(hashlib.sha256(str(name).encode()).digest() for name in video_id)
    drawn = np.frombuffer(digests, dtype=np.uint16).reshape(-1, 16)
    return AGES_H * (1 + JITTER * drawn[:, : len(AGES_H)] / 65536.0), drawn[:, -1]


def _may_try(tracked: Tracked, passed: np.ndarray[Any, Any], moments: Floats, now: float) -> np.ndarray[Any, Any]:
    """Whether a video that could not be had has waited long enough: 15 min, 1 h; after three tries until its next age."""
    waited = now - np.nan_to_num(tracked.missed, nan=-np.inf)
    wait = _FIRST_WAIT_H * _WAIT_FACTOR ** np.maximum(tracked.misses - 1, 0)
    rows = np.arange(len(tracked))
    latest = np.where(passed > 0, tracked.anchor + moments[rows, passed - 1], -np.inf)
    since_age = np.nan_to_num(tracked.missed, nan=-np.inf) < latest
    return np.asarray((tracked.misses == 0) | ((tracked.misses < TRIES) & (waited >= wait)) | since_age)


def expectation(age: Floats, seen_age: Floats, looks: Whole, sd: Floats) -> tuple[Floats, Floats, Floats]:
    """Velocity, uncertainty and information of videos.

    Args:
        age: Their age now (h).
        seen_age: The age (h) at which they were last seen; 0 where never.
        looks: Looks so far; 2 stands for more.
        sd: Standard deviation of the champion's forecast; missing where there is none.
    """
    second = seen_age >= HORIZONS_H[0]
    horizon = np.where(second, HORIZONS_H[1], HORIZONS_H[0])
    to_come = np.maximum(_to_come(seen_age, horizon, BEND_H[1]), 1e-9)
    velocity = np.clip(1.0 - _to_come(np.minimum(age, horizon), horizon, BEND_H[1]) / to_come, 0.0, 1.0)
    typical = typical_sd(seen_age, horizon, looks)
    uncertainty = np.where(np.isnan(sd), typical, np.sqrt(sd * typical))
    worth = np.where(second, _worth(1, looks, seen_age, age), _worth(0, looks, seen_age, age))
    return velocity, uncertainty, uncertainty * worth


def typical_sd(age: Floats, horizon: Floats, looks: Whole) -> Floats:
    """Standard deviation of ln views at the horizon, forecast after so many looks, the last of them at an age (h)."""
    after = [
        first * _to_come(age, horizon, bend) / np.log1p(horizon / bend) + last
        for first, last, bend in zip(FIRST_SD, LAST_SD, BEND_H, strict=True)
    ]
    return np.asarray(np.where(looks == 0, NEVER_SD, np.where(looks == 1, after[0], after[1])))


def _to_come(age: Floats, horizon: Floats, bend: float) -> Floats:
    """Growth in ln views that usually comes between an age and the horizon (h)."""
    return np.asarray(np.log1p(horizon / bend) - np.log1p(np.minimum(age, horizon) / bend))


def _worth(number: int, looks: Whole, seen_age: Floats, age: Floats) -> Floats:
    """Hours of the first horizon that a look at `age` is worth, per unit of the uncertainty since `seen_age`."""
    grid, table = _worth_table(number)
    seen, now = (np.clip(np.searchsorted(grid, value, side="right") - 1, 0, len(grid) - 1) for value in (seen_age, age))
    return np.asarray(table[np.minimum(looks, 2), seen, now])


@cache
def _worth_table(number: int) -> tuple[Floats, Floats]:
    """Ages (h), and per looks so far and pair of ages what a look at the second is worth where the last one was at the first.

    It is the price of a look at which taking it now is as good as waiting, for someone who pays the typical uncertainty for every
    hour until the horizon: dynamic programming backwards over the ages, for each of many prices.
    """
    horizon = HORIZONS_H[number]
    start = HORIZONS_H[number - 1] if number else 0.5
    grid = np.concatenate([np.zeros(0 if number else 1), np.geomspace(start, horizon, 96)])
    size, looks = len(grid), np.arange(3)
    sd = typical_sd(grid[None, :], np.array(horizon), looks[:, None])
    prices = np.concatenate([np.zeros(1), np.geomspace(0.02, 200.0, 120)])
    hours = np.diff(grid) * HORIZONS_H[0] / horizon
    to_go = np.zeros((len(prices), 3, size))  # per price, looks so far and age of the last look
    worth = np.zeros((3, size, size))
    for now in range(size - 2, -1, -1):
        wait = sd * hours[now] + to_go
        look = prices[:, None] + wait[:, np.minimum(looks + 1, 2), now]
        taken = look[:, :, None] <= wait
        worth[:, :, now] = np.where(taken, prices[:, None, None], 0.0).max(axis=0)
        to_go = np.minimum(wait, look[:, :, None])
    before = np.arange(size)[:, None] < np.arange(size)
    return grid, np.where(before, worth / sd[:, :, None], 0.0)


def fitted(order: Order, cost: Callable[[Order], Mapping[str, int]], room: Mapping[str, int]) -> Order:
    """As much of an order as the room pays for: topics, then channels, then videos, each in its order.

    Where videos are asked for too, topics and channels take at most half of a bucket that videos need.

    Args:
        order: What is wanted.
        cost: The most that an order may take of each bucket.
        room: Units per limited bucket.
    """
    alone = replace(order, topics=(), channels=())
    halved = cost(alone) if order.videos else {}
    half = {bucket: units // 2 if halved.get(bucket) else units for bucket, units in room.items()}
    found = replace(order, topics=(), channels=(), videos=())
    for name, limit in (("topics", half), ("channels", half), ("videos", room)):
        found = _most(found, name, getattr(order, name), cost, limit)
    return found


def _most(
    order: Order, name: str, wanted: Sequence[str], cost: Callable[[Order], Mapping[str, int]], room: Mapping[str, int]
) -> Order:
    """The order with as many of some items as the room pays for."""

    def with_first(count: int) -> Order:
        some: dict[str, Any] = {name: tuple(wanted[:count])}
        return replace(order, **some)

    def fits(count: int) -> bool:
        return all(units <= room.get(bucket, units) for bucket, units in cost(with_first(count)).items())

    low, high = 0, len(wanted)
    if fits(high):
        return with_first(high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return with_first(low)
