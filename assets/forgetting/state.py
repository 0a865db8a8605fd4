"""What a forgetting is about to do, kept in a file of its own until it is done, so that an interrupted one is completed.

The file names the subject in the clear, since the stages need it; it is readable by its owner only and is removed at the end.
What each stage does is in the modules beside this one.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

FOLDER = "forgetting"


@dataclass
class Task:
    """One forgetting.

    Attributes:
        task_id: Its name, which tells nothing of the subject.
        why: The reason, as it was given.
        begun_at: When by the home's clock.
        sources: Sources that have the subject.
        subject_hash: Salted hash of the subject as it was named.
        kind: channel or video; empty where a retention class asks.
        videos: Ids of the videos.
        channels: Ids of the channel.
        names: Names of the channel.
        texts: Titles, descriptions, comments and captions of the subject that nobody else has.
        elsewhere: Ids that sources besides these have too: there they stay, so nothing is said of them.
        records: Numbers of the records that the tables hold of the subject, by landing.
        contents: Contents (sha256) of the subject that no other video has.
        done: Stages that are complete, with what each found.
    """

    task_id: str
    why: str
    begun_at: datetime
    sources: list[str]
    subject_hash: str
    kind: str
    videos: list[str] = field(default_factory=list)
    channels: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    records: dict[str, list[int]] = field(default_factory=dict)
    contents: list[str] = field(default_factory=list)
    done: dict[str, Any] = field(default_factory=dict)

    @property
    def ids(self) -> list[str]:
        """Ids of channel and videos."""
        return [*self.channels, *self.videos]


def path_of(home: Path, task_id: str) -> Path:
    """Where a task is kept while it is under way."""
    return home / FOLDER / f"{task_id}.json"


def keep(home: Path, task: Task) -> None:
    """Write a task, whole or not at all."""
    folder = home / FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = path_of(home, task.task_id)
    part = path.with_suffix(".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({**asdict(task), "begun_at": task.begun_at.isoformat()}, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def under_way(home: Path) -> list[Task]:
    """Tasks that were begun and not finished, oldest first."""
    found = [_parse(json.loads(path.read_text(encoding="utf-8"))) for path in sorted((home / FOLDER).glob("*.json"))]
    return sorted(found, key=lambda task: (task.begun_at, task.task_id))


def _parse(document: Mapping[str, Any]) -> Task:
    return Task(**{**document, "begun_at": datetime.fromisoformat(document["begun_at"])})


def finish(home: Path, task: Task) -> None:
    """Remove the file of a task that is done."""
    path_of(home, task.task_id).unlink(missing_ok=True)
    path_of(home, task.task_id).with_suffix(".part").unlink(missing_ok=True)


def unfinished(home: Path) -> list[str]:
    """Tasks that were interrupted, one line each."""
    return [
        f"{task.task_id}, begun {task.begun_at:%Y-%m-%d %H:%M}, is unfinished: {', '.join(task.done) or 'nothing'} done"
        for task in under_way(home)
    ]
