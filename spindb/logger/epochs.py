"""The logger: one row of metrics per epoch, the config once, snapshots when asked."""

from __future__ import annotations

import importlib
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from spindb.errors import UsageError
from spindb.logger import saving
from spindb.logger.claims import CONFIG, TABLE, claim
from spindb.logger.config import config_text
from spindb.logger.places import data_directory
from spindb.logger.readback import ReadBack, shape_of_graph, shape_of_module
from spindb.tabular import format_table

_Logger = TypeVar("_Logger", bound="Logger")


class Logger:
    """Writes one run directory, never over another run.

    Links are never written through: a file that is a symbolic or hard link is replaced by a new one, and what it led
    to stays as it is. A warning names each symbolic link that was replaced.

    ``output_dir`` is where it writes: `output_dir`, or where that holds a run already, ``NAME.2``, ``NAME.3`` and so on
    beside it, which a warning says.

    Args:
        output_dir: the run directory; made where it is absent. None: a new one in the data directory
            (`data_directory`), named by experiment and time.
        output_fname: name of the table of metrics, a file in that directory.
        exp_name: the experiment; runs that differ only in seed share it.
        quiet: print nothing.

    Raises:
        UsageError: `output_fname` has a directory part, or is the name of a config, state or save.
        OSError: the directory or its table can't be made.
    """

    def __init__(
        self,
        output_dir: str | Path | None = None,
        output_fname: str = TABLE,
        exp_name: str | None = None,
        *,
        quiet: bool = False,
    ) -> None:
        if output_dir is None:
            output_dir = data_directory() / f"{exp_name or 'run'}_{time.strftime('%Y-%m-%d_%H-%M-%S')}"
        self.exp_name = exp_name
        self.quiet = quiet
        self.output_dir, self.output_file = claim(Path(output_dir), output_fname)
        if self.output_dir != Path(output_dir):
            beside = (
                f"{output_dir} holds a run already: this one is written to {self.output_dir}"
                f" (a {output_fname} that is a link, or in use, counts as one)"
            )
            try:
                warnings.warn(beside, RuntimeWarning, stacklevel=2 if type(self) is Logger else 3)
            except RuntimeWarning:  # where warnings are errors
                self.output_file.close()
                raise
        self.log_headers: list[str] = []
        self.log_current_row: dict[str, Any] = {}
        self.first_row = True
        self._tensorflow: tuple[Any, Mapping[str, Any], Mapping[str, Any]] | None = None
        self._pytorch: object = None
        self._twin: tuple[bool, Any] = (False, None)
        self._read_back = ReadBack(self.output_dir)

    def close(self) -> None:
        """Close the table of metrics."""
        self.output_file.close()

    def __enter__(self: _Logger) -> _Logger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def log(self, message: str) -> None:
        """Print a line for people."""
        if not self.quiet:
            print(message, file=sys.stderr, flush=True)  # noqa: T201 - a logger's job

    def save_config(self, config: dict[str, Any]) -> None:
        """Write ``config.json``: usually called with ``locals()`` at the top of the training function."""
        text = config_text(config, self.exp_name)
        with saving.own_file(self.output_dir / CONFIG) as beside:
            beside.write_text(text, encoding="utf-8")

    def log_tabular(self, key: str, value: object) -> None:
        """Put a value into the current row.

        Raises:
            UsageError: the key is new after the first row, or was set in this row already.
        """
        if self.first_row:
            if "\t" in key or "\n" in key:
                raise UsageError(f"a metric's name can't hold tabs or newlines: {key!r}")
            if key not in self.log_headers:
                self.log_headers.append(key)
        elif key not in self.log_headers:
            raise UsageError(f"{key!r} is a new metric: all metrics must be there in the first row")
        if key in self.log_current_row:
            raise UsageError(f"{key!r} was set in this row already", hint="call dump_tabular after each epoch")
        self.log_current_row[key] = value

    def dump_tabular(self) -> None:
        """Write the current row to the table (the header before the first one) and print it."""
        row = {key: self.log_current_row.get(key, "") for key in self.log_headers}
        if not self.quiet:
            print(format_table(row), flush=True)  # noqa: T201 - a logger's job
        if self.first_row:
            self.output_file.write("\t".join(self.log_headers) + "\n")
        self.output_file.write("\t".join(_cell(value) for value in row.values()) + "\n")
        self.output_file.flush()
        self.log_current_row.clear()
        self.first_row = False

    def setup_tf_saver(self, sess: Any, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """Make `save_state` save the session's graph too.

        Args:
            sess: a ``tf.compat.v1.Session``.
            inputs: placeholders by name; ``x`` is the observation, ``a`` the action.
            outputs: tensors by name; ``pi`` is the action, ``mu`` the mean action, ``v``, ``q`` … values.
        """
        self._tensorflow = (sess, inputs, outputs)

    def setup_pytorch_saver(self, what_to_save: object, *, save_onnx: bool = False, observation: object = None) -> None:
        """Make `save_state` save this module too.

        Args:
            what_to_save: a ``torch.nn.Module``, also one of TorchScript. What can't be pickled is said in a warning,
                and its ``state_dict()`` is saved.
            save_onnx: write ``pyt_save/model{itr}.onnx`` beside it, traced: it plays without the author's code. Input
                and outputs are those of ``spindb export-policy --onnx``.
            observation: one observation for the tracing; without one the space of the saved ``env`` tells its shape.
        """
        self._pytorch = what_to_save
        self._twin = (save_onnx, observation)

    def save_state(self, state_dict: Mapping[str, Any], itr: int | None = None) -> None:
        """Save the state (usually ``{"env": env}``) and the policy.

        What was saved is read back, and a `RuntimeWarning` says at once what will not play, and the way out.

        Args:
            state_dict: what to pickle. What can't be pickled is said in a warning and in the run.
            itr: the snapshot's number, kept beside the others; None: the unnumbered one, overwritten.
        """
        reason = saving.save_state(self.output_dir, state_dict, itr)
        if reason is not None:
            warnings.warn(f"the environment was not saved ({reason}); the policy was", RuntimeWarning, stacklevel=2)
        if self._tensorflow is not None:
            saving.save_tf1(self.output_dir, *self._tensorflow, itr)
            path = f"tf1_save{saving.suffix(itr)}"
            self._read_back.check("tf1_save", path, shape_of_graph(*self._tensorflow), state_dict)
        if self._pytorch is not None:
            self._save_pytorch(state_dict, itr)

    def _save_pytorch(self, state: Mapping[str, Any], itr: int | None) -> None:
        module, (twin, observation) = self._pytorch, self._twin
        reason = saving.save_pytorch(self.output_dir, module, itr)
        if reason is not None:
            self._read_back.say("pyt_save", f"the module can't be pickled ({reason}): its weights alone were saved")
        if twin and (why := saving.save_twin(self.output_dir, itr, module, state.get("env"), observation)) is not None:
            self._read_back.say("pyt_save", f"no ONNX twin was saved: {why}")
        path = saving.module_file(self.output_dir, itr).relative_to(self.output_dir).as_posix()
        self._read_back.check("pyt_save", path, shape_of_module(module), state)


class EpochLogger(Logger):
    """A logger that averages what is stored during an epoch."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.epoch_dict: dict[str, list[Any]] = {}

    def store(self, **values: object) -> None:
        """Remember values (numbers or arrays) of this epoch."""
        for key, value in values.items():
            self.epoch_dict.setdefault(key, []).append(value)

    def log_tabular(
        self, key: str, value: object = None, with_min_and_max: bool = False, average_only: bool = False
    ) -> None:
        """Put a value into the current row, or statistics of what was stored under the key.

        Without a value: ``AverageKEY`` and ``StdKEY`` (of the population), with `with_min_and_max` also
        ``MaxKEY`` and ``MinKEY``; with `average_only` the average alone under the plain key.
        """
        if value is not None:
            super().log_tabular(key, value)
            return
        average, deviation, low, high = self.get_stats(key)
        super().log_tabular(key if average_only else f"Average{key}", average)
        if not average_only:
            super().log_tabular(f"Std{key}", deviation)
        if with_min_and_max:
            super().log_tabular(f"Max{key}", high)
            super().log_tabular(f"Min{key}", low)
        self.epoch_dict[key] = []

    def get_stats(self, key: str) -> tuple[Any, Any, Any, Any]:
        """Mean, standard deviation, minimum and maximum (float32) of what was stored; NaN for nothing."""
        np = importlib.import_module("numpy")
        stored = self.epoch_dict.get(key)
        if stored is None:
            raise UsageError(f"nothing was ever stored under {key!r}", hint=f"logger.store({key}=value)")
        values = np.concatenate(
            [np.ravel(np.asarray(v, dtype=np.float32)) for v in stored] or [np.zeros(0, np.float32)]
        )
        if not values.size:
            return (np.float32("nan"),) * 4
        return values.mean(), values.std(), values.min(), values.max()


def _cell(value: object) -> str:
    return str(value).replace("\t", " ").replace("\n", " ")
