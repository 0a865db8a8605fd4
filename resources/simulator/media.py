"""Gives simulated videos thumbnails, sounds and clips as files, with an index that says whose they are.

What a picture or a sound looks and sounds like is in `pictures` and `sounds`; here is who gets one, and what goes wrong
with it: `absent` (neither file nor row), `missing` (a row without its file), `duplicate` (a re-upload: the bytes of
another video), `truncated`, `empty` and, of clips, `mute` (no sound track). Landing files and truth do not change.
"""

import csv
import io
import os
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas

from resources.simulator import sounds as audio
from resources.simulator.vocabulary import STYLES
from resources.simulator.world import SimulatorConfig, World, make_world

if TYPE_CHECKING:
    from resources.simulator import pictures

INDEX = ["path", "video_id", "kind", "observed_at"]
FOLDERS = {"thumbnail": ("thumbnails", "jpg"), "audio": ("sounds", "wav"), "video": ("clips", "mp4")}
FATES = {"absent": 0.02, "missing": 0.01, "duplicate": 0.02, "truncated": 0.008, "empty": 0.004, "mute": 0.1}
"""Share of the media of each fate; the others are `whole`."""


def media_truth(
    config: SimulatorConfig, *, thumbnails: int | None = None, sounds: int = 0, clips: int = 0
) -> pandas.DataFrame:
    """One row per medium that `write_media` deals with under the same arguments.

    Returns:
        video (position in order of publication), video_id, style, kind (thumbnail, audio or video), fate (`whole` or one
        of FATES), path (inside the folder), of (position of the video whose bytes these are) and observed_at.
    """
    return _plan(make_world(config), thumbnails, sounds, clips)


