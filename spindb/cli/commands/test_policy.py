"""``spindb test-policy``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spindb.cli.options import AsJson, Db, Debug, database
from spindb.cli.play_options import (
    ActionRule,
    Deterministic,
    EnvFactory,
    EnvId,
    Forces,
    Imports,
    Length,
    Trust,
    WithoutWrappers,
    forces_chosen,
    one_environment,
)
from spindb.cli.terminal.door import say_log
from spindb.cli.terminal.progress import print_line, so_far
from spindb.cli.terminal.tables import plural, print_json, say
from spindb.errors import DatabaseError, UsageError
from spindb.extras import needing
from spindb.records import CANT_TELL
from spindb.signals import active

if TYPE_CHECKING:
    from spindb.play.environments.build import BuiltEnvironment, Render
    from spindb.play.locate import Playable
    from spindb.play.policies import Engine, Policy
    from spindb.play.rollouts.rollout import Rollout, Trace
    from spindb.play.rollouts.value_trace import ValueTrace
    from spindb.play.rollouts.video import Recorder
    from spindb.play.session import Session
    from spindb.records import Evaluation, Verdict

_LATEST = -1
_VALUE_FILES = (".csv", ".png", ".svg", ".pdf")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("test-policy")(test_policy)
    app.command("test_policy", hidden=True)(test_policy)


def test_policy(
    ctx: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(metavar="[RUN]", help="Output directory, or a run's id, name or beginning of a name."),
    ] = None,
    run_id: Annotated[int | None, typer.Option("--run-id", help="The run by its id.")] = None,
    itr: Annotated[int, typer.Option("--itr", "-i", help="Which snapshot; -1: the latest.")] = _LATEST,
    length: Length = 0,
    episodes: Annotated[int, typer.Option("--episodes", "-n", help="How many episodes.")] = 100,
    norender: Annotated[bool, typer.Option("--norender", "-nr", help="Don't show it.")] = False,
    deterministic: Deterministic = False,
    env: EnvId = None,
    env_factory: EnvFactory = None,
    imports: Imports = None,
    trust: Trust = False,
    action: ActionRule = None,
    without_wrappers: WithoutWrappers = False,
    contact_forces: Forces = None,
    engine: Annotated[str, typer.Option(help="What evaluates it: auto, numpy, tensorflow.")] = "auto",
    seed: Annotated[int | None, typer.Option(help="Seed the environment and the policy.")] = None,
    values: Annotated[
        Path | None,
        typer.Option("--values", help="Write predicted values beside realised returns: .csv, .png, .svg, .pdf."),
    ] = None,
    gamma: Annotated[
        float | None, typer.Option(help="Discount of those returns. (default: the config's, else 0.99)", min=0, max=1)
    ] = None,
    faithful: Annotated[
        bool, typer.Option("--faithful", help="Replay what the original would have printed, draw by draw.")
    ] = False,
    video: Annotated[
        Path | None, typer.Option("--record", help="Record a video: .mp4 or .gif; needs no display.")
    ] = None,
    captions: Annotated[bool, typer.Option("--captions", help="Draw episode, return and value on it.")] = False,
    keep: Annotated[
        bool, typer.Option(" /--no-record", help="Keep nothing in the database.", show_default=False)
    ] = True,
    debug: Debug = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Play a saved policy: load the snapshot, build its environment anew, run episodes.

    spindb test-policy --run-id 42 --itr 100

    spindb test-policy data/ppo/ppo_s0 -nr -n 10

    spindb test-policy 42 --env-factory my_envs:make
    """
    with needing():
        from spindb.play.actions import rule_of
        from spindb.play.environments.replay import as_the_original_chooses
        from spindb.play.evaluating import Flags
        from spindb.play.rollouts.rollout import require_seed
        from spindb.play.rollouts.value_trace import broken_values
        from spindb.play.session import opened

    if (run is None) == (run_id is None):
        raise UsageError("name one run: an output directory, or --run-id", hint="spindb runs lists them")
    one_environment(env, env_factory)
    if faithful and (env or seed is not None or video or not norender or engine == "numpy"):
        raise UsageError(
            "--faithful replays the saved environment and draws: no --env, --seed, rendering or numpy",
            hint="spindb test-policy RUN --faithful -nr -n 5",
        )
    if episodes < 1:
        raise UsageError(f"{episodes} episodes: at least one is needed")
    require_seed(seed)
    if itr < _LATEST:
        raise UsageError(f"--itr {itr}: a snapshot's number is 0 or more; -1 means the latest")
    _require_files(video, values)
    by = _engine(engine)
    rule = rule_of(action)
    forces = forces_chosen(contact_forces)
    location = database(ctx, db)
    playable = _find(run, run_id, None if itr == _LATEST else itr, location)
    if faithful and itr == _LATEST:
        playable = as_the_original_chooses(playable)
    _announce(playable, chosen=itr != _LATEST)
    if faithful and playable.snapshot.kind != "pyt_save":
        by = "tensorflow"
    flags = Flags(
        episodes,
        length,
        deterministic,
        seed,
        env,
        env_factory,
        tuple(imports or ()),
        by,
        trust,
        rule,
        without_wrappers,
        forces,
    )
    render: Render = "rgb_array" if video else None if norender else "human"
    with (
        active().held(),  # SIGTERM and the like end the rollout, and not what is then made of it
        opened(playable, flags, render=render, faithful=faithful, warn=say) as session,
    ):
        built, policy = session.built, session.policy
        try:
            _announce_play(playable, built, policy)
            limit = built.environment.time_limit
            if limit is not None and length > limit:
                say(f"note: --len {length}: the environment itself ends an episode after {limit} steps")
            write = say_log if as_json else print_line
            write(f"Using {'deterministic' if policy.deterministic else 'default'} action op.")
            trace = _trace(policy, playable, gamma) if values is not None else None
            for note in broken_values(policy) if values is not None or captions else ():
                say(f"note: {note}")
            with _recorder(built, video, policy if captions else None) as recorders, so_far(episodes) as lines:
                traces: list[Trace] = [*recorders, *([trace] if trace else []), *lines]
                rollout = session.roll_out(render=not (norender or video), write=write, traces=traces)
            if trace is not None and values is not None:
                _write_values(trace, values)
                say(f"explained variance of {trace.kind}: {trace.explained_variance:.3g}; written to {values}")
        except KeyboardInterrupt:
            active().left = "the first episode was not over, nothing to sum up or to record"
            raise
        verdict = _verdict(session, rollout)
        evaluation = replace(session.evaluation(rollout), verdict=verdict)
        evaluation_id = _record(playable, evaluation, location) if keep else None
        if as_json:
            print_json(_as_dict(playable, built, policy, rollout, evaluation_id) | {"verdict": _told(verdict)})
    if rollout.partial:
        active().left = f"{len(rollout.episodes)} of {episodes} episodes were played"
        raise KeyboardInterrupt


