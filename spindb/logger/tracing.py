"""Traces ONNX twins of PyTorch modules when they are saved, so that they play without their author's code.

The traced function is the module's ``forward``, that of its actor (``pi``, ``actor``, ``policy``), or an ``act`` that
returns tensors. If the module has an ``act`` with ``deterministic``, the first function that agrees with it is used.
A copy is traced, in evaluation mode and with a separate random state, so the training is not affected.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import inspect
import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias

from spindb.errors import SpindbError
from spindb.extras import require_extra

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    Module: TypeAlias = torch.nn.Module
    Tensor: TypeAlias = torch.Tensor
    Array: TypeAlias = NDArray[Any]

OPSET = 18
_ACTORS = ("pi", "actor", "policy", "actor_net", "policy_net", "q_net", "q_network")
_VALUES = ("v", "critic", "vf", "value", "value_net")
_OF_VALUES = re.compile(r"(dueling_?)?(dqn|d?q_?net(work)?|q_?function|q_?value)\w*\Z", re.I)
_TRACED_ROWS, _ROWS = 2, 16
_TOLERANCE = 1e-4
_MOST_AXES = 4


class UntracedError(Exception):
    """The module can't be traced; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Traced:
    """A module's twin: the bytes of an ONNX file without metadata, and the metadata to add."""

    data: bytes
    about: Mapping[str, str]
    observations: Array
    """Observations for checking it, one per row."""
    expected: Mapping[str, Array]
    """The module's own deterministic outputs for them, computed one by one, by name."""


def trace(module: Module, env: object = None, observation: object = None) -> Traced:
    """Trace a module.

    Args:
        module: a ``torch.nn.Module``, or a TorchScript one.
        env: the environment, whose observation space gives the shape.
        observation: one observation, if the space does not determine the module's input.

    Raises:
        UntracedError: no function of it can be traced.
    """
    torch = importlib.import_module("torch")
    if not isinstance(module, torch.nn.Module):
        raise UntracedError(f"a {type(module).__name__} has no forward: save the module itself")
    if any(isinstance(part, (torch.nn.RNNBase, torch.nn.RNNCellBase)) for part in module.modules()):
        raise UntracedError("it carries a state through an episode, which a twin does not")
    try:
        with require_extra():
            importlib.import_module("onnx")  # needed by torch.onnx.export
    except SpindbError as error:
        raise UntracedError(f"{error.message}: {error.hint}") from error
    with _apart(torch):
        try:
            own = copy.deepcopy(module).cpu().eval()
        except Exception as error:  # tensors of a graph, locks, or other attributes
            raise UntracedError(f"it can't be copied: {_said(error)}") from error
        rows = _observations(torch, own, env, observation)
        act = _act_of(torch, own)
        reasons: list[str] = []
        for name, call, settled in _ways(own):
            try:
                outputs = _outputs(torch, call(rows), settled)
                _require_rows(torch, outputs, _outputs(torch, call(rows.flip(0)), settled), len(rows))
                if act is not None and not _acts_alike(torch, act, rows, outputs):
                    reasons.append(f"{name} gives another action than its act()")
                    continue
                return _exported(torch, own, name, call, settled, rows, outputs)
            except UntracedError as error:
                reasons.append(f"{name}: {error}")
            except Exception as error:  # the author's code, or an operation that ONNX does not have
                reasons.append(f"{name}: {_said(error)}")
        raise UntracedError("; ".join(reasons) or "it has neither forward nor pi, actor or act")


@contextlib.contextmanager
def _apart(torch: ModuleType) -> Iterator[None]:
    """Disable gradients and warnings, and restore the training's random state afterwards."""
    with torch.random.fork_rng(devices=[]), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tracing: the results are compared afterwards
        yield


