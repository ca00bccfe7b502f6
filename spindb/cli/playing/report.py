"""What test-policy says of a snapshot, of the environment it is played in, and of what was played."""

from __future__ import annotations

import os

from spindb.cli.terminal.tables import say
from spindb.play.locate import Playable
from spindb.play.rollouts.rollout import Rollout
from spindb.play.session import Session
from spindb.play.verify.playing import compared
from spindb.play.verify.words import as_dict, line_of
from spindb.records import Verdict
from spindb.verdicts import CANT_TELL


def announce_snapshot(playable: Playable, *, latest: bool) -> None:
    """Say which snapshot is played, and what speaks against it; `latest`: no itr was named."""
    snapshot = playable.snapshot
    if playable.note:
        say(playable.note)
    say(f"policy: {os.path.join(playable.directory, snapshot.path)}")
    if playable.elsewhere:
        say(f"warning: this run was ingested on {playable.elsewhere}: what is played lies at the same place here")
    if snapshot.stale:
        say(f"warning: this snapshot is stale: {snapshot.stale}")
    # Without --itr people expect the latest save: that a later one exists and can't be loaded must not pass unsaid.
    for other in playable.beside:
        if latest and other.unloadable and (other.itr or 0) > (snapshot.itr or 0):
            say(f"warning: {other.path} is later and can't be loaded: {other.unloadable}")


def announce_session(session: Session) -> None:
    """Say which environment was built, how it differs from that of the training, and what to know of the policy."""
    built, trained, length = session.built, session.playable.env.id, session.options.length
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
    for note in (*built.notes, *session.policy.notes):
        say(f"note: {note}")
    limit = built.environment.time_limit
    if limit is not None and length > limit:
        say(f"note: --len {length}: the environment itself ends an episode after {limit} steps")


def say_verdict(session: Session, rollout: Rollout) -> Verdict | None:
    """Compare what was played with the log and say so; None where too little was played to keep a verdict."""
    verdict = compared(session, rollout)
    say(line_of(verdict))
    return None if verdict.word == CANT_TELL else verdict


def rollout_as_dict(
    session: Session, rollout: Rollout, verdict: Verdict | None, evaluation_id: int | None
) -> dict[str, object]:
    """What was played, as JSON has it."""
    playable, built, policy = session.playable, session.built, session.policy
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
        "verdict": None if verdict is None else as_dict(verdict),
    }
