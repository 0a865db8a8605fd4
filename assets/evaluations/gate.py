"""Whether a challenger is better than what serves by more than the noise: a paired test on losses of the same videos.

Pure statistics on one frame of losses. Which models and videos are compared, and what follows, is for `promotion`.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from assets.models.task import Kind
from resources.settings import Gate

Vector = np.ndarray[Any, np.dtype[np.float64]]
Codes = np.ndarray[Any, np.dtype[np.int64]]
SLICES = ("source", "new_channel", "channel_size", "duration", "view_regime")
WEEK, DAY = 7, 1
WEEKS_FROM = 3
"""Weeks that the videos have to span for a block of time to be a week; of a shorter span it is a day."""
INTERVAL = 0.95
CLIP = 1e-6
NAMES: dict[Kind, str] = {"regression": "mean absolute error", "class": "log loss"}
Blocked = Literal["noise", "coverage", "slice"]


@dataclass(frozen=True)
class Difference:
    """By how much a loss is smaller than another on the same rows, and how sure that is.

    Attributes:
        rows: Videos.
        channels: Blocks of channels.
        time_blocks: Blocks of time.
        block_days: Days in a block of time.
        loss: Mean loss of the first.
        other_loss: Mean loss of the second.
        difference: other_loss - loss; above 0 the first is better.
        standard_error: Of the difference, for errors that are alike within a channel and within a block of time; None
            where there is one block only.
        degrees: Degrees of freedom of the standard error.
        statistic: difference / standard_error.
        needed: What the statistic has to exceed.
        lower: Lower end of the 95 % interval of the difference.
        upper: Upper end of it.
    """

    rows: int
    channels: int
    time_blocks: int
    block_days: int
    loss: float
    other_loss: float
    difference: float
    standard_error: float | None
    degrees: float | None
    statistic: float | None
    needed: float | None
    lower: float | None
    upper: float | None

    @property
    def better(self) -> bool:
        """Whether the first is better by more than the noise."""
        return self.statistic is not None and self.needed is not None and self.statistic > self.needed


@dataclass(frozen=True)
class Slice:
    """Both losses on a part of the videos.

    Attributes:
        slice: What it is cut by.
        value: Which part.
        rows: Videos in it.
        loss: Mean loss of the challenger.
        other_loss: Mean loss of the other.
        worse: loss / other_loss - 1; None where the other's is 0.
        blocks: Whether it forbids the promotion.
    """

    slice: str
    value: str
    rows: int
    loss: float
    other_loss: float
    worse: float | None
    blocks: bool


@dataclass(frozen=True)
class Verdict:
    """What the gate says.

    Attributes:
        promoted: Whether the challenger passes.
        blocked_by: What it fails at.
        why: The reason in one sentence.
        overall: The difference on all videos.
        coverage: Share of outcomes inside the challenger's 80 % interval; None for a class.
        slices: Both losses on every part.
    """

    promoted: bool
    blocked_by: tuple[Blocked, ...]
    why: str
    overall: Difference
    coverage: float | None
    slices: tuple[Slice, ...]

    def numbers(self) -> dict[str, Any]:
        """Every number, for JSON."""
        return {
            **asdict(self.overall),
            "coverage_80": self.coverage,
            "blocked_by": list(self.blocked_by),
            "slices": [asdict(part) for part in self.slices],
        }


def absolute_error(value: Vector, point: Vector) -> Vector:
    """The loss of a number, per row."""
    return np.abs(value - point)


def log_loss(label: Vector, probability: Vector) -> Vector:
    """The loss of a class, per row: - ln of the probability given to what happened, clipped at one in a million."""
    said = np.clip(probability, CLIP, 1 - CLIP)
    return -np.where(label == 1, np.log(said), np.log(1 - said))


def judge(rows: pd.DataFrame, gate: Gate, kind: Kind) -> Verdict:
    """Whether the challenger is better by more than the noise, its intervals cover, and no part of the videos is worse off.

    Args:
        rows: One per video: `loss` of the challenger, `other_loss` of what serves, `channel_id`, `anchor_at`; for a number
            `covered`, whether the outcome lies in the challenger's 80 % interval; and those of `SLICES` that are known.
        gate: What has to be shown.
        kind: What is forecast.

    Raises:
        ValueError: There are no rows, or a loss is missing.
    """
    overall = compare(rows, gate.false_promotion)
    coverage = float(rows["covered"].astype(float).mean()) if kind == "regression" else None
    slices = tuple(part for name in SLICES if name in rows.columns for part in _slices(rows, name, gate))
    blocked: list[Blocked] = [] if overall.better else ["noise"]
    low, high = gate.coverage
    if coverage is not None and not low <= coverage <= high:
        blocked.append("coverage")
    if any(part.blocks for part in slices):
        blocked.append("slice")
    why = _why(overall, coverage, [part for part in slices if part.blocks], gate, kind)
    return Verdict(not blocked, tuple(blocked), why, overall, coverage, slices)


def compare(rows: pd.DataFrame, level: float) -> Difference:
    """The mean of `other_loss` - `loss`, and whether it is above 0 at a one-sided level.

    The variance of the mean is that of blocks by channel and by time, Vc + Vt - Vct (Cameron, Gelbach and Miller 2011, "Robust
    inference with multiway clustering", eq. 2.11), and never less than either. The statistic is compared with Student's t; its
    degrees of freedom are those of Vc and of what time adds (Satterthwaite 1946), each with as many blocks as would weigh the
    same if they were of equal size, (sum n)^2 / sum n^2 (Kish 1965). Resampling whole channels promotes equal models more often
    than it says where weeks differ; `benchmarks/gate.py` measures both.

    Args:
        rows: `loss`, `other_loss`, `channel_id` and `anchor_at` of each video.
        level: Chance that the first is found better where both are equal.

    Raises:
        ValueError: There are no rows, or a loss is missing.
    """
    loss, other = rows["loss"].to_numpy(dtype=np.float64), rows["other_loss"].to_numpy(dtype=np.float64)
    if not len(loss) or np.isnan(loss).any() or np.isnan(other).any():
        raise ValueError(f"{len(loss)} rows to compare, {int((np.isnan(loss) | np.isnan(other)).sum())} without a loss")
    gain = other - loss
    channel, (time, days) = channel_blocks(rows), time_blocks(rows["anchor_at"])
    mean = float(gain.mean())
    variance, degrees = two_way_variance(gain, channel, time)
    counted = (len(gain), int(channel.max()) + 1, int(time.max()) + 1, days)
    means = (float(loss.mean()), float(other.mean()), mean)
    if degrees is None:
        return Difference(*counted, *means, None, None, None, None, None, None)
    error = float(np.sqrt(variance))
    statistic = mean / error if error > 0 else 0.0
    half = float(stdtrit(degrees, (1 + INTERVAL) / 2)) * error
    needed = float(stdtrit(degrees, 1 - level))
    return Difference(*counted, *means, error, degrees, statistic, needed, mean - half, mean + half)


def two_way_variance(values: Vector, channel: Codes, time: Codes) -> tuple[float, float | None]:
    """Variance of the mean of values that are alike within a channel and within a block of time, and its degrees of freedom.

    A way with one block only tells nothing and is left out; without any the degrees are None.
    """
    rest = values - values.mean()
    by_channel, by_time = _one_way(rest, channel), _one_way(rest, time)
    known = [way for way in (by_channel, by_time) if way is not None]
    if not known:
        return 0.0, None
    if by_channel is None or by_time is None:
        return known[0]
    by_both = _one_way(rest, np.unique(channel * (time.max() + 1) + time, return_inverse=True)[1])
    assert by_both is not None, "there are at least as many blocks as of either way"
    (channels, channel_degrees), (times, time_degrees), (cells, _) = by_channel, by_time, by_both
    variance = max(channels + times - cells, channels, times)
    if variance == 0:
        return 0.0, min(channel_degrees, time_degrees)
    added = max(times - cells, 0.0)
    return variance, variance**2 / (channels**2 / channel_degrees + added**2 / time_degrees)


def channel_blocks(rows: pd.DataFrame) -> Codes:
    """The block of each row: its channel, or itself where the channel is not known."""
    own = "video " + pd.Series(np.arange(len(rows)), index=rows.index).astype(str)
    names = ("channel " + rows["channel_id"].astype("string")).fillna(own)
    return np.asarray(pd.factorize(names)[0], dtype=np.int64)


def time_blocks(anchor_at: pd.Series) -> tuple[Codes, int]:
    """The block of each row, and its days: weeks counted from the first video, or days where they span few weeks."""
    day = (anchor_at.dt.normalize() - anchor_at.min().normalize()).dt.days.to_numpy(dtype=np.int64)
    length = WEEK if day.max() >= WEEKS_FROM * WEEK - 1 else DAY
    return np.asarray(np.unique(day // length, return_inverse=True)[1], dtype=np.int64), length


def _one_way(rest: Vector, block: Codes) -> tuple[float, float] | None:
    """Variance of the mean by blocks of one kind and its degrees of freedom; None with fewer than two blocks."""
    sizes = np.bincount(block).astype(np.float64)
    if len(sizes) < 2:
        return None
    variance = float((np.bincount(block, weights=rest) ** 2).sum()) / len(rest) ** 2
    alike = len(rest) ** 2 / float((sizes**2).sum())
    return variance * len(sizes) / (len(sizes) - 1), max(alike - 1, 0.5)


def _slices(rows: pd.DataFrame, name: str, gate: Gate) -> list[Slice]:
    """Both losses on the parts that a column cuts the videos into."""
    parts = []
    told = rows[rows[name].notna()]
    for value, part in told.groupby(told[name].astype(str), sort=True):
        loss, other = float(part["loss"].mean()), float(part["other_loss"].mean())
        blocks = len(part) >= gate.slice_rows and loss > other * (1 + gate.slice_margin)
        parts.append(Slice(name, str(value), len(part), loss, other, loss / other - 1 if other else None, blocks))
    return parts


def _why(overall: Difference, coverage: float | None, worse: list[Slice], gate: Gate, kind: Kind) -> str:
    """The reason in one sentence: what holds, or everything that does not."""
    parts = [f"{NAMES[kind]} {overall.loss:.4g} against {overall.other_loss:.4g} on {overall.rows:,} videos"]
    if overall.statistic is None or overall.needed is None:
        parts.append("one channel and one day, so nothing says how sure that is")
    elif overall.better:
        parts.append(
            f"better by {overall.statistic:.2f} standard errors, more than the {overall.needed:.2f} of the noise"
        )
    else:
        parts.append(
            f"{overall.statistic:.2f} standard errors better, not more than the {overall.needed:.2f} of the noise"
        )
    if coverage is not None:
        low, high = gate.coverage
        inside = "" if low <= coverage <= high else f", outside {low:.0%} to {high:.0%}"
        parts.append(f"its 80 % interval holds {coverage:.1%}{inside}")
    parts += [
        f"{part.slice} {part.value} is {part.loss / part.other_loss - 1:.0%} worse" for part in worse if part.other_loss
    ]
    parts += [f"{part.slice} {part.value} is worse than a perfect forecast" for part in worse if not part.other_loss]
    return "; ".join(parts if worse else [*parts, f"no part is over {gate.slice_margin:.0%} worse"])
