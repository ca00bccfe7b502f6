"""Functions of TensorFlow 2 graphs, put where they are called."""

from __future__ import annotations

import pytest

from spindb.disk import limits
from spindb.disk.codecs.functions import OUTPUTS, Function, inlined
from spindb.disk.codecs.nodes import Node
from spindb.disk.codecs.savedmodel import SavedModelError

DOUBLED = Function(("value",), (Node("sum", "Add", ("value", "value"), {"T": "f4"}),), ("sum:z:0",))


def graph(*nodes: Node) -> dict[str, Node]:
    return {node.name: node for node in nodes}


def call(name: str, function: str, *inputs: str, op: str = "PartitionedCall") -> Node:
    return Node(name, op, inputs, {"f": function})


@pytest.mark.parametrize("op", ["PartitionedCall", "StatefulPartitionedCall"])
def test_a_call_becomes_the_body_of_its_function(op: str) -> None:
    x = Node("x", "Placeholder", (), {})
    assert inlined(graph(x, call("twice", "doubled", "x", op=op)), {"doubled": DOUBLED}) == graph(
        x,
        Node("twice/sum", "Add", ("x", "x"), {"T": "f4"}),
        Node("twice", OUTPUTS, ("twice/sum",), {}),
    )


def test_tensors_of_a_body_are_called_as_outside() -> None:
    """Inside ``node:output:number``, outside ``node`` for the first and ``node:number`` for others."""
    body = (
        Node("split", "Split", ("axis", "value"), {}),
        Node("swapped", "Pack", ("split:output:1", "split:output:0"), {}),
    )
    function = Function(("axis", "value"), body, ("swapped:output:0", "split:output:1"))
    found = inlined(graph(call("f", "swap", "x", "y:2")), {"swap": function})
    assert found["f/split"].inputs == ("x", "y:2")
    assert found["f/swapped"].inputs == ("f/split:1", "f/split")
    assert found["f"].inputs == ("f/swapped", "f/split:1")


def test_control_inputs_of_calls_and_bodies_are_dropped() -> None:
    body = (Node("sum", "Add", ("value", "value", "^check"), {}), Node("check", "NoOp", (), {}))
    found = inlined(graph(call("f", "g", "^first", "x")), {"g": Function(("value",), body, ("sum:z:0",))})
    assert found["f/sum"].inputs == ("x", "x")


def test_functions_that_call_functions() -> None:
    outer = Function(("value",), (call("inner", "doubled", "value"),), ("inner:output:0",))
    found = inlined(graph(call("f", "outer", "x")), {"outer": outer, "doubled": DOUBLED})
    assert found["f/inner/sum"].inputs == ("x", "x")
    assert found["f"].inputs == ("f/inner",)


def test_what_calls_no_function_that_is_there_stays() -> None:
    other = Node("other", "Identity", ("x",), {"f": "doubled"})
    unknown = call("unknown", "elsewhere", "x")
    assert inlined(graph(other, unknown), {"doubled": DOUBLED}) == graph(other, unknown)


def test_functions_that_call_each_other_without_end_are_refused() -> None:
    endless = Function(("value",), (call("again", "endless", "value"),), ("again:output:0",))
    with pytest.raises(SavedModelError, match=r"^saved_model\.pb: its functions call each other endlessly$"):
        inlined(graph(call("f", "endless", "x")), {"endless": endless})


def test_the_size_of_the_graph_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    x, both = Node("x", "Placeholder", (), {}), graph(call("f", "doubled", "x"), call("g", "doubled", "x"))
    monkeypatch.setattr(limits, "NODES", 4)  # two calls and two sums; the first call is put in beside the second
    assert len(inlined(both, {"doubled": DOUBLED})) == 4
    with pytest.raises(SavedModelError, match="endlessly"):
        inlined({"x": x, "y": x, "z": x, **both}, {"doubled": DOUBLED})
    monkeypatch.setattr(limits, "INPUTS", 4)  # of the call one, of the sum two, of what is given back one
    assert inlined(graph(call("f", "doubled", "x")), {"doubled": DOUBLED})["f/sum"].inputs == ("x", "x")
    with pytest.raises(SavedModelError, match=r"^saved_model\.pb: its functions have more inputs"):
        inlined(both, {"doubled": DOUBLED})
    monkeypatch.setattr(limits, "NAME", 5)
    inlined(graph(call("f" * 5, "doubled", "x")), {"doubled": DOUBLED})
    with pytest.raises(SavedModelError, match="longer names, than any graph"):
        inlined(graph(call("f" * 6, "doubled", "x")), {"doubled": DOUBLED})


def test_fifty_functions_deep_is_deep_enough() -> None:
    """Each calls the next; the last one doubles."""
    deep = {
        f"f{n}": Function(("value",), (call("next", f"f{n + 1}", "value"),), ("next:output:0",)) for n in range(50)
    } | {"f50": DOUBLED}
    found = inlined(graph(call("top", "f0", "x")), deep)
    assert found["top" + "/next" * 50 + "/sum"].inputs == ("x", "x")
