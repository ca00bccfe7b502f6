"""Which rows of a log a snapshot is compared with, and what they say."""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spindb.disk.formats import read_run, recognise
from spindb.play.verify.logged import Log, episodes_within, log_of, said_of
from spindb.records import SnapshotRecord

NOON = datetime(2020, 1, 1, 12)


def record(tmp_path: Path, rows: list[dict[str, Any]], **config: Any) -> Any:
    directory = tmp_path / "run_s0"
    directory.mkdir(exist_ok=True)
    lines = [list(rows[0]), *(list(row.values()) for row in rows)] if rows else []
    (directory / "progress.txt").write_text("".join("\t".join(map(str, line)) + "\n" for line in lines))
    (directory / "config.json").write_text(json.dumps({"seed": 0, **config}))
    found = recognise(["progress.txt", "config.json"], directory)
    assert found is not None
    return read_run(found, directory, ".")


def on_policy(epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "Epoch": epoch,
            "AverageEpRet": 10.0 * epoch,
            "StdEpRet": 2.0,
            "MaxEpRet": 10.0 * epoch + 3,
            "MinEpRet": 10.0 * epoch - 3,
            "EpLen": 54.545456,
            "AverageVVals": 1.0 * epoch,
            "TotalEnvInteracts": 1000 * (epoch + 1),
            "Time": 10.0 * (epoch + 1),
        }
        for epoch in range(epochs)
    ]


def off_policy(epochs: int) -> list[dict[str, Any]]:
    return [
        {"Epoch": e, "AverageEpRet": -1.0 * e, "AverageTestEpRet": -2.0 * e, "StdTestEpRet": 1.0}
        for e in epochs_of(epochs)
    ]


def epochs_of(count: int) -> range:
    return range(1, count + 1)


def save(itr: int | None = None, **told: Any) -> SnapshotRecord:
    return SnapshotRecord("simple_save", "simple_save", itr, **told)


def epochs(log: Log) -> list[int | None]:
    return [line.returns.epoch for line in log.lines]


def test_snapshot_n_is_the_row_with_epoch_n(tmp_path: Path) -> None:
    found = said_of(record(tmp_path, on_policy(30), epochs=30, steps_per_epoch=1000, max_ep_len=250), save(20))
    (line,) = found.lines
    log = line.returns
    assert (log.epoch, log.mean, log.spread, log.low, log.high) == (20, 200.0, 2.0, 197.0, 203.0)
    assert (log.metric, log.span, log.steps, found.deterministic, found.length) == (
        "AverageEpRet",
        290,
        1000,
        False,
        250,
    )
    assert log.episodes == 11, "eleven lengths whose mean is 54.545456 are whole; eighteen are not"
    assert (line.value, line.value_span) == (20.0, 29.0)


def test_steps_follow_from_the_interactions_where_the_config_is_silent(tmp_path: Path) -> None:
    (line,) = said_of(record(tmp_path, on_policy(3)), save(0)).lines
    assert line.returns.steps == 1000


def test_an_epoch_that_was_not_logged_is_said(tmp_path: Path) -> None:
    found = said_of(record(tmp_path, on_policy(30)), save(40))
    assert (found.lines, found.why) == ((), "epoch 40 was not logged")
    assert said_of(record(tmp_path, []), save(0)).why == "nothing was logged"
    stale = said_of(record(tmp_path, on_policy(30)), save(20, stale="of another run"))
    assert stale.why == "the snapshot is stale: of another run"
    unknown = [{"Epoch": 0, "AverageEpRet": 1.0}]
    assert said_of(record(tmp_path, unknown), save(0)).why == "how many episodes were logged is not known"


def test_test_returns_are_deterministic_and_of_whole_episodes(tmp_path: Path) -> None:
    found = said_of(record(tmp_path, off_policy(5), num_test_episodes=7), save(3))
    (line,) = found.lines
    assert (line.returns.metric, line.returns.mean, line.returns.episodes) == ("AverageTestEpRet", -6.0, 7)
    assert (found.deterministic, line.returns.steps, line.value) == (True, None, None)
    assert said_of(record(tmp_path, off_policy(5)), save(3)).lines[0].returns.episodes == 10


