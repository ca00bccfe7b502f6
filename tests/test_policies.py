"""Published policies: saves without metrics. What is one, what is none, and that it is found and played."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torchlike
from conftest import REPOSITORY, Outcome, rows_of, settle
from test_algorithms import module
from test_reading import found_under, saved_model

from spindb.disk.formats import layout_named, read_run, recognise
from spindb.disk.scan import Foreign, scan

Cli = Callable[..., Outcome]
RUN = REPOSITORY / "examples" / "data" / "cartpole-ppo_lr0-003" / "cartpole-ppo_lr0-003_s0"
GRAPH = saved_model({"pi": "pi:0", "v": "v:0"})
MODULE = torchlike.zipped(module("spinup.algos.pytorch.ppo.core.MLPActorCritic"))


def place(directory: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(content)
    settle(directory)
    return directory


POLICIES: list[dict[str, bytes]] = [
    {"config.json": b"{}", "simple_save/saved_model.pb": GRAPH},
    {"simple_save/saved_model.pb": GRAPH},
    {"vars.pkl": b"", "tf1_save7/saved_model.pb": GRAPH},
    {"vars.pkl": b"", "pyt_save/model.pt": MODULE},
    {"pyt_save/model12.pt": MODULE},
    {"config.json": b"{}", "checkpoint/saved_model.pb": GRAPH},
    {"vars3.pkl": b"", "checkpoint3/saved_model.pb": GRAPH},
    {"simple_save/saved_model.pb": GRAPH, "events.out.tfevents.1": b""},
]
NONE: list[dict[str, bytes]] = [
    {"checkpoint/saved_model.pb": GRAPH},
    {"config.json": b"{}", "checkpoint/weights.bin": b""},
    {"config.json": b"{}", "variables/variables.index": b""},
    {"config.json": b"{}", "model.pt": MODULE},
    {"config.json": b"{}", "simple_save/notes.txt": b""},
    {"config.json": b"{}", "pyt_save/weights.pth": MODULE},
    {"config.json": b"{}", "pyt_save": b""},
    {"config.json": b"{}", "vars.pkl": b""},
]


@pytest.mark.parametrize("files", POLICIES)
def test_b7_a_save_without_metrics_is_a_policy(tmp_path: Path, files: dict[str, bytes]) -> None:
    directory = place(tmp_path / "data" / "hopper_s3", files)
    assert found_under(tmp_path) == ["data/hopper_s3"]
    found = recognise(os.listdir(directory), directory)
    assert found is not None
    record = read_run(found, directory, "x")
    assert (record.status, record.rows, record.metrics, record.updated_at) == ("policy", 0, (), None)
    assert (record.exp_name, record.seed, len(record.snapshots)) == ("hopper", 3, 1)
    assert {p.code for p in record.problems} <= {"config-missing", "state-unreadable", "snapshot-unloadable"}


@pytest.mark.parametrize("files", NONE)
def test_b7_what_other_programs_write_is_none(tmp_path: Path, files: dict[str, bytes]) -> None:
    directory = place(tmp_path / "data" / "thing", files)
    assert found_under(tmp_path) == []
    assert recognise(os.listdir(directory), directory) is None


def test_b7_saves_within_a_run_and_of_other_loggers_are_none(
    run_directory: Callable[..., Path], tmp_path: Path
) -> None:
    save = {"vars.pkl": b"", "simple_save/saved_model.pb": GRAPH}
    run = run_directory("exp/exp_s0", files={"tf1_save/saved_model.pb": GRAPH, "tf1_save/vars.pkl": b""})
    place(run / "backup", save)
    place(tmp_path / "data" / "rllab", {"progress.csv": b"", "variant.json": b"", **save})
    place(tmp_path / "data" / "published" / "inner", save)
    place(tmp_path / "data" / "published", save)
    assert found_under(tmp_path) == ["data/exp/exp_s0", "data/published", "data/published/inner"]
    assert [f.label for f in scan(tmp_path) if isinstance(f, Foreign)] == ["progress.csv + variant.json"]


@pytest.fixture
def published(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy of the examples, published without its metrics, ingested."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    shutil.copytree(RUN, tmp_path / "data" / "policy_s0")
    (tmp_path / "data" / "policy_s0" / "progress.txt").unlink()
    settle(tmp_path / "data")
    outcome = cli("ingest", "data")
    assert outcome.code == 0, outcome.err
    return tmp_path


def test_b7_a_policy_is_found_by_queries_and_shown(published: Path, cli: Cli) -> None:
    assert rows_of(published / "spindb.db", "SELECT status, rows, algo, env_id, seed FROM runs") == [
        ("policy", 0, "ppo", "CartPole-v1", 0)
    ]
    (row,) = json.loads(cli("runs", "status=policy", "snapshots>0", "--json").out)
    assert row["name"] == "policy_s0"
    assert "(policy)" in cli("runs").out
    assert "policy" in cli("show", "policy_s0").out
    assert cli("doctor").code in (0, 1)
    assert "empty" not in cli("doctor").out
    assert "0 new, 0 changed, 1 unchanged" in cli("ingest", "data").err


def test_b7_a_policy_that_becomes_a_run_keeps_its_id(published: Path, cli: Cli) -> None:
    shutil.copy(RUN / "progress.txt", published / "data" / "policy_s0" / "progress.txt")
    assert "1 changed" in cli("ingest", "data").err
    assert rows_of(published / "spindb.db", "SELECT id, status, rows > 0 FROM runs") == [(1, "ok", 1)]


@pytest.mark.slow
def test_b7_a_policy_is_swept_and_the_best_is_named(published: Path, cli: Cli) -> None:
    swept = cli("sweep", "policy_s0", "-n", "2", "--jobs", "1")
    assert swept.code == 0, swept.err
    assert len(rows_of(published / "spindb.db", "SELECT itr FROM evaluations")) == 2
    best = cli("best", "--json")
    assert best.code == 0, best.err
    assert "policy_s0" in best.out
    played = cli("test-policy", published / "data" / "policy_s0", "-n", "1", "--norender")
    assert played.code == 0, played.err


def test_b7_the_reader_named_outright_says_what_lacks(tmp_path: Path) -> None:
    directory = place(tmp_path / "half", {"config.json": b"{}", "tf1_save/variables/variables.index": b""})
    record = read_run(layout_named("spinningup"), directory, "x")
    assert [s.unloadable is not None for s in record.snapshots] == [True]
