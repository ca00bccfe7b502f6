"""The tool behind `make mutate`, on small texts and on a project of one module."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "bench"))
from mutations import mutants

TEXTS = [
    ("a < b", ["a <= b", "a >= b"]),
    ("a == b != c", ["a != b != c", "a == b == c"]),
    ("a not in b", ["a in b"]),
    ("a is  not  b", []),  # two blanks: not found, left out
    ("(a) + (b)", ["(a) - (b)"]),
    ("a // b ** c", ["a / b ** c", "a // b * c"]),
    ("a and b and c", ["a or b and c", "a and b or c"]),
    ("not a", ["a"]),
    ("x = -a", ["x = a"]),
    ("7", []),  # a statement that is a constant does nothing
    ("x = 7", ["x = 8", "x = 6"]),
    ("x = 0.5", ["x = 1.5"]),
    ("x = True", ["x = False"]),
    ("x = 'é' < 'b'", ["x = 'é' <= 'b'", "x = 'é' >= 'b'", "x = \"mutated\" 'é' < 'b'", "x = 'é' < \"mutated\" 'b'"]),
    ("x = f'{a + 1}'", ["x = \"mutated\" f'{a + 1}'"]),
    ("x[1:a]", ["x[2:a]", "x[0:a]", "x[:a]", "x[1:]"]),
    ("min(a, b)", ["pass", "max(a, b)", "min(b, a)"]),
    ("x = a.startswith(b)", ["x = a.endswith(b)"]),
    ("x.y = a", ["pass"]),
    ("x += a", ["x -= a", "pass"]),
    ("x: int = a", []),
    ("assert a < b", []),
    ("x = zip(a, b, strict=True)", ["x = zip(b, a, strict=True)"]),
    ("x = a if b else c", ["x = a if (not (b)) else c"]),
    ("x = [a for a in b if c]", ["x = [a for a in b if (not (c))]"]),
    ("if TYPE_CHECKING:\n    import a", []),
    (
        "def f(a: int = 1) -> int:\n    'text'\n    return a",
        ["def f(a: int = 2)…", "def f(a: int = 0)…", "…return None"],
    ),
    ("for a in b:\n    continue", ["…break"]),
    ("while a:\n    break", ["while (not (a)):…", "…continue"]),
    ("if a:\n    raise b", ["if (not (a)):…", "…pass"]),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_mutations(text: str, expected: list[str]) -> None:
    data = text.encode()
    found = [after.decode() for mutant in mutants("x.py", data) if (after := mutant.applied(data))]
    assert len(found) == len(expected)
    for one in expected:
        begin, _, end = one.partition("…")
        assert any(it.startswith(begin) and it.endswith(end) and (it == one or "…" in one) for it in found), (
            one,
            found,
        )


def test_a_mutation_knows_its_lines() -> None:
    data = b"def f(a):\n    return g(\n        a,\n        1,  # one\n    )\n\n\nLIMIT = 3\n"
    (found,) = [mutant for mutant in mutants("x.py", data) if mutant.text == b"2" and mutant.function]
    assert (found.line, found.statement) == (4, (2, 5))
    assert (found.original, found.mutated) == ("1,  # one", "2,  # one")
    outside = [mutant for mutant in mutants("x.py", data) if not mutant.function]
    assert [(mutant.line, mutant.mutated) for mutant in outside] == [(8, "LIMIT = 4"), (8, "LIMIT = 2")]
    moved = mutants("x.py", b"# Ein Wort\n" + data)
    assert sorted(m.rank(1) for m in moved) == sorted(m.rank(1) for m in mutants("x.py", data))
    assert found.rank(1) != found.rank(2)


CODE = """
def capped(value, limit=3):
    if value > limit:
        return limit
    return value


def forgotten(value):
    return value * 2


def down(count):
    while count > 0:
        count -= 1
    return count
"""
TESTS = """
from spindb.index.small import capped, down


def test_capped():
    assert [capped(v) for v in (2, 3, 4)] == [2, 3, 3]


def test_down():
    assert down(3) == 0
"""
EQUIVALENT = """
[[mutant]]
file = "spindb/index/small.py"
original = "if value > limit:"
mutated = "if value >= limit:"
reason = "both give the limit where the value is the limit"
"""


@pytest.mark.slow
@pytest.mark.sqlite
def test_known_mutants_are_killed_survive_or_are_equivalent(tmp_path: Path) -> None:
    def write(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    def mutate(*options: str) -> subprocess.CompletedProcess[str]:
        tool = [
            sys.executable,
            str(REPOSITORY / "bench" / "mutate.py"),
            "--repository",
            str(tmp_path),
            "--jobs",
            "2",
            "--patience",
            "2",
        ]
        command = [*tool, "--only", "spindb/index", *options]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    for path in ("spindb/__init__.py", "spindb/index/__init__.py", "tests/conftest.py"):
        write(path, "")
    write("pyproject.toml", '[tool.pytest.ini_options]\nmarkers = ["slow"]\n')
    write("spindb/index/small.py", CODE)
    write("tests/test_small.py", TESTS)
    write("tests/equivalent_mutants.toml", EQUIVALENT)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    result = mutate("--count", "100")
    assert result.returncode == 1, result.stderr
    assert result.stdout.startswith("seed 13: 19 of 19 mutations of spindb/index\n2 tests take ")
    assert "small.py:9  (no test executes it)\n  - return value * 2\n  + return value / 2\n" in result.stdout
    assert ">= limit" not in result.stdout
    assert "+ pass" not in result.stdout  # counts without end: too slow is noticed
    killed, survived, equivalent = (int(words.split()[0]) for words in result.stdout.splitlines()[-1].split(", "))
    assert (killed + survived + equivalent, equivalent) == (19, 1)
    assert result.stdout.count("survived  ") == survived == 4  # all of what was forgotten
    assert result.stdout.splitlines()[-1].endswith(f": {survived / 18:.1%} survive")
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
    assert mutate("--count", "3", "--seed", "7").stdout == mutate("--count", "3", "--seed", "7").stdout
    write("tests/test_small.py", TESTS.replace("== 0", "== 1"))
    broken = mutate("--count", "3")
    assert (broken.returncode, "the tests fail without any mutation" in broken.stderr) == (2, True)
