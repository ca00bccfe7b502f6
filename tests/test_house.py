"""Limits on the code itself: sizes, imports, types, comments and names. What breaks one is rewritten, not excused."""

from __future__ import annotations

import ast
import statistics
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from conftest import REPOSITORY

MODULES = tuple(sorted((REPOSITORY / "spindb").rglob("*.py")))
COMMANDS = REPOSITORY / "spindb" / "cli" / "commands"
ORIGINAL_NAMES = {"load_policy", "run_policy"}
"""Those of Spinning Up, which `spindb.spinup` has beside `spindb`."""


@cache
def tree(module: Path) -> ast.Module:
    return ast.parse(module.read_text())


def docstring_lines(module: Path) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines |= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


@cache
def code_and_comments(module: Path) -> tuple[frozenset[int], int]:
    """The lines of code, docstrings aside, and how many lines hold a comment (two blanks and a # behind code)."""
    lines = list(enumerate(module.read_text().splitlines(), 1))
    alone = {number for number, line in lines if line.lstrip().startswith("#")}
    code = {number for number, line in lines if line.strip()} - alone - docstring_lines(module)
    behind = {number for number, line in lines if number in code and "  # " in line}
    return frozenset(code), len(alone) + len(behind)


def functions(module: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree(module)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_modules_are_small() -> None:
    lengths = {module: len(module.read_text().splitlines()) for module in MODULES}
    assert {str(module): length for module, length in lengths.items() if length > 400} == {}
    assert statistics.median(lengths.values()) <= 150


def test_functions_are_read_in_one_look() -> None:
    long = [
        f"{module}: {function.name}"
        for module in MODULES
        for function in functions(module)
        if len(code_and_comments(module)[0].intersection(range(function.lineno, (function.end_lineno or 0) + 1))) > 40
    ]
    assert long == []


def test_imports_stand_at_the_top() -> None:
    """A command line that imports a module for each command needs few elsewhere; each says why it is there."""
    inside = {
        (module, node.lineno)
        for module in MODULES
        for function in functions(module)
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert len(inside) <= 60


def test_annotations_say_what_they_can() -> None:
    known = bare = 0
    for module in MODULES:
        for node in ast.walk(tree(module)):
            found: list[ast.expr | None] = []
            if isinstance(node, ast.arg):
                found = [node.annotation]
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found = [node.returns]
            elif isinstance(node, ast.AnnAssign):
                found = [node.annotation]
            for annotation in found:
                if annotation is not None:
                    known += 1
                    bare += isinstance(annotation, ast.Name) and annotation.id == "Any"
    assert bare / known <= 0.03


def test_comments_say_why_where_a_reader_stops() -> None:
    code = sum(len(code_and_comments(module)[0]) for module in MODULES)
    comments = sum(code_and_comments(module)[1] for module in MODULES)
    assert comments / code >= 0.04


def test_a_public_name_stands_in_one_module() -> None:
    """Commands aside: what `spindb diff` calls may be called so, too."""
    places: dict[str, list[str]] = defaultdict(list)
    for module in MODULES:
        for node in tree(module).body:
            public = isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
            if public and module.parent != COMMANDS and node.name not in ORIGINAL_NAMES:
                places[node.name].append(str(module))
    assert {name: found for name, found in places.items() if len(found) > 1} == {}
