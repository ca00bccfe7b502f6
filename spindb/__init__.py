"""Turns directories of Spinning Up runs into a database, and plays every saved policy again.

::

    import spindb

    policy = spindb.load_policy("data/ppo/ppo_s0", itr=40)
    action = policy(observation)

    spindb.run_policy(my_env, policy, num_episodes=10, render=False)

    db = spindb.open("spindb.db")
    db.runs("env=CartPole-v1 pi_lr<1e-3")
"""

from __future__ import annotations

TYPE_CHECKING = False  # not from typing: under `python -m` a typing.py of the current directory would be imported

if TYPE_CHECKING:
    from typing import Any

    from spindb.api import open_database
    from spindb.logger import EpochLogger
    from spindb.play.load import load_policy, load_policy_and_env
    from spindb.play.rollouts.rollout import run_policy

    open = open_database  # not in __all__: * would hide Python's

__version__ = "0.2.0.dev0"
__all__ = ["EpochLogger", "__version__", "load_policy", "load_policy_and_env", "run_policy"]

# Imported when first used: `import spindb` alone costs nothing.
_PLACES = {
    "EpochLogger": "spindb.logger",
    "load_policy": "spindb.play.load:load_policy",
    "load_policy_and_env": "spindb.play.load",
    "open": "spindb.api:open_database",
    "run_policy": "spindb.play.rollouts.rollout:run_policy",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'spindb' has no attribute {name!r}")
    import importlib  # here: `import spindb` alone costs nothing

    module, _, called = _PLACES[name].partition(":")
    value = getattr(importlib.import_module(module), called or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
