"""A server on this machine that answers as live sources do, and misbehaves as they do.

It knows the truth about every video, logs each request at the time of a clock that it shares with the client, and takes
its faults from a plan: what becomes of the first, second, ... request for the same thing.
"""

import contextlib
import json
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "AIzaPlanted_0123456789-secret"
NOW = datetime(2025, 6, 1, 12)
PAGE = b"<!DOCTYPE html><html><body>We're sorry, but your computer may be sending automated queries.</body></html>"
ROBOTS = b"User-agent: *\nDisallow: /feeds/\nAllow: /\n"


class Time:
    """Seconds that pass only when somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def now(self) -> datetime:
        """The home's time."""
        return NOW + timedelta(seconds=self.seconds)


@dataclass
class Asked:
    """One request as it arrived."""

    at: float
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    fault: str | None = None

    @property
    def what(self) -> str:
        """What is asked for, whichever try it is."""
        return f"{self.path}?{json.dumps(self.query, sort_keys=True)}"


@dataclass
class World:
    """What the server knows.

    Attributes:
        videos: Ids that it gives.
        channels: Uploads by channel id, newest first.
        topics: Results by topic.
        comments: Authors of comments by video.
        disabled: Videos whose comments are off.
        quota: Calls that it allows by bucket.
        faults: The fault of a request, by what is asked for and the number of the try; None: an answer.
        files: Bodies by path, for feeds.
        redirects: Where paths lead that are elsewhere.
        robots: The robots.txt, where it is another.
    """

    videos: set[str] = field(default_factory=set)
    channels: dict[str, list[str]] = field(default_factory=dict)
    topics: dict[str, list[str]] = field(default_factory=dict)
    comments: dict[str, list[str]] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    quota: dict[str, int] = field(default_factory=lambda: {"search": 100, "units": 10_000})
    faults: Callable[[Asked, int], str | None] = lambda asked, attempt: None
    files: dict[str, bytes] = field(default_factory=dict)
    redirects: dict[str, str] = field(default_factory=dict)
    robots: bytes = ROBOTS


