"""Answers that must not change: a study, a harmless change of it, and what each command says before and after.

A command is a line in ``ANSWERS``, a change a line in ``CHANGES``, a study a line in ``STUDIES``. Answers are reduced
to content: runs are named by what was measured and by experiment and seed, never by id or place.
"""

from __future__ import annotations

import json
import math
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import EVALUATION, REPOSITORY, SHARED, Outcome, settle
from servers import Server
from sqlalchemy import select

from spindb.analysis.drawing.panels import PlotSpec, panels
from spindb.index.database.connect import connected
from spindb.index.database.models import runs
from spindb.index.query.search import run_ids
from spindb.index.write.batch import EpisodeResult, add_evaluation

Cli = Callable[..., Outcome]
Answer = Any
Tokens = Mapping[int, tuple[str, str, str]]


@dataclass(frozen=True)
class Case:
    """A database to ask, and the filter that leaves the runs of the study."""

    database: Path | str
    filter: str = ""


# Answers


def _tokens(database: Path | str) -> dict[int, tuple[str, str, str]]:
    """What a run is called here: what it measured, its experiment and its seed."""
    wanted = select(runs.c.id, runs.c.metrics_digest, runs.c.exp_name, runs.c.seed)
    with connected(database) as connection:
        return {row.id: (row.metrics_digest, str(row.exp_name), str(row.seed)) for row in connection.execute(wanted)}


def _asked(cli: Cli, case: Case, *arguments: str) -> Any:
    outcome = cli("--db", case.database, *arguments, *([case.filter] if case.filter else []), "--json")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def _runs(cli: Cli, case: Case, tokens: Tokens) -> Answer:
    kept = ("exp_name", "algo", "env", "seed", "status", "rows", "Performance", "Performance.max")
    return [(tokens[row["id"]], [row[name] for name in kept]) for row in _asked(cli, case, "runs", "--limit", "0")]


def _compare(cli: Cli, case: Case, tokens: Tokens) -> Answer:
    found = []
    for row in _asked(cli, case, "compare"):
        own = {key: value for key, value in row.items() if key not in _IDS}
        own["values"], own["seeds"] = sorted(row["values"]), sorted(map(str, row["seeds"]))
        reruns = sorted(tokens[run_id] for run_id in row["reruns_averaged"])
        found.append((sorted(tokens[run_id] for run_id in row["runs"]), reruns, sorted(own.items(), key=str)))
    return found


_IDS = (
    "runs",
    "runs_left_out",
    "copies_left_out",
    "earlier_left_out",
    "reruns_averaged",
    "continued",
    "assumed_different",
)


def _plot(cli: Cli, case: Case, tokens: Tokens) -> Answer:
    with connected(case.database) as connection:
        found = panels(connection, run_ids(connection, case.filter), PlotSpec())
    return [
        (
            panel.title,
            panel.xlabel,
            panel.ylabel,
            line.label,
            *(None if a is None else repr(a.tolist()) for a in arrays),
        )
        for panel in found
        for line in panel.lines
        for arrays in [(line.x, line.y, line.low, line.high, line.n)]
    ]


def _doctor(cli: Cli, case: Case, tokens: Tokens) -> Answer:
    codes = ("seeds", "twice", "nan", "inf", "empty", "truncated", "restarted")
    found = [finding for finding in _asked(cli, case, "doctor") if finding["finding"] in codes]
    return [(f["finding"], f["message"], sorted(tokens[run_id] for run_id in f["ids"])) for f in found]


def _best(cli: Cli, case: Case, tokens: Tokens) -> Answer:
    kept = ("env", "itr", "episodes", "mean_return", "deterministic", "rank")
    return [(tokens[row["run"]], [row[name] for name in kept]) for row in _asked(cli, case, "best", "--limit", "99")]


def _params(cli: Cli, case: Case, tokens: Tokens) -> Answer:
    kept = ("key", "runs", "absent", "values")
    own = ("exp_name", "seed", "types")
    return [[row[name] for name in kept] for row in _asked(cli, case, "params") if row["key"] not in own]


