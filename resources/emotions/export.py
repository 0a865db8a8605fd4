"""Exports emotion models for serving without torch: ONNX in fp32 or int8, refused where the export does not decide as the model does.

torch, transformers and onnx are imported inside functions. How an export is read is in `onnx`, what it has to keep in `parity`.
"""

import json
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from resources.emotions.ensemble import MEMBERS, WEIGHTS, member_folders
from resources.emotions.model import EmotionError, Manifest, load, read_manifest, seal
from resources.emotions.onnx import GRAPH, RECORD
from resources.emotions.parity import Labelled, Parity, compare, require_parity, told
from resources.emotions.projections import join_projections

Precision = Literal["fp32", "int8"]
MEGABYTE = 1_000_000
LIMITS_MB = {384: 30, 768: 130}
"""Most megabytes of an int8 export, by the width of the encoder: MiniLM, and the base models."""
_WEIGHTS = "model.safetensors"
"""What the graph stands in for; a network's other files go with it."""


@dataclass(frozen=True)
class Exported:
    """An export that was accepted.

    Attributes:
        folder: The bundle.
        precision: fp32 or int8.
        megabytes: Size of all its files, in 10^6 bytes.
        parity: How it decides beside the model that it was made from.
    """

    folder: Path
    precision: Precision
    megabytes: float
    parity: Parity


def export(bundle: Path, folder: Path, precision: Precision, labelled: Labelled) -> Exported:
    """Exports a model; nothing is left in `folder` unless the export is accepted.

    Args:
        bundle: A bundle of kind `network`, or an ensemble of such.
        folder: Becomes the export, a bundle of kind `onnx` or an ensemble of these; must be absent or empty.
        precision: fp32, or int8 (dynamic, weights per channel).
        labelled: Dev texts with their labels, on which both have to decide alike.

    Raises:
        EmotionError: The bundle cannot be exported, the folder holds something, a package is missing, or the export is refused:
            it decides otherwise, loses F1, or is too large.
    """
    manifest = read_manifest(bundle)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise EmotionError(f"{folder} is there already: name an empty folder for the export")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as workplace:
        made = Path(workplace) / "export"
        _write(bundle, manifest, made, precision)
        found = compare(load(bundle), load(made), labelled)
        require_parity(found, precision)
        size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file()) / MEGABYTE
        _record(made, manifest, precision, found)
        if folder.exists():
            folder.rmdir()
        made.rename(folder)
    return Exported(folder, precision, size, found)


def _write(bundle: Path, manifest: Manifest, folder: Path, precision: Precision) -> None:
    if manifest.kind == "network":
        _write_network(bundle, manifest, folder, precision)
    elif manifest.kind == "ensemble":
        _write_ensemble(bundle, manifest, folder, precision)
    else:
        raise EmotionError(
            f"{bundle} is of the kind {manifest.kind}: only a network, or an ensemble of networks, is exported"
        )


def _write_ensemble(bundle: Path, manifest: Manifest, folder: Path, precision: Precision) -> None:
    folder.mkdir()
    for number, member in enumerate(member_folders(bundle)):
        (folder / MEMBERS).mkdir(exist_ok=True)
        _write(member, read_manifest(member), folder / MEMBERS / str(number), precision)
    shutil.copyfile(bundle / WEIGHTS, folder / WEIGHTS)
    seal(folder, manifest)


def _write_network(bundle: Path, manifest: Manifest, folder: Path, precision: Precision) -> None:
    folder.mkdir()
    _write_graph(bundle, manifest, folder / GRAPH)
    if precision == "int8":
        _quantise(folder / GRAPH)
        _require_size(folder / GRAPH, int(json.loads((bundle / "config.json").read_text())["hidden_size"]))
    for name in set(manifest.files) - {_WEIGHTS}:
        shutil.copyfile(bundle / name, folder / name)
    seal(folder, manifest.model_copy(update={"kind": "onnx"}))


def _write_graph(bundle: Path, manifest: Manifest, path: Path) -> None:
    try:
        import onnxscript  # noqa: F401
        import torch

        from resources.emotions.graph import OneText
        from resources.emotions.network import read_network
    except ImportError as error:
        raise EmotionError(f"{error}; `pip install 'upswell[encoders]'` to export a model") from error
    graph = OneText(read_network(bundle, manifest.labels))
    with _quietly():
        torch.onnx.export(
            graph.eval(),
            kwargs={"input_ids": torch.ones((1, 8), dtype=torch.int64)},
            f=str(path),
            dynamo=True,
            dynamic_shapes={"input_ids": {1: torch.export.Dim("tokens")}},
            external_data=False,
            output_names=["logits"],
            verbose=False,
        )


def _quantise(path: Path) -> None:
    """Makes the weights of a graph int8, per channel; activations are scaled as they come, each once."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    graph: Any = onnx.load(str(path))
    join_projections(graph.graph)
    del graph.graph.value_info[:]  # shapes that the exporter noted and the quantiser then contradicts
    onnx.save(graph, str(path))
    with _quietly():
        quantize_dynamic(
            str(path),
            str(path),
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={
                "DefaultTensorType": onnx.TensorProto.FLOAT
            },  # the type of attention's output is not inferred
        )


@contextmanager
def _quietly() -> Iterator[None]:
    """Keeps to itself what the exporter and the quantiser say to developers; whether an export is good is judged by its parity."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _require_size(path: Path, width: int) -> None:
    most, size = LIMITS_MB.get(width), path.stat().st_size / MEGABYTE
    if most is not None and size > most:
        raise EmotionError(
            f"the int8 export is refused: {size:.1f} MB, and at most {most} MB for an encoder of width {width}"
        )


def _record(folder: Path, manifest: Manifest, precision: Precision, found: Parity) -> None:
    """Notes in an export what it was made from and how it compared, and seals it with that."""
    said = {"of": manifest.revision, "precision": precision, "parity": told(found)}
    (folder / RECORD).write_text(json.dumps(said, indent=1))
    seal(folder, read_manifest(folder))
