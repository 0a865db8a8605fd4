"""What each command says for programs and for people, on a finished home."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Upswell
from tests.media import make
from tests.orchestration.small_home import contents
from warehouse.connection import Warehouse

pytestmark = pytest.mark.timeout(900)

LEADERBOARD = [
    "source", "target", "cutoff", "forecaster", "split", "origin", "n_train", "n_test", "mae", "rmse", "r2", "growth_r2",
    "spearman", "auroc", "average_precision", "skill", "coverage_80", "width_80", "interval_score_80", "champion",
]  # fmt: skip
CSV = "video_id,channel_id,published_at,collected_at,observed_at,view_count\n"
ROW = "{},c1,2025-01-20T10:00:00Z,2025-01-21T10:00:00Z,2025-01-21T10:00:00Z,{}\n"


def strict(text: str) -> Any:
    """JSON as the standard has it: NaN and Infinity are refused."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("doctor",),
        ("run",),
        ("evaluate",),
        ("quarantine", "list"),
        ("styles",),
        ("similar", "how to cook pancakes"),
        ("similar", "pancakes \udcff how"),
        ("sql", "SELECT 'nan'::DOUBLE AS a, 'inf'::DOUBLE AS b, DATE '2025-01-01' AS c, [1, NULL] AS d, {'x': 1} AS e"),
        ("audit", "--samples", "5"),
    ],
    ids=lambda arguments: " ".join(arguments)[:20],
)
def test_json_is_strict(upswell: Upswell, shared_home: Path, arguments: tuple[str, ...]) -> None:
    said = upswell(*arguments, "--home", str(shared_home), "--json")
    assert said.code == 0, said.err
    strict(said.out)


def test_every_command_explains_itself(upswell: Upswell) -> None:
    commands = [
        "demo",
        "ingest",
        "run",
        "evaluate",
        "predict",
        "report",
        "quarantine",
        "audit",
        "sql",
        "status",
        "doctor",
        "up",
    ]
    listed = upswell("--help").out
    for command in commands:
        assert command in listed
        assert upswell(command, "--help").code == 0


def test_evaluate_gives_the_rows_that_others_rely_on(upswell: Upswell, shared_home: Path) -> None:
    rows = strict(upswell("evaluate", "--home", str(shared_home), "--json").out)
    assert all(list(row) == LEADERBOARD for row in rows)
    assert {row["split"] for row in rows} == {"time", "random"}
    assert {row["origin"] for row in rows if row["split"] == "time"} == {"all", "2025-01-20"}
    assert {(row["source"], row["target"], row["cutoff"]) for row in rows} == {("simulator", "log_views_3d", "24h")}
    assert {row["auroc"] for row in rows} == {None}
    assert sum(row["champion"] for row in rows if row["origin"] == "all" and row["split"] == "time") == 1
    for row in rows:
        assert row["n_train"] > 0
        assert row["n_test"] > 0


def test_evaluate_runs_a_cell_that_is_missing(upswell: Upswell, small_home: Path) -> None:
    said = upswell("evaluate", "--target", "viral_3d", "--cutoff", "pre", "--json")
    rows = strict(said.out)
    assert {(row["target"], row["cutoff"]) for row in rows} == {("viral_3d", "pre")}
    assert all(0 <= row["auroc"] <= 1 for row in rows if row["auroc"] is not None)
    assert {row["mae"] for row in rows} == {None}


def test_people_see_a_leaderboard(upswell: Upswell, shared_home: Path) -> None:
    said = upswell("evaluate", "--home", str(shared_home))
    assert "simulator · log_views_3d · 24h" in said.out
    assert "hist_gradient_boosting" in said.out
    assert "champion" in said.out


def test_sql_in_three_forms(upswell: Upswell, shared_home: Path) -> None:
    query = "SELECT source, rows_read FROM raw.landings ORDER BY rows_read LIMIT 2"
    home = ("--home", str(shared_home))
    listed = strict(upswell("sql", query, *home, "--json").out)
    assert [list(row) for row in listed] == [["source", "rows_read"]] * 2
    table = list(csv.DictReader(io.StringIO(upswell("sql", query, *home, "--csv").out)))
    assert [{**row, "rows_read": int(row["rows_read"])} for row in table] == listed
    assert f"{listed[0]['rows_read']:,}" in upswell("sql", query, *home).out


