"""The words of feelings in the simulated world: sentences for each emotion, as spoken and as commented, and how glad each sounds.

Labels are those of GoEmotions. Which emotion a text gets, and what that has to do with a video's success, is in `words`.
"""

from collections.abc import Mapping

GLADNESS: Mapping[str, float] = {
    "admiration": 1.0,
    "joy": 0.8,
    "excitement": 0.9,
    "amusement": 0.5,
    "surprise": 0.15,
    "curiosity": 0.0,
    "neutral": 0.0,
    "annoyance": -0.6,
    "disappointment": -0.9,
    "anger": -1.0,
    "sadness": -0.7,
    "nervousness": -0.4,
}
"""How glad each emotion is, -1 to 1."""
COMMENTED = (
    "admiration",
    "joy",
    "amusement",
    "surprise",
    "curiosity",
    "neutral",
    "annoyance",
    "disappointment",
    "anger",
)
"""What people show in comments."""
SPOKEN = ("excitement", "joy", "curiosity", "neutral", "nervousness", "sadness", "annoyance")
"""What people show when they speak."""

SENTENCES: Mapping[str, tuple[str, ...]] = {
    "admiration": (
        "what a brilliant piece of work",
        "you are so talented",
        "this is beautifully done",
        "i admire how you do {0}",
        "respect, that {0} is masterful",
        "the skill in this is incredible",
    ),
    "joy": (
        "this made my whole day",
        "i am so happy right now",
        "smiling from ear to ear",
        "such a joyful moment with {0}",
        "this {0} fills me with happiness",
        "what a wonderful, cheerful clip",
    ),
    "excitement": (
        "i cannot wait to show you {0}",
        "oh this is so exciting",
        "here we go, i am thrilled about {0}",
        "i am pumped, let us start",
        "get ready, this is going to be epic",
        "woohoo, {0} is finally here",
    ),
    "amusement": (
        "haha this cracked me up",
        "lol the {0} part is hilarious",
        "i am laughing so hard",
        "funniest thing i saw this week",
        "rofl, who thought of {0}",
        "that joke killed me, haha",
    ),
    "surprise": (
        "wow, i did not expect that",
        "whoa, since when does {0} do this",
        "i am speechless, what a twist",
        "no way that just happened",
        "omg, that came out of nowhere",
        "unexpected, {0} of all things",
    ),
    "curiosity": (
        "how did you learn {0}?",
        "i wonder what comes next",
        "does anyone know which {0} that is?",
        "where can i read more about {0}?",
        "what happens if you change it?",
        "curious how long this took?",
    ),
    "neutral": (
        "{0} at the usual place",
        "posted on a weekday again",
        "part two is linked below",
        "the {0} is from the shop on the corner",
        "it is the third one of the series",
        "we filmed {0} with one camera",
    ),
    "annoyance": (
        "ugh, another video about {0}",
        "please stop with the loud music",
        "this is getting irritating",
        "the endless intro is so annoying",
        "why is {0} everywhere, enough already",
        "i am tired of these cuts",
    ),
    "disappointment": (
        "i expected more from this",
        "sadly the {0} part was a letdown",
        "the old videos were better",
        "disappointing, nothing works as shown",
        "what a pity, {0} had potential",
        "i was hoping for a real result",
    ),
    "anger": (
        "this makes me furious",
        "shame on you for that {0}",
        "what an outrageous lie",
        "i hate how you treat {0}",
        "disgraceful, take this down",
        "i am so mad at this garbage",
    ),
    "sadness": (
        "it breaks my heart to say this",
        "i cried over {0} last night",
        "it has been a sad and lonely week",
        "i miss the old {0} so much",
        "honestly, i feel down today",
        "we lost {0}, and it hurts",
    ),
    "nervousness": (
        "i am a bit nervous about {0}",
        "my hands are shaking",
        "i worry that {0} will go wrong",
        "this makes me anxious, bear with me",
        "i hope nobody gets upset with me",
        "i feel tense before every take",
    ),
}
"""What shows an emotion; {0} is a word of the topic."""
PLAIN: tuple[str, ...] = (
    "first we take the {0} and put it here",
    "then comes {1}, as you see on the table",
    "this takes about ten minutes",
    "you find the list in the description",
    "now turn {0} around once",
    "next to it there is some {1}",
    "we repeat that with the other {0}",
    "let it rest while we look at {1}",
)
"""What is said besides."""
KEY: tuple[str, ...] = (
    "The main point is that {0} works best together with {1}",
    "Remember that {1} has to come before {0}",
    "The result shows that {0} needs half as much {1}",
    "What matters most about {0} is the right {1}",
)
"""What a summary has to keep."""
EMOJI: Mapping[str, str] = {"joy": "😊", "amusement": "😂", "admiration": "👏", "anger": "😡", "surprise": "😮"}
