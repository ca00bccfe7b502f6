"""`spindb.open`: data frames, comparison and figures in Python."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from conftest import EVALUATION, PPO_CONFIG, settle

import spindb
from spindb.api import Database
from spindb.errors import DatabaseError, FilterError, UsageError
from spindb.extras import install_command
from spindb.index.database.connect import connected
from spindb.index.write.batch import add_evaluation
from spindb.ingest.pipeline import ingest
from spindb.records import EpisodeResult, Evaluation


@pytest.fixture
def db(run_directory: Callable[..., Path], database: Path, tmp_path: Path) -> Database:
    """Two on-policy runs, an off-policy one, and an empty one."""
    for seed in (0, 1):
        config = PPO_CONFIG | {"seed": seed, "env": "CartPole-v1", "gamma": None if seed else 0.9}
        header = ("Epoch", "AverageEpRet", "TotalEnvInteracts", "Note")
        run_directory(f"on_s{seed}", config=config, header=header, rows=[(5, 1.0, 1000, "x"), (6, "nan", 2000, "")])
    rows = [(1, -5.0, 2.0), (2, -4.0, 3.0)]
    header = ("Epoch", "AverageTestEpRet", "AverageEpRet")
    run_directory("off_s0", config={"lr": 1, "polyak": 2, "seed": 0}, header=header, rows=rows)
    run_directory("void_s0", progress=b"")
    settle(tmp_path)
    ingest(database, [tmp_path / "data"])
    with connected(database, write=True) as connection:
        episodes = [EpisodeResult(2.5, 10, "terminated"), EpisodeResult(3.5, 20, "cut")]
        values = {name: getattr(EVALUATION, name) for name in EVALUATION.__slots__}
        add_evaluation(connection, 2, Evaluation(**values | {"episodes": episodes}))
    return spindb.open(database)


def test_runs(db: Database) -> None:
    frame = db.runs()
    assert frame.index.name == "id"
    assert frame["name"].tolist() == ["off_s0", "on_s0", "on_s1", "void_s0"]
    assert frame.loc[2, "ac_kwargs.hidden_sizes"] == [64, 32]
    assert frame.loc[1, "lr"] == 1
    assert frame["seed"].tolist()[:3] == [0, 0, 1]
    assert pd.isna(frame.loc[4, "algo"])
    assert str(frame["updated"].dtype).startswith("datetime64")
    assert len(frame.columns) == len(set(frame.columns))
    assert "lr" not in db.runs(hyperparameters=False).columns
    assert db.runs("algo=ppo seed=1").index.tolist() == [3]
    assert db.runs("on_s1").index.tolist() == [3]
    assert db.runs("id=-1").empty
    with pytest.raises(FilterError):
        db.runs("nonsense=1")


def test_curves_are_tidy(db: Database) -> None:
    frame = db.curves("", ["Performance", "AverageEpRet"])
    assert list(frame.columns) == [*("run_id", "name", "exp_name", "seed", "metric", "row", "epoch", "steps", "value")]
    own = frame[(frame.run_id == 2) & (frame.metric == "Performance")]
    assert own[["row", "epoch", "steps"]].values.tolist() == [[0, 5.0, 1000.0], [1, 6.0, 2000.0]]
    assert own["value"].tolist()[0] == 1.0
    assert math.isnan(own["value"].tolist()[1])
    off = frame[(frame.run_id == 1) & (frame.metric == "Performance")]
    assert off[["epoch", "steps", "value"]].values.tolist() == [[1, 1, -5], [2, 2, -4]]
    assert frame.groupby("metric").size().to_dict() == {"AverageEpRet": 6, "Performance": 6}
    assert db.curves("id=4").empty
    assert list(db.curves("id=4").columns) == list(frame.columns)
    assert set(db.curves(metrics="Note")["run_id"]) == {2, 3}


def test_configs_evaluations_compare(db: Database) -> None:
    configs = db.configs("id=2")
    assert configs.set_index("key").loc["clip_ratio", "number"] == 0.2
    played = db.evaluations()
    assert played[["run_id", "episode", "ep_return", "ending"]].values.tolist() == [
        [2, 0, 2.5, "terminated"],
        [2, 1, 3.5, "cut"],
    ]
    ranked = db.compare("algo=ppo", summary="max", group_by=["algo"])
    assert ranked.loc["algo=ppo", "n"] == 2
    assert ranked.loc["algo=ppo", "mean"] == 1.0
    assert db.compare("id=-1").empty


def test_plot(db: Database) -> None:
    figure = db.plot("algo=ppo", ["Performance", "TotalEnvInteracts"], axis="epoch", per_run=True)
    assert len(figure.axes) == 2
    assert figure.axes[0].get_xlabel() == "Epoch"
    with pytest.raises(UsageError, match="unexpected keyword"):
        db.plot("", colour="red")


def test_a_notebook_shows_it(db: Database) -> None:
    assert "<td>4</td>" in db._repr_html_()
    assert db.location in repr(db)


@pytest.mark.sqlite
def test_there_must_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    with pytest.raises(DatabaseError, match="no database at"):
        spindb.open()


@pytest.mark.sqlite
def test_opening_imports_no_data_frames(db: Database) -> None:
    code = f"import sys, spindb; db = spindb.open({db.location!r}); db.ids('seed=0'); print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(result.stdout.split()).isdisjoint({"pandas", "numpy", "matplotlib", "tensorflow"})


def test_what_is_missing_is_named(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(spindb.errors.SpindbError, match="this needs pandas") as caught:
        db.runs()
    assert caught.value.hint == install_command("pandas")
