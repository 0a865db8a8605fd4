"""yt-dlp as a collector: run for real against a server on this machine; its words mapped; what is landed of its info."""

import json
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from assets.raw.collection.collect import Collection
from assets.raw.media import ingest_collected
from resources.collectors import links, ytdlp
from resources.collectors.base import CollectError, Order
from resources.collectors.ytdlp import (
    TIKTOK,
    YOUTUBE,
    Pauses,
    YtDlp,
    captions,
    collected_media,
    failure_of,
    landed,
    spoken,
)
from resources.secrets import hashed
from resources.settings import load_settings
from tests.collectors.conftest import SALT, Place, run
from tests.collectors.server import NOW
from tests.media import make
from warehouse.connection import Warehouse

yt_dlp = pytest.importorskip("yt_dlp")
ExtractorError = yt_dlp.utils.ExtractorError
NO_PAUSES = Pauses(0, 0, (0, 0))
EVERY: Any = frozenset({"videos", "media"})


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return make.film(tmp_path_factory.mktemp("film") / "a.mp4").read_bytes()


def page(title: str, source: str, thumbnail: str) -> bytes:
    return f"""<html><head><title>{title}</title></head>
    <body><video src="{source}" poster="{thumbnail}">
    <track kind="subtitles" srclang="en" src="one.vtt"></video></body></html>""".encode()


def generic(place: Place, **how: Any) -> YtDlp:
    """The collector on a platform of this machine: pages with a film."""
    platform = replace(YOUTUBE, address=lambda video_id: f"{place.server.url}/{video_id.removesuffix('-1')}.html")
    how = {"pauses": NO_PAUSES, **how}
    return YtDlp(platform, place.home, SALT, place.clock.now, max_bytes=10**8, timeout_s=5, **how)


@pytest.fixture
def site(place: Place, film: bytes) -> Place:
    place.world.files = {
        "/one.html": page(
            "One", f"{place.server.url}/one.mp4?signature=planted&expire=1", f"{place.server.url}/thumb.jpg"
        ),
        "/one.mp4": film,
        "/thumb.jpg": make.picture(kind="JPEG"),
        "/one.vtt": b"WEBVTT\n\n00:00.000 --> 00:01.000\nso hello\n",
        "/nothing.html": b"<html><title>Nothing</title></html>",
    }
    return place


def test_metadata_of_a_page_for_real(site: Place) -> None:
    replies, missed, error = run(generic(site), Order(videos=("one-1", "gone", "nothing")))
    assert error is None
    told = {reply.line["request"]["address"].rpartition("/")[2]: reply.line for reply in replies}
    assert told["one.html"]["reply"]["title"] == "One (1)"
    assert told["one.html"]["collected_at"] == "2025-06-01T12:00:00Z"
    assert told["gone.html"]["reply"]["items"] == [{"id": "gone", "status": {"privacyStatus": "unavailable"}}]
    assert told["gone.html"]["told_by"] == "collector"
    assert [(said.subject, said.reason) for said in missed] == [("nothing", "unsupported")]
    said = json.dumps([reply.line for reply in replies])
    assert "planted" not in said and "http_headers" not in said and "formats" not in said


