"""Summaries in new words by a model of the T5 family: weights of a folder or the hub, long texts by sections.

Imports torch and transformers inside functions; finding the files of a model is for `resources.encoders.weights`.
"""

import hashlib
from typing import Any

from resources.encoders.base import EncoderError
from resources.encoders.weights import find_weights, missing_extra
from resources.summaries.base import SummaryError, check_length, clean, sentences, trimmed, words_of
from resources.summaries.extractive import ExtractiveSummariser

FAMILY = frozenset({"t5", "mt5", "umt5", "longt5", "switch_transformers"})
SECTIONS = 12
"""A text of more sections than this is first narrowed to so many by the extractive summariser: time per text is bounded."""
_VERSION = 1
_PREFIX = "summarize: "
_SECTION_TOKENS = 512
_TOKENS_PER_WORD = 2
_BEAMS = 4
_FEWEST_WORDS = 8
"""Words asked of a section: fewer make no sentence."""


class T5Summariser:
    """Writes summaries with `generate` (`resources.summaries.base.Summariser`).

    A text that is longer than the model reads is summarised section by section, whole sentences in each; if what the sections
    gave is still too long it is summarised again. One section is read at a time, so a summary does not depend on others.

    Args:
        weights: A folder that `save_pretrained` wrote, or an identifier on the hub such as `google/flan-t5-small`.

    Raises:
        SummaryError: There are no such weights, they are of another family, or a package is missing.
    """

    name = "t5"

    def __init__(self, weights: str) -> None:
        try:
            found = find_weights("t5", weights, package=None, instead="extractive")
            self._tokenizer, self._model = _loaded(str(found.folder))
        except EncoderError as error:
            raise SummaryError(str(error)) from error
        self._extractive = ExtractiveSummariser()
        made_by = f"t5 {_VERSION} {found.revision} {self._extractive.revision}"
        self.revision = hashlib.sha256(made_by.encode()).hexdigest()[:32]

    def summarise(self, text: str, words: int) -> str:
        """A summary in the model's words; see the protocol."""
        check_length(words)
        listed = sentences(text)
        if sum(len(words_of(one)) for one in listed) <= words:
            return " ".join(clean(text).split()) if listed else ""
        most = SECTIONS * _SECTION_TOKENS
        if sum(len(words_of(one)) for one in listed) > most:
            listed = sentences(self._extractive.summarise(text, most))
        sections = self._sections(listed)
        if len(sections) > SECTIONS:
            kept = sum(len(words_of(one)) for section in sections[:SECTIONS] for one in section)
            sections = self._sections(sentences(self._extractive.summarise(text, kept)))[:SECTIONS]
        if len(sections) == 1:
            return trimmed(self._generated(" ".join(sections[0]), words), words)
        each = max(_FEWEST_WORDS, words // len(sections))
        parts = [trimmed(self._generated(" ".join(section), each), each) for section in sections]
        together = " ".join(part for part in parts if part)
        return together if len(words_of(together)) <= words else self._shortened(together, words)

    def _shortened(self, text: str, words: int) -> str:
        """What the sections gave, once more through the model as far as it reads."""
        (first, *_) = self._sections(sentences(text)) or [[]]
        return trimmed(self._generated(" ".join(first), words), words) if first else ""

    def _sections(self, listed: list[str]) -> list[list[str]]:
        """Runs of sentences that the model can read in one piece; a sentence that is longer alone is cut by the tokenizer."""
        room = _SECTION_TOKENS - len(self._tokenizer(_PREFIX)["input_ids"])
        sections: list[list[str]] = []
        left = 0
        for sentence in listed:
            tokens = len(self._tokenizer(sentence, add_special_tokens=False)["input_ids"])
            if tokens > left:
                sections.append([])
                left = room
            sections[-1].append(sentence)
            left -= tokens
        return sections

    def _generated(self, text: str, words: int) -> str:
        import torch

        read = self._tokenizer(_PREFIX + text, truncation=True, max_length=_SECTION_TOKENS, return_tensors="pt")
        most = words * _TOKENS_PER_WORD + 1
        with torch.inference_mode():
            made = self._model.generate(
                input_ids=read["input_ids"],
                attention_mask=read["attention_mask"],
                max_new_tokens=most,
                num_beams=_BEAMS,
                do_sample=False,
                no_repeat_ngram_size=3,
                length_penalty=1.0,
                early_stopping=True,
            )
        return " ".join(clean(self._tokenizer.decode(made[0], skip_special_tokens=True)).split())


def _loaded(folder: str) -> tuple[Any, Any]:
    try:
        from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise missing_extra("t5", "extractive") from error
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # what is missing is checked below
    try:
        kind = AutoConfig.from_pretrained(folder, local_files_only=True).model_type
        if kind not in FAMILY:
            raise SummaryError(
                f"t5: {folder} holds a model of the kind {kind}; name weights of {', '.join(sorted(FAMILY))}, or use `extractive`"
            )
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, report = AutoModelForSeq2SeqLM.from_pretrained(
            folder, local_files_only=True, dtype="float32", output_loading_info=True
        )
    except SummaryError:
        raise
    except Exception as error:  # transformers raises its own, safetensors', tokenizers' and the system's
        raise SummaryError(
            f"t5: {folder} cannot be loaded ({type(error).__name__}: {str(error).splitlines()[0][:200]}); "
            "save model and tokenizer there with save_pretrained, or use `extractive`"
        ) from error
    if missing := sorted(report["missing_keys"]):
        raise SummaryError(f"t5: {folder} lacks {len(missing)} weights of a {kind}, such as {missing[0]}; save it anew")
    return tokenizer, model.eval()
