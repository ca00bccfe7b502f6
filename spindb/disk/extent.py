"""Checks that a table is small enough to read, by counting bytes before anything is parsed."""

from __future__ import annotations

import errno

from spindb.disk import limits
from spindb.disk.regular import TooLargeError

_SEPARATORS = (b"\t", b" ", b",", b";")


def check_extent(data: bytes) -> None:
    """Check the bytes of a ``progress.txt`` against the limits on columns, lines and cells.

    Raises:
        TooLargeError: there are too many; the message says of what.
    """
    # Each count is skipped if the number of bytes is below the limit: an ordinary table costs one search.
    end = data.find(b"\n")
    header = end if end >= 0 else len(data)
    if header > limits.COLUMNS:
        _check(header, limits.HEADER, "bytes in its first line")
        # The separator is unknown here. The most frequent candidate gives an upper bound of the columns.
        _check(max(data.count(mark, 0, header) for mark in _SEPARATORS) + 1, limits.COLUMNS, "columns")
    if len(data) > limits.LINES:
        lines = max(data.count(b"\n"), data.count(b"\r"))
        _check(lines, limits.LINES, "lines")
        if len(data) > limits.CELLS:
            _check(lines + max(map(data.count, _SEPARATORS)), limits.CELLS, "cells")


def _check(count: int, limit: int, what: str) -> None:
    if count > limit:
        raise TooLargeError(errno.EFBIG, f"it has {count:,} {what} and may have {limit:,}")
