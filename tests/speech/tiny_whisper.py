"""A folder of a tiny Whisper with random weights, as a user would have it; other tests and the benchmark may import it."""

from pathlib import Path

import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

LANGUAGES = ("en", "de", "ja")


def save_whisper(folder: Path, *, alignment: bool = True, languages: tuple[str, ...] = LANGUAGES) -> Path:
    """Configuration, weights, generation configuration and tokenizer; without languages, an English-only model."""
    torch.manual_seed(0)
    tokenizer = _tokenizer(languages)
    number = tokenizer.token_to_id
    config = transformers.WhisperConfig(
        vocab_size=tokenizer.get_vocab_size(),
        d_model=16,
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_target_positions=64,
        decoder_start_token_id=number("<|startoftranscript|>"),
        eos_token_id=number("<|endoftext|>"),
        bos_token_id=number("<|endoftext|>"),
        pad_token_id=number("<|endoftext|>"),
        suppress_tokens=[],
        begin_suppress_tokens=[number("<|endoftext|>")],
    )
    model = transformers.WhisperForConditionalGeneration(config)
    says = model.generation_config
    says._from_model_config = False  # else it is taken to hold what the model's configuration says, and is not saved
    says.no_timestamps_token_id = number("<|notimestamps|>")
    says.is_multilingual = bool(languages)
    if languages:
        says.lang_to_id = {f"<|{code}|>": number(f"<|{code}|>") for code in languages}
        says.task_to_id = {name: number(f"<|{name}|>") for name in ("translate", "transcribe")}
    if alignment:
        says.alignment_heads = [[0, 1], [1, 0]]
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _tokenizer(languages: tuple[str, ...]) -> Tokenizer:
    """Bytes and a few words; special tokens come last, as in Whisper."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["Ġthe", "Ġdog", "Ġcat", "Ġruns", "Ġfast", "Ġhome"]
    vocabulary = {token: index for index, token in enumerate([*letters, *words])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["endoftext", "startoftranscript", *languages, "translate", "transcribe", "nospeech", "notimestamps"]
    tokenizer.add_special_tokens([AddedToken(f"<|{name}|>", special=True) for name in special])
    return tokenizer
