"""Landing files of one observation, complete as soon as they are there."""

import os
import time
from pathlib import Path

HEADER = "video_id,channel_id,published_at,collected_at,observed_at,view_count"


def complete(path: Path, video: str, *, views: int = 10, text: str | None = None) -> Path:
    """Writes a file beside its place and renames it there; it looks a minute old, so it is taken at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = f"{video},c1,2025-01-20T10:00:00Z,2025-01-21T10:00:00Z,2025-01-21T10:00:00Z,{views}"
    draft = path.with_name(f"{path.name}.part")
    draft.write_text(text if text is not None else f"{HEADER}\n{row}\n")
    os.utime(draft, (time.time() - 60,) * 2)
    os.replace(draft, path)
    return path
