"""A bundle as an MLflow model: anybody who has Upswell installed can load it from the registry, and it refuses other input.

Written here and loaded by MLflow through `_load_pyfunc`; the forecasts are the bundle's own (`predictor`).
"""

import shutil
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from assets.models.columns import TEXT
from assets.models.forecasters import FORECASTERS
from assets.models.intervals import LEVELS
from assets.models.predictor import FOLDER, Manifest, ModelError, Predictor, read_manifest

FINGERPRINT = "feature_fingerprint"
_PACKAGES = ("upswell", "numpy", "pandas", "scikit-learn", "scipy", "joblib")
_OWN_PACKAGE = {"lightgbm": "lightgbm", "fusion_network": "torch", "fusion_network_classifier": "torch"}
"""What the bundles of some forecasters need besides."""


def write_pyfunc(home: Path, version: str, packages: dict[str, str], folder: Path) -> None:
    """Write a kept bundle as an MLflow model.

    Args:
        home: Where the bundle is kept.
        version: Its name.
        packages: Versions of the packages that it was made with.
        folder: The model's folder; must not exist.

    Raises:
        ModelError: There is no such bundle.
    """
    manifest = read_manifest(home, version)
    data = folder.with_name("bundle")
    shutil.copytree(home / FOLDER / version, data / FOLDER / version, ignore=shutil.ignore_patterns("*.md"))
    own = _OWN_PACKAGE.get(manifest.forecaster)
    save_pyfunc(
        folder,
        __name__,
        data,
        signature(manifest),
        {name: packages[name] for name in (*_PACKAGES, own) if name in packages},
        {"version": version, FINGERPRINT: manifest.feature_fingerprint},
    )


def save_pyfunc(
    folder: Path, loader: str, data: Path, read_and_said: Any, packages: dict[str, str], metadata: dict[str, str]
) -> None:
    """Have MLflow write a model that a module of ours loads.

    Args:
        folder: The model's folder; must not exist.
        loader: The module.
        data: Folder that it is given; moves into the model.
        read_and_said: The model's signature.
        packages: Versions of what it needs, by name.
        metadata: What the model's page says besides.
    """
    from mlflow.pyfunc import save_model

    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # that there is no example of an input: what people wrote stays here
        save_model(
            path=folder,
            loader_module=loader,
            data_path=str(data),
            signature=read_and_said,
            pip_requirements=[f"{name}=={version.split('+')[0]}" for name, version in packages.items()],
            metadata=metadata,
        )
    shutil.rmtree(data)


def signature(manifest: Manifest) -> Any:
    """What a model reads and says: the columns of its feature schema, and the fingerprint of what made them."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    numeric = [ColSpec("double", name) for name in manifest.numeric]
    words = [ColSpec("string", name) for name in (*manifest.categorical, *((TEXT,) if manifest.text else ()))]
    inputs = [
        *(ColSpec("string", name) for name in ("source", "video_id")),
        ColSpec("string", "channel_id", required=False),
        *(ColSpec("datetime", name) for name in ("anchor_at", "as_of")),
        ColSpec("double", "last_level", required=False),
        *numeric,
        *words,
    ]
    bounds = [f"{side}_{level}" for level in LEVELS for side in ("lower", "upper")]
    said = ["probability"] if FORECASTERS[manifest.forecaster].kind == "class" else ["point", *bounds]
    return ModelSignature(
        Schema(inputs),
        Schema([ColSpec("double", name) for name in said]),
        ParamSchema([ParamSpec(FINGERPRINT, "string", "")]),
    )


class LoadedBundle:
    """What MLflow calls: a bundle, and a frame of feature rows at a time."""

    def __init__(self, home: Path, version: str) -> None:
        self._home, self._version = home, version

    def predict(self, frame: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The forecast of every row.

        Args:
            frame: Feature rows of the model's source and cutoff.
            params: `feature_fingerprint`, the fingerprint of what made the rows.

        Raises:
            ModelError: The fingerprint is not stated or another one, or the rows are for another model.
        """
        stated = (params or {}).get(FINGERPRINT)
        if not stated:
            raise ModelError(
                f"say what made the rows: params={{'{FINGERPRINT}': features_fingerprint()}}, as it was where they were made"
            )
        said = Predictor.load(self._home, self._version, frame, stated).forecasts()
        return pd.DataFrame(said, index=frame.index)


def _load_pyfunc(path: str) -> LoadedBundle:
    """The entry that MLflow calls with the folder that `write_pyfunc` gave it."""
    home = Path(path)
    (version,) = (found.name for found in (home / FOLDER).iterdir())
    return LoadedBundle(home, version)
