"""What the network learns from: a loss per row for each head, and their weighted sum.

torch at the top: imported lazily only. Losses are per row so that parts of a batch, and of several processes, add up.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Objective = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], Tensor]
"""Loss of every row, from outputs and batch."""


def pinball(said: Tensor, outcome: Tensor, levels: Tensor) -> Tensor:
    """Mean over the quantiles of max(q e, (q - 1) e), e = outcome - said (Koenker and Bassett 1978).

    Args:
        said: [rows, quantiles].
        outcome: [rows].
        levels: [quantiles].
    """
    error = outcome.unsqueeze(1) - said
    return torch.maximum(levels * error, (levels - 1) * error).mean(1)


def focal(log_odds: Tensor, label: Tensor, gamma: float, class_weight: tuple[float, float | Tensor]) -> Tensor:
    """Cross entropy times (1 - p of the true class) ** gamma (Lin et al. 2017), and times the weight of the class.

    Args:
        log_odds: [rows] or [rows, labels], of class 1.
        label: Of that shape, 0 or 1.
        gamma: 0 is cross entropy.
        class_weight: Of classes 0 and 1; of class 1 also one per label.
    """
    entropy = functional.binary_cross_entropy_with_logits(log_odds, label, reduction="none")
    weight = torch.where(label > 0, class_weight[1], class_weight[0])
    return weight * entropy if gamma == 0 else weight * (-torch.expm1(-entropy)) ** gamma * entropy


def number_objective(levels: Sequence[float], weights: tuple[float, float]) -> Objective:
    """Huber's loss of the point and the pinball loss of the quantiles; the outcome is standardised."""

    def objective(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        outcome = batch["outcome"]
        point = functional.smooth_l1_loss(outputs["point"][:, 0].float(), outcome, reduction="none")
        at = torch.tensor(levels, device=outcome.device)
        return weights[0] * point + weights[1] * pinball(outputs["quantiles"].float(), outcome, at)

    return objective


def class_objective(gamma: float, class_weight: tuple[float, float], weights: tuple[float, float]) -> Objective:
    """Focal loss of the class and, for rows whose batch has `measured`, Huber's loss of what was measured (standardised)."""

    def objective(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        loss = weights[0] * focal(outputs["point"][:, 0].float(), batch["outcome"], gamma, class_weight)
        if "measured" not in outputs:
            return loss
        said = outputs["measured"][:, 0].float()
        return loss + weights[1] * functional.smooth_l1_loss(said, batch["measured"], reduction="none")

    return objective


def labels_objective(gamma: float, weights: Sequence[float]) -> Objective:
    """Mean over the labels of the focal loss of each, the texts that have a label weighted by the label's weight."""

    def objective(outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        outcome = batch["outcome"]
        weight = torch.tensor(weights, dtype=torch.float32, device=outcome.device)
        return focal(outputs["point"].float(), outcome, gamma, (1.0, weight)).mean(1)

    return objective
