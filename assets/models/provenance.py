"""What code, with which packages, is running: kept beside every bundle, so that a model can be traced and made again.

Nothing about data here; that is in the manifest and in the tables.
"""

import platform
import subprocess
from functools import cache
from importlib.metadata import distributions, version
from pathlib import Path
from typing import Any

PACKAGE = "upswell"


@cache
def provenance() -> dict[str, Any]:
    """`code` (git commit, or the package's version), `python`, `platform`, and `packages` by name with their versions."""
    packages = {found.metadata["Name"]: found.version for found in distributions() if found.metadata["Name"]}
    return {
        "code": code_version(Path(__file__).parent),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": dict(sorted(packages.items(), key=lambda item: item[0].lower())),
    }


def code_version(folder: Path) -> str:
    """The commit that holds a folder's code, with `+changes` where files differ from it; else the package's version.

    An environment may lie inside the checkout of something else, so the folder's files have to be that checkout's own.
    """
    try:
        _git(folder, "ls-files", "--error-unmatch", ".")
        commit = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return f"{PACKAGE} {version(PACKAGE)}"
    return f"{commit}{'+changes' if changed else ''}"


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()
