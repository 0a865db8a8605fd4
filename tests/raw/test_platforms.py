"""One source per platform: the same video through several collectors is one video, and its state is told by all of them."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from assets.raw import adapters
from assets.raw.errors import IngestError
from assets.raw.ingest import ingest_all, replay, reread
from resources.secrets import hashed, salt
from tests.raw.conftest import NOW, House

ID = "kpnoibF4eNg"
TIKTOK = "7493391778821852434"


def line(hour: int, reply: object, **more: object) -> dict[str, Any]:
    """One line of a landing that a collector wrote."""
    return {"collected_at": f"2025-06-01T{hour:02}:00:00Z", "request": {"videos": [ID]}, "reply": reply, **more}


def lines(*each: dict[str, Any]) -> str:
    return "\n".join(map(json.dumps, each)) + "\n"


def video(views: int, **parts: object) -> dict[str, Any]:
    """A video as `videos.list` tells it."""
    return {
        "kind": "youtube#video",
        "etag": "e",
        "id": ID,
        "snippet": {"publishedAt": "2025-05-30T00:00:00Z", "channelId": "UC1", "channelTitle": "One", "title": "T"},
        "statistics": {"viewCount": str(views), "likeCount": "5"},
        "status": {"privacyStatus": "public"},
        **parts,
    }


def info(views: int, **fields: object) -> dict[str, Any]:
    """A video as yt-dlp tells it."""
    page = f"https://www.youtube.com/watch?v={ID}"
    said = {"id": ID, "extractor": "youtube", "extractor_key": "Youtube", "webpage_url": page, "epoch": 1748775600}
    return {**said, "channel_id": "UC1", "timestamp": 1748563200, "title": "T", "view_count": views, **fields}


FEED = {
    "entries": [
        {
            "id": f"yt:video:{ID}",
            "yt:videoId": ID,
            "yt:channelId": "UC1",
            "title": "T",
            "link": {"rel": "alternate", "href": f"https://www.youtube.com/shorts/{ID}"},
            "author": {"name": "One", "uri": "https://www.youtube.com/channel/UC1"},
            "published": "2025-05-30T00:00:00+00:00",
            "updated": "2025-05-31T00:00:00+00:00",
            "media:group": {
                "media:title": "T",
                "media:description": "words",
                "media:thumbnail": {"url": "https://i4.ytimg.com/vi/x/hqdefault.jpg", "width": "480", "height": "360"},
                "media:community": {
                    "media:starRating": {"count": "7", "average": "5.00", "min": "1", "max": "5"},
                    "media:statistics": {"views": "140"},
                },
            },
        }
    ]
}


def test_the_same_video_through_three_collectors_is_one_video_with_one_history(house: House) -> None:
    """Whether the name tells the adapter or the columns do; the same observation twice is one."""
    api = house.take("20250601.youtube_api.jsonl", lines(line(10, {"items": [video(123)]})))
    feed = house.take("20250601.youtube_rss.jsonl", lines(line(12, FEED)))
    tool = house.take("info.jsonl", lines(info(130), {**info(130), "title": "again"}))
    both = house.take("20250601.yt_dlp.jsonl", lines(line(10, info(123, like_count=5)), line(13, info(150))))
    assert {result.source for result in (api, feed, tool, both)} == {"youtube"}
    assert house.rows("SELECT sum(rows_read), sum(accepted), sum(duplicate) FROM raw.landings") == [(6, 4, 2)]
    assert house.rows("SELECT DISTINCT source, video_id, channel_id, published_at FROM raw.videos") == [
        ("youtube", ID, "UC1", datetime(2025, 5, 30))
    ]
    assert house.rows("SELECT hour(observed_at), views, likes FROM raw.snapshots ORDER BY 1") == [
        (10, 123, 5),
        (11, 130, None),
        (12, 140, 7),
        (13, 150, None),
    ]
    assert house.rows("SELECT is_short FROM raw.videos WHERE hour(observed_at) = 12") == [(True,)]
    assert house.rows("SELECT DISTINCT status FROM raw.availability") == [("live",)]
    assert adapters.anchors()["youtube"] == "published_at"
    assert "youtube_api" not in adapters.anchors()


def test_what_was_asked_for_and_did_not_come_is_a_state_and_nothing_else(house: House) -> None:
    gone = {"items": [{"id": "aaaaaaaaaaa", "status": {"privacyStatus": "removed"}}]}
    for name, reply in {"youtube_api": {"items": [video(1)]}, "yt_dlp": info(1), "youtube_rss": FEED}.items():
        result = house.take(f"x.{name}.jsonl", lines(line(10, reply), line(10, gone, told_by=name)))
        assert (result.rows_read, result.quarantined) == (2, 0)
    lost = {"items": [{"id": TIKTOK, "status": {"privacyStatus": "private"}}]}
    house.take("x.tiktok.jsonl", lines(line(10, lost, told_by="collector")))
    assert house.rows("SELECT source, video_id, status FROM raw.availability ORDER BY ALL") == [
        ("tiktok", TIKTOK, "private"),
        ("youtube", "aaaaaaaaaaa", "removed"),
        ("youtube", ID, "live"),
    ]
    for table in ("videos", "snapshots", "channels"):
        assert house.rows(f"SELECT DISTINCT video_id FROM raw.{table}") == [(ID,)]


STATES: list[tuple[dict[str, Any], str]] = [
    ({"status": {"privacyStatus": "unlisted"}}, "live"),
    ({"status": {"privacyStatus": "private"}}, "private"),
    ({"status": {"privacyStatus": "public", "uploadStatus": "processed"}}, "live"),
    ({"status": {"privacyStatus": "public", "uploadStatus": "deleted"}}, "removed"),
    ({"contentDetails": {"contentRating": {"ytRating": "ytAgeRestricted"}}}, "age_restricted"),
    ({"contentDetails": {"regionRestriction": {"blocked": ["DE", "AT"]}}}, "live"),
    ({"contentDetails": {"regionRestriction": {"allowed": []}}}, "region_blocked"),
    ({"contentDetails": {"regionRestriction": {"allowed": ["DE"]}}}, "live"),
]


def test_states_that_the_data_api_tells(house: House) -> None:
    items = [video(9, **{"id": f"video_{number:05}", **said}) for number, (said, _) in enumerate(STATES)]
    house.take("a.youtube_api.jsonl", lines(line(10, {"items": items})))
    assert house.rows("SELECT status FROM raw.availability ORDER BY video_id") == [(status,) for _, status in STATES]
    assert house.rows("SELECT DISTINCT views, flags FROM raw.snapshots") == [(9, None)]


def test_every_word_of_a_state_is_known(house: House) -> None:
    """yt-dlp's own availabilities, and the words that collectors use."""
    words = {
        "live": ["public", "unlisted", "live"],
        "private": ["private"],
        "removed": ["removed"],
        "unavailable": ["needs_auth", "premium_only", "subscriber_only", "unavailable"],
        "region_blocked": ["region_blocked"],
        "age_restricted": ["age_restricted"],
    }
    said = [(word, status) for status, each in words.items() for word in each]
    infos = [info(1, id=f"video_{number:05}", availability=word) for number, (word, _) in enumerate(said)]
    house.take("a.yt_dlp.jsonl", lines(*(line(10, each) for each in infos)))
    assert house.rows("SELECT status FROM raw.availability ORDER BY video_id") == [(status,) for _, status in said]


