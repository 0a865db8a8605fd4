"""Fetching bytes from a URL: the bytes, or a reason in the taxonomy. What they are is not looked at here."""

import http.client
import time
import urllib.error
import urllib.request
from datetime import timedelta
from email.message import Message
from email.utils import parsedate_to_datetime
from urllib.parse import quote, urlsplit

from resources.media.states import MediaError, Reason, reason_of_status

_BLOCK = 1 << 16
_HEADERS = {"User-Agent": "upswell", "Accept": "image/*,*/*;q=0.5"}


def host_of(url: str) -> str:
    """The host that a URL names, with its port; empty where it names none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""


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
    try:
        with _opener().open(_request(url), timeout=timeout_s) as response:
            return _read(response, max_bytes, deadline)
    except urllib.error.HTTPError as error:
        with error:
            detail = f"HTTP {error.code} {error.reason}"
            raise MediaError(reason_of_status(error.code), detail, _retry_after(error.headers)) from error
    except (http.client.InvalidURL, ValueError) as error:
        raise MediaError(Reason.INVALID_URL, f"{url[:200]!r}: {error}") from error
    except (OSError, http.client.HTTPException) as error:
        raise MediaError(Reason.NETWORK, f"{type(error).__name__}: {error}"[:300]) from error


def _opener() -> urllib.request.OpenerDirector:
    """One that speaks http and https only, wherever it is redirected to."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _request(url: str) -> urllib.request.Request:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("no http or https address")
    return urllib.request.Request(quote(url, safe="!#$%&'()*+,/:;=?@[]~"), headers=_HEADERS)


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


def _retry_after(headers: Message) -> timedelta | None:
    """How long the server asks to wait: seconds, or the time from its own date to the one it names."""
    stated = headers.get("Retry-After")
    if stated is None:
        return None
    if stated.strip().isdecimal():
        return timedelta(seconds=min(int(stated), 10**9))
    try:
        return parsedate_to_datetime(stated) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
