"""The study: two agents, two settings and two seeds each, trained side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spindb.errors import SpindbError
from spindb.logger import setup_logger_kwargs
from spindb.play.engine.tensorflow_session import import_tensorflow
from spindb.play.environments.libraries import import_quietly
from spindb.processes import command_of, end_with_parent
from spindb.signals import ignore_interrupts

_SEEDS = (0, 10)
_POLL_SECONDS = 0.25


@dataclass(frozen=True, slots=True)
class Setting:
    """One experiment: an algorithm, an environment and what they are called with."""

    name: str
    algorithm: str
    env_id: str
    epochs: int
    arguments: dict[str, Any]


SETTINGS = (
    Setting("cartpole-ppo_lr0-003", "ppo", "CartPole-v1", 20, {"pi_lr": 3e-3}),
    Setting("cartpole-ppo_lr0-0003", "ppo", "CartPole-v1", 20, {"pi_lr": 3e-4}),
    Setting("pendulum-td3_h64-64", "td3", "Pendulum-v1", 8, {"hidden_sizes": (64, 64)}),
    Setting("pendulum-td3_h8", "td3", "Pendulum-v1", 8, {"hidden_sizes": (8,)}),
)


@dataclass(frozen=True, slots=True)
class Training:
    """One run of the study."""

    setting: Setting
    seed: int
    directory: Path

    def epochs_done(self) -> int:
        """Rows in its table so far, or in that of one that was begun again beside it."""
        beside = self.directory.parent.glob(f"{self.directory.name}.[0-9]*")
        return max(map(_rows, (self.directory, *beside)))

    @property
    def complete(self) -> bool:
        return self.epochs_done() >= self.setting.epochs


def _rows(directory: Path) -> int:
    try:
        return max(0, (directory / "progress.txt").read_bytes().count(b"\n") - 1)
    except OSError:
        return 0


def trainings(data_dir: Path, settings: Sequence[Setting] = SETTINGS) -> list[Training]:
    """All runs of the study, those with the same seed side by side."""
    found = []
    for seed in _SEEDS:
        for setting in settings:
            place = setup_logger_kwargs(setting.name, seed, data_dir)
            found.append(Training(setting, seed, Path(place["output_dir"])))
    return found


def train_all(data_dir: Path, progress: Callable[[int, int], None], *, jobs: int | None = None) -> int:
    """Train what is not complete yet, `jobs` at a time (all cores); returns how many runs that were.

    Args:
        data_dir: where the runs are written.
        progress: called with epochs done and epochs in all.
        jobs: how many train at once.

    Raises:
        SpindbError: a training failed; its last words are in the message.
    """
    runs = trainings(data_dir)
    waiting = [run for run in runs if not run.complete]
    total, started = sum(run.setting.epochs for run in runs), len(waiting)
    active: list[tuple[Training, subprocess.Popen[bytes]]] = []
    try:
        while waiting or active:
            while waiting and len(active) < (jobs or os.cpu_count() or 1):
                run = waiting.pop(0)
                active.append((run, _start(run, data_dir)))
            time.sleep(_POLL_SECONDS)
            for pair in [pair for pair in active if pair[1].poll() is not None]:
                active.remove(pair)
                _require_success(*pair)
            progress(sum(min(run.epochs_done(), run.setting.epochs) for run in runs), total)
    finally:
        for _, process in active:
            process.kill()
            process.wait()
    return started


def _start(run: Training, data_dir: Path) -> subprocess.Popen[bytes]:
    log = data_dir / ".logs" / f"{run.directory.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [*command_of("spindb.demo.study", "train_in_process"), run.setting.name, str(run.seed), str(data_dir)]
    with log.open("wb") as output:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT)  # noqa: S603 - our own module


def _require_success(run: Training, process: subprocess.Popen[bytes]) -> None:
    if process.returncode:
        log = run.directory.parent.parent / ".logs" / f"{run.directory.name}.log"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        raise SpindbError(f"training {run.directory.name} failed with exit code {process.returncode}:\n{tail}")


def train_one(name: str, seed: int, data_dir: Path) -> None:
    """Train one run of the study in this process."""
    import_tensorflow()
    gymnasium = import_quietly("gymnasium")
    # These import TensorFlow at their top: after the line above, which silences it.
    from spindb.demo.ppo import PPOSettings, ppo
    from spindb.demo.td3 import TD3Settings, td3

    setting = next(s for s in SETTINGS if s.name == name)
    kwargs = {**setup_logger_kwargs(setting.name, seed, data_dir), "quiet": True}

    def make_env() -> Any:
        return gymnasium.make(setting.env_id)

    if setting.algorithm == "ppo":
        ppo(make_env, PPOSettings(seed=seed, epochs=setting.epochs, **setting.arguments), kwargs)
    else:
        td3(make_env, TD3Settings(seed=seed, epochs=setting.epochs, **setting.arguments), kwargs)


def train_in_process() -> None:
    """Train the run that the command line names; ends with the process that started it."""
    ignore_interrupts()  # they are for the process that started this one
    end_with_parent()
    name, seed, data_dir = sys.argv[-3:]
    train_one(name, int(seed), Path(data_dir))