def _observations(torch: ModuleType, module: Module, env: object, observation: object) -> Tensor:
    """Some random observations, one per row.

    Raises:
        UntracedError: the shape of observations is unknown.
    """
    space: Any = getattr(env, "observation_space", None)
    if observation is not None:
        one = torch.as_tensor(observation)
        if not one.is_floating_point():
            return one[None].repeat(_ROWS, *[1] * one.dim())
        shape = tuple(one.shape)
    elif getattr(space, "n", None) is not None:
        return torch.arange(_ROWS) % int(space.n)
    elif getattr(space, "shape", None):
        shape = tuple(space.shape)
    else:
        first = next((p for p in module.parameters() if p.dim() > 1), None)
        if first is None or first.dim() != 2:
            raise UntracedError("what it observes is not known: setup_pytorch_saver(…, observation=obs) shows it one")
        shape = (int(first.shape[1]),)
    dtype = next((p.dtype for p in module.parameters() if p.is_floating_point()), torch.float32)
    return torch.randn(_ROWS, *shape, dtype=torch.float32 if dtype is torch.float16 else dtype)


Way: TypeAlias = "tuple[str, Callable[[Tensor], Any], bool]"
"""Name, function of observations, and whether its result is certainly the action."""


def _ways(module: Module) -> Iterator[Way]:
    """Functions that may compute actions, the most likely one first."""
    forward = getattr(type(module), "forward", None)
    scripted = "ScriptModule" in {cls.__name__ for cls in type(module).__mro__}
    if scripted or getattr(forward, "__name__", "") != "_forward_unimplemented":
        yield "forward", _called(module), _chooses(module)
    for name in _ACTORS:
        if callable(getattr(module, name, None)):
            yield name, _called(getattr(module, name)), _chooses(getattr(module, name))
    if callable(getattr(module, "act", None)):
        yield "act", _called(module.act), True


def _parameters(call: Any) -> set[str]:
    try:
        return set(inspect.signature(getattr(call, "forward", call)).parameters)
    except (TypeError, ValueError):
        return set()


def _chooses(call: object) -> bool:
    """Whether it has a parameter ``deterministic``, and therefore returns actions."""
    return "deterministic" in _parameters(call)


def _called(call: Any) -> Callable[[Tensor], Any]:
    known = _parameters(call)
    options = {n: v for n, v in (("deterministic", True), ("with_logprob", False)) if n in known}
    return lambda observations: call(observations, **options)


def _act_of(torch: ModuleType, module: Module) -> Callable[[Tensor], Any] | None:
    """The author's deterministic ``act`` for one observation, or None."""
    act = getattr(module, "act", None)
    if not callable(act) or not _chooses(act):
        return None
    return lambda one: torch.as_tensor(act(one, deterministic=True))


def _acts_alike(torch: ModuleType, act: Callable[[Tensor], Any], rows: Tensor, outputs: Mapping[str, Tensor]) -> bool:
    """Whether the outputs equal the actions of the author's ``act``; true if that raises an error."""
    found = outputs.get("action", outputs.get("output"))
    if found is None:
        found = outputs["logits"].argmax(-1)
    try:
        theirs = torch.stack([act(row) for row in rows])
    except Exception:
        return True
    return theirs.numel() == found.numel() and bool(
        torch.allclose(theirs.reshape(found.shape).double(), found.double(), atol=_TOLERANCE)
    )


def _outputs(torch: ModuleType, found: Any, settled: bool) -> dict[str, Tensor]:
    """The tensors in a module's result, by the output names of policies.

    Raises:
        UntracedError: it contains neither a tensor nor a distribution.
    """
    if isinstance(found, (tuple, list)) and found:
        found = found[0]
    distribution = torch.distributions
    while isinstance(found, distribution.Independent):
        found = found.base_dist
    if isinstance(found, distribution.Categorical):
        return {"logits": found.logits}
    if isinstance(found, distribution.TransformedDistribution):
        mean = found.base_dist.mean
        for transform in found.transforms:
            mean = transform(mean)
        return {"action": mean, "sample": found.sample()}
    if isinstance(found, distribution.Distribution):
        return {"action": found.mean, "sample": found.sample()}
    if not isinstance(found, torch.Tensor):
        raise UntracedError(f"it gives a {type(found).__name__}, no tensor and no distribution")
    return {"action" if settled else "output": found}


def _require_rows(torch: ModuleType, outputs: Mapping[str, Tensor], turned: Mapping[str, Tensor], count: int) -> None:
    """Check that outputs have one row per observation, which depends only on that observation."""
    for name, value in outputs.items():
        if not value.dim() or value.shape[0] != count or value.dim() > _MOST_AXES:
            raise UntracedError(f"it gives an array of shape {tuple(value.shape)} for {count} observations")
        if name != "sample" and not torch.allclose(value, turned[name].flip(0), atol=_TOLERANCE, equal_nan=True):
            raise UntracedError("what it gives for an observation depends on others, or is drawn")


