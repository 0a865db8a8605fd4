"""Folders of media: every record accepted, a duplicate or set aside, and the same folder twice changes nothing."""

import json
import os
import signal
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assets.raw.errors import IngestError
from assets.raw.media import ingest_media, prepare_contents
from resources.media import contents
from tests.media import make
from tests.media.conftest import NOW, Place

EARLIER, LATER = NOW - timedelta(days=10), NOW + timedelta(days=1)
TABLES = ("landings", "media", "contents", "duplicates", "quarantine")


def dump(place: Place) -> dict[str, list[tuple[Any, ...]]]:
    return {table: place.rows(f"SELECT * FROM raw.{table} ORDER BY ALL") for table in TABLES}


def test_ids_come_from_the_file_names(place: Place) -> None:
    place.put({"v1.jpg": make.picture(1, kind="JPEG"), "sub/v2.wav": make.wav(0.2)})
    result = place.take()
    counts = {name: result[name] for name in ("rows_read", "accepted", "duplicate", "quarantined", "reasons")}
    assert counts == {"rows_read": 2, "accepted": 2, "duplicate": 0, "quarantined": 0, "reasons": {}}
    assert result["prepared"] == {"prepared": 2, "done": 2, "terminal": 0, "reasons": {}}
    found = place.rows("SELECT video_id, kind, position, uri, state, attempts FROM raw.media ORDER BY video_id")
    assert found == [("v1", "image", 0, "v1.jpg", "done", 1), ("v2", "audio", 0, "sub/v2.wav", "done", 1)]
    landing = place.rows("SELECT source, kind, names, adapter, time_source, received_at, known_at FROM raw.landings")
    assert landing == [("s", "media", ["files"], "media", "arrival", NOW, NOW)]
    assert place.rows("SELECT DISTINCT observed_at, known_at FROM raw.media") == [(NOW, NOW)]


def test_the_manifest_is_the_landing(place: Place) -> None:
    place.put({"v1.jpg": make.picture(1, kind="JPEG")})
    landing_id = place.take()["landing_id"]
    lines = (place.home / "landings" / landing_id[:2] / landing_id).read_text().splitlines()
    content_id = place.rows("SELECT content_id FROM raw.media")[0][0]
    said = json.loads(lines[0])
    assert said == {
        "source": "s",
        "path": "v1.jpg",
        "video_id": "v1",
        "kind": "image",
        "sha256": content_id,
        "bytes": (place.folder / "v1.jpg").stat().st_size,
        "observed_at": None,
    }


def test_the_same_folder_again_changes_nothing(place: Place) -> None:
    place.put({"v1.jpg": make.picture(1), "v2.mp4": b"", "notes.txt": b"text"})
    place.take()
    before = dump(place)
    again = place.take(now=LATER)
    assert again["already_known"]
    assert again["prepared"]["prepared"] == 0
    assert dump(place) == before
    place.folder = place.folder.rename(place.home.parent / "other name")
    place.take(now=LATER)
    assert place.rows("SELECT names FROM raw.landings") == [(["files", "other name"],)]


def test_a_folder_that_grows_adds_what_is_new(place: Place) -> None:
    place.put({"v1.jpg": make.picture(1)})
    place.take()
    place.put({"v2.jpg": make.picture(2)})
    result = place.take(now=LATER)
    assert (result["accepted"], result["duplicate"], result["reasons"]) == (1, 1, {"duplicate": 1})
    assert place.rows("SELECT video_id, known_at FROM raw.media ORDER BY ALL") == [("v1", NOW), ("v2", LATER)]
    place.put({"v1.jpg": make.picture(3)})  # another picture under the same name is a second one of the video
    place.take(now=LATER + timedelta(days=1))
    assert place.rows("SELECT position, known_at FROM raw.media WHERE video_id = 'v1' ORDER BY ALL") == [
        (0, NOW),
        (1, LATER + timedelta(days=1)),
    ]


def test_the_same_bytes_under_two_ids_are_one_content(place: Place) -> None:
    place.put({"v1.jpg": make.picture(1), "v2.jpg": make.picture(1)})
    place.take()
    other = place.home.parent / "elsewhere"
    other.mkdir()
    (other / "v3.png").write_bytes(make.picture(1))
    result = place.take(other)
    assert result["prepared"]["prepared"] == 0
    assert place.rows("SELECT count(*), count(DISTINCT content_id) FROM raw.media") == [(3, 1)]
    assert place.rows("SELECT count(*) FROM raw.contents") == [(1,)]
    assert place.rows("SELECT DISTINCT state FROM raw.media") == [("done",)]


