"""J6, J7, J12: what leaves for a terminal, a pipe, a full disk; and files that are written whole."""

from __future__ import annotations

import ast
import csv
import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

import pytest
from conftest import PPO_CONFIG, REPOSITORY, Outcome

import spindb
from spindb.errors import UsageError
from spindb.files import atomic_write
from spindb.ingest.pipeline import ingest
from spindb.printable import printable, printable_json, printable_message, printable_styled

Write = Callable[..., Path]
Cli = Callable[..., Outcome]

HOSTILE = "\x1b]0;pwned\x07\x1b[31mred\x9b2J\u202egnp.exe\u2066\u200b\ufeff[red]é价格🙂\r\tend"
SPELLED = "\\x1b]0;pwned\\x07\\x1b[31mred\\x9b2J\\u202egnp.exe\\u2066\\u200b\\ufeff[red]é价格🙂\\r\\tend"
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
OWN_STYLE = re.compile("\x1b\\[[0-9;]*m")


def test_j6_what_can_not_be_seen_is_spelled_out() -> None:
    assert printable(HOSTILE) == SPELLED
    assert printable("a\nb\x85\u2028") == "a\\nb\\x85\\u2028"
    assert printable("x\udcff\ud800") == "x\\udcff\\ud800"
    assert printable("\u3164\u034f\U000e0041") == "\\u3164\\u034f\\U000e0041"
    for text in ("é", "e\u0301", "价格", "🙂", "👨\u200d👩\u200d👧", "❤\ufe0f", "≤ ± … ▁▂", "Ω"):
        assert printable(text) == text
    assert printable("a\u200db") == "a\\u200db"
    assert json.loads(printable_json(json.dumps({"a": HOSTILE + "\U000e0041"}, ensure_ascii=False))) == {
        "a": HOSTILE + "\U000e0041"
    }
    assert printable_styled("\x1b[1mhead\x1b[0m\n\x1b[2Jx") == "\x1b[1mhead\x1b[0m\n\\x1b[2Jx"
    assert printable_message("one\n  two\nerror: three") == "one\n  two\\nerror: three"


_DOOR = "spindb/cli/terminal/door.py"
_OF_SIGNALS = ("spindb/__main__.py", "spindb/signals.py")  # the name of a signal, where no door is loaded
_OF_TRAINING = ("spindb/logger/", "spindb/demo/")  # print what the user's own program logs


# A script's own stdout, on which the original prints: which action, and where it logs.
_ALLOWED = {("print", "spindb/spinup.py"), *(("os.write", name) for name in _OF_SIGNALS)}
_STREAM = re.compile(r"(sys\.)?(std(out|err)|__std(out|err)__)\b")


def _writes(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Calls that write to the terminal past the door."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        past = (
            called in ("print", "os.write")
            or re.fullmatch(r"(typer|click|rich)\.(echo|secho|print)", called)
            or (_STREAM.match(called) and not called.endswith((".isatty", ".fileno", "stdin.read")))
            or re.search(r"(console|bar|live)\.(print|log)$", called)
            or (called == "csv.writer" and _STREAM.match(ast.unparse(node.args[0])))
        )
        if past:
            yield node.lineno, called


def test_j6_nothing_is_printed_past_the_door() -> None:
    found = []
    for path in sorted((REPOSITORY / "spindb").rglob("*.py")):
        name = path.relative_to(REPOSITORY).as_posix()
        if name == _DOOR or name.startswith(_OF_TRAINING):
            continue
        writes = _writes(ast.parse(path.read_text()))
        found += [f"{name}:{line}: {what}" for line, what in writes if (what, name) not in _ALLOWED]
    assert found == []


