"""What every collector that speaks HTTP keeps to, whatever its server does.

Everything asked for ends in a state; no request comes sooner than the rate allows, or a fourth time, or again after a
failure that no further try mends; the quota holds; and no secret is in a line, an error or a log.
"""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from resources import secrets
from resources.collectors.base import CollectError, Collector, Missed, Order, Reply
from resources.collectors.etags import Etags
from resources.collectors.feeds import ChannelFeeds, FileFeed
from tests.collectors.conftest import INTERVAL_S, Place, Purse, run, states
from tests.collectors.server import KEY, Asked, rss

VIDEOS = tuple(f"video_{number:05d}" for number in range(120))
GONE = VIDEOS[::10]
CHANNELS = tuple("UC" + str(number) * 22 for number in range(1, 5))

TRANSIENT = ["busy", "busy_date", "error", "half", "cut", "malformed", "page", "slow", "dropped", "moved"]
LASTING = ["changed", "expired", "quota", "daily", "outside", "round", "busy_long", "echo"]
# Where a file may be anything, these are files.
NO_FAULT_OF_A_FILE = {"cut", "malformed", "changed"}


@dataclass
class Case:
    """A collector, its order, and what became of each thing that it was asked for."""

    make: Callable[[Place], Collector]
    order: Order
    asked_for: tuple[str, ...]
    outcome: Callable[[list[Reply], list[Missed], CollectError | None], dict[str, str]]
    truth: dict[str, str]
    harmless: frozenset[str] = field(default_factory=frozenset)


def of_api(replies: list[Reply], missed: list[Missed], error: CollectError | None) -> dict[str, str]:
    told = {said.subject: said.reason.value for said in missed if said.part == "videos"}
    assert not told.keys() & states(replies).keys()
    return {**states(replies), **told}


def of_feeds(replies: list[Reply], missed: list[Missed], error: CollectError | None) -> dict[str, str]:
    came = {reply.line["request"]["feed"].rpartition("=")[2]: "came" for reply in replies}
    return {**came, **{said.subject: said.reason.value for said in missed}}


def of_file(replies: list[Reply], missed: list[Missed], error: CollectError | None) -> dict[str, str]:
    return {"file": error.reason.value if error is not None else "came" if replies else "lost"}


def exempt(place: Place) -> list[str]:
    return [place.server.url.removeprefix("http://")]


