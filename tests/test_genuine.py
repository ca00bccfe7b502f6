"""Genuine runs: 99 directories that the original training code wrote, and what the original printed.

Skipped where ``../shared`` is absent. The figures that a test compares with come from
``runs/MANIFEST.tsv`` and from ``expected/``.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import SHARED, Outcome, rows_of
from test_ingest import tree

from spindb.index.database.damage import damage
from spindb.index.database.engine import open_engine
from spindb.index.query.runs import run_at, snapshots_of
from spindb.ingest.pipeline import ingest

RUNS, EXPECTED = SHARED / "runs", SHARED / "expected"


def manifest() -> list[dict[str, str]]:
    if not RUNS.is_dir():
        return []
    with (RUNS / "MANIFEST.tsv").open() as file:
        return list(csv.DictReader(file, delimiter="\t"))


MANIFEST = manifest()


def directory_of(entry: dict[str, str]) -> Path:
    return RUNS / entry["era"] / "data" / entry["run"]


def saved_names(entry: dict[str, str]) -> list[str]:
    return (entry["snapshots"] or "").split()


def test_ingest_is_complete_repeatable_and_changes_nothing(shared_runs: Path, database: Path) -> None:
    before = tree(shared_runs)
    summary = ingest(database, [shared_runs])
    assert (summary.new, summary.total) == (99, len(list(shared_runs.rglob("progress.txt"))))
    paths = [path for (path,) in rows_of(database, "SELECT path FROM runs ORDER BY path")]
    assert paths == sorted(str(p.parent.relative_to(shared_runs)) for p in shared_runs.rglob("progress.txt"))
    again = ingest(database, [shared_runs])
    assert (again.new, again.changed, again.unchanged, again.missing) == (0, 0, 99, 0)
    assert tree(shared_runs) == before
    with open_engine(database).connect() as connection:
        assert damage(connection) == []


@pytest.mark.usefixtures("shared_runs")
def test_rows_and_columns_are_those_of_the_files(shared_db: Path) -> None:
    """Against a second reader: the csv module and float()."""
    points: dict[str, dict[str, list[tuple[Any, Any]]]] = {}
    statement = (
        "SELECT r.path, p.name, p.value, p.text FROM metric_points p JOIN runs r ON r.id = p.run_id ORDER BY p.row"
    )
    for path, name, value, text in rows_of(shared_db, statement):
        points.setdefault(path, {}).setdefault(name, []).append((value, text))
    assert len(points) == 99 - 11  # eleven crashed before their first row
    for file in RUNS.rglob("progress.txt"):
        with file.open(newline="") as opened:
            header, *rows = list(csv.reader(opened, delimiter="\t", quoting=csv.QUOTE_NONE)) or [[]]
        found = points.get(str(file.parent.relative_to(RUNS)), {})
        assert sorted(found) == sorted(header)
        for i, name in enumerate(header):
            assert found[name] == [expected_cell(row[i]) for row in rows], (file, name)


def expected_cell(text: str) -> tuple[float | None, str | None]:
    if text == "":
        return None, None
    try:
        number = float(text)
    except ValueError:
        return None, text
    return (None, "NaN") if math.isnan(number) else (number, None)


@pytest.mark.parametrize("entry", MANIFEST, ids=lambda e: f"{e['era']}/{e['run'].rpartition('/')[2]}")
def test_each_run_is_what_the_manifest_says(entry: dict[str, str], shared_db: Path) -> None:
    with open_engine(shared_db).connect() as connection:
        run = run_at(connection, directory_of(entry))
        assert run is not None
        saved = snapshots_of(connection, run.id)
    assert (run.algo or "?") == entry["algo(inferred)"]
    assert run.rows == int(entry["rows"])
    assert run.status == ("ok" if run.rows else "empty")
    in_name = re.search(r"_s(\d+)$", run.name)  # what is left where the config says nothing
    assert str(run.seed if run.seed is not None else "") == (entry["seed"] or (in_name[1] if in_name else ""))
    assert (run.env.id or "") == entry["env(recovered)"].replace("None", "")
    assert sorted(s.path for s in saved) == sorted(saved_names(entry))
    numbers = {s.path: re.search(r"(\d*)(\.pt)?$", s.path) for s in saved}
    assert {s.path: "" if s.itr is None else str(s.itr) for s in saved} == {p: m[1] for p, m in numbers.items() if m}
    assert [s.unloadable for s in saved] == [None] * len(saved)
    assert all(s.state_path for s in saved)
    with_names = [s for s in saved if s.kind != "pyt_save"]
    assert all(s.inputs["x"] and s.outputs["pi"] for s in with_names)


@pytest.mark.usefixtures("shared_runs")
def test_stale_snapshots_are_told_apart(shared_db: Path) -> None:
    stale = rows_of(
        shared_db, "SELECT r.name, s.path FROM snapshots s JOIN runs r ON r.id = s.run_id WHERE s.stale <> ''"
    )
    assert sorted(stale) == [("ppo-rerun_s1", f"simple_save{itr}") for itr in (0, 10, 20)]


@pytest.mark.usefixtures("shared_runs")
def test_what_is_odd_is_said(shared_db: Path) -> None:
    counts = dict(rows_of(shared_db, "SELECT code, count(*) FROM problems GROUP BY code"))  # type: ignore[arg-type]
    assert counts == {
        "progress-empty": 11,
        "state-unreadable": 1,
        "snapshot-stale": 3,
        "config-missing": 1,
        "text-cells": 2,
    }


# Playing. The original's five episodes are its sample, ours are another of the same policy.

TF1_SAVES = [(e, name) for e in MANIFEST if e["era"] != "pyt_save_era" for name in saved_names(e)]
NOT_OF_GYM = {"gridwalk_s0": "grid_walk:GridWalk", "gridwalk-lambda_s0": "grid_walk:LambdaRewardWalk"}
SAME_DYNAMICS = ("CartPole-", "MountainCar", "Acrobot-", "Pendulum-", "None")  # None: the user's own


def save_id(value: object) -> str | None:
    if isinstance(value, dict):
        return f"{value['era'].split('_')[0]}-{value['run'].rpartition('/')[2]}"
    return None


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "name"), TF1_SAVES, ids=save_id)
def test_outputs_equal_those_of_the_old_stack(entry: dict[str, str], name: str) -> None:
    """Within 1e-5 (values within 1e-4), sampled discrete actions exactly."""
    np = pytest.importorskip("numpy")
    place = EXPECTED / entry["era"] / "data" / entry["run"] / f"obs_actions_{name}.npz"
    if not place.exists():
        pytest.skip("the original stack's outputs were not kept for this one")
    expected = np.load(place)
    policy = load(entry, name, deterministic=False)
    actions = np.array([policy.act(observation) for observation in expected["obs"]])
    if actions.dtype.kind == "i":
        assert actions.tolist() == expected["pi_seq"].tolist()
    else:
        assert close(actions, expected["pi_seq"], 1e-5)
    others = [policy.outputs(observation) for observation in expected["obs"]]
    for key, tolerance in (("v", 1e-4), ("mu", 1e-5)):
        if key in expected.files:
            assert close(np.array([o[key] for o in others]), expected[key], tolerance)
    policy.close()


def load(entry: dict[str, str], name: str, *, deterministic: bool, engine: Any = "tensorflow") -> Any:
    """The policy of one save by its name: stale ones too, which an itr alone would not tell."""
    from spindb.disk.formats import read_run
    from spindb.disk.formats.spinningup import SpinningUp
    from spindb.play.policies import load_snapshot

    directory = directory_of(entry)
    (snapshot,) = [s for s in read_run(SpinningUp(), directory, ".").snapshots if s.path == name]
    return load_snapshot(directory, snapshot, deterministic=deterministic, engine=engine)


def close(found: Any, expected: Any, tolerance: float) -> bool:
    """Equal within the tolerance, taken relative where values are larger than 1; NaN equals NaN."""
    import numpy as np

    return bool(np.allclose(found, expected, rtol=tolerance, atol=tolerance, equal_nan=True))


def printed_returns(text: str) -> list[float]:
    return [float(value) for value in re.findall(r"^Episode \d+ \t EpRet (\S+)", text, re.MULTILINE)]


def original_text(entry: dict[str, str], itr: int | None) -> str:
    suffix = "" if itr is None else f"_i{itr}"
    return (EXPECTED / entry["era"] / "data" / entry["run"] / f"expected_test_policy{suffix}.txt").read_text()


PYTORCH_SAVES = [(e, name) for e in MANIFEST if e["era"] == "pyt_save_era" for name in saved_names(e)]


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "name"), [*TF1_SAVES, *PYTORCH_SAVES], ids=save_id)
def test_numpy_equals_the_old_stacks(entry: dict[str, str], name: str) -> None:
    """Every output that is not drawn within 1e-5 (values within 1e-4); no TensorFlow, no PyTorch."""
    np = pytest.importorskip("numpy")
    stem = re.sub(r"pyt_save/model(\d*)\.pt", r"pyt_save\1", name)
    place = EXPECTED / entry["era"] / "data" / entry["run"] / f"obs_actions_{stem}.npz"
    if not place.exists():
        pytest.skip("the original stack's outputs were not kept for this one")
    expected = np.load(place)
    policy = load(entry, name, deterministic=False, engine="numpy")
    found = policy.outputs(expected["obs"])
    compared = [key for key in ("v", "mu", "logits") if key in expected.files and key in found]
    for key in compared:
        assert close(found[key], expected[key], 1e-4 if key == "v" else 1e-5), key
    if not policy.stochastic:
        assert close(policy.act(expected["obs"]), expected["pi_seq"], 1e-5)
    assert compared or not policy.stochastic
    one = policy.act(expected["obs"][0])
    assert np.shape(one) == np.shape(policy.act(expected["obs"])[0])
    if policy.has("q") or policy.has("q1"):
        worth = policy.q(expected["obs"], policy.act(expected["obs"]))
        assert worth.shape == (len(expected["obs"]),)
    elif policy.has("v"):
        assert close(policy.value(expected["obs"]), expected["v"], 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("entry", "name"), [*TF1_SAVES, *PYTORCH_SAVES], ids=save_id)
def test_each_save_plays_or_tells_what_is_missing(
    entry: dict[str, str], name: str, cli: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(RUNS)  # where the user's own environment lies
    directory = directory_of(entry)
    match = re.search(r"(\d*)(\.pt)?$", name)
    itr = int(match[1]) if match and match[1] else None
    options = ["-nr", "-n", "5", "--seed", "0", "--no-record", "--json", *(() if itr is None else ("--itr", str(itr)))]
    outcome = cli("test-policy", directory, *options)
    if directory.name in NOT_OF_GYM:
        assert outcome.code == 5
        assert "which environment to play in is not known" in outcome.err
        assert f"--env-factory {NOT_OF_GYM[directory.name]}" in outcome.err
        outcome = cli("test-policy", directory, *options, "--env-factory", NOT_OF_GYM[directory.name])
    assert outcome.code == 0, outcome.err
    found = json.loads(outcome.out)
    assert found["snapshot"] == name
    assert len(found["episodes"]) == 5
    original = printed_returns(original_text(entry, itr))
    if not original or not entry["env(recovered)"].startswith(SAME_DYNAMICS):
        return
    if name == "simple_save" and directory.name == "ppo-rerun_s1":
        return  # the original played the stale one here
    ours = [episode["return"] for episode in found["episodes"]]
    assert same_range(ours, original), (ours, original)


PRINTED = [
    (path.parent.relative_to(EXPECTED), path.name)
    for path in sorted(EXPECTED.glob("*/data/*/*/expected_test_policy*.txt"))
    if "pyt_save_era" not in path.parts and "Episode 0" in path.read_text()
]


def faithful_lines(place: Path, name: str) -> list[str] | None:
    """What a faithful replay prints of episodes; None where it can't be had."""
    from spindb.errors import EnvironmentBuildError
    from spindb.index.query.reference import RunPath
    from spindb.play.environments.build import Choices
    from spindb.play.environments.replay import replayed_environment
    from spindb.play.locate import latest_by_number, locate
    from spindb.play.policies import load_snapshot
    from spindb.play.rollouts.rollout import run_policy

    itr, deterministic = re.search(r"_i(\d+)", name), name.endswith("_d.txt")
    playable = locate(RunPath(RUNS / place), int(itr[1]) if itr else None)
    if not itr:
        playable = latest_by_number(playable)
    try:
        built = replayed_environment(playable, Choices(factory=NOT_OF_GYM.get(playable.directory.name)))
    except EnvironmentBuildError as error:
        if "random state" not in str(error):
            raise
        return None
    policy = load_snapshot(playable.directory, playable.snapshot, deterministic=deterministic, engine="tensorflow")
    lines: list[str] = []
    run_policy(built.environment, policy, 0, 5, False, write=lines.append)
    policy.close()
    return lines[:-1]


