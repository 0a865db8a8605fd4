"""A server, a time that passes only by sleeping, and a budget, shared by the tests of collectors."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from resources.collectors.base import CollectError, Collector, Missed, Order, QuotaSpentError, Reply
from resources.collectors.etags import Etags
from resources.collectors.web import Client
from resources.collectors.youtube import YouTubeApi
from tests.collectors.server import KEY, Server, Time, World, serving

INTERVAL_S = 0.5
SALT = "0123456789abcdef-planted-salt"


class Purse:
    """A budget that counts."""

    def __init__(self, units: Mapping[str, int] | None = None) -> None:
        self.left = Counter(units if units is not None else {"search": 100, "units": 10_000})
        self.spent: Counter[str] = Counter()

    def spend(self, bucket: str, units: int = 1) -> None:
        if self.left[bucket] < units:
            raise QuotaSpentError(bucket)
        self.left[bucket] -= units
        self.spent[bucket] += units


class Place:
    """One world with its server, clock and home."""

    def __init__(self, home: Path, world: World, clock: Time, server: Server) -> None:
        self.home = home
        self.world = world
        self.clock = clock
        self.server = server
        self.timeout_s = 10.0  # of the machine that runs the tests, however busy it is

    def web(self, **how: Any) -> Client:
        return Client(
            **{
                "interval_s": INTERVAL_S,
                "timeout_s": self.timeout_s,
                "monotonic": self.clock.monotonic,
                "sleep": self.clock.sleep,
                "jitter": lambda: 0.5,
                **how,
            }
        )

    def api(self, key: str = KEY) -> YouTubeApi:
        etags = Etags(self.home)
        return YouTubeApi(key, SALT, self.web(), etags, self.clock.now, base_url=self.server.api)


def run(
    collector: Collector, order: Order, budget: Purse | None = None
) -> tuple[list[Reply], list[Missed], CollectError | None]:
    """What a collection brought, what it missed, and why it ended early."""
    replies: list[Reply] = []
    missed: list[Missed] = []
    try:
        for said in collector.collect(order, budget or Purse()):
            if isinstance(said, Reply):
                replies.append(said)
            else:
                missed.append(said)
    except CollectError as error:
        return replies, missed, error
    return replies, missed, None


def states(replies: list[Reply]) -> dict[str, str]:
    """State by video, as the replies tell it."""
    return {
        item["id"]: item["status"]["privacyStatus"]
        for reply in replies
        if reply.adapter == "youtube_api"
        for item in reply.line["reply"]["items"]
    }


@pytest.fixture
def place(home: Path) -> Iterator[Place]:
    world, clock = World(), Time()
    with serving(world, clock) as server:
        yield Place(home, world, clock, server)
