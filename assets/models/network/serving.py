"""A fitted network without torch: the same sums in numpy, for forecasts.

No BLAS: its results for a row depend on how many rows stand beside it. einsum adds along the columns in one order, so a row alone
and a row in a batch are equal to the bit.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from assets.models.network.batches import CONTENT, Matrix

Weights = Mapping[str, Matrix]
_ROWS = 1024
"""Rows at a time, so that the widest layer stays small in memory."""


def outputs(weights: Weights, towers: Mapping[str, int], matrix: Matrix, head: str) -> Matrix:
    """What one head says, float32 of shape (rows, outputs).

    Args:
        weights: Weights by torch's names, those of layers as (inputs, outputs).
        towers: Columns of each tower, in the order of the matrix.
        matrix: Rows as `batches.NetworkMatrix` makes them.
        head: Name of the head.
    """
    parts = [_forward(weights, towers, matrix[start : start + _ROWS], head) for start in range(0, len(matrix), _ROWS)]
    return np.concatenate(parts) if parts else np.zeros((0, weights[f"heads.{head}.bias"].shape[0]), np.float32)


def _forward(weights: Weights, towers: Mapping[str, int], matrix: Matrix, head: str) -> Matrix:
    content = [name for name in towers if name in CONTENT]
    there = matrix[:, matrix.shape[1] - len(content) :]
    here = {name: there[:, [i]] > 0 for i, name in enumerate(content)}
    seen, start = [], 0
    for name, width in towers.items():
        own = matrix[:, start : start + width]
        start += width
        said = np.maximum(_linear(weights, f"towers.{name}.0", own), 0) if f"towers.{name}.0.bias" in weights else own
        seen.append(np.where(here[name], said, weights[f"absent.{name}"]) if name in here else said)
    hidden = np.hstack([*seen, there])
    if "gate.bias" in weights:
        shown = np.hstack([here.get(name, np.ones((len(matrix), 1), bool)) for name in towers])
        hidden = _gated(np.stack(seen, 1), _linear(weights, "gate", hidden), shown)
    layer = 0
    while f"hidden.{layer}.bias" in weights:
        hidden = np.maximum(_linear(weights, f"hidden.{layer}", hidden), 0)
        layer += 1
    return _linear(weights, f"heads.{head}", hidden)


def _linear(weights: Weights, name: str, rows: Matrix) -> Matrix:
    product = np.einsum("nk,km->nm", np.ascontiguousarray(rows), weights[f"{name}.weight"])
    return np.asarray(product + weights[f"{name}.bias"])


def _gated(seen: Matrix, gates: Matrix, shown: np.ndarray[Any, Any]) -> Matrix:
    weight = np.exp(np.tanh(gates)) * shown
    share = weight / np.maximum(weight.sum(axis=1, keepdims=True), np.float32(1e-9))
    return np.asarray((seen * share[:, :, None].astype(np.float32)).sum(axis=1))
