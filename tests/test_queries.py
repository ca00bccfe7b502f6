"""One test per example of the query page, asked of the study in ``examples/``.

``SPINDB_GOLDEN=write pytest tests/test_queries.py`` writes the ids anew; look at them before you keep them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, settle
from sqlalchemy import Connection

from spindb.index.database.connect import connected
from spindb.index.query import saved
from spindb.index.query.search import run_ids
from spindb.index.write.annotations import add_note, tag_runs
from spindb.ingest.pipeline import ingest

PAGE = (REPOSITORY / "docs" / "queries.md").read_text()
EXAMPLES = [text.replace("\\|", "|") for text in re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE)]
FOUND = Path(__file__).parent / "golden" / "queries.json"


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Connection]:
    """The study with two tags, a note and a saved query."""
    place = tmp_path_factory.mktemp("queries")
    shutil.copytree(REPOSITORY / "examples" / "data", place / "data")
    settle(place / "data", age=3 * 86400)
    database = place / "spindb.db"
    ingest(database, [place / "data"])
    with connected(database, write=True) as writing:
        tag_runs(writing, [1, 6], ["paper"], [])
        add_note(writing, [11], "the disk was full")
        saved.save_query(writing, "best", "Performance>300")
    with connected(database) as reading:
        yield reading


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(connection: Connection, example: str) -> None:
    found = run_ids(connection, example)
    known = json.loads(FOUND.read_text()) if FOUND.exists() else {}
    if os.environ.get("SPINDB_GOLDEN") == "write":
        FOUND.write_text(json.dumps({**known, example: found}, indent=1, sort_keys=True) + "\n")
        return
    assert found == known[example]


def test_the_page_has_them_all() -> None:
    assert len(EXAMPLES) >= 20
    assert set(json.loads(FOUND.read_text())) == set(EXAMPLES)
