"""Writes and lists what people add to runs; removes runs and brings them back."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import typer

from spindb.cli.handlers.access import ids_of, selected_runs
from spindb.cli.options import Selection
from spindb.cli.terminal.data import print_json
from spindb.cli.terminal.tables import plural, print_table, say
from spindb.errors import UsageError
from spindb.index.database.connect import connected
from spindb.index.database.models import LARGEST
from spindb.index.write import annotations as written
from spindb.index.write import removal

_MAX_COPIES = 10  # that are named


def change_tags(selection: Selection, add: Sequence[str], remove: Sequence[str], *, dry_run: bool) -> None:
    """Add tags to runs and remove others.

    Raises:
        UsageError: a tag can't be one, or no runs are named.
    """
    added_tags = [written.check_tag(word) for word in add]
    if not selection.words:
        raise UsageError("which runs?", hint="spindb tag +good 'FILTER', or ids; for all runs: 'id:any'")
    with connected(selection.location, write=True) as connection:
        ids = ids_of(connection, selection.words, everything=selection.everything)
        added, removed = (0, 0) if dry_run else written.tag_runs(connection, ids, added_tags, remove)
    # Said only after the commit: a full disk may fail it.
    signs = " ".join([*(f"+{word}" for word in add), *(f"-{word}" for word in remove)])
    say(f"{signs} on {plural(len(ids), 'run')}")
    if not dry_run:
        say(f"{plural(added, 'tag')} added, {removed} taken off")


def list_tags(selection: Selection, *, as_json: bool) -> None:
    """Print the tags of the selected runs, else of all, and on how many runs each is."""
    with connected(selection.location) as connection:
        words = selection.words
        ids = ids_of(connection, words, everything=selection.everything) if words else None
        counts = written.tag_counts(connection, ids)
    if as_json:
        print_json([{"tag": name, "runs": count} for name, count in counts.items()])
    elif counts:
        print_table(("tag", "runs"), list(counts.items()))
    else:
        say("no tags here: spindb tag +TAG 'FILTER' adds one")


def delete_note(location: str, note_id: int) -> None:
    """Delete one note.

    Raises:
        NotFoundError: there is none with this id.
    """
    with connected(location, write=True) as connection:
        gone = written.remove_note(connection, note_id)
    say(f"deleted from run {gone.run_id}: {gone.text}")


def write_note(selection: Selection, text: str | None) -> None:
    """Write a note to runs, without a text that of an editor.

    Raises:
        UsageError: there is neither a text nor a terminal; the editor fails; or the text is empty.
    """
    note = _edited() if text is None else text
    with connected(selection.location, write=True) as connection:
        ids = ids_of(connection, selection.words, everything=selection.everything)
        written.add_note(connection, ids, note)
    say(f"a note on {plural(len(ids), 'run')}")


def list_notes(selection: Selection, *, as_json: bool) -> None:
    """Print the notes of runs."""
    with selected_runs(selection) as (connection, ids):
        found = written.notes_on(connection, ids)
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


def set_archived(selection: Selection, archived: bool, *, dry_run: bool) -> None:
    """Archive runs, or take them out of the archive.

    Raises:
        UsageError: no runs are named.
    """
    verb = "archive" if archived else "unarchive"
    if not selection.words:
        raise UsageError(f"which runs? {verb} takes a filter or ids", hint=f"for all runs: spindb {verb} 'id:any'")
    with connected(selection.location, write=True) as connection:
        ids = ids_of(connection, selection.words, everything=selection.everything)
        changed = None if dry_run else written.archive_runs(connection, ids, archived)
        copies = written.hidden_copies(connection, ids) if archived else []
    say(f"{verb} {plural(len(ids), 'run')}")
    if changed is not None:
        say(f"{changed} changed" if changed == len(ids) else f"{changed} changed, the others were so already")
    if copies:
        shown = ", ".join(map(str, copies[:_MAX_COPIES])) + (", …" if len(copies) > _MAX_COPIES else "")
        say(f"note: copies of these runs stay hidden with them: {shown} (to keep one in view: spindb unarchive)")


def remove_selected(selection: Selection, *, yes: bool) -> None:
    """Remove runs from the index, with `yes` without asking.

    Raises:
        UsageError: stdin is no terminal to ask at; typer.Exit: with code 1, where the answer is no.
    """
    words = selection.words
    with connected(selection.location) as connection:  # no lock is held while a person thinks
        named = [int(word) for word in words if word.isascii() and word.isdigit()]
        before = removal.when_removed(connection, [run_id for run_id in named if run_id <= LARGEST])
        # Ids of removed runs would be an error of the filter, though what was asked is done already.
        left = [word for word in words if not word.isdigit() or int(word) not in before]
        ids = ids_of(connection, left, everything=selection.everything) if left else []
        added = written.added_to(connection, ids)
    for run_id, at in before.items():
        say(f"run {run_id} was removed already, on {at:%Y-%m-%d}")
    if not ids:
        say("no run matches" if not before else "nothing was removed")
        return
    theirs = f"{plural(added.tags, 'tag')}, {plural(added.notes, 'note')} and {plural(added.evaluations, 'evaluation')}"
    say(f"remove {plural(len(ids), 'run')} from the index, with {theirs}; no file is touched")
    if not yes and not _confirmed():
        say("nothing was removed")
        raise typer.Exit(1)
    with connected(selection.location, write=True) as connection:
        count = removal.remove_runs(connection, ids)
    say(f"{plural(count, 'run')} removed: spindb rm --undo brings them back")


def undo_removal(location: str, words: Sequence[str]) -> None:
    """Bring removed runs back.

    Raises:
        NotFoundError: a word names no removed run.
    """
    with connected(location, write=True) as connection:
        back = removal.bring_back(connection, words)
    for run in back:
        say(f"run {run.id} is back: {run.directory}")
    say("spindb ingest reads what changed meanwhile")


def list_removed(location: str, *, as_json: bool) -> None:
    """Print the removed runs."""
    with connected(location) as connection:
        found = removal.removed_runs(connection)
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
