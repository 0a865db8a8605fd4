"""A source whose truth is known: simulated channels and videos, collected with every kind of dirt, as landing files.

`world` says what videos are worth and how they grow, `collection` what a scraper sees of it, `landings` writes the
files, `vocabulary` holds the words of titles; `words` says what is said in and under videos, in the sentences of `moods`;
`media` gives videos `pictures` and `sounds`, and `modality` draws small worlds in which one modality decides. Nothing here reads the warehouse, and nothing outside tests and benchmarks may
use `truth`, `media_truth` and `words_truth`: they are what forecasts are held against.
"""

from dataclasses import dataclass

import pandas

from resources.simulator.collection import collect
from resources.simulator.landings import write_landings
from resources.simulator.media import media_truth, write_media
from resources.simulator.world import SimulatorConfig, World, make_world, truth

__all__ = ["Simulation", "SimulatorConfig", "media_truth", "simulate", "truth", "write_landings", "write_media"]


@dataclass(frozen=True)
class Simulation:
    """A world, the rows that were collected of it, and how many of each kind of dirt they carry."""

    world: World
    rows: pandas.DataFrame
    planted: dict[str, int]


def simulate(config: SimulatorConfig) -> Simulation:
    """Draw the world and collect it; the same configuration always gives the same."""
    world = make_world(config)
    collection = collect(world)
    return Simulation(world, collection.rows, collection.planted)
