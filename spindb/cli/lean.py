"""Spares commands what they don't need of typer: pydantic, which takes as long to load as a query takes in all.

From 0.27 on typer converts each value through pydantic, text to text included, and a default that is an int already
to an int. Values that are what they have to be are taken as they are here; typer converts all others, and words
what is wrong with them. Where a version of typer has no such conversion, this does nothing.
"""

from __future__ import annotations

from typing import Any

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


class _AsItIs:
    """In place of the conversion of a parameter, with its interface."""

    def __init__(self, descriptor: Any) -> None:
        self._type = descriptor.annotation
        self._info = descriptor.parameter_info

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value as its type has it."""
        if value is None:
            return () if param.multiple or param.nargs == -1 else None
        if self._info.parser is None:
            if self._type is str and isinstance(value, str):
                return value
            if self._type == list[str] and isinstance(value, (list, tuple)):
                return list(value)
            if self._type is int and (number := _whole(value)) is not None and self._allows(number):
                return number
        param._runtime_param = None  # made anew where it is asked for
        return param.get_runtime_param().coerce(value, param=param, ctx=ctx)

    def _allows(self, number: int) -> bool:
        least, most = self._info.min, self._info.max
        return (least is None or number >= least) and (most is None or number <= most)


def _whole(value: Any) -> int | None:
    if type(value) is int:
        return value
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19 else None
