"""What is most similar to what: exact cosine over a matrix, and the answers to `upswell similar`: videos, or what is said.

Nothing is approximated and nothing is indexed; a search compares vectors of one encoder, or of one fusion, only.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from assets.embeddings.encoders import Registered, encoder_for, open_encoder
from assets.embeddings.fusion import fusion_for
from assets.embeddings.matrix import Matrix, load_fused, load_said, load_vectors, normalised
from assets.language.texts import texts_of
from resources.encoders.base import Content, EncoderError, Modality, Vectors
from resources.media.states import MediaError
from resources.settings import Settings
from warehouse.connection import Warehouse

Compared = Modality | Literal["fused"]
Part = Literal["title", "transcript", "comment"]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Indices = np.ndarray[Any, np.dtype[np.intp]]
_BLOCK = 65_536
# Above the rounding of a float32 product of two vectors of length 1; what is so near to the k-th is compared exactly.
_MARGIN = 1e-5
_SIMILAR = (Path(__file__).parent / "similar.sql").read_text()
_EVER = datetime(9999, 1, 1)


@dataclass(frozen=True)
class Similar:
    """A video that is similar to a query, and its outcome where that has matured."""

    source: str
    video_id: str
    cosine: float
    title: str | None
    anchor_at: datetime | None
    target: str | None
    outcome: float | None


@dataclass(frozen=True)
class SimilarText:
    """A title, transcript or comment that is similar to a query, where it stands, and when it was written and known."""

    source: str
    video_id: str
    item_id: str
    cosine: float
    text: str
    written_at: datetime
    known_at: datetime


def top(
    matrix: Matrix, queries: Vectors, k: int, *, usable: Mask | None = None, first: Indices | None = None
) -> tuple[Indices, Vectors]:
    """The k rows of a matrix with the highest cosine to each query; ties go to the smaller id.

    The answer to a query does not depend on the queries beside it: candidates are found in float32 in blocks, and ordered
    by products in float64.

    Args:
        matrix: Where to search.
        queries: Shape (q, d), of the encoder or fusion of the matrix; need not be normalised.
        k: How many.
        usable: Rows that count, shape (n,); all unless given.
        first: Per query, how many rows count from the first on, shape (q,); all unless given.

    Returns:
        Row numbers and cosines, both of shape (q, k); -1 and -inf where there are fewer rows.

    Raises:
        EncoderError: The queries have another length, or hold NaN or infinity.
    """
    wide = np.ascontiguousarray(np.atleast_2d(queries), np.float32)
    if wide.shape[1] != matrix.vectors.shape[1]:
        raise EncoderError(
            f"queries have {wide.shape[1]} numbers, vectors of {matrix.of} have {matrix.vectors.shape[1]}: "
            "encode them with the same encoder"
        )
    if not np.isfinite(wide).all():
        raise EncoderError("a query holds NaN or infinity")
    unit = normalised(wide.copy())
    search = [_Best(k) for _ in unit]
    n = len(matrix.vectors) if first is None else int(first.max(initial=0))
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        cosines = unit @ matrix.vectors[start:stop].T
        if usable is not None:
            cosines[:, ~usable[start:stop]] = -np.inf
        for query, best in enumerate(search):
            until = stop if first is None else min(stop, int(first[query]))
            best.add(cosines[query, : max(until - start, 0)], start)
    indices = np.full((len(unit), k), -1, np.intp)
    found = np.full((len(unit), k), -np.inf, np.float32)
    for query, best in enumerate(search):
        rows, exact = best.ordered(matrix, unit[query])
        indices[query, : len(rows)], found[query, : len(rows)] = rows, exact
    return indices, found


class _Best:
    """The candidates of one query: every row that may be among the best k of those seen so far."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.rows = np.empty(0, np.intp)
        self.cosines = np.empty(0, np.float32)
        self.least = -np.inf

    def add(self, cosines: Vectors, start: int) -> None:
        """Takes in the cosines of the rows from `start` on."""
        near = np.flatnonzero(cosines > self.least) if np.isfinite(self.least) else np.flatnonzero(cosines > -np.inf)
        if not len(near):
            return
        self.rows = np.concatenate([self.rows, near + start])
        self.cosines = np.concatenate([self.cosines, cosines[near]])
        if len(self.rows) > self.k:
            kth = np.partition(self.cosines, -self.k)[-self.k]
            self.least = float(kth) - _MARGIN
            kept = self.cosines >= self.least
            self.rows, self.cosines = self.rows[kept], self.cosines[kept]

    def ordered(self, matrix: Matrix, query: Vectors) -> tuple[Indices, Vectors]:
        """The best k rows and their cosines, highest first."""
        exact = (matrix.vectors[self.rows] * query.astype(np.float64)).sum(axis=1)
        order = np.lexsort((matrix.ids[self.rows].astype(str), -exact))[: self.k]
        return self.rows[order], np.asarray(exact[order], np.float32)


