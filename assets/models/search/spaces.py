"""Which parameters of which forecaster are searched, and between which bounds. Adding a forecaster is one entry here.

A forecaster's own values lie inside the bounds: they are the first trial of every study. Those that a network has from its preset
are None here, and left to it.
"""

from typing import Any

from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from assets.models.forecasters import make

Space = dict[str, BaseDistribution]

_BOOSTING: Space = {
    "learning_rate": FloatDistribution(0.01, 0.3, log=True),
    "max_iter": IntDistribution(40, 600, log=True),
    "max_leaf_nodes": IntDistribution(4, 48, log=True),
    "min_samples_leaf": IntDistribution(5, 80, log=True),
    "l2_regularization": FloatDistribution(0.01, 100.0, log=True),
    "max_features": FloatDistribution(0.1, 1.0),
}
_LIGHTGBM: Space = {
    "learning_rate": FloatDistribution(0.01, 0.3, log=True),
    "n_estimators": IntDistribution(40, 600, log=True),
    "num_leaves": IntDistribution(4, 48, log=True),
    "min_child_samples": IntDistribution(5, 80, log=True),
    "reg_lambda": FloatDistribution(0.01, 100.0, log=True),
    "colsample_bytree": FloatDistribution(0.1, 1.0),
}
_NETWORK: Space = {
    "learning_rate": FloatDistribution(1e-4, 2e-2, log=True),
    "weight_decay": FloatDistribution(1e-5, 0.3, log=True),
    "dropout": FloatDistribution(0.0, 0.5),
    "batch_size": IntDistribution(16, 512, log=True),
}
SPACES: dict[str, Space] = {
    "ridge": {"alpha": FloatDistribution(0.1, 1000.0, log=True), "smoothing": FloatDistribution(0.5, 50.0, log=True)},
    "hist_gradient_boosting": _BOOSTING,
    "lightgbm": _LIGHTGBM,
    "boosting_scalars": _BOOSTING,
    "boosting_text": _BOOSTING,
    "boosting_image": _BOOSTING,
    "boosting_audio": _BOOSTING,
    "boosting_video": _BOOSTING,
    "boosting_transcript": _BOOSTING,
    "boosting_words": _BOOSTING,
    "boosting_all": _BOOSTING,
    "tfidf_logistic": {
        "C": FloatDistribution(0.003, 30.0, log=True),
        "smoothing": FloatDistribution(0.5, 50.0, log=True),
    },
    "hist_gradient_boosting_classifier": _BOOSTING,
    "fusion_network": _NETWORK,
    "fusion_network_classifier": _NETWORK,
}


class SearchError(ValueError):
    """A search that cannot be made; says why, and the remedy."""


class TooFewRowsError(SearchError):
    """Too little has matured to search yet; says how much there is and how much is needed."""


def space_of(forecaster: str) -> Space:
    """What of a forecaster is searched.

    Raises:
        SearchError: Nothing is.
    """
    if forecaster not in SPACES:
        raise SearchError(f"{forecaster!r} has no search space; searched are {', '.join(SPACES)}")
    return SPACES[forecaster]


def defaults(forecaster: str) -> dict[str, Any]:
    """The values that a forecaster has by itself, of the parameters that are searched; without those that it leaves to a preset."""
    own = make(forecaster).get_params(deep=False)
    return {name: own[name] for name in space_of(forecaster) if own[name] is not None}
