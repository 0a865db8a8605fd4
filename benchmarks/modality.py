"""Modality proof: where success depends on which of eight shapes, melodies or phrases a video holds, who can tell?

Three worlds (`resources.simulator.modality`), five variants of the same booster in each: scalars (with every simple
descriptor of the content), text, image, audio, all. In time order: the encoders are trained on the first block of videos,
their last rows saying when to stop; the booster is fitted on the vectors of the second, where no encoder saw an outcome;
the third is the test. The reference is the R2 of who knows the class.

R2 here is 1 - SSE / SSE of the mean outcome known before the test block (Campbell and Thompson 2008, out-of-sample R2):
a forecast that knows nothing has 0, while against the test block's own mean it could only have less.
"""

import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, get_args

import numpy as np

from assets.evaluations.bootstrap import Blocks
from resources.simulator.modality import ProofWorld, Told, proof_world

SEEDS = (1, 2, 3)
COUNT, QUICK_COUNT = 6000, 4600
SHARES = (0.55, 0.2)  # of the videos: encoders, booster; the rest is the test
CHOSEN_ON = 0.3  # share of the booster's rows, the latest, that choose its number of trees
TREES = 200
TARGET_RATIO = 0.8
VARIANTS = ("scalars", "text", "image", "audio", "all")


@dataclass(frozen=True)
class Split:
    """Rows in order of time: the encoders' `[:first]`, the booster's `[first:origin]`, the test's `[origin:]`."""

    first: int
    origin: int

    @classmethod
    def of(cls, count: int) -> "Split":
        """The split of `count` rows by SHARES."""
        first = round(count * SHARES[0])
        return cls(first, first + round(count * SHARES[1]))


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Per world and variant the R2 over the tested videos of all seeds; `quick`: one seed, fewer videos, two worlds."""
    seeds, count = (SEEDS[:1], QUICK_COUNT) if quick else (SEEDS, COUNT)
    deciding: tuple[Told, ...] = ("text", "image") if quick else get_args(Told)
    parts: dict[tuple[str, str], list[np.ndarray]] = {}
    worlds = [(told, seed, count) for seed in seeds for told in deciding]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=_one_thread) as workers:
        for (told, *_), measured in zip(worlds, workers.map(_one_world, worlds), strict=True):
            for variant, errors in measured.items():
                parts.setdefault((told, variant), []).append(errors)
    errors_of = {key: np.concatenate(found) for key, found in parts.items()}
    return [
        _figure(told, variant, errors_of[told, variant], errors_of[told, "reachable"], len(seeds))
        for told in deciding
        for variant in VARIANTS
    ]


def _one_thread() -> None:
    """Two workers on two cores: threads of their own would only wait for each other."""
    os.environ["OMP_NUM_THREADS"] = "1"


def _one_world(asked: tuple[Told, int, int]) -> dict[str, np.ndarray]:
    told, seed, count = asked
    return dict(measure(proof_world(count, seed), told, seed))


def measure(world: ProofWorld, told: Told, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """Per variant, and of who knows the class: squared errors of the forecast and of the mean known before the test.

    Yields:
        Name and errors, shape (tested videos, 2).
    """
    outcomes, split = world.outcomes(told, seed), Split.of(len(world.texts))
    columns = {name: embed(world, name, outcomes, split, seed) for name in get_args(Told)}
    columns["scalars"] = np.column_stack([world.scalars, simple_descriptors(world)])[split.first :]
    columns["all"] = np.column_stack([columns[name] for name in VARIANTS[:-1]])
    test, known = outcomes[split.origin :], outcomes[: split.origin].mean()
    later, fitted = outcomes[split.first :], split.origin - split.first
    forecasts = {name: _boost(columns[name], later, fitted, known) for name in VARIANTS}
    forecasts["reachable"] = world.effect(told, seed)[split.origin :]
    for name, forecast in forecasts.items():
        yield name, np.column_stack([(test - forecast) ** 2, (test - known) ** 2])


def embed(world: ProofWorld, modality: Told, outcomes: np.ndarray, split: Split, seed: int) -> np.ndarray:
    """Vectors of the videos after the encoder's block by an encoder trained on that block: shape (n - first, dim)."""
    from resources.encoders.trained import TrainedEncoder

    contents: list[Any] = {"text": world.texts, "image": world.images, "audio": world.sounds}[modality]
    encoder = TrainedEncoder(modality, seed=seed).fit(contents[: split.first], outcomes[: split.first])
    return encoder.encode(contents[split.first :])


