"""Spares commands what they don't need of typer: pydantic, which takes as long to load as a query takes in all.

From 0.27 on typer converts each value through pydantic, text to text included, and a default that is an int already
to an int. Values that are what they have to be are taken as they are here; typer converts all others, and words
what is wrong with them. Where a version of typer has no such conversion, this does nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer


def spare(command: Any, above: typer.Context | None = None) -> Any:
    """Let the parameters of a command, and of those below it, take what fits as it is; returns the command."""
    context = typer.Context(command, parent=above, **command.context_settings)
    for parameter in command.get_params(context):  # --help among them
        if hasattr(parameter, "type_descriptor") and hasattr(parameter, "_runtime_param"):
            parameter._runtime_param = _AsItIs(parameter.type_descriptor)
    for below in getattr(command, "commands", {}).values():
        spare(below, context)
    return command


_UNFIT = object()


class _AsItIs:
    """In place of the conversion of a parameter, with its interface."""

    def __init__(self, descriptor: Any) -> None:
        self._type = descriptor.annotation
        self._info = descriptor.parameter_info

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as its type has it."""
        # What typer makes of these is a tuple or a list already; only the items are converted.
        several = param.multiple or param.nargs == -1
        if value is None:
            return () if several else None
        kind = next(iter(get_args(self._type)), None) if several else self._type
        found = [self._as_is(kind, item) for item in (value if several else (value,))]
        if _UNFIT not in found:
            return found if several else found[0]
        param._runtime_param = None  # made anew where it is asked for
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)

    def _as_is(self, kind: Any, value: Any) -> Any:
        info = self._info
        if info.parser is not None:
            return _UNFIT
        if isinstance(value, str) and (kind is str or value in _choices(kind)):
            return value
        if kind is int and (number := _whole(value)) is not None:
            inside = (info.min is None or number >= info.min) and (info.max is None or number <= info.max)
            return number if inside else _UNFIT
        if kind is Path and isinstance(value, str) and _takes_any_path(info):
            # A file that can't be read is typer's to refuse, in its words.
            return Path(value) if os.access(value, os.R_OK) or not os.path.exists(value) else _UNFIT
        return _UNFIT


def _choices(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) is Literal else ()


def _whole(value: Any) -> int | None:
    if type(value) is int:
        return value
    # 19 digits may be beyond 64 bits; signs, blanks and underscores are left to typer, which knows what it takes.
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 else None


def _takes_any_path(info: Any) -> bool:
    asked = info.exists or info.writable or info.resolve_path or info.allow_dash or info.path_type
    return bool(info.readable and info.file_okay and info.dir_okay and not asked)
