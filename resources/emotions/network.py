"""A transformers encoder with one linear layer over the labels: as a torch module, as a bundle, and as an emotion model.

torch and transformers at the top: imported lazily only. How it is trained is elsewhere; what its logits mean is in `decisions`.
"""

# torch is not followed by the type check.
# mypy: disallow-subclassing-any=False

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from resources.emotions.encoders import Pooling, find_encoder
from resources.emotions.model import EmotionError, Manifest, require_labels
from resources.encoders.batching import choose_device, choose_precision, in_batches
from resources.encoders.networks import load_network
from resources.encoders.preparation import TextPreparation, longest_text

WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
POOLING = "upswell_pooling"
"""Key of `config.json` that says how tokens become one vector."""
_BUDGET = {"cpu": 2_048, "cuda": 131_072, "mps": 16_384}
"""Tokens of a batch."""


class EmotionNetwork(nn.Module):
    """An encoder of tokens, its pooling, and the linear layer.

    Args:
        encoder: A transformers model whose output has `last_hidden_state`.
        pooling: `mean` over the tokens that are no padding, or `cls`, the first.
        labels: Outputs.
        dropout: Before the linear layer.
    """

    def __init__(self, encoder: nn.Module, pooling: Pooling, labels: int, dropout: float = 0.1) -> None:
        super().__init__()
        if getattr(encoder, "pooler", None) is not None:
            encoder.pooler = None  # no logit is made of it
        self.encoder, self.pooling = encoder, pooling
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(int(encoder.config.hidden_size), labels)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits, float32 [n, labels], of tokens and their mask, int64 [n, tokens]."""
        vectors = self.dropout(self.vectors(input_ids, attention_mask))
        logits: Tensor = self.head(vectors.to(self.head.weight.dtype))
        return logits.float()

    def vectors(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """What the linear layer reads, float32 [n, hidden]."""
        hidden = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        if self.pooling == "cls":
            return torch.as_tensor(hidden[:, 0])
        weight = attention_mask.unsqueeze(2).float()
        return torch.as_tensor((hidden * weight).sum(1) / weight.sum(1).clamp(min=1))


def pretrained(name: str, weights: str | None, labels: int) -> tuple[EmotionNetwork, Path]:
    """A network on a pretrained encoder, its linear layer drawn from torch's generator; and the folder of the encoder's files.

    Raises:
        EmotionError: There is no such encoder.
        EncoderError: Its files cannot be had or loaded.
    """
    encoder, found = find_encoder(name, weights)
    model = load_network(name, found.folder, encoder.pooling, False, "cpu", "fp32").model
    model.requires_grad_(True)
    return EmotionNetwork(model, encoder.pooling, labels), found.folder


def tokens_read(folder: Path, wanted: int) -> int:
    """How many tokens of a text are read: as many as wanted, or as the encoder's files allow."""
    return min(wanted, longest_text("emotions", folder))


def tokens(folder: Path, texts: Sequence[str], max_tokens: int) -> dict[str, np.ndarray[Any, Any]]:
    """`input_ids` and `attention_mask` of texts, int64 [n, tokens of the longest, at most `max_tokens`].

    Args:
        folder: Holds the tokenizer.
        texts: Prepared texts.
        max_tokens: Texts are cut there.
    """
    preparation = TextPreparation("emotions", folder, max_tokens)
    return preparation.inputs([own[0] for own in preparation.pieces(texts)])


def save(folder: Path, network: EmotionNetwork, encoder_folder: Path, labels: Sequence[str]) -> None:
    """Write the files of a bundle, all but its manifest, into a folder that there is.

    Args:
        folder: Where.
        network: On the CPU.
        encoder_folder: Where its tokenizer lies.
        labels: In the order of the logits.
    """
    state = {name: tensor.detach().contiguous().clone() for name, tensor in network.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    config = json.loads(network.encoder.config.to_json_string(use_diff=False))
    names = {str(index): label for index, label in enumerate(labels)}
    config |= {"id2label": names, "label2id": {label: int(index) for index, label in names.items()}}
    config |= {POOLING: network.pooling}
    (folder / CONFIG).write_text(json.dumps(config, indent=1, sort_keys=True))
    shutil.copyfile(encoder_folder / TOKENIZER, folder / TOKENIZER)


def read_network(folder: Path, labels: Sequence[str]) -> EmotionNetwork:
    """The network of a bundle, in evaluation mode on the CPU.

    Raises:
        EmotionError: Its labels are others than these, or the files cannot be loaded.
    """
    stated = json.loads((folder / CONFIG).read_text())
    names = {int(index): label for index, label in stated["id2label"].items()}
    require_labels([names[index] for index in sorted(names)], labels, str(folder / CONFIG))
    transformers.utils.logging.disable_progress_bar()
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        network = EmotionNetwork(transformers.AutoModel.from_config(config), stated[POOLING], len(labels))
        network.load_state_dict(load_file(folder / WEIGHTS))
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise EmotionError(f"{folder} cannot be loaded: {str(error)[:500]}") from error
    network.eval()
    return network


class NetworkModel:
    """A bundle of kind `network` (`resources.emotions.model.EmotionModel`).

    Args:
        manifest: What the bundle says of itself.
        network: Its network.
        folder: Where the tokenizer lies.
        device: auto, cpu, cuda or mps.
        precision: fp32, bf16, or auto: bf16 where the device computes with it.
    """

    def __init__(
        self, manifest: Manifest, network: EmotionNetwork, folder: Path, device: str = "auto", precision: str = "fp32"
    ) -> None:
        self.name, self.revision = manifest.name, manifest.revision
        self.labels, self.decisions = manifest.labels, manifest.decisions
        self.device = choose_device(device)
        self.bf16 = choose_precision(precision, self.device) == "bf16"
        self.network = network.to(self.device, torch.bfloat16 if self.bf16 else torch.float32)
        self._preparation = TextPreparation("emotions", folder, manifest.max_tokens)

    def logits(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """float32 [n, labels], before the temperature; longest texts first, so that little is padding."""
        pieces = [own[0] for own in self._preparation.pieces(texts)]
        found = in_batches(
            [len(piece) for piece in pieces],
            lambda rows: self._forward([pieces[row] for row in rows]),
            len(self.labels),
            budget=_BUDGET[self.device],
        )
        for row, failure in found.failures.items():
            raise EmotionError(f"{self.name}: text {row} of {len(texts)}: {failure.detail}")
        return found.vectors

    def _forward(self, pieces: Sequence[Any]) -> np.ndarray[Any, Any]:
        inputs = {
            name: torch.from_numpy(array).to(self.device) for name, array in self._preparation.inputs(pieces).items()
        }
        with torch.inference_mode():
            return np.asarray(self.network(**inputs).float().cpu().numpy(), np.float32)


def load(folder: Path, manifest: Manifest) -> NetworkModel:
    """The model of a bundle whose manifest was read.

    Raises:
        EmotionError: Its labels are others, or the files cannot be loaded.
    """
    return NetworkModel(manifest, read_network(folder, manifest.labels), folder)
