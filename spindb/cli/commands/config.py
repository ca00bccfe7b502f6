"""``spindb config``: settings of this user."""

from __future__ import annotations

from typing import Annotated

import typer

from spindb.cli import handlers
from spindb.cli.options import AsJson


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("config")(config)


def config(
    key: Annotated[str | None, typer.Argument(help="The setting: data_dir. (default: show all settings)")] = None,
    value: Annotated[str | None, typer.Argument(help="Its new value. (default: show the present one)")] = None,
    unset: Annotated[bool, typer.Option("--unset", help="Remove the setting.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show or change your settings, which hold in every directory: where your runs are.

    spindb config data_dir ~/experiments

    spindb config data_dir --unset
    """
    handlers.config.change_or_show(key, value, unset=unset, as_json=as_json)