class Server(ThreadingHTTPServer):
    """Answers by path; `asked` is every request in order."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, world: World, clock: Time) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.world = world
        self.clock = clock
        self.asked: list[Asked] = []
        self.tries: Counter[str] = Counter()
        self.spent: Counter[str] = Counter()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.api = f"{self.url}/youtube/v3"

    def tries_of(self) -> dict[str, list[Asked]]:
        """Requests by what they asked for, robots.txt and redirects aside."""
        found: dict[str, list[Asked]] = defaultdict(list)
        for asked in self.asked:
            found[asked.what].append(asked)
        return found


@contextlib.contextmanager
def serving(world: World, clock: Time) -> Iterator[Server]:
    """A running server."""
    with Server(world, clock) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield running
        finally:
            running.shutdown()
            thread.join()


def api_error(status: int, reason: str, message: str, *, details: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """An error of the Data API, as it looks."""
    errors = [{"message": message, "domain": "youtube", "reason": reason}]
    return {
        "error": {"code": status, "message": message, "errors": errors, **({"details": details} if details else {})}
    }


KEY_EXPIRED = api_error(
    400,
    "badRequest",
    "API key expired. Please renew the API key.",
    details=[
        {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    ],
)
DAILY = api_error(
    429,
    "rateLimitExceeded",
    "Quota exceeded for quota metric 'Queries' and limit 'Queries per day'.",
    details=[{"reason": "RATE_LIMIT_EXCEEDED", "metadata": {"quota_limit": "defaultPerDayPerProject"}}],
)
QUOTA = api_error(
    403, "quotaExceeded", 'The request cannot be completed because you have exceeded your <a href="">quota</a>.'
)


class Handler(BaseHTTPRequestHandler):
    """Each path and each fault is a method."""

    server: Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        asked = Asked(self.server.clock.monotonic(), parts.path, query, dict(self.headers))
        self.server.tries[asked.what] += 1
        asked.fault = self.server.world.faults(asked, self.server.tries[asked.what])
        self.server.asked.append(asked)
        with contextlib.suppress(ConnectionError):
            if asked.fault is not None:
                getattr(self, f"fault_{asked.fault}")(asked)
            elif asked.path == "/robots.txt":
                self.reply(200, self.server.world.robots)
            elif asked.path.startswith("/youtube/v3/"):
                self.answer_api(asked)
            else:
                self.answer_file(asked)

    # Answers

    def answer_api(self, asked: Asked) -> None:
        if asked.headers.get("X-Goog-Api-Key") != KEY:
            return self.json(400, KEY_EXPIRED)
        method = asked.path.rpartition("/")[2]
        bucket = "search" if method == "search" else "units"
        if self.server.spent[bucket] >= self.server.world.quota[bucket]:
            return self.json(403, QUOTA)
        self.server.spent[bucket] += 1
        return getattr(self, f"answer_{method}")(asked.query)

    def answer_search(self, query: dict[str, str]) -> None:
        found = self.server.world.topics.get(query["q"], [])
        self.json(200, listed("search", [{"id": {"kind": "youtube#video", "videoId": each}} for each in found]))

    def answer_videos(self, query: dict[str, str]) -> None:
        ids = [each for each in query["id"].split(",") if each in self.server.world.videos]
        self.json(200, listed("video", [video(each, NOW) for each in ids]))

    def answer_channels(self, query: dict[str, str]) -> None:
        named = {"@one": ["UC" + "1" * 22]}
        ids = named.get(query.get("forHandle", ""), []) or query.get("id", "").split(",")
        self.json(200, listed("channel", [channel(each) for each in ids if each in self.server.world.channels]))

    def answer_playlistItems(self, query: dict[str, str]) -> None:  # noqa: N802
        uploads = self.server.world.channels.get("UC" + query["playlistId"][2:])
        if uploads is None:
            return self.json(404, api_error(404, "playlistNotFound", "The playlist cannot be found."))
        etag = f'"{len(uploads)}-{query.get("pageToken", 0)}"'
        if self.headers.get("If-None-Match") == etag:
            return self.reply(304, ETag=etag)
        first = int(query.get("pageToken", 0))
        items = [
            {"contentDetails": {"videoId": each, "videoPublishedAt": f"{(NOW - timedelta(hours=number)).isoformat()}Z"}}
            for number, each in enumerate(uploads)
        ][first : first + 50]
        onward = {"nextPageToken": str(first + 50)} if first + 50 < len(uploads) else {}
        return self.json(200, {**listed("playlistItem", items), **onward}, ETag=etag)

    def answer_commentThreads(self, query: dict[str, str]) -> None:  # noqa: N802
        if query["videoId"] in self.server.world.disabled:
            message = "The video identified by the <code>videoId</code> parameter has disabled comments."
            return self.json(403, api_error(403, "commentsDisabled", message))
        if query["videoId"] not in self.server.world.videos:
            return self.json(404, api_error(404, "videoNotFound", "The video cannot be found."))
        authors = self.server.world.comments.get(query["videoId"], [])
        first = int(query.get("pageToken", 0))
        threads = [thread(query["videoId"], number, each) for number, each in enumerate(authors)][first : first + 100]
        onward = {"nextPageToken": str(first + 100)} if first + 100 < len(authors) else {}
        return self.json(200, {**listed("commentThread", threads), **onward})

    def answer_file(self, asked: Asked) -> None:
        if asked.path in self.server.world.redirects:
            return self.reply(301, Location=self.server.world.redirects[asked.path])
        name = asked.path + (f"?channel_id={asked.query['channel_id']}" if "channel_id" in asked.query else "")
        body = self.server.world.files.get(name)
        if body is None:
            return self.reply(404, b"not here")
        etag = f'"{len(body)}"'
        if self.headers.get("If-None-Match") == etag:
            return self.reply(304, ETag=etag)
        return self.reply(200, body, ETag=etag)

    # Faults

    def fault_quota(self, asked: Asked) -> None:
        self.json(403, QUOTA)

    def fault_daily(self, asked: Asked) -> None:
        self.json(429, DAILY)

    def fault_expired(self, asked: Asked) -> None:
        self.json(400, KEY_EXPIRED)

    def fault_echo(self, asked: Asked) -> None:
        """An error that repeats the key."""
        key = asked.headers.get("X-Goog-Api-Key", "")
        self.json(400, api_error(400, "keyInvalid", f"Bad Request: key {key} in {self.path}"))

    def fault_busy(self, asked: Asked) -> None:
        self.json(429, api_error(429, "rateLimitExceeded", "Too many requests."), Retry_After="7")

    def fault_busy_date(self, asked: Asked) -> None:
        self.reply(429, Date="Sun, 01 Jun 2025 12:00:00 GMT", Retry_After="Sun, 01 Jun 2025 12:00:09 GMT")

    def fault_busy_long(self, asked: Asked) -> None:
        self.reply(429, Retry_After="7200")

    def fault_error(self, asked: Asked) -> None:
        self.json(500, api_error(500, "backendError", "Backend Error"))

    def fault_slow(self, asked: Asked) -> None:
        self.send_response_only(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        for _ in range(250):
            self.wfile.write(b"{")
            self.wfile.flush()
            time.sleep(0.02)

    def fault_half(self, asked: Asked) -> None:
        self.reply(200, b'{"kind": "youtube#vid', Content_Length="900")

    def fault_cut(self, asked: Asked) -> None:
        """Half a body that says nothing of its length."""
        self.send_response_only(200)
        self.end_headers()
        self.wfile.write(b'{"kind": "youtube#videoListResponse", "items": [{')

    def fault_malformed(self, asked: Asked) -> None:
        self.reply(200, b"{'kind': youtube}")

    def fault_page(self, asked: Asked) -> None:
        self.reply(200, PAGE, Content_Type="text/html")

    def fault_changed(self, asked: Asked) -> None:
        if asked.path.startswith("/feeds"):
            return self.reply(200, b'<rss version="2.0"><channel/></rss>')
        return self.json(200, {"version": 4, "results": []})

    def fault_withheld(self, asked: Asked) -> None:
        """A list that counts an item and does not show it."""
        self.json(200, {"kind": "youtube#videoListResponse", "pageInfo": {"totalResults": 1}})

    def fault_moved(self, asked: Asked) -> None:
        self.reply(302, Location=f"{self.path}&moved=1" if "?" in self.path else f"{self.path}?moved=1")

    def fault_elsewhere(self, asked: Asked) -> None:
        port = self.server.server_address[1]
        self.reply(302, Location=f"http://localhost:{port}/elsewhere")

    def fault_outside(self, asked: Asked) -> None:
        self.reply(302, Location="file:///etc/passwd")

    def fault_round(self, asked: Asked) -> None:
        self.reply(302, Location=self.path)

    def fault_dropped(self, asked: Asked) -> None:
        """The connection ends without a word."""

    # Sending

    def json(self, status: int, value: Any, **headers: str) -> None:
        self.reply(status, json.dumps(value).encode(), Content_Type="application/json", **headers)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response_only(status)
        for header, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


# What the platforms say -------------------------------------------------------------------------------------------------


def listed(kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    """The frame of a list call's answer."""
    return {"kind": f"youtube#{kind}ListResponse", "pageInfo": {"totalResults": len(items)}, "items": items}