ANSWERS: dict[str, Callable[[Cli, Case, Tokens], Answer]] = {
    "runs": _runs,
    "compare": _compare,
    "plot": _plot,
    "doctor": _doctor,
    "best": _best,
    "params": _params,
}


def answers(cli: Cli, case: Case) -> dict[str, Any]:
    """All answers; the order of their parts does not count, since runs are ordered by id as a rule."""
    _evaluate(case.database)
    tokens = _tokens(case.database)
    found = {name: sorted(map(repr, ask(cli, case, tokens))) for name, ask in ANSWERS.items()}
    assert all(found[name] for name in ANSWERS if name != "doctor")
    return found


def _evaluate(database: Path | str) -> None:
    """The same evaluations in every database: of a third of the runs."""
    with connected(database, write=True) as connection:
        if connection.exec_driver_sql("SELECT count(*) FROM evaluations").scalar():
            return
        originals = {token: run_id for run_id, token in sorted(_tokens(database).items(), reverse=True)}
        for token, run_id in sorted(originals.items()):
            mark = sum(map(ord, token[0]))
            if mark % 3 == 0:
                played = EVALUATION.__class__(**_fields(mark, token))
                add_evaluation(connection, run_id, played)


def _fields(mark: int, token: tuple[str, str, str]) -> dict[str, Any]:
    own = {name: getattr(EVALUATION, name) for name in EVALUATION.__dataclass_fields__}
    episodes = (EpisodeResult(float(mark), 10, "terminated"),)
    changes = {"mean_return": float(mark), "deterministic": mark % 2 == 0, "env_id": f"Env-v{mark % 2}"}
    return own | changes | {"episodes": episodes}


# Changes: from a directory of runs and a place to work in, to a case


Change = Callable[[Cli, Path, Path], Case]


def _ingest(cli: Cli, database: Path, *places: Path) -> Case:
    for place in places:
        outcome = cli("--db", database, "ingest", place)
        assert outcome.code in (0, 1), outcome.err
    return Case(database)


def as_it_is(cli: Cli, data: Path, work: Path) -> Case:
    return _ingest(cli, work / "a.db", data)


def ingested_twice(cli: Cli, data: Path, work: Path) -> Case:
    return _ingest(cli, work / "a.db", data, data)


def a_run_is_copied(cli: Cli, data: Path, work: Path) -> Case:
    for run in _run_directories(data)[:3]:
        shutil.copytree(run, run.with_name(f"{run.name}-copy"), symlinks=True)
    return _ingest(cli, work / "a.db", data)


def a_subtree_is_copied(cli: Cli, data: Path, work: Path) -> Case:
    case = _ingest(cli, work / "a.db", data)
    shutil.copytree(data, work / "backup", symlinks=True)
    return _ingest(cli, Path(str(case.database)), work / "backup")


def reached_through_a_link(cli: Cli, data: Path, work: Path) -> Case:
    (work / "link").symlink_to(data)
    return _ingest(cli, work / "a.db", data, work / "link")


def moved(cli: Cli, data: Path, work: Path) -> Case:
    """Before it is ingested: what a name tells stays."""
    (work / "other" / "place").mkdir(parents=True)
    data.rename(work / "other" / "place" / "renamed")
    return _ingest(cli, work / "a.db", work / "other")


def moved_since(cli: Cli, data: Path, work: Path) -> Case:
    case = _ingest(cli, work / "a.db", data)
    new = work / "moved"
    new.mkdir()
    for number, child in enumerate(sorted(data.iterdir())):
        (new / f"part{number % 2}").mkdir(exist_ok=True)
        child.rename(new / f"part{number % 2}" / child.name)
    new.rename(data / "inside")
    return _ingest(cli, Path(str(case.database)), data)


def in_parts_backwards(cli: Cli, data: Path, work: Path) -> Case:
    return _ingest(cli, work / "a.db", *sorted((place for place in data.iterdir() if place.is_dir()), reverse=True))


