"""What is done to content before a pretrained model sees it: the same arrays as the model's own processor makes, without torch.

Used by the batched encoders and by ONNX Runtime alike, so that both see the same. No model is here.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from resources.encoders.base import FRAMES, SAMPLE_RATE, Content, EncoderError, Vectors

if TYPE_CHECKING:
    from PIL import Image

Array = np.ndarray[Any, Any]
_CHARACTERS_PER_TOKEN = 32
_WINDOW_S = 15
_SHORTEST_SOUND = 400
"""Samples that wav2vec2's convolutions need for one frame."""
LONGEST_SOUND_S = 90
_SLENDER = 8
"""Long over short edge above which only the crop is resized; Pillow clips in another order then, by a level here and there."""
_MEAN_STD = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class Preparation(Protocol):
    """Cuts contents into pieces and makes a model's inputs of them.

    Attributes:
        version: Says all that changes the inputs besides the files of the model.
    """

    version: str

    def pieces(self, contents: Sequence[Content]) -> list[list[Any]]:
        """The pieces of each content; its vector is their mean weighted by cost. None where there is nothing in it."""
        ...

    def cost(self, piece: Any) -> int:
        """Tokens, samples or frames of a piece."""
        ...

    def inputs(self, pieces: Sequence[Any]) -> dict[str, Array]:
        """Inputs of the model by name; the first axis is the pieces."""
        ...


def read_json(encoder: str, folder: Path, name: str, maker: str) -> dict[str, Any]:
    """A file of a model's folder.

    Raises:
        EncoderError: It is missing or no JSON; `maker` says what writes it.
    """
    try:
        found = json.loads((folder / name).read_text())
    except FileNotFoundError:
        raise EncoderError(f"{encoder}: {folder} has no {name}; write it there with {maker}") from None
    except ValueError as error:
        raise EncoderError(f"{encoder}: {folder / name} cannot be read: {error}") from error
    return dict(found)


class TextPreparation:
    """Tokens of texts, cut at `max_tokens` and padded to the longest of a batch.

    A text is cut to 32 characters per token before it is tokenised, so that a megabyte costs no more than a page.

    Args:
        encoder: Name, for errors.
        folder: Holds tokenizer.json and config.json.
        max_tokens: Overrides what the model's files say.

    Raises:
        EncoderError: The folder lacks its tokenizer.
    """

    def __init__(self, encoder: str, folder: Path, max_tokens: int | None = None) -> None:
        try:
            from tokenizers import Tokenizer
        except ImportError as error:
            raise EncoderError(f"{encoder}: tokenizers is not installed; `pip install 'upswell[encoders]'`") from error

        if not (folder / "tokenizer.json").is_file():
            raise EncoderError(
                f"{encoder}: {folder} has no tokenizer.json; write it there with "
                "AutoTokenizer.from_pretrained(...).save_pretrained(folder)"
            )
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokens = max_tokens or longest_text(encoder, folder)
        self._tokenizer.enable_truncation(tokens)
        self._tokenizer.no_padding()
        self._characters = tokens * _CHARACTERS_PER_TOKEN
        self._pad = int(read_json(encoder, folder, "config.json", "save_pretrained").get("pad_token_id") or 0)
        self.version = f"text-1:tokens={tokens}"

    def pieces(self, contents: Sequence[Content]) -> list[list[Any]]:
        """Token ids, one piece per text."""
        texts = [str(text)[: self._characters].encode("utf-8", "replace").decode() for text in contents]
        return [[np.asarray(encoding.ids, np.int64)] for encoding in self._tokenizer.encode_batch_fast(texts)]

    def cost(self, piece: Any) -> int:
        """Tokens."""
        return len(piece)

    def inputs(self, pieces: Sequence[Any]) -> dict[str, Array]:
        """`input_ids` and `attention_mask`, int64 [n, tokens]."""
        ids = np.full((len(pieces), max(1, *map(len, pieces)) if pieces else 1), self._pad, np.int64)
        mask = np.zeros_like(ids)
        for row, piece in enumerate(pieces):
            ids[row, : len(piece)] = piece
            mask[row, : len(piece)] = 1
        return {"input_ids": ids, "attention_mask": mask}


