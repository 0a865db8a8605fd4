"""Descriptors made lately: every revision of a fitted encoder projects the same ones, and making them is the slow part."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from joblib import Parallel, cpu_count, delayed

from resources.encoders.base import Content, Vectors

MOST_BYTES = 256 << 20
_PART = 256
"""Contents that a process describes at a time."""


class DescriptorMemory:
    """The descriptors of the contents that were described last, as many as fit; safe to share between threads."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.most_bytes = most_bytes
        self._rows: OrderedDict[bytes, Vectors] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def described(
        self, kind: str, batch: Sequence[Content], describe: Callable[[Sequence[Content]], Vectors]
    ) -> Vectors:
        """What `describe` gives of a batch, shape (len(batch), raw); it is asked only for what is not remembered.

        Args:
            kind: What describes: descriptors of different kinds or versions are not mixed up.
            batch: Pictures, or arrays of samples or frames; not empty.
            describe: Makes descriptors, each from its content alone.
        """
        keys = [_digest(kind, content) for content in batch]
        with self._lock:
            rows = {key: self._rows[key] for key in keys if key in self._rows}
        wanted = {key: content for key, content in zip(keys, batch, strict=True) if key not in rows}
        if wanted:
            made = dict(zip(wanted, _by_all_cores(describe, list(wanted.values())), strict=True))
            rows |= made
            self._remember(made)
        return np.stack([rows[key] for key in keys])

    def _remember(self, made: dict[bytes, Vectors]) -> None:
        with self._lock:
            for key, row in made.items():
                self._bytes += row.nbytes if key not in self._rows else 0
                self._rows[key] = row.copy()
            while self._bytes > self.most_bytes:
                self._bytes -= self._rows.popitem(last=False)[1].nbytes


def _by_all_cores(describe: Callable[[Sequence[Content]], Vectors], contents: list[Content]) -> list[Vectors]:
    """The descriptors of contents, row by row; many are shared out among processes."""
    parts = [contents[start : start + _PART] for start in range(0, len(contents), _PART)]
    if len(parts) < 2:
        return [row for part in parts for row in describe(part)]
    workers = min(cpu_count(), len(parts))
    return [row for rows in Parallel(n_jobs=workers)(delayed(describe)(part) for part in parts) for row in rows]


def _digest(kind: str, content: Any) -> bytes:
    shape = content.shape if isinstance(content, np.ndarray) else (content.mode, content.size)
    return hashlib.blake2b(f"{kind} {shape}".encode() + content.tobytes(), digest_size=16).digest()