def video(video_id: str, published: datetime) -> dict[str, Any]:
    """One item of `videos.list`."""
    return {
        "kind": "youtube#video",
        "etag": "e",
        "id": video_id,
        "snippet": {
            "publishedAt": f"{published.isoformat()}Z",
            "channelId": "UC" + "1" * 22,
            "title": f"Video {video_id}",
            "description": "words",
            "channelTitle": "One",
            "tags": ["a"],
            "categoryId": "22",
        },
        "contentDetails": {"duration": "PT36S"},
        "status": {"uploadStatus": "processed", "privacyStatus": "public"},
        "statistics": {"viewCount": "1234", "likeCount": "56", "commentCount": "7"},
    }


def channel(channel_id: str) -> dict[str, Any]:
    """One item of `channels.list`."""
    statistics = {"viewCount": "999", "subscriberCount": "10", "hiddenSubscriberCount": False, "videoCount": "3"}
    return {"kind": "youtube#channel", "id": channel_id, "snippet": {"title": "One"}, "statistics": statistics}


def thread(video_id: str, number: int, author: str) -> dict[str, Any]:
    """One item of `commentThreads.list`."""
    written = f"{(NOW - timedelta(minutes=number)).isoformat()}Z"

    def comment(comment_id: str, by: str, **more: str) -> dict[str, Any]:
        said = {
            "textDisplay": f"comment {number}",
            "authorDisplayName": f"@{by}",
            "authorChannelUrl": f"http://www.youtube.com/@{by}",
            "authorChannelId": {"value": by},
            "likeCount": number,
            "publishedAt": written,
            "updatedAt": written,
            **more,
        }
        return {"id": comment_id, "snippet": said}

    top = comment(f"{video_id}-{number}", author)
    answer = comment(f"{top['id']}.1", f"{author}-answering", parentId=top["id"])
    snippet = {"videoId": video_id, "totalReplyCount": 1, "topLevelComment": top}
    return {"kind": "youtube#commentThread", "id": top["id"], "snippet": snippet, "replies": {"comments": [answer]}}


def rss(channel_id: str, videos: list[str]) -> bytes:
    """A channel's feed."""
    entries = "".join(
        f"""<entry><id>yt:video:{each}</id><yt:videoId>{each}</yt:videoId><yt:channelId>{channel_id}</yt:channelId>
  <title>A &amp; B</title><link rel="alternate" href="https://www.youtube.com/shorts/{each}"/>
  <author><name>One</name><uri>https://www.youtube.com/channel/{channel_id}</uri></author>
  <published>2025-05-30T00:00:00+00:00</published><updated>2025-05-31T00:00:00+00:00</updated>
  <media:group><media:title>A &amp; B</media:title>
   <media:thumbnail url="https://i4.ytimg.com/vi/{each}/hqdefault.jpg" width="480" height="360"/>
   <media:description>words</media:description>
   <media:community><media:starRating count="7" average="5.00" min="1" max="5"/><media:statistics views="140"/></media:community>
  </media:group></entry>"""
        for each in videos
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<feed xmlns:yt="http://www.youtube.com/xml/schemas/2015" xmlns:media="http://search.yahoo.com/mrss/" xmlns="http://www.w3.org/2005/Atom">
 <id>yt:channel:x</id><yt:channelId>{channel_id}</yt:channelId><title>One</title>{entries}</feed>""".encode()