def simple_descriptors(world: ProofWorld) -> np.ndarray:
    """Colour, brightness, contrast, edges; loudness, pitch; lengths of text: shape (n, 12)."""
    rows = []
    for text, image, sound in zip(world.texts, world.images, world.sounds, strict=True):
        pixels = np.asarray(image, dtype=np.float32)
        grey = pixels.mean(axis=2)
        edges = np.hypot(*np.gradient(grey))
        spectrum = np.abs(np.fft.rfft(sound)) ** 2
        pitch = (spectrum * np.arange(len(spectrum))).sum() / spectrum.sum()
        crossings = np.count_nonzero(np.diff(np.signbit(sound)))
        seen = (*pixels.mean(axis=(0, 1)), grey.std(), pixels.std(), edges.mean(), (edges > 20).mean())
        heard = (np.sqrt((sound**2).mean()), pitch, crossings)
        rows.append([*seen, *heard, len(text.split()), len(text)])
    return np.array(rows)


def _boost(columns: np.ndarray, outcomes: np.ndarray, fitted: int, known: float) -> np.ndarray:
    """Forecasts of the rows after `fitted` by a booster on those before; the latest of these say how many trees.

    The fewest whose error is within a standard error of the least one (Breiman et al. 1984, the one-standard-error rule; of
    the paired difference here), for the least of 200 errors is often that of trees that have learned noise. No tree at all is
    the `known` mean: a variant that tells nothing may say so.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    chosen = round(fitted * (1 - CHOSEN_ON))
    booster = HistGradientBoostingRegressor(
        max_iter=TREES, learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=30, early_stopping=False, random_state=0
    )
    booster.fit(columns[:chosen], outcomes[:chosen])
    stages = [np.full(len(columns) - chosen, outcomes[:chosen].mean()), *booster.staged_predict(columns[chosen:])]
    errors = np.array([(stage[: fitted - chosen] - outcomes[chosen:fitted]) ** 2 for stage in stages])
    more = errors - errors[errors.mean(axis=1).argmin()]
    fewest = int(np.argmax(more.mean(axis=1) <= more.std(axis=1, ddof=1) / np.sqrt(fitted - chosen)))
    return np.asarray(stages[fewest][fitted - chosen :]) if fewest else np.full(len(columns) - fitted, known)


def r2(errors: np.ndarray) -> tuple[float, float, float]:
    """R2 with its 95 % bootstrap interval of squared errors (forecast, mean), shape (n, 2)."""
    draws = Blocks.of(np.arange(len(errors)))
    low, high = np.percentile(1 - draws.sums(errors[:, 0]) / draws.sums(errors[:, 1]), [2.5, 97.5])
    forecast, mean = errors.sum(axis=0)
    return float(1 - forecast / mean), float(low), float(high)


def _figure(told: str, variant: str, errors: np.ndarray, reachable: np.ndarray, seeds: int) -> dict[str, Any]:
    (value, low, high), reference = r2(errors), r2(reachable)[0]
    informed = variant in (told, "all")
    what = (
        f"{told} decides: booster on {variant} ({seeds} seeds, {len(errors)} tested; interval {low:.4f} to {high:.4f})"
    )
    return {
        "benchmark": "modality",
        "figure": what,
        "value": round(value, 4),
        "unit": "R2",
        "reference": round(reference, 4),
        "ratio": round(value / reference, 4),
        "target": f"at least {TARGET_RATIO} of the reachable" if informed else "interval includes 0",
        "ok": value / reference >= TARGET_RATIO if informed else low <= 0 <= high,
    }


if __name__ == "__main__":
    print(json.dumps(run(quick="--quick" in sys.argv[1:]), indent=1))
