"""Opens only regular files for reading.

The files of a run directory may be untrusted. Opening a FIFO waits for a writer, reading ``/dev/zero`` never ends, and
a socket or a tape drive can't be read as a file. So a path is checked before it is opened, opened without blocking, and
checked again, because it may have been replaced in between.

A link to a file is followed only within the directory that the user gave (`follow_links_within`). Otherwise it could
name any file that the user can read, such as ``/proc/self/environ`` or a key. Links to directories are followed.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from contextvars import ContextVar

_FLAGS = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):  # those that this system has
    _FLAGS |= getattr(os, _name, 0)
# The last part of the path must not be a link when it is opened: _target has already resolved it.
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
OF_THE_KERNEL = ("/proc/", "/sys/")
"""File systems of the kernel: their links lead anywhere on the machine, so they are refused in any directory."""

_named: ContextVar[str | None] = ContextVar("named", default=None)
_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
    stat.S_IFDIR: "a directory",
}
_MORE = 1 << 16


class UnfitFileError(OSError):
    """The file must not be read; ``strerror`` and ``str()`` give the reason."""

    def __str__(self) -> str:
        return str(self.strerror)


class NotRegularError(UnfitFileError):
    """The path is not a regular file; ``strerror`` says what it is."""


class LinkError(UnfitFileError):
    """The file is a link to a target outside the directory; ``strerror`` has the target."""


class TooLargeError(UnfitFileError):
    """The file exceeds its limit; ``strerror`` has the size and the limit."""


def follow_links_within(directory: str | os.PathLike[str]) -> None:
    """From now on, follow links to files in that directory and below it; by default only in the link's own directory.

    The setting is per thread (`contextvars`).
    """
    _named.set(os.fspath(directory))


def open_regular(path: str | os.PathLike[str]) -> io.FileIO:
    """Open the regular file at `path` for reading, unbuffered.

    Raises:
        NotRegularError: it is not a regular file.
        LinkError: it is a link to a target outside the directory.
        OSError: it can't be opened.
    """
    return io.FileIO(_descriptor(path)[0])


def check_regular(path: str | os.PathLike[str]) -> None:
    """Check that a library can open the file at `path` without blocking.

    Raises:
        NotRegularError: it is not a regular file.
        LinkError: it is a link to a target outside the directory.
        OSError: it has no readable status.
    """
    _target(path)


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """The content of the regular file at `path`, at most `limit` bytes.

    Raises:
        NotRegularError: it is not a regular file.
        LinkError: it is a link to a target outside the directory.
        TooLargeError: it has more than `limit` bytes.
        OSError: it can't be read.
    """
    return read_with_time(path, limit)[0]


def read_with_time(path: str | os.PathLike[str], limit: int) -> tuple[bytes, float]:
    """Like `read_regular`, with the file's modification time in seconds since the epoch."""
    descriptor, status = _descriptor(path)
    try:
        _check_size(status.st_size, limit)
        # One byte more than the size: a result of exactly that size needs no second read to see the end.
        data = os.read(descriptor, status.st_size + 1)
        if len(data) != status.st_size:  # it grew, or the system returned less than requested
            data = _all_of(descriptor, data, limit)
    finally:
        os.close(descriptor)
    return data, status.st_mtime


def _descriptor(path: str | os.PathLike[str]) -> tuple[int, os.stat_result]:
    descriptor = os.open(_target(path), _FLAGS | _NO_LINK)
    try:
        status = os.fstat(descriptor)
        _check_kind(status)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor, status


def _target(path: str | os.PathLike[str]) -> str | os.PathLike[str]:
    """The path of a regular file, with a link resolved to its target."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        place = os.path.realpath(path)
        # The kind before the place: a link to a device is reported as a device.
        _check_kind(os.stat(path))
        named = _named.get() or os.path.dirname(path)
        within = os.path.realpath(named)
        if os.path.commonpath((place, within)) != within:
            raise LinkError(errno.ELOOP, f"a link to {os.readlink(path)}, outside {named}")
        if place.startswith(OF_THE_KERNEL):
            raise NotRegularError(errno.EINVAL, f"a link to {os.readlink(path)}, which is not a file on a disk")
        return place
    _check_kind(status)
    return path


def _check_kind(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        raise NotRegularError(errno.EINVAL, f"{kind}, not a regular file")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise TooLargeError(errno.EFBIG, f"it has {size:,} bytes and may have {limit:,}")


def _all_of(descriptor: int, data: bytes, limit: int) -> bytes:
    parts, size = [data], len(data)
    while part := os.read(descriptor, _MORE):
        parts.append(part)
        size += len(part)
        _check_size(size, limit)
    return b"".join(parts)
