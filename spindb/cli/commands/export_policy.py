"""``spindb export-policy``: a policy for another stack."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spindb.cli.options import Db, Run, database
from spindb.cli.play_options import ActionRule, EnvFactory, Forces, Imports, forces_chosen, one_environment
from spindb.cli.terminal.tables import say
from spindb.errors import UsageError
from spindb.extras import needing
from spindb.files import written_whole

if TYPE_CHECKING:
    from spindb.play.actions import Rule
    from spindb.play.engine.graph_policy import GraphPolicy
    from spindb.play.export.wrapped import Carried
    from spindb.play.locate import Playable


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("export-policy")(export_policy)


def export_policy(
    ctx: typer.Context,
    run: Run,
    itr: Annotated[int | None, typer.Option("--itr", "-i", help="Which snapshot. (default: the latest)")] = None,
    onnx: Annotated[bool, typer.Option("--onnx", help="As an ONNX model, checked by running it.")] = False,
    npz: Annotated[bool, typer.Option("--npz", help="As numpy arrays and the list of operations.")] = False,
    with_wrappers: Annotated[
        bool,
        typer.Option("--with-wrappers", help="With what the saved wrappers do to observations and actions."),
    ] = False,
    action: ActionRule = None,
    env: Annotated[str | None, typer.Option(help="The environment inside the wrappers, by its id.")] = None,
    env_factory: EnvFactory = None,
    imports: Imports = None,
    contact_forces: Forces = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The file. (default: the run's name, here)")
    ] = None,
    db: Db = None,
) -> None:  # fmt: skip
    """Export a saved policy, so that it lives on in another stack.

    spindb export-policy 42 --itr 100 --onnx

    spindb export-policy 42 --onnx --with-wrappers

    spindb export-policy data/ppo/ppo_s0 --npz -o policy.npz
    """
    if onnx == npz:
        raise UsageError("name one form: --onnx or --npz")
    one_environment(env, env_factory)
    forces = forces_chosen(contact_forces)
    if not with_wrappers and (env or env_factory or imports or forces):
        raise UsageError("--env, --env-factory, --import and --contact-forces are for --with-wrappers")
    with needing():
        from spindb.play.actions import rule_of
        from spindb.play.environments.build import Choices
        from spindb.play.load import load_exportable
        from spindb.play.locate import locate
    rule = rule_of(action)
    playable = locate(run, itr, db=database(ctx, db))
    policy = load_exportable(playable)
    if not with_wrappers:
        _export_network(playable, policy, rule, _place(playable, out, onnx), onnx=onnx)
        return
    from spindb.play.export.wrapped import carried

    choices = Choices(env, env_factory, tuple(imports or ()), contact_forces=forces)
    with carried(playable, policy, choices, rule) as (whole, built):
        say(f"environment: {built.id or 'your own'} (from {built.source})")
        if built.substituted:
            say(f"warning: not known to be the environment of the training: {built.substituted}")
        told = "; ".join(whole.words) or "nothing: no wrapper that changes observations or actions was saved"
        say(f"carried: {told}")
        _write_policy(playable, whole, {"carried": told}, _place(playable, out, onnx), onnx=onnx)


def _place(playable: Playable, out: Path | None, onnx: bool) -> Path:
    suffix = ".onnx" if onnx else ".npz"
    number = f"_itr{playable.snapshot.itr}" if playable.snapshot.itr is not None else ""
    return out or Path(f"{playable.directory.name}{number}{suffix}")


def _export_network(playable: Playable, policy: GraphPolicy, rule: Rule | None, place: Path, *, onnx: bool) -> None:
    """The network alone; what stood around it in training is said."""
    from spindb.play.export.wrapped import alone, not_carried

    whole = alone(policy, rule)
    told = {"carried": "; ".join(whole.words)} if whole.words else {}
    left = not_carried(playable, policy)
    if left:
        names = ", ".join(left)
        told["not_carried"] = names
        say(f"note: not carried is what stood between environment and network: {names} (--with-wrappers carries it)")
    _write_policy(playable, whole, told, place, onnx=onnx)


def _write_policy(playable: Playable, whole: Carried, carried: dict[str, str], place: Path, *, onnx: bool) -> None:
    plan = whole.plan()
    with needing():
        from spindb.play.export.write import largest_difference, write_npz, write_onnx
        from spindb.play.locate import about
    told = ""
    with written_whole(place) as file:
        if not onnx:
            write_npz(file, plan, about(playable) | carried)
        else:
            with needing():
                write_onnx(file, plan, about(playable) | carried)
                difference = largest_difference(file, whole)
            bound = 10.0 ** math.ceil(math.log10(max(difference, 1e-7)))
            told = f"; onnxruntime gives the same within {bound:.0e}"
    say(f"{', '.join(plan.outputs)} of {playable.snapshot.path} written to {place}{told}")
