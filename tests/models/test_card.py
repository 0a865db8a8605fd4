"""A card says what rows say, and that something is not measured where none does."""

import json
from datetime import date, datetime
from pathlib import Path

import pytest

from assets.models.card import model_card, write_card
from assets.models.predictor import FOLDER, PROVENANCE, ModelError
from assets.models.provenance import code_version, provenance
from resources.settings import load_settings
from tests.models.trained_home import CELL, DONE, SECOND, Trained, insert, reevaluated, trained_home


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Trained:
    return trained_home(tmp_path_factory.mktemp("home"))


def card(trained: Trained, version: str) -> str:
    return model_card(trained.warehouse, load_settings(trained.warehouse.home), version)


def section(text: str, title: str) -> str:
    return text.split(f"## {title}\n\n")[1].split("\n\n## ")[0]


def decision(version: str, **more: object) -> dict[str, object]:
    row = {"decision_id": "g1", "kind": "gate", "outcome": "promoted", "why": "better by 0.1 ± 0.02", "clock": "replay"}
    cell = {"source": CELL.source, "target": CELL.target, "cutoff": CELL.cutoff}
    return {**row, **cell, "version": version, "decided_at": DONE, "numbers": "{}", **more}


def test_what_no_row_says_is_not_measured(trained):
    text = card(trained, trained.second)
    assert section(text, "How good it is").count("not measured") == 2
    assert section(text, "Slices") == "not measured"
    assert section(text, "Decisions") == "none yet"
    assert "| epochs | not measured |" in text


def test_it_says_what_it_is_made_of_and_how(trained):
    text = card(trained, trained.first)
    train = trained.frame[trained.frame["matured_at"] <= "2024-02-26"]
    row = trained.warehouse.query(f"SELECT * FROM models.versions WHERE version = '{trained.first}'").to_pylist()[0]
    assert (
        "ln(1 + views) 168 hours after its anchor, as of 24h after the anchor. It is the champion of its cell." in text
    )
    for line in (
        f"| training rows | {len(train)} |",
        f"| published | {train['anchor_at'].min():%Y-%m-%d} to {train['anchor_at'].max():%Y-%m-%d} |",
        f"| training set | {row['training_set_id']} |",
        "| forecaster | ridge |",
        "| parameters | alpha = 10.0, max_terms = 3000, random_state = 0, smoothing = 5.0 |",
        f"| code | {provenance()['code']} |",
        f"| sha256 | {row['sha256']} |",
    ):
        assert line in text
    for title in ("Intended use", "Limits", "Ethics", "Licence"):
        assert section(text, title)
    assert "It must not be used" in text


def test_figures_are_those_of_the_rows_and_of_a_week_the_latest(trained):
    reevaluated(trained.warehouse, trained.first, SECOND, 0.31, n_test=20)
    reevaluated(trained.warehouse, trained.first, SECOND, 0.33, n_test=40)
    reevaluated(trained.warehouse, trained.first, date(2024, 3, 11), 0.35, n_test=30)
    numbers = {
        "overall": {"difference": -0.1, "standard_error": 0.02},
        "slices": [{"slice": "new_channel", "value": "1", "rows": 60, "champion": 0.4, "challenger": 0.39}],
    }
    insert(trained.warehouse, "evaluations.decisions", decision(trained.first, numbers=json.dumps(numbers)))
    score = {"source": CELL.source, "target": CELL.target, "cutoff": CELL.cutoff, "version": trained.first}
    for video, error, covered in (("a", 0.2, True), ("b", 0.4, False)):
        outcome = {"video_id": video, "value": 1.0, "error": error, "naive_error": 0.5, "covered_80": covered}
        times = {"made_at": DONE, "matured_at": DONE, "scored_at": datetime(2024, 4, 1)}
        insert(trained.warehouse, "evaluations.scores", {**score, **outcome, **times, "clock": "replay", "run_id": "r"})
    text = card(trained, trained.first)
    good = section(text, "How good it is")
    assert "not seen by the fit that forecast it): 0.25." in good
    assert [line for line in good.splitlines() if line.startswith("| 2024")] == [
        "| 2024-03-04 | 40 | 0.33 | 0.5 | 0.81 | replay |",
        "| 2024-03-11 | 30 | 0.35 | 0.5 | 0.81 | replay |",
    ]
    assert "| replay | 2 | 0.3 | 0.5 | not measured | 0.5 | not measured |" in good
    decided = section(text, "Decisions")
    assert "| gate | promoted | better by 0.1 ± 0.02 |" in decided
    assert "| overall.difference | -0.1 |" in decided
    assert "| new_channel | 1 | 60 | 0.4 | 0.39 |" in section(text, "Slices")


def test_it_is_kept_beside_the_bundle_whole(trained):
    home, text = trained.warehouse.home, card(trained, trained.second)
    assert write_card(home, trained.second, text).read_text() == text
    assert write_card(home, trained.second, "changed").read_text() == "changed"
    kept = {path.name for path in (home / FOLDER / trained.second).iterdir()}
    assert kept == {"model.joblib", "manifest.json", PROVENANCE, "card.md"}
    assert write_card(home, "absent", text) is None
    assert not (home / FOLDER / "absent").exists()


def test_an_unknown_model_is_named(trained):
    with pytest.raises(ModelError, match="no model 'absent'"):
        card(trained, "absent")


def test_code_outside_of_a_checkout_is_known_by_the_package(tmp_path: Path):
    (tmp_path / "code.py").write_text("")
    assert code_version(tmp_path).startswith("upswell ")
