"""The network: a tower per modality, a vector that stands for a missing one, the fusion, and the heads.

torch at the top: imported lazily only. What it says is said again without torch in `serving`; a test holds the two together.
"""

# torch is not followed by the type check.
# mypy: disallow-subclassing-any=False

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import Tensor, nn

from assets.models.network.batches import CONTENT
from assets.models.network.preset import Preset

Batch = Mapping[str, Tensor]


class Network(nn.Module):
    """Towers, fusion and heads.

    Args:
        preset: Widths, fusion, dropout.
        towers: Columns of each tower, in the order of the matrix.
        heads: Outputs of each head.
    """

    def __init__(self, preset: Preset, towers: Mapping[str, int], heads: Mapping[str, int]) -> None:
        super().__init__()
        self.widths = list(towers.values())
        self.content = [name for name in towers if name in CONTENT]
        self.towers = nn.ModuleDict({name: _tower(width, preset.tower) for name, width in towers.items()})
        out = {name: preset.tower or width for name, width in towers.items()}
        self.absent = nn.ParameterDict({name: nn.Parameter(torch.zeros(out[name])) for name in self.content})
        joined = sum(out.values()) + len(self.content)
        self.gate = nn.Linear(joined, len(out)) if preset.fusion == "gated" else None
        widths = [joined if self.gate is None else next(iter(out.values())), *preset.hidden]
        self.hidden = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.dropout = preset.dropout
        self.heads = nn.ModuleDict({name: nn.Linear(widths[-1], count) for name, count in heads.items()})

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Outputs of every head, [rows, outputs].

        Args:
            batch: `matrix` as `batches.NetworkMatrix` makes it.
        """
        *inputs, there = batch["matrix"].split([*self.widths, len(self.content)], dim=1)
        shown = dict(zip(self.content, there.unbind(1), strict=True))
        seen = []
        for (name, tower), own in zip(self.towers.items(), inputs, strict=True):
            said = tower(own)
            seen.append(torch.where(shown[name].unsqueeze(1) > 0, said, self.absent[name]) if name in shown else said)
        hidden = torch.cat([*seen, there], dim=1)
        if self.gate is not None:
            hidden = (torch.stack(seen, 1) * self._weights(hidden, shown).unsqueeze(2)).sum(1)
        for layer, share in zip(self.hidden, self.dropout, strict=True):
            hidden = nn.functional.dropout(torch.relu(layer(hidden)), share, self.training)
        return {name: head(hidden) for name, head in self.heads.items()}

    def _weights(self, joined: Tensor, shown: Mapping[str, Tensor]) -> Tensor:
        """Weight of every tower in every row; a missing one has none, unless all are missing."""
        assert self.gate is not None
        here = torch.stack([shown.get(name, torch.ones_like(joined[:, 0])) for name in self.towers], 1)
        weight = torch.exp(torch.tanh(self.gate(joined))) * here
        return weight / weight.sum(1, keepdim=True).clamp(min=1e-9)


def _tower(width: int, out: int | None) -> nn.Module:
    return nn.Identity() if out is None else nn.Sequential(nn.Linear(width, out), nn.ReLU())
