"""Pictures of every kind become RGB or a reason."""

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from resources.media.images import open_image
from resources.media.states import MediaError
from tests.media import make

LIMIT = 50_000_000


def opened(data: bytes, limit: int = LIMIT) -> Image.Image:
    return open_image(data, limit)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def refused(data: bytes, limit: int = LIMIT) -> tuple[str, str]:
    with pytest.raises(MediaError) as error:
        open_image(data, limit)
    return error.value.reason.value, error.value.detail


@pytest.mark.parametrize("side", [8_000, 50_000])
def test_a_png_bomb_is_refused_by_its_header(side: int) -> None:
    reason, detail = refused(make.png_bomb(side, side))
    assert reason == "too-large"
    assert str(side) in detail or "pixels" in detail


def test_the_limit_is_the_settings() -> None:
    data = make.picture(size=(48, 32))
    assert opened(data, 48 * 32).size == (48, 32)
    assert refused(data, 48 * 32 - 1)[0] == "too-large"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_is_cut_off_is_undecodable(kind: str) -> None:
    data = make.picture(size=(200, 200), kind=kind)
    assert refused(data[: len(data) // 2])[0] == "undecodable"


def test_what_is_no_picture_is_unsupported() -> None:
    assert refused(b"<!DOCTYPE html><html>Too many requests</html>")[0] == "unsupported"
    assert refused(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")[0] == "unsupported"
    assert refused(b"") == ("empty", "no bytes")


def test_palette_cmyk_and_grey_become_rgb() -> None:
    reference = np.asarray(opened(make.picture(3)), float)
    for kind, mode, near in [("GIF", "P", 40), ("PNG", "P", 40), ("JPEG", "CMYK", 25), ("TIFF", "CMYK", 5)]:
        image = opened(make.picture(3, kind=kind, mode=mode))
        assert image.mode == "RGB"
        assert np.abs(np.asarray(image, float) - reference).mean() < near, (kind, mode)
    grey = np.asarray(opened(make.picture(3, mode="L")))
    assert (grey[..., 0] == grey[..., 2]).all()


def test_16_bits_are_scaled_and_not_cut() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        image = np.asarray(opened(saved(Image.fromarray(ramp), kind)))[..., 0]
        assert np.abs(image.astype(int) - ramp // 257).max() <= 1
    real = np.asarray(opened(saved(Image.fromarray(ramp.astype(np.float32) / 65535), "TIFF")))[..., 0]
    assert np.abs(real.astype(int) - ramp // 257).max() <= 1


def test_transparency_is_laid_on_white() -> None:
    clear = Image.new("RGBA", (4, 4), (255, 0, 0, 0))
    assert opened(saved(clear, "PNG")).getpixel((0, 0)) == (255, 255, 255)
    half = Image.new("RGBA", (4, 4), (0, 0, 0, 128))
    assert opened(saved(half, "WEBP", lossless=True)).getpixel((0, 0)) == (127, 127, 127)
    palette = Image.new("P", (4, 4), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    assert opened(saved(palette, "PNG", transparency=0)).getpixel((0, 0)) == (255, 255, 255)


def test_exif_turns_a_picture_upright_and_damaged_exif_does_not_harm() -> None:
    image = Image.new("RGB", (20, 10), "white")
    image.paste("black", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    upright = opened(saved(image, "JPEG", exif=exif))
    assert upright.size == (10, 20)
    assert upright.getpixel((5, 2)) < (40, 40, 40)
    assert opened(saved(image, "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")).size == (20, 10)


@pytest.mark.parametrize("frames", [1, 3])
def test_of_a_gif_the_first_frame_counts(frames: int) -> None:
    assert opened(make.gif(frames)).getpixel((3, 3)) == (255, 0, 0)


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damage_anywhere_ends_in_a_picture_or_a_reason(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]))
    whole = bytearray(make.picture(1, kind=kind))
    for position in data.draw(st.lists(st.integers(0, len(whole) - 1), max_size=8)):
        whole[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MediaError):
        assert open_image(bytes(whole), 10_000).mode == "RGB"


def test_a_picture_outlives_its_bytes(tmp_path: Path) -> None:
    image = opened(make.picture(size=(4, 4)))
    assert np.asarray(image).shape == (4, 4, 3)
