"""`make loop`: the periods that files fall into, what the summary says, and one whole loop with the real daemon."""

import json
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from orchestration.loop import drop, steps, summary
from tests.automation.learning_home import SETTINGS, simulated
from tests.orchestration.small_home import environment


def test_files_fall_into_periods_by_the_day_in_their_names() -> None:
    days = ("20250101", "20250109", "20250110", "20250131")
    files = [Path(f"a_{day}.csv") for day in days]
    assert steps(files, first=9, every=7) == [
        (date(2025, 1, 10), files[:2]),
        (date(2025, 1, 17), files[2:3]),
        (date(2025, 2, 7), files[3:]),
    ]
    with pytest.raises(SystemExit, match=r"notes\.csv: no day"):
        steps([Path("notes.csv")], 1, 1)
    with pytest.raises(SystemExit, match="no landing file"):
        steps([], 1, 1)


def test_files_arrive_whole_and_alike_names_of_two_folders_stay_two(tmp_path: Path) -> None:
    files = [tmp_path / "from" / folder / "20250101.csv" for folder in ("a", "b")]
    for path in files:
        path.parent.mkdir(parents=True)
        path.write_text(path.parent.name)
    (tmp_path / "inbox").mkdir()
    drop(files, tmp_path / "from", tmp_path / "inbox")
    assert {path.name: path.read_text() for path in (tmp_path / "inbox").iterdir()} == {
        "a__20250101.csv": "a",
        "b__20250101.csv": "b",
    }


def test_the_summary_counts_from_the_first_file_to_the_end_of_the_runs() -> None:
    def run(name: str, job: str, ended: float | None, status: str = "SUCCESS") -> dict:
        return {"runId": name, "jobName": job, "status": status, "endTime": ended}

    runs = [run("e0", "evaluation", 110.0), run("t", "training", 130.0), run("e1", "evaluation", 150.0)]
    runs += [run("e2", "evaluation", 190.0), run("e3", "evaluation", 195.0, "FAILURE")]
    first = [{"outcome": "fired", "run_id": None}, {"outcome": "first", "run_id": "t"}]
    assert summary(100.0, first, runs) == (
        "from the first file: 30 s to the first promoted model, 50 s to the first report on it, 90 s to the newest report"
    )
    assert summary(100.0, first, runs[:2]) == "from the first file: 30 s to the first promoted model, no report since"
    assert summary(100.0, first[:1], runs) == "no model was promoted; 3 reports"


@pytest.mark.daemon
@pytest.mark.timeout(900)
def test_files_that_are_dropped_lead_to_a_model_that_serves_hands_off(tmp_path: Path) -> None:
    files, _ = simulated(tmp_path / "landings")
    settings = tmp_path / "small.yaml"
    settings.write_text(SETTINGS)
    home = tmp_path / "home"
    options = {"--home": home, "--landings": files[0].parent, "--settings": settings, "--first": 24, "--every": 30}
    command = [sys.executable, "-m", "orchestration.loop", *(str(part) for pair in options.items() for part in pair)]
    for path in set(files[0].parent.iterdir()) - set(files):
        path.unlink()
    done = subprocess.run(command, env=environment(home), capture_output=True, text=True, timeout=850)
    assert done.returncode == 0, done.stderr
    decisions = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["outcome"] for row in decisions if row["kind"] == "gate"] == ["first"]
    assert "s to the newest report" in done.stderr.splitlines()[-1]


@pytest.mark.daemon
@pytest.mark.timeout(300)
def test_a_file_that_stays_in_the_inbox_is_an_error(tmp_path: Path) -> None:
    landings = tmp_path / "landings"
    landings.mkdir()
    shutil.copy(simulated(tmp_path / "all")[0][0], landings)
    (landings / "notes_20250101.part").write_text("not complete")
    command = [sys.executable, "-m", "orchestration.loop", "--landings", str(landings), "--limit", "5"]
    done = subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=280)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "2025-03-02: not at rest within 5 s"
