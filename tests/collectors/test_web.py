"""A host is asked at its rate, again only where that may help, and never for what its robots.txt closes."""

from datetime import timedelta
from itertools import pairwise

import pytest

from resources.collectors.base import CollectError
from resources.collectors.web import as_body, as_json
from resources.media.fetching import Answer
from tests.collectors.conftest import INTERVAL_S, Place

WORTH_ANOTHER_TRY = ["error", "half", "cut", "malformed", "page", "slow", "dropped", "busy", "busy_date"]


def ask(place: Place, path: str = "/thing.json", **how: object) -> object:
    place.world.files.setdefault("/thing.json", b'{"a": 1}')
    return place.web().get(place.server.url + path, as_json, api=True, **how)  # type: ignore[arg-type]


def failing(*faults: str | None) -> object:
    """The faults of the first tries; none after them."""
    return lambda asked, attempt: faults[attempt - 1] if attempt <= len(faults) else None


@pytest.mark.parametrize("fault", WORTH_ANOTHER_TRY)
def test_what_may_pass_is_tried_again_three_times_at_most(place: Place, fault: str) -> None:
    place.timeout_s = 0.3 if fault == "slow" else place.timeout_s
    place.world.faults = failing(fault)  # type: ignore[assignment]
    assert ask(place) == {"a": 1}
    assert len(place.server.asked) == 2
    place.world.faults = lambda asked, attempt: fault
    with pytest.raises(CollectError) as error:
        ask(place)
    assert error.value.reason.retryable
    assert len(place.server.asked) == 2 + 3


def test_a_host_is_given_the_time_that_it_asks_for(place: Place) -> None:
    for fault, wait in {"busy": 7.0, "busy_date": 9.0}.items():
        place.server.asked.clear()
        place.server.tries.clear()
        place.world.faults = failing(fault)  # type: ignore[assignment]
        ask(place)
        first, second = (asked.at for asked in place.server.asked)
        assert second - first == pytest.approx(wait + 0.5)


def test_waits_grow_and_are_never_shorter_than_the_interval(place: Place) -> None:
    place.world.faults = failing("error", "error")  # type: ignore[assignment]
    ask(place)
    assert [later.at - earlier.at for earlier, later in pairwise(place.server.asked)] == [1.5, 2.5]


def test_a_host_that_asks_for_hours_is_left_alone(place: Place) -> None:
    web = place.web()
    place.world.faults = lambda asked, attempt: "busy_long"
    for _ in range(3):
        with pytest.raises(CollectError) as error:
            web.get(f"{place.server.url}/a", as_body, api=True)
        assert error.value.reason == "rate-limited"
        assert error.value.retry_after is not None and error.value.retry_after >= timedelta(hours=1.9)
    assert len(place.server.asked) == 1 and place.clock.seconds < 1


def test_no_request_comes_sooner_than_the_interval(place: Place) -> None:
    web = place.web()
    place.world.files["/thing.json"] = b"{}"
    for _ in range(5):
        web.get(f"{place.server.url}/thing.json", as_json, api=True)
    assert [later.at - earlier.at for earlier, later in pairwise(place.server.asked)] == [INTERVAL_S] * 4


@pytest.mark.parametrize("fault", ["outside", "round"])
def test_redirects_lead_neither_to_files_nor_round_for_ever(place: Place, fault: str) -> None:
    place.world.faults = lambda asked, attempt: fault
    with pytest.raises(CollectError, match="refused"):
        ask(place)
    assert len(place.server.asked) <= 10


def test_credentials_stay_with_the_host_that_they_are_for(place: Place) -> None:
    place.world.faults = lambda asked, attempt: "elsewhere" if asked.path == "/thing.json" else None
    place.world.files["/elsewhere"] = b'{"b": 2}'
    assert ask(place, credentials={"X-Goog-Api-Key": "planted"}) == {"b": 2}
    seen = {asked.path: asked.headers.get("X-Goog-Api-Key") for asked in place.server.asked}
    assert seen == {"/thing.json": "planted", "/robots.txt": None, "/elsewhere": None}


def test_robots_txt_binds_unless_the_host_is_exempt(place: Place) -> None:
    place.world.files = {"/feeds/a": b"a", "/open": b"o"}
    web = place.web()
    assert web.get(f"{place.server.url}/open", as_body) == b"o"
    for _ in range(2):
        with pytest.raises(CollectError, match=r"robots\.txt of .* disallows /feeds/a.*robots_exempt"):
            web.get(f"{place.server.url}/feeds/a", as_body)
    assert [asked.path for asked in place.server.asked] == ["/robots.txt", "/open"]
    exempt = place.web(robots_exempt=[place.server.url.removeprefix("http://")])
    assert exempt.get(f"{place.server.url}/feeds/a", as_body) == b"a"


@pytest.mark.parametrize(("fault", "reason"), [("error", "server-error"), ("busy", "rate-limited")])
def test_a_robots_txt_that_cannot_be_read_closes_the_host_for_the_run(place: Place, fault: str, reason: str) -> None:
    place.world.faults = lambda asked, attempt: fault if asked.path == "/robots.txt" else None
    web = place.web()
    for path in ("/open", "/other"):
        with pytest.raises(CollectError) as error:
            web.get(f"{place.server.url}{path}", as_body)
        assert error.value.reason == reason
    assert [asked.path for asked in place.server.asked] == ["/robots.txt"] * 3


def test_a_crawl_delay_slows_the_host_down(place: Place) -> None:
    place.world.files = {"/open": b"o"}
    place.world.robots = b"User-agent: *\nCrawl-delay: 5\n"
    web = place.web()
    for _ in range(3):
        web.get(f"{place.server.url}/open", as_body)
    times = [asked.at for asked in place.server.asked if asked.path == "/open"]
    assert [later - earlier for earlier, later in pairwise(times)] == [5.0, 5.0]


def test_what_is_no_answer_is_said_without_the_query() -> None:
    answer = Answer("https://host/path?key=planted-key", 404, {}, b"")  # type: ignore[arg-type]
    with pytest.raises(CollectError) as error:
        as_body(answer)
    assert "host/path" in str(error.value) and "planted" not in str(error.value)


def test_what_is_too_large_is_cut_off(place: Place) -> None:
    place.world.files["/thing.json"] = b"[" + b"1," * 5000 + b"1]"
    with pytest.raises(CollectError, match="too-large"):
        place.web(max_bytes=1000).get(f"{place.server.url}/thing.json", as_json, api=True)
    assert len(place.server.asked) == 1
