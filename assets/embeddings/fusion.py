"""One vector per video out of those of its text, picture, sound and film: `embeddings.fusions`, `embeddings.fused`.

A fusion is named by everything that decides its vectors, encoders with revision and precision included, so that vectors
that cannot be compared never share a name. What is similar to what is in `search` and `neighbours`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

import duckdb
import numpy as np
import pyarrow as pa

from assets.embeddings.contents import EMPTY_TEXT
from assets.embeddings.encoders import Registered, encoder_for
from assets.embeddings.matrix import normalised, read_vectors, vector_column
from resources.encoders.base import MODALITIES, EncoderError, Modality, Vectors
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows, replace_matching

Method = Literal["concat", "sum", "max"]
Status = Literal["full", "partial", "text-only", "placeholder", "missing-required", "pending"]
Mask = np.ndarray[Any, np.dtype[np.bool_]]

PLACEHOLDER_SHARE = 0.05
PLACEHOLDER_VIDEOS = 20
"""A picture that so many videos of a source have, and more than this share of them, stands for having none."""
_SEED = 0
_CHUNK = 20_000
_FIRST_CONTENTS = (Path(__file__).parent / "fused.sql").read_text()
_SAME = "encoder = ? AND revision = ? AND precision = ? AND preprocessing = ?"


@dataclass(frozen=True)
class Fused:
    """Fused vectors.

    Attributes:
        ids: Sorted, shape (n,).
        vectors: Shape (n, dim).
        present: Per modality, which rows have it in their vector.
    """

    ids: list[str]
    vectors: Vectors
    present: dict[Modality, Mask]


@dataclass(frozen=True)
class Fusion:
    """How vectors are fused.

    Attributes:
        fusion: Fingerprint of all that follows.
        origin: First origin that it serves.
        method: concat, sum or max.
        encoders: Encoder of each modality.
        required: Modalities without which a video has no vector.
        dim: Length of the fused vectors.
    """

    fusion: str
    origin: date
    method: Method
    encoders: dict[Modality, Registered]
    required: tuple[Modality, ...]
    dim: int


@dataclass(frozen=True)
class FusedVideos:
    """What `fuse_videos` did.

    Attributes:
        fusion: Fingerprint of the fusion; None while a required modality has no encoder.
        written: Videos fused anew.
        removed: Videos that have no content any more.
        statuses: All videos of the fusion by status.
    """

    fusion: str | None
    written: int
    removed: int
    statuses: dict[str, int]


def fuse(
    parts: Mapping[Modality, tuple[Sequence[str], Vectors]], method: Method, dim: int | None = None, seed: int = _SEED
) -> Fused:
    """Fuses the vectors of modalities into one per id.

    Every vector is scaled to length 1. `concat` puts them side by side, scaled by 1/sqrt(modalities), zeros for a missing
    one. `sum` and `max` (by number) leave a missing one out; where lengths differ, longer ones are projected to the
    shortest by a random matrix with orthonormal columns.

    Args:
        parts: Per modality, ids and their vectors of shape (n, d); a modality without any counts as one all the same.
        method: concat, sum or max.
        dim: Length that the result must have; None for the one that follows from the parts.
        seed: Of the projections.

    Raises:
        EncoderError: Ids occur twice, shapes do not fit, a number is not finite, or the result has not the length asked.
    """
    if not parts:
        raise EncoderError("nothing to fuse: name at least one modality")
    for modality, (ids, vectors) in parts.items():
        _check_part(modality, ids, vectors)
    widths = {modality: parts[modality][1].shape[1] for modality in MODALITIES if modality in parts}
    found_dim = fused_dim(method, list(widths.values()))
    if dim is not None and dim != found_dim:
        raise EncoderError(
            f"{method} of {widths} has {found_dim} numbers, but {dim} are on record: make another fusion"
        )
    ids = sorted({each for part_ids, _ in parts.values() for each in part_ids})
    row_of = {each: row for row, each in enumerate(ids)}
    fused = np.full((len(ids), found_dim), -np.inf if method == "max" else 0.0, np.float32)
    present: dict[Modality, Mask] = {}
    at = 0
    for modality, width in widths.items():
        rows = np.array([row_of[each] for each in parts[modality][0]], np.intp)
        unit = normalised(np.array(parts[modality][1], np.float32))
        if method == "concat":
            fused[rows, at : at + width] = unit / np.float32(np.sqrt(len(widths)))
            at += width
        else:
            combine = np.maximum if method == "max" else np.add
            fused[rows] = combine(fused[rows], unit @ _projection(width, found_dim, modality, seed))
        present[modality] = np.isin(np.arange(len(ids)), rows)
    return Fused(ids, fused, present)


def fused_dim(method: Method, widths: Sequence[int]) -> int:
    """Length of fused vectors: the sum of lengths for concat, the smallest for sum and max."""
    return sum(widths) if method == "concat" else min(widths)


def status(states: Mapping[Modality, str], encoders: Sequence[Modality], required: Sequence[Modality]) -> Status:
    """How complete the vector of a video is.

    Args:
        states: Per modality that the video has content of: encoded, pending, failed or placeholder.
        encoders: Modalities of the fusion.
        required: Those without which there is no vector.

    Returns:
        `pending` where a content waits to be encoded; `missing-required` where a required one is not there or failed;
        `placeholder` where one stands for having none; `full` where all are there; `text-only`; else `partial`.
    """
    if "pending" in states.values():
        return "pending"
    if any(states.get(modality, "failed") == "failed" for modality in required):
        return "missing-required"
    if "placeholder" in states.values():
        return "placeholder"
    encoded = [modality for modality in encoders if states.get(modality) == "encoded"]
    if len(encoded) == len(encoders):
        return "full"
    if not encoded:
        return "missing-required"
    return "text-only" if encoded == ["text"] else "partial"


def fusion_for(warehouse: Warehouse, settings: Settings, origin: date) -> Fusion | None:
    """The fusion that serves an origin, by the settings; None while a required modality has no encoder.

    Raises:
        EncoderError: The settings require a modality that they leave out.
    """
    chosen = settings.embeddings
    encoders: dict[Modality, Registered] = {}
    for modality in MODALITIES:
        choice = getattr(chosen, modality)
        if choice is None and modality in chosen.required:
            raise EncoderError(f"embeddings.required names {modality}, but embeddings.{modality} is null")
        found = None if choice is None else encoder_for(warehouse, modality, choice.encoder, origin)
        if found is not None:
            encoders[modality] = found
    if not encoders or any(modality not in encoders for modality in chosen.required):
        return None
    since = max([each.fit.origin for each in encoders.values() if each.fit], default=settings.first_origin)
    dim = fused_dim(chosen.fusion, [each.dim for each in encoders.values()])
    said = {
        "method": chosen.fusion,
        "encoders": _described(encoders),
        "required": sorted(chosen.required),
        "seed": _SEED,
        "placeholder": [PLACEHOLDER_SHARE, PLACEHOLDER_VIDEOS],
    }
    fingerprint = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
    return Fusion(fingerprint, since, chosen.fusion, encoders, chosen.required, dim)


def fuse_videos(warehouse: Warehouse, settings: Settings, origin: date, now: datetime) -> FusedVideos:
    """Fuses the videos whose first contents, or what became of them, changed since they were fused.

    Args:
        warehouse: Where vectors are read and fused ones written.
        settings: Which encoders, how fused, what is required.
        origin: The encoders saw nothing later.
        now: Content known later does not exist yet (naive UTC).
    """
    fusion = fusion_for(warehouse, settings, origin)
    if fusion is None:
        return FusedVideos(None, 0, 0, {})
    with warehouse.read() as con:
        changed, gone = _compare(con, fusion, now)
    with warehouse.write() as con:
        append_rows(con, table("embeddings.fusions"), _fusion_row(fusion, now))
        _remove(con, fusion, gone)
    for start in range(0, changed.num_rows, _CHUNK):
        rows = _fuse_chunk(warehouse, fusion, changed.slice(start, _CHUNK))
        with warehouse.write() as con:
            replace_matching(con, table("embeddings.fused"), rows, ("fusion", "source", "video_id"))
    with warehouse.read() as con:
        counts = con.execute(
            "SELECT status, count(*) FROM embeddings.fused WHERE fusion = ? GROUP BY ALL", [fusion.fusion]
        ).fetchall()
    return FusedVideos(fusion.fusion, changed.num_rows, gone.num_rows, dict(counts))


def _check_part(modality: Modality, ids: Sequence[str], vectors: Vectors) -> None:
    if vectors.ndim != 2 or len(ids) != len(vectors):
        raise EncoderError(f"{modality}: {len(ids)} ids, but vectors of shape {vectors.shape}")
    if len(set(ids)) != len(ids):
        raise EncoderError(f"{modality}: an id occurs twice")
    if not np.isfinite(vectors).all():
        raise EncoderError(f"{modality}: a vector holds NaN or infinity")


def _projection(width: int, dim: int, modality: Modality, seed: int) -> Vectors:
    """A matrix of shape (width, dim) with orthonormal columns; the identity where there is nothing to shorten."""
    if width == dim:
        return np.eye(dim, dtype=np.float32)
    rng = np.random.default_rng([seed, MODALITIES.index(modality)])
    q, r = np.linalg.qr(rng.standard_normal((width, dim)))
    return np.asarray(q * np.sign(np.diagonal(r)), np.float32)


def _described(encoders: Mapping[Modality, Registered]) -> dict[str, Any]:
    return {modality: {**asdict(each.identity), "dim": each.dim} for modality, each in encoders.items()}


def _fusion_row(fusion: Fusion, now: datetime) -> pa.Table:
    row = {
        "fusion": fusion.fusion,
        "origin": fusion.origin,
        "method": fusion.method,
        "encoders": json.dumps(_described(fusion.encoders), sort_keys=True),
        "required": list(fusion.required),
        "dim": fusion.dim,
        "created_at": now,
    }
    return pa.Table.from_pylist([row])


def _compare(con: duckdb.DuckDBPyConnection, fusion: Fusion, now: datetime) -> tuple[pa.Table, pa.Table]:
    """Videos to fuse anew, and videos that are fused but have no content any more."""
    encoders = [{"modality": modality, **asdict(each.identity)} for modality, each in fusion.encoders.items()]
    con.register("encoders", pa.Table.from_pylist(encoders))
    encoded = " UNION ALL ".join(
        f"SELECT modality, content_id FROM embeddings.{modality} "
        f"JOIN (FROM encoders WHERE modality = '{modality}') USING (encoder, revision, precision, preprocessing)"
        for modality in fusion.encoders
    )
    con.execute(
        f"CREATE TEMP TABLE wanted AS WITH encoded AS ({encoded}) FROM ({_FIRST_CONTENTS})",
        {
            "now": now,
            "empty_text": EMPTY_TEXT,
            "placeholder_share": PLACEHOLDER_SHARE,
            "placeholder_videos": PLACEHOLDER_VIDEOS,
        },
    )
    con.execute(
        "CREATE TEMP TABLE stored AS SELECT source, video_id, version FROM embeddings.fused WHERE fusion = ?",
        [fusion.fusion],
    )
    changed = con.execute("FROM wanted ANTI JOIN stored USING (source, video_id, version) ORDER BY source, video_id")
    rows = changed.to_arrow_table()
    gone = con.execute("SELECT source, video_id FROM stored ANTI JOIN wanted USING (source, video_id)")
    return rows, gone.to_arrow_table()


def _remove(con: duckdb.DuckDBPyConnection, fusion: Fusion, videos: pa.Table) -> None:
    con.register("outdated", videos.select(["source", "video_id"]))
    con.execute(
        """DELETE FROM embeddings.fused f USING outdated o
           WHERE f.fusion = $fusion AND f.source = o.source AND f.video_id = o.video_id""",
        {"fusion": fusion.fusion},
    )
    con.unregister("outdated")


def _fuse_chunk(warehouse: Warehouse, fusion: Fusion, videos: pa.Table) -> pa.Table:
    """Rows of `embeddings.fused` for some videos."""
    contents = [dict(each) for each in videos.column("contents").to_pylist()]
    states: list[dict[Modality, str]] = [dict(each) for each in videos.column("states").to_pylist()]
    modalities = list(fusion.encoders)
    found = [status(each, modalities, fusion.required) for each in states]
    parts: dict[Modality, tuple[list[str], Vectors]] = {}
    for modality, encoder in fusion.encoders.items():
        rows = [row for row, each in enumerate(states) if each.get(modality) == "encoded"]
        wanted = [contents[row][modality] for row in rows]
        parts[modality] = ([f"{row:09}" for row in rows], _vectors_of(warehouse, modality, encoder, wanted))
    fused = fuse(parts, fusion.method, fusion.dim)
    at = np.array([int(each) for each in fused.ids], np.intp)
    usable = np.zeros(len(states), bool)
    usable[at] = [all(states[row].get(name) == "encoded" for name in fusion.required) for row in at]
    vectors = np.zeros((len(states), fusion.dim), np.float32)
    vectors[at] = fused.vectors
    columns: dict[str, Any] = {
        "fusion": pa.repeat(fusion.fusion, len(states)),
        "source": videos.column("source"),
        "video_id": videos.column("video_id"),
        "vector": vector_column(vectors, missing=~usable),
        "status": pa.array(found, pa.string()),
        "version": videos.column("version"),
    }
    for modality in MODALITIES:
        inside = np.zeros(len(states), bool)
        if modality in fused.present:
            inside[at] = fused.present[modality]
        columns[f"has_{modality}"] = pa.array(inside & usable)
    return pa.table(columns)


def _vectors_of(warehouse: Warehouse, modality: Modality, encoder: Registered, ids: Sequence[str]) -> Vectors:
    """The vectors of contents by an encoder, in the order of the ids.

    Raises:
        EncoderError: They have not the length that is on record.
    """
    key = [*asdict(encoder.identity).values()]
    with warehouse.read() as con:
        con.register("wanted_ids", pa.table({"content_id": pa.array(ids, pa.string())}))
        query = f"SELECT content_id, vector FROM embeddings.{modality} SEMI JOIN wanted_ids USING (content_id) WHERE {_SAME}"
        found, vectors = read_vectors(con, query, key)
    if len(found) and vectors.shape[1] != encoder.dim:
        raise EncoderError(
            f"embeddings.{modality}: vectors of {' '.join(key)} have {vectors.shape[1]} numbers, on record are {encoder.dim}"
        )
    row_of = {content_id: row for row, content_id in enumerate(found)}
    return vectors.reshape(-1, encoder.dim)[[row_of[content_id] for content_id in ids]]
