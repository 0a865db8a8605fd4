"""YouTube and TikTok through yt-dlp: metadata, captions, thumbnails, sound and films, without a key.

yt-dlp speaks to the site by itself: its pauses are those of its preset `sleep`, its tries three, and it reads no
robots.txt. What is landed is its info without addresses that carry a signature, without headers and cookies, and for
TikTok with a hash where the person was. Files go to a folder of the home that `collected_media` names.
"""

import html
import io
import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from resources.collectors import links
from resources.collectors.base import Budget, Clock, CollectError, Missed, Order, Reply, envelope, state_line
from resources.media.states import Reason, reason_of_status
from resources.secrets import conceal, hashed, redact
from resources.settings import Part

_LOG = logging.getLogger(__name__)
MediaKind = Literal["thumbnail", "audio", "video"]
_LISTED = 50
_FORMATS = {"video": "b[height<=480]/bv*[height<=480]+ba/b/bv*+ba", "audio": "ba/b"}
_FAILURES_IN_A_ROW = 5
_WRITES = ("writethumbnail", "writesubtitles", "writeautomaticsub")
_KINDS_OF_SUFFIX = {
    **dict.fromkeys((".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif", ".image"), "thumbnail"),
    **dict.fromkeys((".m4a", ".mp3", ".opus", ".ogg", ".aac", ".weba"), "audio"),
    **dict.fromkeys((".mp4", ".webm", ".mkv", ".mov", ".flv"), "video"),
}


@dataclass(frozen=True)
class Platform:
    """What yt-dlp is asked for on one platform.

    Attributes:
        adapter: Adapter that reads its info.
        source: Source whose videos these are.
        address: Of a video, by its id.
        search: Of a topic; None where it cannot be searched.
        channel: Of a channel's videos; None where the text names none.
        captions: Adapter that reads its captions; None where there are none to be had.
        personal: Whether uploaders are persons whose names are hashed.
    """

    adapter: str
    source: str
    address: Callable[[str], str]
    search: Callable[[str], str] | None
    channel: Callable[[str], str | None]
    captions: str | None
    personal: bool


def _youtube_channel(text: str) -> str | None:
    channel_id = links.youtube_channel_id(text)
    if channel_id is not None:
        return f"https://www.youtube.com/channel/{channel_id}/shorts"
    name = links.youtube_channel_name(text)
    if name is None:
        return None
    return f"https://www.youtube.com/{name.get('forHandle') or 'user/' + name['forUsername']}/shorts"


def _tiktok_channel(text: str) -> str | None:
    found = [link.id for link in links.find_links(text) if (link.source, link.kind) == ("tiktok", "channel")]
    handle = found[0] if found else text
    return f"https://www.tiktok.com/{handle}" if re.fullmatch(r"@[\w.-]+", handle) else None


YOUTUBE = Platform(
    adapter="yt_dlp",
    source="youtube",
    address=lambda video_id: links.address("youtube", video_id),
    search=lambda topic: f"ytsearch{_LISTED}:{topic}",
    channel=_youtube_channel,
    captions="youtube_captions",
    personal=False,
)
TIKTOK = Platform(
    adapter="tiktok",
    source="tiktok",
    address=lambda video_id: links.address("tiktok", video_id),
    search=None,
    channel=_tiktok_channel,
    captions=None,
    personal=True,
)


@dataclass(frozen=True)
class Pauses:
    """Seconds between requests, and before each subtitle and each file: yt-dlp's preset `sleep`."""

    requests: float = 0.75
    subtitles: float = 5.0
    files: tuple[float, float] = (10.0, 20.0)

    def options(self) -> dict[str, float]:
        """As yt-dlp takes them."""
        return {
            "sleep_interval_requests": self.requests,
            "sleep_interval_subtitles": self.subtitles,
            "sleep_interval": self.files[0],
            "max_sleep_interval": self.files[1],
        }


