"""Fits an emotion network with the one loop: fine-tuned as a whole, or only its linear layer on vectors of a frozen encoder.

torch at the top: imported lazily only. What becomes of the logits is decided in `decide`.
"""

# torch is not followed by the type check.
# mypy: disallow-subclassing-any=False

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from assets.language.emotion_model.decide import best_macro_f1
from assets.language.emotion_model.examples import Examples, Truth
from assets.language.emotion_model.recipe import Recipe
from assets.models.fit_run import FitRun
from assets.models.network import processes
from assets.models.network.batches import length_order
from assets.models.network.checkpoint import Checkpoints
from assets.models.network.loop import Figure, Loop
from assets.models.network.losses import labels_objective
from resources.emotions.model import EmotionError
from resources.emotions.network import EmotionNetwork, pretrained, save, tokens, tokens_read
from resources.encoders.batching import choose_precision, in_batches

Array = np.ndarray[Any, Any]
_VALIDATED = 256
_FROZEN_BATCH = 8_192
"""Tokens of a batch that a frozen encoder reads."""


@dataclass(frozen=True)
class FittedNetwork:
    """A network that was fitted.

    Attributes:
        network: With the weights of its best epoch, on the CPU.
        folder: Where its tokenizer lies.
        max_tokens: Tokens of a text that it reads.
        dev_logits: float32 [epochs, dev texts, labels]: what every epoch said of dev.
        best_epoch: The one whose weights these are.
        curve: What every epoch came to.
        precision: fp32 or bf16.
    """

    network: EmotionNetwork
    folder: Path
    max_tokens: int
    dev_logits: Array
    best_epoch: int
    curve: tuple[dict[str, float], ...]
    precision: str

    def save(self, folder: Path, labels: tuple[str, ...]) -> None:
        """Write the bundle's files, all but its manifest."""
        save(folder, self.network, self.folder, labels)


def label_weights(truth: Truth, power: float) -> Array:
    """Weight of the texts that have a label: 1 / share ** power; a label that no text has weighs as if one had."""
    share = np.maximum(truth.sum(axis=0), 1) / len(truth)
    return np.asarray(share**-power, np.float32)


def _begin_at_shares(network: EmotionNetwork, truth: Truth, weights: Array) -> None:
    """Set the bias so that the network begins with the labels' (weighted) shares (Lin et al. 2017), which few steps of a small rate reach."""
    share = (truth.sum(axis=0) + 0.5) / (len(truth) + 1)
    with torch.no_grad():
        network.head.bias.copy_(torch.from_numpy(np.log(share / (1 - share) * weights).astype(np.float32)))


def fit_network(recipe: Recipe, train: Examples, dev: Examples, seed: int, run: FitRun) -> FittedNetwork:
    """Train a network on `train`; dev says when to stop and which epoch is best.

    With cross entropy the weights of the labels are taken out of the fitted bias again: a text that weighs w times as much
    shifts the log odds by ln w, so that probabilities stay those of the data.

    Raises:
        EmotionError: The encoder is not known, or has too few layers.
        EncoderError: Its files cannot be had.
        DivergedError: A loss or gradient was not finite.
        StoppedError: The run was asked to stop; a checkpoint was saved.
    """
    processes.join(run.device)
    device = processes.own_device(run.device)
    precision = choose_precision(recipe.precision, device.type)
    schedule = recipe.schedule("bf16" if precision == "bf16" else "fp32")
    weights = label_weights(train.truth, recipe.class_power)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        network, folder = pretrained(recipe.model, recipe.weights, len(train.labels))
        _begin_at_shares(network, train.truth, weights)
        longest = tokens_read(folder, recipe.max_tokens)
        rows, later = (_tensors(folder, examples, longest) for examples in (train, dev))
        lesson: nn.Module = _Whole(network, recipe.unfreeze_epochs)
        if recipe.head == "frozen":
            rows, later = (_vectors(network, some, device, precision) for some in (rows, later))
            lesson = _Head(network)
        lengths = rows["attention_mask"].sum(1).numpy() if "attention_mask" in rows else None
        checkpoints = _checkpoints(recipe, train, dev, seed, run)
        said = _Said(checkpoints.folder if checkpoints else None)
        loop = Loop(
            lesson,
            labels_objective(recipe.focal_gamma, weights.tolist()),
            rows,
            later,
            schedule,
            seed,
            run,
            checkpoints,
            said.figure,
            before_epoch=lesson.before_epoch,
            order=None if lengths is None else lambda epoch: length_order(lengths, schedule.batch_size, seed, epoch),
            validated=_VALIDATED,
        )
        said.epoch = lambda: loop.at.epoch
        lesson.load_state_dict(loop.train())
    network = network.cpu().eval()
    logits = said.logits(len(loop.at.curve))
    if recipe.focal_gamma == 0:
        shift = np.log(weights)
        with torch.no_grad():
            network.head.bias -= torch.from_numpy(shift)
        logits = logits - shift
    return FittedNetwork(
        network,
        folder,
        longest,
        logits.astype(np.float32),
        loop.at.best_epoch,
        tuple(loop.at.curve),
        schedule.precision,
    )


