"""How an emotion model is trained, as one checked set of values. No torch and no data here."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from assets.models.network.preset import Schedule

Head = Literal["fine_tuned", "frozen"]
TUNED = {"minilm": (2, 2e-4)}
"""Epochs and peak rate that an encoder is fine-tuned with: in a third epoch MiniLM forgets more than it learns (`benchmarks.emotions`)."""
_AS_PUBLISHED = (4, 5e-5)
"""Of every other encoder, as Demszky et al. (2020) fine-tuned BERT-base on GoEmotions."""


class Recipe(BaseModel):
    """One emotion model and its training.

    Attributes:
        model: Of `resources.emotions.encoders.MODELS`.
        weights: Local folder or hub identifier of the encoder; None where it brings its own.
        head: `fine_tuned`: the encoder learns too; `frozen`: only the linear layer does.
        epochs: At most; None is what `TUNED` says of the model, or 40 with a frozen encoder.
        learning_rate: Peak; None is what `TUNED` says of the model, or 3e-3 with a frozen encoder.
        batch_size: Texts per step.
        weight_decay: Of AdamW.
        patience: Epochs without a better macro-F1 on dev after which it ends.
        class_power: The texts that have a label weigh 1 / (its share) ** class_power; 0 weighs all alike.
        focal_gamma: Exponent of the focal loss; 0 is cross entropy.
        unfreeze_epochs: Epochs over which the encoder's layers begin to learn, the last first; 0 lets all learn at once.
        max_tokens: Tokens of a text that are read.
        precision: `auto` is bf16 where the device computes with it.
        checkpoint_steps: Steps between checkpoints inside an epoch.
        token_noise: Twins of every training text with words left out, doubled or swapped.
        back_translation: Folders of a model into another language and of one back, for one more twin per training text.
        abstain_below: A text whose most probable label has less than this is not judged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str = "minilm"
    weights: str | None = None
    head: Head = "fine_tuned"
    epochs: int | None = Field(default=None, gt=0)
    learning_rate: float | None = Field(default=None, gt=0)
    batch_size: int = Field(default=64, gt=0)
    weight_decay: float = Field(default=0.01, ge=0)
    patience: int = Field(default=3, gt=0)
    class_power: float = Field(default=0.25, ge=0, le=1)
    focal_gamma: float = Field(default=0.0, ge=0)
    unfreeze_epochs: int = Field(default=0, ge=0)
    max_tokens: int = Field(default=128, gt=0)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    checkpoint_steps: int = Field(default=200, gt=0)
    token_noise: int = Field(default=0, ge=0)
    back_translation: tuple[str, str] | None = None
    abstain_below: float = Field(default=0.1, ge=0, le=1)

    def schedule(self, precision: Literal["fp32", "bf16"]) -> Schedule:
        """The training of the network, at a precision that the device has."""
        epochs, rate = (40, 3e-3) if self.head == "frozen" else TUNED.get(self.model, _AS_PUBLISHED)
        return Schedule(
            learning_rate=self.learning_rate or rate,
            weight_decay=self.weight_decay,
            batch_size=self.batch_size,
            accumulate=1,
            epochs=self.epochs or epochs,
            warmup_steps=100,
            clip=1.0,
            patience=self.patience,
            stop_on="metric",
            precision=precision,
            checkpoint_steps=self.checkpoint_steps,
        )
