"""Makes what the documents show: outputs of their commands, and the reference of the command line.

``python tests/documents.py`` writes them anew (``make docs``); `test_documents.py` compares.

In a ``console`` block every line that begins with ``$ `` is run by bash, in a copy of ``examples/`` whose files are
three days old, in a terminal of 80 columns; what follows it is what was printed, stdout first. Blocks share the
directory, in the order of the page. Places and times that differ between machines are replaced.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = tuple(REPOSITORY / "docs" / f"{name}.md" for name in ("commands", "experiment-outputs", "sql"))
COLUMNS = REPOSITORY / "docs" / "python.md"
REFERENCE = REPOSITORY / "docs" / "cli.md"
_BLOCK = re.compile(r"^```console\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
_VALUES = {"int": "N", "float": "X", "str": "TEXT", "Path": "FILE", "list": "TEXT"}
_THREE_DAYS = 3 * 86400
_WIDTH = "80"
_HOME = "/home/you/study"
_SETTINGS = "/home/you/.config/spindb/config.json"
_TIME = re.compile(r"\b20\d\d-\d\d-\d\d([ T])\d\d:\d\d(:\d\d(\.\d+)?Z?)?")


class Stage:
    """A copy of the study in which commands run one after the other."""

    def __init__(self, directory: Path) -> None:
        self.place = directory / "study"
        shutil.copytree(REPOSITORY / "examples", self.place)
        then = time.time() - _THREE_DAYS
        for path in (self.place, *self.place.rglob("*")):
            os.utime(path, (then, then))
        programs = Path(sys.executable).parent
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL") if name in os.environ}
        self.settings = directory / "config.json"
        own = {"PATH": f"{programs}:{os.environ['PATH']}", "SPINDB_CONFIG": str(self.settings)}
        own["PYTHONPATH"] = str(REPOSITORY)  # the spindb of this checkout, whichever one is installed
        self.environment = kept | own | {"COLUMNS": _WIDTH, "TERM": "dumb"}

    def run(self, command: str) -> str:
        """What a command prints, the same on every machine."""
        result = subprocess.run(
            ["bash", "-c", command],
            cwd=self.place,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in result.stderr, result.stderr
        printed = "\n".join(part.rstrip("\n") for part in (result.stdout, result.stderr) if part.strip())
        return self.everywhere(printed)

    def everywhere(self, text: str) -> str:
        """The text without what differs between machines."""
        text = text.replace(str(self.place.resolve()), _HOME).replace(str(self.place), _HOME)
        text = text.replace(str(self.settings), _SETTINGS)
        text = re.sub(rf"\b{re.escape(os.uname().nodename)}\b", "box", text)
        text = re.sub(r"[0-9a-f]{32}", lambda match: match[0][:4] + "…", text)
        text = re.sub(r"backup-\d{8}T\d{6}", "backup-20261120T143000", text)
        return _TIME.sub(lambda match: f"2026-11-20{match[1]}14:30" + (":00Z" if match[2] else ""), text)


def rendered(page: str) -> str:
    """The page with the outputs of its commands."""
    with tempfile.TemporaryDirectory() as directory:
        stage = Stage(Path(directory))

        def block(match: re.Match[str]) -> str:
            commands = re.findall(r"^\$ (.*)", match[1], re.MULTILINE)
            parts = [f"$ {command}\n{_lines(stage.run(command))}" for command in commands]
            return "```console\n" + "\n".join(parts) + "```\n"

        return _BLOCK.sub(block, page)


def _lines(text: str) -> str:
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def reference() -> str:
    """The page that lists every command with its arguments and options, from the commands themselves."""
    from typer.main import get_command

    from spindb.cli.app import application

    parts = [
        "# Every command",
        "Made from the commands themselves by `make docs`; [commands.md](commands.md) shows what they print.",
        "`spindb --db PLACE COMMAND` and `spindb COMMAND --db PLACE` name the database: a file or a URL. Without it "
        "`SPINDB_URL` does, else the nearest `spindb.db` upward from here. `-h` after a command explains it.",
    ]
    for name, command in sorted(get_command(application()).commands.items()):  # type: ignore[attr-defined]
        if not command.hidden:
            parts += _described(f"spindb {name}", command)
    return "\n\n".join(parts) + "\n"


def _described(name: str, command: Any) -> list[str]:
    inner = getattr(command, "commands", None)
    if inner:
        found = [f"## {name}", command.help]
        for sub, each in inner.items():
            found += _described(f"{name} {sub}", each)
        return found
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and not p.hidden]
    usage = " ".join([name, *(_metavar(p) for p in arguments)])
    lines = [f"#{'#' * name.count(' ')} {name}", f"`{usage}`", _paragraphs(command.help)]
    rows = [f"| `{_cell(_metavar(p))}` | {_cell(_explained(p))} |" for p in arguments]
    rows += [
        f"| `{_cell(_flags(p))}` | {_cell(p.help)} |"
        for p in options
        if "--db" not in p.opts and "--help" not in p.opts
    ]
    if rows:
        lines.append("\n".join(["| | |", "|---|---|", *rows]))
    return lines


def _metavar(argument: Any) -> str:
    name = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _explained(argument: Any) -> str | None:
    """The help, with the choices where there are such."""
    choices = _choices(argument)
    return f"{argument.help} {', '.join(choices)}." if choices else argument.help


def _choices(parameter: Any) -> list[str]:
    """The texts that a parameter takes, where they are few."""
    return [choice for choice in get_args(parameter.type_descriptor.annotation) if isinstance(choice, str)]


def _paragraphs(text: str) -> str:
    """The help; lines that are commands become code."""
    paragraphs = re.split(r"\n\s*\n", text.strip())
    joined = [" ".join(paragraph.split()) for paragraph in paragraphs]
    return "\n\n".join(f"    {part}" if part.startswith(("spindb ", "cd ")) else part for part in joined)


def _flags(option: Any) -> str:
    kind = option.type_descriptor.annotation
    value = "" if option.is_flag else " " + (option.metavar or "|".join(_choices(option)) or _VALUES[kind.__name__])
    return ", ".join([*option.opts, *option.secondary_opts]) + value


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")


def with_columns(page: str) -> str:
    """The page on Python with the columns of what can be exported, from the tables themselves."""
    from spindb.index.read.exports import EXPORTS

    parts = []
    for name, export in EXPORTS.items():
        rows = [f"| `{column.name}` | {column.kind} | {column.meaning} |" for column in export.columns]
        parts.append("\n".join([f"**{name}**", "", "| column | type | is |", "|---|---|---|", *rows]))
    head, mark, _ = page.partition("<!-- columns -->\n")
    return head + mark + "\n" + "\n\n".join(parts) + "\n"


def main() -> None:
    """Write everything anew."""
    REFERENCE.write_text(reference())
    COLUMNS.write_text(with_columns(COLUMNS.read_text()))
    for page in PAGES:
        page.write_text(rendered(page.read_text()))


if __name__ == "__main__":
    main()
