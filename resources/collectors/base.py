"""What every collector is: it takes an order and yields replies, each a line of a landing, or what it missed.

A collector neither plans, lands nor ingests, and keeps no count of the day's quota: it asks its budget before each
request. How one source is asked is in the module of that source; how a host is asked politely is in `web`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Protocol

from resources.media.states import Reason
from resources.secrets import find, guard_logs, salt, secret
from resources.settings import Part, Settings

Clock = Callable[[], datetime]
"""The home's time (naive UTC)."""


@dataclass(frozen=True)
class Order:
    """What one run is to fetch.

    Attributes:
        topics: Words to search for.
        channels: Channel ids, handles or links, as the source knows them.
        videos: Video ids, most wanted first.
        parts: What is wanted of them; a collector leaves out what it cannot do (`Collector.parts`).
        since: Nothing older than this is wanted of topics, channels and comments (naive UTC).
    """

    topics: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    parts: frozenset[Part] = frozenset({"videos"})
    since: datetime | None = None


@dataclass(frozen=True)
class Reply:
    """One answer as it came, in its envelope: one line of a landing.

    Attributes:
        adapter: Adapter that reads it: youtube_api, youtube_channels, youtube_comments, yt_dlp, tiktok, youtube_rss, ...
        line: `collected_at` (ISO, the home's clock), `request` (no secret in it) and `reply`. What was asked for and is
            not to be had is told the same way, as a record with a status, and `told_by: collector`.
        body: The landing itself, byte for byte, where the source is a file (a feed); `line` then only describes it.
        suffix: Ending of such a file: csv, json or jsonl.
    """

    adapter: str
    line: dict[str, Any]
    body: bytes | None = None
    suffix: str = "jsonl"


@dataclass(frozen=True)
class Missed:
    """Something that was asked for and did not come this time; nothing was learned of its state.

    Attributes:
        part: What of it was wanted; `topics` for a search.
        subject: Video id, channel or topic.
        reason: Why, in the taxonomy.
        detail: Why, in words without a secret.
        retry_after: How long the source asks to wait, where it says.
    """

    part: Part | Literal["topics"]
    subject: str
    reason: Reason
    detail: str
    retry_after: timedelta | None = None


class CollectError(Exception):
    """A request that failed for good, or, where it leaves `collect`, a source from which nothing more can be had.

    Args:
        reason: Why, in the taxonomy.
        detail: Why, in words without a secret, with the way out where there is one.
        retry_after: How long the source asks to wait.
        bucket: The quota bucket that the source says is spent, where it is that.
    """

    def __init__(
        self, reason: Reason, detail: str, retry_after: timedelta | None = None, bucket: str | None = None
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after
        self.bucket = bucket


class QuotaSpentError(Exception):
    """A bucket of the budget has no unit left; the request was not made."""

    def __init__(self, bucket: str) -> None:
        super().__init__(f"nothing is left in bucket {bucket}")
        self.bucket = bucket


class Budget(Protocol):
    """What a run may spend."""

    def spend(self, bucket: str, units: int = 1) -> None:
        """Takes units before a request is made, also before each further try.

        Raises:
            QuotaSpentError: They are not there; nothing was taken.
        """


class Collector(Protocol):
    """One way to fetch from one source.

    Attributes:
        name: Its name in settings and `raw.collections`.
        source: Source whose videos it brings; several collectors may share one.
        limits: Units a day and bucket (a Pacific day, for YouTube); empty where there is no quota.
        parts: What it can fetch.
    """

    name: str
    source: str
    limits: Mapping[str, int]
    parts: frozenset[Part]

    def cost(self, order: Order) -> Mapping[str, int]:
        """The most that the order takes of each bucket where no request has to be tried again."""
        ...

    def collect(self, order: Order, budget: Budget) -> Iterator[Reply | Missed]:
        """Replies as they come; goes on after a failure of one item.

        Every video asked for is in a reply (as a record of its own or of its state) or is told as missed, also before
        an error is raised. Resuming the iterator means that what came so far is kept.

        Raises:
            CollectError: Nothing more can be had: an expired key, a quota that the source says is spent.
        """
        ...


def batches(items: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    """The distinct items in their order, at most `size` at a time."""
    distinct = tuple(dict.fromkeys(items))
    for start in range(0, len(distinct), size):
        yield distinct[start : start + size]


def envelope(now: datetime, request: Mapping[str, Any], reply: Any) -> dict[str, Any]:
    """The line of a reply that came at `now`."""
    return {"collected_at": f"{now.isoformat()}Z", "request": dict(request), "reply": reply}


def state_line(now: datetime, request: Mapping[str, Any], states: Mapping[str, str]) -> dict[str, Any]:
    """The line that tells the state of videos that the source did not give, by id."""
    items = [{"id": video_id, "status": {"privacyStatus": state}} for video_id, state in states.items()]
    return {**envelope(now, request, {"items": items}), "told_by": "collector"}


_API_INTERVAL_S = 0.1
PLATFORM = {"youtube_api": "youtube", "youtube_rss": "youtube", "yt_dlp": "youtube", "tiktok": "tiktok"}
"""The platform that each collector asks; feeds have none."""


def collector(name: str, home: Path, settings: Settings, clock: Clock) -> Collector:
    """The collector of a name: one of `PLATFORM`, or `feed:NAME` for a feed that the settings declare.

    From then on, what this process logs is without secrets.

    Raises:
        CollectError: There is none of that name.
        SecretsError: A secret that it needs is not there; says the way out.
    """
    from resources.collectors import feeds, youtube, ytdlp
    from resources.collectors.etags import Etags
    from resources.collectors.web import Client

    guard_logs()
    kind, _, feed = name.partition(":")
    if kind == "feed" and feed in settings.collect.feeds:
        declared = settings.collect.feeds[feed]
        web = Client(robots_exempt=settings.collect.robots_exempt)
        return feeds.FileFeed(feed, declared.url, declared.adapter, web, Etags(home), clock)
    if name == "youtube_api":
        key, web = secret("youtube_api_key", home), Client(interval_s=_API_INTERVAL_S)
        return youtube.YouTubeApi(key, salt(home), web, Etags(home), clock)
    if name == "youtube_rss":
        return feeds.ChannelFeeds(Client(robots_exempt=settings.collect.robots_exempt), Etags(home), clock)
    if name in ("yt_dlp", "tiktok"):
        platform = ytdlp.YOUTUBE if name == "yt_dlp" else ytdlp.TIKTOK
        cookies = ytdlp.cookies_path(find("cookies", home))
        return ytdlp.YtDlp(platform, home, salt(home), clock, max_bytes=settings.media.max_bytes, cookies=cookies)
    raise CollectError(Reason.UNSUPPORTED, f"no collector {name!r}; there are {', '.join(PLATFORM)} and feed:NAME")
