"""What people add: ``tag``, ``note``, ``archive``, ``unarchive``; and ``rm``, which removes runs until asked back."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from spindb.cli import completion
from spindb.cli.options import AsJson, Db, Everything, FilterWords, database, words_of
from spindb.cli.terminal.tables import plural, print_json, print_table, say
from spindb.errors import UsageError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_MAX_COPIES = 10  # that are named
_REMOVAL = "\N{MINUS SIGN}"
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show how many runs match; change nothing.")]


class _TagCommand(TyperCommand):
    """Reads ``-todo`` as a tag to take off, where other commands would read options."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        return super().parse_args(ctx, [self._word(arg) for arg in args])

    @staticmethod
    def _word(arg: str) -> str:
        is_tag = len(arg) > 1 and arg[0] == "-" and arg[1] != "-" and arg != "-h"
        return _REMOVAL + arg[1:] if is_tag else arg


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("tag", cls=_TagCommand)(tag)
    app.command("note")(note)
    app.command("archive")(archive)
    app.command("unarchive")(unarchive)
    app.command("rm")(remove)


def tag(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[+TAG -TAG]... [FILTER]",
            help="Tags to add and to take off, then which runs. Without tags: which tags there are.",
            show_default=False,
            autocompletion=completion.of_tag,
        ),
    ] = None,
    dry_run: DryRun = False,
    everything: Everything = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Tag runs: +TAG adds, -TAG takes off.

    spindb tag +good -todo 'env=Hopper-v2 Performance>2000'

    spindb tag +paper 3 5-9

    spindb tag
    """
    from spindb.index.write.annotations import check_tag, tag_runs

    given = list(words or [])
    add = [check_tag(word[1:]) for word in given if word.startswith("+")]
    remove = [word[1:] for word in given if word.startswith(_REMOVAL)]
    rest = [word for word in given if not word.startswith(("+", _REMOVAL))]
    if not add and not remove:
        _list_tags(ctx, rest, everything, as_json, db)
        return
    if not rest:
        raise UsageError("which runs?", hint="spindb tag +good 'FILTER', or ids; for all runs: 'id:any'")
    signs = " ".join([*(f"+{tag}" for tag in add), *(f"-{tag}" for tag in remove)])
    with _writing(ctx, db) as connection:
        ids = _meant(connection, rest, everything)
        added, removed = (0, 0) if dry_run else tag_runs(connection, ids, add, remove)
    # Said when it is written: a disk may be full at the very end.
    say(f"{signs} on {plural(len(ids), 'run')}")
    if not dry_run:
        say(f"{plural(added, 'tag')} added, {removed} taken off")


def _list_tags(ctx: typer.Context, words: Sequence[str], everything: bool, as_json: bool, db: str | None) -> None:
    from spindb.index.database.connect import connected
    from spindb.index.write.annotations import tag_counts

    with connected(database(ctx, db)) as connection:
        counts = tag_counts(connection, _meant(connection, words, everything) if words else None)
    if as_json:
        print_json([{"tag": name, "runs": count} for name, count in counts.items()])
    elif counts:
        print_table(("tag", "runs"), list(counts.items()))
    else:
        say("no tags here: spindb tag +TAG 'FILTER' adds one")


def note(
    ctx: typer.Context,
    which: Annotated[
        str,
        typer.Argument(
            metavar="RUN|FILTER",
            help="Which runs, in one word or quoted.",
            show_default=False,
            autocompletion=completion.of_filter,
        ),
    ] = "",
    text: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TEXT]", help="The note. (default: $EDITOR opens)", show_default=False),
    ] = None,
    show: Annotated[bool, typer.Option("--list", "-l", help="List the notes instead.")] = False,
    delete: Annotated[int | None, typer.Option("--delete", metavar="ID", help="Delete the note with this id.")] = None,
    everything: Everything = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Write a note to runs, read their notes, or delete one.

    spindb note 42 'diverged after the learning rate was raised'

    spindb note 'exp_name~*old* Performance<50' 'before the bug fix'

    spindb note 42 --list
    """
    from spindb.index.write.annotations import add_note, remove_note

    if delete is not None:
        with _writing(ctx, db) as connection:
            gone = remove_note(connection, delete)
        say(f"deleted from run {gone.run_id}: {gone.text}")
        return
    if not which:
        raise UsageError("which runs?", hint="spindb note 42 'TEXT'; spindb note 42 --list")
    if show or as_json:
        _list_notes(ctx, which, everything, as_json, db)
        return
    written = " ".join(text) if text else _edited()
    with _writing(ctx, db) as connection:
        ids = _meant(connection, [which], everything)
        add_note(connection, ids, written)
    say(f"a note on {plural(len(ids), 'run')}")


