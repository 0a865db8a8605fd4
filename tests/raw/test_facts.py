"""Channels, comments and captions under the law of conservation, and nobody named in anything that is kept of them."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from assets.raw import adapters
from assets.raw.errors import IngestError
from assets.raw.ingest import replay, reread
from resources.secrets import hashed, salt
from tests.raw.conftest import NOW, House
from tests.raw.test_platforms import ID, TIKTOK, line, lines

JANE = {"authorDisplayName": "Jane Doe", "authorChannelId": {"value": "UCjane"}, "authorChannelUrl": "http://x/@jane"}
KINDS = ("channels", "comments", "captions")
TABLES = ("landings", "landing_days", "duplicates", "quarantine", *KINDS)


def comment(number: int, likes: object = 0, **snippet: object) -> dict[str, Any]:
    said = {**JANE, "videoId": ID, "textDisplay": f"words {number}", "likeCount": likes}
    return {"id": f"Ug{number}", "snippet": {**said, "publishedAt": "2025-05-31T00:00:00Z", **snippet}}


def thread(number: int, *answers: dict[str, Any], likes: object = 0) -> dict[str, Any]:
    """A thread as `commentThreads.list` tells it."""
    top = comment(number, likes)
    said = {"kind": "youtube#commentThread", "id": f"Ug{number}"}
    said["snippet"] = {"videoId": ID, "topLevelComment": top, "totalReplyCount": len(answers)}
    return {**said, "replies": {"comments": list(answers)}} if answers else said


def channel(subscribers: object, **more: object) -> dict[str, Any]:
    statistics = {"viewCount": "900", "subscriberCount": subscribers, "videoCount": "12"}
    return {"kind": "youtube#channel", "id": "UC1", "snippet": {"title": "One"}, "statistics": statistics, **more}


def captions(text: str | None, language: str = "en", kind: str = "manual") -> dict[str, Any]:
    return {"video_id": ID, "language": language, "kind": kind, "text": text}


def dump(house: House) -> dict[str, list[tuple[object, ...]]]:
    return {table: house.rows(f"SELECT * FROM raw.{table} ORDER BY ALL") for table in TABLES}


def test_every_comment_of_a_thread_is_a_record_and_its_author_a_hash(house: House) -> None:
    answer = comment(3, "2", parentId="Ug2")
    result = house.take("a.jsonl", lines(line(10, {"items": [thread(1, likes="5"), thread(2, answer)]})))
    assert (result.source, result.kind, result.rows_read, result.accepted) == ("youtube", "comments", 3, 3)
    who = hashed(salt(house.home), "UCjane")
    assert house.rows("SELECT comment_id, parent_id, author_hash, text, likes FROM raw.comments ORDER BY 1") == [
        ("Ug1", None, who, "words 1", 5),
        ("Ug2", None, who, "words 2", 0),
        ("Ug3", "Ug2", who, "words 3", 2),
    ]
    assert house.rows("SELECT DISTINCT source, video_id, observed_at, known_at, published_at FROM raw.comments") == [
        ("youtube", ID, datetime(2025, 6, 1, 10), datetime(2025, 6, 1, 10), datetime(2025, 5, 31))
    ]
    assert house.rows("SELECT count(*) FROM raw.videos") == house.rows("SELECT count(*) FROM raw.snapshots") == [(0,)]


def test_counts_of_a_comment_change_between_observations(house: House) -> None:
    for hour, likes in ((10, 1), (11, 4)):
        house.take(f"{hour}.youtube_comments.jsonl", lines(line(hour, {"items": [thread(1, likes=likes)]})))
    assert house.rows("SELECT hour(observed_at), likes FROM raw.comments ORDER BY 1") == [(10, 1), (11, 4)]


def test_a_hash_that_the_collector_made_is_the_one_that_is_made_here(house: House) -> None:
    made = hashed(salt(house.home), "UCjane")
    items = [thread(1), thread(2)]
    kept = items[1]["snippet"]["topLevelComment"]["snippet"]
    items[1]["snippet"]["topLevelComment"]["snippet"] = {
        "author_hash": made,
        **{name: value for name, value in kept.items() if not name.startswith("author")},
    }
    house.take("a.youtube_comments.jsonl", lines(line(10, {"items": items})))
    assert house.rows("SELECT DISTINCT author_hash FROM raw.comments") == [(made,)]


def test_a_channel_on_its_own_and_captions(house: House) -> None:
    house.take("a.jsonl", lines(line(10, {"kind": "youtube#channelListResponse", "items": [channel("100")]})))
    house.take("b.jsonl", lines(line(10, {"items": [captions("hello"), captions("hallo", "de", "automatic")]})))
    assert house.rows("SELECT source, kind, adapter FROM raw.landings ORDER BY adapter") == [
        ("youtube", "captions", "youtube_captions"),
        ("youtube", "channels", "youtube_channels"),
    ]
    assert house.rows("SELECT channel_id, video_id, name, subscribers, videos, views FROM raw.channels") == [
        ("UC1", "", "One", 100, 12, 900)
    ]
    assert house.rows("SELECT video_id, language, kind, text FROM raw.captions ORDER BY 2") == [
        (ID, "de", "automatic", "hallo"),
        (ID, "en", "manual", "hello"),
    ]


# Per kind: what stands, the same again, the same with more in it, and records that are set aside.
BAD: dict[str, list[dict[str, Any]]] = {
    "channels": [{"id": "", "snippet": {"title": "x"}}, {"id": "UC2", "snippet": {}}],
    "comments": [{**comment(1), "id": ""}, comment(4, videoId="?"), {"id": "Ug5", "snippet": {"videoId": ID}}],
    "captions": [captions("x", language=""), captions(None), {**captions("x"), "video_id": "short"}],
}
GOOD: dict[str, list[dict[str, Any]]] = {
    "channels": [channel("100"), channel("100"), channel("101", id="UC3")],
    "comments": [thread(1), thread(1), thread(2, likes=3)],
    "captions": [captions("a"), captions("a"), captions("b", kind="automatic")],
}
LESS = {
    "channels": channel(None, id="UC3"),
    "comments": thread(2, likes=None),
    "captions": captions("zz", kind="automatic"),
}


def test_what_was_read_is_accepted_duplicate_or_set_aside_in_any_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also read again, and with a landing that takes a key from one that came before, or is empty."""
    monkeypatch.setenv("UPSWELL_SALT", "one and the same salt")
    dumps = []
    for number, order in enumerate([(0, 1, 2), (1, 2, 0)]):
        (tmp_path / str(number)).mkdir()
        house = House(tmp_path / str(number) / "home")
        for size, kind in enumerate(KINDS, 1):
            full = lines(line(10, {"items": [*GOOD[kind], *BAD[kind]]}), {"half": 1})
            texts = [full, lines(line(10, {"items": [LESS[kind]]})), "\n" * size]
            for each in order:
                house.take(f"{each}.youtube_{kind}.jsonl", texts[each])
        dumps.append(dump(house))
    assert dumps[0] == dumps[1]
    for kind in KINDS:
        counts = house.rows(
            f"SELECT rows_read, accepted, duplicate, quarantined FROM raw.landings WHERE kind = '{kind}' ORDER BY 1"
        )
        bad = len(BAD[kind]) + 1
        assert counts[0] == (0, 0, 0, 0)
        assert counts[1][1] + counts[1][2] == 1
        assert counts[2][0] == sum(counts[2][1:]) == 3 + bad
        assert counts[2][3] == bad
        assert house.rows(f"SELECT count(*) FROM raw.{kind}") == [(2,)]
    for (landing,) in house.rows("SELECT landing_id FROM raw.landings WHERE rows_read > 0"):
        reread(house.warehouse, house.settings, landing, NOW)
    assert dump(house) == dumps[0]


