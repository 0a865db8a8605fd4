"""A small dirty world: two sources, late rows, falling and missing counts, edits, channels, measures, removals."""

import random
from datetime import datetime, timedelta

from tests.features.raw_rows import RawRows, hours
from warehouse.connection import Warehouse

FIRST = datetime(2024, 1, 2)


def dirty_world(seed: int, videos: int = 60, days: int = 30) -> list[RawRows]:
    """Raw rows of two sources, without any order in who is seen when; the same seed gives the same.

    Each source also tells of a video that nobody ever counted, `uncounted`.
    """
    rng = random.Random(seed)
    found = []
    for source in ("demo", "panel"):
        raw = RawRows(source, landing=f"landing-{source}")
        for number in range(videos):
            _add_video(raw, rng, f"v{number:03d}", FIRST + timedelta(seconds=rng.randrange(days * 86400)))
        published = FIRST + timedelta(days=days // 2)
        raw.video("uncounted", published + hours(30), published + hours(50), published_at=published, title="known late")
        raw.video("uncounted", published + hours(40), published_at=published, title="known first", duration_s=12.0)
        found.append(raw)
    return found


def write(warehouse: Warehouse, world: list[RawRows]) -> None:
    for raw in world:
        raw.write(warehouse)


def _add_video(raw: RawRows, rng: random.Random, video: str, published: datetime) -> None:
    channel = rng.choice(["c1", "c2", "c3", "c4", None])
    if rng.random() < 0.15:  # announced before it is published
        announced = published - timedelta(seconds=rng.randrange(40 * 3600))
        raw.video(video, announced, channel=channel, title="soon").snapshot(video, announced, rng.choice([None, 1]))
    views, quality = 0, rng.choice([3, 40, 900])
    ages = sorted(
        {0.0 if rng.random() < 0.3 else rng.uniform(0, 4), *(rng.uniform(0, 260) for _ in range(rng.randrange(1, 11)))}
    )
    for position, age in enumerate(ages):
        observed = published + timedelta(seconds=int(age * 3600))
        known = observed + hours(rng.choice([0, 0, 0, 0, 0.5, 7, 60]))
        views = max(0, views + rng.randrange(-2, 12) * quality)
        edited = position > 2 and rng.random() < 0.3
        raw.video(
            video,
            observed,
            known,
            channel=channel if rng.random() < 0.95 else "c5",
            title=f"{'NEW!! ' if edited else ''}video {video} #tag",
            description=rng.choice([None, "text https://example.com"]),
            published_at=published,
            duration_s=rng.choice([None, 30.0, 31.0]),
            tags=rng.choice([None, ["a"], ["a", "b"]]),
            category=rng.choice([None, "music", "sport"]),
            is_short=True,
        )
        raw.snapshot(
            video,
            observed,
            views if rng.random() < 0.95 else None,
            known,
            likes=rng.choice([None, views // 10]),
            comments=views // 50,
            shares=rng.choice([None, 1]),
            saves=None,
        )
        if channel is not None and rng.random() < 0.7:
            raw.channel(channel, observed, rng.choice([None, 100 + rng.randrange(50)]), known, video)
        if rng.random() < 0.3:
            raw.metric(video, "watch_time", observed, rng.choice([None, rng.random()]), known)
    if rng.random() < 0.1:
        raw.status(video, published + hours(rng.uniform(1, 300)), "removed")
