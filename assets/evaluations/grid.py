"""Which (source, target, cutoff) cells are backtested, at which origins, and whether a cell's data has changed.

Pure logic on settings and frames; fitting and scoring are in `backtest` and `scoring`.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from pathlib import Path

import pandas as pd

from resources.policy import forbidden
from resources.settings import Settings, midnight

MIN_TRAIN = 200


@dataclass(frozen=True, order=True)
class Cell:
    """One thing to forecast: a target of a source as of a cutoff."""

    source: str
    target: str
    cutoff: str

    def __str__(self) -> str:
        return f"{self.source}/{self.target}/{self.cutoff}"


def cells(
    settings: Settings,
    anchors: Mapping[str, str],
    sources: Collection[str],
    targets: Sequence[str] = (),
    cutoffs: Sequence[str] = (),
) -> list[Cell]:
    """The cells that exist among those asked for; what is not asked for is the settings' evaluation grid.

    A source that no figure may be made from has none.

    Unless asked for by name, `0h` is left out where the anchor is the publish time: few videos have been observed by then.

    Raises:
        ValueError: An unknown target or cutoff, or a pair that cannot be forecast honestly was asked for by name.
    """
    for name in targets:
        if name not in settings.targets:
            raise ValueError(f"no target {name!r}; upswell.yaml has {', '.join(settings.targets)}")
    for cutoff in cutoffs:
        if cutoff not in settings.cutoffs:
            raise ValueError(f"no cutoff {cutoff!r}; upswell.yaml has {', '.join(settings.cutoffs)}")
    found = []
    for source in sorted(set(sources) - set(forbidden(settings.policies, sources))):
        anchor = anchors[source]
        for target in targets or settings.evaluation.targets:
            if not settings.applies(target, source, anchor):
                continue
            for cutoff in cutoffs or settings.evaluation.cutoffs:
                refusal = settings.refusal(target, cutoff)
                if refusal and target in targets and cutoff in cutoffs and len(targets) == len(cutoffs) == 1:
                    raise ValueError(refusal)
                redundant = cutoff == "0h" and anchor == "published_at" and "0h" not in cutoffs
                if not refusal and not redundant:
                    found.append(Cell(source, target, cutoff))
    return found


def origins_of(frame: pd.DataFrame, first_origin: date) -> list[date]:
    """The Mondays at which enough had matured to train on and whose test week has matured since, as far as it will.

    The last week counts once something anchored after it has matured.
    """
    matured = frame[frame["value"].notna()]
    if matured.empty:
        return []
    first = max(first_origin, matured["anchor_at"].min().date())
    monday = first + timedelta(days=(7 - first.weekday()) % 7)
    known = matured[["as_of", "matured_at"]].max(axis=1).sort_values().to_numpy()
    anchors = matured["anchor_at"].sort_values().to_numpy()
    found = []
    while (start := pd.Timestamp(midnight(monday))) + pd.Timedelta(days=7) <= matured["anchor_at"].max():
        n_train = known.searchsorted(start.to_datetime64(), side="right")
        tests = anchors.searchsorted((start + pd.Timedelta(days=7)).to_datetime64()) - anchors.searchsorted(
            start.to_datetime64()
        )
        if n_train >= MIN_TRAIN and tests > 0:
            found.append(monday)
        monday += timedelta(days=7)
    return found


def data_version(frame: pd.DataFrame) -> str:
    """Fingerprint of the rows of a frame and of the code that fits and forecasts."""
    rows = pd.util.hash_pandas_object(frame, index=False).to_numpy()
    return hashlib.sha256(rows.tobytes() + "".join(frame.columns).encode() + _code_version().encode()).hexdigest()[:16]


@cache
def _code_version() -> str:
    folder = Path(__file__).parent
    models = sorted(path for path in (folder.parent / "models").rglob("*") if path.suffix in (".py", ".yaml"))
    files = [*models, folder / "backtest.py"]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
