"""`fused.pt`: fused vectors as one file that other programs read, `{"ids": [...], "fused": Tensor[n, d]}`.

Torch is imported inside the functions; without it they say what to install.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from resources.encoders.base import EncoderError, Vectors


class FusedFileError(ValueError):
    """A file of fused vectors cannot be read or written; names the file and what is wrong."""


def write_fused(path: Path, ids: Sequence[str], vectors: Vectors) -> None:
    """Writes ids and vectors of shape (n, d); the file appears whole or not at all.

    Raises:
        FusedFileError: Shapes do not fit, an id occurs twice, or a number is not finite.
        EncoderError: torch is not installed.
    """
    torch = _torch()
    checked = _checked(path, list(ids), np.asarray(vectors))
    part = path.with_name(f".{path.name}.part")
    torch.save({"ids": list(ids), "fused": torch.from_numpy(np.array(checked))}, part)
    os.replace(part, path)


def read_fused(path: Path) -> tuple[list[str], Vectors]:
    """Ids and float32 vectors of shape (n, d) of a file; no code that it may hold is run.

    Raises:
        FusedFileError: It is no such file, shapes do not fit, an id occurs twice, or a number is not finite.
        EncoderError: torch is not installed.
    """
    torch = _torch()
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FusedFileError(f"{path}: there is no such file") from None
    except Exception as error:  # torch raises whatever the bytes lead to
        first = (str(error) or type(error).__name__).splitlines()[0]
        raise FusedFileError(f"{path}: not a file of fused vectors: {first}") from error
    if not isinstance(content, dict) or set(content) != {"ids", "fused"}:
        raise FusedFileError(f'{path}: expected {{"ids": [...], "fused": Tensor[n, d]}}')
    ids, fused = content["ids"], content["fused"]
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise FusedFileError(f"{path}: ids must be a list of strings")
    if not isinstance(fused, torch.Tensor) or not fused.is_floating_point():
        raise FusedFileError(f"{path}: fused must be a tensor of floating-point numbers")
    if fused.layout != torch.strided or fused.is_nested or fused.is_meta:
        raise FusedFileError(f"{path}: fused must be a dense tensor with its numbers; save fused.to_dense()")
    return ids, _checked(path, ids, fused.detach().float().numpy())


def _checked(path: Path, ids: list[str], vectors: np.ndarray[Any, Any]) -> Vectors:
    if vectors.ndim != 2 or len(ids) != len(vectors):
        raise FusedFileError(f"{path}: {len(ids)} ids, but vectors of shape {vectors.shape}; expected ({len(ids)}, d)")
    if len(set(ids)) != len(ids):
        twice = next(each for position, each in enumerate(ids) if each in ids[:position])
        raise FusedFileError(f"{path}: the id {twice!r} occurs more than once")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])
        raise FusedFileError(f"{path}: the vector of {ids[row]!r} holds NaN or infinity")
    return np.asarray(vectors, np.float32)


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        raise EncoderError("fused.pt needs torch: pip install 'upswell[encoders]'") from None
    return torch
