"""Small pictures, sounds and films to test with, made anew each time; other tests may import it."""

import io
import struct
import subprocess
import wave
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from resources.media.films import ffmpeg


def picture(
    seed: int = 0, size: tuple[int, int] = (48, 32), kind: str = "PNG", mode: str = "RGB", **options: Any
) -> bytes:
    """A picture of coloured blocks that differ by seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    image = Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).convert(mode)
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def plain(colour: tuple[int, int, int], size: tuple[int, int] = (32, 32)) -> Image.Image:
    """A picture of one colour."""
    return Image.new("RGB", size, colour)


def png_bomb(width: int = 50_000, height: int = 50_000) -> bytes:
    """A small PNG whose header promises more pixels than memory holds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100_000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def gif(frames: int = 1, size: tuple[int, int] = (16, 12)) -> bytes:
    """A GIF whose first frame is red and whose others are blue."""
    images = [Image.new("RGB", size, "red"), *[Image.new("RGB", size, (0, 0, 255 - i)) for i in range(frames - 1)]]
    target = io.BytesIO()
    images[0].save(target, "GIF", save_all=True, append_images=images[1:])
    return target.getvalue()


def wav(
    seconds: float = 1.0, hertz: float = 440.0, loudness: float = 0.5, rate: int = 16_000, channels: int = 1
) -> bytes:
    """A tone."""
    times = np.arange(int(seconds * rate)) / rate
    samples = np.rint(np.sin(2 * np.pi * hertz * times) * loudness * 32767).astype("<i2")
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples, channels).tobytes())
    return target.getvalue()


def film(
    path: Path,
    *,
    seconds: float = 1.0,
    rate: int = 10,
    size: tuple[int, int] = (64, 48),
    picture: str | None = "testsrc2",
    sound: str | None = "sine=f=440",
    options: tuple[str, ...] = (),
) -> Path:
    """A film (or, with `picture` None, a sound file), in the format that the name ends in.

    `picture` and `sound` are sources of ffmpeg's lavfi.
    """
    inputs: list[str] = []
    if picture is not None:
        inputs += ["-f", "lavfi", "-t", str(seconds), "-i", f"{picture}=s={size[0]}x{size[1]}:r={rate}"]
    if sound is not None:
        inputs += ["-f", "lavfi", "-t", str(seconds), "-i", sound]
    made = [*options, *(["-pix_fmt", "yuv420p"] if picture is not None else []), str(path)]
    subprocess.run([ffmpeg(), "-v", "error", "-y", "-nostdin", *inputs, *made], check=True, timeout=60)
    return path
