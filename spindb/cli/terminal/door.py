"""The one door to the terminal: all that a command prints leaves through these functions, which make it legible.

Names, hyperparameters, metrics and messages come from files and databases of any origin: see `spindb.printable`. No
other module of the command line writes to stdout or stderr (`tests/test_door.py` reads the source for that). What
programs read (CSV in a pipe, `path`) leaves as it is, where no terminal can be told anything by it.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO, cast

from spindb.errors import SpindbError, UsageError
from spindb.printable import printable, printable_json, printable_message, printable_styled

_LONGEST_LINE = 2000  # characters
_BOLD, _RED, _PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[0m"


class OutputError(SpindbError):
    """stdout can't be written: closed, or its disk is full."""


class ReaderGoneError(OutputError):
    """Whoever reads stdout has read enough, as ``head`` does: the end of a command, and no failure."""

    exit_code = 0


def output_error(error: OSError) -> OutputError:
    """What an error of stdout means."""
    if isinstance(error, BrokenPipeError):
        return ReaderGoneError("stdout was closed by its reader")
    return OutputError(f"cannot write to stdout: {error.strerror or error}")


def say(message: str) -> None:
    """Words for people, on stderr. Further lines of a message are indented by two spaces or more."""
    _complain(printable_message(message))


def say_error(error: SpindbError) -> None:
    """What went wrong and what to do, on stderr."""
    words = printable_message(f"error: {error}")
    styled = sys.stderr is not None and sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    _complain(f"{_RED}{words}{_PLAIN}" if styled else words)
    if error.hint:
        first, *rest = map(printable, error.hint.split("\n"))
        _complain("\n".join([f"hint: {first}", *(f"      {line.strip()}" for line in rest)]))


def echo(line: str = "") -> None:
    """A line of text on stdout."""
    _write(printable(line) + "\n")


def echo_log(text: str) -> None:
    """Lines of a log that we laid out, on stdout: their ends and tabs are ours."""
    _write(_log(text) + "\n")


def say_log(text: str) -> None:
    """The same on stderr."""
    _complain(_log(text))


def _log(text: str) -> str:
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\n"))


def echo_block(text: str) -> None:
    """Lines that we laid out, on stdout: their ends and colours are ours, each text in them was made legible."""
    _write(printable_styled(text) + "\n")


def echo_document(text: str) -> None:
    """A file's text on stdout as it is: for programs. In a terminal all but its line ends is made legible."""
    _write(printable_styled(text.replace("\x1b", "\\x1b")) if to_terminal() else text)


def echo_json(text: str) -> None:
    """A JSON document on stdout: characters that can't be seen as JSON's escapes, which means the same."""
    _write(printable_json(text) + "\n")


def echo_path(path: str) -> None:
    """A path on stdout, byte by byte as the file system has it, for a shell; legible in a terminal.

    Raises:
        UsageError: it holds a line end, so that a shell would read two paths.
    """
    if to_terminal():
        echo(path)
        return
    if "\n" in path:
        raise UsageError(
            f"the path {path!r} holds a line end: it can't be printed on one line",
            hint="spindb show RUN --json holds it, escaped",
        )
    raw = getattr(sys.stdout, "buffer", None)
    if raw is None:
        _write(path + "\n")
        return
    with _output_errors():
        sys.stdout.flush()
        raw.write(os.fsencode(path) + b"\n")
        raw.flush()


def echo_csv(titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """CSV on stdout. In a terminal cells are made legible."""
    with records_on_stdout() as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(titles)
        writer.writerows(rows)


@contextlib.contextmanager
def records_on_stdout() -> Iterator[TextIO]:
    """Where many records (CSV, JSON lines) are written to stdout; in a terminal all but line ends is made legible."""
    with _output_errors():
        yield cast(TextIO, _Legible()) if to_terminal() else sys.stdout
        sys.stdout.flush()


class _Legible(io.TextIOBase):
    """A file whose text goes to the terminal legibly, a record at a time."""

    def write(self, text: str) -> int:
        # A record of csv.writer, or a line of JSON, with our line end behind it.
        body, end = (text[:-1], "\n") if text.endswith("\n") else (text, "")
        sys.stdout.write(printable(body) + end)
        return len(text)


def to_terminal() -> bool:
    """Whether stdout is a terminal."""
    return bool(sys.stdout.isatty())


def bold(text: str) -> str:
    """The text, made legible, in bold where stdout takes colours."""
    return f"{_BOLD}{printable(text)}{_PLAIN}" if colourful() else printable(text)


def red(text: str) -> str:
    """The text, made legible, in red where stdout takes colours."""
    return f"{_RED}{printable(text)}{_PLAIN}" if colourful() else printable(text)


def colourful() -> bool:
    """Whether stdout takes colours: a terminal, and nobody said NO_COLOR."""
    return to_terminal() and not os.environ.get("NO_COLOR")


def _write(text: str) -> None:
    with _output_errors():
        sys.stdout.write(text)
        sys.stdout.flush()


def _complain(text: str) -> None:
    """On stderr; where that can't be written there is nobody to tell. A line is cut where a name would fill screens."""
    text = "\n".join(line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…" for line in text.split("\n"))
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr is not None:
            sys.stderr.write(text + "\n")
            sys.stderr.flush()


@contextlib.contextmanager
def _output_errors() -> Iterator[None]:
    """Turn what stdout raises into words."""
    try:
        yield
    except OSError as error:
        raise output_error(error) from None


def open_streams() -> None:
    """Make the three streams usable whatever state they were inherited in.

    A stream that is closed leaves its number to the next file that is opened, a database for instance. Each is
    opened anew as the null device; stdout read-only, so that writing to it fails as it should.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # os.open() takes the lowest free number, which is this one unless an earlier stream was closed as well.
            null = os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - for good
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")  # what the terminal's encoding lacks is spelled


def close_output() -> None:
    """Write what is still waiting for stdout.

    Raises:
        OutputError: it can't be written.
    """
    with _output_errors():
        sys.stdout.flush()


def discard_output() -> None:
    """After stdout failed: what waits for it goes nowhere, and the interpreter does not try again as it ends."""
    with contextlib.suppress(OSError, ValueError):
        # Python flushes stdout once more when it ends: what is buffered must have somewhere to go, or that prints an
        # error.
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
        sys.stdout.flush()
