"""`upswell forget` on a home that has been through everything: Dagster runs, reports, models in MLflow."""

import json
import sqlite3
import zlib
from pathlib import Path

import duckdb
import joblib
import pyarrow.parquet as pq

from assets.forgetting.state import Task, keep
from resources.clock import now
from tests.cli.conftest import Upswell
from warehouse.connection import Warehouse


def said(home: Path) -> list[tuple[str, bytes]]:
    """What the files of a home say, read apart from what is tested."""
    found = []
    for path in sorted(home.rglob("*")):
        if not path.is_file() or path.name.endswith((".mp4", ".wav", ".jpg", ".png")):
            continue
        data = path.read_bytes()
        found.append((str(path), data))
        if data[:4] == b"PAR1":
            found.append((f"{path} rows", str(pq.read_table(path).to_pylist()).encode()))
        elif path.suffix == ".joblib":
            found.append((f"{path} trained on", str(joblib.load(path).get("trained_on")).encode()))
        elif data[8:12] == b"DUCK":
            with duckdb.connect(str(path), read_only=True) as con:
                for (name,) in con.execute("SELECT schema_name || '.' || table_name FROM duckdb_tables()").fetchall():
                    found.append((f"{path} {name}", str(con.execute(f"FROM {name}").fetchall()).encode()))
        elif data[:6] == b"SQLite":
            con = sqlite3.connect(path)
            for (name,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in con.execute(f'SELECT * FROM "{name}"'):
                    cells = [
                        zlib.decompress(c) if isinstance(c, bytes) and c[:1] == b"x" else str(c).encode() for c in row
                    ]
                    found.append((f"{path} {name}", b" ".join(cells)))
            con.close()
    return found


def places(home: Path, names: list[str]) -> list[str]:
    return [where for where, data in said(home) if any(name.encode() in data for name in names)]


def test_a_channel_leaves_a_home_that_has_been_through_everything(small_home: Path, upswell: Upswell) -> None:
    warehouse = Warehouse(small_home)
    [chosen] = warehouse.query(
        """SELECT channel_id, list(DISTINCT video_id) AS videos FROM raw.videos WHERE channel_id IN (
               SELECT channel_id FROM evaluations.forecasts UNION SELECT channel_id FROM evaluations.predictions)
           GROUP BY channel_id ORDER BY count(DISTINCT video_id) DESC, channel_id LIMIT 1"""
    ).to_pylist()
    names = [chosen["channel_id"], *chosen["videos"]]
    event = sorted((small_home / "dagster" / "history" / "runs").glob("*.db"))[0]
    con = sqlite3.connect(event)
    con.execute("UPDATE event_logs SET event = json_insert(event, '$.planted', ?) WHERE id = 1", [f"about {names[1]}"])
    con.commit()
    con.close()
    report = next((small_home / "reports").glob("*.html"))
    report.write_text(report.read_text() + f"<p>{names[1]}</p>")
    before = places(small_home, names)
    for part in ("warehouse.duckdb", "snapshot", "landings", "training_sets", "models", "mlflow", "dagster", "reports"):
        assert any(part in where for where in before), part
    done = upswell("forget", chosen["channel_id"], "--why", "asked by letter", "--yes", "--json")
    assert done.code == 0, done.err
    [result] = json.loads(done.out)
    assert (result["found"], result["videos"]) == (0, len(chosen["videos"]))
    assert result["models_made_from_them"]
    assert places(small_home, names) == []
    assert upswell("forget", "nobody", "--yes").code == 2


def test_doctor_says_that_one_is_unfinished_and_the_next_run_completes_it(home: Path, upswell: Upswell) -> None:
    warehouse = Warehouse(home)
    warehouse.query("SELECT 1")
    keep(home, Task("t1", "asked", now(home), ["simulator"], "h" * 64, "video", videos=["someVideo01"]))
    doctor = upswell("doctor", "--json")
    assert [row["state"] for row in json.loads(doctor.out) if row["what"] == "forgetting"] == ["wrong"]
    assert "forget --finish" in doctor.out
    assert upswell("forget", "--finish").code == 0
    assert not any(row["what"] == "forgetting" for row in json.loads(upswell("doctor", "--json").out))


def test_nothing_is_forgotten_without_a_yes(small_home: Path, upswell: Upswell, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    [row] = Warehouse(small_home).query("SELECT min(video_id) AS video FROM raw.videos").to_pylist()
    assert upswell("forget", row["video"]).code == 2
    left = Warehouse(small_home).query("SELECT count(*) AS n FROM raw.forgotten").to_pylist()
    assert left == [{"n": 0}]
