"""Asking a host politely: its rate, its robots.txt, at most three tries, later and later, as late as it asks.

Every collector that speaks HTTP itself asks through here. One request and its answer is `resources.media.fetching`;
what an answer means is said by the reader that a collector brings. Credentials go to the host that they are for, in
headers only, and into no error and no log.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.robotparser import RobotFileParser

from resources.collectors.base import CollectError
from resources.media.fetching import MOST_HOPS, Answer, Pace, exchange, host_of, next_hop
from resources.media.states import MediaError, Reason, reason_of_status
from resources.secrets import redact

T = TypeVar("T")
Read = Callable[[Answer], T]
"""What an answer says, or a `CollectError`; called for every status."""

AGENT = "upswell"
_LOG = logging.getLogger(__name__)
_FIRST_WAIT_S = 1.0
_LONGEST_WAIT_S = 60.0
_LONGEST_ASKED = timedelta(days=7)


class Client:
    """Asks hosts, each no more often than its interval; may be used by several threads.

    Args:
        interval_s: Seconds between two requests to a host; a longer `Crawl-delay` of its robots.txt counts.
        max_tries: Requests at most where one fails in a way that may pass; redirects do not count.
        timeout_s: For the whole of an answer.
        max_bytes: Answers may be no larger.
        robots_exempt: Hosts whose robots.txt does not bind, as the operator states.
        monotonic: Seconds that never go back.
        sleep: Waits for so many seconds.
        jitter: Between 0 and 1, another each time.
    """

    def __init__(
        self,
        *,
        interval_s: float = 1.0,
        max_tries: int = 3,
        timeout_s: float = 30.0,
        max_bytes: int = 64 << 20,
        robots_exempt: Collection[str] = (),
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.max_tries = max_tries
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._robots_exempt = frozenset(robots_exempt)
        self._sleep = sleep
        self._jitter = jitter
        self._pace = Pace(interval_s, monotonic=monotonic, sleep=sleep)
        self._robots: dict[str, RobotFileParser | CollectError] = {}

    def get(
        self,
        url: str,
        read: Read[T],
        *,
        accept: str = "*/*",
        credentials: Mapping[str, str] | None = None,
        etag: str | None = None,
        api: bool = False,
        follow: bool = True,
        before: Callable[[], None] = lambda: None,
    ) -> T:
        """What the answer of a URL says.

        Args:
            url: An http or https address; redirects to such are followed.
            read: Says what an answer means; its error decides whether another try is made.
            accept: What is understood.
            credentials: Headers that only the host of `url` sees.
            etag: The answer is wanted only if it is another than this; `read` sees status 304 else.
            api: The host asks to be asked: its robots.txt is not for this.
            follow: Whether redirects are followed; `read` sees the redirect else.
            before: Called before each request, such as to spend quota; what it raises ends the call.

        Raises:
            CollectError: No answer after all tries, or one that no further try makes better, or a host that asks to be
                left alone for longer than a run waits.
        """
        headers = {"User-Agent": AGENT, "Accept": accept, **({"If-None-Match": etag} if etag else {})}
        if not api:
            self._obey_robots(url)
        for attempt in range(1, self.max_tries + 1):
            try:
                return read(self._answer(url, headers, credentials or {}, api, before, MOST_HOPS if follow else 1))
            except MediaError as error:
                failure = CollectError(error.reason, redact(error.detail), error.retry_after)
            except CollectError as error:
                failure = error
            wait_s = self._wait_s(failure, attempt)
            if failure.reason is Reason.RATE_LIMITED:
                self._pace.hold(host_of(url), wait_s)
            wait_s += self._jitter() * min(wait_s, _FIRST_WAIT_S)
            if not failure.reason.retryable or attempt == self.max_tries or wait_s > _LONGEST_WAIT_S:
                break
            _LOG.info("%s: try %d of %d in %.1f s: %s", host_of(url), attempt + 1, self.max_tries, wait_s, failure)
            self._sleep(wait_s)
        raise failure from None

    def _answer(
        self,
        url: str,
        headers: Mapping[str, str],
        credentials: Mapping[str, str],
        api: bool,
        before: Callable[[], None],
        hops: int,
    ) -> Answer:
        """The answer after so many hops at most; each keeps to the rate and the rules of its host."""
        home = _origin(url)
        while True:
            at_home = _origin(url) == home
            if not (api and at_home):
                self._obey_robots(url)
            self._pace.take_turn(host_of(url), _LONGEST_WAIT_S)
            before()
            sent = {**headers, **(credentials if at_home else {})}
            answer = exchange(url, sent, self._max_bytes, self._timeout_s)
            hops -= 1
            onward = next_hop(answer)
            if onward is None or hops < 1:
                return answer
            url = onward

    def _wait_s(self, failure: CollectError, attempt: int) -> float:
        """Seconds until the next try: what the host asked for, else 1, 2, 4, ..."""
        if failure.retry_after is not None:
            return min(max(failure.retry_after, timedelta(0)), _LONGEST_ASKED).total_seconds()
        return _FIRST_WAIT_S * 2.0 ** (attempt - 1)

    # robots.txt ---------------------------------------------------------------------------------------------------------

    def _obey_robots(self, url: str) -> None:
        host = host_of(url)
        if host in self._robots_exempt or urlsplit(url).scheme not in ("http", "https"):
            return
        rules = self._rules(_origin(url))
        if not rules.can_fetch(AGENT, url):
            path = urlsplit(url).path
            raise CollectError(
                Reason.DISALLOWED,
                f"robots.txt of {host} disallows {path}; where you have its permission, "
                "name the host under collect.robots_exempt in upswell.yaml",
            )

    def _rules(self, origin: str) -> RobotFileParser:
        """The robots.txt of a host, read once; one that cannot be read for a fault of the host closes it for the run."""
        if origin not in self._robots:
            try:
                self._robots[origin] = self.get(f"{origin}/robots.txt", _as_rules, api=True)
            except CollectError as error:
                self._robots[origin] = error
        rules = self._robots[origin]
        if isinstance(rules, CollectError):
            raise rules
        delay = rules.crawl_delay(AGENT)
        if delay:
            self._pace.slow_down(host_of(origin), float(delay))
        return rules


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{host_of(url)}"


def _as_rules(answer: Answer) -> RobotFileParser:
    rules = RobotFileParser()
    if 200 <= answer.status < 300:
        rules.parse(answer.body[: 500 << 10].decode("utf-8", errors="replace").splitlines())
    elif reason_of_status(answer.status).retryable:
        raise refused(answer)
    else:
        rules.parse([])
    return rules


# What an answer says ----------------------------------------------------------------------------------------------------


def refused(answer: Answer) -> CollectError:
    """The failure that an answer's status stands for."""
    reason = reason_of_status(answer.status)
    return CollectError(reason, f"HTTP {answer.status} of {where(answer)}", answer.retry_after())


def where(answer: Answer) -> str:
    """What was asked, for a person: host and path, without the query."""
    return redact(f"{host_of(answer.url)}{urlsplit(answer.url).path}")


def as_body(answer: Answer) -> bytes:
    """The bytes of an answer that succeeded.

    Raises:
        CollectError: It did not, or is empty.
    """
    if not 200 <= answer.status < 300:
        raise refused(answer)
    if not answer.body:
        raise CollectError(Reason.MALFORMED, f"{where(answer)} answered with nothing")
    return answer.body


def as_json(answer: Answer) -> Any:
    """The JSON value of an answer that succeeded.

    Raises:
        CollectError: It did not succeed, or is no JSON: broken off, or a page.
    """
    body = as_body(answer)
    try:
        return json.loads(body)
    except ValueError:
        what = "a page" if looks_like_page(body) else "broken JSON"
        raise CollectError(Reason.MALFORMED, f"{where(answer)} answered with {what} instead of JSON") from None


def looks_like_page(body: bytes) -> bool:
    """Whether bytes are an HTML page."""
    return body.lstrip()[:256].lower().startswith((b"<!doctype html", b"<html", b"<head", b"<body"))
