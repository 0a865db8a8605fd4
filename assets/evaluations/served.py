"""What a kept model says of the videos of its cell, over the frame that the model's origin allows it to see.

Which model is asked is for the caller; nothing is fitted or stored here.
"""

from datetime import date

import pandas as pd

from assets.clusters.frame import add_content, load_content
from assets.evaluations.grid import Cell
from assets.features.frame import features_fingerprint, load_frame
from assets.models.predictor import Predictor
from resources.settings import Settings
from warehouse.connection import Warehouse


def frame_as_of(warehouse: Warehouse, settings: Settings, cell: Cell, origin: date) -> pd.DataFrame:
    """Every video of a cell that has features, matured or not, with the content that had been fitted by an origin."""
    frame = load_frame(warehouse, settings, cell.source, cell.target, cell.cutoff)
    return add_content(frame, load_content(warehouse, settings, cell.source, cell.target, origin))


def with_forecasts(warehouse: Warehouse, version: str, frame: pd.DataFrame) -> pd.DataFrame:
    """A frame with what a kept model says of each row: `probability`, or `point`, `lower_50`, `upper_50`, ...

    Raises:
        ModelError: The bundle is absent or changed, or was made for other features.
    """
    if frame.empty:
        return frame
    said = Predictor.load(warehouse.home, version, frame, features_fingerprint()).forecasts()
    return frame.assign(**said)
