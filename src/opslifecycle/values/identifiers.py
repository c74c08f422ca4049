"""Identifiers: immutable, hashable, ordered, and never equal across types."""

from __future__ import annotations

import os
import re
from typing import ClassVar, Protocol, Self, TypeVar, final
from uuid import UUID

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import InvalidValueError
from opslifecycle.locks import hold, owned_lock
from opslifecycle.values.checks import COUNT_MAX

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_IdT = TypeVar("_IdT", bound="AnyIdentifier")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")
#: What is random of a number that is made: 42 bits are left for milliseconds, until the year 2109.
_RANDOM_BITS = 21
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


class IntIdentifier(int):
    """An identifier that is an integer, typed by its class.

    Identifiers of one class are ordered as numbers. Identifiers of different classes are never
    equal and cannot be ordered; none is equal to a plain integer. `int()` returns the plain one.

    Args:
        number: An integer from 0 to 2**63 - 1, or its decimal text.

    Raises:
        InvalidValueError: For anything else.
    """

    __slots__ = ()

    def __new__(cls, number: int | str) -> Self:
        """Return the identifier for an integer, or for its decimal text."""
        if type(number) is str and _DECIMAL.fullmatch(number):
            number = int(number)
        if type(number) is not int or not 0 <= number <= COUNT_MAX:
            given = repr(number)[:80] if type(number) in (int, str) else type(number).__name__
            reason = f"expected an integer from 0 to {COUNT_MAX}, got {given}"
            raise InvalidValueError(cls.__name__, reason)
        return int.__new__(cls, number)

    @classmethod
    def new(cls) -> Self:
        """Return a new identifier, greater than every other one made in this process.

        It has the milliseconds since 1970 above 21 bits that are random in each millisecond.
        """
        return int.__new__(cls, _NUMBERS.make())

    @classmethod
    def _of_uuid(cls, text: str) -> Self:
        """Return the identifier that is made from the canonical text of a UUID."""
        return int.__new__(cls, UUID(text).int & COUNT_MAX)

    def __str__(self) -> str:
        return int.__repr__(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self})"

    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and int.__eq__(self, other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: int) -> bool:
        self._refuse_order(other)
        return int.__lt__(self, other)

    def __le__(self, other: int) -> bool:
        self._refuse_order(other)
        return int.__le__(self, other)

    def __gt__(self, other: int) -> bool:
        self._refuse_order(other)
        return int.__gt__(self, other)

    def __ge__(self, other: int) -> bool:
        self._refuse_order(other)
        return int.__ge__(self, other)

    def _refuse_order(self, other: object) -> None:
        if type(other) is not type(self):
            message = f"{type(self).__name__} and {type(other).__name__} cannot be ordered"
            raise TypeError(message)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[int]]:
        return type(self), (int(self),)


class AnyIdentifier(Protocol):
    """What every class of identifiers has, whatever its values are."""

    @classmethod
    def new(cls) -> Self:
        """Return a new identifier."""

    @classmethod
    def _of_uuid(cls, text: str) -> Self: ...


@final
class _NumberMaker:
    """A maker of integers that rise within the process: milliseconds above random bits."""

    def __init__(self) -> None:
        self._lock = owned_lock()
        self._last = 0

    def make(self) -> int:
        return hold(self._lock, self._next)

    def _next(self) -> int:
        random = int.from_bytes(os.urandom(3), "big") >> 24 - _RANDOM_BITS
        self._last = max(self._last + 1, SYSTEM_CLOCK.wall_ms() << _RANDOM_BITS | random)
        return self._last

    def renew(self) -> None:
        """Start again in a forked child, at a number far from those of its parent."""
        self._lock = owned_lock()
        self._last += int.from_bytes(os.urandom(3), "big")


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


_UUID7, _NUMBERS = _Uuid7Maker(), _NumberMaker()


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
    os.register_at_fork(after_in_child=_NUMBERS.renew)
