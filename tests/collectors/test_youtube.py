"""The Data API as a collector: what is asked, what it costs, and what each of its errors means."""

import re
from datetime import timedelta
from typing import Any

import pytest

from resources.collectors.base import Order
from resources.secrets import hashed
from tests.collectors.conftest import SALT, Place, Purse, run, states
from tests.collectors.server import NOW

ONE, TWO = "UC" + "1" * 22, "UC" + "2" * 22


def ids(prefix: str, count: int) -> list[str]:
    return [f"{prefix}_{number:0{10 - len(prefix)}d}" for number in range(count)]


@pytest.fixture(autouse=True)
def fill(place: Place) -> None:
    place.world.topics = {"street food": ids("topic", 50)}
    place.world.channels = {ONE: ids("one", 70), TWO: ids("two", 3)}
    place.world.videos = {*ids("topic", 50), *ids("one", 70), *ids("two", 3)}


def methods(place: Place) -> list[str]:
    return [asked.path.rpartition("/")[2] for asked in place.server.asked]


def test_videos_are_asked_for_fifty_at_a_time_most_wanted_first_and_each_once(place: Place) -> None:
    wanted = (*ids("one", 70), *ids("one", 10))
    replies, missed, error = run(place.api(), Order(videos=wanted))
    assert (missed, error) == ([], None)
    assert [len(reply.line["reply"]["items"]) for reply in replies] == [50, 20]
    assert place.server.asked[0].query["id"] == ",".join(ids("one", 50))
    line = replies[0].line
    assert line["request"] == {"method": "videos.list", "id": ids("one", 50)}
    assert line["collected_at"] == "2025-06-01T12:00:00Z"
    assert "fields" in place.server.asked[0].query and "key" not in place.server.asked[0].query


def test_a_topic_and_a_channel_lead_to_their_videos(place: Place) -> None:
    order = Order(topics=("street food",), channels=(TWO, "@one"), parts=frozenset({"videos", "channels"}))
    purse = Purse()
    replies, missed, error = run(place.api(), order, purse)
    assert (missed, error) == ([], None)
    assert states(replies).keys() == {*ids("topic", 50), *ids("one", 50), *ids("two", 3)}
    assert methods(place) == ["search", "channels", "playlistItems", "playlistItems", *["videos"] * 3, "channels"]
    assert purse.spent == {"search": 1, "units": 7}
    facts = [reply for reply in replies if reply.adapter == "youtube_channels"]
    assert [item["id"] for reply in facts for item in reply.line["reply"]["items"]] == [TWO, ONE]


def test_no_order_takes_more_than_it_is_said_to_cost(place: Place) -> None:
    place.world.comments = {"one_0000000": ["UCx"] * 150}
    every: Any = frozenset({"videos", "channels", "comments"})
    orders = [
        Order(videos=tuple(ids("one", 70))),
        Order(topics=("street food", "none"), channels=(ONE, "@one"), since=NOW - timedelta(days=9)),
        Order(channels=(ONE, TWO), videos=("one_0000000", "nowhere_000"), parts=every),
    ]
    for order in orders:
        api, purse = place.api(), Purse()
        run(api, order, purse)
        cost = api.cost(order)
        assert all(purse.spent[bucket] <= cost[bucket] for bucket in purse.spent), (purse.spent, cost)


def test_since_goes_on_to_older_pages_and_no_further(place: Place) -> None:
    replies, _, _ = run(place.api(), Order(channels=(ONE,), since=NOW - timedelta(hours=60)))
    assert states(replies).keys() == set(ids("one", 70)[:61])
    run(place.api(), Order(topics=("street food",), since=NOW))
    assert place.server.asked[-2].query["publishedAfter"] == "2025-06-01T12:00:00Z"


def test_a_list_that_has_not_changed_is_not_sent_again_but_counts_are_observed_again(place: Place) -> None:
    order = Order(channels=(TWO,), videos=("one_0000000",))
    run(place.api(), order)
    replies, missed, _ = run(place.api(), order)
    assert missed == [] and states(replies).keys() == {"one_0000000"}
    lists = [asked for asked in place.server.asked if asked.path.endswith("playlistItems")]
    assert [asked.headers.get("If-None-Match") for asked in lists] == [None, '"3-0"']
    assert not any(asked.headers.get("If-None-Match") for asked in place.server.asked if asked.path.endswith("/videos"))


def test_an_unchanged_list_is_sent_again_to_who_looks_further_back_or_never_looked_at_its_videos(place: Place) -> None:
    day, week = NOW - timedelta(hours=1), NOW - timedelta(days=7)

    def listed(**how: Any) -> int:
        return len(states(run(place.api(), Order(channels=(TWO,), **how))[0]))

    assert listed(parts=frozenset({"channels"})) == 0
    assert [listed(since=day), listed(since=day), listed(since=week), listed(since=day)] == [2, 0, 3, 0]
    assert [listed(), listed(), listed(since=week)] == [3, 0, 0]


