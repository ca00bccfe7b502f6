"""The logger writes the layout, byte for byte, and says what it could not save."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import types
from pathlib import Path
from typing import Any

import pytest

from spindb.disk.environments import environment_in_state
from spindb.disk.formats import read_run, recognise
from spindb.disk.formats.spinningup import SpinningUp
from spindb.errors import UsageError
from spindb.logger import EpochLogger, Logger, data_directory, setup_logger_kwargs
from spindb.tabular import format_table

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


def log(directory: Path, value: float, **options: Any) -> Path:
    with Logger(directory, quiet=True, **options) as logger:
        logger.save_config({"value": value})
        logger.log_tabular("Epoch", 0)
        logger.log_tabular("Value", value)
        logger.dump_tabular()
        logger.save_state({"value": value})
    return logger.output_dir


def test_f1_a_run_is_never_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "ppo" / "ppo_s0"
    assert log(run, 1.0) == run
    before = {path: path.read_bytes() for path in run.rglob("*")}
    for number in (2, 3):
        with pytest.warns(RuntimeWarning, match=rf"ppo_s0 holds a run already: .*ppo_s0\.{number}"):
            assert log(run, float(number)) == run.with_name(f"ppo_s0.{number}")
    assert {path: path.read_bytes() for path in run.rglob("*")} == before
    for name, value in (("ppo_s0", 1.0), ("ppo_s0.2", 2.0), ("ppo_s0.3", 3.0)):
        assert (run.with_name(name) / "progress.txt").read_text() == f"Epoch\tValue\n0\t{value}\n"
        assert json.loads((run.with_name(name) / "config.json").read_text()) == {"value": value}
        assert (run.with_name(name) / "vars.pkl").exists()
    monkeypatch.chdir(run)
    with pytest.warns(RuntimeWarning, match=r"ppo_s0\.4"):
        assert log(Path(), 4.0).samefile(run.with_name("ppo_s0.4"))


def test_f1_a_run_beside_another_keeps_seed_and_experiment(tmp_path: Path) -> None:
    for name in ("ppo_s0", "ppo_s0.2", "ppo_s0.17", "2024-01-31_12-00-00-ppo_s0.3"):
        log(tmp_path / name, 1.0)
        (tmp_path / name / "config.json").unlink()
        record = read_run(SpinningUp(), tmp_path / name, name)
        assert (record.seed, record.exp_name) == (0, "ppo"), name
    for name in ("ppo_s0.5e", "ppo_s0.02", "ppo_s0.1", "ppo_s0.", "ppo.2"):  # no names of ours
        log(tmp_path / name, 1.0)
        (tmp_path / name / "config.json").unlink()
        assert read_run(SpinningUp(), tmp_path / name, name).seed is None, name


@pytest.mark.parametrize("progress", [None, b"", b"Epoch\tValue\n", b"\0\0", b"\n \n", b"Epoch,Q1\r\n"])
def test_f1_a_directory_without_rows_is_used(tmp_path: Path, progress: bytes | None) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text("{}")
    if progress is not None:
        (run / "progress.txt").write_bytes(progress)
    assert log(run, 1.0) == run
    assert (run / "progress.txt").read_bytes() == b"Epoch\tValue\n0\t1.0\n"


@pytest.mark.parametrize(
    "progress",
    [
        *(b"Epoch\tValue\n0\t1", b"0\t1.5\n", b"a\xff\n0\n", b"7", b"\n\nA\n\nnan\n"),
        *(b"Epoch,A\r0,1\r", b"0,1,2", b'"0";"1"', b"0 1", b"0|1", b"1,5\t2,5\n"),
        *("\ufeff0;1".encode(), "0\t1\n".encode("utf-16"), "A\rinf".encode("utf-16-le"), b"a" * 2_000_000),
    ],
)
def test_f1_whatever_may_be_a_row_is_kept(tmp_path: Path, progress: bytes) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "progress.txt").write_bytes(progress)
    with pytest.warns(RuntimeWarning, match="holds a run already"):
        assert log(run, 1.0) == tmp_path / "run.2"
    assert (run / "progress.txt").read_bytes() == progress


def test_f1_a_saved_policy_without_rows_is_kept(tmp_path: Path) -> None:
    (tmp_path / "run" / "pyt_save").mkdir(parents=True)
    with pytest.warns(RuntimeWarning, match="holds a run already"):
        assert log(tmp_path / "run", 1.0) == tmp_path / "run.2"


def test_f1_another_table_is_judged_by_its_own_rows(tmp_path: Path) -> None:
    run = tmp_path / "run"
    log(run, 1.0)
    (run / "pyt_save").mkdir()
    assert log(run, 2.0, output_fname="evaluation.txt") == run
    with pytest.warns(RuntimeWarning, match="holds a run already"):
        assert log(run, 3.0, output_fname="evaluation.txt") == tmp_path / "run.2"
    assert (run / "progress.txt").read_text().endswith("0\t1.0\n")
    assert (run / "evaluation.txt").read_text().endswith("0\t2.0\n")


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../progress.txt", "x/y", "/progress.txt", "config.json", "vars.pkl", "vars3.pkl", "pyt_save"],
)
def test_f1_a_table_has_a_name_of_its_own(tmp_path: Path, name: str) -> None:
    (tmp_path / "progress.txt").write_text("Epoch\n0\n")
    with pytest.raises(UsageError, match="name"):
        Logger(tmp_path / "run", name, quiet=True)
    assert [entry.name for entry in tmp_path.iterdir()] == ["progress.txt"]


def test_f1_a_run_that_has_no_row_yet_is_another_loggers(tmp_path: Path) -> None:
    with Logger(tmp_path / "run", quiet=True) as first:
        with pytest.warns(RuntimeWarning, match="holds a run already"):
            second = EpochLogger(tmp_path / "run", quiet=True)
        assert (first.output_dir, second.output_dir) == (tmp_path / "run", tmp_path / "run.2")
        second.close()


_RACER = """
import sys, time
from spindb.logger import EpochLogger
while time.time() < float(sys.argv[2]): pass
with EpochLogger(sys.argv[1], quiet=True) as logger:
    time.sleep(0.2)
    for epoch in range(50):
        logger.log_tabular("Epoch", epoch)
        logger.log_tabular("Racer", sys.argv[3])
        logger.dump_tabular()
