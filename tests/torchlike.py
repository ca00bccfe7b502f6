"""Writes files as ``torch.save(module)`` does, old container and new, without PyTorch.

Classes are pickled by reference, so that stand-ins with the right names make the same bytes: modules of the real names
hold them while a file is written.
"""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np

_OF_MODULES = ("torch.nn", "someone")
_MAGIC = 0x1950A86A20F9469CFC6C


class Network:
    """A module by its class path, its children, tensors and attributes."""

    def __init__(self, path: str, children: dict[str, Network] | None = None, **own: Any) -> None:
        self.path = path
        self.children = children or {}
        self.tensors = {k: v for k, v in own.items() if isinstance(v, np.ndarray)}
        self.attributes = {k: v for k, v in own.items() if not isinstance(v, np.ndarray)}


def linear(weight: np.ndarray, bias: np.ndarray) -> Network:
    """A linear layer: weight of shape (outputs, inputs)."""
    return Network("torch.nn.modules.linear.Linear", weight=weight, bias=bias)


def activation(name: str) -> Network:
    """An activation by its class."""
    return Network(f"torch.nn.modules.activation.{name}")


def sequence(*layers: Network) -> Network:
    """Layers one after the other."""
    return Network("torch.nn.modules.container.Sequential", {str(i): layer for i, layer in enumerate(layers)})


def zipped(network: Network) -> bytes:
    """The container since PyTorch 1.6."""
    data, storages = _pickled(network, legacy=False)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", data)
        archive.writestr("model/byteorder", "little")
        for key, values in storages.items():
            archive.writestr(f"model/data/{key}", values.astype("<f4").tobytes())
        archive.writestr("model/version", "3\n")
    return file.getvalue()


def legacy(network: Network) -> bytes:
    """The container before PyTorch 1.6."""
    data, storages = _pickled(network, legacy=True)
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    head = b"".join(pickle.dumps(item, protocol=2) for item in (_MAGIC, 1001, system))
    tail = b"".join(struct.pack("<q", len(v)) + v.astype("<f4").tobytes() for v in storages.values())
    return head + data + pickle.dumps(list(storages), protocol=2) + tail


def _pickled(network: Network, *, legacy: bool) -> tuple[bytes, dict[str, np.ndarray]]:
    storages: dict[str, np.ndarray] = {}
    with _classes() as classes:
        storage_class = classes("torch.FloatStorage")
        rebuild = classes("torch._utils._rebuild_tensor_v2", function=True)
        parameter = classes("torch._utils._rebuild_parameter", function=True)

        class Storage:
            def __init__(self, key: str) -> None:
                self.key = key

        class Tensor:
            def __init__(self, values: np.ndarray) -> None:
                self.shape, self.key = values.shape, str(len(storages))
                storages[self.key] = values.ravel()

            def __reduce__(self) -> Any:
                strides = tuple(int(np.prod(self.shape[i + 1 :])) for i in range(len(self.shape)))
                return rebuild, (Storage(self.key), 0, self.shape, strides, False, OrderedDict())

        class Parameter(Tensor):
            def __reduce__(self) -> Any:
                return parameter, (Tensor.__new__(Tensor).copy(self), True, OrderedDict())

        def copy(self: Any, other: Any) -> Any:
            self.shape, self.key = other.shape, other.key
            return self

        Tensor.copy = copy  # type: ignore[attr-defined]

        def build(node: Network) -> Any:
            module = classes(node.path)()
            module.__dict__ = {
                "training": True,
                "_parameters": OrderedDict((k, Parameter(v)) for k, v in node.tensors.items()),
                "_buffers": OrderedDict(),
                "_modules": OrderedDict((k, build(child)) for k, child in node.children.items()),
                **node.attributes,
            }
            return module

        file = io.BytesIO()

        seen: set[type] = set()

        class Pickler(pickle._Pickler):  # in Python, since it alone lets a class have a persistent id
            def persistent_id(self, item: Any) -> Any:
                if isinstance(item, Storage):
                    rest = (None,) if legacy else ()
                    return ("storage", storage_class, item.key, "cpu", len(storages[item.key]), *rest)
                if legacy and isinstance(item, type) and item not in seen and item.__module__.startswith(_OF_MODULES):
                    seen.add(item)
                    return ("module", item, "source.py", "class …")
                return None

        Pickler(file, protocol=2).dump(build(network))
    return file.getvalue(), storages


@contextlib.contextmanager
def _classes() -> Iterator[Any]:
    """Makes classes and functions that pickle under a given path, for the time of a ``with``."""
    added: dict[str, Any] = {}

    def make(path: str, *, function: bool = False) -> Any:
        module_name, _, name = path.rpartition(".")
        parts = module_name.split(".")
        for count in range(1, len(parts) + 1):
            part = ".".join(parts[:count])
            if part not in sys.modules:
                sys.modules[part] = added[part] = types.ModuleType(part)
        module = sys.modules[module_name]
        if not hasattr(module, name):
            if function:

                def made(*_: Any) -> None: ...

            else:
                made = type(name, (), {})  # type: ignore[assignment,misc]
            made.__module__, made.__qualname__, made.__name__ = module_name, name, name
            setattr(module, name, made)
        return getattr(module, name)

    genuine = {name: sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] == "torch"}
    try:
        yield make
    finally:
        for name in added:
            del sys.modules[name]
        sys.modules.update(genuine)


SMALLEST = legacy(Network("someone.Net"))
"""A whole file that holds a module without layers."""
