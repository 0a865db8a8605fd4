"""Whisper as a recogniser of speech: a model of any size from a folder or the hub, run by torch through transformers.

What is done about windows, offsets and silence is in `transcripts`, when words were said in `alignment`. torch and
transformers are imported when a model is loaded.
"""

import functools
import hashlib
import json
import zlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from resources.encoders.base import SAMPLE_RATE, EncoderError
from resources.encoders.batching import choose_device, choose_precision
from resources.encoders.weights import find_weights, missing_extra
from resources.media.films import Sound
from resources.speech.alignment import token_times, words_of
from resources.speech.transcripts import Heard, Word

_INSTEAD = "model: null"
_RULES = "1"
"""Version of what is done with a model here; part of the revision."""
# Radford et al. 2022, section 4.5: a text that repeats itself or that the model does not believe is tried again.
_REPEATS_ABOVE = 2.4
_DOUBTED_BELOW = -1.0
_NO_SPEECH_ABOVE = 0.6
_TEMPERATURES = (0.0, 0.4, 0.8)
_FRAME_S = 0.02
_NEEDED = (
    "no_timestamps_token_id",
    "decoder_start_token_id",
    "eos_token_id",
    "vocab_size",
    "max_target_positions",
    "max_source_positions",
    "num_mel_bins",
)
_NOBODY = Heard((), 0.0, 0)


