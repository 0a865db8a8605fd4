"""A collection run on rows and outcomes: what it lands, what a killed one leaves, and what it never does twice."""

import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from assets.raw.collection import spool
from assets.raw.collection.collect import Collection, HeldError
from resources.collectors.base import CollectError, Order
from resources.media.states import Reason
from resources.settings import CollectedSource
from tests.collection.fakes import NOW, Clock, FakeCollector, Video, new_home, platform, rows, video_ids
from warehouse.connection import Warehouse

SOURCE = CollectedSource(collector="youtube_api", channels=("UC" + "c" * 22,))


class Home:
    """A home with a pretended platform."""

    def __init__(self, folder: Path, *, runs: int = 0) -> None:
        self.warehouse, self.settings = new_home(folder)
        self.clock = Clock()
        self.fake = FakeCollector(self.clock, platform(120, NOW - timedelta(hours=3)))
        self.runs = runs

    @property
    def collection(self) -> Collection:
        return Collection(self.warehouse, self.settings, self.fake, self.clock)

    def run(self, source: CollectedSource = SOURCE, run_id: str | None = None):  # type: ignore[no-untyped-def]
        self.runs += 1
        return self.collection.scheduled("shorts", source, run_id or f"run-{self.runs}")

    def ask(self, *videos: str):  # type: ignore[no-untyped-def]
        self.runs += 1
        return self.collection.on_demand(Order(videos=videos), f"run-{self.runs}")

    def rows(self, query: str) -> list[dict[str, object]]:
        return rows(self.warehouse, query)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An empty home, and one with 120 videos of three hours that a first run has landed."""
    empty, collected = (tmp_path_factory.mktemp(name) / "home" for name in ("empty", "collected"))
    Home(empty).rows("SELECT 1")
    shutil.copytree(empty, collected)
    Home(collected).run()
    return empty, collected


@pytest.fixture
def home(finished: tuple[Path, Path], tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(finished[0], tmp_path / "home")))


@pytest.fixture
def collected(finished: tuple[Path, Path], tmp_path: Path) -> Home:
    return Home(Path(shutil.copytree(finished[1], tmp_path / "home")), runs=1)


def test_a_run_lands_what_it_fetched_and_says_so(home: Home) -> None:
    done = home.run()
    assert (done.row["state"], done.row["fetched"], done.row["live"], done.row["replies"]) == ("done", 120, 120, 3)
    assert done.spent == {"search": 0, "units": 4} and done.left == {"search": 100, "units": 9_996}
    [row] = home.rows("SELECT * FROM raw.collections")
    assert row["channels"] == list(SOURCE.channels) and row["newest_known_at"] == NOW and row["ended_at"] == NOW
    [landing] = home.rows("SELECT names, rows_read, accepted FROM raw.landings")
    assert landing["accepted"] == 120 and row["landings"] == landing["names"]
    assert home.rows("SELECT count(*) AS n FROM raw.snapshots") == [{"n": 120}]
    assert not list((home.warehouse.home / spool.FOLDER).glob("[!.]*"))


def test_what_is_due_is_looked_at_again_and_nothing_else(collected: Home) -> None:
    collected.fake.asked.clear()
    assert collected.run(CollectedSource(collector="youtube_api")).row["asked"] == 0
    collected.clock.forward(hours=1.5)  # 4.5 h old: the look at 4 h is due
    done = collected.run(CollectedSource(collector="youtube_api"))
    assert (done.row["due"], done.row["asked"]) == (120, 120) and sorted(collected.fake.asked) == video_ids(120)


def test_ages_missed_in_an_outage_are_one_look(collected: Home) -> None:
    collected.clock.forward(days=3)
    assert collected.run(CollectedSource(collector="youtube_api")).row["asked"] == 120
    assert collected.run(CollectedSource(collector="youtube_api")).row["asked"] == 0


def test_a_run_stays_inside_its_share_of_the_day(collected: Home) -> None:
    collected.clock.forward(hours=2)
    done = collected.run(CollectedSource(collector="youtube_api", units={"units": 40}))
    assert (done.row["due"], done.row["asked"], done.spent["units"]) == (120, 100, 2)


def test_states_are_kept_and_final_ones_are_not_asked_for_again(collected: Home) -> None:
    names = video_ids(120)
    collected.fake.videos[names[0]].status = "private"
    del collected.fake.videos[names[1]]
    again = CollectedSource(collector="youtube_api")
    collected.clock.forward(hours=6)
    done = collected.run(again)
    assert (done.row["live"], done.row["private"], done.row["unavailable"]) == (118, 1, 1)
    for _ in range(2):  # unavailable three times in a row is for good
        collected.clock.forward(days=3)
        assert collected.run(again).row["unavailable"] == 1
    collected.fake.asked.clear()
    collected.clock.forward(days=7)
    assert collected.run(again).row["asked"] == 118
    assert not {names[0], names[1]} & set(collected.fake.asked)
    assert collected.ask(names[0]).row["asked"] == 1  # on demand anything can be asked for


def test_what_could_not_be_had_is_noted_and_waits(collected: Home) -> None:
    name = video_ids(1)[0]
    collected.fake.missing = {name}
    again = CollectedSource(collector="youtube_api")
    collected.clock.forward(hours=1.5)
    assert collected.run(again).row["missed"] == [name]
    collected.clock.forward(minutes=5)
    assert collected.collection.intention("shorts", again).order.videos == ()
    collected.clock.forward(minutes=10)
    assert collected.collection.intention("shorts", again).order.videos == (name,)


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.collection.test_collect import Home, SOURCE

home = Home(Path(sys.argv[1]))
append, folder = os.write, home.warehouse.home / "collecting"

def half(descriptor, content):
    name = os.readlink(f"/proc/self/fd/{descriptor}")
    if "collecting" in name and home.fake.requests == 3 and len(content) > 100:
        append(descriptor, bytes(content)[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
    return append(descriptor, content)

os.write = half
home.run()
"""


