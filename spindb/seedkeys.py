"""Which hyperparameters are seeds: decided once, for the seed of a run and for what runs are grouped by."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_COUNTS = frozenset({"count", "max", "min", "n", "num", "number"})
_OF_OTHERS = frozenset({  # seeds of what a training is given or judged by, which say nothing of the training's own
    "data", "dataset", "eval", "evaluation", "goal", "level", "map", "split", "task", "test", "val", "validation",
})  # fmt: skip


@lru_cache(maxsize=65536)
def words_of_key(key: str) -> tuple[str, ...]:
    """The words of a key's last part, in lower case: of ``args.saveDir`` and ``save_dir`` they are save, dir."""
    return tuple(word.lower() for word in _WORD.findall(key.rpartition(".")[2]))


@lru_cache(maxsize=65536)
def is_seed(key: str) -> bool:
    """Whether a key names a seed: ``seed``, ``SEED``, ``args.seed``, ``env_seed``; not ``n_seed``, ``seed_steps``."""
    found = words_of_key(key)
    return bool(found) and found[-1] == "seed" and found[0] not in _COUNTS


def seed_key(keys: Iterable[str]) -> str | None:
    """The key that holds the seed of a run: ``seed`` before ``args.seed``, before ``random_seed``.

    None where there is none, or just seeds of what the training is evaluated by or given, as ``eval_seed``.
    """
    return min((key for key in keys if is_seed(key) and not _of_others(key)), key=_rank, default=None)


def _rank(key: str) -> tuple[bool, bool, int, bool, str]:
    found = words_of_key(key)
    return len(found) > 1, "env" in found, key.count("."), key != key.lower(), key


def _of_others(key: str) -> bool:
    return any(not _OF_OTHERS.isdisjoint(words_of_key(part)) for part in key.split("."))
