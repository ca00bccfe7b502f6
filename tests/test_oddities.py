"""A disk as researchers have them: each oddity once, with what is made of it spelled out.

The oddities are those met in 1,891 directories of 46 projects, and those that never were and may be.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torchlike
from conftest import Outcome, plain_pickle, rows_of, settle

from spindb.ingest.pipeline import ingest

HEAD = b"Epoch\tAverageEpRet\tTime\n"
ROW0, ROW1, ROW2 = b"0\t10.5\t1.0\n", b"1\t20.5\t2.0\n", b"2\t30.5\t3.0\n"
CLEAN = HEAD + ROW0 + ROW1 + ROW2
CONFIG = b'{"exp_name": "x", "seed": 0, "clip_ratio": 0.2}'
WHOLE = {"config.json": CONFIG, "progress.txt": CLEAN}
ZIP_STUB = b"PK\x03\x04" + b"\0" * 237

LAUGHS = b"a: &a [x, x]\n" + b"".join(b"%c: &%c [*%c, *%c]\n" % (i, i, i - 1, i - 1) for i in range(98, 121))

# Directory -> files; then status, rows, the series of AverageEpRet, codes of problems.
Expected = tuple[str, int, str | None, list[str]]
SERIES = "[10.5,20.5,30.5]"
ODDITIES: dict[str, tuple[dict[str, bytes], Expected]] = {
    "clean": (WHOLE, ("ok", 3, SERIES, [])),
    "zero bytes but a policy": (
        {"config.json": CONFIG, "progress.txt": b"", "pyt_save/model.pt": torchlike.SMALLEST},
        ("empty", 0, None, ["progress-empty"]),
    ),
    "header only": ({"config.json": CONFIG, "progress.txt": HEAD}, ("empty", 0, "[]", ["no-rows"])),
    "no config": ({"progress.txt": CLEAN}, ("ok", 3, SERIES, ["config-missing"])),
    "yaml instead": ({"config.yml": b"seed: 3\nlr: 1.0e-3\n", "progress.txt": CLEAN}, ("ok", 3, SERIES, [])),
    "yaml with objects": (
        {"config.yml": b"a: !!python/object/apply:os.system ['true']\n", "progress.txt": CLEAN},
        ("ok", 3, SERIES, ["config-broken"]),
    ),
    "yaml that laughs": ({"config.yml": LAUGHS, "progress.txt": CLEAN}, ("ok", 3, SERIES, ["config-broken"])),
    "full-config beside": (WHOLE | {"full-config.json": b'{"seed": 9, "extra": 1}'}, ("ok", 3, SERIES, [])),
    "no epoch column": (
        {"config.json": CONFIG, "progress.txt": b"Episode\tAverageEpRet\n7\t10.5\n"},
        ("ok", 1, "[10.5]", []),
    ),
    "epoch repeats": (
        {"config.json": CONFIG, "progress.txt": HEAD + ROW0 + ROW0},
        ("ok", 2, "[10.5,10.5]", ["epoch-repeats"]),
    ),
    "text in cells": (
        {"config.json": CONFIG, "progress.txt": HEAD + b"0\ttensor(25223)\t2 min 55 sec\n"},
        ("ok", 1, "[25223]", ["text-cells", "text-numbers"]),
    ),
    "nan and infinity": (
        {"config.json": CONFIG, "progress.txt": HEAD + b"0\tnan\tinf\n1\t-inf\t\n"},
        ("ok", 2, '["NaN","-Infinity"]', []),
    ),
    "infinity in config": (
        {"config.json": b'{"max": Infinity, "nan": NaN}', "progress.txt": CLEAN},
        ("ok", 3, SERIES, []),
    ),
    "short last row": ({"config.json": CONFIG, "progress.txt": CLEAN + b"3\t4\n"}, ("ok", 3, SERIES, ["ragged-row"])),
    "row that lost its start": (
        {"config.json": CONFIG, "progress.txt": HEAD + ROW0 + b"0.5\t2.0\n" + ROW2},
        ("ok", 2, "[10.5,30.5]", ["ragged-row"]),
    ),
    "two rows glued": (
        {"config.json": CONFIG, "progress.txt": HEAD + ROW0 + ROW1[:-1] + ROW2},
        ("ok", 1, "[10.5]", ["ragged-row"]),
    ),
    "nul bytes at the end": (
        {"config.json": CONFIG, "progress.txt": CLEAN + b"\0" * 50},
        ("ok", 3, SERIES, ["nul-bytes"]),
    ),
    "nul bytes within": (
        {"config.json": CONFIG, "progress.txt": HEAD + ROW0 + b"\0" * 50 + b"\n" + ROW1 + ROW2},
        ("ok", 3, SERIES, ["nul-bytes"]),
    ),
    "no last newline": ({"config.json": CONFIG, "progress.txt": CLEAN[:-1]}, ("ok", 3, SERIES, ["no-final-newline"])),
    "blanks for tabs": (
        {"config.json": CONFIG, "progress.txt": CLEAN.replace(b"\t", b"  ")},
        ("ok", 3, SERIES, ["separator"]),
    ),
    "crlf": ({"config.json": CONFIG, "progress.txt": CLEAN.replace(b"\n", b"\r\n")}, ("ok", 3, SERIES, [])),
    "byte order mark": (
        {"config.json": b"\xef\xbb\xbf" + CONFIG, "progress.txt": b"\xef\xbb\xbf" + CLEAN},
        ("ok", 3, SERIES, []),
    ),
    "latin-1": (
        {"config.json": CONFIG, "progress.txt": HEAD + b"0\t10.5\t\xe9t\xe9\n"},
        ("ok", 1, "[10.5]", ["encoding", "text-cells"]),
    ),
    "utf-16": (
        {"config.json": CONFIG, "progress.txt": CLEAN.decode().encode("utf-16")},
        ("ok", 3, SERIES, ["encoding"]),
    ),
    "header again": (
        {"config.json": CONFIG, "progress.txt": HEAD + ROW0 + HEAD + ROW1 + ROW2},
        ("ok", 3, SERIES, ["repeated-header"]),
    ),
    "column twice": (
        {"config.json": CONFIG, "progress.txt": b"AverageEpRet\tAverageEpRet\n10.5\t1\n"},
        ("ok", 1, "[10.5]", ["duplicate-column"]),
    ),
    "broken json": ({"config.json": CONFIG[:-1], "progress.txt": CLEAN}, ("ok", 3, SERIES, ["config-broken"])),
    "key twice": (
        {"config.json": b'{"seed": 1, "seed": 0}', "progress.txt": CLEAN},
        ("ok", 3, SERIES, ["config-duplicate-key"]),
    ),
    "seed differs_s3": (WHOLE, ("ok", 3, SERIES, ["seed-differs"])),
    "a=1, b (copy)": (WHOLE | {"config.json": b'{"seed": 0}'}, ("ok", 3, SERIES, [])),
    "run with runs": (WHOLE | {"config.json": b'{"seed": 1}'}, ("ok", 3, SERIES, [])),
    "run with runs/backup": (WHOLE | {"config.json": b'{"seed": 2}'}, ("ok", 3, SERIES, [])),
    "save with a state": (
        WHOLE | {"tf1_save/vars.pkl": plain_pickle({}), "tf1_save/progress.txt": CLEAN},
        ("ok", 3, SERIES, ["snapshot-unloadable"]),
    ),
    "lfs pointer": (
        WHOLE
        | {
            "pyt_save/model.pt": b"version https://git-lfs.github.com/spec/v1\n",
            "vars.pkl": b"version https://git-lfs",
        },
        ("ok", 3, SERIES, ["lfs-pointer", "lfs-pointer"]),
    ),
    "state of two bytes": (WHOLE | {"vars.pkl": b"\x80\x03"}, ("ok", 3, SERIES, ["state-unreadable"])),
    "state cut off": (WHOLE | {"vars.pkl": plain_pickle({"env": 1})[:-2]}, ("ok", 3, SERIES, ["state-unreadable"])),
    "zip of 241 bytes": (WHOLE | {"pyt_save/model.pt": ZIP_STUB}, ("ok", 3, SERIES, ["snapshot-unloadable"])),
    "bytes after the pickle": (
        WHOLE | {"vars.pkl": plain_pickle({"env": None}) + b"more"},
        ("ok", 3, SERIES, ["state-unreadable"]),
    ),
    "modules of other names": (
        WHOLE | {"pyt_save/model None.pt": torchlike.SMALLEST, "pyt_save/model 1.pt": torchlike.SMALLEST},
        ("ok", 3, SERIES, ["snapshot-odd-name", "snapshot-odd-name"]),
    ),
}
FOREIGN = {
    "rllab/progress.csv": b"a\n1\n",
    "rllab/variant.json": b"{}",
    "tune/result.json": b"{}",
    "tune/params.json": b"{}",
    "tb/events.out.tfevents.123": b"",
}
GOLDEN = """\
  ragged-row: 2 in 2 directories (data is lost, or may not be what it seems)
    data/full/ragged/progress.txt:3: 2 fields for 3 columns: row left out, nothing shifted
    data/full/z copy/progress.txt:3: 2 fields for 3 columns: row left out, nothing shifted
  no-rows: 1 in 1 directory (can't be read or used)
    data/full/no rows/progress.txt: a header and no row that can be read
  all runs of a code: spindb runs 'problem=ragged-row'; all problems of a run: spindb show RUN
3 runs: 3 new (1 copied), 0 changed, 0 unchanged, 0 missing
3 problems in 3 directories
3 directories of other loggers, not read: progress.csv + variant.json (1), \
TensorBoard events (1), result.json + params.json (1)
database: spindb.db
"""


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    for name, (files, _) in ODDITIES.items():
        write(tmp_path / "data" / name, files)
    settle(tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.sqlite
def test_each_oddity_is_read_as_far_as_it_is_certain(disk: Path, database: Path) -> None:
    summary = ingest(database, [disk])
    assert summary.new == len(ODDITIES)
    found: dict[str, Expected] = {}
    for run_id, path, status, rows in rows_of(database, "SELECT id, path, status, rows FROM runs"):
        series = rows_of(database, f"SELECT series FROM metrics WHERE run_id = {run_id} AND name = 'AverageEpRet'")
        codes = rows_of(database, f"SELECT code FROM problems WHERE run_id = {run_id}")
        found[path] = (status, rows, series[0][0] if series else None, sorted(code for (code,) in codes))
    for name, (_, (status, rows, series, codes)) in ODDITIES.items():
        assert found[name] == (status, rows, series, sorted(codes)), name
    assert ingest(database, [disk]).unchanged == len(ODDITIES)


def test_what_the_odd_ones_say_beyond_that(disk: Path, database: Path) -> None:
    ingest(database, [disk])

    def config(name: str) -> dict[str, str]:
        statement = f"SELECT key, value FROM configs c JOIN runs r ON r.id = c.run_id WHERE r.path = '{name}'"
        return dict(rows_of(database, statement))  # type: ignore[arg-type]

    assert config("yaml instead") == {"seed": "3", "lr": "0.001"}
    assert config("full-config beside")["seed"] == "0"
    assert config("full-config beside")["extra"] == "1"
    assert config("infinity in config") == {"max": "Infinity", "nan": "NaN"}
    assert rows_of(database, "SELECT seed FROM runs WHERE path = 'seed differs_s3'") == [(0,)]
    assert (
        rows_of(database, "SELECT axis FROM runs WHERE path IN ('epoch repeats', 'no epoch column')") == [(None,)] * 2
    )


def test_what_a_person_sees(tmp_path: Path, cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    write(tmp_path / "data" / "full" / "ragged", {"config.json": CONFIG, "progress.txt": HEAD + ROW0 + b"3\t4\n"})
    write(tmp_path / "data" / "full" / "no rows", {"config.json": CONFIG, "progress.txt": HEAD})
    shutil.copytree(tmp_path / "data" / "full" / "ragged", tmp_path / "data" / "full" / "z copy")
    write(tmp_path / "data", FOREIGN)
    (tmp_path / "data" / "full" / "z copy" / "config.json").write_bytes(CONFIG)
    settle(tmp_path)
    outcome = cli("ingest", "data", "--db", "spindb.db")
    assert outcome.code == 1
    assert outcome.err == GOLDEN
