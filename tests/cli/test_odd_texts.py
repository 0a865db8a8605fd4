"""Texts and homes that a first day brings: brackets in titles and file names, no query, nothing to report on."""

import json
from pathlib import Path

import pytest

from orchestration import console
from tests.cli.conftest import Upswell


def test_brackets_in_a_table_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_table([{"[a]": "[live] x [/] [red]y[/red]"}], title="[/b]")
    said = capsys.readouterr().out
    assert "[a]" in said and "[live] x [/] [red]y[/red]" in said and "[/b]" in said


def test_brackets_in_the_name_of_a_file_are_printed(upswell: Upswell, tmp_path: Path) -> None:
    file = tmp_path / "Title [dQw4w9WgXcQ].csv"
    file.write_text("video_id,views,scraped_at\nx1,1,2025-05-01T10:00:00Z\n")
    said = upswell("ingest", str(file), "--home", str(tmp_path / "home"))
    assert said.code == 0
    assert file.name in said.err


def test_sql_tells_columns_of_one_name_apart_and_wants_a_query(upswell: Upswell, tmp_path: Path) -> None:
    home = ("--home", str(tmp_path / "home"))
    assert json.loads(upswell("sql", "SELECT 1 AS a, 2 AS a", "--json", *home).out) == [{"a": 1, "a_2": 2}]
    for query in ("", ";", "/* nothing */"):
        said = upswell("sql", query, *home)
        assert (said.code, said.err.splitlines()[0][:30]) == (2, "upswell: there is no query in ")


def test_a_report_on_nothing_is_one_line(upswell: Upswell, tmp_path: Path) -> None:
    said = upswell("report", "--home", str(tmp_path / "home"))
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines() == [
        "upswell: there are no forecasts to report on yet; run upswell run, or upswell evaluate"
    ]
