"""A transformers model with its pooling, as one torch module. Imports torch and transformers: imported lazily only."""

from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors import SafetensorError
from torch.nn.utils.fusion import fuse_conv_bn_eval

from resources.encoders.base import EncoderError

_UNUSED = ("pooler.", "masked_spec_embed", "position_ids", "num_batches_tracked")
"""Weights that a checkpoint may lack, because no vector is made of them."""
_VISION = {"clip_vision_model": "CLIPVisionModelWithProjection", "siglip_vision_model": "SiglipVisionModel"}


class Network(torch.nn.Module):  # type: ignore[misc]  # torch is not followed by the type check
    """A model and how its output becomes one vector.

    Args:
        model: A transformers model.
        pooling: `mean` over the unmasked positions, `cls` the first, or `pooled` by the model itself.
        unit: Whether vectors are scaled to length 1.
    """

    def __init__(self, model: torch.nn.Module, pooling: str, unit: bool) -> None:
        super().__init__()
        self.model = model
        self.pooling = pooling
        self.unit = unit

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        input_values: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Vectors, float32 [n, dim].

        Args:
            input_ids: Tokens, int64 [n, tokens].
            attention_mask: 0 where a token is padding.
            pixel_values: [n, 3, height, width], or of films [n, frames, 3, height, width].
            input_values: Samples of sound, [n, samples].
        """
        inputs = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "pixel_values": pixel_values,
            "input_values": input_values,
        }
        output = self.model(**{name: tensor for name, tensor in inputs.items() if tensor is not None})
        found = self._pooled(output, attention_mask)
        return torch.nn.functional.normalize(found, dim=1) if self.unit else found

    def _pooled(self, output: Any, mask: torch.Tensor | None) -> torch.Tensor:
        if self.pooling == "pooled":
            found = getattr(output, "image_embeds", None)
            return (output.pooler_output if found is None else found).flatten(1).float()
        hidden = output.last_hidden_state.float()
        if self.pooling == "cls":
            return torch.as_tensor(hidden[:, 0])
        if mask is None:
            return torch.as_tensor(hidden.mean(1))
        weight = mask.unsqueeze(2).float()
        return torch.as_tensor((hidden * weight).sum(1) / weight.sum(1).clamp(min=1))


def load_network(encoder: str, folder: Path, pooling: str, unit: bool, device: str, precision: str) -> Network:
    """Loads a model for inference.

    Raises:
        EncoderError: The files cannot be loaded, or lack weights that vectors are made of.
    """
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()  # what is missing is checked below; what is left over does not matter
    config = _seeing(transformers.AutoConfig.from_pretrained(folder, local_files_only=True))
    maker = getattr(transformers, _VISION.get(config.model_type, "AutoModel"))
    try:
        model, report = maker.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise EncoderError(f"{encoder}: {folder} cannot be loaded: {error}") from error
    missing = sorted(key for key in report["missing_keys"] if not any(part in key for part in _UNUSED))
    if missing:
        raise EncoderError(
            f"{encoder}: {folder} lacks {len(missing)} weights of a {config.model_type}, such as {missing[0]}; "
            "is it the model that its config.json says?"
        )
    if config.model_type == "resnet":
        _fold_normalisation(model.eval())
    network = Network(model, pooling, unit)
    network.eval()
    layout = torch.channels_last if config.model_type == "resnet" else torch.preserve_format
    network.to(device, torch.bfloat16 if precision == "bf16" else torch.float32, memory_format=layout)
    return network


def _fold_normalisation(model: torch.nn.Module) -> None:
    """Makes each convolution of a ResNet and the normalisation behind it one convolution: the same numbers, one pass less."""
    for layer in list(model.modules()):
        if isinstance(getattr(layer, "normalization", None), torch.nn.BatchNorm2d):
            layer.convolution = fuse_conv_bn_eval(layer.convolution, layer.normalization)
            layer.normalization = torch.nn.Identity()


def _seeing(config: Any) -> Any:
    """The part of a configuration of text and pictures that is about pictures."""
    if config.model_type not in ("clip", "siglip"):
        return config
    vision = config.vision_config
    if config.model_type == "clip":
        vision.projection_dim = config.projection_dim
    return vision