CASES = {
    "youtube_api": Case(
        make=lambda place: place.api(),
        order=Order(videos=VIDEOS),
        asked_for=VIDEOS,
        outcome=of_api,
        truth={each: "unavailable" if each in GONE else "public" for each in VIDEOS},
    ),
    "youtube_rss": Case(
        make=lambda place: ChannelFeeds(
            place.web(robots_exempt=exempt(place)),
            Etags(place.home),
            place.clock.now,
            base_url=f"{place.server.url}/feeds/videos.xml",
        ),
        order=Order(channels=CHANNELS),
        asked_for=CHANNELS,
        outcome=of_feeds,
        truth={each: "not-found" if each == CHANNELS[0] else "came" for each in CHANNELS},
    ),
    "feed": Case(
        make=lambda place: FileFeed(
            "panel", f"{place.server.url}/panel.csv", "tiktok_panel", place.web(), Etags(place.home), place.clock.now
        ),
        order=Order(),
        asked_for=("file",),
        outcome=of_file,
        truth={"file": "came"},
        harmless=frozenset(NO_FAULT_OF_A_FILE),
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(autouse=True)
def fill(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", {})
    monkeypatch.setenv("UPSWELL_YOUTUBE_API_KEY", KEY)
    place.world.videos = set(VIDEOS) - set(GONE)
    place.world.files = {
        f"/feeds/videos.xml?channel_id={each}": rss(each, [VIDEOS[number]])
        for number, each in enumerate(CHANNELS)
        if number
    }
    place.world.files["/panel.csv"] = b"video_id,views\na,1\n"


def collect(case: Case, place: Place, caplog: pytest.LogCaptureFixture) -> tuple[dict[str, str], CollectError | None]:
    """Runs the case, and checks what holds whatever the server does."""
    caplog.set_level(logging.DEBUG)
    purse = Purse()
    replies, missed, error = run(case.make(place), case.order, purse)
    outcome = case.outcome(replies, missed, error)
    assert set(outcome) == set(case.asked_for)
    gaps = [later.at - earlier.at for earlier, later in pairwise(place.server.asked)]
    assert min(gaps, default=INTERVAL_S) >= INTERVAL_S
    most = 10 if any(asked.fault == "round" for asked in place.server.asked) else 3
    assert max(place.server.tries.values()) <= most
    units = sum(1 for asked in place.server.asked if asked.path.startswith("/youtube/v3"))
    assert purse.spent["units"] == units <= 10_000
    said = json.dumps([reply.line for reply in replies]) + repr(missed) + repr(error) + caplog.text
    assert KEY not in said
    return outcome, error


def not_robots(fault: str, until: int = 10**9) -> Callable[[Asked, int], str | None]:
    def faults(asked: Asked, attempt: int) -> str | None:
        hit = asked.path != "/robots.txt" and "moved" not in asked.query and attempt <= until
        return fault if hit else None

    return faults


def test_everything_comes_from_a_server_that_behaves(
    case: Case, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    assert collect(case, place, caplog) == (case.truth, None)


@pytest.mark.parametrize("fault", TRANSIENT)
def test_a_fault_that_passes_costs_a_try_and_nothing_else(
    case: Case, place: Place, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    place.timeout_s = 0.2 if fault == "slow" else place.timeout_s
    place.world.faults = not_robots(fault, until=1)
    outcome, error = collect(case, place, caplog)
    if fault not in case.harmless:
        assert (outcome, error) == (case.truth, None)


@pytest.mark.parametrize("fault", TRANSIENT[:-1])
def test_a_fault_that_lasts_ends_after_three_tries_each(
    case: Case, place: Place, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    if fault in case.harmless:
        return
    place.timeout_s = 0.2 if fault == "slow" else place.timeout_s
    place.world.faults = not_robots(fault)
    outcome, _ = collect(case, place, caplog)
    assert not set(outcome.values()) & {"came", "public", "unavailable"}
    tries = [len(asked) for what, asked in place.server.tries_of().items() if "robots" not in what]
    assert set(tries) == {3}


@pytest.mark.parametrize("fault", LASTING)
def test_a_failure_that_no_try_mends_is_never_repeated(
    case: Case, place: Place, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    if fault in case.harmless:
        return
    place.world.faults = not_robots(fault)
    outcome, error = collect(case, place, caplog)
    assert not set(outcome.values()) & {"came", "public", "unavailable"}
    tries = [len(asked) for what, asked in place.server.tries_of().items() if "robots" not in what]
    allowed = 10 if fault == "round" else 3 if fault in ("daily",) and case is not CASES["youtube_api"] else 1
    assert max(tries) <= allowed
    if case is CASES["youtube_api"] and fault in ("expired", "echo", "quota", "daily"):
        assert error is not None and len(place.server.asked) == 1


def test_a_budget_without_units_ends_the_requests_and_not_the_states(place: Place) -> None:
    purse = Purse({"search": 1, "units": 2})
    replies, missed, error = run(place.api(), Order(videos=VIDEOS, topics=("a", "b")), purse)
    assert error is None and len(place.server.asked) == 3
    outcome = of_api(replies, missed, None)
    assert set(outcome) == set(VIDEOS)
    assert [outcome[each] for each in VIDEOS[100:]] == ["quota-spent"] * 20
    assert [said.subject for said in missed if said.part == "topics"] == ["b"]


def test_a_dead_network_is_given_up_after_five_failures(place: Place) -> None:
    place.world.faults = not_robots("dropped")
    videos = tuple(f"many_{number:06d}" for number in range(1000))
    _, missed, error = run(place.api(), Order(videos=videos))
    assert error is not None and error.reason == "network"
    assert {said.subject for said in missed} == set(videos)
    assert len(place.server.asked) == 5 * 3
