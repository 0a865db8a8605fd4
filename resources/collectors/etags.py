"""Which version of an answer was landed last, so that a host need not send it again.

Kept in one small file of the home under hashes of the addresses; to lose it costs one answer each. An ETag is noted only
when what came with it has been kept, and is asked for only where an unchanged answer says nothing that is not known:
never for counts, which are an observation also where they have not changed.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

_MOST = 5000


class Etags:
    """The ETags of a home.

    Args:
        home: Folder of the home.
    """

    def __init__(self, home: Path) -> None:
        self._path = home / "collecting" / "etags.json"
        self._known: dict[str, str] = self._load()

    def get(self, url: str) -> str | None:
        """The ETag of what was landed last from an address."""
        return self._known.get(_key(url))

    def note(self, etags: Mapping[str, str | None]) -> None:
        """Notes the ETags of answers that have been kept, by address; None: that one had none."""
        for url, etag in etags.items():
            self._known.pop(_key(url), None)
            if etag:
                self._known[_key(url)] = etag
        while len(self._known) > _MOST:
            del self._known[next(iter(self._known))]
        if etags:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            scratch = self._path.with_name(f"{self._path.name}.{os.getpid()}")
            scratch.write_text(json.dumps(self._known))
            os.replace(scratch, self._path)

    def _load(self) -> dict[str, str]:
        try:
            known = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        return {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}


def _key(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()
