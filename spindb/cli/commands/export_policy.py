"""``spindb export-policy``: a policy for another stack.

`spindb.play` brings numpy, and writing a model ONNX; both are imported inside the functions that need them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spindb.cli import play_options as typed
from spindb.cli.options import Db, Run, database
from spindb.cli.play_options import EnvironmentFlags, forces_chosen, one_environment
from spindb.cli.terminal.tables import say
from spindb.errors import UsageError
from spindb.extras import needing
from spindb.files import written_whole
from spindb.index.query.reference import parse

if TYPE_CHECKING:
    from spindb.play.actions import Rule
    from spindb.play.engine.graph_policy import GraphPolicy
    from spindb.play.export.wrapped import WrappedPolicy
    from spindb.play.locate import Playable


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
    one_environment(env, env_factory)
    if not with_wrappers and (env or env_factory or imports or contact_forces):
        raise UsageError("--env, --env-factory, --import and --contact-forces are for --with-wrappers")
    with needing():
        from spindb.play.actions import rule_of
        from spindb.play.load import load_exportable
        from spindb.play.locate import locate
    rule = rule_of(action)
    forces_chosen(contact_forces)  # refused before anything is read
    playable = locate(parse(run), itr, db=database(ctx, db))
    form = _Form(onnx, out or _usual_place(playable, onnx))
    policy = load_exportable(playable)
    if with_wrappers:
        flags = EnvironmentFlags(env, env_factory, imports, contact_forces=contact_forces)
        _export_with_wrappers(playable, policy, flags, rule, form)
    else:
        _export_network(playable, policy, rule, form)


@dataclass(frozen=True, slots=True)
class _Form:
    """What is written: an ONNX model or numpy's archive, and where."""

    onnx: bool
    place: Path


def _usual_place(playable: Playable, onnx: bool) -> Path:
    suffix = ".onnx" if onnx else ".npz"
    number = f"_itr{playable.snapshot.itr}" if playable.snapshot.itr is not None else ""
    return Path(f"{playable.directory.name}{number}{suffix}")


def _export_with_wrappers(
    playable: Playable, policy: GraphPolicy, flags: EnvironmentFlags, rule: Rule | None, form: _Form
) -> None:
    """The network within what the saved wrappers do to observations and actions."""
    from spindb.play.environments.build import Choices
    from spindb.play.export.wrapped import wrapped_policy

    forces = forces_chosen(flags.contact_forces)
    choices = Choices(flags.env, flags.factory, tuple(flags.imports or ()), contact_forces=forces)
    with wrapped_policy(playable, policy, choices, rule) as (whole, built):
        say(f"environment: {built.id or 'your own'} (from {built.source})")
        if built.substituted:
            say(f"warning: not known to be the environment of the training: {built.substituted}")
        words = "; ".join(whole.words) or "nothing: no wrapper that changes observations or actions was saved"
        say(f"carried: {words}")
        _write_policy(playable, whole, {"carried": words}, form)


def _export_network(playable: Playable, policy: GraphPolicy, rule: Rule | None, form: _Form) -> None:
    """The network alone; what stood around it in training is said."""
    from spindb.play.export.wrapped import network_alone, wrappers_left_out

    whole = network_alone(policy, rule)
    about = {"carried": "; ".join(whole.words)} if whole.words else {}
    left = wrappers_left_out(playable, policy)
    if left:
        names = ", ".join(left)
        about["not_carried"] = names
        say(f"note: not carried is what stood between environment and network: {names} (--with-wrappers carries it)")
    _write_policy(playable, whole, about, form)


def _write_policy(playable: Playable, whole: WrappedPolicy, more: dict[str, str], form: _Form) -> None:
    """Write the file; an ONNX model is checked by running it first."""
    plan = whole.plan()
    with needing():
        from spindb.play.export.write import largest_difference, write_npz, write_onnx
        from spindb.play.locate import about
    checked = ""
    with written_whole(form.place) as file:
        if not form.onnx:
            write_npz(file, plan, about(playable) | more)
        else:
            with needing():
                write_onnx(file, plan, about(playable) | more)
                difference = largest_difference(file, whole)
            bound = 10.0 ** math.ceil(math.log10(max(difference, 1e-7)))
            checked = f"; onnxruntime gives the same within {bound:.0e}"
    say(f"{', '.join(plan.outputs)} of {playable.snapshot.path} written to {form.place}{checked}")
