"""A collector without a network: replies in the form of the YouTube Data API, 50 videos a unit, and the faults that a test wants."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from resources.collectors.base import Budget, Missed, Order, Reply, batches, envelope, state_line
from resources.media.states import Reason
from resources.settings import Part, Settings, load_settings
from warehouse.connection import Warehouse

NOW = datetime(2026, 6, 1, 12)


class Clock:
    """A home's time that a test moves."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> datetime:
        """Moves it on, or back where negative."""
        self.now += timedelta(**by)
        return self.now


@dataclass
class Video:
    """A video of the pretended platform."""

    published_at: datetime
    channel: str = "UC" + "c" * 22
    channel_name: str = "A channel"
    title: str = "a title"
    status: str = "public"
    views_an_hour: float = 100.0


@dataclass
class FakeCollector:
    """Knows some videos; `before` is called ahead of each request and may raise, move the clock, or kill."""

    clock: Callable[[], datetime]
    videos: dict[str, Video]
    name: str = "youtube_api"
    source: str = "youtube"
    limits: Mapping[str, int] = field(default_factory=lambda: {"search": 100, "units": 10_000})
    parts: frozenset[Part] = frozenset({"videos", "channels"})
    before: Callable[[int], None] = lambda number: None
    batch: int = 50
    asked: list[str] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    requests: int = 0

    def cost(self, order: Order) -> dict[str, int]:
        found = 3 * self.batch * len(order.channels) + self.batch * len(order.topics) + len(set(order.videos))
        return {"search": len(order.topics), "units": len(order.channels) - (-found // self.batch)}

    def collect(self, order: Order, budget: Budget) -> Iterator[Reply | Missed]:
        found: list[str] = []
        for topic in order.topics:
            self._request(budget, "search")
            found += [name for name, video in self.videos.items() if topic in video.title]
        for channel in order.channels:
            self._request(budget, "units")
            found += [name for name, video in self.videos.items() if video.channel == channel]
        for ids in batches((*found, *order.videos), self.batch):
            self._request(budget, "units")
            self.asked += ids
            items = [self._item(name, self.videos[name]) for name in ids if name in self.videos.keys() - self.missing]
            yield Reply("youtube_api", envelope(self.clock(), {"ids": list(ids)}, {"items": items}))
            if gone := [name for name in ids if name not in self.videos]:
                states = dict.fromkeys(gone, "unavailable")
                yield Reply("youtube_api", state_line(self.clock(), {"ids": gone}, states))
            for name in self.missing.intersection(ids):
                yield Missed("videos", name, Reason.SERVER_ERROR, "500")

    def _request(self, budget: Budget, bucket: str) -> None:
        budget.spend(bucket)
        self.requests += 1
        self.before(self.requests)

    def _item(self, name: str, video: Video) -> dict[str, Any]:
        if video.status != "public":
            return {"id": name, "status": {"privacyStatus": video.status}}
        age = (self.clock() - video.published_at) / timedelta(hours=1)
        return {
            "kind": "youtube#video",
            "etag": "e",
            "id": name,
            "snippet": {
                "publishedAt": f"{video.published_at.isoformat()}Z",
                "channelId": video.channel,
                "channelTitle": video.channel_name,
                "title": video.title,
            },
            "statistics": {"viewCount": str(int(max(age, 0) * video.views_an_hour)), "likeCount": "1"},
            "status": {"privacyStatus": "public"},
        }


def video_ids(count: int, start: int = 0) -> list[str]:
    """Ids of the form that YouTube gives."""
    return [f"v{number:010d}" for number in range(start, start + count)]


def platform(count: int, published_at: datetime, start: int = 0) -> dict[str, Video]:
    """Videos published at one moment."""
    return {name: Video(published_at) for name in video_ids(count, start)}


def new_home(folder: Path, text: str = "") -> tuple[Warehouse, Settings]:
    """An empty home with some settings."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "upswell.yaml").write_text("start: 2026-01-01\nfirst_origin: 2026-01-05\n" + text)
    return Warehouse(folder), load_settings(folder)


def rows(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    """The rows of a query."""
    found: list[dict[str, Any]] = warehouse.query(query).to_pylist()
    return found
