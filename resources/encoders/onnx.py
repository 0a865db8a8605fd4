"""One content at a time through ONNX Runtime in fp32: exports an encoder of text or pictures, and runs the export without torch.

An export is a folder: `model.onnx`, `encoder.json` and the files that `preparation` reads. Batches belong to `pretrained`.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from resources.encoders.base import Content, EncoderError, Modality, Precision, Vectors
from resources.encoders.batching import finite
from resources.encoders.pretrained import PretrainedEncoder, Recipe, preparation

_COPIED = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "sentence_bert_config.json",
    "preprocessor_config.json",
)
_VERSION = 1


def export(encoder: PretrainedEncoder, folder: Path) -> Path:
    """Exports an encoder in fp32, once: a later call finds what is there.

    Args:
        encoder: An encoder of text or pictures, of whatever precision and device.
        folder: Keeps one folder per encoder, revision and preprocessing.

    Returns:
        The folder of the export, for `OnnxEncoder`.

    Raises:
        EncoderError: The encoder is of another modality, or a package is missing.
    """
    if encoder.modality not in ("text", "image"):
        raise EncoderError(
            f"{encoder.name}: only encoders of text and pictures are exported, not of {encoder.modality}"
        )
    said = {
        "version": _VERSION,
        "name": encoder.name,
        "revision": encoder.revision,
        "preprocessing": encoder.preprocessing,
        "dim": encoder.dim,
        "recipe": asdict(encoder.recipe),
    }
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
    target = folder / f"{encoder.name}-{key}"
    if (target / "encoder.json").is_file():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as workplace:
        made = Path(workplace) / target.name
        made.mkdir()
        _write(encoder, made)
        for name in _COPIED:
            if (encoder.folder / name).is_file():
                shutil.copyfile(encoder.folder / name, made / name)
        (made / "encoder.json").write_text(json.dumps(said))
        try:
            made.rename(target)
        except OSError:  # another process was first
            if not (target / "encoder.json").is_file():
                raise
    return target


def _write(encoder: PretrainedEncoder, folder: Path) -> None:
    try:
        import onnxscript  # noqa: F401
        import torch

        from resources.encoders.networks import load_network
    except ImportError as error:
        raise EncoderError(f"{encoder.name}: {error}; `pip install 'upswell[encoders]'` to export it") from error
    network = load_network(encoder.name, encoder.folder, encoder.recipe.pooling, encoder.recipe.unit, "cpu", "fp32")
    batch = torch.export.Dim("batch")
    if encoder.modality == "text":
        tokens = torch.export.Dim("tokens")
        example = {name: torch.ones((2, 8), dtype=torch.int64) for name in ("input_ids", "attention_mask")}
        shapes: dict[str, Any] = {name: {0: batch, 1: tokens} for name in example}
    else:
        from PIL import Image

        inputs = encoder.prepared.inputs([Image.new("RGB", (64, 64))] * 2)
        example = {name: torch.from_numpy(array) for name, array in inputs.items()}
        shapes = {name: {0: batch} for name in example}
    torch.onnx.export(
        network,
        kwargs=example,
        f=str(folder / "model.onnx"),
        dynamo=True,
        dynamic_shapes=shapes,
        external_data=False,
        output_names=["vectors"],
        verbose=False,
    )


class OnnxEncoder:
    """An exported encoder (`resources.encoders.base.Encoder`): same name, revision and preprocessing, always fp32.

    Args:
        folder: What `export` returned.
        threads: Threads of the runtime.

    Raises:
        EncoderError: The folder holds no export, or onnxruntime is not installed.
    """

    precision: Precision = "fp32"

    def __init__(self, folder: Path, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise EncoderError(
                f"onnxruntime is not installed; `pip install 'upswell[encoders]'` to use {folder}"
            ) from error
        try:
            said = json.loads((folder / "encoder.json").read_text())
            recipe = Recipe(**said["recipe"])
            self.name, self.revision, self.dim = str(said["name"]), str(said["revision"]), int(said["dim"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise EncoderError(f"{folder}: holds no exported encoder ({error}); export it again") from error
        self.modality: Modality = recipe.modality
        self._prepared = preparation(self.name, recipe, folder)
        self.preprocessing = self._prepared.version
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(
                str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the runtime's errors have no public parent
            raise EncoderError(
                f"{self.name}: {folder / 'model.onnx'} cannot be loaded: {error}; export it again"
            ) from error
        self._inputs = {found.name for found in self._session.get_inputs()}

    def encode(self, batch: Sequence[Content]) -> Vectors:
        """Vectors of shape (len(batch), dim), each made alone.

        Raises:
            EncoderError: A content gave a vector that is not finite.
        """
        vectors = np.empty((len(batch), self.dim), np.float32)
        for row, (piece,) in enumerate(self._prepared.pieces(batch)):
            inputs = self._prepared.inputs([piece])
            fed = {name: array for name, array in inputs.items() if name in self._inputs}
            vectors[row] = self._session.run(["vectors"], fed)[0][0]
        for row, failure in finite(vectors, {}).failures.items():
            raise EncoderError(f"{self.name}: content {row} of {len(batch)}: {failure.detail}")
        return vectors