def unrelated_runs_are_added(cli: Cli, data: Path, work: Path) -> Case:
    """With keys and metrics that are called like others."""
    hostile = {
        "Performance": 3, "AverageEpRet": "high", "hidden_sizes": [5], "env": "CartPole-v1", "pi_lr": 0.5,
        "gamma": None, "algo": "ppo", "epochs": 7, "clip_ratio": [1], "save_path": "/here", "status": "fine",
        "name": "x", "id": 1,
    }  # fmt: skip
    rng = random.Random(1)
    for number in range(12):
        place = data / "zzz" / f"zzz{number // 3}_s{number}"
        place.mkdir(parents=True)
        config = {key: value for key, value in hostile.items() if rng.random() < 0.7}
        config |= {"exp_name": f"zzz{number // 3}", "seed": number % 4}
        (place / "config.json").write_text(json.dumps(config))
        metric = ("AverageEpRet", "AverageTestEpRet", "Performance", "seed")[number % 4]
        lines = ["\t".join(("Epoch", metric, "env")), *(f"{e}\t{1e6 + e + number}\t1" for e in range(3))]
        (place / "progress.txt").write_text("\n".join(lines) + "\n")
    settle(data / "zzz")
    case = _ingest(cli, work / "a.db", data)
    return Case(case.database, "not exp_name~zzz*")


def numbers_are_written_otherwise(cli: Cli, data: Path, work: Path) -> Case:
    for place in sorted(data.rglob("config.json")):
        try:
            config = json.loads(place.read_text())
        except ValueError:
            continue
        times = place.stat().st_atime, place.stat().st_mtime
        place.write_text(json.dumps(_otherwise(config, random.Random(str(config.get("seed"))))))
        os.utime(place, times)
    return _ingest(cli, work / "a.db", data)


def _otherwise(value: Any, rng: random.Random) -> Any:
    """The same value, written in another way."""
    if isinstance(value, dict):
        return {key: _otherwise(item, rng) for key, item in value.items()} if value else value
    if isinstance(value, bool) or value is None:
        return rng.choice([value, str(value)])
    if isinstance(value, int) and abs(value) < 2**53:
        return rng.choice([value, float(value), str(value)])
    if isinstance(value, float) and math.isfinite(value):
        return rng.choice([value, repr(value), f"{value!r}".replace("0.", ".", 1) if 0 < value < 1 else value])
    if isinstance(value, list):
        return rng.choice([value, json.dumps(value), json.dumps(value, separators=(",", ":"))])
    return value


def in_another_zone(cli: Cli, data: Path, work: Path) -> Case:
    case = _ingest(cli, work / "a.db", data)
    os.environ["TZ"] = "Pacific/Auckland"
    time.tzset()
    return case


CHANGES: dict[str, Change] = {
    change.__name__: change
    for change in (
        ingested_twice,
        a_run_is_copied,
        a_subtree_is_copied,
        reached_through_a_link,
        moved,
        moved_since,
        in_parts_backwards,
        unrelated_runs_are_added,
        numbers_are_written_otherwise,
        in_another_zone,
    )
}


def _run_directories(data: Path) -> list[Path]:
    return sorted(place.parent for place in data.rglob("progress.txt"))


# Studies

_POLICY = re.compile(r"(tf1|simple|pyt)_save\d*")


def examples(place: Path) -> None:
    """The runs that the documents stand on."""
    shutil.copytree(REPOSITORY / "examples" / "data", place, ignore=_without_policies)


def genuine(place: Path) -> None:
    if not (SHARED / "runs").is_dir():
        pytest.skip("no ../shared/runs here")
    shutil.copytree(SHARED / "runs", place, ignore=_without_policies)
    for run in _run_directories(place):  # runs of which nothing is known are never copies
        if not any((run / name).exists() and (run / name).stat().st_size for name in ("progress.txt", "config.json")):
            shutil.rmtree(run)


def _without_policies(directory: str, names: list[str]) -> list[str]:
    return [name for name in names if _POLICY.fullmatch(name)]


