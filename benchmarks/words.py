"""What words are worth to forecasts: the default booster on the simulator with and without what its words tell, split by time.

A world with transcripts, comments and labelled texts (`resources.simulator.words`) goes the whole way: landings, texts, the embedded
emotion model trained on the labelled texts, measures as of the cutoff. Per weekly origin the booster is fitted on what had matured and
forecasts the week after. The reference is the same booster whose measures are made from the true emotions of the very texts that were
known: what is reachable through words. Beside it stands the booster that is told the moods which the texts were drawn from, which no
three comments give away. Intervals are of paired draws of channels; gains are in R2 over all tested videos of all seeds.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from assets.evaluations.backtest import split
from assets.evaluations.bootstrap import Blocks
from assets.evaluations.grid import origins_of
from assets.features.build import TABLES
from assets.features.frame import load_frame
from assets.features.stale import rebuild
from assets.language.emotion_model.examples import Examples
from assets.language.emotion_model.fit import fit, keep
from assets.language.emotion_model.recipe import Recipe
from assets.language.emotions import EMOTIONS, Model, score_missing
from assets.language.measures import refresh_measures
from assets.language.texts import refresh_texts
from assets.language.transcripts import refresh_captions
from assets.models.fit_run import FitRun
from assets.models.forecasters import make
from assets.models.intervals import without_labels
from assets.raw.anchors import source_anchors
from assets.raw.ingest import IngestError, ingest_all
from resources.emotions.decisions import Decisions
from resources.emotions.labels import GOEMOTIONS
from resources.emotions.model import load
from resources.emotions.texts import prepared
from resources.settings import load_settings
from resources.simulator import SimulatorConfig, write_landings
from resources.simulator.words import Words, words_truth, write_words
from warehouse.connection import Warehouse

SEEDS, DAYS, VIDEOS, ORIGINS = (7, 8), 84, 60, 4
QUICK_DAYS, QUICK_VIDEOS = 49, 30
TARGET, CUTOFFS = "log_views_7d", ("pre", "6h", "24h")
TARGET_SHARE = 0.8
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "words": (),
    "emotions alone": ("speech_",),
    "transcripts alone": ("emotion_",),
}
"""What each variant does not see of the measures."""


class TrueEmotions:
    """An emotion model that knows what each simulated text was drawn to show."""

    name, revision, labels = "truth", "truth", GOEMOTIONS
    decisions = Decisions(1.0, (0.5,) * len(GOEMOTIONS))

    def __init__(self, words: Words) -> None:
        said = words.comments[["text", "emotion"]].itertuples(index=False)
        self.shown = {prepared(text): (emotion,) for text, emotion in said}
        spoken = words.transcripts[["text", "emotions"]].itertuples(index=False)
        self.shown |= {prepared(text): tuple(emotions) for text, emotions in spoken}

    def logits(self, texts: Sequence[str]) -> np.ndarray[Any, Any]:
        """The log odds of the share of a text's sentences that show an emotion; a title shows none."""
        shares = np.zeros((len(texts), len(GOEMOTIONS)))
        for row, text in enumerate(texts):
            emotions = self.shown.get(text, ("neutral",))
            for emotion in emotions:
                shares[row, GOEMOTIONS.index(emotion)] += 1 / len(emotions)
        inside = np.clip(shares, 1e-4, 1 - 1e-4)
        return np.asarray(np.log(inside / (1 - inside)), np.float32)


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Per cutoff the R2 gained by words, and by emotions and transcripts alone; `quick`: one small world."""
    seeds = SEEDS[:1] if quick else SEEDS
    days, videos = (QUICK_DAYS, QUICK_VIDEOS) if quick else (DAYS, VIDEOS)
    parts: dict[str, list[pd.DataFrame]] = {}
    for seed in seeds:
        with TemporaryDirectory() as folder:
            config = SimulatorConfig(seed=seed, days=days, videos_per_day=videos, drift_day=None)
            for cutoff, forecasts in measure(config, Path(folder)).items():
                parts.setdefault(cutoff, []).append(forecasts)
    rows = []
    for cutoff, found in parts.items():
        together = pd.concat(found, ignore_index=True)
        variants = VARIANTS if cutoff != "pre" else {"words": ()}
        rows += [_figure(cutoff, variant, together, len(seeds), quick) for variant in variants]
    return rows


def measure(config: SimulatorConfig, home: Path) -> dict[str, pd.DataFrame]:
    """Per cutoff one row per tested video: channel, outcome, and the forecast of each variant."""
    now = datetime(config.start.year, config.start.month, config.start.day) + timedelta(days=config.days)
    warehouse, words = _landed(config, home, now), words_truth(config)
    told = _frames(warehouse, _trained(warehouse, home, now), now)
    with warehouse.write() as con:
        con.execute(f"DELETE FROM {EMOTIONS}")
    true = _frames(warehouse, Model(TrueEmotions(words), datetime.min), now)
    moods = words.videos.set_index("video_id").add_prefix("emotion_true_")
    origins = [
        origin
        for origin in origins_of(told["24h"], load_settings(home).first_origin)
        if origin <= (now - timedelta(days=15)).date()
    ][-ORIGINS:]
    return {cutoff: _forecast(told[cutoff], true[cutoff], moods, origins) for cutoff in CUTOFFS}


def _landed(config: SimulatorConfig, home: Path, now: datetime) -> Warehouse:
    warehouse, settings = Warehouse(home), load_settings(home)
    files = [*write_landings(config, home / "files"), *write_words(config, home / "files")]
    for path, result in ingest_all(warehouse, settings, files, now=now):
        if isinstance(result, IngestError):
            raise RuntimeError(f"{path}: {result}")
    for name in TABLES:
        rebuild(name, warehouse, settings, source_anchors(warehouse), config.start, now.date(), now, "benchmark")
    refresh_captions(warehouse, settings, now)
    refresh_texts(warehouse, now, "benchmark")
    return warehouse


def _trained(warehouse: Warehouse, home: Path, now: datetime) -> Model:
    """The embedded emotion model, trained on the labelled texts that landed."""
    rows = warehouse.query("SELECT text, labels, split, known_at FROM raw.texts ORDER BY text_id").to_pylist()
    of = {
        split: Examples.of(
            [row["text"] for row in rows if row["split"] == split],
            [row["labels"] for row in rows if row["split"] == split],
            GOEMOTIONS,
        )
        for split in ("train", "dev")
    }
    known = max(row["known_at"] for row in rows)
    keep(home / "model", fit(Recipe(model="tfidf"), of["train"], of["dev"], 0, FitRun()), known, "benchmark")
    return Model(load(home / "model"), known)


def _frames(warehouse: Warehouse, model: Model, now: datetime) -> dict[str, pd.DataFrame]:
    settings = load_settings(warehouse.home)
    score_missing(warehouse, model, now=now, run_id="benchmark", policies=settings.policies)
    refresh_measures(warehouse)
    return {cutoff: load_frame(warehouse, settings, "simulator", TARGET, cutoff) for cutoff in CUTOFFS}


def _forecast(told: pd.DataFrame, true: pd.DataFrame, moods: pd.DataFrame, origins: Sequence[date]) -> pd.DataFrame:
    """One row per tested video."""
    bare = told.drop(columns=[name for name in told.columns if name.startswith(("emotion_", "speech_"))])
    frames = {"none": bare, "reachable": true, "moods": bare.join(moods, on="video_id")}
    for variant, unseen in VARIANTS.items():
        frames[variant] = told.drop(columns=[name for name in told.columns if unseen and name.startswith(unseen)])
    rows = []
    for origin in origins:
        test = split(told, origin)[1]
        found = {"channel_id": test["channel_id"].to_numpy(), "value": test["value"].to_numpy()}
        for variant, frame in frames.items():
            train, tested = split(frame, origin)
            model = make("hist_gradient_boosting" if variant == "none" else "boosting_words")
            found[variant] = model.fit(without_labels(train), train["value"].to_numpy()).predict(without_labels(tested))
        rows.append(pd.DataFrame(found))
    return pd.concat(rows, ignore_index=True)


def _figure(cutoff: str, variant: str, rows: pd.DataFrame, seeds: int, quick: bool) -> dict[str, Any]:
    blocks, value = Blocks.of(rows["channel_id"].to_numpy()), rows["value"].to_numpy()
    drawn = blocks.r2(value, rows[variant].to_numpy()) - blocks.r2(value, rows["none"].to_numpy())
    low, high = np.percentile(drawn, [2.5, 97.5])
    gains = {name: _r2(value, rows[name]) - _r2(value, rows["none"]) for name in (variant, "reachable", "moods")}
    share = gains[variant] / gains["reachable"]
    whole = variant == "words"
    return {
        "benchmark": "words",
        "figure": (
            f"{cutoff}: {variant}, added to R2 {_r2(value, rows['none']):.4f} ({seeds} seeds, {len(rows)} tested; interval of the "
            f"change {low:.4f} to {high:.4f}; who is told the moods themselves gains {gains['moods']:.4f})"
        ),
        "value": round(gains[variant], 4),
        "unit": "R2",
        "reference": round(gains["reachable"], 4),
        "ratio": round(share, 4),
        "target": f"at least {TARGET_SHARE} of the reachable, interval above 0" if whole else "told",
        "ok": bool(quick or not whole or (share >= TARGET_SHARE and low > 0)),
    }


def _r2(value: np.ndarray[Any, Any], point: pd.Series) -> float:
    return float(1 - ((value - point) ** 2).sum() / ((value - value.mean()) ** 2).sum())


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv[1:]), indent=1))