def test_kill_in_the_middle_of_a_page_loses_no_whole_page(home: Home) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(home.warehouse.home)], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    [part] = (home.warehouse.home / spool.FOLDER).glob("*.part")
    assert not part.read_bytes().endswith(b"\n") and part.read_bytes().count(b"\n") == 1
    done = home.run(CollectedSource(collector="youtube_api"), run_id="next")
    assert done.results[0].accepted == 50
    first, second = home.rows("SELECT state, fetched, landings FROM raw.collections ORDER BY started_at, state DESC")
    assert (first["state"], first["fetched"], len(first["landings"])) == ("killed", 50, 1)  # type: ignore[arg-type]
    assert second["state"] == "done"
    [reserved] = home.rows("SELECT reserved, spent FROM raw.quota WHERE bucket = 'units' AND spent IS NULL")
    assert reserved["reserved"] == 7  # what was reserved stays spent
    assert home.rows("SELECT quarantined FROM raw.landings") == [{"quarantined": 0}]


def test_a_killed_run_without_a_reply_is_closed(home: Home) -> None:
    def die(number: int) -> None:
        raise KeyboardInterrupt

    home.fake.before = die
    with pytest.raises(KeyboardInterrupt):
        home.run()
    home.fake.before = lambda number: None
    home.run()
    assert [row["state"] for row in home.rows("SELECT state FROM raw.collections ORDER BY state")] == ["done", "killed"]


def test_a_second_try_of_a_run_asks_for_nothing_again(home: Home) -> None:
    first = home.run(run_id="same")
    asked = home.fake.requests
    again = home.run(run_id="same")
    assert home.fake.requests == asked and again.row["fetched"] == first.row["fetched"]


def test_two_runs_at_once_do_not_collect_twice(home: Home) -> None:
    with spool.only_one(home.warehouse.home, "youtube_api"), pytest.raises(spool.UnderWayError, match="youtube_api"):
        home.run()
    assert home.fake.requests == 0


