"""A frame as features would give it, made from a known truth: channels with a latent quality, titles that matter, growth."""

from datetime import datetime, timedelta

import numpy as np
import pandas as pd

from resources.settings import cutoff_age

START = datetime(2024, 1, 1)
WORDS = (
    "cat",
    "dance",
    "recipe",
    "prank",
    "goal",
    "makeup",
    "trick",
    "song",
    "magic",
    "travel",
    "hack",
    "puppy",
    "news",
)
ENGAGEMENT = (
    *("observations", "last_age_h", "staleness_h", "views_log", "likes_log", "comments_log", "shares_log", "saves_log"),
    *("first_views_log", "first_age_h", "growth_log", "increment_log", "rate_log", "velocity_log", "acceleration"),
    *("like_rate", "comment_rate", "share_rate", "save_rate", "falls"),
)


def make_frame(
    n: int = 800, cutoff: str = "24h", seed: int = 0, channels: int = 40, days: int = 80, source: str = "simulator"
) -> pd.DataFrame:
    """`n` videos over `days` days; `value` is ln(1 + views) at 7 days, mature a week after the anchor."""
    rng = np.random.default_rng(seed)
    channel = rng.integers(0, channels, n)
    quality, volume = rng.normal(0, 1.2, channels), rng.normal(0, 1, channels)
    word = rng.integers(0, len(WORDS), (n, 4))
    word_effect = np.linspace(-0.6, 0.6, len(WORDS))
    duration = np.exp(rng.normal(3.3, 0.6, n)).round()
    noise = np.exp(0.5 * volume[channel]) * 0.5
    value = (
        7
        + quality[channel]
        + word_effect[word].sum(1)
        - 0.2 * np.abs(np.log(duration) - 3.3)
        + rng.normal(0, 1, n) * noise
    )
    age = cutoff_age(cutoff).total_seconds() / 3600
    anchor = START + np.sort(rng.integers(0, days * 24 * 3600, n)) * np.timedelta64(1, "s").astype(timedelta)
    anchor = pd.to_datetime(pd.Series(anchor)).astype("datetime64[us]")
    frame = pd.DataFrame({"source": source, "video_id": [f"v{i:05d}" for i in range(n)]})
    frame["channel_id"] = [f"c{i:03d}" for i in channel]
    frame["anchor_at"], frame["as_of"] = anchor, anchor + pd.Timedelta(hours=age)
    frame["title"] = [" ".join(WORDS[i] for i in row) for row in word]
    frame["description"] = None
    frame["category"] = np.where(channel % 3 == 0, "music", np.where(channel % 3 == 1, "sport", None))
    frame["language_guess"] = "latin"
    frame["title_length"] = frame["title"].str.len().astype(float)
    frame["duration_s"] = np.where(rng.random(n) < 0.05, np.nan, duration)
    frame["anchor_hour"] = anchor.dt.hour.astype(float)
    frame["anchor_weekday"] = anchor.dt.day_of_week + 1.0
    frame["channel_videos"] = rng.integers(0, 20, n).astype(float)
    for name, spread in (("first", 0.9), ("24h", 0.6), ("72h", 0.5), ("168h", 0.5)):
        median = 7 + quality[channel] + rng.normal(0, spread, n)
        frame[f"channel_{name}_median"] = np.where(frame["channel_videos"] < 2, np.nan, median)
    frame["channel_72h_spread"] = noise * np.exp(rng.normal(0, 0.2, n))
    frame["context_72h_median"] = 7 + 0.1 * np.sin(np.arange(n) / 50)
    _engagement(frame, value, cutoff, age, rng)
    frame["status"], frame["value"] = "matured", value
    frame["matured_at"] = (anchor + pd.Timedelta(days=7, hours=2)).astype("datetime64[us]")
    frame["last_level"] = frame["views_log"] if cutoff not in ("pre", "0h") else np.nan
    return frame


def _engagement(frame: pd.DataFrame, value: np.ndarray, cutoff: str, age: float, rng: np.random.Generator) -> None:
    n = len(frame)
    for name in ENGAGEMENT:
        frame[name] = np.nan
    if cutoff in ("pre", "0h"):
        return
    last_age = age * rng.uniform(0.6, 1.0, n)
    level = value - 3 * np.exp(-last_age / 40) + rng.normal(0, 0.25, n)
    seen = rng.random(n) > 0.03
    columns = {
        "observations": rng.integers(1, 5, n).astype(float),
        "last_age_h": last_age,
        "staleness_h": age - last_age,
        "views_log": level,
        "likes_log": level - 3 + rng.normal(0, 0.3, n),
        "comments_log": level - 5 + rng.normal(0, 0.5, n),
        "rate_log": level - np.log(last_age),
        "velocity_log": level - np.log(last_age) + rng.normal(0, 0.5, n),
        "like_rate": np.exp(-3 + rng.normal(0, 0.3, n)),
        "falls": (rng.random(n) < 0.02).astype(float),
    }
    for name, values in columns.items():
        frame[name] = np.where(seen, values, np.nan)


def with_content(frame: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The frame with vectors of every modality and with words, each of which tells something of the outcome."""
    rng = np.random.default_rng(seed)
    columns: dict[str, np.ndarray] = {}
    for modality in ("text", "image", "audio", "film", "fused"):
        columns[f"{modality}_00"] = frame["value"].to_numpy() + rng.normal(0, 0.5, len(frame))
        columns[f"{modality}_01"] = rng.normal(0, 1, len(frame))
    for told in ("emotion_comments_joy", "speech_joy"):
        columns[told] = frame["value"].to_numpy() + rng.normal(0, 0.5, len(frame))
    return frame.assign(**columns, style=np.where(rng.random(len(frame)) < 0.5, "s1", "s2"), style_distance=1.0)
