"""How emotion moves: by week in the comments of a channel, by age in those of a video, by minute in what is said in it.

Pure logic on scored texts: a course is a row of points with the mean mood of each, and the points at which its level
changes (`change_points`). Where scores come from is in `course_rows`; where a course is heading, in `course_forecasts`.
Moods are Ekman's six and a sentiment: the chance of something positive less that of something negative, -1..1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from assets.language.change_points import SHORTEST, changes
from resources.emotions.labels import EKMAN, SENTIMENT, grouped

MOODS = ("sentiment", *EKMAN)
AGES = (0, 1, 2, 4, 8, 16, 24, 48, 72, 96, 120, 144, 168, 336, 720)
"""Hours at which the parts of a video's course of comments begin; the last part has no end."""
COURSE = ["source", "channel_id", "video_id"]
_LONG_S, _MINUTE_S, _SHORT_WINDOW_S = 180.0, 60.0, 15.0
_WORDS_A_SECOND = 2.5  # 150 words a minute, where nothing tells how long it took to say them

Matrix = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True)
class Window:
    """A part of what is said in a video.

    Attributes:
        begins: Seconds from the beginning.
        ends: Where it ends; about, where words have no times.
        text: Its words.
    """

    begins: float
    ends: float
    text: str


def moods(probabilities: "np.ndarray[Any, Any]", labels: Sequence[str]) -> Matrix:
    """The moods of texts, [n, moods], from the probabilities of their emotions, [n, labels]."""
    by_name = dict(zip(SENTIMENT, grouped(probabilities, labels, SENTIMENT).T, strict=True))
    sentiment = by_name["positive"] - by_name["negative"]
    return np.column_stack([sentiment, grouped(probabilities, labels, EKMAN)]).astype(np.float64)


def by_week(scores: pd.DataFrame) -> pd.DataFrame:
    """The course of every channel's comments, by the Monday of the week in which they were written.

    Args:
        scores: Comments: source, channel_id, video_id, written_at and the moods.

    Returns:
        source, channel_id, video_id (empty), position (weeks from the first), starts_at, n, the moods, and what
        `with_changes` adds.
    """
    weeks = scores.assign(video_id="", starts_at=monday(scores["written_at"]))
    points = _means(weeks, [*COURSE, "starts_at"])
    first = points.groupby(COURSE)["starts_at"].transform("min")
    return with_changes(points.assign(position=(points["starts_at"] - first).dt.days // 7))


def by_age(scores: pd.DataFrame) -> pd.DataFrame:
    """The course of every video's comments, by its age when they were written.

    Args:
        scores: As in `by_week`, and anchor_at; what is older than its video belongs to the first part.

    Returns:
        The same as `by_week`, with begins and ends (hours of age) and position among `AGES`.
    """
    age = (scores["written_at"] - scores["anchor_at"]).dt.total_seconds() / 3600
    position = np.clip(np.searchsorted(AGES, age.to_numpy(), side="right") - 1, 0, None)
    points = _means(scores.assign(position=position), [*COURSE, "position", "anchor_at"])
    begins = np.asarray(AGES, float)[points["position"]]
    ends = np.append(np.asarray(AGES[1:], float), np.nan)[points["position"]]
    starts_at = points["anchor_at"] + pd.to_timedelta(begins, unit="h")
    return with_changes(points.drop(columns="anchor_at").assign(begins=begins, ends=ends, starts_at=starts_at))


def with_changes(points: pd.DataFrame) -> pd.DataFrame:
    """Points with the changes of sentiment in their course: p_value and mean before and after, where one begins.

    A point weighs as many texts as it is the mean of.
    """
    ordered = points.sort_values([*COURSE, "position"], ignore_index=True)
    found = np.full((len(ordered), 3), np.nan)
    sentiment, weights = ordered["sentiment"].to_numpy(float), ordered["n"].to_numpy(float)
    for rows in ordered.groupby(COURSE, sort=False).indices.values():
        if len(rows) >= 2 * SHORTEST:
            for change in changes(sentiment[rows], weights[rows]):
                found[rows[change.at]] = change.p_value, change.before, change.after
    return ordered.assign(p_value=found[:, 0], level_before=found[:, 1], level_after=found[:, 2])


def windows(
    text: str, duration_s: float | None, words: Sequence[str] = (), starts: Sequence[float] = ()
) -> list[Window]:
    """What is said in a video in parts: minutes, or quarters of one where it is shorter than three.

    Args:
        text: All of it.
        duration_s: Length of the video, where it is known; where nothing is, 150 words are taken for a minute.
        words: Words with times, where there are any.
        starts: When each begins (seconds).
    """
    if not len(words):
        words = text.split()
        length = duration_s or len(words) / _WORDS_A_SECOND
        starts = [length * number / len(words) for number in range(len(words))]
    length = max(duration_s or 0.0, starts[-1] if len(starts) else 0.0)
    size = _MINUTE_S if length >= _LONG_S else _SHORT_WINDOW_S
    parts: dict[int, list[str]] = {}
    for word, start in zip(words, starts, strict=True):
        parts.setdefault(int(start // size), []).append(word)
    return [Window(number * size, (number + 1) * size, " ".join(said)) for number, said in sorted(parts.items())]


def monday(times: pd.Series) -> pd.Series:
    """The beginning of the week (Monday, 00:00 UTC) of each time."""
    day = times.dt.normalize()
    return pd.Series(day - pd.to_timedelta(day.dt.weekday, unit="D"))


def _means(scores: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Means of the moods and the number of texts of every group."""
    grouped_ = scores.groupby(by, sort=True, dropna=False)
    return grouped_[list(MOODS)].mean().assign(n=grouped_.size()).reset_index()
