"""Prints everything about one run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from spindb.analysis.drawing.sparkline import sparkline
from spindb.cli.handlers.access import run_of
from spindb.cli.terminal.data import print_json
from spindb.cli.terminal.snapshots import itr_text, print_snapshots
from spindb.cli.terminal.tables import CUT, LONGEST_CELL, brief, clip, echo, plural, print_table, say, show
from spindb.index.database.connect import connected
from spindb.index.query.runs import RunInfo, run_by_id
from spindb.index.read.overview import VaryingKey
from spindb.index.read.run import EvaluationRow, RunWhole, SupersededRow, last_value
from spindb.machine import now
from spindb.views.run import RunView, view_of
from spindb.views.snapshots import Snapshots
from spindb.views.text import age, show_hyperparameter

_MAX_SNAPSHOTS_SHOWN = 12
_MAX_OTHERS_SHOWN = 4
_MAX_HYPERPARAMETERS = 100
_MAX_VALUE = 400  # characters
_MAX_LAUNCH = 2000


def print_run(location: str, word: str, *, superseded: bool, internal: bool, as_json: bool) -> None:
    """Print a run; with `superseded` the runs that its directory held before.

    Raises:
        NotFoundError: there is no such run; UsageError: there are several.
    """
    with connected(location) as connection:
        found = run_of(connection, word)
        # JSON holds everything: programs choose for themselves.
        views = [view_of(connection, found, internal=internal or as_json)]
        earlier = views[0].whole.earlier
        if superseded:
            runs = [run_by_id(connection, row.id) for row in earlier if row.id is not None]
            views = [view_of(connection, run, internal=internal or as_json) for run in runs]
    if as_json:
        print_json([view.as_json() for view in views] if superseded else views[0].as_json())
        return
    if superseded:
        _show_earlier(found, earlier)
    for view in views:
        if superseded:
            echo("")
        _show_one(view, None if internal else _MAX_HYPERPARAMETERS)


def _show_one(view: RunView, most: int | None) -> None:
    found, whole = view.run, view.whole
    _show_head(view)
    _show_config(view, most)
    _show_metrics(whole)
    _show_snapshots(found, view.saved)
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


def _section(title: str) -> None:
    echo()
    echo(title)


def _show_head(view: RunView) -> None:
    facts = [*_identity(view.run), *_remarks(view)]
    for name, value in facts:
        echo(f"{name:<12} {value if name == 'directory' else brief(value)}")  # a path that is cut can't be copied
    if any(len(value) > LONGEST_CELL for name, value in facts if name != "directory"):
        say(CUT)


def _identity(found: RunInfo) -> list[tuple[str, str]]:
    """What a run is: a title and a text each."""
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
    return facts


def _remarks(view: RunView) -> list[tuple[str, str]]:
    """How it did and what people added, where there is such."""
    found, whole = view.run, view.whole
    facts = []
    curve = whole.curves.get(found.performance or "")
    if curve:
        facts.append(("performance", f"{found.performance}  {sparkline(curve, 40)}"))
    if whole.tags:
        facts.append(("tags", ", ".join(whole.tags)))
    for at, text in whole.notes:
        first, *rest = text.splitlines() or [""]
        facts += [("note", f"{show(at)}  {first}"), *(("", line) for line in rest)]
    if view.launch:
        facts.append(("launched by", f"{clip(view.launch, _MAX_LAUNCH)}   (rebuilt from the config)"))
    return facts


def _ago(time: datetime) -> str:
    return f"{age((now() - time).total_seconds())} ago"


def _environment(found: RunInfo) -> str:
    limit = f", at most {found.env.max_episode_steps} steps" if found.env.max_episode_steps else ""
    if found.env.id:
        return f"{found.env.id} (from {found.env.source}{limit})"
    if found.env.classes:
        return f"no id; the saved state holds {' around '.join(found.env.classes)}{limit}"
    return "unknown"


def _show_config(view: RunView, most: int | None) -> None:
    """First what differs from the runs beside it, with their values; then the rest."""
    found, whole, varying, siblings = view.run, view.whole, view.varying, view.siblings
    values = {leaf.key: show_hyperparameter(leaf.value) for leaf in whole.config}
    # Texts such as <function … at 0x7f…> differ between all runs, and mean nothing.
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


def _show_snapshots(found: RunInfo, saved: Snapshots) -> None:
    if saved.all:
        _section("snapshots")
        print_snapshots(saved.last(_MAX_SNAPSHOTS_SHOWN))
        if len(saved.all) > _MAX_SNAPSHOTS_SHOWN:
            echo(f"  … and {len(saved.all) - _MAX_SNAPSHOTS_SHOWN} earlier ones: spindb snapshots {found.id}")


def _show_evaluations(found: RunInfo, evaluations: Sequence[EvaluationRow]) -> None:
    if evaluations:
        _section("evaluations")
        titles = ("id", "itr", "env", "n", "mean return", "std", "mean length", "when", "")
        rows = [
            (
                e.id,
                itr_text(e.itr),
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
