"""What is said in simulated videos and under them: transcripts and comments, their emotions, their dirt, and labelled texts.

Words tell what counts do not show yet. How people receive a video (`reception`) follows the response of the audience that
recommendation brings, `innovation_2`, which views show only after days; each comment's emotion is drawn from it. How a video
is spoken (`delivery`) follows its level and the response of the feed, `innovation_1`; each sentence's emotion is drawn from
that. So a forecaster has something to gain from words at every cutoff. Streams are of their own: the world, its counts
and its landings are the same with words and without. What words are worth to know is in `words_truth`, for tests and
benchmarks only.
"""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas

from resources.simulator.moods import COMMENTED, EMOJI, GLADNESS, KEY, PLAIN, SENTENCES, SPOKEN
from resources.simulator.vocabulary import TOPICS
from resources.simulator.world import INNOVATION_SD, SimulatorConfig, World, make_world

COMMENTS = 3.0
"""Comments of a video on average; each has one at least."""
HEARD, TOLD = 0.9, 0.6
"""Correlations of reception with `innovation_2` and of delivery with `innovation_1`."""
TOLD_LEVEL = 0.5
"""Correlation of delivery with the level of the latents."""
GAIN = 2.0
"""How strongly an emotion's gladness is drawn to reception or delivery (log odds per standard deviation)."""
COMMENT_AGE_H, COMMENT_AGE_SD = 5.0, 1.2
SENTENCES_SPOKEN, SENTENCES_FELT, SENTENCES_KEY = 6, 4, 2
WITH_CAPTIONS, CAPTIONS_LATER = 0.85, 0.2
"""Share of the videos with captions, and of these the share whose captions come hours after publication."""
SPOILT = {
    "empty": 0.02,
    "mojibake": 0.02,
    "markup": 0.01,
    "spam": 0.02,
    "duplicate": 0.02,
    "late": 0.03,
    "resent": 0.01,
}
"""Share of the comments that each fault befalls, each at most one; `late` and `resent` ones are valid."""
LABELLED = {"train": 1500, "dev": 300, "test": 200}
WRONG_LABELS = 0.02
DAY_S = 86_400


@dataclass(frozen=True)
class Words:
    """All that is said.

    Attributes:
        comments: comment_id, video_id, written, collected, known (seconds since the start of the first day), text, likes,
            emotion, and `spoilt` (a key of SPOILT, or ""); one row per record, in order of arrival.
        transcripts: video_id, collected, known, text, `emotions` (one per sentence that shows one), `key` (the sentences that a
            summary has to keep).
        texts: text_id, text, labels, split.
        videos: video_id, `reception`, `delivery` (standard normal).
    """

    comments: pandas.DataFrame
    transcripts: pandas.DataFrame
    texts: pandas.DataFrame
    videos: pandas.DataFrame


def words_truth(config: SimulatorConfig) -> Words:
    """Everything that is said in the world of a configuration, with what it shows."""
    return say(make_world(config))


def say(world: World) -> Words:
    """Draw what is said in a world; the same world always gives the same."""
    videos = _moods(world)
    return Words(_comments(world, videos), _transcripts(world, videos), _labelled(world.config), videos)


