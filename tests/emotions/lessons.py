"""Labelled texts whose words decide their labels, and the folder of a tiny encoder that knows those words."""

from pathlib import Path

import numpy as np
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from assets.language.emotion_model.examples import Examples
from tests.encoders.tiny_models import WORDS, save_bert

LABELS = ("joy", "anger", "sadness", "neutral")
DECIDE = {"joy": "dance", "anger": "prank", "sadness": "news"}
OTHERS = ("cat", "dog", "recipe", "goal", "trick", "song", "magic", "travel")


def texts_of(count: int, seed: int) -> tuple[list[str], list[list[str]]]:
    """Texts and the names of their labels; one in six has two labels, one in three none but neutral."""
    rng = np.random.default_rng(seed)
    texts, named = [], []
    for _ in range(count):
        labels = sorted(rng.choice(list(DECIDE), rng.choice([0, 1, 2], p=[0.33, 0.5, 0.17]), replace=False))
        words = [DECIDE[label] for label in labels] + list(rng.choice(OTHERS, rng.integers(2, 9)))
        texts.append(" ".join(rng.permutation(words)))
        named.append(labels or ["neutral"])
    return texts, named


def examples(count: int, seed: int, labels: tuple[str, ...] = LABELS) -> Examples:
    """As a model learns from them."""
    return Examples.of(*texts_of(count, seed), labels)


def tiny_encoder(folder: Path) -> Path:
    """As `transformers` would find it."""
    return save_bert(folder)


def save_roberta(folder: Path) -> Path:
    """A tiny RoBERTa: its padding is token 1, and positions count on from there."""
    torch.manual_seed(0)
    vocabulary = {word: index for index, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", *WORDS])}
    config = transformers.RobertaConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=20,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
    )
    transformers.RobertaModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
