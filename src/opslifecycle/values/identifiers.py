"""Identifiers: immutable, hashable, ordered, and never equal across types."""

from __future__ import annotations

import os
import re
from typing import ClassVar, Self, TypeVar, final
from uuid import UUID

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import InvalidValueError
from opslifecycle.locks import hold, owned_lock

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_IdT = TypeVar("_IdT", bound="Identifier")
#: The longest identifier with a pattern.
_LENGTH_MAX = 255


class Identifier(str):
    """The text of a UUID, typed by its class.

    Identifiers of one class are ordered by their text. For those that `new()` returned in one
    process, this is the order of creation. Identifiers of different classes are never equal and
    cannot be ordered; none is equal to a plain text. `str()` returns the plain text.

    Args:
        text: Any UUID in canonical lower-case text.

    Raises:
        InvalidValueError: For any other text.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Return the identifier for a UUID in canonical lower-case text."""
        if not isinstance(text, str):
            reason = f"expected the text of a UUID, got {type(text).__name__}"
            raise InvalidValueError(cls.__name__, reason)
        if _CANONICAL_UUID.fullmatch(text) is None:
            reason = f"expected a UUID in canonical lower-case text, got {text[:80]!r}"
            raise InvalidValueError(cls.__name__, reason)
        return str.__new__(cls, text)

    @classmethod
    def new(cls) -> Self:
        """Return a new identifier: a UUIDv7, greater than every other one made in this process."""
        return cls._of_uuid(_UUID7.make())

    @classmethod
    def _of_uuid(cls, text: str) -> Self:
        """Return the identifier that is made from the canonical text of a UUID."""
        return str.__new__(cls, text)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            # Not NotImplemented: Python would then call the method of `str`, which finds a plain
            # text with the same characters equal.
            return False
        return str.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: str) -> bool:
        self._refuse_order(other)
        return str.__lt__(self, other)

    def __le__(self, other: str) -> bool:
        self._refuse_order(other)
        return str.__le__(self, other)

    def __gt__(self, other: str) -> bool:
        self._refuse_order(other)
        return str.__gt__(self, other)

    def __ge__(self, other: str) -> bool:
        self._refuse_order(other)
        return str.__ge__(self, other)

    def _refuse_order(self, other: object) -> None:
        if type(other) is not type(self):
            message = f"{type(self).__name__} and {type(other).__name__} cannot be ordered"
            raise TypeError(message)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (str(self),)


class TextIdentifier(Identifier):
    """An identifier whose texts a regular expression describes, such as `pi_3MtwBwLkdIwHu7ix`.

    Subclasses set `pattern` and `prefix`.

    Args:
        text: A text that `pattern` matches whole, of at most 255 characters.

    Raises:
        InvalidValueError: For any other text.
    """

    __slots__ = ()
    pattern: ClassVar[str]
    prefix: ClassVar[str]

    def __new__(cls, text: str) -> Self:
        """Return the identifier for a text that the pattern of its class matches."""
        if not isinstance(text, str):
            reason = f"expected text that matches {cls.pattern}, got {type(text).__name__}"
            raise InvalidValueError(cls.__name__, reason)
        if len(text) > _LENGTH_MAX or re.fullmatch(cls.pattern, text) is None:
            reason = f"expected text that matches {cls.pattern}, got {text[:80]!r}"
            raise InvalidValueError(cls.__name__, reason)
        try:
            str.encode(text)
        except UnicodeEncodeError:
            reason = "expected text without lone surrogates"
            raise InvalidValueError(cls.__name__, reason) from None
        return str.__new__(cls, text)

    @classmethod
    def new(cls) -> Self:
        """Return a new identifier: the prefix, then the digits of a UUIDv7 without hyphens."""
        return cls._of_uuid(_UUID7.make())

    @classmethod
    def _of_uuid(cls, text: str) -> Self:
        return cls(cls.prefix + text.replace("-", ""))


@final
class _Uuid7Maker:
    """A maker of UUIDv7 texts that rise within the process (RFC 9562, section 6.2, method 1).

    The 12 bits after the milliseconds and the 62 after the variant are one 74-bit counter. It is
    seeded at random in each millisecond and raised by a random step within one. If the clock falls
    back or the counter overflows, the maker continues from the last time that it used.
    """

    def __init__(self) -> None:
        self._lock = owned_lock()
        self._last_ms = 0
        self._counter = 0
        self._random = b""

    def make(self) -> str:
        last_ms, counter = hold(self._lock, self._next)
        high, low = counter >> 62, counter & ((1 << 62) - 1)
        digits = f"{last_ms << 80 | 7 << 76 | high << 64 | 2 << 62 | low:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def _next(self) -> tuple[int, int]:
        last_ms, counter = self._last_ms, self._counter
        wall_ms = SYSTEM_CLOCK.wall_ms()
        if wall_ms > last_ms:
            last_ms = wall_ms
            # The top bit stays clear, so that the counter can rise within the millisecond.
            counter = self._random_number(10) >> 7
        else:
            counter += 1 + self._random_number(4)
            if counter >> 74:
                last_ms += 1
                counter = self._random_number(10) >> 7
        # In this order: if an interrupt separates the two, a later millisecond with the old
        # counter still makes a greater identifier.
        self._last_ms = last_ms
        self._counter = counter
        return last_ms, counter

    def _random_number(self, size: int) -> int:
        """Return a random number of `size` bytes, from a buffer that the system fills."""
        if len(self._random) < size:
            self._random = os.urandom(1024)
        taken, self._random = self._random[:size], self._random[size:]
        return int.from_bytes(taken, "big")

    def renew(self) -> None:
        """Start again in a forked child, which must share neither lock nor random numbers."""
        self._lock = owned_lock()
        self._random = b""


_UUID7 = _Uuid7Maker()


def identifier_of_uuid(kind: type[_IdT], uuid: UUID) -> _IdT:
    """Return the identifier of a class that is made from a UUID, as `new()` makes one.

    Raises:
        InvalidValueError: If the pattern of the class does not accept it.
    """
    return kind._of_uuid(str(uuid))


def new_uuid() -> str:
    """Return the text of a new UUIDv7."""
    return _UUID7.make()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_UUID7.renew)
