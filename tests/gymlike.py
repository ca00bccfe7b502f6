"""Saved states with environments of any class path, without gym: classes are pickled by reference."""

from __future__ import annotations

import pickle
import sys
import types
from collections.abc import Mapping
from typing import Any
from unittest.mock import patch

TIME_LIMIT = "gym.wrappers.time_limit.TimeLimit"


def state_of(*layers: tuple[str, Mapping[str, Any]]) -> bytes:
    """``vars.pkl`` with an environment: class path and attributes of each layer, outermost first."""
    modules: dict[str, types.ModuleType] = {}
    inner: Any = None
    for path, attributes in reversed(layers):
        module, _, name = path.rpartition(".")
        cls = type(name, (), {"__module__": module})
        stub = modules.setdefault(module, types.ModuleType(module))
        setattr(stub, name, cls)
        layer = cls()
        layer.__dict__.update(attributes)
        if inner is not None:
            layer.__dict__["env"] = inner
        inner = layer
    above = {".".join(parts[:n]) for parts in (module.split(".") for module in modules) for n in range(1, len(parts))}
    with patch.dict(sys.modules, {**{name: types.ModuleType(name) for name in above}, **modules}):
        return pickle.dumps({"env": inner}, protocol=3)


def limited(
    path: str, limit: int | None = None, args: Any = None, kwargs: Any = None, wrapper: str = TIME_LIMIT
) -> bytes:
    """A state with an environment of that class, made with these arguments, within a time limit."""
    attributes = (
        {} if args is None and kwargs is None else {"_ezpickle_args": args or (), "_ezpickle_kwargs": kwargs or {}}
    )
    around = [] if limit is None else [(wrapper, {"_max_episode_steps": limit})]
    return state_of(*around, (path, attributes))
