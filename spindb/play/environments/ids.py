"""Environment ids: what is built of one, and whether a module may be imported for it.

gymnasium and gym take ``module:Id-v0`` as "import that module, then build Id-v0". An id in a config, a saved state or a
database is a stranger's text: no module is imported for it unless the user named that module.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence

from spindb.errors import EnvironmentBuildError

_ID = re.compile(r"([\w-]+/)*[\w.+-]+")
_MAX_LENGTH = 200  # longer than any id, short enough for a message


def found_id(env_id: str, source: str, imports: Sequence[str]) -> str:
    """The id to build for one that was found in files or in the database: without its module.

    Args:
        env_id: as it was found, ``Id-v0``, ``namespace/Id-v0`` or ``module:Id-v0``.
        source: where, for the message.
        imports: modules that the user allowed to be imported, and that were.

    Raises:
        EnvironmentBuildError: it is no id, or names a module that the user did not.
    """
    module, colon, name = env_id.rpartition(":")
    if len(env_id) > _MAX_LENGTH or not _ID.fullmatch(name) or (colon and not _ID.fullmatch(module)):
        raise EnvironmentBuildError(
            f"{env_id[:_MAX_LENGTH]!r} (known from {source}) is not an environment id", hint="--env ID names another"
        )
    if colon and module not in imports:
        raise EnvironmentBuildError(
            f"{env_id} (known from {source}) is built by importing {module}, which executes that module's code: "
            "it was not imported",
            hint=f"--import {module} allows it, --env ID names another",
        )
    return name


def typed_id(env_id: str) -> str:
    """The id to build for one that the user typed; the module it names is imported, where it is installed.

    Raises:
        EnvironmentBuildError: that fails.
    """
    module, colon, name = env_id.partition(":")
    if not colon:
        return env_id
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:  # a module can raise anything
        raise EnvironmentBuildError(
            f"--env {env_id}: {module} can't be imported: {type(error).__name__}: {error}",
            hint=f"--import {module} looks in the current directory too: --import {module} --env {name}",
        ) from error
    return name