def _verdict(session: Session, rollout: Rollout) -> Verdict | None:
    """Compare what was played with the log and say so; None where too little was played to keep a verdict."""
    from spindb.play.verify.playing import compared
    from spindb.play.verify.words import line_of

    verdict = compared(session, rollout)
    say(line_of(verdict))
    return None if verdict.word == CANT_TELL else verdict


def _told(verdict: Verdict | None) -> dict[str, Any] | None:
    from spindb.play.verify.words import as_dict

    return None if verdict is None else as_dict(verdict)


def _require_files(video: Path | None, values: Path | None) -> None:
    """Refuse files that could not be written in the end, before anything is played."""
    from spindb.play.rollouts.video import require_suffix

    if video is not None:
        require_suffix(video)
    if values is not None and values.suffix not in _VALUE_FILES:
        raise UsageError(f"{values}: values are written as {', '.join(_VALUE_FILES)}")


def _engine(name: str) -> Engine:
    from spindb.play.policies import ENGINES

    found = next((engine for engine in ENGINES if engine == name), None)
    if found is None:
        raise UsageError(f"no engine is called {name!r}", hint=f"engines: {', '.join(ENGINES)}")
    return found


@contextmanager
def _recorder(built: BuiltEnvironment, path: Path | None, captions: Policy | None) -> Iterator[list[Recorder]]:
    """The recorder of a video where one is wanted; its file is whole at the end."""
    from spindb.play.rollouts.video import Recorder

    if path is None:
        yield []
        return
    recorder = Recorder(built.environment, path, captions)
    try:
        yield [recorder]
    finally:
        recorder.close()
    say(f"video written to {path}")


