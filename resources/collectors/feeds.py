"""Feeds: the RSS of YouTube's channels, and files of CSV or JSON behind a URL.

A channel's feed becomes JSON, elements under their names with prefix, attributes and children as keys, with the XML as it
came beside it. A file is landed byte for byte. Nothing is landed of what has not changed since it was landed last.
"""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit
from xml.parsers import expat

from resources.collectors import links
from resources.collectors.base import Budget, Clock, CollectError, Missed, Order, Reply, envelope
from resources.collectors.etags import Etags
from resources.collectors.web import Client, as_body, looks_like_page, where
from resources.media.fetching import Answer
from resources.media.states import Reason
from resources.secrets import redact
from resources.settings import Part

RSS_URL = "https://www.youtube.com/feeds/videos.xml"
_REPEATED = "entry"


class ChannelFeeds:
    """The latest fifteen videos of channels, without a key.

    YouTube's robots.txt disallows the address of these feeds, so nothing comes unless the operator exempts the host.

    Args:
        web: Asks politely.
        etags: What was landed last.
        clock: The home's time.
        base_url: Where the feeds are.
    """

    name = "youtube_rss"
    source = "youtube"
    limits: Mapping[str, int] = {}
    parts: frozenset[Part] = frozenset({"videos"})

    def __init__(self, web: Client, etags: Etags, clock: Clock, *, base_url: str = RSS_URL) -> None:
        self.web = web
        self.etags = etags
        self.clock = clock
        self.base_url = base_url

    def cost(self, order: Order) -> dict[str, int]:
        """Nothing: feeds have no quota."""
        return {}

    def collect(self, order: Order, budget: Budget) -> Iterator[Reply | Missed]:
        """See `Collector`; single videos and topics are not in feeds."""
        yield from _not_here(order, "a channel's feed cannot be asked for this")
        refused: CollectError | None = None
        for channel in dict.fromkeys(order.channels):
            channel_id = links.youtube_channel_id(channel)
            if channel_id is None:
                yield Missed("channels", channel, Reason.INVALID_URL, "a feed is asked for by the channel's id (UC...)")
                continue
            url = f"{self.base_url}?channel_id={channel_id}"
            try:
                feed, etag = self.web.get(url, _as_feed, accept="application/atom+xml", etag=self.etags.get(url))
            except CollectError as error:
                yield Missed("channels", channel, error.reason, error.detail, error.retry_after)
                refused = error if error.reason is Reason.DISALLOWED else refused
                continue
            if feed is not None:
                yield Reply("youtube_rss", envelope(self.clock(), {"feed": url}, feed))
                self.etags.note({url: (etag, None)})
        if refused is not None:
            raise refused


class FileFeed:
    """A CSV or JSON file behind a URL.

    Args:
        feed: Its name in the settings.
        url: Where it is.
        adapter: Adapter that reads it.
        web: Asks politely.
        etags: What was landed last.
        clock: The home's time.
    """

    limits: Mapping[str, int] = {}
    parts: frozenset[Part] = frozenset({"videos"})

    def __init__(self, feed: str, url: str, adapter: str, web: Client, etags: Etags, clock: Clock) -> None:
        self.name = f"feed:{feed}"
        self.source = adapter
        self.url = url
        self.web = web
        self.etags = etags
        self.clock = clock

    def cost(self, order: Order) -> dict[str, int]:
        """Nothing: feeds have no quota."""
        return {}

    def collect(self, order: Order, budget: Budget) -> Iterator[Reply | Missed]:
        """The whole file, whatever the order says.

        Raises:
            CollectError: It is not to be had.
        """
        yield from _not_here(order, "a feed comes whole")
        body, suffix, etag = self.web.get(self.url, _as_file, etag=self.etags.get(self.url))
        if body is not None:
            address = redact(self.url.partition("?")[0])
            line = envelope(self.clock(), {"feed": self.name, "url": address}, {"bytes": len(body)})
            yield Reply(self.source, line, body=body, suffix=suffix)
            self.etags.note({self.url: (etag, None)})


def _not_here(order: Order, why: str) -> Iterator[Missed]:
    for video_id in dict.fromkeys(order.videos):
        yield Missed("videos", video_id, Reason.UNSUPPORTED, why)
    for topic in dict.fromkeys(order.topics):
        yield Missed("topics", topic, Reason.UNSUPPORTED, why)


# Files ------------------------------------------------------------------------------------------------------------------


def _as_file(answer: Answer) -> tuple[bytes | None, str, str | None]:
    """The bytes of a file, its suffix and its ETag; no bytes where it is unchanged."""
    if answer.status == 304:
        return None, "", None
    body = as_body(answer)
    if looks_like_page(body):
        raise CollectError(Reason.MALFORMED, f"{where(answer)} answered with a page instead of a file")
    return body, _suffix(answer, body), answer.headers.get("ETag")


def _suffix(answer: Answer, body: bytes) -> str:
    """What kind of file it is: by its name, else by its first letter."""
    ending = urlsplit(answer.url).path.rpartition(".")[2].lower()
    if ending in ("csv", "tsv", "json", "jsonl"):
        return ending
    return "json" if body.lstrip()[:1] in (b"{", b"[") else "csv"


# XML --------------------------------------------------------------------------------------------------------------------


def _as_feed(answer: Answer) -> tuple[dict[str, Any] | None, str | None]:
    """The entries of a channel's feed with its XML, and its ETag; None where it is unchanged."""
    if answer.status == 304:
        return None, None
    body = as_body(answer)
    feed = parse_feed(body, where(answer))
    return {**feed, "xml": body.decode("utf-8", errors="replace")}, answer.headers.get("ETag")


def parse_feed(body: bytes, name: str) -> dict[str, Any]:
    """The entries of an Atom feed, as JSON would have them.

    Raises:
        CollectError: It is broken, another thing, or declares entities, which could make it grow without end.
    """
    if looks_like_page(body):
        raise CollectError(Reason.MALFORMED, f"{name} answered with a page instead of a feed")
    root: dict[str, Any] = {}
    open_elements: list[tuple[str, dict[str, Any], list[str]]] = [("", root, [])]

    def start(tag: str, attributes: dict[str, str]) -> None:
        open_elements.append((tag, dict(attributes), []))

    def end(tag: str) -> None:
        _, element, texts = open_elements.pop()
        text = "".join(texts).strip()
        parent = open_elements[-1][1]
        value: Any = {**element, **({"text": text} if text else {})} if element else text
        if tag == _REPEATED:
            parent.setdefault("entries", []).append(value)
        else:
            parent.setdefault(tag, value)

    def refuse(*_: Any) -> None:
        raise CollectError(Reason.UNEXPECTED, f"{name}: a feed that declares entities is not read")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = lambda text: open_elements[-1][2].append(text)
    parser.EntityDeclHandler = refuse
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        raise CollectError(Reason.MALFORMED, f"{name} answered with a broken feed: {error}") from None
    feed = root.get("feed")
    if not isinstance(feed, dict):
        raise CollectError(Reason.UNEXPECTED, f"{name} answered with XML that is no feed")
    return {**feed, "entries": feed.get("entries", [])}
