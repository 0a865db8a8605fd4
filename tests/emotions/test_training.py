"""The emotion model through the one trainer and registry: asked, trained, registered, judged, mirrored; and left out elsewhere."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from assets.evaluations.audit_records import audit_latest_training_sets
from assets.evaluations.decisions import decisions
from assets.evaluations.promotion import undecided
from assets.language.emotion_model.board import board, evaluation_of
from assets.language.emotion_model.charts import draw
from assets.language.emotion_model.gate import decide
from assets.language.emotion_model.registry import CELL, serving
from assets.language.emotion_model.runs import describe_models, labelled_texts, orders_for
from assets.models.mirror import mirror
from assets.models.order import Order, Result, read_order, result_of
from assets.models.registry import CHALLENGER, CHAMPION, aliased, registered
from assets.models.train import carry_out
from assets.models.training_runs import Outcome, outcome_of, register
from resources.clock import set_replay
from resources.emotions.model import MANIFEST, load
from resources.emotions.scoring import score
from resources.settings import load_settings
from resources.trainer.stop import Stop
from tests.emotions.commands import run
from tests.emotions.lessons import texts_of, tiny_encoder
from tests.models.trained_home import insert
from warehouse.connection import Warehouse

NOW = datetime(2024, 5, 1, 12)


def add_texts(warehouse: Warehouse, split: str, count: int, seed: int, known_at: datetime, wrong: float = 0.0) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        {
            "source": "lessons",
            "text_id": f"{split}-{seed}-{number}",
            "observed_at": known_at,
            "known_at": known_at,
            "video_id": "",
            "text": text,
            "labels": [str(rng.choice(["joy", "anger", "sadness", "neutral"]))] if rng.random() < wrong else names,
            "split": split,
            "language": "en",
            "landing_id": "landing",
            "row_number": number,
        }
        for number, (text, names) in enumerate(zip(*texts_of(count, seed), strict=True))
    ]
    insert(warehouse, "raw.texts", *rows)


def new_home(home: Path) -> Warehouse:
    warehouse = Warehouse(home)
    set_replay(home, NOW)
    add_texts(warehouse, "train", 160, 0, NOW - timedelta(days=9), wrong=0.6)
    add_texts(warehouse, "dev", 160, 1, NOW - timedelta(days=9))
    return warehouse


def train(warehouse: Warehouse, now: datetime = NOW, fraction: float = 1.0) -> list[Outcome]:
    """As the asset does, but in this process."""
    settings = load_settings(warehouse.home)
    asked = orders_for(warehouse, settings, now=now, run_id="r1", fraction=fraction)
    outcomes = []
    for order in asked.orders:
        order.write()
        carry_out(order, lambda said: None, Stop())
        outcomes.append(outcome_of(order, None, "local", 1, now, now))
    register(warehouse, asked, outcomes, decision_id=None, run_id="r1", now=now, guard=lambda: None)
    describe_models(warehouse, [str(one.result.version) for one in outcomes if one.result.version], now)
    return outcomes


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Warehouse:
    """A home whose first model serves; it learned from labels of which many are wrong."""
    warehouse = new_home(tmp_path_factory.mktemp("home"))
    train(warehouse)
    decide(warehouse, load_settings(warehouse.home), NOW, "r1")
    return warehouse


def test_a_model_is_trained_registered_and_serves(trained: Warehouse) -> None:
    champion = registered(trained, CELL, CHAMPION)
    assert champion is not None and champion["forecaster"] == "tfidf" and champion["n_train"] == 320
    folder = serving(trained)
    assert folder == trained.home / "models" / champion["version"]
    model = load(folder)
    [described] = trained.query("SELECT * FROM models.emotions").to_pylist()
    assert described["revision"] == model.revision and tuple(described["labels"]) == model.labels
    assert described["known_at"] == NOW - timedelta(days=9)
    [decision] = decisions(trained, CELL, "gate")
    assert decision.outcome == "first" and decision.numbers["lower"] > 0
    assert "giving every label to every text" in decision.why
    [run] = trained.query("SELECT * FROM models.runs").to_pylist()
    [row] = board(trained)
    assert (run["state"], run["target"]) == ("done", "emotions")
    assert run["validation_error"] == pytest.approx(1 - row["macro_f1"])
    assert row["lower"] < row["macro_f1"] < row["upper"] and row["dev_texts"] + row["also_in_train"] == 160
    assert all(png.startswith(b"\x89PNG") for png in draw(evaluation_of(folder)).values())


def test_the_same_order_twice_is_one_training(trained: Warehouse) -> None:
    before = trained.query("SELECT * FROM models.versions").to_pylist()
    outcomes = train(trained)
    assert trained.query("SELECT * FROM models.versions").to_pylist() == before
    assert decide(trained, load_settings(trained.home), NOW, "r2") is None
    order = outcomes[0].order
    assert read_order(order.folder / "order.json") == order
    assert replace(order, seed=1).training_id != order.training_id


def test_nobody_takes_it_for_a_forecaster(trained: Warehouse) -> None:
    settings = load_settings(trained.home)
    assert aliased(trained, CHAMPION, CHALLENGER) == []
    assert undecided(trained, settings) == []
    assert audit_latest_training_sets(trained, settings, {}, samples=5, now=NOW).differences == []


def test_a_better_model_is_promoted_and_an_equal_one_is_not(tmp_path: Path) -> None:
    warehouse = new_home(tmp_path)
    train(warehouse)
    settings = load_settings(tmp_path)
    first = decide(warehouse, settings, NOW, None)
    add_texts(warehouse, "train", 20, 2, NOW + timedelta(days=1), wrong=0.6)
    train(warehouse, NOW + timedelta(days=1))
    second = decide(warehouse, settings, NOW + timedelta(days=1), None)
    add_texts(warehouse, "train", 600, 3, NOW + timedelta(days=2))
    train(warehouse, NOW + timedelta(days=2))
    third = decide(warehouse, settings, NOW + timedelta(days=2), None)
    assert first and second and third
    assert [one.outcome for one in (first, second, third)] == ["first", "kept", "promoted"]
    assert second.against == third.against == first.version
    assert third.numbers["lower"] > 0 and third.numbers["texts"] == 160 - _seen_in_train(warehouse)
    champion = registered(warehouse, CELL, CHAMPION)
    assert champion is not None and champion["version"] == third.version


def _seen_in_train(warehouse: Warehouse) -> int:
    [row] = warehouse.query(
        """SELECT count(*) AS n FROM raw.texts d WHERE d.split = 'dev'
           AND EXISTS (FROM raw.texts t WHERE t.split = 'train' AND lower(t.text) = lower(d.text))"""
    ).to_pylist()
    return int(row["n"])


def test_a_champion_whose_labels_were_changed_is_not_asked(tmp_path: Path) -> None:
    warehouse = new_home(tmp_path)
    train(warehouse)
    settings = load_settings(tmp_path)
    decide(warehouse, settings, NOW, None)
    folder = serving(warehouse)
    assert folder is not None
    stated = json.loads((folder / MANIFEST).read_text())
    stated["labels"] = stated["labels"][::-1]
    (folder / MANIFEST).write_text(json.dumps(stated))
    add_texts(warehouse, "train", 300, 3, NOW + timedelta(days=2))
    train(warehouse, NOW + timedelta(days=2))
    decision = decide(warehouse, settings, NOW + timedelta(days=2), None)
    assert decision is not None and decision.outcome == "first"
    assert "cannot be asked" in decision.why and "another order" in decision.why


def test_texts_known_later_do_not_exist_and_too_few_train_nothing(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    add_texts(warehouse, "train", 50, 0, NOW)
    add_texts(warehouse, "train", 200, 1, NOW + timedelta(days=1))
    settings = load_settings(tmp_path)
    assert len(labelled_texts(warehouse, settings, NOW)) == 50
    asked = orders_for(warehouse, settings, now=NOW, run_id="r")
    assert asked.orders == () and "upswell ingest train.tsv dev.tsv --as texts" in asked.skipped["all"]


def test_development_mode_makes_no_challenger(tmp_path: Path) -> None:
    warehouse = new_home(tmp_path)
    [outcome] = train(warehouse, fraction=0.7)
    assert outcome.result.state == "done" and registered(warehouse, CELL, CHALLENGER) is None


def test_an_unknown_label_is_a_failure_that_names_it(tmp_path: Path) -> None:
    warehouse = new_home(tmp_path)
    add_texts(warehouse, "train", 1, 5, NOW)
    with warehouse.write() as con:
        con.execute("UPDATE raw.texts SET labels = ['wrath'] WHERE text_id = 'train-5-0'")
    [outcome] = train(warehouse)
    assert outcome.result.state == "failed" and "'wrath'" in str(outcome.result.why)


def test_a_network_stops_goes_on_and_is_registered(tmp_path: Path) -> None:
    warehouse = new_home(tmp_path / "home")
    encoder = tiny_encoder(tmp_path / "encoder")
    (tmp_path / "home" / "upswell.yaml").write_text(
        f"language: {{emotions: {{model: transformers, weights: {encoder}, epochs: 2, learning_rate: 0.01, batch_size: 32}}}}\n"
        "training: {device: cpu}\n"
    )
    settings = load_settings(warehouse.home)
    asked = orders_for(warehouse, settings, now=NOW, run_id="r1")
    assert [order.forecaster for order in asked.orders] == ["transformers", "tfidf"]
    order = asked.orders[0]
    assert _attempt(order, stop_after=3).state == "stopped"
    result = _attempt(order)
    assert result.state == "done" and result.rows == 320 and result_of(order) == result
    model = load(warehouse.home / "models" / str(result.version))
    assert model.name == "transformers" and np.isfinite(score(model, ["dance cat", ""]).probabilities[0]).all()
    assert not (order.folder / "checkpoints").exists()


class _After(Stop):
    def __init__(self, count: int) -> None:
        super().__init__()
        self._left = count

    def __call__(self) -> bool:
        self._left -= 1
        return self._left < 0


def _attempt(order: Order, stop_after: int | None = None) -> Result:
    return carry_out(order, lambda said: None, Stop() if stop_after is None else _After(stop_after))


def test_the_command_trains_in_a_process_of_its_own_and_mlflow_has_the_model(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    new_home(tmp_path)
    code, out, _ = run(["train", "emotions", "--home", str(tmp_path), "--json"], monkeypatch, capsys)
    told = json.loads(out)
    assert code == 0
    assert [row["state"] for row in told["trained"]] == ["done"] and told["trained"][0]["alias"] == "champion"
    assert [row["outcome"] for row in told["decided"]] == ["first"]
    code, out, _ = run(["emotion", "dance cat", "--home", str(tmp_path), "--json"], monkeypatch, capsys)
    assert code == 0 and json.loads(out)["texts"][0]["state"] == "judged"
    _check_mlflow(Warehouse(tmp_path))


def _check_mlflow(warehouse: Warehouse) -> None:
    from mlflow.pyfunc import load_model
    from mlflow.tracking import MlflowClient

    folder = serving(warehouse)
    assert folder is not None and "macro-F1" in (folder / "card.md").read_text()
    assert mirror(warehouse, load_settings(warehouse.home)).unchanged == 1
    client = MlflowClient(f"sqlite:///{warehouse.home / 'mlflow' / 'mlflow.db'}")
    [version] = client.search_model_versions("name = 'texts.emotions.text'")
    texts = pd.DataFrame({"text": ["dance cat magic", ""]})
    said = load_model(client.get_model_version_download_uri(version.name, version.version)).predict(texts)
    assert said.columns.tolist() == list(load(folder).labels)
    assert said.iloc[0].notna().all() and said.iloc[1].isna().all()
