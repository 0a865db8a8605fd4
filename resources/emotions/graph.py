"""An emotion network as the graph that is exported: one text at a time, so nothing is padding and there is no mask.

torch and transformers at the top: imported lazily only.
"""

# torch is not followed by the type check.
# mypy: disallow-subclassing-any=False

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface

from resources.emotions.network import EmotionNetwork

_ATTENTION = "upswell_onnx"


class OneText(nn.Module):
    """A network whose attention becomes one operator of ONNX Runtime; it can only be exported.

    Args:
        network: The network; its attention is replaced.
    """

    def __init__(self, network: EmotionNetwork) -> None:
        super().__init__()
        AttentionInterface.register(_ATTENTION, _attention)
        network.encoder.set_attn_implementation(_ATTENTION)
        self.network = network

    def forward(self, input_ids: Tensor) -> Tensor:
        """Logits, float32 [1, labels], of the tokens of one text, int64 [1, tokens]."""
        hidden = self.network.encoder(input_ids=input_ids).last_hidden_state
        logits: Tensor = self.network.head(hidden[:, 0] if self.network.pooling == "cls" else hidden.mean(1))
        return logits


def _attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    """Multi-head attention without a mask, as transformers calls it: [1, heads, tokens, size] in, [1, tokens, heads, size] out."""
    del module, attention_mask
    _, heads, tokens, size = query.shape
    flat = [given.transpose(1, 2).reshape(1, tokens, heads * size) for given in (query, key, value)]
    found = torch.onnx.ops.symbolic(
        "com.microsoft::MultiHeadAttention",
        flat,
        {"num_heads": heads, "scale": float(options["scaling"])},
        dtype=query.dtype,
        shape=(1, tokens, heads * size),
        version=1,
    )
    return found.reshape(1, tokens, heads, size), None
