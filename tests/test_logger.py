"""The logger writes the layout, byte for byte, and says what it could not save."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from spindb.disk.environments import environment_in_state
from spindb.disk.formats import recognise
from spindb.errors import UsageError
from spindb.logger import EpochLogger, Logger, data_directory, setup_logger_kwargs
from spindb.logger.tabular import format_table

np = pytest.importorskip("numpy")


def test_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPINDB_DATA_DIR", raising=False)
    assert data_directory() == Path("data")
    monkeypatch.setenv("SPINDB_DATA_DIR", "/lab/runs")
    assert setup_logger_kwargs("ppo", seed=3) == {"output_dir": "/lab/runs/ppo/ppo_s3", "exp_name": "ppo"}
    assert setup_logger_kwargs("ppo", data_dir="here") == {"output_dir": "here/ppo", "exp_name": "ppo"}
    stamped = Path(setup_logger_kwargs("ppo", 3, datestamp=True)["output_dir"])
    assert stamped.parts[-2][4:] == stamped.parts[-2][4:10] + "_ppo" or stamped.parts[-2].endswith("_ppo")
    assert stamped.name.endswith("-ppo_s3")


def test_progress_byte_for_byte(tmp_path: Path) -> None:
    logger = EpochLogger(tmp_path / "run", exp_name="x", quiet=True)
    for epoch in range(2):
        logger.store(EpRet=1.0, VVals=np.array([0.5, 1.5], dtype=np.float32))
        logger.store(EpRet=2.0 + epoch)
        logger.log_tabular("Epoch", epoch)
        logger.log_tabular("EpRet", with_min_and_max=True)
        logger.log_tabular("VVals", average_only=True)
        if epoch == 0:
            logger.log_tabular("Note", "two\twords")
        logger.dump_tabular()
    logger.close()
    assert (tmp_path / "run" / "progress.txt").read_bytes() == (
        b"Epoch\tAverageEpRet\tStdEpRet\tMaxEpRet\tMinEpRet\tVVals\tNote\n"
        b"0\t1.5\t0.5\t2.0\t1.0\t1.0\ttwo words\n"
        b"1\t2.0\t1.0\t3.0\t1.0\t1.0\t\n"
    )


def test_numbers_are_spelled_as_float32(tmp_path: Path) -> None:
    with EpochLogger(tmp_path / "run", quiet=True) as logger:
        logger.store(EpRet=13.459459)
        logger.log_tabular("EpRet")
        logger.dump_tabular()
    assert (tmp_path / "run" / "progress.txt").read_text() == "AverageEpRet\tStdEpRet\n13.459459\t0.0\n"


class Widget:
    """An object with attributes."""

    def __init__(self) -> None:
        self.size = 3
        self.me = self


def test_config_conversion(tmp_path: Path) -> None:
    config: dict[Any, Any] = {
        "pi_lr": 3e-4,
        "shape": (64, 64),
        "activation": Widget,
        "function": format_table,
        "unnamed": lambda x: x,
        "widget": Widget(),
        "np32": np.float32(0.1),
        "npint": np.int64(3),
        "array": np.arange(3),
        "nan": float("nan"),
        "none": None,
        "keys": {1: "int", (1, 2): "tuple", None: "none"},
        "deep": {"a": [{"b": {1, 2}}]},
    }
    config["cycle"] = config
    with Logger(tmp_path / "run", exp_name="x", quiet=True) as logger:
        logger.save_config(config)
    text = (tmp_path / "run" / "config.json").read_text()
    assert text.startswith('{\n    "activation":\t"Widget",\n    "array":\t[\n        0,')
    assert not text.endswith("\n")
    found = json.loads(text)
    assert found["exp_name"] == "x"
    assert (found["shape"], found["activation"], found["function"]) == ([64, 64], "Widget", "format_table")
    assert found["unnamed"].startswith("<function ")
    ((name, attributes),) = found["widget"].items()
    assert name.startswith("<test_logger.Widget object at 0x")
    assert attributes["size"] == 3
    assert (found["np32"], found["npint"], found["array"]) == (0.1, 3, [0, 1, 2])
    assert found["keys"] == {"1": "int", "(1, 2)": "tuple", "null": "none"}
    assert found["deep"] == {"a": [{"b": [1, 2]}]}


def test_the_table_for_people() -> None:
    assert format_table({"Epoch": 3, "AverageEpRet": 167.2, "Note": "x"}).splitlines() == [
        "-------------------------------------",
        "|           Epoch |               3 |",
        "|    AverageEpRet |             167 |",
        "|            Note |               x |",
        "-------------------------------------",
    ]


def test_misuse_is_said(tmp_path: Path) -> None:
    logger = EpochLogger(tmp_path / "run", quiet=True)
    logger.log_tabular("Epoch", 0)
    with pytest.raises(UsageError, match="set in this row already"):
        logger.log_tabular("Epoch", 1)
    with pytest.raises(UsageError, match="tabs"):
        logger.log_tabular("a\tb", 1)
    with pytest.raises(UsageError, match="nothing was ever stored"):
        logger.log_tabular("EpRet")
    logger.dump_tabular()
    with pytest.raises(UsageError, match="new metric"):
        logger.log_tabular("Other", 1)
    logger.close()


def test_an_existing_directory_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Logger(tmp_path).close()
    assert "exists already" in capsys.readouterr().err


def test_without_a_place_a_run_goes_to_the_data_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINDB_DATA_DIR", str(tmp_path / "lab"))
    with Logger(exp_name="x", quiet=True) as logger:
        assert logger.output_dir.parent == tmp_path / "lab"
        assert logger.output_dir.name.startswith("x_")


class PlainEnv:
    """Pickles as it is."""

    spec = None


@pytest.mark.parametrize("itr", [None, 0, 20])
def test_states_are_plain_pickles_that_joblib_reads(tmp_path: Path, itr: int | None) -> None:
    joblib = pytest.importorskip("joblib")
    with Logger(tmp_path / "run", quiet=True) as logger:
        logger.save_state({"env": PlainEnv()}, itr)
    path = tmp_path / "run" / f"vars{'' if itr is None else itr}.pkl"
    assert path.read_bytes().startswith(b"\x80\x03")
    assert isinstance(joblib.load(path)["env"], PlainEnv)


@pytest.mark.slow
def test_an_environment_that_pickling_refuses_is_saved_by_value(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    gymnasium = pytest.importorskip("gymnasium")
    source = (
        "import gymnasium\n"
        "class Walk(gymnasium.Env):\n"
        "    def __init__(self):\n"
        "        self.shape_reward = lambda r: 2 * r\n"
        "        self.observation_space = gymnasium.spaces.Box(-1, 1, (2,))\n"
    )
    module = types.ModuleType("my_walk")
    module.__file__ = str(tmp_path / "my_walk.py")
    sys.modules["my_walk"] = module
    try:
        exec(source, module.__dict__)  # noqa: S102 - a user's own module
        with Logger(tmp_path / "run", quiet=True) as logger:
            logger.save_state({"env": gymnasium.wrappers.TimeLimit(module.Walk(), 50)})
    finally:
        del sys.modules["my_walk"]
    hint = environment_in_state((tmp_path / "run" / "vars.pkl").read_bytes())
    assert hint.max_episode_steps == 50
    env = joblib.load(tmp_path / "run" / "vars.pkl")["env"]  # where my_walk can't be imported any more
    assert env.unwrapped.shape_reward(3) == 6


def test_what_cannot_be_saved_is_reported_in_the_run(tmp_path: Path) -> None:
    with Logger(tmp_path / "run", quiet=True) as logger:
        logger.save_state({"env": PlainEnv()}, 5)
        with pytest.warns(RuntimeWarning, match="the environment was not saved"):
            logger.save_state({"env": (i for i in range(3))}, 5)
        logger.log_tabular("Epoch", 5)
        logger.dump_tabular()
    run = tmp_path / "run"
    assert not (run / "vars5.pkl").exists()
    assert "generator" in (run / "vars5.pkl.problem").read_text()
    found = recognise([path.name for path in run.iterdir()])
    assert found is not None
    record = found.read(run, ".")
    assert [p.code for p in record.problems] == ["state-not-saved", "config-missing"]
    with Logger(run, quiet=True) as logger:
        logger.save_state({"env": PlainEnv()}, 5)
    assert not (run / "vars5.pkl.problem").exists()


@pytest.mark.slow
def test_pytorch_modules(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    with Logger(tmp_path / "run", quiet=True) as logger:
        logger.setup_pytorch_saver(torch.nn.Linear(4, 2))
        logger.save_state({"env": PlainEnv()}, 7)
        logger.save_state({"env": PlainEnv()})
    assert torch.load(tmp_path / "run" / "pyt_save" / "model7.pt", weights_only=False).in_features == 4
    found = recognise(["progress.txt"])
    assert found is not None
    assert [(s.itr, s.unloadable) for s in found.read(tmp_path / "run", ".").snapshots] == [(None, None), (7, None)]