def test_what_is_set_aside_is_replayed_and_names_nobody(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.take(
        "a.youtube_comments.jsonl",
        lines(line(10, {"items": [comment(4, videoId="?"), {**thread(1), "id": 3}]})) + "Jane Doe",
    )
    assert house.rows("SELECT reason, field FROM raw.quarantine ORDER BY 1") == [
        ("bad_json", None),
        ("missing_video", "video_id"),
    ]
    for table in ("quarantine", "comments", "landings"):
        assert "jane" not in str(house.rows(f"SELECT * FROM raw.{table}")).lower()
    shipped = adapters.adapters()
    parts = shipped["youtube_comments"].declared()
    parts["fields"]["video_id"] = [{"envelope": "request.videos[0]", "parse": "id"}]
    mended = {**shipped, "youtube_comments": adapters.parse(parts, "mended")}
    monkeypatch.setattr(adapters, "adapters", lambda home=None: mended)
    (result,) = replay(house.warehouse, house.settings, now=NOW, reason="missing_video")
    assert (result.accepted, result.quarantined) == (2, 1)


def test_handles_of_tiktok_are_hashes_wherever_they_come_from(house: House) -> None:
    """From a column of a table too, and where the operator names the column."""
    header = "user_name,user_nfollower,vid_id,vid_scrapeTime,vid_nview,vid_url"
    page = f"https://www.tiktok.com/@jane.doe/video/{TIKTOK}"
    rows = [
        f"jane.doe,5,{TIKTOK},2025-05-25 22:58:52,7,{page}",
        f"jane.doe,5,x,never,7,{page.replace('video', 'user')}",
    ]
    house.take("a.csv", "\n".join([header, *rows, "jane.doe,too,few"]) + "\n")
    renamed = header.replace("user_name", "who")
    house.take(
        "b.csv", f"{renamed}\n{rows[0].replace(',7,', ',8,')}\n", source="tiktok_panel", mapping={"channel_id": "who"}
    )
    who = hashed(salt(house.home), "jane.doe")
    assert house.rows("SELECT DISTINCT channel_id FROM raw.channels") == [(who,)]
    assert house.rows("SELECT DISTINCT channel_id, url FROM raw.videos") == [
        (who, f"https://www.tiktok.com/@/video/{TIKTOK}")
    ]
    assert house.rows("SELECT count(*) FROM raw.quarantine") == [(2,)]
    for table in ("quarantine", "videos", "channels"):
        assert "jane" not in str(house.rows(f"SELECT * FROM raw.{table}"))


def test_a_kind_has_fields_of_its_own(house: House) -> None:
    with pytest.raises(IngestError, match="no field of comments"):
        adapters.parse({"name": "x", "kind": "comments", "fields": {"views": "v"}}, "x.yaml")
    with pytest.raises(IngestError, match="conceals nothing"):
        adapters.parse({"name": "x", "kind": "comments", "personal": {"author": "hide"}}, "x.yaml")
    with pytest.raises(
        IngestError,
        match="no adapter of comments recognises it; say --source NAME of simulator_comments, youtube_comments",
    ):
        house.take("a.csv", "who,what\na,b\n", kind="comments")
    with pytest.raises(IngestError, match="reads comments, not videos"):
        house.take("a.youtube_comments.jsonl", lines(line(10, {"items": [thread(1)]})), kind="videos")
