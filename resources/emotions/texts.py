"""What is done to a text before any emotion model sees it: made safe, not made pretty. Whether a text is worth judging is not asked here.

Markup and mojibake stay as they are: a model was trained on texts that have them.
"""

import re

LONGEST = 10_000
"""Characters of a text that are read: several times what any of the models takes in."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]+")
_SPACES = re.compile(r"\s+")


def prepared(text: str) -> str:
    """A text that can be encoded, on one line, of at most `LONGEST` characters; empty where there is nothing to read.

    Surrogates that are a pair become their character, others U+FFFD; control characters and runs of white space one space.
    Preparing a text again changes nothing.
    """
    whole = text[: 4 * LONGEST].encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _SPACES.sub(" ", _CONTROL.sub(" ", whole)).strip()[:LONGEST].rstrip()