def test_what_cannot_be_read_is_accepted_as_terminal(place: Place) -> None:
    place.put(
        {
            "bomb.png": make.png_bomb(),
            "cut.jpg": make.picture(kind="JPEG", size=(200, 200))[:2000],
            "empty.mp4": b"",
            "page.jpg": b"<html>no</html>",
            "corrupt.mp4": b"\0\0\0\x18ftypmp42" + b"x" * 500,
            "fine.gif": make.gif(1),
        }
    )
    result = place.take()
    assert (result["accepted"], result["quarantined"]) == (6, 0)
    reasons = {"empty": 1, "too-large": 1, "undecodable": 2, "unsupported": 1}
    assert result["prepared"] == {"prepared": 6, "done": 1, "terminal": 5, "reasons": reasons}
    assert place.rows("SELECT video_id, kind, state, reason FROM raw.media ORDER BY ALL") == [
        ("bomb", "image", "terminal", "too-large"),
        ("corrupt", "video", "terminal", "undecodable"),
        ("cut", "image", "terminal", "undecodable"),
        ("empty", "video", "terminal", "empty"),
        ("fine", "image", "done", None),
        ("page", "image", "terminal", "unsupported"),
    ]


def test_a_file_that_is_too_large_is_not_kept_until_the_limit_is_raised(place: Place) -> None:
    place.put({"v1.png": make.picture(1)})
    roomy, place.settings = place.settings, place.changed(max_bytes=50)
    place.take()
    assert place.rows("SELECT state, reason, content_id FROM raw.media") == [("terminal", "too-large", None)]
    place.settings = roomy
    assert place.take()["already_known"]
    assert place.rows("SELECT state, reason, content_id IS NULL FROM raw.media") == [("done", None, False)]


def index(place: Place, text: str, name: str = "index.csv") -> Path:
    path = place.folder / name
    path.write_text(text)
    return path


def test_an_index_says_whose_the_files_are(place: Place) -> None:
    place.put({"a.png": make.picture(1), "b.png": make.picture(2), "c.png": make.picture(3)})
    path = index(
        place,
        "path,video_id,kind,observed_at\n"
        "a.png,v1,thumbnail,2025-11-01\n"
        "./b.png,v1,frame,2025-11-01T12:00:00+02:00\n"
        "c.png,v2,,\n",
    )
    result = place.take(index=path)
    assert (result["accepted"], result["quarantined"]) == (3, 0)
    assert place.rows("SELECT video_id, kind, position, observed_at, known_at FROM raw.media ORDER BY uri") == [
        ("v1", "thumbnail", 0, datetime(2025, 11, 1), datetime(2025, 11, 1)),
        ("v1", "frame", 0, datetime(2025, 11, 1, 10), datetime(2025, 11, 1, 10)),
        ("v2", "image", 0, NOW, NOW),
    ]
    assert place.rows("SELECT time_source, known_at FROM raw.landings") == [("row", NOW)]


def test_an_index_in_json_lines_and_with_other_names(place: Place) -> None:
    place.put({"a.png": make.picture(1)})
    path = index(place, '{"file": "a.png", "id": 7}\n', "index.jsonl")
    with pytest.raises(IngestError, match=r"no column path: name it with --map path=COLUMN; there are file, id"):
        place.take(index=path)
    place.take(index=path, mapping={"path": "file", "video_id": "id"})
    assert place.rows("SELECT video_id, uri FROM raw.media") == [("7", "a.png")]


