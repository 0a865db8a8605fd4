"""Files of labelled texts in the form of GoEmotions: text, label numbers or names, id; tab-separated, no header, no quoting."""

from collections.abc import Sequence
from pathlib import Path

from assets.language.emotion_model.examples import Examples, ExamplesError
from resources.emotions.model import require_labels

LABELS = "labels.txt"


def read_tsv(path: Path, labels: Sequence[str]) -> Examples:
    """Labelled texts of a file; where `labels.txt` lies beside it, it has to name the same labels in the same order.

    Args:
        path: The file.
        labels: Of the model: number 0 is the first of them.

    Raises:
        ExamplesError: The file is absent, a line has no labels, or one that the model does not know; names the line.
        EmotionError: `labels.txt` has other labels, more, fewer, or in another order.
    """
    if not path.is_file():
        raise ExamplesError(f"there is no file {path}")
    if (path.parent / LABELS).is_file():
        require_labels((path.parent / LABELS).read_text().split(), labels, str(path.parent / LABELS))
    texts, named = [], []
    lines = path.read_bytes().decode("utf-8", "replace").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip("\r"):
            continue
        fields = line.rstrip("\r").split("\t")
        if len(fields) < 2 or not fields[1].strip():
            raise ExamplesError(f"{path}, line {number}: no labels; a line is text, labels and id, with tabs between")
        texts.append(fields[0])
        named.append([_label(part.strip(), labels, f"{path}, line {number}") for part in fields[1].split(",")])
    if not texts:
        raise ExamplesError(f"{path} holds no text")
    return Examples.of(texts, named, labels)


def _label(said: str, labels: Sequence[str], where: str) -> str:
    if said in labels:
        return said
    if said.isascii() and said.isdigit() and int(said) < len(labels):
        return labels[int(said)]
    raise ExamplesError(
        f"{where}: no label {said!r}; the model has {len(labels)}, 0 ({labels[0]}) to {len(labels) - 1} ({labels[-1]})"
    )
