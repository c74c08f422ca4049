"""What a failure of a server means: its cause in words, with the fix where there is one."""

from __future__ import annotations

from opslifecycle.errors import PersistenceError, StoreBusyError
from opslifecycle.stores.postgres.link import LinkLostError, NotConnectedError, RefusedError

#: Classes of SQLSTATE that are about the data of a statement, so another one may succeed.
_ABOUT_DATA = ("22", "23", "54")
#: Serialization failure and deadlock: the same statement may succeed at once.
_PASSING = ("40001", "40P01")

_CAUSES = {
    "25006": "the server is read-only: it is a replica; connect to the primary",
    "57014": "the server cancelled the statement; raise statement_timeout, or call again",
}
#: Causes that pass while the program does nothing.
_BUSY = {
    "40001": "another transaction was in the way; call again",
    "40P01": "another transaction was in the way; call again",
    "53100": "the server's disk is full; free some space, then call again",
    "53200": "the server is out of memory; give it more, then call again",
    "53300": "the server has no connections left; raise max_connections, or use fewer processes",
    "55P03": "another program has locked a table for longer than lock_timeout; call again",
    "57P03": "the server is starting up; call again",
}


def is_about_data(error: RefusedError) -> bool:
    """Return whether the server refused what a statement would have written."""
    return error.state.startswith(_ABOUT_DATA)


def is_passing(error: RefusedError) -> bool:
    """Return whether the same statement may succeed at once."""
    return error.state in _PASSING


def failure_of(name: str, error: RefusedError | LinkLostError) -> PersistenceError:
    """Return what is raised for a failure after which nothing was written."""
    if isinstance(error, LinkLostError):
        lines = [each.strip() for each in str(error).splitlines()]
        cause = "; ".join(each for each in lines if each)
        # A server that never answered may be none.
        kind = PersistenceError if isinstance(error, NotConnectedError) else StoreBusyError
        return kind(name, f"{cause}; check that the server runs, then call again")
    if error.state in _BUSY:
        return StoreBusyError(name, _BUSY[error.state])
    cause = _CAUSES.get(error.state, f"{error.message}; see the log of the server, then call again")
    if error.state == "42501":
        cause = f"{error.message}; grant the role what the guide to PostgreSQL lists"
    elif error.state in ("42P01", "3F000"):
        cause = f"{error.message}; create the tables with `opslifecycle db migrate`"
    return PersistenceError(name, cause)
