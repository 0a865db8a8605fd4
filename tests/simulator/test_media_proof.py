"""The worlds of the modality proof: classes are rearrangements of the same parts, and no simple descriptor tells them."""

from typing import get_args

import numpy as np
import pytest

from benchmarks.modality import Split, r2, simple_descriptors
from resources.simulator.modality import (
    CLASSES,
    MELODIES,
    PHRASES,
    REACHABLE,
    SHAPES,
    ProofWorld,
    Told,
    draw_melody,
    draw_phrase,
    draw_shape,
    proof_world,
)


@pytest.fixture(scope="module")
def world() -> ProofWorld:
    return proof_world(1600, 1)


def test_the_same_seed_gives_the_same_world(world: ProofWorld) -> None:
    again, other = proof_world(40, 2), proof_world(40, 2)
    assert again.texts == other.texts
    assert [image.tobytes() for image in again.images] == [image.tobytes() for image in other.images]
    assert [sound.tobytes() for sound in again.sounds] == [sound.tobytes() for sound in other.sounds]
    assert again.texts != world.texts[:40]
    assert (again.outcomes("text", 2) == other.outcomes("text", 2)).all()


def test_classes_are_made_of_the_same_parts() -> None:
    assert len(SHAPES) == len(set(MELODIES)) == len(set(PHRASES)) == CLASSES
    assert len({tuple(sorted(melody)) for melody in MELODIES}) == 1
    assert len({tuple(sorted(phrase.split())) for phrase in PHRASES}) == 1
    for cells in SHAPES.values():
        beside = [
            (row + down, column + right) for row, column in cells for down, right in ((0, 1), (1, 0), (0, -1), (-1, 0))
        ]
        assert len(set(cells)) == 5 and sum(cell not in cells for cell in beside) == 12


def test_no_simple_descriptor_differs_between_classes(world: ProofWorld) -> None:
    """Analysis of variance of each descriptor over the classes: F(7, 1592) above 3.9 has probability 0.0003."""
    rows = np.column_stack([simple_descriptors(world), world.scalars])
    rows = rows[:, rows.std(axis=0) > 0]
    for told, classes in world.classes.items():
        groups = [rows[classes == k] for k in range(CLASSES)]
        between = sum(len(group) * (group.mean(axis=0) - rows.mean(axis=0)) ** 2 for group in groups) / (CLASSES - 1)
        within = sum(((group - group.mean(axis=0)) ** 2).sum(axis=0) for group in groups) / (len(rows) - CLASSES)
        assert (between / within).max() < 3.9, (told, between / within)


def test_from_the_same_draw_classes_differ_but_their_descriptors_hardly() -> None:
    """One draw of place, size, colours, key and tempo for all eight: what is left is the class."""
    images = [np.asarray(draw_shape(k, np.random.default_rng(3)), dtype=float) for k in range(CLASSES)]
    sounds = [draw_melody(k, np.random.default_rng(3)) for k in range(CLASSES)]
    texts = [draw_phrase(k, np.random.default_rng(3)) for k in range(CLASSES)]
    assert len({image.tobytes() for image in images}) == len({sound.tobytes() for sound in sounds}) == CLASSES
    assert len({tuple(sorted(text.split())) for text in texts}) == 1 and len(set(texts)) == CLASSES
    assert np.ptp([image.mean() for image in images]) < 3.0
    assert np.ptp([np.sqrt((sound**2).mean()) for sound in sounds]) < 0.03 * np.sqrt((sounds[0] ** 2).mean())


def test_who_knows_the_class_reaches_what_is_reachable_and_the_other_classes_nothing(world: ProofWorld) -> None:
    for told in get_args(Told):
        outcomes, effect = world.outcomes(told, 1), world.effect(told, 1)
        known = 1 - ((outcomes - effect) ** 2).sum() / ((outcomes - outcomes.mean()) ** 2).sum()
        assert abs(known - REACHABLE) < 0.05
        for other in set(get_args(Told)) - {told}:
            means = np.array([outcomes[world.classes[other] == k].mean() for k in range(CLASSES)])
            assert np.abs(means - outcomes.mean()).max() < 0.4


def test_blocks_follow_each_other_in_time() -> None:
    split = Split.of(1000)
    assert 0 < split.first < split.origin < 1000


def test_r2_of_the_known_mean_is_zero_and_its_interval_holds_it() -> None:
    errors = np.random.default_rng(0).uniform(size=(50, 1)) * [1.0, 1.0]
    assert r2(errors) == (0.0, 0.0, 0.0)
    value, low, high = r2(errors * [0.5, 1.0])
    assert value == low == high == 0.5
