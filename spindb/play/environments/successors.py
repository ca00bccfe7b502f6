"""What takes the place of ids that today's libraries no longer have, and what is different there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_MUJOCO_BOTH = ("Hopper", "Walker2d", "HalfCheetah", "Swimmer")
_MUJOCO_V4 = ("Humanoid", "HumanoidStandup", "Reacher", "InvertedDoublePendulum")

# Ids that are gone, and what takes observations and actions of the same shapes today.
SUCCESSORS: Mapping[str, tuple[str, ...]] = {
    "CartPole-v0": ("CartPole-v1",),  # the same but for the time limit, which the saved state tells
    "Pendulum-v0": ("Pendulum-v1",),
    "LunarLander-v2": ("LunarLander-v3",),
    "LunarLanderContinuous-v2": ("LunarLanderContinuous-v3",),
    "BipedalWalker-v2": ("BipedalWalker-v3",),
    "BipedalWalkerHardcore-v2": ("BipedalWalkerHardcore-v3",),
    **{f"CarRacing-v{version}": ("CarRacing-v3",) for version in (0, 1, 2)},
    "Pusher-v2": ("Pusher-v5",),
    "Pusher-v4": ("Pusher-v5",),  # works with MuJoCo before 3 alone
    "InvertedPendulum-v2": ("InvertedPendulum-v4", "InvertedPendulum-v5"),
    **{f"{name}-v{version}": (f"{name}-v4",) for name in _MUJOCO_V4 for version in (1, 2, 3)},
    **{f"{name}-v{version}": (f"{name}-v4", f"{name}-v5") for name in _MUJOCO_BOTH for version in (1, 2, 3)},
    **{f"Ant-v{version}": ("Ant-v4",) for version in (1, 2, 3)},
}
_RENAMED = {"LunarLanderContinuous-v3": ("LunarLander-v3", {"continuous": True})}


def registered_as(library: str, env_id: str) -> tuple[str, dict[str, Any]]:
    """The id and arguments that an id of ours stands for in a library."""
    return _RENAMED.get(env_id, (env_id, {})) if library == "gymnasium" else (env_id, {})


def successor_arguments(trained: str, built: str) -> dict[str, Any]:
    """What a successor needs to be what the id was: observations of Ant with contact forces, up to -v3."""
    return {"use_contact_forces": True} if built == "Ant-v4" and trained != built else {}


def other_dynamics(trained: str, built: str) -> str | None:
    """Why a successor is another environment; None where it is the same, or nearly."""
    if trained == built:
        return None
    name, _, version = built.rpartition("-v")
    if version == "5" and name in (*_MUJOCO_BOTH, "InvertedPendulum"):
        return f"{built} has other rewards and friction than {trained}"
    if name == "Pusher":
        return f"{built} has other dynamics and rewards than {trained}"
    if name == "CarRacing":
        return f"{built} draws, steers and ends otherwise than {trained}"
    return None
