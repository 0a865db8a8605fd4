"""The plain way to the same answers: one matrix product in numpy over all vectors."""

from typing import Any

import numpy as np

from resources.encoders.base import Vectors


def cosines(vectors: Vectors, queries: Vectors) -> Vectors:
    """Cosines of unit queries (q, d) to unit vectors (n, d): shape (q, n)."""
    return queries @ vectors.T


def best(found: Vectors, k: int) -> np.ndarray[Any, Any]:
    """The k columns with the highest number in each row, highest first."""
    return np.argsort(-found, axis=1, kind="stable")[:, :k]
