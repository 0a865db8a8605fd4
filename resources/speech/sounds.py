"""The sound of a file, of any length, by blocks: mono, 16 kHz, without the whole of it ever being in memory.

The file is read by the ffmpeg of `resources.media.films`; what it cannot read is a `MediaError`. What is heard in a
block is not known here.
"""

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from resources.encoders.base import SAMPLE_RATE
from resources.media import films
from resources.media.films import Sound
from resources.media.formats import SNIFFED, sniff
from resources.media.states import MediaError, Reason

BLOCK_S = 30
"""Seconds of a block."""
# Seconds that ffmpeg may take to give one block; a block is decoded in a few hundredths of one.
_PATIENCE_S = 120.0
_BYTES = 4


@dataclass(frozen=True)
class Source:
    """A file with sound in it.

    Attributes:
        path: The file.
        stream: Number of its sound stream, as ffmpeg counts.
    """

    path: Path
    stream: int


def open_sound(path: Path) -> Source:
    """The sound of a film or sound file; nothing of it is decoded yet.

    Raises:
        MediaError: `not-found`, `empty`, `unsupported` (neither film nor sound, judged by how it begins), `no-sound` (a
            film or picture without sound), `undecodable` or `too-slow`.
    """
    if not path.is_file():
        raise MediaError(Reason.NOT_FOUND, "there is no such file")
    with path.open("rb") as file:
        head = file.read(SNIFFED)
    if not head:
        raise MediaError(Reason.EMPTY, "no bytes")
    kind, media_type = sniff(head)
    if kind == "image":
        raise MediaError(Reason.NO_SOUND, f"it is a picture ({media_type})")
    if kind is None:
        raise MediaError(Reason.UNSUPPORTED, f"neither sound nor film of a known format ({media_type})")
    stream = films.probe(path).sound
    if stream is None:
        raise MediaError(Reason.NO_SOUND, "there is no sound in it")
    return Source(path, stream)


def blocks(source: Source, seconds: float = BLOCK_S) -> Iterator[Sound]:
    """The sound, block after block; the last one may be shorter.

    What is damaged is left out by ffmpeg, and what is not a number becomes silence: a file that ends in its middle
    gives what was before.

    Args:
        source: The file.
        seconds: Length of a block.

    Yields:
        float32 [samples] in -1..1, mono, 16 kHz.

    Raises:
        MediaError: `undecodable` (not one sample of it is a number) or `too-slow`.
    """
    size = round(seconds * SAMPLE_RATE)
    heard = False
    with _decoder(source) as (process, said):
        assert process.stdout is not None
        while samples := _read(process, process.stdout, size * _BYTES):
            block = np.frombuffer(samples, "<f4", len(samples) // _BYTES)
            numbers = np.isfinite(block)
            heard = heard or bool(numbers.any())
            yield np.clip(np.where(numbers, block, np.float32(0)), -1.0, 1.0)
        process.wait()
        if not heard:
            said.seek(0)
            complaint = films.complaint(said.read().decode("utf-8", errors="replace"), source.path)
            raise MediaError(Reason.UNDECODABLE, complaint or "no sound can be decoded")


def slices(sound: Iterator[Sound], spans: list[tuple[int, int]]) -> Iterator[Sound]:
    """The parts of a sound between some samples, in one pass and with no more in memory than a part and a block.

    Args:
        sound: Its blocks.
        spans: First sample and the one after the last of every part, in order and apart.

    Yields:
        float32 [samples] of each part, shorter or empty where the sound ends before.
    """
    held = np.zeros(0, np.float32)
    at = 0  # sample at which `held` begins
    for start, stop in spans:
        while at + len(held) < stop:
            block = next(sound, None)
            if block is None:
                break
            first = max(0, min(len(held), start - at))  # what is before the part is not needed any more
            held, at = np.concatenate([held[first:], block]), at + first
        yield held[max(0, start - at) : max(0, stop - at)]


@contextmanager
def _decoder(source: Source) -> Iterator[tuple["subprocess.Popen[bytes]", IO[Any]]]:
    """A running ffmpeg that writes float32 samples to its output, and what it says; ended with the block."""
    arguments = ["-i", films.as_input(source.path), "-map", f"0:{source.stream}", "-ac", "1"]
    arguments += ["-ar", str(SAMPLE_RATE), "-f", "f32le", "-"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(films.command(arguments), stdout=subprocess.PIPE, stderr=said)
        try:
            yield process, said
        finally:
            process.kill()
            process.communicate()


def _read(process: "subprocess.Popen[bytes]", pipe: IO[bytes], size: int) -> bytes:
    """The next bytes, fewer at the end.

    Raises:
        MediaError: `too-slow`.
    """
    late = threading.Event()

    def stop() -> None:
        late.set()
        process.kill()

    watch = threading.Timer(_PATIENCE_S, stop)
    watch.start()
    try:
        found = pipe.read(size)
    finally:
        watch.cancel()
    if late.is_set():
        raise MediaError(Reason.TOO_SLOW, f"ffmpeg gave no block for {_PATIENCE_S:g} s")
    return found