def test_a_living_runs_files_are_left_alone(home: Home) -> None:
    def other(number: int) -> None:
        if number == 3:
            assert home.collection.recover().results == ()
            assert len(list((home.warehouse.home / spool.FOLDER).glob("*.part"))) == 1

    home.fake.before = other
    assert home.run().row["fetched"] == 120


def test_what_collectors_keep_beside_the_files_is_left_alone(home: Home) -> None:
    folder = home.warehouse.home / spool.FOLDER
    (folder / "media" / "youtube").mkdir(parents=True)
    (folder / "etags.json").write_text("{}")
    assert home.run().row["state"] == "done"
    assert (folder / "etags.json").read_text() == "{}" and (folder / "media" / "youtube").is_dir()


def test_pictures_and_films_are_taken_up(home: Home) -> None:
    from PIL import Image

    from resources.collectors.ytdlp import keep_media

    fetched = home.warehouse.home / "fetched"
    fetched.mkdir()
    Image.new("RGB", (64, 36), "red").save(fetched / f"{video_ids(1)[0]}.png")
    keep_media(home.warehouse.home, "yt_dlp", fetched, video_ids(1)[0], NOW)
    home.fake.name, home.fake.parts = "yt_dlp", frozenset({"videos", "media"})
    home.ask(video_ids(1)[0])
    assert home.rows("SELECT video_id FROM raw.media") == [{"video_id": video_ids(1)[0]}]
    assert not (fetched / "yt_dlp").exists()


def test_an_expired_key_fails_the_run_and_keeps_what_came(home: Home) -> None:
    def expire(number: int) -> None:
        if number == 3:
            raise CollectError(Reason.KEY_REFUSED, "the key has expired; renew it")

    home.fake.before = expire
    done = home.run()
    assert done.failed and (done.row["reason"], done.row["fetched"]) == ("key-refused", 50)
    assert "renew it" in done.row["detail"]


def test_a_quota_that_the_source_says_is_spent_holds_until_its_midnight(home: Home) -> None:
    def spent(number: int) -> None:
        raise CollectError(Reason.QUOTA_SPENT, "quotaExceeded", bucket="units")

    home.fake.before = spent
    done = home.run()
    assert not done.failed and done.row["state"] == "stopped"
    home.fake.before = lambda number: None
    home.clock.forward(hours=18)  # 06:00 UTC: an hour before midnight in California
    with pytest.raises(HeldError, match="nothing is asked before 2026-06-02 07:00 UTC"):
        home.run()
    home.clock.forward(hours=1)
    assert home.run().row["fetched"] == 120


def test_a_source_is_not_asked_before_it_said(home: Home) -> None:
    def later(number: int) -> None:
        raise CollectError(Reason.RATE_LIMITED, "429", retry_after=timedelta(minutes=30))

    home.fake.before = later
    assert home.run().row["state"] == "stopped"
    for minutes in (10, 10):
        home.clock.forward(minutes=minutes)
        with pytest.raises(HeldError):
            home.run()
    assert home.fake.requests == 1


def test_a_run_that_meets_midnight_stops_there(home: Home) -> None:
    home.clock.now = NOW.replace(hour=6, minute=59)
    home.fake.before = lambda number: home.clock.forward(seconds=40) and None  # type: ignore[func-returns-value]
    done = home.run()
    assert done.row["state"] == "stopped" and done.spent["units"] == 2 and done.row["fetched"] == 50


def test_a_clock_that_goes_back_gives_no_quota_again(home: Home) -> None:
    home.settings = home.settings.model_copy()
    home.fake.limits = {"search": 100, "units": 6}
    assert home.ask(*video_ids(120)).left["units"] == 3
    home.clock.forward(days=-2)
    assert home.ask(*video_ids(120)).left["units"] == 0
    with pytest.raises(HeldError, match="does not pay for it"):
        home.ask(*video_ids(1))


