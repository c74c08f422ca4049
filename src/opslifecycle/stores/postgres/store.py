"""The PostgreSQL store: a registry in a schema of a database, owned by one process of any host."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from opslifecycle.errors import (
    InvalidValueError,
    OwnershipLostError,
    PersistenceError,
    RegistryOwnedError,
    StoreRolledBackError,
)
from opslifecycle.logs import EventLog
from opslifecycle.stores.base import CLOSED, ArchivedRow, Commit, Interrupted, Store, StoreContents
from opslifecycle.stores.postgres import archive
from opslifecycle.stores.postgres.claims import Claiming, put_back
from opslifecycle.stores.postgres.failures import failure_of
from opslifecycle.stores.postgres.link import Deadline, LinkLostError, RefusedError, within
from opslifecycle.stores.postgres.log_index import COLUMN, LINE, LogIndex
from opslifecycle.stores.postgres.reader import PostgresReader
from opslifecycle.stores.postgres.schema import POSITION_BITS, check_schema_name
from opslifecycle.stores.postgres.session import PATIENCE_SECONDS, Session, Target, enter, leave
from opslifecycle.stores.postgres.writer import Write
from opslifecycle.stores.reading import RegistryView
from opslifecycle.stores.schema_version import SchemaVersion
from opslifecycle.values import checks

_log = EventLog("postgres")
_LEASE_SECONDS_MIN, _LEASE_SECONDS_MAX = 1.0, 3600.0
_COLUMNS_OF_A_ROW, _COLUMNS_OF_ARCHIVED, _COLUMNS_OF_AN_ANSWER = 5, 4, 2
_PAUSE_SECONDS = 0.05


class PostgresStore(Store):
    """A store of one registry, by name, on a PostgreSQL server (15 or later).

    All stores of a process with the same arguments share three connections and one lease.

    Args:
        dsn: The connection string, as libpq reads it: `postgresql://user@host/database`,
            `host=… dbname=…` or `service=NAME`. Give the password in `~/.pgpass` or `PGPASSWORD`.
        registry: The name of the registry in the schema.
        schema: The schema of the tables. If it has none yet, the first registry creates them.
        lease_seconds: How long other processes wait for an owner that they cannot see, from 1 to
            3600. An owner that cannot renew its lease in 90 % of that time closes its registries.
        session_lock: Whether the server sees this process's own connections. Then other processes
            take over half a second after they were closed, and the server keeps the plans of
            statements. Say False behind PgBouncer in transaction mode, and behind a proxy that
            closes connections by itself: only the lease decides then.
        interrupted: What becomes of records whose process ended; None as the machine declares.

    Raises:
        InvalidValueError: An argument is of the wrong type or out of range.
    """

    archives = True

    def __init__(
        self,
        dsn: str,
        *,
        registry: str = "default",
        schema: str = "opslifecycle",
        lease_seconds: float = 10.0,
        session_lock: bool = True,
        interrupted: Interrupted | None = None,
    ) -> None:
        checks.text("dsn", dsn)
        checks.text("registry", registry)
        checks.text("schema", schema)
        checks.flag("session_lock", session_lock)
        checks.instance("lease_seconds", lease_seconds, float | int)
        if not registry or not registry.isprintable():
            reason = f"expected printable text, got {registry!r:.80}"
            raise InvalidValueError("registry", reason)
        if (wrong := check_schema_name(schema)) is not None:
            raise InvalidValueError("schema", wrong)
        if not _LEASE_SECONDS_MIN <= lease_seconds <= _LEASE_SECONDS_MAX:
            reason = f"expected 1 to 3600 seconds, got {checks.shown(lease_seconds)}"
            raise InvalidValueError("lease_seconds", reason)
        if interrupted not in (None, "terminate", "discard"):
            reason = f"expected terminate, discard or None, got {interrupted!r:.80}"
            raise InvalidValueError("interrupted", reason)
        self.interrupted = interrupted
        self._registry = registry
        self._target = Target(dsn, schema, float(lease_seconds), session_lock)
        try:
            self._name = self._target.name
        except ValueError as error:
            raise InvalidValueError("dsn", str(error)) from None
        self._session: Session | None = None
        self._number = 0
        self._fencing_token = 0
        self._index = LogIndex()
        self._is_lost = False
        self._archiving = False
        self._notify: Callable[[], None] | None = None

    def reading(self, schema: SchemaVersion) -> RegistryView:
        """See `Store.reading`."""
        return RegistryView(PostgresReader(self._target, schema), self._registry, self.name)

    @property
    def name(self) -> str:
        """The server, the database and the schema, which messages name."""
        return self._name

    @property
    def number(self) -> int:
        """The number of the registry in the schema; 0 before it was opened."""
        return self._number

    @property
    def owner(self) -> int:
        """The id of this process among the owners of the schema; 0 if the store is closed."""
        return 0 if self._session is None else self._session.lease.owner

    @property
    def is_open(self) -> bool:
        """See `Store.is_open`."""
        return self._session is not None

    def open(self, schema: SchemaVersion) -> StoreContents:
        """See `Store.open`."""
        if self._session is not None:
            raise RegistryOwnedError(self.name, "another registry of this process")
        session = enter(self._target)
        try:
            if schema.archives:
                with session.reporting(), session.side() as link:
                    archive.create_archive(link, session.target.schema, within(PATIENCE_SECONDS))
            claim = Claiming(session, self._registry, schema).claim()
        except BaseException:
            leave(session)
            raise
        self._session, self._is_lost = session, False
        self._number, self._fencing_token = claim.number, claim.fencing_token
        self._index = claim.index
        session.owned[claim.number] = self._lose
        self._archiving = schema.archives
        return claim.stored

    def on_ownership_lost(self, notify: Callable[[], None]) -> None:
        """See `Store.on_ownership_lost`."""
        self._notify = notify
        if self._session is not None and not self._session.lease.is_valid():
            notify()

    def _lose(self) -> None:
        """Have the registry learn, in its own thread, that it owns nothing any more."""
        self._is_lost = True
        if self._notify is not None:
            self._notify()

    def append(self, commit: Commit) -> None:
        """See `Store.append`."""
        session = self._session
        if session is None:
            raise PersistenceError(self.name, CLOSED)
        if self._is_lost:
            raise OwnershipLostError
        changes = self._index.plan(commit)
        rows = changes.encoded(self._number)
        first = self._number << POSITION_BITS
        write = Write(
            self._number,
            self._fencing_token,
            self._index.head,
            changes.head,
            changes.dropped_through,
            commit.state,
            rows,
            [first + each for each in changes.superseded],
            [first + each for each in changes.dead],
            archive.encoded(self._number, commit.archived),
            LINE.join(f"{request}{COLUMN}{answer}" for request, answer in commit.answers),
        )
        self._refuse_unstorable(rows, len(changes.rows), _COLUMNS_OF_A_ROW, commit.state)
        archived = commit.archived
        self._refuse_unstorable(write.archived, len(archived), _COLUMNS_OF_ARCHIVED, "")
        answers = commit.answers
        self._refuse_unstorable(write.answers, len(answers), _COLUMNS_OF_AN_ANSWER, "")
        try:
            session.writer.write(write)
        except StoreRolledBackError:
            # What is owned may be put back.
            raise
        except OwnershipLostError:
            self._is_lost = True
            raise
        finally:
            self._fencing_token = write.fencing_token
        self._index.apply(changes)

    def put_back(self, stored: StoreContents) -> bool:
        """See `Store.put_back`. Archived records may be lost, and the owner does not have them."""
        session = self._session if not self._archiving else None
        while session is not None and session.lease.is_valid():
            try:
                with session.side() as link:
                    index = put_back(
                        link,
                        session.target.schema,
                        (self._number, self._fencing_token, session.lease.owner),
                        self._index,
                        stored,
                        session.lease.deadline,
                    )
            except LinkLostError:
                # Writing everything once more is harmless.
                threading.Event().wait(_PAUSE_SECONDS)
            except RefusedError as error:
                _log.error("put_back_refused", "%s", failure_of(self.name, error))
                return False
            else:
                return self._has_put_back(index, len(stored.records))
        return False

    def _has_put_back(self, index: LogIndex | None, count: int) -> bool:
        if index is None:
            return False
        _log.warning("records_put_back", "%s: wrote %d record(s) again", self.name, count)
        self._index = index
        return True

    def _refuse_unstorable(self, rows: str, count: int, columns: int, state: str) -> None:
        """Raise PersistenceError for texts that the server could not read as they were written."""
        cause = None
        try:
            rows.encode(), state.encode()
        except UnicodeEncodeError as error:
            cause = str(error)
        between, lines = count * (columns - 1), max(0, count - 1)
        if rows.count(COLUMN) != between or rows.count(LINE) != lines:
            cause = "a stored text contains U+001E or U+001F, which JSON escapes"
        if cause is None and ("\0" in rows or "\0" in state):
            cause = "a stored text contains U+0000, which JSON escapes"
        if cause is not None:
            raise PersistenceError(self.name, cause)

    def copy_archived(self, rows: list[ArchivedRow]) -> None:
        """Add rows to the archive without a commit, except those that it has already."""
        with self._reading() as (session, deadline), session.side() as link:
            text = archive.encoded(self._number, rows)
            self._refuse_unstorable(text, len(rows), _COLUMNS_OF_ARCHIVED, "")
            archive.copy_rows(link, session.target.schema, text, deadline)

    def archived(self, id: str) -> ArchivedRow | None:
        """See `Store.archived`."""
        with self._reading() as (session, deadline), session.side() as link:
            place = (session.target.schema, self.name, self._number)
            return archive.latest(link, *place, id, deadline)

    def archived_after(self, sequence: int, limit: int) -> list[ArchivedRow]:
        """See `Store.archived_after`."""
        with self._reading() as (session, deadline), session.side() as link:
            place = (session.target.schema, self.name, self._number)
            return archive.after(link, *place, sequence, limit, deadline)

    def archived_before(self, sequence: int | None, limit: int) -> list[ArchivedRow]:
        """See `Store.archived_before`."""
        with self._reading() as (session, deadline), session.side() as link:
            place = (session.target.schema, self.name, self._number)
            return archive.before(link, *place, sequence, limit, deadline)

    def check_archive(self) -> int:
        """See `Store.check_archive`."""
        return archive.check(self.archived_after)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[tuple[Session, Deadline]]:
        session = self._session
        if session is None:
            raise PersistenceError(self.name, "the store is closed; open a registry on it to read")
        with session.reporting():
            yield session, within(PATIENCE_SECONDS)

    def heartbeat(self) -> None:
        """See `Store.heartbeat`."""
        if self._session is not None and (self._is_lost or not self._session.lease.is_valid()):
            raise OwnershipLostError

    def close(self) -> None:
        """See `Store.close`."""
        session, self._session = self._session, None
        if session is None:
            return
        session.owned.pop(self._number, None)
        try:
            if not self._is_lost and session.lease.is_valid():
                with contextlib.suppress(PersistenceError), session.reporting():
                    self._release(session)
        finally:
            leave(session)

    def _release(self, session: Session) -> None:
        """Let another process take the registry at once; otherwise it waits for the lease."""
        with session.side() as link:
            link.run(
                session.statements.release,
                self._number, self._fencing_token, session.lease.owner,
                deadline=within(PATIENCE_SECONDS),
            )  # fmt: skip
