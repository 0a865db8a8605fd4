"""What bytes turn out to be: pictures, sound and films, whole and damaged."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resources.media import contents, films
from resources.media.contents import load_frames, load_image, load_sound, prepare, prepare_stored
from resources.media.formats import sniff
from resources.media.states import MediaError
from resources.media.store import MediaStore
from resources.settings import Media
from tests.media import make

NOW = datetime(2025, 11, 20)
LIMITS = Media(fetch=(), max_bytes=10_000_000, max_pixels=1_000_000, max_attempts=3)


@pytest.fixture
def store(tmp_path: Path) -> MediaStore:
    return MediaStore(tmp_path)


def prepared(store: MediaStore, content: Path | bytes, limits: Media = LIMITS) -> dict[str, Any]:
    return prepare(store, content, limits, NOW)


@pytest.fixture(scope="module")
def talkie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make.film(tmp_path_factory.mktemp("films") / "talkie.mp4", seconds=2.0, rate=24)


def test_a_picture(store: MediaStore) -> None:
    row = prepared(store, make.picture(kind="JPEG"))
    assert {name: row[name] for name in ("kind", "media_type", "width", "height", "state", "known_at")} == {
        "kind": "image",
        "media_type": "image/jpeg",
        "width": 48,
        "height": 32,
        "state": "done",
        "known_at": NOW,
    }
    assert load_image(store, row["content_id"]).size == (48, 32)


def test_a_film_with_sound(store: MediaStore, talkie: Path) -> None:
    row = prepared(store, talkie)
    assert (row["kind"], row["media_type"], row["width"], row["height"]) == ("video", "video/mp4", 64, 48)
    assert row["duration_s"] == pytest.approx(2.0, abs=0.1)
    assert row["frame_rate"] == 24
    assert row["has_sound"] is True
    frames, sound = load_frames(store, row), load_sound(store, row)
    assert (frames.shape, frames.dtype) == ((16, 48, 64, 3), np.uint8)
    assert sound.dtype == np.float32
    assert len(sound) == pytest.approx(2.0 * 16_000, rel=0.05)
    assert np.abs(sound).max() <= 1
    spectrum = np.abs(np.fft.rfft(sound[:16_000]))
    assert spectrum.argmax() == pytest.approx(440, abs=2)


def test_the_same_film_gives_the_same_frames_and_sound(store: MediaStore, talkie: Path) -> None:
    first, again = prepared(store, talkie), prepared(store, talkie)
    assert first == again
    assert len(set(first["frame_ids"])) == 16


def test_frames_are_uniform_over_the_film(store: MediaStore, tmp_path: Path) -> None:
    # Brightness grows by the second: the frame of each part is that of its middle.
    fading = ("-vf", "geq=lum='min(235,16+T*50)':cb=128:cr=128")
    path = make.film(tmp_path / "ramp.mp4", seconds=4, rate=20, picture="color", sound=None, options=fading)
    levels = load_frames(store, prepared(store, path)).mean(axis=(1, 2, 3))
    middles = (np.arange(16) + 0.5) / 16 * 4
    expected = middles * 50 * 255 / 219
    assert np.abs(levels - expected).max() < 6


@pytest.mark.parametrize("frames", [1, 3])
def test_a_film_of_few_frames_repeats_them(store: MediaStore, tmp_path: Path, frames: int) -> None:
    path = make.film(tmp_path / "short.mp4", seconds=frames / 10, rate=10, sound=None)
    row = prepared(store, path)
    assert row["state"] == "done"
    assert len(set(row["frame_ids"])) == frames
    assert load_frames(store, row).shape == (16, 48, 64, 3)


def test_a_large_film_is_scaled_to_224_on_its_short_side(store: MediaStore, tmp_path: Path) -> None:
    path = make.film(tmp_path / "tall.mp4", seconds=0.2, size=(270, 480), sound=None)
    row = prepared(store, path)
    assert (row["width"], row["height"]) == (270, 480)
    assert load_frames(store, row).shape == (16, 398, 224, 3)


def test_a_film_that_does_not_say_its_length(store: MediaStore, tmp_path: Path) -> None:
    path = make.film(tmp_path / "live.webm", seconds=1, sound=None, options=("-c:v", "libvpx", "-live", "1"))
    assert films.probe(path).duration_s is None
    row = prepared(store, path)
    assert row["duration_s"] == pytest.approx(1.0, abs=0.15)
    assert len(set(row["frame_ids"])) == 10


def test_a_film_without_sound(store: MediaStore, tmp_path: Path) -> None:
    row = prepared(store, make.film(tmp_path / "mute.mp4", sound=None))
    assert (row["state"], row["has_sound"], row["sound_id"]) == ("done", False, None)
    with pytest.raises(MediaError, match="no-sound"):
        load_sound(store, row)


def test_a_film_whose_sound_is_silent(store: MediaStore, tmp_path: Path) -> None:
    row = prepared(store, make.film(tmp_path / "still.mp4", sound="anullsrc=r=44100"))
    assert (row["state"], row["has_sound"], row["sound_id"]) == ("done", False, None)


def test_sound_without_a_picture_in_a_film_file(store: MediaStore, tmp_path: Path) -> None:
    row = prepared(store, make.film(tmp_path / "only.mp4", picture=None))
    assert (row["kind"], row["media_type"], row["state"], row["has_sound"]) == ("audio", "audio/mp4", "done", True)
    assert row["frame_ids"] is None
    with pytest.raises(MediaError, match="no-picture"):
        load_frames(store, row)


@pytest.mark.parametrize(
    ("ending", "media_type"),
    [
        ("mp3", "audio/mpeg"),
        ("wav", "audio/wav"),
        ("m4a", "audio/mp4"),
        ("aac", "audio/aac"),
        ("ogg", "audio/ogg"),
        ("flac", "audio/flac"),
    ],
)
def test_sound_files(store: MediaStore, tmp_path: Path, ending: str, media_type: str) -> None:
    path = make.film(tmp_path / f"a.{ending}", seconds=1.5, picture=None)
    unnamed = path.rename(tmp_path / "no-ending")
    row = prepared(store, unnamed)
    assert (row["kind"], row["media_type"], row["state"]) == ("audio", media_type, "done")
    assert row["duration_s"] == pytest.approx(1.5, abs=0.3)
    assert len(load_sound(store, row)) == pytest.approx(1.5 * 16_000, rel=0.1)


def test_a_cover_picture_makes_no_film(store: MediaStore, tmp_path: Path) -> None:
    cover = tmp_path / "cover.jpg"
    cover.write_bytes(make.picture(kind="JPEG"))
    options = ("-i", str(cover), "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic")
    row = prepared(store, make.film(tmp_path / "song.mp3", picture=None, options=options))
    assert (row["kind"], row["state"]) == ("audio", "done")


def test_sound_is_read_up_to_90_seconds(store: MediaStore) -> None:
    row = prepared(store, make.wav(seconds=95, rate=8_000))
    assert row["duration_s"] == pytest.approx(95, abs=0.1)
    assert len(load_sound(store, row)) == 90 * 16_000


def test_silent_sound_is_terminal(store: MediaStore) -> None:
    row = prepared(store, make.wav(loudness=0.0))
    assert (row["kind"], row["state"], row["reason"], row["has_sound"]) == ("audio", "terminal", "no-sound", False)


def test_a_cut_off_film_is_undecodable(store: MediaStore, talkie: Path) -> None:
    row = prepared(store, talkie.read_bytes()[:3000])
    assert (row["kind"], row["state"], row["reason"]) == ("video", "terminal", "undecodable")
    assert row["detail"]
    assert str(store.folder) not in row["detail"]


def test_a_film_of_garbage_is_undecodable(store: MediaStore, talkie: Path) -> None:
    noise = np.random.default_rng(0).bytes(5000)
    assert prepared(store, talkie.read_bytes()[:64] + noise)["reason"] == "undecodable"
    assert prepared(store, b"\x1a\x45\xdf\xa3" + noise)["reason"] == "undecodable"
    assert prepared(store, b"ID3" + noise)["state"] == "terminal"


def test_damage_inside_a_film_is_no_crash(store: MediaStore, talkie: Path) -> None:
    whole = bytearray(talkie.read_bytes())
    generator = np.random.default_rng(1)
    for _ in range(5):
        damaged = bytearray(whole)
        for position in generator.integers(64, len(whole), 200):
            damaged[position] = generator.integers(0, 256)
        row = prepared(store, bytes(damaged))
        assert row["state"] in ("done", "terminal")
        assert (row["reason"] is None) == (row["state"] == "done")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"<html><body>Not found</body></html>", "unsupported"),
        (b"just text", "unsupported"),
        (b"\0\1\2\3" * 100, "unsupported"),
        (b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n", "unsupported"),
        (make.png_bomb(), "too-large"),
        (make.picture(size=(1001, 1000)), "too-large"),
        (make.picture(kind="JPEG", size=(200, 200))[:2000], "undecodable"),
    ],
)
def test_what_cannot_be_read_says_why(store: MediaStore, content: bytes, reason: str) -> None:
    row = prepared(store, content)
    assert (row["state"], row["reason"]) == ("terminal", reason)
    assert row["n_bytes"] == len(content)


def test_too_many_bytes_or_pixels(store: MediaStore, talkie: Path) -> None:
    few = LIMITS.model_copy(update={"max_bytes": 100})
    assert prepared(store, talkie, few)["reason"] == "too-large"
    small = LIMITS.model_copy(update={"max_pixels": 64 * 48 - 1})
    assert prepared(store, talkie, small)["reason"] == "too-large"


def test_ffmpeg_that_takes_too_long_is_stopped(
    store: MediaStore, talkie: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(films, "_PROBE_TIMEOUT_S", 0.0)
    row = prepared(store, talkie)
    assert (row["state"], row["reason"]) == ("terminal", "too-slow")


def test_bytes_that_left_the_store(store: MediaStore) -> None:
    content_id = store.keep(make.picture())
    store.remove(content_id)
    row = prepare_stored(store, content_id, LIMITS, NOW, expected="video")
    assert (row["kind"], row["state"], row["reason"]) == ("video", "terminal", "not-found")
    with pytest.raises(MediaError, match="not-found"):
        load_image(store, content_id)


def test_formats_are_told_by_their_beginning() -> None:
    assert sniff(b"\xff\xfeh\0i\0")[0] is None  # text in UTF-16, not a sound frame
    assert sniff(b"\0\0\0\x1cftypheic") == (None, "image/heic")
    assert sniff(b"") == (None, "application/octet-stream")
    assert sniff(b"G" + b"\0" * 187 + b"G" + b"\0" * 10) == ("video", "video/mp2t")


def test_a_plain_wav_is_read_as_ffmpeg_reads_it(store: MediaStore, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = make.wav(1.5)
    quick = prepared(store, sound)
    monkeypatch.setattr(contents, "_plain_wav", lambda path: None)
    patient = prepared(store, sound)
    assert quick["sound_id"] == patient["sound_id"]
    assert quick["duration_s"] == pytest.approx(patient["duration_s"], abs=0.01)
    assert {name: value for name, value in quick.items() if name != "duration_s"} == {
        name: value for name, value in patient.items() if name != "duration_s"
    }