def similar(
    warehouse: Warehouse,
    home: Path,
    settings: Settings,
    query: str,
    *,
    modality: Compared | None = None,
    k: int = 10,
    before: datetime | None = None,
) -> list[Similar]:
    """The videos that are most similar to a video, a text or a picture, most similar first.

    Args:
        warehouse: Where vectors are.
        home: Where fitted encoders are kept.
        settings: Which encoder makes the vectors of the modality; which targets to show outcomes of.
        query: A video (its id, or `source/video_id`), the path of a picture, or else a text.
        modality: What to compare; by default all of a video (`fused`), a text with texts, a picture with pictures.
        k: How many.
        before: Content known, outcomes matured and encoders fitted later than this are left out (naive UTC).

    Raises:
        EncoderError: There are no vectors to search, the query has none, or it is of another modality.
    """
    end = before or _EVER
    video = _video(warehouse, query)
    compared = modality or ("fused" if video else "image" if _is_file(query) else "text")
    record = None
    if compared == "fused":
        fusion = fusion_for(warehouse, settings, end.date())
        if fusion is None:
            raise EncoderError("there is no fusion that may be used then: materialise embeddings.fused")
        matrix = load_fused(warehouse, fusion.fusion)
    else:
        record = _record(warehouse, settings, compared, end)
        matrix = load_vectors(warehouse, compared, record.identity)
    if video:
        vector, more = _stored(warehouse, matrix, video, compared), 1
    else:
        vector, more = _encode(home, settings, query, compared, record), 0
    rows, cosines = top(matrix, vector, k + more, usable=_usable(warehouse, matrix, compared, end))
    found = [(matrix.ids[row], float(cosine)) for row, cosine in zip(rows[0], cosines[0], strict=True) if row >= 0]
    return _videos(warehouse, settings, found, compared, k, end, video)


def similar_texts(
    warehouse: Warehouse,
    home: Path,
    settings: Settings,
    query: str,
    part: Part,
    *,
    k: int = 10,
    before: datetime | None = None,
    after: datetime | None = None,
) -> list[SimilarText]:
    """The titles, transcripts or comments that are most similar to a text, most similar first; a copied text stands once.

    Of a long transcript a pretrained encoder reads the beginning only.

    Args:
        warehouse: Where texts and vectors are.
        home: Where fitted encoders are kept.
        settings: Which encoder makes the vectors of texts.
        query: A text.
        part: What is searched.
        k: How many.
        before: What was known at this time or later, and encoders fitted on it, are left out (naive UTC).
        after: What was written before this time is left out (naive UTC).

    Raises:
        EncoderError: There are no vectors to search, or the query has none.
    """
    end = before or _EVER
    record = _record(warehouse, settings, "text", end)
    matrix = load_said(warehouse, record.identity)
    if not len(matrix.ids):
        raise EncoderError(
            f"{record.identity.encoder} has made no vectors of what is said: materialise embeddings.said"
        )
    rows = warehouse.query(
        """SELECT text_id, source, video_id, item_id, written_at, known_at FROM language.texts
           WHERE part = $part AND state IN ('valid', 'duplicate') AND known_at < $before AND written_at >= $after
           ORDER BY known_at, source, video_id, item_id""",
        {"part": part, "before": end, "after": after or datetime.min},
    ).to_pylist()
    first = {row["text_id"]: row for row in reversed(rows)}
    usable = np.fromiter((each in first for each in matrix.ids), np.bool_, len(matrix.ids))
    vector = _encoded(home, settings, query, query, record, "text")
    found, cosines = top(matrix, vector, k, usable=usable)
    best = [(str(matrix.ids[row]), float(cosine)) for row, cosine in zip(found[0], cosines[0], strict=True) if row >= 0]
    said = texts_of(warehouse, [text_id for text_id, _ in best])
    return [
        SimilarText(cosine=cosine, text=said[text_id], **{name: row[name] for name in row if name != "text_id"})
        for text_id, cosine in best
        if text_id in said and (row := first[text_id])
    ]


def _record(warehouse: Warehouse, settings: Settings, modality: Modality, end: datetime) -> Registered:
    choice = getattr(settings.embeddings, modality)
    if choice is None:
        raise EncoderError(f"embeddings.{modality} is null in the settings: name an encoder, and materialise it")
    record = encoder_for(warehouse, modality, choice.encoder, end.date())
    if record is None:
        raise EncoderError(
            f"{choice.encoder} has made no vectors that may be used then: materialise embeddings.{modality}"
        )
    return record