@pytest.mark.slow
@pytest.mark.usefixtures("shared_runs")
def test_faithful_replays_print_what_the_original_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text for text, but for what can't be had (a state that began anew when unpickled, an environment that draws from
    numpy's global generator) and what differs by floating point, which depends on the processor."""
    monkeypatch.chdir(RUNS)
    found: dict[str, list[str]] = {"equal": [], "refused": [], "global": [], "different": []}
    for place, name in PRINTED:
        original = re.findall(r"^Episode \d.*$", (EXPECTED / place / name).read_text(), re.MULTILINE)
        ours = faithful_lines(place, name)
        kind = "refused" if ours is None else "equal" if ours == original else "different"
        if kind == "different" and place.name in NOT_OF_GYM:
            kind = "global"
        found[kind].append(f"{place.name}/{name}")
    assert len(PRINTED) == 102
    assert all("lunar" in name for name in found["refused"])
    assert len(found["refused"]) == 4
    assert len(found["global"]) <= 3
    assert len(found["different"]) <= 10, found["different"]
    print(f"{len(found['equal'])} of {len(PRINTED)} text for text")  # noqa: T201 - the count is the result


def same_range(ours: list[Any], original: list[float]) -> bool:
    """Whether two samples of returns can be of one policy: means within four standard errors and a bit."""
    if any(not isinstance(value, (int, float)) for value in ours) or any(math.isnan(value) for value in original):
        return all(not isinstance(v, (int, float)) for v in ours) and all(math.isnan(v) for v in original)

    def mean_and_variance(values: list[float]) -> tuple[float, float]:
        mean = sum(values) / len(values)
        return mean, sum((v - mean) ** 2 for v in values) / (len(values) - 1)

    (mean1, variance1), (mean2, variance2) = mean_and_variance(ours), mean_and_variance(original)
    slack = 4 * math.sqrt((variance1 + variance2) / 5) + 0.05 * abs(mean2) + 1
    return abs(mean1 - mean2) <= slack


