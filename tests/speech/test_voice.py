"""Where the gate hears speech, and where it does not."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.encoders.base import SAMPLE_RATE
from resources.media.films import Sound
from resources.speech import voice
from tests.speech import sounds


def heard(sound: Sound) -> np.ndarray:
    """Which samples are speech."""
    found = np.zeros(len(sound), bool)
    for each in voice.speech(voice.measure([sound])):
        found[each.start : each.stop] = True
    return found


@pytest.mark.parametrize("background_db", [-90, -70, -50, -35])
def test_the_floor_follows_the_background(background_db: float) -> None:
    word, pause = sounds.spoken("one"), sounds.silence(6.0)
    quiet = np.concatenate([pause, word, pause, word, pause])
    spoken = np.concatenate([pause > 1, word < 9, pause > 1, word < 9, pause > 1])
    found = heard(quiet + sounds.noise(len(quiet) / SAMPLE_RATE, background_db, colour=1))
    assert np.square(quiet[found]).sum() > 0.99 * np.square(quiet).sum()
    assert found[~spoken].mean() < 0.08  # what is kept around a word


def test_a_background_that_grows_is_no_speech() -> None:
    steps = [sounds.noise(20.0, level, colour=1, seed=-level) for level in (-60, -45, -30)]
    assert heard(np.concatenate(steps)).mean() < 0.3
    assert not heard(steps[2]).any()


def test_clicks_are_no_speech() -> None:
    sound = sounds.silence(10.0)
    sound[:: SAMPLE_RATE // 2] = 0.9
    assert not heard(sound).any()


def test_blocks_are_heard_as_the_whole() -> None:
    sound = np.concatenate([sounds.sentence(["one", "two"]), sounds.silence(3.0), sounds.sentence(["three"])])
    whole, parts = voice.measure([sound]), voice.measure([sound[:16_000], sound[16_000:48_000], sound[48_000:]])
    np.testing.assert_array_equal(whole.level, parts.level)
    np.testing.assert_array_equal(whole.flatness, parts.flatness)
    assert whole.samples == parts.samples == len(sound)


def test_nothing_is_heard_in_nothing() -> None:
    frames = voice.measure([])
    assert voice.speech(frames) == []
    assert voice.windows(frames, []) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 400)), max_size=12), st.integers(0, 1000))
def test_windows_hold_all_speech_once_and_are_short(stretches: list[tuple[int, int]], seed: int) -> None:
    spoken, at = [], 0
    for length, gap in stretches:
        at += gap
        spoken.append(voice.Speech(at * voice.FRAME, (at + length) * voice.FRAME))
        at += length
    level = np.random.default_rng(seed).normal(-30, 10, at + 1).astype(np.float32)
    frames = voice.Frames(level, np.zeros_like(level), len(level) * voice.FRAME)
    found = voice.windows(frames, spoken)
    assert all(0 < each.stop - each.start <= voice.LONGEST_S * SAMPLE_RATE for each in found)
    assert all(before.stop <= after.start for before, after in itertools.pairwise(found))
    covered = np.zeros(frames.samples, bool)
    for each in found:
        covered[each.start : each.stop] = True
    assert all(covered[each.start : each.stop].all() for each in spoken)
