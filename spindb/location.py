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
            hint="cd to another one; relative paths, and a database that nobody named, are looked for from there",
        ) from None


def located(given: str | None) -> str:
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
    """Refuse a database found by search that belongs to another user, or a link of another user to it."""

    # Another user can place a spindb.db in a shared parent directory such as /tmp. Its saved queries, tags and paths
    # would then be used by all commands below it.
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
            f"{path} belongs to another user ({_name(owner)}), and nobody named it: it is not used",
            hint=f"if it is the one that is meant: --db {path}, or SPINDB_URL={path}",
        )


def _name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
