"""An epoch as anybody writes it with torch: no checkpoints, no logging, no checks, no early stopping, one process."""

import time
from typing import Any

import torch


def epoch(network: Any, objective: Any, rows: Any, later: Any, batch_size: int, rate: float, decay: float) -> float:
    """Seconds of one epoch of training and of the loss of the validation block."""
    count = len(rows["matrix"])
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, -(-count // batch_size))
    network.train()
    began = time.perf_counter()
    for positions in torch.randperm(count, device=rows["matrix"].device).split(batch_size):
        batch = {name: column[positions] for name, column in rows.items()}
        loss = objective(network(batch), batch).mean()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimiser.step()
        schedule.step()
    network.eval()
    with torch.no_grad():
        objective(network(later), later).mean().item()
    return time.perf_counter() - began
