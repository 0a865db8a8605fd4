"""Trained encoders: they learn, they are the same again to the bit, they load without running code, and know no later row."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

from safetensors.numpy import save_file

from benchmarks.modality import Split, embed
from resources.encoders.base import Encoder, EncoderError
from resources.encoders.trained import MIN_FIT, PREPROCESSING, Trainable, TrainedEncoder
from resources.simulator.modality import ProofWorld, proof_world


@pytest.fixture(scope="module")
def world() -> ProofWorld:
    return proof_world(140, 1)


def told(world: ProofWorld, modality: Trainable) -> list[Any]:
    contents: dict[str, list[Any]] = {"text": world.texts, "image": world.images, "audio": world.sounds}
    return contents[modality]


def small(modality: Trainable, seed: int = 0) -> TrainedEncoder:
    return TrainedEncoder(modality, dim=4, seed=seed, max_epochs=2)


@pytest.mark.parametrize("modality", ["text", "image", "audio"])
def test_same_rows_same_weights_and_what_was_saved_is_bit_equal(
    modality: Trainable, world: ProofWorld, tmp_path: Path
) -> None:
    contents, outcomes = told(world, modality), world.outcomes(modality, 1)
    encoder = small(modality).fit(contents, outcomes)
    vectors = encoder.encode(contents)
    assert isinstance(encoder, Encoder)
    assert vectors.shape == (140, 4) and vectors.dtype == np.float32 and np.isfinite(vectors).all()
    assert small(modality).fit(contents, outcomes).revision == encoder.revision != ""
    assert small(modality, seed=1).fit(contents, outcomes).revision != encoder.revision
    encoder.save(tmp_path / "encoder.safetensors")
    loaded = TrainedEncoder.load(tmp_path / "encoder.safetensors")
    assert (loaded.name, loaded.revision, loaded.dim) == (encoder.name, encoder.revision, encoder.dim)
    assert loaded.encode(contents).tobytes() == vectors.tobytes()


@pytest.mark.parametrize("modality", ["text", "image", "audio"])
def test_a_vector_does_not_depend_on_its_batch(modality: Trainable, world: ProofWorld) -> None:
    contents = told(world, modality)
    encoder = small(modality).fit(contents, world.outcomes(modality, 1))
    together = encoder.encode(contents[:21])
    assert encoder.encode([contents[20]]).tobytes() == together[20].tobytes()
    assert encoder.encode([]).shape == (0, 4)


def test_it_learns_which_word_order_succeeds_and_stops_where_content_tells_nothing() -> None:
    rng = np.random.default_rng(0)
    which = rng.integers(0, 2, 600)
    phrases = ("dog bites man", "man bites dog")
    texts = [f"{rng.choice(['so', 'well', 'look'])} {phrases[k]} {rng.choice(['now', 'again'])}" for k in which]
    outcomes = which + rng.normal(0, 0.2, 600)
    encoder = TrainedEncoder("text", dim=4).fit(texts[:500], outcomes[:500])
    assert encoder.r2_ > 0.7
    vectors = encoder.encode(texts)
    apart = np.linalg.norm(vectors[which == 0].mean(axis=0) - vectors[which == 1].mean(axis=0))
    assert apart > 3 * vectors[which == 0].std(axis=0).max()
    untold = TrainedEncoder("text", dim=4, patience=2).fit(texts[:500], rng.normal(size=500))
    assert untold.r2_ < 0.1 and untold.epochs_ < 20


def test_what_comes_after_the_first_block_is_never_fitted(world: ProofWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other contents and outcomes from the origin on: the same encoder, and the same vectors of the rows before it."""
    revisions: list[str] = []
    real = TrainedEncoder.fit

    def fit(self: TrainedEncoder, contents: list[Any], outcomes: np.ndarray) -> TrainedEncoder:
        self.max_epochs = 1
        revisions.append(real(self, contents, outcomes).revision)
        return self

    monkeypatch.setattr(TrainedEncoder, "fit", fit)
    split, outcomes = Split(110, 125), world.outcomes("text", 1)
    before = embed(world, "text", outcomes, split, 1)
    changed = np.where(np.arange(140) < split.first, outcomes, 1e6)
    later = ProofWorld(
        world.classes, [*world.texts[: split.origin], *(["unheard of"] * 15)], world.images, world.sounds, world.scalars
    )
    after = embed(later, "text", changed, split, 1)
    assert revisions[0] == revisions[1]
    known = split.origin - split.first
    assert before[:known].tobytes() == after[:known].tobytes() and (before[known:] != after[known:]).any()


def test_odd_contents_are_encoded(world: ProofWorld) -> None:
    from PIL import Image

    texts = small("text").fit(world.texts, world.outcomes("text", 1))
    assert np.isfinite(texts.encode(["", "a " * 500_000, "日本語"])).all()
    images = small("image").fit(world.images, world.outcomes("image", 1))
    odd = [Image.new("CMYK", (3, 90)), Image.new("P", (1, 1)), Image.new("LA", (500, 20))]
    assert np.isfinite(images.encode(odd)).all()
    sounds = small("audio").fit(world.sounds, world.outcomes("audio", 1))
    heard = [np.zeros(0, np.float32), np.zeros(160_000, np.float32), np.ones(7, np.float32)]
    assert np.isfinite(sounds.encode(heard)).all()


def test_bad_input_is_an_error_that_says_what(world: ProofWorld, tmp_path: Path) -> None:
    outcomes = world.outcomes("text", 1)
    with pytest.raises(EncoderError, match="text, image, audio, not 'video'"):
        TrainedEncoder("video")  # type: ignore[arg-type]
    with pytest.raises(EncoderError, match=f"99 contents are too few to train on; {MIN_FIT}"):
        small("text").fit(world.texts[:99], outcomes[:99])
    with pytest.raises(EncoderError, match="140 contents but outcomes of shape"):
        small("text").fit(world.texts, outcomes[:-1])
    for wrong in (np.full(140, 2.0), np.where(np.arange(140) == 7, np.nan, outcomes)):
        with pytest.raises(EncoderError, match="numbers that differ"):
            small("text").fit(world.texts, wrong)
    with pytest.raises(EncoderError, match="was not trained"):
        small("text").encode(["a"])
    with pytest.raises(EncoderError, match="nothing to save"):
        small("text").save(tmp_path / "x")


def test_a_file_that_is_none_of_ours_is_refused(world: ProofWorld, tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    with pytest.raises(EncoderError, match="not a trained encoder"):
        TrainedEncoder.load(path)
    path.write_bytes(b"\x80\x04pickled")
    with pytest.raises(EncoderError, match="not a trained encoder"):
        TrainedEncoder.load(path)
    save_file({"a": np.zeros(3, np.float32)}, path)
    with pytest.raises(EncoderError, match="not a trained encoder"):
        TrainedEncoder.load(path)
    config = f'{{"modality": "text", "dim": 4, "preprocessing": "older than {PREPROCESSING}"}}'
    save_file({"a": np.zeros(3, np.float32)}, path, metadata={"upswell": config})
    with pytest.raises(EncoderError, match="made with preprocessing older"):
        TrainedEncoder.load(path)
