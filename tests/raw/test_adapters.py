"""Each shipped source, on rows with the dirt that it is known for."""

import io
import json
from datetime import datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.raw import adapters
from assets.raw.errors import IngestError
from tests.raw.conftest import House, landing, simulated

TRENDING = (
    "title,description,publishedDate,publishedText,videoId,videoUrl,channelName,channelId,thumbnails,views,viewsText,"
    "duration,durationText,verified,isShort"
)


def test_simulator(house: House) -> None:
    result = house.take(
        "a.csv",
        landing(
            simulated("v1", "2025-01-02T00:00:00", 10, tags='"[""x"", ""y""]"', duration="PT36S"),
            simulated("v1", "2025-01-03T00:00:00", "", status="removed", likes=""),
        ),
    )
    assert (result.source, result.time_source, result.accepted) == ("simulator", "row", 2)
    assert house.rows("SELECT views, likes, known_at = observed_at FROM raw.snapshots") == [(10, 1, True)]
    assert house.rows("SELECT tags, duration_s, published_at FROM raw.videos ORDER BY observed_at LIMIT 1") == [
        (["x", "y"], 36.0, datetime(2025, 1, 1))
    ]
    assert house.rows("SELECT status FROM raw.availability ORDER BY observed_at") == [("live",), ("removed",)]
    assert house.rows("SELECT DISTINCT name, subscribers, video_id FROM raw.channels") == [("One", 100, "v1")]


def test_youtube_trending(house: House) -> None:
    row = "{id},https://youtube.com/shorts/{id},Ch,UC1,\"[{{'url': 'https://i/{id}.jpg'}}]\",{views},{shown},{s},{text},True,{short}"
    rows = [
        "A,,2024-07-01T10:00:00Z,2 days ago,"
        + row.format(id="aaaaaaaaaaa", views=5, shown="5 views", s=1452, text="24:12", short="False"),
        'B,"two\nlines",2024-07-04T10:00:00Z,,'
        + row.format(id="bbbbbbbbbbb", views=0, shown="", s=-1, text="SHORTS", short="True"),
        "C,,2024-07-01T10:00:00Z,," + row.format(id="ccccccccccc", views=7, shown="", s=-1, text="1:02", short="True"),
    ]
    result = house.take("gaming_20240703.csv", "\n".join([TRENDING, *rows]) + "\n")
    assert (result.source, result.time_source, result.accepted) == ("youtube_trending", "file_name", 3)
    assert result.reasons == {"bad_count:views": 1, "published_after_observed": 1}
    assert house.rows("SELECT DISTINCT observed_at, known_at FROM raw.snapshots") == [
        (datetime(2024, 7, 3, 23, 59, 59),) * 2
    ]
    assert house.rows("SELECT views FROM raw.snapshots ORDER BY video_id") == [(5,), (None,), (7,)]
    assert house.rows("SELECT duration_s, published_at, category, thumbnail_url FROM raw.videos ORDER BY video_id") == [
        (1452.0, datetime(2024, 7, 1, 23, 59, 59), "gaming", "https://i/aaaaaaaaaaa.jpg"),
        (None, None, "gaming", "https://i/bbbbbbbbbbb.jpg"),
        (62.0, datetime(2024, 7, 1, 10), "gaming", "https://i/ccccccccccc.jpg"),
    ]
    assert adapters.adapter("youtube_trending").anchor == "first_seen_at"


ID = 7493391778821852434  # published 2025-04-15 04:27:11 UTC
PANEL = "user_name,user_nfollower,vid_id,vid_caption,vid_postTime,vid_scrapeTime,vid_duration,vid_nview,vid_nlike,vid_nshare,vid_hashtags,vid_url"


def panel(
    vid: object, post: str, scraped: str, views: object = "541.2K", shares: str = "Share", likes: object = 5
) -> str:
    url = f"https://www.tiktok.com/@u/video/{ID}"
    return f'u,1.4M,{vid},cap,{post},{scraped},00:04 / 00:15,{views},{likes},{shares},"a, b",{url}'