def _list_notes(ctx: typer.Context, which: str, everything: bool, as_json: bool, db: str | None) -> None:
    from spindb.index.database.connect import connected
    from spindb.index.write.annotations import notes_on

    with connected(database(ctx, db)) as connection:
        found = notes_on(connection, _meant(connection, [which], everything))
    if as_json:
        print_json([{"id": n.id, "run": n.run_id, "at": n.created_at, "text": n.text} for n in found])
    elif found:
        print_table(("id", "run", "at", "note"), [(n.id, n.run_id, n.created_at, n.text) for n in found])
    else:
        say("no notes")


def _edited() -> str:
    """What a person writes in their editor; lines that start with # are left out.

    Raises:
        UsageError: there is no terminal, or the editor can't be started or fails.
    """
    if not sys.stdin.isatty():
        raise UsageError("a note needs a text", hint="spindb note 42 'TEXT'")
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "note.txt")
        path.write_text("\n# The note. Lines that start with # are left out; an empty one writes nothing.\n")
        try:
            subprocess.run([*shlex.split(editor), str(path)], check=True)  # noqa: S603 - the user's own editor
        except (OSError, subprocess.CalledProcessError, ValueError) as error:
            raise UsageError(f"the editor failed: {error}", hint="set EDITOR, or spindb note 42 'TEXT'") from None
        text = path.read_text(errors="replace")
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def archive(
    ctx: typer.Context,
    words: FilterWords = None,
    dry_run: DryRun = False,
    everything: Everything = False,
    db: Db = None,
) -> None:
    """Archive runs: they stay in the database and are left out of tables unless --all is given.

    spindb archive 'status=empty'
    """
    _set_archived(ctx, words, True, dry_run, everything, db)


def unarchive(ctx: typer.Context, words: FilterWords = None, dry_run: DryRun = False, db: Db = None) -> None:
    """Take runs out of the archive.

    spindb unarchive 'exp_name=ppo archived=true'
    """
    _set_archived(ctx, words, False, dry_run, True, db)


def _set_archived(
    ctx: typer.Context, words: list[str] | None, archived: bool, dry_run: bool, everything: bool, db: str | None
) -> None:
    from spindb.index.write.annotations import archive_runs, hidden_copies

    verb = "archive" if archived else "unarchive"
    if not words:
        raise UsageError(f"which runs? {verb} takes a filter or ids", hint=f"for all runs: spindb {verb} 'id:any'")
    with _writing(ctx, db) as connection:
        ids = _meant(connection, words, everything)
        changed = None if dry_run else archive_runs(connection, ids, archived)
        copies = hidden_copies(connection, ids) if archived else []
    say(f"{verb} {plural(len(ids), 'run')}")
    if changed is not None:
        say(f"{changed} changed" if changed == len(ids) else f"{changed} changed, the others were so already")
    if copies:
        shown = ", ".join(map(str, copies[:_MAX_COPIES])) + (", …" if len(copies) > _MAX_COPIES else "")
        say(f"note: copies of these runs stay hidden with them: {shown} (to keep one in view: spindb unarchive)")


