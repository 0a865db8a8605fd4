"""Towers, fusion, heads and losses by hand; and that forecasts without torch say what torch says."""

import numpy as np
import pytest
import torch

from assets.models.network.losses import class_objective, focal, number_objective, pinball
from assets.models.network.preset import load_preset
from assets.models.network.serving import outputs
from assets.models.network.towers import Network
from assets.models.network.training import _arrays
from tests.models.network.lessons import TOWERS, make_loop, tensors

SMALL = load_preset("small")


def network(**overrides) -> Network:
    torch.manual_seed(1)
    made = Network(SMALL.with_overrides(**overrides), TOWERS, {"point": 1, "quantiles": 7}).eval()
    with torch.no_grad():
        made.absent["text"].normal_()
    return made


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_forecasts_without_torch_are_those_of_torch(fusion):
    made, matrix = network(fusion=fusion), tensors(300)["matrix"]
    with torch.no_grad():
        said = made({"matrix": matrix})
    for head in ("point", "quantiles"):
        served = outputs(_arrays(made), TOWERS, matrix.numpy(), head)
        assert np.allclose(served, said[head].numpy(), atol=1e-5)
        alone = [outputs(_arrays(made), TOWERS, matrix.numpy()[[row]], head)[0] for row in range(20)]
        assert np.array_equal(np.stack(alone), served[:20])


def test_towers_that_pass_their_input_on():
    made, matrix = network(), tensors(20)["matrix"]
    wide = Network(SMALL.model_copy(update={"tower": None}), TOWERS, {"point": 1}).eval()
    assert not [name for name in wide.state_dict() if name.startswith("towers")]
    assert [name for name in made.state_dict() if name.startswith("towers")]
    with torch.no_grad():
        said = wide({"matrix": matrix})["point"].numpy()
    assert np.allclose(outputs(_arrays(wide), TOWERS, matrix.numpy(), "point"), said, atol=1e-5)


@pytest.mark.parametrize("fusion", ["concat", "gated"])
def test_what_a_missing_modality_holds_does_not_matter(fusion):
    made, matrix = network(fusion=fusion), tensors(50)["matrix"]
    changed = matrix.clone()
    changed[:, 4:7] = 99.0
    missing = matrix[:, 7] == 0
    with torch.no_grad():
        one, other = made({"matrix": matrix})["point"], made({"matrix": changed})["point"]
    assert torch.equal(one[missing], other[missing])
    assert (one[~missing] != other[~missing]).any()


def test_gates_give_a_missing_modality_no_weight():
    made, matrix = network(fusion="gated"), tensors(50)["matrix"]
    missing = matrix[:, 7] == 0
    with torch.no_grad():
        made.absent["text"].zero_()
        made.gate.weight[:, 32:64] = 0  # what the gates themselves read of the missing tower
    before = made({"matrix": matrix})["point"].detach()
    with torch.no_grad():
        made.absent["text"].fill_(5.0)
    assert torch.equal(made({"matrix": matrix})["point"][missing], before[missing])


def test_a_batch_can_be_learned_by_heart():
    rows = tensors(32)
    rows["outcome"] = torch.randn(32, generator=torch.Generator().manual_seed(0))
    loop = make_loop(rows, epochs=300, dropout=0.0, learning_rate=0.01, weight_decay=0.0)
    loop.later = loop.rows
    loop.train()
    said = loop.network({"matrix": rows["matrix"]})["point"][:, 0].detach()
    assert float((said - rows["outcome"]).abs().mean()) < 0.1


def test_pinball_by_hand():
    levels = torch.tensor([0.1, 0.9])
    said = torch.tensor([[1.0, 1.0]])
    # one above: .1 and .9 of it; one below: .9 and .1 of it
    assert pinball(said, torch.tensor([2.0]), levels).item() == pytest.approx((0.1 + 0.9) / 2)
    assert pinball(said, torch.tensor([0.0]), levels).item() == pytest.approx((0.9 + 0.1) / 2)
    assert pinball(torch.tensor([[3.0]]), torch.tensor([0.0]), torch.tensor([0.1])).item() == pytest.approx(2.7)


def test_focal_loss_by_hand():
    log_odds, label = torch.tensor([0.0, 2.0]), torch.tensor([1.0, 0.0])
    p = torch.sigmoid(log_odds)
    plain = focal(log_odds, label, 0.0, (1.0, 1.0))
    assert plain.tolist() == pytest.approx([-np.log(0.5), -np.log(1 - p[1].item())])
    hard = focal(log_odds, label, 2.0, (3.0, 0.5))
    assert hard.tolist() == pytest.approx(
        [0.5 * 0.5**2 * plain[0].item(), 3.0 * p[1].item() ** 2 * plain[1].item()], rel=1e-5
    )


def test_objectives_weigh_their_heads():
    batch = {"outcome": torch.tensor([1.0]), "measured": torch.tensor([0.5])}
    said = {"point": torch.tensor([[0.0]]), "quantiles": torch.tensor([[0.0]])}
    assert number_objective([0.5], (0.7, 0.3))(said, batch).item() == pytest.approx(0.7 * 0.5 + 0.3 * 0.5)
    alone = class_objective(0.0, (1.0, 1.0), (0.7, 0.3))
    assert alone({"point": torch.tensor([[0.0]])}, batch).item() == pytest.approx(0.7 * np.log(2))
    both = alone({"point": torch.tensor([[0.0]]), "measured": torch.tensor([[0.0]])}, batch).item()
    assert both == pytest.approx(0.7 * np.log(2) + 0.3 * 0.125)
