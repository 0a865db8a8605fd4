import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from resources.emotions.decisions import Decisions, DecisionsError
from resources.emotions.model import MANIFEST, EmotionError, Manifest, load, read_manifest, require_labels, seal
from resources.emotions.scoring import score

LABELS = ("joy", "anger", "neutral")


def manifest(**given: object) -> Manifest:
    values = {"kind": "baseline", "name": "m", "labels": LABELS, "decisions": Decisions(1.0, (0.5, 0.4, 0.5))}
    return Manifest.model_validate(values | given)


def bundle(folder: Path) -> Path:
    (folder / "part").mkdir(parents=True)
    (folder / "weights.npz").write_bytes(b"weights")
    (folder / "part" / "weights.npz").write_bytes(b"others")
    seal(folder, manifest())
    return folder


def test_probabilities_decisions_and_abstention() -> None:
    decisions = Decisions(2.0, (0.5, 0.4, 0.9), abstain_below=0.3)
    probabilities = decisions.probabilities(np.array([[0.0, -0.9, 2.0], [-9, -9, -9], [1e9, -1e9, 0]], np.float32))
    assert probabilities.dtype == np.float32
    assert probabilities[0] == pytest.approx([0.5, 1 / (1 + np.exp(0.45)), 1 / (1 + np.exp(-1))], abs=1e-6)
    assert decisions.decide(probabilities).tolist() == [[True, False, False], [False] * 3, [True, False, False]]
    assert decisions.abstains(probabilities).tolist() == [False, True, False]


def test_decisions_refuse_what_cannot_be() -> None:
    for wrong in ((0.0, (0.5,)), (float("nan"), (0.5,)), (1.0, (1.2,)), (1.0, (float("nan"),))):
        with pytest.raises(DecisionsError):
            Decisions(*wrong)
    with pytest.raises(DecisionsError, match=r"3 thresholds for values of shape \(2, 27\)"):
        Decisions(1.0, (0.5,) * 3).probabilities(np.zeros((2, 27)))


def test_a_sealed_folder_is_read_back_and_its_revision_is_of_all_that_it_holds(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "a")
    read = read_manifest(folder)
    assert read.labels == LABELS and set(read.files) == {"weights.npz", "part/weights.npz"}
    assert read.revision == read_manifest(bundle(tmp_path / "b")).revision
    assert seal(folder, manifest(decisions=Decisions(1.0, (0.5, 0.5, 0.5)))).revision != read.revision


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda folder: (folder / "weights.npz").write_bytes(b"x"), "weights.npz was changed"),
        (lambda folder: (folder / "weights.npz").unlink(), "weights.npz is absent"),
        (lambda folder: (folder / MANIFEST).unlink(), "holds no emotion model"),
        (lambda folder: (folder / MANIFEST).write_text("{"), "manifest: Invalid JSON"),
        (lambda folder: _edit(folder, kind="pickle"), "kind: Input should be"),
        (lambda folder: _edit(folder, labels=LABELS[:2]), "2 labels, but 3 thresholds"),
        (lambda folder: _edit(folder, labels=("joy", "joy", "anger")), "not distinct"),
    ],
)
def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path, damage: object, says: str) -> None:
    folder = bundle(tmp_path / "a")
    damage(folder)  # type: ignore[operator]
    with pytest.raises(EmotionError, match=says):
        load(folder)


def test_labels_in_another_order_or_number_are_refused_by_name() -> None:
    require_labels(LABELS, list(LABELS), "the file")
    with pytest.raises(EmotionError, match=r"another order: anger, joy, neutral; wanted are joy, anger, neutral"):
        require_labels(("anger", "joy", "neutral"), LABELS, "the file")
    with pytest.raises(EmotionError, match="has 2 labels"):
        require_labels(LABELS[:2], LABELS, "the file")


class Lengths:
    """A model whose logits are known: it never sees what is empty."""

    name, revision, labels = "lengths", "r", LABELS
    decisions = Decisions(1.0, (0.5, 0.5, 0.5), abstain_below=0.4)

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        assert all(texts)
        return np.array([[len(text) - 3.0, -5, -5] for text in texts], np.float32)


def test_scoring_leaves_out_what_is_empty_and_what_is_not_sure() -> None:
    found = score(Lengths(), ["  ", "good!", "a", "\x00"])
    assert found.empty.tolist() == [True, False, False, True]
    assert found.abstained.tolist() == [False, False, True, False]
    assert found.decided.tolist() == [[False] * 3, [True, False, False], [False] * 3, [False] * 3]
    assert np.isnan(found.probabilities[[0, 3]]).all() and np.isfinite(found.probabilities[1:3]).all()
    assert score(Lengths(), []).probabilities.shape == (0, 3)


def _edit(folder: Path, **given: object) -> None:
    values = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(values | given))
