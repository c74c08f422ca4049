"""The base class of generated enums."""

from __future__ import annotations

from enum import Enum
from typing import Any


class ClosedSet(Enum):
    """Base of a closed set: values are the stored snake_case spelling, the order never changes.

    `generated_variant` is the PascalCase spelling. Members are singletons and hash by identity: the
    hash of Enum runs Python code at every look-up.
    """

    _value_: str

    #: The durable spelling: what `value` gives, read without running Python.
    wire: str

    def __init__(self, wire: str, *properties: Any) -> None:
        self.wire = wire

    __hash__ = object.__hash__

    @property
    def generated_variant(self) -> str:
        """The PascalCase spelling: `HomeAddress` for `home_address`."""
        return "".join(part[:1].upper() + part[1:] for part in self._value_.split("_"))
