"""When runs started and ended: stamps in a zone, file times that are those of a copy, times as people type them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from conftest import Outcome, rows_of

from spindb.disk.formats import layout_named, read_run
from spindb.disk.metricnames import performance_of, step_column_of
from spindb.disk.times import FileTimes, run_time, seconds_of, utc, zone_named
from spindb.errors import UsageError
from spindb.ingest.pipeline import ingest
from spindb.records import MetricSeries

Write = Callable[..., Path]
Cli = Callable[..., Outcome]
NAME = "2026-07-01_14-30-00-ppo_s0"
WINTER = "2026-12-01_14-30-00-ppo_s1"


def spindb(zone: str, *arguments: object) -> str:
    """What the command line prints where that is the machine's time zone."""
    environment = {**os.environ, "TZ": zone}
    command = [sys.executable, "-m", "spindb", *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert result.returncode in (0, 1), result.stderr
    return result.stdout


@pytest.fixture
def stamped(run_directory: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)
    run_directory(NAME, config={"exp_name": "ppo", "seed": 0})
    run_directory(WINTER, config={"exp_name": "ppo", "seed": 1}, rows=[(0, 5.0)])
    return tmp_path / "spindb.db"


@pytest.fixture
def at(cli: Cli) -> Iterator[Callable[..., Outcome]]:
    """The command line in this process, in a time zone."""
    before = os.environ.get("TZ")

    def call(zone: str, *arguments: object) -> Outcome:
        os.environ["TZ"] = zone
        time.tzset()
        return cli(*arguments)

    yield call
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def starts(database: Path) -> list[tuple[str, str]]:
    return rows_of(database, "SELECT started_at, started_source FROM runs ORDER BY name")


@pytest.mark.sqlite
def test_a14_a_stamp_is_local_time_of_the_machine_that_ingests(stamped: Path) -> None:
    spindb("Europe/Berlin", "ingest", "data")
    assert starts(stamped) == [
        ("2026-07-01 12:30:00.000000", "name"),  # summer time at that date, whatever the season is now
        ("2026-12-01 13:30:00.000000", "name"),
    ]


@pytest.mark.sqlite
def test_a14_another_zone_is_given_and_kept(stamped: Path, cli: Cli) -> None:
    cli("ingest", "data", "--stamp-zone", "America/New_York")
    expected = [
        ("2026-07-01 18:30:00.000000", "name in America/New_York"),
        ("2026-12-01 19:30:00.000000", "name in America/New_York"),
    ]
    assert starts(stamped) == expected
    assert "2 unchanged" in cli("ingest", "data").err
    progress = stamped.parent / "data" / NAME / "progress.txt"
    progress.write_text(progress.read_text() + "2\t3.0\n")
    assert "1 changed" in cli("ingest", "data").err
    assert starts(stamped) == expected  # the zone that was given stays with the run
    assert "2 changed" in cli("ingest", "data", "--stamp-zone", "+02:00").err
    assert starts(stamped) == [
        ("2026-07-01 12:30:00.000000", "name in +02:00"),
        ("2026-12-01 12:30:00.000000", "name in +02:00"),
    ]
    outcome = cli("ingest", "data", "--stamp-zone", "Nowhere/Land")
    assert outcome.code == 2
    assert "no time zone 'Nowhere/Land'" in outcome.err


@pytest.mark.sqlite
def test_a14_times_are_shown_in_the_readers_zone_and_asked_in_it(stamped: Path, at: Callable[..., Outcome]) -> None:
    spindb("Europe/Berlin", "ingest", "data")
    assert "2026-07-01 14:30 CEST (from name)" in at("Europe/Berlin", "show", "1").out
    assert "2026-07-01 08:30 EDT" in spindb("America/New_York", "show", "1")
    assert "2026-07-01 18:15 +0545" in at("Asia/Kathmandu", "show", "1").out
    assert "2026-12-01 14:30 CET" in at("Europe/Berlin", "runs", "--columns", "started").out
    answers = {at(zone, "runs", "--columns", "started", "--json").out for zone in ("UTC", "Asia/Tokyo")}
    assert [[row["started"] for row in json.loads(answer)] for answer in answers] == [
        ["2026-07-01T12:30:00Z", "2026-12-01T13:30:00Z"]
    ]
    for zone, query, found in [
        ("Europe/Berlin", "started='2026-07-01 14:30'", ["1"]),
        ("UTC", "started='2026-07-01 14:30'", []),
        ("UTC", "started='2026-07-01 12:30'", ["1"]),
        ("Asia/Tokyo", "started=2026-07-01T12:30Z", ["1"]),
        ("Asia/Tokyo", "started=2026-07-01T14:30+02:00", ["1"]),
        ("Asia/Tokyo", "started=2026-07-01T14:30:00+0200", ["1"]),
        ("Pacific/Kiritimati", "started=2026-07-02", ["1"]),  # 02:30 of the next day there
        ("Pacific/Kiritimati", "started=2026-07-02Z", []),
        ("UTC", "started>2026-11", ["2"]),
    ]:
        assert at(zone, "runs", query, "--ids").out.split() == found, (zone, query)


def test_a14_zones_by_name_and_offset() -> None:
    noon = datetime(2026, 7, 1, 12)
    for name, hours in [("UTC", 0), ("Z", 0), ("+02:00", 2), ("-0530", -5.5), ("UTC+3", 3), ("Europe/Berlin", 2)]:
        assert noon.replace(tzinfo=zone_named(name)).utcoffset() == timedelta(hours=hours)
    for name in ("Nowhere", "../etc/passwd", "", "+99:00"):
        with pytest.raises(ValueError, match=r"no time zone|offset|must be"):
            zone_named(name)


def test_a14_a_zone_that_is_none_is_a_usage_error(tmp_path: Path, database: Path) -> None:
    with pytest.raises(UsageError, match="no time zone"):
        ingest(database, [tmp_path], stamp_zone="Nowhere")


def series(name: str, *values: float) -> MetricSeries:
    return MetricSeries(name, values)


NOW = 1_780_000_000.0
HOURS = series("Time", 3600.0, 7200.0)
TIMES = [
    ("ppo_s0", FileTimes(NOW - 7300, NOW), HOURS, True),  # written over two hours, as the rows say
    ("ppo_s0", FileTimes(NOW - 1, NOW), HOURS, False),  # two hours within a second
    ("ppo_s0", FileTimes(NOW, NOW - 1), HOURS, False),
    ("ppo_s0", FileTimes(NOW, NOW), series("Time", 30.0, 60.0), True),  # a minute is too short to tell
    ("ppo_s0", FileTimes(None, NOW), HOURS, True),  # nothing to compare with
    ("ppo_s0", FileTimes(NOW, NOW), series("Epoch", 0, 1), True),
    ("ppo_s0", FileTimes(NOW, NOW), series("Time", 1.7e9, 1.7e9 + 9000), True),  # dates, not durations
    ("ppo_s0", FileTimes(NOW - 400, NOW), series("Time", 5000.0, 100.0, 200.0), True),  # started again
    ("2019-03-04_05-06-07-ppo_s0", FileTimes(NOW, NOW), series("Time", 100.0), False),
    ("2019-03-04_05-06-07-ppo_s0", FileTimes(NOW, NOW), series("Epoch", 1), False),
    ("2019-03-04_ppo_s0", FileTimes(NOW, NOW), series("Time", 100.0), False),
    ("2019-03-04_05-06-07-ppo_s0", FileTimes(NOW - 7300, NOW), HOURS, True),  # started again years later, as it seems
    ("2030-03-04_05-06-07-ppo_s0", FileTimes(NOW, NOW), series("Time", 100.0), False),
]


@pytest.mark.parametrize(("name", "files", "column", "believed"), TIMES)
def test_a13_file_times_that_contradict_the_rows_or_the_name_say_nothing(
    name: str, files: FileTimes, column: MetricSeries, believed: bool
) -> None:
    found = run_time(name, files, [column], "UTC")
    assert (found.updated_at is not None) == believed
    if believed:
        assert files.progress is not None
        assert found.updated_at == utc(files.progress)
    else:
        assert (found.started_source or "name").startswith("name")


def test_a13_durations_of_rows_are_added() -> None:
    assert seconds_of([series("Time", *(500.0, 480.0, 510.0, 470.0) * 2)]) == 3920.0
    assert seconds_of([series("time/time_elapsed", 1.0, 2.0)]) == 2.0
    assert seconds_of([MetricSeries("Time", ("2 min", None))]) is None


@pytest.fixture
def unfinished(run_directory: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)

    def write(name: str, config: float, progress: float, header: tuple[str, ...], *row: float) -> None:
        """An unfinished run of which config and rows were written so many seconds ago."""
        run = run_directory(name, config={"epochs": 50, "exp_name": name, "seed": 0}, header=header, rows=[row])
        for file, ago in (("config.json", config), ("progress.txt", progress)):
            os.utime(run / file, (time.time() - ago,) * 2)

    return write


def doctor(cli: Cli) -> dict[str, int]:
    found = json.loads(cli("doctor", "--json").out)
    return {
        f["finding"]: len(f["ids"]) for f in found if f["finding"] in ("running", "stalled", "crashed", "unfinished")
    }


def test_a13_a_clone_is_not_running(unfinished: Callable[..., None], cli: Cli) -> None:
    unfinished("clock", 30, 30, ("Epoch", "AverageEpRet", "Time"), 0, 1.0, 5000.0)
    unfinished("2019-03-04_05-06-07-dated_s0", 30, 30, ("Epoch", "AverageEpRet", "Time"), 0, 2.0, 50.0)
    for number in range(3):
        unfinished(f"plain{number}", 30, 30 + number, ("Epoch", "AverageEpRet"), 0, 3.0 + number)
    cli("ingest", "data")
    assert doctor(cli) == {"unfinished": 5}


def test_a13_what_runs_is_running(unfinished: Callable[..., None], cli: Cli) -> None:
    unfinished("clock", 5050, 30, ("Epoch", "AverageEpRet", "Time"), 0, 1.0, 5000.0)
    unfinished("other", 5050, 31, ("Epoch", "AverageEpRet", "Time"), 0, 2.0, 5000.0)
    unfinished("alone", 40, 40, ("Epoch", "AverageEpRet"), 0, 3.0)
    cli("ingest", "data")
    assert doctor(cli) == {"running": 3}


def test_a13_a_run_that_went_back_is_a_finding(run_directory: Write, cli: Cli, tmp_path: Path) -> None:
    run_directory("a", config={"seed": 0}, rows=[(0, 1.0), (1, 2.0), (0, 3.0)])
    cli("--db", tmp_path / "x.db", "ingest", tmp_path / "data")
    found = json.loads(cli("--db", tmp_path / "x.db", "doctor", "--json").out)
    assert [f["ids"] for f in found if f["finding"] == "restarted"] == [[1]]


PERFORMANCES = [
    ("AverageTestEpRet", "AverageEpRet"), ("AverageEpRet", "EpRet"), ("TestEpRet", "AverageEpRet"),
    ("eval/mean_reward", "rollout/ep_rew_mean"), ("AverageTestEpRet", "eval/mean_reward"), ("EpRet", "Performance"),
]  # fmt: skip
ALONE = (
    *("EpRet", "TestEpRet", "average-episode-return", "Performance", "eval/mean_reward", "rollout/ep_rew_mean"),
    *("episode_reward_mean", "eprewmean", "return-average", "MeanReward", "AverageReturn", "Metrics/EpRet", "Return"),
    *("charts/episodic_return", "evaluation/Average Returns", "Test Returns Mean", "env_runners/episode_return_mean"),
)
OTHERS = ("StdEpRet", "MaxEpRet", "MinEpRet", "EpLen", "RewardLoss", "LossPi", "step_reward_scale", "Retries", "Epoch")


@pytest.mark.parametrize("name", ALONE)
def test_a13_performance_under_the_names_that_loggers_use(name: str) -> None:
    assert performance_of([series(other, 1.0) for other in OTHERS]) is None
    assert performance_of([*(series(other, 1.0) for other in OTHERS), series(name, 1.0)]) == name


@pytest.mark.parametrize(("first", "second"), PERFORMANCES)
def test_a13_a_test_counts_before_training(first: str, second: str) -> None:
    for names in ((first, second), (second, first)):
        assert performance_of([series(name, 1.0) for name in names]) == first
    assert performance_of([MetricSeries(first, ("no", None)), series(second, 1.0)]) == second


def test_a13_steps_in_any_spelling() -> None:
    assert step_column_of([series("Epoch", 1), series("time/total_timesteps", 1)]) == "time/total_timesteps"
    assert step_column_of([series("TotalEnvInteracts", 1)]) == "TotalEnvInteracts"


def test_a14_the_format_takes_a_zone(run_directory: Write) -> None:
    record = read_run(layout_named("spinningup"), run_directory(NAME), "x", stamp_zone="-05:00")
    assert (record.started_at, record.started_source) == (datetime(2026, 7, 1, 19, 30), "name in -05:00")
