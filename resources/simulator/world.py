"""The simulated platform itself: channels, videos, what each video is worth and how its views grow. No collection,
no dirt and no files: what a scraper makes of this world is in `collection`.

Natural-log views of a video's stages are sums of two kinds of terms:

- **latents**, settled before publication: channel (quality and trend), topic, style, duration, publish time (hour and
  weekday) and the platform's weather of the day. Everything that an all-knowing forecaster could use at `pre`.
- **innovations**, drawn for the video: the response of each successive audience, its speed, and whether it cascades.
  Nobody can know them before they show in counts; they are part of no reachable skill.

Views at age t (hours), with level = BASE + sum of latents and w = weights of the stages:

    V(t) = e^(level + i_0) at_publication + sum_s w_s e^(level + i_0 + .. + i_s) W(t / (speed tau_s), k_s)
           + cascade size x W((t - start) / tau, k) after its start,            W(x, k) = 1 - exp(-x^k)

The stages are followers, feed, recommendation and afterlife: a burst, then larger audiences if the smaller ones liked
it, then saturation. **Reachable** skill at a cutoff is what a booster reaches with the features of that cutoff plus
the `latent_` columns of `truth`: the same latents at every cutoff, the innovations only as far as counts show them.
"""

from dataclasses import dataclass
from datetime import date, datetime
from statistics import NormalDist

import numpy as np
import pandas

from resources.simulator.vocabulary import STYLES, TOPICS, write_texts

BASE = 7.1
CHANNEL_SD, TREND_SD = 1.25, 0.1  # ln views; trend per 100 days
TOPIC_SD, STYLE_SD, WEATHER_SD = 0.25, 0.4, 0.12
HOUR_EFFECT, WEEKEND_EFFECT, DURATION_EFFECT = 0.3, 0.2, 0.2
SUBSCRIBER_NOISE_SD = 0.2
ON_TOPIC = 0.8  # share of a channel's videos on its main topic

AT_PUBLICATION = 0.01  # share of the followers' views that a premiere brings
STAGE_WEIGHT = np.array([0.08, 0.25, 0.57, 0.10])
STAGE_TAU_H = np.array([1.0, 14.0, 72.0, 300.0])
STAGE_SHAPE = np.array([0.9, 1.5, 1.8, 1.0])
INNOVATION_SD = np.array([0.6, 0.8, 1.15, 0.2])
SPEED_SD, SPEED_DRIFT = 0.45, -0.35  # ln of the factor on every tau; the drift makes everything faster
STYLE_KEPT = 0.75  # share of the style effects that outlives the drift

CASCADE_RATE = 0.04
CASCADE_START_H, CASCADE_TAU_H, CASCADE_SHAPE = 85.0, 18.0, 1.5
CASCADE_LOG_SIZE, CASCADE_LOG_SIZE_SD = 2.4, 0.8  # over the views that the video would have had

INTERACTION_RATE = {"likes": 0.045, "comments": 0.004, "shares": 0.006, "saves": 0.005}  # per view
_ALPHABET = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"))


