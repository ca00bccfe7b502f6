"""Which runs are one setting, and what counts as a seed: faults that were found, each with a test of its name."""

from __future__ import annotations

import json
import math
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import EVALUATION, Outcome, settle

from spindb.analysis import summaries
from spindb.analysis.drawing.panels import PlotSpec, panels
from spindb.analysis.statistics import describe, welch
from spindb.canonical import canonical
from spindb.index.database.connect import connected
from spindb.index.query.search import run_ids
from spindb.index.read.continued import Extent, Span, chains
from spindb.index.read.doctor import examine
from spindb.index.read.groups import groups_of
from spindb.index.read.own import setting_text, stem
from spindb.index.read.telling import needed, telling
from spindb.index.write.batch import EpisodeResult, add_evaluation
from spindb.records import MetricSeries

HEADER = ("Epoch", "AverageEpRet", "TotalEnvInteracts")
Write = Callable[..., Path]
Cli = Callable[..., Outcome]


@pytest.fixture
def write(run_directory: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a run of PPO in CartPole-v1 whose return rises to `last`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SPINDB_URL", raising=False)

    def of(
        name: str,
        last: float = 10.0,
        *,
        metric: str = "AverageEpRet",
        first_epoch: int = 0,
        config: Mapping[str, Any] | None = None,
        **hyperparameters: Any,
    ) -> Path:
        usual = {"exp_name": "walk", "seed": 0, "clip_ratio": 0.2, "env": "CartPole-v1"} if config is None else config
        epochs = range(first_epoch, first_epoch + 4)
        rows = [(e, last / 4 * (e - first_epoch + 1), 1000 * (e + 1)) for e in epochs]
        header = ("Epoch", metric, "TotalEnvInteracts")
        return run_directory(name, config={**usual, **hyperparameters}, header=header, rows=rows)

    return of


def compared(cli: Cli, *arguments: object) -> list[dict[str, Any]]:
    settle(Path("data"))
    assert cli("ingest", "data").code in (0, 1)
    outcome = cli("compare", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    rows: list[dict[str, Any]] = json.loads(outcome.out)
    return rows


def counts(rows: Sequence[Mapping[str, Any]]) -> list[int]:
    return sorted(row["n"] for row in rows)


# A1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "seeds", "n"),
    [
        (["td3"] * 4, [0, 1, 2, 3], [4]),
        (["x_cartpole-v0"] * 3, [0, 10, 20], [3]),
        (["walk_lr1", "walk_lr10"], [0, 0], [1, 1]),
        (["walk_lr1", "walk_lr10"], [1, 10], [1, 1]),
        (["walk_s0", "walk_s1", "walk_s12"], [0, 1, 12], [3]),
        (["walk-seed3", "walk-seed4"], [3, 4], [2]),
        (["walk_seed_3_tuned", "walk_seed_4_tuned"], [3, 4], [2]),
        (["walk s0", "walk s1"], [0, 1], [2]),
        (["walk_s01", "walk_s10"], [1, 10], [2]),
        (["walks0", "walks1"], [0, 1], [1, 1]),
        (["walk0", "walk1"], [0, 1], [1, 1]),
        (["walk_s0", "walk"], [0, 0], [1, 1]),
        (["walk_s0", "walk-seed0"], [0, 0], [1, 1]),
        (["walk_s1.5", "walk_s2.5"], [1, 2], [1, 1]),
        (["hopper-v2", "hopper-v3"], [2, 3], [1, 1]),
    ],
)
def test_a1_a_seed_is_cut_off_a_name_where_it_is_marked(
    write: Write, cli: Cli, names: list[str], seeds: list[int], n: list[int]
) -> None:
    for position, (name, seed) in enumerate(zip(names, seeds, strict=True)):
        write(f"r{position}", 10.0 + position, exp_name=name, seed=seed)
    assert counts(compared(cli)) == n


def test_a1_names_are_shown_as_they_are(write: Write, cli: Cli) -> None:
    for seed in (0, 1):
        write(f"a{seed}", 5.0 + seed, exp_name=f"walk_s{seed}", seed=seed)
        write(f"b{seed}", 7.0 + seed, exp_name=f"td{seed}", seed=seed)
    labels = {row["label"] for row in compared(cli)}
    assert labels == {"exp_name=walk_s0, walk_s1", "exp_name=td0", "exp_name=td1"}


def test_a1_no_seed_lacks_that_is_there(write: Write, cli: Cli) -> None:
    for seed in range(4):
        write(f"a{seed}", 5.0 + seed, exp_name="td3", seed=seed)
        write(f"b{seed}", 6.0 + seed, exp_name="td3-big", seed=seed, clip_ratio=0.3)
    compared(cli)
    assert cli("doctor", "--ids", "seeds").out == ""


# A2


def test_a2_a_copy_is_not_a_seed(write: Write, cli: Cli, tmp_path: Path) -> None:
    for number, rate in enumerate((1e-3, 1e-2)):
        for seed in (0, 1):
            write(f"r{number}_s{seed}", 10.0 * number + seed, seed=seed, pi_lr=rate)
    before = compared(cli)
    shutil.copytree(tmp_path / "data", tmp_path / "data" / "backup")
    after = compared(cli)
    assert [(row["n"], row["p"], row["verdict"]) for row in after] == [
        (row["n"], row["p"], row["verdict"]) for row in before
    ]
    everything = cli("compare", "--all", "--json")
    rows = json.loads(everything.out)
    assert counts(rows) == [2, 2]
    assert sum(len(row["copies_left_out"]) for row in rows) == 4
    assert "4 runs left out: copies of runs that count" in everything.err
    assert "4 runs left out: copies" in cli("plot", "--all", "-t").err


def test_a2_equal_content_counts_once_though_nobody_noticed(write: Write, cli: Cli, tmp_path: Path) -> None:
    """Both were ingested through databases that knew nothing of each other, or by an older spindb."""
    for seed in (0, 1):
        write(f"r_s{seed}", 10.0 + seed, seed=seed)
    shutil.copytree(tmp_path / "data", tmp_path / "data" / "backup")
    compared(cli)
    with connected(tmp_path / "spindb.db", write=True) as connection:
        connection.exec_driver_sql("UPDATE runs SET copy_of = NULL")
    outcome = cli("compare", "--json")
    (row,) = json.loads(outcome.out)
    assert (row["n"], len(row["copies_left_out"])) == (2, 2)
    with connected(tmp_path / "spindb.db") as connection:
        found = {finding.code: finding.ids for finding in examine(connection, run_ids(connection, ""))}
    assert "twice" not in found
    assert len(found["copy"]) == 2


def test_a2_overwritten_and_removed_runs_never_count(write: Write, cli: Cli, tmp_path: Path) -> None:
    for seed in range(4):
        write(f"r_s{seed}", 10.0 + seed, seed=seed)
    compared(cli)
    with connected(tmp_path / "spindb.db", write=True) as connection:
        connection.exec_driver_sql("UPDATE runs SET status = 'superseded', superseded_by = 2 WHERE id = 1")
        connection.exec_driver_sql("UPDATE runs SET removed_at = '2026-01-01 00:00:00' WHERE id = 4")
        grouping = groups_of(connection, [1, 2, 3, 4])
    assert [group.runs for group in grouping.groups] == [(2, 3)]
    assert grouping.notes == ["1 run left out: overwritten by later trainings"]


# A3


def test_a3_reruns_of_a_seed_are_averaged(write: Write, cli: Cli) -> None:
    for number in range(5):
        write(f"r{number}", 10.0 + number, seed=0)
    write("other", 20.0, seed=1)
    outcome = compared(cli)
    (row,) = outcome
    assert (row["n"], row["values"], row["reruns_averaged"]) == (2, [12.0, 20.0], [2, 3, 4, 5, 6])
    words = cli("compare").err
    assert "1 seed was trained several times (5 runs): averaged, and counted once" in words


def test_a3_five_trainings_of_one_seed_are_one_seed(write: Write, cli: Cli) -> None:
    for number in range(5):
        write(f"r{number}", 10.0 + number, seed=0)
    (row,) = compared(cli)
    assert (row["n"], row["std"], row["verdict"]) == (1, None, "one seed")
    assert "n=1" in cli("plot", "-t").out


def test_a3_unknown_seeds_are_assumed_different_and_that_is_said(write: Write, cli: Cli) -> None:
    for number in range(3):
        write(f"run-{number}", 10.0 + number, seed=None)
    (row,) = compared(cli)
    assert (row["n"], row["assumed_different"]) == (3, [1, 2, 3])
    assert "3 runs of unknown seed: assumed to be of different seeds" in cli("compare").err
    assert cli("doctor", "--ids", "twice").out == ""


def test_a3_one_seed_of_several_settings_is_several(write: Write, cli: Cli) -> None:
    """`--group-by` pools settings; runs of one seed and different settings are no reruns."""
    for number, gamma in enumerate((0.9, 0.99)):
        for seed in (0, 1):
            write(f"r{number}_s{seed}", 10.0 * number + seed + 1, seed=seed, gamma=gamma)
    write("again_s0", 5.0, seed=0, gamma=0.9)
    compared(cli)
    (row,) = json.loads(cli("compare", "--group-by", "algo", "--json").out)
    assert (row["n"], len(row["runs"]), sorted(row["values"])) == (4, 5, [2.0, 3.0, 11.0, 12.0])


# A4


def test_a4_a_continued_run_is_one_seed(write: Write, cli: Cli) -> None:
    for seed in (0, 1):
        write(f"r_s{seed}", 10.0 + seed, seed=seed)
    write("resumed_s0", 30.0, first_epoch=4, seed=0, resume="data/r_s0")
    (row,) = compared(cli)
    assert (row["n"], sorted(row["values"]), row["continued"]) == (
        2,
        [11.0, 30.0],
        [[2, 1]] if row["runs"][0] == 2 else row["continued"],
    )
    assert len(row["continued"]) == 1
    assert row["reruns_averaged"] == []
    assert "2 runs go on in one another" in cli("compare").err
    assert cli("doctor", "--ids", "twice").out == ""
    first = json.loads(cli("compare", "--summary", "first", "--json").out)
    assert sorted(first[0]["values"]) == [2.5, 2.75]


def span(*epochs: int) -> Extent:
    return Extent(Span(epochs[0], epochs[-1], len(epochs)), None, None)


def test_a4_what_goes_on_where() -> None:
    a, b, c, again = span(0, 1, 2), span(3, 4), span(5, 6), span(0, 1, 2)
    assert chains([1, 2, 3], {1: c, 2: a, 3: b}, seed_known=True) == [(2, 3, 1)]
    assert chains([1, 2], {1: a, 2: again}, seed_known=True) == [(1,), (2,)]
    assert chains([1, 2], {1: a, 2: c}, seed_known=True) == [(1,), (2,)], "a gap"
    assert chains([1, 2, 3], {1: a, 2: again, 3: b}, seed_known=False) == [(1,), (2,), (3,)], "nothing tells whose"
    assert chains([1, 2], {1: a, 2: b}, seed_known=False) == [(1, 2)]
    begun, further = Span(1000, 2000, 2), Span(2500, 3500, 2)
    for epochs in (None, Span(7, 8, 2)):
        resumed = Extent(epochs, further, None)
        assert chains([1, 2], {1: Extent(Span(1, 2, 2), begun, None), 2: resumed}, seed_known=True) == [(1, 2)]
    short, anew = Span(1000, 1000, 1), Span(1500, 2500, 2)
    fresh = Extent(Span(1, 2, 2), anew, None)
    assert chains([1, 2], {1: Extent(Span(1, 1, 1), short, None), 2: fresh}, seed_known=True) == [(1,), (2,)]
    later = Extent(Span(7, 8, 2), anew, None)
    assert chains([1, 2], {1: Extent(Span(1, 1, 1), short, None), 2: later}, seed_known=True) == [(1, 2)], "epoch 7"


def log(run_directory: Write, name: str, counted: range, seed: int = 0, rate: float = 1.0, **config: object) -> Path:
    usual = {"exp_name": "walk", "seed": seed, "clip_ratio": 0.2, "env": "CartPole-v1"}
    rows = [(e, rate * e, 1000 * (e + 1), 3.5 * (e - counted.start + 1)) for e in counted]
    return run_directory(name, config={**usual, **config}, header=(*HEADER, "Time"), rows=rows)


def test_a4_resumed_from_before_the_end_is_one_training(write: Write, run_directory: Write, cli: Cli) -> None:
    log(run_directory, "a_s0", range(5))
    log(run_directory, "b_s0", range(3, 8))
    log(run_directory, "c_s1", range(8), seed=1)
    (row,) = compared(cli)
    assert (row["n"], row["values"], len(row["continued"]), row["reruns_averaged"]) == (2, [7.0, 7.0], 1, [])
    (row,) = json.loads(cli("compare", "--summary", "mean", "--json").out)
    assert row["values"] == [3.5, 3.5], "rows that both have count once"
    with connected("spindb.db") as connection:
        (panel,) = panels(connection, run_ids(connection, ""), PlotSpec())
    assert panel.lines[0].y.tolist() == list(range(8))


def test_a4_what_was_trained_anew_after_a_checkpoint_counts(write: Write, run_directory: Write, cli: Cli) -> None:
    log(run_directory, "a_s0", range(6), rate=2.0)
    log(run_directory, "b_s0", range(4, 8))
    (row,) = compared(cli)
    assert (row["n"], row["values"], len(row["continued"]), row["reruns_averaged"]) == (1, [7.0], 1, [])
    (row,) = json.loads(cli("compare", "--summary", "max", "--json").out)
    assert row["values"] == [7.0], "rows of the first run behind the checkpoint count no more"
    with connected("spindb.db") as connection:
        (panel,) = panels(connection, run_ids(connection, ""), PlotSpec())
    assert panel.lines[0].x.tolist() == [1000.0 * (e + 1) for e in range(8)]
    assert panel.lines[0].y.tolist() == [0, 2, 4, 6, 4, 5, 6, 7]


def test_a4_a_run_that_counts_from_one_is_a_rerun(write: Write, run_directory: Write, cli: Cli) -> None:
    for name, first in (("a_s0", 0), ("b_s0", 1)):
        rows = [(e + first, 3.0 * e + first, 1000 * (e + 1)) for e in range(5)]
        run_directory(name, config={"exp_name": "walk", "seed": 0, "env": "CartPole-v1"}, header=HEADER, rows=rows)
    (row,) = compared(cli)
    assert (row["continued"], len(row["reruns_averaged"])) == ([], 2)


def test_a4_resumed_after_the_first_row_is_one_training(write: Write, run_directory: Write, cli: Cli) -> None:
    log(run_directory, "a_s0", range(5))
    log(run_directory, "b_s0", range(1, 6), rate=2.0)
    (row,) = compared(cli)
    assert (len(row["continued"]), row["reruns_averaged"], row["values"]) == (1, [], [10.0])


def test_a3_equal_rows_under_two_seeds_are_said(write: Write, run_directory: Write, cli: Cli) -> None:
    log(run_directory, "a_s0", range(5))
    log(run_directory, "b_s1", range(5), seed=1)
    log(run_directory, "c_s2", range(5), seed=2, rate=2.0)
    (row,) = compared(cli)
    assert (row["n"], row["equal_rows"]) == (3, [[1, 2]])
    assert "2 runs of different seeds have equal rows: counted as different seeds" in cli("compare").err
    assert cli("doctor", "--ids", "equal-rows").out.split() == ["1", "2"]


def test_a4_an_earlier_state_of_a_run_is_left_out(write: Write, run_directory: Write, cli: Cli) -> None:
    log(run_directory, "snap_s0", range(3))
    log(run_directory, "whole_s0", range(6))
    log(run_directory, "whole_s1", range(6), seed=1)
    (row,) = compared(cli)
    assert (row["n"], row["values"], len(row["earlier_left_out"]), row["reruns_averaged"]) == (2, [5.0, 5.0], 1, [])
    assert "1 run left out: earlier states of runs that count" in cli("compare").err
    assert cli("doctor", "--ids", "earlier").out.split() == [str(row["earlier_left_out"][0])]
    assert cli("doctor", "--ids", "twice").out == ""


def test_a4_an_earlier_state_in_which_a_metric_had_no_number_yet_is_left_out(
    write: Write, run_directory: Write, cli: Cli
) -> None:
    config = {"exp_name": "walk", "seed": 0, "clip_ratio": 0.2, "env": "CartPole-v1"}
    rows = [(0, 1.0, "nan"), (1, 2.0, ""), (2, 3.0, 0.5), (3, 9.0, 0.6)]
    for name, length in (("whole_s0", 4), ("snap_s0", 2)):
        run_directory(name, config=config, header=("Epoch", "AverageEpRet", "LossPi"), rows=rows[:length])
    (row,) = compared(cli)
    assert (row["values"], len(row["earlier_left_out"]), row["reruns_averaged"]) == ([9.0], 1, [])


def test_a4_a_second_training_after_one_that_ended_at_once_does_not_go_on_in_it(
    write: Write, run_directory: Write, cli: Cli
) -> None:
    config = {"exp_name": "walk", "seed": 0, "clip_ratio": 0.2, "env": "CartPole-v1"}
    run_directory("a_s0", config=config, header=HEADER, rows=[(0, 5.0, 180)])
    run_directory("b_s0", config=config, header=HEADER, rows=[(0, 6.0, 250), (1, 7.0, 470), (2, 9.0, 730)])
    (row,) = compared(cli)
    assert (row["continued"], row["reruns_averaged"], row["values"]) == ([], [1, 2], [7.0])


def test_a4_steps_that_go_on_while_epochs_begin_anew_are_one_training(
    write: Write, run_directory: Write, cli: Cli
) -> None:
    config = {"exp_name": "walk", "seed": 0, "clip_ratio": 0.2, "env": "CartPole-v1"}
    run_directory("a_s0", config=config, header=HEADER, rows=[(0, 5.0, 200)])
    run_directory("b_s0", config=config, header=HEADER, rows=[(0, 6.0, 400), (1, 7.0, 600), (2, 9.0, 800)])
    (row,) = compared(cli)
    assert (len(row["continued"]), row["values"]) == (1, [9.0])


def test_a4_doctor_counts_the_rows_of_a_training_that_was_resumed_together(
    write: Write, run_directory: Write, cli: Cli
) -> None:
    log(run_directory, "a_s0", range(5), epochs=10)
    log(run_directory, "b_s0", range(5, 10), epochs=10)
    log(run_directory, "a_s1", range(5), seed=1, epochs=10)
    log(run_directory, "b_s1", range(3, 7), seed=1, epochs=10)
    log(run_directory, "a_s2", range(5), seed=2, epochs=10)
    compared(cli)
    names = {row["id"]: row["name"] for row in json.loads(cli("runs", "--json").out)}
    found = [cli("doctor", "--ids", code).out.split() for code in ("running", "stalled", "crashed", "unfinished")]
    assert sorted(names[int(i)] for ids in found for i in ids) == ["a_s2", "b_s1"]


def test_a2_a_reformatted_copy_is_a_copy(write: Write, run_directory: Write, cli: Cli) -> None:
    for seed in (0, 1):
        whole = log(run_directory, f"a_s{seed}", range(4), seed=seed)
        copy = log(run_directory, f"b_s{seed}", range(4), seed=seed, output_dir=f"/x/b_s{seed}")
        config = json.loads((copy / "config.json").read_text())
        (copy / "config.json").write_text(json.dumps(config, indent=4, sort_keys=True))
        rows = (whole / "progress.txt").read_text()
        (copy / "progress.txt").write_bytes(rows.replace("\n", "\r\n").encode())
    (row,) = compared(cli)
    assert (row["n"], len(row["runs"]), len(row["copies_left_out"]), row["reruns_averaged"]) == (2, 2, 2, [])
    said = cli("compare").err
    assert "2 runs left out: copies of runs that count" in said
    assert "trained several times" not in said
    assert cli("doctor", "--ids", "twice").out == ""
    assert len(cli("doctor", "--ids", "copy").out.split()) == 2


# A6


def test_a6_unknown_environments_are_not_one_environment(write: Write, cli: Cli) -> None:
    config = {"clip_ratio": 0.2}
    for seed in (0, 1):
        write(f"mine_s{seed}", 10.0 + seed, config=config, exp_name="mine", seed=seed)
        write(f"yours_s{seed}", 1000.0 + seed, config=config, exp_name="yours", seed=seed)
    rows = compared(cli)
    assert counts(rows) == [2, 2]
    assert [row["p"] for row in rows] == [None, None]
    assert len({row["environment"] for row in rows}) == 2
    assert all("environment unknown" in row["environment"] for row in rows)
    for fields in ("algo", "clip_ratio", "env"):
        pooled = json.loads(cli("compare", "--group-by", fields, "--json").out)
        assert counts(pooled) == [2, 2], fields


def test_a6_runs_without_a_config_are_not_one_setting(write: Write, cli: Cli, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (write(f"{name}_s0", 5.0 if name == "one" else 6.0, config={}) / "config.json").unlink()
    rows = compared(cli)
    assert counts(rows) == [1, 1]
    write("three_s0", 7.0, pi_lr=1e-3)
    cli("ingest", "data")
    assert counts(json.loads(cli("compare", "--group-by", "pi_lr", "--json").out)) == [1, 1, 1]


def test_a6_facets_average_no_unknown_environments(write: Write, cli: Cli) -> None:
    for name, last in (("rough", 100.0), ("smooth", 10.0)):
        for seed in (0, 1):
            write(f"{name}_s{seed}", last, exp_name=name, seed=seed, env=None, algo="ppo")
    compared(cli)
    with connected("spindb.db") as connection:
        wanted = PlotSpec(group_by=("clip_ratio",), facet="algo")
        (panel,) = panels(connection, run_ids(connection, ""), wanted)
    assert [line.y[-1] for line in panel.lines] == [100.0, 10.0]
    assert [line.n[-1] for line in panel.lines] == [2, 2]


# A8


def test_a8_training_and_test_return_are_ranked_apart(write: Write, cli: Cli) -> None:
    for seed in (0, 1):
        write(f"ppo_s{seed}", 10.0 + seed, seed=seed)
        write(f"sac_s{seed}", 500.0 + seed, metric="AverageTestEpRet", seed=seed, algo="sac")
    rows = compared(cli)
    assert {(row["metric"], row["verdict"], row["p"]) for row in rows} == {
        ("AverageEpRet", "", None),
        ("AverageTestEpRet", "", None),
    }
    assert "ranked apart" in cli("compare").err
    pooled = json.loads(cli("compare", "--group-by", "env", "--json").out)
    assert sorted((row["metric"], row["n"]) for row in pooled) == [("AverageEpRet", 2), ("AverageTestEpRet", 2)]
    picture = cli("plot", "-t")
    assert "AverageEpRet over TotalEnvInteracts" in picture.out
    assert "AverageTestEpRet over TotalEnvInteracts" in picture.out
    assert "AverageEpRet and AverageTestEpRet are drawn apart" in picture.err


def evaluate(run_id: int, mean: float, **changes: Any) -> None:
    episodes = (EpisodeResult(mean, 10, "terminated"),)
    played = replace(EVALUATION, mean_return=mean, env_id="CartPole-v1", episodes=episodes, **changes)
    with connected("spindb.db", write=True) as connection:
        add_evaluation(connection, run_id, played)


def test_a8_best_ranks_what_was_played_alike(write: Write, cli: Cli) -> None:
    for seed in (0, 1):
        write(f"r_s{seed}", 10.0 + seed, seed=seed)
    compared(cli)
    evaluate(1, 5.0, deterministic=True)
    evaluate(2, 7.0, deterministic=True)
    evaluate(1, 900.0, deterministic=False)
    evaluate(1, 70.0, deterministic=True, max_ep_len=10)
    rows = json.loads(cli("best", "--json").out)
    ranks = [(row["mean_return"], row["deterministic"], row["max_ep_len"], row["rank"]) for row in rows]
    assert ranks == [(7.0, True, None, 1), (5.0, True, None, 2), (70.0, True, 10, 1), (900.0, False, None, 1)]
    outcome = cli("best")
    assert "CartPole-v1, actions deterministic, at most 10 steps" in outcome.out
    assert "ranked apart" in outcome.err
    assert len(json.loads(cli("best", "--limit", "1", "--json").out)) == 3


def test_a2_best_counts_copies_once(write: Write, cli: Cli, tmp_path: Path) -> None:
    write("r_s0", 10.0)
    shutil.copytree(tmp_path / "data", tmp_path / "data" / "backup")
    compared(cli)
    evaluate(1, 5.0)
    evaluate(2, 5.0)
    evaluate(2, 6.0)
    found = json.loads(cli("best", "--all", "--json").out)
    assert [row["mean_return"] for row in found] == [6.0, 5.0]


# A9


def test_a9_blanks_that_tell_values_apart_are_seen(write: Write, cli: Cli) -> None:
    for number, value in enumerate([0.001, "0.001 ", ""]):
        write(f"r{number}", 10.0, pi_lr=value, seed=0)
    assert [row["label"] for row in compared(cli)] == ['pi_lr=""', 'pi_lr="0.001 "', "pi_lr=0.001"]
    assert '"0.001 "' in cli("params").out
    assert '"0.001 "' in cli("diff", "1", "2").out
    assert cli("runs", "--ids", 'pi_lr="0.001 "').out.split() == ["2"]


def test_a9_one_value_however_it_is_written(write: Write, cli: Cli) -> None:
    spelled = [
        {"pi_lr": 1e-3, "hidden_sizes": [64, 64], "flag": True, "seed": 0},
        {"pi_lr": "0.001", "hidden_sizes": "[64, 64]", "flag": "True", "seed": "1"},
        {"pi_lr": "1e-3", "hidden_sizes": [64.0, 64], "flag": "true", "seed": 2.0},
    ]
    for number, values in enumerate(spelled):
        write(f"r{number}", 10.0 + number, **values)
    (row,) = compared(cli)
    assert (row["n"], row["seeds"]) == (3, [0, 1, 2])
    assert json.loads(cli("compare", "--group-by", "pi_lr,hidden_sizes", "--json").out)[0]["label"] == (
        "pi_lr=0.001 hidden_sizes=[64, 64]"
    )
    values = {r["key"]: r["values"] for r in json.loads(cli("params", "--json").out)}
    assert values["pi_lr"] == [{"value": 0.001, "runs": 3}]
    assert values["hidden_sizes"] == [{"value": [64, 64], "runs": 3}]


@pytest.mark.parametrize("arguments", [(), ("--group-by", "target")])
def test_a9_null_is_not_absent(write: Write, cli: Cli, arguments: tuple[str, ...]) -> None:
    for seed in (0, 1):
        write(f"null_s{seed}", 10.0 + seed, seed=seed, target=None)
        write(f"none_s{seed}", 20.0 + seed, seed=seed)
        write(f"some_s{seed}", 30.0 + seed, seed=seed, target=1)
    rows = compared(cli, *arguments)
    assert counts(rows) == [2, 2, 2]
    assert len({row["label"] for row in rows}) == 3
    table = cli("compare", *arguments).out
    assert [line.split()[0] for line in table.splitlines()[2:]] == ["1", "-", "null"]


# A10


def test_a10_diff_compares_exactly(write: Write, cli: Cli) -> None:
    write("a", 10.00000001, rate=0.00012345678)
    write("b", 10.00000002, rate=0.00012345679)
    compared(cli)
    outcome = cli("diff", "1", "2")
    lines = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines() if line[:1].isalpha()}
    assert lines["rate"] == ["0.00012345678", "0.00012345679"]
    assert lines["metric.AverageEpRet"] == ["10.00000001", "10.00000002"]
    exact = {row["key"]: row["values"] for row in json.loads(cli("diff", "1", "2", "--json").out)}
    assert exact["rate"] == {"1": "0.00012345678", "2": "0.00012345679"}
    assert cli("runs", f"rate={lines['rate'][0]}", "--ids").out == "1\n"
    assert "rate" in cli("params", "--varying").out
    assert "0.00012345678" in cli("params", "--varying").out
    assert "0.00012345679" in cli("show", "2").out


# A11


def test_a11_words_follow_from_a_settings_own_seeds(write: Write, cli: Cli) -> None:
    write("lucky_s0", 100.0, gamma=0.9)
    for seed in (0, 1):
        write(f"sound_s{seed}", 50.0 + seed, gamma=0.95, seed=seed)
        write(f"poor_s{seed}", 5.0 + seed, gamma=0.99, seed=seed)
    rows = compared(cli)
    assert [(row["n"], row["verdict"]) for row in rows] == [(1, "one seed"), (2, "best"), (2, "worse")]
    assert rows[2]["p"] is not None
    assert "1 setting with one seed" in cli("compare").err


def test_a11_many_tests_say_that_they_are_many(write: Write, cli: Cli) -> None:
    for number in range(20):
        for seed in (0, 1, 2):
            write(f"r{number}_s{seed}", 50.0 + number % 2 * 4 + seed * 1.5, seed=seed, gamma=0.9 + number / 1000)
    rows = compared(cli)
    assert {row["tests"] for row in rows} == {19}
    assert any(row["p_alone"] is not None and row["p_alone"] < 0.05 <= row["p"] for row in rows)
    assert "after correction for 19 tests: compare fewer settings (a filter, --group-by)" in cli("compare").err


# A12


@pytest.mark.parametrize("summary", ["last", "first", "min", "max", "mean", "tail:3", "auc", "reach:1"])
def test_a12_great_numbers_are_no_traceback(write: Write, cli: Cli, summary: str) -> None:
    for seed in (0, 1):
        write(f"great_s{seed}", 1.6e308, seed=seed, gamma=0.9)
        write(f"small_s{seed}", 1e-308 * (1 + seed), seed=seed, gamma=0.99)
    settle(Path("data"))
    cli("ingest", "data")
    assert cli("compare", "--summary", summary, "--json").code == 0
    with connected("spindb.db") as connection:
        found = panels(connection, run_ids(connection, ""), PlotSpec(width=3))
    great = next(line for line in found[0].lines if "0.9" in line.label)
    assert great.y[-1] == pytest.approx(1.4e308)


def test_a12_means_beyond_the_sum_of_doubles() -> None:
    inf = math.inf
    assert summaries.mean([1e308, 1.5e308, 1e308]) == pytest.approx(1.1666666666666667e308)
    assert summaries.mean([inf, 1.0]) == inf
    assert math.isnan(summaries.mean([inf, -inf]))
    for both in ([1e308, 1e308, inf, -inf], [inf, 1e308, 1e308, -inf]):
        assert math.isnan(summaries.mean(both))
        assert MetricSeries("X", both).summary().mean is None
    greatest = [sys.float_info.max] * 7
    assert summaries.mean(greatest) == MetricSeries("X", greatest).summary().mean == sys.float_info.max
    assert summaries.parse("auc")([float(x) for x in range(7)], greatest) == pytest.approx(sys.float_info.max)
    assert summaries.parse("auc")([0.0, 1.0], [1.7e308, 1.7e308]) == 1.7e308
    assert math.isnan(summaries.parse("auc")([0.0, 1.0, 2.0], [inf, 1.0, -inf]))
    found = describe([1e308, 1.2e308, 1.1e308])
    assert found is not None
    assert found.mean == pytest.approx(1.1e308)
    assert found.std == pytest.approx(1e307)
    assert welch([1e308, 1.01e308], [-1e308, -1.01e308]) == pytest.approx(welch([1.0, 1.01], [-1.0, -1.01]))
    tiny = describe([1e-200, 2e-200, 3e-200])
    assert tiny is not None
    assert tiny.std == pytest.approx(1e-200)


def test_a12_doctor_knows_infinity_and_epochs_that_go_back(write: Write, cli: Cli, tmp_path: Path) -> None:
    place = write("r_s0", 1.0)
    (place / "progress.txt").write_text("Epoch\tAverageEpRet\tLoss\n0\t1\t2\n1\tinf\t-inf\n")
    write("back_s0", 2.0)
    compared(cli)
    assert cli("doctor", "--ids", "inf").out == "2\n"
    assert "AverageEpRet, Loss" in cli("doctor").out
    with connected(tmp_path / "spindb.db", write=True) as connection:
        connection.exec_driver_sql(
            "INSERT INTO problems (run_id, path, code, message) VALUES (1, 'progress.txt', 'epoch-goes-back', 'x')"
        )
    assert cli("doctor", "--ids", "restarted").out == "1\n"


# I2


def test_i2_attributes_of_objects_are_no_hyperparameters(write: Write, cli: Cli) -> None:
    dumped = {"<pkg.mod.Shaper object at 0x7f00aa>": {f"weight{i}": i for i in range(300)}}
    write("a", 1.0, env_fn=dumped, note="x" * 5000)
    compared(cli)
    shown = {row["key"] for row in json.loads(cli("params", "--json").out)}
    assert not any("weight" in key for key in shown)
    internal = {row["key"] for row in json.loads(cli("params", "--internal", "--json").out)}
    assert "env_fn.Shaper.weight7" in internal
    assert len(cli("show", "1").out) < 4000
    assert "env_fn.Shaper.weight7" in cli("show", "1", "--internal").out
    write("b", 1.0, **{f"key{number}": number for number in range(300)})
    cli("ingest", "data")
    assert "more: spindb params 2" in cli("show", "2").out


# I3


def test_i3_what_belongs_to_the_run_splits_nothing(write: Write, cli: Cli) -> None:
    for seed in range(4):
        for number, model in enumerate(("/ant.xml", "/models/ant_heavy.xml")):
            write(
                f"r{number}_s{seed}", 10.0 * number + seed, seed=seed, model_xml=model,
                save_path=f"/scratch/out/{max(seed, 1)}", log_dir=f"runs/{number}{seed}", started="2021-03-04 12:30:00",
                host=f"node{seed}", pid=100 + seed, run_name=f"walk__{seed}__1699999{seed:03}", device=f"cuda:{seed}",
            )  # fmt: skip
    rows = compared(cli)
    assert counts(rows) == [4, 4]
    assert sorted(row["label"] for row in rows) == ["model_xml=/ant.xml", "model_xml=/models/ant_heavy.xml"]


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [
        ("save_path", "/a/b/1", None),
        ("args.saveDir", "out", None),
        ("x", "/a/b", "/a/b"),
        ("x", "/a/walk-seed3/b", None),
        ("x", "C:\\data\\walk-seed3", None),
        ("log_root", "C:\\data\\run", None),
        ("out", ["/a/b", "/c"], None),
        ("model_xml", "/ant.xml", "/ant.xml"),
        ("load_path", "/x/walk_s3/m.pt", "/x/walk_s3/m.pt"),
        ("dataset_dir", "/d/hopper", "/d/hopper"),
        ("eval_env", "ALE/Pong-v5", "ALE/Pong-v5"),
        ("activation", "<function relu at 0x7fabc>", "<function relu at 0x…>"),
        ("opt", "torch.optim.Adam", "torch.optim.Adam"),
        ("when", "2021-03-04T12:30:00", None),
        ("created", "Thu Mar 4 12:30:00 2021", None),
        ("date", 20210304, None),
        ("start_time", 1699999999.5, None),
        ("time_limit", 1000, 1000),
        ("eval_seed", 4, None),
        ("seed_steps", 5000, 5000),
        ("fixed_seed", True, True),
        ("address", "10.0.0.3:6006", None),
        ("url", "https://example.org/runs/1", "https://example.org/runs/1"),
        ("gpu", 1, None),
        ("cpu", 4, 4),
        ("resume", True, None),
        ("name", "walk-seed3", "walk-seed*"),
        ("ratio", "a/b of it", "a/b of it"),
        ("version", "1.0.0.1", "1.0.0.1"),
        ("ip", "dense", "dense"),
        ("ip", "10.0.0.1:29500", None),
    ],
)
def test_i3_by_key_and_text(key: str, value: object, kept: object) -> None:
    assert setting_text(key, canonical(value), 3, ["walk-seed3"]) == (None if kept is None else canonical(kept))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("layers", ("64/64/32", "400/300/100")),
        ("path", ("circle", "square")),
        ("data_split", ("80/10/10", "70/15/15")),
        ("task_id", (0, 5)),
        ("trial", (1, 2)),
        ("node", (64, 256)),
        ("port", (1, 2)),
        ("run", ("fast", "slow")),
        ("machine", ("crane", "digger")),
        ("ip", (0.1, 0.5)),
        ("root", ("sqrt", "cbrt")),
        ("wave", ("0x10", "0x20")),
        ("version", ("1.0.0.1", "1.0.0.2")),
        ("date_range", ("2019-01-01..2019-06-01", "2020-01-01..2020-06-01")),
        ("start_date", ("2019-01-01", "2020-01-01")),
        ("dataset", ("d4rl_2021-03-01", "d4rl_2022-05-01")),
        ("data_dir", ("/data/hopper", "/data/walker")),
        ("block", ("Decoder_2_128", "Augment_3_256")),
        ("exp_name", ("Decoder_2_128", "Decoder_3_256")),
        ("exp_name", ("Marl_3_256", "Augment_1_200")),
        ("pid", ("0.1/0/0", "0.5/0/0")),
    ],
)
def test_i3_what_only_looks_like_the_runs_own_tells_settings_apart(
    write: Write, cli: Cli, key: str, values: tuple[object, object]
) -> None:
    for number, value in enumerate(values):
        for seed in (0, 1):
            write(f"r{number}{seed}", 10.0 * (number + 1) + seed, seed=seed, **{key: value})
    assert counts(compared(cli)) == [2, 2]


