"""Episodes of one snapshot, as test-policy plays, prints and records them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from spindb.cli import playing
from spindb.cli.playing.report import announce_session, announce_snapshot, rollout_as_dict, say_verdict
from spindb.cli.terminal.door import say_log
from spindb.cli.terminal.progress import print_line, so_far
from spindb.cli.terminal.tables import print_json, say
from spindb.errors import DatabaseError, UsageError
from spindb.play.request import PlayRequest
from spindb.play.rollouts.rollout import Rollout, Trace
from spindb.play.rollouts.value_trace import USUAL_GAMMA, ValueTrace, broken_values, gamma_of
from spindb.play.rollouts.video import Recorder, require_suffix
from spindb.play.session import Session, find, opened, record
from spindb.records import Evaluation
from spindb.signals import active

_VALUE_FILES = (".csv", ".png", ".svg", ".pdf")


@dataclass(frozen=True, slots=True)
class Outputs:
    """What is to be made of the episodes beside their table."""

    values: Path | None
    gamma: float | None
    video: Path | None
    captions: bool
    keep: bool
    as_json: bool


def play(request: PlayRequest, outputs: Outputs) -> None:
    """Find, load and build, roll out, compare with the log, record; what is found is said as it is found.

    Raises:
        SpindbError: the snapshot is not found or does not play; a file can't be written.
        KeyboardInterrupt: it was interrupted; what was played by then is recorded.
    """
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


def _require_files(outputs: Outputs) -> None:
    """Refuse files that could not be written in the end, before anything is played."""
    if outputs.video is not None:
        require_suffix(outputs.video)
    if outputs.values is not None and outputs.values.suffix not in _VALUE_FILES:
        raise UsageError(f"{outputs.values}: values are written as {', '.join(_VALUE_FILES)}")


def _roll_out(session: Session, request: PlayRequest, outputs: Outputs) -> Rollout:
    """Play the episodes, printed as the original would; the video and the values are written on the way."""
    write = say_log if outputs.as_json else print_line
    write(f"Using {'deterministic' if session.policy.deterministic else 'default'} action op.")
    trace = None if outputs.values is None else _value_trace(session, outputs.gamma)
    for note in broken_values(session.policy) if outputs.values is not None or outputs.captions else ():
        say(f"note: {note}")
    with _recorder(session, outputs) as recorders, so_far(request.options.episodes) as lines:
        traces: list[Trace] = [*recorders, *([trace] if trace else []), *lines]
        rollout = session.roll_out(render=request.render == "human", write=write, traces=traces)
    if trace is not None and outputs.values is not None:
        if outputs.values.suffix == ".csv":
            trace.write_csv(outputs.values)
        else:
            playing.figures.draw_values(trace, outputs.values)
        say(f"explained variance of {trace.kind}: {trace.explained_variance:.3g}; written to {outputs.values}")
    return rollout


@contextmanager
def _recorder(session: Session, outputs: Outputs) -> Iterator[list[Recorder]]:
    """The recorder of a video where one is wanted; its file is whole at the end."""
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
    known = gamma if gamma is not None else gamma_of(session.playable.directory)
    return ValueTrace(session.policy, USUAL_GAMMA if known is None else known)


def _record(run_id: int | None, evaluation: Evaluation, location: str | None) -> int | None:
    """Keep the result; returns the evaluation's id, or None where the run is not in the database."""
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
