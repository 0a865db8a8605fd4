import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resources.encoders.base import Encoder, EncoderError, Modality, identity
from resources.encoders.onnx import OnnxEncoder, export
from tests.encoders.test_pretrained import TEXTS, pictures
from tests.encoders.tiny_models import tiny_encoder


@pytest.fixture(scope="module")
def exports(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("exports")
    chosen: dict[str, Modality] = {"transformers-mean": "text", "resnet-50": "image"}
    return {name: export(tiny_encoder(kind, name, models[name]), folder) for name, kind in chosen.items()}


@pytest.mark.parametrize("name", ["transformers-mean", "resnet-50"])
def test_an_export_gives_the_vectors_of_torch_under_the_same_identity(
    name: str, models: dict[str, Path], exports: dict[str, Path]
) -> None:
    modality, contents = ("text", TEXTS) if name == "transformers-mean" else ("image", pictures())
    torch_encoder = tiny_encoder(modality, name, models[name])
    encoder = OnnxEncoder(exports[name])
    assert isinstance(encoder, Encoder) and identity(encoder) == identity(torch_encoder)
    ours, theirs = encoder.encode(contents), torch_encoder.encode(contents)
    cosine = (ours * theirs).sum(1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(theirs, axis=1)
    assert cosine.min() > 0.9999
    np.testing.assert_array_equal(encoder.encode(contents[:1]), ours[:1])


def test_an_export_is_made_once(models: dict[str, Path], exports: dict[str, Path]) -> None:
    made = exports["transformers-mean"]
    before = (made / "model.onnx").stat().st_mtime_ns
    encoder = tiny_encoder("text", "transformers-mean", models["transformers-mean"], "bf16")
    assert export(encoder, made.parent) == made and (made / "model.onnx").stat().st_mtime_ns == before
    assert sorted(path.name for path in made.parent.iterdir()) == sorted(path.name for path in exports.values())


def test_serving_needs_neither_torch_nor_transformers(exports: dict[str, Path]) -> None:
    script = (
        "import sys; sys.modules['torch'] = sys.modules['transformers'] = None\n"
        "from pathlib import Path; from PIL import Image; from resources.encoders.onnx import OnnxEncoder\n"
        f"print(OnnxEncoder(Path({str(exports['transformers-mean'])!r})).encode(['cat', 'a dog']).shape)\n"
        f"print(OnnxEncoder(Path({str(exports['resnet-50'])!r})).encode([Image.new('RGB', (50, 40))]).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["(2, 16)", "(1, 16)"]


def test_what_cannot_be_exported_or_served_is_an_error(
    models: dict[str, Path], exports: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(EncoderError, match="only encoders of text and pictures are exported, not of audio"):
        export(tiny_encoder("audio", "wav2vec2", models["wav2vec2"]), tmp_path)
    with pytest.raises(EncoderError, match="holds no exported encoder"):
        OnnxEncoder(tmp_path)
    broken = shutil.copytree(exports["transformers-mean"], tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"no graph")
    with pytest.raises(EncoderError, match=r"model\.onnx cannot be loaded"):
        OnnxEncoder(broken)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(EncoderError, match=r"onnxruntime is not installed; `pip install 'upswell\[encoders\]'`"):
        OnnxEncoder(exports["transformers-mean"])


def test_pictures_of_other_modes_are_encoded_in_colour(exports: dict[str, Path]) -> None:
    encoder = OnnxEncoder(exports["resnet-50"])
    grey = Image.new("L", (40, 40), 90)
    np.testing.assert_array_equal(encoder.encode([grey]), encoder.encode([grey.convert("RGB")]))
