"""A saved environment as it was: its wrappers with their values, and what it was made with.

Read from ``vars.pkl`` without executing anything. gym and gymnasium keep the arguments of ``make`` in the spec;
environments that pickle by their constructor's arguments keep those; of gym's own classes the attributes say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spindb.disk.described import Built
from spindb.disk.environments import INNER, SPECS, limit_of, spec_id
from spindb.disk.gymarguments import WITHOUT_EFFECT
from spindb.disk.gymclasses import arguments_given, registered_class
from spindb.disk.saved_values import SavedObject, SavedValue, class_path_of, saved_value


@dataclass(frozen=True, slots=True)
class SavedLayer:
    """A wrapper, or the environment itself: class, attributes, and time limit in steps or None."""

    class_path: str
    attributes: Mapping[str, SavedValue]
    limit: int | None = None

    @property
    def name(self) -> str:
        """The class without its module."""
        return self.class_path.rpartition(".")[2] or "a class that can't be named"

    @property
    def module(self) -> str:
        """The module of the class."""
        return self.class_path.rpartition(".")[0]


@dataclass(frozen=True, slots=True)
class SavedEnvironment:
    """The environment of a state: ``wrappers`` (outermost first) around ``inner``.

    ``arguments`` are constructor arguments, without those equal to known defaults; ``id`` is that of its spec,
    ``class_id`` an id under which its class was registered.
    """

    wrappers: tuple[SavedLayer, ...]
    inner: SavedLayer
    id: str | None
    class_id: str | None
    arguments: Mapping[str, object]


def environment_of_layers(described: Sequence[Built], data: bytes) -> SavedEnvironment:
    """The environment whose layers (outermost first, at least one) were found in the saved state `data`."""
    layers = [_layer(layer, data, last=layer is described[-1]) for layer in described]
    inner = layers[-1]
    spec = next((found for layer in described for name in SPECS if spec_id(found := layer.attributes.get(name))), None)
    # The spec has the arguments of make, which override those that the class saved.
    arguments = {**arguments_given(inner.class_path, inner.attributes), **_spec_arguments(spec, data)}
    return SavedEnvironment(
        tuple(layers[:-1]),
        inner,
        spec_id(spec),
        registered_class(inner.class_path),
        {name: value for name, value in arguments.items() if name not in WITHOUT_EFFECT},
    )


def _layer(described: Built, data: bytes, *, last: bool) -> SavedLayer:
    inner = next((name for name in INNER if name in described.attributes), None)
    kept = {
        str(name): saved_value(value, data)
        for name, value in described.attributes.items()
        if (last or name != inner) and name not in SPECS
    }
    return SavedLayer(class_path_of(described), kept, limit_of(described))


def _spec_arguments(spec: object, data: bytes) -> dict[str, SavedValue]:
    """The arguments of ``make`` in a spec; before gym 0.22 the attribute was ``_kwargs``."""
    if not isinstance(spec, Built):
        return {}
    read = saved_value(spec, data)
    attributes = read.attributes if isinstance(read, SavedObject) else {}
    for name in ("kwargs", "_kwargs"):
        if isinstance(found := attributes.get(name), dict):
            return dict(found)
    return {}