@pytest.fixture
def hostile(run_directory: Write, database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Two runs whose names, hyperparameters, metrics and notes try everything; returns the database."""
    name = HOSTILE.replace("/", "")
    for seed in (0, 1):
        config = PPO_CONFIG | {"exp_name": name, "seed": seed, name: name, "lr": f"{name}{seed}", "env": "X\x1b[31m-v0"}
        run_directory(
            f"{name}\n{seed}",
            config=config,
            header=("Epoch", "AverageEpRet", "odd\x1b[31m\u202e"),
            rows=[(0, 1.0, "t\x1b[31m"), (1, 2.5, 3)],
            files={"model_info\x1b.pkl": b""},
        )
    run_directory("broken\x1b[31m\n", progress=b"Epoch\tA\n1\t2\t3\x1b[31m\n\x1b]0;x\x07\n", config="{")
    ingest(database, [tmp_path / "data"])
    monkeypatch.chdir(tmp_path)
    return database


COMMANDS: tuple[tuple[str, ...], ...] = (
    ("ingest", "data"),
    ("db", "rebuild"),
    ("runs",),
    ("runs", "--all", "--columns", "+exp_name,+lr,+root,+path"),
    ("runs", "exp_name=nothing\x1b[31m"),
    ("show", "1"),
    ("show", "3"),
    ("show", "1", "--json"),
    ("path", "nothing\x1b[31m"),
    ("snapshots", "1"),
    ("diff", "1", "2"),
    ("diff", "1", "2", "--json"),
    ("params",),
    ("params", "--json"),
    ("metrics",),
    ("compare",),
    ("compare", "--json"),
    ("compare", "--group-by", "lr"),
    ("doctor",),
    ("plot", "--terminal"),
    ("plot", "--terminal", "-y", "odd\x1b[31m\u202e"),
    ("note", "1", HOSTILE),
    ("note", "1", "--list"),
    ("note", "--delete", "1"),
    ("query", "save", "q", "exp_name~'*\x1b[31m*'"),
    ("query", "list"),
    ("sql", "SELECT name, exp_name AS '\x1b[31m' FROM runs"),
    ("sql", "SELECT '\x1b[31m"),
    ("export", "runs", "--format", "jsonl"),
    ("best",),
    ("db", "info"),
    ("db", "check", "--deep"),
    ("relocate", "a\x1b[31m", "b\x1b[31m"),
    ("test-policy", "1", "-nr"),
    ("sweep", "1"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_j6_no_command_lets_an_escape_through(hostile: Path, cli: Cli, command: tuple[str, ...]) -> None:
    outcome = cli("--db", hostile, *command)
    assert outcome.code in (0, 1, 2, 3, 4, 5), outcome
    for text in (outcome.out, outcome.err):
        assert not UNSEEN.search(text), UNSEEN.findall(text)


def test_j6_a_name_is_one_line(hostile: Path, cli: Cli) -> None:
    lines = cli("--db", hostile, "runs", "--columns", "id,name", "--all").out.splitlines()
    assert len(lines) == 2 + 3
    found = cli("--db", hostile, "path", "1")
    assert (found.code, found.out) == (2, "")
    assert "line end" in found.err
    assert all(line.startswith(" ") or ":" in line[:30] for line in cli("--db", hostile, "show", "3").err.splitlines())


def in_terminal(command: list[str], cwd: Path) -> str:
    """What a command prints in a terminal of 200 columns."""
    leader, follower = pty.openpty()
    import fcntl
    import struct
    import termios

    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "spindb", *command], stdin=follower, stdout=follower, stderr=follower, cwd=cwd
    )
    os.close(follower)
    read = b""
    while process.poll() is None or select.select([leader], [], [], 0.1)[0]:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                chunk = os.read(leader, 65536)
            except OSError:
                break
            if not chunk:
                break
            read += chunk
    os.close(leader)
    process.wait()
    return read.decode()


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.parametrize(
    "command",
    [
        ["runs"],
        ["runs", "--csv"],
        ["runs", "--json"],
        ["show", "1"],
        ["plot", "--terminal"],
        ["export", "runs"],
        ["path", "1"],
        ["ingest", "data"],
        ["db", "dump"],
    ],
    ids=" ".join,
)
def test_j6_in_a_terminal_only_our_own_style_is_an_escape(hostile: Path, tmp_path: Path, command: list[str]) -> None:
    text = in_terminal(["--db", str(hostile), *command], tmp_path)
    rest = re.sub(r"\x1b\[[0-9;?]*[mKhlA-D]", "", text.replace("\r", ""))
    assert not UNSEEN.search(rest), UNSEEN.findall(rest)
    assert "\x1b[31mred" not in text


def test_j6_csv_in_a_pipe_is_as_it_is_and_spreadsheets_can_be_spared(
    run_directory: Write, database: Path, cli: Cli
) -> None:
    tricky = {"a": "=1+1", "b": "+x", "c": "-2", "d": "@x", "e": "\tx", "f": "-x", "g": "x=1", "h": [-1]}
    run_directory("=cmd|x", config=PPO_CONFIG | tricky)
    ingest(database, [run_directory("=cmd|x", config=PPO_CONFIG | tricky).parent])
    rows = {
        row["key"]: row["value"] for row in csv.DictReader(StringIO(cli("--db", database, "export", "configs").out))
    }
    assert rows["a"] == '"=1+1"'
    plain = next(csv.DictReader(StringIO(cli("--db", database, "export", "runs").out)))
    spared = next(csv.DictReader(StringIO(cli("--db", database, "export", "runs", "--spreadsheet").out)))
    assert plain["name"] == "=cmd|x"
    assert spared["name"] == "'=cmd|x"
    from spindb.views.jsonable import spreadsheet_cell

    for text in ("=1", "+x", "-x", "@x", "\tx", "\rx", "-inf-"):
        assert spreadsheet_cell(text) == f"'{text}"
    for value in ("x=1", "-2", "+1e5", -2.5, None, [-1], True):
        assert not str(spreadsheet_cell(value)).startswith("'")
    assert cli("--db", database, "export", "runs", "--spreadsheet", "--format", "jsonl").code == 2


# J7: pictures.


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_j7_names_are_no_formulas_in_pictures(
    run_directory: Write, database: Path, cli: Cli, tmp_path: Path, suffix: str
) -> None:
    pytest.importorskip("matplotlib")
    names = (r"$\frac{a}$", "$x", "_x", "a\nb", "价格", "\x1b[31m\u202e", "\\alpha", "^_{")
    for number, name in enumerate(names):
        for seed in (0, 1):
            run_directory(
                f"r{number}_s{seed}",
                config=PPO_CONFIG | {"exp_name": name, "opt": name, "seed": seed, "env": f"{name}-v0"},
                header=("Epoch", "AverageEpRet", "$y$_{"),
                rows=[(e, e * number + seed, e) for e in range(4)],
            )
    ingest(database, [tmp_path / "data"])
    for options in (
        ("--group-by", "opt"),
        ("--facet", "env"),
        ("-y", "$y$_{"),
        ("--scatter", "opt"),
        ("--parallel", "opt,exp_name"),
    ):
        out = tmp_path / f"curves{suffix}"
        outcome = cli("--db", database, "plot", *options, "--out", out)
        assert outcome.code == 0, (options, outcome)
        if suffix == ".svg" and options == ("--group-by", "opt"):
            text = out.read_text()
            for shown in (r"$\frac{a}$", "_x", "a\\nb", "价格", "\\x1b[31m\\u202e", "^_{"):
                assert shown in text, shown
        out.unlink()


# J12: stdout that fails.


@pytest.fixture
def many(run_directory: Write, database: Path, tmp_path: Path) -> Path:
    for number in range(60):
        run_directory(f"r{number}", config=PPO_CONFIG | {"seed": number}, rows=[(e, 1.0) for e in range(60)])
    ingest(database, [tmp_path / "data"])
    return database


PRINTING = (
    "runs",
    "runs --csv",
    "runs --json",
    "runs --jsonl",
    "runs --ids",
    "export metrics",
    "export metrics --format jsonl",
    "export configs",
    "sql 'SELECT * FROM metric_points'",
    "sql --csv 'SELECT * FROM metric_points'",
    "sql --json 'SELECT * FROM metric_points'",
    "show 1",
    "params --json",
    "db dump",
    "path 1",
    "--help",
    "--version",
)


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", "-c", line], cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.parametrize("command", PRINTING)
def test_j12_stdout_closed_full_or_left(many: Path, command: str) -> None:
    spindb_ = f"{sys.executable} -m spindb"
    left = shell(f"{spindb_} {command} | head -1 >/dev/null; exit ${{PIPESTATUS[0]}}", many.parent)
    assert (left.returncode, left.stderr.count("Traceback"), "Exception" in left.stderr) == (0, 0, False), left
    full = shell(f"{spindb_} {command} >/dev/full", many.parent)
    assert full.returncode == 1, full
    assert "cannot write to stdout: No space left on device" in full.stderr
    assert "Traceback" not in full.stderr
    assert "Exception" not in full.stderr
    closed = shell(f"{spindb_} {command} >&-", many.parent)
    assert closed.returncode == 1, closed
    assert "cannot write to stdout" in closed.stderr
    assert "Traceback" not in closed.stderr


@pytest.mark.sqlite
def test_j12_closed_streams_are_no_databases(many: Path) -> None:
    """The number of a closed stream goes to the next file that is opened."""
    assert shell(f"{sys.executable} -m spindb tag +x 1 <&- >&- 2>&-", many.parent).returncode == 0
    assert shell(f"{sys.executable} -m spindb runs tag:x --ids 2>&-", many.parent).stdout == "1\n"
    assert shell(f"{sys.executable} -m spindb db check", many.parent).returncode == 0


@pytest.mark.slow
@pytest.mark.sqlite
def test_j12_success_is_said_when_it_is_written(many: Path) -> None:
    """The disk is full at the very end, when the transaction is committed."""
    for command in (
        "tag +x 1-60",
        "note 'id:any' text",
        "archive 'id:any'",
        "query save q seed=0",
        "relocate data other",
    ):
        full = shell(f"ulimit -f 1; {sys.executable} -X utf8 -m spindb {command}", many.parent)
        assert full.returncode == 4, (command, full)
        assert full.stderr.startswith("error: "), (command, full.stderr)


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are UTF-8 elsewhere")
@pytest.mark.sqlite
def test_j12_a_directory_that_is_no_utf8_within_a_root(
    run_directory: Write, cli: Cli, database: Path, tmp_path: Path
) -> None:
    odd = os.fsdecode(b"r\xff")
    run_directory("a", config=PPO_CONFIG)
    run_directory(f"{odd}/b", config=PPO_CONFIG)
    assert cli("--db", database, "ingest", tmp_path / "data").code == 1
    inside = cli("--db", database, "ingest", tmp_path / "data" / odd)
    assert (inside.code, inside.err.splitlines()[0]) == (2, f"error: the path of {tmp_path}/data/r\\udcff is not UTF-8")
    assert cli("demo", tmp_path / odd).code == 2
    unopened = cli("--db", tmp_path / f"{odd}.db", "ingest", tmp_path / "data")
    assert (unopened.code, "is not UTF-8" in unopened.err) == (4, True)
    assert not list(tmp_path.glob("r*"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names of files are UTF-8 elsewhere")
@pytest.mark.sqlite
def test_j12_a_root_that_is_no_utf8(run_directory: Write, tmp_path: Path) -> None:
    run_directory("a", config=PPO_CONFIG)
    root = os.fsencode(tmp_path) + b"/r\xff"
    os.rename(tmp_path / "data", root)
    for words in (
        b"ingest r\xff",
        b"ingest .",
        b"path r\xff/a",
        b"show r\xff/a",
        b"runs r\xff",
        b"tag +\xff 1",
        b"runs name=\xff",
    ):
        found = shell(f"{sys.executable} -m spindb {os.fsdecode(words)}", tmp_path)
        assert "Traceback" not in found.stderr, found
        assert found.returncode in (0, 1, 2, 3, 4), found


# Files that are written whole.


def beside(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir() if entry.name != path.name)


def test_j12_names_beside_a_target_can_not_be_guessed(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    names = set()
    for _ in range(5):
        with atomic_write(target) as file:
            assert stat.S_ISREG(file.lstat().st_mode)
            names.add(file.name)
            file.write_text("x")
    assert len(names) == 5
    assert beside(target) == []


def test_j12_permissions_are_those_of_a_plain_open(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        for private, expected in ((False, 0o640), (True, 0o600)):
            target = tmp_path / f"{private}"
            with atomic_write(target, private=private) as file:
                file.write_text("x")
            assert target.stat().st_mode & 0o777 == expected
        target.chmod(0o666)
        with atomic_write(target) as file:
            file.write_text("y")
        assert target.stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


def test_j12_a_link_is_replaced_and_never_followed(tmp_path: Path) -> None:
    kept, target = tmp_path / "kept", tmp_path / "out.csv"
    kept.write_text("kept")
    target.symlink_to(kept)
    with atomic_write(target) as file:
        file.write_text("new")
    assert kept.read_text() == "kept"
    assert not target.is_symlink()
    assert target.read_text() == "new"


@pytest.mark.slow
@pytest.mark.sqlite
def test_j12_devices_are_written_directly(many: Path) -> None:
    for options in ("-o /dev/stdout", "--format csv -o /dev/null", "--format csv -o /dev/fd/1"):
        found = shell(f"{sys.executable} -m spindb export configs --format csv {options} | cat", many.parent)
        assert found.returncode == 0, found
        assert "written to /dev/" in found.stderr
    assert (
        shell(f"{sys.executable} -m spindb export configs --format csv -o /dev/stdout > f", many.parent).returncode == 0
    )
    assert (many.parent / "f").read_text().startswith("run_id,key")
    assert Path("/dev/null").is_char_device()
    os.mkfifo(many.parent / "pipe")
    found = shell(f"cat pipe & {sys.executable} -m spindb export runs --format csv -o pipe; wait", many.parent)
    assert found.stdout.startswith("id,name"), found
    assert stat.S_ISFIFO((many.parent / "pipe").stat().st_mode)


def test_j12_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    code = f"""
from pathlib import Path; import time
from spindb.files import atomic_write
with atomic_write(Path({str(target)!r})) as file:
    file.write_text("half"); print("ready", flush=True); time.sleep(60)
"""
    killed, living = (subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) for _ in range(2))
    for process in (killed, living):
        assert process.stdout is not None
        process.stdout.readline()
    (tmp_path / ".out.csv.notes.part").write_text("somebody's own")
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    time.sleep(0.1)
    with atomic_write(target) as file:
        file.write_text("whole")
        assert len(beside(target)) == 3  # ours, the living one's, somebody's own
    assert len(beside(target)) == 2
    living.kill()
    living.wait()
    for process in (killed, living):
        assert process.stdout is not None
        process.stdout.close()
    with atomic_write(target) as file:
        file.write_text("whole")
    assert beside(target) == [".out.csv.notes.part"]


def test_a_target_that_can_not_be_written(tmp_path: Path) -> None:
    for target in (tmp_path / "absent" / "x", tmp_path):
        with pytest.raises(UsageError, match="can't be written"), atomic_write(target) as file:
            file.write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_j6_a_notebook_shows_no_escapes(hostile: Path) -> None:
    assert not UNSEEN.search(spindb.open(hostile)._repr_html_())
