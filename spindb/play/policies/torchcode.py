"""PyTorch modules that are no stacks of linear layers: loaded by PyTorch, acting by their author's code.

That executes what the file and its module say; nobody gets here without having asked for it (``--trust``).
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spindb.errors import PolicyError
from spindb.extras import needing
from spindb.play.importable import current_directory_importable
from spindb.play.policies.arrays import ArrayPolicy
from spindb.play.policies.torchmlp import load as load_by_numpy
from spindb.records import SnapshotRecord


def load(save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False) -> ArrayPolicy:
    """The policy in the file at `save`: by numpy where that knows its layers, else by PyTorch and its author's code.

    Raises:
        PolicyError: it can't be unpickled here, or holds nothing that acts.
    """
    try:
        return load_by_numpy(save, snapshot, deterministic=deterministic)
    except PolicyError as unknown:
        policy = TorchPolicy(save, deterministic)
        policy.notes = (
            f"unpickled and played by its author's code: {unknown.message.partition(': ')[2]}",
            *policy.notes,
        )
        return policy


class TorchPolicy(ArrayPolicy):
    """See `spindb.play.policies.Policy`. The module acts by its ``act``, as in Spinning Up."""

    engine = "torch"

    def __init__(self, save: Path, deterministic: bool) -> None:
        with needing():
            import torch
        self._torch = torch
        with current_directory_importable():
            try:
                self._module = torch.load(save, map_location="cpu", weights_only=False)
            except (Exception, SystemExit) as error:  # the author's code can raise anything
                raise PolicyError(
                    f"{save} can't be unpickled: {_told(error)}",
                    hint="run it where its author's modules can be imported",
                ) from error
        if not callable(getattr(self._module, "act", None)):
            raise PolicyError(f"{save} holds a {type(self._module).__name__}, which has no act(observation)")
        chooses = "deterministic" in inspect.signature(self._module.act).parameters
        super().__init__(save, deterministic and chooses)
        self._options = {"deterministic": self.deterministic} if chooses else {}
        self.stochastic = True  # for all that is known
        self.observation_shape = None
        if deterministic and not chooses:
            self.notes = ("its act() takes no 'deterministic': it acts as it does",)

    @property
    def names(self) -> Sequence[str]:
        return ["v"] if self.has("v") else []

    def has(self, name: str) -> bool:
        return name in ("v", "q", "q1", "q2") and callable(getattr(self._module, name, None))

    def actions(self, observations: Any) -> Any:
        with self._torch.no_grad(), _authors_code(self.save, "act"):
            return np.stack([np.asarray(self._module.act(self._tensor(row), **self._options)) for row in observations])

    def evaluate(self, name: str, observations: Any, actions: Any = None) -> Any:
        if not self.has(name):
            raise PolicyError(f"{self.save} has no output {name!r}")
        given = [self._tensor(observations), *([] if actions is None else [self._tensor(actions)])]
        with self._torch.no_grad(), _authors_code(self.save, name):
            return np.asarray(getattr(self._module, name)(*given))

    def weights(self) -> dict[str, Any]:
        return {name: tensor.numpy() for name, tensor in self._module.state_dict().items()}

    def seed(self, seed: int) -> None:
        self._torch.manual_seed(seed)

    def _tensor(self, values: Any) -> Any:
        return self._torch.as_tensor(values, dtype=self._torch.float32)


@contextlib.contextmanager
def _authors_code(save: Path, call: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        raise PolicyError(
            f"{save}: its {call}() raised {_told(error)}", hint="SPINDB_TRACEBACK=1 shows where"
        ) from error


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}".removesuffix(": ")