def remove(
    ctx: typer.Context,
    words: FilterWords = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    undo: Annotated[
        bool, typer.Option("--undo", help="Bring removed runs back, by id, directory or name, with all of theirs.")
    ] = False,
    show: Annotated[bool, typer.Option("--list", "-l", help="List the runs that were removed.")] = False,
    everything: Everything = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Remove runs: they are hidden everywhere until --undo, also when they are moved or ingested again.

    Files are never touched. Tags, notes and evaluations are kept for --undo.

    spindb rm 'status=missing'

    spindb rm --list

    spindb rm --undo 42
    """
    if show:
        _list_removed(ctx, as_json, db)
        return
    if not words:
        raise UsageError("which runs? rm takes a filter or ids", hint="spindb rm --list shows those that were removed")
    if undo:
        _bring_back(ctx, words, db)
        return
    _remove(ctx, words, yes, everything, db)


def _remove(ctx: typer.Context, words: Sequence[str], yes: bool, everything: bool, db: str | None) -> None:
    from spindb.index.database.connect import connected
    from spindb.index.database.models import LARGEST
    from spindb.index.write import removal
    from spindb.index.write.annotations import added_to

    location = database(ctx, db)
    with connected(location) as connection:  # no lock is held while a person thinks
        named = [int(word) for word in words if word.isascii() and word.isdigit()]
        before = removal.when_removed(connection, [run_id for run_id in named if run_id <= LARGEST])
        left = [word for word in words if not word.isdigit() or int(word) not in before]
        ids = _meant(connection, left, everything) if left else []
        added = added_to(connection, ids)
    for run_id, at in before.items():
        say(f"run {run_id} was removed already, on {at:%Y-%m-%d}")
    if not ids:
        say("no run is meant" if not before else "nothing was removed")
        return
    theirs = f"{plural(added.tags, 'tag')}, {plural(added.notes, 'note')} and {plural(added.evaluations, 'evaluation')}"
    say(f"remove {plural(len(ids), 'run')} from the index, with {theirs}; no file is touched")
    if not yes and not _confirmed():
        say("nothing was removed")
        raise typer.Exit(1)
    with connected(location, write=True) as connection:
        count = removal.remove_runs(connection, ids)
    say(f"{plural(count, 'run')} removed: spindb rm --undo brings them back")


def _bring_back(ctx: typer.Context, words: Sequence[str], db: str | None) -> None:
    from spindb.index.write.removal import bring_back

    with _writing(ctx, db) as connection:
        back = bring_back(connection, words)
    for run in back:
        say(f"run {run.id} is back: {run.directory}")
    say("spindb ingest reads what changed meanwhile")


def _list_removed(ctx: typer.Context, as_json: bool, db: str | None) -> None:
    from spindb.index.database.connect import connected
    from spindb.index.write.removal import removed_runs

    with connected(database(ctx, db)) as connection:
        found = removed_runs(connection)
    if as_json:
        rows = [{"id": r.id, "name": r.name, "directory": str(r.directory), "removed": r.removed_at} for r in found]
        print_json(rows)
    elif found:
        print_table(("id", "name", "directory", "removed"), [(r.id, r.name, r.directory, r.removed_at) for r in found])
    else:
        say("no run is removed")


def _confirmed() -> bool:
    if not sys.stdin.isatty():
        raise UsageError("stdin is not a terminal, so rm cannot ask", hint="--yes removes without asking")
    return typer.confirm("remove?", err=True)


def _writing(ctx: typer.Context, db: str | None) -> AbstractContextManager[Connection]:
    from spindb.index.database.connect import connected

    return connected(database(ctx, db), write=True)


def _meant(connection: Connection, words: Sequence[str], everything: bool) -> list[int]:
    from spindb.index.query.selection import selected

    return selected(connection, words_of(words), everything=everything, notice=say)
