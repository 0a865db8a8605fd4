"""What the bytes of a picture, sound or film are, what is made of them once, and how encoders get at it.

`prepare` gives a row of `raw.contents`, whatever the bytes; the loaders give what `resources.encoders.base` calls a
content. Nothing here reads or writes the warehouse. Imports Pillow at its top: import this module lazily.
"""

import io
import sys
import wave
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resources.encoders.base import SAMPLE_RATE
from resources.media import films, images
from resources.media.films import Frames, Sound
from resources.media.formats import SNIFFED, sniff
from resources.media.states import MediaError, Reason
from resources.media.store import MediaStore
from resources.settings import Media

__all__ = ["PREPARATION", "load_frames", "load_image", "load_sound", "prepare", "prepare_stored"]

PREPARATION = "1"
"""Version of the code that reads bytes; contents of another version are prepared anew."""
_JPEG_QUALITY = 90

Row = dict[str, Any]
"""A row of `raw.contents`."""


def prepare(store: MediaStore, content: Path | bytes, limits: Media, now: datetime) -> Row:
    """Keeps a picture, sound or film and makes of it what encoders need.

    Args:
        store: Where its bytes, frames and sound are kept.
        content: The bytes, or a file of them.
        limits: The largest picture and file.
        now: When the bytes came here (naive UTC).

    Returns:
        Its row of `raw.contents`; of bytes that cannot be read one in state terminal with the reason.

    Raises:
        MediaStoreError: The bytes cannot be kept.
    """
    return prepare_stored(store, store.keep(content), limits, now)


def prepare_stored(store: MediaStore, content_id: str, limits: Media, now: datetime, *, expected: str = "image") -> Row:
    """The same for a content whose bytes are in the store already.

    Args:
        store: Where its bytes are.
        content_id: Which content.
        limits: The largest picture and file.
        now: When the bytes came here (naive UTC).
        expected: image, audio or video: what they were said to be, kept where the bytes do not tell.
    """
    path = store.path(content_id)
    row: Row = {
        "content_id": content_id,
        "kind": expected,
        **dict.fromkeys(("media_type", "width", "height", "duration_s", "frame_rate")),
        **dict.fromkeys(("has_sound", "frame_ids", "sound_id", "reason", "detail")),
        "n_bytes": path.stat().st_size if path.exists() else 0,
        "state": "done",
        "preparation": PREPARATION,
        "known_at": now,
    }
    try:
        if not path.exists():
            raise MediaError(Reason.NOT_FOUND, "its bytes are not in the media store any more")
        if row["n_bytes"] > limits.max_bytes:
            raise MediaError(Reason.TOO_LARGE, f"{row['n_bytes']} bytes, at most {limits.max_bytes} are read")
        _prepare(store, path, limits, row)
    except MediaError as error:
        row.update(state="terminal", reason=error.reason.value, detail=error.detail)
    return row


def load_image(store: MediaStore, content_id: str) -> Image.Image:
    """A picture in RGB; that it is no larger than allowed was seen when it was prepared.

    Raises:
        MediaError: The bytes are not here, or hold no picture.
    """
    return images.open_image(_bytes(store, content_id), max_pixels=sys.maxsize)


def load_frames(store: MediaStore, content: Mapping[str, Any]) -> Frames:
    """The 16 frames of a film: uint8 [16, h, w, 3].

    Args:
        store: Where they are.
        content: The film's row of `raw.contents`.

    Raises:
        MediaError: It has none, or they are not here.
    """
    if not content["frame_ids"]:
        raise MediaError(Reason.NO_PICTURE, f"{content['content_id']} has no frames")
    # Repeated frames are one content.
    decoded = {frame: _pixels(_bytes(store, frame)) for frame in dict.fromkeys(content["frame_ids"])}
    return np.stack([decoded[frame] for frame in content["frame_ids"]])


def load_sound(store: MediaStore, content: Mapping[str, Any]) -> Sound:
    """The sound of a film or sound file: float32 [samples] in -1..1, mono, 16 kHz, at most 90 s.

    Args:
        store: Where it is.
        content: The row of `raw.contents`.

    Raises:
        MediaError: It has none, or it is not here.
    """
    if content["sound_id"] is None:
        raise MediaError(Reason.NO_SOUND, f"{content['content_id']} has no sound")
    with wave.open(io.BytesIO(_bytes(store, content["sound_id"]))) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
    return samples.astype(np.float32) / 32768.0


def _prepare(store: MediaStore, path: Path, limits: Media, row: Row) -> None:
    """Fills the row of a content from its bytes.

    Raises:
        MediaError: They cannot be read; what the row says by then is kept.
    """
    if row["n_bytes"] == 0:
        raise MediaError(Reason.EMPTY, "no bytes")
    with path.open("rb") as file:
        kind, media_type = sniff(file.read(SNIFFED))
    if kind is None:
        raise MediaError(Reason.UNSUPPORTED, f"neither picture, sound nor film of a known format ({media_type})")
    row.update(kind=kind, media_type=media_type)
    if kind == "image":
        picture = images.open_image(path.read_bytes(), limits.max_pixels)
        row.update(width=picture.width, height=picture.height)
    elif media_type == "audio/wav" and (samples := _plain_wav(path)) is not None:
        row.update(duration_s=len(samples) / SAMPLE_RATE, sound_id=store.keep(_wav(samples)), has_sound=True)
    else:
        _prepare_film(store, path, limits, row)


def _plain_wav(path: Path) -> Sound | None:
    """The samples of a WAV that is what sounds are kept as already, so that no decoder has to run; None for any other."""
    try:
        with wave.open(str(path), "rb") as file:
            told = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            if told != (1, 2, SAMPLE_RATE) or not 0 < file.getnframes() <= films.MAX_SOUND_S * SAMPLE_RATE:
                return None
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float32) / 32768.0
            whole = len(samples) == file.getnframes()
    except (wave.Error, EOFError, ValueError):
        return None
    return samples if whole and float(np.abs(samples).max()) > films.SILENCE else None


def _prepare_film(store: MediaStore, path: Path, limits: Media, row: Row) -> None:
    probed = films.probe(path)
    row["kind"] = "audio" if probed.picture is None else "video"
    if row["media_type"] == "video/mp4" and row["kind"] == "audio":
        row["media_type"] = "audio/mp4"
    row.update(width=probed.width, height=probed.height, frame_rate=probed.frame_rate)
    if (probed.width or 0) * (probed.height or 0) > limits.max_pixels:
        size = f"{probed.width} x {probed.height} pixels"
        raise MediaError(Reason.TOO_LARGE, f"{size}, at most {limits.max_pixels} are decoded")
    row["duration_s"] = films.length(path, probed)
    if probed.picture is not None:
        row["frame_ids"] = [store.keep(_jpeg(frame)) for frame in films.frames(path, probed, row["duration_s"])]
    row["has_sound"] = False
    try:
        row["sound_id"] = store.keep(_wav(films.sound(path, probed)))
        row["has_sound"] = True
    except MediaError:
        if probed.picture is None:  # of a sound file that is all there is; a film does without
            raise


def _bytes(store: MediaStore, content_id: str) -> bytes:
    try:
        return store.read(content_id)
    except FileNotFoundError as error:
        raise MediaError(Reason.NOT_FOUND, f"{content_id} is not in the media store any more") from error


def _pixels(data: bytes) -> Frames:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def _jpeg(pixels: Frames) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "JPEG", quality=_JPEG_QUALITY)
    return target.getvalue()


def _wav(samples: Sound) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE)
        file.writeframes(np.rint(samples * 32768.0).astype("<i2").tobytes())
    return target.getvalue()
