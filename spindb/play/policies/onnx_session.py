"""ONNX twins with operations that numpy lacks, run by onnxruntime in this process.

Memory and time are not limited, so this needs ``--trust``, except for the logger's check of its own twin. Models that
`spindb.disk.codecs.onnx` refuses are refused here too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spindb.disk.codecs.onnx import Model
from spindb.errors import PolicyError
from spindb.extras import require_extra
from spindb.play.arrays import Array, Observation
from spindb.play.engine.array_policy import ArrayPolicy
from spindb.play.engine.operations import draw_categories
from spindb.play.policies.onnx_graph import BESIDE, form_of

_NO_WORDS = 4  # of onnxruntime's severities: nothing below fatal


class OnnxPolicy(ArrayPolicy):
    """See `spindb.play.policies.Policy`."""

    engine = "onnxruntime"

    def __init__(self, save: Path, data: bytes, model: Model, *, deterministic: bool = False) -> None:
        """Load a model from its bytes.

        Raises:
            PolicyError: it is not a policy, or onnxruntime can't load it.
        """
        with require_extra():
            import onnxruntime  # an extra
        super().__init__(save, deterministic)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _NO_WORDS
        self._made = (save, data, model, deterministic)
        self._outputs = model.outputs
        self.form = form_of(save, model)
        self.stochastic = bool({"sample", "logits"} & set(model.outputs))
        given = model.inputs[0]
        shape = None if given.shape is None else given.shape[1:]
        self.observation_shape = shape if shape is not None and min(shape, default=0) >= 0 else None
        self.observation_dtype = given.dtype or "f4"
        self._input = given.name
        self.action_name = "mu" if deterministic and "sample" in model.outputs else "pi"
        if "sample" in model.outputs and not deterministic:
            self.notes = ("its draws are onnxruntime's: a seed does not repeat them",)
        try:
            self._session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises classes of its C++ part
            raise PolicyError(f"{save} can't be loaded by onnxruntime: {_said(error)}") from error

    @property
    def names(self) -> Sequence[str]:
        return ["pi", *(name for name in BESIDE if self.has(name))]

    def has(self, name: str) -> bool:
        return name == "pi" or name in self._outputs or (name == "mu" and "sample" in self._outputs)

    def actions(self, observations: Array) -> Array:
        return self.evaluate(self.action_name, observations)

    def probe(self, observation: Observation) -> Array | None:
        name = "mu" if "sample" in self._outputs else "pi"
        if name == "pi" and "logits" in self._outputs:
            found = np.asarray(np.argmax(self.evaluate("logits", np.asarray(observation)[None]), axis=-1))
        else:
            found = self.evaluate(name, np.asarray(observation, dtype=self.observation_dtype)[None])
        first: Array = found[0]
        return first

    def evaluate(self, name: str, observations: Array, actions: Array | None = None) -> Array:
        if not self.has(name):
            raise PolicyError(f"{self.save} has no output {name!r}; outputs there: {', '.join(self._outputs)}")
        if name == "pi" and "logits" in self._outputs:
            logits = self._run("logits", observations)
            return np.argmax(logits, axis=-1) if self.deterministic else draw_categories(self.rng, logits)[:, 0]
        if name == "pi":
            return self._run(next(n for n in ("sample", "action", "output") if n in self._outputs), observations)
        return self._run("action" if name == "mu" and "mu" not in self._outputs else name, observations)

    def _run(self, name: str, observations: Array) -> Array:
        try:
            given = np.asarray(observations, dtype=self.observation_dtype)
            found: Array = self._session.run([name], {self._input: given})[0]
        except Exception as error:
            raise PolicyError(f"{self.save} can't be evaluated by onnxruntime: {_said(error)}") from error
        return found

    def weights(self) -> dict[str, Array]:
        """Empty: the weights are in the session."""
        return {}

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (self._made, self.notes)


def _again(made: tuple[Any, ...], notes: tuple[str, ...]) -> OnnxPolicy:
    save, data, model, deterministic = made
    policy = OnnxPolicy(save, data, model, deterministic=deterministic)
    policy.notes = notes
    return policy


def _said(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:300]
