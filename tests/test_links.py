"""Links in a run directory: none is followed out of what was ingested, and none is written through."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PPO_CONFIG, Outcome, rows_of, settle

from spindb.disk.regular import read_regular
from spindb.disk.scan import scan
from spindb.index.database.connect import connected
from spindb.ingest.pipeline import ingest
from spindb.ingest.verify import deviations_from_disk
from spindb.logger import Logger

Write = Callable[..., Path]
Cli = Callable[..., Outcome]
X = [(0, 1.5), (1, 2.5)]
PROBLEMS = "SELECT path, code FROM problems WHERE code = 'link-outside' ORDER BY path"
SECRET = "the-secret"  # noqa: S105


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data"


@pytest.mark.parametrize("name", ["config.json", "vars.pkl", "vars.pkl.problem"])
def test_11_a_link_out_of_the_root_is_not_read(
    run_directory: Write, database: Path, data: Path, tmp_path: Path, name: str
) -> None:
    run = run_directory("a", config=PPO_CONFIG, rows=X)
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"password": SECRET}))
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(secret)
    settle(data)
    ingest(database, [data])
    assert rows_of(database, PROBLEMS) == [(name, "link-outside")]
    assert rows_of(database, "SELECT status, rows FROM runs") == [("ok", 2)]
    written = rows_of(database, "SELECT message FROM problems") + rows_of(database, "SELECT value FROM configs")
    assert SECRET not in str(written)
    ((message,),) = rows_of(database, "SELECT message FROM problems WHERE code = 'link-outside'")
    assert str(secret) in message


@pytest.mark.parametrize("root", [None, "/"])
@pytest.mark.parametrize("target", ["/proc/self/environ", "/proc/self/cmdline"])
def test_11_what_the_kernel_shows_as_files_is_never_read(
    tmp_path: Path, target: str, root: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from spindb.disk.regular import follow_links_within

    follow_links_within(root or tmp_path)
    (tmp_path / "vars.pkl.problem").symlink_to(target)
    with pytest.raises(OSError, match="link"):
        read_regular(tmp_path / "vars.pkl.problem", 1 << 20)
    follow_links_within(tmp_path)


def test_11_links_within_the_root_are_followed(run_directory: Write, database: Path, data: Path) -> None:
    run = run_directory("sub/a", config=PPO_CONFIG, rows=X)
    scratch = data / "scratch"
    scratch.mkdir()
    (run / "progress.txt").rename(scratch / "rows")
    (run / "progress.txt").symlink_to(scratch / "rows")
    settle(data)
    ingest(database, [data])
    assert rows_of(database, "SELECT status, rows FROM runs") == [("ok", 2)]
    assert rows_of(database, PROBLEMS) == []
    (scratch / "rows").write_text((scratch / "rows").read_text() + "2\t9\n")
    ingest(database, [data / "sub"])  # the root is the same, so is the rule
    assert rows_of(database, "SELECT status, rows FROM runs") == [("ok", 3)]
    with connected(database) as connection:
        assert list(deviations_from_disk(connection)) == []


def test_11_a_root_that_is_reached_by_a_link(run_directory: Write, database: Path, data: Path, tmp_path: Path) -> None:
    run = run_directory("a", config=PPO_CONFIG, rows=X)
    (run / "progress.txt").rename(run / "rows")
    (run / "progress.txt").symlink_to("rows")
    (tmp_path / "way").symlink_to(data)
    settle(data)
    ingest(database, [tmp_path / "way"])
    assert rows_of(database, "SELECT status, rows FROM runs") == [("ok", 2)]


def _log(directory: Path) -> Logger:
    with Logger(directory, quiet=True, exp_name="x") as logger:
        logger.save_config({"lr": 0.5})
        for epoch in range(2):
            logger.log_tabular("Epoch", epoch)
            logger.dump_tabular()
        logger.save_state({"env": None})
        logger.save_state({"env": (i for i in ())}, itr=1)
    return logger


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
@pytest.mark.parametrize("kind", ["symbolic", "dangling", "hard"])
@pytest.mark.parametrize("name", ["config.json", "progress.txt", "vars.pkl", "vars1.pkl.problem"])
def test_7_the_logger_writes_through_no_link(tmp_path: Path, kind: str, name: str) -> None:
    other, run = tmp_path / "other", tmp_path / "run"
    for directory in (other, run):
        directory.mkdir()
    theirs = other / name
    content = "" if name == "progress.txt" else '{"theirs": 1}'
    theirs.write_text(content)
    if kind == "hard":
        (run / name).hardlink_to(theirs)
    else:
        (run / name).symlink_to(theirs)
    if kind == "dangling":
        theirs.unlink()
    written = _log(run).output_dir
    assert theirs.exists() == (kind != "dangling")
    assert kind == "dangling" or theirs.read_text() == content
    assert len((written / "progress.txt").read_text().splitlines()) == 3
    assert json.loads((written / "config.json").read_text())["lr"] == 0.5
    for file in ("config.json", "progress.txt", "vars.pkl"):
        assert not (written / file).is_symlink()


@pytest.mark.parametrize("place", ["/proc", "/proc/self/task", "/sys", "/sys/kernel"])
def test_j4_links_to_what_the_kernel_shows_are_not_walked(place: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(place)
    leads: list[Path] = []
    assert list(scan(tmp_path, leads)) == leads == []
    (tmp_path / "link").unlink()
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    assert list(scan(root, leads)) == leads == [], "it leads to what holds the root"
    (root / "other").symlink_to(tmp_path.parent.parent / "elsewhere")
    assert list(scan(root, leads)) == []
    assert leads == [tmp_path.parent.parent / "elsewhere"]


@pytest.mark.sqlite
def test_11_a_link_is_followed_once_a_root_holds_both(
    run_directory: Write, database: Path, data: Path, tmp_path: Path
) -> None:
    inner, other = run_directory("in/a", config=PPO_CONFIG), run_directory("other/b", config=PPO_CONFIG, rows=X)
    (inner / "progress.txt").unlink()
    (inner / "progress.txt").symlink_to(other / "progress.txt")
    settle(data)
    ingest(database, [data / "in"])
    assert rows_of(database, PROBLEMS) == [("progress.txt", "link-outside")]
    ingest(database, [data])
    assert rows_of(database, PROBLEMS) == []
    assert rows_of(database, "SELECT path, rows FROM runs ORDER BY path") == [("in/a", 2), ("other/b", 2)]
    assert ingest(database, [data / "in"]).unchanged == 1


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are UTF-8 elsewhere")
@pytest.mark.sqlite
def test_j12_a_link_to_a_place_that_is_no_utf8_hides_no_run(
    run_directory: Write, database: Path, data: Path, tmp_path: Path
) -> None:
    run_directory("a", config=PPO_CONFIG, rows=X)
    gone = run_directory("z", config=PPO_CONFIG, rows=X)
    settle(data)
    ingest(database, [data])
    shutil.rmtree(gone)
    outside = os.fsencode(tmp_path) + b"/o\xff"
    os.makedirs(outside)
    (data / "link").symlink_to(os.fsdecode(outside))
    summary = ingest(database, [data])
    assert [(found.directory, found.problem.code) for found in summary.problems] == [
        (tmp_path / "o\\xff", "name-not-utf8")
    ]
    assert (summary.unchanged, summary.missing) == (1, 1)
