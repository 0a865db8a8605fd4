"""From the bytes of a picture to RGB pixels, whatever the bytes are: a picture, or a reason why there is none.

Imports Pillow at its top: import this module lazily. Films are in `films`, what is stored of a picture in `contents`.
"""

import contextlib
import io

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from resources.media.states import MediaError, Reason

# Pillow reads further formats, some by starting other programs (EPS) or without bounds; these are what the web serves.
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "BMP", "TIFF")


def open_image(data: bytes, max_pixels: int) -> Image.Image:
    """The picture that some bytes hold; of several frames the first.

    Upright by its EXIF orientation, transparency laid on white, 16 bits a channel scaled to 8.

    Args:
        data: The bytes.
        max_pixels: A picture whose header says that it has more is refused before it is decoded.

    Returns:
        The picture in mode RGB, decoded.

    Raises:
        MediaError: `empty`, `unsupported` (no picture of a known format), `too-large`, or `undecodable` (a picture
            that is damaged).
    """
    if not data:
        raise MediaError(Reason.EMPTY, "no bytes")
    with _opened(data) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise MediaError(Reason.TOO_LARGE, f"{width} x {height} pixels, at most {max_pixels} are decoded")
        try:
            image.load()
            return _as_rgb(_upright(image))
        except Exception as error:  # decoders of damaged bytes raise whatever they stumble over
            raise MediaError(Reason.UNDECODABLE, _words(error)) from error


def _opened(data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError as error:
        begins = data[:40].decode("utf-8", errors="replace")
        raise MediaError(Reason.UNSUPPORTED, f"no picture of a known format; it begins with {begins!r}") from error
    except Image.DecompressionBombError as error:
        raise MediaError(Reason.TOO_LARGE, _words(error)) from error
    except Exception as error:  # as above
        raise MediaError(Reason.UNDECODABLE, _words(error)) from error


def _upright(image: Image.Image) -> Image.Image:
    with contextlib.suppress(Exception):  # damaged EXIF says nothing of the orientation, and the pixels are whole
        return ImageOps.exif_transpose(image)
    return image


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scaled(image).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    # A copy where nothing has to be converted: the picture outlives the file that it was opened from.
    return image.copy() if image.mode == "RGB" else image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """Grey of more than 8 bits as 8: whole numbers from 16 bits, real ones from their own range."""
    values = np.asarray(image).astype(np.float64)
    if image.mode == "F":
        values = np.nan_to_num(values, posinf=0.0, neginf=0.0)
        low, high = float(values.min()), float(values.max())
        grey = (values - low) * (255.0 / (high - low) if high > low else 0.0)
    else:
        grey = values / 257.0
    return Image.fromarray(np.clip(np.rint(grey), 0, 255).astype(np.uint8))


def _words(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
