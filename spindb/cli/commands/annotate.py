"""``spindb tag``, ``note``, ``archive``, ``unarchive``: what people add; and ``rm``, which hides runs until --undo."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.core import TyperCommand

from spindb.cli import completion, handlers
from spindb.cli.options import AsJson, Db, Everything, FilterWords, database, renamed, selection
from spindb.errors import UsageError

_REMOVAL = "\N{MINUS SIGN}"  # stands for - in the words of tag, so that the parser takes -TAG for no option
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show how many runs match; change nothing.")]
TagWords = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[+TAG -TAG]... [FILTER]",
        help="Tags to add and to remove, then which runs. Without tags: list the tags that there are.",
        show_default=False,
        autocompletion=completion.of_tag,
    ),
]
NotedRuns = Annotated[
    str,
    typer.Argument(
        metavar="RUN|FILTER",
        help="Which runs, in one word or quoted.",
        show_default=False,
        autocompletion=completion.of_filter,
    ),
]
NoteText = Annotated[
    list[str] | None,
    typer.Argument(metavar="[TEXT]", help="The note. (default: open $EDITOR)", show_default=False),
]
ListNotes = Annotated[bool, typer.Option("--list", help="List the notes instead.")]
ListRemoved = Annotated[bool, typer.Option("--list", help="List the removed runs instead.")]
OldList = Annotated[bool, typer.Option("-l", hidden=True, callback=renamed("--list"))]
Delete = Annotated[int | None, typer.Option("--delete", metavar="ID", help="Delete the note with this id.")]
Yes = Annotated[bool, typer.Option("--yes", help="Don't ask for confirmation.")]
OldYes = Annotated[bool, typer.Option("-y", hidden=True, callback=renamed("--yes"))]
Undo = Annotated[
    bool,
    typer.Option("--undo", help="Bring removed runs back, by id, directory or name, with all that was added to them."),
]


class _TagCommand(TyperCommand):
    """Reads ``-todo`` as a tag to remove, where other commands would read options."""

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
    words: TagWords = None,
    dry_run: DryRun = False,
    everything: Everything = False,
    as_json: AsJson = False,
    db: Db = None,
) -> None:
    """Tag runs: +TAG adds, -TAG removes.

    spindb tag +good -todo 'env=Hopper-v2 Performance>2000'

    spindb tag +paper 3 5-9

    spindb tag
    """
    given = words or []
    add = [word[1:] for word in given if word.startswith("+")]
    remove = [word[1:] for word in given if word.startswith(_REMOVAL)]
    rest = [word for word in given if not word.startswith(("+", _REMOVAL))]
    runs = selection(ctx, db, rest, everything)
    if add or remove:
        handlers.annotate.change_tags(runs, add, remove, dry_run=dry_run)
    else:
        handlers.annotate.list_tags(runs, as_json=as_json)


def note(
    ctx: typer.Context,
    which: NotedRuns = "",
    text: NoteText = None,
    show: ListNotes = False,
    delete: Delete = None,
    everything: Everything = False,
    as_json: AsJson = False,
    db: Db = None,
    old_show: OldList = False,
) -> None:
    """Write a note to runs, read their notes, or delete one.

    spindb note 42 'diverged after the learning rate was raised'

    spindb note 'exp_name~*old* Performance<50' 'before the bug fix'

    spindb note 42 --list
    """
    if delete is not None:
        handlers.annotate.delete_note(database(ctx, db), delete)
        return
    if not which:
        raise UsageError("which runs?", hint="spindb note 42 'TEXT'; spindb note 42 --list")
    runs = selection(ctx, db, [which], everything)
    if show or old_show or as_json:
        handlers.annotate.list_notes(runs, as_json=as_json)
    else:
        handlers.annotate.write_note(runs, " ".join(text) if text else None)


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
    handlers.annotate.set_archived(selection(ctx, db, words, everything), True, dry_run=dry_run)


def unarchive(ctx: typer.Context, words: FilterWords = None, dry_run: DryRun = False, db: Db = None) -> None:
    """Take runs out of the archive.

    spindb unarchive 'exp_name=ppo archived=true'
    """
    handlers.annotate.set_archived(selection(ctx, db, words, everything=True), False, dry_run=dry_run)


def remove(
    ctx: typer.Context,
    words: FilterWords = None,
    yes: Yes = False,
    undo: Undo = False,
    show: ListRemoved = False,
    everything: Everything = False,
    as_json: AsJson = False,
    db: Db = None,
    old_yes: OldYes = False,
    old_show: OldList = False,
) -> None:
    """Remove runs: they are hidden everywhere until --undo, also when they are moved or ingested again.

    Files are never touched. Tags, notes and evaluations are kept for --undo.

    spindb rm 'status=missing'

    spindb rm --list

    spindb rm --undo 42
    """
    if show or old_show:
        handlers.annotate.list_removed(database(ctx, db), as_json=as_json)
    elif not words:
        raise UsageError("which runs? rm takes a filter or ids", hint="spindb rm --list shows those that were removed")
    elif undo:
        handlers.annotate.undo_removal(database(ctx, db), words)
    else:
        handlers.annotate.remove_selected(selection(ctx, db, words, everything), yes=yes or old_yes)
