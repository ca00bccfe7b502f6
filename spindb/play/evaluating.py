"""How snapshots are to be played, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass

from spindb.index.read.asked import asked
from spindb.play.actions import Rule
from spindb.play.environments.build import BuiltEnvironment, Choices
from spindb.play.environments.contact_forces import ContactForces
from spindb.play.locate import Playable, digest_of
from spindb.play.policies import Engine, Policy
from spindb.play.rollouts.rollout import Rollout
from spindb.play.rollouts.versions import versions
from spindb.records import EpisodeResult, Evaluation

_WITH_FORCES = ("Ant-", "Humanoid-", "HumanoidStandup-")


@dataclass(frozen=True, slots=True)
class Flags:
    """How snapshots are to be played; ``length`` in steps, 0 for no limit of ours."""

    episodes: int = 10
    length: int = 0
    deterministic: bool = False
    seed: int | None = None
    env: str | None = None
    factory: str | None = None
    imports: tuple[str, ...] = ()
    engine: Engine = "auto"
    trust: bool = False
    action: Rule | None = None
    """What outputs are whose meaning stays open: see `spindb.play.actions`."""
    without_wrappers: bool = False
    contact_forces: ContactForces | None = None

    @property
    def choices(self) -> Choices:
        """What they say of the environment."""
        return Choices(self.env, self.factory, self.imports, self.trust, self.without_wrappers, self.contact_forces)


def environment_as_asked(env_id: str | None, env_source: str, flags: Flags) -> bool:
    """Whether the environment of a recorded evaluation is the one that flags ask for, as far as a record tells.

    Args:
        env_id: of the record.
        env_source: of the record, with its terms.
        flags: what is asked for.
    """
    found = asked(env_id, env_source)
    if flags.factory is not None:
        return found.factory == flags.factory
    if found.without_wrappers != flags.without_wrappers:
        return False
    if (env_id or "").startswith(_WITH_FORCES) and found.contact_forces != flags.contact_forces:
        return False
    return (found.env, found.factory) == (flags.env, None)


def record_of(
    playable: Playable, built: BuiltEnvironment, policy: Policy, rollout: Rollout, length: int, seed: int | None
) -> Evaluation:
    """What is kept of a rollout."""
    return Evaluation(
        kind=playable.snapshot.kind,
        itr=playable.snapshot.itr,
        snapshot_path=playable.snapshot.path,
        env_id=built.id,
        env_source=built.recorded_source,
        deterministic=policy.deterministic,
        max_ep_len=length or None,
        seed=seed,
        episodes=[EpisodeResult(e.ep_return, e.length, e.ending) for e in rollout.episodes],
        mean_return=rollout.mean_return,
        std_return=rollout.std_return,
        mean_length=rollout.mean_length,
        versions=versions(),
        seconds=rollout.seconds,
        engine=policy.engine,
        snapshot_digest=digest_of(playable),
        partial=rollout.partial,
    )
