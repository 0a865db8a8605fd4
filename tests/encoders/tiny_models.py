"""Folders as a user would have them, of tiny models with random weights: configuration, weights, tokenizer or processor."""

from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from resources.encoders.base import Modality
from resources.encoders.catalogue import make
from resources.encoders.pretrained import PretrainedEncoder
from resources.settings import EncoderChoice

WORDS = [
    "cat",
    "dog",
    "dance",
    "recipe",
    "prank",
    "goal",
    "make",
    "##up",
    "trick",
    "song",
    "magic",
    "travel",
    "hack",
    "pup",
    "##py",
    "news",
    "the",
    "a",
    "in",
    "of",
]
SIZE = 32


def tiny_encoder(modality: Modality, encoder: str, folder: Path, precision: str = "fp32") -> PretrainedEncoder:
    """An encoder of the catalogue with the weights of a folder."""
    choice = EncoderChoice.model_validate({"encoder": encoder, "weights": str(folder), "precision": precision})
    made = make(modality, choice, "cpu")
    assert isinstance(made, PretrainedEncoder)
    return made


def save_bert(folder: Path) -> Path:
    torch.manual_seed(0)
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    transformers.BertModel(config).save_pretrained(folder)
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def save_resnet(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_channels=3
    )
    transformers.ResNetModel(config).save_pretrained(folder)
    transformers.ConvNextImageProcessorPil(crop_pct=0.875, size={"shortest_edge": SIZE}).save_pretrained(folder)
    return folder


def _vision() -> dict[str, int]:
    return {
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": SIZE,
        "patch_size": 8,
    }


def _text() -> dict[str, int]:
    return {
        "vocab_size": 32,
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }


def save_clip(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.CLIPConfig(vision_config=_vision(), text_config=_text(), projection_dim=12)
    transformers.CLIPModel(config).save_pretrained(folder)
    size = {"height": SIZE, "width": SIZE}
    transformers.CLIPImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=size).save_pretrained(folder)
    return folder


def save_siglip(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.SiglipConfig(vision_config=_vision(), text_config=_text())
    transformers.SiglipModel(config).save_pretrained(folder)
    transformers.SiglipImageProcessorPil(size={"height": SIZE, "width": SIZE}).save_pretrained(folder)
    return folder


def save_videomae(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.VideoMAEConfig(**_vision(), num_frames=16, tubelet_size=2)
    transformers.VideoMAEModel(config).save_pretrained(folder)
    size = {"height": SIZE, "width": SIZE}
    transformers.VideoMAEImageProcessorPil(size={"shortest_edge": SIZE}, crop_size=size).save_pretrained(folder)
    return folder


def save_wav2vec2(folder: Path) -> Path:
    torch.manual_seed(0)
    config = transformers.Wav2Vec2Config(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8, 8),
        conv_stride=(20, 16),
        conv_kernel=(20, 16),
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    transformers.Wav2Vec2Model(config).save_pretrained(folder)
    return folder