def write_media(
    config: SimulatorConfig,
    folder: Path,
    *,
    thumbnails: int | None = None,
    sounds: int = 0,
    clips: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Draw and synthesise the media of the simulated videos.

    Args:
        config: What to simulate; the same one gives the same bytes. Without dirt every medium is whole.
        folder: Where the files go; made if absent, files of the same names are replaced.
        thumbnails: How many videos, drawn at random, have a thumbnail; None for all.
        sounds: How many videos, drawn at random, have a sound.
        clips: How many of them also have a clip (all have one, if there are more clips than sounds).
        progress: Called with (media done, media in all) after each hundred and at the end.

    Returns:
        `index.csv` in the folder: path, video_id, kind and observed_at of each medium, in order of publication.
    """
    world = make_world(config)
    plan = _plan(world, thumbnails, sounds, clips)
    for name, _ in FOLDERS.values():
        (folder / name).mkdir(parents=True, exist_ok=True)
    make = {"thumbnail": _thumbnail, "audio": _sound, "video": _clip}
    looks = _looks(world)
    columns = (plan["of"], plan["kind"], plan["fate"], plan["path"], plan["fate_of"])
    for done, (of, kind, fate, path, fate_of) in enumerate(zip(*columns, strict=True), start=1):
        if fate not in ("absent", "missing"):
            content = b"" if fate == "empty" else make[kind](looks[of], _stream(config, kind, of), fate_of == "mute")
            (folder / path).write_bytes(_cut(content, kind) if fate == "truncated" else content)
        if progress and (done % 100 == 0 or done == len(plan)):
            progress(done, len(plan))
    return _write_index(plan[plan["fate"] != "absent"], folder)


def _plan(world: World, thumbnails: int | None, sounds: int, clips: int) -> pandas.DataFrame:
    config, videos = world.config, world.videos
    order = config.stream("media").permutation(len(videos))
    chosen = {"thumbnail": np.sort(order[: len(videos) if thumbnails is None else thumbnails])}
    chosen |= {"audio": np.sort(order[:sounds]), "video": np.sort(order[:clips])}
    parts = [_plan_kind(world, kind, rows) for kind, rows in chosen.items()]
    plan = pandas.concat(parts, ignore_index=True).sort_values(["video", "kind"], ignore_index=True)
    video = plan["video"].to_numpy()
    moments = np.datetime64(config.start, "s") + videos["published"].to_numpy()[video].astype("timedelta64[s]")
    return plan.assign(
        video_id=videos["video_id"].to_numpy()[video],
        style=np.array(STYLES)[videos["style"].to_numpy()[video]],
        observed_at=moments,
    )


def _plan_kind(world: World, kind: str, rows: np.ndarray) -> pandas.DataFrame:
    """Fate and origin of the media of one kind of the videos in `rows`, in order of publication.

    A re-upload has the bytes of the latest video of its style before it; where there is none it is whole.
    """
    rng = world.config.stream(f"media fates {kind}")
    names = [name for name in FATES if world.config.dirt and (name != "mute" or kind == "video")]
    shares = [FATES[name] for name in names]
    fates = rng.choice([*names, "whole"], size=len(world.videos), p=[*shares, 1 - sum(shares)])[rows].astype(object)
    style = world.videos["style"].to_numpy()[rows]
    of = rows.copy()
    fate_of = fates.copy()
    latest: dict[int, int] = {}
    for at, fate in enumerate(fates.tolist()):
        if fate == "duplicate" and style[at] in latest:
            of[at], fate_of[at] = rows[latest[style[at]]], fates[latest[style[at]]]
        elif fate == "duplicate":
            fates[at] = fate_of[at] = "whole"
        if fates[at] in ("whole", "mute"):
            latest[style[at]] = at
    folder, ending = FOLDERS[kind]
    paths = [f"{folder}/{video:06d}.{ending}" for video in rows.tolist()]
    return pandas.DataFrame(
        {"video": rows, "kind": kind, "fate": fates, "path": paths, "of": of, "fate_of": fate_of}
    ).astype({"kind": object})


def _stream(config: SimulatorConfig, kind: str, video: int) -> np.random.Generator:
    """A stream per medium: what one video shows does not depend on which others are drawn."""
    return np.random.default_rng([config.seed, *f"media {kind}".encode(), video])


def _looks(world: World) -> "list[pictures.Look]":
    """What the media of each video depend on."""
    from resources.simulator.pictures import Look

    channel = world.videos["channel"].to_numpy()
    quality = world.channels["quality"].to_numpy()[channel]
    columns = (world.videos["style"], world.videos["topic"], channel, quality)
    return [Look(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def _thumbnail(look: "pictures.Look", rng: np.random.Generator, _: bool) -> bytes:
    from resources.simulator.pictures import thumbnail

    return thumbnail(look, rng)


def _sound(look: "pictures.Look", rng: np.random.Generator, _: bool) -> bytes:
    return audio.wav(audio.tune(look.style, rng))


def _clip(look: "pictures.Look", rng: np.random.Generator, mute: bool) -> bytes:
    """MP4 (H.264, AAC) of the frames and, unless mute, a sound; one thread, no dates: the same bytes again."""
    import imageio_ffmpeg

    from resources.simulator import pictures

    shots = b"".join(frame.tobytes() for frame in pictures.frames(look, rng))
    sound = audio.wav(audio.tune(look.style, rng))
    size, rate = f"{pictures.WIDTH}x{pictures.HEIGHT}", str(pictures.FRAME_RATE)
    quiet = ["-hide_banner", "-loglevel", "error", "-y"]
    frames_in = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", rate, "-i", "pipe:0"]
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "23", "-pix_fmt", "yuv420p", "-threads", "1"]
    exact = ["-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-flags:a", "+bitexact"]
    with tempfile.TemporaryDirectory(prefix="upswell-clip-") as scratch:
        path, heard = Path(scratch, "clip.mp4"), Path(scratch, "sound.wav")
        heard.write_bytes(sound)
        sound_in = [] if mute else ["-i", str(heard)]
        sound_out = ["-an"] if mute else ["-c:a", "aac", "-b:a", "48k"]
        command = [
            imageio_ffmpeg.get_ffmpeg_exe(),
            *quiet,
            *frames_in,
            *sound_in,
            *coding,
            *sound_out,
            *exact,
            str(path),
        ]
        subprocess.run(command, input=shots, check=True, timeout=60)
        return path.read_bytes()


def _cut(content: bytes, kind: str) -> bytes:
    """What a broken download leaves: half a picture or film, a sound that ends in its header."""
    return content[:30] if kind == "audio" else content[: len(content) // 2]


def _write_index(plan: pandas.DataFrame, folder: Path) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(INDEX)
    times = [f"{moment}Z" for moment in np.datetime_as_string(plan["observed_at"].to_numpy(), unit="s").tolist()]
    writer.writerows(zip(plan["path"], plan["video_id"], plan["kind"], times, strict=True))
    path, scratch = folder / "index.csv", folder / f".index.csv.{os.getpid()}"
    scratch.write_text(text.getvalue(), encoding="utf-8")
    os.replace(scratch, path)
    return path
