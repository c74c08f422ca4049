"""The base class of generated enums."""

from __future__ import annotations

from enum import Enum
from typing import Self


class ClosedSet(Enum):
    """Base of a closed set: values are the stored snake_case spelling, the order never changes.

    A member is declared by its spelling, or by a tuple of its spelling and its properties, in the
    order of the class's annotations. Members are singletons and hash by identity, because the hash
    of Enum runs Python code at every look-up.
    """

    _value_: str

    #: The stored spelling. It equals `value`, whose property runs Python code at every access.
    wire: str

    def __new__(cls, wire: str, *properties: object) -> Self:
        """Create a member from its stored spelling and its properties."""
        member = object.__new__(cls)
        member._value_ = wire
        return member

    def __init__(self, wire: str, *properties: object) -> None:
        self.wire = wire
        if properties:
            for name, value in zip(type(self).__annotations__, properties, strict=True):
                setattr(self, name, value)

    __hash__ = object.__hash__

    @property
    def generated_variant(self) -> str:
        """The PascalCase spelling: `HomeAddress` for `home_address`."""
        return "".join(part[:1].upper() + part[1:] for part in self._value_.split("_"))
