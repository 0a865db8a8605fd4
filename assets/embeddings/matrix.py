"""Vectors between the warehouse and numpy: a FLOAT[] column in, a matrix out, without a Python object per number.

Nothing is computed of the vectors here but their length.
"""

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from resources.encoders.base import EncoderError, Identity, Modality, Vectors
from warehouse.connection import Warehouse

_ROWS = 16_384
# DuckDB would otherwise keep the pages that it read beside the vectors that they became.
_MEMORY = "1GB"
# How far its threads may read ahead of what is taken; by default they wait after every few hundred vectors.
_AHEAD = "64MB"


@dataclass(frozen=True)
class Matrix:
    """Vectors of one encoder or one fusion.

    Attributes:
        ids: What each row is the vector of, shape (n,): strings.
        vectors: float32, contiguous, shape (n, d), each of length 1 (a zero vector stays zero).
        of: What made the vectors; rows of two makers are never in one matrix.
    """

    ids: np.ndarray[Any, np.dtype[np.object_]]
    vectors: Vectors
    of: str


def vector_column(vectors: Vectors, missing: np.ndarray[Any, np.dtype[np.bool_]] | None = None) -> pa.ListArray:
    """The rows of a matrix of shape (n, d) as a FLOAT[] column; null where `missing`, shape (n,)."""
    n, dim = vectors.shape
    offsets = pa.array(np.arange(0, (n + 1) * dim, dim, dtype=np.int32) if dim else np.zeros(n + 1, np.int32))
    numbers = pa.array(np.ascontiguousarray(vectors, np.float32).ravel())
    return pa.ListArray.from_arrays(offsets, numbers, mask=None if missing is None else pa.array(missing))


def load_vectors(warehouse: Warehouse, modality: Modality, made_by: Identity | None = None) -> Matrix:
    """The vectors of all contents of a modality by one encoder, normalised; ids are content ids.

    Args:
        warehouse: Where they are.
        modality: text, image, audio or video.
        made_by: Whose vectors; None where there is only one encoder.

    Raises:
        EncoderError: There are vectors of several encoders, revisions or precisions and none was named; there are
            none; or their lengths differ.
    """
    return _of(
        warehouse,
        f"SELECT content_id, vector FROM embeddings.{modality}",
        made_by or _only_identity(warehouse, modality),
    )


def load_said(warehouse: Warehouse, made_by: Identity) -> Matrix:
    """The vectors of what is said in videos and of them by one encoder, normalised; ids are text ids.

    Raises:
        EncoderError: Their lengths differ.
    """
    return _of(warehouse, "SELECT text_id, vector FROM embeddings.said", made_by)


def _of(warehouse: Warehouse, query: str, made_by: Identity) -> Matrix:
    key = [made_by.encoder, made_by.revision, made_by.precision, made_by.preprocessing]
    same = "WHERE encoder = ? AND revision = ? AND precision = ? AND preprocessing = ?"
    with warehouse.read() as con:
        ids, vectors = read_vectors(con, f"{query} {same}", key)
    return Matrix(ids, normalised(vectors), " ".join(key))


def load_fused(warehouse: Warehouse, fusion: str) -> Matrix:
    """The vectors of all videos of a fusion, normalised; ids are `source/video_id`.

    Raises:
        EncoderError: Their lengths differ.
    """
    query = "SELECT source || '/' || video_id, vector FROM embeddings.fused WHERE fusion = ? AND vector IS NOT NULL"
    with warehouse.read() as con:
        ids, vectors = read_vectors(con, query, [fusion])
    return Matrix(ids, normalised(vectors), fusion)


def read_vectors(
    con: duckdb.DuckDBPyConnection, query: str, parameters: list[Any]
) -> tuple[np.ndarray[Any, np.dtype[np.object_]], Vectors]:
    """Ids and vectors of a query of two columns, in its order; streams, so that nothing is held twice.

    Returns:
        Strings of shape (n,) and float32 of shape (n, d), not normalised.

    Raises:
        EncoderError: The lengths of the vectors differ.
    """
    con.execute(f"SET memory_limit = '{_MEMORY}'")
    con.execute(f"SET streaming_buffer_size = '{_AHEAD}'")
    counted = con.execute(f"SELECT count(*) FROM ({query})", parameters).fetchone()
    assert counted is not None
    ids = np.empty(counted[0], object)
    vectors: Vectors = np.empty((0, 0), np.float32)
    at = 0
    for rows in con.execute(query, parameters).to_arrow_reader(_ROWS):
        stop = at + rows.num_rows
        lengths = np.diff(rows.column(1).offsets.to_numpy())
        if not at:
            vectors = np.empty((len(ids), int(lengths[0])), np.float32)
        if (lengths != vectors.shape[1]).any():
            odd = int(lengths[lengths != vectors.shape[1]][0])
            raise EncoderError(f"vectors have {vectors.shape[1]} numbers, and {odd}: they are not of one encoder")
        ids[at:stop] = rows.column(0).to_numpy(zero_copy_only=False)
        vectors[at:stop] = rows.column(1).flatten().to_numpy().reshape(rows.num_rows, -1)
        at = stop
    return ids, vectors


def normalised(vectors: Vectors) -> Vectors:
    """The vectors, in place, at length 1; a zero vector stays zero."""
    for start in range(0, len(vectors), _ROWS):
        part = vectors[start : start + _ROWS]
        length = np.linalg.norm(part, axis=1, keepdims=True)
        part /= np.where(length > 0, length, 1)
    return vectors


def _only_identity(warehouse: Warehouse, modality: Modality) -> Identity:
    with warehouse.read() as con:
        found = con.execute(
            f"SELECT DISTINCT encoder, revision, precision, preprocessing FROM embeddings.{modality} ORDER BY ALL"
        ).fetchall()
    if len(found) == 1:
        return Identity(*found[0])
    if not found:
        raise EncoderError(f"embeddings.{modality} holds no vectors: materialise it first")
    raise EncoderError(
        f"embeddings.{modality} holds vectors of {len(found)} encoders, which cannot be compared: name one of "
        + "; ".join(" ".join(row) for row in found)
    )