@pytest.mark.parametrize(
    "config",
    [
        {"exp_name": "finetune_ppo_s0"},
        {"teacher": "expert_s1"},
        {"exp_name": "exp-s1-final"},
        {"exp_name": "run_seed_0_of3"},
        {"exp_name": "lr_s3_cl"},
        {"exp_name": "a_s_0"},
        {"load_path": "/pre/walk_s2/model.pt"},
    ],
)
def test_a1_equal_names_are_one_setting_whatever_their_seeds(
    write: Write, cli: Cli, config: Mapping[str, object]
) -> None:
    for seed in range(4):
        write(f"r{seed}", 10.0 + seed, seed=seed, **config)
    assert counts(compared(cli)) == [4]
    assert counts(json.loads(cli("compare", "seed<2", "--json").out)) == [2], "the selection does not matter"


def test_a1_a_mark_that_is_not_the_seeds_tells_names_apart(write: Write, cli: Cli) -> None:
    for mark in (0, 1):
        for seed in (0, 1):
            write(f"r{mark}{seed}", 10.0 * (mark + 1) + seed, exp_name=f"tuned_s{mark}", seed=seed)
    assert counts(compared(cli)) == [2, 2]
    assert counts(json.loads(cli("compare", "id in (1, 4)", "--json").out)) == [1, 1]


