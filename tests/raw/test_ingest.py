"""A landing's way into the raw tables: kept, read, resolved, written; and what happens the second time."""

import hashlib
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assets.raw import store
from assets.raw.errors import IngestError
from assets.raw.ingest import LandingResult, files, ingest_all, replay, reread, unfinished
from resources.settings import load_settings
from tests.raw.conftest import NOW, House, landing, simulated

TABLES = ("landings", "landing_days", "videos", "snapshots", "channels", "availability", "duplicates", "quarantine")


def dump(house: House) -> dict[str, list[tuple[object, ...]]]:
    return {table: house.rows(f"SELECT * FROM raw.{table} ORDER BY ALL") for table in TABLES}


def test_the_bytes_are_kept_under_their_sha256(house: House) -> None:
    text = landing(simulated("v1", "2025-01-02T00:00:00", 10))
    result = house.take("a.csv", text)
    assert result.landing_id == hashlib.sha256(text.encode()).hexdigest()
    assert (house.home / "landings" / result.landing_id[:2] / result.landing_id).read_text() == text
    assert not list((house.home / "landings").glob(".incoming*"))


def test_the_same_bytes_again_change_only_the_names(house: House) -> None:
    text = landing(simulated("v1", "2025-01-02T00:00:00", 10))
    first = house.take("b.csv", text)
    before = dump(house)
    assert house.take("b.csv", text, now=NOW + timedelta(days=1)).already_known
    assert dump(house) == before
    again = house.take("a.csv", text)
    assert (again.already_known, again.names, again.accepted) == (True, ("a.csv", "b.csv"), first.accepted)
    assert house.rows("SELECT names, received_at FROM raw.landings") == [(["a.csv", "b.csv"], NOW)]


def test_the_first_name_decides_a_time_that_only_names_tell(house: House) -> None:
    """The same landing under two names gives the same tables, whichever came first."""
    header = "videoId,videoUrl,viewsText,publishedText,channelId,isShort,views\n"
    text = f"{header}aaaaaaaaaaa,u,,,c,True,5\n"
    house.take("default_20240705.csv", text)
    house.take("default_20240703.csv", text)
    assert house.rows("SELECT observed_at FROM raw.snapshots") == [(datetime(2024, 7, 3, 23, 59, 59),)]
    assert house.rows("SELECT day FROM raw.landing_days") == [(datetime(2024, 7, 3).date(),)]


def test_conservation_and_what_is_set_aside(house: House) -> None:
    result = house.take(
        "a.csv",
        landing(
            simulated("v1", "2025-01-02T00:00:00", 10),
            simulated("v1", "2025-01-02T00:00:00", 10),
            simulated("v1", "2025-01-02T00:00:00", 9),
            simulated("", "2025-01-02T00:00:00", 1),
            simulated("v2", "yesterday", 1),
            simulated("v2", "", 1),
            simulated("v2", "2001-01-01T00:00:00", 1),
            simulated("v2", "2031-01-01T00:00:00", 1),
            simulated("v3", "2025-01-02T00:00:00", "Share", likes=5),
            "too,few",
        ),
    )
    assert result.rows_read == 10 == result.accepted + result.duplicate + result.quarantined
    assert result.reasons == {
        "bad_columns": 1,
        "bad_count:views": 1,
        "bad_observed_at": 1,
        "before_start": 1,
        "conflict": 1,
        "duplicate": 1,
        "missing_id": 1,
        "missing_observed_at": 1,
        "observed_in_future": 1,
    }
    assert house.rows("SELECT video_id, views, likes, flags FROM raw.snapshots ORDER BY 1") == [
        ("v1", 10, 1, None),
        ("v3", None, 5, ["bad_count:views"]),
    ]
    assert house.rows("SELECT row_number, reason, field, value FROM raw.quarantine ORDER BY 1") == [
        (4, "missing_id", "video_id", ""),
        (5, "bad_observed_at", "observed_at", "yesterday"),
        (6, "missing_observed_at", "observed_at", ""),
        (7, "before_start", "observed_at", "2001-01-01T00:00:00"),
        (8, "observed_in_future", "observed_at", "2031-01-01T00:00:00"),
        (10, "bad_columns", None, None),
    ]
    kept = house.rows("SELECT record FROM raw.quarantine WHERE row_number IN (5, 10) ORDER BY row_number")
    assert '"collected_at":"yesterday"' in kept[0][0]
    assert kept[1] == ("too,few",)


def test_a_late_row_is_known_later_than_observed(house: House) -> None:
    text = landing(simulated("v1", "2025-01-02T00:00:00", 10)).replace("status\n", "status,known_at\n", 1)
    late = text.rstrip("\n") + ",2025-01-05T00:00:00\n"
    house.take("a.csv", late)
    assert house.rows("SELECT observed_at, known_at FROM raw.snapshots") == [
        (datetime(2025, 1, 2), datetime(2025, 1, 5))
    ]
    before = late.replace("2025-01-05", "2025-01-01")
    assert house.take("b.csv", before).reasons == {"observed_in_future": 1}


