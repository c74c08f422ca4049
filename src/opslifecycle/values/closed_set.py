"""The base of generated enums."""

from __future__ import annotations

from enum import Enum
from typing import Any


class ClosedSet(Enum):
    """A closed set: values are the durable snake_case spelling, members never change places.

    `generated_variant` is the PascalCase spelling. Members are singletons, so their hash is their
    identity's: the one that Enum brings runs in Python and is paid at every look-up.
    """

    _value_: str

    #: The durable spelling: what `value` gives, read without running Python.
    wire: str

    def __init__(self, wire: str, *properties: Any) -> None:
        self.wire = wire

    __hash__ = object.__hash__

    @property
    def generated_variant(self) -> str:
        """The PascalCase spelling: `home_address` as `HomeAddress`."""
        return "".join(part[:1].upper() + part[1:] for part in self._value_.split("_"))
