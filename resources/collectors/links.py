"""Which video, channel or playlist a link means: every form of address that YouTube and TikTok have given out.

Reads texts; asks nobody, except to resolve the short links of TikTok, which say nothing by themselves.
"""

import html
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal
from urllib.parse import parse_qs, unquote, urlsplit

from resources.collectors.web import Client
from resources.media.fetching import Answer, next_hop

Source = Literal["youtube", "tiktok"]
Kind = Literal["video", "channel", "playlist", "short_link"]

_YOUTUBE = ("youtube.com", "www.youtube.com", "m.youtube.com", "music.youtube.com", "gaming.youtube.com",
            "youtube-nocookie.com", "www.youtube-nocookie.com")  # fmt: skip
_YOUTU_BE = ("youtu.be", "www.youtu.be")
_TIKTOK = ("tiktok.com", "www.tiktok.com", "m.tiktok.com")
_TIKTOK_SHORT = ("vm.tiktok.com", "vt.tiktok.com")
_HOSTS = (*_YOUTUBE, *_YOUTU_BE, *_TIKTOK, *_TIKTOK_SHORT)

# A link in a text: not the tail of a longer host or of an address of mail, and only where a path or a query follows.
_LINK = re.compile(
    r"(?<![A-Za-z0-9_.@/-])(?:(?:https?:)?//)?(?P<host>"
    + "|".join(map(re.escape, _HOSTS))
    + r")(?::\d+)?(?P<rest>[/?#][^\s<>\"'`\\^{}|]*)",
    re.IGNORECASE,
)
_YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}(?![A-Za-z0-9_-])")
_TIKTOK_ID = re.compile(r"\d{15,20}(?!\d)")
_CHANNEL_ID = re.compile(r"UC[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])")
_PLAYLIST_ID = re.compile(r"[A-Za-z0-9_-]{2,64}(?![A-Za-z0-9_-])")
_HANDLE = re.compile(r"@[\w.·-]{1,64}")
_TOKEN = re.compile(r"[A-Za-z0-9_-]{5,}(?![A-Za-z0-9_-])")
# Words of eleven letters that stand where an id would.
_NO_ID = frozenset({"videoseries", "live_stream"})
_BEFORE_YOUTUBE_ID = frozenset({"shorts", "embed", "v", "vi", "e", "live", "watch"})
_BEFORE_TIKTOK_ID = frozenset({"video", "photo", "v", "embed", "v1", "v2"})
_RESOLVING_HOPS = 5


@dataclass(frozen=True)
class Link:
    """What an address means.

    Attributes:
        source: Platform.
        kind: What it leads to; a short link has to be resolved to tell.
        id: Id of the video or playlist; of a channel its id, `@handle`, `user/NAME` or `c/NAME`; of a short link its
            address.
    """

    source: Source
    kind: Kind
    id: str


def find_links(text: str) -> tuple[Link, ...]:
    """What the links in a text mean, each once, in their order; addresses of anything else are passed over."""
    found: dict[Link, None] = {}
    for match in _LINK.finditer(html.unescape(text)):
        link = _meaning(match["host"].lower(), match["rest"])
        if link is not None:
            found[link] = None
    return tuple(found)


def bare_id(text: str, source: Source) -> str | None:
    """The text itself where it is the id of a video, for where an id without a link is meant."""
    stripped = text.strip()
    pattern = _YOUTUBE_ID if source == "youtube" else _TIKTOK_ID
    return stripped if pattern.fullmatch(stripped) else None


def address(source: Source, video_id: str) -> str:
    """An address of a video that names no person."""
    if source == "youtube":
        return f"https://www.youtube.com/watch?v={video_id}"
    return f"https://www.tiktok.com/@/video/{video_id}"


def youtube_channel_id(text: str) -> str | None:
    """The id of a channel that is given as its id or as a link with it."""
    if _CHANNEL_ID.fullmatch(text):
        return text
    link = _channel(text)
    return link if link is not None and _CHANNEL_ID.fullmatch(link) else None