@pytest.mark.slow
def test_what_was_logged_agrees_with_what_is_played(
    shared_runs: Path, shared_db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All snapshots of unchanged environments; of the one whose saved state was cut off nothing can be said."""
    from spindb.play.locate import Playable
    from spindb.play.request import PlayOptions
    from spindb.play.verify.playing import VerifyPlan, verify_snapshot

    monkeypatch.chdir(shared_runs)  # grid_walk.py lies there
    words: dict[str, list[str]] = {"agrees": [], "differs": [], "can't-tell": []}
    with open_engine(shared_db).connect() as connection:
        for entry in MANIFEST:
            run = run_at(connection, directory_of(entry))
            assert run is not None
            for snapshot in snapshots_of(connection, run.id):
                if snapshot.stale:
                    continue
                playable = Playable(run.directory, snapshot, run.env, run.id, root=run.root)
                verdict = verify_snapshot(playable, VerifyPlan(PlayOptions(seed=0, imports=("grid_walk",)))).verdict
                assert verdict is not None
                if verdict.logged_mean is not None and math.isfinite(verdict.logged_mean):
                    words[verdict.word].append(run.name)
    assert words["differs"] == []
    assert "gridwalk-lambda_s0" in words["can't-tell"], "trained with goal=4.0; its saved state was cut off before that"
    assert len(words["agrees"]) >= 100
    assert len(words["can't-tell"]) <= 6