class YtDlp:
    """yt-dlp as a collector.

    Args:
        platform: What it is asked for.
        home: Folder of the home.
        salt: Of the hashes that stand for persons.
        clock: The home's time.
        max_bytes: Files may be no larger.
        cookies: File of cookies in Netscape's form, for what only an account sees.
        media: What files are fetched where the order asks for media; a film carries its sound.
        languages: Of captions; `-orig` marks the language that is spoken.
        pauses: Between its requests.
        timeout_s: Without a byte.
    """

    limits: Mapping[str, int] = {}

    def __init__(
        self,
        platform: Platform,
        home: Path,
        salt: str,
        clock: Clock,
        *,
        max_bytes: int,
        cookies: Path | None = None,
        media: tuple[MediaKind, ...] = ("thumbnail", "video"),
        languages: tuple[str, ...] = (".*-orig", "en"),
        pauses: Pauses | None = None,
        timeout_s: float = 30.0,
    ) -> None:
        self.name = platform.adapter
        self.source = platform.source
        self.parts: frozenset[Part] = frozenset({"videos", "media", *(("captions",) if platform.captions else ())})
        self.platform = platform
        self.home = home
        self.salt = salt
        self.clock = clock
        self.media = media
        self._cookies = cookies
        self._options = {
            **(pauses or Pauses()).options(),
            "quiet": True,
            "noprogress": True,
            "no_color": True,
            "logger": _Log(),
            "cachedir": False,
            "noplaylist": True,
            "geo_bypass": False,
            "retries": 2,
            "extractor_retries": 2,
            "fragment_retries": 2,
            "file_access_retries": 2,
            "socket_timeout": timeout_s,
            "max_filesize": max_bytes,
            "subtitleslangs": list(languages),
            "subtitlesformat": "vtt",
        }

    def cost(self, order: Order) -> dict[str, int]:
        """Nothing: there is no quota, only pauses."""
        return {}

    def collect(self, order: Order, budget: Budget) -> Iterator[Reply | Missed]:
        """See `Collector`; a site that asks to be left alone is, for the rest of the order."""
        run = _Run(self, order)
        yield from run.replies()
        if run.closed is not None:
            raise run.closed

    def open(self, **options: Any) -> Any:
        """A `YoutubeDL` with the options of this collector and further ones.

        Raises:
            CollectError: yt-dlp is not installed, or the cookies cannot be read; says the way out.
        """
        try:
            import yt_dlp
        except ImportError:
            raise CollectError(
                Reason.UNSUPPORTED, "yt-dlp is not installed: python -m pip install 'upswell[collect]'"
            ) from None
        cookies = self._cookie_options()
        return yt_dlp.YoutubeDL({**self._options, **cookies, **options})  # type: ignore[arg-type, unused-ignore]

    def _cookie_options(self) -> dict[str, Any]:
        """The cookies as a text, so that yt-dlp does not write its own back to the file."""
        if self._cookies is None:
            return {}
        try:
            text = self._cookies.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            raise CollectError(
                Reason.KEY_REFUSED, "the file of cookies that UPSWELL_COOKIES names cannot be read"
            ) from None
        for line in text.splitlines():
            conceal(line.rpartition("\t")[2], "cookie")
        return {"cookiefile": io.StringIO(text)}