def youtube_channel_name(text: str) -> dict[str, str] | None:
    """What `channels.list` is to be asked by for a channel given as a handle or a link with a name; None: nothing."""
    name = text if _HANDLE.fullmatch(text) else _channel(text)
    if name is None:
        return None
    if name.startswith("@"):
        return {"forHandle": name}
    kind, _, user = name.partition("/")
    return {"forUsername": user} if kind == "user" else None


def resolve(link: Link, web: Client) -> Link | None:
    """What a short link leads to; None where that is no video, channel or playlist.

    Raises:
        CollectError: The host does not say.
    """
    for _ in range(_RESOLVING_HOPS):
        if link.kind != "short_link":
            return link
        onward = web.get(link.id, _onward, follow=False)
        found = find_links(onward) if onward else ()
        if not found:
            return None
        link = found[0]
    return None


def _onward(answer: Answer) -> str | None:
    return next_hop(answer)


def _channel(text: str) -> str | None:
    return next((link.id for link in find_links(text) if (link.source, link.kind) == ("youtube", "channel")), None)


def _meaning(host: str, rest: str) -> Link | None:
    if host in _YOUTU_BE:
        return _youtube(["v", *_segments(rest)], rest)
    if host in _YOUTUBE:
        return _youtube(_segments(rest), rest)
    if host in _TIKTOK_SHORT:
        return _short(host, _segments(rest)[:1])
    return _tiktok(host, _segments(rest), rest)


def _segments(rest: str) -> list[str]:
    return [unquote(part) for part in urlsplit(rest).path.split("/") if part]


def _parameter(rest: str, name: str) -> str:
    """A parameter of the query, or of a query inside the fragment, as old mobile addresses have it."""
    parts = urlsplit(rest)
    for query in (parts.query, parts.fragment.rpartition("?")[2], parts.fragment.lstrip("!/")):
        values = parse_qs(query).get(name)
        if values:
            return values[0]
    return ""


def _youtube(path: list[str], rest: str) -> Link | None:
    first = path[0].lower() if path else ""
    if first == "attribution_link":
        inner = _parameter(rest, "u")
        return _youtube(_segments(inner), inner)
    claimed = path[1] if len(path) > 1 and first in _BEFORE_YOUTUBE_ID else _parameter(rest, "v")
    video = _YOUTUBE_ID.match(claimed)
    if video and video[0] not in _NO_ID:
        return Link("youtube", "video", video[0])
    if first in ("playlist", "watch", "embed", "v"):
        playlist = _PLAYLIST_ID.match(_parameter(rest, "list"))
        return Link("youtube", "playlist", playlist[0]) if playlist else None
    return _youtube_channel(first, path)


def _youtube_channel(first: str, path: list[str]) -> Link | None:
    handle = _HANDLE.match(path[0]) if path else None
    if handle:
        return Link("youtube", "channel", handle[0].rstrip("."))
    if len(path) < 2:
        return None
    channel = _CHANNEL_ID.match(path[1]) if first == "channel" else None
    if channel:
        return Link("youtube", "channel", channel[0])
    return Link("youtube", "channel", f"{first}/{path[1]}") if first in ("user", "c") else None


def _tiktok(host: str, path: list[str], rest: str) -> Link | None:
    for before, segment in pairwise(path):
        video = _TIKTOK_ID.match(segment)
        if before.lower() in _BEFORE_TIKTOK_ID and video:
            return Link("tiktok", "video", video[0])
    video = _TIKTOK_ID.match(_parameter(rest, "item_id") or _parameter(rest, "share_item_id"))
    if video:
        return Link("tiktok", "video", video[0])
    if path and path[0] == "t":
        return _short(f"{host}/t", path[1:2])
    handle = _HANDLE.match(path[0]) if path else None
    return Link("tiktok", "channel", handle[0].rstrip(".")) if handle else None


def _short(before: str, path: list[str]) -> Link | None:
    token = _TOKEN.match(path[0]) if path else None
    return Link("tiktok", "short_link", f"https://{before}/{token[0]}/") if token else None