def seeded(**config: object) -> dict[str, object]:
    return {"exp_name": "walk", "env": "CartPole-v1", **config}


@pytest.mark.parametrize(
    ("config", "seed"),
    [
        (seeded(random_seed=3), 3),
        (seeded(rng_seed="3"), 3),
        (seeded(SEED=3), 3),
        (seeded(Seed=3.0), 3),
        (seeded(args={"seed": 3}), 3),
        (seeded(general={"seed": 3}, eval={"seed": 9}), 3),
        (seeded(seed=2**63), None),
        (seeded(seed=2**70), None),
        (seeded(seed="abc"), None),
        (seeded(seed="0x10"), None),
        (seeded(seed=[3]), None),
        (seeded(seed=1.5), None),
    ],
)
def test_a3_a_seed_that_the_config_states_is_known(
    write: Write, cli: Cli, config: Mapping[str, object], seed: int | None
) -> None:
    for number in range(2):
        write(f"r{number}", 10.0 + number, config=config)
    (row,) = compared(cli)
    assert (row["n"], row["values"], row["assumed_different"]) == (1, [10.5], [])
    assert None not in row["seeds"]
    assert [run["seed"] for run in json.loads(cli("runs", "--json", "--columns", "seed").out)] == [seed, seed]


def test_a3_seeds_that_are_texts_are_several(write: Write, cli: Cli) -> None:
    for number, seed in enumerate(["abc", "abd", 7, 2**70, None]):
        write(f"r{number}", 10.0 + number, config=seeded(seed=seed))
    (row,) = compared(cli)
    assert row["n"] == 5
    assert cli("doctor").code in (0, 1)
    assert cli("compare").code == 0


