"""Which run is meant: in a working directory that holds directories called like ids and like names of other runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Outcome, settle

from spindb.errors import FilterError, NotFoundError, UsageError
from spindb.index.database.connect import connected
from spindb.index.query.find import shortest_names
from spindb.index.query.reference import RunId, RunName, RunPath, parse_reference, reference
from spindb.index.query.runs import find_run
from spindb.index.query.selection import selected

Cli = Callable[..., Outcome]

TABLE = [
    ("27", RunId(27)),
    (" 27", RunId(27)),
    ("027", RunId(27)),
    ("27 ", RunId(27)),
    ("0", RunId(0)),
    ("./27", RunPath(Path("./27"))),
    ("27/", RunPath(Path("27"))),
    ("data/ppo_s0", RunPath(Path("data/ppo_s0"))),
    ("/data/ppo_s0", RunPath(Path("/data/ppo_s0"))),
    (".", RunPath(Path("."))),
    ("..", RunPath(Path(".."))),
    ("ppo_s0", RunName("ppo_s0")),
    ("-3", RunName("-3")),
    ("2.5", RunName("2.5")),
    ("２７", RunName("２７")),
]


@pytest.mark.parametrize(("word", "meant"), TABLE)
def test_c1_a_word_means_one_thing(word: str, meant: object) -> None:
    assert parse_reference(word) == meant


def test_c1_values_of_python_mean_one_thing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    assert parse_reference("~") == RunPath(Path("/home/someone"))
    assert parse_reference("~/runs") == RunPath(Path("/home/someone/runs"))
    assert reference(27) == reference("27") == reference(RunId(27)) == RunId(27)
    assert reference(Path("27")) == RunPath(Path("27"))
    numpy = pytest.importorskip("numpy")
    assert reference(numpy.int64(27)) == RunId(27)
    for nothing in ("", "  "):
        with pytest.raises(UsageError):
            parse_reference(nothing)
    with pytest.raises(UsageError, match="not by a float"):
        reference(2.5)  # type: ignore[arg-type]
    assert parse_reference("9" * 100_000) == RunId(int("9" * 20))


@pytest.fixture
def place(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs 1 to 4 under ``data``: ``alpha``, ``beta``, ``beta2`` and ``gamma``.

    Here lie directories called ``1``, ``alpha``, ``beta2``, ``bet`` and ``only``: ``1``, ``bet`` and ``only`` hold the
    runs 5, 6 and 7, ``alpha`` and ``beta2`` runs that are not indexed. Each run has content of its own.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    names = ("data/alpha", "data/beta", "data/beta2", "data/gamma", "1", "bet", "only", "alpha", "beta2")
    for number, name in enumerate(names, 1):
        directory = tmp_path / name
        directory.mkdir(parents=True)
        (directory / "progress.txt").write_text(f"Epoch\tAverageEpRet\n0\t{number}\n")
        (directory / "config.json").write_text(json.dumps({"exp_name": f"e{number}", "seed": number}))
    settle(tmp_path)
    for root in ("data", "1", "bet", "only"):
        assert cli("ingest", root).code == 0
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(
    ("word", "run_id", "directory"),
    [
        ("1", 1, "data/alpha"),
        ("01", 1, "data/alpha"),
        ("./1", 5, "1"),
        ("1/", 5, "1"),
        ("beta", 2, "data/beta"),
        ("beta2", 3, "data/beta2"),
        ("gam", 4, "data/gamma"),
        ("data/beta", 2, "data/beta"),
        ("./only", 7, "only"),
        ("only", 7, "only"),
        ("./bet", 6, "bet"),
        ("bet", 6, "bet"),
    ],
)
def test_c1_every_command_that_reads_means_the_same_run(
    place: Path, cli: Cli, word: str, run_id: int, directory: str
) -> None:
    assert json.loads(cli("show", word, "--json").out)["id"] == run_id
    assert Path(cli("path", word).out.strip()) == place / directory
    assert cli("runs", word, "--ids").out == f"{run_id}\n"
    assert json.loads(cli("snapshots", word, "--json").out) == []
    assert cli("diff", word, "4" if run_id != 4 else "2", "--csv").out.startswith(f"key,{run_id},")
    assert f'"{run_id}"' in cli("diff", word, "4" if run_id != 4 else "2", "--json").out
    assert [line.split(",")[0] for line in cli("export", "runs", word).out.splitlines()] == ["id", str(run_id)]
    assert f"e{run_id}" in cli("params", word, "--csv").out
    assert f",{float(run_id)}," in cli("metrics", word, "--csv").out


@pytest.mark.parametrize(("word", "run_id"), [("1", 1), ("./1", 5), ("beta2", 3), ("./only", 7), ("only", 7)])
def test_c1_every_command_that_writes_means_the_same_run(place: Path, cli: Cli, word: str, run_id: int) -> None:
    assert cli("tag", "+mine", word).code == 0
    assert cli("runs", "tag:mine", "--ids").out == f"{run_id}\n"
    assert cli("note", word, "look").code == 0
    assert cli("runs", "notes:any", "--ids").out == f"{run_id}\n"
    assert cli("archive", word).code == 0
    assert cli("runs", "archived=true", "--ids").out == f"{run_id}\n"
    assert cli("unarchive", word).code == 0
    assert cli("rm", word, "--yes").code == 0
    assert cli("runs", str(run_id)).code == 3


def test_c1_a_directory_that_is_not_indexed_is_no_other_run(place: Path, cli: Cli) -> None:
    """``alpha`` and ``beta2`` lie here, too, and are not in the database."""
    assert cli("path", "alpha").out.strip() == str(place / "data/alpha")
    outcome = cli("path", "./alpha")
    assert outcome.code == 3
    assert "no run of the database lies at alpha" in outcome.err
    assert "spindb ingest alpha" in outcome.err


def test_c1_a_directory_instead_of_a_name_is_said(place: Path, cli: Cli) -> None:
    (place / "link").symlink_to(place / "data" / "beta")
    outcome = cli("show", "link", "--json")
    assert "no run is called 'link': the run in the directory link is used" in outcome.err
    assert json.loads(outcome.out)["id"] == 2
    assert cli("show", "only").err == ""  # the name of a run
    assert "no run is called 'data': the runs in the directory data are used" in cli("runs", "data").err
    assert cli("tag", "+x", "data").err.splitlines()[0].startswith("no run is called 'data'")
    assert cli("runs", "./data").err.startswith("4 runs")


def test_c1_filters_are_no_directories(place: Path, cli: Cli) -> None:
    (place / "seed=3").mkdir()
    (place / "seed=3" / "progress.txt").write_text("Epoch\tAverageEpRet\n0\t90\n")
    settle(place)
    cli("ingest", "./seed=3")
    assert cli("runs", "seed=3", "--ids").out == "3\n"
    assert cli("runs", "./seed=3", "--ids").out == "8\n"


def test_c1_ranges_and_lists_of_ids(place: Path, cli: Cli) -> None:
    assert cli("runs", "2-4", "1", "--ids").out.split() == list("1234")
    assert cli("runs", "01,003", "--ids").out.split() == ["1", "3"]
    assert cli("diff", "3", "1-2", "--csv").out.startswith("key,3,1,2\n")
    outcome = cli("runs", "5-3")
    assert outcome.code == 2
    assert "counts down" in outcome.err
    assert cli("runs", "500-600").code == 3
    assert cli("runs", "1,500").code == 3


def test_c1_policies_of_the_run_that_is_meant_are_found(place: Path, cli: Cli) -> None:
    """Nothing is saved in these runs: the error names the directory that was looked into."""
    pytest.importorskip("numpy")
    for arguments, directory in (
        (("1",), "data/alpha"),
        (("--run-id", "1"), "data/alpha"),
        (("./1",), "1"),
        (("beta2",), "data/beta2"),
        (("only",), "only"),
    ):
        for command in (("test-policy", *arguments, "-nr"), ("export-policy", *arguments[-1:], "--npz")):
            outcome = cli(*command)
            assert outcome.code == 3
            place_named = outcome.err.split(" has no saved policy")[0].removeprefix("error: ").splitlines()[-1]
            assert os.path.abspath(place_named.removeprefix("error: ")) == str(place / directory), command


@pytest.mark.sqlite  # files are what is looked for upward
def test_c1_python_finds_run_and_database_as_the_command_line_does(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numpy")
    import spindb

    def looked_into(run: object, **options: object) -> str:
        with pytest.raises(NotFoundError, match="has no saved policy") as caught:
            spindb.load_policy(run, **options)  # type: ignore[arg-type]
        return os.path.abspath(str(caught.value).split(" has no saved policy")[0])

    assert looked_into(1) == looked_into("1") == str(place / "data/alpha")
    assert looked_into(Path("1")) == looked_into("./1") == str(place / "1")
    assert looked_into("beta2") == str(place / "data/beta2")
    monkeypatch.chdir(place / "data" / "beta")  # the nearest database upward
    assert looked_into(1) == str(place / "data/alpha")
    monkeypatch.chdir("/")
    monkeypatch.setenv("SPINDB_URL", str(place / "spindb.db"))
    assert looked_into(4) == str(place / "data/gamma")
    monkeypatch.delenv("SPINDB_URL")
    assert looked_into(4, db=place / "spindb.db") == str(place / "data/gamma")


def test_c1_a_link_to_a_run_is_that_run(place: Path, cli: Cli) -> None:
    (place / "link").symlink_to(place / "data" / "beta")
    assert cli("runs", "./link", "--ids").out == "2\n"
    assert cli("path", "./link").out.strip() == str(place / "data/beta")


def test_names_are_found_alike_on_every_database(place: Path) -> None:
    with connected(place / "spindb.db") as connection:
        assert find_run(connection, "alpha").id == 1
        with pytest.raises(NotFoundError):
            find_run(connection, "ALPHA")
        with pytest.raises(NotFoundError):
            find_run(connection, "al%")
        with pytest.raises(UsageError, match="means 3 runs") as caught:
            find_run(connection, "be")
        assert caught.value.hint == "name one by its id"
        assert selected(connection, ["3 1"]) == [1, 3]  # as Python has it: one text
        assert selected(connection, ["not", "id=1"]) == selected(connection, ["NOT", "id=1"]) == [2, 3, 4, 5, 6, 7]
        for word in ("and", "or", "not", "in"):  # never names
            with pytest.raises(FilterError):
                selected(connection, ["alpha", word])


def test_hidden_runs_under_a_directory_stay_hidden(place: Path, cli: Cli) -> None:
    assert cli("archive", "2", "3").code == 0
    assert cli("runs", "./data", "--ids").out.split() == ["1", "4"]
    assert cli("runs", "./data", "--all", "--ids").out.split() == list("1234")
    assert cli("runs", "beta", "--ids").out == "2\n"  # named outright
    assert cli("archive", "1", "4").code == 0
    outcome = cli("runs", "./data")
    assert outcome.code == 3
    assert "--all shows them" in outcome.err


PATHS = [
    (["a/x/out", "a/y/out", "b/ppo"], ["x/out", "y/out", "ppo"]),
    (["/r/a/x/out", "/r/b/x/out"], ["a/x/out", "b/x/out"]),
    (["out", "x/out"], ["out", "x/out"]),
    (["/out", "/x/out"], ["/out", "x/out"]),
    (["a/b", "a/b"], ["a/b", "a/b"]),
    (["one"], ["one"]),
    ([], []),
]


@pytest.mark.parametrize(("paths", "names"), PATHS)
def test_c6_the_shortest_paths_that_tell_runs_apart(paths: list[str], names: list[str]) -> None:
    assert shortest_names(paths) == names


def test_c6_runs_of_one_name_are_told_apart(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(("a/output_dir", "b/output_dir", "c")):
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "progress.txt").write_text(f"Epoch\tAverageEpRet\n0\t{number}\n")
    settle(tmp_path)
    cli("ingest", "data")
    names = [line.split()[1] for line in cli("runs").out.splitlines()[2:]]
    assert names == ["a/output_dir", "b/output_dir", "c"]
    assert [row["name"] for row in json.loads(cli("runs", "--json").out)] == ["output_dir", "output_dir", "c"]
    assert cli("diff", "1", "2").err.split() == ["1", "a/output_dir", "2", "b/output_dir"]
    assert "1  a/output_dir" in cli("show", "output_dir").err


def test_c6_lines_of_single_runs_are_told_apart(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    from spindb.analysis.drawing.panels import PlotSpec, panels
    from spindb.ingest.pipeline import ingest

    for number, name in enumerate(("a/output_dir", "b/output_dir", "c")):
        (tmp_path / "data" / name).mkdir(parents=True)
        rows = "".join(f"{epoch}\t{number + epoch}\n" for epoch in range(3))
        (tmp_path / "data" / name / "progress.txt").write_text(f"Epoch\tAverageEpRet\n{rows}")
        (tmp_path / "data" / name / "config.json").write_text(json.dumps({"seed": number, "env": "CartPole-v1"}))
    settle(tmp_path)
    ingest(tmp_path / "spindb.db", [tmp_path / "data"])
    with connected(tmp_path / "spindb.db") as connection:
        (panel,) = panels(connection, [1, 2, 3], PlotSpec(values=("Performance",), per_run=True))
    assert [line.label for line in panel.lines] == ["a/output_dir", "b/output_dir", "c"]
