"""A small world with planted styles, written straight into the tables that styles are made from."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from assets.clusters.fit import Matrix, Search
from assets.clusters.inputs import INTERPRETED
from resources.settings import Settings
from tests.features.raw_rows import make_settings
from warehouse.arrow import TYPES
from warehouse.connection import Warehouse
from warehouse.contracts import table
from warehouse.writer import replace_rows

ORIGIN = date(2024, 3, 18)
NOW = datetime(2024, 6, 1)
FUSION = "fusion"
SEARCH = Search(k_min=3, k_max=5, seeds=3, bootstraps=2)
WORDS = (
    ("cake", "oven", "sugar"),
    ("goal", "match", "league"),
    ("guitar", "chord", "#cover"),
    ("trail", "hike", "peak"),
)


def planted_settings() -> Settings:
    return make_settings()


@dataclass
class World:
    """Videos of four planted styles: vectors around four centres, titles with the style's words."""

    videos: pd.DataFrame
    vectors: Matrix
    outcomes: pd.DataFrame
    interpretation: pd.DataFrame = field(default_factory=pd.DataFrame)

    def select(self, chosen: Any) -> "World":
        """The world with only some of its videos (a mask)."""
        videos = self.videos[chosen].reset_index(drop=True)
        ids = set(videos["video_id"])
        return World(
            videos,
            self.vectors[np.asarray(chosen)],
            self.outcomes[self.outcomes["video_id"].isin(ids)].reset_index(drop=True),
            self.interpretation,
        )

    def write(self, warehouse: Warehouse) -> "World":
        known = self.videos
        fused = pd.DataFrame({"source": "demo", "video_id": known["video_id"], "fusion": FUSION, "status": "full"})
        fused["vector"] = list(self.vectors)
        fused[["has_text", "has_image", "has_audio", "has_video"]] = True
        fused["version"] = "1"
        content = known.drop(columns=["planted"]).assign(
            source="demo", anchor_day=known["anchor_at"].dt.date, first_seen_at=known["anchor_at"]
        )
        targets = self.outcomes.assign(source="demo", target="views_7d", status="matured")
        frames = {"embeddings.fused": fused, "features.content": content, "features.targets": targets}
        if len(self.interpretation):
            contents = pd.DataFrame({"video_id": known["video_id"], "content_id": "c" + known["video_id"]})
            contents = contents.assign(source="demo", modality="image", rank=1, known_at=known["known_at"])
            frames |= {"embeddings.contents": contents, "embeddings.interpretation": self.interpretation}
        with warehouse.write() as con:
            for name, frame in frames.items():
                replace_rows(con, table(name), declared_rows(name, frame), {})
        return self


def declared_rows(full_name: str, frame: pd.DataFrame) -> pa.Table:
    """Rows with every declared column; those that the frame lacks are null."""
    columns = table(full_name).columns
    lists = {name: frame[name].tolist() for name in frame.columns}
    return pa.table(
        {
            column.name: pa.array(lists.get(column.name, [None] * len(frame)), TYPES[column.type], from_pandas=True)
            for column in columns
        }
    )


def world(count: int = 240, *, weeks: int = 16, seed: int = 0, after: int = 20) -> World:
    """`count` videos before the origin, spread over `weeks`, and `after` more after it.

    Style 0 does one better on ln views than its channel and week; channels differ by more than that.
    """
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(4, 12)) * 4
    rows = count + after
    planted = np.arange(rows) % 4
    vectors = (centres[planted] + rng.normal(size=(rows, 12))).astype(np.float32)
    back = np.sort(rng.uniform(0.1, weeks * 7, count))[::-1]
    ahead = np.sort(rng.uniform(0.1, 14, after))
    anchors = [datetime(2024, 3, 18) + timedelta(days=float(days)) for days in [*-back, *ahead]]
    channel = rng.integers(0, 12, rows)
    titles = [" ".join(["the", "best", *rng.choice(WORDS[style], 2, replace=False)]) for style in planted]
    videos = pd.DataFrame(
        {
            "video_id": [f"v{position:05d}" for position in range(rows)],
            "anchor_at": pd.to_datetime(anchors).floor("s"),
            "known_at": pd.to_datetime(anchors).floor("s") + timedelta(hours=1),
            "channel_id": [f"c{each}" for each in channel],
            "title": titles,
            "title_length": [len(title) for title in titles],
            "title_words": [4] * rows,
            "duration_s": rng.uniform(10, 60, rows),
            "planted": planted,
        }
    )
    value = 5 + channel * 0.5 + np.where(planted == 0, 1.0, 0.0) + rng.normal(size=rows) * 0.4
    outcomes = pd.DataFrame({"video_id": videos["video_id"], "anchor_at": videos["anchor_at"], "value": value})
    outcomes["anchor_day"] = outcomes["anchor_at"].dt.date
    outcomes["observed_at"] = outcomes["matured_at"] = outcomes["anchor_at"] + timedelta(days=7)
    return World(videos, vectors, outcomes)


def interpreted(made: World, **measures: Any) -> World:
    """The world with interpretation of every video; measures that are not given are null."""
    frame = pd.DataFrame({"content_id": "c" + made.videos["video_id"], **measures})
    frame[[name for name in INTERPRETED if name not in measures]] = None
    made.interpretation = frame.assign(version="1", has_picture=True, has_motion=False, has_sound=False)
    return made


def rows_of(warehouse: Warehouse, name: str) -> list[dict[str, Any]]:
    """All rows of a table in a fixed order."""
    return warehouse.query(f"SELECT * FROM {name} ORDER BY ALL").to_pylist()
