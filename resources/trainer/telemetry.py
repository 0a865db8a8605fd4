"""What a training run costs: seconds, the most memory it held, and how busy its device was. Nothing is stored here."""

import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import Self

_SAMPLE_S = 1.0


@dataclass(frozen=True)
class Cost:
    """What was used.

    Attributes:
        seconds: Wall time.
        peak_memory_bytes: Most memory held: of the device on CUDA, of the process elsewhere.
        utilisation: Mean share of the time that the CUDA device was busy; CPU seconds by wall seconds and cores elsewhere.
            None where the driver does not say.
    """

    seconds: float
    peak_memory_bytes: int
    utilisation: float | None


class Meter:
    """Measures from the beginning of its block; `read` may be called at any time."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._busy: list[float] = []
        self._over = threading.Event()

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.monotonic(), time.process_time()
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.reset_peak_memory_stats(self.device)
            threading.Thread(target=self._sample, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()

    def read(self) -> Cost:
        """What was used so far."""
        seconds = time.monotonic() - self._wall
        if self.device.startswith("cuda"):
            import torch

            busy = sum(self._busy) / len(self._busy) if self._busy else None
            return Cost(seconds, int(torch.cuda.max_memory_allocated(self.device)), busy)
        held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return Cost(seconds, held, (time.process_time() - self._cpu) / max(seconds, 1e-9) / (os.cpu_count() or 1))

    def _sample(self) -> None:
        import torch

        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        query += ["-i", f"GPU-{torch.cuda.get_device_properties(self.device).uuid}"]
        while not self._over.wait(_SAMPLE_S):
            try:
                said = subprocess.run(query, capture_output=True, text=True, timeout=10).stdout
                self._busy.append(float(said) / 100)
            except (OSError, subprocess.TimeoutExpired, ValueError):  # no such tool, or a device that does not say
                return
