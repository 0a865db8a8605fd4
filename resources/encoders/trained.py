"""Encoders trained here, on contents and their outcomes: a small convolutional network for text, pictures or sound.

Unlike the pretrained encoders they know what success is, so what they saw is spent: a model on their vectors is fitted on
later rows than theirs, and both on rows before the origin. Who calls `fit` sees to it; `fit` itself holds back its latest
rows to know when to stop. Imported only where such an encoder is used (torch).
"""

import hashlib
import json
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Self

import numpy as np

from resources.encoders.base import SAMPLE_RATE, Content, EncoderError, Precision, Vectors
from resources.encoders.batching import choose_precision
from resources.encoders.weights import missing_extra

try:
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.torch import save_file
    from torch import Tensor, nn

    from resources.trainer.threads import one_thread
except ImportError as error:
    raise missing_extra("trained encoders", "the fitted encoder of the modality") from error

Trainable = Literal["text", "image", "audio"]
PREPROCESSING = "trained-1"
MIN_FIT = 100
HELD_BACK = 0.2  # share of the rows, the latest, that say when to stop
SIDE = 64  # pixels of a picture
WORDS, BUCKETS = 32, 4096  # words of a text, and what they are hashed to; 0 is no word
SOUND_S, WINDOW, HOP, BANDS = 2.0, 1024, 512, 64  # sound that is heard, and its log-mel spectrogram
_BATCH = 64
_ENCODED_AT_ONCE = 16  # batches of one shape, so that a vector does not depend on its neighbours


