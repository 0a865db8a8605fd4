"""Simulated media: same seed same bytes, faults as counted, styles that show, and nothing that the latents do not say."""

import csv
import io
import wave
from pathlib import Path

import numpy as np
import pandas
import pytest
from PIL import Image, UnidentifiedImageError

from resources.simulator import SimulatorConfig, media_truth, simulate, truth, write_landings, write_media
from resources.simulator.media import FATES, INDEX
from resources.simulator.pictures import CLIP_FRAMES, HEIGHT, WIDTH, Look, frames, thumbnail
from resources.simulator.sounds import RATE, tune
from resources.simulator.vocabulary import STYLES

SMALL = SimulatorConfig(seed=4, channels=20, videos_per_day=20, days=20)
ASKED = {"sounds": 100, "clips": 4}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_media(SMALL, tmp_path_factory.mktemp("media"), **ASKED).parent


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(folder: Path, tmp_path: Path) -> None:
    write_media(SMALL, tmp_path / "again", **ASKED)
    assert contents(tmp_path / "again") == contents(folder)
    other = SimulatorConfig(seed=5, channels=20, videos_per_day=20, days=20)
    write_media(other, tmp_path / "other", thumbnails=0, sounds=5)
    sounds = {content for content in contents(tmp_path / "other").values() if content[:4] == b"RIFF"}
    assert sounds and not sounds & set(contents(folder).values())


def test_what_one_video_shows_does_not_depend_on_which_others_are_drawn(folder: Path, tmp_path: Path) -> None:
    write_media(SMALL, tmp_path, thumbnails=0, sounds=30)
    few = media_truth(SMALL, thumbnails=0, sounds=30)
    whole = few[few["fate"] == "whole"]["path"]
    assert len(whole) > 20
    assert all((tmp_path / path).read_bytes() == (folder / path).read_bytes() for path in whole)


def test_landings_and_truth_are_those_without_media(folder: Path, tmp_path: Path) -> None:
    before = truth(SMALL)
    write_landings(SMALL, tmp_path / "before")
    write_media(SMALL, tmp_path / "media", thumbnails=0, sounds=1)
    write_landings(SMALL, tmp_path / "after")
    assert contents(tmp_path / "before") == contents(tmp_path / "after")
    pandas.testing.assert_frame_equal(before, truth(SMALL))


def test_every_fate_is_in_the_files_as_often_as_it_is_counted(folder: Path) -> None:
    plan = media_truth(SMALL, **ASKED)
    files = contents(folder)
    with (folder / "index.csv").open() as file:
        index = list(csv.DictReader(file))
    assert list(index[0]) == INDEX
    expected = plan[plan["fate"] != "absent"]
    assert [(row["path"], row["video_id"], row["kind"]) for row in index] == list(
        zip(expected["path"], expected["video_id"], expected["kind"], strict=True)
    )
    assert {row["path"] for row in index} - set(files) == set(plan.loc[plan["fate"] == "missing", "path"])
    assert set(files) - {"index.csv"} == set(plan.loc[~plan["fate"].isin(["absent", "missing"]), "path"])
    assert {path for path, content in files.items() if not content} == set(plan.loc[plan["fate"] == "empty", "path"])
    thumbnails = plan[plan["kind"] == "thumbnail"]
    assert len(thumbnails) == 400 and set(FATES) - {"mute"} <= set(thumbnails["fate"])
    for row in thumbnails.itertuples():
        if row.fate in ("truncated", "empty"):
            with pytest.raises((OSError, UnidentifiedImageError)):
                Image.open(io.BytesIO(files[row.path])).load()
        elif row.fate in ("whole", "duplicate"):
            assert Image.open(io.BytesIO(files[row.path])).size == (WIDTH, HEIGHT)


def test_a_reupload_has_the_bytes_of_an_earlier_video_of_its_style(folder: Path) -> None:
    plan = media_truth(SMALL, **ASKED)
    again = plan[plan["fate"] == "duplicate"]
    first = plan[plan["fate"] != "duplicate"].set_index(["kind", "video"])
    assert len(again) > 3
    for row in again.itertuples():
        original = first.loc[(row.kind, row.of)]
        assert row.of < row.video and original["style"] == row.style and original["fate"] in ("whole", "mute")
        assert (folder / row.path).read_bytes() == (folder / original["path"]).read_bytes()
    whole = [(folder / path).read_bytes() for path in plan.loc[plan["fate"] == "whole", "path"]]
    assert len(set(whole)) == len(whole)


