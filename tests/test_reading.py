"""Run directories: what is found, and what one of them says."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torchlike
from conftest import PPO_CONFIG, REPOSITORY, plain_pickle, settle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torchlike import SMALLEST as WHOLE

from spindb.disk import limits
from spindb.disk.codecs.savedmodel import SavedModelError, check_variables, read_signature
from spindb.disk.formats import read_run, recognise
from spindb.disk.scan import FoundRun, check_root, scan
from spindb.errors import NotFoundError, UsageError
from spindb.records import Problem, RunRecord

Write = Callable[..., Path]


def read(directory: Path) -> RunRecord:
    found = recognise(os.listdir(directory))
    assert found is not None
    return read_run(found, directory, "x")


def found_under(root: Path) -> list[str]:
    return [run.path for run in scan(root) if isinstance(run, FoundRun)]


def field(number: int, value: bytes) -> bytes:
    """A length-delimited field of a protocol buffer (lengths under 128)."""
    return bytes([number << 3 | 2, len(value)]) + value


def saved_model(outputs: dict[str, str]) -> bytes:
    """``saved_model.pb`` with a signature and nothing else."""
    tensors = b"".join(field(2, field(1, k.encode()) + field(2, field(1, v.encode()))) for k, v in outputs.items())
    tensors += field(1, field(1, b"x") + field(2, field(1, b"Placeholder:0")))
    signature = field(5, field(1, b"serving_default") + field(2, tensors))
    return b"\x08\x01" + field(2, field(1, field(5, b"1.15.5")) + signature)


def test_a_whole_run(run_directory: Write) -> None:
    record = read(run_directory("ppo/ppo_s3", config=PPO_CONFIG | {"seed": 3}))
    assert (record.name, record.exp_name, record.seed, record.algo) == ("ppo_s3", "ppo", 3, "ppo")
    assert (record.status, record.rows, record.axis, record.performance) == ("ok", 2, "Epoch", "AverageEpRet")
    assert record.problems == ()


def test_name_and_seed_where_the_config_is_silent(run_directory: Write) -> None:
    record = read(run_directory("2026-11-22_vpg/2026-11-22_13-38-39-vpg_s10"))
    assert (record.exp_name, record.seed) == ("vpg", 10)
    assert [p.code for p in record.problems] == ["config-missing"]
    assert read(run_directory("plain")).seed is None


def test_the_axis_needs_different_whole_numbers(run_directory: Write) -> None:
    assert read(run_directory("a", rows=[(0, 1), (0, 2)])).axis is None
    assert read(run_directory("b", rows=[(0.5, 1), (1.5, 2)])).axis is None
    assert read(run_directory("c", header=("epoch", "X"))).axis == "epoch"


def test_runs_inside_runs_and_saves_that_are_none(run_directory: Write, tmp_path: Path) -> None:
    run_directory("exp/exp_s0", files={"tf1_save/progress.txt": b"no run", "pyt_save/progress.txt": b"no run"})
    run_directory("exp/exp_s0/backup")
    run_directory("tf1_save_study/a_s0")
    assert found_under(tmp_path / "data") == ["exp/exp_s0", "exp/exp_s0/backup", "tf1_save_study/a_s0"]
    assert found_under(tmp_path / "data" / "exp" / "exp_s0") == [".", "backup"]


def test_links_are_followed_once_and_loops_end(run_directory: Write, tmp_path: Path) -> None:
    run = run_directory("a/a_s0")
    (tmp_path / "elsewhere" / "b_s0").mkdir(parents=True)
    (tmp_path / "elsewhere" / "b_s0" / "progress.txt").write_bytes(b"")
    data = tmp_path / "data"
    (data / "link").symlink_to(tmp_path / "elsewhere")
    (data / "link2").symlink_to(tmp_path / "elsewhere")
    (run / "loop").symlink_to(data)
    (data / "up").symlink_to(tmp_path)
    (data / "dangling").symlink_to(tmp_path / "nowhere")
    assert found_under(data) == ["a/a_s0", "link/b_s0"]


@pytest.mark.sqlite
def test_a_directory_that_cannot_be_listed_is_said(run_directory: Write, tmp_path: Path, unprivileged: None) -> None:
    run_directory("a/a_s0")
    hidden = run_directory("b/b_s0").parent
    hidden.chmod(0)
    with pytest.raises(UsageError, match="permission denied"):
        check_root(hidden)
    found = list(scan(tmp_path / "data"))
    hidden.chmod(0o755)
    assert [type(f) for f in found] == [FoundRun, Problem]
    assert isinstance(found[1], Problem)
    assert (found[1].code, found[1].path) == ("unreadable-directory", "b")


@pytest.mark.sqlite
def test_a_file_that_cannot_be_read_is_said(run_directory: Write, unprivileged: None) -> None:
    run = run_directory(config={})
    (run / "progress.txt").chmod(0)
    record = read(run)
    assert record.status == "broken"
    assert record.problems[0] == Problem("unreadable-file", "can't be read: Permission denied", "progress.txt")


NAMES = st.sampled_from(["a", "b", "progress.txt", "config.json", "tf1_save", "tf1_save3", "pyt_save", "vars.pkl", "é"])
TREES = st.recursive(st.binary(max_size=20), lambda inner: st.dictionaries(NAMES, inner, max_size=4), max_leaves=25)


def build(tree: object, place: Path) -> None:
    """Files for bytes, directories for mappings."""
    if isinstance(tree, bytes):
        place.write_bytes(tree)
    elif isinstance(tree, dict):
        place.mkdir()
        for name, inner in tree.items():
            build(inner, place / name)


def runs_in(tree: object, path: str = "") -> list[str]:
    """What the scan must find: directories with a progress.txt, save directories of runs left out."""
    if not isinstance(tree, dict):
        return []
    is_run = "progress.txt" in tree
    saves = ("tf1_save", "tf1_save3", "pyt_save") if is_run else ()
    below = [runs_in(tree[n], f"{path}/{n}".lstrip("/")) for n in sorted(tree) if n not in saves]
    return [path or "."] * is_run + [found for part in below for found in part]


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(NAMES, TREES, max_size=4))
def test_any_tree_is_scanned_and_each_run_read(tree: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as place:
        build(tree, Path(place, "data"))
        root = Path(place, "data")
        assert found_under(root) == runs_in(tree)
        for path in found_under(root):
            record = read(root / path)
            assert record.status in ("ok", "empty", "broken")


def test_roots_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotFoundError, match="no such directory"):
        check_root(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="is a file"):
        check_root(tmp_path / "file")


def test_signatures_follow_what_matters(run_directory: Write, tmp_path: Path) -> None:
    run = run_directory("a/a_s0", config={}, files={"pyt_save/model.pt": WHOLE, "notes.txt": b"mine"})

    def signature() -> tuple[str, bool]:
        (found,) = scan(tmp_path / "data")
        assert isinstance(found, FoundRun)
        return found.signature, found.settled

    first = signature()
    assert first[1]
    (run / "notes.txt").write_text("more")
    assert signature() == first
    (run / "pyt_save" / "model.pt").write_bytes(torchlike.zipped(torchlike.Network("someone.Net")))
    changed = signature()
    assert changed[0] != first[0]
    assert not changed[1]  # written just now: may change again within the same mtime
    settle(run)
    assert signature()[1]


def test_a_state_that_was_not_saved_is_a_problem_with_its_reason(run_directory: Write) -> None:
    record = read(run_directory(config={}, files={"vars3.pkl.problem": b"PicklingError: a lambda\n"}))
    (problem,) = record.problems
    assert (problem.code, problem.path) == ("state-not-saved", "vars3.pkl.problem")
    assert "PicklingError: a lambda" in problem.message


def test_a_broken_state_is_a_problem_and_the_config_still_tells(run_directory: Write) -> None:
    record = read(run_directory(config={"env_name": "Hopper-v2"}, files={"vars.pkl": b"\x80\x03}q"}))
    assert [p.code for p in record.problems] == ["state-unreadable"]
    assert (record.env.id, record.env.source) == ("Hopper-v2", "config")


def test_numbered_snapshots_with_their_states(run_directory: Write) -> None:
    files = {
        "pyt_save/model10.pt": WHOLE,
        "pyt_save/model0.pt": WHOLE,
        "pyt_save/model None.pt": WHOLE,
        "pyt_save/vars0.pkl": plain_pickle({}),
        "vars10.pkl": plain_pickle({}),
    }
    record = read(run_directory(config={}, rows=[(0, 1), (10, 2)], files=files))
    assert [(s.itr, s.path, s.state_path) for s in record.snapshots] == [
        (0, "pyt_save/model0.pt", "pyt_save/vars0.pkl"),
        (10, "pyt_save/model10.pt", "vars10.pkl"),
    ]


UNLOADABLE = [
    ({"tf1_save/variables/variables.index": b""}, "saved_model.pb is missing"),
    ({"tf1_save/saved_model.pb": b""}, "holds no graph"),
    ({"tf1_save/saved_model.pb": saved_model({"pi": "pi:0"})[:-5]}, "cut off"),
    ({"tf1_save/saved_model.pb": saved_model({"pi": "pi:0"})}, "variables.index is missing"),
    (
        {"tf1_save/saved_model.pb": saved_model({"pi": "pi:0"}), "tf1_save/variables/variables.index": b"x" * 99},
        "variables.index is cut off",
    ),
    ({"pyt_save/model.pt": b""}, "no saved module: 0 bytes"),
    ({"pyt_save/model.pt": b"version https://git-lfs.github.com/spec/v1\n"}, "git-LFS pointer"),
    ({"pyt_save/model.pt": b"PK\x03\x04 cut"}, "zip container is cut off"),
    ({"pyt_save/model.pt": b"hello"}, "neither zip nor pickle"),
]


@pytest.mark.parametrize(("files", "reason"), UNLOADABLE)
def test_half_written_saves_are_recognised(run_directory: Write, files: dict[str, bytes], reason: str) -> None:
    record = read(run_directory(config={}, files=files))
    (snapshot,) = record.snapshots
    assert snapshot.unloadable is not None
    assert reason in snapshot.unloadable
    assert [p.code for p in record.problems] == ["lfs-pointer" if "LFS" in reason else "snapshot-unloadable"]


def test_signature_and_model_info() -> None:
    found = read_signature(saved_model({"pi": "pi/Squeeze:0", "v": "v/Squeeze:0"}))
    assert found.inputs == {"x": "Placeholder:0"}
    assert found.outputs == {"pi": "pi/Squeeze:0", "v": "v/Squeeze:0"}
    assert found.tensorflow == "1.15.5"


def test_model_info_goes_before_the_signature(run_directory: Write) -> None:
    info = {"inputs": {"x": "obs:0"}, "outputs": {"pi": "act:0"}}
    files = {"tf1_save/saved_model.pb": saved_model({"pi": "pi:0"})}
    record = read(run_directory("a", config={}, files=files))
    assert record.snapshots[0].outputs == {"pi": "pi:0"}
    record = read(run_directory("b", config={}, files=files | {"tf1_save/model_info.pkl": plain_pickle(info)}))
    assert (record.snapshots[0].inputs, record.snapshots[0].outputs) == (info["inputs"], info["outputs"])
    record = read(run_directory("c", config={}, files=files | {"tf1_save/model_info.pkl": b"\x80"}))
    assert record.snapshots[0].outputs == {"pi": "pi:0"}


def stale(record: RunRecord) -> dict[str, bool]:
    return {s.path: s.stale is not None for s in record.snapshots}


def variables(name: str, size: int) -> dict[str, bytes]:
    return {f"{name}/variables/variables.data-00000-of-00001": b"v" * size}


def test_stale_by_time(run_directory: Write) -> None:
    run = run_directory(config={}, files={"pyt_save/model20.pt": WHOLE, "pyt_save/model0.pt": WHOLE})
    then = time.time() - 7200
    os.utime(run / "pyt_save" / "model20.pt", (then, then))
    assert stale(read(run)) == {"pyt_save/model0.pt": False, "pyt_save/model20.pt": True}


def test_stale_without_times(run_directory: Write) -> None:
    """As a copy leaves it: all times equal, an unnumbered save, numbers beyond the last epoch."""
    files = variables("simple_save", 10) | variables("simple_save0", 20) | variables("simple_save20", 20)
    assert stale(read(run_directory(config={}, files=files))) == {
        "simple_save": False,
        "simple_save0": True,
        "simple_save20": True,
    }


def test_fresh_numbers_are_not_stale(run_directory: Write) -> None:
    by_steps = variables("tf1_save1000", 10) | variables("tf1_save2000", 10)  # numbered by steps, not epochs
    assert not any(stale(read(run_directory("a", config={}, files=by_steps))).values())
    ahead = variables("tf1_save", 10) | variables("tf1_save2", 10)  # saved before its row was written
    assert not any(stale(read(run_directory("b", config={}, files=ahead))).values())


def test_variables_that_are_not_whole(tmp_path: Path) -> None:
    with pytest.raises(SavedModelError, match="missing"):
        check_variables(tmp_path)


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("name", ["progress.txt", "config.json"])
def test_b2_a_run_whose_metrics_or_config_is_a_pointer_is_broken(run_directory: Write, name: str) -> None:
    run = run_directory("a_s0", config={"seed": 1})
    (run / name).write_bytes(POINTER)
    record = read(run)
    assert record.status == "broken"
    (problem,) = [p for p in record.problems if p.code == "lfs-pointer"]
    assert (problem.path, "git lfs pull" in problem.message) == (name, True)
    assert [c.name for c in record.metrics] == ([] if name == "progress.txt" else ["Epoch", "AverageEpRet"])
    assert record.seed == (1 if name == "progress.txt" else 0)


@pytest.mark.parametrize(
    "name",
    [
        *("full-config.json", "config.yml", "vars.pkl", "pyt_save/model.pt", "tf1_save/saved_model.pb"),
        *("simple_save/variables/variables.index", "tf1_save3/saved_model.pb"),
    ],
)
def test_b2_a_pointer_in_the_place_of_any_other_file_is_said(run_directory: Write, name: str) -> None:
    whole = {f"{name.partition('/')[0]}/saved_model.pb": saved_model({"pi": "pi:0"})} if "save" in name else {}
    record = read(run_directory("a", config={}, files={**whole, name: POINTER}))
    messages = [p.message for p in record.problems if p.code == "lfs-pointer"]
    assert len(messages) == 1
    assert "git lfs pull" in messages[0]


def test_the_limits_are_those_of_the_page() -> None:
    page = (REPOSITORY / "docs" / "formats.md").read_text()
    said = {
        name: int(number.replace(",", ""))
        for number, name in re.findall(r"^\| ([\d,]+)[^|]*\|[^|]*\| `([A-Z_]+)` \|$", page, re.M)
    }
    known = {name: value for name, value in vars(limits).items() if name.isupper() and isinstance(value, int)}
    assert said == {name: value for name, value in known.items() if not name.startswith("_")}


@pytest.mark.parametrize(
    ("epochs", "rows", "said"),
    [(1, 2, False), (1, 3, True), (5, 10, False), (5, 11, True), (0, 3, False), (None, 3, False), ("5", 11, True)],
)
def test_more_rows_than_twice_the_epochs_are_said(run_directory: Write, epochs: object, rows: int, said: bool) -> None:
    made = run_directory(config={"epochs": epochs, "seed": 0}, rows=[(epoch, 1.5) for epoch in range(rows)])
    assert ("rows-beyond-epochs" in [p.code for p in read(made).problems]) is said
    unnumbered = run_directory("b", config={"epochs": epochs}, header=("X", "Y"), rows=[(1.5, 2.5)] * rows)
    assert "rows-beyond-epochs" not in [p.code for p in read(unnumbered).problems]
