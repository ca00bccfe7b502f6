"""Opens regular files, and nothing else, for reading.

Whatever lies in a run directory was put there by others. To open a FIFO waits for a writer, to read ``/dev/zero``
has no end, and a socket or a tape drive can't be read as a file. So a path is looked at before it is opened, opened
without blocking, and looked at again, since it may have been replaced in between.

A file that is a link is followed within the directory that the user named (`follow_links_within`), else it may name any
file that the user can read: ``/proc/self/environ``, a key. Directories that are links are read where they lead.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from contextvars import ContextVar

_FLAGS = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):  # as far as this system has them
    _FLAGS |= getattr(os, _name, 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)
OF_THE_KERNEL = ("/proc/", "/sys/")
"""What the kernel shows as files: links there lead to everything on the machine, whatever directory was named."""

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
    """The file is none that is read; ``strerror``, and ``str()``, say why."""

    def __str__(self) -> str:
        return str(self.strerror)


class NotRegularError(UnfitFileError):
    """What is at the path is no regular file; ``strerror`` says what it is."""


class LinkError(UnfitFileError):
    """The file is a link that leads elsewhere; ``strerror`` says where."""


class TooLargeError(UnfitFileError):
    """The file is larger than it may be; ``strerror`` says how large and how large it may be."""


def follow_links_within(directory: str | os.PathLike[str]) -> None:
    """From here on follow links to files in that directory and below; without it, to those beside the link.

    It holds for this thread (`contextvars`).
    """
    _named.set(os.fspath(directory))


def open_regular(path: str | os.PathLike[str]) -> io.FileIO:
    """The regular file at `path`, unbuffered, for reading.

    Raises:
        NotRegularError: it is something else.
        LinkError: it is a link that leads elsewhere.
        OSError: it can't be opened.
    """
    return io.FileIO(_descriptor(path)[0])


def check_regular(path: str | os.PathLike[str]) -> None:
    """Make sure that a library can open the file at `path` without waiting for ever.

    Raises:
        NotRegularError: it is no regular file.
        LinkError: it is a link that leads elsewhere.
        OSError: it can't be looked at.
    """
    _target(path)


def read_regular(path: str | os.PathLike[str], limit: int) -> bytes:
    """The content of the regular file at `path`, which has at most `limit` bytes.

    Raises:
        NotRegularError: it is something else.
        LinkError: it is a link that leads elsewhere.
        TooLargeError: it has more bytes.
        OSError: it can't be read.
    """
    return read_with_time(path, limit)[0]


def read_with_time(path: str | os.PathLike[str], limit: int) -> tuple[bytes, float]:
    """As `read_regular`, with the file's modification time in seconds since the epoch."""
    descriptor, status = _descriptor(path)
    try:
        _check_size(status.st_size, limit)
        data = os.read(descriptor, status.st_size + 1)
        if len(data) != status.st_size:  # it grew, or the system gives less at a time
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
    """The path of the regular file, where it is a link that of the file that it leads to."""
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        place = os.path.realpath(path)
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
