"""Single mutations of Python source: what `mutate.py` breaks.

Each is one replacement of a stretch of text, found by the positions of the syntax tree, so that everything else stays
as it was written. Left alone: docstrings, annotations, assertions, ``TYPE_CHECKING``, what stands inside of f-strings,
and what would not compile.
"""

from __future__ import annotations

import ast
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256

_COMPARISONS = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}
_ARITHMETIC = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"),
    ast.Mod: ("%", "*"),
    ast.Pow: ("**", "*"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
    ast.BitXor: ("^", "&"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
}
_NAMES = {"min": "max", "any": "all", "startswith": "endswith", "lower": "upper", "lstrip": "rstrip"}
_NAMES |= {other: name for name, other in _NAMES.items()}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}


@dataclass(frozen=True)
class Mutant:
    """One mutation: where, the line as it was and as it became; which bytes of the text are exchanged for which."""

    file: str
    line: int
    original: str
    mutated: str
    function: bool
    """Whether it is inside of a function: other statements run when the module is imported."""
    statement: tuple[int, int]
    """The first and last line of its statement, without the body of a compound one."""
    begin: int = field(repr=False)
    end: int = field(repr=False)
    text: bytes = field(repr=False)

    def rank(self, seed: int) -> bytes:
        """Its place in the lottery: by its own text, so that changes elsewhere hardly change who is drawn."""
        return sha256(f"{seed}\0{self.file}\0{self.original}\0{self.mutated}".encode()).digest()

    def applied(self, data: bytes) -> bytes | None:
        """The whole text with the mutation; None where that is no Python or means the same."""
        changed = data[: self.begin] + self.text + data[self.end :]
        try:
            return changed if ast.dump(ast.parse(changed)) != ast.dump(ast.parse(data)) else None
        except (SyntaxError, ValueError):
            return None


def mutants(file: str, data: bytes) -> list[Mutant]:
    """All mutations of a file's text, in the order of its syntax tree."""
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    changes = _Changes(data, starts)
    found = []
    for node, inside, statement in _nodes(ast.parse(data), function=False, statement=(0, 0)):
        for begin, end, text in changes.of(node):
            number = bisect_right(starts, begin)
            original = data[starts[number - 1] : starts[number]].decode()
            rest = data[end : data.find(b"\n", end) % (len(data) + 1)].decode()
            mutated = data[starts[number - 1] : begin].decode() + text + rest
            lines = original.strip(), mutated.partition("\n")[0].strip()
            found.append(Mutant(file, number, *lines, inside, statement, begin, end, text.encode()))
    return found


def _nodes(
    node: ast.AST, *, function: bool, statement: tuple[int, int]
) -> Iterator[tuple[ast.AST, bool, tuple[int, int]]]:
    """What may change, each with whether it is inside of a function, and the lines of its statement."""
    if isinstance(node, ast.Assert) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    if isinstance(node, ast.stmt):
        body = getattr(node, "body", None)
        statement = node.lineno, max(node.lineno, body[0].lineno - 1) if body else node.end_lineno or node.lineno
    yield node, function, statement
    if isinstance(node, ast.JoinedStr):
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        inside = function or (isinstance(node, ast.FunctionDef | ast.Lambda) and name == "body")
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _nodes(child, function=inside, statement=statement)


