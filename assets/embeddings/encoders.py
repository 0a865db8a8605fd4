"""Which encoders have made vectors: `embeddings.encoders`, where the dimension of each is locked.

How fitted ones are fitted is in `refits`; what encoders are is in `resources/encoders`.
"""

import hashlib
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa

from resources.encoders.base import Encoder, EncoderError, Identity, Modality, identity
from resources.settings import Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import append_rows


@dataclass(frozen=True)
class Fit:
    """What a fitted encoder was fitted on, and the file that holds it (its path below the home)."""

    origin: date
    n_fit: int
    uri: str
    sha256: str


@dataclass(frozen=True)
class Registered:
    """An encoder on record; `fit` is None for pretrained weights."""

    identity: Identity
    dim: int
    fit: Fit | None


def register(
    warehouse: Warehouse, modality: Modality, encoder: Encoder, *, now: datetime, run_id: str, fit: Fit | None = None
) -> None:
    """Puts an encoder on record where it is not yet; a pretrained one that is taken up again is the newest once more.

    Raises:
        EncoderError: It is of another modality, has another dimension or modality than on record, or is a fitted one
            that nobody has said the origin of.
    """
    if encoder.modality != modality:
        raise EncoderError(f"{encoder.name} encodes {encoder.modality}, not {modality}")
    key = identity(encoder)
    with warehouse.read() as con:
        found = con.execute(
            """SELECT modality, dim FROM embeddings.encoders
               WHERE encoder = $encoder AND revision = $revision AND precision = $precision
                 AND preprocessing = $preprocessing""",
            asdict(key),
        ).fetchone()
    if found is not None:
        if found != (modality, encoder.dim):
            raise EncoderError(
                f"{' '.join(asdict(key).values())} is on record for {found[0]} with dimension {found[1]}, "
                f"and now comes for {modality} with {encoder.dim}: give what changed another revision or preprocessing"
            )
    elif fit is None and hasattr(encoder, "fit"):
        raise EncoderError(f"{encoder.name} is fitted, but nobody knows on what: fit it for an origin first")
    else:
        _add(warehouse, modality, key, encoder.dim, fit, now, run_id)
    if not hasattr(encoder, "fit"):
        _take_up(warehouse, modality, key, now)


def _add(
    warehouse: Warehouse, modality: Modality, key: Identity, dim: int, fit: Fit | None, now: datetime, run_id: str
) -> None:
    row = {"modality": modality, **asdict(key), "dim": dim, "origin": None, "n_fit": None, "uri": None}
    row |= {"sha256": None, "run_id": run_id, "created_at": now, **(asdict(fit) if fit else {})}
    with warehouse.write() as con:
        append_rows(con, table("embeddings.encoders"), pa.Table.from_pylist([row]))


def _take_up(warehouse: Warehouse, modality: Modality, key: Identity, now: datetime) -> None:
    """Makes a pretrained encoder the newest of its name, as the settings have come back to it."""
    if on_record(warehouse, modality, key.encoder)[-1].identity == key:
        return
    with warehouse.write() as con:
        con.execute(
            """UPDATE embeddings.encoders SET created_at = greatest($now, (
                   SELECT max(created_at) + INTERVAL 1 MICROSECOND FROM embeddings.encoders
                   WHERE modality = $modality AND encoder = $encoder))
               WHERE encoder = $encoder AND revision = $revision AND precision = $precision
                 AND preprocessing = $preprocessing""",
            {"now": now, "modality": modality, **asdict(key)},
        )


def on_record(warehouse: Warehouse, modality: Modality, name: str) -> list[Registered]:
    """The encoders of a name that have been put on record, by their origin: pretrained ones first, the newest last."""
    with warehouse.read() as con:
        found = con.execute(
            """SELECT encoder, revision, precision, preprocessing, dim, origin, n_fit, uri, sha256
               FROM embeddings.encoders WHERE modality = $modality AND encoder = $name
               ORDER BY origin NULLS FIRST, created_at, revision DESC""",
            {"modality": modality, "name": name},
        ).fetchall()
    return [Registered(Identity(*row[:4]), row[4], Fit(*row[5:]) if row[5] is not None else None) for row in found]


def encoder_for(warehouse: Warehouse, modality: Modality, name: str, origin: date) -> Registered | None:
    """The encoder of a name that may be used from an origin on: the newest that saw nothing later.

    Of pretrained ones, whose name says nothing of their weights, the one last taken up.

    Args:
        warehouse: Where encoders are on record.
        modality: text, image, audio or video.
        name: Name of the encoder, as the settings write it.
        origin: A fitted encoder of this or an earlier origin counts; pretrained ones always do.
    """
    usable = [each for each in on_record(warehouse, modality, name) if each.fit is None or each.fit.origin <= origin]
    return usable[-1] if usable else None


def kept_file(home: Path, record: Registered) -> Path:
    """The file that holds a fitted encoder.

    Raises:
        EncoderError: It is not there, was changed, or the encoder is pretrained.
    """
    if record.fit is None:
        raise EncoderError(f"{record.identity.encoder} is pretrained: it was never fitted")
    path = home / record.fit.uri
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != record.fit.sha256:
        raise EncoderError(
            f"{path}: the encoder of origin {record.fit.origin} is not there or was changed: put it back from a backup"
        )
    return path


def open_encoder(home: Path, settings: Settings, modality: Modality, record: Registered) -> Encoder:
    """The encoder that is on record, ready to encode.

    Raises:
        EncoderError: Its file or weights are not there, or what the settings choose now is another one.
    """
    from resources.encoders.catalogue import load, make

    if record.fit is not None:
        return load(modality, kept_file(home, record))
    encoder = make(modality, getattr(settings.embeddings, modality), settings.embeddings.device)
    if identity(encoder) != record.identity:
        raise EncoderError(
            f"the vectors are of {' '.join(asdict(record.identity).values())}, the settings give "
            f"{' '.join(asdict(identity(encoder)).values())} here: they cannot be compared; materialise with these settings"
        )
    return encoder
