"""How near summaries of the simulator's transcripts come to the sentences that a summary has to keep, beside the first sentences.

ROUGE-L (Lin 2004), F1, over transcripts of three worlds; intervals over transcripts drawn again. Elsewhere no truth is known.
"""

from typing import Any

from assets.language.summaries import near
from benchmarks.figures import row
from resources.settings import SHIPPED, load_settings
from resources.simulator.words import words_truth
from resources.simulator.world import SimulatorConfig
from resources.summaries.extractive import ExtractiveSummariser

SEEDS = (0, 1, 2)


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """One row per world, at the length that the shipped settings ask for."""
    summariser = ExtractiveSummariser()
    words = load_settings(SHIPPED.parent / "no home").language.summaries.words
    return [_world(summariser, words, seed, 50 if quick else 1000) for seed in SEEDS[: 1 if quick else None]]


def _world(summariser: ExtractiveSummariser, words: int, seed: int, count: int) -> dict[str, Any]:
    said = words_truth(SimulatorConfig(seed=seed)).transcripts.head(count)
    found = near(
        [
            (text, summariser.summarise(text, words), ". ".join(key))
            for text, key in zip(said["text"], said["key"], strict=True)
        ]
    )
    assert found is not None and found.better is not None
    low, high = found.better
    return row(
        "summaries",
        f"ROUGE-L of {summariser.name} summaries of {words} words of {found.n} transcripts, seed {seed}, against as many first sentences",
        found.rouge,
        f"F1 (difference {low:+.3f} to {high:+.3f})",
        found.lead,
        "better by more than the noise",
        low > 0,
    )