def test_tiktok_through_yt_dlp(house: House) -> None:
    said = {
        "id": TIKTOK,
        "extractor": "TikTok",
        "webpage_url": f"https://www.tiktok.com/@jane.doe/video/{TIKTOK}",
        "uploader": "jane.doe",
        "uploader_url": "https://www.tiktok.com/@jane.doe",
        "channel": "Jane Doe",
        "channel_id": "MS4wLjABAAAA",
        "epoch": 1748775600,
        "timestamp": 1744691231,
        "title": "cap",
        "view_count": 5000,
        "like_count": 40,
        "comment_count": 3,
        "repost_count": 2,
        "save_count": 1,
    }
    result = house.take("info.json", json.dumps(said))
    assert (result.source, result.accepted) == ("tiktok", 1)
    assert house.rows("SELECT observed_at, views, shares, saves FROM raw.snapshots") == [
        (datetime(2025, 6, 1, 11), 5000, 2, 1)
    ]
    assert house.rows("SELECT published_at, url, channel_id FROM raw.videos") == [
        (
            datetime(2025, 4, 15, 4, 27, 11),
            f"https://www.tiktok.com/@/video/{TIKTOK}",
            hashed(salt(house.home), "MS4wLjABAAAA"),
        )
    ]
    assert house.rows("SELECT status FROM raw.availability") == [("live",)]


