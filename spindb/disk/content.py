"""Digests that identify the content of a run, independent of its path."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from pathlib import Path

from spindb.disk import limits
from spindb.disk.regular import open_regular
from spindb.records import Content

_CHUNK = 1 << 20


def digest_of(data: bytes) -> str:
    """The digest of some content: BLAKE2b with 128 bits."""
    return blake2b(data, digest_size=16).hexdigest()


def content_of(table: bytes, config: bytes, previous_size: int | None = None, saves: str = "") -> Content:
    """Digests of a run's metrics and config, and of its saved policies if it has no rows.

    `previous_size` is the size of the metrics at the previous ingest in bytes, `saves` the result of `digest_of_saves`.
    """
    metrics, configured = digest_of(table), digest_of(config)
    # If the beginning has the digest of the previous content, the run has grown; otherwise it was overwritten.
    begins = None
    if previous_size is not None and len(table) >= previous_size:
        begins = digest_of(table[:previous_size])
    return Content(digest_of((metrics + configured + saves).encode()), len(table), metrics, configured, begins)


def digest_of_saves(directory: Path, paths: Iterable[str]) -> str:
    """A digest of saved policies (files or directories): their names, sizes, and bytes up to a limit per file."""
    digest = blake2b(digest_size=16)
    try:
        for path in sorted(paths):
            for name in _files(directory, path):
                with open_regular(directory / name) as file:
                    digest.update(f"{name}\0{os.fstat(file.fileno()).st_size}\0".encode("utf-8", "surrogateescape"))
                    for _ in range(limits.SAVE_DIGESTED // _CHUNK):
                        if not (chunk := file.read(_CHUNK)):
                            break
                        digest.update(chunk)
    except OSError:
        # A save that can't be read must not equal another one: the digest of the path is unique.
        return digest_of(os.fsencode(directory))
    return digest.hexdigest()


def _files(directory: Path, path: str) -> Iterator[str]:
    """The files of a save, sorted, relative to the run."""
    if not (directory / path).is_dir():
        yield path
        return
    inside = (Path(place, name) for place, _, names in os.walk(directory / path) for name in names)
    yield from sorted(str(file.relative_to(directory)) for file in islice(inside, limits.ENTRIES))