def _usable(warehouse: Warehouse, matrix: Matrix, modality: Compared, end: datetime) -> Mask:
    """Rows of a matrix that are first contents (or videos with one) known before `end`, shape (n,)."""
    import pyarrow.compute as pc

    chosen = "source || '/' || video_id" if modality == "fused" else "content_id"
    known = warehouse.query(
        f"""SELECT DISTINCT {chosen} AS id FROM embeddings.contents
            WHERE rank = 1 AND known_at < $before AND ($modality = 'fused' OR modality = $modality)""",
        {"before": end, "modality": modality},
    ).column("id")
    return np.asarray(pc.is_in(pa.array(matrix.ids, pa.string()), value_set=known.combine_chunks()))


def _video(warehouse: Warehouse, query: str) -> str | None:
    """The video that a query names, as `source/video_id`.

    Raises:
        EncoderError: Videos of several sources have that id.
    """
    found = warehouse.query(
        """SELECT DISTINCT source || '/' || video_id AS id FROM embeddings.contents
           WHERE video_id = $query OR source || '/' || video_id = $query ORDER BY id""",
        {"query": query},
    ).to_pylist()
    if len(found) > 1:
        raise EncoderError(f"{query} is the id of several videos: name one of {', '.join(row['id'] for row in found)}")
    return str(found[0]["id"]) if found else None


def _stored(warehouse: Warehouse, matrix: Matrix, video: str, compared: Compared) -> Vectors:
    """The vector of a video, shape (1, d)."""
    own = video
    if compared != "fused":
        found = warehouse.query(
            """SELECT content_id FROM embeddings.contents
               WHERE rank = 1 AND modality = $modality AND source || '/' || video_id = $video""",
            {"modality": compared, "video": video},
        ).to_pylist()
        if not found:
            raise EncoderError(f"{video} has no {compared}: search by another modality")
        own = found[0]["content_id"]
    rows = np.flatnonzero(matrix.ids == own)
    if not len(rows):
        raise EncoderError(f"{video} has no vector of {matrix.of}: it is not encoded yet, or could not be")
    return matrix.vectors[rows[:1]]


def _is_file(query: str) -> bool:
    return len(query) < 4096 and query.isprintable() and Path(query).is_file()


def _encode(home: Path, settings: Settings, query: str, compared: Compared, record: Registered | None) -> Vectors:
    """The vector of a text or of a picture, shape (1, d)."""
    content: Content
    is_file = _is_file(query)
    if record is None or compared != ("image" if is_file else "text"):
        what = "a picture" if is_file else "no video that is known, and so a text"
        raise EncoderError(f"{query!r} is {what}, which cannot be compared by {compared}: choose another modality")
    if is_file:
        from resources.media.images import open_image

        try:
            content = open_image(Path(query).read_bytes(), settings.media.max_pixels)
        except MediaError as error:
            raise EncoderError(f"{query} is no picture that can be compared: {error}") from error
    else:
        content = f"{query}\n"  # as the text of a video with this title
    return _encoded(home, settings, query, content, record, compared)


def _encoded(
    home: Path, settings: Settings, query: str, content: Content, record: Registered, modality: Modality
) -> Vectors:
    encoder = open_encoder(home, settings, modality, record)
    vector = encoder.encode([content])
    if not np.any(vector):
        raise EncoderError(f"{encoder.name} finds nothing in {query!r} that it knows: say more, or use another encoder")
    return vector


def _videos(
    warehouse: Warehouse,
    settings: Settings,
    found: list[tuple[Any, float]],
    modality: Compared,
    k: int,
    end: datetime,
    own: str | None,
) -> list[Similar]:
    """The videos that have the contents found, the best k."""
    rows = {"id": [each for each, _ in found], "cosine": [cosine for _, cosine in found], "position": range(len(found))}
    same = (
        "c.source || '/' || c.video_id = f.id"
        if modality == "fused"
        else f"c.content_id = f.id AND c.modality = '{modality}'"
    )
    with warehouse.read() as con:
        con.register("found", pa.table({name: pa.array(values) for name, values in rows.items()}))
        con.execute(
            f"""CREATE TEMP TABLE videos AS
                SELECT c.source, c.video_id, min(f.position) AS position, max(f.cosine) AS cosine
                FROM embeddings.contents c JOIN found f ON {same}
                WHERE c.rank = 1 AND c.known_at < $before GROUP BY c.source, c.video_id""",
            {"before": end},
        )
        best = con.execute(_SIMILAR, {"before": end, "targets": settings.outcomes(), "k": k, "own": own}).fetchall()
    return [Similar(*row) for row in best]
