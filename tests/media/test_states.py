"""The taxonomy of reasons and the times of further tries."""

from datetime import datetime, timedelta

import pytest

from resources.media.states import MediaError, Reason, after_failure, reason_of_status, wait

NOW = datetime(2025, 11, 20)


@pytest.mark.parametrize(
    ("status", "reason", "retryable"),
    [
        (400, "refused", False),
        (403, "private", False),
        (404, "not-found", False),
        (408, "network", True),
        (410, "removed", False),
        (429, "rate-limited", True),
        (451, "region-blocked", False),
        (500, "server-error", True),
        (503, "server-error", True),
    ],
)
def test_reason_of_status(status: int, reason: str, retryable: bool) -> None:
    found = reason_of_status(status)
    assert (found.value, found.retryable) == (reason, retryable)


def test_waits_grow_up_to_a_day_and_the_server_wins() -> None:
    assert [wait(attempts) for attempts in (1, 2, 3)] == [timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4)]
    assert wait(5) == wait(1000) == timedelta(days=1)
    assert wait(5, timedelta(seconds=30)) == timedelta(seconds=30)
    assert wait(1, timedelta(seconds=-5)) == timedelta(0)
    assert wait(1, timedelta(days=4000)) == timedelta(days=7)


def test_a_retryable_item_is_given_up_after_its_tries() -> None:
    error = MediaError(Reason.NETWORK, "timed out")
    first = after_failure(error, 1, 3, NOW)
    assert (first.state, first.reason, first.next_try_at) == ("retryable", "network", NOW + timedelta(minutes=15))
    last = after_failure(error, 3, 3, NOW)
    assert (last.state, last.reason, last.next_try_at) == ("terminal", "network", None)
    assert last.detail == "given up after 3 tries: timed out"


def test_a_terminal_reason_is_not_tried_again() -> None:
    standing = after_failure(MediaError(Reason.NOT_FOUND, "404"), 1, 3, NOW)
    assert (standing.state, standing.reason, standing.attempts) == ("terminal", "not-found", 1)