def test_tiktok_ids_times_and_labels(house: House) -> None:
    rows = [
        panel(ID, "2025-04-15 04:27:11", "2025-05-25 22:58:52"),
        panel("7.50E+18", "2025-04-15 18:27:11+07:00", "6/10/2025 22:44", views=9, likes=10),
        panel(ID, "", "2025-05-26 22:58:52", views="--"),
    ]
    result = house.take("tiktok.csv", "\n".join(["\ufeff" + PANEL, *rows]) + "\n")
    assert (result.source, result.accepted) == ("tiktok_panel", 3)
    assert result.reasons == {
        "bad_count:shares": 3,
        "bad_count:views": 1,
        "id_recovered": 1,
        "likes_above_views": 1,
        "publish_time_repaired": 2,
    }
    assert house.rows("SELECT DISTINCT video_id, published_at, duration_s, tags FROM raw.videos") == [
        (str(ID), datetime(2025, 4, 15, 4, 27, 11), 15.0, ["a", "b"])
    ]
    # The scraper's clock ran in Vietnam and was taken for UTC.
    assert house.rows("SELECT observed_at, views, shares FROM raw.snapshots ORDER BY 1") == [
        (datetime(2025, 5, 25, 15, 58, 52), 541_200, None),
        (datetime(2025, 5, 26, 15, 58, 52), None, None),
        (datetime(2025, 6, 10, 15, 44), 9, None),
    ]
    assert house.rows("SELECT DISTINCT subscribers FROM raw.channels") == [(1_400_000,)]


def test_the_same_observation_labelled_with_an_offset_is_a_duplicate(house: House) -> None:
    house.take("a.csv", f"{PANEL}\n{panel(ID, '2025-04-15 04:27:11', '2025-05-25 22:58:52', shares='1')}\n")
    shifted = panel(
        ID, "2025-04-15 11:27:11+07:00", "2025-05-26 05:58:52+07:00", views="541200.0", shares="1.0", likes="5.0"
    )
    assert house.take("b.csv", f"{PANEL}\n{shifted}\n").reasons == {"duplicate": 1}


def test_an_id_that_nothing_recovers_is_quarantined(house: House) -> None:
    row = panel("7.50E+18", "", "2025-05-25 22:58:52").replace(f"https://www.tiktok.com/@u/video/{ID}", "")
    result = house.take("a.csv", f"{PANEL}\n{row}\n")
    assert (result.quarantined, result.reasons) == (1, {"destroyed_id": 1})
    assert house.rows("SELECT field, value FROM raw.quarantine") == [("video_id", "7.50E+18")]


def test_a_generation_without_times_is_refused_until_the_operator_says_when(house: House) -> None:
    text = f"username,caption,likes,comments,shares,undefined,hashtags,sound_id,uses_sound_count,video_id,video_url\nu,,1,2,3,4,,9,,{ID},x\n"
    with pytest.raises(IngestError, match="--observed-at"):
        house.take("a.csv", text)
    result = house.take("a.csv", text, observed_at=datetime(2025, 4, 20))
    assert (result.source, result.time_source, result.accepted) == ("tiktok_panel", "operator", 1)
    assert house.rows("SELECT observed_at, known_at, saves FROM raw.snapshots") == [(datetime(2025, 4, 20),) * 2 + (4,)]


REPLY = {
    "kind": "youtube#videoListResponse",
    "items": [
        {
            "kind": "youtube#video",
            "etag": "e",
            "id": "kpnoibF4eNg",
            "snippet": {"publishedAt": "2025-05-30T00:00:00Z", "channelId": "UC1", "title": "T", "tags": ["a"]},
            "contentDetails": {"duration": "PT36S"},
            "statistics": {"viewCount": "123", "likeCount": "5"},
            "status": {"privacyStatus": "public"},
        }
    ],
}


def test_youtube_api_replies_know_their_time_from_the_envelope_or_the_name(house: House) -> None:
    enveloped = house.take("a.json", json.dumps({"collected_at": "2025-06-01T10:00:00Z", "reply": REPLY}))
    named = house.take("videos_20250601T120000Z.json", json.dumps(REPLY))
    assert [(each.source, each.time_source) for each in (enveloped, named)] == [
        ("youtube", "reply"),
        ("youtube", "file_name"),
    ]
    assert house.rows("SELECT observed_at, views, likes FROM raw.snapshots ORDER BY 1") == [
        (datetime(2025, 6, 1, 10), 123, 5),
        (datetime(2025, 6, 1, 12), 123, 5),
    ]
    with pytest.raises(IngestError, match="--observed-at"):
        house.take("reply.json", json.dumps({**REPLY, "etag": "other"}))


def test_yt_dlp_json_lines(house: House) -> None:
    info = {
        "id": "kpnoibF4eNg",
        "extractor": "youtube",
        "webpage_url": "u",
        "epoch": 1748000000,
        "timestamp": 1747000000,
    }
    lines = [
        {**info, "view_count": 10, "categories": ["Music"]},
        {**info, "epoch": 1748003600, "view_count": None, "title": "z"},
    ]
    result = house.take("info.jsonl", "\n".join(map(json.dumps, lines)))
    assert (result.source, result.accepted) == ("youtube", 2)
    assert house.rows("SELECT observed_at, published_at, category FROM raw.videos ORDER BY 1 LIMIT 1") == [
        (datetime(2025, 5, 23, 11, 33, 20), datetime(2025, 5, 11, 21, 46, 40), "Music")
    ]


