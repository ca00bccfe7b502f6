"""A session of playing: one sequence, which leaves the process as it found it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from gymlike import TIME_LIMIT
from gymlike import state_of as state_bytes

np = pytest.importorskip("numpy")
gymnasium = pytest.importorskip("gymnasium")

import spindb.spinup  # noqa: E402
from spindb.disk.codecs import pickles  # noqa: E402
from spindb.index.query.reference import RunPath  # noqa: E402
from spindb.play.process_state import set_by_import, unchanged_process  # noqa: E402
from spindb.play.request import PlayOptions, PlayRequest  # noqa: E402
from spindb.play.session import evaluate, find, opened  # noqa: E402

RUN = REPOSITORY / "examples" / "data" / "cartpole-ppo_lr0-003" / "cartpole-ppo_lr0-003_s0"
OPTIONS = PlayOptions(episodes=2, length=30, seed=5)


def process() -> dict[str, Any]:
    """What playing may change and must put back."""
    loggers = {name: sys.modules.get(f"{name}.logger") for name in ("gym", "gymnasium")}
    return {
        "sys.path": list(sys.path),
        "environ": dict(os.environ),
        "descriptor 2": (os.fstat(2).st_dev, os.fstat(2).st_ino),
        "filters": list(warnings.filters),
        "levels": {name: getattr(module, "min_level", 30) for name, module in loggers.items()},
    }


@pytest.mark.parametrize("render", [None, "rgb_array"])
def test_a_session_leaves_the_process_as_it_was(render: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SDL_VIDEODRIVER", "MUJOCO_GL", "SDL_AUDIODRIVER", "PYGAME_HIDE_SUPPORT_PROMPT", "DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    pytest.importorskip("gymnasium.logger")
    monkeypatch.setattr(gymnasium.logger, "min_level", 20)
    before = process()
    with opened(find(PlayRequest(RunPath(RUN))), OPTIONS, render=render) as session:
        assert gymnasium.logger.min_level == 40
        assert ("SDL_VIDEODRIVER" in os.environ) == (render is not None)
        session.roll_out()
    assert process() == before


@pytest.mark.parametrize("call", [spindb.load_policy, spindb.load_policy_and_env, spindb.spinup.load_policy])
def test_what_python_calls_leaves_the_process_as_it_was(call: Callable[..., Any]) -> None:
    before = process()
    call(RUN)
    assert process() == before


@pytest.mark.sqlite
def test_a_process_in_which_nothing_was_imported_is_left_as_it_was(tmp_path: Path) -> None:
    """Libraries set variables and filters once, when they are imported; a second session finds them set again."""
    (tmp_path / "own_world.py").write_text(
        "import os, sys, warnings\n"
        "import gymnasium\n"
        f"sys.path.append({str(tmp_path / 'beside')!r})\n"
        "os.environ['OWN_WORLD'] = '1'\n"
        "warnings.simplefilter('error')\n"
        "def make():\n"
        "    assert os.environ['OWN_WORLD'] == '1'\n"
        "    import own_world_parts\n"
        "    return gymnasium.make('CartPole-v1')\n"
    )
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "own_world_parts.py").write_text("")
    script = f"""
        import os, sys, warnings
        from spindb.index.query.reference import RunPath
        from spindb.play.request import PlayOptions, PlayRequest
        from spindb.play.session import evaluate, find
        from pathlib import Path

        def state():
            return list(sys.path), dict(os.environ), os.fstat(2).st_ino, list(warnings.filters)

        playable = find(PlayRequest(RunPath(Path({str(RUN)!r}))))
        before = state()
        for _ in range(2):
            evaluate(playable, PlayOptions(1, 5, factory="own_world:make", imports=("own_world",)))
            sys.modules.pop("own_world_parts")
            assert state() == before, (state(), before)
        import gymnasium.logger
        assert gymnasium.logger.min_level == 30
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_failure_leaves_the_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SET_INSIDE", raising=False)
    before = process()

    def fail() -> None:
        with unchanged_process():
            os.environ["SET_INSIDE"] = "1"
            os.environ.pop("PATH")
            sys.path.insert(0, "/nowhere")
            warnings.simplefilter("error")
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, 2)
            os.close(nowhere)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert process() == before


def test_variables_that_a_window_needs_may_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FOR_WINDOWS", raising=False)
    with unchanged_process(but_for=("FOR_WINDOWS",)):
        os.environ["FOR_WINDOWS"] = "0"
    assert os.environ["FOR_WINDOWS"] == "0"


def test_what_an_import_set_is_set_in_later_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OF_AN_IMPORT", raising=False)
    with unchanged_process(), set_by_import():
        os.environ["OF_AN_IMPORT"] = "1"
    assert "OF_AN_IMPORT" not in os.environ
    with unchanged_process():
        assert os.environ["OF_AN_IMPORT"] == "1"
    assert "OF_AN_IMPORT" not in os.environ


def test_an_episode_step_by_step_is_the_one_that_is_rolled_out() -> None:
    playable = find(PlayRequest(RunPath(RUN), options=OPTIONS))
    with opened(playable, OPTIONS) as session:
        whole = session.roll_out(1).episodes[0]
        running = session.begin_episode(OPTIONS.seed)
        made = [running.advance()]
        while running.ending is None:
            made.append(running.advance())
    assert (running.ep_return, running.length, running.ending) == (whole.ep_return, whole.length, whole.ending)
    assert [step.ending for step in made] == [None] * (whole.length - 1) + [whole.ending]
    assert all((earlier.observation != later.observation).any() for earlier, later in pairwise(made))


def test_an_evaluation_says_what_was_played() -> None:
    found = evaluate(find(PlayRequest(RunPath(RUN), 0)), OPTIONS)
    assert (found.itr, found.seed, found.max_ep_len, len(found.episodes)) == (0, 5, 30, 2)


def test_the_saved_state_is_parsed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its environment, its attributes, its random state and why it gives no id come of one reading."""
    from spindb.disk import environments
    from spindb.disk.saved_state import saved_state
    from spindb.play.environments.of_snapshot import earlier_ways, state_of
    from spindb.play.locate import Playable
    from spindb.records import EnvironmentHint, SnapshotRecord

    data = state_bytes((TIME_LIMIT, {"_max_episode_steps": 50}), ("somewhere.Maze", {"size": 5}))
    (tmp_path / "vars.pkl").write_bytes(data)
    readings = []

    def reading(data: bytes) -> Any:
        readings.append(data)
        return pickles.read_pickle(data)

    monkeypatch.setattr(environments, "read_pickle", reading)
    nothing = EnvironmentHint(None, None)
    playable = Playable(tmp_path, SnapshotRecord("pyt_save", "model.pt", None, state_path="vars.pkl"), nothing)
    saved = state_of(playable)
    assert "holds" in earlier_ways(playable, saved)[0]
    assert saved.attributes["size"] == 5
    assert len(readings) == 1
    assert saved.beside == saved_state(data)
    assert saved.beside.hint.max_episode_steps == 50
    assert saved.beside.random is None
