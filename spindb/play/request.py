"""What is to be played and how, decided before anything is read: frozen, so that processes can be handed it."""

from __future__ import annotations

from dataclasses import dataclass

from spindb.index.query.reference import RunRef
from spindb.index.read.evaluation_options import options_of
from spindb.play.actions import Rule
from spindb.play.environments.build import Choices, Render
from spindb.play.environments.contact_forces import ContactForces
from spindb.play.policies import Engine

_WITH_FORCES = ("Ant-", "Humanoid-", "HumanoidStandup-")


@dataclass(frozen=True, slots=True)
class PlayOptions:
    """How a snapshot is to be played; ``length`` in steps, 0 for no limit of ours."""

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

    def same_environment(self, env_id: str | None, env_source: str) -> bool:
        """Whether the environment of a recorded evaluation is the one that these options name, as far as it says.

        Args:
            env_id: of the record.
            env_source: of the record, with its terms.
        """
        found = options_of(env_id, env_source)
        if self.factory is not None:
            return found.factory == self.factory
        if found.without_wrappers != self.without_wrappers:
            return False
        if (env_id or "").startswith(_WITH_FORCES) and found.contact_forces != self.contact_forces:
            return False
        return (found.env, found.factory) == (self.env, None)


@dataclass(frozen=True, slots=True)
class PlayRequest:
    """A snapshot of a run, and how it is to be played."""

    run: RunRef
    itr: int | None = None
    """Which snapshot; None for the latest."""
    options: PlayOptions = PlayOptions()
    database: str | None = None
    """Path or URL; None for the one that the command line finds."""
    render: Render = None
    """How it is to be shown."""
    replay: bool = False
    """In the saved environment with its random state, as the original would have."""