class Whisper:
    """A Whisper model (`resources.speech.transcripts.Recogniser`); its weights are loaded when it is first asked.

    Args:
        weights: A folder that `save_pretrained` wrote, or an identifier on the hub such as `openai/whisper-tiny`.
        device: auto, cuda, mps or cpu.
        precision: auto, fp32 or bf16.

    Raises:
        EncoderError: torch is not installed, the weights cannot be had, or they are no Whisper; says the way out.
    """

    def __init__(self, weights: str, *, device: str = "auto", precision: str = "auto") -> None:
        try:
            import torch  # noqa: F401
            import transformers  # noqa: F401
        except ImportError as error:
            raise missing_extra("whisper", _INSTEAD) from error
        found = find_weights("whisper", weights, package=None, instead=_INSTEAD)
        self.name = Path(weights).name if Path(weights).is_dir() else weights
        self.folder = found.folder
        self.revision = _revision(found.revision, found.folder)
        self.device = choose_device(device)
        self.precision = choose_precision(precision, self.device)
        self._says = _said(found.folder)
        self._languages = {token.strip("<|>"): number for token, number in (self._says.get("lang_to_id") or {}).items()}
        self._heads = [(int(layer), int(head)) for layer, head in self._says.get("alignment_heads") or ()]
        self.word_times = bool(self._heads)
        self._decode = _decoder(found.folder)

    @functools.cached_property
    def _model(self) -> Any:
        import torch

        model = _loaded(self.folder, torch.bfloat16 if self.precision == "bf16" else torch.float32)
        return model.eval().to(self.device)

    @functools.cached_property
    def _extractor(self) -> Any:
        import transformers

        seconds = self._says["max_source_positions"] * 2 // 100
        return transformers.WhisperFeatureExtractor(feature_size=self._says["num_mel_bins"], chunk_length=seconds)

    def language(self, windows: Sequence[Sound]) -> tuple[str, float]:
        """The language of the windows together (ISO 639 code) and its mean probability; English where it knows no other."""
        if not self._languages:
            return "en", 1.0
        import torch

        with torch.inference_mode():
            first = self._first(self._encoded(windows))
        codes = list(self._languages)
        shares = torch.softmax(first[:, [self._languages[code] for code in codes]], dim=1).mean(dim=0)
        best = int(shares.argmax())
        return codes[best], float(shares[best])

    def recognise(self, windows: Sequence[Sound], language: str) -> list[Heard]:
        """What is said in each window of at most 30 s, in a language.

        Raises:
            EncoderError: The model does not know the language.
        """
        import torch

        prompt = self._prompt(language)
        with torch.inference_mode():
            encoded = self._encoded(windows)
            nothing = torch.softmax(self._first(encoded), dim=1)[:, self._says["no_timestamps_token_id"] - 1].tolist()
            found = []
            for row, (tokens, mean) in enumerate(self._greedy(encoded, prompt)):
                own = encoded[row : row + 1]
                text, tokens, mean = self._believed(own, prompt, tokens, mean)
                if not text.strip() or (nothing[row] > _NO_SPEECH_ABOVE and mean < _DOUBTED_BELOW):
                    found.append(_NOBODY)
                    continue
                seconds = len(windows[row]) / SAMPLE_RATE
                words = self._timed(own, prompt, tokens, seconds, language) if self.word_times else None
                found.append(Heard(words or (Word(text, 0.0, seconds),), float(np.exp(mean)), len(tokens)))
        return found

    def _encoded(self, windows: Sequence[Sound]) -> Any:
        """What the encoder makes of windows: [windows, frames, width]."""
        features = self._extractor(list(windows), sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        return self._model.get_encoder()(features.to(self.device, self._model.dtype)).last_hidden_state

    def _first(self, encoded: Any) -> Any:
        """Scores of what follows the start token, languages and that nobody speaks among it: float32 [windows, vocabulary]."""
        return self._scores(encoded, [self._says["decoder_start_token_id"]])[0][:, -1].float()

    def _scores(self, encoded: Any, tokens: Any, past: Any = None) -> tuple[Any, Any]:
        """Scores of what follows each token, [windows, tokens, vocabulary], and what was kept to go on from.

        Args:
            encoded: The windows.
            tokens: Ids [tokens], the same for every window, or [windows, tokens].
            past: What was kept of the tokens before.
        """
        import torch
        from transformers.modeling_outputs import BaseModelOutput

        ids = torch.as_tensor(tokens, device=self.device)
        said = self._model(
            encoder_outputs=BaseModelOutput(encoded),
            decoder_input_ids=ids.expand(len(encoded), -1) if ids.ndim == 1 else ids,
            past_key_values=past,
            use_cache=True,
        )
        return said.logits, said.past_key_values

    def _prompt(self, language: str) -> list[int]:
        start, no_times = self._says["decoder_start_token_id"], self._says["no_timestamps_token_id"]
        if not self._languages:
            if language != "en":
                raise EncoderError(f"{self.name} knows English only, not {language}; name a multilingual model")
            return [start, no_times]
        if language not in self._languages:
            known = ", ".join(sorted(self._languages))
            raise EncoderError(f"{self.name} does not know the language {language!r}; it knows {known}")
        task = self._says["task_to_id"]["transcribe"]
        return [start, self._languages[language], task, no_times]

    def _believed(
        self, encoded: Any, prompt: list[int], tokens: list[int], mean: float
    ) -> tuple[str, list[int], float]:
        """A text that neither repeats itself nor is doubted: the greedy one, else one that is drawn; the best if none is."""
        tries = []
        for temperature in _TEMPERATURES:
            if temperature:
                tokens, mean = self._drawn(encoded, prompt, temperature)
            text = self._decode(tokens)
            repeats = _repetition(text) > _REPEATS_ABOVE
            if not repeats and mean >= _DOUBTED_BELOW:
                return text, tokens, mean
            tries.append((not repeats, mean, text, tokens))
        believed, mean, text, tokens = max(tries, key=lambda each: each[:2])
        return (text, tokens, mean) if believed else ("", [], mean)

    def _greedy(self, encoded: Any, prompt: list[int]) -> list[tuple[list[int], float]]:
        """The most probable tokens of each window, one by one, with the mean of their log probabilities."""
        return self._generated(encoded, prompt, lambda scores: scores.argmax(dim=1))

    def _drawn(self, encoded: Any, prompt: list[int], temperature: float) -> tuple[list[int], float]:
        """Tokens of one window drawn by their probability; the same whenever it is asked."""
        import torch

        generator = torch.Generator(self.device).manual_seed(0)

        def draw(scores: Any) -> Any:
            return torch.multinomial(torch.softmax(scores / temperature, dim=1), 1, generator=generator)[:, 0]

        return self._generated(encoded, prompt, draw)[0]

    def _generated(self, encoded: Any, prompt: list[int], choose: Any) -> list[tuple[list[int], float]]:
        import torch

        end = self._says["eos_token_id"]
        never = torch.zeros(self._says["vocab_size"], dtype=torch.bool, device=self.device)
        never[[number for number in self._says.get("suppress_tokens") or () if number >= 0]] = True
        never[end + 1 :] = True  # what comes after the end token is no text
        never[end] = False
        at_first = never.clone()
        at_first[list(self._says.get("begin_suppress_tokens") or ())] = True
        texts: list[list[int]] = [[] for _ in range(len(encoded))]
        sums, counts = np.zeros(len(encoded)), np.ones(len(encoded))
        open_ = np.ones(len(encoded), bool)
        ids, past = torch.as_tensor(prompt, device=self.device), None
        for step in range(self._says["max_target_positions"] // 2 - len(prompt)):
            logits, past = self._scores(encoded, ids, past)
            scores = logits[:, -1].float().masked_fill(never if step else at_first, -torch.inf)
            chosen = choose(scores)
            logs = torch.log_softmax(scores, dim=1).gather(1, chosen[:, None])[:, 0].cpu().numpy()
            for row, token in enumerate(chosen.tolist()):
                if open_[row]:
                    sums[row] += logs[row]
                    counts[row] = step + 1
                    if token == end:
                        open_[row] = False
                    else:
                        texts[row].append(token)
            if not open_.any():
                break
            ids = chosen[:, None]
        return list(zip(texts, (sums / counts).tolist(), strict=True))

    def _timed(
        self, encoded: Any, prompt: list[int], tokens: list[int], seconds: float, language: str
    ) -> tuple[Word, ...]:
        """The words of a window with their times, from what the alignment heads attend to when they are said to the model."""
        words = words_of(tokens, self._decode, language)
        attention = self._attention(encoded, [*prompt, *tokens, self._says["eos_token_id"]])
        frames = max(1, min(encoded.shape[1], round(seconds / _FRAME_S)))
        times = token_times(attention[:, :, :frames], len(prompt), _FRAME_S)
        edges = np.cumsum([0, *(count for _, count in words)])
        return tuple(
            Word(text, float(times[first]), float(times[after]))
            for (text, _), first, after in zip(words, edges[:-1], edges[1:], strict=True)
        )

    def _attention(self, encoded: Any, tokens: list[int]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """What each token attends to in the sound: [alignment heads, tokens, frames]."""
        import torch

        seen: dict[int, Any] = {}

        def look(layer: int) -> Any:
            def hook(module: Any, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
                asked = positional[0] if positional else named["hidden_states"]
                shape = (-1, module.num_heads, module.head_dim)
                queries = (module.q_proj(asked) * module.scaling)[0].view(shape).transpose(0, 1)
                keys = module.k_proj(named["key_value_states"])[0].view(shape).transpose(0, 1)
                seen[layer] = torch.softmax((queries @ keys.transpose(1, 2)).float(), dim=-1)

            return hook

        layers = self._model.model.decoder.layers
        with ExitStack() as hooks:
            for number in {layer for layer, _ in self._heads}:
                handle = layers[number].encoder_attn.register_forward_pre_hook(look(number), with_kwargs=True)
                hooks.callback(handle.remove)
            self._scores(encoded, tokens)
        return np.stack([seen[layer][head].cpu().numpy() for layer, head in self._heads]).astype(np.float64)


def _repetition(text: str) -> float:
    """How many times smaller a text becomes by compression."""
    data = text.encode()
    return len(data) / len(zlib.compress(data)) if data else 0.0


def _decoder(folder: Path) -> Any:
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        raise EncoderError(
            f"whisper: {folder} has no tokenizer.json; save the model's tokenizer there with save_pretrained"
        )
    tokenizer = Tokenizer.from_file(str(path))
    return lambda tokens: tokenizer.decode(tokens, skip_special_tokens=False)


def _said(folder: Path) -> dict[str, Any]:
    """What a folder says of its model and of how text is generated with it.

    Raises:
        EncoderError: It is no Whisper, or does not say what a transcript needs.
    """
    told = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if told.get("model_type") != "whisper":
        kind = told.get("model_type")
        raise EncoderError(f"whisper: {folder} holds a model of the type {kind!r}; name one of the type 'whisper'")
    path = folder / "generation_config.json"
    told |= json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    lacks = [name for name in _NEEDED if not isinstance(told.get(name), int)]
    if lacks:
        raise EncoderError(f"whisper: {path} lacks {', '.join(lacks)}; save the model anew with save_pretrained")
    return dict(told)


def _loaded(folder: Path, kind: Any) -> Any:
    """The model of a folder.

    Raises:
        EncoderError: It cannot be loaded, or lacks weights.
    """
    import transformers
    from safetensors import SafetensorError

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()  # what is missing is checked below
    try:
        model, report = transformers.WhisperForConditionalGeneration.from_pretrained(
            folder, local_files_only=True, dtype=kind, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise EncoderError(f"whisper: {folder} cannot be loaded: {error}") from error
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("proj_out"))  # tied to the embedding
    if missing:
        raise EncoderError(f"whisper: {folder} lacks {len(missing)} weights, such as {missing[0]}; save the model anew")
    return model


def _revision(weights: str, folder: Path) -> str:
    """Fingerprint of everything that decides the words."""
    digest = hashlib.sha256(f"{weights} {_RULES}\n".encode())
    said = folder / "generation_config.json"
    digest.update(said.read_bytes() if said.is_file() else b"")
    return digest.hexdigest()[:32]
