"""The emotion models that there are, side by side, with their figures of dev by folds. Nothing is computed here."""

import json
from pathlib import Path
from typing import Any

from assets.language.emotion_model.fit import EVALUATION
from assets.language.emotion_model.registry import CELL
from warehouse.connection import Warehouse


def board(warehouse: Warehouse) -> list[dict[str, Any]]:
    """A row per registered model, the best macro-F1 first."""
    rows: list[dict[str, Any]] = warehouse.query(
        """SELECT v.forecaster AS model, v.alias, v.n_train AS texts,
                  max(e.value) FILTER (e.measure = 'macro_f1') AS macro_f1,
                  max(e.lower) FILTER (e.measure = 'macro_f1') AS lower,
                  max(e.upper) FILTER (e.measure = 'macro_f1') AS upper,
                  max(e.value) FILTER (e.measure = 'micro_f1') AS micro_f1,
                  max(e.value) FILTER (e.measure = 'macro_f1_at_half') AS macro_f1_at_half,
                  max(e.value) FILTER (e.measure = 'macro_f1_oracle') AS "macro_f1 with oracle thresholds",
                  max(e.value) FILTER (e.measure = 'calibration_error') AS calibration_error,
                  max(e.n) AS dev_texts, max(e.value) FILTER (e.measure = 'also_in_train') AS also_in_train, v.version
           FROM models.versions v JOIN evaluations.emotions e ON e.version = v.version AND e.label = 'all'
           WHERE v.target = $target GROUP BY ALL ORDER BY macro_f1 DESC, v.version""",
        {"target": CELL.target},
    ).to_pylist()
    return rows


def evaluation_of(folder: Path) -> dict[str, Any]:
    """What a bundle says of its evaluation."""
    told: dict[str, Any] = json.loads((folder / EVALUATION).read_text())
    return told
