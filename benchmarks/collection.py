"""500 landings of one `videos.list` reply of 50 videos each: parsed, kept under their sha256 and ingested, on one core.

In a process of its own that may use one core only. Beside it, the same lines in one landing, as a collection run leaves them.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.figures import row

VIDEOS = 50
PER_MINUTE = 500
FIRST = datetime(2025, 6, 1)


def reply(batch: int) -> dict[str, Any]:
    """One line of a landing: 50 videos as the Data API tells them, seen again every 100 batches."""
    at = FIRST + timedelta(minutes=batch)
    items = []
    for number in range(batch % 100 * VIDEOS, (batch % 100 + 1) * VIDEOS):
        views = 1000 + 37 * number + 11 * batch
        items.append(
            {
                "kind": "youtube#video",
                "etag": f"etag{number}",
                "id": f"video{number:06d}",
                "snippet": {
                    "publishedAt": f"2025-05-{1 + number % 28:02d}T12:00:00Z",
                    "channelId": f"UC{number % 500:022d}",
                    "channelTitle": f"Channel {number % 500}",
                    "title": f"A video of number {number}, with a title of the usual length #shorts",
                    "description": "What is said of a video goes on for a few lines. " * 8,
                    "tags": ["one", "two", f"tag {number % 30}"],
                    "categoryId": "24",
                    "thumbnails": {"high": {"url": f"https://i.ytimg.com/vi/video{number:06d}/hqdefault.jpg"}},
                },
                "contentDetails": {"duration": f"PT{10 + number % 50}S", "caption": "false", "contentRating": {}},
                "statistics": {
                    "viewCount": str(views),
                    "likeCount": str(views // 20),
                    "commentCount": str(views // 300),
                },
                "status": {"uploadStatus": "processed", "privacyStatus": "public", "madeForKids": False},
            }
        )
    return {"collected_at": f"{at.isoformat()}Z", "request": {"part": "snippet"}, "reply": {"items": items}}


def measure(folder: Path, batches: int, together: bool) -> dict[str, Any]:
    """Seconds, of the clock and of the core, of ingesting the batches, one landing each or all in one."""
    from assets.raw.ingest import LandingResult, ingest_all
    from resources.settings import load_settings
    from warehouse.connection import Warehouse

    warehouse, settings = Warehouse(folder / "home"), load_settings(folder)
    with warehouse.read():
        pass
    lines = [json.dumps(reply(batch)) + "\n" for batch in range(batches)]
    files = {"run.youtube_api.jsonl": "".join(lines)} if together else {}
    files = files or {f"{number:04d}.youtube_api.jsonl": line for number, line in enumerate(lines)}
    inbox = folder / "inbox"
    inbox.mkdir()
    for name, text in files.items():
        (inbox / name).write_text(text)
    started, cpu = time.perf_counter(), time.process_time()
    results = [each for _, each in ingest_all(warehouse, settings, sorted(inbox.iterdir()), now=datetime(2025, 7, 1))]
    seconds = {"seconds": time.perf_counter() - started, "cpu": time.process_time() - cpu}
    accepted = sum(each.accepted for each in results if isinstance(each, LandingResult))
    assert accepted == batches * VIDEOS, f"{accepted} of {batches * VIDEOS} records accepted"
    return seconds


def _on_one_core(batches: int, together: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        program = [sys.executable, "-m", "benchmarks.collection", place, str(batches), str(int(together))]
        done = subprocess.run(program, check=True, capture_output=True, text=True)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Batches a minute, one landing each, and all in one landing."""
    batches = 50 if quick else 500
    apart, together = (_on_one_core(batches, each) for each in (False, True))
    rate, reference = (60 * batches / each["seconds"] for each in (apart, together))
    videos = f"{rate * VIDEOS:,.0f} videos a minute, {1000 * apart['cpu'] / batches:.0f} ms of CPU a batch"
    return [
        row("collection", f"{batches} landings of {VIDEOS} videos, parsed, kept and ingested on one core ({videos})", rate,
            "batches/min", reference, f"at least {PER_MINUTE} a minute", rate >= PER_MINUTE),
        row("collection", f"{batches} batches in one landing", reference, "batches/min", None, "for information", True),
    ]  # fmt: skip


if __name__ == "__main__":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    print(json.dumps(measure(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "1")))
