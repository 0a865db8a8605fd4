"""`upswell summarize` on a text, a file and standard input, without a home's data."""

import io
import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Upswell

TALK = (
    "Hello there. The sourdough bread is baked at home. It rained. The sourdough bread needs time at home. Bye now. "
    * 3
)


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UPSWELL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_text_a_file_and_standard_input_say_the_same(
    upswell: Upswell, tmp_path: Path, empty_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = upswell("summarize", TALK, "--words", "8")
    assert said.code == 0 and "sourdough" in said.out and said.err == ""
    file = tmp_path / "talk.txt"
    file.write_text(TALK)
    assert upswell("summarize", str(file), "--words", "8").out == said.out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TALK.encode() + b"\xff\xfe")))
    assert upswell("summarize", "-", "--words", "8").out == said.out
    assert not (empty_home / "warehouse.duckdb").exists()


def test_json_says_by_what_and_how_long(upswell: Upswell, empty_home: Path) -> None:
    empty_home.mkdir()
    (empty_home / "upswell.yaml").write_text("language: {summaries: {words: 9}}\n")
    told = json.loads(upswell("summarize", TALK, "--json").out)
    assert told["method"] == "extractive" and 0 < told["words"] <= 9 < told["of"] and told["state"] == "valid"
    assert json.loads(upswell("summarize", "🙂🎉", "--json").out)["state"] == "empty"
    assert upswell("summarize", "").out == "\n"


def test_what_cannot_be_done_is_one_line(upswell: Upswell) -> None:
    for arguments, named in (
        (("--model", "gpt"), "choose extractive or t5"),
        (("--model", "t5"), "t5 needs `weights`"),
        (("--model", "t5", "--weights", "/nowhere/t5"), "there is no folder /nowhere/t5"),
        (("--words", "0"), "--words"),
    ):
        said = upswell("summarize", TALK, *arguments)
        assert said.code == 2 and named in said.err and said.out == "" and "Traceback" not in said.err
