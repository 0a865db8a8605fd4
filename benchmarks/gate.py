"""How often the gate promotes: 2,000 simulated pairs of equal models, and of models 10 % apart in MAE, on 2,000 videos each.

Errors are alike within a channel and within a week, in what the two models share and in what each adds; beside the gate stand a
paired bootstrap of videos and one of channels, at the same level, on the same pairs.
"""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import beta

from assets.evaluations.bootstrap import Blocks
from assets.evaluations.gate import judge
from resources.settings import Gate, load_settings

PAIRS = 2_000
SHARED = 0.8  # correlation of the errors of two models; of two seeds of one booster, .99 was seen, of a booster and Ridge .89
BY_CHANNEL, BY_WEEK = (
    0.2,
    0.05,
)  # shares of the variance of an error that a channel's and a week's videos have in common
APART = 0.9
START = np.datetime64(datetime(2025, 1, 6), "us")
LARGE = (2_000, 200, 10)  # videos, channels, weeks
SMALL = (300, 60, 5)  # as many videos as the shipped gate asks for
Vector = np.ndarray[Any, np.dtype[np.float64]]


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Shares of promoted pairs with their 95 % interval (Clopper and Pearson)."""
    count = 600 if quick else PAIRS
    gate = load_settings(Path(__file__).parent).gate
    level = f"{gate.false_promotion:.0%}"
    equal = pd.DataFrame([_tried(rows, gate, seed) for seed, rows in enumerate(pairs(count, 1.0, seed=0))])
    apart = pd.DataFrame([_tried(rows, gate, seed) for seed, rows in enumerate(pairs(count, APART, seed=1))])
    few = [{"promoted": judge(rows, gate, "regression").promoted} for rows in pairs(count, APART, 2, SMALL)]
    limit, most, least = 2 * gate.false_promotion, f"upper bound below {2 * gate.false_promotion:.0%}", 0.9
    return [
        _row("equal pairs promoted", equal["promoted"], most, bounds(equal["promoted"])[1] < limit),
        _row(
            f"equal pairs better by more than the noise at {level}",
            equal["better"],
            most,
            bounds(equal["better"])[1] < limit,
        ),
        _row(
            "pairs 10% apart in MAE promoted", apart["promoted"], f"at least {least}", apart["promoted"].mean() >= least
        ),
        _row(
            f"the same on {SMALL[0]} videos of {SMALL[1]} channels in {SMALL[2]} weeks",
            pd.DataFrame(few)["promoted"],
            "none, for comparison",
            True,
        ),
        _row(
            f"equal pairs better by a bootstrap of channels at {level}", equal["channels"], "none, for comparison", True
        ),
        _row(f"equal pairs better by a bootstrap of videos at {level}", equal["videos"], "none, for comparison", True),
    ]


def pairs(count: int, ratio: float, seed: int, size_of: tuple[int, int, int] = LARGE) -> Iterator[pd.DataFrame]:
    """Losses of simulated pairs on the same videos; the first model's MAE is `ratio` of the other's."""
    rng = np.random.default_rng(seed)
    videos, channels, weeks = size_of
    for _ in range(count):
        size = np.exp(rng.normal(0, 1, channels))
        channel = rng.choice(channels, videos, p=size / size.sum())
        age = np.sort(rng.uniform(0, weeks * 7 * 24 * 3600, videos))
        week = (age // (7 * 24 * 3600)).astype(int)
        shared = _errors(rng, channel, week, SHARED)
        own = shared + _errors(rng, channel, week, 1 - SHARED)
        other = shared + _errors(rng, channel, week, 1 / ratio**2 - SHARED)
        rank = np.argsort(np.argsort(size))[channel]
        yield pd.DataFrame(
            {
                "loss": np.abs(own),
                "other_loss": np.abs(other),
                "channel_id": channel.astype(str),
                "anchor_at": START + (age * 1e6).astype("timedelta64[us]"),
                "covered": np.abs(own) <= 1.2816,
                "new_channel": (channel % 10 == 0).astype(int),
                "channel_size": np.array(["small", "medium", "large"])[np.minimum(rank * 3 // channels, 2)],
                "duration": rng.choice(["up to 15 s", "15 to 60 s", "60 to 180 s", "over 180 s"], videos, p=[0.3, 0.5, 0.15, 0.05]),
            }
        )  # fmt: skip


def bounds(passed: pd.Series) -> tuple[float, float]:
    """The 95 % interval of a share (Clopper and Pearson 1934)."""
    hits, count = int(passed.sum()), len(passed)
    low = 0.0 if hits == 0 else float(beta.ppf(0.025, hits, count - hits + 1))
    return low, 1.0 if hits == count else float(beta.ppf(0.975, hits + 1, count - hits))


def _errors(rng: np.random.Generator, channel: Any, week: Any, variance: float) -> Vector:
    """Errors of a variance, of which channels and weeks have their shares in common."""
    by_channel = rng.normal(0, np.sqrt(variance * BY_CHANNEL), channel.max() + 1)[channel]
    by_week = rng.normal(0, np.sqrt(variance * BY_WEEK), week.max() + 1)[week]
    rest = rng.normal(0, np.sqrt(variance * (1 - BY_CHANNEL - BY_WEEK)), len(channel))
    return np.asarray(by_channel + by_week + rest)


def _tried(rows: pd.DataFrame, gate: Gate, seed: int) -> dict[str, bool]:
    """What the gate says of a pair, and what the two bootstraps would."""
    verdict = judge(rows, gate, "regression")
    gain = (rows["other_loss"] - rows["loss"]).to_numpy()
    percent = 100 * gate.false_promotion
    channels = Blocks.of(rows["channel_id"].to_numpy(), seed).means(gain)
    # a bootstrap of so many videos is normal
    iid = np.random.default_rng(seed).normal(gain.mean(), gain.std() / np.sqrt(len(gain)), 400)
    return {
        "promoted": verdict.promoted,
        "better": verdict.overall.better,
        "channels": bool(np.percentile(channels, percent) > 0),
        "videos": bool(np.percentile(iid, percent) > 0),
    }


def _row(name: str, passed: pd.Series, target: str, ok: bool) -> dict[str, Any]:
    low, high = bounds(passed)
    figure = f"{name}, of {len(passed):,} (95% interval {low:.1%} to {high:.1%})"
    return {
        "benchmark": "gate",
        "figure": figure,
        "value": float(passed.mean()),
        "unit": "of pairs",
        "reference": None,
        "ratio": None,
        "target": target,
        "ok": bool(ok),
    }
