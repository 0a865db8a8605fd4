"""Translation by a sequence-to-sequence model of a local folder, for twins of training texts. torch and transformers inside functions."""

from collections.abc import Sequence
from pathlib import Path

from resources.emotions.model import EmotionError

_BATCH = 32
_MOST_TOKENS = 128


class Translator:
    """Translates with `generate`, by sampling, so that twins differ.

    Args:
        folder: Model and tokenizer as `save_pretrained` writes them.

    Raises:
        EmotionError: The folder holds no such model, or transformers is not installed.
    """

    def __init__(self, folder: str) -> None:
        try:
            from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
        except ImportError as error:
            raise EmotionError(
                "back-translation needs transformers: `pip install 'upswell[encoders]'`, or use token_noise"
            ) from error
        if not (Path(folder).expanduser() / "config.json").is_file():
            raise EmotionError(
                f"back_translation: there is no model in {folder}; name a local folder, or use token_noise"
            )
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = AutoModelForSeq2SeqLM.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError, ImportError) as error:
            raise EmotionError(f"back_translation: {folder} cannot be loaded: {str(error)[:300]}") from error

    def translate(self, texts: Sequence[str], seed: int) -> list[str]:
        """A translation of each text."""
        import torch

        said: list[str] = []
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(seed)
            for start in range(0, len(texts), _BATCH):
                read = self._tokenizer(
                    list(texts[start : start + _BATCH]),
                    padding=True,
                    truncation=True,
                    max_length=_MOST_TOKENS,
                    return_tensors="pt",
                )
                made = self._model.generate(
                    input_ids=read["input_ids"],
                    attention_mask=read["attention_mask"],
                    max_new_tokens=_MOST_TOKENS,
                    do_sample=True,
                    top_p=0.9,
                )
                said += self._tokenizer.batch_decode(made, skip_special_tokens=True)
        return said
