"""What saved policies take on disk, as a field of queries and by ``spindb du``."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torchlike
from conftest import Outcome
from test_engines import EXAMPLE

Cli = Callable[..., Outcome]


def size_of(place: Path) -> int:
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


@pytest.fixture
def pile(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with two snapshots, its copy, and a run without a policy."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data dir"
    for name in ("a_s0", "b copy"):
        shutil.copytree(EXAMPLE, data / name, copy_function=shutil.copy2)
    (data / "c_s0").mkdir()
    (data / "c_s0" / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t1\n")
    assert cli("ingest", data).code in (0, 1)
    return data


def test_du_lists_who_takes_what(pile: Path, cli: Cli) -> None:
    total = sum(size_of(pile / "a_s0" / save) for save in ("tf1_save0", "tf1_save10"))
    rows = json.loads(cli("du", "--json").out)
    assert [(row["id"], row["size"], row["copy_of"], row["between"]) for row in rows] == [
        (1, total, None, ["tf1_save0"]),
        (2, total, 1, ["tf1_save0"]),
    ]
    found = cli("du")
    assert "copy of 1" in found.out
    assert "2 runs with" in found.err
    assert "--commands copies prints what would remove it" in found.err
    assert cli("du", "c_s0").err == "no saved policy\n"


def test_du_prints_commands_and_executes_none(pile: Path, cli: Cli) -> None:
    before = sorted(map(str, pile.rglob("*")))
    lines = cli("du", "--commands", "between").out.splitlines()
    assert [shlex.split(line)[3] for line in lines] == [str(pile / "a_s0" / n) for n in ("tf1_save0", "vars0.pkl")]
    copies = cli("du", "--commands", "copies")
    assert copies.out == f"rm -r -- '{pile / 'b copy'}'\n"
    assert "none ran" in copies.err
    assert sorted(map(str, pile.rglob("*"))) == before
    assert cli("du", "--commands", "all").code == 2


def test_a_twin_counts_and_goes_with_its_module(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saves = tmp_path / "data" / "a_s0" / "pyt_save"
    saves.mkdir(parents=True)
    (saves.parent / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t1\n1\t2\n")
    (saves.parent / "config.json").write_text("{}")
    network = torchlike.sequence(torchlike.linear(np.ones((2, 3)), np.ones(2)))
    for itr in (0, 1):
        (saves / f"model{itr}.pt").write_bytes(torchlike.zipped(torchlike.Network("a.Critic", {"pi": network})))
    (saves / "model0.onnx").write_bytes(bytes(1000))
    assert cli("ingest", "data").code == 0
    (row,) = json.loads(cli("du", "--json").out)
    assert row["size"] == size_of(saves)
    removed = [shlex.split(line)[3] for line in cli("du", "--commands", "between").out.splitlines()]
    assert removed == [str(saves / name) for name in ("model0.pt", "model0.onnx")]


def test_what_was_evaluated_or_is_the_latest_stays(pile: Path, cli: Cli) -> None:
    assert cli("test-policy", "1", "--itr", "0", "-nr", "-n", "1").code == 0
    (row, _) = json.loads(cli("du", "--json").out)
    assert row["between"] == []
    assert cli("du", "--commands", "between").out == ""


def test_size_is_a_field(pile: Path, cli: Cli) -> None:
    total = sum(size_of(pile / "a_s0" / save) for save in ("tf1_save0", "tf1_save10"))
    for filter_, ids in (
        (f"size={total}", ["1"]),
        (f"size={total / 1000}kB", ["1"]),
        (f"size>={total / 1e6}MB", ["1"]),
        ("size>1GB", []),
        ("size<1KiB", ["3"]),
        ("size=0", ["3"]),
        ("size=1B..1TiB", ["1"]),
        ("size!=0 not size>1tb", ["1"]),
    ):
        assert cli("runs", filter_, "--ids").out.split() == ids, filter_
    assert cli("runs", "size>big").code == 2
    assert cli("runs", "--sort", "-size", "--ids").out.split() == ["1", "3"]
