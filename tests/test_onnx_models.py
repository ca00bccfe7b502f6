"""ONNX models are read without onnx, acted on by numpy as PyTorch acts, and refused in words where they are hostile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spindb.disk.codecs.onnx import OnnxError, read_onnx
from spindb.errors import PolicyError
from spindb.logger.tracing import UntracedError, trace, with_metadata
from spindb.play.policies.onnx_graph import policy_from, read_model
from spindb.play.policies.onnx_session import OnnxPolicy
from spindb.play.readback import twin_deviates

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
helper, numbers = onnx.helper, onnx.TensorProto
PLACE = Path("model.onnx")


def model(nodes: list[Any], arrays: dict[str, np.ndarray] | None = None, **options: Any) -> bytes:
    """A model that observes three numbers and gives the tensor ``action``."""
    graph = helper.make_graph(
        nodes,
        "policy",
        [helper.make_tensor_value_info("observation", numbers.FLOAT, ["n", 3]), *options.pop("inputs", [])],
        [onnx.ValueInfoProto(name="action")],
        [onnx.numpy_helper.from_array(array, name) for name, array in (arrays or {}).items()],
    )
    found = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], **options)
    data: bytes = found.SerializeToString()
    return data


def node(op: str, inputs: tuple[str, ...] = ("observation",), output: str = "action", **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [output], **attributes)


def external() -> bytes:
    tensor = numbers(name="w", data_type=numbers.FLOAT, dims=[3], data_location=numbers.EXTERNAL)
    tensor.external_data.add(key="location", value="../../../etc/passwd")
    whole = onnx.ModelProto.FromString(model([node("Add", ("observation", "w"))]))
    whole.graph.initializer.append(tensor)
    data: bytes = whole.SerializeToString()
    return data


def looped() -> bytes:
    body = helper.make_graph([], "body", [], [])
    return model([node("Loop", ("", "", "observation"), body=body)])


def of_shape(*shape: int) -> bytes:
    tensor = numbers(name="w", data_type=numbers.FLOAT, dims=shape)
    whole = onnx.ModelProto.FromString(model([node("Add", ("observation", "w"))]))
    whole.graph.initializer.append(tensor)
    data: bytes = whole.SerializeToString()
    return data


def functions() -> bytes:
    whole = onnx.ModelProto.FromString(model([node("Identity")]))
    whole.functions.add(name="f")
    data: bytes = whole.SerializeToString()
    return data


def filled(*shape: int) -> bytes:
    return model([node("ConstantOfShape", ("shape",))], {"shape": np.array(shape)})


HOSTILE: dict[str, tuple[bytes, str]] = {
    "values in another file": (external(), "the values of w lie in another file, which is not read"),
    "a loop": (looped(), "the operation Loop holds a graph of its own"),
    "another domain": (
        model([node("Run", domain="com.mine")]),
        "the operation Run is of com.mine, not one of ONNX's own",
    ),
    "functions": (functions(), "it defines functions of its own"),
    "a huge tensor": (of_shape(1 << 40, 1 << 20), "has other values than its shape"),
    "a negative length": (of_shape(-1), "has a shape that no array has"),
    "a huge array": (filled(1 << 40), "would make an array of 4,096 GiB"),
    "a range without end": (
        model([node("Range", ("a", "b", "c"))], {k: np.float32(v) for k, v in zip("abc", (0, 1e30, 1), strict=True)}),
        "can't be evaluated: Range",
    ),
    "a loop in the graph": (
        model([node("Add", ("observation", "b"), "a"), node("Neg", ("a",), "b"), node("Neg", ("b",))]),
        "nothing gives the tensor b",
    ),
    "an unknown operation": (model([node("Einsum", equation="ij->ij")]), "numpy does not know ONNX's operation Einsum"),
    "a second input": (
        model([node("Identity")], inputs=[helper.make_tensor_value_info("more", numbers.FLOAT, [1])]),
        "a policy takes an observation alone; inputs there: observation, more",
    ),
    "no action": (
        model([node("Identity")]).replace(b"action", b"motion"),
        "names no output 'action'; outputs there: motion",
    ),
    "cut off": (model([node("Identity")])[:-3], "not an ONNX model, cut off or damaged"),
    "something else": (b"PK\x03\x04 is a zip", "not an ONNX model"),
    "nothing": (b"", "not an ONNX model: it holds no graph"),
    "an axis that is none": (model([node("Softmax", axis=1 << 40)]), "can't be"),
    "a number where a list is": (model([node("Transpose", perm=3)]), "can't be loaded"),
    "a slice of axes without end": (
        model(
            [node("Slice", ("observation", "z", "z", "a"))],
            {"z": np.zeros(1, "i8"), "a": np.array([1 << 40])},
        ),
        "numpy does not know ONNX's operation Slice with such axes",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_f2_a_hostile_model_is_refused_in_words(name: str, tmp_path: Path) -> None:
    data, words = HOSTILE[name]
    (tmp_path / "model.onnx").write_bytes(data)
    with pytest.raises(PolicyError) as caught:
        policy_from(PLACE, read_model(tmp_path / "model.onnx"), deterministic=True).act(np.zeros(3, "f4"))
    assert words in str(caught.value)


def test_f2_every_cut_of_a_model_is_refused_or_read(tmp_path: Path) -> None:
    data = model([node("Gemm", ("observation", "w", "b"))], {"w": np.ones((3, 2), "f4"), "b": np.zeros(2, "f4")})
    for end in range(len(data)):
        try:
            policy_from(PLACE, read_onnx(data[:end]), deterministic=True).act(np.zeros(3, "f4"))
        except (OnnxError, PolicyError):
            continue
    assert policy_from(PLACE, read_onnx(data)).act(np.ones(3, "f4")).tolist() == [3, 3]


def test_metadata_is_added_behind_a_model() -> None:
    added = with_metadata(model([node("Identity")]), {"digest": "é" * 200, "itr": "5"})
    assert read_onnx(added).metadata == {"digest": "é" * 200, "itr": "5"}
    assert {item.key: item.value for item in onnx.ModelProto.FromString(added).metadata_props}["itr"] == "5"


def forward(call: Callable[..., Any], *layers: Any) -> Any:
    import torch

    class Module(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(layers)

        def forward(self, x: Any) -> Any:
            return call(x, *self.layers)

    return Module()


def cases() -> dict[str, tuple[Any, tuple[int, ...]]]:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    nn, f = torch.nn, torch.nn.functional
    flat: dict[str, Any] = {
        **{name: getattr(f, name) for name in ("relu", "elu", "celu", "selu", "gelu", "silu", "mish", "hardswish")},
        **{
            name: getattr(f, name)
            for name in ("hardsigmoid", "hardtanh", "leaky_relu", "softplus", "softsign", "relu6")
        },
        **{
            name: getattr(torch, name) for name in ("exp", "erf", "sin", "cos", "atan", "abs", "sign", "floor", "round")
        },
        "softmax": lambda x: torch.softmax(x, -1),
        "softmax along the middle": lambda x: torch.softmax(x.view(-1, 2, 3), 1).flatten(1),
        "log_softmax": lambda x: torch.log_softmax(x, 1),
        "log_softmax along the middle": lambda x: torch.log_softmax(x.view(-1, 2, 3), 1).flatten(1),
        "logsumexp": lambda x: torch.logsumexp(x, -1, keepdim=True) + x,
        "slices": lambda x: torch.cat([x[:, :2], x[..., -2:], x[:, 1:5:2]], -1),
        "chunk": lambda x: torch.chunk(x, 3, -1)[1] * torch.chunk(x, 2, 1)[0][:, :2],
        "split": lambda x: torch.split(x, [1, 5], -1)[1].tanh(),
        "stack and sum": lambda x: torch.stack([x, x * 2], -1).sum(-1) + x.mean(1, keepdim=True) + x.max(1)[0][:, None],
        "norm": lambda x: x / x.norm(dim=-1, keepdim=True) + x.norm(p=1, dim=-1, keepdim=True),
        "prod and min": lambda x: x.prod(-1, keepdim=True) + x.min(1, keepdim=True)[0],
        "where": lambda x: torch.where((x > 0) & ~(x >= 1) | (x < -1), x, -x) + (x <= 0).float() + (x == 0).float(),
        "view": lambda x: x.view(x.size(0), 2, -1).transpose(1, 2).reshape(x.shape[0], 6),
        "permute": lambda x: x.view(-1, 2, 3).permute(0, 2, 1).contiguous().view(-1, 6).unsqueeze(1).squeeze(1),
        "expand": lambda x: x[:, :1].expand(-1, 4) + x[:, :1].repeat(1, 4) + torch.ones_like(x[:, :4]),
        "clamp": lambda x: x.clamp(-0.5, 0.5) + x.clamp(min=0) + torch.maximum(x, x * 2) + torch.minimum(x, x**2),
        "index": lambda x: x[:, 2:3] + x[:, [0, 1]] + x[:, 0].unsqueeze(-1),
        "pad": lambda x: f.pad(x, (1, 2), value=0.5),
        "argmax as numbers": lambda x: x.argmax(-1, keepdim=True).float() + x.argmin(-1).float()[:, None],
        "one hot": lambda x: f.one_hot((x[:, 0] > 0).long(), 2).float() * 2,
        "isnan": lambda x: torch.where(torch.isnan(x) | torch.isinf(x), x, x + 1),
        "divisions": lambda x: x / (x.abs() + 1) + torch.rsqrt(x.abs() + 1) + torch.reciprocal(x.abs() + 1),
        "arange": lambda x: x + torch.arange(6, dtype=torch.float32),
        "matrices": lambda x: torch.bmm(x.view(-1, 2, 3), x.view(-1, 3, 2)).flatten(1),
    }
    modules: dict[str, tuple[Any, tuple[int, ...]]] = {name: (forward(call), (6,)) for name, call in flat.items()}
    norm = nn.BatchNorm1d(6)
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    picture = nn.Sequential(
        *(nn.Conv2d(2, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.PReLU(4), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 4, 3, padding=1, groups=2), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)),
    )
    return {
        **modules,
        "layer norm": (forward(lambda x, layer: layer(x) * 2, nn.LayerNorm(6)), (6,)),
        "batch norm": (forward(lambda x, layer: layer(x.tanh()), norm), (6,)),
        "prelu": (forward(lambda x, layer: layer(x), nn.PReLU()), (6,)),
        "pictures": (forward(lambda x, layer: layer(x / 255), picture), (2, 16, 16)),
        "global pooling": (forward(lambda x: f.adaptive_avg_pool2d(x, 1).flatten(1)), (2, 8, 8)),
        "a transformer's layer": (
            forward(
                lambda x, q, k, v: (torch.softmax(q(x) @ k(x).transpose(1, 2) / 2, -1) @ v(x)).mean(1),
                *(nn.Linear(3, 4) for _ in range(3)),
            ),
            (5, 3),
        ),
    }


@pytest.mark.parametrize("name", list(cases()))
def test_f2_numpy_computes_what_pytorch_traced(name: str) -> None:
    import torch

    module, shape = cases()[name]
    found = trace(module, observation=torch.zeros(shape))
    assert twin_deviates(PLACE, found.data, found.observations, found.expected) is None


def test_f2_onnxruntime_acts_as_numpy_does() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    layer = torch.nn.Linear(3, 4)
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("f4")
    normal, categorical = torch.distributions.Normal, torch.distributions.Categorical
    for call in (
        lambda x, layer: normal(layer(x), torch.full((4,), 0.5)),
        lambda x, layer: categorical(logits=layer(x)),
        lambda x, layer: layer(x),
    ):
        data = trace(forward(call, layer)).data
        ours = policy_from(PLACE, read_onnx(data), deterministic=True)
        theirs = OnnxPolicy(PLACE, data, read_onnx(data), deterministic=True)
        assert theirs.act(x) == pytest.approx(ours.act(x), abs=1e-5)
        assert theirs.probe(x[0]) == pytest.approx(ours.probe(x[0]), abs=1e-5)
        assert set(theirs.outputs(x)) == set(ours.outputs(x))
        assert (theirs.form, theirs.stochastic) == (ours.form, ours.stochastic)
        drawing = OnnxPolicy(PLACE, data, read_onnx(data))
        drawing.seed(0)
        drawn = drawing.act(np.repeat(x[:1], 4000, axis=0))
        other = policy_from(PLACE, read_onnx(data)).act(np.repeat(x[:1], 4000, axis=0))
        assert drawn.mean(axis=0) == pytest.approx(other.mean(axis=0), abs=0.06)
        assert drawn.std(axis=0) == pytest.approx(other.std(axis=0), abs=0.05)


def test_f2_without_onnx_it_is_said_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(UntracedError, match=r"this needs onnx, which is not installed: pip install .*\[onnx\]"):
        trace(torch.nn.Linear(3, 2))


def test_f2_what_carries_a_state_has_no_twin() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(UntracedError, match="carries a state through an episode"):
        trace(forward(lambda x, layer: layer(x)[0], torch.nn.LSTM(3, 2)))


def test_f2_what_mixes_observations_has_no_twin() -> None:
    with pytest.raises(UntracedError, match="depends on others"):
        trace(forward(lambda x: x.cumsum(0)), observation=np.zeros(3, "f4"))


def test_f2_pictures_of_unknown_size_ask_for_an_observation() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    with pytest.raises(UntracedError, match=r"setup_pytorch_saver\(…, observation=obs\) shows it one"):
        trace(torch.nn.Conv2d(3, 2, 3))