@dataclass
class _Run:
    """One order on its way."""

    of: YtDlp
    order: Order
    addresses: dict[str, str] = field(default_factory=dict)
    closed: CollectError | None = None
    failures_in_a_row: int = 0
    downloaders: dict[str, Any] = field(default_factory=dict)

    def replies(self) -> Iterator[Reply | Missed]:
        try:
            yield from self._replies()
            shutil.rmtree(self.folder, ignore_errors=True)
        finally:
            for downloader in self.downloaders.values():
                downloader.close()

    @property
    def folder(self) -> Path:
        """Where yt-dlp writes; what a killed run left there is taken up when its video is asked for again."""
        return self.of.home / "fetched" / "parts" / self.of.name

    def _replies(self) -> Iterator[Reply | Missed]:
        platform = self.of.platform
        self.addresses = {video_id: platform.address(video_id) for video_id in self.order.videos}
        for topic in dict.fromkeys(self.order.topics):
            if platform.search is None:
                yield Missed("topics", topic, Reason.UNSUPPORTED, f"yt-dlp cannot search {platform.source}")
            else:
                yield from self._list("topics", topic, platform.search(topic))
        for channel in dict.fromkeys(self.order.channels):
            address = platform.channel(channel)
            if address is None:
                yield Missed("channels", channel, Reason.INVALID_URL, f"no channel of {platform.source}")
            else:
                yield from self._list("channels", channel, address)
        for video_id, address in self.addresses.items():
            yield from self._look_at(video_id, address)

    @property
    def _with_captions(self) -> bool:
        return "captions" in self.order.parts and self.of.platform.captions is not None

    def _list(self, part: Literal["topics", "channels"], subject: str, address: str) -> Iterator[Missed]:
        """Finds the latest videos behind an address, without looking at them."""
        try:
            listed, _ = self._extract(address, extract_flat="in_playlist", playlistend=_LISTED, noplaylist=False)
        except CollectError as error:
            yield Missed(part, subject, error.reason, error.detail)
            return
        for entry in listed.get("entries") or []:
            if entry and entry.get("id") and not self._too_old(entry):
                video_id = str(entry["id"])
                shorts = "/shorts/" in str(entry.get("url"))
                self.addresses.setdefault(video_id, entry["url"] if shorts else self.of.platform.address(video_id))

    def _too_old(self, entry: Mapping[str, Any]) -> bool:
        stated = entry.get("timestamp")
        if self.order.since is None or stated is None:
            return False
        return datetime.fromtimestamp(stated, UTC).replace(tzinfo=None) < self.order.since

    def _look_at(self, video_id: str, address: str) -> Iterator[Reply | Missed]:
        request = {"address": self.of.platform.address(video_id)}
        adapter = self.of.platform.adapter
        try:
            info, failure = self._extract(address, **self._wanted())
        except CollectError as error:
            state = _STATES.get(error.reason)
            if state is None:
                yield Missed("videos", video_id, error.reason, error.detail)
            else:
                yield Reply(adapter, state_line(self.of.clock(), request, {video_id: state}))
            return
        now = self.of.clock()
        if "videos" in self.order.parts:
            yield Reply(adapter, envelope(now, request, landed(info, self.of.platform, self.of.salt)))
        if self._with_captions:
            items = captions(info, self.folder)
            if items:
                yield Reply(str(self.of.platform.captions), envelope(now, request, {"items": items}))
        if "media" in self.order.parts:
            keep_media(self.of.home, self.of.name, self.folder, video_id, now)
        if failure is not None:
            yield Missed(
                "media" if "media" in self.order.parts else "captions", video_id, failure.reason, failure.detail
            )

    def _wanted(self) -> dict[str, Any]:
        """Options for the parts that the order asks for."""
        kinds = self.of.media if "media" in self.order.parts else ()
        film = "video" if "video" in kinds else "audio" if "audio" in kinds else None
        options: dict[str, Any] = {
            "skip_download": film is None,
            "writethumbnail": "thumbnail" in kinds,
            "writesubtitles": self._with_captions,
            "writeautomaticsub": self._with_captions,
            "outtmpl": {"default": str(self.folder / "%(id)s.%(ext)s")},
        }
        if film is not None:
            from resources.media.films import ffmpeg

            options |= {"format": _FORMATS[film], "ffmpeg_location": ffmpeg()}
        return options

    def _extract(self, address: str, **options: Any) -> tuple[dict[str, Any], CollectError | None]:
        """What yt-dlp says of an address, serialisable; and why its files are not here, where some were wanted.

        Raises:
            CollectError: It says why not, or the site asked to be left alone before.
        """
        if self.closed is not None:
            raise self.closed
        downloader = self._downloader(options)
        found = self._heed(lambda: downloader.extract_info(address, download=False))
        if not isinstance(found, dict):
            raise CollectError(Reason.UNEXPECTED, "yt-dlp found nothing there")
        info: dict[str, Any] = downloader.sanitize_info(found)
        if any(options.get(name) for name in _WRITES) or not options.get("skip_download", True):
            try:
                self._heed(lambda: downloader.process_ie_result(found, download=True))
            except CollectError as error:
                return info, error
        return info, None

    def _downloader(self, options: Mapping[str, Any]) -> Any:
        """The `YoutubeDL` with these options: one for the whole order, so that it pauses between videos too."""
        key = repr(options)
        if key not in self.downloaders:
            try:
                self.downloaders[key] = self.of.open(**options)
            except CollectError as error:
                self.closed = error
                raise
        return self.downloaders[key]

    def _heed(self, call: Callable[[], Any]) -> Any:
        """What a call to yt-dlp gives; its failures in our words, and heeded."""
        from yt_dlp.utils import YoutubeDLError

        try:
            found = call()
        except YoutubeDLError as error:
            failure = failure_of(error)
            self.failures_in_a_row = self.failures_in_a_row + 1 if failure.reason.retryable else 0
            if failure.reason is Reason.RATE_LIMITED or self.failures_in_a_row >= _FAILURES_IN_A_ROW:
                self.closed = failure
            raise failure from None
        self.failures_in_a_row = 0
        return found


