"""The emotion model on labelled texts: `python -m benchmarks.emotions --data DIR [--seeds 3] [--model minilm] [--test FILE]`.

DIR holds `train.tsv` and `dev.tsv` in the form of GoEmotions. Macro-F1 on dev is by folds: epoch, temperature and thresholds
of a fold's texts are chosen on the other folds; dev texts that also occur in train are left out. The baseline (TF-IDF and one
logistic regression per label) is fitted on the same texts and judged in the same way. `--test` judges the model of the first seed on
a file of its own, with decisions fitted on all of dev. `python -m benchmarks emotions` runs on made-up texts with a linear layer on a
frozen tiny encoder, to see that it runs; no target is asked there.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from assets.language.emotion_model.evaluation import evaluate_model
from assets.language.emotion_model.examples import Examples
from assets.language.emotion_model.files import read_tsv
from assets.language.emotion_model.fit import fit, keep
from assets.language.emotion_model.recipe import Recipe
from assets.models.fit_run import FitRun
from benchmarks.figures import row
from resources.emotions.labels import GOEMOTIONS
from resources.emotions.model import load
from resources.emotions.seen import seen_by

SEEDS = 3
MACRO_F1, MINUTES = 0.53, 40
BASELINE_F1 = 0.449
_MADE_UP = ("good", "bad", "sad", "what")


def measure(
    train: Examples, dev: Examples, recipe: Recipe, seeds: int, folder: Path, target: float | None = MACRO_F1
) -> list[dict[str, Any]]:
    """Macro-F1 of every seed and their mean, beside the baseline; minutes per training.

    Args:
        train: Texts to learn from.
        dev: Texts of dev.
        recipe: What is trained.
        seeds: How many trainings.
        folder: Bundles `seed0`, `seed1`, ..., `baseline` and checkpoints are left here: a benchmark that was cut short goes on.
        target: Macro-F1 to reach; None asks nothing.
    """
    base = _scored(Recipe(model="tfidf"), train, dev, 0, folder, "baseline")
    found = [_scored(recipe, train, dev, seed, folder, f"seed{seed}") for seed in range(seeds)]
    name = f"{recipe.model}, {recipe.head.replace('_', '-')}"
    rows = []
    for seed, one in enumerate(found):
        rows.append(_row(f"{name}: macro-F1 on dev by folds, seed {seed}", one["macro"], base["macro"], None, True))
    mean = float(np.mean([one["macro"] for one in found]))
    met = target is None or mean >= target
    rows.append(_row(f"{name}: macro-F1 on dev by folds, mean of {seeds} seeds", mean, base["macro"], target, met))
    good = target is None or base["macro"] >= BASELINE_F1
    rows.append(
        _row("TF-IDF and logistic: macro-F1 on dev by folds", base["macro"], None, target and BASELINE_F1, good)
    )
    slowest = max(one["minutes"] for one in found)
    asked = None if target is None else f"<= {MINUTES}"
    rows.append(
        row(
            "emotions",
            f"{name}: slowest training",
            slowest,
            "min",
            base["minutes"],
            asked,
            target is None or slowest <= MINUTES,
        )
    )
    return rows


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Made-up texts and a tiny encoder: that everything runs."""
    from tests.encoders.tiny_models import WORDS, save_bert

    rng = np.random.default_rng(0)
    folder = Path(tempfile.mkdtemp(prefix="emotions-"))
    try:
        save_bert(folder / "encoder")
        sides = []
        for count in (200, 80) if quick else (2000, 500):
            texts = [" ".join(rng.choice(WORDS, rng.integers(2, 12))) for _ in range(count)]
            named = [
                [label for label, word in zip(_MADE_UP, WORDS, strict=False) if word in text.split()] for text in texts
            ]
            sides.append(Examples.of(texts, named, _MADE_UP))
        recipe = Recipe(model="transformers", weights=str(folder / "encoder"), head="frozen", epochs=5, max_tokens=32)
        return measure(*sides, recipe, 1, folder / "bundles", target=None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _scored(recipe: Recipe, train: Examples, dev: Examples, seed: int, folder: Path, name: str) -> dict[str, float]:
    """Macro-F1 and minutes of one training, kept beside its bundle."""
    noted = folder / f"{name}.json"
    if noted.is_file():
        return dict(json.loads(noted.read_text()))
    began = time.monotonic()
    fitted = fit(recipe, train, dev, seed, FitRun(checkpoints=folder / "checkpoints", report=_tell))
    minutes = (time.monotonic() - began) / 60
    told = keep(folder / name, fitted, None, "a benchmark")
    found = fitted.evaluation
    print(
        f"{name} ({told.revision[:8]}): macro-F1 {found.fitted.macro:.4f} {found.fitted.macro_bounds}, micro {found.fitted.micro:.4f}, "
        f"at .5 {found.half.macro:.4f}/{found.half.micro:.4f}, oracle {found.oracle_macro:.4f}, ECE {found.calibration_error:.4f}, "
        f"epochs {found.epochs}, {found.n} texts, {found.also_in_train} in train left out, {minutes:.1f} min",
        file=sys.stderr,
        flush=True,
    )
    noted.write_text(json.dumps({"macro": found.fitted.macro, "minutes": minutes}))
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return {"macro": found.fitted.macro, "minutes": minutes}


def _tell(facts: Any) -> None:
    print(json.dumps(facts), file=sys.stderr, flush=True)


def _row(figure: str, value: float, reference: float | None, target: float | None, ok: bool) -> dict[str, Any]:
    return row("emotions", figure, value, "macro-F1", reference, None if target is None else f">= {target}", ok)


def main() -> None:
    """Trains on a folder of labelled texts."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.emotions", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder with train.tsv and dev.tsv")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--model", default="minilm", help="minilm, bert-base, roberta-base, transformers, tfidf")
    parser.add_argument("--weights", default=None, help="local folder or hub identifier of the encoder")
    parser.add_argument("--head", default="fine_tuned", choices=["fine_tuned", "frozen"])
    parser.add_argument("--test", type=Path, default=None, help="labelled file that nothing was fitted on")
    parser.add_argument("--out", type=Path, default=None, help="where bundles are left; else a folder that is removed")
    asked = parser.parse_args()
    folder = asked.out or Path(tempfile.mkdtemp(prefix="emotions-"))
    folder.mkdir(parents=True, exist_ok=True)
    train, dev = (read_tsv(asked.data / f"{side}.tsv", GOEMOTIONS) for side in ("train", "dev"))
    recipe = Recipe(model=asked.model, weights=asked.weights, head=asked.head)
    try:
        rows = measure(train, dev, recipe, asked.seeds, folder)
        if asked.test:
            rows.append(_test_row(folder / "seed0", asked.test))
        print(json.dumps(rows, indent=1))
    finally:
        if asked.out is None:
            shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if all(one["ok"] for one in rows) else 1)


def _test_row(bundle: Path, file: Path) -> dict[str, Any]:
    """Macro-F1 of a bundle on a file of its own."""
    model = load(bundle)
    examples = read_tsv(file, model.labels)
    found = evaluate_model(model.logits(examples.texts), model.decisions, examples, seen_by(bundle, examples.texts))
    figure = f"{model.name}: macro-F1 on {found.n} texts of {file.name}, thresholds fitted on dev"
    return _row(figure, found.fitted.macro, None, None, True)


if __name__ == "__main__":
    main()
