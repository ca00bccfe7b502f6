"""Location of the database. Imports nothing heavy: shell completion runs this at every key press."""

from __future__ import annotations

import os
from pathlib import Path

from spindb.errors import DatabaseError, NotFoundError

DATABASE_NAME = "spindb.db"


def working_directory() -> Path:
    """The current directory.

    Raises:
        NotFoundError: it was deleted, or can't be reached any more.
    """
    try:
        return Path.cwd()
    except OSError:
        raise NotFoundError(
            "the current directory is gone: it was deleted, or its disk was unmounted",
            hint="cd to another one; relative paths, and the database without --db, are looked for from there",
        ) from None


def find_database(given: str | None) -> str:
    """The database `given`, else ``SPINDB_URL``, else the nearest ``spindb.db`` upward, else a new one here.

    Raises:
        DatabaseError: the file that was found belongs to another user.
        NotFoundError: there is no current directory to search from.
    """
    chosen = given or os.environ.get("SPINDB_URL")
    if chosen:
        return str(chosen)
    here = working_directory()
    for directory in (here, *here.parents):
        found = directory / DATABASE_NAME
        if os.path.isfile(found):
            _require_own(found)
            return str(found)
    return str(here / DATABASE_NAME)


def _require_own(path: Path) -> None:
    """A file that was found, not named, is used only where this user, or root, made it; a link to it, likewise.

    Under sudo the files of the user who called it are trusted too.
    """
    if not hasattr(os, "geteuid"):
        return
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdigit():
        # Under sudo, files of the calling user count as their own.
        trusted.add(int(os.environ["SUDO_UID"]))
    # lstat is the owner of the link itself, stat that of its target: both must be trusted.
    owners = {path.lstat().st_uid, path.stat().st_uid}
    if owners - trusted:
        owner = min(owners - trusted)
        raise DatabaseError(
            f"{path} belongs to another user ({_name(owner)}), and was not named explicitly: it is not used",
            hint=f"to use it nevertheless: --db {path}, or SPINDB_URL={path}",
        )


def _name(uid: int) -> str:
    import pwd  # Unix has it

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
