"""The projections of an attention become one product where all three read the same; otherwise the graph stays."""

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from resources.emotions.projections import join_projections

WIDTH = 4


def graph(reads: tuple[str, str, str]) -> Any:
    """An attention whose query, key and value are projected, and reshaped twice, from what is named."""
    rng = np.random.default_rng(0)
    nodes, constants = [], [numpy_helper.from_array(np.array([1, -1, WIDTH], np.int64), "shape")]
    for read, part in zip(reads, ("q", "k", "v"), strict=True):
        constants.append(numpy_helper.from_array(rng.normal(size=(WIDTH, WIDTH)).astype(np.float32), f"w{part}"))
        constants.append(numpy_helper.from_array(rng.normal(size=WIDTH).astype(np.float32), f"b{part}"))
        nodes += [
            helper.make_node("MatMul", [read, f"w{part}"], [f"m{part}"]),
            helper.make_node("Add", [f"m{part}", f"b{part}"], [f"a{part}"]),
            helper.make_node("Reshape", [f"a{part}", "shape"], [f"r{part}"]),
        ]
    attention = helper.make_node("MultiHeadAttention", ["rq", "rk", "rv"], ["out"], domain="com.microsoft", num_heads=2)
    floats = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, None, WIDTH]) for name in ("x", "y", "out")]
    return helper.make_graph([*nodes, attention], "attention", floats[:2], floats[2:], constants)


def run(graph: Any) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(1)
    given = {name: rng.normal(size=(1, 5, WIDTH)).astype(np.float32) for name in ("x", "y")}
    return session.run(None, given)[0]


def test_three_projections_become_one_product_and_say_the_same() -> None:
    before, joined = graph(("x", "x", "x")), graph(("x", "x", "x"))
    join_projections(joined)
    assert [node.op_type for node in joined.node] == ["MatMul", "Add", "Split", "MultiHeadAttention"]
    assert not {"wq", "bk", "shape"} & {constant.name for constant in joined.initializer}
    np.testing.assert_allclose(run(joined), run(before), rtol=1e-5, atol=1e-6)


def test_projections_of_different_inputs_stay() -> None:
    crossed = graph(("x", "y", "y"))
    said = run(crossed)
    join_projections(crossed)
    assert [node.op_type for node in crossed.node].count("MatMul") == 3
    np.testing.assert_array_equal(run(crossed), said)
