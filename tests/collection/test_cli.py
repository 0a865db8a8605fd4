"""`upswell collect` and `upswell plan` in this process, on a pretended platform."""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestration.cli import app
from orchestration.collection import orders
from orchestration.errors import UsageError
from resources import clock as home_clock
from resources.collectors import base
from resources.settings import load_settings
from tests.collection.fakes import NOW, Clock, FakeCollector, Video, new_home, platform, video_ids

SETTINGS = """\
collect:
  sources:
    shorts: {collector: youtube_api, channels: [UCcccccccccccccccccccccc], cron: "5 * * * *", units: {units: 96}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before = {name: os.environ.get(name) for name in ("UPSWELL_HOME", "DAGSTER_HOME")}
    folder = tmp_path_factory.mktemp("cli") / "home"
    new_home(folder, SETTINGS)
    yield folder
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@pytest.fixture
def world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> FakeCollector:
    clock = Clock()
    fake = FakeCollector(clock, platform(150, NOW - timedelta(hours=3)) | {"dQw4w9WgXcQ": Video(NOW, channel="x")})
    monkeypatch.setattr(home_clock, "now", lambda home: clock())
    monkeypatch.setattr(base, "collector", lambda name, home, settings, clock: fake)
    return fake


def upswell(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--home", str(folder)], catch_exceptions=False)


def test_links_are_collected_and_the_plan_goes_on(folder: Path, world: FakeCollector) -> None:
    link = "see https://youtu.be/dQw4w9WgXcQ?t=3"
    [row] = json.loads(upswell(folder, "collect", link, "--json").stdout)
    assert (row["state"], row["asked"], row["fetched"], row["live"], row["missed"]) == ("done", 1, 1, 1, 0)
    [row] = json.loads(upswell(folder, "collect", "--source", "shorts", "--json").stdout)
    assert row["fetched"] == 150 and world.asked[0] == "dQw4w9WgXcQ"
    world.clock.forward(hours=2)  # type: ignore[attr-defined]
    world.limits = {"search": 100, "units": 30}
    [told] = json.loads(upswell(folder, "plan", "-n", "2", "--json").stdout)
    assert (told["source"], told["due"], told["asked"], told["held"]) == ("shorts", 151, 100, None)
    assert told["quota"][1]["bucket"] == "units" and told["quota"][1]["cost"] <= told["quota"][1]["for_this_run"]
    assert told["next_run"] == "2026-06-01T14:05:00" and len(told["videos"]) == 2
    assert told["videos"][0]["information"] >= told["videos"][1]["information"] > 0
    shown = upswell(folder, "plan", "-n", "1").stdout
    assert "151 videos are due, 100 fit into this run" in shown and "of the growth to come" in shown


def test_what_did_not_come_is_said_with_its_reason(folder: Path, world: FakeCollector) -> None:
    world.missing = {"dQw4w9WgXcQ"}
    result = CliRunner().invoke(app, ["collect", "dQw4w9WgXcQ", "--json", "--home", str(folder)])
    assert "nothing of what was asked for came (server-error)" in str(result.exception)
    [row] = json.loads(result.stdout)
    assert (row["fetched"], row["missed"]) == (0, 1)
    assert row["misses"] == ["1 videos: server-error: dQw4w9WgXcQ: 500"]


def test_a_plan_without_a_key_says_the_way_out(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UPSWELL_YOUTUBE_API_KEY", raising=False)
    [told] = json.loads(upswell(folder, "plan", "--json").stdout)
    assert "set UPSWELL_YOUTUBE_API_KEY" in told["held"] and told["videos"] == []


def test_nothing_is_planned_by_default(tmp_path: Path, folder: Path) -> None:
    assert json.loads(upswell(tmp_path, "plan", "--json").stdout) == []
    os.environ["UPSWELL_HOME"] = str(folder)


def asked(home: Path, *links: str, **options: object) -> list[dict[str, object]]:
    given = {"channels": [], "topics": [], "source": None, "collector": None, "parts": "videos"} | options
    return orders(load_settings(home), links, **given)  # type: ignore[arg-type]


def test_what_is_asked_goes_to_the_collector_of_its_platform(tmp_path: Path, folder: Path) -> None:
    tiktok = "https://www.tiktok.com/@someone/video/7106594312292453675"
    found = asked(tmp_path, "https://www.youtube.com/shorts/dQw4w9WgXcQ", tiktok)
    assert [(one["collector"], one["videos"]) for one in found] == [
        ("yt_dlp", ["dQw4w9WgXcQ"]),
        ("tiktok", ["7106594312292453675"]),
    ]
    [found_] = asked(folder, video_ids(1)[0], topics=["street food"], channels=["@name"])
    assert (found_["collector"], found_["topics"], found_["channels"]) == ("youtube_api", ["street food"], ["@name"])
    [found_] = asked(folder, collector="youtube_rss", channels=["https://www.youtube.com/channel/UC" + "c" * 22])
    assert (found_["collector"], found_["channels"]) == ("youtube_rss", ["UC" + "c" * 22])


@pytest.mark.parametrize(
    ("links", "options", "said"),
    [
        (["https://example.com/x"], {}, "is no link to a video or channel"),
        ([], {"source": "shorts", "topics": ["x"]}, "stands alone"),
        ([], {"topics": ["x"], "parts": "likes"}, "there are videos"),
        ([], {"topics": ["x"], "collector": "vimeo"}, "there are youtube_api"),
        (["https://youtu.be/dQw4w9WgXcQ"], {"collector": "tiktok"}, "cannot be asked for youtube"),
    ],
)
def test_what_does_not_go_together_is_said(
    folder: Path, links: list[str], options: dict[str, object], said: str
) -> None:
    with pytest.raises((UsageError, ValueError), match=said):
        asked(folder, *links, **options)
