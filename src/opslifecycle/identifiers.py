"""Identifiers: immutable, hashable, ordered, and never equal across types."""

from __future__ import annotations

import os
import re
import threading
from typing import Any, Self, final

from opslifecycle.clock import SYSTEM_CLOCK
from opslifecycle.errors import InvalidValueError

_CANONICAL_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Identifier:
    """The text of a UUID, typed by its class.

    `Identifier(text)` takes any UUID in canonical lower-case text and raises InvalidValueError for
    anything else. `new()` makes a UUIDv7. `str()` gives the text back. Identifiers of one class
    are ordered by their text, which for those made by `new()` in one process is the order of
    making; identifiers of different classes are never equal and cannot be ordered.
    """

    __slots__ = ("_hash", "_text")

    _text: str
    _hash: int

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            reason = f"expected the text of a UUID, got {type(text).__name__}"
            raise InvalidValueError(type(self).__name__, reason)
        if _CANONICAL_UUID.fullmatch(text) is None:
            reason = f"expected a UUID in canonical lower-case text, got {text[:80]!r}"
            raise InvalidValueError(type(self).__name__, reason)
        object.__setattr__(self, "_text", str(text))
        object.__setattr__(self, "_hash", hash((type(self).__name__, text)))

    @classmethod
    def new(cls) -> Self:
        """A new identifier: a UUIDv7, later than every other one made in this process."""
        return cls(_UUID7.make())

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._text!r})"

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._text == other._text

    def __lt__(self, other: Self) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._text < other._text

    def __le__(self, other: Self) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._text <= other._text

    def __gt__(self, other: Self) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._text > other._text

    def __ge__(self, other: Self) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._text >= other._text

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        # The hash of a text differs between processes, so only the text travels.
        return type(self), (self._text,)


@final
class _Uuid7Maker:
    """Makes UUIDv7 texts that rise within the process (RFC 9562, method 1 of section 6.2).

    The 12 bits after the milliseconds and the 62 after the variant are one 74-bit counter: seeded
    at random in each millisecond, raised by a random step within one. A clock that falls back, or a
    counter that overflows, goes on from the last time used.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last_ms = 0
        self._counter = 0

    def make(self) -> str:
        with self._lock:
            wall_ms = SYSTEM_CLOCK.wall_ms()
            if wall_ms > self._last_ms:
                self._last_ms = wall_ms
                # The top bit stays clear, so that a millisecond has room to count up.
                self._counter = int.from_bytes(os.urandom(10), "big") >> 7
            else:
                self._counter += 1 + int.from_bytes(os.urandom(4), "big")
                if self._counter >> 74:
                    self._last_ms += 1
                    self._counter = int.from_bytes(os.urandom(10), "big") >> 7
            last_ms, counter = self._last_ms, self._counter
        high, low = counter >> 62, counter & ((1 << 62) - 1)
        digits = f"{last_ms << 80 | 7 << 76 | high << 64 | 2 << 62 | low:032x}"
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def renew_lock(self) -> None:
        """Replace the lock in a forked child, where its holder may not exist any more."""
        self._lock = threading.Lock()


_UUID7 = _Uuid7Maker()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_UUID7.renew_lock)
