"""Commands about single runs: ``show``, ``path``, ``snapshots``, ``diff``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spindb.cli.options import AsCsv, AsJson, Db, Run, database
from spindb.cli.output import print_csv, print_json, print_table, say, show, show_hyperparameter, size
from spindb.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from spindb.index.browse import EvaluationRow
    from spindb.index.resolve import RunInfo
    from spindb.records import SnapshotRecord

_MAX_SNAPSHOTS_SHOWN = 12


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("show")(show_run)
    app.command("path")(path)
    app.command("snapshots")(snapshots)
    app.command("diff")(diff)


def show_run(ctx: typer.Context, run: Run, as_json: AsJson = False, db: Db = None) -> None:
    """Show one run whole: hyperparameters, metrics, snapshots, evaluations, problems.

    spindb show 42
    """
    from spindb.index import browse
    from spindb.index.connect import connected
    from spindb.index.resolve import find_run, snapshots_of

    with connected(database(ctx, db)) as connection:
        found = find_run(connection, run)
        config = browse.config_of(connection, found.id, internal=as_json)
        metrics = browse.metrics_of(connection, found.id)
        saved = snapshots_of(connection, found.id)
        evaluations = browse.evaluations_of(connection, found.id)
        problems = browse.problems_of(connection, found.id)
        tags = browse.tags_of(connection, found.id)
        notes = browse.notes_of(connection, found.id)
        earlier = browse.superseded_of(connection, found.id)
        curve = browse.performance_curves(connection, [found.id]).get(found.id)
    if as_json:
        print_json(
            {
                **_run_as_dict(found),
                "tags": tags,
                "notes": [{"at": at, "text": text} for at, text in notes],
                "config": {leaf.key: json.loads(leaf.value) for leaf in config},
                "metrics": {m.name: {**asdict(m), "last": browse.last_value(m)} for m in metrics},
                "snapshots": [_snapshot_as_dict(s) for s in saved],
                "evaluations": [asdict(e) for e in evaluations],
                "superseded": [asdict(s) for s in earlier],
                "problems": [asdict(p) for p in problems],
            }
        )
        return
    _show_head(found, tags, notes, curve)
    if config:
        typer.echo("\nhyperparameters")
        values = [(leaf.key, show_hyperparameter(leaf.value)) for leaf in config]
        print_table(("key", "value"), values)
    if metrics:
        typer.echo("metrics (argmin, argmax: rows from 0)")
        titles = ("metric", "last", "min", "max", "mean", "argmax")
        rows = [(m.name, browse.last_value(m), m.min, m.max, m.mean, m.argmax) for m in metrics]
        print_table(titles, rows, right=("last",))
    if saved:
        typer.echo("snapshots")
        _snapshot_table(saved[-_MAX_SNAPSHOTS_SHOWN:])
        if len(saved) > _MAX_SNAPSHOTS_SHOWN:
            typer.echo(f"  … and {len(saved) - _MAX_SNAPSHOTS_SHOWN} earlier ones: spindb snapshots {found.id}\n")
    if evaluations:
        typer.echo("evaluations")
        played = ("id", "itr", "env", "episodes", "mean return", "std", "mean length", "when", "")
        results = [
            (
                e.id,
                _itr(e.itr),
                e.env_id,
                e.episodes,
                e.mean_return,
                e.std_return,
                e.mean_length,
                e.created_at,
                _of_earlier(e, found),
            )
            for e in evaluations
        ]
        print_table(played, results, right=("itr",))
    if earlier:
        typer.echo("overwritten: this directory held other runs before")
        before = ("rows", "last", "max", "metric", "until")
        print_table(before, [(s.rows, s.last, s.max, s.performance, s.superseded_at) for s in earlier])
    if problems:
        typer.echo("problems")
        for problem in problems:
            where = f"{problem.path}:{problem.line}" if problem.line else problem.path
            typer.echo(f"  {where}: {problem.message}")


def _of_earlier(evaluation: EvaluationRow, run: RunInfo) -> str:
    return "of the earlier run here" if evaluation.generation < run.generation else ""


def _show_head(found: RunInfo, tags: list[str], notes: Sequence[tuple[Any, str]], curve: list[float] | None) -> None:
    from spindb.analysis.spark import sparkline

    status = found.status + (", archived" if found.archived else "")
    facts = [
        ("run", f"{found.id}  {found.name}"),
        ("directory", f"{found.directory}"),
        ("experiment", f"{found.exp_name or '?'}, seed {show(found.seed) or '?'}"),
        ("algorithm", f"{found.algo} (from {found.algo_source})" if found.algo else "unknown"),
        ("environment", _environment(found)),
        (
            "status",
            f"{status}, {found.rows} rows, started {show(found.started_at)} (from {found.started_source}), "
            f"last row {show(found.updated_at)}",
        ),
    ]
    if found.copy_of:
        facts.append(("copy of", f"run {found.copy_of}"))
    if curve:
        facts.append(("performance", f"{found.performance}  {sparkline(curve, 40)}"))
    if tags:
        facts.append(("tags", ", ".join(tags)))
    facts += [("note", f"{show(at)}  {text}") for at, text in notes]
    for name, value in facts:
        typer.echo(f"{name:<12} {value}")


def _environment(found: RunInfo) -> str:
    limit = f", at most {found.env.max_episode_steps} steps" if found.env.max_episode_steps else ""
    if found.env.id:
        return f"{found.env.id} (from {found.env.source}{limit})"
    if found.env.classes:
        return f"no id; the saved state holds {' around '.join(found.env.classes)}{limit}"
    return "unknown"


def _run_as_dict(found: RunInfo) -> dict[str, Any]:
    return {**asdict(found), "directory": str(found.directory)}


def path(
    ctx: typer.Context,
    run: Run,
    itr: Annotated[int | None, typer.Option("--itr", "-i", help="The snapshot's path instead.")] = None,
    db: Db = None,
) -> None:
    """Print a run's directory, or a snapshot's, for the shell.

    cd "$(spindb path 42)"
    """
    from spindb.index.connect import connected
    from spindb.index.resolve import find_run, pick_snapshot, snapshots_of

    with connected(database(ctx, db)) as connection:
        found = find_run(connection, run)
        place = found.directory
        if itr is not None:
            place = place / pick_snapshot(snapshots_of(connection, found.id), itr, found.directory).path
    if not place.exists():
        raise NotFoundError(f"run {found.id} was at {place} on {found.host}, and is not there now")
    typer.echo(str(place))


def snapshots(ctx: typer.Context, run: Run, as_json: AsJson = False, as_csv: AsCsv = False, db: Db = None) -> None:
    """List a run's saved policies.

    spindb snapshots 42
    """
    from spindb.index.connect import connected
    from spindb.index.resolve import find_run, snapshots_of

    with connected(database(ctx, db)) as connection:
        found = find_run(connection, run)
        saved = snapshots_of(connection, found.id)
    if as_json:
        print_json([_snapshot_as_dict(snapshot) for snapshot in saved])
    elif as_csv:
        rows = [_snapshot_as_dict(snapshot) for snapshot in saved]
        print_csv(tuple(rows[0]) if rows else ("kind",), [tuple(row.values()) for row in rows])
    elif saved:
        _snapshot_table(saved, reasons=True)
    else:
        say(f"run {found.id} has no saved policy")


def _snapshot_table(saved: Sequence[SnapshotRecord], *, reasons: bool = False) -> None:
    from spindb.records import latest

    newest = latest(saved)
    rows = [
        (_itr(s.itr), s.kind, s.path, size(s.size), ", ".join(sorted(s.outputs)), _condition(s, s is newest))
        for s in saved
    ]
    print_table(("itr", "kind", "path", "size", "outputs", ""), rows, right=("itr", "size"))
    for snapshot in saved:
        reason = snapshot.unloadable or snapshot.stale
        if reasons and reason:
            say(f"  {snapshot.path}: {reason}")


def _itr(itr: int | None) -> str:
    return "-" if itr is None else str(itr)


def _condition(snapshot: SnapshotRecord, is_latest: bool) -> str:
    if snapshot.unloadable:
        return "can't be loaded"
    if snapshot.stale:
        return "stale"
    return "latest" if is_latest else ""


def _snapshot_as_dict(snapshot: SnapshotRecord) -> dict[str, Any]:
    return {**asdict(snapshot), "inputs": dict(snapshot.inputs), "outputs": dict(snapshot.outputs)}


def diff(
    ctx: typer.Context,
    runs: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help="Two runs or more.")],
    everything: Annotated[bool, typer.Option("--all", help="What is equal too.")] = False,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    db: Db = None,
) -> None:
    """Show what differs between runs: hyperparameters, and the last value of each metric.

    spindb diff 3 7
    """
    from spindb.analysis.compare import differences
    from spindb.index.connect import connected
    from spindb.index.resolve import find_run

    if len(runs) < 2:
        raise UsageError("one run has nothing to differ from: name two or more")
    with connected(database(ctx, db)) as connection:
        found = [find_run(connection, run) for run in runs]
        facts = [_comparable(connection, run) for run in found]
    rows = differences(facts, everything=everything)
    titles = ("", *(f"{run.id}" for run in found))
    if as_json:
        print_json([{"key": row.key, "values": {str(run.id): v for run, v in zip(found, row.values)}} for row in rows])  # noqa: B905
    elif as_csv:
        print_csv(("key", *titles[1:]), ((row.key, *row.values) for row in rows))
    elif rows:
        for run in found:
            say(f"{run.id:>5}  {run.directory}")
        table = [(row.key, *("-" if value is None else value for value in row.values)) for row in rows]
        print_table(titles, table, right=titles[1:])
    else:
        say("no difference")


def _comparable(connection: Connection, run: RunInfo) -> dict[str, str]:
    """What a run is compared by, as text: hyperparameters, then facts, then the last of each metric."""
    from spindb.index import browse

    facts = {"algo": run.algo, "env": run.env.id, "status": run.status, "rows": run.rows}
    return {
        **{leaf.key: show_hyperparameter(leaf.value) for leaf in browse.config_of(connection, run.id)},
        **{f"run.{key}": show(value) for key, value in facts.items()},
        **{f"metric.{m.name}": show(browse.last_value(m)) for m in browse.metrics_of(connection, run.id)},
    }
