from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from resources.encoders.base import FRAMES, SAMPLE_RATE, Encoder, EncoderError, Modality, identity
from resources.encoders.batching import encode_each
from resources.encoders.catalogue import EMBEDDED, load, make
from resources.encoders.embedded_audio import describe_sound
from resources.encoders.embedded_text import TfidfSvd
from resources.settings import EncoderChoice

WORDS = ("cat", "dance", "recipe", "prank", "goal", "makeup", "trick", "song", "magic", "travel", "😀", "новости")


def a_text(seed: int) -> str:
    rng = np.random.default_rng(seed)
    return " ".join(rng.choice(WORDS, 8)) + "\n" + " ".join(rng.choice(WORDS, int(rng.integers(0, 30))))


def a_picture(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    picture = Image.new("RGB", tuple(rng.integers(40, 120, 2)), tuple(rng.integers(0, 256, 3)))
    x, y, size = rng.integers(5, 30, 3)
    ImageDraw.Draw(picture).ellipse((x, y, x + size, y + size), fill=tuple(rng.integers(0, 256, 3)))
    return picture


def a_sound(seed: int) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    time = np.arange(int(rng.integers(4_000, 24_000))) / SAMPLE_RATE
    tone = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 1_000) * time)
    return (tone + rng.uniform(0, 0.1) * rng.normal(size=len(time))).astype(np.float32)


