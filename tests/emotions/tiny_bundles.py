"""Bundles of tiny networks with random weights, and texts that they decide about."""

from datetime import datetime
from pathlib import Path

import numpy as np
import torch

from resources.emotions.decisions import Decisions
from resources.emotions.model import EmotionModel, Manifest, seal
from resources.emotions.network import pretrained, save, tokens
from tests.encoders.tiny_models import WORDS, save_bert

LABELS = ("joy", "anger", "fear", "neutral")


def save_network(
    folder: Path, encoder: Path, seed: int = 0, labels: tuple[str, ...] = LABELS, temperature: float = 1.0
) -> Path:
    """A bundle of kind `network` on an encoder that `save_bert` wrote; it gives each label to about half of the texts."""
    torch.manual_seed(seed)
    network, files = pretrained("transformers", str(encoder), len(labels))
    with torch.no_grad():
        network.eval().head.weight.mul_(20)
        read = {name: torch.from_numpy(array) for name, array in tokens(encoder, texts(), 24).items()}
        network.head.bias -= network(**read).mean(0)
    folder.mkdir(parents=True)
    save(folder, network, files, labels)
    manifest = Manifest(
        kind="network",
        name=f"tiny-{seed}",
        labels=labels,
        decisions=Decisions(temperature, (0.5,) * len(labels), 0.2),
        max_tokens=24,
        known_at=datetime(2024, 1, 1 + seed),
        trained_on=f"set-{seed}",
    )
    seal(folder, manifest)
    return folder


def save_encoder(folder: Path) -> Path:
    """The encoder of these networks."""
    folder.mkdir(parents=True, exist_ok=True)
    return save_bert(folder)


def texts(count: int = 400) -> list[str]:
    """Sentences of words that the tokenizer knows."""
    rng = np.random.default_rng(0)
    words = [word for word in WORDS if not word.startswith("##")]
    return [" ".join(rng.choice(words, rng.integers(2, 12))) for _ in range(count)]


def clear(*models: EmotionModel) -> list[str]:
    """The texts that no model is in doubt about, so that rounding decides little."""
    logits = np.concatenate([model.logits(texts()) for model in models], axis=1)
    return [text for text, sure in zip(texts(), (np.abs(logits) > 0.3).all(axis=1), strict=True) if sure]
