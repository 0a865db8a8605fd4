"""Training as Dagster runs it: real processes, what they tell, and what is left when any of them is killed."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.models.assets import runs
from assets.models.order import FOLDER
from assets.policies import run_guard
from resources.home import Home
from resources.trainer.device import DeviceError, held
from tests.models.training_home import REPOSITORY, configure, stepwise, trained_home
from warehouse.connection import Warehouse

__all__ = ["stepwise", "trained_home"]
STEP = """
import sys, dagster as dg
from assets.models.assets import runs
from assets.models.forecasters import FORECASTERS
from resources.home import Home
from tests.models.stepwise import Stepwise
FORECASTERS["stepwise"] = Stepwise
dg.materialize([runs], resources={"home": Home(path=sys.argv[1])})
"""


def train(warehouse: Warehouse, **config: Any) -> tuple[dg.ExecuteInProcessResult, str]:
    """One Dagster run of the asset, and what it logged."""
    instance = dg.DagsterInstance.ephemeral()
    result = dg.materialize(
        [runs],
        resources={"home": Home(path=str(warehouse.home))},
        run_config={"ops": {"models__runs": {"config": config}}},
        instance=instance,
        raise_on_error=False,
    )
    lines = [record.user_message for record in instance.all_logs(result.run_id)]
    failures = [event.step_failure_data.user_failure_data for event in result.get_step_failure_events()]
    return result, "\n".join([*lines, *(str(failure.description) for failure in failures if failure)])


def stored(warehouse: Warehouse) -> list[dict[str, Any]]:
    return warehouse.query("SELECT * FROM models.runs ORDER BY forecaster").to_pylist()


def steps(home: Path) -> int:
    """Steps that the trainings of a home have told of, in both fits."""
    return sum(path.read_text().count('"step"') for path in (home / FOLDER).glob("*/curves.jsonl"))


def trainer_pid(home: Path) -> int:
    return int((home / "devices" / "cpu.lock").read_text())


def until(what: Callable[[], Any], seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return found


@contextmanager
def after(number: int, warehouse: Warehouse, do: Callable[[], None]) -> Iterator[None]:
    """Does something once the trainings of a home have told of so many steps, while the block runs."""

    def wait() -> None:
        until(lambda: steps(warehouse.home) >= number)
        do()

    waiting = threading.Thread(target=wait)
    waiting.start()
    yield
    waiting.join()


def device_is_free(home: Path) -> bool:
    try:
        with held(home, "cpu"):
            return True
    except DeviceError:
        return False


def test_a_training_run_trains_registers_and_says_how_it_goes(trained_home: Warehouse) -> None:
    """What fits on a device is trained by two processes, of which one speaks; the other forecaster by one."""
    configure(trained_home.home, "hist_gradient_boosting, stepwise", "launcher: torchrun, processes: 2")
    result, log = train(trained_home, decision_ids={"simulator/log_views_7d/24h": "d1"})
    assert result.success, log
    [boosted, stepped] = stored(trained_home)
    assert (boosted["state"], stepped["state"], stepped["steps"]) == ("done", "done", 12)
    assert [(row["launcher"], row["processes"]) for row in (boosted, stepped)] == [("local", 1), ("torchrun", 2)]
    assert boosted["run_id"] == result.run_id
    assert boosted["decision_id"] == "d1"
    aliases = trained_home.query("SELECT forecaster, alias FROM models.versions ORDER BY 1").to_pylist()
    best = min((boosted, stepped), key=lambda row: row["validation_error"])
    assert [row["forecaster"] for row in aliases if row["alias"] == "challenger"] == [best["forecaster"]]
    assert log.count("stepwise on cpu: training") == 1
    assert "calibration fit: epoch 0, step 1, train_loss 1" in log
    [event] = result.asset_materializations_for_node("models__runs")
    assert event.metadata["models"].value == 2
    assert "| simulator/log_views_7d/24h | stepwise | done |" in event.metadata["trainings"].value
    assert "losses stepwise simulator log_views_7d 24h" in event.metadata

    again, log = train(trained_home, forecasters=["stepwise"])
    assert again.success
    assert "was done before: simulator-log_views_7d-24h-stepwise" in log
    assert stored(trained_home) == [boosted, stepped]
    assert "stepwise on cpu" not in log, "what is done starts no trainer"


def test_a_canceled_run_and_a_killed_trainer_are_rows_and_the_next_run_goes_on(
    trained_home: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPWISE_PAUSE_S", "0.1")
    with after(3, trained_home, lambda: os.kill(os.getpid(), signal.SIGINT)):
        assert not train(trained_home)[0].success
    [row] = stored(trained_home)
    assert (row["state"], row["why"], row["version"]) == ("stopped", "told to by SIGINT", None)

    with after(15, trained_home, lambda: os.kill(trainer_pid(trained_home.home), signal.SIGKILL)):
        result, log = train(trained_home)
    assert not result.success
    [row] = stored(trained_home)
    assert (row["state"], row["version"], row["resumed"]) == ("failed", None, 1)
    assert "failed with code -9" in row["why"]
    assert row["why"] in log

    monkeypatch.setenv("STEPWISE_PAUSE_S", "0")
    assert train(trained_home)[0].success
    [row] = stored(trained_home)
    assert (row["state"], row["why"], row["resumed"], row["steps"]) == ("done", None, 2, 12)
    began = trained_home.query(
        "SELECT max(value) AS at FROM models.curves WHERE fit = 'final' AND metric = 'began_at'"
    ).to_pylist()
    assert began[0]["at"] >= 1, "the final fit went on from its checkpoint"


def test_a_trainer_whose_step_was_killed_stops_at_a_checkpoint_and_frees_its_device(
    trained_home: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEPWISE_PAUSE_S", "0.25")
    step = subprocess.Popen([sys.executable, "-c", STEP, str(trained_home.home)], cwd=REPOSITORY)
    until(lambda: steps(trained_home.home) >= 3)
    step.kill()  # and not waited for: an unburied process is gone all the same
    assert not device_is_free(trained_home.home), "the trainer lives on, and holds its device"
    until(lambda: device_is_free(trained_home.home))
    step.wait()
    [folder] = (trained_home.home / FOLDER).iterdir()
    result = json.loads((folder / "result.json").read_text())
    assert result["state"] == "stopped"
    assert result["why"] == f"the process that started it ({step.pid}) is gone"
    assert any((folder / "checkpoints").iterdir())
    assert stored(trained_home) == [], "nobody was left to register it"


def test_what_cannot_be_trained_is_said(trained_home: Warehouse) -> None:
    result, log = train(trained_home, cells=["simulator/log_views_7d/24h/x"])
    assert not result.success
    assert "'simulator/log_views_7d/24h/x' names no cell; write source/target/cutoff" in log
    configure(trained_home.home, "stepwise", "processes: 2")
    _, log = train(trained_home)
    assert "training.processes 2: launcher local is one process; set training.launcher to torchrun" in log
    (trained_home.home / "upswell.yaml").write_text("gate: {rows: 900}\n")
    result, log = train(trained_home, cells=["simulator/log_views_7d/24h"])
    [event] = result.asset_materializations_for_node("models__runs")
    assert "700 matured videos; 900 are needed" in event.metadata["skipped"].value
    assert "simulator/log_views_7d/24h, all: not trained: 700 matured videos; 900 are needed to judge a model" in log


def test_the_guard_stops_a_run_that_was_marked_failed() -> None:
    reached = []

    @dg.asset
    def late(context: dg.AssetExecutionContext) -> None:
        guard = run_guard(context)
        guard()
        reached.append("alive")
        context.instance.report_run_failed(context.run)
        guard()
        reached.append("written")

    instance = dg.DagsterInstance.ephemeral()
    with pytest.raises(dg.Failure, match=r"has ended \(failure\): it writes nothing any more"):
        dg.materialize([late], instance=instance)
    assert reached == ["alive"]
