"""A key, a path of cookies and a cookie are planted, collections run and fail, and everything is searched for them."""

import json
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest

from assets.raw.ingest import ingest
from orchestration.errors import RunFailedError
from orchestration.runs import Runs
from resources import clock as home_clock
from resources import secrets
from resources.collectors import base
from resources.collectors.base import CollectError, Order, collector
from resources.collectors.etags import Etags
from resources.collectors.feeds import FileFeed
from resources.collectors.youtube import YouTubeApi
from resources.collectors.ytdlp import YOUTUBE, Pauses, YtDlp, cookies_path
from resources.secrets import guard_logs, salt, secret
from resources.settings import load_settings
from tests.collectors.conftest import Place, Purse
from tests.collectors.server import KEY, NOW
from warehouse.connection import Warehouse

COOKIE = "planted-session-value"
FAULTS = (None, "echo", "expired", "dropped", "page", "busy_long", "elsewhere", "round")


def land(place: Place, made: Any, order: Order, number: int) -> str:
    """Runs a collector, keeps and ingests its lines; what its failure says, with its trace."""
    path = place.home / "collecting" / f"{number}.youtube_api.jsonl"
    path.parent.mkdir(exist_ok=True)
    said = ""
    with path.open("w") as file:
        try:
            for each in made.collect(order, Purse()):
                if hasattr(each, "line"):
                    file.write(json.dumps(each.line) + "\n")
                said += repr(each) if not hasattr(each, "line") else ""
        except CollectError:
            said += traceback.format_exc()
    if made.name == "youtube_api" and path.stat().st_size:
        ingest(Warehouse(place.home), load_settings(place.home), path, now=NOW)
    return said


def test_no_planted_secret_is_anywhere(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(secrets, "_known", {})
    factory = logging.getLogRecordFactory()
    log = tmp_path / "everything.log"
    handler = logging.FileHandler(log)
    monkeypatch.setattr(logging.root, "level", logging.DEBUG)
    logging.root.addHandler(handler)
    cookies = tmp_path / "planted-path" / "cookies.txt"
    cookies.parent.mkdir()
    cookies.write_text(f"# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\t{COOKIE}\n")
    kept = place.home / "secrets.env"
    kept.write_text(f"UPSWELL_YOUTUBE_API_KEY={KEY}\nUPSWELL_COOKIES={cookies}\n")
    kept.chmod(0o600)
    place.world.videos = {"kpnoibF4eNg"}
    place.world.files = {"/panel.csv": b"a\n1\n", "/one.html": b"<html><title>no film</title></html>"}
    said = ""
    try:
        guard_logs()
        for number, fault in enumerate(FAULTS):
            place.world.faults = lambda asked, attempt, fault=fault: fault  # type: ignore[misc]
            key = secret("youtube_api_key", place.home)
            api = YouTubeApi(
                key, salt(place.home), place.web(), Etags(place.home), place.clock.now, base_url=place.server.api
            )
            said += land(place, api, Order(videos=("kpnoibF4eNg", "nowhere_000")), number)
            panel = f"{place.server.url}/panel.csv?key={key}"
            said += land(
                place, FileFeed("p", panel, "a", place.web(), Etags(place.home), place.clock.now), Order(), 100 + number
            )
        tool = YtDlp(
            YOUTUBE.__class__(
                **{**vars(YOUTUBE), "address": lambda video_id: f"{place.server.url}/one.html?key={KEY}"}
            ),
            place.home,
            salt(place.home),
            place.clock.now,
            max_bytes=10**6,
            pauses=Pauses(0, 0, (0, 0)),
            cookies=cookies_path(secret("cookies", place.home)),
        )
        place.world.faults = lambda asked, attempt: None
        said += land(place, tool, Order(videos=("one",)), 200)
        logging.getLogger("dagster").error(
            "a careless line: %s", {"url": f"https://host/?key={KEY}", "path": str(cookies)}
        )
    finally:
        logging.root.removeHandler(handler)
        handler.close()
        logging.setLogRecordFactory(factory)
    assert any(asked.headers.get("X-Goog-Api-Key") == KEY for asked in place.server.asked)
    assert any(COOKIE in asked.headers.get("Cookie", "") for asked in place.server.asked)
    out, err = capfd.readouterr()
    planted = {KEY, str(cookies), COOKIE, salt(place.home)}
    texts = {"errors": said, "out": out, "err": err, "log": log.read_text()}
    texts |= {
        str(path): path.read_bytes().decode("latin-1")
        for path in place.home.rglob("*")
        if path.is_file() and path != kept
    }
    assert len(texts) > 15 and "key-refused" in said and "careless" in texts["log"]
    assert [(where, each) for where, text in texts.items() for each in planted if each in text] == []


def test_no_planted_key_is_in_what_dagster_keeps_and_shows(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_known", {})
    monkeypatch.setenv("UPSWELL_YOUTUBE_API_KEY", KEY)
    monkeypatch.setenv("UPSWELL_HOME", str(place.home))
    monkeypatch.setenv("DAGSTER_HOME", str(place.home / "dagster"))
    place.world.videos = {"kpnoibF4eNg"}
    runs = Runs(place.home)

    def made(name: str, home: Path, settings: Any, clock: Any) -> YouTubeApi:
        guard_logs()
        return place.api(secret("youtube_api_key", home))

    factory = logging.getLogRecordFactory()
    monkeypatch.setattr(base, "collector", made)
    monkeypatch.setattr(home_clock, "now", lambda home: place.clock.now())
    config = {"collector": "youtube_api", "videos": ["kpnoibF4eNg", "nowhere_000"]}
    said = []
    try:
        runs.collect(config)
        for fault in ("echo", "expired"):
            place.world.faults = lambda asked, attempt, fault=fault: fault  # type: ignore[misc]
            with pytest.raises(RunFailedError) as failed:
                runs.collect(config)
            said.append(str(failed.value))
        monkeypatch.setattr(YouTubeApi, "collect", careless)
        with pytest.raises(RunFailedError) as failed:
            runs.collect(config)
        said.append(str(failed.value))
    finally:
        logging.setLogRecordFactory(factory)
    assert "key-refused" in said[1] and "RuntimeError: not foreseen" in said[2]
    kept = {str(path): path.read_bytes().decode("latin-1") for path in place.home.rglob("*") if path.is_file()}
    assert any("not foreseen" in text for where, text in kept.items() if where.endswith(".db"))
    assert [where for where, text in {**kept, "said": " ".join(said)}.items() if KEY in text] == []


def careless(self: YouTubeApi, *order: Any) -> Any:
    raise RuntimeError(f"not foreseen: https://host/?key={self.key}")


def test_a_collector_without_its_key_says_where_to_put_it(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPSWELL_YOUTUBE_API_KEY", raising=False)
    with pytest.raises(secrets.SecretsError, match="set UPSWELL_YOUTUBE_API_KEY"):
        collector("youtube_api", place.home, load_settings(place.home), place.clock.now)
