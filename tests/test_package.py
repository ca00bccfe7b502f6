"""What people get: the wheel, and the commands that the documents name."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PPO_CONFIG, REPOSITORY, Outcome, settle
from test_engines import EXAMPLE

from spindb.index.query.language import parse

README = (REPOSITORY / "README.md").read_text()
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment_elsewhere(run_directory: Callable[..., Path], tmp_path: Path) -> None:
    """Built, installed without extras, far from the checkout: it ingests, queries and plays."""
    run_directory("ppo/ppo_s0", config=PPO_CONFIG)
    shutil.copytree(EXAMPLE, tmp_path / "data" / "played_s0")
    settle(tmp_path)
    clean = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}

    def call(*command: object) -> str:
        words = [str(word) for word in command]
        result = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        return result.stdout

    call(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path / "dist", REPOSITORY)
    (wheel,) = (tmp_path / "dist").glob("spindb-*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    call(python, "-m", "pip", "install", "--quiet", "--constraint", REPOSITORY / "constraints.txt", wheel)
    place = Path(call(python, "-c", "import spindb; print(spindb.__file__)").strip())
    assert tmp_path in place.parents
    assert (place.parent / "migrations" / "versions" / "0001_first_schema.py").is_file()
    assert not (place.parent.parent / "migrations").exists()
    spindb = tmp_path / "venv" / "bin" / "spindb"
    call(spindb, "ingest", "data")
    assert [row["name"] for row in json.loads(call(spindb, "runs", "pi_lr<1e-3", "--json"))] == ["ppo_s0"]
    played = json.loads(call(spindb, "test-policy", "played_s0", "-nr", "-n", "2", "--seed", "1", "--json"))
    assert (played["engine"], played["environment"], played["mean_return"]) == ("numpy", "CartPole-v1", 276.0)
    assert call(spindb, "sweep", "played_s0", "-n", "1", "--jobs", "1", "--seed", "1").count("played_s0") == 2
    for command, extra in (("compare", "analysis"), ("test-policy played_s0 -nr --engine tensorflow", "tensorflow")):
        words = [str(spindb), *command.split()]
        refused = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
        assert refused.returncode in (1, 5)
        assert f"hint: pip install 'spindb[{extra}] @ file://{wheel}'" in refused.stderr
        assert "Traceback" not in refused.stderr
    absent = (
        "import importlib.util as u; print([n for n in ('pandas', 'tensorflow', 'gym', 'torch') if u.find_spec(n)])"
    )
    assert call(python, "-c", absent).strip() == "[]"


@pytest.fixture
def in_the_demo(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the demo's runs, without a database, as the present directory."""
    shutil.copytree(demo / "data", tmp_path / "demo" / "data")
    settle(tmp_path / "demo")
    monkeypatch.chdir(tmp_path / "demo")
    monkeypatch.delenv("SPINDB_URL", raising=False)
    return tmp_path / "demo"


def shell_words(line: str) -> list[str]:
    import shlex

    return shlex.split(line, comments=True)


@pytest.mark.slow
def test_the_readme_shows_what_is_true(in_the_demo: Path, cli: Callable[..., Outcome]) -> None:
    """Each command of the console block runs, and prints what stands there up to the figures."""
    (block,) = blocks("console")
    for part in block.strip().split("\n\n"):
        command, *shown = part.splitlines()
        words = shell_words(command.removeprefix("$ "))
        assert words[0] == "spindb"
        outcome = cli(*words[1:])
        assert outcome.code == 0, (command, outcome.err)
        printed = [line.split() for line in (outcome.out or outcome.err).splitlines() if line.strip()]
        assert printed[0][:3] == shown[0].split()[:3], command
        if "…" not in shown and outcome.out:
            assert len(printed) == len(shown), command


@pytest.mark.slow
def test_the_readme_queries_run(in_the_demo: Path, cli: Callable[..., Outcome]) -> None:
    assert cli("ingest", "data").code == 0
    (block,) = [b for b in blocks("sh") if b.startswith("spindb runs")]
    for line in block.strip().splitlines():
        outcome = cli(*shell_words(line)[1:])
        assert outcome.code == 0, (line, outcome.err)


@pytest.mark.slow
def test_the_readme_python_runs(in_the_demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPINDB_DATA_DIR", str(in_the_demo / "own"))
    found = blocks("python")
    assert len(found) == 2
    for block in found:
        subprocess.run([sys.executable, "-c", block], check=True, capture_output=True)
    assert (in_the_demo / "own" / "my-experiment" / "my-experiment_s0" / "progress.txt").is_file()


@pytest.mark.slow
def test_the_demo_says_what_it_does_and_trains_once(demo: Path, cli: Callable[..., Outcome]) -> None:
    said = (demo / "done").read_text()
    for command in ("ingest", "runs", "params", "test-policy"):
        assert re.search(rf"^\$ spindb --db \S+ {command}", said, re.MULTILINE)
    means = [float(value) for value in re.findall(r"AverageEpRet \| +(\S+) \|", said)]
    assert len(means) == 2
    assert means[1] > 2 * means[0]
    outcome = cli("demo", demo)
    assert outcome.code == 0
    assert "all were trained already" in outcome.err
    assert "8 runs: 0 new" in outcome.err


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_documents_point_at_what_exists(document: Path) -> None:
    prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)", prose):
        if "://" not in target:
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_filters_in_the_documents_are_read(document: Path) -> None:
    for query in re.findall(r"spindb runs (?:'([^'\n]+)'|\"([^\"\n]+)\")", document.read_text()):
        if "FILTER" not in query:
            parse(query[0] or query[1])


def test_every_command_is_in_the_documents() -> None:
    from typer.main import get_command

    from spindb.cli.app import application

    commands = get_command(application()).commands  # type: ignore[attr-defined]
    text = "\n".join(document.read_text() for document in DOCUMENTS)
    for name, command in commands.items():
        if not command.hidden:
            assert f"spindb {name}" in text, name


def test_the_changelog_knows_this_version() -> None:
    import spindb

    release = spindb.__version__.removesuffix(".dev0")
    assert f"## {release} (" in (REPOSITORY / "CHANGELOG.md").read_text()