def test_stems() -> None:
    assert stem("2021-03-04_12-30-00_walk_s1", 1) == "*_walk_s*"
    assert stem("walk_s1", None) == "walk_s1"
    assert stem("walk_s-1", -1) == "walk_s*"


# I8


def test_i8_steps_and_rows_are_not_one_axis(write: Write, cli: Cli, run_directory: Write) -> None:
    for seed in (0, 1):
        write(f"steps_s{seed}", 10.0 + seed, seed=seed)
    config = {"exp_name": "rows", "seed": 0, "clip_ratio": 0.2, "env": "CartPole-v1"}
    run_directory("rows_s0", config=config, header=("AverageEpRet",), rows=[(1.0,), (2.0,)])
    compared(cli)
    outcome = cli("plot", "-t")
    assert "AverageEpRet over TotalEnvInteracts" in outcome.out
    assert "AverageEpRet over row" in outcome.out
    assert "1 run without steps: drawn apart, over rows" in outcome.err
    assert "1 run not drawn: no point of Performance over Epoch" in cli("plot", "-t", "-x", "Epoch").err


# Telling fields


def test_fields_that_tell() -> None:
    settings = [
        {"algo": '"ppo"', "lr": "1", "gamma": "0.9", "fn": '"<f>"', "exp_name": '"a"'},
        {"algo": '"ppo"', "lr": "2", "gamma": "0.9", "fn": '"<g>"', "exp_name": '"b"'},
        {"algo": '"sac"', "alpha": "1", "gamma": "0.9", "fn": '"<f>"', "exp_name": '"c"'},
    ]
    assert telling(settings) == ["algo", "lr"]
    assert telling([{"exp_name": '"a"'}, {"exp_name": '"b"'}]) == ["exp_name"]
    assert telling([{"fn": '"<f>"'}, {"fn": '"<g>"'}]) == ["fn"]
    assert telling([{"a": "1"}, {}]) == ["a"]
    assert telling([{}]) == []
    assert needed([{"a": "1", "b": "1"}, {"a": "2", "b": "2"}, {"a": "3", "b": "2"}], ["b", "a"]) == ["a"]


