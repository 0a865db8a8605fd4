"""What the order of looks is worth: the product's planner beside fixed ages, at the same quota, in the simulator's world.

Every hour a batch of looks is allowed. Now and then all videos of the last seven days are forecast (ln views at 7 d) from whatever
was seen of them, by one forecaster that was fitted on earlier videos seen at random. What the planner is told of a video is what
that forecaster says of its own error, as a champion's interval does.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from assets.raw.collection import quota
from assets.raw.collection.plan import AGES_H, Tracked, fitted, plan
from assets.raw.collection.tracked import hours
from benchmarks.figures import row
from resources.collectors.base import Order
from resources.simulator.world import SimulatorConfig, World, make_world
from warehouse.connection import Warehouse

SEEDS = tuple(range(1001, 1021))
TUNED_ON = tuple(range(1, 9))
"""Seeds on which the planner and the thinned schedule were chosen; none of `SEEDS`."""
HORIZON_H = 168.0
DAYS, LEARN_DAYS, WARM_DAYS = 27, 16, 7
VIDEOS_A_DAY, LOOKS_A_VIDEO = 300, 3.0
"""A third of the nine looks of the first seven days: the quota binds all day long."""
FORECAST_EVERY_H = 6
PATTERNS = 6
FAIR = {
    "every age as it falls due": (1.0, 2.0, 4.0, 8.0, 16.0, 24.0, 48.0, 96.0, 168.0),
    "every third age from 1 h": (1.0, 8.0, 48.0),
    "every third age from 2 h": (2.0, 16.0, 96.0),
}
"""Fixed ages (h): all of them, or as many as the quota pays for. The planner is judged by the best of these over all seeds."""
BEST = "the best three ages"
OPPONENTS = {**FAIR, BEST: (8.0, 24.0, 96.0)}
"""The best three were searched for on the worlds that the planner was tuned on: what somebody would choose who knew the simulator."""


@dataclass(frozen=True)
class Setting:
    """A world and the looks that an hour allows."""

    seed: int
    videos_a_day: int = VIDEOS_A_DAY
    looks: float = LOOKS_A_VIDEO

    @property
    def an_hour(self) -> float:
        """Looks that an hour allows."""
        return self.videos_a_day * self.looks / 24


class Seen:
    """What a policy has seen of every video: the last two looks."""

    def __init__(self, count: int) -> None:
        self.age, self.level = np.full((count, 2), np.nan), np.full((count, 2), np.nan)

    def look(self, rows: np.ndarray, age: np.ndarray, level: np.ndarray) -> None:
        """Notes a look at some videos."""
        self.age[rows, 1], self.level[rows, 1] = self.age[rows, 0], self.level[rows, 0]
        self.age[rows, 0], self.level[rows, 0] = age, level


class Forecaster:
    """Forecasts ln views at 7 d from the last two looks and the channel's earlier videos, and its own error."""

    def __init__(self, world: World, truth: np.ndarray, learned: np.ndarray, seed: int) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        self._channel = world.videos["channel"].to_numpy()
        count = int(self._channel.max()) + 1
        self._sum = np.bincount(self._channel[learned], truth[learned], count)
        self._n = np.bincount(self._channel[learned], minlength=count)
        self._mean = float(truth[learned].mean())
        rng = np.random.default_rng([seed, 77])
        rows = np.repeat(learned, PATTERNS)
        seen = _random_looks(world, rows, rng)
        known, y = self._features(seen, rows, truth[rows]), truth[rows]
        half = np.isin(rows, learned[::2])
        options: dict[str, Any] = {
            "max_iter": 150,
            "learning_rate": 0.08,
            "min_samples_leaf": 40,
            "early_stopping": False,
        }
        self._point = HistGradientBoostingRegressor(loss="absolute_error", **options).fit(known[half], y[half])
        error = np.abs(y[~half] - self._point.predict(known[~half]))
        self._error = HistGradientBoostingRegressor(loss="squared_error", **options).fit(known[~half], error)

    def point(self, seen: Seen, rows: np.ndarray) -> np.ndarray:
        """Forecasts."""
        return np.asarray(self._point.predict(self._features(seen, rows)))

    def sd(self, seen: Seen, rows: np.ndarray) -> np.ndarray:
        """Their standard deviations."""
        return np.asarray(np.maximum(1.25 * self._error.predict(self._features(seen, rows)), 0.01))

    def _features(self, seen: Seen, rows: np.ndarray, own: np.ndarray | None = None) -> np.ndarray:
        """`own`: outcomes of training rows, left out of their channel's mean."""
        channel = self._channel[rows]
        total, n = self._sum[channel], self._n[channel]
        if own is not None:
            total, n = total - own, n - 1
        mean = (total + 2 * self._mean) / (n + 2)
        where = np.arange(len(rows)) if own is not None else rows
        age, level = seen.age[where], seen.level[where]
        gap = age[:, 0] - age[:, 1]
        return np.column_stack([age, level, level[:, 0] - mean, level[:, 0] - level[:, 1], gap, mean, n])


