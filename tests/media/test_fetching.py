"""Thumbnails over HTTP from a server that misbehaves, and what becomes of each item."""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from assets.raw.media import fetch_thumbnails, prepare_contents
from resources.media.fetching import download
from resources.media.states import MediaError, Reason
from tests.media import make
from tests.media.conftest import NOW, Place

PICTURE = make.picture(7, kind="JPEG")
SEEN = NOW - timedelta(days=30)


class Server(ThreadingHTTPServer):
    """Answers by path; `asked` counts requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked[self.path] += 1
        name = self.path.strip("/").split("/")[0]
        with contextlib.suppress(ConnectionError):
            getattr(self, f"answer_{name}")()

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response_only(status)
        for header, value in {"Content_Length": str(len(body)), **headers}.items():
            self.send_header(header.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def answer_fine(self) -> None:
        self.reply(200, PICTURE)

    def answer_moved(self) -> None:
        self.reply(302, Location="/fine/moved")

    def answer_outside(self) -> None:
        self.reply(302, Location="file:///etc/passwd")

    def answer_gone(self) -> None:
        self.reply(404)

    def answer_busy(self) -> None:
        self.reply(429, Retry_After="7200")

    def answer_later(self) -> None:
        self.reply(503, Retry_After="Thu, 20 Nov 2025 01:00:00 GMT", Date="Thu, 20 Nov 2025 00:00:00 GMT")

    def answer_flaky(self) -> None:
        self.reply(*((500,) if self.server.asked[self.path] == 1 else (200, PICTURE)))

    def answer_down(self) -> None:
        self.reply(500)

    def answer_half(self) -> None:
        self.reply(200, PICTURE[:300], Content_Length=str(len(PICTURE)))

    def answer_dribble(self) -> None:
        self.send_response(200)
        self.end_headers()
        for _ in range(50):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.05)

    def answer_page(self) -> None:
        self.reply(200, b"<!DOCTYPE html><html>Log in first</html>")

    def answer_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * 200_000)

    def answer_nothing(self) -> None:
        self.reply(200)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def name_thumbnails(place: Place, urls: list[str], observed_at: Any = SEEN) -> None:
    """Videos v0, v1, ... that name these thumbnails."""
    with place.warehouse.write() as con:
        for number, url in enumerate(urls):
            con.execute(
                """INSERT INTO raw.videos (source, video_id, observed_at, known_at, thumbnail_url, landing_id, row_number)
                   VALUES ('s', ?, ?, ?, ?, 'l', ?)""",
                [f"v{number}", observed_at, observed_at, url, number],
            )


def items(place: Place) -> dict[str, tuple[Any, ...]]:
    rows = place.rows("SELECT video_id, state, reason, attempts, next_try_at FROM raw.media ORDER BY video_id")
    return {row[0]: row[1:] for row in rows}


def test_nothing_is_fetched_unless_asked_for(place: Place) -> None:
    name_thumbnails(place, ["http://127.0.0.1:9/x"])
    assert set(fetch_thumbnails(place.warehouse, place.settings, NOW).values()) == {0}
    assert items(place) == {}


def test_each_answer_leads_to_its_state(place: Place, server: Server) -> None:
    names = ["fine", "moved", "gone", "busy", "later", "down", "half", "page", "nothing"]
    name_thumbnails(place, [f"{server.url}/{name}" for name in names])
    settings = place.changed(fetch=("thumbnail",))

    def one_by_one(url: str) -> bytes:  # the host that asks to wait must not hide the others here
        try:
            return download(url, settings.media.max_bytes)
        except MediaError as error:
            if error.reason == Reason.RATE_LIMITED:
                raise MediaError(Reason.SERVER_ERROR, error.detail, error.retry_after) from error
            raise

    counts = fetch_thumbnails(place.warehouse, settings, NOW, fetch=one_by_one)
    assert counts == {"new": 9, "fetched": 4, "retryable": 4, "terminal": 1, "waiting": 0}
    prepare_contents(place.warehouse, settings, NOW)
    found = dict(zip(names, items(place).values(), strict=True))
    soon = NOW + timedelta(minutes=15)
    assert found == {
        "fine": ("done", None, 1, None),
        "moved": ("done", None, 1, None),
        "gone": ("terminal", "not-found", 1, None),
        "busy": ("retryable", "server-error", 1, NOW + timedelta(hours=2)),
        "later": ("retryable", "server-error", 1, NOW + timedelta(hours=1)),
        "down": ("retryable", "server-error", 1, soon),
        "half": ("retryable", "network", 1, soon),
        "page": ("terminal", "unsupported", 1, None),
        "nothing": ("terminal", "empty", 1, None),
    }
    done = place.rows("SELECT DISTINCT observed_at, known_at, position FROM raw.media WHERE state = 'done'")
    assert done == [(NOW, NOW, 0)]
    waiting = place.rows("SELECT DISTINCT observed_at, known_at FROM raw.media WHERE state = 'retryable'")
    assert waiting == [(SEEN, SEEN)]


def test_a_failed_item_is_tried_again_when_its_time_has_come(place: Place, server: Server) -> None:
    name_thumbnails(place, [f"{server.url}/flaky", f"{server.url}/down"])
    settings = place.changed(fetch=("thumbnail",), max_attempts=3)
    assert fetch_thumbnails(place.warehouse, settings, NOW)["retryable"] == 2
    early = fetch_thumbnails(place.warehouse, settings, NOW + timedelta(minutes=14))
    assert set(early.values()) == {0}
    counts = fetch_thumbnails(place.warehouse, settings, NOW + timedelta(minutes=15))
    assert (counts["new"], counts["fetched"], counts["retryable"]) == (0, 1, 1)
    fetch_thumbnails(place.warehouse, settings, NOW + timedelta(days=1))
    assert items(place)["v1"] == ("terminal", "server-error", 3, None)
    fetch_thumbnails(place.warehouse, settings, NOW + timedelta(days=9))
    assert server.asked == {"/flaky": 2, "/down": 3}


def test_a_host_that_asks_to_wait_is_left_alone(place: Place, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.raw.media._FETCH_THREADS", 1)
    name_thumbnails(place, [f"{server.url}/busy/{number}" for number in range(250)])
    settings = place.changed(fetch=("thumbnail",))
    counts = fetch_thumbnails(place.warehouse, settings, NOW)
    assert counts == {"new": 250, "fetched": 0, "retryable": 1, "terminal": 0, "waiting": 249}
    assert server.asked.total() == 1
    found = place.rows("SELECT state, reason, attempts, next_try_at, count(*) FROM raw.media GROUP BY ALL ORDER BY ALL")
    until = NOW + timedelta(hours=2)
    assert found == [("retryable", "rate-limited", 0, until, 249), ("retryable", "rate-limited", 1, until, 1)]


def test_one_url_of_many_videos_is_fetched_once(place: Place, server: Server) -> None:
    name_thumbnails(place, [f"{server.url}/fine"] * 5)
    settings = place.changed(fetch=("thumbnail",))
    assert fetch_thumbnails(place.warehouse, settings, NOW)["fetched"] == 5
    assert server.asked == {"/fine": 1}
    assert place.rows("SELECT count(*), count(DISTINCT content_id) FROM raw.media") == [(5, 1)]


def test_a_second_thumbnail_of_a_video_is_a_further_item(place: Place, server: Server) -> None:
    settings = place.changed(fetch=("thumbnail",))
    name_thumbnails(place, [f"{server.url}/fine/1"])
    fetch_thumbnails(place.warehouse, settings, NOW)
    name_thumbnails(place, [f"{server.url}/fine/1"], NOW + timedelta(hours=1))
    name_thumbnails(place, [f"{server.url}/fine/2"], NOW + timedelta(hours=2))
    assert fetch_thumbnails(place.warehouse, settings, NOW + timedelta(hours=1))["new"] == 0  # not known yet
    assert fetch_thumbnails(place.warehouse, settings, NOW + timedelta(days=1))["new"] == 1
    found = place.rows("SELECT position, uri, known_at FROM raw.media ORDER BY position")
    assert found == [(0, f"{server.url}/fine/1", NOW), (1, f"{server.url}/fine/2", NOW + timedelta(days=1))]


def test_a_crash_loses_at_most_a_batch(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.raw.media._FETCHED_AT_ONCE", 10)
    name_thumbnails(place, [f"http://host/{number:02d}" for number in range(30)])
    settings = place.changed(fetch=("thumbnail",))

    def fetch(url: str) -> bytes:
        if url.endswith("/25"):
            raise KeyboardInterrupt
        return PICTURE

    with pytest.raises(KeyboardInterrupt):
        fetch_thumbnails(place.warehouse, settings, NOW, fetch=fetch)
    assert place.rows("SELECT count(*) FROM raw.media WHERE content_id IS NOT NULL") == [(20,)]
    assert fetch_thumbnails(place.warehouse, settings, NOW, fetch=lambda url: PICTURE)["fetched"] == 10


def test_a_limit_leaves_the_rest_for_the_next_time(place: Place) -> None:
    name_thumbnails(place, [f"http://host/{number}" for number in range(5)])
    settings = place.changed(fetch=("thumbnail",))
    fetched = [
        fetch_thumbnails(place.warehouse, settings, NOW, fetch=lambda url: PICTURE, limit=3)["fetched"]
        for _ in range(3)
    ]
    assert fetched == [3, 2, 0]


@pytest.mark.parametrize(
    "url", ["", "picture.jpg", "file:///etc/passwd", "ftp://host/a", "http://", "http://[::1", "http://host:port/a"]
)
def test_what_is_no_address_is_terminal(url: str) -> None:
    with pytest.raises(MediaError) as error:
        download(url, 1000)
    assert error.value.reason == "invalid-url"


def test_blanks_and_letters_in_an_address_are_escaped(server: Server) -> None:
    assert download(f"{server.url}/fine/a b ü?c=%20", 100_000) == PICTURE
    assert server.asked == {"/fine/a%20b%20%C3%BC?c=%20": 1}


def reason(url: str, **how: Any) -> str:
    with pytest.raises(MediaError) as error:
        download(url, **{"max_bytes": 100_000, **how})
    return error.value.reason.value


def test_what_is_slow_or_large_is_cut_off(server: Server) -> None:
    begun = time.monotonic()
    assert reason(f"{server.url}/dribble", timeout_s=0.3) == "network"
    assert time.monotonic() - begun < 2
    assert reason(f"{server.url}/endless") == "too-large"
    assert reason(f"{server.url}/fine", max_bytes=100) == "too-large"


def test_redirects_do_not_lead_to_files_and_nobody_home_is_the_network(server: Server) -> None:
    assert reason(f"{server.url}/outside") == "refused"
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_address[1]
    assert reason(f"http://127.0.0.1:{port}/fine") == "network"