def test_a1_a_label_says_what_is_not_there_only_where_labels_are_alike(write: Write, cli: Cli) -> None:
    write("a/a_s0", config={"exp_name": "x", "lr": 1})
    write("b/b_s0", config={"exp_name": "x", "lr": 1, "beta": 2})
    cli("ingest", "data")
    labels = [group["label"] for group in json.loads(cli("compare", "--json").out)]
    assert sorted(labels) == ["beta=2", "x"]


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([0, 1000, 50, 200], [10, 20, 30, 10]),
        ([1000, 2000, 3000, 1000, 2000], [10, 11, 12, 13, 14]),
        ([1000, 2000, 3000, 4000, 5000, 1000, 2000], [10, 11, 12, 13, 14, 14, 15]),
    ],
)
def test_a12_an_area_lies_within_its_values(x: list[float], y: list[float]) -> None:
    area = summaries.parse("auc")(x, y)
    assert min(y) <= area <= max(y)
    order = sorted(range(len(x)), key=x.__getitem__)
    assert summaries.parse("auc")([x[i] for i in order], [y[i] for i in order]) == area


def test_a2_what_could_not_be_read_is_no_copy(
    run_directory: Write, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(3):
        run = run_directory(f"{'abc'[seed]}/x", config={"exp_name": "a", "lr": 1})
        with (run / "progress.txt").open("r+b") as table:
            table.truncate((65 << 20) + seed)  # too large to be read
    cli("ingest", "data")
    assert cli("runs", "status=broken", "--ids").out.split() == ["1", "2", "3"]
    assert "copies of runs" not in cli("compare").err
    assert "same content" not in cli("doctor").out
