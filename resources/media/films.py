"""Frames and sound of films and sound files, through the ffmpeg that imageio-ffmpeg ships.

Every call ends in arrays or in a `MediaError`; what ffmpeg says is read here and nowhere else. Only files whose
beginning is known (see `contents`) should come here: a playlist would make ffmpeg open what it names.
"""

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from resources.encoders.base import FRAMES, SAMPLE_RATE
from resources.media.states import MediaError, Reason

SHORT_SIDE = 224
"""Frames are scaled down to this many pixels on the short side."""
MAX_SOUND_S = 90
"""Sound is read up to this length."""
SILENCE = 10 ** (-60 / 20)
"""Sound whose peak stays at or below this (-60 dBFS) is silent."""

# Decoding every frame of a longer film costs more than it tells: of those, the key frames nearest to the 16 moments.
_KEY_FRAMES_FROM_S = 180.0
_PROBE_TIMEOUT_S = 30.0
_DECODE_TIMEOUT_S = 300.0
_DURATION = re.compile(r"Duration: (\d+):(\d+):(\d+(?:\.\d+)?)")
_STREAM = re.compile(r"Stream #0:(\d+)\S*: (Video|Audio): (.*)")
_SIZE = re.compile(r"\b(\d{1,5})x(\d{1,5})\b")
_RATE = re.compile(r"(\d+(?:\.\d+)?)(k?) (?:fps|tbr)\b")
_ROTATION = re.compile(r"rotation of (-?\d+(?:\.\d+)?) degrees")
_TIME = re.compile(r"time=(\d+):(\d+):(\d+(?:\.\d+)?)")
_ADDRESS = re.compile(r"^(\[[^]]*\] )+")
_PPM = re.compile(rb"P6\s(\d+)\s(\d+)\s255\s")

Frames = np.ndarray[Any, np.dtype[np.uint8]]
Sound = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True)
class Probe:
    """What a file says of itself.

    Attributes:
        duration_s: Length in seconds; None where the file does not say.
        width: Pixels across, upright.
        height: Pixels down, upright.
        frame_rate: Frames per second.
        picture: Number of its film stream; a cover picture is none.
        sound: Number of its sound stream.
    """

    duration_s: float | None
    width: int | None
    height: int | None
    frame_rate: float | None
    picture: int | None
    sound: int | None


def probe(path: Path) -> Probe:
    """What a film or sound file says of itself.

    Raises:
        MediaError: `undecodable` (no film and no sound can be found in it) or `too-slow`.
    """
    said = _ffmpeg(["-i", as_input(path)], _PROBE_TIMEOUT_S).stderr.decode("utf-8", errors="replace")
    picture = sound = size = rate = None
    for match in _STREAM.finditer(said):
        number, kind, described = int(match[1]), match[2], match[3]
        if kind == "Audio" and sound is None:
            sound = number
        if kind == "Video" and picture is None and "attached pic" not in described:
            picture, size, rate = number, _SIZE.search(described), _RATE.search(described)
    if picture is None and sound is None:
        raise MediaError(Reason.UNDECODABLE, complaint(said, path) or "neither a film nor sound is in it")
    width, height = (int(size[1]), int(size[2])) if size else (None, None)
    rotation = _ROTATION.search(said)
    if rotation and round(float(rotation[1])) % 180 == 90:
        width, height = height, width
    duration = _DURATION.search(said)
    frame_rate = float(rate[1]) * (1000 if rate[2] else 1) if rate else None
    return Probe(_seconds(duration) if duration else None, width, height, frame_rate, picture, sound)


def length(path: Path, probed: Probe) -> float:
    """Length in seconds, read from the packets where the file does not say.

    Raises:
        MediaError: `undecodable` or `too-slow`.
    """
    if probed.duration_s:
        return probed.duration_s
    stream = probed.picture if probed.picture is not None else probed.sound
    arguments = ["-i", as_input(path), "-map", f"0:{stream}", "-c", "copy", "-f", "null", "-"]
    said = _ffmpeg(arguments, _DECODE_TIMEOUT_S).stderr.decode("utf-8", errors="replace")
    times = list(_TIME.finditer(said))
    if not times:
        raise MediaError(Reason.UNDECODABLE, complaint(said, path) or "its length cannot be told")
    return _seconds(times[-1])


