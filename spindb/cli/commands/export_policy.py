"""``spindb export-policy``; what it does stands in `spindb.cli.playing.export`, which brings numpy."""

from __future__ import annotations

import typer

from spindb.cli import handlers
from spindb.cli import play_options as typed
from spindb.cli.options import Db, Run, database
from spindb.cli.play_options import EnvironmentFlags
from spindb.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("export-policy")(export_policy)


def export_policy(
    ctx: typer.Context,
    run: Run,
    itr: typed.ExportItr = None,
    onnx: typed.Onnx = False,
    npz: typed.Npz = False,
    with_wrappers: typed.WithWrappers = False,
    action: typed.ActionRule = None,
    env: typed.InnerEnvId = None,
    env_factory: typed.EnvFactory = None,
    imports: typed.Imports = None,
    contact_forces: typed.Forces = None,
    out: typed.ExportFile = None,
    db: Db = None,
) -> None:
    """Export a saved policy, so that it lives on in another stack.

    spindb export-policy 42 --itr 100 --onnx

    spindb export-policy 42 --onnx --with-wrappers

    spindb export-policy data/ppo/ppo_s0 --npz -o policy.npz
    """
    if onnx == npz:
        raise UsageError("name one form: --onnx or --npz")
    if not with_wrappers and (env or env_factory or imports or contact_forces):
        raise UsageError("--env, --env-factory, --import and --contact-forces are for --with-wrappers")
    flags = EnvironmentFlags(env, env_factory, imports, action=action, contact_forces=contact_forces)
    asked = handlers.playing.export.PolicyExport(run, itr, onnx, with_wrappers, flags, out)
    handlers.playing.export.export_saved_policy(asked, database(ctx, db))
