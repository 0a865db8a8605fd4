"""What the fitted encoders share: descriptors are standardised and rotated onto their principal components; saved without pickle.

What a descriptor is, is in `embedded_image`, `embedded_audio` and `embedded_video`; texts have a way of their own, in `embedded_text`.
"""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from resources.encoders.base import Content, EncoderError, Modality, Precision, Vectors
from resources.encoders.memory import DescriptorMemory

Array = np.ndarray[Any, Any]
_MEMORY = DescriptorMemory()
_SPREAD = 8.0
"""Standard deviations at which a descriptor is cut, so that one odd content does not outweigh all others."""


def write_arrays(path: Path, kind: str, arrays: Mapping[str, Array], said: Mapping[str, Any]) -> None:
    """Writes arrays and JSON to one file that is read without running code that it holds."""
    text = np.frombuffer(json.dumps({"encoder": kind, **said}, ensure_ascii=False).encode(), np.uint8)
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, said=text, **arrays)


def read_arrays(path: Path, kind: str) -> tuple[dict[str, Array], dict[str, Any]]:
    """What `write_arrays` wrote.

    Raises:
        EncoderError: The file is missing, damaged, or of another encoder.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        said = json.loads(arrays.pop("said").tobytes())
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise EncoderError(f"{path}: cannot be read as a fitted encoder: {error}") from error
    except Exception as error:  # zipfile's and zlib's own errors share no other parent
        raise EncoderError(f"{path}: damaged: {error}") from error
    if said.get("encoder") != kind:
        raise EncoderError(f"{path}: holds {said.get('encoder')!r}, not {kind!r}")
    return arrays, said


def fingerprint(arrays: Mapping[str, Array], said: Mapping[str, Any]) -> str:
    """Revision of a fitted encoder: equal if and only if all that was fitted is."""
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    return digest.hexdigest()[:32]


class DescribedEncoder:
    """Descriptors, standardised, on their principal components (`resources.encoders.base.FittedEncoder`).

    A subclass says what a descriptor is. Vectors are scaled so that the contents fitted on have mean squared length 1.

    Args:
        components: Principal components kept, fewer where the contents do not have as many.
    """

    name: str
    modality: Modality
    preprocessing: str
    precision: Precision = "fp32"
    default_components: ClassVar[int]

    def __init__(self, components: int | None = None) -> None:
        self.components = components or self.default_components
        self.revision = ""
        self.dim = 0
        self._arrays: dict[str, Array] = {}

    @abstractmethod
    def describe(self, batch: Sequence[Content]) -> Vectors:
        """Raw descriptors, shape (len(batch), raw); the slow part, which needs no fit. A row of NaN where there is nothing in it."""

    def fit(self, contents: Sequence[Content]) -> Self:
        """Fits on contents; sets `revision` and `dim`.

        Raises:
            EncoderError: There are too few contents, or nothing in them varies.
        """
        if not len(contents):
            raise EncoderError(f"{self.name}: 0 contents are too few to fit on; 2 is the least")
        return self.fit_described(self._described(contents))

    def fit_described(self, raw: Vectors) -> Self:
        """`fit` on what `describe` gave; rows that are not finite are left out."""
        from sklearn.decomposition import PCA

        rows = np.asarray(raw, np.float64)[np.isfinite(raw).all(axis=1)]
        if len(rows) < 2:
            raise EncoderError(f"{self.name}: {len(rows)} contents are too few to fit on; 2 is the least")
        mean, spread = rows.mean(axis=0), rows.std(axis=0)
        varies = spread > 1e-7 * np.maximum(1.0, np.abs(mean))
        if not varies.any():
            raise EncoderError(f"{self.name}: the {len(rows)} contents are all alike; nothing to fit on")
        scale = np.where(varies, 1.0 / np.where(varies, spread, 1.0), 0.0)
        standard = np.clip((rows - mean) * scale, -_SPREAD, _SPREAD)
        solver = "covariance_eigh" if len(rows) > rows.shape[1] else "full"
        pca = PCA(min(self.components, len(rows) - 1, rows.shape[1]), svd_solver=solver).fit(standard)
        kept = pca.explained_variance_ > 1e-9 * pca.explained_variance_[0]
        rotation = pca.components_[kept] / np.sqrt(pca.explained_variance_[kept].sum())
        arrays = {"mean": mean, "scale": scale, "centre": pca.mean_, "rotation": rotation}
        return self._hold({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()})

    def _hold(self, arrays: dict[str, Array]) -> Self:
        self._arrays = arrays
        self.dim = len(arrays["rotation"])
        self.revision = fingerprint(arrays, {"encoder": self.name, "preprocessing": self.preprocessing})
        return self

    def project(self, raw: Vectors) -> Vectors:
        """Vectors of what `describe` gave, shape (n, dim); computed in float64, so that the batch does not show in float32.

        Raises:
            EncoderError: It is not fitted, or on descriptors of another length.
        """
        if not self._arrays:
            raise EncoderError(f"{self.name}: is fitted on contents; call fit or load first")
        fitted = {name: array.astype(np.float64) for name, array in self._arrays.items()}
        if raw.shape[1] != len(fitted["mean"]):
            raise EncoderError(
                f"{self.name}: descriptors of {raw.shape[1]} numbers, fitted on {len(fitted['mean'])}; fit anew"
            )
        standard = np.clip((raw - fitted["mean"]) * fitted["scale"], -_SPREAD, _SPREAD)
        return np.asarray((standard - fitted["centre"]) @ fitted["rotation"].T, np.float32)

    def encode(self, batch: Sequence[Content]) -> Vectors:
        """Vectors of shape (len(batch), dim)."""
        return self.project(self._described(batch)) if len(batch) else np.empty((0, self.dim), np.float32)

    def _described(self, batch: Sequence[Content]) -> Vectors:
        return _MEMORY.described(f"{self.name} {self.preprocessing}", batch, self.describe)

    def save(self, path: Path) -> None:
        """Writes what was fitted."""
        if not self._arrays:
            raise EncoderError(f"{self.name}: is fitted on contents; there is nothing to save before fit")
        write_arrays(
            path, self.name, self._arrays, {"preprocessing": self.preprocessing, "components": self.components}
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """The encoder that `save` wrote.

        Raises:
            EncoderError: The file is no such encoder, or of another version of its descriptors.
        """
        arrays, said = read_arrays(path, cls.name)
        if said["preprocessing"] != cls.preprocessing:
            raise EncoderError(
                f"{path}: fitted on {said['preprocessing']}, this version makes {cls.preprocessing}; fit anew"
            )
        return cls(said["components"])._hold(arrays)
