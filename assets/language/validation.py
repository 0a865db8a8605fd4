"""What is wrong with a text, if anything, and which language it is in: rules on one text, without any model.

What a text is compared with (duplicates) is in `texts.sql`; how a text is made ready for a model is that model's.
"""

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

STATES = ("valid", "empty", "encoding", "mojibake", "markup", "too_short", "too_long", "spam", "duplicate")
"""What a text can be, in the order in which faults are looked for."""
LONGEST = {"title": 1_000, "comment": 10_000, "transcript": 500_000}
"""Characters that a part may have; YouTube's own limits are 100, 10,000 and none."""

_MARKUP = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?:\s[^<>]*)?/?>|&(?:[a-zA-Z]{2,8}|#\d{1,7}|#x[0-9a-fA-F]{1,6});")
_LINK = re.compile(r"https?://\S+|\bwww\.\S+|\b[\w-]+\.(?:com|net|org|ly|me|gg|xyz|shop|ru)\b(?:/\S*)?", re.I)
_CONTACT = re.compile(r"\b(?:whats?\s?app|telegram|t\.me|dm me|text me on|onlyfans)\b", re.I)
_PHONE = re.compile(r"\+?\d(?:[\s().-]{0,2}\d){8,}")
_REPEATED = re.compile(r"([^\W\d_])\1{30,}")
_WORD = re.compile(r"[^\W\d_]+")
_LONG_ENOUGH = 2
"""Letters, digits or symbols without which a text says nothing."""
_SAME_WORD, _SAME_SHARE = 8, 0.8
"""A word this often, and so large a share of all words, is a flood."""

_SCRIPTS = (
    ("ja", "HIRAGANA"),
    ("ja", "KATAKANA"),
    ("ko", "HANGUL"),
    ("zh", "CJK"),
    ("ar", "ARABIC"),
    ("cyrillic", "CYRILLIC"),
    ("hi", "DEVANAGARI"),
    ("th", "THAI"),
    ("el", "GREEK"),
    ("he", "HEBREW"),
    ("latin", "LATIN"),
)
# The commonest words that are not also common in another of these languages.
_COMMON = {
    "en": "the and is are was you this that it of with for not what my your i'm it's so he she they have just",
    "es": "el los las una muy pero porque está qué como más este eso yo también gracias esto ella",
    "pt": "não uma muito você isso mas obrigado são ele ela meu minha também está essa isto",
    "fr": "les des une est pas vous c'est je très mais avec pour qui dans nous cette merci",
    "de": "der die das und ist nicht ich ein eine mit auch sehr aber wir sie danke",
    "it": "il gli che non sono è molto questo questa grazie perché anche ma della",
    "vi": "là của không và có những được này cho một người bạn rất quá",
    "id": "yang dan ini itu tidak saya kamu dengan untuk ada bisa aku sangat",
    "tr": "bir ve bu çok için ama değil ben sen daha gibi",
}
_LANGUAGE_OF = {word: language for language, words in _COMMON.items() for word in words.split()}


@dataclass(frozen=True)
class Finding:
    """What a text is: its characters, its language, and `valid` or the first fault found."""

    length: int
    language: str
    state: str


def look_at(text: str, part: str) -> Finding:
    """What is to be said of one text by itself.

    Args:
        text: As the source has it.
        part: title, transcript or comment: how long it may be.
    """
    return Finding(len(text), language(text), state(text, part))


def state(text: str, part: str) -> str:
    """`valid`, or the first fault of a text by itself (never `duplicate`)."""
    if not text.strip():
        return "empty"
    if not text.isprintable():
        if all(char.isspace() or _is_control(char) for char in text):
            return "empty"
        if any(_is_control(char) for char in text):
            return "encoding"
    if "\ufffd" in text:
        return "encoding"
    if is_mojibake(text):
        return "mojibake"
    if _MARKUP.search(text):
        return "markup"
    if sum(unicodedata.category(char)[0] in "LNS" for char in text[:1000]) < _LONG_ENOUGH:
        return "too_short"
    if len(text) > LONGEST[part]:
        return "too_long"
    return "spam" if part == "comment" and is_spam(text) else "valid"


def is_mojibake(text: str) -> bool:
    """Whether UTF-8 was read as Windows-1252 or Latin-1, so that reading it back the right way gives fewer characters."""
    if text.isascii():
        return False
    for codec in ("cp1252", "latin-1"):
        try:
            return len(text.encode(codec).decode("utf-8")) < len(text)
        except UnicodeError:
            continue
    return False


def is_spam(text: str) -> bool:
    """Whether a comment is a link with nothing around it, an invitation elsewhere, or one word or letter over and over."""
    if _REPEATED.search(text) or (_CONTACT.search(text) and (_PHONE.search(text) or _LINK.search(text))):
        return True
    words = _WORD.findall(_LINK.sub(" ", text).lower())
    if _LINK.search(text) and len(words) < 3:
        return True
    commonest = Counter(words).most_common(1)
    return bool(commonest) and commonest[0][1] >= max(_SAME_WORD, _SAME_SHARE * len(words))


def language(text: str) -> str:
    """The language, where the script or the commonest words tell one; else the script; `unknown` without letters.

    A guess by counting: good enough to see what a source is made of, not to choose a model by.
    """
    head = text[:2000]
    letters = [char for char in head if char.isalpha()]
    scripts = Counter({"latin": len(letters)} if head.isascii() and letters else map(_script, letters))
    if not scripts:
        return "unknown"
    if scripts["ja"]:
        return "ja"  # kana are written among Han characters
    script = max(sorted(scripts), key=lambda name: scripts[name])
    if script != "latin":
        return script
    words = Counter(_LANGUAGE_OF.get(word, "") for word in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", head.lower()))
    words.pop("", None)
    ranked = words.most_common(2)
    if not ranked or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return script
    return ranked[0][0]


def _script(char: str) -> str:
    if char.isascii():
        return "latin"
    name = unicodedata.name(char, "")
    return next((script for script, start in _SCRIPTS if name.startswith(start)), "other")


def _is_control(char: str) -> bool:
    """Control characters, lone surrogates and code points without a character; not the joiners of emoji."""
    return unicodedata.category(char) in ("Cc", "Cs", "Cn") and not char.isspace()