def test_records_of_an_index_that_cannot_be_used_are_set_aside(place: Place) -> None:
    place.put({"a.png": make.picture(1), "b.txt": b"text", "spare.png": make.picture(2)})
    path = index(
        place,
        "path,video_id,kind,observed_at\n"
        "a.png,,,\n"
        ",v1,,\n"
        "gone.png,v2,,\n"
        "../secret,v3,,\n"
        "/etc/passwd,v4,,\n"
        "a.png,v5,picture,\n"
        "a.png,v6,,yesterday\n"
        "a.png,v7,,2031-01-01\n"
        "a.png,v8,,1999-01-01\n"
        "b.txt,v9,,\n"
        "a.png,v10,,\n"
        "a.png,v10,,\n",
    )
    result = place.take(index=path)
    assert (result["rows_read"], result["accepted"], result["duplicate"], result["quarantined"]) == (13, 1, 1, 11)
    found = place.rows("SELECT row_number, reason, field, value FROM raw.quarantine ORDER BY row_number")
    assert found == [
        (1, "missing_id", "video_id", None),
        (2, "missing_path", "path", None),
        (3, "missing_file", "path", "gone.png"),
        (4, "outside_folder", "path", "../secret"),
        (5, "outside_folder", "path", "/etc/passwd"),
        (6, "bad_kind", "kind", "picture"),
        (7, "bad_observed_at", "observed_at", "yesterday"),
        (8, "observed_in_future", "observed_at", "2031-01-01T00:00:00"),
        (9, "before_start", "observed_at", "1999-01-01T00:00:00"),
        (10, "not_media", "path", "b.txt"),
        (13, "not_in_index", "path", "spare.png"),
    ]
    record = place.rows("SELECT record FROM raw.quarantine WHERE row_number = 3")[0][0]
    assert json.loads(record)["video_id"] == "v2"
    assert result["reasons"]["duplicate"] == 1


def test_the_operator_may_say_when(place: Place) -> None:
    place.put({"v1.png": make.picture(1)})
    place.take(observed_at=EARLIER)
    assert place.rows("SELECT observed_at, known_at FROM raw.media") == [(EARLIER, EARLIER)]
    assert place.rows("SELECT known_at FROM raw.contents") == [(EARLIER,)]
    assert place.rows("SELECT time_source, known_at, received_at FROM raw.landings") == [("operator", EARLIER, NOW)]


def test_the_order_of_two_landings_does_not_matter(tmp_path: Path) -> None:
    dumps = []
    for number, order in enumerate([(None, EARLIER), (EARLIER, None)]):
        home = tmp_path / str(number) / "home"
        home.mkdir(parents=True)
        place = Place(home)
        place.put({"v1.png": make.picture(1), "v2.png": make.picture(2)})
        for observed_at in order:
            place.take(observed_at=observed_at)
        dumps.append(dump(place))
        assert place.rows("SELECT rows_read, accepted, duplicate FROM raw.landings ORDER BY known_at") == [
            (2, 2, 0),
            (2, 0, 2),
        ]
    assert dumps[0] == dumps[1]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(st.sampled_from(["a.png", "b.png", "gone", ""]), st.sampled_from(["v1", "v2", ""]))))
def test_every_record_is_accounted_for(place: Place, rows: list[tuple[str, str]]) -> None:
    place.put({"a.png": make.picture(1), "b.png": make.picture(1)})
    path = index(place, "path,video_id\n" + "".join(f"{path},{video}\n" for path, video in rows))
    place.take(index=path)
    counted = place.rows(
        """SELECT landing_id, rows_read, accepted, duplicate, quarantined,
               (SELECT count(DISTINCT row_number) FROM raw.media AS m WHERE m.landing_id = l.landing_id),
               (SELECT count(*) FROM raw.duplicates AS d WHERE d.landing_id = l.landing_id),
               (SELECT count(*) FROM raw.quarantine AS q WHERE q.landing_id = l.landing_id)
           FROM raw.landings AS l"""
    )
    for _, read, *said_and_found in counted:
        said, found = said_and_found[:3], said_and_found[3:]
        assert said == found
        assert read == sum(said)
    keys = "source, video_id, kind, position, uri"
    assert place.rows(f"SELECT {keys} FROM raw.media GROUP BY ALL HAVING count(*) > 1") == []


def test_what_is_no_folder_or_empty_is_refused(place: Place) -> None:
    with pytest.raises(IngestError, match="there is no file in it"):
        place.take()
    with pytest.raises(IngestError, match="no such folder"):
        place.take(place.folder / "gone")
    place.put({"v1.png": make.picture(1)})
    with pytest.raises(IngestError, match="no such index"):
        place.take(index=place.folder / "gone.csv")
    assert place.rows("SELECT count(*) FROM raw.landings") == [(0,)]


def test_ten_thousand_records_are_written_in_bulk(place: Place) -> None:
    place.put({"a.png": make.picture(1)})
    rows = "".join(f"a.png,v{number}\n" for number in range(10_000))
    path = index(place, "path,video_id\n" + rows)
    result = place.take(index=path)
    assert result["accepted"] == 10_000
    assert place.rows("SELECT count(*), count(DISTINCT content_id) FROM raw.media WHERE state = 'done'") == [
        (10_000, 1)
    ]


