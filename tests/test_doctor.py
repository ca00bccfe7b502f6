"""What `spindb doctor` finds, on runs that have it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PPO_CONFIG, Outcome, settle

from spindb.index.read.finding_codes import CODES

HEADER = ("Epoch", "AverageEpRet", "Time")


@pytest.fixture
def ward(
    run_directory: Callable[..., Path], cli: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A sound setting of two seeds, and beside it one run of every kind of trouble."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    config = PPO_CONFIG | {"epochs": 3, "env": "CartPole-v1"}
    saved = {"pyt_save/model.pt": b"PK\x03\x04"}

    def write(name: str, rows: int = 3, days: float = 3.0, **changes: object) -> None:
        given = {k: v for k, v in changes.items() if k in ("progress", "files")}
        own = config | {"exp_name": name.partition("_")[0]} | {k: v for k, v in changes.items() if k not in given}
        table = [(epoch, 1.0, 60.0 * (epoch + 1)) for epoch in range(rows)]
        run_directory(name, config=own, header=HEADER, rows=table, **{"files": saved, **given})
        settle(tmp_path / "data" / name, age=days * 86400)

    for number, exp in enumerate(("a", "b", "c")):
        for seed in (0, 1):
            write(f"{exp}_s{seed}", seed=seed, gamma=0.9 + number / 100)
    shutil.rmtree(tmp_path / "data" / "c_s1")
    write("crashed_s0", rows=1, env="A-v0")
    write("stalled_s0", rows=1, days=0.5, env="B-v0")
    write("running_s0", rows=1, days=5 / 86400, env="C-v0")
    write("empty_s0", progress=b"", env="D-v0")
    write("cut_s0", env="E-v0", progress=b"Epoch\tAverageEpRet\tTime\n0\t1.0\t60\n1\t2.0\n2\t3.0\t180\n3\t3.0\t240\n")
    write("diverged_s0", env="F-v0", progress=b"Epoch\tAverageEpRet\n0\t1.0\n1\tnan\n2\tnan\n")
    write("bare_s0", env="G-v0", files={})
    write("again_s0", env="H-v0")
    write("again_s1", env="H-v0", gamma=1.0, seed=0)
    write("again_s2", env="H-v0", gamma=1.0, seed=0, files={**saved, "note.txt": b""})
    progress = tmp_path / "data" / "again_s2" / "progress.txt"
    progress.write_text(progress.read_text().replace("1.0\t60", "1.5\t60"))
    shutil.copytree(tmp_path / "data" / "a_s0", tmp_path / "data" / "z_copy_s0")
    settle(tmp_path / "data" / "z_copy_s0", age=3 * 86400)
    os.utime(progress, (time.time() - 86400 * 3,) * 2)
    cli("ingest", "data")
    return tmp_path


def names(cli: Callable[..., Outcome], code: str) -> list[str]:
    ids = cli("doctor", "--finding", code, "--ids").out.split()
    rows = json.loads(cli("runs", *ids, "--json").out) if ids else []
    return sorted(row["name"] for row in rows)


EXPECTED = {
    "running": ["running_s0"],
    "stalled": ["stalled_s0"],
    "crashed": ["crashed_s0"],
    "empty": ["empty_s0"],
    "broken": [],
    "truncated": ["cut_s0"],
    "nan": ["diverged_s0"],
    "copy": ["z_copy_s0"],
    "twice": ["again_s1", "again_s2"],
    "seeds": ["c_s0"],
    "policyless": ["bare_s0"],
}


@pytest.mark.parametrize("code", EXPECTED)
def test_finding(ward: Path, cli: Callable[..., Outcome], code: str) -> None:
    assert names(cli, code) == EXPECTED[code]


def test_missing_and_unloadable(ward: Path, cli: Callable[..., Outcome]) -> None:
    assert "a_s0" in names(cli, "unloadable")
    shutil.rmtree(ward / "data" / "bare_s0")
    cli("ingest", "data")
    assert cli("doctor", "--finding", "missing", "--ids").out == ""
    assert len(cli("doctor", "--all", "--finding", "missing", "--ids").out.split()) == 1


def test_reports(ward: Path, cli: Callable[..., Outcome]) -> None:
    text = cli("doctor", "env=CartPole-v1").out
    assert "ppo in CartPole-v1 without seed 1: c" in text
    found = json.loads(cli("doctor", "--json").out)
    assert {finding["finding"] for finding in found} <= set(CODES)
    assert all(finding["ids"] == sorted(finding["ids"]) for finding in found)
    unknown = cli("doctor", "--finding", "nonsense", "--ids")
    assert unknown.code == 3
    assert "crashed" in unknown.err
    assert cli("doctor", "id=-1").err == "0 runs, nothing found\n"
