from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.encoders.base import EncoderError, Modality, Precision, Vectors
from resources.encoders.batching import choose_device, choose_precision, encode_each, in_batches


class Model:
    """Gives each item its index; memory runs out above a batch size, or for some items whatever the size."""

    def __init__(self, room: int = 1_000, never: Sequence[int] = (), error: Exception | None = None) -> None:
        self.room, self.never, self.sizes = room, set(never), list[int]()
        self.error = error or RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    def __call__(self, rows: Sequence[int]) -> Vectors:
        if len(rows) > self.room or self.never & set(rows):
            raise self.error
        self.sizes.append(len(rows))
        return np.asarray(rows, np.float32)[:, None]


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 200), st.booleans(), st.integers(1, 5))
def test_every_item_gets_its_own_vector_whatever_the_batches(
    costs: list[int], budget: int, alike: bool, room: int
) -> None:
    model = Model(room)
    found = in_batches(costs, model, 1, budget=budget, alike=alike)
    assert found.vectors[:, 0].tolist() == list(range(len(costs))) and not found.failures
    assert sum(model.sizes) == len(costs)


def test_a_batch_costs_at_most_the_budget_padding_included() -> None:
    costs = [3, 9, 1, 4, 4, 2]
    batches: list[list[int]] = []

    def forward(rows: Sequence[int]) -> Vectors:
        batches.append([costs[row] for row in rows])
        return np.zeros((len(rows), 1), np.float32)

    in_batches(costs, forward, 1, budget=8)
    assert batches == [[9], [4, 4], [3, 2], [1]]
    batches.clear()
    in_batches(costs, forward, 1, budget=8, alike=True)
    assert batches == [[9], [4, 4], [3], [2], [1]]


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), None])
def test_a_batch_that_does_not_fit_is_halved_and_so_are_later_ones(error: Exception | None) -> None:
    model = Model(room=3, error=error)
    found = in_batches([1] * 20, model, 1, budget=8)
    assert not found.failures and model.sizes == [2] * 10


def test_an_item_that_does_not_fit_alone_is_reported_and_the_others_go_on() -> None:
    found = in_batches([5, 4, 3, 2, 1], Model(never=[1]), 1, budget=100)
    assert list(found.failures) == [1] and found.failures[1].reason == "out-of-memory"
    assert np.flatnonzero(np.isnan(found.vectors[:, 0])).tolist() == [1]


def test_other_errors_of_a_model_are_not_swallowed() -> None:
    with pytest.raises(RuntimeError, match="shape mismatch"):
        in_batches([1, 1], Model(room=0, error=RuntimeError("shape mismatch")), 1, budget=8)


def test_progress_ends_at_the_whole() -> None:
    told: list[tuple[int, int]] = []
    in_batches([1] * 10, Model(), 1, budget=4, progress=lambda done, of: told.append((done, of)))
    assert told == [(4, 10), (8, 10), (10, 10)]


class Fussy:
    """An encoder that knows no batches of its own and refuses a content."""

    name, revision, preprocessing, dim = "fussy", "1", "1", 1
    modality: Modality = "text"
    precision: Precision = "fp32"

    def encode(self, batch: Sequence[str]) -> Vectors:
        if "bad" in batch:
            raise EncoderError("cannot encode bad")
        return np.array([[np.inf if text == "huge" else len(text)] for text in batch], np.float32)


def test_an_encoder_without_batches_of_its_own_is_asked_content_by_content_when_it_refuses() -> None:
    told: list[tuple[int, int]] = []
    found = encode_each(Fussy(), ["a", "bad", "ccc", "huge"], lambda done, of: told.append((done, of)))
    assert {row: failure.reason for row, failure in found.failures.items()} == {1: "undecodable", 3: "not-finite"}
    assert found.vectors[[0, 2], 0].tolist() == [1.0, 3.0] and told == [(4, 4)]


def test_a_device_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(EncoderError, match="this machine has none; write `device: auto`"):
        choose_device("mps")
    assert choose_device("cpu") == "cpu"


def test_precision_follows_what_the_processor_computes_with(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    assert choose_precision("bf16", "cpu") == "bf16" and choose_precision("fp32", "cuda") == "fp32"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    assert choose_precision("auto", "cpu") == "fp32"
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "amx_bf16": True})
    assert choose_precision("auto", "cpu") == "bf16"
    assert choose_precision("auto", "mps") == "fp32"
