"""A channel leaves a home: tables, landings, training sets, models, MLflow, reports, Dagster's records, databases, logs."""

import gzip
import html
import json
import os
import signal
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import joblib
import pandas as pd
import pyarrow.parquet as pq
import pytest

from assets.forgetting.run import STAGES, begin, complete, find_subject, stored, unfinished
from assets.forgetting.subject import ForgetError
from assets.models.training_set import freeze, thaw
from assets.raw.ingest import ingest, reread
from assets.raw.store import path_of
from resources.quiet import BusyError, working
from resources.settings import load_settings
from tests.models.trained_home import insert
from tests.raw.conftest import NOW, House, landing, simulated
from warehouse.connection import Warehouse
from warehouse.contracts import load_tables

CHANNEL, OTHER = "UCsubject_channel_000001", "UCother_channel_00000002"
VIDEOS = ["subjVideo01", "subjVideo02"]
TITLE = 'The subject\'s own "particular" title äöü'
TELLING = [CHANNEL, *VIDEOS, TITLE]


def snapshots(video: str, channel: str, title: str, days: int = 3) -> list[str]:
    quoted = '"' + title.replace('"', '""') + '"'
    return [
        simulated(video, f"2025-01-0{day}T00:00:00", day * 10, channel_id=channel, title=quoted, description="d")
        for day in range(1, days + 1)
    ]


def fill(house: House) -> None:
    """A home that holds a subject in every place that there is."""
    others = snapshots("otherVideo1", OTHER, "Somebody else's title here")
    mine = [row for video in VIDEOS for row in snapshots(video, CHANNEL, TITLE)]
    house.take("one.csv", landing(*others, *mine))
    house.take("two.csv.gz", gzip.compress(landing(others[0], mine[0], simulated(VIDEOS[0], "1999-01-01", 1)).encode()))
    house.take(
        "three.csv",
        landing(*snapshots("otherVideo3", OTHER, f"In answer to {VIDEOS[0]} by another"), f"{VIDEOS[1]},too,few"),
    )
    home = house.home
    for name in (
        "inbox",
        "refused",
        "reports",
        "collecting",
        "dagster/storage/run/compute_logs",
        "models/m-1",
        "mlflow/artifacts/a",
    ):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "refused" / "broken.json").write_text('{"id": "' + VIDEOS[0] + '", ')
    (home / "collecting" / "now.jsonl.part").write_text(json.dumps({"reply": {"id": VIDEOS[1], "title": TITLE}}) + "\n")
    waiting = landing(
        *snapshots("otherVideo9", OTHER, "Waiting to be read", 1), *snapshots(VIDEOS[0], CHANNEL, TITLE, 1)
    )
    (home / "inbox" / "waiting.csv").write_text(waiting)
    (home / "reports" / "report-1.html").write_text(f"<p>{html.escape(TITLE)} of {CHANNEL}, not of subjVideo011</p>")
    (home / "dagster/storage/run/compute_logs/step.err").write_text(f"reading {VIDEOS[0]}\n")
    frame = pd.DataFrame(
        {"source": "simulator", "video_id": [*VIDEOS, "otherVideo1"], "title": [TITLE, TITLE, "x"], "n": 1.0}
    )
    set_id, path = freeze(frame, home)
    made = {"source": "simulator", "target": "t", "cutoff": "24h", "origin": NOW.date(), "training_set_id": set_id}
    prints = dict.fromkeys(("schema_fingerprint", "feature_fingerprint", "data_version", "run_id"), "f") | {
        "created_at": NOW
    }
    shape = {"uri": str(path.relative_to(home)), "bytes": 1, "rows": 3, "columns": ["n"], "made_by": "training"}
    insert(house.warehouse, "models.training_sets", {**made, **prints, **shape})
    model = {
        "version": "m-1",
        "forecaster": "ridge",
        "n_train": 3,
        "uri": "models/m-1",
        "sha256": "s",
        "made_by": "training",
    }
    insert(house.warehouse, "models.versions", {**made, **prints, **model})
    for folder in ("models/m-1", "mlflow/artifacts/a"):
        bundle = {"trained_on": sorted([*VIDEOS, "otherVideo1"]), "prior": {CHANNEL: 1.0, OTHER: 2.0}}
        joblib.dump(bundle, home / folder / "model.joblib")
        (home / folder / "manifest.json").write_text(json.dumps({"sha256": "s"}))
    for name in ("dagster/history.db", "mlflow/mlflow.db"):
        con = sqlite3.connect(home / name)
        con.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, body TEXT, packed BLOB)")
        bodies = [
            json.dumps(json.dumps({"video": VIDEOS[0], "title": TITLE})),
            "nothing",
            json.dumps({"channel": CHANNEL}),
        ]
        rows = [(body * 3, zlib.compress(f"{n} {VIDEOS[1]}".encode())) for n, body in enumerate(bodies)]
        con.executemany("INSERT INTO events (body, packed) VALUES (?, ?)", rows)
        con.execute("DELETE FROM events WHERE id = 3")
        con.commit()
        con.close()
    with house.warehouse.write() as con:
        con.execute(
            """INSERT INTO clusters.styles BY NAME
               SELECT DATE '2025-01-06' AS origin, 's1' AS style_id, 'style' AS name, 'as in ' || $title AS description,
                   ['a'] AS terms, 2 AS size, ['simulator/' || $video, 'simulator/otherVideo1'] AS exemplars,
                   [1.0]::FLOAT[] AS centre, 'born' AS event, '{}' AS brief""",
            {"title": TITLE, "video": VIDEOS[0]},
        )
    from warehouse.snapshot import publish

    publish(house.warehouse)


