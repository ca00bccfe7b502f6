"""``spindb show``: one run whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spindb.cli.options import AsJson, Db, Run, database, run_meant
from spindb.cli.terminal.tables import (
    CUT,
    LONGEST_CELL,
    age,
    brief,
    clip,
    echo,
    plural,
    print_json,
    print_table,
    say,
    show,
    show_hyperparameter,
    size,
)
from spindb.index.database.unknown import json_value
from spindb.records import latest

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from spindb.index.query.runs import RunInfo
    from spindb.index.read.overview import VaryingKey
    from spindb.index.read.run import EvaluationRow, RunWhole, SupersededRow
    from spindb.records import SnapshotRecord

_MAX_SNAPSHOTS_SHOWN = 12
_MAX_OTHERS_SHOWN = 4
_MAX_HYPERPARAMETERS = 100
_MAX_VALUE = 400  # characters
_MAX_LAUNCH = 2000


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("show")(show_run)


def show_run(
    ctx: typer.Context,
    run: Run,
    superseded: Annotated[
        bool, typer.Option("--superseded", help="Show what its directory held before it was overwritten.")
    ] = False,
    internal: Annotated[
        bool, typer.Option("--internal", help="What the logger wrote about itself, and attributes of objects, too.")
    ] = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Show one run whole: what launched it, hyperparameters, metrics, snapshots, evaluations, problems, notes.

    spindb show 42

    spindb show 42 --superseded
    """
    from spindb.index.database.connect import connected
    from spindb.index.query.runs import run_by_id

    with connected(database(ctx, db)) as connection:
        found = run_meant(connection, run)
        shown = [_Shown(connection, found, internal=internal or as_json)]
        if superseded:
            earlier = shown[0].whole.earlier
            ids = [row.id for row in earlier if row.id is not None]
            shown = [_Shown(connection, run_by_id(connection, run_id), internal=internal or as_json) for run_id in ids]
    if as_json:
        print_json([_as_dict(one) for one in shown] if superseded else _as_dict(shown[0]))
        return
    if superseded:
        _show_earlier(found, earlier)
    for position, one in enumerate(shown):
        if superseded or position:
            echo("")
        _show_one(one, None if internal else _MAX_HYPERPARAMETERS)


class _Shown:
    """A run with all that is shown of it."""

    def __init__(self, connection: Connection, found: RunInfo, *, internal: bool) -> None:
        from spindb.index.query.runs import snapshots_of
        from spindb.index.read import run as browse
        from spindb.index.read.overview import varying_keys

        self.run = found
        self.saved = snapshots_of(connection, found.id)
        self.whole = browse.whole(connection, found.id, internal=internal)
        self.verdicts = browse.verdicts_of(connection, found.id)
        siblings = browse.siblings_of(connection, found.id)
        varying = varying_keys(connection, [found.id, *siblings]) if siblings else []
        self.siblings, self.varying = len(siblings), {row.key: row for row in varying}


def _show_one(one: _Shown, most: int | None) -> None:
    found, whole = one.run, one.whole
    _show_head(found, whole, one.saved)
    _show_config(found, whole, one.varying, one.siblings, most)
    _show_metrics(whole)
    _show_snapshots(found, one.saved, one.verdicts)
    _show_evaluations(found, whole.evaluations)
    if whole.earlier:
        _section("overwritten: this directory held other runs before")
        _earlier_table(whole.earlier)
    if whole.problems:
        _section("problems")
        for problem in whole.problems:
            where = f"{problem.path}:{problem.line}" if problem.line else problem.path
            echo(f"  {where}: {problem.message}")


def _show_earlier(found: RunInfo, earlier: Sequence[SupersededRow]) -> None:
    if not earlier:
        say(f"run {found.id} was never overwritten")
        return
    echo(f"the directory of run {found.id} held before: {found.directory}")
    _earlier_table(earlier)
    if any(row.id is None for row in earlier):
        say("rows without an id were kept by an older spindb: their curves are gone")


def _earlier_table(earlier: Sequence[SupersededRow]) -> None:
    titles = ("id", "rows", "last", "max", "metric", "until")
    print_table(titles, [(s.id, s.rows, s.last, s.max, s.performance, s.superseded_at) for s in earlier])