def _random_looks(world: World, rows: np.ndarray, rng: np.random.Generator) -> Seen:
    """Looks at a random share of the ages, until a random age."""
    seen = Seen(len(rows))
    ages = AGES_H[AGES_H <= HORIZON_H] * (1 + 0.5 * rng.random((len(rows), int((AGES_H <= HORIZON_H).sum()))))
    kept = (rng.random(ages.shape) < rng.random((len(rows), 1))) & (ages < HORIZON_H * rng.random((len(rows), 1)))
    for column in range(ages.shape[1]):
        where = np.flatnonzero(kept[:, column])
        age = ages[where, column]
        seen.look(where, age, np.log1p(np.floor(world.views(rows[where], age))))
    return seen


Policy = Callable[[np.ndarray, Seen, np.ndarray, np.ndarray, float], np.ndarray]
"""Which of some videos are due, the first to be looked at first: (rows, seen, sd, published in h, now)."""


def informed(names: np.ndarray) -> Policy:
    """The product's planner."""

    def order(rows: np.ndarray, seen: Seen, sd: np.ndarray, published: np.ndarray, now: float) -> np.ndarray:
        age, level = seen.age[rows], seen.level[rows]
        none = np.zeros(len(rows))
        tracked = Tracked(
            video_id=names[rows],
            anchor=published[rows],
            seen=published[rows] + age[:, 0],
            views=np.exp(level[:, 0]),
            rate=(level[:, 0] - level[:, 1]) / (age[:, 0] - age[:, 1]),
            sd=sd[rows],
            misses=none,
            missed=none * np.nan,
        )
        return np.asarray(rows[plan(tracked, now).row])

    return order


def fixed(ages: np.ndarray) -> Policy:
    """Every video at the same ages, whatever is due longest first; several ages missed are one look."""

    def order(rows: np.ndarray, seen: Seen, sd: np.ndarray, published: np.ndarray, now: float) -> np.ndarray:
        first = np.searchsorted(ages, np.nan_to_num(seen.age[rows, 0], nan=-1.0), side="right")
        due_at = published[rows] + np.append(ages, np.inf)[first]
        waiting = np.flatnonzero(due_at <= now)
        return np.asarray(rows[waiting[np.argsort(due_at[waiting], kind="stable")]])

    return order


@dataclass
class Trial:
    """A world with its forecaster, in which policies are tried."""

    setting: Setting

    def __post_init__(self) -> None:
        config = SimulatorConfig(
            seed=self.setting.seed, videos_per_day=self.setting.videos_a_day, days=DAYS, drift_day=None, dirt=False
        )
        self.world = make_world(config)
        count = len(self.world.videos)
        self.names = self.world.videos["video_id"].to_numpy()
        self.published = self.world.videos["published"].to_numpy() / 3600
        self.truth = np.log1p(self.world.views(np.arange(count), np.full(count, HORIZON_H)))
        learned = np.flatnonzero(self.published < LEARN_DAYS * 24 - HORIZON_H)
        self.forecaster = Forecaster(self.world, self.truth, learned, self.setting.seed)

    def error(self, policy: Policy) -> tuple[float, float]:
        """Mean absolute error over all videos of the last seven days, and looks per hour."""
        seen, sd = Seen(len(self.truth)), np.full(len(self.truth), np.nan)
        errors, looks, credit = [], 0, 0.0
        start = LEARN_DAYS * 24
        for now in np.arange(start, DAYS * 24.0) + 1.0:
            low, high = np.searchsorted(self.published, (max(now - HORIZON_H, start), now))
            rows = np.arange(low, high)
            fresh = rows[np.isnan(sd[rows])]
            sd[fresh] = self.forecaster.sd(seen, fresh) if len(fresh) else sd[fresh]
            if now >= start + WARM_DAYS * 24 and now % FORECAST_EVERY_H == 0:
                errors.append(np.abs(self.forecaster.point(seen, rows) - self.truth[rows]))
            credit += self.setting.an_hour
            chosen = policy(rows, seen, sd, self.published, now)[: int(credit)]
            credit = credit - len(chosen) if now % 24 else 0.0  # what a day does not use is lost
            if len(chosen):
                age = now - self.published[chosen]
                seen.look(chosen, age, np.log1p(np.floor(self.world.views(chosen, age))))
                sd[chosen] = self.forecaster.sd(seen, chosen)
                looks += len(chosen)
        return float(np.concatenate(errors).mean()), looks / (24 * (DAYS - LEARN_DAYS))


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """The simulated day, and what the planner's order wins over fixed ages."""
    with threadpool_limits(1):
        return [*_day(quick), *_orders(quick)]