class _Log:
    """Takes what yt-dlp says into the log, without secrets."""

    def debug(self, text: str) -> None:
        _LOG.debug("%s", redact(text))

    def info(self, text: str) -> None:
        _LOG.debug("%s", redact(text))

    def warning(self, text: str) -> None:
        _LOG.info("%s", redact(text))

    def error(self, text: str) -> None:
        _LOG.info("%s", redact(text))


# Why not ----------------------------------------------------------------------------------------------------------------

_STATES = {
    Reason.PRIVATE: "private",
    Reason.REMOVED: "removed",
    Reason.AGE_RESTRICTED: "age_restricted",
    Reason.REGION_BLOCKED: "region_blocked",
    Reason.UNAVAILABLE: "unavailable",
    Reason.NOT_FOUND: "unavailable",
}
# In the words of the sites and of yt-dlp; the first that is found counts.
_WORDS = tuple(
    (re.compile(pattern, re.IGNORECASE), reason)
    for pattern, reason in (
        (r"not a bot|captcha|too many requests|rate.?limit|HTTP Error 429", Reason.RATE_LIMITED),
        (r"IP address is blocked|HTTP Error 403", Reason.REFUSED),
        (r"requested format", Reason.UNSUPPORTED),
        (r"on this app|latest version of", Reason.UNEXPECTED),
        (r"confirm your age|age.?restricted|inappropriate for some", Reason.AGE_RESTRICTED),
        (r"private video|video is private|account is private|is either private|permission to view", Reason.PRIVATE),
        (r"in your (country|location)|from your location|geo.?restrict", Reason.REGION_BLOCKED),
        (r"removed|terminated|deleted|no longer available", Reason.REMOVED),
        (r"unsupported url", Reason.UNSUPPORTED),
        (r"not a valid url|is not valid", Reason.INVALID_URL),
        (r"HTTP Error 404|does not have a", Reason.NOT_FOUND),
        (r"HTTP Error 5\d\d", Reason.SERVER_ERROR),
        (r"unavailable|not available|isn.t available|blocked it|members.only|join this channel|premieres|live event will", Reason.UNAVAILABLE),
        (r"larger than max-filesize", Reason.TOO_LARGE),
        (r"timed out|connection|resolve|network|incomplete|bytes read|unable to download (web|api|json)", Reason.NETWORK),
        (r"unable to extract|please report this issue|no video formats", Reason.UNEXPECTED),
    )
)  # fmt: skip
_NEWER = "; a newer yt-dlp may know the site as it is now: python -m pip install -U yt-dlp"


def failure_of(error: Exception) -> CollectError:
    """Why yt-dlp failed, in the taxonomy."""
    from yt_dlp.utils import ExtractorError, GeoRestrictedError, UnsupportedError

    inner = (getattr(error, "exc_info", None) or (None, None))[1]
    cause = inner if isinstance(inner, ExtractorError) else error
    said = redact(re.sub(r"https?://\S+[?&]\S+", "[address]", str(getattr(cause, "orig_msg", None) or cause)))[:300]
    if isinstance(cause, GeoRestrictedError):
        return CollectError(Reason.REGION_BLOCKED, said)
    if isinstance(cause, UnsupportedError):
        return CollectError(Reason.UNSUPPORTED, said)
    status = getattr(getattr(cause, "cause", None), "status", None)
    if isinstance(status, int) and status >= 400:
        reason = Reason.REFUSED if status == 403 else reason_of_status(status)
        return CollectError(reason, said)
    for pattern, reason in _WORDS:
        if pattern.search(said):
            return CollectError(reason, f"{said}{_NEWER}" if reason is Reason.UNEXPECTED else said)
    return CollectError(Reason.UNEXPECTED, f"{said}{_NEWER}")


# What is landed ---------------------------------------------------------------------------------------------------------

_LEFT_OUT = frozenset(
    {
        "formats", "requested_formats", "requested_downloads", "requested_subtitles", "subtitles", "automatic_captions",
        "thumbnails", "url", "urls", "manifest_url", "fragments", "fragment_base_url", "http_headers", "cookies",
        "downloader_options", "filename", "filepath", "infojson_filename", "comments", "hls_aes",
    }
)  # fmt: skip
_PERSONAL = frozenset(
    {"uploader", "uploader_id", "uploader_url", "channel", "channel_id", "channel_url", "creator", "creators", "display_id",
     "original_url", "artist", "artists", "album_artist", "album_artists"}
)  # fmt: skip
_HARMLESS = re.compile(r"(?:(?:v|list)=[\w-]+(?:&|$))*")


