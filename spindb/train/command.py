"""The command or call that a run was probably launched with, rebuilt from its config.

Spinning Up keeps the arguments of the training function and not the command. Where all of them are parameters of one
of its six algorithms, the command of its launcher is rebuilt; else a call. Defaults stand in a config like everything
else, so that the command names more than a person had to type.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

_COMMON = {"env", "env_name", "exp_name", "seed", "ac_kwargs", "gamma", "epochs", "steps_per_epoch", "max_ep_len"}
_COMMON |= {"save_freq", "actor_critic", "env_fn"}
_ON_POLICY = _COMMON | {"vf_lr", "train_v_iters", "lam"}
_OFF_POLICY = _COMMON | {"replay_size", "polyak", "batch_size", "start_steps", "update_after", "update_every"}
_OFF_POLICY |= {"num_test_episodes"}
_PARAMETERS: Mapping[str, set[str]] = {
    "vpg": _ON_POLICY | {"pi_lr"},
    "ppo": _ON_POLICY | {"pi_lr", "clip_ratio", "train_pi_iters", "target_kl"},
    "trpo": _ON_POLICY | {"delta", "damping_coeff", "cg_iters", "backtrack_iters", "backtrack_coeff", "algo"},
    "ddpg": _OFF_POLICY | {"pi_lr", "q_lr", "act_noise"},
    "td3": _OFF_POLICY | {"pi_lr", "q_lr", "act_noise", "target_noise", "noise_clip", "policy_delay"},
    "sac": _OFF_POLICY | {"lr", "alpha"},
}
"""What the training functions of Spinning Up take (its documentation, pages of the algorithms)."""

_SUFFIXES = {"tf1_save": "_tf1", "pyt_save": "_pytorch"}
_MODULES = {"tf1_save": "tf.nn", "simple_save": "tf.nn", "pyt_save": "torch.nn"}
_ENV = "env"
_FIRST = (_ENV, "exp_name", "seed")
_LEFT_OUT = ("env_fn", "env_name", "actor_critic")
_LEAST_KEYS = 4


def launch(config: Mapping[str, Any], algo: str | None, env: str | None, kinds: Sequence[str]) -> str | None:
    """The command, a call, or None where too little is known.

    Args:
        config: hyperparameters by dotted key, as Python has them; without what the logger wrote about itself.
        algo: the algorithm, as the index has it.
        env: the environment's id.
        kinds: kinds of the run's snapshots, which tell the framework.
    """
    if algo is None or len(config) < _LEAST_KEYS:
        return None
    kind = kinds[0] if kinds else ""
    texts = {"env": env} | {key: _value(key, value, kind) for key, value in config.items()}
    values = {key: text for key, text in texts.items() if text is not None and key not in _LEFT_OUT}
    ordered = sorted(values, key=lambda key: (_FIRST.index(key) if key in _FIRST else len(_FIRST), key))
    roots = {key.partition(".")[0] for key in config}
    if env is not None and roots <= _PARAMETERS.get(algo, set()):
        flags = [f"--{key.replace('.', ':')} {shlex.quote(values[key])}" for key in ordered]
        return " ".join([f"python -m spinup.run {algo}{_SUFFIXES.get(kind, '')}", *flags])
    return f"{algo}({', '.join(f'{key}={_literal(env if key == _ENV else config[key])}' for key in ordered)})"


def _literal(value: Any) -> str:
    return repr(value) if isinstance(value, (str, list, dict)) else str(value)


def _value(key: str, value: Any, kind: str) -> str | None:
    """The value as the launcher reads it, None where only a trace of an object is left."""
    if isinstance(value, str):
        if value.startswith("<"):
            return None
        if key.endswith("activation") and value.isidentifier() and kind in _MODULES:
            return f"{_MODULES[kind]}.{value}"
        return value
    if isinstance(value, (list, dict)):
        return json.dumps(value, separators=(",", ":"))
    return str(value)
