"""Why something is not here or cannot be read: the one taxonomy of reasons, and when a try is made again.

A reason is retryable or terminal. A retryable one is tried again later and later, as late as the server asks where it
asks, and becomes terminal when its tries are used up. Who collects, fetches or reads is not known here.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

State = Literal["pending", "done", "retryable", "terminal"]
_FIRST_WAIT = timedelta(minutes=15)
_LONGEST_WAIT = timedelta(days=1)
# A server that asks for more is taken at its word only so far: its clock may be wrong, and an item must not be lost to it.
_LONGEST_ASKED = timedelta(days=7)


class Reason(StrEnum):
    """Every reason for which a medium has no picture, sound or vector, or a request no answer."""

    PRIVATE = "private"
    REMOVED = "removed"
    AGE_RESTRICTED = "age-restricted"
    REGION_BLOCKED = "region-blocked"
    UNAVAILABLE = "unavailable"
    COMMENTS_DISABLED = "comments-disabled"
    KEY_REFUSED = "key-refused"
    QUOTA_SPENT = "quota-spent"
    DISALLOWED = "disallowed"
    UNEXPECTED = "unexpected"
    MALFORMED = "malformed"
    NOT_FOUND = "not-found"
    REFUSED = "refused"
    INVALID_URL = "invalid-url"
    RATE_LIMITED = "rate-limited"
    NETWORK = "network"
    SERVER_ERROR = "server-error"
    EMPTY = "empty"
    TOO_LARGE = "too-large"
    TOO_SLOW = "too-slow"
    UNSUPPORTED = "unsupported"
    UNDECODABLE = "undecodable"
    NO_PICTURE = "no-picture"
    NO_SOUND = "no-sound"
    NO_SPEECH = "no-speech"
    INVALID_VECTOR = "invalid-vector"

    @property
    def retryable(self) -> bool:
        """Whether another try may succeed."""
        return self in (
            Reason.RATE_LIMITED,
            Reason.NETWORK,
            Reason.SERVER_ERROR,
            Reason.MALFORMED,
            Reason.NO_SPEECH,
        )


_OF_STATUS = {
    401: Reason.PRIVATE,
    403: Reason.PRIVATE,
    404: Reason.NOT_FOUND,
    408: Reason.NETWORK,
    410: Reason.REMOVED,
    413: Reason.TOO_LARGE,
    415: Reason.UNSUPPORTED,
    425: Reason.SERVER_ERROR,
    429: Reason.RATE_LIMITED,
    451: Reason.REGION_BLOCKED,
}


class MediaError(Exception):
    """A medium that cannot be had or read.

    Args:
        reason: Why, in the taxonomy.
        detail: Why, in the words of what failed.
        retry_after: How long the server asked to wait.
    """

    def __init__(self, reason: Reason, detail: str, retry_after: timedelta | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after = retry_after


@dataclass(frozen=True)
class Standing:
    """How far an item has come, in the columns of `raw.media`."""

    state: State
    reason: str | None
    detail: str | None
    attempts: int
    next_try_at: datetime | None


def reason_of_status(status: int) -> Reason:
    """The reason that an HTTP status other than success stands for."""
    return _OF_STATUS.get(status, Reason.SERVER_ERROR if status >= 500 else Reason.REFUSED)


def after_failure(error: MediaError, attempts: int, max_attempts: int, now: datetime) -> Standing:
    """Where a failed try leaves an item.

    Args:
        error: Why it failed.
        attempts: Tries so far, this one included.
        max_attempts: Tries after which a retryable item is given up.
        now: Time of the try (naive UTC).
    """
    if not error.reason.retryable:
        return Standing("terminal", error.reason.value, error.detail, attempts, None)
    if attempts >= max_attempts:
        detail = f"given up after {attempts} tries: {error.detail}"
        return Standing("terminal", error.reason.value, detail, attempts, None)
    next_try_at = now + wait(attempts, error.retry_after)
    return Standing("retryable", error.reason.value, error.detail, attempts, next_try_at)


def wait(attempts: int, retry_after: timedelta | None = None) -> timedelta:
    """How long to wait after so many tries: what the server asked for, else 15 min, 1 h, 4 h, ... up to a day."""
    if retry_after is not None:
        return min(max(retry_after, timedelta(0)), _LONGEST_ASKED)
    doublings = 2 * min(attempts - 1, 10)
    return min(_FIRST_WAIT * (1 << doublings), _LONGEST_WAIT)
