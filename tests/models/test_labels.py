"""Class thresholds come from training rows."""

import numpy as np
import pandas as pd

from assets.models.labels import ViralLabel


def test_threshold_is_the_percentile_of_the_training_rows():
    train = pd.DataFrame({"value": np.arange(100.0)})
    label = ViralLabel(80).fit(train)
    assert label.threshold_ == np.percentile(np.arange(100.0), 80)
    assert label.label(train).mean() == 0.2
    assert label.label(pd.DataFrame({"value": [1e6, -1e6]})).tolist() == [1, 0], "later rows do not move it"


def test_relative_to_the_channel_a_small_channel_can_go_viral():
    train = pd.DataFrame(
        {
            "value": [10.0, 11.0, 2.0, 4.0, 5.0],
            "channel_168h_median": [10.0, 10.0, 2.0, np.nan, np.nan],
            "channel_72h_median": [0.0, 0.0, 0.0, 3.5, np.nan],
        }
    )
    label = ViralLabel(80, relative_to_channel=True).fit(train)
    # residuals: 0, 1, 0, 0.5, and 0 against the median of all, 5
    assert label.threshold_ == np.percentile([0, 1, 0, 0.5, 0], 80)
    assert label.label(train).tolist() == [0, 1, 0, 0, 0]


def test_relative_to_the_channel_without_channel_features_is_relative_to_all():
    train = pd.DataFrame({"value": np.arange(10.0)})
    assert ViralLabel(80, True).fit(train).label(train).tolist() == ViralLabel(80).fit(train).label(train).tolist()
