"""The loop: schedule, early stopping, copies, accumulation, memory, stopping, what is not finite, and going on."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from assets.models.fit_run import FitRun, StoppedError
from assets.models.network.batches import DivergedError, epoch_order
from assets.models.network.checkpoint import Checkpoints
from assets.models.network.loop import Figure, learning_rate
from assets.models.network.preset import load_preset
from tests.models.network.lessons import losses, make_loop, tensors


def equal(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_it_learns_and_tells_of_it():
    told = []
    loop = make_loop(run=FitRun(report=told.append), epochs=20)
    loop.train()
    assert losses(loop, "validation_loss")[-1] < 0.5 * losses(loop, "validation_loss")[0]
    assert [facts["epoch"] for facts in told] == list(range(20))
    assert told[3]["step"] == 16
    assert set(told[0]) == {*("epoch", "step", "train_loss", "validation_loss", "learning_rate", "samples_per_second")}
    assert all(math.isfinite(value) for facts in told for value in facts.values())


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    assert equal(make_loop().train(), make_loop().train())
    other = make_loop()
    other.seed = 4
    assert not equal(make_loop().train(), other.train())


def test_warm_up_then_a_cosine():
    preset = load_preset("small").with_overrides(warmup_steps=10, learning_rate=1.0)
    rates = [learning_rate(preset, step, 200) for step in range(200)]
    assert rates[:10] == pytest.approx([0.1 * step for step in range(1, 11)])
    assert max(rates) == 1.0
    assert all(b < a for a, b in pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    assert learning_rate(preset, 0, 5) == 1.0, "five steps have no room for a warm-up of ten"


def test_it_stops_when_later_rows_no_longer_gain_and_keeps_a_copy_of_the_best():
    noise = tensors(64)
    noise["outcome"] = torch.randn(64, generator=torch.Generator().manual_seed(0))
    loop = make_loop(noise, epochs=200, learning_rate=0.01, patience=3, weight_decay=0.0)
    best = loop.train()
    assert len(loop.at.curve) < 200
    validation = losses(loop, "validation_loss")
    assert loop.at.best_epoch == int(np.argmin(validation)) == len(validation) - 4
    last = loop.network.state_dict()
    assert not equal(best, last)
    kept = {name: tensor.clone() for name, tensor in best.items()}
    with torch.no_grad():
        for parameter in loop.network.parameters():
            parameter.zero_()
    assert equal(best, kept), "the best weights are no view of the last ones"


def test_it_can_stop_on_the_metric():
    costs = iter([3.0, 1.0, 2.0, 2.0, 2.0, 0.5])

    def figure(said, outcome):
        assert said.shape == outcome.shape == (64,)
        cost = next(costs)
        return Figure("validation_auroc", -cost, cost)

    loop = make_loop(epochs=50, patience=3, stop_on="metric")
    loop.figure = figure
    loop.train()
    assert losses(loop, "validation_auroc") == [-3.0, -1.0, -2.0, -2.0, -2.0]
    assert loop.at.best_epoch == 1
    assert losses(loop, "validation_loss")[2] < losses(loop, "validation_loss")[1], "the loss would have gone on"


def test_accumulation_changes_nothing_but_memory():
    whole, parts = make_loop(dropout=0.0), make_loop(dropout=0.0, accumulate=4)
    whole.train()
    parts.train()
    assert losses(whole) == pytest.approx(losses(parts), abs=1e-5)
    assert losses(whole, "validation_loss") == pytest.approx(losses(parts, "validation_loss"), abs=1e-5)


def test_out_of_memory_halves_the_parts_and_goes_on():
    whole, scarce = make_loop(dropout=0.0), make_loop(dropout=0.0)
    network, sizes = scarce.network, []
    forward = network.forward

    def limited(batch):
        if network.training:
            sizes.append(len(batch["matrix"]))
            if sizes[-1] > 10:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate more than there is")
        return forward(batch)

    network.forward = limited
    whole.train()
    scarce.train()
    assert scarce.at.accumulate == 4
    assert sizes[:3] == [32, 16, 8]
    assert max(sizes[2:]) == 8, "once is enough"
    assert losses(whole) == pytest.approx(losses(scarce), abs=1e-5)


def test_out_of_memory_for_a_single_row_is_an_error():
    loop = make_loop()

    def never(batch):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    loop.network.forward = never
    with pytest.raises(torch.OutOfMemoryError):
        loop.train()


@pytest.mark.parametrize("column", ["matrix", "outcome"])
def test_what_is_not_finite_stops_it_and_names_the_batch(column, tmp_path):
    rows = tensors()
    rows[column][77] = math.nan
    loop = make_loop(rows, checkpoints=Checkpoints(tmp_path))
    with pytest.raises(DivergedError) as raised:
        loop.train()
    assert 77 in raised.value.positions
    batches = epoch_order(128, 32, 3, 0)
    assert np.array_equal(raised.value.positions, batches[raised.value.step])
    assert not list(tmp_path.iterdir()), "weights that are not numbers are not kept"


def test_a_stop_saves_and_the_same_fit_goes_on_to_the_same_weights(tmp_path):
    asked = iter([*[False] * 5, True])
    with pytest.raises(StoppedError, match="after 6 of at most 16 steps"):
        make_loop(run=FitRun(should_stop=lambda: next(asked)), checkpoints=Checkpoints(tmp_path)).train()
    resumed = make_loop(checkpoints=Checkpoints(tmp_path))
    whole = make_loop()
    assert equal(resumed.train(), whole.train())
    assert resumed.at.curve == whole.at.curve
    again = make_loop(checkpoints=Checkpoints(tmp_path))
    assert equal(again.train(), whole.train())
    assert again.at.step == 16, "what is done is not done again"


def test_a_stop_without_a_place_for_checkpoints_stops_too():
    with pytest.raises(StoppedError):
        make_loop(run=FitRun(should_stop=lambda: True)).train()


def test_best_weights_outlive_an_interruption_after_they_were_best(tmp_path):
    noise = tensors(64)
    noise["outcome"] = torch.randn(64, generator=torch.Generator().manual_seed(0))
    settings = {"epochs": 200, "learning_rate": 0.01, "patience": 3, "weight_decay": 0.0}
    whole = make_loop(noise, **settings)
    best = whole.train()
    stop_at = (whole.at.best_epoch + 2) * 2  # two steps per epoch
    steps = iter(range(1, 1000))
    run = FitRun(should_stop=lambda: next(steps) == stop_at)
    with pytest.raises(StoppedError):
        make_loop(noise, run, Checkpoints(tmp_path), **settings).train()
    assert equal(make_loop(noise, None, Checkpoints(tmp_path), **settings).train(), best)


def test_a_corrupt_checkpoint_is_refused_and_the_one_before_is_used(tmp_path, caplog):
    kept = Checkpoints(tmp_path)
    make_loop(checkpoints=kept, checkpoint_steps=3, epochs=2).train()
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["step_000000006.pt", "step_000000008.pt"]
    last = tmp_path / "step_000000008.pt"
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1
    last.write_bytes(content)
    state = kept.latest("cpu")
    assert state is not None
    assert state["progress"]["step"] == 6
    assert "step_000000008.pt is not what was saved" in caplog.text
    resumed = make_loop(checkpoints=kept, checkpoint_steps=3, epochs=2)
    assert equal(resumed.train(), make_loop(epochs=2).train())
    for path in tmp_path.iterdir():
        path.write_bytes(b"torn")
    assert kept.latest("cpu") is None


def test_a_save_that_was_killed_leaves_nothing_behind(tmp_path):
    (tmp_path / ".draft_old").write_bytes(b"half")
    Checkpoints(tmp_path).save(1, {"step": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["step_000000001.pt"]