@pytest.mark.parametrize(
    ("rows", "config", "expected", "unlogged"),
    [
        (30, {"epochs": 30, "save_freq": 10}, [29], None),  # whole: the last is saved
        (13, {"epochs": 500, "save_freq": 10}, [10], None),  # killed
        (13, {"epochs": 500}, [10], None),  # saves every tenth, as the original
        (8, {"epochs": 500, "save_freq": 10}, [0], None),
        (10, {"epochs": 500, "save_freq": 10}, [0], 10),  # 10 may be saved, its row was not written
        (13, {"save_freq": 1}, [12], 13),
    ],
)
def test_the_epoch_of_an_unnumbered_save_on_policy(
    tmp_path: Path, rows: int, config: dict[str, int], expected: list[int], unlogged: int | None
) -> None:
    found = said_of(record(tmp_path, on_policy(rows), steps_per_epoch=1000, **config), save())
    assert (epochs(found), found.unlogged) == (expected, unlogged)


@pytest.mark.parametrize(
    ("rows", "config", "expected", "unlogged"),
    [
        (10, {"epochs": 10}, [10], None),
        (9, {"epochs": 10}, [9], None),  # whole in older versions
        (9, {"epochs": 10, "save_freq": 5}, [9, 5], None),  # whole in older versions, killed in newer ones
        (4, {"epochs": 10, "save_freq": 5}, [], 5),
        (6, {"epochs": 10, "save_freq": 3}, [6], None),
        (7, {"epochs": 10, "save_freq": 4}, [4], 8),
    ],
)
def test_the_epoch_of_an_unnumbered_save_off_policy(
    tmp_path: Path, rows: int, config: dict[str, int], expected: list[int], unlogged: int | None
) -> None:
    found = said_of(record(tmp_path, off_policy(rows), **config), save())
    assert (epochs(found), found.unlogged) == (expected, unlogged)
    assert bool(found.why) == (not expected)


def test_times_say_which_epoch_where_they_were_kept(tmp_path: Path) -> None:
    whole = record(tmp_path, on_policy(13), epochs=500, save_freq=10, steps_per_epoch=1000)
    written = whole._replace(updated_at=NOON)
    began = NOON - timedelta(seconds=130)
    assert epochs(said_of(written, save(saved_at=began + timedelta(seconds=105)))) == [10]
    assert epochs(said_of(written, save(saved_at=began + timedelta(seconds=75)))) == [10, 7], "both are compared"
    assert epochs(said_of(written, save(saved_at=NOON - timedelta(milliseconds=5)))) == [10], "copied: nothing is told"
    killed = record(tmp_path, on_policy(10), epochs=500, save_freq=10, steps_per_epoch=1000)._replace(updated_at=NOON)
    late = said_of(killed, save(saved_at=NOON + timedelta(seconds=9)))
    assert (late.lines, late.why) == ((), "epoch 10 was not logged")
    early = said_of(killed, save(saved_at=NOON - timedelta(seconds=95)))
    assert (epochs(early), early.unlogged) == ([0], None)


def test_a_curve_without_range_takes_that_of_the_returns(tmp_path: Path) -> None:
    (line,) = said_of(record(tmp_path, on_policy(1), steps_per_epoch=1000), save(0)).lines
    assert line.returns.span == 6


def test_returns_that_are_no_numbers_are_logged_as_such(tmp_path: Path) -> None:
    rows = [row | {"AverageEpRet": "nan"} for row in on_policy(2)]
    (line,) = said_of(record(tmp_path, rows, steps_per_epoch=1000), save(1)).lines
    assert math.isnan(line.returns.mean)


def test_a_directory_without_a_log_says_so(tmp_path: Path) -> None:
    (tmp_path / "simple_save").mkdir()
    assert log_of(tmp_path, save()).why in ("the run directory has no log", "nothing was logged")


@pytest.mark.parametrize(
    ("steps", "length", "episodes"),
    [
        (1000, 54.545456, 11),
        (4000, 200.0, 20),
        (1000, 142.85715, 7),
        (600, 136.75, 4),
        (600, 700.0, 0),
        (1000, 22.3, 40),
    ],
)
def test_how_many_episodes_ended_in_an_epoch(steps: int, length: float, episodes: int) -> None:
    assert episodes_within(steps, length) == episodes