class _Changes:
    """The replacements that one node gives: begin and end in bytes, new text."""

    def __init__(self, data: bytes, starts: list[int]) -> None:
        self.data, self.starts = data, starts

    def of(self, node: ast.AST) -> Iterator[tuple[int, int, str]]:
        method = getattr(self, "_" + type(node).__name__.lower(), None)
        if method is not None:
            yield from method(node)
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            yield from self._negated(node.test)
        if isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield from self._negated(test)

    def _begin(self, node: ast.expr | ast.stmt) -> int:
        return self.starts[node.lineno - 1] + node.col_offset

    def _end(self, node: ast.expr | ast.stmt) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self.starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: ast.expr | ast.stmt) -> str:
        return self.data[self._begin(node) : self._end(node)].decode()

    def _instead(self, node: ast.expr | ast.stmt, text: str) -> Iterator[tuple[int, int, str]]:
        yield self._begin(node), self._end(node), text

    def _between(self, left: int, right: int, old: str, new: str) -> Iterator[tuple[int, int, str]]:
        """Another operator between two operands."""
        pattern = rf"(?<!\w){re.escape(old)}(?!\w)" if old.isalpha() or " " in old else re.escape(old)
        match = re.search(pattern.encode(), self.data[left:right])
        if match:
            yield left + match.start(), left + match.end(), new

    def _negated(self, test: ast.expr) -> Iterator[tuple[int, int, str]]:
        if not isinstance(test, ast.Compare | ast.UnaryOp):  # those are turned round by themselves
            yield from self._instead(test, f"(not ({self._text(test)}))")

    def _compare(self, node: ast.Compare) -> Iterator[tuple[int, int, str]]:
        operands = [node.left, *node.comparators]
        for left, operator, right in zip(operands, node.ops, node.comparators, strict=False):
            yield from self._between(self._end(left), self._begin(right), *_COMPARISONS[type(operator)])
            if isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
                old = _COMPARISONS[type(operator)][0]
                yield from self._between(self._end(left), self._begin(right), old, _OPPOSITE[old])

    def _binop(self, node: ast.BinOp) -> Iterator[tuple[int, int, str]]:
        texts = (ast.JoinedStr, ast.List, ast.Tuple)
        if type(node.op) in _ARITHMETIC and not any(
            isinstance(side, texts) or (isinstance(side, ast.Constant) and isinstance(side.value, str | bytes))
            for side in (node.left, node.right)
        ):
            yield from self._between(self._end(node.left), self._begin(node.right), *_ARITHMETIC[type(node.op)])

    def _augassign(self, node: ast.AugAssign) -> Iterator[tuple[int, int, str]]:
        if type(node.op) in _ARITHMETIC:
            old, new = _ARITHMETIC[type(node.op)]
            yield from self._between(self._end(node.target), self._begin(node.value), f"{old}=", f"{new}=")
        yield from self._instead(node, "pass")

    def _boolop(self, node: ast.BoolOp) -> Iterator[tuple[int, int, str]]:
        words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            yield from self._between(self._end(left), self._begin(right), *words)

    def _unaryop(self, node: ast.UnaryOp) -> Iterator[tuple[int, int, str]]:
        if isinstance(node.op, ast.Not | ast.USub):
            yield self._begin(node), self._begin(node.operand), ""

    def _constant(self, node: ast.Constant) -> Iterator[tuple[int, int, str]]:
        value = node.value
        if isinstance(value, bool):
            yield from self._instead(node, str(not value))
        elif isinstance(value, int):
            yield from self._instead(node, str(value + 1))
            yield from self._instead(node, f"({value - 1})" if value < 1 else str(value - 1))
        elif isinstance(value, float):
            yield from self._instead(node, repr(value + 1))
        elif isinstance(value, str):
            yield self._begin(node), self._begin(node), '"mutated" '
        elif isinstance(value, bytes):
            yield self._begin(node), self._begin(node), 'b"mutated" '

    def _joinedstr(self, node: ast.JoinedStr) -> Iterator[tuple[int, int, str]]:
        yield self._begin(node), self._begin(node), '"mutated" '

    def _return(self, node: ast.Return) -> Iterator[tuple[int, int, str]]:
        if node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
            yield from self._instead(node, "return None")

    def _expr(self, node: ast.Expr) -> Iterator[tuple[int, int, str]]:
        if isinstance(node.value, ast.Call):
            yield from self._instead(node, "pass")

    def _assign(self, node: ast.Assign) -> Iterator[tuple[int, int, str]]:
        if isinstance(node.targets[0], ast.Attribute | ast.Subscript):
            yield from self._instead(node, "pass")

    def _raise(self, node: ast.Raise) -> Iterator[tuple[int, int, str]]:
        yield from self._instead(node, "pass")

    def _continue(self, node: ast.Continue) -> Iterator[tuple[int, int, str]]:
        yield from self._instead(node, "break")

    def _break(self, node: ast.Break) -> Iterator[tuple[int, int, str]]:
        yield from self._instead(node, "continue")

    def _call(self, node: ast.Call) -> Iterator[tuple[int, int, str]]:
        function = node.func
        if isinstance(function, ast.Name) and function.id in _NAMES:
            yield from self._instead(function, _NAMES[function.id])
        if isinstance(function, ast.Attribute) and function.attr in _NAMES:
            yield self._end(function) - len(function.attr), self._end(function), _NAMES[function.attr]
        first, second = (*node.args[:2], None, None)[:2]
        if first is not None and second is not None and not isinstance(second, ast.Starred):
            middle = self.data[self._end(first) : self._begin(second)].decode()
            if not isinstance(first, ast.Starred) and ast.dump(first) != ast.dump(second):
                swapped = self._text(second) + middle + self._text(first)
                yield self._begin(first), self._end(second), swapped

    def _slice(self, node: ast.Slice) -> Iterator[tuple[int, int, str]]:
        for bound in (node.lower, node.upper):
            if bound is not None:
                yield from self._instead(bound, "")
