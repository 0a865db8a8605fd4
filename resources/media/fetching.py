"""Fetching bytes from a URL: the bytes, or a reason in the taxonomy. What they are is not looked at here.

A `Pace` keeps requests to a host apart; further tries and robots.txt are the business of who calls.
"""

import http.client
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urljoin, urlsplit

from resources.media.states import MediaError, Reason, reason_of_status

_BLOCK = 1 << 16
_HEADERS = {"User-Agent": "upswell", "Accept": "image/*,*/*;q=0.5"}
_SCHEMES = ("http", "https")
_REDIRECTS = (301, 302, 303, 307, 308)
MOST_HOPS = 10
"""Requests that one fetch may take, redirects among them."""


def host_of(url: str) -> str:
    """The host that a URL names, with its port; empty where it names none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


@dataclass(frozen=True)
class Answer:
    """What a server said: also a refusal is one.

    Attributes:
        url: The address that answered.
        status: HTTP status.
        headers: As they came.
        body: All of it.
    """

    url: str
    status: int
    headers: Message
    body: bytes

    def retry_after(self) -> timedelta | None:
        """How long the server asks to wait: seconds, or the time from its own date to the one it names."""
        stated = self.headers.get("Retry-After")
        if stated is None:
            return None
        if stated.strip().isdecimal():
            return timedelta(seconds=min(int(stated), 10**9))
        try:
            return parsedate_to_datetime(stated) - parsedate_to_datetime(self.headers.get("Date", ""))
        except (ValueError, TypeError):
            return None


class Pace:
    """Keeps requests to a host apart; may be used by several threads.

    Args:
        interval_s: Seconds between two requests to a host.
        monotonic: Seconds that never go back.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        interval_s: float,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval_s = interval_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at: dict[str, float] = {}
        self._intervals: dict[str, float] = {}

    def take_turn(self, host: str, longest_s: float = 3600.0) -> None:
        """Waits until the host may be asked again.

        Raises:
            MediaError: `rate-limited`: it asked to be left alone for longer than `longest_s`; nothing was waited for.
        """
        with self._lock:
            now = self._monotonic()
            at = max(now, self._free_at.get(host, now))
            interval = self._intervals.get(host, self._interval_s)
            if at - now > longest_s + interval:
                rest = timedelta(seconds=at - now)
                raise MediaError(Reason.RATE_LIMITED, f"{host} asks to be left alone for {round(at - now)} s", rest)
            self._free_at[host] = at + interval
        if at > now:
            self._sleep(at - now)

    def hold(self, host: str, seconds: float) -> None:
        """Leaves a host alone for so long from now."""
        with self._lock:
            self._free_at[host] = max(self._free_at.get(host, 0.0), self._monotonic() + seconds)

    def slow_down(self, host: str, interval_s: float) -> None:
        """Makes the interval of a host a longer one."""
        self._intervals[host] = max(interval_s, self._interval_s)


def download(url: str, max_bytes: int, timeout_s: float = 20.0) -> bytes:
    """The bytes behind an http or https URL; redirects are followed.

    Args:
        url: The URL; blanks and letters beyond ASCII are escaped.
        max_bytes: More than that is refused, by the length that the server states or as soon as it has arrived.
        timeout_s: For the whole of it.

    Raises:
        MediaError: `invalid-url`, `too-large`, `network` (no answer, or one that breaks off) or the reason that the
            status stands for, with the time that the server asks to wait.
    """
    deadline = time.monotonic() + timeout_s
    for _ in range(MOST_HOPS):
        answer = exchange(url, _HEADERS, max_bytes, deadline - time.monotonic())
        onward = next_hop(answer)
        if onward is None:
            break
        url = onward
    if 200 <= answer.status < 300:
        return answer.body
    raise MediaError(reason_of_status(answer.status), f"HTTP {answer.status}", answer.retry_after())


def next_hop(answer: Answer) -> str | None:
    """Where a redirect leads; None where the answer is none, or leads nowhere that is fetched."""
    location = answer.headers.get("Location")
    if answer.status not in _REDIRECTS or not location:
        return None
    try:
        onward = urljoin(answer.url, location)
        return onward if urlsplit(onward).scheme in _SCHEMES else None
    except ValueError:
        return None


def exchange(url: str, headers: Mapping[str, str], max_bytes: int, timeout_s: float) -> Answer:
    """One request and its answer, whatever its status; no redirect is followed.

    Raises:
        MediaError: `invalid-url`, `too-large`, or `network` where there is no answer, or one that breaks off.
    """
    deadline = time.monotonic() + timeout_s
    try:
        with _opener().open(_request(url, headers), timeout=max(timeout_s, 0.001)) as response:
            return Answer(url, response.status, response.headers, _read(response, max_bytes, deadline))
    except (http.client.InvalidURL, ValueError) as error:
        what = url.partition("?")[0][:200]  # a query may hold what is nobody's business
        raise MediaError(Reason.INVALID_URL, f"{what!r}: {error}".replace(url, what)) from None
    except (OSError, http.client.HTTPException) as error:
        raise MediaError(Reason.NETWORK, f"{type(error).__name__}: {error}"[:300]) from None


def _opener() -> urllib.request.OpenerDirector:
    """One that speaks http and https only, and hands back what came as it came."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
    ):
        opener.add_handler(handler())
    return opener


def _request(url: str, headers: Mapping[str, str]) -> urllib.request.Request:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("no http or https address")
    return urllib.request.Request(quote(url, safe="!#$%&'()*+,/:;=?@[]~"), headers=dict(headers))


def _read(response: http.client.HTTPResponse, max_bytes: int, deadline: float) -> bytes:
    stated = response.headers.get("Content-Length")
    length = int(stated) if stated and stated.isdecimal() else None
    if length is not None and length > max_bytes:
        raise MediaError(Reason.TOO_LARGE, f"{length} bytes, at most {max_bytes} are fetched")
    blocks: list[bytes] = []
    size = 0
    while block := response.read1(_BLOCK):
        blocks.append(block)
        size += len(block)
        if size > max_bytes:
            raise MediaError(Reason.TOO_LARGE, f"more than {max_bytes} bytes")
        if time.monotonic() > deadline:
            raise MediaError(Reason.NETWORK, f"too slow: {size} bytes when time was up")
    if length is not None and size < length:
        raise MediaError(Reason.NETWORK, f"broke off after {size} of {length} bytes")
    return b"".join(blocks)
