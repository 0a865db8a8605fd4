"""Channel feeds as JSON with their XML, and files as they came."""

import pytest

from assets.raw.collection.collect import Collection
from resources.collectors.base import CollectError, Order, collector
from resources.collectors.etags import Etags
from resources.collectors.feeds import ChannelFeeds, FileFeed, parse_feed
from resources.settings import load_settings
from tests.collectors.conftest import Place, run
from tests.collectors.server import rss
from warehouse.connection import Warehouse

CHANNEL = "UC" + "1" * 22
ID = "kpnoibF4eNg"
BILLION_LAUGHS = b"""<?xml version="1.0"?><!DOCTYPE feed [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><feed>&b;</feed>"""


def feeds(place: Place) -> ChannelFeeds:
    web = place.web(robots_exempt=[place.server.url.removeprefix("http://")])
    return ChannelFeeds(web, Etags(place.home), place.clock.now, base_url=f"{place.server.url}/feeds/videos.xml")


def file_feed(place: Place, path: str, name: str = "panel") -> FileFeed:
    return FileFeed(name, place.server.url + path, "tiktok_panel", place.web(), Etags(place.home), place.clock.now)


def test_a_feed_becomes_json_with_its_xml_beside(place: Place) -> None:
    place.world.files[f"/feeds/videos.xml?channel_id={CHANNEL}"] = rss(CHANNEL, [ID, "second_0000"])
    replies, missed, error = run(feeds(place), Order(channels=(f"https://youtube.com/channel/{CHANNEL}",)))
    assert (missed, error) == ([], None)
    (reply,) = replies
    first = reply.line["reply"]["entries"][0]
    assert (reply.adapter, first["yt:videoId"], first["title"]) == ("youtube_rss", ID, "A & B")
    assert first["link"]["href"] == f"https://www.youtube.com/shorts/{ID}"
    assert first["author"]["name"] == "One"
    assert first["media:group"]["media:thumbnail"]["url"].endswith("hqdefault.jpg")
    assert first["media:group"]["media:community"]["media:statistics"]["views"] == "140"
    assert reply.line["reply"]["xml"].startswith("<?xml") and len(reply.line["reply"]["entries"]) == 2


def test_a_feed_of_no_video_or_one_is_a_list(place: Place) -> None:
    assert parse_feed(rss(CHANNEL, []), "host")["entries"] == []
    assert [entry["yt:videoId"] for entry in parse_feed(rss(CHANNEL, [ID]), "host")["entries"]] == [ID]


def test_what_has_not_changed_is_not_landed_again(place: Place) -> None:
    place.world.files[f"/feeds/videos.xml?channel_id={CHANNEL}"] = rss(CHANNEL, [ID])
    order = Order(channels=(CHANNEL,))
    assert [len(run(feeds(place), order)[0]) for _ in range(2)] == [1, 0]
    place.world.files[f"/feeds/videos.xml?channel_id={CHANNEL}"] = rss(CHANNEL, [ID, "second_0000"])
    assert len(run(feeds(place), order)[0]) == 1


def test_what_was_not_kept_is_fetched_again(place: Place) -> None:
    """A run that dies before it has landed a reply never resumes the iterator."""
    place.world.files["/panel.csv"] = b"video_id\n1\n"
    next(file_feed(place, "/panel.csv").collect(Order(), None))  # type: ignore[arg-type]
    assert len(run(file_feed(place, "/panel.csv"), Order())[0]) == 1


@pytest.mark.parametrize("held", [b"", b"[1]", b'{"a": "b"}', b"{"])
def test_a_broken_file_of_etags_costs_one_answer(place: Place, held: bytes) -> None:
    place.world.files["/panel.csv"] = b"video_id\n1\n"
    (place.home / "fetched").mkdir()
    (place.home / "fetched" / "etags.json").write_bytes(held)
    assert [len(run(file_feed(place, "/panel.csv"), Order())[0]) for _ in range(2)] == [1, 0]


def test_entities_and_broken_feeds_are_refused() -> None:
    with pytest.raises(CollectError, match="unexpected: host: a feed that declares entities"):
        parse_feed(BILLION_LAUGHS, "host")
    with pytest.raises(CollectError, match="malformed"):
        parse_feed(rss(CHANNEL, [ID])[:-20], "host")
    with pytest.raises(CollectError, match="no feed"):
        parse_feed(b"<rss/>", "host")


def test_robots_txt_closes_the_feeds_of_youtube_unless_the_operator_says_otherwise(place: Place) -> None:
    closed = ChannelFeeds(
        place.web(), Etags(place.home), place.clock.now, base_url=f"{place.server.url}/feeds/videos.xml"
    )
    replies, missed, error = run(closed, Order(channels=(CHANNEL, "UC" + "2" * 22), videos=(ID,), topics=("food",)))
    assert replies == [] and error is not None and error.reason == "disallowed"
    assert [(said.subject, said.reason) for said in missed] == [
        (ID, "unsupported"),
        ("food", "unsupported"),
        (CHANNEL, "disallowed"),
        ("UC" + "2" * 22, "disallowed"),
    ]
    assert [asked.path for asked in place.server.asked] == ["/robots.txt"]


@pytest.mark.parametrize(
    ("path", "body", "suffix"),
    [
        ("/panel.csv", b"video_id,views\r\n1,2\r\n\xff", "csv"),
        ("/panel.jsonl?token=planted-token", b'{"a": 1}\n', "jsonl"),
        ("/export", b' [{"a": 1}]', "json"),
        ("/export", b"a,b\n", "csv"),
    ],
)
def test_a_file_is_landed_byte_for_byte(place: Place, path: str, body: bytes, suffix: str) -> None:
    place.world.files[path.partition("?")[0]] = body
    (reply,), missed, error = run(file_feed(place, path), Order())
    assert (reply.body, reply.suffix, reply.adapter, missed, error) == (body, suffix, "tiktok_panel", [], None)
    assert "planted" not in repr(reply.line)


def test_collectors_are_made_by_name(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.home / "upswell.yaml").write_text(
        "collect: {feeds: {panel: {url: 'https://host/a.csv', adapter: tiktok_panel}}, robots_exempt: [host]}"
    )
    monkeypatch.setenv("UPSWELL_YOUTUBE_API_KEY", "planted-key")
    settings = load_settings(place.home)
    made = {
        name: collector(name, place.home, settings, place.clock.now)
        for name in ("youtube_api", "youtube_rss", "yt_dlp", "tiktok", "feed:panel")
    }
    assert {name: each.name for name, each in made.items()} == {name: name for name in made}
    assert [each.source for each in made.values()] == ["youtube", "youtube", "youtube", "tiktok", "tiktok_panel"]
    with pytest.raises(CollectError, match="no collector 'vimeo'; there are youtube_api"):
        collector("vimeo", place.home, settings, place.clock.now)


def test_a_collection_run_lands_a_feed_and_the_next_finds_nothing_new(place: Place) -> None:
    place.world.files["/panel.csv"] = b"video_id,collected_at,views\nkpnoibF4eNg,2025-05-01T00:00:00Z,5\n"
    warehouse, settings = Warehouse(place.home), load_settings(place.home)
    for run_id, accepted in (("one", [1]), ("two", [])):
        made = FileFeed(
            "p", f"{place.server.url}/panel.csv", "simulator", place.web(), Etags(place.home), place.clock.now
        )
        done = Collection(warehouse, settings, made, place.clock.now).on_demand(Order(), run_id)
        assert (done.row["state"], done.refused) == ("done", ())
        assert [result.accepted for result in done.results] == accepted