def longest_text(encoder: str, folder: Path) -> int:
    """What sentence-transformers' own file says, else the least of what tokenizer and model can take."""
    own = folder / "sentence_bert_config.json"
    if own.is_file():
        found = read_json(encoder, folder, own.name, "sentence-transformers").get("max_seq_length")
        if found:
            return int(found)
    config = read_json(encoder, folder, "config.json", "save_pretrained")
    positions = int(config.get("max_position_embeddings") or 512)
    if config.get("model_type") in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        positions -= int(config.get("pad_token_id") or 0) + 1  # their positions count from after the padding's
    tokenizer = folder / "tokenizer_config.json"
    said = (
        read_json(encoder, folder, tokenizer.name, "save_pretrained").get("model_max_length")
        if tokenizer.is_file()
        else None
    )
    return int(min(positions, said or positions))


class ImagePreparation:
    """Pictures resized, cropped and normalised as the model's `preprocessor_config.json` says.

    Of a very slender picture only the part that the crop keeps is resized: 10,000 x 1 pixels cost no more than others.

    Args:
        encoder: Name, for errors.
        folder: Holds preprocessor_config.json.

    Raises:
        EncoderError: The folder lacks its processor, or asks for what is not known here.
    """

    def __init__(self, encoder: str, folder: Path) -> None:
        from PIL.Image import Resampling

        config = read_json(
            encoder,
            folder,
            "preprocessor_config.json",
            "AutoImageProcessor.from_pretrained(...).save_pretrained(folder)",
        )
        self._exact, self._shortest, self._crop = _geometry(encoder, config)
        self._resample = Resampling(int(config.get("resample", Resampling.BILINEAR)))
        mean, std = (np.asarray(config.get(key) or default, np.float32) for key, default in
                     zip(("image_mean", "image_std"), _MEAN_STD, strict=True))  # fmt: skip
        self._factor = np.float32(config.get("rescale_factor") or 1 / 255) / std
        self._offset = -mean / std
        height, width = self._crop or self._exact or (self._shortest, self._shortest)
        self.version = f"image-1:{height}x{width}"

    def pieces(self, contents: Sequence[Content]) -> list[list[Any]]:
        """Each picture is one piece."""
        return [[picture] for picture in contents]

    def cost(self, piece: Any) -> int:
        """Every picture costs the same once it is resized."""
        return 1

    def inputs(self, pieces: Sequence[Any]) -> dict[str, Array]:
        """`pixel_values`, float32 [n, 3, height, width]."""
        return {"pixel_values": np.stack([self.pixels(picture) for picture in pieces])}

    def pixels(self, picture: "Image.Image") -> Vectors:
        """One picture as float32 [3, height, width]."""
        rgb = picture if picture.mode == "RGB" else picture.convert("RGB")
        values = np.asarray(self._resized(rgb), np.float32) * self._factor + self._offset
        return np.ascontiguousarray(values.transpose(2, 0, 1))

    def _resized(self, picture: "Image.Image") -> "Image.Image":
        width, height = picture.size
        if self._exact:
            return picture.resize(self._exact[::-1], self._resample)
        short, long = min(width, height), max(width, height)
        edge = self._shortest
        wide, high = (edge, int(edge * long / short)) if width <= height else (int(edge * long / short), edge)
        crop_high, crop_wide = self._crop or (high, wide)
        top, left = (high - crop_high) // 2, (wide - crop_wide) // 2
        if long <= _SLENDER * short:
            whole = picture.resize((wide, high), self._resample)
            return whole.crop((left, top, left + crop_wide, top + crop_high))
        across, down = width / wide, height / high
        box = (
            left * across,
            top * down,
            min(width, (left + crop_wide) * across),
            min(height, (top + crop_high) * down),
        )
        return picture.resize((crop_wide, crop_high), self._resample, box=box)