class TrainedEncoder:
    """Vectors from a network that was trained to tell outcomes.

    Args:
        modality: What it encodes: text, image or audio.
        dim: Length of its vectors.
        seed: Of the first weights, the order and the augmentation; on one machine the same seed and rows give the same
            weights to the bit.
        max_epochs: Passes over the rows at most.
        patience: Passes without a better score on the rows held back, after which training stops.

    Attributes:
        name: `trained-` and the modality.
        revision: sha256 of the weights and of what decides how they are used; empty before `fit`.
        r2_: R2 of the best pass on the rows held back: what is left of it there is little where content tells nothing.
        epochs_: Passes made.
    """

    precision: Precision = "fp32"
    preprocessing = PREPROCESSING

    def __init__(
        self, modality: Trainable, *, dim: int = 16, seed: int = 0, max_epochs: int = 20, patience: int = 7
    ) -> None:
        if modality not in _NETWORKS:
            raise EncoderError(f"trained encoders read {', '.join(_NETWORKS)}, not {modality!r}")
        self.modality = modality
        self.dim, self.seed, self.max_epochs, self.patience = dim, seed, max_epochs, patience
        self.name = f"trained-{modality}"
        self.revision = ""
        self.r2_ = math.nan
        self.epochs_ = 0
        self._network: nn.Sequential | None = None

    def fit(self, contents: Sequence[Content], outcomes: np.ndarray) -> Self:
        """Trains on contents in order of time, oldest first.

        Args:
            contents: Contents of the modality; the latest HELD_BACK of them only say when to stop.
            outcomes: What became of each, shape (len(contents),).

        Raises:
            EncoderError: There are too few rows, an outcome is missing, or all are equal.
        """
        values = np.asarray(outcomes, dtype=np.float32)
        if values.shape != (len(contents),):
            raise EncoderError(f"{self.name}: {len(contents)} contents but outcomes of shape {values.shape}")
        if len(contents) < MIN_FIT:
            raise EncoderError(f"{self.name}: {len(contents)} contents are too few to train on; {MIN_FIT} are needed")
        if not np.isfinite(values).all() or values.std() == 0:
            raise EncoderError(f"{self.name}: outcomes must be numbers that differ; leave out rows without an outcome")
        first = round(len(values) * (1 - HELD_BACK))
        scaled = torch.from_numpy((values - values[:first].mean()) / max(float(values[:first].std()), 1e-6))
        inputs = _PREPARE[self.modality](contents)
        with torch.random.fork_rng(devices=[]), one_thread():
            torch.manual_seed(self.seed)
            network = _NETWORKS[self.modality](self.dim)
            self.r2_, self.epochs_ = _train(
                network, inputs, scaled, first, _AUGMENT[self.modality], self.max_epochs, self.patience
            )
        self._network = network.eval()
        self.revision = _fingerprint(self._config(), network)
        return self

    def encode(self, batch: Sequence[Content]) -> Vectors:
        """Vectors of shape (len(batch), dim), in the order of the batch.

        Raises:
            EncoderError: It was not trained.
        """
        if self._network is None:
            raise EncoderError(f"{self.name} was not trained; call fit, or load one that was")
        if not len(batch):
            return np.empty((0, self.dim), dtype=np.float32)
        return np.asarray(_forward(self._network[0], _PREPARE[self.modality](batch)))

    def save(self, path: Path) -> None:
        """Writes the weights and what decides how they are used as one safetensors file."""
        if self._network is None:
            raise EncoderError(f"{self.name} was not trained; there is nothing to save")
        save_file(_tensors(self._network), path, metadata={"upswell": json.dumps(self._config(), sort_keys=True)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """The encoder that `save` wrote; runs no code that the file holds.

        Raises:
            EncoderError: The file is not one of `save`, or its preprocessing is another one.
        """
        try:
            with safe_open(path, framework="pt") as file:
                config = json.loads((file.metadata() or {})["upswell"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            if config["preprocessing"] != PREPROCESSING:
                raise EncoderError(
                    f"{path}: made with preprocessing {config['preprocessing']}, not {PREPROCESSING}; train it again"
                )
            encoder = cls(config["modality"], dim=config["dim"])
            network = _NETWORKS[encoder.modality](encoder.dim)
            network.load_state_dict(tensors)
        except (OSError, SafetensorError, KeyError, RuntimeError, json.JSONDecodeError) as error:
            raise EncoderError(f"{path}: not a trained encoder: {error}; train and save it again") from error
        encoder._network = network.eval()
        encoder.revision = _fingerprint(encoder._config(), network)
        return encoder

    def _config(self) -> dict[str, str | int]:
        return {"modality": self.modality, "dim": self.dim, "preprocessing": PREPROCESSING}


def _network(features: Sequence[nn.Module], width: int, dim: int) -> nn.Sequential:
    """Two parts: content to its vector, and the vector to the outcome in standard deviations."""
    return nn.Sequential(nn.Sequential(*features, nn.Linear(width, dim), nn.Tanh()), nn.Linear(dim, 1))


def _text_network(dim: int) -> nn.Sequential:
    """Word vectors, and the highest response to runs of three words (Kim 2014, arXiv:1408.5882)."""
    size, filters = 32, 96
    words = [nn.Embedding(BUCKETS, size, padding_idx=0), nn.Dropout(0.2), nn.Unflatten(1, (1, WORDS))]
    runs = [nn.Conv2d(1, filters, (3, size)), nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten()]
    return _network([*words, *runs], filters, dim)


def _image_network(dim: int) -> nn.Sequential:
    return _convolutional(4, ((16, 5, (2, 2)), (32, 3, (2, 2)), (64, 3, (1, 1)), (64, 3, (2, 2)), (96, 3, (1, 1))), dim)


def _audio_network(dim: int) -> nn.Sequential:
    return _convolutional(1, ((16, 5, (2, 2)), (32, 3, (2, 2)), (64, 3, (1, 2)), (64, 3, (2, 2)), (96, 3, (1, 1))), dim)


def _convolutional(channels: int, layers: Sequence[tuple[int, int, tuple[int, int]]], dim: int) -> nn.Sequential:
    """Layers of (channels, kernel, stride), then the highest response anywhere: where a thing is does not count."""
    parts: list[nn.Module] = [nn.BatchNorm2d(channels, affine=False)]
    for width, kernel, stride in layers:
        parts += [nn.Conv2d(channels, width, kernel, stride, padding=kernel // 2, bias=False), nn.BatchNorm2d(width)]
        parts += [nn.ReLU(inplace=True)]
        channels = width
    return _network([*parts, nn.AdaptiveMaxPool2d(1), nn.Flatten()], channels, dim)


def _ready(inputs: Tensor) -> Tensor:
    """Bytes as numbers in the layout in which convolutions are fastest; words as they are."""
    return inputs if inputs.dtype == torch.int64 else inputs.float().contiguous(memory_format=torch.channels_last)


def _train(
    network: nn.Sequential,
    inputs: Tensor,
    outcomes: Tensor,
    first: int,
    augment: Callable[[Tensor], Tensor],
    max_epochs: int,
    patience: int,
) -> tuple[float, int]:
    """Fits on the rows before `first` and keeps the weights of the pass that did best on the rest: its R2, and passes."""
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=0.02, fused=True)
    fast = choose_precision("auto", "cpu") == "bf16"
    steps = math.ceil(first / _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps * max_epochs)
    later = outcomes[first:]
    best, best_at, kept = -math.inf, 0, _tensors(network)
    for epoch in range(1, max_epochs + 1):
        network.train()
        for rows in torch.randperm(first).split(_BATCH):
            if len(rows) > 1:  # batch norm needs two
                with torch.autocast("cpu", torch.bfloat16, enabled=fast):
                    found = network(_ready(augment(inputs[rows])))
                loss = nn.functional.mse_loss(found.squeeze(1).float(), outcomes[rows])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
            schedule.step()
        network.eval()
        error = (_forward(network, inputs[first:]).squeeze(1) - later).square().mean() / later.var(correction=0)
        if 1 - float(error) > best:
            best, best_at, kept = 1 - float(error), epoch, _tensors(network)
        if epoch - best_at >= patience:
            break
    network.load_state_dict(kept)
    return best, epoch


def _forward(run: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
    """Runs a network in batches of one shape; the last one is filled up with zeros."""
    found = []
    with torch.inference_mode():
        for part in inputs.split(_ENCODED_AT_ONCE):
            filled = part.new_zeros((_ENCODED_AT_ONCE, *part.shape[1:]))
            filled[: len(part)] = part
            found.append(run(_ready(filled))[: len(part)])
    return torch.cat(found)


def _tensors(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone().contiguous() for name, tensor in network.state_dict().items()}


def _fingerprint(config: dict[str, str | int], network: nn.Module) -> str:
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for name, tensor in sorted(_tensors(network).items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def _texts(contents: Sequence[Content]) -> Tensor:
    """Hashes of the first WORDS words: int64 [n, WORDS]."""
    rows = np.zeros((len(contents), WORDS), dtype=np.int64)
    for row, text in enumerate(contents):
        words = str(text).lower().split(maxsplit=WORDS)[:WORDS]
        rows[row, : len(words)] = [1 + zlib.crc32(word.encode()) % (BUCKETS - 1) for word in words]
    return torch.from_numpy(rows)


def _images(contents: Sequence[Content]) -> Tensor:
    """Red, green, blue and edges, which look alike whatever the colours: uint8 [n, 4, SIDE, SIDE]."""
    rows = np.empty((len(contents), 4, SIDE, SIDE), dtype=np.uint8)
    for row, picture in enumerate(contents):
        pixels = np.asarray(picture.convert("RGB").resize((SIDE, SIDE)), dtype=np.float32)
        down, right = np.gradient(pixels, axis=(0, 1))
        rows[row, :3] = pixels.transpose(2, 0, 1)
        rows[row, 3] = np.minimum(2 * np.hypot(down, right).max(axis=2), 255)
    return torch.from_numpy(rows)


def _sounds(contents: Sequence[Content]) -> Tensor:
    """Log-mel spectrograms of the first SOUND_S seconds, 80 dB below the loudest to 0..255: uint8 [n, 1, BANDS, t]."""
    samples = round(SOUND_S * SAMPLE_RATE)
    filters, window = _mel_filters(), torch.hann_window(WINDOW)
    found = []
    for sound in contents:
        heard = torch.zeros(samples)
        part = torch.from_numpy(np.asarray(sound, dtype=np.float32)[:samples])
        heard[: len(part)] = part
        power = torch.stft(heard, WINDOW, HOP, window=window, return_complex=True).abs().square()
        level = 10 * torch.log10(filters @ power + 1e-10)
        found.append(((level - level.max() + 80).clamp(0, 80) * (255 / 80)).to(torch.uint8))
    return torch.stack(found)[:, None]


def _mel_filters() -> Tensor:
    """Triangles evenly spaced on the mel scale, mel = 2595 log10(1 + f / 700) (O'Shaughnessy): [BANDS, WINDOW / 2 + 1]."""
    top = 2595 * math.log10(1 + SAMPLE_RATE / 2 / 700)
    edges = 700 * (10 ** (torch.linspace(0, top, BANDS + 2) / 2595) - 1)
    bins = torch.linspace(0, SAMPLE_RATE / 2, WINDOW // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.minimum(rising, falling).clamp(min=0)


def _shifted(inputs: Tensor) -> Tensor:
    """The batch moved by up to a tenth of its height and width."""
    height, width = inputs.shape[2:]
    down, right = (int(torch.randint(-(size // 10), size // 10 + 1, ())) for size in (height, width))
    return inputs.roll((down, right), (2, 3))


def _with_gaps(inputs: Tensor) -> Tensor:
    """The texts without one word in twenty."""
    return inputs.masked_fill(torch.rand(inputs.shape) < 0.05, 0)


_NETWORKS: dict[str, Callable[[int], nn.Sequential]] = {
    "text": _text_network,
    "image": _image_network,
    "audio": _audio_network,
}
_PREPARE: dict[str, Callable[[Sequence[Content]], Tensor]] = {"text": _texts, "image": _images, "audio": _sounds}
_AUGMENT: dict[str, Callable[[Tensor], Tensor]] = {"text": _with_gaps, "image": _shifted, "audio": _shifted}
