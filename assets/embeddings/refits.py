"""Fitted encoders: at which origins they are fitted, on what, and where what was fitted is kept.

An encoder of an origin has seen only content known before that day, and is never fitted again. What is fitted is the
encoder's own business (`resources/encoders`).
"""

import hashlib
import os
import tempfile
from datetime import date, datetime, timedelta
from pathlib import Path

from assets.embeddings.encode import Load, loaded
from assets.embeddings.encoders import Fit, encoder_for, kept_file, register
from resources.encoders.base import Content, FittedEncoder, Modality
from resources.settings import Settings, midnight
from warehouse.connection import Warehouse

SAMPLE = 20_000
"""Most contents that an encoder is fitted on."""
_BATCH = 512


def first_known(warehouse: Warehouse, modality: Modality | None = None, at_least: int = 1) -> date | None:
    """The day on which so many first contents were known; None before that.

    Args:
        warehouse: Where contents are read.
        modality: Contents of this modality only.
        at_least: How many; what fitting needs is `settings.embeddings.min_fit`.
    """
    with warehouse.read() as con:
        found = con.execute(
            """SELECT min(known_at) AS known_at FROM embeddings.contents
               WHERE rank = 1 AND modality = coalesce($modality, modality) GROUP BY content_id
               ORDER BY known_at LIMIT 1 OFFSET $before""",
            {"modality": modality, "before": at_least - 1},
        ).fetchone()
    return None if found is None else found[0].date()


def due_origins(settings: Settings, first_known: date, now: datetime) -> list[date]:
    """The origins at which encoders are fitted: every so many weeks from the first backtest origin on.

    Args:
        settings: First origin and weeks between refits.
        first_known: Day on which enough was known to fit on; the first origin comes after it.
        now: No origin is later (naive UTC).
    """
    step = timedelta(weeks=settings.embeddings.refit_weeks)
    origin = settings.first_origin
    if origin <= first_known:
        origin += ((first_known - origin) // step + 1) * step
    origins = []
    while origin <= now.date():
        origins.append(origin)
        origin += step
    return origins


def fitted(
    warehouse: Warehouse,
    home: Path,
    modality: Modality,
    encoder_class: type[FittedEncoder],
    origin: date,
    load: Load | None,
    *,
    now: datetime,
    run_id: str,
) -> FittedEncoder:
    """The fitted encoder of an origin: fitted now, or as it was kept when it was.

    Where nothing became known since an earlier origin, it is the encoder of that one.

    Args:
        warehouse: Where contents are read and the encoder is put on record.
        home: The encoder is kept below `home/encoders`.
        modality: text, image, audio or video.
        encoder_class: What to fit.
        origin: It sees only first contents known before this day, at most SAMPLE of them.
        load: Gives a content by its id; None for text.
        now: Stamped on the record (naive UTC).
        run_id: Run that fits.

    Raises:
        EncoderError: There is too little content to fit on, or the kept file is not what was kept.
    """
    unfitted = encoder_class()
    found = encoder_for(warehouse, modality, unfitted.name, origin)
    if (
        found is not None
        and found.identity.preprocessing == unfitted.preprocessing
        and found.fit is not None
        and not _known_between(warehouse, modality, found.fit.origin, origin)
    ):
        return encoder_class.load(kept_file(home, found))
    ids = _sample(warehouse, modality, origin)
    contents: list[Content] = []
    for part, _ in loaded(warehouse, modality, load, ids, _BATCH):
        contents += [part[content_id] for content_id in ids if content_id in part]
    encoder = unfitted.fit(contents)
    uri, sha256 = _keep(home, encoder)
    fit = Fit(origin, len(contents), uri, sha256)
    register(warehouse, modality, encoder, now=now, run_id=run_id, fit=fit)
    return encoder


def _known_between(warehouse: Warehouse, modality: Modality, start: date, end: date) -> bool:
    """Whether first contents became known in [start, end)."""
    with warehouse.read() as con:
        found = con.execute(
            """SELECT 1 FROM embeddings.contents WHERE modality = $modality AND rank = 1
               AND known_at >= $start AND known_at < $end LIMIT 1""",
            {"modality": modality, "start": midnight(start), "end": midnight(end)},
        ).fetchone()
    return found is not None


def _sample(warehouse: Warehouse, modality: Modality, origin: date) -> list[str]:
    """First contents known before an origin; ids are hashes, so the lowest ones are a fair sample of any number."""
    with warehouse.read() as con:
        rows = con.execute(
            """SELECT DISTINCT content_id FROM embeddings.contents
               WHERE modality = $modality AND rank = 1 AND known_at < $origin ORDER BY content_id LIMIT $sample""",
            {"modality": modality, "origin": midnight(origin), "sample": SAMPLE},
        ).fetchall()
    return [content_id for (content_id,) in rows]


def _keep(home: Path, encoder: FittedEncoder) -> tuple[str, str]:
    """Keeps an encoder under the sha256 of its file; returns its path below the home, and the sha256."""
    folder = home / "encoders"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as part:
        path = Path(part) / "encoder"
        encoder.save(path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        os.replace(path, folder / sha256)
    return f"encoders/{sha256}", sha256
