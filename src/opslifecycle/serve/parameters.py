"""The parameters of requests: each is checked, and an unknown one is an error."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from http import HTTPStatus
from typing import TypeVar

from opslifecycle import InvalidValueError, PageCursor
from opslifecycle.inspection.feed import Position
from opslifecycle.serve.problems import ProblemError
from starlette.requests import Request

E = TypeVar("E", bound=Enum)

#: A text that would be longer than any that is stored or compared.
TEXT_LENGTH_MAX = 200
#: Milliseconds since 1970, as far as JavaScript counts exactly.
MOMENT_MAX = 2**53 - 1
LAST_EVENT_ID = "Last-Event-ID"
#: The position after the last entry that there is.
NOW = "now"
_POSITION = "EPOCH:NUMBER, as the ids of events are"


class Parameters:
    """The query of a request.

    Args:
        request: The request.
        known: The names that it may have.

    Raises:
        ProblemError: It has another one, or one that cannot be repeated twice.
    """

    def __init__(
        self, request: Request, known: Collection[str], *, repeated: Collection[str] = ()
    ) -> None:
        self._query = request.query_params
        self._headers = request.headers
        for name in self._query:
            if name not in known:
                listed = ", ".join(known) or "none"
                raise _wrong(name, f"there is no such parameter; there are: {listed}")
            if name not in repeated and len(self._query.getlist(name)) > 1:
                raise _wrong(name, "it is given twice; give it once")

    def text(self, name: str) -> str | None:
        """Return a text."""
        value = self._query.get(name)
        if value is not None and len(value) > TEXT_LENGTH_MAX:
            reason = f"it has {len(value)} characters; expected at most {TEXT_LENGTH_MAX}"
            raise _wrong(name, reason)
        return value

    def whole(self, name: str, least: int, most: int) -> int | None:
        """Return an integer."""
        value = self._query.get(name)
        if value is None:
            return None
        digits = value.isascii() and value.isdigit() and len(value) <= len(str(most))
        if not digits or not least <= int(value) <= most:
            raise _wrong(name, f"expected an integer from {least} to {most}, got {value!r:.80}")
        return int(value)

    def flag(self, name: str) -> bool:
        """Return `true` or `false`; False by default."""
        return self.choice(name, ("true", "false")) == "true"

    def choice(self, name: str, choices: Collection[str]) -> str | None:
        """Return one of some texts."""
        value = self._query.get(name)
        return value if value is None else _chosen(name, value, choices)

    def choices(self, name: str, choices: Collection[str]) -> tuple[str, ...]:
        """Return some of some texts."""
        return tuple(_chosen(name, each, choices) for each in self._query.getlist(name))

    def cursor(self, name: str) -> PageCursor | None:
        """Return the cursor of an earlier page."""
        value = self._query.get(name)
        if value is None:
            return None
        try:
            return PageCursor.parse(value)
        except InvalidValueError as error:
            raise _wrong(name, error.reason) from None

    def position(self, name: str) -> Position | None:
        """Return a position in a feed; None for none, and for `now`."""
        value = self._query.get(name)
        if value is None or value == NOW:
            return None
        return _position(f"parameter {name!r}", value, f"{_POSITION}, or `{NOW}`")

    def last_event_id(self) -> Position | None:
        """Return the id of the last event that a client of a stream has; None for a new client.

        An empty header is what a browser has before the first id.
        """
        value = self._headers.get(LAST_EVENT_ID)
        return _position(f"header {LAST_EVENT_ID!r}", value, _POSITION) if value else None


def _position(where: str, value: str, expected: str) -> Position:
    position = Position.parse(value)
    if position is None:
        detail = f"{where}: expected {expected}, got {value!r:.80}"
        raise ProblemError(HTTPStatus.BAD_REQUEST, detail)
    return position


def _chosen(name: str, value: str, choices: Collection[str]) -> str:
    if value not in choices:
        raise _wrong(name, f"expected one of {', '.join(choices)}, got {value!r:.80}")
    return value


def _wrong(name: str, reason: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, f"parameter {name!r:.80}: {reason}")