def _as_dict(one: _Shown) -> dict[str, Any]:
    from spindb.index.read.run import last_value

    found, whole, saved = one.run, one.whole, one.saved
    return {
        **asdict(found),
        "directory": str(found.directory),
        "launch": _launch(found, whole, saved),
        "tags": whole.tags,
        "notes": [{"at": at, "text": text} for at, text in whole.notes],
        "config": {leaf.key: json_value(leaf.value) for leaf in whole.config},
        "metrics": {m.name: {**asdict(m), "last": last_value(m)} for m in whole.metrics},
        "snapshots": [snapshot_as_dict(s, one.verdicts) for s in saved],
        "evaluations": [asdict(e) for e in whole.evaluations],
        "superseded": [asdict(s) for s in whole.earlier],
        "problems": [asdict(p) for p in whole.problems],
    }


def _section(title: str) -> None:
    echo()
    echo(title)


def _show_head(found: RunInfo, whole: RunWhole, saved: Sequence[SnapshotRecord]) -> None:
    from spindb.analysis.drawing.sparkline import sparkline

    status = found.status + (", archived" if found.archived else "")
    facts = [
        ("run", f"{found.id}  {found.name}"),
        ("directory", f"{found.directory}"),
        ("experiment", f"{found.exp_name or '?'}, seed {show(found.seed) or '?'}"),
        ("algorithm", f"{found.algo} (from {found.algo_source})" if found.algo else "unknown"),
        ("environment", _environment(found)),
        ("status", f"{status}, {plural(found.rows, 'row')}"),
        ("started", f"{show(found.started_at)} (from {found.started_source})" if found.started_at else "unknown"),
        ("last row", f"{show(found.updated_at)}, {_ago(found.updated_at)}" if found.updated_at else "unknown"),
    ]
    if found.superseded_by:
        until = f"until another training overwrote it (seen {show(found.ingested_at)})"
        facts.append(("superseded", f"by run {found.superseded_by}, whose directory this was {until}"))
    if found.copy_of:
        facts.append(("copy of", f"run {found.copy_of}"))
    curve = whole.curves.get(found.performance or "")
    if curve:
        facts.append(("performance", f"{found.performance}  {sparkline(curve, 40)}"))
    if whole.tags:
        facts.append(("tags", ", ".join(whole.tags)))
    for at, text in whole.notes:
        first, *rest = text.splitlines() or [""]
        facts += [("note", f"{show(at)}  {first}"), *(("", line) for line in rest)]
    launch = _launch(found, whole, saved)
    if launch:
        facts.append(("launched by", f"{clip(launch, _MAX_LAUNCH)}   (rebuilt from the config)"))
    for name, value in facts:
        echo(f"{name:<12} {value if name == 'directory' else brief(value)}")  # to be copied, that one
    if any(len(value) > LONGEST_CELL for name, value in facts if name != "directory"):
        say(CUT)


def _ago(time: datetime) -> str:
    from spindb.machine import now

    return f"{age((now() - time).total_seconds())} ago"


def _launch(found: RunInfo, whole: RunWhole, saved: Sequence[SnapshotRecord]) -> str | None:
    from spindb.train.command import launch

    config = {leaf.key: json_value(leaf.value) for leaf in whole.config if not leaf.internal}
    return launch(config, found.algo, found.env.id, [snapshot.kind for snapshot in saved])


def _environment(found: RunInfo) -> str:
    limit = f", at most {found.env.max_episode_steps} steps" if found.env.max_episode_steps else ""
    if found.env.id:
        return f"{found.env.id} (from {found.env.source}{limit})"
    if found.env.classes:
        return f"no id; the saved state holds {' around '.join(found.env.classes)}{limit}"
    return "unknown"


def _show_config(
    found: RunInfo, whole: RunWhole, varying: Mapping[str, VaryingKey], siblings: int, most: int | None
) -> None:
    """First what differs from the runs beside it, with their values; then the rest."""
    values = {leaf.key: show_hyperparameter(leaf.value) for leaf in whole.config}
    own = [key for key, row in varying.items() if key in values and not row.opaque][:most]
    if own:
        _section(f"hyperparameters that differ from {plural(siblings, 'other run')} of {found.algo} in {found.env.id}")
        others = [(key, clip(values[key], _MAX_VALUE), _others(varying[key], values[key])) for key in own]
        print_table(("key", "value", "others"), others, fixed=("key",))
    rest = [key for key in values if key not in own]
    if rest:
        _section("the other hyperparameters" if own else "hyperparameters")
        rows = [(key, clip(values[key], _MAX_VALUE)) for key in rest[:most]]
        print_table(("key", "value"), rows, fixed=("key",))
        if most is not None and len(rest) > most:
            echo(f"  … and {len(rest) - most} more: spindb params {found.id}")