def landed(info: Mapping[str, Any], platform: Platform, salt: str) -> dict[str, Any]:
    """What is kept of an info: no signed address, no header, no cookie, and where it is personal a hash of the person.

    Args:
        info: As `sanitize_info` gives it.
        platform: Where it is from.
        salt: Of the hashes.
    """
    kept = {key: _unsigned(value) for key, value in info.items() if key not in _LEFT_OUT and not key.startswith("_")}
    if "signature" in str(info.get("thumbnail")):  # without it, it shows nothing
        kept.pop("thumbnail")
    kept["caption_languages"] = sorted(info.get("subtitles") or {})
    if not platform.personal:
        return kept
    person = info.get("channel_id") or info.get("uploader_id") or info.get("uploader")
    kept = {key: value for key, value in kept.items() if key not in _PERSONAL}
    kept["webpage_url"] = platform.address(str(info.get("id")))
    if person:
        kept["channel_id"] = hashed(salt, str(person))
    return kept


def _unsigned(value: Any) -> Any:
    """The value with the query taken off every address that says more in it than which video."""
    if isinstance(value, dict):
        return {key: _unsigned(each) for key, each in value.items() if key not in _LEFT_OUT}
    if isinstance(value, list):
        return [_unsigned(each) for each in value]
    if isinstance(value, str) and value.startswith(("http://", "https://")) and not re.search(r"\s", value):
        parts = urlsplit(value)
        return value if _HARMLESS.fullmatch(parts.query) else parts._replace(query="", fragment="").geturl()
    return value


# Files ------------------------------------------------------------------------------------------------------------------


def collected_media(home: Path, name: str) -> tuple[Path, Path] | None:
    """The folder of files that a collector fetched and nobody ingested yet, and its index; None where there is nothing.

    The index has path, video_id, kind and observed_at, as `assets.raw.media.ingest_media` takes it.
    """
    folder = home / "fetched" / name
    index = folder / "index.jsonl"
    return (folder, index) if index.exists() else None


def keep_media(home: Path, name: str, folder: Path, video_id: str, now: datetime) -> list[Path]:
    """Notes the finished files of a video in the index, then moves each to where it is ingested from."""
    target = home / "fetched" / name
    target.mkdir(parents=True, exist_ok=True)
    moved = []
    for path in sorted(folder.glob(f"{video_id}.*")):
        kind = _KINDS_OF_SUFFIX.get(path.suffix.lower())
        if kind is None:
            continue
        place = target / f"{now:%Y%m%dT%H%M%S}-{path.name}"
        row = {"path": place.name, "video_id": video_id, "kind": kind, "observed_at": f"{now.isoformat()}Z"}
        with (target / "index.jsonl").open("a", encoding="utf-8") as index:
            index.write(json.dumps(row) + "\n")
            index.flush()
            os.fsync(index.fileno())
        os.replace(path, place)
        moved.append(place)
    return moved


def captions(info: Mapping[str, Any], folder: Path) -> list[dict[str, Any]]:
    """The captions that were written for a video, as text without times; their files are taken away."""
    found = []
    for language, stated in (info.get("requested_subtitles") or {}).items():
        path = folder / f"{info['id']}.{language}.{stated.get('ext', 'vtt')}"
        if not path.exists():
            continue
        text = spoken(path.read_text(encoding="utf-8", errors="replace"))
        path.unlink()
        kind = "manual" if language in (info.get("subtitles") or {}) else "automatic"
        found.append({"video_id": info["id"], "language": language, "kind": kind, "text": text})
    return found


def spoken(vtt: str) -> str:
    """The words of a WebVTT file: cues without times and tags, a line that rolls on only once."""
    lines: list[str] = []
    in_cue = False
    for raw in vtt.splitlines():
        if "-->" in raw:
            in_cue = True
        elif not raw:  # a line of spaces ends no cue: YouTube's own begin with one
            in_cue = False
        elif in_cue:
            line = html.unescape(re.sub(r"<[^>]*>", "", raw)).strip()
            if line and (not lines or lines[-1] != line):
                lines.append(line)
    return "\n".join(lines)


def cookies_path(named: str | None) -> Path | None:
    """The file of cookies that a secret names."""
    return Path(named).expanduser() if named else None
