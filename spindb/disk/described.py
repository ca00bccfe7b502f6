"""Descriptions of the objects and calls in a pickle, which are never built; see `spindb.disk.codecs.pickles`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from spindb.disk.told import told, told_text


@dataclass(frozen=True, slots=True)
class Global:
    """A class or function by module and name, not imported."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    def short(self, _: int) -> str:
        """See `spindb.disk.told`."""
        return told_text(str(self))


# Functions that create an instance of their first argument; protocols 0 to 2 use Python 2's module name.
_MAKERS = {f"{module}.{name}" for module in ("copyreg", "copy_reg") for name in ("_reconstructor", "__newobj__")}


def is_maker(target: object) -> bool:
    """Whether `target` is a function that creates an instance of its first argument."""
    return isinstance(target, Global) and str(target) in _MAKERS


@dataclass(slots=True, eq=False)
class Built:
    """The result of a call (``called``) or an instantiation: callable, arguments, state."""

    # Not frozen, and compared by identity: the pickle sets the state after it has referred to the object.
    callable: Any
    args: Any = ()
    kwargs: Any = None
    state: Any = None
    items: list[Any] = field(default_factory=list)
    called: bool = False

    @property
    def call(self) -> str:
        """The call that unpickling would make, as text."""
        args = self.args if isinstance(self.args, tuple) else (self.args,)
        inside = told(args)[1:-1].removesuffix(",")
        return f"{told_text(self.class_path) or 'something'}({inside})"

    def short(self, depth: int) -> str:
        """See `spindb.disk.told`."""
        return f"{told_text(self.class_path) or 'something'}(…)"

    @property
    def class_path(self) -> str:
        """``module.Class`` if it is known, else an empty text."""
        target = self.callable
        if is_maker(target) and isinstance(self.args, tuple) and self.args:
            target = self.args[0]
        return str(target) if isinstance(target, Global) else ""

    @property
    def attributes(self) -> dict[Any, Any]:
        """The instance's attributes if the state is a dict, or a pair of dicts (``__dict__`` and slots)."""
        state = self.state
        if isinstance(state, tuple) and len(state) == 2:
            parts = [part for part in state if isinstance(part, dict)]
            return {key: value for part in parts for key, value in part.items()}
        return state if isinstance(state, dict) else {}


@dataclass(frozen=True, slots=True)
class Array:
    """A numpy array inside a joblib file: ``count`` bytes from ``start``, not decoded."""

    dtype: str
    shape: tuple[int, ...]
    order: str
    start: int
    count: int
