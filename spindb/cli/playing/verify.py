"""Snapshots played as their return was logged, and compared with the log, as ``spindb verify`` does it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import typer

from spindb.cli.handlers.access import selected_runs
from spindb.cli.options import Selection, require_runs
from spindb.cli.play_options import LATEST
from spindb.cli.playing.many import Evaluations, evaluate_over_processes
from spindb.cli.terminal.tables import echo, plural, print_json, print_table, say
from spindb.errors import NotFoundError
from spindb.index.read.verdicts import StoredVerdict
from spindb.play.locate import Playable, policy_digest
from spindb.play.request import PlayOptions
from spindb.play.verify.playing import VerifyPlan, verify_snapshot
from spindb.play.verify.selection import Candidate, candidates, known_verdicts
from spindb.play.verify.statement import (
    StatementEntry,
    differences_from,
    entry_as_dict,
    is_same_play,
    read_statement,
    write_statement,
)
from spindb.play.verify.words import SAID, as_dict, with_error
from spindb.records import Evaluation, Verdict
from spindb.signals import active
from spindb.verdicts import AGREES, CANT_TELL, DIFFERS

Results: TypeAlias = dict[tuple[int, str], Evaluation]
"""Evaluations by their candidates' keys."""


def verify_plan(options: PlayOptions, episodes: int, most: int, strict: bool) -> VerifyPlan:
    """How snapshots are verified, by what was typed."""
    return VerifyPlan(options, episodes, max(most, episodes), strict)


@dataclass(frozen=True, slots=True)
class Which:
    """Which snapshots: a filter, and of each run one, the latest or all."""

    selection: Selection
    itr: int
    every: bool


@dataclass(frozen=True, slots=True)
class How:
    """How they are played and shown."""

    plan: VerifyPlan
    jobs: int | None
    location: str
    as_json: bool


def verify_snapshots(which: Which, how: How, *, again: bool, statement: Path | None) -> None:
    """Play what has no verdict that serves, and report all."""
    chosen, runs, known = _selected(which, how, reuse=not again and statement is None)
    if not chosen:
        raise NotFoundError("no snapshot of these runs can be played", hint="spindb snapshots RUN says why")
    # Played anew is only what has no verdict: a second call after an interrupt goes on where the first one ended.
    waiting = [one for one in chosen if one.key not in known]
    say(f"{plural(len(chosen), 'snapshot')} of {plural(runs, 'run')}, {len(known)} verified so already")
    results: Results = {}
    found = _play(waiting, how, results)
    rows = [
        _row(one, known[one.key].verdict, known[one.key].env_id, known[one.key].evaluation_id)
        for one in chosen
        if one.key in known
    ]
    played = [(one, results[one.key]) for one in waiting if one.key in results]
    rows += [_row(one, given.verdict, given.env_id, None) for one, given in played]
    if statement is not None:
        write_statement(statement, [entry_as_dict(one.name, given) for one, given in played])
        say(f"written to {statement}")
    _report(rows, found.failures, as_json=how.as_json)
    # After the report: what was played is recorded and shown before the command ends by the signal.
    if found.interrupted:
        active().left = "what was verified so far is recorded, the same command verifies the rest"
        raise KeyboardInterrupt
    if found.failures or any(row["verdict"] == DIFFERS for row in rows):
        raise typer.Exit(1)


def _selected(
    which: Which, how: How, *, reuse: bool
) -> tuple[list[Candidate], int, dict[tuple[int, str], StoredVerdict]]:
    """The snapshots, of how many runs they are, and, with `reuse`, the verdicts that serve."""
    with selected_runs(which.selection) as (connection, ids):
        require_runs(ids, which.selection.words)
        chosen = list(candidates(connection, ids, None if which.itr == LATEST else which.itr, every=which.every))
        return chosen, len(ids), known_verdicts(connection, chosen, how.plan) if reuse else {}


def _play(waiting: Sequence[Candidate], how: How, results: Results) -> Evaluations:
    """Play them; each evaluation enters `results` by its candidate's key."""

    def keep(playable: Playable, evaluation: Evaluation) -> None:
        assert playable.run_id is not None
        results[playable.run_id, playable.snapshot.path] = evaluation

    task = partial(verify_snapshot, plan=how.plan)
    return evaluate_over_processes([one.playable for one in waiting], task, how.jobs, how.location, keep)


def _row(one: Candidate, verdict: Verdict | None, env_id: str | None, evaluation_id: int | None) -> dict[str, Any]:
    assert verdict is not None
    found = as_dict(verdict)
    snapshot = one.playable.snapshot
    return {
        "run": one.key[0],
        "name": one.name,
        "itr": snapshot.itr,
        "snapshot": snapshot.path,
        "kind": snapshot.kind,
        "env": env_id,
        "verdict": found.pop("word"),
        **found,
        "evaluation_id": evaluation_id,
    }


