"""Settings of a registry: as passed, else as stored, else the machine's default."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, final

import attrs
from opslifecycle.stores.epochs import epoch_of, lacks_feed
from opslifecycle.values.identifiers import Identifier
from opslifecycle.values.plain import Json

EpochT = TypeVar("EpochT", bound=Identifier)


@final
class _Unset:
    """The type of UNSET."""

    def __repr__(self) -> str:
        return "..."


#: The default of a setting's parameter, of any type. It is not None, which is a value.
UNSET: Any = _Unset()


@attrs.frozen(eq=False, repr=False)
class Setting:
    """A setting of a machine's registries.

    Attributes:
        name: The name of the constructor's parameter and of the stored field.
        read: Reads a stored value. It raises InvalidValueError for one that is not of the type.
        default: The machine's default.
        at_least: The least value for the authority; lower ones are raised to it. None for no limit.
            A setting that is None stays None.
        argument: The name of the authority's parameter; `name` by default.
        read_with: The arguments of `read` behind the stored value: a type, or its limits.
    """

    name: str
    read: Callable[..., object]
    default: object = None
    at_least: int | None = attrs.field(default=None, kw_only=True)
    argument: str = attrs.field(
        default=attrs.Factory(lambda self: self.name, takes_self=True), kw_only=True
    )
    read_with: tuple[object, ...] = attrs.field(default=(), kw_only=True)

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
            stored = state.get(self.name, UNSET)
            value = self.default if stored is UNSET else self.read(stored, *self.read_with)
        if self.at_least is None or value is None:
            return value
        assert isinstance(value, int), "only a number has a least value"
        return max(self.at_least, value)


def epoch_from(state: Mapping[str, Json], kind: type[EpochT]) -> EpochT:
    """Return the stored epoch of a feed, or a new one if none has begun.

    Args:
        state: The stored fields of the registry; empty for a new one.
        kind: The class of the epoch.

    Raises:
        InvalidValueError: The stored value is no epoch.
    """
    return kind.new() if lacks_feed(state) else epoch_of(state, kind)