def test_pages_that_were_not_read_are_not_taken_for_landed(place: Place) -> None:
    first, later = Order(channels=(ONE,)), Order(channels=(ONE,), since=NOW - timedelta(days=7))
    assert [len(states(run(place.api(), order)[0])) for order in (first, later, later)] == [50, 70, 0]


def test_what_was_listed_and_not_looked_at_is_listed_again(place: Place) -> None:
    place.world.faults = lambda asked, attempt: "changed" if asked.path.endswith("/videos") and attempt == 1 else None
    _, missed, _ = run(place.api(), Order(channels=(TWO,)))
    assert {said.subject for said in missed} == set(ids("two", 3))
    replies, missed, _ = run(place.api(), Order(channels=(TWO,)))
    assert missed == [] and states(replies).keys() == set(ids("two", 3))


def test_commenters_are_hashes_before_anything_is_written(place: Place) -> None:
    place.world.comments = {"one_0000000": ["UCcommenter"] * 150}
    replies, missed, _ = run(place.api(), Order(videos=("one_0000000",), parts=frozenset({"comments"})))
    assert missed == [] and [len(reply.line["reply"]["items"]) for reply in replies] == [100, 50]
    assert {reply.adapter for reply in replies} == {"youtube_comments"}
    assert "UCcommenter" not in repr(replies)
    said = replies[0].line["reply"]["items"][0]["snippet"]["topLevelComment"]["snippet"]
    assert said["author_hash"] == hashed(SALT, "UCcommenter") and said["textDisplay"] == "comment 0"
    answer = replies[0].line["reply"]["items"][0]["replies"]["comments"][0]["snippet"]
    assert answer["author_hash"] == hashed(SALT, "UCcommenter-answering")
    since = Order(videos=("one_0000000",), parts=frozenset({"comments"}), since=NOW - timedelta(minutes=30))
    assert len(run(place.api(), since)[0]) == 1


def test_comments_that_are_off_and_videos_that_are_gone_are_told_and_not_asked_again(place: Place) -> None:
    place.world.disabled = {"one_0000000"}
    order = Order(videos=("one_0000000", "nowhere_000"), parts=frozenset({"videos", "comments"}))
    replies, missed, error = run(place.api(), order)
    assert error is None
    assert states(replies) == {"one_0000000": "public", "nowhere_000": "unavailable"}
    assert [(said.part, said.subject, said.reason) for said in missed] == [
        ("comments", "one_0000000", "comments-disabled")
    ]
    assert methods(place) == ["videos", "commentThreads"]
    told = [reply.line for reply in replies if reply.line.get("told_by")]
    assert [line["told_by"] for line in told] == ["collector"]
    only = run(place.api(), Order(videos=("nowhere_000",), parts=frozenset({"comments"})))[1]
    assert [said.reason for said in only] == ["not-found"]


@pytest.mark.parametrize(
    ("fault", "reason", "says"),
    [
        ("expired", "key-refused", "renew the key.*UPSWELL_YOUTUBE_API_KEY"),
        ("echo", "key-refused", "renew the key"),
        ("quota", "quota-spent", "midnight in California"),
        ("daily", "quota-spent", "midnight in California"),
        ("busy", "rate-limited", "Too many requests"),
        ("error", "server-error", "Backend Error"),
        ("changed", "unexpected", "the API has changed"),
        ("page", "malformed", "a page instead of JSON"),
    ],
)
def test_each_error_means_what_the_api_means_by_it(place: Place, fault: str, reason: str, says: str) -> None:
    place.world.faults = lambda asked, attempt: fault
    _, missed, error = run(place.api(), Order(videos=("one_0000000",)))
    assert missed[0].reason == reason
    assert re.search(says, missed[0].detail)
    assert (error is not None) == (reason in ("key-refused", "quota-spent"))


def test_searches_that_are_spent_leave_the_other_units(place: Place) -> None:
    place.world.faults = lambda asked, attempt: "quota" if asked.path.endswith("/search") else None
    replies, missed, error = run(place.api(), Order(topics=("a", "b"), videos=("one_0000000",)))
    assert states(replies) == {"one_0000000": "public"}
    assert [(said.part, said.subject) for said in missed] == [("topics", "a"), ("topics", "b")]
    assert error is not None and (error.reason, error.bucket) == ("quota-spent", "search")
    assert methods(place) == ["search", "videos"]


def test_an_answer_without_its_items_is_not_taken_for_videos_that_are_gone(place: Place) -> None:
    place.world.faults = lambda asked, attempt: "withheld"
    replies, missed, _ = run(place.api(), Order(videos=("one_0000000",)))
    assert replies == [] and missed[0].reason == "unexpected"


def test_channels_that_are_not_there_are_told(place: Place) -> None:
    order = Order(channels=("UC" + "9" * 22, "@nobody", "youtube.com/c/x"), parts=frozenset({"videos", "channels"}))
    _, missed, error = run(place.api(), order)
    assert error is None
    assert [(said.subject, said.reason) for said in missed] == [
        ("@nobody", "not-found"),
        ("youtube.com/c/x", "invalid-url"),
        ("UC" + "9" * 22, "not-found"),
        ("UC" + "9" * 22, "unavailable"),
    ]
