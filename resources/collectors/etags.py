"""Which version of an answer was landed last, so that a host need not send it again.

Kept in one small file of the home under hashes of the addresses; to lose it costs one answer each. An ETag is noted only
when what came with it has been kept, and is asked for only where an unchanged answer says nothing that is not known:
never for counts, which are an observation also where they have not changed.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

_MOST = 5000
_ALL = ""
Noted = tuple[str | None, datetime | None]
"""An ETag, if there was one, and how far back what came with it has been kept (None: to the beginning)."""


class Etags:
    """The ETags of a home.

    Args:
        home: Folder of the home.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "fetched" / "etags.json"
        self._known: dict[str, tuple[str, str]] = self._load()

    def get(self, url: str, since: datetime | None = None) -> str | None:
        """The ETag of what was landed last from an address, if that reaches back to `since` (None: to the beginning)."""
        etag, reaches = self._known.get(_key(url), (None, _ALL))
        return etag if reaches == _ALL or (since is not None and since.isoformat() >= reaches) else None

    def note(self, etags: Mapping[str, Noted]) -> None:
        """Notes what has been kept, by address."""
        for url, (etag, since) in etags.items():
            self._known.pop(_key(url), None)
            if etag:
                self._known[_key(url)] = (etag, since.isoformat() if since else _ALL)
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        if etags:
            with contextlib.suppress(OSError):  # a full disk is told by what has to be written
                self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        scratch = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        scratch.write_text(json.dumps(self._known))
        os.replace(scratch, self._path)

    def _load(self) -> dict[str, tuple[str, str]]:
        try:
            known = json.loads(self._path.read_bytes())
            return {key: (str(etag), str(reaches)) for key, (etag, reaches) in known.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}


def _key(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()