def write_words(config: SimulatorConfig, folder: Path) -> list[Path]:
    """Write what is said as landing files: comments and captions per day of arrival, and one file of labelled texts.

    Returns:
        The files, `simulator_comments_YYYYMMDD.csv`, `simulator_captions_YYYYMMDD.csv`, `simulator_texts_YYYYMMDD.csv`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = words_truth(config)
    paths = [_write_texts(words.texts, config, folder)]
    for name, rows, head in (
        ("captions", words.transcripts, ("video_id", "caption_language", "caption_kind", "transcript")),
        ("comments", words.comments, ("comment_id", "of_video", "comment_text", "comment_likes", "written_at")),
    ):
        days = rows["known"].to_numpy() // DAY_S
        for day in range(config.days):
            if len(chosen := rows[days == day]):
                records = _captions(chosen, config) if name == "captions" else _commented(chosen, config)
                paths.append(_write(folder, name, config, day, (*head, "collected_at", "known_at"), records))
    return paths


def _moods(world: World) -> pandas.DataFrame:
    rng = world.config.stream("moods")
    videos, noise = world.videos, rng.normal(0.0, 1.0, (len(world.videos), 2))
    feed, recommended = (videos[f"innovation_{stage}"].to_numpy() / INNOVATION_SD[stage] for stage in (1, 2))
    level = world.level()
    level = (level - level.mean()) / level.std()
    reception = HEARD * recommended + np.sqrt(1 - HEARD**2) * noise[:, 0]
    delivery = TOLD * feed + TOLD_LEVEL * level + np.sqrt(1 - TOLD**2 - TOLD_LEVEL**2) * noise[:, 1]
    return pandas.DataFrame({"video_id": videos["video_id"], "reception": reception, "delivery": delivery})


def _drawn(mood: np.ndarray, among: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """One emotion per mood, shape (n,): the gladder the mood, the gladder they are."""
    glad = np.array([GLADNESS[name] for name in among])
    odds = np.exp(GAIN * mood[:, None] * glad)
    chance = (odds / odds.sum(axis=1, keepdims=True)).cumsum(axis=1)
    place = np.minimum((rng.random(len(mood))[:, None] > chance).sum(axis=1), len(among) - 1)
    return np.asarray(np.array(among, dtype=object)[place])


def _sentence(emotion: str, words: Sequence[str], draw: int) -> str:
    forms = SENTENCES[emotion]
    return forms[draw % len(forms)].format(words[(draw >> 8) % len(words)])


def _vocabulary(world: World) -> list[tuple[str, ...]]:
    of = list(TOPICS.values())
    return [of[topic] for topic in world.videos["topic"].tolist()]


def _comments(world: World, moods: pandas.DataFrame) -> pandas.DataFrame:
    rng = world.config.stream("comments")
    count = 1 + rng.poisson(COMMENTS - 1, len(moods))
    video = np.repeat(np.arange(len(moods)), count)
    emotion = _drawn(moods["reception"].to_numpy()[video], COMMENTED, rng)
    age_s = 3600 * COMMENT_AGE_H * np.exp(rng.normal(0.0, COMMENT_AGE_SD, len(video)))
    written = world.videos["published"].to_numpy()[video] + np.maximum(age_s, 30).astype(np.int64)
    collected = written + rng.integers(300, 3600, len(video))
    draws = rng.integers(0, 1 << 30, (len(video), 2)).tolist()
    spoken = _vocabulary(world)
    texts = [
        _comment_text(mood, spoken[of], draw)
        for mood, of, draw in zip(emotion.tolist(), video.tolist(), draws, strict=True)
    ]
    rows = pandas.DataFrame(
        {
            "comment_id": [f"c{number:08d}" for number in range(len(video))],
            "video_id": world.videos["video_id"].to_numpy()[video],
            "written": written,
            "collected": collected,
            "known": collected,
            "text": texts,
            "likes": rng.poisson(2.0, len(video)),
            "emotion": emotion,
            "spoilt": "",
        }
    )
    if world.config.dirt:
        rows = _spoil(rows, rng)
    rows = rows[rows["known"] < world.config.days * DAY_S]
    return rows.sort_values(["known", "comment_id", "collected"], kind="stable", ignore_index=True)


def _comment_text(emotion: str, words: Sequence[str], draws: Sequence[int]) -> str:
    text = _sentence(emotion, words, draws[0])
    end = draws[1] % 4
    tail = "!" if end == 0 and emotion != "neutral" else f" {EMOJI[emotion]}" if end == 1 and emotion in EMOJI else ""
    return (text[0].upper() + text[1:] if draws[1] >> 8 & 1 else text) + tail


def _spoil(rows: pandas.DataFrame, rng: np.random.Generator) -> pandas.DataFrame:
    """Empty, damage, repeat, delay and resend some comments; what repeats another takes its text and comes after it."""
    kinds = np.array([*SPOILT, ""], dtype=object)
    kind = rng.choice(kinds, size=len(rows), p=[*SPOILT.values(), 1 - sum(SPOILT.values())]).astype(object)
    first = ~rows["video_id"].duplicated().to_numpy()
    kind[first & (kind == "duplicate")] = ""
    text, emotion = rows["text"].to_numpy(object).copy(), rows["emotion"].to_numpy(object).copy()
    text[kind == "empty"] = ""
    text[kind == "markup"] = [f"<b>{said}</b>" for said in text[kind == "markup"]]
    text[kind == "spam"] = [f"https://win{at}.example.com/now" for at in np.flatnonzero(kind == "spam")]
    plain = [said.encode("ascii", "ignore").decode().strip() for said in text[kind == "mojibake"]]
    text[kind == "mojibake"] = [f"{said} \u2013 très bien".encode().decode("cp1252") for said in plain]
    starts = np.maximum.accumulate(np.where(first, np.arange(len(rows)), 0))
    repeats = np.flatnonzero(kind == "duplicate")
    repeats = repeats[kind[starts[repeats]] == ""]
    kind[(kind == "duplicate") & ~np.isin(np.arange(len(rows)), repeats)] = ""
    text[repeats], emotion[repeats] = text[starts[repeats]], emotion[starts[repeats]]
    earliest = rows["collected"].to_numpy()[starts]
    again = kind == "duplicate"
    collected = np.where(again, np.maximum(rows["collected"], earliest + 60), rows["collected"])
    late = kind == "late"
    known = collected + np.where(late, (DAY_S * (0.5 + rng.exponential(1.0, len(rows)))).astype(np.int64), 0)
    rows = rows.assign(text=text, emotion=emotion, collected=collected, known=known, spoilt=kind)
    resent: pandas.DataFrame = rows[kind == "resent"]
    return pandas.concat([rows, resent.assign(known=resent["known"] + DAY_S)], ignore_index=True)


def _transcripts(world: World, moods: pandas.DataFrame) -> pandas.DataFrame:
    rng = world.config.stream("transcripts")
    count = len(moods)
    felt = _drawn(np.repeat(moods["delivery"].to_numpy(), SENTENCES_FELT), SPOKEN, rng).reshape(count, SENTENCES_FELT)
    draws = rng.integers(0, 1 << 30, (count, SENTENCES_SPOKEN + SENTENCES_FELT + SENTENCES_KEY)).tolist()
    order = rng.random((count, SENTENCES_SPOKEN + SENTENCES_FELT + SENTENCES_KEY)).argsort(axis=1).tolist()
    has, later = rng.random(count) < WITH_CAPTIONS, rng.random(count) < CAPTIONS_LATER
    collected = world.videos["published"].to_numpy() + np.where(later, rng.integers(1800, 20 * 3600, count), 0)
    texts, keys = [], []
    for words, emotions, draw, places in zip(_vocabulary(world), felt.tolist(), draws, order, strict=True):
        said = [_plain(PLAIN, words, each) for each in draw[:SENTENCES_SPOKEN]]
        said += [_sentence(name, words, each) for name, each in zip(emotions, draw[SENTENCES_SPOKEN:], strict=False)]
        key = [_plain(KEY, words, each) for each in draw[-SENTENCES_KEY:]]
        said += key
        texts.append(". ".join(said[place][0].upper() + said[place][1:] for place in places).replace("?.", "?") + ".")
        keys.append(tuple(key))
    rows = pandas.DataFrame(
        {
            "video_id": moods["video_id"],
            "collected": collected,
            "known": collected,
            "text": texts,
            "emotions": [tuple(names) for names in felt.tolist()],
            "key": keys,
        }
    )
    kept = np.flatnonzero(has & (rows["known"].to_numpy() < world.config.days * DAY_S))
    return rows.take(kept).reset_index(drop=True)


def _plain(forms: Sequence[str], words: Sequence[str], draw: int) -> str:
    first = (draw >> 8) % len(words)
    second = (first + 1 + (draw >> 16) % (len(words) - 1)) % len(words)
    return forms[draw % len(forms)].format(words[first], words[second])


def _labelled(config: SimulatorConfig) -> pandas.DataFrame:
    """Texts of one or several sentences with the emotions that these show; of other draws than what is said of videos."""
    rng = config.stream("labelled texts")
    names, topics = list(SENTENCES), list(TOPICS.values())
    rows = []
    for split, count in LABELLED.items():
        for number in range(count):
            shown = rng.choice(names, 1 if rng.random() < 0.6 else int(rng.integers(2, 5)), replace=False).tolist()
            words = topics[rng.integers(0, len(topics))]
            said = [_sentence(name, words, int(rng.integers(0, 1 << 30))) for name in shown]
            said += [_plain(PLAIN, words, int(draw)) for draw in rng.integers(0, 1 << 30, int(rng.integers(0, 6)))]
            labels = [name for name in shown if name != "neutral"] or ["neutral"]
            if rng.random() < WRONG_LABELS:
                labels = [str(rng.choice(names))]
            text = ". ".join(said[place] for place in rng.permutation(len(said)))
            rows.append((f"t{split}{number:05d}", text, tuple(labels), split))
    return pandas.DataFrame(rows, columns=["text_id", "text", "labels", "split"])


def _commented(rows: pandas.DataFrame, config: SimulatorConfig) -> list[list[str]]:
    columns = [
        rows[name].tolist() for name in ("comment_id", "video_id", "text", "likes", "written", "collected", "known")
    ]
    return [
        [comment, video, text, str(likes), _time(config, written), _time(config, collected), _time(config, known)]
        for comment, video, text, likes, written, collected, known in zip(*columns, strict=True)
    ]


def _captions(rows: pandas.DataFrame, config: SimulatorConfig) -> list[list[str]]:
    columns = [rows[name].tolist() for name in ("video_id", "text", "collected", "known")]
    return [
        [video, "en", "manual", text, _time(config, collected), _time(config, known)]
        for video, text, collected, known in zip(*columns, strict=True)
    ]


def _write_texts(texts: pandas.DataFrame, config: SimulatorConfig, folder: Path) -> Path:
    moment = _time(config, 0)
    columns = [texts[name].tolist() for name in ("text_id", "text", "labels", "split")]
    records = [
        [name, text, ",".join(labels), split, moment] for name, text, labels, split in zip(*columns, strict=True)
    ]
    return _write(folder, "texts", config, 0, ("text_id", "text", "labels", "split", "collected_at"), records)


def _time(config: SimulatorConfig, seconds: int) -> str:
    start = datetime(config.start.year, config.start.month, config.start.day)
    return f"{start + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def _write(
    folder: Path, name: str, config: SimulatorConfig, day: int, header: Sequence[str], records: Sequence[Sequence[str]]
) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(records)
    path = folder / f"simulator_{name}_{config.start + timedelta(days=day):%Y%m%d}.csv"
    scratch = folder / f".{path.name}.{os.getpid()}"
    scratch.write_bytes(text.getvalue().encode())
    os.replace(scratch, path)
    return path