def test_kaggle_trending(house: House) -> None:
    header = "video_id,trending_date,title,channel_title,category_id,publish_time,tags,views,likes,dislikes,comment_count,thumbnail_link"
    result = house.take(
        "k.csv", f'{header}\nkpnoibF4eNg,25.14.01,T,C,24,2025-01-13T17:13:01.000Z,"a|""b c""",7,5,1,2,http://x\n'
    )
    assert (result.source, result.notes) == ("kaggle_trending", ("ignored columns: dislikes",))
    assert house.rows("SELECT v.observed_at, tags, comments FROM raw.videos v JOIN raw.snapshots USING (video_id)") == [
        (datetime(2025, 1, 14, 23, 59, 59), ["a", "b c"], 2)
    ]


def test_western_horizon_rows(house: House) -> None:
    header = "video_id,captured_at,collector_version,channel_id,channel_subscriber_count,published_at,duration_seconds,view_count,horizon_days,horizon_view_count"
    result = house.take(
        "h.csv", f"{header}\nkpnoibF4eNg,2025-01-08T00:00:00+00:00,v0.4.0,UC,50,2025-01-01T00:00:00Z,30,900,7,900\n"
    )
    assert result.source == "western"
    assert house.rows("SELECT observed_at, views FROM raw.snapshots") == [(datetime(2025, 1, 8), 900)]


def test_miles_parquet_needs_the_operator(house: House) -> None:
    table = pa.table(
        {
            "video_id": ["kpnoibF4eNg"],
            "title": ["t"],
            "upload_date": [datetime(2025, 1, 1)],
            "view_count": [5],
            "duration_seconds": [3.0],
            "search_topic": ["x"],
            "tags": [["a", "b"]],
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    with pytest.raises(IngestError, match="--observed-at"):
        house.take("m.parquet", buffer.getvalue())
    house.take("m.parquet", buffer.getvalue(), observed_at=datetime(2025, 2, 1))
    assert house.rows("SELECT source, tags, duration_s FROM raw.videos") == [("miles", ["a", "b"], 3.0)]


@pytest.mark.parametrize("name", sorted(adapters.adapters()))
def test_an_adapter_survives_being_stored(name: str) -> None:
    """An operator's statement is kept with the adapter, as JSON in raw.landings."""
    shipped = adapters.adapter(name)
    read = adapters.parse(shipped.declared(), name)
    assert read.declared() == shipped.declared()
    assert read.contract_version == shipped.contract_version


def test_a_wrong_adapter_file_is_refused_by_name(house: House) -> None:
    folder = house.home / "adapters"
    folder.mkdir()
    (folder / "mine.yaml").write_text("anchor: published_at\nfields: {views: shown | counter}\n")
    with pytest.raises(IngestError, match=r"mine\.yaml, field views: no parser 'counter'"):
        house.take("a.csv", "video_id,shown\nx,1\n", source="mine")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "anchor: 2025-13-01",
        "anchor: published_at\nfields: 5",
        "anchor: published_at\nfields: {video_id: 5}",
        "anchor: published_at\nfields: {video_id: {parse: id}}",
        "anchor: published_at\nfields: {observed_at: {file_name: '(', parse: time}}",
        "anchor: published_at\nfields: {observed_at: {file_name: 'day', parse: time}}",
        "anchor: published_at\nfields: {observed_at: {column: seen, shift_h: seven}}",
    ],
)
def test_an_adapter_file_of_another_form_is_refused_by_name(house: House, text: str) -> None:
    (house.home / "adapters").mkdir()
    (house.home / "adapters" / "mine.yaml").write_text(text)
    with pytest.raises(IngestError, match=r"mine\.yaml"):
        house.take("a.csv", "video_id,views\nx,1\n", source="mine")


def test_a_home_may_have_adapters_of_its_own(house: House) -> None:
    (house.home / "adapters").mkdir()
    (house.home / "adapters" / "mine.yaml").write_text(
        "anchor: first_seen_at\nfields: {video_id: clip, observed_at: seen, views: [shown, guessed]}\n"
    )
    result = house.take("a.csv", "clip,seen,guessed\nx,2025-01-01T00:00:00Z,1.5K\n", source="mine")
    assert (result.source, result.accepted) == ("mine", 1)
    assert house.rows("SELECT views FROM raw.snapshots") == [(1500,)]
    assert adapters.anchors(home=house.home)["mine"] == "first_seen_at"