def generated(number: int) -> Callable[[Path], None]:
    """Algorithms, environments, settings and seeds, with odd names, without configs, crashed."""

    def write(place: Path) -> None:
        rng = random.Random(number)
        for setting in range(8):
            algo = rng.choice(["ppo", "sac", "td3"])
            metric = "AverageEpRet" if algo == "ppo" else "AverageTestEpRet"
            stem = rng.choice(["walk", "td3", "x_cartpole-v0", "walk_lr1", "walk_lr10", "h-0.5"])
            mark = rng.choice(["", "_s{}", "-seed{}", "_seed_{}", " s{}"])
            config: dict[str, Any] = {
                "algo": algo, "lr": rng.choice([1e-3, 3e-4]), "flag": rng.random() < 0.5, "epochs": 5,
                "gamma": rng.choice([0.99, 0.9]), "target": rng.choice([None, 1]),
                "ac_kwargs": {"hidden_sizes": rng.choice([[64, 64], [32]])},
            }  # fmt: skip
            if rng.random() < 0.8:
                config["env"] = rng.choice(["CartPole-v1", "Pendulum-v1"])
            for seed in rng.sample([0, 1, 2, 10, 20], rng.randrange(1, 5)):
                name = f"{stem.replace(' ', '_')}{setting}_s{seed}"
                own = {"exp_name": stem + mark.format(seed), "seed": seed, "save_path": f"/scratch/{name}"}
                rows = [f"{e}\t{rng.gauss(10 * setting, 1)!r}\t{1000 * (e + 1)}" for e in range(5)]
                fate = rng.random()
                if fate < 0.1:
                    rows = rows[: rng.randrange(3)]
                elif fate < 0.2:
                    rows[-1] = f"4\t{rng.choice(['nan', 'inf'])}\t5000"
                directory = place / stem / name
                directory.mkdir(parents=True, exist_ok=True)
                header = f"Epoch\t{metric}\tTotalEnvInteracts\n"
                (directory / "progress.txt").write_text(header + "".join(f"{row}\n" for row in rows))
                if rng.random() < 0.9:
                    (directory / "config.json").write_text(json.dumps(config | own))
        settle(place)

    return write


STUDIES: dict[str, Callable[[Path], None]] = {
    "examples": examples,
    "genuine": genuine,
    **{f"generated{number}": generated(number) for number in range(3)},
}


@pytest.fixture(autouse=True)
def _zone() -> Iterator[None]:
    before = os.environ.get("TZ")
    yield
    if before is None:
        os.environ.pop("TZ", None)
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.fixture
def usual(cli: Cli, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The answers about a study as it is."""
    monkeypatch.delenv("SPINDB_URL", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "usual").mkdir()
    STUDIES[request.param](tmp_path / "usual" / "data")
    return answers(cli, as_it_is(cli, tmp_path / "usual" / "data", tmp_path / "usual"))


@pytest.mark.slow
@pytest.mark.parametrize("usual", STUDIES, indirect=True)
def test_no_harmless_change_changes_an_answer(
    usual: dict[str, Any], cli: Cli, request: pytest.FixtureRequest, tmp_path: Path, subtests_of: Callable[..., None]
) -> None:
    study = request.node.callspec.params["usual"]
    for name, change in CHANGES.items():
        work = tmp_path / name
        work.mkdir()
        STUDIES[study](work / "data")
        subtests_of(name, usual, answers(cli, change(cli, work / "data", work)))


@pytest.fixture
def subtests_of() -> Iterator[Callable[[str, Mapping[str, Any], Mapping[str, Any]], None]]:
    """Gathers what differs, so that one change does not hide the next."""
    differing: list[str] = []

    def check(change: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        for name, answer in before.items():
            if answer != after[name]:
                lost = [part for part in answer if part not in after[name]]
                new = [part for part in after[name] if part not in answer]
                differing.append(f"{name} after {change}: lost {lost[:2]}, new {new[:2]}")

    yield check
    assert not differing, "\n".join(differing)


@pytest.mark.slow
@pytest.mark.sqlite
@pytest.mark.parametrize("usual", ["examples", "generated0"], indirect=True)
def test_servers_answer_as_files_do(usual: dict[str, Any], cli: Cli, server: Server, tmp_path: Path) -> None:
    schema = f"meta_{tmp_path.name[-20:].lower().replace('-', '_')}"
    server.execute(f"CREATE SCHEMA {schema}")
    url = server.url(schema=schema)
    outcome = cli("db", "copy", tmp_path / "usual" / "a.db", url)
    assert outcome.code == 0, outcome.err
    assert answers(cli, Case(url)) == usual