def frames(path: Path, probed: Probe, duration_s: float) -> Frames:
    """16 frames, each from the middle of one of 16 equal parts of a film.

    The same film gives the same frames; a film of fewer frames repeats them.

    Args:
        path: The film.
        probed: What it says of itself.
        duration_s: Its length.

    Returns:
        uint8 [16, h, w, 3], short side at most 224.

    Raises:
        MediaError: `no-picture`, `undecodable` or `too-slow`.
    """
    if probed.picture is None:
        raise MediaError(Reason.NO_PICTURE, "there is sound but no film in it")
    hundredths = max(round(duration_s * 100), 1)
    fewer = ["-skip_frame", "nokey"] if duration_s >= _KEY_FRAMES_FROM_S else []
    scale = f"scale=w='if(gt(iw,ih),-2,min({SHORT_SIDE},iw))':h='if(gt(iw,ih),min({SHORT_SIDE},ih),-2)':flags=area"
    # `fps` gives at n * d / 16 the frame that is shown half a part later, which is the middle of the part.
    filters = f"fps={FRAMES * 100}/{hundredths},{scale}"
    arguments = [*fewer, "-i", as_input(path), "-map", f"0:{probed.picture}", "-vf", filters]
    arguments += ["-frames:v", str(FRAMES), "-f", "image2pipe", "-c:v", "ppm", "-"]
    done = _ffmpeg(arguments, _DECODE_TIMEOUT_S)
    found = _pictures(done.stdout)
    if not found:
        said = done.stderr.decode("utf-8", errors="replace")
        raise MediaError(Reason.UNDECODABLE, complaint(said, path) or "no frame can be decoded")
    return np.stack([found[min(number, len(found) - 1)] for number in range(FRAMES)])


def sound(path: Path, probed: Probe) -> Sound:
    """The sound of a film or sound file, up to 90 s.

    Returns:
        float32 [samples] in -1..1, mono, 16 kHz.

    Raises:
        MediaError: `no-sound` (there is none, or it is silent), `undecodable` or `too-slow`.
    """
    if probed.sound is None:
        raise MediaError(Reason.NO_SOUND, "there is no sound in it")
    arguments = ["-i", as_input(path), "-map", f"0:{probed.sound}", "-t", str(MAX_SOUND_S), "-ac", "1"]
    done = _ffmpeg([*arguments, "-ar", str(SAMPLE_RATE), "-f", "s16le", "-"], _DECODE_TIMEOUT_S)
    samples = np.frombuffer(done.stdout[: len(done.stdout) // 2 * 2], dtype="<i2").astype(np.float32) / 32768.0
    if not len(samples):
        said = done.stderr.decode("utf-8", errors="replace")
        raise MediaError(Reason.UNDECODABLE, complaint(said, path) or "no sound can be decoded")
    if float(np.abs(samples).max()) <= SILENCE:
        raise MediaError(Reason.NO_SOUND, "it is silent")
    return samples


@cache
def ffmpeg() -> str:
    """The ffmpeg that imageio-ffmpeg ships, or the one that `IMAGEIO_FFMPEG_EXE` names."""
    import imageio_ffmpeg  # type: ignore[import-untyped, unused-ignore]

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def command(arguments: list[str]) -> list[str]:
    """A command line of ffmpeg on one thread (so that results do not depend on the machine), reading files only."""
    return [ffmpeg(), "-hide_banner", "-nostdin", "-protocol_whitelist", "file,pipe", "-threads", "1", *arguments]


def as_input(path: Path) -> str:
    """A file as ffmpeg's `-i` takes it, whatever its name looks like."""
    return f"file:{path}"


def complaint(said: str, path: Path) -> str:
    """The first line in which ffmpeg speaks of an error, without addresses and the path."""
    lines = [line for line in said.splitlines() if "rror" in line or "nvalid" in line]
    return _ADDRESS.sub("", lines[0]).replace(as_input(path), "it").replace(str(path), "it")[:300] if lines else ""


def _ffmpeg(arguments: list[str], timeout_s: float) -> "subprocess.CompletedProcess[bytes]":
    try:
        return subprocess.run(command(arguments), capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise MediaError(Reason.TOO_SLOW, f"ffmpeg was stopped after {timeout_s:g} s") from error


def _seconds(match: re.Match[str]) -> float:
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3])


def _pictures(stream: bytes) -> list[Frames]:
    """The pictures of a stream of PPM files, as far as they are whole and of the size of the first."""
    found: list[Frames] = []
    at = 0
    while header := _PPM.match(stream, at):
        width, height = int(header[1]), int(header[2])
        at = header.end() + width * height * 3
        if at > len(stream):
            break
        pixels = np.frombuffer(stream, np.uint8, width * height * 3, header.end()).reshape(height, width, 3)
        if not found or pixels.shape == found[0].shape:
            found.append(pixels)
    return found
