"""Checkpoints of a fit: whole or not there, refused where their bytes changed, and the one before kept as well.

torch at the top: imported lazily only. What is in a checkpoint is the loop's business.
"""

import hashlib
import io
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import torch

_KEPT = 2
_DIGEST = 64
_log = logging.getLogger(__name__)


class Checkpoints:
    """The checkpoints of one fit, the two latest of them.

    A file is the sha256 of what follows, in hex, then what torch saves. It is written beside and put in place with
    `os.replace`, so a kill leaves the old one; the digest tells of anything else.

    Args:
        folder: Its own; made when the first is saved.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, step: int, state: dict[str, Any]) -> Path:
        """Keep a state of plain values and tensors; all but the two latest are removed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for torn in self.folder.glob(".draft_*"):  # of a save that was killed
            torn.unlink(missing_ok=True)
        buffer = io.BytesIO()
        torch.save(state, buffer)
        payload = buffer.getbuffer()
        descriptor, name = tempfile.mkstemp(prefix=".draft_", dir=self.folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(payload).hexdigest().encode())
                file.write(payload)
            path = self.folder / f"step_{step:09d}.pt"
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)
        for old in self._paths()[:-_KEPT]:
            old.unlink(missing_ok=True)
        return path

    def latest(self, device: str) -> dict[str, Any] | None:
        """The latest state that is whole, its tensors on `device`; None where there is none."""
        for path in reversed(self._paths()):
            content = path.read_bytes()
            if hashlib.sha256(content[_DIGEST:]).hexdigest().encode() != content[:_DIGEST]:
                _log.warning("%s is not what was saved and is passed over", path)
                continue
            state: dict[str, Any] = torch.load(io.BytesIO(content[_DIGEST:]), map_location=device, weights_only=True)
            return state
        return None

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("step_*.pt"))
