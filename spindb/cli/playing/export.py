"""A policy written for another stack, as ``spindb export-policy`` does it.

Writing a model takes ONNX, which is an extra: it is imported where a model is written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from spindb.cli.play_options import EnvironmentFlags
from spindb.cli.playing.options import forces_chosen, one_environment
from spindb.cli.terminal.tables import say
from spindb.extras import require_extra
from spindb.files import atomic_write
from spindb.index.query.reference import parse_reference
from spindb.play.actions import Rule, rule_of
from spindb.play.engine.graph_policy import GraphPolicy
from spindb.play.environments.build import Choices
from spindb.play.export.wrapped import WrappedPolicy, network_alone, wrapped_policy, wrappers_left_out
from spindb.play.export.write import largest_difference, write_npz, write_onnx
from spindb.play.load import load_exportable
from spindb.play.locate import Playable, about, locate


@dataclass(frozen=True, slots=True)
class PolicyExport:
    """Which policy, in which form, with or without its wrappers, and where to."""

    run: str
    itr: int | None
    onnx: bool
    with_wrappers: bool
    flags: EnvironmentFlags
    out: Path | None


@dataclass(frozen=True, slots=True)
class _Form:
    """What is written: an ONNX model or numpy's archive, and where."""

    onnx: bool
    place: Path


def export_saved_policy(asked: PolicyExport, database: str) -> None:
    """Write the policy.

    Raises:
        SpindbError: there is no such snapshot, it can't be exported, or not be written there.
    """
    flags = asked.flags
    one_environment(flags.env, flags.factory)
    forces = forces_chosen(flags.contact_forces)
    rule = rule_of(flags.action)
    playable = locate(parse_reference(asked.run), asked.itr, db=database)
    form = _Form(asked.onnx, asked.out or _usual_place(playable, asked.onnx))
    policy = load_exportable(playable)
    if asked.with_wrappers:
        choices = Choices(flags.env, flags.factory, tuple(flags.imports or ()), contact_forces=forces)
        _export_with_wrappers(playable, policy, choices, rule, form)
    else:
        _export_network(playable, policy, rule, form)


def _usual_place(playable: Playable, onnx: bool) -> Path:
    suffix = ".onnx" if onnx else ".npz"
    number = f"_itr{playable.snapshot.itr}" if playable.snapshot.itr is not None else ""
    return Path(f"{playable.directory.name}{number}{suffix}")


def _export_with_wrappers(
    playable: Playable, policy: GraphPolicy, choices: Choices, rule: Rule | None, form: _Form
) -> None:
    """The network within what the saved wrappers do to observations and actions."""
    with wrapped_policy(playable, policy, choices, rule) as (whole, built):
        say(f"environment: {built.id or 'your own'} (from {built.source})")
        if built.substituted:
            say(f"warning: not known to be the environment of the training: {built.substituted}")
        words = "; ".join(whole.words) or "nothing: no wrapper that changes observations or actions was saved"
        say(f"carried: {words}")
        _write_policy(playable, whole, {"carried": words}, form)


def _export_network(playable: Playable, policy: GraphPolicy, rule: Rule | None, form: _Form) -> None:
    """The network alone; what stood around it in training is said."""
    whole = network_alone(policy, rule)
    words = {"carried": "; ".join(whole.words)} if whole.words else {}
    left = wrappers_left_out(playable, policy)
    if left:
        names = ", ".join(left)
        words["not_carried"] = names
        say(f"note: not carried is what stood between environment and network: {names} (--with-wrappers carries it)")
    _write_policy(playable, whole, words, form)


def _write_policy(playable: Playable, whole: WrappedPolicy, more: dict[str, str], form: _Form) -> None:
    """Write the file; an ONNX model is checked by running it first."""
    plan = whole.plan()
    checked = ""
    with atomic_write(form.place) as file:
        if not form.onnx:
            write_npz(file, plan, about(playable) | more)
        else:
            with require_extra():
                write_onnx(file, plan, about(playable) | more)
                difference = largest_difference(file, whole)
            bound = 10.0 ** math.ceil(math.log10(max(difference, 1e-7)))
            checked = f"; onnxruntime gives the same within {bound:.0e}"
    say(f"{', '.join(plan.outputs)} of {playable.snapshot.path} written to {form.place}{checked}")