def test_index_times_are_those_of_publication(folder: Path) -> None:
    published = truth(SMALL).set_index("video_id")["published_at"]
    index = pandas.read_csv(folder / "index.csv")
    observed = pandas.to_datetime(index["observed_at"]).dt.tz_localize(None)
    assert (observed.to_numpy() == published[index["video_id"]].to_numpy()).all()


def test_sounds_are_short_mono_and_as_many_as_asked(folder: Path) -> None:
    plan = media_truth(SMALL, **ASKED)
    assert (plan["kind"] == "audio").sum() == 100 and (plan["kind"] == "video").sum() == 4
    assert set(plan.loc[plan["kind"] == "video", "video"]) <= set(plan.loc[plan["kind"] == "audio", "video"])
    for path in plan.loc[(plan["kind"] == "audio") & (plan["fate"] == "whole"), "path"]:
        with wave.open(str(folder / path)) as sound:
            assert (sound.getnchannels(), sound.getframerate()) == (1, RATE)
            assert 1.0 <= sound.getnframes() / RATE <= 2.0


def test_clips_have_frames_and_sound(folder: Path) -> None:
    import imageio_ffmpeg

    plan = media_truth(SMALL, **ASKED)
    for path in plan.loc[(plan["kind"] == "video") & (plan["fate"] == "whole"), "path"]:
        reader = imageio_ffmpeg.read_frames(str(folder / path))
        about = next(reader)
        assert about["size"] == (WIDTH, HEIGHT) and about["audio_codec"] == "aac"
        assert sum(1 for _ in reader) == CLIP_FRAMES


def test_without_dirt_every_medium_is_whole() -> None:
    clean = SimulatorConfig(seed=4, channels=20, videos_per_day=20, days=20, dirt=False)
    plan = media_truth(clean, sounds=20, clips=20)
    assert set(plan["fate"]) == {"whole"} and (plan["of"] == plan["video"]).all()


def test_nothing_asked_for_is_an_empty_index(tmp_path: Path) -> None:
    assert write_media(SMALL, tmp_path, thumbnails=0).read_text() == ",".join(INDEX) + "\n"


def test_clips_of_hype_move_and_cut_more_than_those_of_plain() -> None:
    change = {}
    for name in ("hype", "plain"):
        shown = np.array(list(frames(Look(STYLES.index(name), 0, 0, 3.0), np.random.default_rng(0))), dtype=float)
        change[name] = np.abs(np.diff(shown, axis=0)).mean()
    assert change["hype"] > 2 * change["plain"]


def test_styles_can_be_told_from_pictures_and_sounds_but_not_outcomes_within_a_style() -> None:
    """Nearest mean of coarse pixels and of a spectrum; chance is one in six. A picture knows style, topic and channel only."""
    rng = np.random.default_rng(0)
    style = np.arange(240) % len(STYLES)
    looks = [Look(int(s), int(rng.integers(8)), int(rng.integers(20)), float(rng.normal())) for s in style]
    seen = [
        np.asarray(Image.open(io.BytesIO(thumbnail(look, rng))).resize((16, 9)), dtype=float).ravel() for look in looks
    ]
    heard = [
        np.log(np.abs(np.fft.rfft(tune(look.style, rng), 32000)[:4000]).reshape(100, 40).mean(1)) for look in looks
    ]
    for rows in (np.array(seen), np.array(heard)):
        means = np.array([rows[:120][style[:120] == s].mean(axis=0) for s in range(len(STYLES))])
        found = ((rows[120:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
        assert (found == style[120:]).mean() > 0.6


def test_media_do_not_change_with_what_became_of_the_videos(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other innovations and other worths of styles, times and topics: the same files."""
    tiny = SimulatorConfig(seed=4, channels=5, videos_per_day=5, days=4)
    write_media(tiny, tmp_path / "a", sounds=5)
    before = simulate(tiny).world.videos
    monkeypatch.setattr("resources.simulator.world.STYLE_SD", 2.0)
    monkeypatch.setattr("resources.simulator.world.SPEED_SD", 2.0)
    monkeypatch.setattr("resources.simulator.world.HOUR_EFFECT", 3.0)
    write_media(tiny, tmp_path / "b", sounds=5)
    assert (simulate(tiny).world.videos["latent_style"] != before["latent_style"]).any()
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
