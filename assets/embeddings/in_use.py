"""Which encoders the settings ask for, ready to encode: pretrained ones as they are, fitted ones in every revision.

How an encoder is fitted and kept is in `refits`, what it does in `resources/encoders`. Imports encoders when asked to.
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from assets.embeddings.encode import Load
from assets.embeddings.encoders import on_record, open_encoder
from assets.embeddings.refits import due_origins, first_known, fitted
from resources.encoders.base import MODALITIES, Encoder, Modality
from resources.settings import EncoderChoice, Settings
from warehouse.connection import Warehouse


def chosen(settings: Settings) -> dict[Modality, EncoderChoice]:
    """The modalities that are encoded at all, and by what."""
    choices = {modality: getattr(settings.embeddings, modality) for modality in MODALITIES}
    return {modality: choice for modality, choice in choices.items() if choice is not None}


def content_origins(warehouse: Warehouse, settings: Settings, now: datetime) -> list[date]:
    """The origins at which what is fitted on content is fitted: encoders, coordinates and styles alike.

    The first one comes when enough contents of the first required modality (of text, where none is required) were known,
    the last one not after the newest content.
    """
    required = settings.embeddings.required
    since = first_known(warehouse, required[0] if required else "text", settings.embeddings.min_fit)
    if since is None:
        return []
    newest = warehouse.query("SELECT max(known_at) AS at FROM embeddings.contents WHERE rank = 1").to_pylist()[0]["at"]
    return due_origins(settings, since, min(now, newest))


def fit_due(warehouse: Warehouse, settings: Settings, modality: Modality, *, now: datetime, run_id: str) -> list[date]:
    """Fits the encoder of a modality at every origin that has enough content and no encoder yet.

    Returns:
        The origins that have an encoder now; none for pretrained ones.
    """
    since = first_known(warehouse, modality, settings.embeddings.min_fit)
    if since is None or not _is_fitted(settings, modality):
        return []
    encoder, load = _made(settings, modality), loader(warehouse, modality)
    origins = [origin for origin in content_origins(warehouse, settings, now) if origin > since]
    for origin in origins:
        fitted(warehouse, warehouse.home, modality, type(encoder), origin, load, now=now, run_id=run_id)
    return origins


def in_use(warehouse: Warehouse, settings: Settings, modality: Modality) -> list[Encoder]:
    """The encoders whose vectors contents of a modality should have."""
    encoder = _made(settings, modality)
    if not _is_fitted(settings, modality):
        return [encoder]
    return [
        open_encoder(warehouse.home, settings, modality, record)
        for record in on_record(warehouse, modality, encoder.name)
        if record.identity.preprocessing == encoder.preprocessing
    ]


def loader(warehouse: Warehouse, modality: Modality) -> Load | None:
    """Gives the pictures, sounds or films of a home by their content id; None for text."""
    from resources.media.contents import load_frames, load_image, load_sound
    from resources.media.store import MediaStore

    if modality == "text":
        return None
    store = MediaStore(warehouse.home)
    if modality == "image":
        return lambda content_id: load_image(store, content_id)
    rows = warehouse.query("SELECT content_id, frame_ids, sound_id FROM raw.contents WHERE state = 'done'").to_pylist()
    prepared: Mapping[str, Mapping[str, Any]] = {row["content_id"]: row for row in rows}
    if modality == "video":
        return lambda content_id: load_frames(store, prepared[content_id])
    # The sound of a film is a content of its own, which is prepared already.
    return lambda content_id: load_sound(
        store, prepared.get(content_id, {"content_id": content_id, "sound_id": content_id})
    )


def _is_fitted(settings: Settings, modality: Modality) -> bool:
    """Whether the chosen encoder is fitted here; told by its name, since pretrained weights are slow to load."""
    from resources.encoders.catalogue import EMBEDDED

    return chosen(settings)[modality].encoder == EMBEDDED[modality]


def _made(settings: Settings, modality: Modality) -> Any:
    """The chosen encoder; one that is fitted comes unfitted."""
    from resources.encoders.catalogue import make

    return make(modality, chosen(settings)[modality], settings.embeddings.device)