def test_names_that_others_rely_on_are_columns(upswell: Upswell, shared_home: Path) -> None:
    for query in (
        "SELECT landing_id, source, rows_read, accepted, duplicate, quarantined, known_at FROM raw.landings LIMIT 1",
        """SELECT source, video_id, observed_at, known_at, views, likes, comments, shares, saves, landing_id
           FROM raw.snapshots LIMIT 1""",
        'SELECT "table", "column", from_table, from_column FROM lineage.columns LIMIT 1',
    ):
        assert len(strict(upswell("sql", query, "--home", str(shared_home), "--json").out)) == 1


def test_sql_cannot_change_the_warehouse(upswell: Upswell, shared_home: Path) -> None:
    before = contents(shared_home, "raw")
    said = upswell("sql", "DELETE FROM raw.snapshots", "--home", str(shared_home))
    assert said.code == 2
    assert contents(shared_home, "raw") == before


def test_ingest_gives_one_object_per_landing(upswell: Upswell, small_home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "drop" / "below"
    folder.mkdir(parents=True)
    (folder / "b.csv").write_text(CSV + ROW.format("v1", 10) + ROW.format("v1", 12) + ROW.format("", 5))
    (folder.parent / "a.csv").write_text(CSV + ROW.format("v2", "1.5K"))
    said = upswell("ingest", str(folder.parent), "--source", "simulator", "--json")
    landings = strict(said.out)
    assert [landing["names"] for landing in landings] == [["a.csv"], ["b.csv"]]
    figures = [
        (landing["rows_read"], landing["accepted"], landing["duplicate"], landing["quarantined"])
        for landing in landings
    ]
    assert figures == [(1, 1, 0, 0), (3, 1, 1, 1)]
    with Warehouse(small_home).read() as con:
        stored = con.execute("SELECT landing_id FROM raw.landings WHERE names = ['a.csv']").fetchall()
    assert stored == [(landings[0]["landing_id"],)]
    again = strict(upswell("ingest", str(folder.parent), "--source", "simulator", "--json").out)
    assert [landing["already_known"] for landing in again] == [True, True]


def test_quarantine_lists_and_replays(upswell: Upswell, small_home: Path) -> None:
    rows = strict(upswell("quarantine", "list", "--limit", "1000", "--json").out)
    with Warehouse(small_home).read() as con:
        counted = con.execute("SELECT count(*) FROM raw.quarantine").fetchone()
    assert counted is not None
    assert len(rows) == min(counted[0], 1000) > 0
    assert {"landing_id", "file", "row_number", "reason", "field", "value", "record", "contract_version"} <= set(
        rows[0]
    )
    reason = rows[0]["reason"]
    assert {row["reason"] for row in strict(upswell("quarantine", "list", "--reason", reason, "--json").out)} == {
        reason
    }
    before = contents(small_home, "raw")
    replayed = strict(upswell("quarantine", "replay", "--landing", rows[0]["landing_id"], "--json").out)
    assert [landing["landing_id"] for landing in replayed] == [rows[0]["landing_id"]]
    assert contents(small_home, "raw") == before


def test_predict_forecasts_known_videos(upswell: Upswell, shared_home: Path) -> None:
    with Warehouse(shared_home).read() as con:
        videos = con.execute(
            "SELECT video_id FROM features.engagement WHERE cutoff = '24h' ORDER BY anchor_day DESC, video_id LIMIT 2"
        ).fetchall()
    names = [video for (video,) in videos]
    asked = ("predict", *names, "--target", "log_views_3d", "--cutoff", "24h", "--home", str(shared_home))
    replies = strict(upswell(*asked, "--json").out)
    assert [reply["video_id"] for reply in replies] == names
    single = strict(upswell("predict", names[0], *asked[3:], "--json").out)
    assert single == replies[:1]
    assert {"run_id", "data_version", "cutoff"} <= set(replies[0])


def test_report_is_the_same_to_the_byte(upswell: Upswell, small_home: Path) -> None:
    [page] = (small_home / "reports").glob("*.html")
    before = page.read_bytes()
    page.unlink()
    said = upswell("report", "--json")
    path = Path(strict(said.out)["report"])
    assert path == page
    assert path.read_bytes() == before


def test_audit_says_what_it_compared(upswell: Upswell, shared_home: Path) -> None:
    found = strict(upswell("audit", "--samples", "5", "--home", str(shared_home), "--json").out)
    assert found["sampled"] >= 5
    assert found["values"] > 50
    assert found["differences"] == []


def test_status_shows_sources_targets_and_champions(upswell: Upswell, shared_home: Path) -> None:
    found = strict(upswell("status", "--home", str(shared_home), "--json").out)
    [source] = found["Sources"]
    assert source["read"] == source["accepted"] + source["duplicate"] + source["quarantined"]
    assert found["Stale feature days"] == []
    assert {row["target"] for row in found["Targets"]} == {"log_views_3d"}
    assert len(found["Champions"]) == 1


def test_doctor_finds_a_wrong_settings_file(upswell: Upswell, small_home: Path) -> None:
    assert upswell("doctor").code == 0
    (small_home / "upswell.yaml").write_text("start: tomorrow")
    said = upswell("doctor", "--json")
    assert said.code == 1
    assert [finding["what"] for finding in strict(said.out) if finding["state"] == "wrong"] == ["upswell.yaml"]


def test_similar_finds_the_video_itself_first_and_keeps_to_the_time(upswell: Upswell, shared_home: Path) -> None:
    with Warehouse(shared_home).read() as con:
        row = con.execute(
            "SELECT f.video_id, c.anchor_at FROM embeddings.fused f JOIN features.content c USING (source, video_id) "
            "WHERE f.vector IS NOT NULL ORDER BY c.anchor_at DESC LIMIT 1"
        ).fetchone()
    assert row is not None
    video, anchor = row
    found = strict(upswell("similar", video, "--home", str(shared_home), "--json").out)
    assert len(found) == 10
    assert all(one["video_id"] != video for one in found) or found[0]["video_id"] == video
    assert [one["cosine"] for one in found] == sorted((one["cosine"] for one in found), reverse=True)
    before = anchor.replace(hour=0, minute=0, second=0, microsecond=0)
    said = upswell("similar", video, "--before", before.isoformat(), "--home", str(shared_home), "--json")
    assert all(one["anchor_at"] < before.isoformat() for one in strict(said.out))


def test_styles_have_names_and_sizes_that_add_up(upswell: Upswell, shared_home: Path) -> None:
    found = strict(upswell("styles", "--home", str(shared_home), "--json").out)
    with Warehouse(shared_home).read() as con:
        fitted = con.execute("SELECT count(*) FROM clusters.assignments WHERE fitted").fetchone()
    assert fitted is not None and sum(one["size"] for one in found) == fitted[0] > 0
    assert len({one["name"] for one in found}) == len(found) >= 2


def test_a_folder_of_pictures_becomes_contents(upswell: Upswell, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "v1.png").write_bytes(make.picture(kind="PNG"))
    (tmp_path / "media" / "v2.png").write_bytes(b"no picture")
    arguments = (
        "ingest",
        str(tmp_path / "media"),
        "--as",
        "media",
        "--source",
        "demo",
        "--home",
        str(tmp_path / "home"),
    )
    (first,) = strict(upswell(*arguments, "--json").out)
    (again,) = strict(upswell(*arguments, "--json").out)
    assert (first["rows_read"], first["accepted"], first["already_known"]) == (2, 2, False)
    assert again["already_known"] is True
    with Warehouse(tmp_path / "home").read() as con:
        states = con.execute("SELECT video_id, state, reason FROM raw.media ORDER BY video_id").fetchall()
    assert states == [("v1", "done", None), ("v2", "terminal", "unsupported")]
    assert upswell("ingest", str(tmp_path / "media"), "--as", "media", "--home", str(tmp_path / "home")).code == 2
