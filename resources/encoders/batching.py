"""How contents go through a model: on the device there is, in batches of like length, halved when memory runs out.

Knows no model: a batch is run by a function that it is given. What cannot be encoded is reported per content.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from resources.encoders.base import Content, Encoded, Encoder, EncoderError, Failure, Precision, Vectors

Progress = Callable[[int, int], None]
"""Told how many contents are done, of how many."""
_CHUNK = 256


@runtime_checkable
class _EncodesEach(Protocol):
    def encode_each(self, batch: Sequence[Content], progress: Progress | None = None) -> Encoded: ...


def choose_device(wanted: str) -> str:
    """cuda, mps or cpu: what was asked for, or with `auto` the first that there is.

    Raises:
        EncoderError: A device was named that this machine does not have.
    """
    import torch

    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return next(name for name, available in there.items() if available)
    if not there.get(wanted, False):
        raise EncoderError(f"device {wanted}: this machine has none; write `device: auto`")
    return wanted


def choose_precision(wanted: str, device: str) -> Precision:
    """fp32 or bf16: what was asked for, or with `auto` bf16 where the device computes with it."""
    if wanted != "auto":
        return "bf16" if wanted == "bf16" else "fp32"
    import torch

    if device == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if device == "cpu":
        able = torch.cpu.get_capabilities()
        return "bf16" if able.get("avx512_bf16") or able.get("amx_bf16") else "fp32"
    return "fp32"


def encode_each(encoder: Encoder, contents: Sequence[Content], progress: Progress | None = None) -> Encoded:
    """Encodes contents one and all: what cannot be encoded is reported and does not stop the others.

    Args:
        encoder: Any encoder.
        contents: Contents of its modality.
        progress: Told how far it is.
    """
    if isinstance(encoder, _EncodesEach):
        return encoder.encode_each(contents, progress)
    vectors = np.full((len(contents), encoder.dim), np.nan, np.float32)
    failures: dict[int, Failure] = {}
    for start in range(0, len(contents), _CHUNK):
        rows = range(start, min(start + _CHUNK, len(contents)))
        try:
            vectors[start : rows.stop] = encoder.encode([contents[row] for row in rows])
        except EncoderError:
            for row in rows:
                try:
                    vectors[row] = encoder.encode([contents[row]])[0]
                except EncoderError as error:
                    failures[row] = Failure("undecodable", str(error))
        if progress:
            progress(rows.stop, len(contents))
    return finite(vectors, failures)


def finite(vectors: Vectors, failures: dict[int, Failure]) -> Encoded:
    """Vectors as they are, with a failure for each that is not finite throughout; failed rows are NaN."""
    for row in np.flatnonzero(~np.isfinite(vectors).all(axis=1)):
        failures.setdefault(int(row), Failure("not-finite", "the encoder gave a vector with NaN or infinity"))
    vectors[list(failures)] = np.nan
    return Encoded(vectors, failures)


def in_batches(
    costs: Sequence[int],
    forward: Callable[[Sequence[int]], Vectors],
    dim: int,
    *,
    budget: int,
    alike: bool = False,
    progress: Progress | None = None,
) -> Encoded:
    """Runs items through a model, longest first, so that memory runs out at the start if it does.

    A batch that does not fit in memory is halved, and so is every later one; an item that does not fit alone is reported.

    Args:
        costs: Cost of each item: tokens, samples or frames. A batch costs its size times its dearest item.
        forward: Vectors of the items of the given indices, shape (len(indices), dim).
        dim: Length of a vector.
        budget: What a batch may cost; one item goes through whatever it costs.
        alike: Whether only items of equal cost share a batch, because the model must not see padding.
        progress: Told how far it is.
    """
    order = sorted(range(len(costs)), key=lambda index: -costs[index])
    vectors = np.full((len(costs), dim), np.nan, np.float32)
    failures: dict[int, Failure] = {}
    at, largest = 0, len(costs)
    while at < len(order):
        dearest = costs[order[at]]
        rows = order[at : at + min(max(1, budget // max(1, dearest)), largest)]
        if alike:
            rows = [row for row in rows if costs[row] == dearest]
        size = len(rows)
        try:
            vectors[rows] = forward(rows)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            if size > 1:
                largest = size // 2
                _release()
                continue
            failures[rows[0]] = Failure("out-of-memory", f"alone in a batch it does not fit in memory: {error}"[:300])
        at += size
        if progress:
            progress(at, len(order))
    return finite(vectors, failures)


def _out_of_memory(error: Exception) -> bool:
    words = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in words or "alloc" in words


def _release() -> None:
    """Gives back what the device's allocator keeps of the failed batch."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
