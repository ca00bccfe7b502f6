"""Trains the demo's agents, then runs the commands that a user would run next."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from spindb.cli.terminal.tables import echo, say
from spindb.demo.study import train_all, trainings
from spindb.errors import SpindbError, UsageError
from spindb.extras import require_modules
from spindb.files import is_utf8
from spindb.index.database.connect import connected
from spindb.index.query.runs import snapshots_of
from spindb.index.query.search import run_ids
from spindb.index.read.curves import performance_curves
from spindb.signals import active


def run_demo(directory: Path, jobs: int | None) -> None:
    """Train, ingest, query, compare, plot and play below `directory`.

    Raises:
        UsageError: the directory can't be used; MissingExtraError: TensorFlow, scipy or matplotlib is missing.
    """
    if not is_utf8(os.path.abspath(directory)):
        raise UsageError(f"the path of {directory} is not UTF-8", hint="rename it, or name another directory")
    require_modules("tensorflow", "scipy", "matplotlib")
    data, location = directory / "data", str(directory / "spindb.db")
    _train(data, jobs)
    _step("Every run under a directory goes into a database; the files are only read.")
    _run(["--db", location, "ingest", str(data)])
    _step("Which runs learned? Filters know hyperparameters and metrics.")
    _run(["--db", location, "runs", "--sort", "env,-Performance.max", "--columns", "+Performance.max"])
    _run(["--db", location, "runs", "env=CartPole-v1 pi_lr>1e-3 AverageEpRet.max>200"])
    _step("Which hyperparameters are there, and which values do they take?")
    _run(["--db", location, "params", "algo=ppo"])
    _step("Which setting is better, and is the difference more than chance?")
    _run(["--db", location, "compare", "env=CartPole-v1", "--summary", "tail:5"])
    _run(["--db", location, "plot", "--facet", "env", "--out", str(directory / "curves.png")])
    run_id, first, last = _most_improved(location)
    _step(f"Every saved policy plays again: run {run_id} before and after it learned.")
    for itr in (first, last):
        options = ["-nr", "-n", "5", "--seed", "1"]
        _run(["--db", location, "test-policy", "--run-id", str(run_id), "--itr", str(itr), *options])
    _step(f"Yours to explore: spindb --db {location} show {run_id}")


def _train(data: Path, jobs: int | None) -> None:
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{data} can't be made: {error.strerror or error}") from None
    runs = trainings(data)
    _step(f"Training {len(runs)} agents in {data}: PPO on CartPole, TD3 on Pendulum, two settings and two seeds each.")
    columns = (TextColumn("epochs"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    shown = os.isatty(2)
    printed = -1
    with Progress(*columns, console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task("", total=None)

        def update(done: int, total: int) -> None:
            nonlocal printed
            bar.update(task, completed=done, total=total)
            tenth = 10 * done // total
            if not shown and tenth > printed:
                printed = tenth
                say(f"  {done} of {total} epochs")

        trained = train_all(data, update, jobs=jobs)
    say(f"trained {trained} agents" if trained else "all were trained already")


def _most_improved(location: str) -> tuple[int, int, int]:
    """The CartPole run whose return grew most, its first itr and that of the best row among its snapshots."""
    with connected(location) as connection:
        curves = performance_curves(connection, run_ids(connection, "env=CartPole-v1"))
        found = []
        for run_id, curve in curves.items():
            itrs = [s.itr for s in snapshots_of(connection, run_id) if s.itr is not None and s.itr < len(curve)]
            if itrs:
                best = max(itrs, key=curve.__getitem__)
                found.append((curve[best] - curve[itrs[0]], run_id, itrs[0], best))
    if not found:
        raise SpindbError("the demo's runs have no numbered snapshots", hint="remove the directory and start again")
    _, run_id, first, best = max(found)
    return run_id, first, best


def _step(text: str) -> None:
    say("")
    say(text)


def _run(arguments: list[str]) -> None:
    """Run a command of this application and show how it is typed."""
    # The application knows its handlers by name alone; this one calls it back.
    from spindb.cli.app import application

    echo()
    echo(f"$ spindb {shlex.join(arguments)}")
    code = application()(args=arguments, prog_name="spindb", standalone_mode=False)
    # An interrupt within the inner command must end the demo, too, and not go on with its next step.
    if active().received is not None:
        raise KeyboardInterrupt  # which the parser made a code of
    if isinstance(code, int) and code > 1:
        raise typer.Exit(code)
