"""Finds run directories under a root and tells what changed since they were last read.

The algorithm. Walk the tree in sorted order, depth first. A directory that a format recognises is a run, by the names
in it, or by what lies in its saves where there are no metrics: a published policy, which lies in no run and in no
directory of another logger. Runs inside runs are runs too; a run's save directories are never entered.
Symbolic links to directories are followed once: a link that leads to a place already seen, or to a
place that the walk reaches anyway, is left alone, so loops end. Who asks for the places that links lead to gets them
instead, to walk them as roots of their own. A directory that can't be listed is reported and skipped.

A run's *signature* digests path, size and mtime (nanoseconds) of what its layout watches, and the
version of the readers (`formats.READERS`). Where it equals the stored one the run is unchanged. A file
written in the very instant of a scan may change again without its mtime moving on; a signature that
contains such a young file is *unsettled* and must not be trusted the next time.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import islice
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from spindb.disk import limits
from spindb.disk.formats import READERS, recognise
from spindb.disk.formats.base import Layout
from spindb.disk.regular import OF_THE_KERNEL
from spindb.errors import NotFoundError, UsageError
from spindb.files import escaped, is_utf8
from spindb.records import Problem

_BY_NAME = attrgetter("name")
_SETTLING_NS = 2_000_000_000  # coarsest mtime in common use: two seconds (FAT)


class FoundRun(NamedTuple):
    """A run directory as the scan met it: ``path`` is relative to the root, ``.`` for the root itself.

    ``size`` is the bytes of all files that enter the signature.
    """

    path: str
    layout: Layout
    signature: str
    settled: bool
    size: int = 0


@dataclass(frozen=True, slots=True)
class Foreign:
    """A directory of another logger: ``label`` names the files by which it is known."""

    path: str
    label: str


# Names that stand together in a run directory of another logger; tested in this order.
_FOREIGN: tuple[tuple[str, ...], ...] = (
    ("progress.csv", "variant.json"),
    ("progress.csv", "params.json"),
    ("progress.csv", "config.json"),
    ("result.json", "params.json"),
    ("progress.csv",),
    ("progress.json",),
    ("monitor.csv",),
    ("evaluations.npz",),
    ("run.json", "config.json"),
    (".hydra",),
    ("MLmodel",),
)
_EVENTS = "TensorBoard events"
_EVENT_FILE = "events.out.tfevents."


def check_root(root: Path) -> Path:
    """The real path of the root, absolute and without links.

    Raises:
        NotFoundError: there is nothing at that path.
        UsageError: it is no directory, can't be listed, or its path is no text that a database can hold.
    """
    absolute = Path(os.path.realpath(root))
    if not is_utf8(os.fspath(absolute)):
        raise UsageError(f"the path of {root} is not UTF-8", hint="rename it to index it")
    try:
        os.listdir(absolute)
    except FileNotFoundError:
        raise NotFoundError(f"no such directory: {root}") from None
    except NotADirectoryError:
        raise UsageError(
            f"{root} is a file, not a directory", hint=f"give the directory that holds it: {absolute.parent}"
        ) from None
    except OSError as error:
        raise UsageError(f"{root} can't be listed: {(error.strerror or str(error)).lower()}") from None
    return absolute


def scan(root: Path, leads: list[Path] | None = None) -> Iterator[FoundRun | Foreign | Problem]:
    """All runs under `root`, directories of other loggers, and a `Problem` for each that can't be listed.

    Paths are relative to `root`, with ``/`` between their parts. Where `leads` is given, links out of the root are not
    followed: the real paths that they lead to are added to it, those that are gone too.
    """
    seen_links: set[str] = set()
    real_root, base = os.path.realpath(root), os.fspath(root)
    stack = [("", False)]
    while stack:
        relative, in_a_run = stack.pop()
        directory = f"{base}/{relative}" if relative else base
        try:
            with os.scandir(directory) as listing:
                entries = sorted(islice(listing, limits.DIRECTORY + 1), key=_BY_NAME)
            if len(entries) > limits.DIRECTORY:
                raise OSError(errno.EFBIG, f"more than {limits.DIRECTORY:,} entries")
        except OSError as error:
            yield Problem("unreadable-directory", f"can't be listed: {error.strerror}; left out", relative)
            continue
        names = [entry.name for entry in entries]
        found = recognise(names)
        a_run = in_a_run or found is not None  # with metrics: saves in it are no policies by themselves
        if found is None and not in_a_run:
            label = _foreign_label(set(names))
            if label is None or label == _EVENTS:
                found = recognise(names, directory)
            if found is None and label:
                yield Foreign(relative or ".", label)
        if found is None:
            pass
        elif len(relative) > limits.PATH // 4 and len(os.fsencode(relative)) > limits.PATH:
            yield Problem("path-too-long", f"its path is longer than {limits.PATH:,} bytes: left out", relative)
        elif is_utf8(relative):
            yield _found(relative, directory, found, names)
        else:
            yield Problem("name-not-utf8", "its name is not UTF-8: left out; rename it to index it", escaped(relative))
        try:
            below = _below(entries, found, real_root, seen_links, leads)
        except OSError as error:  # listed, but nothing in it may be looked at
            yield Problem("unreadable-directory", f"can't be entered: {error.strerror}; left out", relative)
            continue
        stack += [(f"{relative}/{name}" if relative else name, a_run) for name in reversed(below)]


def _foreign_label(names: set[str]) -> str | None:
    """What another logger's directory is known by, None for any other directory."""
    for together in _FOREIGN:
        if names.issuperset(together):
            return " + ".join(together)
    return _EVENTS if any(name.startswith(_EVENT_FILE) for name in names) else None


