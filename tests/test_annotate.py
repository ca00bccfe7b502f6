"""What people add: tags, notes, archive marks, saved queries; the dump of all that, and taking runs out."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import yaml
from conftest import EVALUATION, PPO_CONFIG, Outcome, rows_of, settle

from spindb.index.database.connect import connected
from spindb.index.write.batch import add_evaluation
from spindb.ingest.pipeline import ingest
from spindb.records import EpisodeResult, Evaluation

Cli = Callable[..., Outcome]


@pytest.fixture
def study(run_directory: Callable[..., Path], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three runs of one experiment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for seed in range(3):
        run_directory(f"ppo/ppo_s{seed}", config=PPO_CONFIG | {"seed": seed}, rows=[(0, 1.0 + seed), (1, 2.0)])
    settle(tmp_path)
    assert cli("ingest", "data").code == 0
    return tmp_path


def ids(cli: Cli, *words: str) -> list[int]:
    return [int(word) for word in cli("runs", *words, "--ids").out.split()]


def test_tags_are_added_and_taken_off(study: Path, cli: Cli) -> None:
    outcome = cli("tag", "+good", "+härte", "seed<2")
    assert outcome.err == "+good +härte on 2 runs\n4 tags added, 0 taken off\n"
    assert cli("tag", "+good", "id:any").err.endswith("1 tag added, 0 taken off\n")
    assert cli("tag", "-good", "-help", "+new", "1").err == "+new -good -help on 1 run\n1 tag added, 1 taken off\n"
    assert ids(cli, "tag:good") == [2, 3]
    assert json.loads(cli("tag", "--json").out) == [
        {"tag": "good", "runs": 2},
        {"tag": "härte", "runs": 2},
        {"tag": "new", "runs": 1},
    ]
    assert "new" in cli("tag", "1").out
    assert "good" not in cli("tag", "1").out


def test_a_dry_run_says_how_many_and_does_nothing(study: Path, cli: Cli) -> None:
    assert cli("tag", "+good", "id:any", "--dry-run").err == "+good on 3 runs\n"
    assert cli("archive", "seed=0", "--dry-run").err == "archive 1 run\n"
    assert ids(cli) == [1, 2, 3]
    assert cli("tag").err.startswith("no tags here")


@pytest.mark.parametrize("tag", ["+", "+a=b", "+a,b", "+-a", "+(x)", "+a b", "+'a'", "+@a"])
def test_tags_that_no_filter_could_name_are_refused(study: Path, cli: Cli, tag: str) -> None:
    outcome = cli("tag", tag, "1")
    assert outcome.code == 2
    assert "can't be a tag" in outcome.err


def test_changes_need_a_selection(study: Path, cli: Cli) -> None:
    for command in (("tag", "+good"), ("archive",), ("unarchive",), ("rm",), ("note",)):
        outcome = cli(*command)
        assert (outcome.code, outcome.out) == (2, ""), command
        assert "which runs?" in outcome.err


def test_notes(study: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cli("note", "seed=0 or seed=1", "looks", "good").err == "a note on 2 runs\n"
    assert cli("note", "1", "second").code == 0
    notes = json.loads(cli("note", "1", "--json").out)
    assert [(note["id"], note["run"], note["text"]) for note in notes] == [(1, 1, "looks good"), (3, 1, "second")]
    assert "looks good" in cli("show", "2").out
    assert cli("note", "--delete", "3").err == "deleted from run 1: second\n"
    assert cli("note", "--delete", "3").code == 3
    assert cli("note", "3", "--list").err == "no notes\n"
    assert cli("note", "1", "  ").code == 2
    assert cli("note", "1").code == 2  # nobody sits there to write one
    editor = tmp_path / "editor"
    writes = "open(sys.argv[1], 'a').write('written\\nby hand\\n# not this')"
    editor.write_text(f"#!{sys.executable}\nimport sys\n{writes}\n")
    editor.chmod(0o755)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", str(editor))
    assert cli("note", "3").code == 0
    assert json.loads(cli("note", "3", "--json").out)[0]["text"] == "written\nby hand"
    monkeypatch.setenv("EDITOR", "false")
    assert "the editor failed" in cli("note", "3").err


def test_archive(study: Path, cli: Cli) -> None:
    assert cli("archive", "seed>0").err == "archive 2 runs\n2 changed\n"
    assert ids(cli) == [1]
    assert ids(cli, "archived=true") == [2, 3]
    assert cli("archive", "2").err == "archive 1 run\n0 changed, the others were so already\n"
    assert cli("unarchive", "seed=1").err == "unarchive 1 run\n1 changed\n"
    assert ids(cli) == [1, 2]


def test_rm_asks_and_takes_out_of_the_index_alone(study: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    cli("tag", "+a", "1-2")
    refused = cli("rm", "tag:a")
    assert refused.code == 2
    assert "remove 2 runs from the index, with 2 tags, 0 notes and 0 evaluations; no file is touched" in refused.err
    answers = StringIO("n\n")
    answers.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", answers)
    assert cli("rm", "tag:a").code == 1
    assert ids(cli) == [1, 2, 3]
    assert "2 runs removed: spindb rm --undo" in cli("rm", "tag:a", "--yes").err
    assert ids(cli) == [3]
    assert (study / "data" / "ppo" / "ppo_s0" / "progress.txt").exists()
    assert cli("rm", "seed=77", "--yes").err == "no run matches\n"
    assert "0 new" in cli("ingest", "data").err
    assert ids(cli) == [3]
    assert cli("rm", "--undo", "1", "ppo_s1").code == 0
    assert ids(cli, "tag:a") == [1, 2]


def test_saved_queries(study: Path, cli: Cli) -> None:
    assert cli("query", "list").err.startswith("no saved query")
    assert cli("query", "save", "late", "seed>0").err == "@late is 'seed>0': 2 runs now\n"
    assert cli("query", "save", "last", "@late", "not seed=1").code == 0
    assert ids(cli, "@late") == [2, 3]
    assert ids(cli, "@last") == [3]
    assert ids(cli, "not @late or seed=2") == [1, 3]
    assert json.loads(cli("query", "list", "--json").out)[0] == {"name": "last", "text": "@late not seed=1"}
    assert "@late" in cli("query", "list").out
    unknown = cli("runs", "@lat")
    assert unknown.code == 2
    assert "did you mean @late or @last?" in unknown.err
    assert cli("query", "save", "late", "@last").code == 2  # stands for itself
    assert cli("query", "save", "a=b", "seed=0").code == 2
    assert cli("query", "save", "broken", "(seed=0").code == 2
    assert cli("query", "rm", "@late").code == 0
    assert cli("query", "rm", "late").code == 3
    broken = cli("runs", "@last")
    assert "@late" in broken.err  # the place in the saved text
    assert broken.code == 2


def test_an_error_inside_a_saved_query_shows_its_own_text(study: Path, cli: Cli) -> None:
    cli("query", "save", "old", "pi_lr<1e-2")
    with connected("spindb.db", write=True) as connection:
        connection.exec_driver_sql("UPDATE queries SET text = 'seed=0 gone<3'")
    outcome = cli("runs", "@old")
    assert (outcome.code, outcome.err.splitlines()[1]) == (2, "  seed=0 gone<3")


def annotate(cli: Cli) -> None:
    cli("tag", "+a", "+b", "1")
    cli("note", "2", "first line\nsecond: 'line' # no comment\n\ttabbed 🤖")
    cli("archive", "3")
    cli("query", "save", "mine", "tag:a or seed=2")
    with connected("spindb.db", write=True) as connection:
        episodes = [EpisodeResult(1.5, 10, "terminated"), EpisodeResult(float("nan"), 3, "cut")]
        add_evaluation(connection, 1, Evaluation(**{**_fields(EVALUATION), "episodes": episodes}))


def _fields(evaluation: Evaluation) -> dict[str, object]:
    return {name: getattr(evaluation, name) for name in evaluation.__slots__}


ADDED = (
    "SELECT r.path, t.tag FROM tags t JOIN runs r ON r.id = t.run_id ORDER BY 1, 2",
    "SELECT r.path, n.text, n.created_at FROM notes n JOIN runs r ON r.id = n.run_id ORDER BY 1, 2",
    "SELECT path FROM runs WHERE archived",
    "SELECT name, text FROM queries",
    "SELECT r.path, e.mean_return, e.versions, e.created_at, e.seed, p.number, p.ep_return, p.length, p.ending "
    "FROM evaluations e JOIN runs r ON r.id = e.run_id JOIN episodes p ON p.evaluation_id = e.id ORDER BY p.number",
)


def test_a_dump_restores_into_a_new_database(study: Path, cli: Cli) -> None:
    annotate(cli)
    before = [rows_of(study / "spindb.db", statement) for statement in ADDED]
    assert all(before)
    assert cli("db", "dump", "--out", "added.yaml").code == 0
    text = Path("added.yaml").read_text()
    assert cli("db", "dump").out == text
    assert yaml.safe_load(text)["queries"] == {"mine": "tag:a or seed=2"}
    os.rename("data", "moved")
    cli("--db", "new.db", "ingest", "moved")
    restored = cli("--db", "new.db", "db", "restore", "added.yaml")
    assert restored.code == 0
    assert "3 runs: 2 tags, 1 note, 1 evaluation, 1 archive mark added; saved queries added: 1" in restored.err
    assert [rows_of(study / "new.db", statement) for statement in ADDED] == before
    assert "0 tags, 0 notes, 0 evaluations, 0 archive marks" in cli("--db", "new.db", "db", "restore", "added.yaml").err
    assert [rows_of(study / "new.db", statement) for statement in ADDED] == before


def test_a_restore_names_what_is_not_here(study: Path, cli: Cli) -> None:
    annotate(cli)
    cli("db", "dump", "--out", "added.yaml")
    shutil.rmtree("data/ppo/ppo_s1")
    shutil.copytree("data", "other")
    cli("--db", "new.db", "ingest", "other")
    restored = cli("--db", "new.db", "db", "restore", "added.yaml")
    assert restored.code == 1
    assert "not here:" in restored.err
    assert "ppo/ppo_s1" in restored.err


def test_runs_without_rows_are_told_by_their_place_alone(
    study: Path, cli: Cli, run_directory: Callable[..., Path]
) -> None:
    run_directory("void/a_s0", progress=b"")
    run_directory("void/b_s0", progress=b"")
    cli("ingest", "data")
    cli("tag", "+mine", "a_s0")
    cli("db", "dump", "--out", "added.yaml")
    shutil.rmtree("data/void/a_s0")
    shutil.copytree("data", "other")
    cli("--db", "new.db", "ingest", "other")
    assert cli("--db", "new.db", "db", "restore", "added.yaml").code == 1
    assert rows_of(study / "new.db", ADDED[0]) == []


def test_a_restore_prefers_the_copy_that_lies_where_it_lay(study: Path, cli: Cli) -> None:
    shutil.copytree("data/ppo/ppo_s0", "data/a_copy")
    settle(study)
    cli("ingest", "data")
    cli("tag", "+mine", "1")
    cli("db", "dump", "--out", "added.yaml")
    cli("--db", "new.db", "ingest", "data")
    cli("--db", "new.db", "db", "restore", "added.yaml")
    assert rows_of(study / "new.db", ADDED[0]) == [("ppo/ppo_s0", "mine")]


def test_a_restore_prefers_the_content_to_the_place(study: Path, cli: Cli) -> None:
    cli("tag", "+mine", "ppo_s0")
    cli("db", "dump", "--out", "added.yaml")
    for old, new in (("ppo_s0", "t"), ("ppo_s1", "ppo_s0"), ("t", "ppo_s1")):
        os.rename(f"data/ppo/{old}", f"data/ppo/{new}")
    cli("--db", "new.db", "ingest", "data")
    assert cli("--db", "new.db", "db", "restore", "added.yaml").code == 0
    assert rows_of(study / "new.db", ADDED[0]) == [("ppo/ppo_s1", "mine")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a list", "not a dump of spindb"),
        ("a: [", "not a dump"),
        ("spindb: 99", "version 99"),
        ("spindb: 1\nruns: [{run: x}]", "damaged"),
        ("spindb: 1\nqueries: {a: '(('}", "is missing"),
        ("!!python/object/apply:os.system ['touch gone']", "not a dump"),
    ],
)
def test_what_is_no_dump_is_refused_whole(study: Path, cli: Cli, text: str, words: str) -> None:
    Path("bad.yaml").write_text(text)
    outcome = cli("db", "restore", "bad.yaml")
    assert outcome.code == 2
    assert words in outcome.err
    assert cli("db", "restore", "nowhere.yaml").code == 3
    assert not Path("gone").exists()


def test_a_dump_that_can_not_be_written(study: Path, cli: Cli) -> None:
    assert cli("db", "dump", "--out", "nowhere/added.yaml").code == 2


def test_archiving_a_run_says_that_its_copies_go_with_it(
    run_directory: Callable[..., Path], database: Path, tmp_path: Path, cli: Callable[..., Outcome]
) -> None:
    for name in ("a_s0", "new/a_s0"):
        run_directory(name, config={"seed": 0})
    ingest(database, [tmp_path / "data"])
    said = cli("--db", database, "archive", "1").err
    assert "copies of these runs stay hidden with them: 2" in said
    assert "stay hidden" not in cli("--db", database, "unarchive", "1").err
