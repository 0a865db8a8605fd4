"""An exported emotion model, run by ONNX Runtime: needs neither torch nor transformers. How one is made is in `export`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resources.emotions.model import EmotionError, Manifest, require_labels
from resources.encoders.base import EncoderError
from resources.encoders.preparation import TextPreparation

GRAPH = "model.onnx"
RECORD = "export.json"
"""What the export was made from, in which precision, and how it compared."""

_SLOWER = ["SkipLayerNormFusion"]
"""Rewritings of the runtime that cost more than they save: the fused operator takes three times as long as its parts."""


class OnnxModel:
    """A bundle of kind `onnx` (`resources.emotions.model.EmotionModel`).

    Texts go through one at a time: in int8 the activations of an input share one scale, so that in a batch the logits of a text would
    depend on the others; and there is no padding to compute.

    Args:
        folder: The bundle.
        manifest: What it says of itself.
        threads: Threads of the runtime.

    Raises:
        EmotionError: Its labels are others than the manifest's, its files cannot be loaded, or a package is missing.
    """

    def __init__(self, folder: Path, manifest: Manifest, threads: int = 1) -> None:
        self.name, self.revision = manifest.name, manifest.revision
        self.labels, self.decisions = manifest.labels, manifest.decisions
        names = {int(index): label for index, label in _read(folder / "config.json")["id2label"].items()}
        require_labels([names[index] for index in sorted(names)], manifest.labels, str(folder / "config.json"))
        try:
            self._preparation = TextPreparation("emotions", folder, manifest.max_tokens)
        except EncoderError as error:
            raise EmotionError(str(error)) from error
        self._session = _session(folder / GRAPH, threads)
        columns = self._session.get_outputs()[0].shape[-1]
        if columns != len(self.labels):
            raise EmotionError(
                f"{folder / GRAPH} gives {columns} logits, for {len(self.labels)} labels; export it again"
            )

    def logits(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        """float32 [n, labels], before the temperature.

        Raises:
            EmotionError: A text gave a logit that is not finite.
        """
        found = np.empty((len(texts), len(self.labels)), np.float32)
        for row, (tokens,) in enumerate(self._preparation.pieces(texts)):
            found[row] = self._session.run(["logits"], {"input_ids": tokens[None]})[0][0]
        if not np.isfinite(found).all():
            row = int(np.argmin(np.isfinite(found).all(axis=1)))
            raise EmotionError(f"{self.name}: text {row} of {len(texts)} gave logits that are not finite")
        return found


def load(folder: Path, manifest: Manifest) -> OnnxModel:
    """The model of a bundle whose manifest was read.

    Raises:
        EmotionError: As `OnnxModel`.
    """
    return OnnxModel(folder, manifest)


def _read(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (OSError, ValueError) as error:
        raise EmotionError(f"{path} cannot be read ({error}); export the model again") from error


def _session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise EmotionError(f"onnxruntime is not installed; `pip install 'upswell[encoders]'` to use {path}") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"], disabled_optimizers=_SLOWER
        )
    except Exception as error:  # the runtime's errors have no public parent
        raise EmotionError(f"{path} cannot be loaded: {error}; export it again") from error
