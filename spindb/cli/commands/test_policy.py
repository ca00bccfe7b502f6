"""``spindb test-policy``.

`spindb.play` brings numpy and more; it is imported inside the functions that need it, so that help starts without.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from spindb.cli import play_options as typed
from spindb.cli.options import AsJson, Db, Debug, database
from spindb.cli.play_options import EnvironmentFlags, number_of_itr, play_options
from spindb.cli.play_report import announce_session, announce_snapshot, rollout_as_dict, say_verdict, write_values
from spindb.cli.terminal.door import say_log
from spindb.cli.terminal.progress import print_line, so_far
from spindb.cli.terminal.tables import print_json, say
from spindb.errors import DatabaseError, UsageError
from spindb.extras import needing
from spindb.index.query.reference import RunId, RunRef, parse
from spindb.signals import active

if TYPE_CHECKING:
    from spindb.play.environments.build import Render
    from spindb.play.request import PlayRequest
    from spindb.play.rollouts.rollout import Rollout, Trace
    from spindb.play.rollouts.value_trace import ValueTrace
    from spindb.play.rollouts.video import Recorder
    from spindb.play.session import Session
    from spindb.records import Evaluation

_VALUE_FILES = (".csv", ".png", ".svg", ".pdf")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("test-policy")(test_policy)
    app.command("test_policy", hidden=True)(test_policy)


def test_policy(
    ctx: typer.Context,
    run: typed.PlayedRun = None,
    run_id: typed.RunIdOption = None,
    itr: typed.Itr = typed.LATEST,
    length: typed.Length = 0,
    episodes: typed.Episodes = 100,
    norender: typed.NoRender = False,
    deterministic: typed.Deterministic = False,
    env: typed.EnvId = None,
    env_factory: typed.EnvFactory = None,
    imports: typed.Imports = None,
    trust: typed.Trust = False,
    action: typed.ActionRule = None,
    without_wrappers: typed.WithoutWrappers = False,
    contact_forces: typed.Forces = None,
    engine: typed.EngineName = "auto",
    seed: typed.Seed = None,
    values: typed.Values = None,
    gamma: typed.Gamma = None,
    faithful: typed.Faithful = False,
    video: typed.Video = None,
    captions: typed.Captions = False,
    keep: typed.Keep = True,
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
        from spindb.play.request import PlayRequest
    ref = _run_named(run, run_id)
    flags = EnvironmentFlags(env, env_factory, imports, trust, action, without_wrappers, contact_forces)
    options = play_options(
        flags, episodes=episodes, length=length, deterministic=deterministic, seed=seed, engine=engine
    )
    render: Render = "rgb_array" if video else None if norender else "human"
    _play(
        PlayRequest(ref, number_of_itr(itr), options, database(ctx, db), render, faithful),
        _Outputs(values, gamma, video, captions, keep, as_json),
    )


@dataclass(frozen=True, slots=True)
class _Outputs:
    """What is to be made of the episodes beside their table."""

    values: Path | None
    gamma: float | None
    video: Path | None
    captions: bool
    keep: bool
    as_json: bool


def _run_named(run: str | None, run_id: int | None) -> RunRef:
    if (run is None) == (run_id is None):
        raise UsageError("name one run: an output directory, or --run-id", hint="spindb runs lists them")
    return RunId(run_id) if run_id is not None else parse(run or "")


def _play(request: PlayRequest, outputs: _Outputs) -> None:
    """Find, load and build, roll out, compare with the log, record; what is found is said as it is found."""
    from spindb.play.session import find, opened

    _require_playable(request)
    _require_files(outputs)
    playable = find(request)
    announce_snapshot(playable, latest=request.itr is None)
    session_of = opened(playable, request.options, render=request.render, replay=request.replay, warn=say)
    # SIGTERM and the like end the rollout, and not what is then made of it.
    with active().held(), session_of as session:
        try:
            announce_session(session)
            rollout = _roll_out(session, request, outputs)
        except KeyboardInterrupt:
            active().left = "the first episode was not over, nothing to sum up or to record"
            raise
        verdict = say_verdict(session, rollout)
        evaluation = replace(session.evaluation(rollout), verdict=verdict)
        evaluation_id = _record(playable.run_id, evaluation, request.database) if outputs.keep else None
        if outputs.as_json:
            print_json(rollout_as_dict(session, rollout, verdict, evaluation_id))
    if rollout.partial:
        active().left = f"{len(rollout.episodes)} of {request.options.episodes} episodes were played"
        raise KeyboardInterrupt


def _require_playable(request: PlayRequest) -> None:
    """Refuse options that a replay takes from the files."""
    options = request.options
    chosen = options.env or options.seed is not None or request.render is not None or options.engine == "numpy"
    if request.replay and chosen:
        raise UsageError(
            "--faithful replays the saved environment and draws: no --env, --seed, rendering or numpy",
            hint="spindb test-policy RUN --faithful -nr -n 5",
        )


def _require_files(outputs: _Outputs) -> None:
    """Refuse files that could not be written in the end, before anything is played."""
    from spindb.play.rollouts.video import require_suffix

    if outputs.video is not None:
        require_suffix(outputs.video)
    if outputs.values is not None and outputs.values.suffix not in _VALUE_FILES:
        raise UsageError(f"{outputs.values}: values are written as {', '.join(_VALUE_FILES)}")


def _roll_out(session: Session, request: PlayRequest, outputs: _Outputs) -> Rollout:
    """Play the episodes, printed as the original would; the video and the values are written on the way."""
    from spindb.play.rollouts.value_trace import broken_values

    write = say_log if outputs.as_json else print_line
    write(f"Using {'deterministic' if session.policy.deterministic else 'default'} action op.")
    trace = None if outputs.values is None else _value_trace(session, outputs.gamma)
    for note in broken_values(session.policy) if outputs.values is not None or outputs.captions else ():
        say(f"note: {note}")
    with _recorder(session, outputs) as recorders, so_far(request.options.episodes) as lines:
        traces: list[Trace] = [*recorders, *([trace] if trace else []), *lines]
        rollout = session.roll_out(render=request.render == "human", write=write, traces=traces)
    if trace is not None and outputs.values is not None:
        write_values(trace, outputs.values)
        say(f"explained variance of {trace.kind}: {trace.explained_variance:.3g}; written to {outputs.values}")
    return rollout


@contextmanager
def _recorder(session: Session, outputs: _Outputs) -> Iterator[list[Recorder]]:
    """The recorder of a video where one is wanted; its file is whole at the end."""
    from spindb.play.rollouts.video import Recorder

    if outputs.video is None:
        yield []
        return
    recorder = Recorder(session.built.environment, outputs.video, session.policy if outputs.captions else None)
    try:
        yield [recorder]
    finally:
        recorder.close()
    say(f"video written to {outputs.video}")


def _value_trace(session: Session, gamma: float | None) -> ValueTrace:
    from spindb.play.rollouts.value_trace import USUAL_GAMMA, ValueTrace, gamma_of

    known = gamma if gamma is not None else gamma_of(session.playable.directory)
    return ValueTrace(session.policy, USUAL_GAMMA if known is None else known)


def _record(run_id: int | None, evaluation: Evaluation, location: str | None) -> int | None:
    """Keep the result; returns the evaluation's id, or None where the run is not in the database."""
    from spindb.play.session import record

    if run_id is None or location is None:
        say("not recorded: this directory is not in a database (spindb ingest puts it there)")
        return None
    try:
        evaluation_id = record(evaluation, run_id, location)
    except DatabaseError as error:  # the result was printed; a database that can't be written is no reason to fail
        say(f"warning: not recorded: {error}")
        return None
    say(f"recorded as evaluation {evaluation_id} of run {run_id}")
    return evaluation_id
