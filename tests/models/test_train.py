"""The trainer carries out an order once, goes on where it stopped, and says what went wrong."""

import json
import multiprocessing
from dataclasses import replace
from pathlib import Path

import joblib
import numpy as np
import pytest

from assets.evaluations.backtest import fit
from assets.models import train as trainer
from assets.models.order import BEGUN, CURVES, Order, OrderError, read_order, result_of, told
from assets.models.predictor import FOLDER, MODEL, Predictor
from assets.models.train import Place, carry_out
from assets.models.training_runs import training_rows
from resources.trainer.device import held
from resources.trainer.stop import Stop
from tests.models.frames import make_frame
from tests.models.training_home import ORIGIN, order, stepwise

__all__ = ["stepwise"]


class StopAt(Stop):
    """Asked to stop the `number`-th time that it is asked about."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.left = number

    def __call__(self) -> bool:
        self.left -= 1
        if self.left == 0:
            self.ask("told to by the test")
        return super().__call__()


def carried(one: Order, stop: Stop | None = None, **more):
    lines: list[str] = []
    return carry_out(one, lines.append, stop or Stop(), **more), lines


@pytest.mark.parametrize(
    ("name", "target"), [("hist_gradient_boosting", "log_views_7d"), ("tfidf_logistic", "viral_7d")]
)
def test_any_forecaster_is_trained_as_a_backtest_would(home: Path, name: str, target: str) -> None:
    asked = order(home, name, target=target)
    result, _ = carried(asked)
    assert (result.state, result.rows) == ("done", 396), result.why
    frame = make_frame(600, "24h", seed=3)
    said = Predictor.load(home, result.version, frame, "f1").forecasts()
    expected = fit(name, asked.task, training_rows(frame, ORIGIN).head(400))
    for column, values in expected.predict(frame).items():
        np.testing.assert_array_equal(said[column], values)
    assert result.validation_error == expected.validation_error
    assert result.seconds > 0
    assert result.peak_memory_bytes > 1e6
    assert result.samples_per_second > 0


def test_the_same_order_again_does_nothing(home: Path) -> None:
    first, _ = carried(order(home))
    bundle = home / FOLDER / str(first.version) / MODEL
    before = bundle.stat().st_mtime_ns, told(order(home)).curves
    again, lines = carried(replace(order(home), run_id="r2"))
    assert again == first
    assert bundle.stat().st_mtime_ns == before[0]
    assert told(order(home)).curves.equals(before[1])
    assert lines[0] == f"{first.version} is trained already"


def test_an_order_whose_bundle_was_lost_is_carried_out_again(home: Path) -> None:
    first, _ = carried(order(home))
    for path in (home / FOLDER / str(first.version)).iterdir():
        path.unlink()
    assert result_of(order(home)) is None
    assert carried(order(home))[0].state == "done"


def test_a_stopped_training_goes_on_from_its_checkpoint_to_the_same_model(home: Path, tmp_path: Path) -> None:
    stopped, _ = carried(order(home), StopAt(17))
    assert (stopped.state, stopped.why, stopped.version) == ("stopped", "told to by the test", None)
    done, _ = carried(order(home))
    assert done.state == "done"
    assert json.loads((order(home).folder / BEGUN).read_text())["resumed"] == 1
    assert not (order(home).folder / "checkpoints").exists(), "what is done needs none"
    began = told(order(home)).curves.query("fit == 'final' and metric == 'began_at'").set_index("step")["value"]
    assert began.to_dict() == {step: 0.0 if step <= 5 else 5.0 for step in range(1, 13)}
    elsewhere, _ = carried(order(tmp_path / "other"))
    models = [
        joblib.load(folder / FOLDER / str(result.version) / MODEL)["fitted"].forecaster.model_.coef_
        for folder, result in ((home, done), (tmp_path / "other", elsewhere))
    ]
    np.testing.assert_array_equal(*models)


def test_curves_are_kept_per_fit_and_survive_half_a_line(home: Path) -> None:
    asked = order(home)
    asked.folder.mkdir(parents=True)
    (asked.folder / CURVES).write_text('{"fit": "final", "step": 1, "train_loss": NaN}\n{"fit": "fi')
    assert told(asked).curves.empty
    carried(asked)
    curves = told(asked).curves.query("metric == 'train_loss'")
    assert curves.groupby("fit")["step"].apply(list).to_dict() == {
        "calibration": list(range(1, 13)),
        "final": list(range(1, 13)),
    }
    assert (told(asked).epochs, told(asked).steps) == (3, 12)


def test_nan_fails_with_the_batch_and_is_not_registered(home: Path) -> None:
    result, lines = carried(order(home, parameters={"nan_at": 6}))
    assert result.state == "failed"
    assert result.why == "FloatingPointError: loss is NaN at step 6, batch of v00001, v00002"
    assert lines[-1] == f"failed: {result.why}"
    assert not (home / FOLDER).exists()


def test_ten_rows_are_too_few(home: Path) -> None:
    result, _ = carried(order(home, rows=10))
    assert result.state == "failed"
    assert "10 training rows are too few to calibrate on; 160 are needed" in str(result.why)


def test_a_changed_training_set_is_refused(home: Path) -> None:
    asked = order(home)
    path = home / "training_sets" / f"{asked.training_set_id}.parquet"
    path.write_bytes(path.read_bytes()[:-7])
    result, _ = carried(asked)
    assert result.state == "failed"
    assert f"{path} was changed after it was frozen" in str(result.why)


def test_a_held_device_names_its_holder_and_a_later_order_is_carried_out(home: Path) -> None:
    ready, over = multiprocessing.Event(), multiprocessing.Event()
    other = multiprocessing.Process(target=_hold, args=(home, ready, over))
    other.start()
    assert ready.wait(30)
    result, _ = carried(order(home), patience_s=0.1)
    over.set()
    other.join()
    assert result.state == "failed"
    assert f"cpu is held by the trainer with PID {other.pid}" in str(result.why)
    assert carried(order(home))[0].state == "done"


def _hold(home: Path, ready, over) -> None:
    with held(home, "cpu"):
        ready.set()
        over.wait(30)


def test_only_the_first_of_several_processes_writes(home: Path) -> None:
    result, _ = carried(order(home), place=Place(rank=1, local_rank=1, processes=2))
    assert (result.state, result.version) == ("done", None)
    assert not (home / FOLDER).exists()
    assert result_of(order(home)) is None


def test_what_is_asked_names_the_training(home: Path) -> None:
    asked = order(home)
    assert replace(asked, run_id="other", device="auto").training_id == asked.training_id
    others = [
        replace(asked, seed=1),
        replace(asked, parameters={"steps": 3}),
        replace(asked, fraction=0.5),
        replace(asked, preset="edited"),
        replace(asked, data_version="other"),
        order(home, target="viral_7d"),
        order(home, rows=300),
    ]
    assert len({asked.training_id, *(other.training_id for other in others)}) == 1 + len(others)
    assert read_order(asked.write()) == asked


def test_bad_orders_are_named(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OrderError, match=r"no order at .*nowhere\.json"):
        read_order(home / "nowhere.json")
    (home / "order.json").write_text(json.dumps({"home": str(home), "seed": "many"}))
    with pytest.raises(OrderError, match=r"seed: .*integer"):
        read_order(home / "order.json")
    assert trainer.main([str(home / "order.json")]) == 2
    assert "order.json: " in capsys.readouterr().err
