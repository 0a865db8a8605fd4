"""What is commonly done: sentence-transformers' default `encode`, and a transformers model in fp32 on ready pixels."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float32]]


def sentence_transformers(folder: Path) -> Callable[[Sequence[str]], Array]:
    """`SentenceTransformer.encode` with everything left as it comes."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu")
    return lambda texts: np.asarray(model.encode(list(texts)), np.float32)


def plain_resnet(folder: Path) -> Callable[[Sequence[Any]], Array]:
    """ResNet-50 by transformers in fp32: its processor, its model, batches of 8."""
    import torch
    import transformers

    processor = transformers.ConvNextImageProcessorPil.from_pretrained(folder)
    model = transformers.ResNetModel.from_pretrained(folder).eval()

    def encode(pictures: Sequence[Any]) -> Array:
        found = []
        with torch.inference_mode():
            for start in range(0, len(pictures), 8):
                fed = processor(list(pictures[start : start + 8]), return_tensors="pt")
                found.append(model(**fed).pooler_output.flatten(1).numpy())
        return np.concatenate(found)

    return encode
