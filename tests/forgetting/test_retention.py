"""Forgetting on time: what a rule no longer lets be kept goes row by row, the rest stays, and the landings say the same."""

from datetime import datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from assets.forgetting.retention import due
from assets.forgetting.run import forget_overdue, stored
from assets.models.training_set import freeze, thaw
from assets.raw.ingest import reread
from assets.raw.store import path_of
from resources.settings import load_settings
from tests.forgetting.test_forget import raw_rows
from tests.models.trained_home import insert
from tests.raw.conftest import NOW, House, landing, simulated

START = datetime(2025, 1, 1)


def observed(video: str, day: int, **fields: object) -> str:
    return simulated(video, (START + timedelta(days=day)).isoformat(), 100 + day, title=f"Title of {video}", **fields)


def under(house: House, rule: str) -> None:
    (house.home / "upswell.yaml").write_text(f"policies: {{simulator: {rule}}}\n")
    house.settings = load_settings(house.home)


def forget_at(house: House, day: int) -> dict[str, object] | None:
    return forget_overdue(house.warehouse, house.settings, START + timedelta(days=day))


def days_left(house: House, table: str = "snapshots") -> list[tuple[str, int]]:
    rows = house.rows(
        f"SELECT video_id, (observed_at::DATE - DATE '2025-01-01')::INTEGER FROM raw.{table} ORDER BY ALL"
    )
    return [(str(video), int(day)) for video, day in rows]


def sums(house: House) -> list[tuple[int, ...]]:
    return house.rows("SELECT rows_read, accepted, duplicate, quarantined FROM raw.landings ORDER BY names")


def test_rows_go_by_their_age_and_not_by_their_video(house: House) -> None:
    house.take("a.csv", landing(*(observed("v1", day) for day in (0, 20, 40)), observed("v2", 41)))
    under(house, "{statistics: 30d, text: 30d}")
    assert forget_at(house, 25) is None
    result = forget_at(house, 45)
    assert result is not None
    assert days_left(house) == days_left(house, "videos") == [("v1", 20), ("v1", 40), ("v2", 41)]
    assert (result["records"], result["landings"], result["found"]) == (1, 1, None)
    assert sums(house) == [(4, 3, 0, 1)]
    assert house.rows("SELECT reason FROM raw.quarantine") == [("forgotten",)]
    assert due(house.warehouse, house.settings, START + timedelta(days=45)) == []
    assert forget_at(house, 45) is None
    forget_at(house, 60)
    assert days_left(house) == [("v1", 40), ("v2", 41)]
    assert [row["kind"] for row in stored(house.warehouse)] == ["retention", "retention"]


def test_reading_again_gives_the_same_tables(house: House) -> None:
    house.take("a.csv", landing(*(observed("v1", day) for day in (0, 20, 40))))
    house.take("b.csv", landing(*(observed("v1", day) for day in (0, 40, 41))))
    under(house, "{statistics: 30d, text: 30d}")
    forget_at(house, 45)
    before = raw_rows(house.warehouse)
    for (landing_id,) in house.rows("SELECT landing_id FROM raw.landings"):
        reread(house.warehouse, house.settings, landing_id, NOW)
    assert raw_rows(house.warehouse) == before
    assert days_left(house) == [("v1", 20), ("v1", 40), ("v1", 41)]


@pytest.mark.parametrize(("rule", "titles", "views"), [("{text: 30d}", 1, 2), ("{statistics: 30d}", 2, 1)])
def test_a_class_of_fields_goes_alone(house: House, rule: str, titles: int, views: int) -> None:
    result = house.take("a.csv", landing(observed("v1", 0), observed("v1", 40)))
    under(house, rule)
    forget_at(house, 45)
    assert house.rows("SELECT count(title) FROM raw.videos") == [(titles,)]
    assert house.rows("SELECT count(views) FROM raw.snapshots") == [(views,)]
    assert forget_at(house, 45) is None
    [(landing_id,)] = house.rows("SELECT landing_id FROM raw.landings")
    text = path_of(house.home, landing_id).read_text()
    assert text.count("Title of v1") == titles
    assert not path_of(house.home, result.landing_id).exists()


