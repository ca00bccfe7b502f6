"""What is spared of typer is spared without a trace: the same values, the same words where they are wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import typer
from typer.main import get_command

from spindb.cli.fast_parameters import spare


def application(seen: list[Any]) -> typer.Typer:
    """An application with parameters of every kind that spindb has."""
    app = typer.Typer()

    @app.callback()
    def _global(db: Annotated[str | None, typer.Option()] = None, here: bool = False) -> None:
        seen.append((db, here))

    @app.command()
    def call(
        words: Annotated[list[str] | None, typer.Argument()] = None,
        limit: Annotated[int | None, typer.Option("--limit", "-n", min=0, max=9)] = None,
        page: Annotated[int, typer.Option(min=1)] = 1,
        rate: float = 0.5,
        place: Path | None = None,
        files: Annotated[list[Path] | None, typer.Option("--file")] = None,
        strict: Annotated[Path | None, typer.Option(exists=True, dir_okay=False)] = None,
        kind: Literal["a", "b"] = "a",
        tags: Annotated[list[str] | None, typer.Option("--tag")] = None,
        seeds: Annotated[list[int] | None, typer.Option("--seed")] = None,
        shouted: Annotated[str | None, typer.Option(parser=str.upper)] = None,
    ) -> None:
        seen.append((words, limit, page, rate, place, files, strict, kind, tags, seeds, shouted))

    return app


@pytest.mark.parametrize(
    "typed",
    [
        "call",
        "--db x --here call one two",
        "call --limit 9 --page 3 --rate 2 --place /tmp --kind b --tag p --tag q --seed 1 --seed 2 --shouted loud",
        "call --limit 10",
        "call --limit -1",
        "call -n x",
        "call -n 1_0",
        "call -n +3",
        "call -n 1.0",
        "call --page 0",
        "call --page 99999999999999999999",
        "call --seed x",
        "call --kind c",
        "call --file /tmp --file /nowhere --file -",
        "call --strict /nowhere",
        "call --strict /tmp",
        "call --place",
        "call --nothing",
        "nothing",
        "call --help",
    ],
)
def test_the_same_values_and_the_same_words(typed: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = []
    for treat in (lambda command: command, spare):
        seen: list[Any] = []
        with pytest.raises(SystemExit) as ended:
            treat(get_command(application(seen)))(args=typed.split(), prog_name="program")
        found.append((seen, ended.value.code, *capsys.readouterr()))
    assert found[0] == found[1]


def test_a_type_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []
    with pytest.raises(SystemExit):
        spare(get_command(application(seen)))(args=["call", "7", "--limit", "7", "--seed", "7"], prog_name="program")
    assert seen[1][:3] == (["7"], 7, 1)
    assert seen[1][9] == [7]


def test_a_path_that_can_not_be_read_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # whoever runs the tests may read everything
    for treat in (lambda command: command, spare):
        with pytest.raises(SystemExit) as ended:
            treat(get_command(application([])))(args=["call", "--place", str(tmp_path)], prog_name="program")
        assert ended.value.code == 2
        assert "not readable" in " ".join(capsys.readouterr().err.replace("│", "").split())
