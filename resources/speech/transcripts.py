"""What is said in a sound: the transcript of a file, from its sound through the gate to words with times.

Which words are said in a window is a `Recogniser`'s business (`whisper`); where somebody speaks, that of `voice`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from resources.encoders.base import SAMPLE_RATE
from resources.media.films import Sound
from resources.media.states import MediaError, Reason
from resources.speech import sounds, voice

_TOGETHER = 4
"""Windows that are recognised at a time."""


@dataclass(frozen=True)
class Word:
    """A word, and when it was said (seconds from the beginning of the sound)."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Heard:
    """What was recognised in one window.

    Attributes:
        words: Words with times from the beginning of the window; of a model that knows none, one entry of all its words
            with the times of the window.
        confidence: Geometric mean of the probability of its tokens, 0..1.
        tokens: How many tokens that is the mean of.
    """

    words: tuple[Word, ...]
    confidence: float
    tokens: int


class Recogniser(Protocol):
    """Knows which words are said in windows of sound.

    Attributes:
        name: As transcripts name it.
        revision: Fingerprint of its weights and of how they are used.
        word_times: Whether it knows when each word was said.
    """

    name: str
    revision: str
    word_times: bool

    def language(self, windows: Sequence[Sound]) -> tuple[str, float]:
        """The language that is spoken (ISO 639 code), and how sure that is, 0..1."""
        ...

    def recognise(self, windows: Sequence[Sound], language: str) -> list[Heard]:
        """What is said in each window of at most 30 s; a window does not depend on the others."""
        ...


@dataclass(frozen=True)
class Transcript:
    """What is said in a sound.

    Attributes:
        text: All of it.
        words: Its words, in order, with times; where `timed` is `windows`, the words of one window are one entry.
        timed: Whether words or only windows have times.
        language: ISO 639 code of the language.
        language_confidence: How sure that is, 0..1; 1 where it was given.
        confidence: Geometric mean of the probability of the tokens, 0..1.
        words_per_minute: Words by minute of speech: what Whisper splits by spaces, or characters where a language has none.
        seconds: Length of the sound.
        speech_seconds: How much of it is speech, as the gate hears it.
        model: Name of the model.
        revision: Revision of what it was made by.
    """

    text: str
    words: tuple[Word, ...]
    timed: Literal["words", "windows"]
    language: str
    language_confidence: float
    confidence: float
    words_per_minute: float
    seconds: float
    speech_seconds: float
    model: str
    revision: str

    @property
    def note(self) -> str | None:
        """What a person should know of its times."""
        return (
            None if self.timed == "words" else f"{self.model} gives no word times: those of its windows stand for them"
        )


def revision(recogniser: Recogniser, language: str | None) -> str:
    """What a transcript is made by: the model, the gate before it, and the language that it was told."""
    return "-".join([recogniser.revision, voice.GATE, *([language] if language else [])])


def transcribe(path: Path, recogniser: Recogniser, language: str | None = None) -> Transcript:
    """The transcript of a film or sound file of any length, in memory that does not grow with it.

    The sound is decoded twice: to find speech, and to hand it to the model.

    Args:
        path: The file.
        recogniser: What knows the words.
        language: ISO 639 code, where it is known; else it is detected from the first windows with speech.

    Raises:
        MediaError: `no-speech` (nobody speaks, or no word was recognised), or what `sounds.open_sound` and
            `sounds.blocks` raise.
    """
    made_by = revision(recogniser, language)
    source = sounds.open_sound(path)
    frames = voice.measure(sounds.blocks(source))
    spoken = voice.speech(frames)
    if not spoken:
        raise MediaError(Reason.NO_SPEECH, f"nobody speaks in its {frames.samples / SAMPLE_RATE:.1f} s")
    spans = voice.windows(frames, spoken)
    heard: list[tuple[voice.Speech, Heard]] = []
    sure = 1.0
    for together, parts in _batches(source, spans):
        if language is None:
            language, sure = recogniser.language(parts)
        heard += zip(together, recogniser.recognise(parts, language), strict=True)
    said = [(span, each) for span, each in heard if each.words]
    if not said or language is None:
        raise MediaError(Reason.NO_SPEECH, "no word was recognised in its speech")
    speech_s = sum(each.stop - each.start for each in spoken) / SAMPLE_RATE
    words = tuple(_placed(word, span) for span, each in said for word in each.words)
    text = "".join(word.text for word in words).strip()
    counts = len(words) if recogniser.word_times else len(text.split())
    weights = np.array([each.tokens for _, each in said], np.float64)
    logs = np.log([max(each.confidence, 1e-12) for _, each in said])
    return Transcript(
        text=text,
        words=tuple(Word(word.text.strip(), word.start, word.end) for word in words),
        timed="words" if recogniser.word_times else "windows",
        language=language,
        language_confidence=sure,
        confidence=float(np.exp((weights * logs).sum() / weights.sum())),
        words_per_minute=counts / (speech_s / 60),
        seconds=frames.samples / SAMPLE_RATE,
        speech_seconds=speech_s,
        model=recogniser.name,
        revision=made_by,
    )


def _batches(source: sounds.Source, spans: list[voice.Speech]) -> Iterator[tuple[list[voice.Speech], list[Sound]]]:
    """Windows and their sound, few at a time."""
    parts = sounds.slices(sounds.blocks(source), [(span.start, span.stop) for span in spans])
    for start in range(0, len(spans), _TOGETHER):
        together = spans[start : start + _TOGETHER]
        yield together, [next(parts) for _ in together]


def _placed(word: Word, span: voice.Speech) -> Word:
    """A word of a window at its time in the sound, inside that window."""
    offset, length = span.start / SAMPLE_RATE, (span.stop - span.start) / SAMPLE_RATE
    start = min(max(word.start, 0.0), length)
    return Word(word.text, offset + start, offset + min(max(word.end, start), length))
