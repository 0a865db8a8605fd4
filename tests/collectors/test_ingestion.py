"""What collectors write, ingestion reads: nothing of it is set aside, whichever collector brought it."""

import json
from pathlib import Path

import pytest

from assets.raw.ingest import ingest
from resources.collectors.base import Collector, Order
from resources.collectors.etags import Etags
from resources.collectors.feeds import ChannelFeeds
from resources.collectors.ytdlp import TIKTOK, YOUTUBE, landed
from resources.settings import load_settings
from tests.collectors.conftest import SALT, Place, run
from tests.collectors.server import NOW, rss
from tests.collectors.test_ytdlp import INFO
from warehouse.connection import Warehouse

ID, GONE = "kpnoibF4eNg", "nowhere_000"
CHANNEL = "UC" + "1" * 22


def lines(place: Place, collector: Collector, order: Order) -> dict[str, list[dict[str, object]]]:
    """Lines by adapter."""
    found: dict[str, list[dict[str, object]]] = {}
    for reply in run(collector, order)[0]:
        found.setdefault(reply.adapter, []).append(reply.line)
    return found


@pytest.fixture
def landings(place: Place) -> dict[str, list[dict[str, object]]]:
    """What each adapter has to read."""
    place.world.videos = {ID}
    place.world.channels = {CHANNEL: [ID]}
    place.world.comments = {ID: ["UCcommenter", "UCother"]}
    place.world.files = {f"/feeds/videos.xml?channel_id={CHANNEL}": rss(CHANNEL, [ID])}
    found = lines(place, place.api(), Order(videos=(ID, GONE), parts=frozenset({"videos", "channels", "comments"})))
    place.clock.sleep(3600)
    web = place.web(robots_exempt=[place.server.url.removeprefix("http://")])
    feeds = ChannelFeeds(web, Etags(place.home), place.clock.now, base_url=f"{place.server.url}/feeds/videos.xml")
    found |= lines(place, feeds, Order(channels=(CHANNEL,)))
    late = f"{NOW.isoformat()}Z"
    items = [{"video_id": ID, "language": "en", "kind": "automatic", "text": "so hello"}]
    tiktok = {
        "id": "7493391778821852434",
        "extractor": "TikTok",
        "uploader": "someone",
        "view_count": 5000,
        "title": "cap",
    }
    found["yt_dlp"] = [{"collected_at": late, "request": {}, "reply": landed(INFO, YOUTUBE, SALT)}]
    found["tiktok"] = [{"collected_at": late, "request": {}, "reply": landed(tiktok, TIKTOK, SALT)}]
    found["youtube_captions"] = [{"collected_at": late, "request": {}, "reply": {"items": items}}]
    return found


def test_nothing_that_a_collector_writes_is_set_aside(
    place: Place, landings: dict[str, list[dict[str, object]]], tmp_path: Path
) -> None:
    warehouse, settings = Warehouse(place.home), load_settings(place.home)
    counts = {}
    for adapter, each in landings.items():
        path = tmp_path / f"20250601T120000-abcdef01.{adapter}.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in each))
        result = ingest(warehouse, settings, path, now=place.clock.now())
        counts[adapter] = (result.rows_read, result.accepted + result.duplicate, result.quarantined)
    assert counts == {
        "youtube_api": (2, 2, 0),
        "youtube_channels": (1, 1, 0),
        "youtube_comments": (4, 4, 0),
        "youtube_rss": (1, 1, 0),
        "yt_dlp": (1, 1, 0),
        "tiktok": (1, 1, 0),
        "youtube_captions": (1, 1, 0),
    }
    rows = warehouse.query("SELECT source, video_id, status FROM raw.availability ORDER BY ALL").to_pylist()
    assert {(row["source"], row["video_id"], row["status"]) for row in rows} >= {
        ("youtube", ID, "live"),
        ("youtube", GONE, "unavailable"),
    }
    authors = warehouse.query("SELECT DISTINCT author_hash FROM raw.comments").to_pylist()
    assert {len(row["author_hash"]) for row in authors} == {64}
