"""The training frame: one row per video with everything known at a cutoff, and its outcome where that has matured.

Reads the feature tables; what is fitted on a frame lives in assets/models.
"""

import hashlib
import json

import pandas as pd

from assets.features.build import TABLES, code_version
from assets.language.measures import load_measures
from resources.settings import ClassTarget, MeasuredTarget, Settings
from warehouse.connection import Warehouse
from warehouse.contracts import table

IDENTITY = ("source", "video_id", "channel_id", "anchor_at", "as_of")
TEXT = ("title", "description")
CATEGORIES = ("category", "language_guess", "view_regime")
COUNTS = ("views", "likes", "comments", "shares", "saves")
OUTCOME = ("status", "value", "matured_at", "last_level")
_ROWS = """FROM features.content c
    JOIN features.channel h ON h.source = c.source AND h.video_id = c.video_id AND h.cutoff = $cutoff
    LEFT JOIN features.targets t ON t.source = c.source AND t.video_id = c.video_id AND t.target = $target"""
_OUTCOME = """CASE WHEN t.observed_at > h.as_of OR $cutoff = 'pre' THEN t.value END AS value,
    CASE WHEN t.observed_at > h.as_of OR $cutoff = 'pre' THEN t.matured_at END AS matured_at"""
_NOT_FEATURES = {"cutoff", "anchor_day", "day", "first_seen_at", "known_at", *IDENTITY, *OUTCOME}


def numeric_features(cutoff: str) -> list[str]:
    """The numeric feature columns of a cutoff, in their order; further measures (`metric_<name>`) come after them."""
    names: list[str] = []
    for name in ("content", "engagement", "channel", "context"):
        if name == "engagement" and cutoff == "pre":
            continue
        for column in table(f"features.{name}").columns:
            if column.name not in _NOT_FEATURES and column.type in ("INTEGER", "BIGINT", "DOUBLE"):
                names.append(column.name)
    return names


def features_fingerprint() -> str:
    """Changes when the code behind any feature does; a model refuses rows of another fingerprint."""
    versions = {name: code_version(name) for name in TABLES}
    return hashlib.sha256(json.dumps(versions, sort_keys=True).encode()).hexdigest()[:16]


def load_outcomes(warehouse: Warehouse, settings: Settings, source: str, target: str, cutoff: str) -> pd.DataFrame:
    """`anchor_at`, `as_of`, `value` and `matured_at` of the rows that `load_frame` gives, in any order; the same arguments.

    Raises:
        ValueError: The (target, cutoff) pair cannot be forecast honestly.
    """
    rows: pd.DataFrame = warehouse.query(
        f"SELECT c.anchor_at, h.as_of, {_OUTCOME} {_ROWS} WHERE c.source = $source",
        {"source": source, "target": _measured(settings, target, cutoff), "cutoff": cutoff},
    ).to_pandas()
    return rows


def load_frame(warehouse: Warehouse, settings: Settings, source: str, target: str, cutoff: str) -> pd.DataFrame:
    """One row per video of a source whose moment (anchor + cutoff) has come.

    Args:
        warehouse: Where the feature tables are read.
        settings: Defines the target.
        source: Source.
        target: Target; for a class the value of the target that it is made `of`, since its threshold is fitted.
        cutoff: Cutoff.

    Returns:
        IDENTITY, TEXT and CATEGORIES columns, the numeric features (float, NaN = missing), `metric_<name>` per further
        measure, `emotion_*` and `speech_*` where there are words, and OUTCOME: `status`, `value`, `matured_at`, `last_level` (last known level on the target's own scale,
        where it has one). Sorted by anchor and id.

    Raises:
        ValueError: The (target, cutoff) pair cannot be forecast honestly.
    """
    measured = _measured(settings, target, cutoff)
    features = numeric_features(cutoff)
    select = ", ".join(f"CAST({feature} AS DOUBLE) AS {feature}" for feature in features)
    early = "LEFT JOIN features.engagement e ON e.source = c.source AND e.video_id = c.video_id AND e.cutoff = h.cutoff"
    con = warehouse.extract(
        {
            "frame": f"""
                SELECT c.source, c.video_id, c.channel_id, c.anchor_at, h.as_of, c.title, c.description, c.category,
                       c.language_guess, c.view_regime, {select}, coalesce(t.status, 'pending') AS status, {_OUTCOME}
                {_ROWS}
                {"" if cutoff == "pre" else early}
                LEFT JOIN features.context x ON x.source = c.source AND x.day = CAST(h.as_of AS DATE)
                WHERE c.source = $source
                ORDER BY c.anchor_at, c.video_id""",
            "metrics": """SELECT video_id, metric, value FROM features.metrics
                WHERE source = $source AND cutoff = $cutoff ORDER BY metric, video_id""",
        },
        {"source": source, "target": measured, "cutoff": cutoff},
    )
    with con:
        frame = con.execute("SELECT * FROM frame ORDER BY anchor_at, video_id").df()
        metrics = con.execute("SELECT * FROM metrics").df()
    for metric, rows in metrics.groupby("metric"):
        frame[f"metric_{metric}"] = frame["video_id"].map(rows.set_index("video_id")["value"])
    frame = frame.join(load_measures(warehouse, source, cutoff), on="video_id")
    level = _level_column(settings, measured, cutoff)
    frame["last_level"] = frame[level] if level else float("nan")
    return frame


def _measured(settings: Settings, target: str, cutoff: str) -> str:
    """The target whose value a frame has: of a class the one that it is made of."""
    refusal = settings.refusal(target, cutoff)
    if refusal:
        raise ValueError(refusal)
    definition = settings.targets[target]
    return definition.of if isinstance(definition, ClassTarget) else target


def _level_column(settings: Settings, target: str, cutoff: str) -> str | None:
    definition = settings.targets[target]
    if cutoff == "pre" or not isinstance(definition, MeasuredTarget) or definition.transform != "log":
        return None
    return f"{definition.metric}_log" if definition.metric in COUNTS else None


def sources(warehouse: Warehouse) -> list[str]:
    """The sources that there are features of."""
    with warehouse.read() as con:
        return [name for (name,) in con.execute("SELECT DISTINCT source FROM features.content ORDER BY ALL").fetchall()]
