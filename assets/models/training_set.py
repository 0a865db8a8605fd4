"""Frozen training sets: the rows of a fit as a Parquet file named by its content, for trainers and notebooks.

They never open the warehouse. Which rows belong in a fit is decided by the backtest.
"""

import hashlib
import json
import os
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

FOLDER = "training_sets"
WITHDRAWN = ".withdrawn"
"""Ending of the note beside a set from which rows were taken: somebody in it was forgotten."""


class TrainingSetError(ValueError):
    """A frozen training set is absent or is not what its name says."""


def freeze(frame: pd.DataFrame, home: Path) -> tuple[str, Path]:
    """Write a frame under the home; the same rows in any order give the same bytes.

    Returns:
        The training set's id (sha256 of the file) and its path.
    """
    rows = frame.sort_values(["source", "video_id"], kind="stable")
    table = pa.Table.from_pandas(rows, preserve_index=False).replace_schema_metadata(None)
    folder = home / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(suffix=".parquet", dir=folder)
    os.close(descriptor)
    written = Path(name)
    try:
        pq.write_table(table, written, compression="zstd", version="2.6", data_page_version="1.0")
        training_set_id = hashlib.sha256(written.read_bytes()).hexdigest()
        path = folder / f"{training_set_id}.parquet"
        os.replace(written, path)
    finally:
        written.unlink(missing_ok=True)
    return training_set_id, path


def withdraw_rows(home: Path, training_set_id: str, kept: pa.Table) -> None:
    """Leave only some rows of a frozen training set, which keeps its name: what was made from it can be told, and not made again."""
    path = home / FOLDER / f"{training_set_id}.parquet"
    part = path.with_suffix(".part")
    pq.write_table(kept, part, compression="zstd", version="2.6", data_page_version="1.0")
    sha256 = hashlib.sha256(part.read_bytes()).hexdigest()
    note = path.with_suffix(WITHDRAWN)
    note.with_suffix(".note").write_text(json.dumps({"sha256": sha256, "rows": kept.num_rows}))
    os.replace(note.with_suffix(".note"), note)
    os.replace(part, path)


def _expected(path: Path) -> str:
    """The sha256 that a set's file has: its name, or what the note of its withdrawal says."""
    note = path.with_suffix(WITHDRAWN)
    return str(json.loads(note.read_text())["sha256"]) if note.exists() else path.stem


def thaw(home: Path, training_set_id: str) -> pd.DataFrame:
    """Read a frozen training set; of a withdrawn one, the rows that are left.

    Raises:
        TrainingSetError: There is none of that id, or its bytes were changed.
    """
    path = home / FOLDER / f"{training_set_id}.parquet"
    if not path.exists():
        raise TrainingSetError(
            f"no training set {training_set_id} in {path.parent}; run the backtest that made it again"
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != _expected(path):
        raise TrainingSetError(f"{path} was changed after it was frozen; run the backtest that made it again")
    frame: pd.DataFrame = pq.read_table(path).to_pandas()
    return frame