def test_another_version_of_the_preparation_reads_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put({"v1.png": make.picture(1)})
    place.take()
    monkeypatch.setattr(contents, "PREPARATION", "next")
    assert prepare_contents(place.warehouse, place.settings, NOW)["prepared"] == 1
    assert prepare_contents(place.warehouse, place.settings, NOW)["prepared"] == 0
    assert place.rows("SELECT preparation FROM raw.contents") == [("next",)]


def test_bytes_that_are_lost_are_told_and_can_come_back(place: Place) -> None:
    place.put({"v1.png": make.picture(1)})
    place.take()
    content_id = place.rows("SELECT content_id FROM raw.media")[0][0]
    with place.warehouse.write() as con:
        con.execute("DELETE FROM raw.contents")
    place.store.remove(content_id)
    assert prepare_contents(place.warehouse, place.settings, NOW)["reasons"] == {"not-found": 1}
    assert place.rows("SELECT state, reason FROM raw.media") == [("terminal", "not-found")]
    assert prepare_contents(place.warehouse, place.settings, NOW)["prepared"] == 0
    assert place.take()["prepared"]["done"] == 1
    assert place.rows("SELECT state, reason FROM raw.media") == [("done", None)]


# Prepares in batches of four and says so, so that a parent can kill it in the middle of the work.
PROGRAM = """
import sys
from datetime import datetime
from pathlib import Path
from assets.raw import media
from resources.settings import load_settings
from warehouse import writer
from warehouse.connection import Warehouse
writer._AT_ONCE = 4
home = Path(sys.argv[1])
media.prepare_contents(
    Warehouse(home), load_settings(home), datetime(2025, 11, 20), lambda line: print(line, flush=True)
)
"""


def test_killed_in_the_middle_of_preparing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(40):
        place.put({f"v{number:02d}.png": make.picture(number, size=(400, 300))})
    make.film(place.folder / "film.mp4")
    monkeypatch.setattr("assets.raw.media.prepare_contents", lambda *arguments: {})
    place.take()
    monkeypatch.undo()
    prepared: list[int] = []
    for _ in range(2):
        program = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(place.home)], stdout=subprocess.PIPE, text=True, env={**os.environ}
        )
        assert program.stdout is not None
        assert "contents prepared" in program.stdout.readline()
        program.send_signal(signal.SIGKILL)
        program.wait(timeout=30)
        program.stdout.close()
        prepared.append(place.rows("SELECT count(*) FROM raw.contents")[0][0])
    assert 0 < prepared[0] < prepared[1] < 41
    rest = prepare_contents(place.warehouse, place.settings, NOW)
    assert rest["prepared"] == 41 - prepared[1]
    assert place.rows("SELECT count(*), count(DISTINCT content_id) FROM raw.contents") == [(41, 41)]
    assert place.rows("SELECT state, count(*) FROM raw.media GROUP BY ALL") == [("done", 41)]


def test_two_ingests_at_once(place: Place) -> None:
    place.put({"v1.png": make.picture(1)})
    program = """
import sys
from datetime import datetime
from pathlib import Path
from assets.raw.media import ingest_media
from resources.settings import load_settings
from warehouse.connection import Warehouse
home = Path(sys.argv[1])
ingest_media(Warehouse(home), load_settings(home), Path(sys.argv[2]), source="s", now=datetime(2025, 11, 20))
"""
    both = [subprocess.Popen([sys.executable, "-c", program, str(place.home), str(place.folder)]) for _ in range(2)]
    assert [each.wait(timeout=60) for each in both] == [0, 0]
    assert place.rows("SELECT count(*) FROM raw.media") == [(1,)]
    assert place.rows("SELECT count(*) FROM raw.landings") == [(1,)]


def test_a_disk_that_is_full_is_one_clear_error(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.put({"v1.png": make.picture(1)})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(IngestError, match=r"v1\.png: .*No space left on device; nothing was ingested"):
        ingest_media(place.warehouse, place.settings, place.folder, source="s", now=NOW)


def test_loading_the_module_does_not_load_pillow() -> None:
    program = "import sys, assets.raw.media; print([m for m in ('PIL', 'torch', 'imageio_ffmpeg') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