def test_columns_in_another_order_missing_and_new(house: House) -> None:
    text = "status,views,new_column,collected_at,video_id,channel_id,subscribers,published_at\nlive,5,x,2025-01-02T00:00:00,v1,c1,3,\n"
    result = house.take("a.csv", text)
    assert (result.source, result.accepted, result.notes) == ("simulator", 1, ("ignored columns: new_column",))
    assert house.rows("SELECT views, likes FROM raw.snapshots") == [(5, None)]


def test_a_missing_key_column_is_refused_with_the_remedy(house: House) -> None:
    with pytest.raises(IngestError, match=r"a\.csv, field video_id: .*--map video_id=COLUMN"):
        house.take("a.csv", "collected_at,views\n2025-01-01,5\n", source="simulator")
    assert house.rows("SELECT count(*) FROM raw.landings") == [(0,)]


def test_an_unknown_source_is_refused_with_those_there_are(house: House) -> None:
    with pytest.raises(IngestError, match="there are auto, goemotions, kaggle_trending, miles"):
        house.take("a.csv", "x\n1\n", source="simulatr")


@pytest.mark.parametrize("text", ["", landing()])
def test_an_empty_file_is_a_landing_without_records(house: House, text: str) -> None:
    result = house.take("a.csv", text)
    assert (result.rows_read, result.accepted) == (0, 0)
    assert house.rows("SELECT rows_read FROM raw.landings") == [(0,)]


