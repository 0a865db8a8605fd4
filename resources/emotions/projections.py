"""The three projections of an attention as one product, in a graph that was exported: its input is then made int8 once, not three times.

onnx is imported inside functions.
"""

from typing import Any

import numpy as np


def join_projections(graph: Any) -> None:
    """Replaces the query, key and value of every attention by parts of one product, where all three are linear in the same input.

    Args:
        graph: An `onnx.GraphProto` with nodes of the kind MultiHeadAttention; changed in place.
    """
    from onnx import helper

    made = {output: node for node in graph.node for output in node.output}
    constants = {each.name: each for each in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        found = _projections(node, made, constants) if node.op_type == "MultiHeadAttention" else None
        if found is not None:
            read, weights, biases = found
            name = node.output[0]
            weight, bias, product, whole = (f"{name}_{part}" for part in ("weight", "bias", "product", "whole"))
            parts = [f"{name}_{part}" for part in ("query", "key", "value")]
            graph.initializer.extend([_joined(weights, weight), _joined(biases, bias)])
            nodes += [
                helper.make_node("MatMul", [read, weight], [product]),
                helper.make_node("Add", [product, bias], [whole]),
                helper.make_node("Split", [whole], parts, axis=-1, num_outputs=3),
            ]
            node.input[:3] = parts
        nodes.append(node)
    _keep(graph, nodes)


def _projections(node: Any, made: dict[str, Any], constants: dict[str, Any]) -> tuple[str, list[Any], list[Any]] | None:
    """What an attention's three inputs are projected from, their weights and their biases; None where they are made otherwise."""
    adds = [_before_reshapes(name, made) for name in node.input[:3]]
    products = [made[add.input[0]] for add in adds if add is not None and add.op_type == "Add" and add.input[0] in made]
    if [product.op_type for product in products] != ["MatMul"] * 3:
        return None
    weights = [constants.get(product.input[1]) for product in products]
    biases = [constants.get(add.input[1]) for add in adds]
    read = {product.input[0] for product in products}
    if len(read) != 1 or None in weights or None in biases:
        return None
    return read.pop(), weights, biases


def _before_reshapes(name: str, made: dict[str, Any]) -> Any:
    node = made.get(name)
    while node is not None and node.op_type == "Reshape":
        node = made.get(node.input[0])
    return node


def _joined(constants: list[Any], name: str) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.concatenate([numpy_helper.to_array(each) for each in constants], axis=-1), name)


def _keep(graph: Any, nodes: list[Any]) -> None:
    """Leaves of some nodes in order, and of the constants, what the graph's outputs are made from."""
    used = {output.name for output in graph.output}
    kept: list[Any] = []
    for node in reversed(nodes):
        if used.intersection(node.output):
            kept.append(node)
            used.update(node.input)
    constants = [each for each in graph.initializer if each.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(constants)
