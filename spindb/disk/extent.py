"""Whether a table is small enough to be read: told by counting bytes, before anything is made of them."""

from __future__ import annotations

import errno

from spindb.disk import limits
from spindb.disk.regular import TooLargeError

_SEPARATORS = (b"\t", b" ", b",", b";")


def check_extent(data: bytes) -> None:
    """Refuse the bytes of a ``progress.txt`` that hold more columns, lines or cells than `limits` allows.

    Raises:
        TooLargeError: they do; it says of what there is too much.
    """
    end = data.find(b"\n")
    header = end if end >= 0 else len(data)
    if header > limits.COLUMNS:
        _check(header, limits.HEADER, "bytes in its first line")
        _check(max(data.count(mark, 0, header) for mark in _SEPARATORS) + 1, limits.COLUMNS, "columns")
    if len(data) > limits.LINES:
        lines = max(data.count(b"\n"), data.count(b"\r"))
        _check(lines, limits.LINES, "lines")
        if len(data) > limits.CELLS:
            _check(lines + max(map(data.count, _SEPARATORS)), limits.CELLS, "cells")


def _check(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise TooLargeError(errno.EFBIG, f"it has {count:,} {what} and may have {limit:,}")