def test_replies_that_are_mapped_together_give_what_they_give_one_by_one(house: House, tmp_path: Path) -> None:
    """Also where one lacks what another has, and where their times come from different places."""
    few = {"id": "aaaaaaaaaaa", "statistics": {"viewCount": "7"}}
    texts = {
        "a.youtube_api.jsonl": lines(line(10, {"items": [video(100), few]})),
        "b.youtube_api.jsonl": lines(line(10, {"items": [few, {**few, "id": "?"}]})),
        "c.youtube_api.jsonl": lines({"fetched_at": "2025-06-01T12:00:00Z", "reply": {"items": [video(101)]}}),
        "d_20250601T130000Z.youtube_api.json": json.dumps({"items": [video(102)]}),
        "e.youtube_api.jsonl": lines(line(10, {"items": [video(100)]}), {"reply": {"items": [video(5)]}}),
    }
    paths = [house.file(name, text) for name, text in texts.items()]
    outcomes = dict(ingest_all(house.warehouse, house.settings, paths, now=NOW))
    assert [type(outcome).__name__ for outcome in outcomes.values()] == ["LandingResult"] * 5
    (tmp_path / "apart").mkdir()
    apart = House(tmp_path / "apart" / "home")
    for name, text in texts.items():
        apart.take(name, text)
    for table in ("landings", "videos", "snapshots", "availability", "duplicates", "quarantine"):
        everything = f"SELECT * FROM raw.{table} ORDER BY ALL"
        assert house.rows(everything) == apart.rows(everything), table


def test_another_platform_of_yt_dlp_is_not_taken_for_youtube(house: House) -> None:
    vimeo = info(1, id="76979871", extractor="vimeo", extractor_key="Vimeo")
    with pytest.raises(IngestError, match="when this was observed is unclear"):
        house.take("a.jsonl", lines(vimeo))


def before(house: House, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Landings as a version without platforms read them: each adapter a source of its own."""
    shipped = adapters.adapters()
    own = {name: adapters.parse({**shipped[name].declared(), "source": name}, name) for name in shipped}
    with monkeypatch.context() as patch:
        patch.setattr(adapters, "adapters", lambda home=None: own)
        house.take("a.youtube_api.jsonl", text)
        house.take("b.youtube_api.jsonl", text.replace('"5"', '"6"'))
        house.take("m.csv", f"video_id,day,mood\n{ID},2025-05-01,9\n", kind="metrics", source="youtube_api")


def test_a_landing_of_before_moves_to_the_source_of_its_platform(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read again, in any way: nothing stays under the old name, what lost to it is told anew, the whole still adds up."""
    text = lines(line(10, {"items": [video(123)]}), line(11, {"items": [{**video(1), "id": "?"}]}))
    before(house, text, monkeypatch)
    everything = "SELECT DISTINCT source FROM raw.{} ORDER BY 1"
    tables = ("landings", "landing_days", "videos", "snapshots", "channels", "availability", "metrics", "duplicates")
    assert {house.rows(everything.format(table))[0][0] for table in tables} == {"youtube_api"}
    counts = house.rows("SELECT landing_id, rows_read, accepted, duplicate, quarantined FROM raw.landings ORDER BY 1")
    first, *others = [landing for landing, *_ in counts]
    reread(house.warehouse, house.settings, first, NOW)
    assert replay(house.warehouse, house.settings, now=NOW, source="youtube_api")
    for landing in others:
        reread(house.warehouse, house.settings, landing, NOW)
    for table in tables:
        assert house.rows(everything.format(table)) == [("youtube",)], table
    again = house.rows("SELECT landing_id, rows_read, accepted, duplicate, quarantined FROM raw.landings ORDER BY 1")
    assert again == counts
    assert house.rows("SELECT views, likes FROM raw.snapshots") == [(123, 6)]


def test_the_same_file_again_moves_its_landing_in_one_transaction(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = lines(line(10, {"items": [video(123)]}))
    before(house, text, monkeypatch)
    with monkeypatch.context() as patch:
        patch.setattr("warehouse.landings.forget", lambda con, landing_id: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            house.take("a.youtube_api.jsonl", text)
    assert house.rows("SELECT DISTINCT source FROM raw.landings") == [("youtube_api",)]
    assert house.take("a.youtube_api.jsonl", text).source == "youtube"
    assert house.take("a.youtube_api.jsonl", text).already_known


def test_a_source_may_be_asked_for_by_its_platform(house: House) -> None:
    """The adapter of the platform that recognises the file; measures are of the platform whichever name is given."""
    text = lines(line(10, {"items": [video(123)]}))
    assert house.take("a.jsonl", text, source="youtube").source == "youtube"
    assert house.rows("SELECT adapter FROM raw.landings") == [("youtube_api",)]
    metrics = f"video_id,day,mood\n{ID},2025-05-01,9\n"
    assert house.take("m.csv", metrics, kind="metrics", source="youtube_api").source == "youtube"
    with pytest.raises(IngestError, match="no such adapter"):
        house.take("b.csv", "x\n1\n", source="youtube")
    with pytest.raises(IngestError, match="no kind"):
        adapters.parse({"name": "x", "anchor": "published_at", "kind": "films"}, "x.yaml")
