"""YouTube through its Data API v3: searches, uploads, videos, channels and comments, in batches of 50, with a key.

Every list call costs one unit, a search one call of a bucket of its own; a try that fails costs as much. The key travels
in a header, never in an address. Searches and lists of uploads are read for ids only: what is landed of a video comes from
`videos.list`, because a search tells shortened and escaped texts and no counts. The API does not say whether a video is a
Short, nor whether one that it no longer gives is private or removed: such a one is told as `unavailable`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from resources.collectors import links
from resources.collectors.base import (
    Budget,
    Clock,
    CollectError,
    Missed,
    Order,
    QuotaSpentError,
    Reply,
    batches,
    envelope,
    state_line,
)
from resources.collectors.etags import Etags, Noted
from resources.collectors.web import Client, as_json, refused, where
from resources.media.fetching import Answer
from resources.media.states import Reason
from resources.secrets import hashed, redact
from resources.settings import Part

BASE_URL = "https://www.googleapis.com/youtube/v3"
_BATCH = 50
_COMMENTS = 100
_FAILURES_IN_A_ROW = 5
_SEARCH, _UNITS = "search", "units"

_SPENT = frozenset({"quotaExceeded", "dailyLimitExceeded", "dailyLimitExceededUnreg"})
_TOO_FAST = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "servingLimitExceeded", "concurrentLimitExceeded"})
_KEY = frozenset(
    {
        "keyInvalid",
        "keyExpired",
        "accessNotConfigured",
        "ipRefererBlocked",
        "authError",
        "required",
        "API_KEY_INVALID",
        "API_KEY_EXPIRED",
        "API_KEY_SERVICE_BLOCKED",
        "API_KEY_IP_ADDRESS_BLOCKED",
        "API_KEY_HTTP_REFERRER_BLOCKED",
        "CREDENTIALS_MISSING",
        "SERVICE_DISABLED",
        "CONSUMER_SUSPENDED",
    }
)
_OF_ITEM = {
    "commentsDisabled": Reason.COMMENTS_DISABLED,
    "videoNotFound": Reason.NOT_FOUND,
    "playlistNotFound": Reason.NOT_FOUND,
    "channelNotFound": Reason.NOT_FOUND,
    "processingFailure": Reason.SERVER_ERROR,
    "backendError": Reason.SERVER_ERROR,
    "internalError": Reason.SERVER_ERROR,
}
_WAY_OUT = (
    "renew the key, or enable YouTube Data API v3 for it, at https://console.cloud.google.com/apis/credentials "
    "and set UPSWELL_YOUTUBE_API_KEY"
)

_VIDEO_FIELDS = (
    "kind,pageInfo,items(kind,etag,id,"
    "snippet(publishedAt,channelId,channelTitle,title,description,tags,categoryId,defaultLanguage,defaultAudioLanguage,"
    "liveBroadcastContent,thumbnails),"
    "contentDetails(duration,caption,regionRestriction,contentRating),"
    "statistics(viewCount,likeCount,commentCount),"
    "status(uploadStatus,privacyStatus,madeForKids))"
)
_CHANNEL_FIELDS = (
    "kind,pageInfo,items(kind,id,snippet(title,publishedAt,country),"
    "statistics(viewCount,subscriberCount,hiddenSubscriberCount,videoCount))"
)
_COMMENT = "id,snippet(textDisplay,authorChannelId,likeCount,parentId,publishedAt,updatedAt)"
_COMMENT_FIELDS = (
    "kind,nextPageToken,pageInfo,items(kind,id,"
    f"snippet(videoId,totalReplyCount,topLevelComment({_COMMENT})),replies(comments({_COMMENT})))"
)


class YouTubeApi:
    """The Data API as a collector.

    Args:
        key: API key.
        salt: Of the hashes that stand for commenters.
        web: Asks politely.
        etags: What was landed last of a list of uploads.
        clock: The home's time.
        base_url: Where the API is.
        pages: Pages of uploads of a channel, and of comments of a video, that one order reads at most.
    """

    name = "youtube_api"
    source = "youtube"
    limits: Mapping[str, int] = {_SEARCH: 100, _UNITS: 10_000}
    parts: frozenset[Part] = frozenset({"videos", "channels", "comments"})

    def __init__(
        self,
        key: str,
        salt: str,
        web: Client,
        etags: Etags,
        clock: Clock,
        *,
        base_url: str = BASE_URL,
        pages: int = 2,
    ) -> None:
        self.key = key
        self.salt = salt
        self.web = web
        self.etags = etags
        self.clock = clock
        self.base_url = base_url.rstrip("/")
        self.pages = pages

    def cost(self, order: Order) -> dict[str, int]:
        """A call for each topic; units for names of channels, lists of uploads, batches of 50, and pages of comments."""
        videos = len(set(order.videos)) + _BATCH * (len(order.topics) + self.pages * len(order.channels))
        named = sum(1 for channel in order.channels if links.youtube_channel_id(channel) is None)
        units = named + self.pages * len(order.channels)
        if "videos" in order.parts:
            units += -(-videos // _BATCH)
        if "channels" in order.parts:
            units += -(-(len(order.channels) + videos * ("videos" in order.parts)) // _BATCH)
        if "comments" in order.parts:
            units += self.pages * videos
        return {_SEARCH: len(order.topics), _UNITS: units}

    def collect(self, order: Order, budget: Budget) -> Iterator[Reply | Missed]:
        """See `Collector`; after a bucket is closed or the key refused, the rest is told as missed without a request."""
        run = _Run(self, order, budget)
        yield from run.replies()
        if run.fatal is not None:
            raise run.fatal


@dataclass
class _Run:
    """One order on its way: what was found, what is closed."""

    api: YouTubeApi
    order: Order
    budget: Budget
    videos: dict[str, None] = field(default_factory=dict)
    channels: dict[str, None] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    closed: dict[str, CollectError] = field(default_factory=dict)
    fatal: CollectError | None = None
    failures_in_a_row: int = 0
    landed_lists: dict[str, Noted] = field(default_factory=dict)

    def replies(self) -> Iterator[Reply | Missed]:
        self.videos.update(dict.fromkeys(self.order.videos))
        whole = "videos" in self.order.parts
        for said in self._parts():
            whole = whole and not (isinstance(said, Missed) and said.part == "videos")
            yield said
        if whole:
            self.api.etags.note(self.landed_lists)

    def _parts(self) -> Iterator[Reply | Missed]:
        yield from self._search()
        yield from self._name_channels()
        yield from self._list_uploads()
        if "videos" in self.order.parts:
            yield from self._look_at_videos()
        if "channels" in self.order.parts:
            yield from self._look_at_channels()
        if "comments" in self.order.parts:
            yield from self._read_comments()

    # What is asked ------------------------------------------------------------------------------------------------------

    def _search(self) -> Iterator[Missed]:
        since = {"publishedAfter": f"{self.order.since.isoformat(timespec='seconds')}Z"} if self.order.since else {}
        for topic in dict.fromkeys(self.order.topics):
            asked = {"part": "snippet", "q": topic, "type": "video", "videoDuration": "short", "order": "date", **since}
            try:
                answer = self._ask(
                    "search", {**asked, "maxResults": _BATCH, "fields": "kind,items(id(videoId))"}, _SEARCH
                )
                self.videos.update(dict.fromkeys(_text(item, "id", "videoId") for item in _items(answer, "search")))
            except CollectError as error:
                yield _missed("topics", topic, error)

    def _name_channels(self) -> Iterator[Reply | Missed]:
        """The ids of channels that were given as handles or links."""
        for channel in dict.fromkeys(self.order.channels):
            channel_id = links.youtube_channel_id(channel)
            if channel_id is not None:
                self.channels[channel_id] = None
                continue
            name = links.youtube_channel_name(channel)
            if name is None:
                yield Missed(
                    "channels", channel, Reason.INVALID_URL, "no channel of YouTube: give its id, @handle or link"
                )
                continue
            try:
                asked = {"part": "snippet,statistics", **name, "fields": _CHANNEL_FIELDS}
                answer = self._ask("channels", asked)
                found = [_text(item, "id") for item in _items(answer, "channel")]
            except CollectError as error:
                yield _missed("channels", channel, error)
                continue
            self.channels.update(dict.fromkeys(found))
            if not found:
                yield Missed("channels", channel, Reason.NOT_FOUND, "the API knows no channel of that name")

    def _list_uploads(self) -> Iterator[Missed]:
        for channel in tuple(self.channels):
            try:
                for video_id in self._uploads(channel):
                    self.videos[video_id] = None
            except CollectError as error:
                yield _missed("channels", channel, error)

    def _uploads(self, channel: str) -> Iterator[str]:
        """Ids of a channel's latest videos, newest first; none where its list is as it was landed last."""
        asked = {"part": "contentDetails", "playlistId": f"UU{channel[2:]}", "maxResults": _BATCH}
        asked["fields"] = "kind,nextPageToken,items(contentDetails(videoId,videoPublishedAt))"
        url = self._url("playlistItems", asked)
        known = self.api.etags.get(url, self.order.since) if "videos" in self.order.parts else None
        first_etag, oldest = None, ""
        for page in range(self.api.pages):
            answer, etag = self._get("playlistItems", asked, _UNITS, known if page == 0 else None)
            if answer is None:
                return
            first_etag = etag if page == 0 else first_etag
            for item in _items(answer, "playlistItem"):
                oldest = str(_inside(item, "contentDetails").get("videoPublishedAt") or "")
                if not self._too_old(oldest):
                    yield _text(item, "contentDetails", "videoId")
            onward = answer.get("nextPageToken")
            if not onward or self.order.since is None or self._too_old(oldest):
                break
            asked = {**asked, "pageToken": onward}
        unread = bool(onward) and not self._too_old(oldest)
        reaches = datetime.fromisoformat(oldest[:19]) if unread and oldest else self.order.since
        self.landed_lists[url] = (first_etag, reaches)

    def _look_at_videos(self) -> Iterator[Reply | Missed]:
        for ids in batches(self.videos, _BATCH):
            asked = {"part": "snippet,contentDetails,statistics,status", "id": ",".join(ids), "maxResults": _BATCH}
            request = {"method": "videos.list", "id": list(ids)}
            try:
                answer = self._ask("videos", {**asked, "fields": _VIDEO_FIELDS})
                items = _items(answer, "video")
                given = {_text(item, "id") for item in items}
            except CollectError as error:
                yield from (_missed("videos", video_id, error) for video_id in ids)
                continue
            for item in items:
                channel = (item.get("snippet") or {}).get("channelId")
                if isinstance(channel, str):
                    self.channels[channel] = None
            now = self.api.clock()
            yield Reply("youtube_api", envelope(now, request, answer))
            lacking = {video_id: "unavailable" for video_id in ids if video_id not in given}
            if lacking:
                self.gone |= lacking.keys()
                yield Reply("youtube_api", state_line(now, request, lacking))

    def _look_at_channels(self) -> Iterator[Reply | Missed]:
        for ids in batches(self.channels, _BATCH):
            asked = {"part": "snippet,statistics", "id": ",".join(ids), "maxResults": _BATCH, "fields": _CHANNEL_FIELDS}
            try:
                answer = self._ask("channels", asked)
                given = {_text(item, "id") for item in _items(answer, "channel")}
            except CollectError as error:
                yield from (_missed("channels", channel, error) for channel in ids)
                continue
            request = {"method": "channels.list", "id": list(ids)}
            yield Reply("youtube_channels", envelope(self.api.clock(), request, answer))
            for channel in ids:
                if channel not in given:
                    yield Missed("channels", channel, Reason.UNAVAILABLE, "the API does not give this channel")

    def _read_comments(self) -> Iterator[Reply | Missed]:
        for video_id in self.videos:
            if video_id not in self.gone:
                yield from self._comments_of(video_id)

    def _comments_of(self, video_id: str) -> Iterator[Reply | Missed]:
        """Pages of comments, newest first, with the few answers that come with each, their authors hashed."""
        asked: dict[str, Any] = {"part": "snippet,replies", "videoId": video_id, "order": "time"}
        asked |= {"textFormat": "plainText", "maxResults": _COMMENTS, "fields": _COMMENT_FIELDS}
        for page in range(self.api.pages):
            try:
                answer = self._ask("commentThreads", asked)
                items = _items(answer, "commentThread")
                written = [self._hash_authors(item) for item in items]
            except CollectError as error:
                yield _missed("comments", video_id, error)
                return
            request = {"method": "commentThreads.list", "videoId": video_id, "page": page}
            yield Reply("youtube_comments", envelope(self.api.clock(), request, answer))
            if not answer.get("nextPageToken") or self._too_old(min(written, default="")):
                return
            asked["pageToken"] = answer["nextPageToken"]

    def _hash_authors(self, thread: dict[str, Any]) -> str:
        """Puts hashes where the authors of a comment and its answers were; when the comment was written."""
        comment = _inside(thread, "snippet", "topLevelComment", "snippet")
        answers = _inside(thread, "replies").get("comments") or []
        for snippet in (comment, *(_inside(answer, "snippet") for answer in answers)):
            author = _inside(snippet, "authorChannelId").get("value")
            for name in [key for key in snippet if key.startswith("author")]:
                del snippet[name]
            if author:
                snippet["author_hash"] = hashed(self.api.salt, str(author))
        return str(comment.get("publishedAt") or "")

    def _too_old(self, stated: str) -> bool:
        """Whether an ISO time of the API (UTC) lies before what is wanted."""
        since = self.order.since
        return since is not None and bool(stated) and stated[:19] < since.isoformat(timespec="seconds")

    # How it is asked ----------------------------------------------------------------------------------------------------

    def _url(self, method: str, asked: Mapping[str, Any]) -> str:
        return f"{self.api.base_url}/{method}?{urlencode(asked)}"

    def _ask(self, method: str, asked: Mapping[str, Any], bucket: str = _UNITS) -> dict[str, Any]:
        """The answer of a list call.

        Raises:
            CollectError: It failed for good, or its bucket is closed: then no request is made.
        """
        return self._get(method, asked, bucket, None)[0] or {}

    def _get(
        self, method: str, asked: Mapping[str, Any], bucket: str, etag: str | None
    ) -> tuple[dict[str, Any] | None, str | None]:
        """The answer of a list call and its ETag; None where it is still the one with this ETag."""
        if bucket in self.closed:
            raise self.closed[bucket]
        try:
            answer = self.api.web.get(
                self._url(method, asked),
                _read,
                accept="application/json",
                credentials={"X-Goog-Api-Key": self.api.key},
                etag=etag,
                api=True,
                before=lambda: self.budget.spend(bucket),
            )
        except QuotaSpentError as error:
            self.closed[bucket] = CollectError(Reason.QUOTA_SPENT, str(error), bucket=bucket)
            raise self.closed[bucket] from None
        except CollectError as error:
            self._learn(error, bucket)
            raise
        self.failures_in_a_row = 0
        return answer

    def _learn(self, error: CollectError, bucket: str) -> None:
        """Closes what a failure says is closed: a spent bucket, or everything."""
        self.failures_in_a_row = self.failures_in_a_row + 1 if error.reason.retryable else 0
        if error.reason is Reason.QUOTA_SPENT:
            error.bucket = bucket
            self.closed[bucket] = self.fatal = error
        elif error.reason is Reason.KEY_REFUSED or self.failures_in_a_row >= _FAILURES_IN_A_ROW:
            self.closed = dict.fromkeys((_SEARCH, _UNITS), error)
            self.fatal = error


