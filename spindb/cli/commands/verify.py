"""``spindb verify``: is this the agent that was trained?"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spindb.cli.evaluating import evaluate_over_processes, require_runs
from spindb.cli.options import AsJson, Db, Everything, FilterWords, database, words_of
from spindb.cli.play_options import (
    ActionRule,
    EnvFactory,
    EnvId,
    Forces,
    Imports,
    Jobs,
    Trust,
    WithoutWrappers,
    forces_chosen,
    one_environment,
)
from spindb.cli.terminal.tables import echo, plural, print_json, print_table, say
from spindb.errors import NotFoundError, UsageError
from spindb.extras import needing
from spindb.records import AGREES, CANT_TELL, DIFFERS, latest
from spindb.signals import active

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from spindb.play.locate import Playable
    from spindb.play.verify.playing import Plan
    from spindb.play.verify.statement import Entry
    from spindb.records import Evaluation, SnapshotRecord


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    app.command("verify")(verify)


def verify(
    ctx: typer.Context,
    words: FilterWords = None,
    itr: Annotated[int, typer.Option("--itr", "-i", help="Which snapshot of each run; -1: the latest.")] = -1,
    all_snapshots: Annotated[bool, typer.Option("--all-snapshots", help="Every snapshot of each run.")] = False,
    episodes: Annotated[
        int,
        typer.Option("--episodes", "-n", help="How many for each snapshot; more where their spread needs it.", min=1),
    ] = 20,
    most: Annotated[int, typer.Option("--most", help="How many at most.", min=1)] = 200,
    seed: Annotated[int, typer.Option(help="Seed environment and policy, the same for each snapshot.", min=0)] = 0,
    env: EnvId = None,
    env_factory: EnvFactory = None,
    imports: Imports = None,
    trust: Trust = False,
    action: ActionRule = None,
    without_wrappers: WithoutWrappers = False,
    contact_forces: Forces = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Where the log is too coarse to tell, don't call it agreement.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Also what has a verdict already.")] = False,
    statement: Annotated[
        Path | None, typer.Option("--statement", metavar="FILE", help="Write the verdicts, to be repeated elsewhere.")
    ] = None,
    check: Annotated[Path | None, typer.Option("--check", metavar="FILE", help="Repeat what such a file says.")] = None,
    jobs: Jobs = None,
    everything: Everything = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Play snapshots as their return was logged, and say whether they agree with the training log.

    spindb verify 42

    spindb verify 'env=CartPole-v0' --all-snapshots

    spindb verify 42 --statement verdict.json
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.selection import selected

    with needing():
        import numpy  # noqa: F401 - asked for here, not in every worker

        from spindb.play.actions import rule_of
        from spindb.play.evaluating import Flags
        from spindb.play.rollouts.rollout import require_seed
        from spindb.play.verify.playing import Plan
        from spindb.play.verify.statement import read

    require_seed(seed)
    one_environment(env, env_factory)
    if check is not None and statement is not None:
        raise UsageError("--check and --statement exclude each other")
    if all_snapshots and itr != -1:
        raise UsageError("--itr and --all-snapshots exclude each other")
    stated = read(check) if check is not None else []
    location = database(ctx, db)
    flags = Flags(
        seed=seed,
        env=env,
        factory=env_factory,
        imports=tuple(imports or ()),
        trust=trust,
        action=rule_of(action),
        without_wrappers=without_wrappers,
        contact_forces=forces_chosen(contact_forces),
    )
    plan = Plan(flags, episodes, max(most, episodes), strict)
    with connected(location) as connection:
        ids = selected(connection, words_of(words), everything=everything, notice=say)
        require_runs(ids, words)
        meant = list(_snapshots(connection, ids, itr, every=all_snapshots or check is not None))
        if check is None and not meant:
            raise NotFoundError("no snapshot of these runs can be played", hint="spindb snapshots RUN says why")
        known = {} if again or statement or check else _known(connection, meant, plan)
    if check is not None:
        _check(meant, stated, plan, jobs, location, as_json=as_json)
        return
    waiting = [one for one in meant if one.key not in known]
    say(f"{plural(len(meant), 'snapshot')} of {plural(len(ids), 'run')}, {len(known)} verified so already")
    results: dict[tuple[int, str], Evaluation] = {}
    failures, ended = _play(waiting, plan, jobs, location, results)
    rows = [
        *(_row(one, *known[one.key]) for one in meant if one.key in known),
        *(_row(one, *_of(results[one.key])) for one in waiting if one.key in results),
    ]
    if statement is not None:
        from spindb.play.verify.statement import entry_as_dict, write

        write(statement, [entry_as_dict(one.name, results[one.key]) for one in waiting if one.key in results])
        say(f"written to {statement}")
    _report(rows, failures, as_json=as_json)
    if ended:
        active().left = "what was verified so far is recorded, the same command verifies the rest"
        raise KeyboardInterrupt
    if failures or any(row["verdict"] == DIFFERS for row in rows):
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class _Meant:
    """A snapshot that is to be verified."""

    playable: Playable
    name: str

    @property
    def key(self) -> tuple[int, str]:
        assert self.playable.run_id is not None
        return self.playable.run_id, self.playable.snapshot.path


def _snapshots(connection: Connection, ids: Sequence[int], itr: int, *, every: bool) -> Iterator[_Meant]:
    """The snapshots that are meant, of these runs."""
    from spindb.index.query.runs import pick_snapshot, run_by_id, snapshots_of
    from spindb.play.locate import Playable

    for run_id in ids:
        run = run_by_id(connection, run_id)
        if run.status == "superseded":
            continue
        saved = [one for one in snapshots_of(connection, run_id) if not one.unloadable and not one.stale]
        chosen: list[SnapshotRecord] = saved
        if itr != -1:
            chosen = [pick_snapshot(snapshots_of(connection, run_id), itr, run.directory)]
        elif not every:
            chosen = [one for one in (latest(saved),) if one is not None]
        for snapshot in chosen:
            yield _Meant(Playable(run.directory, snapshot, run.env, run_id, root=run.root), run.name)


def _known(connection: Connection, meant: Sequence[_Meant], plan: Plan) -> dict[tuple[int, str], tuple[Any, ...]]:
    """Verdicts that were given on these files with these flags."""
    from spindb.index.read.verdicts import verdicts
    from spindb.play.locate import digest_of
    from spindb.play.verify.playing import serves

    found = {}
    recorded = verdicts(connection, sorted({one.key[0] for one in meant}))
    for one in meant:
        given = recorded.get(one.key)
        if given is None or not serves(given, plan):
            continue
        one.playable.follow_links()
        if digest_of(one.playable) == given.digest:
            found[one.key] = (given.verdict, given.env_id, given.evaluation_id)
    return found


def _of(evaluation: Evaluation) -> tuple[Any, ...]:
    return evaluation.verdict, evaluation.env_id, None


def _play(
    waiting: Sequence[_Meant], plan: Plan, jobs: int | None, location: str, results: dict[tuple[int, str], Evaluation]
) -> tuple[list[tuple[str, str]], bool]:
    from spindb.play.verify.playing import verify as verify_one

    def keep(playable: Playable, evaluation: Evaluation) -> None:
        assert playable.run_id is not None
        results[playable.run_id, playable.snapshot.path] = evaluation

    playables = [one.playable for one in waiting]
    task = partial(verify_one, plan=plan)
    return evaluate_over_processes(playables, task, jobs or os.cpu_count() or 1, location, keep)


def _row(one: _Meant, verdict: Any, env_id: str | None, evaluation_id: int | None) -> dict[str, Any]:
    from spindb.play.verify.words import as_dict

    found = as_dict(verdict)
    snapshot = one.playable.snapshot
    place = {"run": one.key[0], "name": one.name, "itr": snapshot.itr, "snapshot": snapshot.path}
    return {
        **place,
        "kind": snapshot.kind,
        "env": env_id,
        "verdict": found.pop("word"),
        **found,
        "evaluation_id": evaluation_id,
    }


def _report(rows: Sequence[dict[str, Any]], failures: Sequence[tuple[str, str]], *, as_json: bool) -> None:
    from spindb.play.verify.words import SAID, with_error

    rows = sorted(rows, key=lambda row: (row["run"], row["itr"] is None, row["itr"] or 0))
    if as_json:
        print_json({"snapshots": rows, "failed": [{"snapshot": place, "reason": why} for place, why in failures]})
    else:

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
        if table:
            print_table(titles, table, right=titles[2:10], droppable=("power", "epoch"), fixed=("",))
            echo("")
            _summary(rows)
    for row in rows:
        if row["verdict"] != AGREES:
            number = "" if row["itr"] is None else f" itr {row['itr']}"
            say(f"  run {row['run']}{number} {SAID.get(row['verdict'], row['verdict'])}: {row['reason']}")
    for place, reason in failures:
        say(f"  {place}: {reason}")


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


def _check(
    meant: Sequence[_Meant], stated: Sequence[Entry], plan: Plan, jobs: int | None, location: str, *, as_json: bool
) -> None:
    """Repeat what a statement says, and compare."""
    from spindb.play.locate import digest_of
    from spindb.play.verify.statement import deviations, is_same_play

    by_digest: dict[str | None, _Meant] = {}
    for one in meant:
        one.playable.follow_links()
        by_digest.setdefault(digest_of(one.playable), one)
    rows: list[dict[str, Any]] = []
    for entry in stated:
        found = by_digest.get(entry.weights)
        problems, equal = [f"no snapshot here has the weights of {entry.run}/{entry.snapshot}"], False
        if found is not None:
            flags = replace(plan.flags, seed=entry.seed)
            own = replace(plan, flags=flags, first=entry.episodes, most=entry.episodes)
            results: dict[tuple[int, str], Evaluation] = {}
            failures, ended = _play([found], own, jobs, location, results)
            if ended:
                raise KeyboardInterrupt
            again = results.get(found.key)
            problems = [why for _, why in failures] if again is None else deviations(entry, again)
            equal = again is not None and is_same_play(entry, again)
        rows.append(
            {
                "run": entry.run,
                "snapshot": entry.snapshot,
                "found_as": None if found is None else found.key[0],
                "confirmed": not problems,
                "same_episodes": equal,
                "deviations": problems,
            }
        )
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            how = "the same episodes" if row["same_episodes"] else "other draws, the same verdict"
            told = f"confirmed by {how}" if row["confirmed"] else f"not confirmed: {'; '.join(row['deviations'])}"
            echo(f"{row['run']}/{row['snapshot']}: {told}")
    if not all(row["confirmed"] for row in rows):
        raise typer.Exit(1)