def test_a_video_that_was_not_seen_again_goes_as_a_whole(house: House) -> None:
    house.take("a.csv", landing(observed("gone", 0), observed("gone", 3), observed("seen", 0), observed("seen", 12)))
    under(house, "{refresh_or_delete: 10d}")
    forget_at(house, 14)
    assert days_left(house) == [("seen", 0), ("seen", 12)]


def test_derived_rows_and_training_sets_go_with_what_they_were_made_from(house: House) -> None:
    house.take("a.csv", landing(observed("v1", 0), observed("v1", 40)))
    frame = pd.DataFrame({"source": "simulator", "video_id": ["v1", "v2"], "as_of": [START, NOW], "n": 1.0})
    set_id, _ = freeze(frame, house.home)
    made = {"source": "simulator", "target": "t", "cutoff": "24h", "origin": NOW.date(), "training_set_id": set_id}
    prints = dict.fromkeys(("schema_fingerprint", "feature_fingerprint", "data_version", "run_id"), "f") | {
        "created_at": NOW
    }
    shape = {"uri": "u", "bytes": 1, "rows": 1, "columns": ["n"], "made_by": "training"}
    insert(house.warehouse, "models.training_sets", {**made, **prints, **shape})
    for video, at in (("v1", START), ("v2", START + timedelta(days=40))):
        row = {"source": "simulator", "video_id": video, "target": "t", "anchor_day": at.date(), "anchor_at": at}
        insert(house.warehouse, "features.targets", {**row, "status": "pending"})
    under(house, "{statistics: 30d}")
    result = forget_at(house, 45)
    assert result is not None
    assert result["withdrawn_training_sets"] == [set_id]
    assert thaw(house.home, set_id)["video_id"].tolist() == ["v2"]
    assert house.rows("SELECT video_id FROM features.targets") == [("v2",)]
    assert house.rows("SELECT training_set_id FROM raw.withdrawn") == [(set_id,)]


def test_words_that_were_made_of_what_is_overdue_go_with_it(house: House) -> None:
    house.take("a.csv", landing(*(observed("v1", day) for day in (0, 40))))
    rows = [
        {"source": "simulator", "video_id": video, "origin": "manual", "text": "what was said", "state": "done"}
        | {"attempts": 0, "known_at": START + timedelta(days=day), "made_at": START + timedelta(days=day)}
        for video, day in (("old", 0), ("new", 40))
    ]
    insert(house.warehouse, "language.transcripts", *rows)
    under(house, "{text: 30d}")
    forget_at(house, 45)
    assert house.rows("SELECT video_id FROM language.transcripts") == [("new",)]


def test_a_source_without_a_limit_keeps_everything(house: House) -> None:
    house.take("a.csv", landing(observed("v1", 0)))
    assert due(house.warehouse, house.settings, START + timedelta(days=9999)) == []


def test_media_leave_the_store_when_nothing_younger_refers_to_them(house: House, tmp_path: Path) -> None:
    from assets.raw.media import ingest_media
    from resources.media.store import MediaStore

    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, colour in (("v1", b"a"), ("v2", b"b")):
        (folder / f"{name}.jpg").write_bytes(b"\xff\xd8\xff\xe0" + colour * 40)
    ingest_media(house.warehouse, house.settings, folder, source="simulator", now=START)
    ingest_media(house.warehouse, house.settings, folder, source="other", now=START)
    (folder / "v1.jpg").write_bytes(b"\xff\xd8\xff\xe0" + b"c" * 40)
    (folder / "v2.jpg").unlink()
    ingest_media(house.warehouse, house.settings, folder, source="simulator", now=START + timedelta(days=1))
    store = MediaStore(house.home)
    contents = [row[0] for row in house.rows("SELECT DISTINCT content_id FROM raw.media WHERE content_id IS NOT NULL")]
    assert len(contents) == 3
    under(house, "{media: 30d}")
    forget_at(house, 45)
    assert [store.has(content_id) for content_id in contents].count(True) == 2  # those that another source has too
    assert forget_at(house, 45) is None
