"""Progress bars, and a screen that is drawn again and again, by rich.

rich takes 40 ms to import, so this module is imported where one of them is shown.
"""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text


def ingest_bar() -> tuple[Progress, TaskID]:
    """A bar on stderr, started, and its task, which has no total yet."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.start()
    return bar, bar.add_task("looking for runs", total=None)


def episodes_bar(*, redirect: bool) -> Progress:
    """A bar on stderr that says what came out so far; with `redirect`, lines on stdout pass above it."""
    columns = (
        TextColumn("episodes"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=redirect)


class Screen:
    """The terminal's other screen; the ``with`` that it is used in gives the first one back."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Screen:
        self._live.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._live.__exit__(None, None, None)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        return self._console.size.width, self._console.size.height

    def show(self, text: str) -> None:
        """Replace what is shown; `text` may have the terminal's own colours."""
        self._live.update(Text.from_ansi(text), refresh=True)