def _report(rows: Sequence[dict[str, Any]], failures: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    rows = sorted(rows, key=lambda row: (row["run"], row["itr"] is None, row["itr"] or 0))
    if as_json:
        print_json({"snapshots": rows, "failed": [{"snapshot": place, "reason": why} for place, why in failures]})
    elif rows:
        _print_verdicts(rows)
        echo("")
        _summary(rows)
    for row in rows:
        if row["verdict"] != AGREES:
            number = "" if row["itr"] is None else f" itr {row['itr']}"
            say(f"  run {row['run']}{number} {SAID.get(row['verdict'], row['verdict'])}: {row['reason']}")
    for place, reason in failures:
        say(f"  {place}: {reason}")


def _print_verdicts(rows: Sequence[dict[str, Any]]) -> None:
    def mean(row: dict[str, Any], which: str) -> str | None:
        value = row["logged_mean" if which == "logged" else "played"]
        return None if value is None else with_error(value, row[f"{which}_error"])

    titles = ("run", "name", "itr", "env", "epoch", "logged ± se", "n", "played ± se", "n", "power", "")
    table = [
        (
            *(row["run"], row["name"], _itr(row["itr"]), row["env"], row["epoch"]),
            *(mean(row, "logged"), row["logged_episodes"], mean(row, "played"), row["episodes"]),
            None if row["power"] is None else f"{row['power']:.0%}",
            SAID.get(row["verdict"], row["verdict"]) + (" (coarse log)" if _is_coarse(row) else ""),
        )
        for row in rows
    ]
    print_table(titles, table, right=titles[2:10], droppable=("power", "epoch"), fixed=("",))


def _is_coarse(row: dict[str, Any]) -> bool:
    return row["verdict"] == AGREES and bool(row["reason"])


def _summary(rows: Sequence[dict[str, Any]]) -> None:
    """How many of each environment and kind got which verdict."""
    count: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        word = "coarse" if _is_coarse(row) else row["verdict"]
        count[str(row["env"] or "your own"), row["kind"], word] += 1
    kinds = sorted({(env, kind) for env, kind, _ in count})
    words = (AGREES, "coarse", DIFFERS, CANT_TELL)
    titles = ("environment", "kind", "agrees", "as far as the log tells", "differs", "can't tell")
    table = [(env, kind, *(count[env, kind, word] for word in words)) for env, kind in kinds]
    print_table(titles, table, right=titles[2:])


def _itr(itr: int | None) -> str:
    return "-" if itr is None else str(itr)


@dataclass(frozen=True, slots=True)
class _Repeated:
    """A statement on a snapshot, repeated; ``found_as`` is the run's id here."""

    run: str
    snapshot: str
    found_as: int | None
    confirmed: bool
    same_episodes: bool
    deviations: list[str]


def check_statement(which: Which, file: Path, how: How) -> None:
    """Repeat what a statement says, and compare."""
    stated = read_statement(file)
    by_digest: dict[str | None, Candidate] = {}
    # By digest, not by path: the statement was written on another machine, where the run lay elsewhere.
    for one in _selected(replace(which, every=True), how, reuse=False)[0]:
        one.playable.follow_links()
        by_digest.setdefault(policy_digest(one.playable), one)
    rows = [_repeated(entry, by_digest.get(entry.weights), how) for entry in stated]
    if how.as_json:
        print_json([asdict(row) for row in rows])
    else:
        for row in rows:
            by = "the same episodes" if row.same_episodes else "other draws, the same verdict"
            outcome = f"confirmed by {by}" if row.confirmed else f"not confirmed: {'; '.join(row.deviations)}"
            echo(f"{row.run}/{row.snapshot}: {outcome}")
    if not all(row.confirmed for row in rows):
        raise typer.Exit(1)


def _repeated(entry: StatementEntry, one: Candidate | None, how: How) -> _Repeated:
    """Play a snapshot as a statement says it was played; `one` is the snapshot with these weights, if there is one."""
    if one is None:
        missing = f"no snapshot here has the weights of {entry.run}/{entry.snapshot}"
        return _Repeated(entry.run, entry.snapshot, None, False, False, [missing])
    options = replace(how.plan.options, seed=entry.seed)
    # As many episodes as were stated, neither fewer nor more: only then equal draws give equal means.
    plan = replace(how.plan, options=options, first=entry.episodes, most=entry.episodes)
    results: Results = {}
    played = _play([one], replace(how, plan=plan), results)
    if played.interrupted:
        raise KeyboardInterrupt
    again = results.get(one.key)
    problems = [why for _, why in played.failures] if again is None else differences_from(entry, again)
    equal = again is not None and is_same_play(entry, again)
    return _Repeated(entry.run, entry.snapshot, one.key[0], not problems, equal, problems)