def test_a_wide_landing_with_half_its_rows_off_the_cheap_path(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that cheap parsers read are mapped apart from the others; the tables are the same."""
    rows = [simulated(f"v{i}", "2025-01-02T00:00:00", f"{i}.5K" if i % 2 else i, duration="PT5S") for i in range(40)]
    text = landing(*rows, simulated("v1", "2025-01-02T00:00:00", "1.5K"), simulated("x", "never", 1))
    house.take("a.csv", text)
    together = dump(house)
    monkeypatch.setattr("assets.raw.mapping._MANY_ROWS", 1)
    reread(house.warehouse, house.settings, hashlib.sha256(text.encode()).hexdigest(), NOW)
    assert dump(house) == together
    assert house.rows("SELECT views FROM raw.snapshots WHERE video_id = 'v3'") == [(3500,)]


def test_files_together_give_what_they_give_one_by_one(house: House, tmp_path: Path) -> None:
    texts = {
        f"d{day}.csv": landing(
            simulated("v1", f"2025-01-0{day}T00:00:00", day),
            simulated("v1", "2025-01-05T00:00:00", 7 + day % 2),
            simulated("v2", f"2025-01-0{day}T00:00:00", "x"),
        )
        for day in range(1, 5)
    }
    paths = [house.file(name, text) for name, text in texts.items()]
    paths += [house.file("again.csv", texts["d1.csv"]), house.file("bad.csv", "a,b\n1,2\n"), house.inbox / "absent.csv"]
    outcomes = dict(ingest_all(house.warehouse, house.settings, paths, now=NOW))
    assert list(outcomes) == paths
    assert [type(outcome).__name__ for outcome in outcomes.values()] == ["LandingResult"] * 5 + ["IngestError"] * 2
    one_by_one = House(tmp_path / "other" / "home") if (tmp_path / "other").mkdir() is None else house
    for name, text in texts.items():
        one_by_one.take(name, text)
    one_by_one.take("again.csv", texts["d1.csv"])
    assert dump(one_by_one) == dump(house)


def test_a_mended_adapter_replays_what_was_set_aside(house: House) -> None:
    folder = house.home / "adapters"
    folder.mkdir()
    adapter = folder / "mine.yaml"
    adapter.write_text("anchor: first_seen_at\nfields: {video_id: clip, observed_at: seen, views: shown}\n")
    text = "clip,seen,shown\nx,4/14/2025 12:43,5\ny,2025-04-14T12:43:00Z,6\n"
    first = house.take("a.csv", text, source="mine")
    assert (first.accepted, first.reasons) == (1, {"bad_observed_at": 1})
    adapter.write_text(adapter.read_text().replace("observed_at: seen", "observed_at: seen | us_time"))
    (result,) = replay(house.warehouse, house.settings, now=NOW, reason="bad_observed_at")
    assert (result.landing_id, result.accepted, result.quarantined) == (first.landing_id, 2, 0)
    assert house.rows("SELECT count(*) FROM raw.quarantine") == [(0,)]
    assert house.rows("SELECT contract_version FROM raw.landings") != []


def test_an_earlier_start_replays_what_was_before_it(house: House) -> None:
    house.take("a.csv", landing(simulated("v1", "2015-01-02T00:00:00", 10)))
    assert house.rows("SELECT reason FROM raw.quarantine") == [("before_start",)]
    (house.home / "upswell.yaml").write_text("start: 2014-01-01\n")
    (result,) = replay(house.warehouse, load_settings(house.home), now=NOW, reason="before_start")
    assert result.accepted == 1


def test_an_explicit_source_reads_a_known_landing_anew(house: House) -> None:
    text = "video_id,collected_at,views\nkpnoibF4eNg,2025-01-02T00:00:00,5\n"
    assert house.take("a.csv", text).source == "auto"
    assert house.take("a.csv", text, source="simulator").source == "simulator"
    assert house.rows("SELECT source FROM raw.snapshots") == [("simulator",)]
    assert house.take("a.csv", text).source == "simulator"


def test_a_file_is_read_as_one_kind_only(house: House) -> None:
    text = "video_id,collected_at,views\nkpnoibF4eNg,2025-01-02T00:00:00,5\n"
    house.take("a.csv", text)
    with pytest.raises(IngestError, match="was ingested as videos before"):
        house.take("a.csv", text, kind="metrics", source="auto")


def test_metrics_infer_their_types(house: House) -> None:
    text = "video_id,day,Average view duration,Retention (%),Mood,Boosted\nv1,2025-05-01,0:24,45.3%,happy,yes\nv2,2025-05-01,1:00,,,no\n"
    result = house.take("m.csv", text, kind="metrics", source="simulator")
    assert (result.source, result.accepted) == ("simulator", 2)
    assert house.rows("SELECT video_id, metric, value, text FROM raw.metrics ORDER BY 1, 2") == [
        ("v1", "average_view_duration", 24.0, None),
        ("v1", "boosted", 1.0, None),
        ("v1", "mood", None, "happy"),
        ("v1", "retention", 45.3, None),
        ("v2", "average_view_duration", 60.0, None),
        ("v2", "boosted", 0.0, None),
    ]
    assert house.rows("SELECT DISTINCT observed_at, known_at FROM raw.metrics") == [
        (datetime(2025, 5, 1, 23, 59, 59), NOW)
    ]


def test_labels_need_the_source_that_they_are_about(house: House) -> None:
    with pytest.raises(IngestError, match="--source NAME"):
        house.take("l.csv", "video_id,date,good\nv1,2025-01-01,yes\n", kind="labels")
    house.take("l.csv", "video_id,date,good\nv1,2025-01-01,yes\n", kind="labels", source="simulator")
    assert house.rows("SELECT label, value FROM raw.labels") == [("good", 1.0)]


def test_files_are_taken_in_name_order_and_hidden_ones_are_not(tmp_path: Path) -> None:
    for name in ("b.csv", "a/z.csv", ".hidden", "a/.DS_Store"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert [path.name for path in files(tmp_path)] == ["z.csv", "b.csv"]
    with pytest.raises(IngestError, match="no such file"):
        files(tmp_path / "nothing")


def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import gzip

    fresh, partial, cut = tmp_path / "a.csv", tmp_path / "b.csv.part", tmp_path / "c.csv.gz"
    fresh.write_text("x")
    partial.write_text("x")
    cut.write_bytes(gzip.compress(b"x" * 1000)[:-5])
    assert "two seconds" in (unfinished(fresh) or "")
    written = fresh.stat().st_mtime
    monkeypatch.setattr(store.time, "time", lambda: written + 10)
    assert unfinished(fresh) is None
    assert "name" in (unfinished(partial) or "")
    assert "no end" in (unfinished(cut) or "")
    monkeypatch.setattr(store.time, "time", lambda: written + 1000)
    assert unfinished(cut) is None


def test_a_file_that_no_library_reads_does_not_stop_the_others(house: House, tmp_path: Path) -> None:
    columns = {"video_id": ["a1"], "collected_at": [NOW], "views": pa.array([1.0], pa.float16())}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    (tmp_path / "b.csv").write_text("video_id,views,collected_at\na1,3,2025-05-01T10:00:00Z\n")
    first, second = (outcome for _, outcome in ingest_all(house.warehouse, house.settings, files(tmp_path), now=NOW))
    assert isinstance(first, IngestError)
    assert str(first).startswith("a.parquet: cannot be read (")
    assert isinstance(second, LandingResult)
    assert house.rows("SELECT video_id, views FROM raw.snapshots") == [("a1", 3)]


def test_decimals_of_parquet_are_numbers(house: House, tmp_path: Path) -> None:
    columns = {"video_id": ["a1", "a2"], "collected_at": [datetime(2025, 5, 1)] * 2}
    views = pa.array([Decimal("12.000"), Decimal("1200.000")], pa.decimal128(20, 3))
    pq.write_table(pa.table({**columns, "views": views}), tmp_path / "a.parquet")
    house.take("a.parquet", (tmp_path / "a.parquet").read_bytes())
    assert house.rows("SELECT views FROM raw.snapshots ORDER BY 1") == [(12,), (1200,)]
