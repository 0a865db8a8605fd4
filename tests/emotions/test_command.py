"""`upswell emotion`: on text, files and standard input, and the evaluation of a model on a labelled file."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from assets.language.emotion_model.evaluation import evaluate_model
from assets.language.emotion_model.files import read_tsv
from assets.language.emotion_model.fit import EVALUATION, fit, keep
from assets.language.emotion_model.recipe import Recipe
from assets.models.fit_run import FitRun
from resources.emotions.model import load
from resources.emotions.seen import seen_by
from tests.emotions.commands import run
from tests.emotions.lessons import LABELS, examples, texts_of


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tfidf"
    fitted = fit(Recipe(model="tfidf"), examples(300, 0), examples(120, 1), 0, FitRun())
    keep(folder, fitted, None, "lessons")
    return folder


def test_a_text_as_json(bundle: Path, monkeypatch, capsys) -> None:
    code, out, _ = run(["emotion", "dance cat magic", "--model", str(bundle), "--json"], monkeypatch, capsys)
    [row] = json.loads(out)["texts"]
    assert code == 0
    assert row["state"] == "judged" and row["emotions"] == ["joy"]
    assert row["confidence"] == max(row["probabilities"].values()) == pytest.approx(row["ekman"]["joy"])
    assert row["sentiment"]["positive"] > row["sentiment"]["negative"]


FAULTS = {
    "empty": b"",
    "blank": b" \t ",
    "emoji": "😂😂🔥".encode(),
    "mixed scripts": "Привет dance مرحبا 你好".encode(),
    "control characters": b"dance\x00\x07\x1b[31m cat",
    "no UTF-8": b"dance \xff\xfe\xed\xa0\x80 cat",
    "a megabyte": b"dance " * 175_000,
}


def test_a_file_with_every_fault_has_a_row_for_every_line(bundle: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    file = tmp_path / "texts.txt"
    file.write_bytes(b"\n".join([*FAULTS.values(), b"prank"]) + b"\n")
    code, out, _ = run(["emotion", str(file), "--model", str(bundle), "--json"], monkeypatch, capsys)
    rows = json.loads(out)["texts"]
    states = dict(zip([*FAULTS, "last"], [row["state"] for row in rows], strict=True))
    assert code == 0
    assert [name for name, state in states.items() if state == "empty"] == ["empty", "blank"]
    assert rows[-1]["emotions"] == ["anger"] and rows[list(FAULTS).index("a megabyte")]["emotions"] == ["joy"]
    code, out, _ = run(["emotion", str(file), "--model", str(bundle)], monkeypatch, capsys)
    assert code == 0 and "empty" in out and "\x1b[31m" not in out


def test_a_lone_surrogate_and_masks_as_an_argument(bundle: Path, monkeypatch, capsys) -> None:
    code, out, _ = run(["emotion", "dance \ud800 [NAME]", "--model", str(bundle)], monkeypatch, capsys)
    assert code == 0 and "joy" in out and "[NAME]" in out


def test_standard_input(bundle: Path) -> None:
    from orchestration.cli import app

    found = CliRunner().invoke(app, ["emotion", "-", "--model", str(bundle), "--json"], input="dance\n\nprank\n")
    assert [row["emotions"] for row in json.loads(found.stdout)["texts"]] == [["joy"], [], ["anger"]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give a text"),
        (["a", "--evaluate", "b"], "give a text"),
        (["a"], "train one with `upswell train emotions`"),
        (["a", "--model", "/nowhere"], "holds no emotion model"),
        (["--evaluate", "/nowhere.tsv"], "upswell train emotions"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_the_way_out(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch, capsys
) -> None:
    code, _, err = run(["emotion", *arguments, "--home", str(tmp_path)], monkeypatch, capsys)
    assert code == 2 and says in err and len(err.strip().splitlines()) == 1


def tsv(folder: Path, lines: list[str], labels: list[str] | None = None) -> Path:
    (folder / "test.tsv").write_text("\n".join(lines) + "\n")
    if labels is not None:
        (folder / "labels.txt").write_text("\n".join(labels))
    return folder / "test.tsv"


def test_the_evaluation_of_a_file_leaves_out_what_was_trained_on(
    bundle: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    fresh = list(zip(*texts_of(150, 2), strict=True))
    known = list(zip(*texts_of(3, 0), strict=True))
    lines = [
        f"{text}\t{','.join(str(LABELS.index(name)) for name in names)}\tid{number}"
        for number, (text, names) in enumerate(fresh + [(text.upper(), names) for text, names in known])
    ]
    file = tsv(tmp_path, lines, list(LABELS))
    code, out, _ = run(["emotion", "--evaluate", str(file), "--model", str(bundle), "--json"], monkeypatch, capsys)
    found = json.loads(out)
    model, all_of = load(bundle), read_tsv(file, LABELS)
    seen = seen_by(bundle, all_of.texts)
    assert code == 0 and seen is not None
    assert found["also_in_train"] == seen.sum() >= 3 and found["n"] == len(all_of) - found["also_in_train"]
    expected = evaluate_model(model.logits(all_of.texts), model.decisions, all_of, seen)
    assert found["fitted"]["macro"] == expected.fitted.macro > 0.8
    assert found["oracle_macro"] >= found["fitted"]["macro"] - 0.02
    assert [row["label"] for row in found["labels"]] == list(LABELS)
    assert [row["support"] for row in found["labels"]] == all_of.take(~seen).truth.sum(axis=0).tolist()
    code, out, _ = run(["emotion", "--evaluate", str(file), "--model", str(bundle)], monkeypatch, capsys)
    assert code == 0 and "oracle" in out and "also in train and left out" in out


def test_the_evaluation_of_dev_itself_says_that_it_chose_the_thresholds(
    bundle: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    own = {text: names for text, names in zip(*texts_of(120, 1), strict=True)}
    lines = [f"{text}\t{','.join(str(LABELS.index(name)) for name in names)}\tid" for text, names in own.items()]
    file = tsv(tmp_path, [*lines, "dance never seen before\t0\tid"], list(LABELS))
    _, out, _ = run(["emotion", "--evaluate", str(file), "--model", str(bundle), "--json"], monkeypatch, capsys)
    found = json.loads(out)
    assert found["also_chose_thresholds"] == found["n"] - 1 > 50
    _, out, _ = run(["emotion", "--evaluate", str(file), "--model", str(bundle)], monkeypatch, capsys)
    assert f"also chose its thresholds, and left in: {found['also_chose_thresholds']}" in " ".join(out.split())


@pytest.mark.parametrize(
    ("lines", "labels", "says"),
    [
        (["good\t4\tx"], None, "line 1: no label '4'; the model has 4, 0 (joy) to 3 (neutral)"),
        (["good\t0", "bad\twrath"], None, "line 2: no label 'wrath'"),
        (["good"], None, "line 1: no labels"),
        (["good\t0"], list(LABELS[:3]), "has 3 labels (joy, anger, sadness), not 4"),
        (["good\t0"], ["anger", "joy", "sadness", "neutral"], "another order: anger, joy"),
        (["", ""], None, "holds no text"),
    ],
)
def test_a_file_with_other_labels_is_refused(
    bundle: Path, tmp_path: Path, lines: list[str], labels: list[str] | None, says: str, monkeypatch, capsys
) -> None:
    file = tsv(tmp_path, lines, labels)
    code, _, err = run(["emotion", "--evaluate", str(file), "--model", str(bundle)], monkeypatch, capsys)
    assert code == 2 and says in " ".join(err.split())


def test_the_bundle_has_its_figures_of_dev_by_folds(bundle: Path) -> None:
    figures = json.loads((bundle / EVALUATION).read_text())
    assert figures["fitted"]["macro"] > 0.8 and len(figures["epochs"]) == 5
    assert figures["fitted"]["macro_bounds"][0] <= figures["fitted"]["macro"]
    assert figures["n"] + figures["also_in_train"] == 120
    assert np.isfinite(figures["calibration_error"])
