"""What small changes of the code once altered without any test noticing: ends of periods, places of carets, joins."""

from __future__ import annotations

import io
import json
import math
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torchlike
from conftest import PPO_CONFIG, Outcome, rows_of
from sqlalchemy import insert, update

from spindb.analysis import curves, summaries
from spindb.analysis.drawing.sparkline import sparkline
from spindb.analysis.statistics import describe
from spindb.disk.codecs.pickles import PickleError, read_pickle
from spindb.disk.codecs.torchfiles import read_module
from spindb.disk.scan import Foreign, FoundRun, scan
from spindb.errors import FilterError
from spindb.index.database.connect import connected
from spindb.index.database.engine import open_engine
from spindb.index.database.models import roots, runs
from spindb.index.query import saved
from spindb.index.query.search import Query, run_ids, search
from spindb.index.read.curves import RawCurve
from spindb.ingest.pipeline import ingest
from spindb.records import MetricSeries

Write = Callable[..., Path]
Cli = Callable[..., Outcome]


# Summaries, curves and statistics of one row, and of the last one.


def test_the_tail_may_be_one_row() -> None:
    assert summaries.summary_named("tail:1")([1.0, 2.0], [5.0, 7.0]) == 7.0
    assert summaries.summary_named("tail:1")([1.0], [5.0]) == 5.0
    assert math.isnan(summaries.summary_named("tail:1")([1.0, 2.0], [5.0, math.nan]))


def test_a_run_of_one_row_has_every_summary() -> None:
    x, y = [1000.0], [3.5]
    for name in ("last", "first", "min", "max", "mean", "tail:3", "auc"):
        assert summaries.summary_named(name)(x, y) == 3.5, name
    assert summaries.summary_named("reach:3.5")(x, y) == 1000.0
    assert summaries.summary_named("reach:3.5", lower=True)(x, y) == 1000.0
    found = MetricSeries("m", [3.5]).summary()
    assert (found.count, found.first, found.last, found.min, found.max, found.mean) == (1, 3.5, 3.5, 3.5, 3.5, 3.5)
    assert (found.argmin, found.argmax, found.last_text) == (0, 0, None)
    assert sparkline(y) == "▁"
    alone = describe(y)
    assert alone is not None
    assert (alone.n, alone.mean, alone.median, alone.iqm, alone.std) == (1, 3.5, 3.5, 3.5, None)


def test_curves_of_one_row_are_points() -> None:
    line = curves.line("one", [RawCurve(1, "m", "x", [5.0], [2.0]), RawCurve(2, "m", "x", [5.0], [4.0])])
    assert line is not None
    assert (line.x.tolist(), line.y.tolist(), line.n.tolist()) == ([5.0], [3.0], [2.0])
    apart = curves.line("two", [RawCurve(1, "m", "x", [5.0], [2.0]), RawCurve(2, "m", "x", [6.0], [4.0])])
    assert apart is not None
    assert (apart.x.tolist(), apart.y.tolist(), apart.n.tolist()) == ([5.0, 6.0], [2.0, 4.0], [1.0, 1.0])