def _trace(policy: Policy, playable: Playable, gamma: float | None) -> ValueTrace:
    from spindb.play.rollouts.value_trace import USUAL_GAMMA, ValueTrace, gamma_of

    known = gamma if gamma is not None else gamma_of(playable.directory)
    return ValueTrace(policy, USUAL_GAMMA if known is None else known)


def _write_values(trace: ValueTrace, path: Path) -> None:
    """As a table, or as a picture of predicted against realised."""
    if path.suffix == ".csv":
        trace.write_csv(path)
        return
    with needing():
        from spindb.analysis.drawing.plots import draw_agreement, save
    pairs = [(point.predicted, point.realised) for point in trace.points]
    steps = f"n={len(pairs)} steps of {plural(trace.episodes, 'episode')}"
    title = f"explained variance {trace.explained_variance:.3g}, {steps}"
    axes = f"predicted {trace.kind.upper()}", f"realised return (γ={trace.gamma:g})"
    save(draw_agreement(pairs, *axes, title), path)


def _find(run: str | None, run_id: int | None, itr: int | None, location: str) -> Playable:
    from spindb.index.query.reference import RunId, parse
    from spindb.play.locate import locate

    return locate(RunId(run_id) if run_id is not None else parse(run or ""), itr, db=location)


def _announce(playable: Playable, chosen: bool) -> None:
    snapshot = playable.snapshot
    if playable.note:
        say(playable.note)
    say(f"policy: {os.path.join(playable.directory, snapshot.path)}")
    if playable.elsewhere:
        say(f"warning: this run was ingested on {playable.elsewhere}: what is played lies at the same place here")
    if snapshot.stale:
        say(f"warning: this snapshot is stale: {snapshot.stale}")
    for other in playable.beside:
        if not chosen and other.unloadable and (other.itr or 0) > (snapshot.itr or 0):
            say(f"warning: {other.path} is later and can't be loaded: {other.unloadable}")


def _announce_play(playable: Playable, built: BuiltEnvironment, policy: Policy) -> None:
    trained = playable.env.id
    where = f" in {built.library}" if built.library else ""
    say(f"environment: {built.id or 'your own'}{where} (from {built.source})")
    if built.id and trained and built.id != trained:
        why = "" if built.source == "--env" else ", which is not available in today's libraries"
        say(f"note: it was trained in {trained}{why}; returns may differ")
    for way in built.failed:
        say(f"not used: {way}")
    if built.left_out:
        say(f"warning: played without {', '.join(built.left_out)}, which the training had")
    elif built.substituted:
        say(f"warning: not known to be the environment of the training: {built.substituted}")
    for note in (*built.notes, *policy.notes):
        say(f"note: {note}")


def _record(playable: Playable, evaluation: Evaluation, location: str) -> int | None:
    """Keep the result; returns the evaluation's id, or None where the run is not in the database."""
    from spindb.index.database.connect import connected
    from spindb.index.write.batch import add_evaluation

    if playable.run_id is None:
        say("not recorded: this directory is not in a database (spindb ingest puts it there)")
        return None
    try:
        with connected(location, write=True) as connection:
            evaluation_id = add_evaluation(connection, playable.run_id, evaluation)
    except DatabaseError as error:  # the result was printed; a database that can't be written is no reason to fail
        say(f"warning: not recorded: {error}")
        return None
    say(f"recorded as evaluation {evaluation_id} of run {playable.run_id}")
    return evaluation_id


def _as_dict(
    playable: Playable, built: BuiltEnvironment, policy: Policy, rollout: Rollout, evaluation_id: int | None
) -> dict[str, object]:
    return {
        "run_id": playable.run_id,
        "directory": str(playable.directory),
        "snapshot": playable.snapshot.path,
        "itr": playable.snapshot.itr,
        "environment": built.id,
        "environment_source": built.source,
        "wrappers": list(built.wrappers),
        "wrappers_left_out": list(built.left_out),
        "substituted": built.substituted,
        "environment_notes": list(built.notes),
        "time_limit": built.environment.time_limit,
        "deterministic": policy.deterministic,
        "engine": policy.engine,
        "partial": rollout.partial,
        "mean_return": rollout.mean_return,
        "std_return": rollout.std_return,
        "max_return": rollout.max_return,
        "min_return": rollout.min_return,
        "mean_length": rollout.mean_length,
        "evaluation_id": evaluation_id,
        "episodes": [{"return": e.ep_return, "length": e.length, "ending": e.ending} for e in rollout.episodes],
    }
