"""What a fusion network is and how it is trained, as one checked set of values from YAML.

Shipped presets lie in `presets/`; a file of one's own names a `base` and overrides it key by key. No torch here.
"""

import os
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Modality = Literal["scalars", "text", "image", "audio", "video"]
FOLDER = Path(__file__).parent / "presets"
SHIPPED = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


class PresetError(ValueError):
    """A preset is absent or not valid; says which key, and what is known."""


class FineTune(BaseModel):
    """The stage after the first: an encoder of titles whose last layers learn too, one more per epoch.

    Attributes:
        encoder: A text encoder of `resources.encoders.catalogue`.
        weights: Folder or hub identifier; None where the encoder brings its own.
        layers: How many of its last layers learn in the end.
        epochs: Epochs of this stage.
        learning_rate: Peak of this stage.
        batch_size: Rows per step of this stage.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    encoder: str
    weights: str | None = None
    layers: int = Field(gt=0)
    epochs: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    batch_size: int = Field(gt=0)


class Schedule(BaseModel):
    """How a network is trained, whatever it is.

    Attributes:
        learning_rate: Peak, reached after the warm-up; falls along a cosine to a tenth.
        weight_decay: Of AdamW.
        batch_size: Rows per step, over all processes.
        accumulate: Parts that a batch is computed in, per process.
        epochs: At most.
        warmup_steps: Steps of linear warm-up; a tenth of all steps where that is less.
        clip: Largest norm of the gradient.
        patience: Epochs without a better validation block after which it ends.
        stop_on: What better means: the `loss`, or the `metric` (MAE of a number, AUROC of a class, macro-F1 of labels).
        precision: `auto` is bf16 on CUDA devices that have it, else fp32.
        checkpoint_steps: Steps between checkpoints inside an epoch; there is also one at its end.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    learning_rate: float = Field(gt=0)
    weight_decay: float = Field(ge=0)
    batch_size: int = Field(gt=0)
    accumulate: int = Field(gt=0)
    epochs: int = Field(gt=0)
    warmup_steps: int = Field(ge=0)
    clip: float = Field(gt=0)
    patience: int = Field(gt=0)
    stop_on: Literal["loss", "metric"]
    precision: Literal["auto", "fp32", "bf16"]
    checkpoint_steps: int = Field(gt=0)


class Preset(Schedule):
    """One network and its training.

    Attributes:
        modalities: Towers that there are, where the frame has columns for them.
        tower: Width of each tower's output; None passes its input on (concat only).
        fusion: `concat`, or `gated`: a weighted sum with weights by row.
        hidden: Widths of the layers behind the fusion.
        dropout: Dropout behind each of them.
        loss_weights: Of the task's own head, and of the second one (quantiles of a number; the measured outcome of a class).
        class_weights: `balanced` weighs both classes alike.
        focal_gamma: Exponent of the focal loss; 0 is cross entropy.
        quantiles: Of the quantile head, rising.
        validation_share: Share of the rows, the latest, that decides when to stop and which weights are best.
        title_components: Coordinates of the title beside its vectors.
        max_terms: Terms that they are made of.
        smoothing: Of the channel prior.
        fine_tune: The second stage, or None.
    """

    modalities: tuple[Modality, ...] = Field(min_length=1)
    tower: int | None = Field(gt=0)
    fusion: Literal["concat", "gated"]
    hidden: tuple[int, ...] = Field(min_length=1)
    dropout: tuple[float, ...]
    loss_weights: tuple[float, float]
    class_weights: Literal["none", "balanced"]
    focal_gamma: float = Field(ge=0)
    quantiles: tuple[float, ...] = Field(min_length=1)
    validation_share: float = Field(gt=0, lt=0.5)
    title_components: int = Field(ge=0)
    max_terms: int = Field(gt=0)
    smoothing: float = Field(gt=0)
    fine_tune: FineTune | None

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if len(self.dropout) != len(self.hidden):
            raise ValueError(f"dropout has {len(self.dropout)} values for {len(self.hidden)} hidden layers")
        if not all(0 <= share < 1 for share in self.dropout):
            raise ValueError("dropout is at least 0 and below 1")
        if self.fusion == "gated" and self.tower is None:
            raise ValueError("gated fusion sums towers of one width; set tower")
        if list(self.quantiles) != sorted(set(self.quantiles)) or not all(0 < level < 1 for level in self.quantiles):
            raise ValueError("quantiles rise and lie between 0 and 1")
        if min(self.loss_weights) < 0 or self.loss_weights[0] == 0:
            raise ValueError("loss_weights are not negative, and the first is above 0")
        if self.fine_tune and "text" not in self.modalities:
            raise ValueError("fine_tune learns from titles; add text to modalities")
        return self

    def with_overrides(self, **values: Any) -> "Preset":
        """The preset with those of the values that are not None in place of its own; one dropout stands for every layer.

        Raises:
            PresetError: They make no valid preset.
        """
        given = {name: value for name, value in values.items() if value is not None}
        if isinstance(given.get("dropout"), int | float):
            given["dropout"] = (given["dropout"],) * len(self.hidden)
        return _checked(self.model_dump() | given, "parameters") if given else self


def load_preset(name: str) -> Preset:
    """A shipped preset, or one from a YAML file (a relative path is looked for in `UPSWELL_HOME` as well).

    Raises:
        PresetError: There is none of that name, or the file is not valid; names the key.
    """
    return _checked(_values(_find(name)), name)


def _find(name: str) -> Path:
    if name in SHIPPED:
        return FOLDER / f"{name}.yaml"
    for path in (Path(name).expanduser(), Path(os.environ.get("UPSWELL_HOME", "var")) / name):
        if path.suffix in (".yaml", ".yml") and path.is_file():
            return path
    raise PresetError(f"there is no preset {name!r}; known: {', '.join(SHIPPED)}, or the path of a YAML file")


def _values(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise PresetError(f"{path.name} is no YAML: {error}") from error
    if not isinstance(values, dict):
        raise PresetError(f"{path.name} holds no keys; see {FOLDER.name}/small.yaml for those there are")
    base = values.pop("base", None if path.parent == FOLDER else "small")
    if base is None:
        return values
    if base not in SHIPPED:
        raise PresetError(f"{path.name}: there is no base {base!r}; known: {', '.join(SHIPPED)}")
    return _values(FOLDER / f"{base}.yaml") | values


def _checked(values: dict[str, Any], name: str) -> Preset:
    try:
        return Preset.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "values"
        raise PresetError(f"preset {name}: {where}: {first['msg']}") from error