def _below(
    entries: list[os.DirEntry[str]],
    found: Layout | None,
    real_root: str,
    seen_links: set[str],
    leads: list[Path] | None,
) -> list[str]:
    """Names of the directories and links in which the walk goes on.

    Raises:
        OSError: the entries may be listed, and not looked at.
    """
    # Files, which most entries are, are left out first: this is asked of each.
    return [
        entry.name
        for entry in entries
        if (entry.is_dir(follow_symlinks=False) or entry.is_symlink())
        and _enter(entry, found, real_root, seen_links, leads)
    ]


def _enter(
    entry: os.DirEntry[str], found: Layout | None, real_root: str, seen_links: set[str], leads: list[Path] | None
) -> bool:
    """Whether the walk goes on in a directory or link, within a directory of a format, or of none."""
    if found is not None and found.is_save(entry.name):
        return False
    if entry.is_dir(follow_symlinks=False):
        return True
    if leads is None:
        return _leads_on(entry, real_root, seen_links)
    if _leads_on(entry, real_root, seen_links) or not os.path.exists(entry.path):
        leads.append(Path(os.path.realpath(entry.path)))
    return False


def _leads_on(link: os.DirEntry[str], real_root: str, seen_links: set[str]) -> bool:
    """Whether a symbolic link leads to a directory that the walk does not reach otherwise."""
    target = os.path.realpath(link.path)
    below_root, below_target = real_root.rstrip(os.sep) + os.sep, target.rstrip(os.sep) + os.sep
    inside = below_target.startswith(below_root) or below_root.startswith(below_target)
    if inside or below_target.startswith(OF_THE_KERNEL) or target in seen_links or not os.path.isdir(target):
        return False
    seen_links.add(target)
    return True


def _found(relative: str, directory: str, found: Layout, names: list[str]) -> FoundRun:
    facts: list[tuple[str, int, int]] = []
    youngest = size = 0
    try:
        watched = found.watched(directory, names)
        if not isinstance(watched, list) or len(watched) > limits.DIRECTORY:
            watched = list(islice(watched, limits.DIRECTORY))
    except Exception:  # the reader, which meets the same, says what it is; until then the run is read each time
        return FoundRun(relative or ".", found, "", False)
    for path in watched:
        try:
            status = os.stat(f"{directory}/{path}")
        except OSError as error:  # it vanished, or may not be looked at: the reader will say so
            facts.append((path, -1, error.errno or 0))
            continue
        facts.append((path, status.st_size, status.st_mtime_ns))
        if status.st_mtime_ns > youngest:
            youngest = status.st_mtime_ns
        size += status.st_size
    digest = blake2b(repr((READERS, facts)).encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
    return FoundRun(relative or ".", found, digest, youngest < time.time_ns() - _SETTLING_NS, size)
