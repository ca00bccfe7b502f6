"""The documents show what is true: their commands are run again, the reference is made again."""

from __future__ import annotations

import re
from inspect import signature

import documents
import pytest
from typer.core import TyperOption

from spindb.views.jsonable import JSON_VERSION


@pytest.mark.slow
@pytest.mark.parametrize("page", documents.PAGES, ids=lambda page: page.name)
def test_a_page_shows_what_its_commands_print(page: documents.Path) -> None:
    written = page.read_text()
    assert documents.rendered(written) == written, "make docs writes it anew"


@pytest.mark.skipif(
    "type_descriptor" not in signature(TyperOption).parameters, reason="the reference is made with typer 0.29"
)
def test_the_reference_is_that_of_the_commands() -> None:
    assert documents.REFERENCE.read_text() == documents.reference(), "make docs writes it anew"


def test_the_columns_are_those_of_the_exports() -> None:
    written = documents.COLUMNS.read_text()
    assert documents.with_columns(written) == written, "make docs writes it anew"


@pytest.mark.slow
def test_the_python_page_runs(tmp_path: documents.Path) -> None:
    """In the study of the examples; what it computes is looked at."""
    stage = documents.Stage(tmp_path)
    stage.run("spindb ingest data")
    (block,) = re.findall(r"^```python\n(.*?)^```", documents.COLUMNS.read_text(), re.MULTILINE | re.DOTALL)
    script = f"{block}\nprint(len(runs), len(curves), len(best), list(ranked['n']))"
    (stage.place / "page.py").write_text(script)
    assert stage.run("python page.py") == "11 416 11 [6, 5]"
    assert (stage.place / "curves.png").stat().st_size > 10000


@pytest.mark.slow
def test_the_python_of_the_manual_runs(tmp_path: documents.Path) -> None:
    stage = documents.Stage(tmp_path)
    page = (documents.REPOSITORY / "docs" / "experiment-outputs.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (stage.place / "page.py").write_text("\n".join(blocks) + "\nprint(sorted(outputs), type(float(value)))")
    printed = stage.run("python page.py").splitlines()
    assert printed[0] == "Using default action op."
    assert printed[1].startswith("Logging data to ")
    assert printed[2].startswith("Episode 0 \t EpRet ")
    assert printed[-2] in page
    assert printed[-1] == "['pi', 'v'] <class 'float'>"


JSON = {
    "runs": ["runs", "--json"],
    "show": ["show", "6", "--json"],
    "snapshots": ["snapshots", "6", "--json"],
    "du": ["du", "--json"],
    "config": ["config", "--json"],
    "params": ["params", "--json"],
    "metrics": ["metrics", "--json"],
    "diff": ["diff", "1", "12", "--json"],
    "doctor": ["doctor", "--json"],
    "compare": ["compare", "--json"],
    "best": ["best", "--json"],
    "test-policy": ["test-policy", "6", "--itr", "0", "-nr", "-n", "2", "--json"],
    "tag": ["tag", "--json"],
    "note": ["note", "1", "--json"],
    "verify": ["verify", "6", "--itr", "0", "--jobs", "1", "--json"],
    "rm": ["rm", "--list", "--json"],
    "query list": ["query", "list", "--json"],
    "sql": ["sql", "SELECT * FROM runs", "--json"],
    "ingest": ["ingest", "data", "--json"],
    "db info": ["db", "info", "--json"],
    "db check": ["db", "check", "--json"],
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> documents.Stage:
    """The examples, ingested, with something of everything that people add."""
    stage = documents.Stage(tmp_path_factory.mktemp("json"))
    stage.run("spindb ingest data; spindb tag +a 1; spindb note 1 text; spindb query save q tag:a")
    stage.run("spindb test-policy 6 --itr 0 -nr -n 2; spindb rm 2 --yes")
    return stage


@pytest.mark.slow
@pytest.mark.parametrize("name", JSON)
def test_json_is_as_its_schema_says(study: documents.Stage, name: str) -> None:
    import json
    import shlex

    import jsonschema

    schema = json.loads((documents.REPOSITORY / "docs" / "output.schema.json").read_text())
    assert schema["$id"].endswith(f"-{JSON_VERSION}")
    printed = json.loads(study.run(f"spindb {shlex.join(JSON[name])} 2>/dev/null"))
    assert printed
    jsonschema.validate(printed, {**schema, "$ref": f"#/$defs/{name.replace(' ', '%20')}"})
    if isinstance(printed, list):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(
                [{}] if name != "sql" else ["no object"], {**schema, "$ref": f"#/$defs/{name.replace(' ', '%20')}"}
            )


def test_every_json_has_a_schema() -> None:
    import json

    from typer.main import get_command

    from spindb.cli.app import application

    defined = json.loads((documents.REPOSITORY / "docs" / "output.schema.json").read_text())["$defs"]
    for name, command in get_command(application()).commands.items():  # type: ignore[attr-defined]
        for part, each in (getattr(command, "commands", None) or {"": command}).items():
            if any("--json" in parameter.opts for parameter in each.params) and not command.hidden:
                assert f"{name} {part}".strip() in defined, name


def test_every_command_has_an_example_whose_output_is_checked() -> None:
    from typer.main import get_command

    from spindb.cli.app import application

    shown = "\n".join(page.read_text() for page in documents.PAGES)
    for name, command in get_command(application()).commands.items():  # type: ignore[attr-defined]
        for part in getattr(command, "commands", None) or [""]:
            full = f"{name} {part}".strip()
            if not command.hidden and full != "demo":  # trains for a minute: test_package.py runs it
                assert f"$ spindb {full}" in shown or f"&& spindb {full}" in shown, full
