"""MLflow is made equal to the warehouse: once, whatever was interrupted, and never in anybody's working directory."""

import shutil
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from assets.models.card import CARD
from assets.models.mirror import mirror, registered_name
from assets.models.predictor import FOLDER, ModelError, Predictor
from assets.models.registry import set_alias
from resources.settings import load_settings
from resources.tracker import Tracker, TrackerError
from tests.models.trained_home import CELL, FINGERPRINT, SECOND, Trained, reevaluated, trained_home

MODEL = "simulator.log_views_7d.24h"


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    """An MLflow database without content; making its tables takes longer than all else here."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    uri = f"sqlite:///{path}"
    MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments(max_results=1)
    return path


@pytest.fixture(scope="module")
def master(tmp_path_factory) -> Trained:
    return trained_home(tmp_path_factory.mktemp("master"))


@pytest.fixture
def trained(master: Trained, database: Path, home: Path, tmp_path: Path, monkeypatch) -> Trained:
    """A home with two models and an empty MLflow; the working directory is an empty one."""
    shutil.copytree(master.warehouse.home, home, dirs_exist_ok=True)
    (home / "mlflow").mkdir()
    shutil.copy(database, home / "mlflow" / "mlflow.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Trained(type(master.warehouse)(home), master.frame, master.first, master.second)


def client(home: Path):
    from mlflow import MlflowClient

    uri = f"sqlite:///{home / 'mlflow' / 'mlflow.db'}"
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def content(home: Path) -> list[str]:
    with sqlite3.connect(home / "mlflow" / "mlflow.db") as con:
        return list(con.iterdump())


def mirrored(trained: Trained):
    return mirror(trained.warehouse, load_settings(trained.warehouse.home))


def assert_whole(trained: Trained) -> None:
    """Both models are there once, with everything, and serve as the warehouse says."""
    known = client(trained.warehouse.home)
    versions = known.search_model_versions(f"name = '{MODEL}'")
    assert sorted(version.tags["upswell.version"] for version in versions) == sorted([trained.first, trained.second])
    runs = known.search_runs(["1"])
    assert sorted(run.data.tags["upswell.version"] for run in runs) == sorted([trained.first, trained.second])
    for version in versions:
        run = known.get_run(version.run_id)
        assert run.data.tags["upswell.version"] == version.tags["upswell.version"]
        assert run.info.status == "FINISHED"
        assert {file.path for file in known.list_artifacts(version.run_id)} == {"model", CARD, "environment.json"}
    aliases = {alias: str(number) for alias, number in known.get_registered_model(MODEL).aliases.items()}
    names = {str(version.version): version.tags["upswell.version"] for version in versions}
    assert {alias: names[number] for alias, number in aliases.items()} == {
        "champion": trained.first,
        "challenger": trained.second,
    }


def test_a_model_is_kept_with_all_that_is_known_of_it(trained):
    done = mirrored(trained)
    assert sorted(done.added) == sorted([trained.first, trained.second])
    assert (done.updated, done.unchanged, done.aliases, done.skipped) == ([], 0, 2, {})
    assert_whole(trained)
    known = client(trained.warehouse.home)
    run = known.get_run(known.get_model_version_by_alias(MODEL, "champion").run_id)
    row = trained.warehouse.query(f"SELECT * FROM models.versions WHERE version = '{trained.first}'").to_pylist()[0]
    assert run.data.params["alpha"] == "10.0"
    assert run.data.params["training_set_id"] == row["training_set_id"] == run.data.tags["upswell.training_set_id"]
    assert (run.data.params["origin"], run.data.params["n_train"]) == ("2024-02-26", str(row["n_train"]))
    assert run.data.tags["upswell.code"]
    assert run.data.metrics["training.validation_error"] == 0.25
    curve = known.get_metric_history(run.info.run_id, "final.train_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 1 / 2), (3, 1 / 3)]
    assert list(Path.cwd().iterdir()) == []


def test_a_second_call_changes_nothing_and_neither_prints(trained, capfd):
    mirrored(trained)
    assert capfd.readouterr().out == ""
    before = content(trained.warehouse.home)
    done = mirrored(trained)
    assert (done.added, done.updated, done.unchanged, done.aliases) == ([], [], 2, 0)
    assert content(trained.warehouse.home) == before


def test_what_becomes_known_later_is_added(trained):
    mirrored(trained)
    reevaluated(trained.warehouse, trained.first, SECOND, 0.3)
    assert mirrored(trained).updated == [trained.first]
    reevaluated(trained.warehouse, trained.first, date(2024, 3, 11), 0.4)
    assert mirrored(trained).updated == [trained.first]
    known = client(trained.warehouse.home)
    run_id = known.get_model_version_by_alias(MODEL, "champion").run_id
    assert [(point.step, point.value) for point in known.get_metric_history(run_id, "reevaluation.mae")] == [
        (7, 0.3),
        (14, 0.4),
    ]
    assert len(known.get_metric_history(run_id, "final.train_loss")) == 3
    card = Path(known.download_artifacts(run_id, CARD)).read_text()
    assert card == (trained.warehouse.home / FOLDER / trained.first / CARD).read_text()
    assert "| 2024-03-11 | 50 | 0.4 |" in card
    assert_whole(trained)


def test_aliases_follow_the_warehouse(trained):
    mirrored(trained)
    with trained.warehouse.write() as con:
        set_alias(con, CELL, trained.second, "champion")
    assert mirrored(trained).aliases == 2
    known = client(trained.warehouse.home)
    numbers = {
        version.tags["upswell.version"]: str(version.version)
        for version in known.search_model_versions(f"name = '{MODEL}'")
    }
    assert {alias: str(number) for alias, number in known.get_registered_model(MODEL).aliases.items()} == {
        "champion": numbers[trained.second]
    }


@pytest.mark.parametrize("step", ["log_artifacts", "create_model_version", "set_model_version_tag"])
def test_a_call_that_was_cut_short_is_completed_by_the_next(trained, monkeypatch, step):
    from mlflow import MlflowClient

    def cut(*arguments, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, step, cut)
        with pytest.raises(KeyboardInterrupt):
            mirrored(trained)
    assert len(client(trained.warehouse.home).search_runs(["1"])) == 1
    mirrored(trained)
    assert_whole(trained)


def test_two_calls_at_once_keep_each_model_once(trained):
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: mirrored(trained), range(2)))
    assert sorted(len(each.added) for each in done) == [0, 2]
    assert_whole(trained)


def test_an_unreachable_server_delays_the_mirror_and_nothing_else(trained):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    own = trained.warehouse.home / "upswell.yaml"
    own.write_text(f"tracking: {{uri: 'http://someone:secret@127.0.0.1:{port}'}}")
    with pytest.raises(TrackerError, match=f"127.0.0.1:{port}.*the next call catches up") as caught:
        mirrored(trained)
    assert "secret" not in str(caught.value)
    assert (trained.warehouse.home / FOLDER / trained.first / CARD).exists()
    own.unlink()
    assert len(mirrored(trained).added) == 2
    assert_whole(trained)


def test_a_database_that_is_none_is_one_clear_error(tmp_path):
    (tmp_path / "notes.db").write_text("no database at all, but long enough to be read as one" * 20)
    with pytest.raises(TrackerError, match=r"MLflow at sqlite:.*not a database.*tracking\.uri"):
        Tracker.open(tmp_path, f"sqlite:///{tmp_path / 'notes.db'}")


def test_a_loaded_model_says_the_same_and_refuses_other_input(trained):
    import mlflow.pyfunc

    mirrored(trained)
    known = client(trained.warehouse.home)
    found = known.get_model_version_by_alias(MODEL, "champion")
    loaded = mlflow.pyfunc.load_model(known.get_model_version_download_uri(MODEL, found.version))
    rows = trained.frame.drop(columns=["status", "value", "matured_at", "description"]).iloc[300:]
    said = loaded.predict(rows, params={"feature_fingerprint": FINGERPRINT})
    own = Predictor.load(trained.warehouse.home, trained.first, rows, FINGERPRINT).forecasts()
    pd.testing.assert_frame_equal(said, pd.DataFrame(own, index=rows.index))
    with pytest.raises(ModelError, match="made for features f1, these are f2"):
        loaded.predict(rows, params={"feature_fingerprint": "f2"})
    with pytest.raises(ModelError, match="say what made the rows"):
        loaded.predict(rows)
    with pytest.raises(ModelError, match="is for simulator, not elsewhere"):
        loaded.predict(rows.assign(source="elsewhere"), params={"feature_fingerprint": FINGERPRINT})
    assert {column.name for column in loaded.metadata.signature.inputs} >= {"views_log", "category", "title"}
    assert list(Path.cwd().iterdir()) == []


def test_a_model_without_its_bundle_is_named_and_the_others_are_kept(trained):
    shutil.rmtree(trained.warehouse.home / FOLDER / trained.first)
    done = mirrored(trained)
    assert list(done.skipped) == [trained.first]
    assert done.added == [trained.second]
    assert set(client(trained.warehouse.home).get_registered_model(MODEL).aliases) == {"challenger"}


def test_models_of_backtests_are_not_mirrored(trained):
    with trained.warehouse.write() as con:
        con.execute("UPDATE models.versions SET made_by = 'backtest', alias = NULL")
    before = content(trained.warehouse.home)
    assert mirrored(trained).added == []
    assert content(trained.warehouse.home) == before


def test_cells_with_alike_names_have_models_of_their_own():
    names = [
        registered_name({"source": source, "target": "t", "cutoff": "24h"})
        for source in ("a/b", "a:b", "a_b", "a b", "Ä")
    ]
    assert len(set(names)) == len(names)
    assert names[2] == "a_b.t.24h"
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-") for name in names)