@dataclass(frozen=True)
class SimulatorConfig:
    """What to simulate; the defaults are the preset of the demo and the benchmarks.

    Attributes:
        seed: Same seed and sizes, same bytes.
        channels: Channels with latent quality.
        videos_per_day: Videos published on each day.
        days: Days from `start` on which landing files arrive.
        start: First day.
        drift_day: Day (from 0) from which styles are worth something else and everything spreads faster; None: never.
        dirt: Whether collection errs; without it every scheduled snapshot lands once, on time and whole.
    """

    seed: int = 7
    channels: int = 200
    videos_per_day: int = 60
    days: int = 120
    start: date = date(2025, 1, 1)
    drift_day: int | None = 90
    dirt: bool = True

    def __post_init__(self) -> None:
        for name in ("channels", "videos_per_day", "days"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def stream(self, name: str) -> np.random.Generator:
        """A random stream of its own per purpose, so that collecting otherwise does not change the world."""
        return np.random.default_rng([self.seed, *name.encode()])


@dataclass(frozen=True)
class World:
    """Channels and videos with their latents and innovations.

    Attributes:
        config: What was simulated.
        channels: One row per channel: channel_id, name, quality, trend, topic, log_subscribers, first_day.
        videos: One row per video, in order of publication: ids, texts, `published` (seconds since the start of the
            first day), duration_s, topic, style, the `latent_` and `innovation_` columns and the rates per view.
    """

    config: SimulatorConfig
    channels: pandas.DataFrame
    videos: pandas.DataFrame

    def views(self, rows: np.ndarray, age_h: np.ndarray) -> np.ndarray:
        """Noise-free views (real numbers) of the videos in `rows` at ages `age_h` (hours, >= 0); both shape (n,)."""
        videos = self.videos
        columns = [f"innovation_{stage}" for stage in range(len(STAGE_WEIGHT))]
        reach = np.exp(self.level()[rows, None] + np.cumsum(videos[columns].to_numpy()[rows], axis=1))
        speed = videos["innovation_speed"].to_numpy()[rows]
        stages = _saturation(age_h[:, None] / (speed[:, None] * STAGE_TAU_H), STAGE_SHAPE)
        ordinary = AT_PUBLICATION * reach[:, 0] + (STAGE_WEIGHT * reach * stages).sum(axis=1)
        since = np.maximum(age_h - videos["innovation_cascade_start_h"].to_numpy()[rows], 0.0)
        size = videos["innovation_cascade_size"].to_numpy()[rows] * (STAGE_WEIGHT * reach).sum(axis=1)
        return np.asarray(ordinary + size * _saturation(since / CASCADE_TAU_H, np.array(CASCADE_SHAPE)))

    def level(self) -> np.ndarray:
        """BASE plus the sum of the latents, per video."""
        return np.asarray(BASE + self.videos.filter(like="latent_").to_numpy().sum(axis=1))


def make_world(config: SimulatorConfig) -> World:
    """Draw the channels and everything that they publish."""
    channels = _channels(config)
    videos = _publications(config, channels)
    videos = pandas.concat([videos, _latents(config, channels, videos), _innovations(config, videos)], axis=1)
    return World(config, channels, videos)


def truth(config: SimulatorConfig) -> pandas.DataFrame:
    """One row per video: what it was worth and what became of it, free of noise and dirt.

    Returns:
        video_id, channel_id, published_at, the `latent_` columns (terms in ln views), the `innovation_` columns, and
        views_7d and views_30d (real numbers).
    """
    world = make_world(config)
    videos = world.videos
    keep = [name for name in videos.columns if name.startswith(("latent_", "innovation_"))]
    rows = np.arange(len(videos))
    start = pandas.Timestamp(datetime(config.start.year, config.start.month, config.start.day))
    published_at = start + pandas.to_timedelta(videos["published"], unit="s")
    ages = {"views_7d": 168.0, "views_30d": 720.0}
    outcome = {name: world.views(rows, np.full(len(videos), age)) for name, age in ages.items()}
    return videos[["video_id", "channel_id"]].assign(published_at=published_at, **videos[keep], **outcome)


def _saturation(x: np.ndarray, shape: np.ndarray) -> np.ndarray:
    return np.asarray(-np.expm1(-(x**shape)))


def _identifiers(rng: np.random.Generator, count: int, length: int, prefix: str = "") -> np.ndarray:
    letters = _ALPHABET[rng.integers(0, len(_ALPHABET), size=(count, length))]
    letters[:, 0] = _ALPHABET[rng.integers(0, 52, size=count)]  # a letter: never read as a number or a formula
    return np.array([prefix + "".join(row) for row in letters], dtype=object)


def _spread(rng: np.random.Generator, count: int, sd: float) -> np.ndarray:
    """Evenly spaced effects of standard deviation `sd` and mean 0 in random order: every seed is equally hard."""
    effects = np.arange(count) - (count - 1) / 2
    return rng.permutation(effects / effects.std() * sd)


def _normal(rng: np.random.Generator, count: int, sd: float) -> np.ndarray:
    """The quantiles of a normal distribution in random order: no seed has an extreme channel more than another."""
    quantile = NormalDist(0.0, sd).inv_cdf
    return rng.permutation([quantile((rank + 0.5) / count) for rank in range(count)])


def _channels(config: SimulatorConfig) -> pandas.DataFrame:
    rng = config.stream("channels")
    count = config.channels
    quality = _normal(rng, count, CHANNEL_SD)
    newcomer = rng.random(count) < 0.15
    return pandas.DataFrame(
        {
            "channel_id": _identifiers(rng, count, 22, "UC"),
            "name": [f"{list(TOPICS)[k % len(TOPICS)].title()} Corner {k}" for k in range(count)],
            "quality": quality,
            "trend": rng.normal(0.0, TREND_SD, count),
            "topic": rng.integers(0, len(TOPICS), count),
            "log_subscribers": 8.5 + quality + rng.normal(0.0, SUBSCRIBER_NOISE_SD, count),
            "activity": rng.gamma(3.0, 1.0, count),
            "first_day": np.where(newcomer, rng.integers(0, max(config.days // 2, 1), count), 0),
        }
    )


def _publications(config: SimulatorConfig, channels: pandas.DataFrame) -> pandas.DataFrame:
    """Who publishes what and when, in order of publication."""
    rng = config.stream("publications")
    count = config.days * config.videos_per_day
    day = np.repeat(np.arange(config.days), config.videos_per_day)
    hour = rng.choice(24, size=count, p=_hour_weights())
    published = np.sort(day * 86400 + hour * 3600 + rng.integers(0, 3600, count))
    first_day = channels["first_day"].to_numpy()
    channel = np.concatenate(
        [
            rng.choice(len(channels), size=config.videos_per_day, p=_activity(channels, first_day <= today))
            for today in range(config.days)
        ]
    )
    own = rng.random(count) < ON_TOPIC
    topic = np.where(own, channels["topic"].to_numpy()[channel], rng.integers(0, len(TOPICS), count))
    leaning = rng.dirichlet(np.full(len(STYLES), 1.5), size=len(channels)).cumsum(axis=1)
    style = np.minimum((rng.random(count)[:, None] > leaning[channel]).sum(axis=1), len(STYLES) - 1)
    titles, descriptions, tags = write_texts(topic, style, rng)
    return pandas.DataFrame(
        {
            "video_id": _identifiers(rng, count, 11),
            "channel_id": channels["channel_id"].to_numpy()[channel],
            "channel": channel,
            "topic": topic,
            "style": style,
            "title": titles,
            "description": descriptions,
            "tags": tags,
            "duration_s": np.clip(np.exp(rng.normal(3.3, 0.6, count)), 4, 180).round().astype(int),
            "published": published,
        }
    )


def _hour_weights() -> np.ndarray:
    weights = 1.2 + np.cos((np.arange(24) - 17) / 24 * 2 * np.pi)
    return np.asarray(weights / weights.sum())


def _activity(channels: pandas.DataFrame, active: np.ndarray) -> np.ndarray:
    weights = np.where(active, channels["activity"].to_numpy(), 0.0) if active.any() else np.ones(len(channels))
    return np.asarray(weights / weights.sum())


def _latents(config: SimulatorConfig, channels: pandas.DataFrame, videos: pandas.DataFrame) -> pandas.DataFrame:
    rng = config.stream("latents")
    day = videos["published"].to_numpy() / 86400
    channel = videos["channel"].to_numpy()
    style, drifted = videos["style"].to_numpy(), _drifted(config, videos)
    before = _spread(rng, len(STYLES), STYLE_SD)
    after = STYLE_KEPT * before + np.sqrt(1 - STYLE_KEPT**2) * _spread(rng, len(STYLES), STYLE_SD)
    hour = videos["published"].to_numpy() / 3600 % 24
    weekend = (config.start.weekday() + day.astype(int)) % 7 >= 5
    length = (np.log(videos["duration_s"].to_numpy()) - 3.3) / 0.6
    quality, trend = (channels[name].to_numpy()[channel] for name in ("quality", "trend"))
    return pandas.DataFrame(
        {
            "latent_channel": quality + trend * day / 100,
            "latent_topic": _spread(rng, len(TOPICS), TOPIC_SD)[videos["topic"].to_numpy()],
            "latent_style": np.where(drifted, after[style], before[style]),
            "latent_duration": -DURATION_EFFECT * np.minimum(length**2, 6.0),
            "latent_time": HOUR_EFFECT * np.cos((hour - 19) / 24 * 2 * np.pi) + WEEKEND_EFFECT * weekend,
            "latent_weather": _weather(rng, config.days)[day.astype(int)],
        }
    )


def _weather(rng: np.random.Generator, days: int) -> np.ndarray:
    """How the platform does, per day: a slow autoregression of standard deviation WEATHER_SD."""
    memory = 0.97
    shocks = rng.normal(0.0, WEATHER_SD, days)
    weather = [shocks[0]]
    for shock in shocks[1:]:
        weather.append(memory * weather[-1] + np.sqrt(1 - memory**2) * shock)
    return np.array(weather)


def _drifted(config: SimulatorConfig, videos: pandas.DataFrame) -> np.ndarray:
    day = np.inf if config.drift_day is None else config.drift_day
    return np.asarray(videos["published"].to_numpy() >= day * 86400)


def _innovations(config: SimulatorConfig, videos: pandas.DataFrame) -> pandas.DataFrame:
    """What is drawn for each video; engaged audiences (feed and recommendation) also like, share and save more."""
    rng = config.stream("innovations")
    count = len(videos)
    response = rng.normal(0.0, 1.0, (count, len(INNOVATION_SD))) * INNOVATION_SD
    cascades = rng.random(count) < CASCADE_RATE
    size = np.exp(rng.normal(CASCADE_LOG_SIZE, CASCADE_LOG_SIZE_SD, count))
    start = CASCADE_START_H * np.exp(rng.normal(0.0, 0.6, count))
    speed = np.exp(rng.normal(0.0, SPEED_SD, count) + SPEED_DRIFT * _drifted(config, videos))
    columns = {f"innovation_{stage}": response[:, stage] for stage in range(len(INNOVATION_SD))}
    columns |= {"innovation_speed": speed, "innovation_cascade_start_h": start}
    columns["innovation_cascade_size"] = np.where(cascades, size, 0.0)
    liking = 0.3 * (response[:, 1] + response[:, 2])
    for name, rate in INTERACTION_RATE.items():
        columns[f"rate_{name}"] = np.minimum(rate * np.exp(liking + rng.normal(0.0, 0.8, count)), 0.5)
    return pandas.DataFrame(columns)
