"""Emotions of short texts on one core: int8 one at a time without torch, and in bulk beside the transformers pipeline.

Times are CPU seconds of one thread, so that other work on the machine does not show; bulk runs are interleaved and the median counts.
MiniLM has an untrained head unless EMOTIONS names the bundle of a trained one: the times are the same. What int8 loses in macro-F1 is
measured where EMOTIONS_DEV names a file of dev texts with their labels (text, labels, id; tabs), else there is no such row.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import row
from resources.emotions.decisions import Decisions
from resources.emotions.labels import GOEMOTIONS
from resources.emotions.model import Manifest, read_manifest, seal

NAME = "emotion_inference"
MAX_TOKENS = 64


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Texts per second and p99 of int8 at batch 1, bulk against the pipeline, and what int8 loses."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            given = os.environ.get("EMOTIONS")
            bundle = Path(given) if given else _untrained(Path(folder) / "bundle")
            texts = _texts(64 if quick else 1024)
            int8, accepted = _exported(bundle, Path(folder) / "int8", texts)
            return [
                *_one_by_one(int8, texts, 20 if quick else 1000),
                *_bulk(bundle, int8, texts, 1 if quick else 5),
                *accepted,
            ]
    finally:
        torch.set_num_threads(threads)


def _untrained(folder: Path) -> Path:
    """MiniLM with a linear layer that nobody has trained."""
    import torch

    from resources.emotions.network import pretrained, save

    torch.manual_seed(0)
    network, encoder = pretrained("minilm", None, len(GOEMOTIONS))
    folder.mkdir()
    save(folder, network.eval(), encoder, GOEMOTIONS)
    decisions = Decisions(1.0, (0.5,) * len(GOEMOTIONS))
    seal(
        folder,
        Manifest(kind="network", name="minilm", labels=GOEMOTIONS, decisions=decisions, max_tokens=MAX_TOKENS),
    )
    return folder


def _exported(bundle: Path, folder: Path, texts: Sequence[str]) -> tuple[Path, list[dict[str, Any]]]:
    """The int8 export: under the checks where there are dev texts, else without, for an untrained head decides nothing."""
    from assets.language.emotion_model.files import read_tsv
    from resources.emotions import export

    manifest = read_manifest(bundle)
    file = os.environ.get("EMOTIONS_DEV")
    if file is None:
        export._write(bundle, manifest, folder, "int8")
        return folder, []
    dev = read_tsv(Path(file), manifest.labels)
    done = export.export(bundle, folder, "int8", export.Labelled(dev.texts, dev.truth))
    loss, size = done.parity.loss, done.megabytes
    what = f"int8 beside fp32 on {done.parity.texts} dev texts"
    return folder, [
        row(NAME, f"{what}: macro-F1 lost", loss, "", None, "at most .005", loss <= 0.005),
        row(NAME, f"{what}: same labels", done.parity.equal, "of texts", None, "at least .9", done.parity.equal >= 0.9),
        row(NAME, "size of the int8 export", size, "MB", None, "at most 30 MB", size <= 30),
    ]


def _one_by_one(folder: Path, texts: Sequence[str], count: int) -> list[dict[str, Any]]:
    from resources.emotions.model import load
    from resources.emotions.scoring import score

    model = load(folder)
    cpu, wall = [], []
    for index in range(-20, count):
        text = [texts[index % len(texts)]]
        began, began_cpu = time.perf_counter(), time.process_time()
        score(model, text)
        if index >= 0:  # the first ones warm up
            cpu.append(time.process_time() - began_cpu)
            wall.append(time.perf_counter() - began)
    rate, p99 = 1 / float(np.mean(cpu)), float(np.quantile(cpu, 0.99)) * 1000
    what = f"MiniLM int8, one text at a time ({_tokens(folder, texts):.0f} tokens on average)"
    return [
        row(NAME, what, rate, "texts per CPU s", None, "at least 400", rate >= 400),
        row(NAME, f"{what}: p99 of {count}", p99, "ms CPU", None, "under 10 ms", p99 < 10),
        row(
            NAME,
            f"{what}: p99 by the clock",
            float(np.quantile(wall, 0.99)) * 1000,
            "ms",
            None,
            "reported (needs a free core)",
            True,
        ),
    ]


def _bulk(bundle: Path, int8: Path, texts: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """Many texts: the int8 export without torch, and the network in the best precision of this processor."""
    from benchmarks.reference.emotions import pipeline
    from resources.emotions.model import load
    from resources.emotions.network import NetworkModel, read_network

    manifest = read_manifest(bundle)
    network = NetworkModel(manifest, read_network(bundle, manifest.labels), bundle, "cpu", "auto")
    reference = pipeline(bundle, manifest.labels, manifest.max_tokens or MAX_TOKENS)
    works = {"int8": load(int8).logits, "bf16" if network.bf16 else "fp32": network.logits, "": reference}
    for work in works.values():
        work(texts[:64])  # warm up
    times = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(_seconds(work, texts))
    rates = {name: len(texts) / statistics.median(seconds) for name, seconds in times.items()}
    other, least = rates.pop(""), 2.5 if network.bf16 else 1.3
    target = f"at least {least} times"
    return [
        row(
            NAME,
            f"MiniLM {name}, {len(texts)} texts against the transformers pipeline",
            rate,
            "texts per CPU s",
            other,
            target,
            rate / other >= least,
        )
        for name, rate in rates.items()
    ]


def _tokens(folder: Path, texts: Sequence[str]) -> float:
    from resources.encoders.preparation import TextPreparation

    prepared = TextPreparation("emotions", folder, MAX_TOKENS)
    return float(np.mean([len(own[0]) for own in prepared.pieces(texts)]))


def _seconds(work: Callable[[Any], Any], texts: Sequence[str]) -> float:
    began = time.process_time()
    work(texts)
    return time.process_time() - began


def _texts(count: int) -> list[str]:
    """Dev texts where there are some, else comments of 3 to 30 words, 13 on average."""
    if file := os.environ.get("EMOTIONS_DEV"):
        lines = Path(file).read_bytes().decode("utf-8", "replace").splitlines()
        return [line.split("\t")[0] for line in lines[:count]]
    from benchmarks.encoders import WORDS

    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(2.4, 0.6, count).round().astype(int), 3, 30)
    return [" ".join(rng.choice(WORDS, length)) for length in lengths]
