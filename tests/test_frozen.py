"""What modules hand to each other can't be changed: classes of data are frozen, but for those that gather something."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import pytest

import spindb

PLAY = (
    "spindb.play.policies.",
    "spindb.play.environments.",
    "spindb.play.session",
    "spindb.play.request",
    "spindb.play.sweep",
)
PACKAGES = ("spindb.disk.", "spindb.index.", "spindb.analysis.", "spindb.records", *PLAY)
GATHER = {
    "Built",
    "Join",
    "Notes",
    "OnnxWriter",
    "Restored",
    "Sources",
    "TorchWriter",
    "Writer",
    "_Budget",
    "_Measured",
    "_Seen",
}
REMEMBER = {"Function"}
"""Frozen, with room for what is computed once."""


def classes() -> Iterator[type]:
    """Every dataclass of the packages below the command line."""
    for module in pkgutil.walk_packages(spindb.__path__, "spindb."):
        if module.name.startswith(PACKAGES):
            for _, found in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
                if found.__module__ == module.name and dataclasses.is_dataclass(found):
                    yield found


@pytest.mark.parametrize("made", list(classes()), ids=lambda made: f"{made.__module__}.{made.__name__}")
def test_values_are_frozen(made: type) -> None:
    frozen = made.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert frozen == (made.__name__ not in GATHER)
    assert not frozen or ("__slots__" in vars(made)) == (made.__name__ not in REMEMBER)
