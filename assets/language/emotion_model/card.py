"""The card of an emotion model: what it is, what it was made from, how good it is and what it is not for. Written from its bundle."""

import json
from pathlib import Path
from typing import Any

from assets.language.emotion_model.fit import EVALUATION
from assets.models.facts import Facts
from assets.models.predictor import FOLDER
from resources.emotions.model import read_manifest


def card_of(home: Path, facts: Facts) -> str:
    """The card of the emotion model that some facts are about.

    Raises:
        EmotionError: Its bundle is gone or not whole.
    """
    version = facts.version
    folder = home / FOLDER / version["version"]
    manifest, told = read_manifest(folder), json.loads((folder / EVALUATION).read_text())
    seen = told["also_in_train"]
    sections = {
        "": f"# {version['version']}\n\nGives a text the probabilities of {len(manifest.labels)} emotions (GoEmotions), "
        f"Ekman's six and sentiment. Kind: {manifest.kind}, {manifest.name}; it reads "
        f"{manifest.max_tokens or 'any number of'} tokens. Alias: {version['alias'] or 'none'}.",
        "Data": f"{version['n_train']} labelled texts of train and dev known by {manifest.known_at:%Y-%m-%d %H:%M} UTC; training set "
        f"{version['training_set_id']}.",
        "How good it is": f"On {told['n']} dev texts by five folds (epoch and thresholds are chosen outside each text's fold; {seen} that also "
        f"occur in train were left out): {_f1('fitted', told)}; at thresholds of .5 {_f1('half', told)}; a bound with thresholds fitted on "
        f"these very texts (oracle) {told['oracle_macro']:.4f} macro. Calibration error {told['calibration_error']:.4f}. It abstains from "
        f"{told['abstained']:.1%} of the texts.\n\n{_labels(told['labels'])}",
        "Decisions": "\n".join(f"- {row['kind']}: {row['outcome']}: {row['why']}" for row in facts.decisions)
        or "None yet.",
        "Limits": "It was trained on English comments of one site, labelled by three to five raters who often disagree; irony, slang and "
        "other languages are read badly. Labels with few texts (see the table) are hardly better than a guess.",
        "Intended use": "Summaries over many texts. It says what a text shows to a reader, not what its writer feels; no decision about a "
        "person may rest on it.",
    }
    return "\n\n".join(f"## {title}\n\n{text}" if title else text for title, text in sections.items()) + "\n"


def _f1(name: str, told: dict[str, Any]) -> str:
    found = told[name]
    bounds = found["macro_bounds"]
    interval = f" ({bounds[0]:.4f} to {bounds[1]:.4f})" if bounds else ""
    return f"macro-F1 {found['macro']:.4f}{interval}, micro-F1 {found['micro']:.4f}"


def _labels(rows: list[dict[str, Any]]) -> str:
    lines = ["| label | texts | F1 | 95 % |", "|---|---|---|---|"]
    for row in rows:
        bounds = row["bounds"]
        interval = f"{bounds[0]:.3f} to {bounds[1]:.3f}" if bounds else ""
        lines.append(f"| {row['label']} | {row['support']} | {row['f1']:.3f} | {interval} |")
    return "\n".join(lines)
