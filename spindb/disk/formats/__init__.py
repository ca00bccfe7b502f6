"""On-disk layouts, one module each behind one small protocol."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from spindb.disk.formats.base import Layout, Previous, SnapshotFiles
from spindb.disk.formats.spinningup import SpinningUp
from spindb.disk.run_directory import RunDirectory, listed
from spindb.records import RunRecord, SnapshotRecord, path_of

__all__ = [
    "LAYOUTS",
    "READERS",
    "Layout",
    "Previous",
    "SnapshotFiles",
    "files_of",
    "layout_named",
    "layout_of",
    "read_run",
    "read_runs",
    "recognise",
]

READERS = 5
"""Enters the signature of every run. Raise it where a reader of this package makes other rows of the same files, so
that the next ingest reads runs again that an older spindb read."""

LAYOUTS: tuple[Layout, ...] = (SpinningUp(),)
"""Tested in this order; the first that recognises a directory reads it."""


def recognise(names: Collection[str], directory: str | os.PathLike[str] | None = None) -> Layout | None:
    """The first layout that a directory with these entries has, if any; see `Layout.recognise`."""
    for candidate in LAYOUTS:
        if candidate.recognise(names, directory):
            return candidate
    return None


def layout_named(name: str) -> Layout:
    """The layout with that name.

    Raises:
        LookupError: this spindb knows none; a newer one may have.
    """
    for candidate in LAYOUTS:
        if candidate.name == name:
            return candidate
    raise LookupError(f"this spindb knows no layout called {name!r}")


def layout_of(directory: str | os.PathLike[str]) -> Layout | None:
    """The layout of a directory, also of one that holds no more than a save; None where it has none.

    Raises:
        OSError: it can't be listed.
    """
    names, _ = listed(directory)
    found = recognise(names, directory)
    return found or next((candidate for candidate in LAYOUTS if any(map(candidate.is_save, names))), None)


def read_runs(
    layout: Layout,
    directory: Path,
    place: str = ".",
    previous: Previous | None = None,
    stamp_zone: str | None = None,
) -> Iterator[RunRecord]:
    """The runs of a directory, each with its path.

    Args:
        layout: of the directory.
        directory: where it lies.
        place: its path relative to the root.
        previous: sizes of metrics as they were read before; see `Layout.read`.
        stamp_zone: the zone of a stamp in its name, None for this machine's.

    Raises:
        OSError: the directory can't be listed.
        ValueError: the layout gives two runs the same part.
    """
    parts: set[str | None] = set()
    for record in layout.read(RunDirectory(directory, stamp_zone), previous or {}):
        if record.part in parts:
            raise ValueError(f"two runs of one directory are {record.part!r}")
        parts.add(record.part)
        path = path_of(place, record.part)
        yield record if record.path == path else record._replace(path=path)


def read_run(
    layout: Layout, directory: Path, place: str = ".", previous_size: int | None = None, stamp_zone: str | None = None
) -> RunRecord:
    """The run of a directory that holds one; see `read_runs`.

    Raises:
        OSError: the directory can't be listed.
        ValueError: it holds several runs, or none.
    """
    previous: Previous = {} if previous_size is None else {None: previous_size}
    (record,) = read_runs(layout, directory, place, previous, stamp_zone)
    return record


def files_of(directory: Path, snapshot: SnapshotRecord | None = None) -> SnapshotFiles:
    """The files that playing a snapshot of a directory reads, none where it can't be listed.

    Of a directory without metrics and saves they are those of the first layout that knows some.
    """
    try:
        layout = layout_of(directory)
    except OSError:
        return SnapshotFiles()
    asked = LAYOUTS if layout is None else (layout,)
    found = (candidate.snapshot_files(os.fspath(directory), snapshot) for candidate in asked)
    return next((files for files in found if files.states or files.config or files.digested), SnapshotFiles())
