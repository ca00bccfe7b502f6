"""Playing is a session: a snapshot's environment and policy, fitted to each other, rolled out, closed in the end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spindb.errors import PlaybackError
from spindb.play.environments.build import BuiltEnvironment, Render
from spindb.play.environments.of_snapshot import environment_of
from spindb.play.environments.own import import_environments
from spindb.play.evaluating import Flags, record_of
from spindb.play.fit import require_fit
from spindb.play.locate import Playable
from spindb.play.policies import Policy, load_snapshot
from spindb.play.rollouts.rollout import Rollout, Trace, run_policy

if TYPE_CHECKING:
    from spindb.records import Evaluation


@dataclass(frozen=True, slots=True)
class Session:
    """A snapshot, ready to be played."""

    playable: Playable
    flags: Flags
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
            episodes: how many; without a number as many as the flags say.
            further: go on with the draws where the last rollout left off: environment and policy are not seeded anew.
            render: show each step.
            write: takes each line that the original would have printed.
            traces: are told of every step.

        Raises:
            PlaybackError: the environment's own code raised an exception.
        """
        seed = None if further else self.flags.seed
        count = self.flags.episodes if episodes is None else episodes
        return run_policy(
            self.built.environment,
            self.policy,
            self.flags.length,
            count,
            render,
            seed=seed,
            write=write or _unheard,
            traces=traces,
        )

    def evaluation(self, rollout: Rollout) -> Evaluation:
        """What is kept of a rollout."""
        return record_of(self.playable, self.built, self.policy, rollout, self.flags.length, self.flags.seed)


@contextlib.contextmanager
def opened(
    playable: Playable,
    flags: Flags,
    *,
    render: Render = None,
    faithful: bool = False,
    warn: Callable[[str], None] | None = None,
) -> Iterator[Session]:
    """Load a snapshot's policy and build its environment; both are closed in the end.

    Args:
        playable: the snapshot.
        flags: how it is to be played.
        render: how it is to be shown.
        faithful: in the saved environment with its random state, as the original would have.
        warn: is told where the environment fails to be closed, which takes nothing from what was played.

    Raises:
        PlaybackError: the policy can't be loaded, no environment be built, or they don't fit.
    """
    playable.follow_links()
    for module in flags.imports:
        import_environments(module)
    policy = load_snapshot(  # first: a broken save needs no environment
        playable.directory,
        playable.snapshot,
        deterministic=flags.deterministic,
        engine=flags.engine,
        trust=flags.trust,
    )
    try:
        built = _environment(playable, flags, policy, render, faithful)
        try:
            yield Session(playable, flags, built, require_fit(policy, built, flags.action))
        finally:
            try:
                built.environment.close()
            except PlaybackError as error:
                (warn or _unheard)(f"warning: {error}")
    finally:
        policy.close()


def evaluate(playable: Playable, flags: Flags) -> Evaluation:
    """Play a snapshot without showing or printing it.

    Raises:
        PlaybackError: the policy can't be loaded, or no environment be built.
    """
    with opened(playable, flags) as session:
        return session.evaluation(session.roll_out())


def _environment(playable: Playable, flags: Flags, policy: Policy, render: Render, faithful: bool) -> BuiltEnvironment:
    if faithful:
        from spindb.play.environments.replay import faithful_environment

        return faithful_environment(playable, flags.choices, policy)
    return environment_of(playable, flags.choices, render=render, policy=policy)


def _unheard(line: str) -> None:
    """Takes a line and prints nothing."""
