"""Names of files that last through a loss of power, for whatever is written whole or not at all.

What is written, and under which name, is its owner's matter.
"""

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last: files made, renamed or put in the place of others."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
