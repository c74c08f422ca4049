"""Settings of a registry: as passed, else as stored, else the machine's default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, final

import attrs
from opslifecycle.values.conversion import structure
from opslifecycle.values.identifiers import Identifier
from opslifecycle.values.plain import Json, count_from, optional_count_from

EpochT = TypeVar("EpochT", bound=Identifier)


@final
class _Unset:
    """The type of UNSET."""

    def __repr__(self) -> str:
        return "..."


#: The default of a setting's parameter, of any type. It is not None, which is a value.
UNSET: Any = _Unset()


#: Conversions that need no cattrs, so that opening a registry does not load it.
_READERS: dict[object, Callable[[Json], object]] = {
    int: count_from,
    int | None: optional_count_from,
}


@attrs.frozen
class Setting:
    """A setting of a machine's registries.

    Attributes:
        name: The name of the constructor's parameter and of the stored field.
        kind: The type.
        default: The machine's default.
        at_least: The least value for the authority; lower ones are raised to it. None for no limit.
        argument: The name of the authority's parameter; `name` by default.
    """

    name: str
    kind: object
    default: object = None
    at_least: int | None = attrs.field(default=None, kw_only=True)
    argument: str = attrs.field(
        default=attrs.Factory(lambda self: self.name, takes_self=True), kw_only=True
    )

    def value(self, given: Mapping[str, object], state: Mapping[str, Json]) -> object:
        """Return the value: as passed, else as stored, else the default.

        Args:
            given: The arguments of the constructor; UNSET or absent if one was not passed.
            state: The stored fields of the registry; empty for a new one.

        Raises:
            InvalidValueError: The stored value is not of the type.
        """
        value = given.get(self.name, UNSET)
        if value is UNSET:
            value = self._read(state[self.name]) if self.name in state else self.default
        if self.at_least is None:
            return value
        assert isinstance(value, int), "only a number has a least value"
        return max(self.at_least, value)

    def _read(self, stored: Json) -> object:
        read = _READERS.get(self.kind)
        return structure(stored, self.kind) if read is None else read(stored)


def epoch_from(state: Mapping[str, Json], kind: type[EpochT]) -> EpochT:
    """Return the stored epoch of a feed, or a new one.

    Args:
        state: The stored fields of the registry; empty for a new one.
        kind: The class of the epoch.

    Raises:
        InvalidValueError: The stored value is no epoch.
    """
    return structure(state["epoch_id"], kind) if state else kind.new()
