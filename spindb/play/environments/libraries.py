"""gym and gymnasium, imported and used without what they print."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import warnings
from collections.abc import Iterator
from typing import Any

from spindb.play.process_state import set_by_import

_ERRORS_ONLY = 40


@contextlib.contextmanager
def without_output() -> Iterator[None]:
    """Without what these libraries print and warn of while they are imported or build an environment."""
    with contextlib.redirect_stderr(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def import_quietly(library: str) -> Any:
    """gym or gymnasium without the notices that they print and the warnings they log."""
    with without_output(), set_by_import():
        module = importlib.import_module(library)
    if hasattr(module.logger, "set_level"):  # gym
        module.logger.set_level(_ERRORS_ONLY)
    else:
        module.logger.min_level = _ERRORS_ONLY
    return module


def import_gym_beforehand() -> None:
    """Without the notice that it prints, and before the current directory is searched for modules.

    gym executes plug-ins that any directory searched for modules declares (``x.dist-info/entry_points.txt``).
    """
    with contextlib.suppress(ImportError):
        import_quietly("gym")


def log_mujoco_warnings() -> None:
    """Log MuJoCo's warnings, which it prints and writes into ``MUJOCO_LOG.TXT`` in the current directory otherwise."""
    with contextlib.suppress(ImportError):
        importlib.import_module("mujoco").set_mju_user_warning(_of_mujoco)


def _of_mujoco(message: str) -> None:
    if "deprecated" not in message:  # the models are gym's and gymnasium's
        logging.getLogger("spindb").warning("MuJoCo: %s", message)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its class where it has none."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
