"""What somebody asks for in links and names, sorted by platform. Asks nobody, except where a short link leads."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from resources.collectors.base import PLATFORM
from resources.collectors.links import Link, bare_id, find_links, resolve
from resources.settings import Settings

if TYPE_CHECKING:
    from resources.collectors.web import Client

KEYLESS = {"youtube": "yt_dlp", "tiktok": "tiktok"}
"""The collector of a platform that needs no key."""


class LinkError(ValueError):
    """A text means no video or channel that can be asked for."""


@dataclass
class Wanted:
    """What is asked of one platform."""

    topics: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)


def by_platform(
    links: Sequence[str], channels: Sequence[str], topics: Sequence[str], default: str, web: "Client | None" = None
) -> dict[str, Wanted]:
    """What is asked of each platform.

    Args:
        links: Links to videos or channels in any form, or ids of videos.
        channels: Links, handles or ids of channels.
        topics: Words to search for.
        default: The platform of what names none.
        web: Asks where short links lead.

    Raises:
        LinkError: A link means nothing that can be asked for.
    """
    wanted: dict[str, Wanted] = {}
    for text in links:
        for link in _meanings(text, web):
            one = wanted.setdefault(link.source, Wanted())
            (one.videos if link.kind == "video" else one.channels).append(link.id)
    for text in channels:
        meant = [link for link in find_links(text) if link.kind == "channel"]
        platform, name = (meant[0].source, meant[0].id) if meant else (default, text)
        wanted.setdefault(platform, Wanted()).channels.append(name)
    if topics:
        wanted.setdefault(default, Wanted()).topics.extend(topics)
    return wanted


def chosen_collector(settings: Settings, platform: str) -> str:
    """The collector that the settings use for single videos of a platform, else the one that needs no key."""
    used = (source.collector for source in settings.collect.sources.values() if source.follows)
    return next((name for name in used if PLATFORM.get(name) == platform), KEYLESS[platform])


def _meanings(text: str, web: "Client | None") -> list[Link]:
    found = list(find_links(text))
    found += [
        Link(source, "video", name)
        for source in ("youtube", "tiktok")
        if not found and (name := bare_id(text, source)) is not None
    ]
    meant = [resolve(link, web) if web is not None and link.kind == "short_link" else link for link in found]
    usable = [link for link in meant if link is not None and link.kind in ("video", "channel")]
    if not usable:
        raise LinkError(f"{text!r} is no link to a video or channel of YouTube or TikTok")
    return usable
