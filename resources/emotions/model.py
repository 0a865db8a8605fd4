"""An emotion model as a folder that says what it is: the protocol, the manifest, and the one way to load any kind.

How a kind computes is in a module of its own, imported when such a model is loaded. No model is trained here.
"""

import hashlib
import importlib
import json
import os
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from resources.emotions.decisions import Decisions

MANIFEST = "emotions.json"
Kind = Literal["baseline", "network", "onnx", "ensemble"]
_MODULES: Mapping[Kind, str] = {
    "baseline": "resources.emotions.baseline",
    "network": "resources.emotions.network",
    "onnx": "resources.emotions.onnx",
    "ensemble": "resources.emotions.ensemble",
}
"""Where a kind's `load(folder, manifest)` is."""


class EmotionError(ValueError):
    """A model cannot be had, or is not what it says; names what is wrong and the remedy."""


class EmotionModel(Protocol):
    """Gives the logits of every label for any texts.

    Attributes:
        name: As the settings and the board write it.
        revision: Fingerprint of manifest and files: equal revisions give equal decisions.
        labels: In the order of the logits.
        decisions: What logits become.
    """

    name: str
    revision: str
    labels: tuple[str, ...]
    decisions: Decisions

    def logits(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """float32 [n, labels], before the temperature, of texts as they come out of `texts.prepared`.

        A text's logits do not depend on what else is in the batch (but for the last bits).
        """
        ...


class Manifest(BaseModel):
    """What a folder holds.

    Attributes:
        version: Of this format.
        kind: How it is loaded.
        name: Name of the model.
        labels: In the order of its logits.
        decisions: Fitted on dev texts only.
        max_tokens: Tokens of a text that it reads; None where it has no such limit.
        known_at: When the last of its training texts was known (UTC); None where that was not kept, and then
            no value of it counts for any time before it was made.
        trained_on: Identifier of the frozen training set, or what is known instead.
        files: sha256 of every file, by name.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    kind: Kind
    name: str
    labels: tuple[str, ...]
    decisions: Decisions
    max_tokens: int | None = None
    known_at: datetime | None = None
    trained_on: str = ""
    files: dict[str, str] = {}

    @model_validator(mode="after")
    def _fits(self) -> "Manifest":
        if len(set(self.labels)) != len(self.labels) or not self.labels:
            raise ValueError(f"labels are not distinct: {', '.join(self.labels) or 'there is none'}")
        if len(self.labels) != len(self.decisions.thresholds):
            raise ValueError(f"{len(self.labels)} labels, but {len(self.decisions.thresholds)} thresholds")
        return self

    @property
    def revision(self) -> str:
        """sha256 of all of it, the files' included: 32 hex digits."""
        stated = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(stated.encode()).hexdigest()[:32]


def seal(folder: Path, manifest: Manifest) -> Manifest:
    """Make a folder with a model's files a bundle: writes the manifest, with the sha256 of all other files; returns it."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    files = {name: _sha256(folder / name) for name in names if Path(name).name != MANIFEST or "/" in name}
    sealed = manifest.model_copy(update={"files": files})
    draft = folder / f".{MANIFEST}.{os.getpid()}"
    draft.write_text(sealed.model_dump_json(indent=1))
    os.replace(draft, folder / MANIFEST)
    return sealed


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle whose files are the ones it was sealed with.

    Raises:
        EmotionError: There is none, it is not valid, or a file is absent or changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise EmotionError(
            f"{folder} holds no emotion model ({MANIFEST} is absent); `upswell train emotions` makes one"
        )
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise EmotionError(f"{path}: {where}: {first['msg']}") from error
    for name, sha256 in manifest.files.items():
        if not (folder / name).is_file():
            raise EmotionError(f"{folder} is not whole: {name} is absent; copy the folder again, or train again")
        if _sha256(folder / name) != sha256:
            raise EmotionError(
                f"{folder}: {name} was changed after it was saved; copy the folder again, or train again"
            )
    return manifest


def load(folder: Path) -> EmotionModel:
    """The model of a bundle, of whatever kind.

    Raises:
        EmotionError: The folder is no whole bundle, its labels are not those of its files, or a package is missing.
    """
    manifest = read_manifest(folder)
    loaded: EmotionModel = importlib.import_module(_MODULES[manifest.kind]).load(folder, manifest)
    return loaded


def require_labels(found: Sequence[str], wanted: Sequence[str], where: str) -> None:
    """Refuse labels that are others, more, fewer, or in another order.

    Args:
        found: Labels of some files.
        wanted: Labels of the manifest, or of whoever asks.
        where: What the labels were found in, for the error.

    Raises:
        EmotionError: They differ; names both.
    """
    if tuple(found) == tuple(wanted):
        return
    if len(found) != len(wanted):
        raise EmotionError(
            f"{where} has {len(found)} labels ({', '.join(found)}), not {len(wanted)} ({', '.join(wanted)})"
        )
    raise EmotionError(
        f"{where} has the labels in another order: {', '.join(found)}; wanted are {', '.join(wanted)}. "
        "Logits would stand for other emotions: train again, or name the model that belongs to these labels"
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