def test_the_same_video_through_two_collectors_is_one_video(home: Home) -> None:
    name = video_ids(1)[0]
    home.ask(name)
    other = FakeCollector(home.clock, home.fake.videos, name="yt_dlp", limits={})
    home.clock.forward(minutes=5)
    Collection(home.warehouse, home.settings, other, home.clock).on_demand(Order(videos=(name,)), "other")
    assert home.rows("SELECT DISTINCT source, video_id FROM raw.videos") == [{"source": "youtube", "video_id": name}]
    assert len(home.rows("SELECT * FROM raw.snapshots")) == 2
    home.clock.forward(hours=3)  # due once, whoever asks
    assert len(home.collection.due(home.clock())) == 1


def test_a_renamed_channel_keeps_its_id(home: Home) -> None:
    name = video_ids(1)[0]
    home.ask(name)
    home.fake.videos[name].channel_name = "Another name"
    home.clock.forward(hours=1)
    home.ask(name)
    found = home.rows("SELECT channel_id, name FROM raw.channels ORDER BY observed_at")
    assert [row["name"] for row in found] == ["A channel", "Another name"]
    assert {row["channel_id"] for row in found} == {"UC" + "c" * 22}


FULL = """
import resource, sys
from pathlib import Path
from assets.raw.collection.spool import SpoolFullError
from tests.collection.test_collect import Home

home = Home(Path(sys.argv[1]))
def shrink(number):
    if number == 3:
        [part] = (home.warehouse.home / "collecting").glob("*.part")
        resource.setrlimit(resource.RLIMIT_FSIZE, (part.stat().st_size + 100, resource.RLIM_INFINITY))
home.fake.before = shrink
try:
    home.run()
except SpoolFullError as error:
    print(error.strerror)
"""


def test_a_full_disk_says_so_and_loses_nothing(home: Home) -> None:
    told = subprocess.run([sys.executable, "-c", FULL, str(home.warehouse.home)], capture_output=True, text=True)
    assert "the 1 replies before this one are kept" in told.stdout, told.stderr
    done = home.run(CollectedSource(collector="youtube_api"), run_id="next")
    assert done.results[0].accepted == 50 and done.results[0].quarantined == 0


def test_ingestion_that_cannot_write_leaves_the_files(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (home.warehouse.home / "landings").write_text("in the way of the folder")
    with pytest.raises(ValueError, match="cannot be kept"):
        home.run()
    assert len(list((home.warehouse.home / spool.FOLDER).glob("*.jsonl"))) == 1
    (home.warehouse.home / "landings").unlink()
    assert home.run(CollectedSource(collector="youtube_api")).results[0].accepted == 120


def test_topics_that_the_day_does_not_pay_for_take_turns(home: Home) -> None:
    source = CollectedSource(collector="youtube_api", topics=("one", "two", "three"), units={"search": 24}, keep_back=0)
    searched = []
    for _ in range(4):
        searched += home.run(source).row["topics"]
        home.clock.forward(hours=1)
    counts = [searched.count(topic) for topic in source.topics]
    assert 4 <= len(searched) < 12 and max(counts) - min(counts) <= 1


def test_links_that_were_never_seen_come_first(home: Home) -> None:
    new = "w" * 11
    home.fake.videos[new] = Video(NOW - timedelta(days=400))
    done = home.collection.scheduled("shorts", CollectedSource(collector="youtube_api"), "a", links=[new])
    assert done.row["asked"] == 1 and home.fake.asked == [new]
    assert (
        home.collection.scheduled("shorts", CollectedSource(collector="youtube_api"), "b", links=[new]).row["asked"]
        == 0
    )


def test_only_the_warehouse_is_remembered(collected: Home) -> None:
    """A restart in between changes nothing of the plan."""
    collected.clock.forward(hours=5)
    before = collected.collection.intention("shorts", SOURCE)
    fresh = Collection(
        Warehouse(collected.warehouse.home), collected.settings, collected.fake, collected.clock
    ).intention("shorts", SOURCE)
    assert (fresh.order, fresh.left, list(fresh.due.video_id)) == (before.order, before.left, list(before.due.video_id))
