"""What was asked for when an evaluation was made: read out of the texts that are kept with it.

``engine`` keeps the rule that made outputs actions (``numpy --action tanh``); ``env_source`` how the environment was
known and, after ``; ``, the terms that returns depend on beside its id (``state id; with g=1.0; without mine.Scaled``).
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

_RULE = " --action "
_WITHOUT = "without "
_FORCES = "contact forces "
_FACTORY = "--env-factory "


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """``env`` and ``factory`` where the user named the environment, and the flags by their names."""

    env: str | None
    factory: str | None
    action: str | None
    without_wrappers: bool
    contact_forces: str | None

    @property
    def flags(self) -> tuple[str, ...]:
        """As they are typed."""
        named = (
            ("--env", self.env),
            ("--env-factory", self.factory),
            ("--action", self.action),
            ("--contact-forces", self.contact_forces),
        )
        given = [f"{flag} {shlex.quote(value)}" for flag, value in named if value is not None]
        return (*given, *(("--without-wrappers",) if self.without_wrappers else ()))


def engine_text(engine: str, rule: str | None) -> str:
    """An engine and the rule that was asked for, in one text."""
    return engine if rule is None else f"{engine}{_RULE}{rule}"


def recorded_rule(engine: str) -> str | None:
    """The rule in the engine that an evaluation keeps, None where none was given."""
    return engine.partition(_RULE)[2] or None


def options_of(env_id: str | None, env_source: str, engine: str = "") -> EvaluationOptions:
    """What was asked for.

    Args:
        env_id: the environment's id, None where it has none.
        env_source: how it was known, with its terms.
        engine: with the rule.
    """
    source, *terms = env_source.split("; ")
    return EvaluationOptions(
        env_id if source == "--env" else None,
        source.removeprefix(_FACTORY) if source.startswith(_FACTORY) else None,
        recorded_rule(engine),
        any(term.startswith(_WITHOUT) for term in terms),
        next((term.removeprefix(_FORCES) for term in terms if term.startswith(_FORCES)), None),
    )