Value: TypeAlias = "Callable[[Tensor], Tensor]"


def _exported(
    torch: ModuleType,
    module: Module,
    name: str,
    call: Callable[[Tensor], Any],
    settled: bool,
    rows: Tensor,
    outputs: Mapping[str, Tensor],
) -> Traced:
    value = _value_of(torch, module, rows)
    names = [*outputs, *(() if value is None else ("v",))]
    data = _onnx_bytes(torch, module, _twin(torch, module, call, settled, value), rows, names)
    alone = [
        {**_outputs(torch, call(row[None]), settled), **({"v": value(row[None])} if value else {})} for row in rows
    ]
    expected = {key: torch.cat([found[key] for found in alone]).numpy() for key in alone[0] if key != "sample"}
    return Traced(data, _about(module, name, settled, outputs), rows.numpy(), expected)


def _about(module: Module, name: str, settled: bool, outputs: Mapping[str, Tensor]) -> dict[str, str]:
    """The words that belong into the file: what was traced, and what is known of its outputs."""
    kind = type(module).__name__
    about = {"module": f"{type(module).__module__}.{type(module).__qualname__}", "traced": name}
    if "output" in outputs:
        about["met"] = f"{kind} has no act(), what its {name} gives is open"
        if outputs["output"].dim() == 2 and _OF_VALUES.match(kind if name == "forward" else name):
            about |= {"scores": "values", "met": f"its {name} is that of {kind}: values of choices"}
    elif settled and "action" in outputs and outputs["action"].is_floating_point():
        about["draws"] = "unknown"
    return about


def _twin(
    torch: ModuleType, module: Module, call: Callable[[Tensor], Any], settled: bool, value: Value | None
) -> Module:
    """What is traced: a module from observations to the outputs of a policy, the value last where there is one."""

    class Twin(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.traced = module

        def forward(self, observation: Tensor) -> tuple[Tensor, ...]:
            found = list(_outputs(torch, call(observation), settled).values())
            if value is not None:
                found.append(value(observation))
            return tuple(found)

    return Twin().eval()


def _onnx_bytes(torch: ModuleType, module: Module, twin: Module, rows: Tensor, names: Sequence[str]) -> bytes:
    """The twin as an ONNX file."""
    options: dict[str, Any] = {
        "input_names": ["observation"],
        "output_names": list(names),
        "dynamic_axes": {given: {0: "n"} for given in ("observation", *names)},
        "opset_version": OPSET,
    }
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False  # the newer exporter needs another package
    given = (rows[:_TRACED_ROWS],)
    # The exporter alone can't trace what holds a part of TorchScript.
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        twin = torch.jit.trace(twin, given, check_trace=False)
    file = io.BytesIO()
    torch.onnx.export(twin, given, file, **options)
    return file.getvalue()


def _value_of(torch: ModuleType, module: Module, rows: Tensor) -> Callable[[Tensor], Any] | None:
    """The value function of observations, shape (n,), or None."""
    for name in _VALUES:
        call = getattr(module, name, None)
        if not callable(call):
            continue
        try:
            found = call(rows)
            if isinstance(found, torch.Tensor) and found.numel() == len(rows):
                return lambda observations, call=call: call(observations).reshape(-1)  # type: ignore[misc]
        except Exception:  # noqa: S112 - it also needs an action
            continue
    return None


def with_metadata(data: bytes, about: Mapping[str, str]) -> bytes:
    """An ONNX model with metadata (field 14) added: concatenated protocol buffer messages are merged."""
    # ModelProto: 14 metadata_props, each a StringStringEntryProto: 1 key, 2 value.
    return data + b"".join(
        _field(14, _field(1, key.encode()) + _field(2, value.encode("utf-8", "replace")))
        for key, value in about.items()
    )


def _field(number: int, data: bytes) -> bytes:
    # Wire type 2: a length, and so many bytes.
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}".removesuffix(": ")[:300]