def a_film(seed: int) -> np.ndarray[Any, Any]:
    frames = [a_picture(seed + step // 4).resize((48, 36)) for step in range(FRAMES)]
    return np.stack([np.asarray(frame) for frame in frames])


MAKERS: dict[Modality, Callable[[int], Any]] = {
    "text": a_text,
    "image": a_picture,
    "audio": a_sound,
    "video": a_film,
}


def unfitted(modality: Modality) -> Any:
    return make(modality, EncoderChoice(encoder=EMBEDDED[modality]))


@pytest.fixture(scope="module", params=list(MAKERS))
def fitted(request: pytest.FixtureRequest) -> tuple[Any, list[Any]]:
    """An encoder of a modality, and the contents that it was fitted on."""
    contents = [MAKERS[request.param](seed) for seed in range(12 if request.param == "video" else 30)]
    return unfitted(request.param).fit(contents), contents


def test_vectors_do_not_depend_on_their_batch(fitted: tuple[Any, list[Any]]) -> None:
    encoder, contents = fitted
    together = encoder.encode(contents)
    assert isinstance(encoder, Encoder) and encoder.precision == "fp32"
    assert together.dtype == np.float32 and together.shape == (len(contents), encoder.dim)
    alone = np.concatenate([encoder.encode([content]) for content in contents])
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-7)
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_what_was_saved_encodes_the_same(fitted: tuple[Any, list[Any]], tmp_path: Path) -> None:
    encoder, contents = fitted
    encoder.save(tmp_path / "fit")
    again = load(encoder.modality, tmp_path / "fit")
    assert identity(again) == identity(encoder) and again.dim == encoder.dim
    np.testing.assert_array_equal(again.encode(contents), encoder.encode(contents))


def test_revision_says_what_it_was_fitted_on(fitted: tuple[Any, list[Any]]) -> None:
    encoder, contents = fitted
    assert unfitted(encoder.modality).fit(contents).revision == encoder.revision
    assert unfitted(encoder.modality).fit(contents[1:]).revision != encoder.revision


def test_few_contents_give_fewer_dimensions(fitted: tuple[Any, list[Any]]) -> None:
    encoder, contents = fitted
    assert unfitted(encoder.modality).fit(contents[:4]).dim <= 4 < encoder.dim


@pytest.mark.parametrize("modality", list(MAKERS))
def test_what_cannot_be_fitted_says_why(modality: Modality, tmp_path: Path) -> None:
    content = MAKERS[modality](0)
    with pytest.raises(EncoderError, match=r"too few|in common"):
        unfitted(modality).fit([content])
    with pytest.raises(EncoderError, match="call fit or load first"):
        unfitted(modality).encode([content])
    with pytest.raises(EncoderError, match="nothing to save before fit"):
        unfitted(modality).save(tmp_path / "fit")
    if modality != "text":
        with pytest.raises(EncoderError, match="all alike"):
            unfitted(modality).fit([content] * 5)


@pytest.mark.parametrize("modality", list(MAKERS))
def test_a_file_that_is_no_such_encoder_is_refused(modality: Modality, tmp_path: Path) -> None:
    path = tmp_path / "fit"
    with pytest.raises(EncoderError, match="cannot be read as a fitted encoder"):
        load(modality, path)
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(EncoderError, match=str(path)):
        load(modality, path)
    other: Modality = "audio" if modality != "audio" else "text"
    unfitted(other).fit([MAKERS[other](seed) for seed in range(10)]).save(path)
    with pytest.raises(EncoderError, match=f"holds '{EMBEDDED[other]}', not '{EMBEDDED[modality]}'"):
        load(modality, path)


def test_an_encoder_of_another_version_of_its_descriptors_is_refused(
    fitted: tuple[Any, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, _ = fitted
    encoder.save(tmp_path / "fit")
    monkeypatch.setattr(type(encoder), "preprocessing", "of-tomorrow")
    with pytest.raises(EncoderError, match="fit anew"):
        load(encoder.modality, tmp_path / "fit")


def test_descriptors_are_shared_by_fit_and_encode() -> None:
    pictures = [a_picture(seed) for seed in range(12)]
    encoder = unfitted("image")
    raw = encoder.describe(pictures)
    np.testing.assert_array_equal(encoder.fit_described(raw).project(raw), encoder.fit(pictures).encode(pictures))
    with pytest.raises(EncoderError, match="descriptors of 3 numbers, fitted on"):
        encoder.project(raw[:, :3])


def test_what_is_empty_or_not_finite_is_left_out_of_the_fit_and_reported() -> None:
    sounds = [a_sound(seed) for seed in range(10)]
    odd = [np.zeros(0, np.float32), np.array([0.1, np.nan] * 500, np.float32), np.zeros(100, np.float32)]
    encoder = unfitted("audio")
    assert encoder.fit([*sounds, *odd[:2]]).revision == unfitted("audio").fit(sounds).revision
    found = encode_each(encoder, [sounds[0], *odd])
    assert sorted(found.failures) == [1, 2] and np.isfinite(found.vectors[[0, 3]]).all()


def test_texts_of_any_kind_have_a_vector() -> None:
    encoder = TfidfSvd().fit([a_text(seed) for seed in range(30)])
    vectors = encoder.encode(["cat dance", "", "🎸🎸", "zzzz", "cat " * 250_000])
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors[[0, 4]], axis=1) == pytest.approx(1.0, abs=1e-6)
    assert not vectors[1].any()


def test_like_contents_are_nearer_than_others() -> None:
    texts = ["bake bread at home", "baking bread home oven", "goal of the season football", "football season goals"] * 5
    vectors = TfidfSvd().fit(texts).encode(texts[:4])
    assert vectors[0] @ vectors[1] > 0.2 > vectors[0] @ vectors[2]


def test_a_melody_is_told_from_its_notes_in_another_order() -> None:
    def melody(notes: tuple[int, ...]) -> np.ndarray[Any, Any]:
        time = np.arange(SAMPLE_RATE // 4) / SAMPLE_RATE
        return np.concatenate([np.sin(2 * np.pi * 220 * 2 ** (note / 12) * time) for note in notes]).astype(np.float32)

    up, loud, down = melody((0, 4, 7, 12)), 0.5 * melody((0, 4, 7, 12)), melody((12, 7, 4, 0))
    steps = [describe_sound(sound)[-35:-10] for sound in (up, loud, down)]  # the shares of steps of pitch
    np.testing.assert_allclose(steps[0], steps[1], atol=0.01)
    assert np.abs(steps[0] - steps[2]).sum() > 0.3


def test_motion_tells_a_film_from_its_first_frame_held() -> None:
    moving = np.stack([np.roll(a_film(0)[0], 3 * step, axis=1) for step in range(FRAMES)])
    held = np.repeat(moving[:1], FRAMES, axis=0)
    described = unfitted("video").describe([moving, held])
    assert described[0, -42] > 0.001 and described[1, -42] == 0
    assert np.isnan(unfitted("video").describe([moving[:0]])).all()
