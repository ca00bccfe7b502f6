"""Modules of the user's own: looked for in the current directory, after everything that is installed."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from spindb.play.process_state import set_by_import

_FILES: list[ModuleType] = []
"""Modules made of files: what was called ``__main__`` when it was saved is looked for in them."""


@contextlib.contextmanager
def current_directory_importable() -> Iterator[None]:
    """Let imports inside find what lies in the current directory and is installed nowhere.

    It is searched last, so that a ``gym.py`` lying there never stands in for the library. Import the libraries
    themselves outside: gym looks for plug-ins in every directory that is searched.
    """
    try:
        here = os.getcwd()
    except FileNotFoundError:  # it was removed
        yield
        return
    added = here not in sys.path
    if added:
        sys.path.append(here)
    try:
        yield
    finally:
        if added:
            with contextlib.suppress(ValueError):  # the module removed it itself
                sys.path.remove(here)


def import_named(name: str) -> ModuleType:
    """Import a module by its name, or a file of Python by its path, in which ``__name__`` is not ``__main__``.

    Raises:
        Exception, SystemExit: whatever the code raises.
    """
    if not name.endswith(".py"):
        with set_by_import():
            return importlib.import_module(name)
    path = Path(name).resolve()
    known = next((module for module in _FILES if module.__file__ == str(path)), None)
    if known is not None:
        return known
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    try:
        with set_by_import():
            spec.loader.exec_module(module)
    except BaseException:
        if before is None:
            del sys.modules[path.stem]
        else:
            sys.modules[path.stem] = before
        raise
    _FILES.append(module)
    return module


def class_of_script(name: str) -> Any:
    """What is called so in a file that was imported, in the place of a script's ``__main__``.

    Raises:
        AttributeError: none of them has it.
    """
    first, _, rest = name.partition(".")
    for module in reversed(_FILES):
        if hasattr(module, first):
            found = getattr(module, first)
            for part in rest.split(".") if rest else ():
                found = getattr(found, part)
            return found
    raise AttributeError(f"{name} was defined in a script (__main__): --import FILE.py names that script")
