"""Atomic writing of files, and paths as text or bytes."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spindb.errors import UsageError

# A new name is tried only if another process removed the file before it was locked.
_TRIES = 100
_ENDING = ".part"
_SYSTEM = ("/dev/", "/proc/")


def is_utf8(path: str) -> bool:
    """Whether the path is valid UTF-8 text. Linux allows any bytes in a name."""
    if path.isascii():
        return True
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def escaped(path: str) -> str:
    """The path with each byte that is not UTF-8 escaped as ``\\xff``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


@contextmanager
def atomic_write(path: Path, *, private: bool = False, devices: bool = True) -> Iterator[Path]:
    """A file beside `path` to write, which takes its place when the ``with`` ends well and is gone when it does not.

    The file has a name that can't be guessed and is made by us alone, so that no other process can redirect the writing
    by a link. Where `path` is a link, the link is replaced, not followed. Permissions are those of the file that is
    replaced, else what the umask leaves. A device or a pipe (``/dev/stdout``) is written directly. What a killed
    process left beside `path` is removed.

    Args:
        path: the target.
        private: a new file is for its owner alone.
        devices: write devices and pipes directly; otherwise they are replaced as everything else is.

    Raises:
        UsageError: it can't be written there.
    """
    try:
        if devices and _is_direct(path):
            yield path
            return
        beside, held = _made_beside(path, 0o600 if private else 0o666)
        try:
            _remove_leftovers(path, beside)
            yield beside
            beside.replace(path)
        finally:
            os.close(held)
            beside.unlink(missing_ok=True)
    except BrokenPipeError:  # the reader of the pipe has closed it
        raise
    except OSError as error:
        raise UsageError(f"{path} can't be written: {error.strerror or error}") from None


def _is_direct(path: Path) -> bool:
    """Whether the target is a device or pipe, or a system name of a file (``/dev/stdout`` redirected to a file)."""
    if os.path.abspath(path).startswith(_SYSTEM):
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _made_beside(path: Path, mode: int) -> tuple[Path, int]:
    """A new temporary file and its descriptor, whose lock shows other processes that the writer is alive."""
    kept = None
    with contextlib.suppress(OSError):
        found = path.lstat()
        kept = stat.S_IMODE(found.st_mode) & 0o777 if stat.S_ISREG(found.st_mode) else None
    for _ in range(_TRIES):
        # The random name and O_EXCL prevent another user from placing a link there that redirects the writing. 100
        # characters of the name leave room for the rest within the usual limit of 255 bytes.
        beside = path.with_name(f".{path.name[:100]}.{os.urandom(8).hex()}{_ENDING}")
        held = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0), mode)
        _locked(held)
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(held), os.lstat(beside)):  # not removed as a leftover before it was locked
                if kept is not None:
                    beside.chmod(kept)
                return beside, held
        os.close(held)
    raise UsageError(f"{path} can't be written: no file beside it stays")


def _remove_leftovers(path: Path, own: Path) -> None:
    """Remove temporary files of killed writers of the same target: their locks are released."""
    start = f".{path.name[:100]}."
    for entry in os.scandir(path.parent):
        # Only names that this module makes (16 hexadecimal digits) are removed, never a user's file that looks
        # similar.
        token = entry.name[len(start) : -len(_ENDING)]
        if not (entry.name.startswith(start) and entry.name.endswith(_ENDING) and len(token) == 16):
            continue
        if entry.name == own.name or not set(token) <= set("0123456789abcdef"):
            continue
        with contextlib.suppress(OSError):
            held = os.open(entry.path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
            try:
                if _locked(held):
                    os.unlink(entry.path)
            finally:
                os.close(held)


def _locked(descriptor: int) -> bool:
    """Lock an open file and return whether that worked. If files can't be locked, no leftovers are removed."""
    try:
        import fcntl  # Unix has it
    except ImportError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