def test_files_are_what_the_media_store_takes(site: Place) -> None:
    folder = site.home / "fetched" / "parts" / "yt_dlp"
    folder.mkdir(parents=True)
    (folder / "one-1.mp4.part").write_bytes(b"what a killed run left")
    replies, missed, error = run(generic(site), Order(videos=("one-1",), parts=EVERY))
    assert (len(replies), missed, error) == (1, [], None)
    there = collected_media(site.home, "yt_dlp")
    assert there is not None
    media, index = there
    rows = [json.loads(line) for line in index.read_text().splitlines()]
    assert {(row["kind"], row["video_id"], row["observed_at"]) for row in rows} == {
        (kind, "one-1", f"{NOW.isoformat()}Z") for kind in ("thumbnail", "video")
    }
    warehouse, settings = Warehouse(site.home), load_settings(site.home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("assets.raw.media.shutil", None)
        with pytest.raises(AttributeError):  # killed before the folder is taken away
            ingest_collected(warehouse, settings, "yt_dlp", source="youtube", now=NOW)
    result = ingest_collected(warehouse, settings, "yt_dlp", source="youtube", now=NOW)
    assert result is not None and (result["accepted"], result["quarantined"], result["already_known"]) == (2, 0, True)
    assert not media.exists() and ingest_collected(warehouse, settings, "yt_dlp", source="youtube", now=NOW) is None
    kinds = warehouse.query(
        "SELECT kind, state FROM raw.media WHERE source = 'youtube' AND video_id = 'one-1' ORDER BY 1"
    )
    assert kinds.to_pylist() == [{"kind": "thumbnail", "state": "done"}, {"kind": "video", "state": "done"}]


def test_a_file_that_cannot_be_had_costs_nothing_but_itself(site: Place) -> None:
    site.world.faults = lambda asked, attempt: "outside" if asked.path == "/one.mp4" else None
    replies, missed, error = run(generic(site), Order(videos=("one-1",), parts=EVERY))
    assert [reply.line["reply"]["id"] for reply in replies] == ["one-1"] and error is None
    assert [(said.part, said.subject) for said in missed] == [("media", "one-1")]
    there = collected_media(site.home, "yt_dlp")
    assert there is not None
    index = there[1]
    assert [json.loads(line)["kind"] for line in index.read_text().splitlines()] == ["thumbnail"]


def test_a_site_that_asks_to_be_left_alone_is(site: Place) -> None:
    site.world.faults = lambda asked, attempt: "busy_date"
    _, missed, error = run(generic(site), Order(videos=("one", "two", "three")))
    assert error is not None and error.reason == "rate-limited"
    assert [(said.subject, said.reason) for said in missed] == [
        (each, "rate-limited") for each in ("one", "two", "three")
    ]
    assert {asked.path for asked in site.server.asked} == {"/one.html"}


def test_cookies_are_sent_and_never_told(site: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    cookies = site.home / "planted-cookies.txt"
    cookies.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tplanted-session-value\n")
    replies, missed, _ = run(generic(site, cookies=cookies), Order(videos=("one", "gone")))
    assert any("planted-session-value" in str(asked.headers.get("Cookie")) for asked in site.server.asked)
    assert "planted" not in json.dumps([reply.line for reply in replies]) + repr(missed) + caplog.text
    _, missed, error = run(generic(site, cookies=site.home / "planted-nowhere"), Order(videos=("one",)))
    assert error is not None and error.reason == "key-refused" and "UPSWELL_COOKIES" in error.detail
    assert "planted" not in str(error)


def test_without_yt_dlp_the_way_out_is_said(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yt_dlp", None)
    _, missed, error = run(generic(place), Order(videos=("one",)))
    assert error is not None and "pip install 'upswell[collect]'" in error.detail
    assert missed[0].reason == "unsupported"


def test_it_pauses_between_requests_also_of_one_video_and_the_next(
    site: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("yt_dlp.extractor.common.time.sleep", slept.append)
    run(generic(site, pauses=Pauses(0.75, 0, (0, 0))), Order(videos=("one", "gone", "nothing")))
    assert slept == [0.75] * (len(site.server.asked) - 1)


def test_its_pauses_are_its_own_preset() -> None:
    from yt_dlp.options import _PRESET_ALIASES  # type: ignore[import-untyped, unused-ignore]

    asked = Pauses()
    preset = dict(zip(_PRESET_ALIASES["sleep"][::2], map(float, _PRESET_ALIASES["sleep"][1::2]), strict=True))
    assert preset == {
        "--sleep-subtitles": asked.subtitles,
        "--sleep-requests": asked.requests,
        "--sleep-interval": asked.files[0],
        "--max-sleep-interval": asked.files[1],
    }


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("Private video. Sign in if you've been granted access to this video", "private"),
        ("You do not have permission to view this post. Log into an account that has access", "private"),
        ("This user's account is private. Log into an account that has access", "private"),
        ("Video unavailable. This video has been removed by the uploader", "removed"),
        ("This video is no longer available because the YouTube account associated with it has been terminated", "removed"),
        ("Sign in to confirm your age. This video may be inappropriate for some users.", "age-restricted"),
        ("Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies", "rate-limited"),
        ("Video unavailable. This content isn't available, try again later. The current session has been rate-limited by "
         "YouTube for up to an hour", "rate-limited"),
        ("Unable to download webpage: HTTP Error 429: Too Many Requests", "rate-limited"),
        ("The uploader has not made this video available in your country", "region-blocked"),
        ("Video unavailable", "unavailable"),
        ("Join this channel to get access to members-only content like this video", "unavailable"),
        ("Premieres in 3 hours", "unavailable"),
        ("Video not available, status code 10231", "unavailable"),
        ("Your IP address is blocked from accessing this post", "refused"),
        ("Unable to download API page: HTTP Error 503: Service Unavailable", "server-error"),
        ("Unable to download webpage: The read operation timed out", "network"),
        ("Unable to download webpage: <urlopen error [Errno -2] Name or service not known>", "network"),
        ("Unable to extract initial player response; please report this issue on https://github.com/", "unexpected"),
        ("No video formats found!", "unexpected"),
        ("Requested format is not available. Use --list-formats for a list of available formats", "unsupported"),
        ("The following content is not available on this app. Watch on the latest version of YouTube", "unexpected"),
        ("Video unavailable. This video contains content from X, who has blocked it on copyright grounds", "unavailable"),
        ("Video unavailable. This video contains content from X, who has blocked it in your country", "region-blocked"),
        ("This channel does not have a shorts tab", "not-found"),
        ("something that nobody has said before", "unexpected"),
    ],
)  # fmt: skip
def test_the_words_of_the_sites_are_reasons(said: str, reason: str) -> None:
    inner = ExtractorError(said, expected=True, video_id="abc")
    outer = yt_dlp.utils.DownloadError(f"ERROR: {inner}", (type(inner), inner, None))
    assert {failure_of(inner).reason.value, failure_of(outer).reason.value} == {reason}


def test_classes_and_statuses_are_reasons_too() -> None:
    geo = yt_dlp.utils.GeoRestrictedError("not here", countries=["DE"])
    assert failure_of(geo).reason == "region-blocked"
    assert failure_of(yt_dlp.utils.UnsupportedError("https://x/?key=planted")).reason == "unsupported"
    assert "planted" not in failure_of(yt_dlp.utils.UnsupportedError("https://x/?key=planted")).detail

    class RefusalError(Exception):
        status = 404

    assert failure_of(ExtractorError("Unable to download webpage", cause=RefusalError())).reason == "not-found"


INFO = {
    "id": "kpnoibF4eNg",
    "title": "T",
    "extractor": "youtube",
    "webpage_url": "https://www.youtube.com/watch?v=kpnoibF4eNg",
    "original_url": "https://www.youtube.com/shorts/kpnoibF4eNg",
    "thumbnail": "https://i.ytimg.com/vi/kpnoibF4eNg/maxres.jpg?sqp=planted&rs=planted",
    "description": "see https://example.com/?a=b for more",
    "channel_id": "UC1",
    "uploader_id": "@someone",
    "view_count": 5,
    "availability": "public",
    "epoch": 1748775600,
    "chapters": [{"title": "c", "start_time": 0}],
    "formats": [{"url": "https://r1.googlevideo.com/videoplayback?signature=planted", "http_headers": {"Cookie": "planted"}}],
    "http_headers": {"Cookie": "planted"},
    "cookies": "planted",
    "url": "https://r1.googlevideo.com/videoplayback?signature=planted",
    "requested_downloads": [{"filepath": "/planted"}],
    "subtitles": {"en": [{"url": "https://www.youtube.com/api/timedtext?signature=planted"}]},
    "comments": [{"author": "planted"}],
    "_type": "video",
}  # fmt: skip


def test_what_is_landed_of_youtube_has_no_signature_no_header_and_no_cookie() -> None:
    kept = landed(INFO, YOUTUBE, SALT)
    assert "planted" not in json.dumps(kept)
    assert {key: kept[key] for key in ("title", "view_count", "channel_id", "webpage_url", "original_url")} == {
        key: INFO[key] for key in ("title", "view_count", "channel_id", "webpage_url", "original_url")
    }
    assert kept["thumbnail"] == "https://i.ytimg.com/vi/kpnoibF4eNg/maxres.jpg"
    assert kept["description"] == INFO["description"] and kept["chapters"] == INFO["chapters"]
    assert kept["caption_languages"] == ["en"]


def test_what_is_landed_of_tiktok_names_nobody() -> None:
    info = {
        "id": "7493391778821852434",
        "extractor": "TikTok",
        "title": "cap",
        "uploader": "planted.handle",
        "uploader_id": "planted-6812",
        "uploader_url": "https://www.tiktok.com/@planted.handle",
        "channel": "Planted Name",
        "channel_id": "MS4wLjABplanted",
        "channel_url": "https://www.tiktok.com/@MS4wLjABplanted",
        "creators": ["Planted Name"],
        "webpage_url": "https://www.tiktok.com/@planted.handle/video/7493391778821852434",
        "original_url": "https://www.tiktok.com/@planted.handle/video/7493391778821852434",
        "thumbnail": "https://p16.tiktokcdn.com/a.jpeg?x-expires=1&x-signature=planted",
        "view_count": 5000,
    }
    kept = landed(info, TIKTOK, SALT)
    assert "planted" not in json.dumps(kept).lower()
    assert kept["channel_id"] == hashed(SALT, "MS4wLjABplanted") and "thumbnail" not in kept
    assert links.find_links(kept["webpage_url"]) == (links.Link("tiktok", "video", info["id"]),)  # type: ignore[arg-type]


def test_captions_for_real(site: Place) -> None:
    replies, missed, error = run(generic(site), Order(videos=("one-1",), parts=frozenset({"captions"})))
    assert (missed, error) == ([], None)
    assert [(reply.adapter, reply.line["reply"]) for reply in replies] == [
        ("youtube_captions", {"items": [{"video_id": "one-1", "language": "en", "kind": "manual", "text": "so hello"}]})
    ]
    assert not any(path.is_file() for path in (site.home / "fetched").rglob("*"))


def test_captions_are_words_without_times(tmp_path: Path) -> None:
    (tmp_path / "abc.en.vtt").write_text(
        "WEBVTT\nKind: captions\nLanguage: en\n\n00:00:00.000 --> 00:00:01.000 align:start\n<c>so</c> hello\n\n"
        "00:00:01.000 --> 00:00:02.000\nso hello\nworld&nbsp;\n"
    )
    (tmp_path / "abc.de-orig.vtt").write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nhallo\n")
    info = {
        "id": "abc",
        "subtitles": {"en": []},
        "requested_subtitles": {"en": {"ext": "vtt"}, "de-orig": {"ext": "vtt"}, "fr": {"ext": "vtt"}},
    }
    assert captions(info, tmp_path) == [
        {"video_id": "abc", "language": "en", "kind": "manual", "text": "so hello\nworld"},
        {"video_id": "abc", "language": "de-orig", "kind": "automatic", "text": "hallo"},
    ]
    assert list(tmp_path.iterdir()) == []


def test_captions_of_a_machine_are_read_whole_and_without_entities() -> None:
    vtt = (
        "WEBVTT\n\n00:00:00.160 --> 00:00:02.310\n \n&gt;&gt; so<00:00:00.480><c> hello</c>\n\n"
        "00:00:02.310 --> 00:00:04.000\nrock &amp; roll it&#39;s\n \n"
    )
    assert spoken(vtt) == ">> so hello\nrock & roll it's"


def test_topics_and_channels_lead_to_addresses(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def extract(self: Any, address: str, **options: Any) -> tuple[dict[str, Any], None]:
        asked.append(address)
        if options.get("extract_flat"):
            old = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
            shorts = {"id": "kpnoibF4eNg", "url": "https://www.youtube.com/shorts/kpnoibF4eNg"}
            return {"entries": [shorts, {"id": "old_0000000", "timestamp": old}, None]}, None
        return dict(INFO), None

    monkeypatch.setattr(ytdlp._Run, "_extract", extract)
    tool = YtDlp(YOUTUBE, place.home, SALT, place.clock.now, max_bytes=1)
    channel = "UC" + "1" * 22
    replies, missed, _ = run(tool, Order(topics=("street food",), channels=(channel, "@x", "no"), since=NOW))
    assert asked == [
        "ytsearch50:street food",
        f"https://www.youtube.com/channel/{channel}/shorts",
        "https://www.youtube.com/@x/shorts",
        "https://www.youtube.com/shorts/kpnoibF4eNg",
    ]
    assert [reply.adapter for reply in replies] == ["yt_dlp"] and [said.subject for said in missed] == ["no"]
    asked.clear()
    tiktok = YtDlp(TIKTOK, place.home, SALT, place.clock.now, max_bytes=1)
    _, missed, _ = run(tiktok, Order(topics=("food",), channels=("https://tiktok.com/@some.one", "x y")))
    assert asked[0] == "https://www.tiktok.com/@some.one"
    assert [(said.subject, said.reason) for said in missed] == [("food", "unsupported"), ("x y", "invalid-url")]


def test_a_refusal_to_speak_is_one_error(place: Place) -> None:
    assert isinstance(failure_of(yt_dlp.utils.YoutubeDLError("x")), CollectError)


def test_a_collection_run_ends_with_the_files_in_the_media_store(site: Place, film: bytes) -> None:
    video = "abcdefghi-1"
    site.world.files["/abcdefghi.html"] = page("Nine", f"{site.server.url}/one.mp4", f"{site.server.url}/thumb.jpg")
    warehouse, settings = Warehouse(site.home), load_settings(site.home)
    collection = Collection(warehouse, settings, generic(site), site.clock.now)
    done = collection.on_demand(Order(videos=(video,), parts=frozenset({"videos", "captions", "media"})), "run")
    assert (done.row["state"], done.refused, done.row["missed"]) == ("done", (), [])
    assert [result.quarantined for result in done.results] == [0, 0]
    rows = warehouse.query("SELECT source, video_id, kind, state FROM raw.media ORDER BY kind").to_pylist()
    assert rows == [
        {"source": "youtube", "video_id": video, "kind": kind, "state": "done"} for kind in ("thumbnail", "video")
    ]
    assert warehouse.query("SELECT language, kind, text FROM raw.captions").to_pylist() == [
        {"language": "en", "kind": "manual", "text": "so hello"}
    ]
    left = [path for folder in ("collecting", "fetched") for path in (site.home / folder).rglob("*")]
    assert not any(path.is_file() for path in left if path.suffix != ".lock")
    again = collection.on_demand(Order(videos=(video,), parts=frozenset({"videos"})), "again")
    assert (again.row["state"], again.refused) == ("done", ())
