"""A bundle as an MLflow model: texts in, calibrated probabilities of every label out. Loaded by MLflow through `_load_pyfunc`."""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from assets.models.predictor import FOLDER
from assets.models.pyfunc import save_pyfunc
from resources.emotions.model import EmotionModel, load, read_manifest
from resources.emotions.scoring import score

_PACKAGES = ("upswell", "numpy", "pandas", "scikit-learn", "scipy")
_OF_NETWORKS = ("torch", "transformers", "tokenizers", "safetensors")


def write_pyfunc(home: Path, version: str, packages: dict[str, str], folder: Path) -> None:
    """Write a kept bundle as an MLflow model.

    Args:
        home: Where the bundle is kept.
        version: Its name.
        packages: Versions of the packages that it was made with.
        folder: The model's folder; must not exist.

    Raises:
        EmotionError: There is no such bundle, or it is not whole.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    manifest = read_manifest(home / FOLDER / version)
    data = folder.with_name("bundle")
    shutil.copytree(home / FOLDER / version, data, ignore=shutil.ignore_patterns("*.md"))
    names = (*_PACKAGES, *(_OF_NETWORKS if manifest.kind == "network" else ()))
    save_pyfunc(
        folder,
        __name__,
        data,
        ModelSignature(
            Schema([ColSpec("string", "text")]), Schema([ColSpec("double", label) for label in manifest.labels])
        ),
        {name: packages[name] for name in names if name in packages},
        {"version": version, "revision": manifest.revision},
    )


class LoadedBundle:
    """What MLflow calls: a model, and a frame with a column `text` at a time."""

    def __init__(self, model: EmotionModel) -> None:
        self._model = model

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Probabilities of every label; missing for an empty text."""
        del params
        scored = score(self._model, [str(text) for text in frame["text"]])
        return pd.DataFrame(scored.probabilities, index=frame.index, columns=list(self._model.labels)).astype(float)


def _load_pyfunc(path: str) -> LoadedBundle:
    """The entry that MLflow calls with the folder that `write_pyfunc` gave it."""
    return LoadedBundle(load(Path(path)))
