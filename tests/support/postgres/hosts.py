"""Several hosts on one server, what befalls them, and what they were told."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
from opslifecycle import PersistenceError, Registry, RegistryOwnedError, StoreDamagedError

from tests.support.postgres.databases import Database
from tests.support.postgres.history import Entry, Event, Written, events, wrong
from tests.support.postgres.owner_program import RETAINED
from tests.support.postgres.proxy import Proxy
from tests.support.postgres.transitions import Step, illegal
from tests.support.waiting import until

ROOT = Path(__file__).parents[3]
DEADLINE_SECONDS = 60

_RECORD_COMMITS = """
CREATE TABLE test_commits (at bigint GENERATED ALWAYS AS IDENTITY, number integer,
                           fencing_token bigint, head bigint);
CREATE FUNCTION test_record() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO test_commits (number, fencing_token, head)
  VALUES (new.number, new.fencing_token, new.head);
  RETURN NULL;
END $$;
CREATE TABLE test_steps (at bigint GENERATED ALWAYS AS IDENTITY, number integer, id text,
                         status text);
CREATE FUNCTION test_record_steps() RETURNS trigger LANGUAGE plpgsql
SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO test_steps (number, id, status)
  SELECT key >> 40, id, field(body, 'status') FROM inserted ORDER BY key;
  RETURN NULL;
END $$;
CREATE TRIGGER test_record_steps AFTER INSERT ON log REFERENCING NEW TABLE AS inserted
FOR EACH STATEMENT EXECUTE FUNCTION test_record_steps();
CREATE TRIGGER test_record AFTER UPDATE OF head ON registries FOR EACH ROW
EXECUTE FUNCTION test_record();
"""


@attrs.define(eq=False)
class Host:
    """A process that owns registries, behind a proxy of its own."""

    number: int
    process: subprocess.Popen[str]
    proxy: Proxy
    lines: list[str] = attrs.Factory(list)
    _reader: threading.Thread | None = None

    def read(self) -> None:
        """Collect what the process reports."""
        assert self.process.stdout is not None
        lines = iter(self.process.stdout.readline, "")
        self._reader = threading.Thread(target=self.lines.extend, args=(lines,), daemon=True)
        self._reader.start()

    def count(self, kind: str) -> int:
        """Return how many events of a kind were reported."""
        return len(self.events(kind))

    def events(self, kind: str) -> list[str]:
        """Return the events of a kind that were reported, as they were written."""
        return [line for line in list(self.lines) if line.startswith(f'["{kind}"')]

    def goes_on(self, by: int = 20) -> None:
        """Wait until the host has ended so many more operations."""
        seen = self.count("completed")
        until(lambda: self.count("completed") > seen + by)

    def signal(self, what: signal.Signals) -> None:
        """Send a signal to the process."""
        self.process.send_signal(what)

    def end(self) -> list[Event]:
        """Kill the process, and return what it has reported."""
        self.process.kill()
        self.process.wait()
        assert self._reader is not None
        self._reader.join(DEADLINE_SECONDS)
        for stream in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                assert stream is not None
                stream.close()
        self.proxy.close()
        return events(self.number, self.lines)


class Hosts:
    """Hosts that share the registries of one schema."""

    def __init__(
        self, database: Database, names: Sequence[str], lease: float, program: str
    ) -> None:
        assert database.server is not None
        self.database = database
        self.server = database.server
        self.names = names
        self._lease = lease
        self._program = program
        self._hosts: list[Host] = []
        #: A number names one process: the checker takes the calls of a host as one owner's.
        self._numbers = itertools.count(1)
        self._history: list[Event] = []
        for name in names:
            Registry(store=database.store(name)).close()
        database.query(_RECORD_COMMITS)

    def start(self, *, planted: bool = False) -> Host:
        """Start a host."""
        proxy = Proxy(self.server.port)
        dsn = self.database.dsn.replace(str(self.server.port), str(proxy.port))
        kind = "planted" if planted else "sound"
        process = subprocess.Popen(
            [sys.executable, "-m", f"tests.support.postgres.{self._program}",
             dsn, self.database.schema, str(self._lease), kind, *self.names],
            cwd=ROOT, stdin=-1, stdout=-1, text=True,
        )  # fmt: skip
        host = Host(next(self._numbers), process, proxy)
        self._hosts.append(host)
        host.read()
        return host

    def end(self, host: Host) -> None:
        """Kill a host, and keep what it has reported."""
        self._hosts.remove(host)
        self._history += host.end()

    def terminate_backends(self) -> None:
        """Have the server end every connection of a host."""
        self.database.query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'opslifecycle %%' AND pid <> pg_backend_pid()"
        )

    def kill_all(self) -> None:
        """Kill every host."""
        for host in list(self._hosts):
            self.end(host)

    def wrong(self) -> list[str]:
        """Kill every host, recover each registry, and return what contradicts the guarantees."""
        self.kill_all()
        for name in self.names:
            self._recover(name)
        return self.found()

    def found(self) -> list[str]:
        """Return what contradicts the guarantees in what the server has now."""
        feed = "SELECT sequence, id, status FROM feed WHERE registry = %s ORDER BY sequence"
        written = (
            "SELECT c.fencing_token, c.head FROM test_commits c"
            " JOIN registries USING (number) WHERE name = %s ORDER BY at"
        )
        query = self.database.query
        feeds = {name: [Entry(*row) for row in query(feed, name)] for name in self.names}
        commits = {name: [Written(*row) for row in query(written, name)] for name in self.names}
        steps = "SELECT name, id, status FROM test_steps JOIN registries USING (number) ORDER BY at"
        taken = [Step(*row) for row in query(steps)]
        return wrong(self._history, feeds, commits) + illegal(taken)

    def counts(self) -> dict[str, int]:
        """Return how many events of each kind the ended hosts have reported."""
        counts: dict[str, int] = {}
        for each in self._history:
            counts[each.kind] = counts.get(each.kind, 0) + 1
        return counts

    def _recover(self, name: str) -> None:
        def opened() -> bool:
            try:
                store = self.database.store(name)
                with Registry(store=store, max_completed=RETAINED) as registry:
                    assert registry.broken_invariants() == []
            except RegistryOwnedError:
                return False
            except StoreDamagedError:
                raise
            except PersistenceError:
                # The server may still be starting.
                return False
            return True

        until(opened)


@contextlib.contextmanager
def hosts(
    database: Database,
    names: Sequence[str],
    lease: float = 2.0,
    program: str = "owner_program",
) -> Iterator[Hosts]:
    """Return hosts that end with the block; `program` is what each runs."""
    made = Hosts(database, names, lease, program)
    try:
        yield made
    finally:
        made.kill_all()
