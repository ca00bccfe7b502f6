"""Playing is a session: a snapshot's policy and environment, fitted to each other, rolled out, recorded, closed.

One sequence for the command line, for Python and for servers::

    playable = find(request)
    with opened(playable, request.options) as session:
        rollout = session.roll_out()
        evaluation = session.evaluation(rollout)
    record(evaluation, playable.run_id, database)

`Session.begin_episode` gives an episode to be shown step by step. The process is left as it was found
(`spindb.play.process_state`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from spindb.errors import PlaybackError
from spindb.index.database.connect import connected
from spindb.index.write.batch import add_evaluation
from spindb.play.environments.build import BuiltEnvironment, Render
from spindb.play.environments.of_snapshot import environment_of
from spindb.play.environments.own import import_environments
from spindb.play.environments.replay import replayed_environment
from spindb.play.fit import require_fit
from spindb.play.locate import Playable, latest_by_number, locate, policy_digest
from spindb.play.policies import Policy, load_snapshot
from spindb.play.process_state import unchanged_process
from spindb.play.request import PlayOptions, PlayRequest
from spindb.play.rollouts.rollout import Rollout, RunningEpisode, Trace, run_policy
from spindb.play.rollouts.versions import versions
from spindb.records import EpisodeResult, Evaluation


@dataclass(frozen=True, slots=True)
class Session:
    """A snapshot, ready to be played."""

    playable: Playable
    options: PlayOptions
    built: BuiltEnvironment
    policy: Policy

    def roll_out(
        self,
        episodes: int | None = None,
        *,
        further: bool = False,
        render: bool = False,
        write: Callable[[str], None] | None = None,
        traces: Sequence[Trace] = (),
    ) -> Rollout:
        """Play episodes.

        Args:
            episodes: how many; without a number as many as the options say.
            further: go on with the draws where the last rollout left off: environment and policy are not seeded anew.
            render: show each step.
            write: takes each line that the original would have printed.
            traces: receive every step.

        Raises:
            PlaybackError: the environment's own code raised an exception.
        """
        return run_policy(
            self.built.environment,
            self.policy,
            self.options.length,
            self.options.episodes if episodes is None else episodes,
            render,
            seed=None if further else self.options.seed,
            write=write or _drop,
            traces=traces,
        )

    def begin_episode(self, seed: int | None = None) -> RunningEpisode:
        """An episode to be advanced step by step; with a seed, environment and policy draw as they do at its start.

        Raises:
            PlaybackError: the environment's own code raised an exception.
        """
        if seed is not None:
            self.policy.seed(seed)
        return RunningEpisode(self.built.environment, self.policy, self.options.length or None, seed)

    def evaluation(self, rollout: Rollout) -> Evaluation:
        """What is kept of a rollout."""
        snapshot = self.playable.snapshot
        return Evaluation(
            kind=snapshot.kind,
            itr=snapshot.itr,
            snapshot_path=snapshot.path,
            env_id=self.built.id,
            env_source=self.built.recorded_source,
            deterministic=self.policy.deterministic,
            max_ep_len=self.options.length or None,
            seed=self.options.seed,
            episodes=[EpisodeResult(e.ep_return, e.length, e.ending) for e in rollout.episodes],
            mean_return=rollout.mean_return,
            std_return=rollout.std_return,
            mean_length=rollout.mean_length,
            versions=versions(),
            seconds=rollout.seconds,
            engine=self.policy.engine,
            snapshot_digest=policy_digest(self.playable),
            partial=rollout.partial,
        )


def find(request: PlayRequest) -> Playable:
    """The snapshot that is to be played.

    Raises:
        NotFoundError: there is no such run, directory or itr; the message lists what does exist.
        DatabaseError: the database can't be used.
    """
    playable = locate(request.run, request.itr, db=request.database)
    return latest_by_number(playable) if request.replay and request.itr is None else playable


@contextlib.contextmanager
def opened(
    playable: Playable,
    options: PlayOptions,
    *,
    render: Render = None,
    replay: bool = False,
    warn: Callable[[str], None] | None = None,
) -> Iterator[Session]:
    """Load a snapshot's policy and build its environment; both are closed in the end.

    Args:
        playable: the snapshot.
        options: how it is to be played.
        render: how it is to be shown.
        replay: in the saved environment with its random state, as the original would have.
        warn: takes a line where the environment fails to be closed, which takes nothing from what was played.

    Raises:
        PlaybackError: the policy can't be loaded, no environment be built, or they don't fit.
    """
    if replay and playable.snapshot.kind != "pyt_save":  # the graph's own draws are TensorFlow's
        options = replace(options, engine="tensorflow")
    with unchanged_process():
        session = prepared(playable, options, render=render, replay=replay)
        try:
            yield session
        finally:
            try:
                session.built.environment.close()
            except PlaybackError as error:
                (warn or _drop)(f"warning: {error}")
            finally:
                session.policy.close()


def prepared(playable: Playable, options: PlayOptions, *, render: Render = None, replay: bool = False) -> Session:
    """A session that the caller closes, in a process that it may change; see `opened`.

    Raises:
        PlaybackError: the policy can't be loaded, no environment be built, or they don't fit.
    """
    policy = loaded(playable, options)  # first: a broken save needs no environment
    try:
        if replay:
            built = replayed_environment(playable, options.choices, policy)
        else:
            built = environment_of(playable, options.choices, render=render, policy=policy)
        try:
            return Session(playable, options, built, require_fit(policy, built, options.action))
        except BaseException:
            built.environment.close()
            raise
    except BaseException:
        policy.close()
        raise


def loaded(playable: Playable, options: PlayOptions) -> Policy:
    """A snapshot's policy as it was saved, after the modules that the options name were imported.

    Raises:
        PlaybackError: a module can't be imported, or the policy not be loaded.
    """
    playable.follow_links()
    for module in options.imports:
        import_environments(module)
    return load_snapshot(
        playable.directory,
        playable.snapshot,
        deterministic=options.deterministic,
        engine=options.engine,
        trust=options.trust,
    )


def evaluate(playable: Playable, options: PlayOptions) -> Evaluation:
    """Play a snapshot without showing or printing it.

    Raises:
        PlaybackError: the policy can't be loaded, or no environment be built.
    """
    with opened(playable, options) as session:
        return session.evaluation(session.roll_out())


def record(evaluation: Evaluation, run_id: int, database: str) -> int:
    """Keep a result in a database; returns the evaluation's id.

    Raises:
        DatabaseError: the database can't be written.
    """
    with connected(database, write=True) as connection:
        return add_evaluation(connection, run_id, evaluation)


def _drop(line: str) -> None:
    """Takes a line and prints nothing."""
