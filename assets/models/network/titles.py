"""Vectors of titles from a pretrained encoder that belongs to the model: kept with it, and changed by fine-tuning.

Its weights are kept as arrays and its files as bytes, so a bundle needs no folder of anybody's machine. torch and transformers
are imported when a vector is first needed. How the encoder is tuned is in `tuning`.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from assets.models.fit_run import current_run
from resources.encoders.base import EncoderError
from resources.settings import EncoderChoice

_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json")
Array = np.ndarray[Any, Any]


class TitleEncoder:
    """A text encoder of the catalogue on titles, standardised by the training rows.

    Args:
        encoder: Name in the catalogue.
        weights: Folder or hub identifier; None where the encoder brings its own.

    Attributes:
        dim: Length of a vector.
        files_: Configuration and tokenizer.
        state_: Weights by name.
        center_: Mean of the training vectors, before any tuning; `scale_` their standard deviation.
    """

    def __init__(self, encoder: str, weights: str | None) -> None:
        self.encoder, self.weights = encoder, weights
        self._made: tuple[Any, Any] | None = None

    def fit_transform(self, titles: Array) -> Array:
        """Take the encoder as it comes; vectors of training titles, of shape (rows, dim).

        Raises:
            EncoderError: It is no text encoder with weights, or they cannot be had.
        """
        from resources.encoders.catalogue import make
        from resources.encoders.pretrained import PretrainedEncoder

        choice = EncoderChoice(encoder=self.encoder, weights=self.weights, precision="fp32")
        found = make("text", choice, current_run().device.split(":")[0])
        if not isinstance(found, PretrainedEncoder):
            raise EncoderError(f"fine_tune: {self.encoder} has no network to tune; name a pretrained text encoder")
        self.recipe, self.dim = found.recipe, found.dim
        self.files_ = {name: (found.folder / name).read_bytes() for name in _FILES if (found.folder / name).is_file()}
        network: Any = found.network()
        self.replace({name: tensor.cpu().numpy().copy() for name, tensor in network.model.state_dict().items()})
        unique, place = np.unique(titles.astype(str), return_inverse=True)
        vectors = found.encode([str(title) for title in unique]).astype(np.float64)
        every = vectors[place]
        self.center_ = every.mean(axis=0)
        self.scale_ = np.maximum(every.std(axis=0), 1e-6)
        return np.asarray((every - self.center_) / self.scale_)

    def transform(self, titles: Array) -> Array:
        """Vectors of further titles, each computed alone, so that its company changes nothing."""
        import torch

        network, preparation = self.network()
        unique, place = np.unique(titles.astype(str), return_inverse=True)
        vectors = np.zeros((len(unique), self.dim))
        with torch.inference_mode():
            for row, title in enumerate(unique):
                inputs = preparation.inputs(preparation.pieces([str(title)])[0])
                said = network(**{name: torch.from_numpy(array) for name, array in inputs.items()})
                vectors[row] = said[0].numpy()
        return np.asarray(((vectors - self.center_) / self.scale_)[place])

    def network(self) -> tuple[Any, Any]:
        """The torch module, in evaluation, and what makes its inputs; made on first use."""
        if self._made is None:
            self._made = self._make()
        return self._made

    def replace(self, state: Mapping[str, Array]) -> None:
        """Other weights from here on."""
        self.state_ = dict(state)
        self._made = None

    def _make(self) -> tuple[Any, Any]:
        import torch
        import transformers

        from resources.encoders.networks import Network
        from resources.encoders.preparation import TextPreparation

        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            for file, content in self.files_.items():
                (folder / file).write_bytes(content)
            preparation = TextPreparation(self.encoder, folder, self.recipe.max_tokens)
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        with torch.random.fork_rng(devices=[]):  # first weights are drawn, and replaced at once
            model = transformers.AutoModel.from_config(config)
        model.load_state_dict({name: torch.from_numpy(array) for name, array in self.state_.items()})
        return Network(model, self.recipe.pooling, self.recipe.unit).eval(), preparation

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": None}