def test_runs_of_one_row_are_compared(
    run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for seed, value in enumerate((1.0, 3.0)):
        run_directory(f"ppo_s{seed}", config=PPO_CONFIG | {"seed": seed, "env": "A-v0"}, rows=[(0, value)])
    cli("ingest", "data")
    assert rows_of(tmp_path / "spindb.db", "SELECT rows, status FROM runs") == [(1, "ok"), (1, "ok")]
    outcome = cli("compare", "--json")
    assert '"n": 2' in outcome.out
    assert '"mean": 2.0' in outcome.out


# Times as people type them.


@pytest.fixture
def started(
    run_directory: Write, database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., list[str]]]:
    """Asks which of the moments that it is given answer to a filter of times, in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    run_directory("first")
    ingest(database, [tmp_path / "data"])

    def call(text: str, *moments: str) -> list[str]:
        found = []
        for moment in moments:
            with open_engine(database, write=True).begin() as connection:
                connection.execute(update(runs).values(started_at=datetime.fromisoformat(moment)))
            with connected(database) as reading:
                found += [moment] if run_ids(reading, text) else []
        return found

    yield call
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("typed", "first", "last", "before", "after"),
    [
        ("2025", "2025-01-01 00:00:00", "2025-12-31 23:59:59", "2024-12-31 23:59:59", "2026-01-01 00:00:00"),
        ("2025-01", "2025-01-01 00:00:00", "2025-01-31 23:59:59", "2024-12-31 23:59:59", "2025-02-01 00:00:00"),
        ("2024-02", "2024-02-01 00:00:00", "2024-02-29 23:59:59", "2024-01-31 23:59:59", "2024-03-01 00:00:00"),
        ("2025-04", "2025-04-01 00:00:00", "2025-04-30 23:59:59", "2025-03-31 23:59:59", "2025-05-01 00:00:00"),
        ("2025-12", "2025-12-01 00:00:00", "2025-12-31 23:59:59", "2025-11-30 23:59:59", "2026-01-01 00:00:00"),
        ("2025-06-30", "2025-06-30 00:00:00", "2025-06-30 23:59:59", "2025-06-29 23:59:59", "2025-07-01 00:00:00"),
        (
            *("'2025-06-30 23:59'", "2025-06-30 23:59:00", "2025-06-30 23:59:59"),
            *("2025-06-30 23:58:59", "2025-07-01 00:00:00"),
        ),
        (
            *("2025-06-30T12:00:07", "2025-06-30 12:00:07", "2025-06-30 12:00:07.900000"),
            *("2025-06-30 12:00:06.900000", "2025-06-30 12:00:08"),
        ),
    ],
)
def test_a_period_ends_where_the_next_one_begins(
    started: Callable[..., list[str]], typed: str, first: str, last: str, before: str, after: str
) -> None:
    every = (before, first, last, after)
    assert started(f"started={typed}", *every) == [first, last]
    assert started(f"started!={typed}", *every) == [before, after]
    assert started(f"started<{typed}", *every) == [before]
    assert started(f"started<={typed}", *every) == [before, first, last]
    assert started(f"started>{typed}", *every) == [after]
    assert started(f"started>={typed}", *every) == [first, last, after]


@pytest.mark.parametrize(
    ("typed", "ago"),
    [
        ("90min", timedelta(minutes=90)),
        ("5h", timedelta(hours=5)),
        ("3d", timedelta(days=3)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_time_ago_is_a_moment(started: Callable[..., list[str]], typed: str, ago: timedelta) -> None:
    moment = datetime.fromtimestamp(time.time()) - ago
    before, after = (str(moment + timedelta(minutes=minutes)) for minutes in (-1, 1))
    assert started(f"started>{typed}", before, after) == [after]
    assert started(f"started<{typed}", before, after) == [before]


# Columns of roots.


@pytest.fixture
def two_hosts(run_directory: Write, database: Path, tmp_path: Path) -> Path:
    """Runs 1 and 2 below a root here, run 3 below one of another machine."""
    for value, name in enumerate(("a_s0", "b_s0")):
        run_directory(name, config=PPO_CONFIG, rows=[(0, value)])
    ingest(database, [tmp_path / "data"])
    with open_engine(database, write=True).begin() as connection:
        connection.execute(insert(roots).values(id=2, host="elsewhere", path="/far/away"))
        own = connection.execute(runs.select().where(runs.c.id == 1)).mappings().one()
        connection.execute(insert(runs).values(**{**own, "id": 3, "root_id": 2, "name": "c_s0", "path": "c_s0"}))
    return database


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("host=elsewhere", [3]),
        ("host!=elsewhere", [1, 2]),
        ("not host=elsewhere", [1, 2]),
        ("root=/far/away", [3]),
        ("root~*away", [3]),
        ("root~*data", [1, 2]),
        ("not root~*data", [3]),
        ("host=elsewhere or name=a_s0", [1, 3]),
        ("(host=elsewhere or root~*data) name~b*", [2]),
        ("host:any", [1, 2, 3]),
        ("host in (elsewhere, nowhere)", [3]),
        ("pi_lr=3e-4 root=/far/away", []),
    ],
)
def test_filters_of_roots_are_joined_with_them(two_hosts: Path, text: str, ids: list[int]) -> None:
    with connected(two_hosts) as connection:
        assert run_ids(connection, text) == ids
        found = search(connection, Query(text, ("id", "name"), ("host", "id")))
        assert sorted(row[0] for row in found.rows) == ids
        assert found.total == len(ids)


# Directories of other loggers.


def test_directories_of_other_loggers_inside_of_runs_are_not_counted(run_directory: Write, tmp_path: Path) -> None:
    """A run may keep a monitor's files; beside runs they are somebody else's run."""
    run = run_directory("ppo_s0")
    for place in (run / "monitor", run / "deep" / "events", tmp_path / "data" / "other"):
        place.mkdir(parents=True)
        (place / "progress.csv").write_text("a\n1\n")
        (place / "variant.json").write_text("{}")
    found = list(scan(tmp_path / "data"))
    assert [item.path for item in found if isinstance(item, Foreign)] == ["other"]
    assert [item.path for item in found if isinstance(item, FoundRun)] == ["ppo_s0"]


# Seeds that a setting lacks.


@pytest.mark.parametrize(
    ("seeds", "lacking"),
    [
        ([(0, 1), (0, 1), (0,)], ["c_s0"]),  # two of three have seed 1
        ([(0, 1), (0,)], []),  # one of two is no habit
        ([(0, 1), (0, 1), (0,), (0,)], ["c_s0", "d_s0"]),  # half is
        ([(0, 1), (0, 1), (0,), (0,), (0,)], []),  # less than half is not
        ([(0, 1), (0, 1, 2), (1, 2)], ["a_s0", "a_s1", "c_s1", "c_s2"]),
    ],
    ids=["two of three", "one of two", "two of four", "two of five", "different ones"],
)
def test_seeds_are_missed_that_half_of_the_settings_have(
    run_directory: Write,
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    seeds: list[tuple[int, ...]],
    lacking: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for exp, of_setting in zip("abcde", seeds, strict=False):
        for seed in of_setting:
            config = PPO_CONFIG | {"seed": seed, "exp_name": exp, "env": "A-v0", "gamma": 0.9 + ord(exp) / 1e4}
            run_directory(f"{exp}_s{seed}", config=config, rows=[(0, float(ord(exp) + seed))])
    cli("ingest", "data")
    ids = cli("doctor", "--finding", "seeds", "--ids").out.split()
    names = dict(rows_of(tmp_path / "spindb.db", "SELECT id, name FROM runs"))
    assert sorted(names[int(run_id)] for run_id in ids) == lacking


# What settings are called.


def test_labels_are_short_where_the_last_part_tells_enough(
    run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    for number, (pi, q, rate) in enumerate([(8, 16, 0.1), (8, 32, 0.1), (16, 32, 0.123456789)]):
        config = {"pi": {"size": pi}, "q": {"size": q}, "deep": {"er": {"rate": rate}}, "exp_name": "e", "seed": 0}
        run_directory(f"r{number}", config=config, rows=[(0, float(number))])
    cli("ingest", "data")
    assert {row["label"] for row in json.loads(cli("compare", "--json").out)} == {
        "rate=0.1 pi.size=8 q.size=16",
        "rate=0.1 pi.size=8 q.size=32",
        "rate=0.123456789 pi.size=16 q.size=32",
    }


# Which of several gone copies a run is that turns up.


@pytest.mark.parametrize(("name", "known_as"), [("two_s0", 2), ("three_s0", 3), ("other_s0", 1)])
def test_a_moved_run_is_the_gone_copy_of_its_name_else_the_first(
    run_directory: Write, database: Path, tmp_path: Path, name: str, known_as: int
) -> None:
    places = [run_directory(f"{folder}/{called}_s0") for folder, called in (("a", "one"), ("b", "two"), ("c", "three"))]
    ingest(database, [tmp_path / "data"])
    assert [row[0] for row in rows_of(database, "SELECT name FROM runs ORDER BY id")] == [
        "one_s0",
        "two_s0",
        "three_s0",
    ]
    (tmp_path / "data" / "moved").mkdir()
    shutil.move(places[0], tmp_path / "data" / "moved" / name)
    for place in places[1:]:
        shutil.rmtree(place)
    ingest(database, [tmp_path / "data"])
    assert rows_of(database, f"SELECT id FROM runs WHERE path = 'moved/{name}'") == [(known_as,)]


# Files of joblib and PyTorch.


@pytest.mark.parametrize("length", range(1, 33))
def test_the_padding_before_an_array_is_stepped_over(length: int) -> None:
    """joblib aligns the bytes of arrays by up to sixteen bytes; what follows them must be found."""
    joblib = pytest.importorskip("joblib")
    buffer = io.BytesIO()
    joblib.dump({"x" * length: np.arange(length, dtype="u1"), "after": "here", "more": np.ones(3)}, buffer)
    found = read_pickle(buffer.getvalue())
    assert found["after"] == "here"
    array = found["x" * length]
    assert buffer.getvalue()[array.start : array.start + array.count] == bytes(range(length))
    more = found["more"]
    assert np.frombuffer(buffer.getvalue()[more.start : more.start + more.count]).tolist() == [1.0, 1.0, 1.0]


def _other_byte_order(data: bytes) -> bytes:
    """The file as a machine of the other byte order marks it."""
    if not data.startswith(b"PK"):
        flag = data.index(b"\x88", data.index(b"little_endian"))  # True
        return data[:flag] + b"\x89" + data[flag + 1 :]
    source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in source.namelist():
            archive.writestr(name, b"big" if name.endswith("byteorder") else source.read(name))
    return target.getvalue()


@pytest.mark.parametrize("container", [torchlike.zipped, torchlike.legacy], ids=["zip", "legacy"])
def test_torch_files_of_the_other_byte_order_are_refused(container: Callable[..., bytes]) -> None:
    network = torchlike.sequence(torchlike.linear(np.array([[1.5, -2.0]], "f4"), np.array([0.25], "f4")))
    data = container(network)
    layer = read_module(data).children["0"]
    assert np.frombuffer(layer.tensors["weight"].storage, "<f4").tolist() == [1.5, -2.0]
    assert np.frombuffer(layer.tensors["bias"].storage, "<f4").tolist() == [0.25]
    with pytest.raises(PickleError, match="other byte order"):
        read_module(_other_byte_order(data))


# Where carets stand.

MARKED = [
    ("foo", "foo"),
    ("seed=0 foo", "foo"),
    ("seed=0 tag:", "tag:"),
    ("and seed=0", "and"),
    ("seed=0 or or seed=1", "or"),
    ("seed=zero", "zero"),
    ("rows > 'two words'", "'two words'"),
    ("archived=maybe", "maybe"),
    ("pi_lr<fast", "fast"),
    ("nothing=1", "nothing"),
    ("seed=0 not 'no such'=1", "'no such'"),
    ("config.nothing=1", "config.nothing"),
    ("metric.nothing>1", "metric.nothing"),
    ("AverageEpRet~1*", "1*"),
    ("AverageEpRet>nan", "nan"),
    ("AverageEpRet>high", "high"),
    ("started=soon", "soon"),
    ("started=2025..soon", "soon"),
    ("started=soon..2025", "soon"),
    ("seed~1", "1"),
    ("pi_lr=[1,}", "[1,}"),
    ("seed=0 @nothing", "@nothing"),
    ("seed in (0, one)", "one"),
    ("seed=0 (rows>1", "("),
    ("seed=[1", "["),
    ("seed='1", "'"),
]


@pytest.mark.parametrize(("text", "marked"), MARKED)
def test_carets_stand_below_what_is_wrong(two_hosts: Path, text: str, marked: str) -> None:
    with connected(two_hosts) as connection, pytest.raises(FilterError) as caught:
        run_ids(connection, text)
    error = caught.value
    assert error.text == text
    assert text[error.start : error.end] == marked
    message, shown, carets = str(error).splitlines()
    assert (message, shown) == (error.message, f"  {text}")
    assert carets == "  " + " " * text.rindex(marked) + "^" * len(marked)


def test_carets_below_a_sort_key_stand_below_its_name(two_hosts: Path) -> None:
    with connected(two_hosts) as connection, pytest.raises(FilterError) as caught:
        search(connection, Query("", ("id",), ("-nothing",)))
    assert (caught.value.text, caught.value.start, caught.value.end) == ("-nothing", 1, 8)


def test_carets_of_a_saved_query_stand_below_its_own_text(two_hosts: Path) -> None:
    with open_engine(two_hosts, write=True).begin() as connection:
        saved.save_query(connection, "broken", "seed=0 rows>high")
    with connected(two_hosts) as connection, pytest.raises(FilterError) as caught:
        run_ids(connection, "name=a_s0 and @broken")
    assert (caught.value.text, caught.value.start, caught.value.end) == ("seed=0 rows>high", 12, 16)
    with connected(two_hosts) as connection, pytest.raises(FilterError) as caught:
        run_ids(connection, "name=a_s0 nothing=1 or @broken")
    assert caught.value.text == "name=a_s0 nothing=1 or @broken"
