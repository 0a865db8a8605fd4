"""Which contents a video has had, in order; what is no longer referred to goes everywhere."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from assets.embeddings.contents import EMPTY_TEXT, refresh_contents, texts
from assets.embeddings.encode import encode_missing
from resources.policy import Override
from tests.embeddings.fakes import NOW, Hashing, content, media, text_id
from tests.features.raw_rows import T0, RawRows, hours, insert
from warehouse.connection import Warehouse


@pytest.fixture
def warehouse(home: Path) -> Warehouse:
    return Warehouse(home, patience_s=10)


def contents(warehouse: Warehouse, columns: str = "video_id, modality, content_id, rank") -> list[tuple[Any, ...]]:
    with warehouse.read() as con:
        return con.execute(f"SELECT {columns} FROM embeddings.contents ORDER BY ALL").fetchall()


def count(warehouse: Warehouse, name: str) -> int:
    return int(warehouse.query(f"SELECT count(*) AS n FROM {name}").to_pylist()[0]["n"])


def test_a_text_is_title_and_description_and_edits_come_after_it(warehouse: Warehouse) -> None:
    raw = RawRows().video("v1", T0, title="one", description="more").video("v1", T0 + hours(5), title="two")
    raw.video("v1", T0 + hours(9), title="one", description="more").write(warehouse)
    found = refresh_contents(warehouse, NOW)
    assert contents(warehouse, "rank, content_id, known_at") == [
        (1, text_id("one", "more"), T0),
        (2, text_id("two"), T0 + hours(5)),
    ]
    assert found.added == {"text": 2, "image": 0, "audio": 0, "video": 0}
    assert texts(warehouse, [text_id("one", "more"), text_id("two"), "0" * 64]) == {
        text_id("one", "more"): "one\nmore",
        text_id("two"): "two\n",
    }


def test_content_counts_from_when_it_was_observed_and_known(warehouse: Warehouse) -> None:
    RawRows().video("v1", T0, known=T0 + hours(48), title="late").write(warehouse)
    refresh_contents(warehouse, T0 + hours(47))
    assert contents(warehouse) == []
    refresh_contents(warehouse, T0 + hours(48))
    assert contents(warehouse, "known_at") == [(T0 + hours(48),)]


def test_content_that_becomes_known_late_but_was_usable_first_takes_the_first_rank(warehouse: Warehouse) -> None:
    RawRows(landing="a").video("v1", T0 + hours(9), title="second").write(warehouse)
    refresh_contents(warehouse, NOW)
    RawRows(landing="b").video("v1", T0, title="first").write(warehouse)
    assert refresh_contents(warehouse, NOW).changed["text"] == 1
    assert contents(warehouse, "rank, content_id") == [(1, text_id("first")), (2, text_id("second"))]


def test_a_video_without_any_text_has_the_empty_one(warehouse: Warehouse) -> None:
    RawRows().video("v1", T0, title=None).video("v2", T0, title="", description="").write(warehouse)
    refresh_contents(warehouse, NOW)
    assert {content_id for (content_id,) in contents(warehouse, "content_id")} == {EMPTY_TEXT}
    assert texts(warehouse, [EMPTY_TEXT]) == {EMPTY_TEXT: "\n"}


def test_media_have_modalities_and_a_film_has_its_sound_too(warehouse: Warehouse) -> None:
    for kind in ("thumbnail", "image", "audio", "video", "frame"):
        media(warehouse, "v1", kind, f"{kind}-bytes", T0)
    media(warehouse, "v1", "image", "not-here", T0, state="retryable")
    content(warehouse, "video-bytes", "video", sound_id="its-sound")
    refresh_contents(warehouse, NOW)
    assert contents(warehouse) == [
        ("v1", "audio", "audio-bytes", 1),
        ("v1", "audio", "its-sound", 2),
        ("v1", "image", "image-bytes", 1),
        ("v1", "image", "thumbnail-bytes", 2),
        ("v1", "video", "video-bytes", 1),
    ]


def test_a_second_refresh_writes_nothing(warehouse: Warehouse) -> None:
    RawRows().video("v1", T0).video("v2", T0).write(warehouse)
    refresh_contents(warehouse, NOW)
    before = warehouse.path.stat().st_mtime_ns
    again = refresh_contents(warehouse, NOW + timedelta(days=1))
    assert warehouse.path.stat().st_mtime_ns == before
    assert not any(map(sum, (again.added.values(), again.changed.values(), again.removed.values())))


def test_a_source_that_nothing_may_be_made_from_has_no_contents(warehouse: Warehouse) -> None:
    RawRows().video("v1", T0, title="said").write(warehouse)
    assert refresh_contents(warehouse, NOW).added["text"] == 1
    strict = {"demo": Override(policy="youtube_api")}
    assert refresh_contents(warehouse, NOW, strict).removed["text"] == 1
    assert contents(warehouse) == []
    assert refresh_contents(warehouse, NOW).added["text"] == 1


def test_removed_content_goes_everywhere_and_nothing_else_does(warehouse: Warehouse) -> None:
    RawRows(landing="kept").video("v1", T0, title="shared").write(warehouse)
    RawRows(landing="gone").video("v2", T0, title="shared").video("v3", T0, title="private").write(warehouse)
    refresh_contents(warehouse, NOW)
    encode_missing(warehouse, "text", Hashing(), None, now=NOW, run_id="run")
    made = {"encoder": "e", "revision": "1", "precision": "fp32", "preprocessing": "p"}
    with warehouse.write() as con:
        for content_id in (text_id("shared"), text_id("private")):
            failure = {"modality": "text", "reason": "undecodable", "failed_at": NOW}
            insert(con, "embeddings.failures", [{"content_id": content_id, **made, **failure}])
            shown = {"version": "1", "has_picture": False, "has_motion": False, "has_sound": False}
            insert(con, "embeddings.interpretation", [{"content_id": content_id, **shown}])
        for video in ("v1", "v2", "v3"):
            insert(con, "embeddings.fused", [_fused(video)])
        con.execute("DELETE FROM raw.videos WHERE landing_id = 'gone'")
    removed = refresh_contents(warehouse, NOW).removed
    assert removed["text"] == 2
    assert contents(warehouse) == [("v1", "text", text_id("shared"), 1)]
    for name in ("embeddings.text", "embeddings.failures", "embeddings.interpretation", "embeddings.fused"):
        assert count(warehouse, name) == 1, name


def test_a_clock_that_goes_back_removes_no_vector(warehouse: Warehouse) -> None:
    RawRows().video("v1", T0).write(warehouse)
    refresh_contents(warehouse, NOW)
    encode_missing(warehouse, "text", Hashing(), None, now=NOW, run_id="run")
    refresh_contents(warehouse, datetime(2024, 1, 2))
    assert contents(warehouse) == []
    assert count(warehouse, "embeddings.text") == 1


def _fused(video: str) -> dict[str, Any]:
    masks = {f"has_{modality}": modality == "text" for modality in ("text", "image", "audio", "video")}
    return {"fusion": "f", "source": "demo", "video_id": video, "status": "full", "version": "1", **masks}
