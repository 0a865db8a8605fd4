"""Bad input is one clear line that names it, exit code 2, and no traceback."""

from pathlib import Path

import pytest

from tests.cli.conftest import Upswell
from warehouse.connection import Warehouse

pytestmark = pytest.mark.timeout(900)

CASES = {
    "missing file": (("ingest", "nowhere.csv"), "nowhere.csv"),
    "unknown source": (("ingest", "FILE", "--source", "youtoob"), "youtoob"),
    "bad observed-at": (("ingest", "FILE", "--observed-at", "yesterday"), "yesterday"),
    "bad map": (("ingest", "FILE", "--map", "video_id"), "--map"),
    "unclear file": (("ingest", "FILE"), "unclear.csv"),
    "unknown target": (("evaluate", "--target", "fame"), "fame"),
    "unknown forecaster": (("evaluate", "--also", "magic"), "no forecaster 'magic'; there are"),
    "unknown cutoff": (("evaluate", "--cutoff", "9h"), "9h"),
    "refused pair": (("evaluate", "--target", "log_views_3d", "--cutoff", "72h"), "earlier cutoff"),
    "unknown target to predict": (("predict", "v", "--target", "fame"), "fame"),
    "no model of the cell": (("predict", "v", "--target", "log_views_3d", "--cutoff", "pre"), "upswell evaluate"),
    "unknown cutoff to predict": (("predict", "v", "--target", "log_views_3d", "--cutoff", "9h"), "9h"),
    "unknown video": (("predict", "no-such-video", "--target", "log_views_3d"), "no-such-video"),
    "unknown source to predict": (("predict", "v", "--target", "log_views_3d", "--source", "moon"), "moon"),
    "unknown feature": (("predict", "VIDEO", "--target", "log_views_3d", "--set", "charm=9"), "charm"),
    "feature without value": (("predict", "VIDEO", "--target", "log_views_3d", "--set", "charm"), "--set"),
    "bad SQL": (("sql", "SELEC 1"), "SELEC"),
    "unknown table": (("sql", "SELECT * FROM raw.nothing"), "nothing"),
    "SQL that writes": (("sql", "DROP TABLE raw.snapshots"), ""),
    "unknown landing to replay": (("quarantine", "replay", "--landing", "ffff"), "ffff"),
}


@pytest.mark.parametrize(("arguments", "named"), CASES.values(), ids=CASES)
def test_bad_input(upswell: Upswell, shared_home: Path, tmp_path: Path, arguments: tuple[str, ...], named: str) -> None:
    file = tmp_path / "unclear.csv"
    file.write_text("colour,weight\nred,1\n")
    with Warehouse(shared_home).read() as con:
        row = con.execute("SELECT video_id FROM features.engagement WHERE cutoff = '24h' LIMIT 1").fetchone()
    assert row is not None
    places = {"FILE": str(file), "VIDEO": row[0]}
    said = upswell(*(places.get(argument, argument) for argument in arguments), "--home", str(shared_home))
    assert said.code == 2, said
    assert said.out == ""
    assert len(said.err.splitlines()) == 1, said.err
    assert places.get(named, named) in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("targets: [", "upswell.yaml"),
        ("start: tomorrow", "start"),
        ("targets: {a: {metric: views, horizon: 7 days}}", "targets.a.horizon"),
        ("evaluation: {targets: [fame]}", "fame"),
        ("colour: red", "colour"),
    ],
)
@pytest.mark.parametrize("command", ["run", "status", "evaluate"])
def test_bad_settings(
    upswell: Upswell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, named: str, command: str
) -> None:
    (tmp_path / "upswell.yaml").write_text(text)
    monkeypatch.setenv("UPSWELL_HOME", str(tmp_path))
    said = upswell(command)
    assert said.code == 2
    assert "Traceback" not in said.err
    assert all(line.startswith("upswell: ") for line in said.err.splitlines())
    assert named in said.err


def test_home_that_is_a_file(upswell: Upswell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = upswell("status", "--home", str(tmp_path / "file"))
    assert said.code == 2
    assert len(said.err.splitlines()) == 1


def test_one_bad_file_does_not_stop_the_others(upswell: Upswell, small_home: Path, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("colour,weight\nred,1\n")
    good = "video_id,channel_id,published_at,collected_at,observed_at,view_count\n"
    (tmp_path / "b.csv").write_text(good + "v1,c1,2025-01-20,2025-01-21,2025-01-21,7\n")
    said = upswell("ingest", str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "--json")
    assert said.code == 2
    assert "a.csv" in said.err
    assert '"b.csv"' in said.out
