"""Options mean one thing in every command, and choices are typed, so that the command line lists and completes them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import Outcome
from typer.core import TyperOption
from typer.main import get_command

from spindb.cli.app import application

MEANINGS = {
    "--action": "How outputs become actions",
    "--all": "Include hidden runs",
    "--contact-forces": "What Ant and Humanoid",
    "--csv": "Print CSV",
    "--db": "Database: a file or a URL",
    "--dry-run": "Show ",
    "--env": "",
    "--env-factory": "Call this for the environment",
    "--episodes": "",
    "--ids": "Print ids only",
    "--import": "",
    "--internal": "Include what the logger wrote",
    "--itr": "",
    "--jobs": "Parallel processes",
    "--json": "Print JSON",
    "--jsonl": "Print JSON lines",
    "--limit": "At most so many",
    "--list": "List the ",
    "--out": "",
    "--seed": "Seed ",
    "--value": "The metric",
    "--watch": "",
}
"""Options of several commands, and how their help begins in all of them; empty where it says what is meant there."""

LETTERS = {
    "-b": "band",
    "-c": "columns",
    "-d": "deterministic",
    "-f": "form",
    "-g": "group_by",
    "-i": "itr",
    "-l": "length",
    "-n": "episodes",
    "-nr": "norender",
    "-o": "out",
    "-p": "page",
    "-s": "smooth",
    "-t": "terminal",
    "-v": "varying",
    "-w": "watch",
    "-x": "xaxis",
    "-y": "value",
}


def options() -> Iterator[tuple[str, Any]]:
    """Every option of every command that help lists, with the command's name."""
    waiting: list[tuple[str, Any]] = [("spindb", get_command(application()))]
    while waiting:
        name, command = waiting.pop()
        waiting += [(f"{name} {sub}", inner) for sub, inner in getattr(command, "commands", {}).items()]
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.hidden:
                yield name, parameter


def test_a_letter_stands_for_one_option_everywhere() -> None:
    found: dict[str, set[str]] = {}
    for _, option in options():
        for letter in option.opts:
            if not letter.startswith("--") and letter != "-h":
                found.setdefault(letter, set()).add(option.name)
    assert found == {letter: {name} for letter, name in LETTERS.items()}


def test_an_option_of_several_commands_means_one_thing() -> None:
    found: dict[str, list[tuple[str, str, str]]] = {}
    for command, option in options():
        for name in option.opts:
            if name.startswith("--") and name != "--help":
                found.setdefault(name, []).append((command, option.name, option.help or ""))
    for name, uses in found.items():
        helps = {text for _, _, text in uses}
        assert len({dest for _, dest, _ in uses}) == 1, f"{name} sets different parameters: {uses}"
        if len(helps) > 1:
            assert name in MEANINGS, f"{name} is explained differently: {uses}"
            assert all(text.startswith(MEANINGS[name]) for text in helps), uses


_LISTED = re.compile(r"(?:^|: )((?:[a-z][\w.]*, )+(?:or )?[a-z]\w*)\.?(?: \(|$)")
_OPEN = {"--finding", "--group-by", "--xaxis", "--summary", "--action", "--engine", "--contact-forces"}
"""A value may be something else, too: a field, a metric, ``tail:K``, a rule with an argument."""


@pytest.mark.skipif("type_descriptor" not in signature(TyperOption).parameters, reason="typer 0.29 knows the types")
def test_choices_are_typed() -> None:
    typed = set()
    for command, option in options():
        annotation = option.type_descriptor.annotation
        if get_args(annotation) and all(isinstance(choice, str) for choice in get_args(annotation)):
            typed.update(option.opts)
        elif not option.is_flag and not _OPEN & set(option.opts):
            text = " ".join(filter(None, (option.help, option.metavar)))
            assert not _LISTED.search(text), f"{command} {option.opts}: {text}"
            assert "|" not in (option.metavar or ""), f"{command} {option.opts}: {text}"
    assert {"--format", "--est", "--band", "--commands"} <= typed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (("runs", "-n", "2", "-s", "-id"), ("runs", "--limit", "2", "--sort", "-id")),
        (("du", "-n", "1"), ("du", "--limit", "1")),
        (("diff", "1", "2", "--all"), ("diff", "1", "2", "--equal")),
        (("note", "1", "-l"), ("note", "1", "--list")),
        (("rm", "-l"), ("rm", "--list")),
        (("rm", "-y", "9"), ("rm", "--yes", "9")),
        (("doctor", "--ids", "policyless"), ("doctor", "--finding", "policyless", "--ids")),
    ],
    ids=" ".join,
)
def test_old_spellings_work_and_say_what_they_are_called_now(
    run_directory: Callable[..., Path],
    cli: Callable[..., Outcome],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    old: tuple[str, ...],
    new: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for seed in range(3):
        run_directory(f"ppo_s{seed}", config={"seed": seed}, rows=[(0, 1.0 + seed)])
    cli("ingest", "data")
    before, now = cli(*old), cli(*new)
    assert (before.code, before.out) == (now.code, now.out)
    notes = [line for line in before.err.splitlines() if line.startswith("note: ") and " is now --" in line]
    assert notes
    assert [line for line in before.err.splitlines() if line not in notes] == now.err.splitlines()
    assert " is now --" not in now.err
