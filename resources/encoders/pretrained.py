"""Encoders made of a pretrained transformers model, run by torch in batches.

Which model an encoder is, is in `catalogue`; how content is prepared, in `preparation`; how batches are made, in `batching`.
torch and transformers are imported when a model is first needed: the identity of an encoder costs neither.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from resources.encoders.base import Content, Encoded, EncoderError, Failure, Modality, Precision, Vectors
from resources.encoders.batching import Progress, choose_device, choose_precision, finite, in_batches
from resources.encoders.preparation import (
    FramesPreparation,
    ImagePreparation,
    Preparation,
    SoundPreparation,
    TextPreparation,
    read_json,
)
from resources.encoders.weights import Weights, missing_extra

Pooling = Literal["mean", "cls", "pooled"]
_BUDGET = {
    "text": {"cpu": 768, "cuda": 131_072, "mps": 16_384},
    "image": {"cpu": 8, "cuda": 256, "mps": 64},
    "video": {"cpu": 16, "cuda": 512, "mps": 64},
    "audio": {"cpu": 480_000, "cuda": 15_360_000, "mps": 1_920_000},
}
"""What a batch may cost, in tokens, pictures, frames and samples."""


@dataclass(frozen=True)
class Recipe:
    """How a vector is made by a model.

    Attributes:
        modality: What it encodes.
        pooling: Mean over tokens, frames or patches; the first token; or what the model itself pools.
        unit: Whether vectors have length 1.
        max_tokens: Of a text, where the model's files do not say it.
    """

    modality: Modality
    pooling: Pooling
    unit: bool = False
    max_tokens: int | None = None


def preparation(encoder: str, recipe: Recipe, folder: Path) -> Preparation:
    """What makes the inputs of a model from contents.

    Raises:
        EncoderError: The folder lacks its tokenizer or processor.
    """
    if recipe.modality == "text":
        return TextPreparation(encoder, folder, recipe.max_tokens)
    if recipe.modality == "image":
        return ImagePreparation(encoder, folder)
    return FramesPreparation(encoder, folder) if recipe.modality == "video" else SoundPreparation()


def dimension(encoder: str, folder: Path) -> int:
    """Length of a model's vectors, from its configuration (the libraries' defaults where that leaves it out)."""
    config = read_json(encoder, folder, "config.json", "save_pretrained")
    kind = config.get("model_type")
    if kind == "resnet":
        return int((config.get("hidden_sizes") or [2048])[-1])
    if kind in ("clip", "clip_vision_model"):
        return int(config.get("projection_dim") or 512)
    return int({**config, **(config.get("vision_config") or {})}.get("hidden_size") or 768)


class PretrainedEncoder:
    """A pretrained model as an encoder (`resources.encoders.base.Encoder`).

    Args:
        name: Name in the catalogue.
        recipe: How a vector is made.
        weights: Files of the model.
        device: auto, cuda, mps or cpu.
        precision: auto, fp32 or bf16.
        instead: Encoder of the modality that needs no torch, for errors.

    Raises:
        EncoderError: torch is not installed, or the files are not complete.
    """

    def __init__(
        self, name: str, recipe: Recipe, weights: Weights, *, device: str, precision: str, instead: str
    ) -> None:
        try:
            import torch  # noqa: F401
            import transformers  # noqa: F401
        except ImportError as error:
            raise missing_extra(name, instead) from error
        self.name = name
        self.modality: Modality = recipe.modality
        self.revision = weights.revision
        self.device = choose_device(device)
        self.precision: Precision = choose_precision(precision, self.device)
        self.recipe = recipe
        self.folder = weights.folder
        self.prepared = preparation(name, recipe, weights.folder)
        self.preprocessing = self.prepared.version
        self.dim = dimension(name, weights.folder)
        self._network: Callable[..., Any] | None = None

    def encode(self, batch: Sequence[Content]) -> Vectors:
        """Vectors of shape (len(batch), dim).

        Raises:
            EncoderError: A content could not be encoded; says which and why.
        """
        found = self.encode_each(batch)
        for index, failure in found.failures.items():
            raise EncoderError(f"{self.name}: content {index} of {len(batch)}: {failure.detail}")
        return found.vectors

    def encode_each(self, batch: Sequence[Content], progress: Progress | None = None) -> Encoded:
        """Encodes contents one and all; what cannot be encoded is reported per content."""
        pieces = self.prepared.pieces(batch)
        flat = [piece for own in pieces for piece in own]
        owner = np.repeat(np.arange(len(pieces)), [len(own) for own in pieces])
        costs = [self.prepared.cost(piece) for piece in flat]
        found = self._run(flat, costs, progress)
        failures = {
            row: Failure("empty", "there is nothing in it to encode") for row, own in enumerate(pieces) if not own
        }
        for index, failure in found.failures.items():
            failures.setdefault(int(owner[index]), failure)
        if len(flat) == len(batch) and not failures:
            return found
        return self._joined(found.vectors, owner, np.asarray(costs, np.float64), len(batch), failures)

    def _joined(self, vectors: Vectors, owner: Any, costs: Any, count: int, failures: dict[int, Failure]) -> Encoded:
        """The mean of the pieces of each content, weighted by cost."""
        joined = np.full((count, self.dim), np.nan, np.float64)
        for row in sorted(set(owner.tolist()) - set(failures)):
            own = owner == row
            joined[row] = costs[own] @ vectors[own].astype(np.float64) / costs[own].sum()
        return finite(joined.astype(np.float32), failures)

    def _run(self, pieces: Sequence[Any], costs: Sequence[int], progress: Progress | None) -> Encoded:
        return in_batches(
            costs,
            lambda rows: self._forward([pieces[row] for row in rows]),
            self.dim,
            budget=_BUDGET[self.modality][self.device],
            alike=self.modality == "audio",
            progress=progress,
        )

    def _forward(self, pieces: Sequence[Any]) -> Vectors:
        import torch

        inputs = {name: torch.from_numpy(array) for name, array in self.prepared.inputs(pieces).items()}
        with torch.inference_mode():
            found = self.network()(**{name: self._moved(tensor) for name, tensor in inputs.items()})
        return np.asarray(found.cpu().numpy(), np.float32)

    def _moved(self, tensor: Any) -> Any:
        import torch

        kind = torch.bfloat16 if self.precision == "bf16" and tensor.is_floating_point() else None
        layout = torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
        return tensor.to(self.device, kind, memory_format=layout)

    def network(self) -> Callable[..., Any]:
        """The model with its pooling: inputs by name to float32 [n, dim]; loaded on first use."""
        if self._network is None:
            from resources.encoders.networks import load_network

            self._network = load_network(
                self.name, self.folder, self.recipe.pooling, self.recipe.unit, self.device, self.precision
            )
        return self._network