def _others(row: VaryingKey, own: str) -> str:
    texts = [(show_hyperparameter(json.dumps(value, ensure_ascii=False)), count) for value, count in row.values]
    shown = [f"{text} ({count - (text == own)})" for text, count in texts if count > (text == own)]
    more = ["…"] if len(shown) > _MAX_OTHERS_SHOWN else []
    absent = [f"absent ({row.absent})"] if row.absent else []
    return ", ".join([*shown[:_MAX_OTHERS_SHOWN], *more, *absent])


def _show_metrics(whole: RunWhole) -> None:
    from spindb.analysis.drawing.sparkline import sparkline
    from spindb.index.read.run import last_value

    if whole.metrics:
        _section("metrics (at: the row of the maximum, from 0)")
        titles = ("metric", "curve", "last", "min", "max", "at", "mean")
        rows = [
            (m.name, sparkline(whole.curves[m.name]), last_value(m), m.min, m.max, m.argmax, m.mean)
            for m in whole.metrics
        ]
        print_table(
            titles, rows, right=("last", "min", "max", "at", "mean"), droppable=("mean", "min"), fixed=("metric",)
        )


def _show_snapshots(found: RunInfo, saved: Sequence[SnapshotRecord], verdicts: Mapping[str, EvaluationRow]) -> None:
    if saved:
        _section("snapshots")
        snapshot_table(saved[-_MAX_SNAPSHOTS_SHOWN:], verdicts)
        if len(saved) > _MAX_SNAPSHOTS_SHOWN:
            echo(f"  … and {len(saved) - _MAX_SNAPSHOTS_SHOWN} earlier ones: spindb snapshots {found.id}")


def _show_evaluations(found: RunInfo, evaluations: Sequence[EvaluationRow]) -> None:
    if evaluations:
        _section("evaluations")
        titles = ("id", "itr", "env", "n", "mean return", "std", "mean length", "when", "")
        rows = [
            (
                e.id,
                _itr(e.itr),
                e.env_id,
                e.episodes,
                e.mean_return,
                e.std_return,
                e.mean_length,
                e.created_at,
                _remark(e, found),
            )
            for e in evaluations
        ]
        print_table(titles, rows, right=("itr",), droppable=("mean length",), fixed=("",))


def _remark(evaluation: EvaluationRow, found: RunInfo) -> str:
    remarks = ["of the earlier run here"] if evaluation.generation < found.generation else []
    verdict = [evaluation.verdict] if evaluation.verdict else []
    return ", ".join([*remarks, *(["interrupted"] if evaluation.partial else []), *verdict])


def snapshot_table(
    saved: Sequence[SnapshotRecord], verdicts: Mapping[str, EvaluationRow] | None = None, *, reasons: bool = False
) -> None:
    """Print snapshots and the verdicts on them; with `reasons` also why one is stale or can't be loaded."""
    newest = latest(saved)
    rows = [
        (
            *(_itr(s.itr), s.kind, s.path, size(s.size), ", ".join(sorted(s.outputs))),
            ", ".join(filter(None, (_condition(s, s is newest), _verdict(s, verdicts)))),
        )
        for s in saved
    ]
    print_table(("itr", "kind", "path", "size", "outputs", ""), rows, right=("itr", "size"))
    for snapshot in saved:
        reason = snapshot.unloadable or snapshot.stale
        if reasons and reason:
            say(f"  {snapshot.path}: {reason}")


def _verdict(snapshot: SnapshotRecord, verdicts: Mapping[str, EvaluationRow] | None) -> str:
    found = (verdicts or {}).get(snapshot.path)
    return found.verdict or "" if found is not None else ""


def _itr(itr: int | None) -> str:
    return "-" if itr is None else str(itr)


def _condition(snapshot: SnapshotRecord, is_latest: bool) -> str:
    if snapshot.unloadable:
        return "can't be loaded"
    if snapshot.stale:
        return "stale"
    return "latest" if is_latest else ""


def snapshot_as_dict(snapshot: SnapshotRecord, verdicts: Mapping[str, EvaluationRow]) -> dict[str, Any]:
    """A snapshot as JSON has it, with the last verdict on it."""
    verdict = _verdict(snapshot, verdicts) or None
    tensors = {"inputs": dict(snapshot.inputs), "outputs": dict(snapshot.outputs)}
    return {**asdict(snapshot), **tensors, "verdict": verdict}