class _Whole(nn.Module):
    """All of a network, as the loop sees it; its encoder's layers may begin to learn one after another."""

    def __init__(self, network: EmotionNetwork, unfreeze_epochs: int) -> None:
        super().__init__()
        self.network, self.unfreeze_epochs = network, unfreeze_epochs
        lists = [module for module in network.encoder.modules() if isinstance(module, nn.ModuleList)]
        self.stack: nn.ModuleList = max(lists, key=len, default=nn.ModuleList())
        if unfreeze_epochs and not len(self.stack):
            raise EmotionError("unfreeze_epochs: the encoder has no stack of layers; set it to 0")

    def before_epoch(self, epoch: int) -> None:
        """Which layers learn in an epoch: an even share more in each, all of the encoder from `unfreeze_epochs` on."""
        everything = epoch >= self.unfreeze_epochs
        self.network.encoder.requires_grad_(everything)
        if not everything:
            learning = -(-len(self.stack) * epoch // self.unfreeze_epochs)
            for layer in self.stack[len(self.stack) - learning :]:
                layer.requires_grad_(True)

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        longest = int(batch["attention_mask"].sum(1).max())
        return {"point": self.network(batch["input_ids"][:, :longest], batch["attention_mask"][:, :longest])}


class _Head(nn.Module):
    """The linear layer alone, on vectors."""

    def __init__(self, network: EmotionNetwork) -> None:
        super().__init__()
        self.head = network.head

    def before_epoch(self, epoch: int) -> None:
        """All of it learns in every epoch."""

    def forward(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"point": self.head(batch["vectors"])}


class _Said:
    """What every epoch said of dev; kept beside the checkpoints, so that a fit that goes on still has what was said before."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._kept: dict[int, Array] = {}
        self.epoch: Callable[[], int] = lambda: 0

    def figure(self, said: Array, outcome: Array) -> Figure | None:
        """Macro-F1 with the best thresholds."""
        epoch = self.epoch()
        self._kept[epoch] = said
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            draft = self._folder / f".said_{epoch}.{os.getpid()}.npy"
            np.save(draft, said)
            os.replace(draft, self._path(epoch))
        value = best_macro_f1(said, outcome > 0)
        return Figure("validation_macro_f1", value, -value)

    def logits(self, epochs: int) -> Array:
        """float32 [epochs, dev texts, labels]."""
        return np.stack([self._kept[at] if at in self._kept else np.load(self._path(at)) for at in range(epochs)])

    def _path(self, epoch: int) -> Path:
        assert self._folder is not None
        return self._folder / f"said_{epoch}.npy"


def _tensors(folder: Path, examples: Examples, max_tokens: int) -> dict[str, Tensor]:
    made = tokens(folder, examples.texts, max_tokens)
    columns = {name: torch.from_numpy(array) for name, array in made.items()}
    return columns | {"outcome": torch.from_numpy(examples.truth.astype(np.float32))}


def _vectors(
    network: EmotionNetwork, rows: Mapping[str, Tensor], device: torch.device, precision: str
) -> dict[str, Tensor]:
    """Vectors of a frozen encoder in place of tokens."""
    network = network.to(device).eval()
    lengths = rows["attention_mask"].sum(1).tolist()

    def forward(positions: Any) -> Array:
        index = torch.as_tensor(positions)
        longest = max(lengths[position] for position in positions)
        inputs = [rows[name][index, :longest].to(device) for name in ("input_ids", "attention_mask")]
        with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            return np.asarray(network.vectors(*inputs).float().cpu().numpy(), np.float32)

    found = in_batches(lengths, forward, network.head.in_features, budget=_FROZEN_BATCH)
    if found.failures:
        raise EmotionError(
            f"{len(found.failures)} texts could not be encoded: {next(iter(found.failures.values())).detail}"
        )
    return {"vectors": torch.from_numpy(found.vectors), "outcome": rows["outcome"]}


def _checkpoints(recipe: Recipe, train: Examples, dev: Examples, seed: int, run: FitRun) -> Checkpoints | None:
    """The folder of this very fit: other texts, labels in another order or another recipe have another."""
    if run.checkpoints is None:
        return None
    facts = [run.part, recipe.model_dump(mode="json"), list(train.labels), seed, run.device]
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for examples in (train, dev):
        digest.update(json.dumps(examples.texts).encode())
        digest.update(examples.truth.tobytes())
    return Checkpoints(run.checkpoints / f"{run.part}-emotions-{digest.hexdigest()[:16]}")
