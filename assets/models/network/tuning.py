"""The second stage: network and title encoder learn together, the encoder's last layers one more per epoch.

torch at the top: imported lazily only. The loop is the first stage's; only what is trained differs.
"""

# torch is not followed by the type check.
# mypy: disallow-subclassing-any=False

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assets.models.network.titles import TitleEncoder
from assets.models.network.towers import Network
from resources.encoders.base import EncoderError


class TunedNetwork(nn.Module):
    """A network whose vectors of the title come from an encoder that learns.

    Args:
        network: The network after the first stage.
        titles: The encoder and how its vectors are standardised.
        at: Where in the matrix the vectors are.
        layers: How many of the encoder's last layers learn in the end.

    Raises:
        EncoderError: The encoder has no layers to unfreeze, or too few.
    """

    def __init__(self, network: Network, titles: TitleEncoder, at: slice, layers: int) -> None:
        super().__init__()
        self.network = network
        self.encoder, _ = titles.network()
        self.at, self.layers = at, layers
        self.register_buffer("center", torch.tensor(titles.center_, dtype=torch.float32))
        self.register_buffer("scale", torch.tensor(titles.scale_, dtype=torch.float32))
        lists = [module for module in self.encoder.modules() if isinstance(module, nn.ModuleList)]
        self.stack = max(lists, key=len, default=nn.ModuleList())
        if len(self.stack) < layers:
            raise EncoderError(f"fine_tune.layers: {titles.encoder} has {len(self.stack)} layers, not {layers}")

    def unfreeze(self, epoch: int) -> None:
        """Before the first epoch the last layer learns, before the next one more, up to as many as were asked for."""
        self.encoder.requires_grad_(False)
        for layer in self.stack[-min(epoch + 1, self.layers) :]:
            layer.requires_grad_(True)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Outputs of every head; `input_ids` and `attention_mask` stand for the vectors in `matrix`."""
        mask = batch["attention_mask"]
        longest = int(mask.sum(1).max())
        vectors = self.encoder(input_ids=batch["input_ids"][:, :longest], attention_mask=mask[:, :longest])
        said = (vectors - self.center) / self.scale
        matrix = batch["matrix"]
        joined = torch.cat([matrix[:, : self.at.start], said, matrix[:, self.at.stop :]], 1)
        outputs: dict[str, Tensor] = self.network({"matrix": joined})
        return outputs


def tokens(titles: TitleEncoder, texts: np.ndarray[Any, Any]) -> dict[str, Tensor]:
    """`input_ids` and `attention_mask` of all titles, [rows, tokens of the longest]."""
    _, preparation = titles.network()
    pieces = [own[0] for own in preparation.pieces([str(text) for text in texts])]
    return {name: torch.from_numpy(array) for name, array in preparation.inputs(pieces).items()}