def _missed(part: Any, subject: str, error: CollectError) -> Missed:
    return Missed(part, subject, error.reason, error.detail, error.retry_after)


# What an answer says ----------------------------------------------------------------------------------------------------


def _read(answer: Answer) -> tuple[dict[str, Any] | None, str | None]:
    """The object that a list call answered with, and its ETag; None where it is unchanged."""
    if answer.status == 304:
        return None, None
    if answer.status >= 400:
        raise _failure(answer)
    value = as_json(answer)
    if not isinstance(value, dict):
        raise CollectError(Reason.UNEXPECTED, f"{where(answer)} answered with {type(value).__name__}, not an object")
    return value, answer.headers.get("ETag")


def _failure(answer: Answer) -> CollectError:
    """What an error of the API means: its body says more than its status."""
    try:
        error = json.loads(answer.body)["error"]
        details = [detail for detail in error.get("details") or [] if isinstance(detail, dict)]
        reasons = [str(each.get("reason")) for each in [*(error.get("errors") or []), *details] if each.get("reason")]
        message = redact(str(error.get("message", "")))[:300]
        daily = any("PerDay" in str((detail.get("metadata") or {}).get("quota_limit")) for detail in details)
    except (ValueError, KeyError, TypeError, AttributeError):
        return refused(answer)
    what = f"HTTP {answer.status} of {where(answer)}: {', '.join(dict.fromkeys(reasons)) or 'no reason'}: {message}"
    if daily or _SPENT.intersection(reasons):
        return CollectError(Reason.QUOTA_SPENT, f"{what}; the quota comes back at midnight in California")
    if _TOO_FAST.intersection(reasons):
        return CollectError(Reason.RATE_LIMITED, what, answer.retry_after())
    if _KEY.intersection(reasons) or answer.status == 401 or "API key" in message:
        return CollectError(Reason.KEY_REFUSED, f"{what}; {_WAY_OUT}")
    for reason in reasons:
        if reason in _OF_ITEM:
            return CollectError(_OF_ITEM[reason], what, answer.retry_after())
    if answer.status == 403:
        return CollectError(Reason.REFUSED, what)
    plain = refused(answer)
    return CollectError(plain.reason, what, plain.retry_after)


def _items(answer: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The items of a list, checked for the form that the API documents.

    Raises:
        CollectError: It has another form: to take what lacks for a video that is gone would be wrong.
    """
    expected = f"youtube#{kind}ListResponse"
    items = answer.get("items", [])
    whole = isinstance(items, list) and all(isinstance(item, dict) for item in items)
    withheld = "items" not in answer and _inside(answer, "pageInfo").get("totalResults", 0) != 0
    if answer.get("kind") != expected or not whole or withheld:
        raise CollectError(
            Reason.UNEXPECTED, f"the answer is no {expected}: the API has changed, this collector has not"
        )
    return list(items)


def _inside(value: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """The object at a path; an empty one where there is none."""
    found: Any = value
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _text(item: dict[str, Any], *path: str) -> str:
    """The text at a path of an item.

    Raises:
        CollectError: There is none.
    """
    found = _inside(item, *path[:-1]).get(path[-1])
    if not isinstance(found, str) or not found:
        raise CollectError(
            Reason.UNEXPECTED, f"an item without {'.'.join(path)}: the API has changed, this collector has not"
        )
    return found
