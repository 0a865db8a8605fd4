"""Where a channel's audience is heading: the mean sentiment of next week's comments, forecast and judged on later weeks.

Beside the sequence model (`course_network`) stand the last value and the channel's mean. Everything that is read for a
forecast at an origin (a Monday) was written and known before it; what the models learn from had matured before the first
week that they are judged on. Pure logic on scored comments; nothing is stored here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from assets.evaluations.bootstrap import paired_difference
from assets.language.courses import monday

WEEKS = 12
"""Weeks of its past that a forecast looks at."""
TEST_WEEKS = 4
"""The latest weeks that have matured: the models are judged on them and learn from what matured before."""
NETWORK, LAST, MEAN = "gru", "last_value", "channel_mean"
NAIVE = (LAST, MEAN)
_MONDAY = datetime(1970, 1, 5)
_WEEK = timedelta(days=7)
_GRACE = timedelta(days=7)
"""After the end of a week its comments may still come in; then what is known of it is its outcome."""
_FEWEST_WEEKS = 3
_FEWEST_COMMENTS = 3

Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Pasts:
    """What is known of channels at origins, and what became of them.

    Attributes:
        keys: source, channel_id and origin of every row.
        means: [rows, WEEKS], mean sentiment of the weeks before the origin, oldest first; NaN without comments.
        counts: [rows, WEEKS], comments.
        outcome: [rows], mean sentiment of the week that begins at the origin; NaN where too few comments came or it has
            not matured.
        outcome_count: [rows], its comments.
    """

    keys: pd.DataFrame
    means: Matrix
    counts: Matrix
    outcome: Matrix
    outcome_count: Matrix

    def chosen(self, rows: "np.ndarray[Any, Any]") -> "Pasts":
        """Some rows."""
        keys = self.keys.iloc[np.arange(len(self.keys))[rows]].reset_index(drop=True)
        return Pasts(keys, self.means[rows], self.counts[rows], self.outcome[rows], self.outcome_count[rows])

    def last_value(self) -> Matrix:
        """The latest week that had comments."""
        latest = self.means.shape[1] - 1 - np.isfinite(self.means[:, ::-1]).argmax(axis=1)
        return np.asarray(self.means[np.arange(len(self.means)), latest])

    def mean(self) -> Matrix:
        """Mean over all comments of the weeks."""
        total: Matrix = np.nansum(self.means * self.counts, axis=1) / self.counts.sum(axis=1)
        return total


@dataclass(frozen=True)
class Forecasts:
    """What was forecast, and how good it was.

    Attributes:
        rows: source, channel_id, origin, forecaster, forecast, outcome, comments (of the outcome), role (test or next).
        scores: forecaster, n, channels, mae, skill (1 - MAE / MAE of the best naive one), lower and upper (95 % interval
            of MAE less that of the best naive one, over channels).
        learned_from: Rows that the network learned from.
        why_not: Why there is no network; None where there is one.
    """

    rows: pd.DataFrame
    scores: pd.DataFrame
    learned_from: int
    why_not: str | None


def matures_at(origin: datetime) -> datetime:
    """When the week that begins at an origin has an outcome."""
    return origin + _WEEK + _GRACE


def origins(first: datetime, now: datetime) -> list[datetime]:
    """The Mondays from the second week of comments up to now."""
    start = datetime(first.year, first.month, first.day) + timedelta(days=14 - first.weekday())
    return [start + number * _WEEK for number in range(max(0, (now - start) // _WEEK + 1))]


def pasts(scores: pd.DataFrame, at: Sequence[datetime], now: datetime) -> Pasts:
    """What is known of every channel at some origins; channels with comments in fewer than three weeks are left out.

    Args:
        scores: Comments: source, channel_id, written_at, known_at, sentiment.
        at: Origins.
        now: What became known later does not exist yet.
    """
    channels = scores.groupby(["source", "channel_id"], sort=True)
    names = pd.DataFrame(list(channels.groups), columns=["source", "channel_id"])
    weeks = ((monday(scores["written_at"]) - pd.Timestamp(_MONDAY)).dt.days // 7).to_numpy()
    written = _Written(
        channels.ngroup().to_numpy(), weeks, scores["known_at"].to_numpy(), scores["sentiment"].to_numpy(float)
    )
    return _joined([_pasts_at(written, names, origin, now) for origin in at])


def forecast(scores: pd.DataFrame, now: datetime, since: datetime | None = None, seed: int = 0) -> Forecasts:
    """Forecasts of the latest matured weeks, by what was learned before them, and of the week to come.

    Args:
        scores: As in `pasts`.
        now: The home's time.
        since: No origin before it, such as when the emotion model was known; None is no limit.
        seed: Of the network.
    """
    every = origins(scores["written_at"].min(), now) if len(scores) else []
    every = [origin for origin in every if since is None or origin >= since]
    matured = [origin for origin in every if matures_at(origin) <= now]
    tested = matured[-TEST_WEEKS:]
    ahead = [origin for origin in every[-1:] if origin not in tested]
    learned = [origin for origin in matured if tested and matures_at(origin) <= tested[0]]
    known = pasts(scores, learned, now)
    asked = pasts(scores, [*tested, *ahead], now)
    said: dict[str, Matrix] = {LAST: asked.last_value(), MEAN: asked.mean()}
    known = known.chosen(np.isfinite(known.outcome))
    why_not = _learn(known, asked, said, seed)
    role = np.where(asked.keys["origin"].isin(ahead), "next", "test")
    rows = pd.concat(
        [
            asked.keys.assign(
                forecaster=name, forecast=values, outcome=asked.outcome, comments=asked.outcome_count, role=role
            )
            for name, values in said.items()
        ],
        ignore_index=True,
    )
    return Forecasts(rows, board(rows), len(known.outcome), why_not)


def board(rows: pd.DataFrame) -> pd.DataFrame:
    """How good each forecaster is on the test weeks; see `Forecasts.scores`."""
    judged = rows[(rows["role"] == "test") & rows["outcome"].notna()]
    names = ["forecaster", "n", "channels", "mae", "skill", "lower", "upper"]
    if judged.empty:
        return pd.DataFrame(columns=names)
    errors = judged.assign(error=(judged["forecast"] - judged["outcome"]).abs())
    wide = errors.pivot_table(index=["source", "channel_id", "origin"], columns="forecaster", values="error")
    maes = wide.mean()
    best = str(maes[list(NAIVE)].idxmin())
    channel = np.array([f"{source}/{channel_id}" for source, channel_id, _ in wide.index])
    found = []
    for name in wide.columns:
        _, bounds = paired_difference(wide[name].to_numpy(), wide[best].to_numpy(), channel)
        low, high = bounds if bounds and name != best else (np.nan, np.nan)
        skill = 1 - maes[name] / maes[best] if maes[best] > 0 else np.nan
        found.append((name, len(wide), len(np.unique(channel)), maes[name], skill, low, high))
    return pd.DataFrame(found, columns=names).sort_values("mae", ignore_index=True)


def _learn(known: Pasts, asked: Pasts, said: dict[str, Matrix], seed: int) -> str | None:
    """Adds what the network says; why there is none."""
    try:
        from assets.language.course_network import MIN_ROWS, fit
    except ImportError:
        return "torch is not installed; `pip install 'upswell[network]'`"
    if len(known.outcome) < MIN_ROWS:
        return f"{len(known.outcome)} weeks of channels to learn from, {MIN_ROWS} are needed"
    said[NETWORK] = fit(known, seed)(asked)
    return None


@dataclass(frozen=True)
class _Written:
    """Comments: number of their channel, week since `_MONDAY`, when they were known, sentiment."""

    channel: "np.ndarray[Any, Any]"
    week: "np.ndarray[Any, Any]"
    known_at: "np.ndarray[Any, Any]"
    sentiment: Matrix

    def by_week(self, rows: "np.ndarray[Any, Any]", channels: int, first: int, weeks: int) -> tuple[Matrix, Matrix]:
        """Means (NaN without any) and numbers of some comments, [channels, weeks]."""
        cell = self.channel[rows] * weeks + self.week[rows] - first
        counts = np.bincount(cell, minlength=channels * weeks).astype(float)
        sums = np.bincount(cell, weights=self.sentiment[rows], minlength=channels * weeks)
        means = np.divide(sums, counts, out=np.full(len(sums), np.nan), where=counts > 0)
        return means.reshape(channels, weeks), counts.reshape(channels, weeks)


def _pasts_at(written: _Written, names: pd.DataFrame, origin: datetime, now: datetime) -> Pasts:
    week = (origin - _MONDAY) // _WEEK
    before = (written.week >= week - WEEKS) & (written.week < week) & (written.known_at < np.datetime64(origin))
    means, counts = written.by_week(before, len(names), week - WEEKS, WEEKS)
    matured = matures_at(origin)
    ahead = (written.week == week) & (written.known_at <= np.datetime64(matured))
    outcome, count = (values[:, 0] for values in written.by_week(ahead, len(names), week, 1))
    known = (count >= _FEWEST_COMMENTS) & (matured <= now)
    outcome, count = np.where(known, outcome, np.nan), np.where(known, count, 0.0)
    whole = Pasts(names.assign(origin=pd.Timestamp(origin)), means, counts, outcome, count)
    return whole.chosen((counts > 0).sum(axis=1) >= _FEWEST_WEEKS)


def _joined(parts: Sequence[Pasts]) -> Pasts:
    empty = np.zeros((0, WEEKS))
    none = Pasts(pd.DataFrame({"source": [], "channel_id": [], "origin": []}), empty, empty, empty[:, 0], empty[:, 0])
    parts = [part for part in parts if len(part.outcome)] or [none]
    return Pasts(
        pd.concat([part.keys for part in parts], ignore_index=True),
        np.concatenate([part.means for part in parts]),
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.outcome for part in parts]),
        np.concatenate([part.outcome_count for part in parts]),
    )