def _geometry(encoder: str, config: dict[str, Any]) -> tuple[tuple[int, int] | None, int, tuple[int, int] | None]:
    """Exact (height, width); or the shortest edge, and the (height, width) of the crop."""
    size, crop = config.get("size"), config.get("crop_size")
    size = {"shortest_edge": size} if isinstance(size, int) else size or {}
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    kind = str(config.get("image_processor_type") or config.get("feature_extractor_type") or "")
    if size.get("height") and size.get("width"):
        return (int(size["height"]), int(size["width"])), 0, None
    edge = int(size.get("shortest_edge") or 0)
    if not edge or size.get("longest_edge"):
        raise EncoderError(
            f"{encoder}: preprocessor_config.json has size {size}; known are height and width, or shortest_edge"
        )
    if kind.startswith("ConvNext"):
        if edge >= 384:
            return (edge, edge), 0, None
        return None, int(edge / float(config.get("crop_pct") or 224 / 256)), (edge, edge)
    if not config.get("do_center_crop", True) or not crop:
        raise EncoderError(f"{encoder}: preprocessor_config.json crops nothing, so pictures would differ in size")
    if max(crop["height"], crop["width"]) > edge:
        raise EncoderError(f"{encoder}: preprocessor_config.json crops {crop} out of pictures of {edge} pixels")
    return None, edge, (int(crop["height"]), int(crop["width"]))


class FramesPreparation:
    """Films as the frames that a video model takes, each prepared like a picture.

    Args:
        encoder: Name, for errors.
        folder: Holds preprocessor_config.json and config.json.
    """

    def __init__(self, encoder: str, folder: Path) -> None:
        self._pictures = ImagePreparation(encoder, folder)
        self._frames = int(read_json(encoder, folder, "config.json", "save_pretrained").get("num_frames") or FRAMES)
        self.version = f"frames-1:{self._frames}:{self._pictures.version}"

    def pieces(self, contents: Sequence[Content]) -> list[list[Any]]:
        """Each film is one piece, of frames uniform over it; none where it has no frames."""
        found: list[list[Any]] = []
        for film in contents:
            chosen = np.linspace(0, max(0, len(film) - 1), self._frames).round().astype(int)
            found.append([film[chosen]] if len(film) else [])
        return found

    def cost(self, piece: Any) -> int:
        """Frames."""
        return len(piece)

    def inputs(self, pieces: Sequence[Any]) -> dict[str, Array]:
        """`pixel_values`, float32 [n, frames, 3, height, width]."""
        from PIL import Image

        films = [np.stack([self._pictures.pixels(Image.fromarray(frame)) for frame in film]) for film in pieces]
        return {"pixel_values": np.stack(films)}


class SoundPreparation:
    """Sound of at most 90 s, normalised to mean 0 and variance 1, in windows of 15 s.

    Only windows of equal length share a batch: the models' group norm would see padding.
    """

    version = f"sound-1:{LONGEST_SOUND_S}s:{_WINDOW_S}s"

    def pieces(self, contents: Sequence[Content]) -> list[list[Any]]:
        """Windows of float32 samples; a last one too short for a single frame is dropped."""
        return [self._windows(np.asarray(sound, np.float32)) for sound in contents]

    def _windows(self, sound: Vectors) -> list[Any]:
        sound = sound[: LONGEST_SOUND_S * SAMPLE_RATE]
        if not len(sound):
            return []
        sound = (sound - sound.mean()) / np.sqrt(sound.var() + 1e-7)
        if len(sound) < _SHORTEST_SOUND:
            return [np.pad(sound, (0, _SHORTEST_SOUND - len(sound)))]
        length = _WINDOW_S * SAMPLE_RATE
        windows = [sound[start : start + length] for start in range(0, len(sound), length)]
        return [window for window in windows if len(window) >= _SHORTEST_SOUND]

    def cost(self, piece: Any) -> int:
        """Samples."""
        return len(piece)

    def inputs(self, pieces: Sequence[Any]) -> dict[str, Array]:
        """`input_values`, float32 [n, samples]."""
        return {"input_values": np.stack(pieces)}
