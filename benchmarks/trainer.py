"""The trainer's loop beside a plain one, two processes beside one, and how much of the device a preset uses.

An epoch of ours is timed whole: loading of batches, checks, early stopping, a line of log per report, and the checkpoint at its end.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

TOWERS = {"scalars": 60, "text": 66, "image": 50, "audio": 50, "video": 50}


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    """Epoch times, the difference of two loss curves, rows per second."""
    import torch

    torch.set_num_threads(1)  # of the two loops: other work on the machine disturbs one thread least
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [_epoch(folder, 2_000 if quick else 20_000, 3 if quick else 9), _processes(folder), *_devices(quick)]


def _tensors(count: int, seed: int) -> dict[str, Any]:
    import torch

    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(count, sum(TOWERS.values()) + 4, generator=generator)
    matrix[:, -4:] = (matrix[:, -4:] > -1).float()
    return {"matrix": matrix, "outcome": matrix[:, 0] + matrix[:, 70] * matrix[:, -3]}


def _loop(count: int, preset: Any, told: Any, folder: Path | None = None, device: str = "cpu") -> Any:
    import torch

    from assets.models.fit_run import FitRun
    from assets.models.network.checkpoint import Checkpoints
    from assets.models.network.loop import Loop
    from assets.models.network.losses import number_objective
    from assets.models.network.towers import Network

    torch.manual_seed(0)
    network = Network(preset, TOWERS, {"point": 1, "quantiles": len(preset.quantiles)})
    objective = number_objective(preset.quantiles, preset.loss_weights)
    checkpoints = Checkpoints(folder) if folder else None
    rows, later = _tensors(count, 0), _tensors(count // 6, 1)
    return Loop(network, objective, rows, later, preset, 0, FitRun(device=device, report=told), checkpoints)


def _epoch(folder: Path, count: int, times: int) -> dict[str, Any]:
    from assets.models.network.preset import load_preset
    from benchmarks.reference import torch_loop

    preset, ours, plain = load_preset("small").with_overrides(epochs=1), [], []
    with (folder / "log.jsonl").open("a") as log:
        for turn in range(times + 1):
            loop = _loop(
                count, preset, lambda facts: print(json.dumps(facts), file=log, flush=True), folder / str(turn)
            )
            began = time.perf_counter()
            loop.train()
            ours.append(time.perf_counter() - began)
            other = _loop(count, preset, print)
            plain.append(
                torch_loop.epoch(
                    other.network, other.objective, other.rows, other.later,
                    preset.batch_size, preset.learning_rate, preset.weight_decay,
                )
            )  # fmt: skip
    value, reference = statistics.median(ours[1:]), statistics.median(plain[1:])
    return _row(f"an epoch of `small` on {count:,} rows, median of {times}", value, "s", reference, 1.2)


def _processes(folder: Path) -> dict[str, Any]:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    subprocess.run([*start, "-m", "benchmarks.trainer", str(folder / "two.json")], env=environment, check=True)
    _curve(folder / "one.json", accumulate=2)
    two, one = (json.loads((folder / name).read_text()) for name in ("two.json", "one.json"))
    value = max(abs(a[name] - b[name]) for a, b in zip(one, two, strict=True) for name in a)
    return {
        "benchmark": "trainer",
        "figure": "largest difference of the loss curves: torchrun with 2 processes, 1 process with accumulation",
        "value": value,
        "unit": "",
        "reference": None,
        "ratio": None,
        "target": "at most 1e-5",
        "ok": len(one) == len(two) and value <= 1e-5,
    }


def _curve(path: Path, accumulate: int) -> None:
    """Trains a little, alone or as one of several, and writes the curve."""
    from assets.models.network import processes
    from assets.models.network.preset import load_preset

    processes.join("cpu")
    loop = _loop(2_000, load_preset("small").with_overrides(epochs=5, accumulate=accumulate), lambda facts: None)
    loop.train()
    if loop.rank == 0:
        path.write_text(json.dumps(loop.at.curve))


def _devices(quick: bool) -> list[dict[str, Any]]:
    """Rows per second of two presets on the best device there is, and the share of what its matrix product reaches."""
    import torch

    from assets.models.network.preset import load_preset

    device = "cuda:0" if torch.cuda.is_available() else "cpu"
    count, rows = 2_000 if quick else 100_000, []
    for name in ("small", "miles"):
        told: list[Any] = []
        preset = load_preset(name).with_overrides(epochs=2, modalities=tuple(TOWERS), patience=2)
        loop = _loop(count, preset, told.append, device=device)
        began = time.perf_counter()
        loop.train()
        seconds = (time.perf_counter() - began) / 2
        weights = sum(each.numel() for key, each in loop.network.named_parameters() if key.endswith("weight"))
        rate = told[-1]["samples_per_second"]
        reached = 6 * weights * rate  # a product forward and two backward, two operations each
        peak = _peak(device, loop.bf16)
        figure = f"rows/s of `{name}` on {device}; an epoch of {count:,} rows took {seconds:.1f} s; share of the matrix product's rate"
        rows.append(
            {
                "benchmark": "trainer",
                "figure": figure,
                "value": rate,
                "unit": "rows/s",
                "reference": peak / (6 * weights),
                "ratio": reached / peak,
                "target": "none, reported",
                "ok": True,
            }
        )
    return rows


def _peak(device: str, bf16: bool) -> float:
    """Operations per second of a large matrix product on the device."""
    import torch

    size = 8192 if device.startswith("cuda") else 1024
    one = torch.randn(size, size, device=device, dtype=torch.bfloat16 if bf16 else torch.float32)
    best = 0.0
    for _ in range(5):
        began = time.perf_counter()
        float((one @ one)[0, 0])
        best = max(best, 2 * size**3 / (time.perf_counter() - began))
    return best


def _row(figure: str, value: float, unit: str, reference: float, most: float) -> dict[str, Any]:
    return {
        "benchmark": "trainer",
        "figure": figure,
        "value": value,
        "unit": unit,
        "reference": reference,
        "ratio": value / reference,
        "target": f"at most {most} times the plain loop",
        "ok": value / reference <= most,
    }


if __name__ == "__main__":
    _curve(Path(sys.argv[1]), accumulate=1)
