"""Which columns of a frame are features, what kind each is, and the frame as plain arrays.

Identifiers, times and labels are listed here as what they are, so that none of them can become a feature. Nothing here is
fitted.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

NOT_FEATURES = frozenset(
    {
        *("source", "video_id", "channel_id"),
        *("anchor_at", "anchor_day", "as_of", "cutoff", "first_seen_at", "day"),
        *("target", "status", "value", "label", "matured_at", "observed_at", "last_level"),
        *("title", "description", "category", "language_guess", "view_regime", "style"),
    }
)
CATEGORIES = ("category", "language_guess", "view_regime", "style")
TEXT = "title"
CONTENT_PREFIXES = {
    "text_": "text",
    "image_": "image",
    "look_": "image",
    "audio_": "audio",
    "sound_": "audio",
    "film_": "video",
    "motion_": "video",
    "fused_": "fused",
    "style_": "style",
    "neighbour_": "neighbours",
    "emotion_": "emotions",
    "speech_": "transcript",
}
"""How the columns that content and words give begin, and the group that each belongs to."""
SCALARS = frozenset({"scalars", "channel", "title"})
"""What a forecaster sees unless it says otherwise: everything but vectors of content, what is made of them, and words."""
WORDS = frozenset({"emotions", "transcript"})
"""What words tell, which is in every frame where there are any."""


def group_of(name: str) -> str:
    """The group of a feature column: one of content, `title`, or `scalars`."""
    if name in (TEXT, "style"):
        return "title" if name == TEXT else "style"
    return next((group for prefix, group in CONTENT_PREFIXES.items() if name.startswith(prefix)), "scalars")


class SchemaError(ValueError):
    """A frame or a row does not have the columns that a model was made for; names them."""


@dataclass(frozen=True)
class Schema:
    """The feature columns of a frame, in order.

    Attributes:
        numeric: Numeric columns, sorted by name.
        categorical: Columns of strings that are used as they are.
        text: Whether the title is read.
        channel: Whether the channel's earlier outcomes are.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    text: bool
    channel: bool

    @classmethod
    def of(cls, frame: pd.DataFrame, groups: Collection[str] = SCALARS) -> "Schema":
        """The schema of a frame: everything of some groups that is no id, time or label.

        Args:
            frame: Its columns are what there is.
            groups: Groups that are seen: those of `group_of`, and `channel`.

        Raises:
            SchemaError: The frame has no numeric feature of these groups.
        """
        numeric = tuple(
            sorted(
                str(name)
                for name in frame.columns
                if name not in NOT_FEATURES
                and group_of(str(name)) in groups
                and pd.api.types.is_numeric_dtype(frame[name].dtype)
            )
        )
        if not numeric:
            raise SchemaError(f"the frame has no numeric feature column of {', '.join(sorted(groups))}")
        categorical = tuple(name for name in CATEGORIES if name in frame.columns and group_of(name) in groups)
        return cls(numeric, categorical, TEXT in frame.columns and "title" in groups, "channel" in groups)

    @property
    def fingerprint(self) -> str:
        """sha256 of the columns and their kinds."""
        kinds = [self.numeric, self.categorical, self.text, self.channel]
        return hashlib.sha256(json.dumps(kinds).encode()).hexdigest()

    @property
    def columns(self) -> tuple[str, ...]:
        """Every feature column."""
        return (*self.numeric, *self.categorical, *((TEXT,) if self.text else ()))

    def require(self, frame: pd.DataFrame) -> None:
        """Refuse a frame that lacks a column, or whose numeric column is not numeric.

        Raises:
            SchemaError: Names the columns.
        """
        if missing := [name for name in self.columns if name not in frame.columns]:
            raise SchemaError(f"columns missing: {', '.join(missing)}")
        if wrong := [name for name in self.numeric if not pd.api.types.is_numeric_dtype(frame[name].dtype)]:
            raise SchemaError(f"columns not numeric: {', '.join(wrong)}")


@dataclass(frozen=True)
class Rows:
    """A frame as arrays of one length, the only form that learned forecasters see.

    A single row that is taken from a batch is prepared by the same operations on the same numbers, so its vector is equal to
    the bit.

    Attributes:
        numeric: Float64 of shape (rows, len(schema.numeric)), NaN where missing.
        categorical: Per column an object array of strings, None where missing.
        titles: Object array of strings, empty where missing.
        channels: Object array of channel ids, None where missing.
        level: Last known level (ln views), NaN where there is none.
    """

    numeric: np.ndarray[Any, np.dtype[np.float64]]
    categorical: Mapping[str, np.ndarray[Any, Any]]
    titles: np.ndarray[Any, Any]
    channels: np.ndarray[Any, Any]
    level: np.ndarray[Any, np.dtype[np.float64]]

    @classmethod
    def of(cls, frame: pd.DataFrame, schema: Schema) -> "Rows":
        """The rows of a frame.

        Raises:
            SchemaError: The frame does not have the schema's columns.
        """
        schema.require(frame)
        numeric = frame.loc[:, list(schema.numeric)].to_numpy(dtype=np.float64, na_value=np.nan)
        return cls(
            numeric=np.ascontiguousarray(numeric),
            categorical={name: _strings(frame, name) for name in schema.categorical},
            titles=_strings(frame, TEXT, missing=""),
            channels=_strings(frame, "channel_id"),
            level=last_level(frame),
        )

    def __len__(self) -> int:
        return len(self.numeric)

    def take(self, positions: np.ndarray[Any, Any] | slice) -> "Rows":
        """The rows at some positions."""
        return Rows(
            self.numeric[positions],
            {name: values[positions] for name, values in self.categorical.items()},
            self.titles[positions],
            self.channels[positions],
            self.level[positions],
        )

    @classmethod
    def stack(cls, parts: Sequence["Rows"]) -> "Rows":
        """Rows below one another; `parts` must not be empty."""
        return cls(
            np.concatenate([part.numeric for part in parts]),
            {name: np.concatenate([part.categorical[name] for part in parts]) for name in parts[0].categorical},
            np.concatenate([part.titles for part in parts]),
            np.concatenate([part.channels for part in parts]),
            np.concatenate([part.level for part in parts]),
        )


def last_level(frame: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The last known level of each row, NaN where the frame has none."""
    if "last_level" not in frame.columns:
        return np.full(len(frame), np.nan)
    return frame["last_level"].to_numpy(dtype=np.float64, na_value=np.nan)


def channels_of(frame: pd.DataFrame) -> np.ndarray[Any, Any]:
    """Channel ids as an object array, None where missing."""
    return _strings(frame, "channel_id")


def _strings(frame: pd.DataFrame, name: str, missing: str | None = None) -> np.ndarray[Any, Any]:
    if name not in frame.columns:
        return np.full(len(frame), missing, dtype=object)
    values = frame[name].astype(object)
    return np.asarray(values.where(values.notna(), missing).to_numpy(), dtype=object)
