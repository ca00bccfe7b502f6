"""The documents show what is true: their commands are run again, the reference is made again."""

from __future__ import annotations

import documents
import pytest


@pytest.mark.slow
@pytest.mark.parametrize("page", documents.PAGES, ids=lambda page: page.name)
def test_a_page_shows_what_its_commands_print(page: documents.Path) -> None:
    written = page.read_text()
    assert documents.rendered(written) == written, "make docs writes it anew"


def test_the_reference_is_that_of_the_commands() -> None:
    assert documents.REFERENCE.read_text() == documents.reference(), "make docs writes it anew"


def test_every_command_has_an_example_whose_output_is_checked() -> None:
    from typer.main import get_command

    from spindb.cli.app import app

    shown = "\n".join(page.read_text() for page in documents.PAGES)
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        for part in getattr(command, "commands", None) or [""]:
            full = f"{name} {part}".strip()
            if not command.hidden and full != "demo":  # trains for a minute: test_package.py runs it
                assert f"$ spindb {full}" in shown or f"&& spindb {full}" in shown, full
