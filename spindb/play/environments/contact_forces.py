"""Whether a policy of Ant or Humanoid ever saw contact forces in training.

The last 84 observations of Ant, Humanoid and HumanoidStandup up to -v3 are contact forces: six for each of 14 bodies.
With MuJoCo 2.0 (mujoco-py 2.0, from 2019 on) they were always 0, since it computes them only where something asks for
them. Today's libraries compute them again, and a policy that never saw anything but 0 there acts on untrained weights.

The weights tell. The gradient of a weight is a multiple of its input: where the input is always 0 the weight is never
changed, by SGD or Adam alike. So of a policy that was trained on zeros, in each layer that takes the observation:

- the second moments that Adam keeps beside the weights (``…/Adam_1`` in a TensorFlow save) are exactly 0 for these
  inputs;
- without them, all weights of these inputs lie within the bound of the uniform distribution that they were drawn from,
  and are spread as that is; or, where weight decay shrank them, less than half as much as the weights of the other
  inputs. TensorFlow's dense layers draw from ±sqrt(6 / (inputs + outputs)) (Glorot and Bengio, 2010, equation 16),
  PyTorch's ``Linear`` from ±1/sqrt(inputs) (``kaiming_uniform_`` with a=sqrt(5)). A uniform distribution's standard
  deviation is its bound over sqrt(3); a tenth is allowed for, and the 84 rows hold thousands of weights.

Weights that were trained on real forces leave the bound, or are spread otherwise. Where neither rule can be applied
(other initialisers, observations stacked or flattened), nothing is known and the forces are as the environment gives
them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from spindb.play.arrays import Action, Array, Observation
from spindb.play.environments.protocols import GymEnv
from spindb.play.environments.wrapping import Layer, around

ContactForces = Literal["real", "zero"]
CONTACT_FORCES: tuple[ContactForces, ...] = ("real", "zero")
FORCES = 84
"""How many observations, the last ones, are contact forces."""
_OBSERVATIONS = {"Ant": 111, "Humanoid": 376, "HumanoidStandup": 376}
_TOLERANCE = 0.1  # of the expected standard deviation
_ROUNDING = 1 + 1e-5
_SLOTS = ("/Adam", "/Adam_1", "/RMSProp", "/RMSProp_1", "/Momentum", "/adam_m", "/adam_v", "/.OPTIMIZER_SLOT/")
_SECOND_MOMENTS = ("/Adam_1", "/adam_v", "/v/.ATTRIBUTES/VARIABLE_VALUE")


def concerns(env_id: str | None, built_id: str | None) -> bool:
    """Whether an environment up to -v3 that observes contact forces is played by one that computes them."""
    name, _, version = (env_id or "").rpartition("-v")
    return name in _OBSERVATIONS and version in ("1", "2", "3") and (built_id or "").startswith(f"{name}-v")


def were_zero(weights: Mapping[str, Array], env_id: str) -> bool | None:
    """Whether the contact forces were 0 in training, by the rule of this module; None where the weights do not say.

    Args:
        weights: of the policy, by name.
        env_id: ``Ant-v2``, ``Humanoid-v3`` …
    """
    inputs = _OBSERVATIONS[env_id.rpartition("-v")[0]]
    moments: list[Array] = []
    layers: list[
        tuple[Array, Array, float]
    ] = []  # weights of the forces, of other inputs, the bound they were drawn within
    for name, value in weights.items():
        matrix = np.asarray(value)
        if matrix.ndim != 2 or inputs not in matrix.shape:
            continue
        tensorflow = matrix.shape[0] == inputs  # (inputs, outputs); PyTorch keeps (outputs, inputs)
        by_input = matrix if tensorflow else matrix.T
        of_forces = by_input[-FORCES:]
        if name.endswith(_SECOND_MOMENTS):
            moments.append(of_forces)
        elif not any(slot in name for slot in _SLOTS):
            bound = math.sqrt(6 / (inputs + by_input.shape[1])) if tensorflow else 1 / math.sqrt(inputs)
            layers.append((of_forces, by_input[:-FORCES], bound))
    if moments:
        return not any(np.any(found) for found in moments)
    if not layers:
        return None
    return all(_never_trained(*layer) for layer in layers)


def _never_trained(weights: Array, others: Array, bound: float) -> bool:
    """Whether weights are as drawn uniformly within ±bound, or shrunk from that while `others` were trained."""
    expected, spread = bound / math.sqrt(3), float(weights.std())
    if not float(np.abs(weights).max()) <= bound * _ROUNDING:
        return False
    return abs(spread - expected) <= _TOLERANCE * expected or spread < float(others.std()) / 2


def without_contact_forces(env: GymEnv) -> GymEnv:
    """`env` with 0 for its contact forces in each observation; what impacts cost in HumanoidStandup is given back."""
    return around(env, _Zeroed)


class _Zeroed(Layer):
    def seen(self, observation: Observation) -> Array:
        changed = np.array(observation)
        changed[..., -FORCES:] = 0
        return changed

    def step(self, action: Action) -> Any:
        observation, reward, *rest = self.env.step(action)
        info = rest[-1] if rest and isinstance(rest[-1], dict) else {}
        return (self.seen(observation), reward - float(info.get("reward_impact", 0.0)), *rest)
