"""Encodes the contents that have no vector yet: `embeddings.text`, `.image`, `.audio`, `.video`, `.said`, `.failures`.

A batch of vectors is one transaction, so that a killed run has lost at most the batch it was at. What an encoder is,
and how a batch goes through it, is in `resources/encoders`; which encoder to use is the caller's to say.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime

import pyarrow as pa

from assets.embeddings.contents import texts
from assets.embeddings.encoders import register
from assets.embeddings.matrix import vector_column
from assets.language.texts import texts_of
from resources.encoders.base import Content, Encoder, EncoderError, Failure, Identity, Modality, Vectors, identity
from resources.encoders.batching import Progress, encode_each
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows

Load = Callable[[str], Content]
"""Gives a picture, sound or film by its content_id; an error that it raises becomes a failure of that content."""
Texts = Callable[[Warehouse, Sequence[str]], Mapping[str, str]]
BATCH, TEXT_BATCH = 512, 4096
"""Contents per transaction: every one costs a commit, and texts are small."""
_SAME = "encoder = $encoder AND revision = $revision AND precision = $precision AND preprocessing = $preprocessing"


@dataclass(frozen=True)
class Place:
    """Where contents are listed, and where their vectors are kept.

    Attributes:
        vectors: Table of the vectors.
        key: Its column that says whose vector it is.
        contents: SQL of what should have a vector: content_id, and rank, 1 for the first content of a video.
        texts: Gives texts by their id; None where contents come from a `Load`.
    """

    vectors: str
    key: str
    contents: str
    texts: Texts | None


def place_of(modality: Modality) -> Place:
    """The contents of a modality that videos have."""
    listed = f"SELECT content_id, rank FROM embeddings.contents WHERE modality = '{modality}'"
    return Place(f"embeddings.{modality}", "content_id", listed, texts if modality == "text" else None)


SAID = Place(
    "embeddings.said",
    "text_id",
    "SELECT text_id AS content_id, 1 AS rank FROM language.texts WHERE state IN ('valid', 'duplicate')",
    texts_of,
)
"""What is said in videos and of them: titles, transcripts and comments, each by itself."""


@dataclass(frozen=True)
class Encodings:
    """What became of the contents of a modality.

    Attributes:
        new: Encoded contents that are the first of a video.
        changed: Encoded contents of videos that had another one before.
        cached: Contents that had a vector already.
        removed: Vectors, of whatever encoder, whose content no video has any more.
        failed: Contents without a vector because they could not be read or encoded, now or earlier.
        seconds: How long it took.
    """

    new: int
    changed: int
    cached: int
    removed: int
    failed: int
    seconds: float


@dataclass(frozen=True)
class _Missing:
    """Contents without a vector or failure, and whether each is the first of a video; how many have one."""

    pending: dict[str, bool]
    cached: int
    failed: int


def encode_missing(
    warehouse: Warehouse,
    modality: Modality,
    encoder: Encoder,
    load: Load | None,
    *,
    now: datetime,
    run_id: str,
    batch: int | None = None,
    progress: Progress | None = None,
    place: Place | None = None,
) -> Encodings:
    """Encodes every content of a modality that has neither a vector nor a failure under the encoder's identity.

    Args:
        warehouse: Where contents are read and vectors written.
        modality: What to encode.
        encoder: What encodes it; a fitted one comes from `refits`.
        load: Gives a content by its id; None for text, which is read from the warehouse.
        now: Stamped on what is written (naive UTC).
        run_id: Run that encodes.
        batch: Contents per transaction; by default BATCH, and TEXT_BATCH of texts.
        progress: Told how many contents are done, of how many.
        place: Where contents are listed and vectors kept; by default those of the modality that videos have.

    Raises:
        EncoderError: The encoder is of another modality, or its vectors have not the length that is on record.
    """
    began = time.perf_counter()
    register(warehouse, modality, encoder, now=now, run_id=run_id)
    place = place or place_of(modality)
    batch = batch or (TEXT_BATCH if modality == "text" else BATCH)
    removed = _remove_orphans(warehouse, place)
    missing = _missing(warehouse, place, identity(encoder))
    new, changed, failed, at = 0, 0, missing.failed, 0
    for contents, failures in loaded(warehouse, modality, load, list(missing.pending), batch, place.texts):
        at += len(contents) + len(failures)
        ids, vectors = _encode(encoder, contents, failures)
        _write(warehouse, modality, place, identity(encoder), ids, vectors, failures, now, run_id)
        new += sum(missing.pending[content_id] for content_id in ids)
        changed += sum(not missing.pending[content_id] for content_id in ids)
        failed += len(failures)
        if progress:
            progress(at, len(missing.pending))
    return Encodings(new, changed, missing.cached, removed, failed, time.perf_counter() - began)


def loaded(
    warehouse: Warehouse,
    modality: Modality,
    load: Load | None,
    ids: Sequence[str],
    batch: int,
    read_texts: Texts | None = texts,
) -> Iterator[tuple[dict[str, Content], dict[str, Failure]]]:
    """Contents by their id, batch after batch, and why others cannot be read; the next batch is read meanwhile."""
    starts = range(0, len(ids), batch)
    with ThreadPoolExecutor(1) as pool:
        reads = (
            pool.submit(_read, warehouse, modality, load, ids[start : start + batch], read_texts) for start in starts
        )
        ahead = next(reads, None)
        while ahead is not None:
            current, ahead = ahead, next(reads, None)
            yield current.result()


def _read(
    warehouse: Warehouse, modality: Modality, load: Load | None, ids: Sequence[str], read_texts: Texts | None
) -> tuple[dict[str, Content], dict[str, Failure]]:
    if modality == "text" and read_texts is not None:
        found: dict[str, Content] = dict(read_texts(warehouse, ids))
        return found, {each: Failure("removed", "no video has this text any more") for each in ids if each not in found}
    if load is None:
        raise ValueError(f"{modality} needs a `load` that gives a content by its id")
    contents: dict[str, Content] = {}
    failures: dict[str, Failure] = {}
    for content_id in ids:
        try:
            contents[content_id] = load(content_id)
        except MemoryError:
            raise
        except Exception as error:  # whatever is wrong with one file must not stop the others
            failures[content_id] = Failure(str(getattr(error, "reason", "undecodable")), str(error)[:500])
    return contents, failures


def _encode(encoder: Encoder, contents: dict[str, Content], failures: dict[str, Failure]) -> tuple[list[str], Vectors]:
    """Ids and vectors of the contents that could be encoded; adds the others to `failures`."""
    ids = list(contents)
    encoded = encode_each(encoder, list(contents.values()))
    if encoded.vectors.shape != (len(ids), encoder.dim):
        raise EncoderError(
            f"{encoder.name} gave vectors of shape {encoded.vectors.shape} for {len(ids)} contents, "
            f"but says that its dimension is {encoder.dim}: nothing of this batch was kept"
        )
    failures |= {ids[row]: failure for row, failure in encoded.failures.items()}
    good = [row for row in range(len(ids)) if row not in encoded.failures]
    return [ids[row] for row in good], encoded.vectors[good]


def _missing(warehouse: Warehouse, place: Place, wanted: Identity) -> _Missing:
    with warehouse.read() as con:
        rows = con.execute(
            f"""WITH vectors AS (SELECT {place.key} AS content_id FROM {place.vectors} WHERE {_SAME}),
                     failures AS (SELECT content_id FROM embeddings.failures WHERE {_SAME}),
                     contents AS (SELECT content_id, min(rank) = 1 AS first FROM ({place.contents}) GROUP BY content_id)
                SELECT c.content_id, c.first, v.content_id IS NOT NULL AS encoded, f.content_id IS NOT NULL AS failed
                FROM contents c LEFT JOIN vectors v USING (content_id) LEFT JOIN failures f USING (content_id)
                ORDER BY c.content_id""",
            asdict(wanted),
        ).to_arrow_table()
    encoded, failed = (rows.column(name).to_numpy() for name in ("encoded", "failed"))
    pending = rows.filter(pa.array(~(encoded | failed)))
    ids, first = pending.column("content_id").to_pylist(), pending.column("first").to_pylist()
    return _Missing(dict(zip(ids, first, strict=True)), int(encoded.sum()), int((failed & ~encoded).sum()))


def _remove_orphans(warehouse: Warehouse, place: Place) -> int:
    """Removes vectors whose content is listed no more (it may go while it is being encoded); returns how many."""
    orphan = (
        f"{place.key} IN (SELECT v.{place.key} FROM {place.vectors} v ANTI JOIN ({place.contents}) c "
        f"ON c.content_id = v.{place.key})"
    )
    with warehouse.read() as con:
        counted = con.execute(f"SELECT count(*) FROM {place.vectors} WHERE {orphan}").fetchone()
    if counted is None or not counted[0]:
        return 0
    with warehouse.write() as con:
        removed = con.execute(f"DELETE FROM {place.vectors} WHERE {orphan}").fetchone()
    return 0 if removed is None else int(removed[0])


def _write(
    warehouse: Warehouse,
    modality: Modality,
    place: Place,
    made_by: Identity,
    ids: Sequence[str],
    vectors: Vectors,
    failures: dict[str, Failure],
    now: datetime,
    run_id: str,
) -> None:
    """Adds the vectors and failures of a batch, in one transaction."""
    with warehouse.write() as con:
        rows = {place.key: pa.array(ids, pa.string()), "vector": vector_column(vectors)}
        append_rows(con, table(place.vectors), _stamped(rows, made_by, encoded_at=now, run_id=run_id))
        if failures:
            why = {
                "content_id": pa.array(list(failures)),
                "reason": pa.array([failure.reason for failure in failures.values()]),
                "detail": pa.array([failure.detail for failure in failures.values()]),
            }
            append_rows(con, table("embeddings.failures"), _stamped(why, made_by, modality=modality, failed_at=now))


def _stamped(columns: dict[str, pa.Array], made_by: Identity, **same: str | datetime) -> pa.Table:
    """The columns, beside the identity of the encoder and what else is the same in every row."""
    rows = pa.table(columns)
    for name, value in {**asdict(made_by), **same}.items():
        of_type = pa.timestamp("us") if isinstance(value, datetime) else pa.string()
        rows = rows.append_column(name, pa.repeat(pa.scalar(value, of_type), rows.num_rows))
    return rows