def _orders(quick: bool) -> list[dict[str, Any]]:
    videos, seeds = (150, SEEDS[:2]) if quick else (VIDEOS_A_DAY, SEEDS)
    won: dict[str, list[float]] = {name: [] for name in OPPONENTS}
    errors: dict[str, list[float]] = {name: [] for name in ("planner", *OPPONENTS)}
    for seed in seeds:
        trial = Trial(Setting(seed, videos))
        ours = trial.error(informed(trial.names))[0]
        errors["planner"].append(ours)
        for name, ages in OPPONENTS.items():
            theirs = trial.error(fixed(np.array(ages)))[0]
            errors[name].append(theirs)
            won[name].append(100 * (1 - ours / theirs))
        said = ", ".join(f"{name} {values[-1]:.4f}" for name, values in errors.items())
        print(f"  seed {seed}: error {said}", file=sys.stderr, flush=True)
    better = min(FAIR, key=lambda name: np.mean(errors[name]))
    rows = []
    for name in OPPONENTS:
        mean, lower = float(np.mean(won[name])), _lower(won[name])
        judged = name == better
        rows.append(
            row(
                "plan",
                f"error over all videos at {LOOKS_A_VIDEO:g} looks a video, lower than {name} ({len(seeds)} seeds), mean",
                mean,
                "%",
                None,
                ">= 10" if judged else None,
                mean >= 10 or not judged,
            )
        )
        rows.append(
            row(
                "plan",
                f"the same, lower 95 % bound, {name}",
                lower,
                "%",
                None,
                "> 5" if judged else None,
                lower > 5 or not judged,
            )
        )
    return rows


def _lower(won: list[float]) -> float:
    """Lower 95 % bound of a mean over seeds (one-sided t)."""
    from scipy import stats

    n = len(won)
    return float(np.mean(won) - stats.t.ppf(0.95, n - 1) * np.std(won, ddof=1) / np.sqrt(n))


def _day(quick: bool) -> list[dict[str, Any]]:
    """The day on which clocks go forward, in runs of half an hour; every seventh is killed."""
    count, limits = (5_000 if quick else 50_000), {"units": 1_000}
    rng = np.random.default_rng(4)
    midnight = datetime(2026, 3, 8, 8)
    ids = np.array([f"{number:011d}" for number in range(count)], dtype=object)
    anchor = hours(midnight) - rng.uniform(0, HORIZON_H, count) + 12
    seen = np.full(count, np.nan)
    none, seconds, spent, looks, left_due = np.zeros(count), [], 0, 0, 0
    with tempfile.TemporaryDirectory() as folder:
        warehouse = Warehouse(Path(folder))
        for number in range(2 * 23):
            now = midnight + timedelta(minutes=30 * number + 1)
            tracked = Tracked(ids, anchor, seen, none * np.nan, none * np.nan, none * np.nan, none, none * np.nan)
            began = time.perf_counter()
            due = plan(tracked, hours(now))
            seconds.append(time.perf_counter() - began)
            with warehouse.write() as con:
                left = quota.left(con, "youtube", limits, now)["units"]
                room = quota.share(left, limits["units"], 0.0, timedelta(minutes=30), now)
                order = fitted(Order(videos=tuple(due.video_id)), _cost, {"units": room})
                granted = quota.reserve(con, "youtube", limits, _cost(order), now, str(number))["units"]
                if number % 7:  # the others were killed: what they reserved stays spent
                    quota.settle(con, str(number), {"units": granted})
            chosen = due.row[: min(50 * granted, len(due))]
            seen[chosen] = hours(now)
            spent, looks, left_due = spent + granted, looks + len(chosen), len(due) - len(chosen)
    assert midnight < now < quota.day_ends(midnight)
    return [
        row("plan", f"units spent on a day of 23 hours, {count:,} videos, {looks:,} looks, {left_due:,} due at its end", spent,
            "units", limits["units"], "<= 1,000", spent <= limits["units"]),
        row("plan", f"planning of {count:,} videos, slowest of {len(seconds)} runs", max(seconds), "s", float(np.median(seconds)), None, True),
    ]  # fmt: skip


def _cost(order: Order) -> dict[str, int]:
    return {"units": -(-len(order.videos) // 50)}
