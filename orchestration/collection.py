"""What `upswell collect` asks for, and what `upswell plan` says: what each source of the settings will be asked for next, and why.

Starts no run and changes nothing; asks nobody, except where a short link leads.
"""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from dagster._utils.schedules import get_next_cron_tick

from assets.raw.collection.assets import links_of
from assets.raw.collection.collect import Collection, Intention
from assets.raw.collection.plan import Due
from assets.raw.collection.requests import by_platform, chosen_collector
from orchestration.errors import UsageError
from resources import clock
from resources.collectors import base
from resources.collectors.web import Client
from resources.settings import CollectedSource, Part, Settings
from warehouse.connection import Warehouse


def orders(
    settings: Settings,
    links: Sequence[str],
    channels: Sequence[str],
    topics: Sequence[str],
    source: str | None,
    collector: str | None,
    parts: str,
) -> list[dict[str, Any]]:
    """The configuration of a collection run for each platform that is asked for something, or for a source of the settings.

    Raises:
        UsageError: What is asked for does not go together, or names no part.
    """
    if source is not None:
        if links or channels or topics or collector:
            raise UsageError("--source stands alone: it does what the schedule of that source would do now")
        return [{"source": source}]
    wanted_parts = [part.strip() for part in parts.split(",") if part.strip()]
    if unknown := [part for part in wanted_parts if part not in get_args(Part)]:
        raise UsageError(f"--parts {', '.join(unknown)}: there are {', '.join(get_args(Part))}")
    if collector is not None and collector.startswith("feed:"):
        return [{"collector": collector, "parts": wanted_parts}]
    if collector is not None and collector not in base.PLATFORM:
        raise UsageError(f"--collector {collector}: there are {', '.join(base.PLATFORM)} and feed:NAME")
    default = base.PLATFORM[collector] if collector else "youtube"
    wanted = by_platform(links, channels, topics, default, Client())
    if collector is not None and (others := wanted.keys() - {default}):
        raise UsageError(f"--collector {collector} cannot be asked for {', '.join(others)}; leave it out")
    return [
        {**asdict(one), "collector": collector or chosen_collector(settings, platform), "parts": wanted_parts}
        for platform, one in wanted.items()
    ]


def intentions(warehouse: Warehouse, settings: Settings, most: int) -> list[dict[str, Any]]:
    """Per source of the settings: when it runs next, its quota, and what it would ask for now, the first `most` videos one by one."""
    return [_told(warehouse, settings, name, source, most) for name, source in settings.collect.sources.items()]


def _told(warehouse: Warehouse, settings: Settings, name: str, source: CollectedSource, most: int) -> dict[str, Any]:
    home: Path = warehouse.home
    now = clock.now(home)
    told: dict[str, Any] = {"source": name, "collector": source.collector, "next_run": _next_tick(source.cron, now)}
    try:
        collector = base.collector(source.collector, home, settings, lambda: now)
        collection = Collection(warehouse, settings, collector, lambda: now)
        found = collection.intention(name, source, links_of(source, collector.source))
    except (base.CollectError, ValueError) as error:
        return {
            **told,
            "held": str(error),
            "quota": [],
            "topics": [],
            "channels": [],
            "due": 0,
            "asked": 0,
            "videos": [],
        }
    chosen = set(found.order.videos)
    return {
        **told,
        "held": found.held,
        "quota": _quota(found),
        "topics": list(found.order.topics),
        "channels": list(found.order.channels),
        "due": len(found.due),
        "asked": len(chosen),
        "videos": [_video(found.due, row, chosen) for row in range(min(most, len(found.due)))],
    }


def _quota(found: Intention) -> list[dict[str, Any]]:
    return [
        {"bucket": bucket, "left_today": left, "for_this_run": found.room[bucket], "cost": found.cost.get(bucket, 0)}
        for bucket, left in found.left.items()
    ]


def _video(due: Due, row: int, chosen: set[str]) -> dict[str, Any]:
    velocity, uncertainty = float(due.velocity[row]), float(due.uncertainty[row])
    age = float(due.due[row])
    look = f"look at {_age(age)}" if age else "never seen"
    return {
        "video_id": str(due.video_id[row]),
        "age": _age(float(due.age[row])),
        "due": _age(age),
        "velocity": velocity,
        "uncertainty": uncertainty,
        "information": float(due.information[row]),
        "asked": str(due.video_id[row]) in chosen,
        "why": f"{look}; {velocity:.0%} of the growth to come has come; forecast ± {uncertainty:.2f} ln views",
    }


def _age(hours: float) -> str:
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def _next_tick(cron: str, now: datetime) -> datetime:
    return get_next_cron_tick(cron, now.replace(tzinfo=UTC), "UTC").replace(tzinfo=None)
