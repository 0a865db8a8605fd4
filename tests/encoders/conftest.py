"""Tiny models, made once per run of the tests."""

from pathlib import Path

import pytest

from tests.encoders import tiny_models


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of tiny models by the name of their encoder."""
    root = tmp_path_factory.mktemp("models")
    savers = {
        "transformers-mean": tiny_models.save_bert,
        "resnet-50": tiny_models.save_resnet,
        "clip": tiny_models.save_clip,
        "siglip": tiny_models.save_siglip,
        "videomae": tiny_models.save_videomae,
        "wav2vec2": tiny_models.save_wav2vec2,
    }
    return {name: save(root / name) for name, save in savers.items()}