print(logger.output_dir)
"""


@pytest.mark.slow
@pytest.mark.parametrize("existing", [False, True])
def test_f1_trainings_that_start_at_once_do_not_meet(tmp_path: Path, existing: bool) -> None:
    run = tmp_path / "deep" / "run"
    if existing:
        run.mkdir(parents=True)
        (run / "progress.txt").touch()
    start = str(time.time() + 1.5)
    racers = [
        subprocess.Popen([sys.executable, "-c", _RACER, run, start, name], stdout=subprocess.PIPE, text=True)
        for name in ("a", "b", "c", "d")
    ]
    places = [Path(racer.communicate()[0].strip()) for racer in racers]
    assert sorted(place.name for place in places) == ["run", "run.2", "run.3", "run.4"]
    for place, name in zip(places, "abcd", strict=True):
        lines = (place / "progress.txt").read_text().splitlines()
        assert lines == ["Epoch\tRacer", *(f"{epoch}\t{name}" for epoch in range(50))]


def test_f1_where_the_system_has_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spindb.logger.claims.fcntl", None)
    assert log(tmp_path / "run", 1.0) == tmp_path / "run"
    (tmp_path / "empty").mkdir()
    assert log(tmp_path / "empty", 1.0) == tmp_path / "empty"
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "progress.txt").touch()  # by a logger that may be at work
    with pytest.warns(RuntimeWarning, match="holds a run already"):
        assert log(tmp_path / "begun", 1.0) == tmp_path / "begun.2"


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
        record = read_run(found, run, ".")
        assert [p.code for p in record.problems] == ["state-not-saved", "config-missing"]
        logger.save_state({"env": PlainEnv()}, 5)
    assert not (run / "vars5.pkl.problem").exists()


@pytest.mark.slow
def test_pytorch_modules(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    with Logger(tmp_path / "run", quiet=True) as logger:
        logger.setup_pytorch_saver(torch.nn.Linear(4, 2))
        with pytest.warns(RuntimeWarning, match="does not say how its outputs become actions"):
            logger.save_state({}, 7)
        logger.save_state({})
    assert torch.load(tmp_path / "run" / "pyt_save" / "model7.pt", weights_only=False).in_features == 4
    found = recognise(["progress.txt"])
    assert found is not None
    assert [(s.itr, s.unloadable) for s in read_run(found, tmp_path / "run", ".").snapshots] == [
        (None, None),
        (7, None),
    ]
