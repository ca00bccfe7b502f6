"""Ids, modules and environments of others: what is imported, what is not, and what is said when their code fails."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import REPOSITORY, Outcome, rows_of, settle

from spindb.errors import EnvironmentBuildError, PlaybackError, UsageError
from spindb.play.environments.adapter import Environment
from spindb.play.environments.build import Choices, build_environment
from spindb.play.environments.importable import current_directory_importable
from spindb.play.rollouts.rollout import run_policy
from spindb.records import EnvironmentHint

pytestmark = [pytest.mark.sqlite, pytest.mark.slow]

pytest.importorskip("gymnasium")

Cli = Callable[..., Outcome]
RUN = REPOSITORY / "examples" / "data" / "cartpole-ppo_lr0-003" / "cartpole-ppo_lr0-003_s0"
EVIL = "open('executed', 'a').write(__name__ + ' ')\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a run and a module that tells when it is imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    shutil.copytree(RUN, "run")
    Path("evilmod.py").write_text(EVIL)
    settle(tmp_path)
    return tmp_path


def spindb(*words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m spindb`` in the working directory, which Python puts first on its path."""
    command = [sys.executable, "-m", "spindb", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


class Thing:
    """Anything that a saved state may hold."""


def name_environment(env_id: str, where: str) -> None:
    config = json.loads(Path("run/config.json").read_text())
    config = {key: value for key, value in config.items() if not key.startswith("env")}
    env = Thing()
    if where == "config":
        config["env"] = config["env_name"] = env_id
    else:
        env.spec = Thing()  # type: ignore[attr-defined]
        env.spec.id = env_id  # type: ignore[attr-defined]
    Path("run/config.json").write_text(json.dumps(config))
    for number in (0, 10):
        Path(f"run/vars{number}.pkl").write_bytes(pickle.dumps({"env": env}))


@pytest.mark.parametrize("where", ["config", "state"])
@pytest.mark.parametrize("indexed", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("env_id", ["evilmod:CartPole-v1", "evilmod:evil:CartPole-v1", "evilmod:ns/CartPole-v1"])
def test_j2_an_id_from_files_imports_no_module(here: Path, env_id: str, indexed: bool, where: str) -> None:
    name_environment(env_id, where)
    run: object = "run"
    if indexed:
        assert spindb("ingest", ".").returncode in (0, 1)
        run = 1
    for command in (("test-policy", run, "-nr", "-n", 1), ("sweep", 1, "-n", 1) if indexed else ("runs",)):
        played = spindb(*command)
        assert played.returncode != 0 or command == ("runs",)
        assert not Path("executed").exists()
        if command[0] == "test-policy":
            assert played.returncode == 5
            assert "Traceback" not in played.stderr
            module = env_id.rpartition(":")[0]
            assert f"is built by importing {module}" in played.stderr or "is not an environment id" in played.stderr


def test_j2_the_module_is_imported_where_the_user_says_so(here: Path) -> None:
    name_environment("evilmod:CartPole-v1", "config")
    played = spindb("test-policy", "run", "-nr", "-n", 1, "--import", "evilmod")
    assert played.returncode == 0, played.stderr
    assert Path("executed").read_text() == "evilmod "


def test_j2_in_process_too(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a notebook the current directory is searched first."""
    monkeypatch.syspath_prepend(str(here))
    hint = EnvironmentHint("evilmod:CartPole-v1", "config", (), None)
    for imports in ((), ("evil",), ("evilmod.sub",)):
        with pytest.raises(EnvironmentBuildError, match="which executes that module's code: it was not imported"):
            build_environment(hint, Choices(imports=imports))
    assert not Path("executed").exists()
    import spindb as library

    name_environment("evilmod:CartPole-v1", "config")
    with pytest.raises(EnvironmentBuildError, match="not imported") as caught:
        library.load_policy_and_env("run/")
    assert "--import evilmod" in str(caught.value.hint)
    assert not Path("executed").exists()


def test_j2_an_installed_module_is_not_imported_either(here: Path) -> None:
    name_environment("antigravity:CartPole-v1", "config")
    code = "import sys; from spindb.cli.app import run; run(sys.argv[1:]); print('antigravity' in sys.modules)"
    words = [sys.executable, "-c", code, "test-policy", "run", "-nr", "-n", "1"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["False"]
    assert "not imported" in done.stderr


@pytest.mark.parametrize(
    "env_id", ["../CartPole-v1", "a b-v0", "x\n-v0", "\x1b[31mCartPole-v1", ":CartPole-v1", "", "a" * 999]
)
def test_j2_what_is_no_id_is_said(env_id: str) -> None:
    with pytest.raises(EnvironmentBuildError) as caught:
        build_environment(EnvironmentHint(env_id, "config", (), None))
    assert "\x1b" not in str(caught.value)
    assert "\n-v0" not in str(caught.value)


def test_j2_namespaces_are_no_modules() -> None:
    with pytest.raises(EnvironmentBuildError, match=r"ALE/Pong-v5 \(known from config\) can't be built"):
        build_environment(EnvironmentHint("ALE/Pong-v5", "config", (), None))


def test_j2_a_typed_id_imports_what_is_installed_and_nothing_from_here(here: Path) -> None:
    played = spindb("test-policy", "run", "-nr", "-n", 1, "--env", "evilmod:CartPole-v1")
    assert played.returncode == 5
    assert "--import evilmod looks in the current directory too" in played.stderr
    assert not Path("executed").exists()
    typed = spindb("test-policy", "run", "-nr", "-n", 1, "--env", "gymnasium:CartPole-v1")
    assert typed.returncode == 0, typed.stderr
    both = spindb("test-policy", "run", "-nr", "-n", 1, "--import", "evilmod", "--env", "CartPole-v1")
    assert both.returncode == 0, both.stderr


SHADOWS = ["gym", "gymnasium", "numpy", "tensorflow", "json", "typer", "typing", "sqlalchemy", "orjson", "joblib", "re"]


@pytest.mark.parametrize("more", [(), ("--import", "mine"), ("--env-factory", "mine:make")])
def test_j12_nothing_of_the_current_directory_stands_in_for_a_library(here: Path, more: tuple[str, ...]) -> None:
    for name in SHADOWS:
        Path(f"{name}.py").write_text(EVIL)
    plugin = Path("evil-1.dist-info")
    plugin.mkdir()
    (plugin / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1\n")
    (plugin / "entry_points.txt").write_text("[gym.envs]\n__root__ = evilmod\n[gymnasium.envs]\n__root__ = evilmod\n")
    Path("mine.py").write_text("import gymnasium\n\ndef make():\n    return gymnasium.make('CartPole-v1')\n")
    played = spindb("test-policy", "run", "-nr", "-n", 1, *more)
    assert played.returncode == 0, played.stderr
    assert spindb("ingest", ".").returncode in (0, 1)
    assert spindb("runs").returncode == 0
    assert not Path("executed").exists()


def test_j12_the_path_is_as_before_after_an_import(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(sys.path)
    with current_directory_importable():
        assert sys.path == [*before, str(here)]
    assert sys.path == before
    monkeypatch.setattr(sys, "path", [str(here), *before])
    with current_directory_importable():
        assert sys.path == [str(here), *before]
    assert sys.path == [str(here), *before]


def test_j12_a_checkout_that_is_not_installed_runs(tmp_path: Path) -> None:
    shutil.copytree(REPOSITORY / "spindb", tmp_path / "spindb")
    (tmp_path / "orjson.py").write_text(EVIL)
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    words = [sys.executable, "-m", "spindb", "--version"]
    done = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "executed").exists()


FRAGILE = """
import sys, time
import numpy as np


class Walk:
    def __init__(self, call="", what="", error=ValueError):
        self.call, self.what, self.error = call, what, error

    def _maybe(self, call):
        if call == self.call:
            raise self.error(self.what)

    def reset(self):
        self._maybe("reset")
        self.steps = 0
        return np.zeros(4)

    def step(self, action):
        self._maybe("step")
        self.steps += 1
        return np.zeros(4), 1.0, self.steps == 3, {}

    def close(self):
        self._maybe("close")


def step(): return Walk("step", "the motor is off")
def reset(): return Walk("reset", "no track")
def close(): return Walk("close", "stuck")
def leaves(): return Walk("step", 0, SystemExit)
def made(): raise RuntimeError("no licence")
def quits(): sys.exit(0)


def odd():
    walk = Walk()
    walk.step = lambda action: None
    return walk


def slow():
    walk = Walk()
    inner = walk.step
    def step(action):
        time.sleep(0.05)
        return inner(action)
    walk.step = step
    return walk
"""
FAILURES = [
    ("step", "fragile:step: its step() raised ValueError: the motor is off"),
    ("reset", "fragile:reset: its reset() raised ValueError: no track"),
    ("leaves", "fragile:leaves: its step() raised SystemExit: 0"),
    ("odd", "fragile:odd: its step() raised TypeError"),
    ("made", "--env-factory fragile:made failed: RuntimeError: no licence"),
    ("quits", "--env-factory fragile:quits failed: SystemExit: 0"),
]


@pytest.mark.parametrize(("factory", "words"), FAILURES)
def test_c4_an_environment_that_fails_is_named(here: Path, factory: str, words: str) -> None:
    Path("fragile.py").write_text(FRAGILE)
    command = ("test-policy", "run", "-nr", "-n", 2, "--env-factory", f"fragile:{factory}")
    played = spindb(*command)
    assert played.returncode == 5
    assert f"error: {words}" in played.stderr
    assert "Traceback" not in played.stderr
    assert "Traceback" in spindb("--debug", *command).stderr
    assert "Traceback" in spindb(*command, "--debug").stderr
    shown = spindb(*command, SPINDB_TRACEBACK="1")
    assert shown.returncode == 5
    assert "Traceback" in shown.stderr


def test_c4_what_was_played_outlives_a_failing_close(here: Path, cli: Cli) -> None:
    Path("fragile.py").write_text(FRAGILE)
    cli("ingest", ".")
    played = spindb("test-policy", "1", "-nr", "-n", 2, "--env-factory", "fragile:close")
    assert played.returncode == 0, played.stderr
    assert "warning: fragile:close: its close() raised ValueError: stuck" in played.stderr
    assert "recorded as evaluation 1" in played.stderr


def test_c4_a_seed_is_a_number_that_seeds(here: Path) -> None:
    for seed in (-1, 2**63):
        played = spindb("test-policy", "run", "-nr", "-n", 1, "--seed", seed)
        assert (played.returncode, "Traceback" in played.stderr) == (2, False)
        assert f"a seed of {seed}: it must be between 0 and" in played.stderr
    with pytest.raises(UsageError, match="a seed of -1"):
        run_policy(object(), print, seed=-1)


def test_c4_from_python_the_cause_is_kept() -> None:
    class Broken:
        def reset(self) -> None:
            raise KeyError("x")

        step = reset

    with pytest.raises(PlaybackError, match=r"Broken: its reset\(\) raised KeyError: 'x'") as caught:
        Environment(Broken()).reset()
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_j8_a_signal_ends_a_rollout_and_keeps_it(here: Path, cli: Cli, number: int) -> None:
    Path("fragile.py").write_text(FRAGILE)
    cli("ingest", ".")
    command = [sys.executable, "-um", "spindb", "test-policy", "1", "-nr", "-n", "1000", "--json"]
    command += ["--env-factory", "fragile:slow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        while "Episode 2" not in process.stderr.readline():
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert "recorded as evaluation 1" in err
    found = json.loads(out)
    played = f"{len(found['episodes'])} of 1000 episodes were played"
    assert f"interrupted by {signal.Signals(number).name}: {played}\n" in err
    assert found["partial"]
    assert len(found["episodes"]) >= 3
    ((partial, episodes),) = rows_of(here / "spindb.db", "SELECT partial, episodes FROM evaluations")
    assert (partial, episodes) == (1, len(found["episodes"]))


def test_j8_before_the_first_episode_there_is_nothing_to_keep(here: Path) -> None:
    Path("fragile.py").write_text(FRAGILE.replace("time.sleep(0.05)", "print('begun', flush=True); time.sleep(60)"))
    command = [sys.executable, "-um", "spindb", "test-policy", "run", "-nr", "--env-factory", "fragile:slow"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while "begun" not in process.stdout.readline():
            pass
        process.terminate()
        _, err = process.communicate(timeout=20)
    assert process.returncode == 143
    assert "interrupted by SIGTERM: the first episode was not over" in err
    assert "Traceback" not in err
