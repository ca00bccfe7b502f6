"""PyTorch modules that numpy can't rebuild: unpickled by PyTorch, and played by their author's code.

This executes code from the file and its author's modules, so it is used only with ``--trust``.
"""

from __future__ import annotations

import contextlib
import inspect
import pickle
import sys
import types
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from spindb.disk.codecs.torchfiles import holds_script
from spindb.errors import PolicyError
from spindb.extras import require_extra
from spindb.play.arrays import Array, Observation
from spindb.play.engine.array_policy import ArrayPolicy
from spindb.play.environments.importable import class_of_script, current_directory_importable
from spindb.play.policies.forms import Form
from spindb.play.policies.twin import load_torch
from spindb.records import SnapshotRecord

if TYPE_CHECKING:
    import torch

    Module: TypeAlias = torch.nn.Module
    Tensor: TypeAlias = torch.Tensor


def load_trusted_torch(
    save: Path, snapshot: SnapshotRecord, *, deterministic: bool = False, trust: bool = False
) -> ArrayPolicy:
    """The policy at `save`: by numpy if it supports the module or its twin, else by PyTorch and its author's code.

    Raises:
        PolicyError: it can't be unpickled, or has neither act nor forward.
    """
    try:
        return load_torch(save, snapshot, deterministic=deterministic, trust=True)
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
        with require_extra():
            import torch  # an extra, which takes seconds
        self._torch = torch
        with current_directory_importable():
            try:
                self._module = _loaded(torch, save)
            except (Exception, SystemExit) as error:  # the author's code can raise anything
                raise PolicyError(
                    f"{save} can't be unpickled: {_error_words(error)}",
                    hint="run it where its author's modules can be imported; --import FILE.py runs a script of theirs",
                ) from error
        self._act: Any = getattr(self._module, "act", None)
        chooses = callable(self._act) and "deterministic" in inspect.signature(self._act).parameters
        if not callable(self._act):
            self._act = _forward_of(save, self._module)
            self.form = Form(False, met=f"{type(self._module).__name__} has no act(), what its forward() gives is open")
        super().__init__(save, deterministic and (chooses or not self.form.settled))
        self._asked = deterministic
        self._options = {"deterministic": self.deterministic} if chooses else {}
        self.stochastic = self.form.settled  # act() may sample; assume that it does
        self.observation_shape = None
        if deterministic and not self.deterministic:
            self.notes = ("its act() takes no 'deterministic': it acts as it does",)

    @property
    def names(self) -> Sequence[str]:
        return ["v"] if self.has("v") else []

    def has(self, name: str) -> bool:
        return name in ("v", "q", "q1", "q2") and callable(getattr(self._module, name, None))

    def actions(self, observations: Array) -> Array:
        with self._torch.no_grad(), _authors_code(self.save, "act"):
            return np.stack([_array(self._act(self._tensor(row), **self._options)) for row in observations])

    def evaluate(self, name: str, observations: Array, actions: Array | None = None) -> Array:
        if not self.has(name):
            raise PolicyError(f"{self.save} has no output {name!r}")
        given = [self._tensor(observations), *([] if actions is None else [self._tensor(actions)])]
        with self._torch.no_grad(), _authors_code(self.save, name):
            return _array(getattr(self._module, name)(*given))

    def probe(self, observation: Observation) -> Array | None:
        """Only for a `forward`: an act() may sample, or count its calls, so a probe could change later episodes."""
        return None if self.form.settled else self.actions(np.asarray(observation)[None])[0]

    def nan_weights(self, output: str = "") -> list[str]:
        own = {name: value for name, value in self.weights().items() if not output or name.startswith(f"{output}.")}
        return [name for name, value in own.items() if not np.isfinite(np.asarray(value, dtype="f8")).all()]

    def __reduce__(self) -> tuple[object, ...]:
        """Unpickling loads the policy from its path again, which executes its author's code."""
        return _again, (self.save, self._asked, self.notes)

    def weights(self) -> dict[str, Array]:
        return {name: tensor.numpy() for name, tensor in self._module.state_dict().items()}

    def seed(self, seed: int) -> None:
        self._torch.manual_seed(seed)

    def _tensor(self, values: Array) -> Tensor:
        return self._torch.as_tensor(values, dtype=self._torch.float32)


def _again(save: Path, deterministic: bool, notes: tuple[str, ...]) -> TorchPolicy:
    policy = TorchPolicy(save, deterministic)
    policy.notes = notes
    return policy


def _loaded(torch: types.ModuleType, save: Path) -> Module:
    """Unpickle the file; classes of ``__main__`` are searched in the files of ``--import``."""

    class Unpickler(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            if module == "__main__" and not hasattr(sys.modules["__main__"], name.partition(".")[0]):
                return class_of_script(name)
            return super().find_class(module, name)

    # torch.load takes a module in the place of pickle, and uses its Unpickler and its load.
    ours = types.ModuleType("spindb_pickle")
    ours.__dict__.update(pickle.__dict__)
    ours.Unpickler = Unpickler  # type: ignore[attr-defined]
    ours.load = lambda file, **options: Unpickler(file, **options).load()  # type: ignore[attr-defined]
    if holds_script(save):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of TorchScript, which the file is
            return torch.jit.load(save, map_location="cpu")
    return torch.load(save, map_location="cpu", weights_only=False, pickle_module=ours)


def _forward_of(save: Path, module: Module) -> Module:
    """The ``forward`` of a module without ``act``, in evaluation mode."""
    if not callable(module):
        raise PolicyError(f"{save} holds a {type(module).__name__}, which has no act(observation) and no forward")
    if hasattr(module, "eval"):
        module.eval()
    return module


def _array(found: Any) -> Array:
    """The result of the author's code as an array; the first one of a tuple."""
    if isinstance(found, tuple):
        found = found[0]
    array: Array = found.detach().cpu().numpy() if hasattr(found, "detach") else np.asarray(found)
    return array


@contextlib.contextmanager
def _authors_code(save: Path, call: str) -> Iterator[None]:
    try:
        yield
    except (Exception, SystemExit) as error:
        raise PolicyError(
            f"{save}: its {call}() raised {_error_words(error)}", hint="spindb --debug … shows where"
        ) from error


def _error_words(error: BaseException) -> str:
    return f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}".removesuffix(": ")
