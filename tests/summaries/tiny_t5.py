"""A folder as a user would have it, of a tiny T5 with random weights."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

WORDS = [
    "summarize",
    ":",
    "the",
    "a",
    "cat",
    "dog",
    "sat",
    "on",
    "mat",
    ".",
    "and",
    "then",
    "it",
    "ran",
    "away",
    "from",
    "home",
    "to",
    "see",
    "what",
    "there",
    "was",
]


def save_t5(folder: Path) -> Path:
    torch.manual_seed(0)
    vocabulary = {word: index for index, word in enumerate(["<pad>", "</s>", "<unk>", *dict.fromkeys(WORDS)])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=512
    ).save_pretrained(folder)
    config = transformers.T5Config(
        vocab_size=len(vocabulary),
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_heads=2,
        decoder_start_token_id=0,
        pad_token_id=0,
        eos_token_id=1,
    )
    transformers.T5ForConditionalGeneration(config).save_pretrained(folder)
    return folder
