"""The words of the simulated platform: topics, styles, and titles, descriptions and tags built from them.

A style shows in the shape of a title (questions, digits, capitals, emoji, hashtags, length) and a topic in its words,
so that what a forecaster can read from the text is what the world was told. How much either is worth is in `world`.
"""

import numpy as np

TOPICS: dict[str, tuple[str, ...]] = {
    "cooking": ("noodles", "pancakes", "curry", "bread", "salad", "soup", "tacos", "cake"),
    "fitness": ("squats", "pushups", "stretching", "running", "yoga", "plank", "cardio", "deadlifts"),
    "gaming": ("speedrun", "boss fight", "minecraft base", "loot", "ranked match", "glitch", "mod", "final level"),
    "travel": ("tokyo", "night train", "island", "street market", "hostel", "old town", "ferry", "desert"),
    "science": ("magnet", "volcano", "black hole", "enzyme", "crystal", "laser", "telescope", "reaction"),
    "beauty": ("eyeliner", "skin routine", "lipstick", "hair mask", "nails", "perfume", "sunscreen", "curls"),
    "money": ("budget", "index fund", "side job", "rent", "savings", "credit card", "taxes", "payday"),
    "animals": ("puppy", "kitten", "parrot", "hedgehog", "goat", "octopus", "rescue dog", "horse"),
}
STYLES: tuple[str, ...] = ("question", "list", "hype", "tutorial", "story", "plain")

_QUESTIONS = ("Why does {0} work?", "Is {0} worth it?", "What happens with {0}?", "Can {0} beat {1}?")
_LISTS = ("{n} ways to do {0}", "Top {n} {0} facts", "{n} mistakes with {0}", "{n} rules of {0} and {1}")
_HYPE = ("THIS {0} IS INSANE!!! {e}", "YOU WON'T BELIEVE THIS {0}! {e}", "BEST {0} EVER!! {e}{e}", "OMG {0}!!! {e}")
_TUTORIALS = ("How to start {0} #howto #{t}", "{0} made easy #learn #{t}", "Simple {0} for beginners #tips #{t}")
_STORIES = (
    "the day {0} changed everything and nobody in the room could explain what {1} had to do with it",
    "i spent a whole month on {0}, gave up on {1}, and this is what came out of it in the end",
    "my neighbour told me never to mix {0} with {1}, so of course i tried it the very same evening",
)
_PLAIN = ("{0} again", "{0} and {1}", "Morning {0}", "Just {0}")
_TEMPLATES = dict(zip(STYLES, (_QUESTIONS, _LISTS, _HYPE, _TUTORIALS, _STORIES, _PLAIN), strict=True))
_EMOJI = ("🔥", "😱", "🤯", "💥")
_CLOSINGS = ("Thanks for watching", "New video every week", "Filmed on a phone", "More soon")


def write_texts(
    topics: np.ndarray, styles: np.ndarray, rng: np.random.Generator
) -> tuple[list[str], list[str], list[tuple[str, ...]]]:
    """Titles, descriptions and tags.

    Args:
        topics: Index into TOPICS per video, shape (n,).
        styles: Index into STYLES per video, shape (n,).
        rng: Where the choices come from; the same state gives the same texts.

    Returns:
        Three lists of length n; about one description in ten has a line break and a quotation.
    """
    names, words = list(TOPICS), list(TOPICS.values())
    draws = rng.integers(0, 1 << 30, size=(len(topics), 6)).tolist()
    titles: list[str] = []
    descriptions: list[str] = []
    tags: list[tuple[str, ...]] = []
    for topic, style, (a, b, c, d, e, f) in zip(topics.tolist(), styles.tolist(), draws, strict=True):
        name, vocabulary, look = names[topic], words[topic], STYLES[style]
        first = vocabulary[a % len(vocabulary)]
        second = vocabulary[(a + 1 + b % (len(vocabulary) - 1)) % len(vocabulary)]
        templates = _TEMPLATES[look]
        title = templates[c % len(templates)].format(
            first.upper() if look == "hype" else first, second, n=3 + d % 8, e=_EMOJI[e % len(_EMOJI)], t=name
        )
        titles.append(title[0].upper() + title[1:] if look in ("plain", "tutorial", "list") else title)
        text = f"A {look} video on {first}. {_CLOSINGS[f % len(_CLOSINGS)]}."
        descriptions.append(f'{text}\n"{second}" is next, subscribe' if f % 10 == 0 else text)
        tags.append((name, first, look) if f % 3 else (name, first, second))
    return titles, descriptions, tags