def everything(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a home in every way in which it can be read: written apart from what is tested."""
    for path in sorted(home.rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        yield f"{path} bytes", data
        if data[:2] == b"\x1f\x8b":
            yield f"{path} gz", gzip.decompress(data)
        if data[:4] == b"PAR1":
            yield f"{path} rows", str(pq.read_table(path).to_pylist()).encode()
        if data[8:12] == b"DUCK":
            with duckdb.connect(str(path), read_only=True) as con:
                for (name,) in con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall():
                    yield f"{path} {name}", str(con.execute(f"FROM {name}").fetchall()).encode()
        if data[:6] == b"SQLite":
            con = sqlite3.connect(path)
            for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in con.execute(f"SELECT * FROM {name}"):
                    cells = [zlib.decompress(cell) if isinstance(cell, bytes) else str(cell).encode() for cell in row]
                    yield f"{path} {name}", b" ".join(cells)
            con.close()


def places(home: Path) -> list[str]:
    shapes = [*TELLING, TITLE.replace('"', '""'), json.dumps(TITLE)[1:-1], repr(TITLE)[1:-1], html.escape(TITLE)]
    found = []
    for where, data in everything(home):
        data = data.replace(b"subjVideo011", b"")  # the id of somebody else that begins alike
        found += [f"{where}: {shape}" for shape in shapes if shape.encode() in data]
    return found


def raw_rows(warehouse: Warehouse) -> dict[str, list[tuple[object, ...]]]:
    names = [name for name in load_tables() if name.startswith("raw.")]
    with warehouse.read() as con:
        return {name: con.execute(f"SELECT * FROM {name} ORDER BY ALL").fetchall() for name in names}


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home that holds the subject everywhere; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("filled") / "home"
    folder.mkdir()
    fill(House(folder))
    return folder


@pytest.fixture
def home_with_subject(filled: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(filled, tmp_path / "copy"))


def forget(home: Path, name: str = CHANNEL) -> dict[str, object]:
    warehouse = Warehouse(home)
    task = begin(warehouse, find_subject(warehouse, name, None, "asked by letter", NOW))
    return complete(warehouse, load_settings(home), task, NOW, patience_s=0.2)


def test_a_channel_leaves_everything(home_with_subject: Path) -> None:
    home = home_with_subject
    kinds = {where.split()[-2] for where in places(home)}
    assert len(places(home)) > 25, kinds
    result = forget(home)
    assert places(home) == []
    assert (result["found"], result["videos"], result["landings"]) == (0, 2, 3)
    assert result["models_made_from_them"] == ["m-1"]
    warehouse = Warehouse(home)
    sums = warehouse.query(
        "SELECT count(*) AS n FROM raw.landings WHERE rows_read <> accepted + duplicate + quarantined"
    )
    assert sums.to_pylist() == [{"n": 0}]
    assert warehouse.query("SELECT DISTINCT video_id FROM raw.snapshots ORDER BY 1")["video_id"].to_pylist() == [
        "otherVideo1",
        "otherVideo3",
    ]
    aside = warehouse.query("SELECT count(*) AS n FROM raw.quarantine WHERE reason = 'forgotten'").to_pylist()
    assert aside[0]["n"] == result["records"] == 9
    assert warehouse.query("SELECT exemplars FROM clusters.styles").to_pylist() == [
        {"exemplars": ["simulator/otherVideo1"]}
    ]
    assert (
        "[forgotten]"
        in warehouse.query("SELECT title FROM raw.videos WHERE video_id = 'otherVideo3'")["title"][0].as_py()
    )
    [left] = (home / "training_sets").glob("*.parquet")
    assert thaw(home, left.stem)["video_id"].tolist() == ["otherVideo1"]
    assert joblib.load(home / "models/m-1/model.joblib") == {"trained_on": ["otherVideo1"], "prior": {OTHER: 2.0}}
    assert "subjVideo011" in (home / "reports/report-1.html").read_text()
    assert unfinished(home) == []
    kept = stored(warehouse)
    assert [(row["kind"], row["why"], row["found"]) for row in kept] == [("channel", "asked by letter", 0)]
    replaced = warehouse.query("SELECT landing_id, replaced FROM raw.rewritten").to_pylist()
    assert all(path_of(home, row["landing_id"]).exists() for row in replaced)
    assert not any(path_of(home, row["replaced"]).exists() for row in replaced)


def test_reading_the_landings_again_gives_the_same_tables(home_with_subject: Path) -> None:
    forget(home_with_subject)
    warehouse = Warehouse(home_with_subject)
    before = raw_rows(warehouse)
    for row in warehouse.query("SELECT landing_id FROM raw.landings").to_pylist():
        reread(warehouse, load_settings(home_with_subject), row["landing_id"], NOW)
    assert raw_rows(warehouse) == before


def test_what_arrives_of_it_later_is_set_aside_and_not_kept(home_with_subject: Path, tmp_path: Path) -> None:
    home = home_with_subject
    forget(home)
    warehouse, settings = Warehouse(home), load_settings(home)
    later = tmp_path / "later.csv"
    rows = [
        *snapshots(VIDEOS[0], CHANNEL, TITLE),
        *snapshots("subjVideo99", CHANNEL, "A new one"),
        *snapshots("v3", OTHER, "Else"),
    ]
    later.write_text(landing(*rows, f"{VIDEOS[1]},too,few"))
    result = ingest(warehouse, settings, later, now=NOW)
    assert (result.rows_read, result.accepted, result.quarantined) == (10, 3, 7)
    assert result.reasons["forgotten"] == 7
    assert places(home) == []
    again = ingest(warehouse, settings, later, now=NOW)
    assert again.landing_id == result.landing_id
    assert warehouse.query("SELECT count(*) AS n FROM raw.landings WHERE source = 'simulator'").to_pylist()[0]["n"] == 4


def test_what_waits_in_the_inbox_loses_the_subject_only(home_with_subject: Path) -> None:
    home = home_with_subject
    forget(home)
    result = ingest(Warehouse(home), load_settings(home), home / "inbox" / "waiting.csv", now=NOW)
    assert (result.rows_read, result.accepted, result.reasons) == (2, 1, {"forgotten": 1})


def test_a_video_goes_alone(home_with_subject: Path) -> None:
    result = forget(home_with_subject, VIDEOS[0])
    assert (result["kind"], result["videos"], result["found"]) == ("video", 1, 0)
    left = (
        Warehouse(home_with_subject)
        .query("SELECT DISTINCT video_id FROM raw.videos ORDER BY 1")["video_id"]
        .to_pylist()
    )
    assert left == ["otherVideo1", "otherVideo3", VIDEOS[1]]


def test_nobody_is_no_subject(home_with_subject: Path) -> None:
    with pytest.raises(ForgetError, match="--source"):
        find_subject(Warehouse(home_with_subject), "nobody at all", None, "", NOW)


def test_two_landings_that_are_the_same_without_it_become_one(house: House) -> None:
    others = snapshots("otherVideo1", OTHER, "Somebody else's title here")
    for name, likes in (("a.csv", 1), ("b.csv", 2)):
        house.take(name, landing(*others, simulated(VIDEOS[0], "2025-01-01", 5, channel_id=CHANNEL, likes=likes)))
    result = forget(house.home)
    assert result["found"] == 0
    assert house.rows("SELECT names, rows_read, accepted, duplicate, quarantined FROM raw.landings") == [
        (["a.csv", "b.csv"], 4, 3, 0, 1)
    ]
    assert house.rows("SELECT count(*) FROM raw.snapshots") == [(3,)]
    assert house.rows("SELECT count(*) FROM raw.duplicates") == [(0,)]
    assert house.rows("SELECT count(DISTINCT landing_id), count(*) FROM raw.rewritten") == [(1, 2)]


def test_it_waits_for_an_ingestion(home_with_subject: Path) -> None:
    with working(home_with_subject), pytest.raises(BusyError, match="ingestion"):
        forget(home_with_subject)
    assert len(unfinished(home_with_subject)) == 1


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from assets.forgetting import run
from resources.settings import load_settings
from warehouse.connection import Warehouse
home, stage = Path(sys.argv[1]), sys.argv[2]
work = run.STAGES[stage]
def killed(*arguments):
    if sys.argv[3] == "after":
        work(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
run.STAGES[stage] = killed
warehouse, now = Warehouse(home), datetime.fromisoformat(sys.argv[5])
task = run.begin(warehouse, run.find_subject(warehouse, sys.argv[4], None, "asked by letter", now))
run.complete(warehouse, load_settings(home), task, now)
"""


@pytest.mark.parametrize("stage", ["landings"])
def test_a_kill_is_made_good(home_with_subject: Path, stage: str) -> None:
    home = home_with_subject
    arguments = [str(home), stage, "after", CHANNEL, NOW.isoformat()]
    done = subprocess.run([sys.executable, "-c", KILLED, *arguments], env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == -signal.SIGKILL
    [task] = unfinished(home)
    result = complete(Warehouse(home), load_settings(home), task, datetime(2025, 11, 21))
    assert (result["found"], result["records"], result["landings"]) == (0, 9, 3)
    assert places(home) == []


def test_an_interruption_at_every_stage_is_made_good(home_with_subject: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each stage is cut short after its work and before it is noted, one after the other, on one home."""

    class CutError(Exception):
        pass

    home = home_with_subject
    warehouse, settings = Warehouse(home), load_settings(home)
    task = begin(warehouse, find_subject(warehouse, CHANNEL, None, "asked by letter", NOW))

    def no_reading(*arguments: Any) -> None:
        raise CutError

    with monkeypatch.context() as patch:  # between the new names of the landings and the tables that are made of them
        patch.setattr("assets.forgetting.landings.read_again", no_reading)
        with pytest.raises(CutError):
            complete(warehouse, settings, task, NOW)
    [task] = unfinished(home)
    assert task.done.keys() == {"refused from now on", "rows"}
    for stage, work in [(stage, work) for stage, work in STAGES.items() if stage not in task.done]:

        def cut(*arguments: Any, work: Any = work) -> None:
            work(*arguments)
            raise CutError

        monkeypatch.setitem(STAGES, stage, cut)
        with pytest.raises(CutError):
            complete(warehouse, settings, task, NOW)
        monkeypatch.setitem(STAGES, stage, work)
        [task] = unfinished(home)
    result = complete(warehouse, settings, task, NOW)
    assert (result["found"], result["records"], result["landings"]) == (0, 9, 3)
    assert places(home) == []
